//! Views that the host shows the application: mapped by the thread that listens to it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{MutexGuard, PoisonError};

use abi::{NTSTATUS, STATUS_ACCESS_VIOLATION};
use platform::pages::{PAGE_SIZE, PagesError, Protection};
use platform::shared_memory::SharedMemory;

use super::threads::Link;
use crate::socket::tell;
use crate::view::View;
use crate::wire::Message;

impl Link {
    /// Does what the host orders and says so. False for what is no order, and when the host does not listen.
    pub(super) fn carry_out(&self, order: Message, descriptor: Option<OwnedFd>) -> bool {
        let (number, outcome) = match (order, descriptor) {
            (Message::MapView { number, place, length, offset, writable }, Some(descriptor)) => {
                (number, self.map_view(place, length, offset, writable, descriptor))
            }
            (Message::UnmapView { number, place, length }, None) => (number, self.unmap_view(place, length)),
            _ => return false,
        };
        tell(&self.socket, &Message::Answer { number, done: outcome.is_ok() }).is_ok()
    }

    fn map_view(
        &self,
        place: u64,
        length: u64,
        offset: u64,
        writable: bool,
        descriptor: OwnedFd,
    ) -> Result<(), PagesError> {
        let memory = SharedMemory::from_descriptor(descriptor)?;
        let end = offset.checked_add(length).ok_or(PagesError::OutOfRange)?;
        let bytes = |at: u64| usize::try_from(at).map_err(|_| PagesError::OutOfRange);
        let part = bytes(offset)?..bytes(end)?;
        if part.end > memory.len() || !part.start.is_multiple_of(PAGE_SIZE) {
            return Err(PagesError::OutOfRange);
        }
        let protection = if writable { Protection::ReadWrite } else { Protection::Read };
        self.window.show(place, &memory, part, protection)?;
        // As with the window itself.
        self.window.keep_view_from_children(place, length)?;
        self.views().insert(place, length);
        Ok(())
    }

    fn unmap_view(&self, place: u64, length: u64) -> Result<(), PagesError> {
        self.window.hide(place, length)?;
        // One unmapping ends all parts that were shown side by side.
        self.views().retain(|first, _| !(place..place.saturating_add(length)).contains(first));
        Ok(())
    }

    /// Access to what the host shows at `address`, in one part or in several that follow each other.
    pub(super) fn view(&self, address: u64, length: u64) -> Result<View, NTSTATUS> {
        let start = address.checked_sub(self.window.base()).ok_or(STATUS_ACCESS_VIOLATION)?;
        let end = start.checked_add(length).ok_or(STATUS_ACCESS_VIOLATION)?;
        let views = self.views();
        let mut at = start;
        while at < end {
            let (first, shown) = views.range(..=at).next_back().ok_or(STATUS_ACCESS_VIOLATION)?;
            if at >= first + shown {
                return Err(STATUS_ACCESS_VIOLATION);
            }
            at = first + shown;
        }
        drop(views);
        // So that an access to what has gone meanwhile is an error, and not the process's end.
        platform::fault::install().map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        View::in_window(address, length).ok_or(STATUS_ACCESS_VIOLATION)
    }

    fn views(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
