//! Requests: building the IRP for a call on a file, sending it, waiting for its end, and copying the result out.

use std::cell::RefCell;

use abi::NTSTATUS;

use super::file::File;
use super::packet::{self, Packet, SystemBuffer};
use super::{device, dispatch};
use crate::ob::HandleEntry;
use crate::ps::Process;
use crate::raw::{DeviceObject, InputBuffer, IoStackLocation, Irp, Outcome, OutputBuffer};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// The two words that a request ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoResult {
    /// Its final status.
    pub status: NTSTATUS,
    /// Request-dependent; for transfers the number of bytes. Zero when the request failed without having been pended:
    /// NT does not write the caller's IO_STATUS_BLOCK then.
    pub information: u64,
}

impl IoResult {
    fn failed(status: NTSTATUS) -> Self {
        Self { status, information: 0 }
    }
}

/// A `NtDeviceIoControlFile` call.
#[derive(Debug)]
pub struct DeviceControl<'a> {
    /// The file's handle.
    pub handle: u32,
    /// The control code.
    pub code: u32,
    /// The first buffer.
    pub input: InputBuffer<'a>,
    /// The second buffer.
    pub output: OutputBuffer<'a>,
}

thread_local! {
    /// What the calling thread's last request looked up: process, generation of its handle table, handle.
    static LAST_HANDLE: RefCell<Option<LastHandle>> = const { RefCell::new(None) };
}

struct LastHandle {
    process: u64,
    generation: u64,
    handle: u32,
    entry: HandleEntry,
}

/// Runs `body` with the file that `handle` stands for, referenced meanwhile.
fn with_file(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    body: impl FnOnce(&File, u32) -> IoResult,
) -> IoResult {
    let generation = process.handles.generation();
    let kept = LAST_HANDLE.take().filter(|last| {
        last.process == process.serial && last.generation == generation && last.handle == handle
    });
    let last = match kept {
        Some(last) => last,
        None => match process.handles.get(handle) {
            Some(entry) => LastHandle { process: process.serial, generation, handle, entry },
            None => return IoResult::failed(abi::STATUS_INVALID_HANDLE),
        },
    };
    let object = &last.entry.object;
    if !object.try_reference() {
        return IoResult::failed(abi::STATUS_INVALID_HANDLE);
    }
    let result = match object.body::<File>() {
        Some(file) => body(file, last.entry.granted),
        None => IoResult::failed(abi::STATUS_OBJECT_TYPE_MISMATCH),
    };
    object.dereference(kernel);
    LAST_HANDLE.set(Some(last));
    result
}

/// `NtReadFile`. Must run inside the machine, in the context of `process`. `offset` in bytes; `None` is the current
/// position. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED` without FILE_READ_DATA, `STATUS_INVALID_PARAMETER` for an
/// asynchronous file without an offset, `STATUS_INSUFFICIENT_RESOURCES`, or the driver's status.
pub fn read(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    mut buffer: OutputBuffer<'_>,
    offset: Option<u64>,
) -> IoResult {
    with_file(kernel, process, handle, |file, granted| {
        if granted & abi::FILE_READ_DATA == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        transfer(kernel, file, abi::IRP_MJ_READ, offset, buffer.len(), &mut Data::Out(&mut buffer))
    })
}

/// `NtWriteFile`; as [`read`], with FILE_WRITE_DATA or FILE_APPEND_DATA.
pub fn write(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    data: InputBuffer<'_>,
    offset: Option<u64>,
) -> IoResult {
    with_file(kernel, process, handle, |file, granted| {
        if granted & (abi::FILE_WRITE_DATA | abi::FILE_APPEND_DATA) == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        transfer(kernel, file, abi::IRP_MJ_WRITE, offset, data.len(), &mut Data::In(data))
    })
}

