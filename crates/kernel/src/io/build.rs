//! Requests that drivers build: `IoBuildDeviceIoControlRequest`, `IoBuildSynchronousFsdRequest`,
//! `IoBuildAsynchronousFsdRequest`. What happens to them when they are completed is `irp`'s.

use super::irp::{self, Kind};
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::raw::{self, DeviceObject, IoStackLocation, Irp, Outcome};

/// Tag of system buffers.
const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IoSB");

/// Where a request that the I/O manager frees puts its result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notify {
    /// Event that is set; 0 for none.
    pub event: u64,
    /// IO_STATUS_BLOCK that is written; 0 for none.
    pub iosb: u64,
}

/// What `IoBuildSynchronousFsdRequest` and `IoBuildAsynchronousFsdRequest` are asked for.
#[derive(Clone, Copy, Debug)]
pub struct FsdRequest {
    /// IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_SHUTDOWN or IRP_MJ_PNP.
    pub major: u8,
    /// The device that it will be sent to.
    pub device: DeviceObject,
    /// The data's place.
    pub buffer: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Address of the offset on the device; 0 for none.
    pub starting_offset: u64,
    /// Whether the I/O manager completes and frees it, on the building thread's behalf.
    pub synchronous: bool,
    /// Where its result goes.
    pub notify: Notify,
}

/// What `IoBuildDeviceIoControlRequest` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ControlRequest {
    /// The control code.
    pub code: u32,
    /// The device that it will be sent to.
    pub device: DeviceObject,
    /// Address and length of the input.
    pub input: (u64, u32),
    /// Address and length of the output.
    pub output: (u64, u32),
    /// IRP_MJ_INTERNAL_DEVICE_CONTROL instead of IRP_MJ_DEVICE_CONTROL.
    pub internal: bool,
    /// Where its result goes.
    pub notify: Notify,
}

/// Builds a request for a read, a write, or one without data. Null without memory, and when the buffer for a device with
/// DO_DIRECT_IO cannot be locked. Synchronous: PASSIVE_LEVEL; asynchronous: IRQL <= APC_LEVEL.
///
/// A synchronous one is the I/O manager's to free, an asynchronous one the driver's, in its completion routine, after
/// its system buffer or its MDL, which it unlocks.
///
/// # Errors
/// An access violation in the device object or the buffer.
///
/// Source: ddi, IoBuildSynchronousFsdRequest and IoBuildAsynchronousFsdRequest.
pub fn build_fsd_request(kernel: &Kernel, thread: &Thread, request: &FsdRequest) -> Outcome<Irp> {
    let transfers = matches!(request.major, abi::IRP_MJ_READ | abi::IRP_MJ_WRITE);
    let flags = request.device.flags()?;
    let data = transfers && request.length > 0;
    let direct = data && flags & abi::DO_BUFFERED_IO == 0 && flags & abi::DO_DIRECT_IO != 0;
    let kind = if request.synchronous { Kind::Threaded } else { Kind::Allocated };
    let is_read = request.major == abi::IRP_MJ_READ;
    let output_length = if is_read { request.length } else { 0 };
    let Some(built) = begin(kernel, thread, request.device, kind, output_length, request.notify)? else {
        return Ok(Irp::at(0));
    };
    let fill = |irp: Irp, location: IoStackLocation| -> Outcome<bool> {
        location.set_major_function(request.major)?;
        if !transfers {
            return Ok(true);
        }
        let offset = if request.starting_offset == 0 { 0 } else { raw::read(request.starting_offset)? };
        location.set_parameter(0, u64::from(request.length))?;
        location.set_parameter(2, offset)?;
        let operation = if is_read { abi::IRP_READ_OPERATION } else { abi::IRP_WRITE_OPERATION };
        let direction = if is_read { abi::IRP_INPUT_OPERATION } else { 0 };
        irp.set_user_buffer(request.buffer)?;
        if flags & abi::DO_BUFFERED_IO == 0 {
            irp.set_flags(operation)?;
            return if direct {
                attach_mdl(kernel, thread, irp, (request.buffer, request.length), is_read)
            } else {
                Ok(true)
            };
        }
        let input = if is_read { (0, 0) } else { (request.buffer, request.length) };
        irp.set_flags(operation | direction | abi::IRP_BUFFERED_IO)?;
        attach_system_buffer(kernel, irp, request.length, input)
    };
    finish(kernel, built, request.device, fill)
}

