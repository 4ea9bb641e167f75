//! Events.

use abi::{EventNotificationObject, EventSynchronizationObject};

use super::Dispatcher;
use super::object::{initialize_header, release_waiters, replace_state, state_of};
use super::wait_list::Wakes;
use crate::Kernel;
use crate::raw::{DispatcherHeader, Outcome};

impl Dispatcher {
    /// Makes an event (`ddi: KeInitializeEvent`): `event_type` is `NotificationEvent`, which releases all waiters and
    /// stays signaled, or another value for `SynchronizationEvent`, which releases one. Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize_event(&self, event: DispatcherHeader, event_type: i32, state: bool) -> Outcome<()> {
        let object_type = if event_type == abi::NotificationEvent {
            EventNotificationObject
        } else {
            EventSynchronizationObject
        };
        initialize_header(event, object_type, size_of::<abi::KEVENT>(), i32::from(state))
    }

    /// Signals an event (`ddi: KeSetEvent`) and returns its old state, nonzero if it was signaled. IRQL: up to
    /// DISPATCH_LEVEL. The priority increment has no effect, nor does NT's `Wait`: the wait that follows it begins with
    /// its own call.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn set_event(&self, kernel: &Kernel, event: DispatcherHeader, _increment: i32) -> Outcome<i32> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let result = replace_state(event, 1)
            .and_then(|old| release_waiters(&mut state, event.address(), &mut wakes).map(|()| old));
        drop(state);
        wakes.wake(kernel);
        result
    }

    /// Makes an event not signaled and returns its old state (`ddi: KeResetEvent`). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn reset_event(&self, kernel: &Kernel, event: DispatcherHeader) -> Outcome<i32> {
        let _state = self.lock(kernel);
        replace_state(event, 0)
    }

    /// Makes an event not signaled (`ddi: KeClearEvent`). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn clear_event(&self, kernel: &Kernel, event: DispatcherHeader) -> Outcome<()> {
        self.reset_event(kernel, event).map(drop)
    }

    /// Releases the threads that wait now (one, for a synchronization event) and leaves the event not signaled
    /// (`ddi: KePulseEvent`). Returns its old state. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn pulse_event(&self, kernel: &Kernel, event: DispatcherHeader, _increment: i32) -> Outcome<i32> {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let result = replace_state(event, 1).and_then(|old| {
            release_waiters(&mut state, event.address(), &mut wakes)?;
            replace_state(event, 0)?;
            Ok(old)
        });
        drop(state);
        wakes.wake(kernel);
        result
    }

    /// Whether an event is signaled: its state, nonzero if it is (`ddi: KeReadStateEvent`). Any IRQL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn read_state_event(&self, event: DispatcherHeader) -> Outcome<i32> {
        state_of(event)
    }
}
