//! The system calls of an application on mutants, semaphores and timers.

use abi::NTSTATUS;
use gate::{Handle, SynchronizationCall, SystemReply};
use kernel::ex::{self, Synchronization, SynchronizationKind};
use kernel::ke::Thread;
use kernel::ob::Name;
use kernel::ps;

use crate::process::Process;

fn opened(result: Result<(u32, bool), NTSTATUS>) -> SystemReply {
    match result {
        Ok((handle, existed)) => SystemReply {
            status: if existed { abi::STATUS_OBJECT_NAME_EXISTS } else { abi::STATUS_SUCCESS },
            handle: Handle(handle),
            information: u64::from(existed),
        },
        Err(status) => SystemReply::status(status),
    }
}

fn told(result: Result<i32, NTSTATUS>) -> SystemReply {
    match result {
        Ok(before) => SystemReply {
            information: before.cast_unsigned().into(),
            ..SystemReply::status(abi::STATUS_SUCCESS)
        },
        Err(status) => SystemReply::status(status),
    }
}

impl Process {
    pub(crate) fn synchronization_call(
        &self,
        thread: &Thread,
        call: &SynchronizationCall<'_>,
    ) -> SystemReply {
        let (kernel, process) = (&*self.kernel, &self.process);
        match *call {
            SynchronizationCall::Create { name, desired_access, object } => {
                let name = Name { path: name, desired_access, open_if: true };
                opened(ex::create_synchronization(kernel, process, thread, name, wanted(object)))
            }
            SynchronizationCall::Open { name, desired_access, kind } => {
                let name = Name { path: name, desired_access, open_if: true };
                let kind = match kind {
                    gate::SynchronizationKind::Mutant => SynchronizationKind::Mutant,
                    gate::SynchronizationKind::Semaphore => SynchronizationKind::Semaphore,
                    gate::SynchronizationKind::Timer => SynchronizationKind::Timer,
                };
                opened(ex::open_synchronization(kernel, process, name, kind).map(|handle| (handle, false)))
            }
            SynchronizationCall::ReleaseMutant { handle } => {
                told(ex::release_mutant(kernel, process, thread, handle.0))
            }
            SynchronizationCall::ReleaseSemaphore { handle, count } => {
                told(ex::release_semaphore(kernel, process, handle.0, count))
            }
            SynchronizationCall::SetTimer { handle, due_time, period } => {
                told(ex::set_timer(kernel, process, handle.0, due_time, period).map(i32::from))
            }
        }
    }

    /// The calling thread owns no mutant of an application's any more: another's turn may come on it.
    pub(crate) fn abandon_mutants(&self) {
        let abandon = |thread: &Thread| self.kernel.ke.abandon_mutants(&self.kernel, thread);
        let _stopped = ps::inside(&self.kernel, &self.process, abandon);
    }
}

fn wanted(object: gate::Synchronization) -> Synchronization {
    match object {
        gate::Synchronization::Mutant { initial_owner } => Synchronization::Mutant { initial_owner },
        gate::Synchronization::Semaphore { initial, maximum } => {
            Synchronization::Semaphore { initial, maximum }
        }
        gate::Synchronization::Timer { timer_type } => Synchronization::Timer { timer_type },
    }
}
