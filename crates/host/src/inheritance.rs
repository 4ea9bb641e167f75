//! Handles that wait for the child of an application: duplicates in a process of the machine that has no threads, until
//! somebody shows their ticket.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use gate::{Handle, Inheritance, Ticket, Transport};

use crate::process::Process;
use crate::server::Session;

/// The most offers of one session that nobody has taken.
const OFFERS: usize = 64;

/// What waits at one server.
#[derive(Default)]
pub(crate) struct Offers {
    waiting: Mutex<HashMap<Ticket, Offer>>,
}

struct Offer {
    /// The process of the session that made it.
    of: u32,
    keeper: Process,
    handles: Vec<Handle>,
}

impl Offers {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Ticket, Offer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what a session offered.
    pub(crate) fn withdraw(&self, of: u32) {
        let withdrawn: Vec<_> = self.waiting().extract_if(|_, offer| offer.of == of).collect();
        // Closing may call drivers: not under the lock.
        drop(withdrawn);
    }
}

impl Inheritance for Session {
    fn offer_handles(&self, handles: &[Handle]) -> Result<Ticket, NTSTATUS> {
        let of = self.process.id();
        let count = self.offers.waiting().values().filter(|offer| offer.of == of).count();
        if count >= OFFERS {
            return Err(abi::STATUS_QUOTA_EXCEEDED);
        }
        let ticket = Ticket::random().map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        let keeper = self.process.keeper("handles for a child");
        let handles = duplicates(&self.process, handles, &keeper)?;
        self.offers.waiting().insert(ticket, Offer { of, keeper, handles });
        Ok(ticket)
    }

    fn take_handles(&self, ticket: &Ticket) -> Result<Vec<Handle>, NTSTATUS> {
        let offer = self.offers.waiting().remove(ticket).ok_or(abi::STATUS_NOT_FOUND)?;
        duplicates(&offer.keeper, &offer.handles, &self.process)
    }
}

/// Duplicates all of `handles` into `target`, or none.
fn duplicates(source: &Process, handles: &[Handle], target: &Process) -> Result<Vec<Handle>, NTSTATUS> {
    let mut made = Vec::with_capacity(handles.len());
    for &handle in handles {
        match source.duplicate_into(handle, target, 0, abi::DUPLICATE_SAME_ACCESS) {
            Ok(duplicate) => made.push(duplicate),
            Err(status) => {
                for handle in made {
                    // It was made a moment ago.
                    let _closed = Transport::close(target, handle);
                }
                return Err(status);
            }
        }
    }
    Ok(made)
}
