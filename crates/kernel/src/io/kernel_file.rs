//! Requests of drivers on files by handle: `ZwReadFile`, `ZwWriteFile`, `ZwDeviceIoControlFile`, `ZwFlushBuffersFile`.
//!
//! They are made as `IoBuildSynchronousFsdRequest` and its like make them, with kernel mode as their requestor, and the
//! call waits for their end, also on a handle that was not opened for synchronous I/O.

use abi::NTSTATUS;

use super::build::{ControlRequest, FsdRequest, Notify, build_device_io_control_request, build_fsd_request};
use super::file::File;
use super::{device, dispatch};
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::ob::{self, Object, Wanted};
use crate::raw::{self, DispatcherHeader, FileObject, IoStackLocation, Irp, Outcome};
use crate::{Kernel, Unwind};

const TAG: u32 = u32::from_le_bytes(*b"ZwIo");
/// A block for one request: its event, its IO_STATUS_BLOCK, its offset.
const IOSB_AT: u64 = 32;
const OFFSET_AT: u64 = 48;
const BLOCK_SIZE: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum FileOperation {
    /// `ZwReadFile` into, or `ZwWriteFile` from, a buffer.
    Transfer {
        /// IRP_MJ_READ or IRP_MJ_WRITE.
        major: u8,
        /// Address and length of the data.
        buffer: (u64, u32),
        /// Place in bytes; `None` is the file's current position.
        offset: Option<u64>,
    },
    /// `ZwDeviceIoControlFile`.
    Control {
        /// The control code.
        code: u32,
        /// Address and length of the input.
        input: (u64, u32),
        /// Address and length of the output.
        output: (u64, u32),
    },
    /// `ZwFlushBuffersFile`.
    Flush,
}

/// A request on a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest {
    /// The file's handle.
    pub handle: u64,
    /// Handle of an event that is reset first and set at the end; 0 for none.
    pub event: u64,
    /// Where the result goes.
    pub iosb: u64,
    /// What is asked for.
    pub operation: FileOperation,
}

/// Makes the request and waits for its end. PASSIVE_LEVEL.
///
/// The status is the driver's, `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_INVALID_PARAMETER` without an
/// offset on a file that keeps none, `STATUS_INSUFFICIENT_RESOURCES`, or `STATUS_NOT_IMPLEMENTED` for devices and methods
/// that want an MDL.
///
/// # Errors
/// An access violation in the caller's memory, or how the driver's frames were left.
///
/// Source: ddi, ZwReadFile, ZwWriteFile, ZwDeviceIoControlFile.
pub fn request_by_handle(kernel: &Kernel, thread: &Thread, request: &FileRequest) -> Outcome<NTSTATUS> {
    let wanted = |name| Wanted { object_type: kernel.ob.type_address(name), ..Wanted::default() };
    let file = match ob::reference_by_handle(kernel, thread, request.handle, wanted("File")) {
        Ok(entry) => entry.object,
        Err(status) => return Ok(status),
    };
    let event = if request.event == 0 {
        None
    } else {
        match ob::reference_by_handle(kernel, thread, request.event, wanted("Event")) {
            Ok(entry) => Some(entry.object),
            Err(status) => {
                file.dereference(kernel);
                return Ok(status);
            }
        }
    };
    let outcome = on_file(kernel, thread, &file, event.as_deref(), request);
    if let Some(event) = event {
        event.dereference(kernel);
    }
    file.dereference(kernel);
    outcome
}

