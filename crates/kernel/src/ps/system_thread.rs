//! System threads: `PsCreateSystemThread`.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use super::{Process, SYSTEM_PROCESS_ID};
use crate::ke::Thread;
use crate::kernel::Nt;
use crate::mm::Stack;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::{Kernel, Unwind, raw};

/// A thread object, as handles refer to it.
#[derive(Debug)]
pub struct ThreadBody {
    /// The thread.
    pub thread: Arc<Thread>,
}

impl ObjectBody for ThreadBody {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Thread",
            parses: false,
            generic_mapping: [0x2_0048, 0x2_0037, 0x12_0800, abi::THREAD_ALL_ACCESS],
        }
    }

    fn waits_on(&self, object: &Object) -> Option<u64> {
        Some(object.address)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Starts a system thread of the system process that calls driver code at `routine` with `context`; opens a handle to
/// it in `process`.
///
/// The thread ends when the routine returns or calls `PsTerminateSystemThread`; its thread object is then signaled.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn spawn_system_thread(
    kernel: &Arc<Kernel>,
    process: &Process,
    routine: u64,
    context: u64,
) -> Result<(Arc<Thread>, u32), NTSTATUS> {
    let stack = Stack::new(&kernel.mm.space).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let id = kernel.ps.next_id();
    let thread = Arc::new(Thread::new(kernel, id, SYSTEM_PROCESS_ID, stack.bounds(), true)?);
    let object = Object::new(thread.object(), ThreadBody { thread: thread.clone() });
    kernel.ob.remember(&object);
    let handle = match process.handles.insert(object.clone(), abi::THREAD_ALL_ACCESS) {
        Ok(handle) => handle,
        Err(status) => {
            object.dereference(kernel);
            return Err(status);
        }
    };
    // The running thread's own reference, beside the handle's.
    let _the_handle_holds_one = object.try_reference();
    let body = {
        let (kernel, thread, object) = (kernel.clone(), thread.clone(), object.clone());
        move || {
            run(&kernel, &thread, &stack, routine, context);
            object.dereference(&kernel);
        }
    };
    if kernel.platform.spawn(&format!("nt-{id}"), Box::new(body)).is_err() {
        object.dereference(kernel);
        process.handles.close(kernel, process, handle)?;
        return Err(abi::STATUS_INSUFFICIENT_RESOURCES);
    }
    Ok((thread, handle))
}

fn run(kernel: &Arc<Kernel>, thread: &Arc<Thread>, stack: &Stack, routine: u64, context: u64) {
    let status = match raw::enter::<Nt>(kernel, thread, thread.object(), stack.bounds()) {
        Ok(_inside) if !kernel.is_halted() => match kernel.ke.call(kernel, routine, &[context]) {
            Ok(_) => abi::STATUS_SUCCESS,
            Err(Unwind::Exit(status)) => status,
            Err(_) => abi::STATUS_UNSUCCESSFUL,
        },
        _ => abi::STATUS_INSUFFICIENT_RESOURCES,
    };
    // Its object may live on in handles; whom it acted for should not.
    super::revert(thread);
    thread.terminate(kernel, status);
}