enum Data<'a, 'b> {
    In(InputBuffer<'a>),
    Out(&'b mut OutputBuffer<'a>),
}

fn transfer(
    kernel: &Kernel,
    file: &File,
    major: u8,
    offset: Option<u64>,
    length: u32,
    data: &mut Data<'_, '_>,
) -> IoResult {
    let _one_at_a_time = file.synchronous.then(|| file.lock.lock(&*kernel.platform));
    let position = match offset {
        Some(offset) => offset,
        None if file.synchronous => file.object.current_byte_offset().unwrap_or(0),
        None => return IoResult::failed(abi::STATUS_INVALID_PARAMETER),
    };
    let flags = device::top_of_stack(file.device).and_then(DeviceObject::flags);
    let Ok(flags) = flags else { return IoResult::failed(abi::STATUS_NO_SUCH_DEVICE) };
    if flags & abi::DO_BUFFERED_IO == 0 {
        kernel.trace.emit(|| Event::NotImplemented { what: "read and write without DO_BUFFERED_IO" });
        return IoResult::failed(abi::STATUS_NOT_IMPLEMENTED);
    }
    let buffer = match system_buffer(kernel, length) {
        Ok(buffer) => buffer,
        Err(status) => return IoResult::failed(status),
    };
    let address = buffer.as_ref().map_or(0, |buffer| buffer.address);
    if let Data::In(data) = data
        && data.copy_to(address).is_err()
    {
        return IoResult::failed(abi::STATUS_INVALID_USER_BUFFER);
    }
    let direction = if major == abi::IRP_MJ_READ {
        abi::IRP_READ_OPERATION | abi::IRP_INPUT_OPERATION
    } else {
        abi::IRP_WRITE_OPERATION
    };
    let result = send(kernel, file, true, |irp, location| {
        location.set_major_function(major)?;
        location.set_parameter(0, u64::from(length))?;
        location.set_parameter(2, position)?;
        irp.set_flags(direction | buffered_flags(address))?;
        irp.set_system_buffer(address)
    });
    if let Data::Out(target) = data
        && copy_back(target, address, result).is_err()
    {
        return IoResult::failed(abi::STATUS_INVALID_USER_BUFFER);
    }
    end_buffer(kernel, buffer);
    result
}

/// `NtDeviceIoControlFile`. Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED` when the code asks for access that the handle lacks,
/// `STATUS_NOT_IMPLEMENTED` for methods other than METHOD_BUFFERED, `STATUS_INSUFFICIENT_RESOURCES`, or the driver's
/// status.
///
/// Source: kernel, Defining I/O Control Codes; Buffer Descriptions for I/O Control Codes.
#[inline]
pub fn device_control(kernel: &Kernel, process: &Process, mut control: DeviceControl<'_>) -> IoResult {
    with_file(kernel, process, control.handle, |file, granted| {
        const ACCESS_SHIFT: u32 = 14;
        let access = control.code >> ACCESS_SHIFT & 3;
        // FILE_READ_ACCESS and FILE_WRITE_ACCESS are 1 and 2, as FILE_READ_DATA and FILE_WRITE_DATA are.
        if access & !granted != 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        if control.code & 3 != abi::METHOD_BUFFERED {
            kernel.trace.emit(|| Event::NotImplemented { what: "control codes other than METHOD_BUFFERED" });
            return IoResult::failed(abi::STATUS_NOT_IMPLEMENTED);
        }
        let _one_at_a_time = file.synchronous.then(|| file.lock.lock(&*kernel.platform));
        buffered_control(kernel, file, &mut control)
    })
}

#[inline]
fn buffered_control(kernel: &Kernel, file: &File, control: &mut DeviceControl<'_>) -> IoResult {
    let (input, output) = (control.input.len(), control.output.len());
    let buffer = match system_buffer(kernel, input.max(output)) {
        Ok(buffer) => buffer,
        Err(status) => return IoResult::failed(status),
    };
    let address = buffer.as_ref().map_or(0, |buffer| buffer.address);
    if control.input.copy_to(address).is_err() {
        return IoResult::failed(abi::STATUS_INVALID_USER_BUFFER);
    }
    let code = control.code;
    let result = send(kernel, file, true, |irp, location| {
        location.set_major_function(abi::IRP_MJ_DEVICE_CONTROL)?;
        location.set_parameter(0, u64::from(output))?;
        location.set_parameter(1, u64::from(input))?;
        location.set_parameter(2, u64::from(code))?;
        let input_operation = if output > 0 { abi::IRP_INPUT_OPERATION } else { 0 };
        irp.set_flags(input_operation | buffered_flags(address))?;
        irp.set_system_buffer(address)
    });
    if copy_back(&mut control.output, address, result).is_err() {
        return IoResult::failed(abi::STATUS_INVALID_USER_BUFFER);
    }
    end_buffer(kernel, buffer);
    result
}

fn buffered_flags(buffer: u64) -> u32 {
    if buffer == 0 { abi::IRP_BUFFERED_IO } else { abi::IRP_BUFFERED_IO | abi::IRP_DEALLOCATE_BUFFER }
}

/// A request of no bytes has no system buffer.
#[inline]
fn system_buffer(kernel: &Kernel, length: u32) -> Result<Option<SystemBuffer>, NTSTATUS> {
    if length == 0 { Ok(None) } else { packet::take_buffer(kernel, length).map(Some) }
}

#[inline]
fn end_buffer(kernel: &Kernel, buffer: Option<SystemBuffer>) {
    if let Some(buffer) = buffer {
        packet::give_back_buffer(kernel, buffer);
    }
}

/// Success and warnings copy `Information` bytes, errors none; never more than the caller's buffer holds.
#[inline]
fn copy_back(target: &mut OutputBuffer<'_>, source: u64, result: IoResult) -> Outcome<()> {
    if result.status.is_error() || result.information == 0 {
        return Ok(());
    }
    target.fill_from(source, u32::try_from(result.information).unwrap_or(u32::MAX))
}

/// Sends IRP_MJ_CLEANUP: the last handle was closed.
pub(super) fn cleanup(kernel: &Kernel, file: &File) {
    // Drivers cannot refuse: the status is ignored, as on NT.
    let _ignored = send(kernel, file, false, |irp, location| {
        irp.set_flags(abi::IRP_CLOSE_OPERATION | abi::IRP_SYNCHRONOUS_API)?;
        location.set_major_function(abi::IRP_MJ_CLEANUP)
    });
    const FO_CLEANUP_COMPLETE: u32 = 0x4000;
    let _freed_by_driver =
        file.object.flags().and_then(|flags| file.object.set_flags(flags | FO_CLEANUP_COMPLETE));
}

/// Sends IRP_MJ_CLOSE: the last reference is gone.
pub(super) fn close(kernel: &Kernel, file: &File) {
    let _ignored = send(kernel, file, false, |irp, location| {
        irp.set_flags(abi::IRP_CLOSE_OPERATION | abi::IRP_SYNCHRONOUS_API)?;
        location.set_major_function(abi::IRP_MJ_CLOSE)
    });
}

/// Sends a request to the top of the file's device stack and waits for its end. `fill` sets what is particular to it.
#[inline]
pub(super) fn send(
    kernel: &Kernel,
    file: &File,
    user_mode: bool,
    fill: impl FnOnce(Irp, IoStackLocation) -> Outcome<()>,
) -> IoResult {
    let Ok(top) = device::top_of_stack(file.device) else {
        return IoResult::failed(abi::STATUS_NO_SUCH_DEVICE);
    };
    let Ok(locations) = top.stack_size() else { return IoResult::failed(abi::STATUS_NO_SUCH_DEVICE) };
    let packet = match packet::take(kernel, locations) {
        Ok(packet) => packet,
        Err(status) => return IoResult::failed(status),
    };
    let sent = prepare(kernel, &packet, locations, file, user_mode, fill).and_then(|()| {
        kernel.trace.emit(|| created(kernel, &packet, top));
        let returned = dispatch::call_driver(kernel, top, packet.irp)?;
        finish(kernel, &packet, top, returned)
    });
    let (result, reuse) = match sent {
        Ok(ended) => ended,
        Err(unwind) => (abandoned(kernel, packet.irp, &unwind), false),
    };
    packet::give_back(kernel, packet, reuse);
    result
}

fn prepare(
    kernel: &Kernel,
    packet: &Packet,
    locations: u8,
    file: &File,
    user_mode: bool,
    fill: impl FnOnce(Irp, IoStackLocation) -> Outcome<()>,
) -> Outcome<()> {
    packet.begin(locations)?;
    let irp = packet.irp;
    let location =
        IoStackLocation::at(irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64));
    irp.set_requestor_mode(u8::from(user_mode))?;
    irp.set_thread(kernel.current_thread_object())?;
    irp.set_original_file_object(file.object.address())?;
    location.set_file_object(file.object.address())?;
    fill(irp, location)
}

