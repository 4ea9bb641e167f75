//! Process objects (PEPROCESS): made when a driver first asks for one, signaled when the process ends.
//!
//! Their layout is not public: behind the dispatcher header they are empty.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use abi::NTSTATUS;

use super::Process;
use crate::Kernel;
use crate::ke::initialize_header;
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::DispatcherHeader;

/// Tag of process objects.
const TAG: u32 = u32::from_le_bytes(*b"Proc");
/// Bytes of a process object.
const SIZE: usize = 0x400;
/// `ProcessObject` among the types of dispatcher objects.
const PROCESS_OBJECT: u8 = 3;

/// A process's own object, if any driver has asked for it.
#[derive(Debug, Default)]
pub(super) struct ProcessObject(Mutex<Option<Arc<Object>>>);

/// What a process object stands for.
#[derive(Debug)]
pub struct ProcessBody {
    /// Its identifier.
    pub id: u32,
    process: Weak<Process>,
}

impl ProcessBody {
    /// The process; `None` when it has ended and is forgotten.
    #[must_use]
    pub fn process(&self) -> Option<Arc<Process>> {
        self.process.upgrade()
    }
}

impl ObjectBody for ProcessBody {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Process",
            parses: false,
            generic_mapping: [0x2_0410, 0x2_0BEA, 0x12_1001, abi::PROCESS_ALL_ACCESS],
        }
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        // A driver that has overrun or freed it has its report with its own block.
        let _freed_by_driver = kernel.mm.pool.free(object.address);
    }

    fn waits_on(&self, object: &Object) -> Option<u64> {
        Some(object.address)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The process object of `process`; the reference is the process's own.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_PROCESS_IS_TERMINATING` when the process has ended.
pub fn process_object(kernel: &Kernel, process: &Arc<Process>) -> Result<Arc<Object>, NTSTATUS> {
    let mut slot = process.object.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(object) = &*slot {
        return Ok(object.clone());
    }
    if process.has_ended() {
        return Err(abi::STATUS_PROCESS_IS_TERMINATING);
    }
    let block = kernel.mm.pool.allocate_zeroed(SIZE, TAG, PoolOwner::default());
    let block = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    initialize_header(DispatcherHeader::at(block.address), PROCESS_OBJECT, SIZE, 0)
        .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let body = ProcessBody { id: process.id, process: Arc::downgrade(process) };
    let object = Object::new(block.address, body);
    kernel.ob.remember(&object);
    *slot = Some(object.clone());
    Ok(object)
}

impl ProcessObject {
    /// The process has ended: its object is signaled for good, and the process's own reference dropped.
    pub(super) fn end(&self, kernel: &Kernel) {
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(object) = object {
            // As an event that stays set; a driver that scribbled over the header keeps its waiters.
            let _scribbled = kernel.ke.set_event(kernel, DispatcherHeader::at(object.address), 0);
            object.dereference(kernel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::tests::on_mock;
    use crate::se;

    #[test]
    fn a_process_that_has_ended_gets_no_object_and_no_token_object() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let process = kernel.ps.create("application");
                let before = kernel.mm.pool.usage();
                kernel.ps.terminate(kernel, &process).expect("running");
                let ended = Err(abi::STATUS_PROCESS_IS_TERMINATING);
                assert_eq!(process_object(kernel, &process).map(|object| object.address), ended);
                assert_eq!(se::token_object(kernel, &process).map(|object| object.address), ended);
                let objects = |usage: &[(PoolOwner, u32, crate::mm::TagUsage)]| {
                    usage
                        .iter()
                        .filter(|(_, tag, _)| [*b"Proc", *b"Toke"].contains(&tag.to_le_bytes()))
                        .count()
                };
                assert_eq!(objects(&kernel.mm.pool.usage()), objects(&before));
            });
        });
    }
}
