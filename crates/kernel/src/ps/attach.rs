//! How a Linux thread runs inside a machine: it gets a thread record and a kernel stack the first time, and finds
//! them again after that.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use abi::NTSTATUS;

use super::Process;
use crate::ke::Thread;
use crate::kernel::Nt;
use crate::mm::Stack;
use crate::{Kernel, raw};

/// A Linux thread's place in one process of one machine.
struct Attached {
    /// Of the process, over all machines.
    serial: u64,
    process: std::sync::Weak<Process>,
    thread: Arc<Thread>,
    stack: Stack,
}

thread_local! {
    /// Most recently used last.
    static ATTACHED: RefCell<Vec<Rc<Attached>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` on the calling thread inside `kernel`, in the context of `process`.
///
/// # Errors
/// `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped; `STATUS_INSUFFICIENT_RESOURCES` when there is no
/// memory for the thread's kernel stack.
#[inline]
pub fn inside<R>(
    kernel: &Kernel,
    process: &Arc<Process>,
    body: impl FnOnce(&Thread) -> R,
) -> Result<R, NTSTATUS> {
    if kernel.is_halted() {
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
    }
    let attached = find_or_attach(kernel, process)?;
    let _inside =
        raw::enter::<Nt>(kernel, &attached.thread, attached.thread.object(), attached.stack.bounds())
            .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(body(&attached.thread))
}

#[inline]
fn find_or_attach(kernel: &Kernel, process: &Arc<Process>) -> Result<Rc<Attached>, NTSTATUS> {
    ATTACHED.with_borrow_mut(|all| {
        if let Some(last) = all.last()
            && last.serial == process.serial
        {
            return Ok(last.clone());
        }
        if let Some(index) = all.iter().position(|attached| attached.serial == process.serial) {
            let attached = all.remove(index);
            all.push(attached.clone());
            return Ok(attached);
        }
        all.retain(|attached| attached.process.strong_count() > 0);
        let attached = Rc::new(attach(kernel, process)?);
        all.push(attached.clone());
        Ok(attached)
    })
}

#[cold]
fn attach(kernel: &Kernel, process: &Arc<Process>) -> Result<Attached, NTSTATUS> {
    let stack = Stack::new(&kernel.mm.space).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let thread = Thread::new(kernel, kernel.ps.next_id(), process.id, stack.bounds(), process.is_system())?;
    let thread = Arc::new(thread);
    process.add_thread(kernel, &thread);
    Ok(Attached { serial: process.serial, process: Arc::downgrade(process), thread, stack })
}
