//! Which thread uses which slot. A thread claims one at its first call and gives it back when it ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};

use crate::bell;
use crate::client::extents::Extents;
use crate::client::life::Life;
use crate::patience::{Patience, Spin};
use crate::socket::tell;
use crate::window::Window;
use crate::wire::{Message, Request, SHARED_TURN, operation};

/// How often threads that sleep through their session's end are woken once more.
const AGAIN: Duration = Duration::from_millis(5);

/// The slot that threads without one of their own take turns on.
const SHARED: u32 = 0;

/// What a client's threads and its watcher have in common.
pub(crate) struct Link {
    /// Never used twice in a process.
    id: u64,
    pub(crate) life: Life,
    pub(crate) socket: OwnedFd,
    pub(crate) window: Window,
    pub(super) spin: Spin,
    pub(super) slots: Box<[SlotState]>,
    pub(super) extents: Mutex<Extents>,
    /// What the host shows behind the data: places in the window and their lengths.
    pub(super) shown: Mutex<BTreeMap<u64, u64>>,
    claimed: Mutex<Vec<bool>>,
    turn: Mutex<()>,
}

/// What the application remembers of a slot, where the host cannot reach it. Only the thread that owns the slot uses
/// it; atomics merely let it live in a table.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// The last request's number.
    pub(super) sequence: AtomicU32,
    /// The thread sleeps until an answer comes, or is about to.
    pub(super) asleep: AtomicBool,
    pub(super) patience: Patience,
    /// A part of the data area that the slot keeps for copies.
    pub(super) staging: AtomicU64,
    pub(super) staging_length: AtomicU64,
}

/// The right to use a slot for one call.
pub(super) struct Turn<'a> {
    pub(super) slot: u32,
    shared: Option<MutexGuard<'a, ()>>,
}

impl Turn<'_> {
    /// What the host has to know of it, among a request's flags.
    pub(super) fn flags(&self) -> u32 {
        if self.shared.is_some() { SHARED_TURN } else { 0 }
    }
}

thread_local! {
    /// The client that this thread called last, and its slot there.
    static LAST: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    static LEASES: RefCell<Vec<Lease>> = const { RefCell::new(Vec::new()) };
}

/// A thread's claim on a slot; ends with the thread.
struct Lease {
    id: u64,
    link: Weak<Link>,
    slot: u32,
}

impl Drop for Lease {
    fn drop(&mut self) {
        LAST.set((0, 0));
        if let Some(link) = self.link.upgrade() {
            link.release(self.slot);
        }
    }
}

impl Link {
    pub(super) fn new(life: Life, socket: OwnedFd, window: Window, spin: Spin) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let layout = *window.layout();
        Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            life,
            socket,
            window,
            spin,
            slots: (0..layout.slot_count).map(|_| SlotState::default()).collect(),
            extents: Mutex::new(Extents::new(layout.data_offset..layout.len)),
            shown: Mutex::default(),
            claimed: Mutex::new(vec![false; layout.slot_count as usize]),
            turn: Mutex::new(()),
        }
    }

    /// The calling thread's slot. `None` if the session is over.
    #[inline]
    pub(super) fn turn(&self, me: &Arc<Self>) -> Option<Turn<'_>> {
        if !self.life.is_alive() {
            return None;
        }
        let (id, slot) = LAST.get();
        if id == self.id {
            return Some(Turn { slot, shared: None });
        }
        self.find_turn(me)
    }

    #[cold]
    fn find_turn(&self, me: &Arc<Self>) -> Option<Turn<'_>> {
        // A thread that is ending may have lost its list already.
        let own = LEASES.try_with(|leases| {
            let mut leases = leases.borrow_mut();
            if let Some(lease) = leases.iter().find(|lease| lease.id == self.id) {
                return Some(lease.slot);
            }
            leases.retain(|lease| lease.link.strong_count() != 0);
            let slot = self.claim()?;
            leases.push(Lease { id: self.id, link: Arc::downgrade(me), slot });
            Some(slot)
        });
        if let Ok(Some(slot)) = own {
            LAST.set((self.id, slot));
            return Some(Turn { slot, shared: None });
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !std::mem::replace(&mut self.claimed()[SHARED as usize], true);
        if first {
            self.activate(SHARED);
        }
        self.life.is_alive().then_some(Turn { slot: SHARED, shared: Some(turn) })
    }

    /// Takes a free slot that no thread of the host serves any more.
    fn claim(&self) -> Option<u32> {
        let slot = {
            let mut claimed = self.claimed();
            let free = (0..).zip(claimed.iter_mut()).skip(1).find(|(slot, claimed)| {
                let last = self.slots[*slot as usize].sequence.load(Ordering::Relaxed);
                !**claimed && bell::look(&self.window.slot(*slot).reply.bell, last).is_none()
            });
            let (slot, claimed) = free?;
            *claimed = true;
            slot
        };
        self.activate(slot);
        Some(slot)
    }

    /// Asks the host for a thread.
    fn activate(&self, slot: u32) {
        if tell(&self.socket, &Message::Activate { slot }).is_err() {
            self.leave();
        }
    }

    /// Ends the host's thread for `slot` and lets another thread claim it.
    fn release(&self, slot: u32) {
        if !self.life.is_alive() {
            return;
        }
        let state = &self.slots[slot as usize];
        let lines = self.window.slot(slot);
        lines.request.write(&Request { operation: operation::END, ..Request::default() }, 0);
        let number = bell::next(state.sequence.load(Ordering::Relaxed));
        state.sequence.store(number, Ordering::Relaxed);
        bell::ring(&lines.request.bell, number, &lines.reply.parked);
        self.give_staging(state);
        self.claimed()[slot as usize] = false;
    }

    /// Ends the session for this process: wakes every thread that waits for an answer. Whether anybody still sleeps.
    fn end(&self) -> bool {
        self.life.end();
        let mut sleepers = false;
        for (slot, _) in (0..).zip(&self.slots).filter(|(_, state)| state.asleep.load(Ordering::SeqCst)) {
            bell::poison(&self.window.slot(slot).reply.bell);
            sleepers = true;
        }
        sleepers
    }

    /// Ends the session on both sides; the watcher sees to the other threads.
    pub(crate) fn leave(&self) {
        self.life.end();
        // Fails only for a socket that is down already, which the watcher has seen.
        let _down = shutdown(&self.socket, Shutdown::Both);
    }

    /// As [`Self::end`], until all threads have seen it, even if a host that lives on undoes what is rung.
    pub(super) fn end_for_all(&self) {
        while self.end() {
            thread::sleep(AGAIN);
        }
    }

    pub(super) fn extents(&self) -> MutexGuard<'_, Extents> {
        self.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claimed(&self) -> MutexGuard<'_, Vec<bool>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
