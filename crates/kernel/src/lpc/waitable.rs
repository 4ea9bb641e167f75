//! Waiting for a port as a dispatcher object: a waitable port is signaled while a message is in its queue.
//!
//! The event stands at the front of the port's object, where `KeWaitForSingleObject` and waits by handle look for it. It is changed when
//! the channel's lock has been released, and whoever has changed it looks once more whether that is still right: of several who change
//! it at the same time the last one finds what the others have left.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard, OnceLock, Weak};

use super::channel::{Channel, State};
use crate::Kernel;
use crate::ob::Object;
use crate::raw::DispatcherHeader;

/// The connection port of a channel, if it can be waited for.
#[derive(Debug, Default)]
pub(super) struct Waitable(OnceLock<Weak<Object>>);

impl Waitable {
    /// The port's object can be waited for from now on.
    pub(super) fn set(&self, port: &Arc<Object>) {
        let _only_once = self.0.set(Arc::downgrade(port));
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    /// The port, with a reference, while there is one.
    fn port(&self) -> Option<Arc<Object>> {
        self.0.get()?.upgrade().filter(|port| port.try_reference())
    }
}

/// A channel's state under its lock. When that is released the waitable port is told what has become of its queue.
pub(super) struct Locked<'a> {
    channel: &'a Channel,
    kernel: &'a Kernel,
    /// None once it is released.
    state: Option<MutexGuard<'a, State>>,
}

impl<'a> Locked<'a> {
    pub(super) fn new(channel: &'a Channel, kernel: &'a Kernel, state: MutexGuard<'a, State>) -> Self {
        Self { channel, kernel, state: Some(state) }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_deref().expect("it is locked while this is there")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_deref_mut().expect("it is locked while this is there")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take().filter(|_| self.channel.waitable.is_set()) else { return };
        let signaled = !state.queue.messages.is_empty();
        if state.signaled == signaled {
            return;
        }
        state.signaled = signaled;
        drop(state);
        // One whose object is on its way out has nobody who waits.
        if let Some(port) = self.channel.waitable.port() {
            tell(self.channel, self.kernel, &port, signaled);
            port.dereference(self.kernel);
        }
    }
}

fn tell(channel: &Channel, kernel: &Kernel, port: &Object, mut signaled: bool) {
    let event = DispatcherHeader::at(port.address);
    loop {
        let told = if signaled {
            kernel.ke.set_event(kernel, event, 0).map(drop)
        } else {
            kernel.ke.clear_event(kernel, event)
        };
        let now = channel.lock_untold(kernel).signaled;
        // A driver may have freed what is not its own.
        if told.is_err() || now == signaled {
            return;
        }
        signaled = now;
    }
}
