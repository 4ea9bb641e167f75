//! Views: memory that a session's application is shown at addresses of its window, for as long as the host wants it.
//!
//! The host maps it on its own side; the application's watcher does the same on its side when it is told, and answers. An
//! application that does not answer is given up on after a time: it may then fault where it was promised memory, which
//! harms nobody else.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use platform::pages::{PagesError, Protection};
use platform::shared_memory::SharedMemory;

use crate::socket;
use crate::window::Window;
use crate::wire::Message;

/// How long an application may take to map or unmap a view.
const LIMIT: Duration = Duration::from_secs(10);

/// The views of one session.
pub struct Views {
    window: Arc<Window>,
    socket: Arc<OwnedFd>,
    orders: Mutex<Orders>,
    answered: Condvar,
}

/// What the application has been told to do and has not answered yet, by number; `Some` once it has.
#[derive(Debug, Default)]
struct Orders {
    ended: bool,
    last: u64,
    waiting: HashMap<u64, Option<bool>>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("span", &self.span()).finish_non_exhaustive()
    }
}

impl Views {
    pub(super) fn new(window: &Arc<Window>, socket: &Arc<OwnedFd>) -> Self {
        Self {
            window: Arc::clone(window),
            socket: Arc::clone(socket),
            orders: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    /// The addresses at which views can be.
    pub fn span(&self) -> Range<u64> {
        self.window.views()
    }

    /// Shows the pages `part` (byte offsets) of `memory` at `address`, in this process and in the application. Pages that
    /// this process may write and the application may not are shown to it by a descriptor that only reads.
    ///
    /// Blocks until the application has answered.
    ///
    /// # Errors
    /// `OutOfRange` and `Misaligned`; `NoMemory` when Linux has none, or the application does not answer.
    pub fn map(
        &self,
        address: u64,
        memory: &SharedMemory,
        part: Range<usize>,
        writable: bool,
    ) -> Result<(), PagesError> {
        let length = part.end.checked_sub(part.start).ok_or(PagesError::OutOfRange)? as u64;
        let protection = if writable { Protection::ReadWrite } else { Protection::Read };
        let descriptor = memory.descriptor_for_peer(writable).map_err(|_| PagesError::NoMemory)?;
        let place = address.wrapping_sub(self.window.base());
        let offset = part.start as u64;
        self.window.show(place, memory, part, protection)?;
        let order = |number| Message::MapView { number, place, length, offset, writable };
        if self.order(order, Some(descriptor.as_fd())) {
            return Ok(());
        }
        // It may be there for an application that said nothing.
        self.unmap(address, length)?;
        Err(PagesError::NoMemory)
    }

    /// Takes away what is shown at `length` bytes from `address` on, in the application and here. An application that does
    /// not answer loses it as soon as it goes on.
    ///
    /// Who holds on to the memory by a mapping of his own keeps seeing it: the host makes sure that nobody else uses it.
    ///
    /// # Errors
    /// `OutOfRange` and `Misaligned`; `NoMemory`, and it is still there on this side.
    pub fn unmap(&self, address: u64, length: u64) -> Result<(), PagesError> {
        let place = address.wrapping_sub(self.window.base());
        let _gone = self.order(|number| Message::UnmapView { number, place, length }, None);
        self.window.hide(place, length)
    }

    /// Tells the application to do something, and waits until it says that it is done; false if it does not.
    fn order(&self, message: impl FnOnce(u64) -> Message, descriptor: Option<BorrowedFd<'_>>) -> bool {
        let number = {
            let mut orders = self.orders();
            if orders.ended {
                return false;
            }
            orders.last += 1;
            let number = orders.last;
            orders.waiting.insert(number, None);
            number
        };
        let deadline = Instant::now() + LIMIT;
        let message = message(number);
        if socket::tell_until(&*self.socket, &message, descriptor, deadline).is_err() {
            self.orders().waiting.remove(&number);
            return false;
        }
        let goes_on = |orders: &mut Orders| {
            !orders.ended && orders.waiting.get(&number).is_some_and(|answer| answer.is_none())
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.answered.wait_timeout_while(self.orders(), left, goes_on);
        let (mut orders, _) = waited.unwrap_or_else(PoisonError::into_inner);
        orders.waiting.remove(&number).flatten() == Some(true)
    }

    /// The application has answered order `number`; one that nobody waits for is nobody's.
    pub(super) fn answer(&self, number: u64, done: bool) {
        if let Some(answer) = self.orders().waiting.get_mut(&number) {
            *answer = Some(done);
            self.answered.notify_all();
        }
    }

    /// The application is gone: nobody waits for it any more.
    pub(super) fn end(&self) {
        self.orders().ended = true;
        self.answered.notify_all();
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
