//! Requests whose data is not copied through a system buffer: direct I/O, where an MDL describes it, and neither, where
//! the driver gets the application's addresses.
//!
//! Source: kernel, Using Direct I/O; Using Neither Buffered Nor Direct I/O; Buffer Descriptions for I/O Control Codes.

use super::packet::{InFlight, Needs};
use super::request::{Data, DeviceControl, IoResult, Route, buffered_flags, set_control};
use super::user_memory::Lent;
use crate::mm;
use crate::ps::Process;
use crate::raw::{IoStackLocation, Irp, Outcome};

/// Gives an IRP the MDL of `length` bytes at `address`; none for no bytes.
#[inline]
pub(super) fn describe(
    irp: Irp,
    request: &InFlight,
    address: u64,
    length: u32,
    for_writing: bool,
) -> Outcome<()> {
    if request.mdl.is_null() {
        return Ok(());
    }
    mm::describe_locked(request.mdl, address, length, for_writing)?;
    irp.set_mdl(request.mdl.address())
}

/// A read or write without DO_BUFFERED_IO; `start` sets what all transfers have.
#[inline]
pub(super) fn transfer(
    route: &Route<'_>,
    process: &Process,
    direct: bool,
    data: &mut Data<'_, '_>,
    start: impl Fn(Irp, IoStackLocation) -> Outcome<()>,
) -> IoResult {
    let space = &process.user_space;
    let (input, output) = match data {
        Data::In(buffer) => (Some(&*buffer), None),
        Data::Out(buffer) => (None, Some(&**buffer)),
    };
    let lent = match Lent::new(space, input, output) {
        Ok(lent) => lent,
        Err(status) => return IoResult::failed(status),
    };
    let (address, length, for_writing) = match data {
        Data::In(buffer) => (lent.input, buffer.len(), false),
        Data::Out(buffer) => (lent.output, buffer.len(), true),
    };
    if direct && !space.has_pages(address, u64::from(length), for_writing) {
        return IoResult::failed(abi::STATUS_ACCESS_VIOLATION);
    }
    let pages = if direct { mm::pages_spanned(address, u64::from(length)) } else { 0 };
    let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
        start(irp, location)?;
        if direct {
            describe(irp, request, address, length, for_writing)
        } else {
            irp.set_user_buffer(address)
        }
    };
    let (result, reuse) = route.send_in_place(Needs { buffer: 0, pages }, &|_| Ok(()), &fill);
    let output = match data {
        Data::In(_) => None,
        Data::Out(buffer) => Some(&mut **buffer),
    };
    lent.take_back(space, output, reuse);
    result
}

/// METHOD_IN_DIRECT and METHOD_OUT_DIRECT: the first buffer is copied into the system buffer, the second is described by
/// an MDL, which is for reading or for writing.
#[inline(never)]
pub(super) fn direct_control(
    route: &Route<'_>,
    process: &Process,
    control: &mut DeviceControl<'_>,
) -> IoResult {
    let DeviceControl { code, input, output, .. } = control;
    let (input_length, output_length) = (input.len(), output.len());
    let lent = match Lent::new(&process.user_space, None, Some(&*output)) {
        Ok(lent) => lent,
        Err(status) => return IoResult::failed(status),
    };
    let for_writing = *code & 3 == abi::METHOD_OUT_DIRECT;
    let address = lent.output;
    // As MmProbeAndLockPages finds out: a driver that direct I/O hands an MDL to need not expect that pages are missing.
    if !process.user_space.has_pages(address, u64::from(output_length), for_writing) {
        return IoResult::failed(abi::STATUS_ACCESS_VIOLATION);
    }
    let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
        set_control(location, *code, input_length, output_length)?;
        if request.buffer != 0 {
            irp.set_flags(buffered_flags(request.buffer))?;
            irp.set_system_buffer(request.buffer)?;
        }
        describe(irp, request, address, output_length, for_writing)
    };
    let needs = Needs { buffer: input_length, pages: mm::pages_spanned(address, u64::from(output_length)) };
    let (result, reuse) = route.send_in_place(needs, &|buffer| input.copy_to(buffer), &fill);
    lent.take_back(&process.user_space, Some(output), reuse);
    result
}

/// METHOD_NEITHER: the driver gets both addresses as they are.
#[inline(never)]
pub(super) fn neither_control(
    route: &Route<'_>,
    process: &Process,
    control: &mut DeviceControl<'_>,
) -> IoResult {
    let DeviceControl { code, input, output, .. } = control;
    let (input_length, output_length) = (input.len(), output.len());
    let lent = match Lent::new(&process.user_space, Some(&*input), Some(&*output)) {
        Ok(lent) => lent,
        Err(status) => return IoResult::failed(status),
    };
    let (from, to) = (lent.input, lent.output);
    let fill = |irp: Irp, location: IoStackLocation, _: &InFlight| {
        set_control(location, *code, input_length, output_length)?;
        location.set_parameter(3, from)?;
        irp.set_user_buffer(to)
    };
    let (result, reuse) = route.send_in_place(Needs::default(), &|_| Ok(()), &fill);
    lent.take_back(&process.user_space, Some(output), reuse);
    result
}
