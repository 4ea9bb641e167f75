//! Requests of drivers on files by handle: `ZwReadFile`, `ZwWriteFile`, `ZwDeviceIoControlFile`, `ZwFsControlFile`, `ZwFlushBuffersFile`.
//!
//! They are `asynchronous`'s requests with kernel mode as their requestor: addresses and rights are the driver's own affair,
//! kernel handles are good, and what an MDL describes is locked.

use std::sync::Arc;

use abi::NTSTATUS;

use super::asynchronous::{Caller, Control, Notice, Target, Transfer, start, start_control, start_transfer};
use super::file::File;
use super::operation::Operation;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::ob::{self, Object};
use crate::raw::{self, Outcome};
use crate::{Kernel, Unwind, ex};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum FileRequest {
    /// `ZwReadFile`.
    Read(Transfer),
    /// `ZwWriteFile`.
    Write(Transfer),
    /// `ZwDeviceIoControlFile`.
    Control(Control),
    /// `ZwFsControlFile`.
    FsControl(Control),
    /// `ZwFlushBuffersFile`, which waits for its end on every file, on this handle.
    Flush(u64),
}

/// Makes a driver's request, in the context of the process that `thread` runs in. On a file for synchronous I/O it waits
/// for its end; on others a request that is pended answers STATUS_PENDING, and its end is told by the status block and the
/// event, or the file. PASSIVE_LEVEL, special kernel APCs enabled.
///
/// The status is the driver's, `STATUS_PENDING`, `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`,
/// `STATUS_INVALID_PARAMETER` without an offset on a file that keeps none, or `STATUS_INSUFFICIENT_RESOURCES`.
///
/// The notice's APC routine is called with its context, the status block's address and 0, in this thread at PASSIVE_LEVEL:
/// a normal kernel APC, as kernel mode is the requestor. (Confirm: ZwReadFile's page reserves the parameter for others.)
///
/// # Errors
/// An access violation in the caller's memory, of which nothing has been sent then, or how the driver's frames were left.
/// (Confirm: that NT raises rather than answers, for a buffer that is not there.)
///
/// Source: ddi, ZwReadFile, ZwWriteFile, ZwDeviceIoControlFile, ZwFlushBuffersFile.
pub fn request_by_handle(
    kernel: &Kernel,
    thread: &Thread,
    request: &FileRequest,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    let process = match ob::current_process(kernel, thread) {
        Ok(process) => process,
        Err(status) => return Ok(status),
    };
    let caller = Caller { kernel, process: &process, thread, user_mode: false };
    let status = match request {
        FileRequest::Read(transfer) => start_transfer(caller, abi::IRP_MJ_READ, transfer, notice),
        FileRequest::Write(transfer) => start_transfer(caller, abi::IRP_MJ_WRITE, transfer, notice),
        FileRequest::Control(control) => start_control(caller, abi::IRP_MJ_DEVICE_CONTROL, control, notice),
        FileRequest::FsControl(control) => {
            start_control(caller, abi::IRP_MJ_FILE_SYSTEM_CONTROL, control, notice)
        }
        FileRequest::Flush(handle) => {
            wait_for(caller, Target::Handle(*handle), notice, &[], |_, _| Ok(Operation::flush()))
        }
    }?;
    kernel.ke.deliver_kernel_apcs(kernel, thread)?;
    Ok(status)
}

/// Makes the request that `plan` says, and waits for its end on every file.
///
/// # Errors
/// As for [`request_by_handle`].
pub(super) fn wait_for(
    caller: Caller<'_>,
    target: Target,
    notice: Notice,
    buffers: &[(u64, u32)],
    plan: impl FnOnce(&File, u32) -> Result<Operation, NTSTATUS>,
) -> Outcome<NTSTATUS> {
    let kernel = caller.kernel;
    let event = match ex::event_object(kernel, abi::NotificationEvent, false) {
        Ok(event) => event,
        Err(status) => {
            target.release(kernel);
            return Ok(status);
        }
    };
    // Its maker's reference keeps it while this waits.
    assert!(event.try_reference(), "it is new");
    let ended = start(caller, target, (notice, Some(event.clone())), buffers, plan).and_then(|status| {
        if status == abi::STATUS_PENDING { wait_for_end(caller, &event, notice) } else { Ok(status) }
    });
    if !matches!(ended, Err(Unwind::Halt)) {
        event.dereference(kernel);
    }
    ended
}

fn wait_for_end(caller: Caller<'_>, event: &Arc<Object>, notice: Notice) -> Outcome<NTSTATUS> {
    let (kernel, mode) = (caller.kernel, ProcessorMode::Kernel);
    kernel.ke.wait_for_single_object(kernel, caller.thread, event.address, mode, false, Timeout::Never)?;
    match raw::read(notice.io_status_block) {
        // The application has given it back meanwhile.
        Err(Unwind::Raise(_)) if caller.user_mode => Ok(abi::STATUS_ACCESS_VIOLATION),
        told => told.map(NTSTATUS::from_bits),
    }
}