fn on_file(
    kernel: &Kernel,
    thread: &Thread,
    object: &Object,
    event: Option<&Object>,
    request: &FileRequest,
) -> Outcome<NTSTATUS> {
    let Some(file) = object.body::<File>() else { return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH) };
    let event = event.and_then(|event| event.body.waits_on(event)).map(DispatcherHeader::at);
    if let Some(event) = event {
        kernel.ke.clear_event(kernel, event)?;
    }
    let block = kernel.mm.pool.allocate_zeroed(BLOCK_SIZE, TAG, PoolOwner::default());
    let Some(block) = block else { return Ok(abi::STATUS_INSUFFICIENT_RESOURCES) };
    let sent = {
        let _one_at_a_time = file.synchronous.then(|| file.lock.lock(&*kernel.platform));
        send(kernel, thread, file, block.address, request)
    };
    let result = sent.and_then(|(status, pended)| {
        if !status.is_error() || pended {
            let information: u64 = raw::read(block.address + IOSB_AT + 8)?;
            raw::write(request.iosb, u64::from(status.bits()))?;
            raw::write(request.iosb.wrapping_add(8), information)?;
            if let Some(event) = event {
                kernel.ke.set_event(kernel, event, 0)?;
            }
        }
        Ok(status)
    });
    // A request that was left otherwise than by its end may write there still.
    if !matches!(result, Err(Unwind::Halt)) {
        super::free_own(kernel, block.address);
    }
    result
}

/// Sends the request and waits; returns its status, and whether it was pended.
fn send(
    kernel: &Kernel,
    thread: &Thread,
    file: &File,
    block: u64,
    request: &FileRequest,
) -> Outcome<(NTSTATUS, bool)> {
    let event = DispatcherHeader::at(block);
    kernel.ke.initialize_event(event, abi::NotificationEvent, false)?;
    let top = device::top_of_stack(file.device)?;
    let notify = Notify { event: block, iosb: block + IOSB_AT };
    let flags = top.flags()?;
    let fsd = |major, (buffer, length): (u64, u32)| FsdRequest {
        major,
        device: top,
        buffer,
        length,
        starting_offset: block + OFFSET_AT,
        synchronous: true,
        notify,
    };
    let irp = match request.operation {
        FileOperation::Transfer { major, buffer, offset } => {
            let position = match offset {
                Some(offset) => offset,
                None if file.synchronous => file.object.current_byte_offset()?,
                None => return Ok((abi::STATUS_INVALID_PARAMETER, false)),
            };
            if flags & (abi::DO_BUFFERED_IO | abi::DO_DIRECT_IO) == abi::DO_DIRECT_IO && buffer.1 > 0 {
                return Ok((abi::STATUS_NOT_IMPLEMENTED, false));
            }
            raw::write(block + OFFSET_AT, position)?;
            build_fsd_request(kernel, thread, &fsd(major, buffer))?
        }
        FileOperation::Control { code, input, output } => {
            let direct = matches!(code & 3, abi::METHOD_IN_DIRECT | abi::METHOD_OUT_DIRECT);
            if direct && output.1 > 0 {
                return Ok((abi::STATUS_NOT_IMPLEMENTED, false));
            }
            let control = ControlRequest { code, device: top, input, output, internal: false, notify };
            build_device_io_control_request(kernel, thread, &control)?
        }
        FileOperation::Flush => build_fsd_request(kernel, thread, &fsd(abi::IRP_MJ_FLUSH_BUFFERS, (0, 0)))?,
    };
    if irp.is_null() {
        return Ok((abi::STATUS_INSUFFICIENT_RESOURCES, false));
    }
    name_file(irp, file.object)?;
    let returned = dispatch::call_driver(kernel, top, irp)?;
    if returned != abi::STATUS_PENDING {
        return Ok((returned, false));
    }
    let mode = ProcessorMode::Kernel;
    kernel.ke.wait_for_single_object(kernel, thread, block, mode, false, Timeout::Never)?;
    Ok((NTSTATUS::from_bits(raw::read(block + IOSB_AT)?), true))
}

/// The request is one on this file.
fn name_file(irp: Irp, file: FileObject) -> Outcome<()> {
    let next = irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64);
    IoStackLocation::at(next).set_file_object(file.address())?;
    irp.set_original_file_object(file.address())
}
