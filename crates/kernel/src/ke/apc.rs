//! What ends alertable and user-mode waits early: alerts, user APCs, and the end of the thread.
//!
//! User APCs are kept here until their thread is back in its application, which runs them; those of the kernel are
//! `special_apc`'s.

use std::sync::Arc;

use abi::NTSTATUS;

use super::wait::ProcessorMode;
use super::wait_list::{Wakes, finish};
use super::waiter::{Waiter, WaiterState};
use super::{ApcTarget, Dispatcher, Thread};
use crate::Kernel;

/// A routine of the application, to be called in its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserApc {
    /// The routine's address in the application.
    pub routine: u64,
    /// Its three arguments.
    pub arguments: [u64; 3],
}

impl Dispatcher {
    /// Ends the thread's alertable wait in `mode` with `STATUS_ALERTED`, or the next one (`ddi: KeWaitForSingleObject`;
    /// NT's `KeAlertThread`). A kernel-mode alert also ends alertable user-mode waits. Returns whether an alert was
    /// still undelivered.
    pub fn alert_thread(&self, kernel: &Kernel, thread: &Thread, mode: ProcessorMode) -> bool {
        self.interrupt(kernel, thread.waiter(), |state| {
            std::mem::replace(&mut state.alerted[mode.index()], true)
        })
    }

    /// Queues a user APC; an alertable user-mode wait of the thread ends with `STATUS_USER_APC`.
    pub fn queue_user_apc(&self, kernel: &Kernel, target: &ApcTarget, apc: UserApc) {
        self.interrupt(kernel, target.waiter(), |state| state.apcs.push_back(apc));
    }

    /// Takes the oldest user APC, to be run in the thread.
    #[must_use]
    pub fn take_user_apc(&self, kernel: &Kernel, thread: &Thread) -> Option<UserApc> {
        let _lock = self.lock(kernel);
        thread.waiter().state().apcs.pop_front()
    }

    /// Ends the thread's user-mode waits, from now on, with `STATUS_USER_APC`: its application is gone, and drivers are
    /// to return from its requests.
    pub fn request_termination(&self, kernel: &Kernel, thread: &Thread) {
        self.interrupt(kernel, thread.waiter(), |state| state.terminating = true);
    }

    /// Undoes [`Self::request_termination`].
    pub(crate) fn withdraw_termination(&self, kernel: &Kernel, thread: &Thread) {
        self.interrupt(kernel, thread.waiter(), |state| state.terminating = false);
    }

    /// Changes what can end the thread's wait, and ends it if it now can.
    fn interrupt<R>(
        &self,
        kernel: &Kernel,
        waiter: &Arc<Waiter>,
        change: impl FnOnce(&mut WaiterState) -> R,
    ) -> R {
        let mut wakes = Wakes::default();
        let mut state = self.lock(kernel);
        let mut own = waiter.state();
        let result = change(&mut own);
        let ended: Option<NTSTATUS> = if own.blocks.is_empty() {
            None
        } else {
            let (mode, alertable) = (own.mode, own.alertable);
            own.take_interruption(mode, alertable)
        };
        drop(own);
        if let Some(status) = ended {
            finish(&mut state.waits, waiter, status, &mut wakes);
        }
        drop(state);
        wakes.wake(kernel);
        result
    }
}