/// Builds a device control request. Null without memory, and when the output buffer of a direct method cannot be locked.
/// PASSIVE_LEVEL.
///
/// # Errors
/// As for [`build_fsd_request`].
///
/// Source: ddi, IoBuildDeviceIoControlRequest; kernel, Buffer Descriptions for I/O Control Codes.
pub fn build_device_io_control_request(
    kernel: &Kernel,
    thread: &Thread,
    request: &ControlRequest,
) -> Outcome<Irp> {
    let method = request.code & 3;
    let (output, output_length) = request.output;
    let (input, input_length) = request.input;
    let is_direct = matches!(method, abi::METHOD_IN_DIRECT | abi::METHOD_OUT_DIRECT);
    let copied_out = if method == abi::METHOD_BUFFERED { output_length } else { 0 };
    let started = begin(kernel, thread, request.device, Kind::Threaded, copied_out, request.notify)?;
    let Some(built) = started else { return Ok(Irp::at(0)) };
    let fill = |irp: Irp, location: IoStackLocation| -> Outcome<bool> {
        let major =
            if request.internal { abi::IRP_MJ_INTERNAL_DEVICE_CONTROL } else { abi::IRP_MJ_DEVICE_CONTROL };
        location.set_major_function(major)?;
        location.set_parameter(0, u64::from(output_length))?;
        location.set_parameter(1, u64::from(input_length))?;
        location.set_parameter(2, u64::from(request.code))?;
        irp.set_user_buffer(output)?;
        if method == abi::METHOD_NEITHER {
            return location.set_parameter(3, input).map(|()| true);
        }
        let length = if is_direct { input_length } else { input_length.max(output_length) };
        let has_output = !is_direct && output != 0 && output_length > 0;
        let direction = if has_output { abi::IRP_INPUT_OPERATION } else { 0 };
        irp.set_flags(abi::IRP_BUFFERED_IO | direction)?;
        let attached = attach_system_buffer(kernel, irp, length, (input, input_length))?;
        if attached && is_direct && output != 0 && output_length > 0 {
            let for_writing = method == abi::METHOD_OUT_DIRECT;
            return attach_mdl(kernel, thread, irp, (output, output_length), for_writing);
        }
        Ok(attached)
    };
    finish(kernel, built, request.device, fill)
}

/// An IRP for `device`, of the calling thread.
fn begin(
    kernel: &Kernel,
    thread: &Thread,
    device: DeviceObject,
    kind: Kind,
    output_length: u32,
    notify: Notify,
) -> Outcome<Option<Irp>> {
    let target = (kind == Kind::Threaded).then(|| thread.apc_target());
    let locations = device.stack_size()?;
    let Some(irp) = irp::allocate(kernel, locations, kind, output_length, target)? else { return Ok(None) };
    irp.set_thread(thread.object())?;
    irp.set_user_event(notify.event)?;
    irp.set_user_iosb(notify.iosb)?;
    Ok(Some(irp))
}

/// Fills the first location; what cannot be filled is freed again.
fn finish(
    kernel: &Kernel,
    irp: Irp,
    device: DeviceObject,
    fill: impl FnOnce(Irp, IoStackLocation) -> Outcome<bool>,
) -> Outcome<Irp> {
    let next = irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64);
    match fill(irp, IoStackLocation::at(next)) {
        Ok(true) => {
            kernel.trace.emit(|| super::request::created(kernel, irp, device));
            Ok(irp)
        }
        Ok(false) => irp::discard(kernel, irp).map(|()| Irp::at(0)),
        Err(unwind) => {
            irp::discard(kernel, irp)?;
            Err(unwind)
        }
    }
}

/// Gives the IRP a system buffer with `input` in it; false without memory.
fn attach_system_buffer(kernel: &Kernel, irp: Irp, length: u32, input: (u64, u32)) -> Outcome<bool> {
    if length == 0 {
        return Ok(true);
    }
    let owner = PoolOwner(kernel.io.calling_driver().unwrap_or(0));
    let Some(block) = kernel.mm.pool.allocate(length as usize, BUFFER_TAG, owner, false) else {
        return Ok(false);
    };
    let (address, input_length) = input;
    let copied = raw::copy_within(block.address, address, input_length as usize);
    let attached = copied.and_then(|()| {
        irp.set_system_buffer(block.address)?;
        irp.set_flags(irp.flags()? | abi::IRP_DEALLOCATE_BUFFER)
    });
    if attached.is_err() {
        let _certainly_live = kernel.mm.pool.free(block.address);
    }
    attached.map(|()| true)
}

/// Gives the IRP an MDL of the locked buffer; false without memory, and when the buffer cannot be locked.
fn attach_mdl(
    kernel: &Kernel,
    thread: &Thread,
    irp: Irp,
    (address, length): (u64, u32),
    for_writing: bool,
) -> Outcome<bool> {
    let owner = PoolOwner(kernel.io.calling_driver().unwrap_or(0));
    let Some(mdl) = kernel.mm.allocate_mdl(address, length, owner)? else { return Ok(false) };
    let process = kernel.ps.get(thread.process_id);
    let user = process.as_ref().map(|process| &process.user_space);
    if kernel.mm.probe_and_lock(mdl, user, false, for_writing).is_err() {
        let _certainly_live = kernel.mm.free_mdl(mdl);
        return Ok(false);
    }
    irp.set_mdl(mdl.address())?;
    Ok(true)
}