/// After the dispatch routine has returned: the result, and whether the packet can be used again.
#[inline]
fn finish(
    kernel: &Kernel,
    packet: &Packet,
    top: DeviceObject,
    returned: NTSTATUS,
) -> Outcome<(IoResult, bool)> {
    let irql = kernel.ke.current_irql();
    if irql > abi::PASSIVE_LEVEL {
        kernel.bug_check(abi::IRQL_GT_ZERO_AT_SYSTEM_SERVICE, [0, u64::from(irql), 0, 0]);
        return Err(Unwind::Halt);
    }
    if returned == abi::STATUS_PENDING {
        packet.wait(kernel)?;
        let status = NTSTATUS::from_bits(packet.irp.status()?);
        return Ok((IoResult { status, information: packet.irp.information()? }, true));
    }
    if !packet.is_completed() {
        kernel.trace.emit(|| forgotten(packet, top));
        return Ok((IoResult::failed(returned), false));
    }
    let information = if returned.is_error() { 0 } else { packet.irp.information()? };
    Ok((IoResult { status: returned, information }, true))
}

/// The request's driver frames were left otherwise than by returning.
#[cold]
fn abandoned(kernel: &Kernel, irp: Irp, unwind: &Unwind) -> IoResult {
    if let Unwind::Raise(raise) = unwind {
        // The I/O manager itself met bad memory in an object of the driver's.
        let status = u64::from(raise.record.ExceptionCode.bits());
        kernel.bug_check(abi::KMODE_EXCEPTION_NOT_HANDLED, [status, irp.address(), 0, 0]);
    }
    IoResult::failed(abi::STATUS_DEVICE_NOT_CONNECTED)
}

#[cold]
fn created(kernel: &Kernel, packet: &Packet, top: DeviceObject) -> Event {
    let major = packet
        .irp
        .current_stack_location()
        .and_then(|at| IoStackLocation::at(at - IoStackLocation::SIZE as u64).major_function())
        .unwrap_or(u8::MAX);
    let device = kernel.ob.by_address(top.address()).and_then(|object| object.path()).unwrap_or_default();
    Event::IrpCreated { irp: packet.irp.address(), major, device }
}

#[cold]
fn forgotten(packet: &Packet, top: DeviceObject) -> Event {
    let driver = top.driver_object().map(crate::raw::DriverObject::at);
    let name = driver.and_then(|driver| driver.driver_name().to_wide()).unwrap_or_default();
    Event::IrpForgotten { irp: packet.irp.address(), driver: String::from_utf16_lossy(&name) }
}
