//! Fast I/O: what a driver may answer in a call, without an IRP. Its table is `DRIVER_OBJECT.FastIoDispatch`; a routine that is not
//! there, or returns FALSE, leaves the request to an IRP.
//!
//! The driver of the device at the top of the stack is asked, and it alone: where it has no table the request goes down as an
//! IRP, whatever drivers below it have.
//!
//! Source: kernel, DRIVER_OBJECT (FastIoDispatch); ifs, Fast I/O; FAST_IO_DISPATCH.

use std::mem::offset_of;

use abi::{FAST_IO_DISPATCH, IO_STATUS_BLOCK, NTSTATUS};

use super::dispatch::{as_owner, low_half};
use super::file::File;
use super::operation::Operation;
use super::packet::{self, Needs};
use super::request::{self, Data, DeviceControl, IoResult, Route};
use super::user_memory::Lent;
use super::{device, driver};
use crate::Unwind;
use crate::ps::Process;
use crate::raw::{self, DeviceObject, DriverObject, Outcome};
use crate::trace::Event;

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    offset: u64,
    name: &'static str,
}

macro_rules! entries {
    ($($(#[$attribute:meta])* $name:ident = $field:ident;)*) => {$(
        $(#[$attribute])*
        pub(super) const $name: Entry =
            Entry { offset: offset_of!(FAST_IO_DISPATCH, $field) as u64, name: stringify!($field) };
    )*};
}

entries! {
    DEVICE_CONTROL = FastIoDeviceControl;
    READ = FastIoRead;
    WRITE = FastIoWrite;
    QUERY_BASIC_INFO = FastIoQueryBasicInfo;
    QUERY_STANDARD_INFO = FastIoQueryStandardInfo;
    QUERY_NETWORK_OPEN_INFO = FastIoQueryNetworkOpenInfo;
}

/// A routine that may answer a request on a file.
#[derive(Debug)]
pub(super) struct Routine {
    top: DeviceObject,
    driver: DriverObject,
    name: &'static str,
    address: u64,
}

/// The memory of a call besides the caller's buffers, at kernel addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scratch(u64);

impl Scratch {
    const VALUES: u64 = size_of::<IO_STATUS_BLOCK>() as u64;
    const INFORMATION: u64 = Self::VALUES + 16;
    /// Bytes of the largest structure that a routine fills.
    const MOST: usize = 64;
    const SIZE: usize = size_of::<IO_STATUS_BLOCK>() + 16 + Self::MOST;

    /// Its IO_STATUS_BLOCK.
    fn block(self) -> u64 {
        self.0
    }

    /// A LARGE_INTEGER, the first or the second.
    pub(super) fn value(self, index: u64) -> u64 {
        self.0 + Self::VALUES + index * 8
    }

    /// Room for a structure, zeroed.
    fn information(self) -> u64 {
        self.0 + Self::INFORMATION
    }
}

/// The routine of the driver at the top of a file's stack for `entry`. Costs drivers without a table one load and a branch.
#[inline(always)]
pub(super) fn find(file: &File, entry: Entry) -> Option<Routine> {
    let top = device::top_of_stack(file.device).ok()?;
    let driver = DriverObject::at(top.driver_object().ok()?);
    let table = driver.fast_io_dispatch().ok()?;
    if table == 0 { None } else { look_up(top, driver, table, entry) }
}

/// Tables of older drivers end where they say.
#[inline(never)]
fn look_up(top: DeviceObject, driver: DriverObject, table: u64, entry: Entry) -> Option<Routine> {
    let size: u32 = raw::read(table).ok()?;
    if u64::from(size) < entry.offset + 8 {
        return None;
    }
    let address: u64 = raw::read(table.wrapping_add(entry.offset)).ok()?;
    (address != 0).then_some(Routine { top, driver, name: entry.name, address })
}

/// The routine that may answer a read or write (`major`) of a file: where requests wait for their end, and the driver has said that
/// it caches the file.
#[inline(always)]
pub(super) fn find_transfer(file: &File, major: u8) -> Option<Routine> {
    let routine = find(file, if major == abi::IRP_MJ_READ { READ } else { WRITE })?;
    let cached = file.synchronous && file.object.private_cache_map().is_ok_and(|map| map != 0);
    cached.then_some(routine)
}

/// Calls `routine` with the arguments that are made of the memory for the call, whose LARGE_INTEGERs are `values`. `None` when
/// it leaves the request to an IRP; else `take` sees what it has filled, and its answer is the request's.
///
/// For an application what the routine raises is its answer, since it works on the application's addresses; whatever the routine
/// leaves behind is what a dispatch routine must not leave either. (Confirm: no page says so of exceptions.)
///
/// # Errors
/// For drivers, how the routine's frames were left; for all, what stopped the machine.
pub(super) fn ask<const N: usize>(
    route: &Route<'_>,
    routine: &Routine,
    values: [u64; 2],
    arguments: impl FnOnce(Scratch) -> [u64; N],
    take: impl FnOnce(Scratch, IoResult) -> Outcome<()>,
) -> Outcome<Option<IoResult>> {
    let kernel = route.kernel;
    let needs = Needs { buffer: u32::try_from(Scratch::SIZE).unwrap_or(0), pages: 0 };
    let request = match route.begin(needs, false) {
        Ok((_, request)) => request,
        Err(status) => return Ok(Some(IoResult::failed(status))),
    };
    packet::is_fast(kernel);
    let scratch = Scratch(request.buffer);
    let called = prepare(scratch, values).and_then(|()| call(route, routine, &arguments(scratch)));
    let answered = match called {
        Ok(false) => Ok(None),
        Ok(true) => read_block(scratch).and_then(|result| take(scratch, result).map(|()| Some(result))),
        Err(Unwind::Raise(raise)) if route.user_mode => {
            Ok(Some(IoResult::failed(raise.record.ExceptionCode)))
        }
        Err(unwind) => Err(unwind),
    };
    let intact = packet::end(kernel, request, true);
    if let Ok(answer) = &answered {
        let taken = answer.map(|result| (result.status, result.information));
        kernel.trace.emit(|| Event::FastIo {
            routine: routine.name,
            driver: request::driver_name(routine.top),
            taken,
        });
    }
    if intact { answered } else { Err(Unwind::Halt) }
}

fn prepare(scratch: Scratch, values: [u64; 2]) -> Outcome<()> {
    raw::fill(scratch.0, 0, Scratch::SIZE)?;
    for (index, value) in (0..).zip(values) {
        raw::write(scratch.value(index), value)?;
    }
    Ok(())
}

fn read_block(scratch: Scratch) -> Outcome<IoResult> {
    let status = NTSTATUS::from_bits(raw::read(scratch.block())?);
    let information = raw::read(scratch.block() + offset_of!(IO_STATUS_BLOCK, Information) as u64)?;
    Ok(IoResult { status, information: if status.is_error() { 0 } else { information } })
}

/// Whether the routine has answered.
fn call(route: &Route<'_>, routine: &Routine, arguments: &[u64]) -> Outcome<bool> {
    let (kernel, address) = (route.kernel, routine.address);
    let returned = as_owner(driver::id_of(routine.driver), || {
        if route.user_mode {
            kernel.ke.call_taking(kernel, address, arguments)
        } else {
            kernel.ke.call(kernel, address, arguments)
        }
    });
    if route.user_mode && !matches!(returned, Err(Unwind::Halt)) {
        kernel.ke.leave_system_service(kernel, route.thread, address)?;
    }
    // A BOOLEAN comes back in AL.
    Ok(low_half(returned?) & 0xFF != 0)
}

/// What stopped the machine is no exception to take.
fn answered(asked: Outcome<Option<IoResult>>) -> Option<IoResult> {
    asked.unwrap_or(Some(IoResult::failed(abi::STATUS_DEVICE_NOT_CONNECTED)))
}

const TRUE: u64 = abi::TRUE as u64;

type Bytes = (u64, u32);

fn ask_control(
    route: &Route<'_>,
    routine: &Routine,
    code: u32,
    input: Bytes,
    output: Bytes,
) -> Outcome<Option<IoResult>> {
    let (file, top) = (route.file.object.address(), routine.top.address());
    let arguments = |scratch: Scratch| {
        let (first, second) = (u64::from(input.1), u64::from(output.1));
        [file, TRUE, input.0, first, output.0, second, u64::from(code), scratch.block(), top]
    };
    ask(route, routine, [0; 2], arguments, |_, _| Ok(()))
}

/// `FastIoDeviceControl` for a call that waits: the routine gets the application's own buffers, whatever the method of the code.
/// `None` when an IRP is to follow.
#[inline(never)]
pub(super) fn control(
    route: &Route<'_>,
    process: &Process,
    routine: &Routine,
    control: &mut DeviceControl<'_>,
) -> Option<IoResult> {
    let DeviceControl { code, input, output, .. } = control;
    let lent = match Lent::new(&process.user_space, Some(&*input), Some(&*output)) {
        Ok(lent) => lent,
        Err(status) => return Some(IoResult::failed(status)),
    };
    let (from, to) = ((lent.input, input.len()), (lent.output, output.len()));
    let asked = ask_control(route, routine, *code, from, to);
    lent.take_back(&process.user_space, Some(output), true);
    answered(asked)
}

/// A read or write is answered by its routine when that says how it went; with other statuses an IRP follows. (Confirm: that
/// these are the three; published descriptions of fast I/O name them.)
fn is_final(result: IoResult) -> bool {
    matches!(result.status, abi::STATUS_SUCCESS | abi::STATUS_BUFFER_OVERFLOW | abi::STATUS_END_OF_FILE)
}

fn ask_transfer(
    route: &Route<'_>,
    routine: &Routine,
    position: u64,
    (address, length): Bytes,
) -> Outcome<Option<IoResult>> {
    let (file, top, length) = (route.file.object.address(), routine.top.address(), u64::from(length));
    let arguments =
        |scratch: Scratch| [file, scratch.value(0), length, TRUE, 0, address, scratch.block(), top];
    let asked = ask(route, routine, [position, 0], arguments, |_, _| Ok(()))?;
    Ok(asked.filter(|result| is_final(*result)))
}

/// `FastIoRead` or `FastIoWrite`, found by [`find_transfer`]; as [`control`].
#[inline(never)]
pub(super) fn transfer(
    route: &Route<'_>,
    process: &Process,
    routine: &Routine,
    position: u64,
    data: &mut Data<'_, '_>,
) -> Option<IoResult> {
    let space = &process.user_space;
    let (input, output) = match data {
        Data::In(buffer) => (Some(&*buffer), None),
        Data::Out(buffer) => (None, Some(&**buffer)),
    };
    let lent = match Lent::new(space, input, output) {
        Ok(lent) => lent,
        Err(status) => return Some(IoResult::failed(status)),
    };
    let bytes = match data {
        Data::In(buffer) => (lent.input, buffer.len()),
        Data::Out(buffer) => (lent.output, buffer.len()),
    };
    let asked = ask_transfer(route, routine, position, bytes);
    let output = match data {
        Data::In(_) => None,
        Data::Out(buffer) => Some(&mut **buffer),
    };
    lent.take_back(space, output, true);
    answered(asked)
}

/// The same for a request at addresses; `None` also for operations that have no fast form.
///
/// # Errors
/// As for [`ask`].
#[inline]
pub(super) fn operation(route: &Route<'_>, operation: &Operation) -> Outcome<Option<IoResult>> {
    if let Some((code, input, output)) = operation.as_control() {
        return match find(route.file, DEVICE_CONTROL) {
            Some(routine) => ask_control(route, &routine, code, input, output),
            None => Ok(None),
        };
    }
    match operation.as_transfer() {
        Some((major, position, data)) => match find_transfer(route.file, major) {
            Some(routine) => ask_transfer(route, &routine, position, data),
            None => Ok(None),
        },
        None => Ok(None),
    }
}

/// Entry, and bytes of the answer, of an information class that has a fast form.
fn query_of(class: i32) -> Option<(Entry, usize)> {
    Some(match class {
        abi::FileBasicInformation => (QUERY_BASIC_INFO, size_of::<abi::FILE_BASIC_INFORMATION>()),
        abi::FileStandardInformation => (QUERY_STANDARD_INFO, size_of::<abi::FILE_STANDARD_INFORMATION>()),
        abi::FileNetworkOpenInformation => {
            (QUERY_NETWORK_OPEN_INFO, size_of::<abi::FILE_NETWORK_OPEN_INFORMATION>())
        }
        _ => return None,
    })
}

/// A query of what a file is: `take` gets the address of the answer and its length in bytes, when there is one. Whether the
/// routine may wait is whether the file's requests do.
///
/// # Errors
/// As for [`ask`], and those of `take`.
pub(super) fn query(
    route: &Route<'_>,
    class: i32,
    take: impl FnOnce(u64, usize) -> Outcome<()>,
) -> Outcome<Option<IoResult>> {
    let Some((entry, length)) = query_of(class) else { return Ok(None) };
    let Some(routine) = find(route.file, entry) else { return Ok(None) };
    let (file, top) = (route.file.object.address(), routine.top.address());
    let wait = u64::from(route.file.synchronous);
    let arguments = |scratch: Scratch| [file, wait, scratch.information(), scratch.block(), top];
    let take = |scratch: Scratch, result: IoResult| {
        if result.status.is_error() { Ok(()) } else { take(scratch.information(), length) }
    };
    let asked = ask(route, &routine, [0; 2], arguments, take)?;
    Ok(asked.map(|result| match result.status.is_error() {
        true => result,
        false => IoResult { information: length as u64, ..result },
    }))
}
