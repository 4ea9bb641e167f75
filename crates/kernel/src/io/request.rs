//! Requests: building the IRP for a call on a file, sending it, waiting for its end, and copying the result out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use abi::NTSTATUS;

use super::file::File;
use super::packet::{self, Early, Heading, InFlight, Needs, Waited};
use super::{device, dispatch, fast_io, mdl, unbuffered};
use crate::ke::Thread;
use crate::ob::{HandleEntry, Object};
use crate::ps::{EarlyAnswer, Process};
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
    pub(super) fn failed(status: NTSTATUS) -> Self {
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
    /// What the calling thread's last request looked up.
    static LAST_HANDLE: RefCell<Option<Rc<LastHandle>>> = const { RefCell::new(None) };
}

struct LastHandle {
    process: u64,
    /// Of the process's handle table when it was looked up.
    generation: u64,
    handle: u32,
    entry: HandleEntry,
}

#[inline]
fn look_up(process: &Process, handle: u32) -> Option<Rc<LastHandle>> {
    let generation = process.handles.generation();
    LAST_HANDLE.with_borrow_mut(|kept| {
        if let Some(last) = kept
            && last.handle == handle
            && last.process == process.serial
            && last.generation == generation
        {
            return Some(last.clone());
        }
        let entry = process.handles.get(handle)?;
        let last = Rc::new(LastHandle { process: process.serial, generation, handle, entry });
        *kept = Some(last.clone());
        Some(last)
    })
}

/// Runs `body` with the file that `handle` stands for. The file does not end meanwhile: a synchronous file is locked, and
/// closing its last handle waits for that, as on NT; others are referenced.
#[inline]
pub(super) fn with_file(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    body: impl FnOnce(&File, u32) -> IoResult,
) -> IoResult {
    let Some(last) = look_up(process, handle) else { return IoResult::failed(abi::STATUS_INVALID_HANDLE) };
    let object = &last.entry.object;
    let Some(file) = object.body::<File>() else { return IoResult::failed(abi::STATUS_OBJECT_TYPE_MISMATCH) };
    if file.synchronous {
        let _one_at_a_time = file.lock.lock(&*kernel.platform);
        // A handle closed before the lock was ours has changed the generation.
        if process.handles.generation() == last.generation || is_still_open(process, handle, object) {
            return body(file, last.entry.granted);
        }
        return IoResult::failed(abi::STATUS_INVALID_HANDLE);
    }
    if !object.try_reference() {
        return IoResult::failed(abi::STATUS_INVALID_HANDLE);
    }
    let result = body(file, last.entry.granted);
    object.dereference(kernel);
    result
}

/// Whether `handle` still stands for `object`, after some handle of the process was closed.
#[cold]
fn is_still_open(process: &Process, handle: u32, object: &Arc<Object>) -> bool {
    process.handles.get(handle).is_some_and(|entry| Arc::ptr_eq(&entry.object, object))
}

/// `NtReadFile`. Must run inside the machine, in the context of `process`. `offset` in bytes; `None` is the current
/// position. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED` without FILE_READ_DATA, `STATUS_INVALID_PARAMETER` for an
/// asynchronous file without an offset, `STATUS_NO_SUCH_DEVICE`, `STATUS_INSUFFICIENT_RESOURCES`, or the driver's status.
pub fn read(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    mut buffer: OutputBuffer<'_>,
    offset: Option<u64>,
) -> IoResult {
    with_file(kernel, process, handle, |file, granted| {
        let checked = check_transfer(file, granted, abi::IRP_MJ_READ, offset);
        let who = Caller { kernel, process, thread };
        transfer(who, file, abi::IRP_MJ_READ, checked, buffer.len(), &mut Data::Out(&mut buffer))
    })
}

/// `NtWriteFile`; as [`read`], with FILE_WRITE_DATA; with FILE_APPEND_DATA alone at the end of the file, whatever `offset`.
pub fn write(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    data: InputBuffer<'_>,
    offset: Option<u64>,
) -> IoResult {
    with_file(kernel, process, handle, |file, granted| {
        let checked = check_transfer(file, granted, abi::IRP_MJ_WRITE, offset);
        let who = Caller { kernel, process, thread };
        transfer(who, file, abi::IRP_MJ_WRITE, checked, data.len(), &mut Data::In(data))
    })
}

/// A read or write that may be made.
pub(super) struct Checked {
    /// Where, in bytes; FILE_WRITE_TO_END_OF_FILE, which drivers know, in both halves.
    pub(super) position: u64,
    /// DO_* of the device at the top of the file's stack.
    pub(super) device_flags: u32,
}

/// Whether a read or write (`major`) of a file may be made with the rights `granted`, and where. `offset` in bytes; `None`,
/// or FILE_USE_FILE_POINTER_POSITION, is the current position. Who may append only writes at the end of the file, whatever
/// the offset.
///
/// # Errors
/// `STATUS_ACCESS_DENIED`, `STATUS_INVALID_PARAMETER` for an asynchronous file without an offset, `STATUS_NO_SUCH_DEVICE`.
///
/// Source: ddi, ZwReadFile and ZwWriteFile (ByteOffset), ZwCreateFile (FILE_APPEND_DATA).
#[inline(always)]
pub(super) fn check_transfer(
    file: &File,
    granted: u32,
    major: u8,
    offset: Option<u64>,
) -> Result<Checked, NTSTATUS> {
    const CURRENT_POSITION: u64 = u64::MAX << 32 | abi::FILE_USE_FILE_POINTER_POSITION as u64;
    const END_OF_FILE: u64 = u64::MAX << 32 | abi::FILE_WRITE_TO_END_OF_FILE as u64;
    let right = if major == abi::IRP_MJ_READ { abi::FILE_READ_DATA } else { abi::FILE_WRITE_DATA };
    let position = match offset {
        _ if granted & right == 0 => {
            if major == abi::IRP_MJ_READ || granted & abi::FILE_APPEND_DATA == 0 {
                return Err(abi::STATUS_ACCESS_DENIED);
            }
            END_OF_FILE
        }
        Some(offset) if offset != CURRENT_POSITION => offset,
        _ if file.synchronous => file.object.current_byte_offset().unwrap_or(0),
        _ => return Err(abi::STATUS_INVALID_PARAMETER),
    };
    let flags = device::top_of_stack(file.device).and_then(DeviceObject::flags);
    let device_flags = flags.map_err(|_| abi::STATUS_NO_SUCH_DEVICE)?;
    Ok(Checked { position, device_flags })
}

/// Who makes a request.
#[derive(Clone, Copy)]
struct Caller<'a> {
    kernel: &'a Kernel,
    process: &'a Process,
    thread: &'a Thread,
}

/// What a transfer reads or fills.
pub(super) enum Data<'a, 'b> {
    In(InputBuffer<'a>),
    Out(&'b mut OutputBuffer<'a>),
}

fn transfer(
    Caller { kernel, process, thread }: Caller<'_>,
    file: &File,
    major: u8,
    checked: Result<Checked, NTSTATUS>,
    length: u32,
    data: &mut Data<'_, '_>,
) -> IoResult {
    let Checked { position, device_flags: flags } = match checked {
        Ok(checked) => checked,
        Err(status) => return IoResult::failed(status),
    };
    let direction = direction_flags(major);
    let start = |irp: Irp, location: IoStackLocation| {
        location.set_major_function(major)?;
        location.set_parameter(0, u64::from(length))?;
        location.set_parameter(2, position)?;
        irp.set_flags(direction)
    };
    let route = Route::of(kernel, thread, file);
    if let Some(routine) = fast_io::find_transfer(file, major)
        && let Some(result) = fast_io::transfer(&route, process, &routine, position, data)
    {
        return result;
    }
    if flags & abi::DO_BUFFERED_IO == 0 {
        return unbuffered::transfer(&route, process, flags & abi::DO_DIRECT_IO != 0, data, start);
    }
    let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
        start(irp, location)?;
        irp.set_flags(direction | buffered_flags(request.buffer))?;
        irp.set_system_buffer(request.buffer)
    };
    let needs = Needs { buffer: length, pages: 0 };
    match data {
        Data::In(data) => route.send(needs, |buffer| data.copy_to(buffer), fill, |_, _| Ok(())).0,
        Data::Out(target) => {
            route.send(needs, |_| Ok(()), fill, |buffer, result| copy_back(target, buffer, result)).0
        }
    }
}

/// `NtDeviceIoControlFile`. Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED` when the code asks for access that the handle lacks,
/// `STATUS_ACCESS_VIOLATION` for a buffer in a user window that is not the process's, `STATUS_INSUFFICIENT_RESOURCES`, or
/// the driver's status.
///
/// Source: kernel, Defining I/O Control Codes; Buffer Descriptions for I/O Control Codes.
#[inline]
pub fn device_control(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    control: DeviceControl<'_>,
) -> IoResult {
    device_control_early(kernel, process, thread, control, None)
}

/// As [`device_control`]. Whoever completes a pended request of METHOD_NEITHER tells the application by `early`, if both buffers lie in
/// its window, so that nothing is to be copied to it.
#[inline]
pub fn device_control_early(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    mut control: DeviceControl<'_>,
    early: Option<&Arc<dyn EarlyAnswer>>,
) -> IoResult {
    with_file(kernel, process, control.handle, |file, granted| {
        if let Err(status) = check_control(control.code, granted) {
            return IoResult::failed(status);
        }
        let route = Route::of(kernel, thread, file);
        if let Some(routine) = fast_io::find(file, fast_io::DEVICE_CONTROL)
            && let Some(result) = fast_io::control(&route, process, &routine, &mut control)
        {
            return result;
        }
        match control.code & 3 {
            abi::METHOD_BUFFERED => buffered_control(&route, &mut control),
            abi::METHOD_NEITHER => {
                let in_window = |in_window: bool, length: u32| in_window || length == 0;
                let in_place = in_window(control.input.is_in_window(), control.input.len())
                    && in_window(control.output.is_in_window(), control.output.len());
                let route = route.early(early.filter(|_| in_place));
                unbuffered::neither_control(&route, process, &mut control)
            }
            _ => unbuffered::direct_control(&route, process, &mut control),
        }
    })
}

/// Whether a control request may be made with the rights `granted`: FILE_READ_ACCESS and FILE_WRITE_ACCESS, which its code
/// may ask for, are 1 and 2, as FILE_READ_DATA and FILE_WRITE_DATA are.
///
/// # Errors
/// `STATUS_ACCESS_DENIED`.
#[inline(always)]
pub(super) fn check_control(code: u32, granted: u32) -> Result<(), NTSTATUS> {
    const ACCESS_SHIFT: u32 = 14;
    if code >> ACCESS_SHIFT & 3 & !granted == 0 { Ok(()) } else { Err(abi::STATUS_ACCESS_DENIED) }
}

#[inline]
fn buffered_control(route: &Route<'_>, control: &mut DeviceControl<'_>) -> IoResult {
    let DeviceControl { code, input, output, .. } = control;
    let (input_length, output_length) = (input.len(), output.len());
    let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
        set_control(location, *code, input_length, output_length)?;
        let input_operation = if output_length > 0 { abi::IRP_INPUT_OPERATION } else { 0 };
        irp.set_flags(input_operation | buffered_flags(request.buffer))?;
        irp.set_system_buffer(request.buffer)
    };
    let copy_out = |buffer, result| copy_back(output, buffer, result);
    let needs = Needs { buffer: input_length.max(output_length), pages: 0 };
    route.send(needs, |buffer| input.copy_to(buffer), fill, copy_out).0
}

/// Sets major function and parameters of a control request.
#[inline(always)]
pub(super) fn set_control(location: IoStackLocation, code: u32, input: u32, output: u32) -> Outcome<()> {
    location.set_major_function(abi::IRP_MJ_DEVICE_CONTROL)?;
    location.set_parameter(0, u64::from(output))?;
    location.set_parameter(1, u64::from(input))?;
    location.set_parameter(2, u64::from(code))
}

/// What the flags of a read's or write's IRP say of its direction.
#[inline]
pub(super) fn direction_flags(major: u8) -> u32 {
    if major == abi::IRP_MJ_READ {
        abi::IRP_READ_OPERATION | abi::IRP_INPUT_OPERATION
    } else {
        abi::IRP_WRITE_OPERATION
    }
}

pub(super) fn buffered_flags(buffer: u64) -> u32 {
    if buffer == 0 { abi::IRP_BUFFERED_IO } else { abi::IRP_BUFFERED_IO | abi::IRP_DEALLOCATE_BUFFER }
}

/// Success and warnings copy `Information` bytes, errors none; never more than the caller's buffer holds.
#[inline]
pub(super) fn copy_back(target: &mut OutputBuffer<'_>, source: u64, result: IoResult) -> Outcome<()> {
    if result.status.is_error() || result.information == 0 {
        return Ok(());
    }
    target.fill_from(source, u32::try_from(result.information).unwrap_or(u32::MAX))
}

/// Sends IRP_MJ_CLEANUP: the last handle was closed. A synchronous file's request in flight ends first.
pub(super) fn cleanup(kernel: &Kernel, file: &File) {
    const FO_CLEANUP_COMPLETE: u32 = 0x4000;
    let _one_at_a_time = file.synchronous.then(|| file.lock.lock(&*kernel.platform));
    // Drivers cannot refuse: the status is ignored, as on NT.
    let _ignored = send_plain(kernel, file, false, |irp, location| {
        irp.set_flags(abi::IRP_CLOSE_OPERATION | abi::IRP_SYNCHRONOUS_API)?;
        location.set_major_function(abi::IRP_MJ_CLEANUP)
    });
    let _freed_by_driver =
        file.object.flags().and_then(|flags| file.object.set_flags(flags | FO_CLEANUP_COMPLETE));
}

/// Sends IRP_MN_UNLOCK_ALL: a process has closed its last handle. Not one at a time with a synchronous file's other requests, for which
/// another process, or the driver that has the file, may wait as long as it likes: a process that ends would wait with it.
pub(super) fn unlock_all(kernel: &Kernel, file: &File) {
    let _ignored = send_plain(kernel, file, false, |irp, location| {
        irp.set_flags(abi::IRP_SYNCHRONOUS_API)?;
        location.set_major_function(abi::IRP_MJ_LOCK_CONTROL)?;
        location.set_minor_function(abi::IRP_MN_UNLOCK_ALL)
    });
}

/// Sends IRP_MJ_CLOSE: the last reference is gone.
pub(super) fn close(kernel: &Kernel, file: &File) {
    let _ignored = send_plain(kernel, file, false, |irp, location| {
        irp.set_flags(abi::IRP_CLOSE_OPERATION | abi::IRP_SYNCHRONOUS_API)?;
        location.set_major_function(abi::IRP_MJ_CLOSE)
    });
}

/// Sends a request without data; `fill` sets what is particular to it.
pub(super) fn send_plain(
    kernel: &Kernel,
    file: &File,
    user_mode: bool,
    fill: impl Fn(Irp, IoStackLocation) -> Outcome<()>,
) -> IoResult {
    let sent = Kernel::with_current(|_, thread| {
        let fill = |irp: Irp, location: IoStackLocation, _: &InFlight| fill(irp, location);
        Route { kernel, thread, file, user_mode, early: None }
            .send_in_place(Needs::default(), &|_| Ok(()), &fill)
            .0
    });
    sent.unwrap_or(IoResult::failed(abi::STATUS_INVALID_DEVICE_STATE))
}

/// Most stack locations of an IRP: `StackCount` and `CurrentLocation` are signed bytes, and the latter goes one beyond.
const MAX_LOCATIONS: u8 = 126;

/// Who sends a request, and where to.
pub(super) struct Route<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) thread: &'a Thread,
    pub(super) file: &'a File,
    pub(super) user_mode: bool,
    early: Option<&'a Arc<dyn EarlyAnswer>>,
}

impl<'a> Route<'a> {
    /// The way of an application's request.
    pub(super) fn of(kernel: &'a Kernel, thread: &'a Thread, file: &'a File) -> Self {
        Self { kernel, thread, file, user_mode: true, early: None }
    }

    /// The same way for a requestor of this mode.
    pub(super) fn in_mode(self, user_mode: bool) -> Self {
        Self { user_mode, ..self }
    }

    /// The same way; whoever completes a request of it tells the application by `early`. For requests that leave nothing to do but to
    /// answer.
    fn early(self, early: Option<&'a Arc<dyn EarlyAnswer>>) -> Self {
        Self { early, ..self }
    }

    /// Puts a request in flight, of which `may_go_on` says whether the call may return before its end; returns also the device
    /// that it goes to, the top of the file's stack.
    #[inline(always)]
    pub(super) fn begin(&self, needs: Needs, may_go_on: bool) -> Result<(DeviceObject, InFlight), NTSTATUS> {
        let top = device::top_of_stack(self.file.device).and_then(|top| Ok((top, top.stack_size()?)));
        let Ok((top, locations)) = top else { return Err(abi::STATUS_NO_SUCH_DEVICE) };
        // A driver can write anything there.
        if !(1..=MAX_LOCATIONS).contains(&locations) {
            return Err(abi::STATUS_INVALID_DEVICE_REQUEST);
        }
        let heading = Heading {
            locations,
            user_mode: self.user_mode,
            thread: self.thread.object(),
            file: self.file.object.address(),
        };
        Ok((top, packet::begin(self.kernel, heading, needs, may_go_on)?))
    }

    /// As [`Self::send`], for requests whose system buffer brings nothing back. They share one copy of that function, so
    /// that the compiler makes the buffered ones' as short as it can.
    #[inline(never)]
    pub(super) fn send_in_place(
        &self,
        needs: Needs,
        copy_in: &dyn Fn(u64) -> Outcome<()>,
        fill: &dyn Fn(Irp, IoStackLocation, &InFlight) -> Outcome<()>,
    ) -> (IoResult, bool) {
        self.send(needs, copy_in, fill, |_, _| Ok(()))
    }

    /// Sends a request to the top of the file's device stack and waits for its end. `copy_in` fills the system buffer
    /// before, `copy_out` empties it after, both only when the request has one.
    ///
    /// Returns also whether drivers are done with the request's memory: false when one may still use it.
    #[inline]
    pub(super) fn send(
        &self,
        needs: Needs,
        copy_in: impl FnOnce(u64) -> Outcome<()>,
        fill: impl FnOnce(Irp, IoStackLocation, &InFlight) -> Outcome<()>,
        copy_out: impl FnOnce(u64, IoResult) -> Outcome<()>,
    ) -> (IoResult, bool) {
        let kernel = self.kernel;
        let failed = |status| (IoResult::failed(status), true);
        let (top, request) = match self.begin(needs, false) {
            Ok(begun) => begun,
            Err(status) => return failed(status),
        };
        if request.buffer != 0 && copy_in(request.buffer).is_err() {
            let _the_application_is_wrong = packet::end(kernel, request, true);
            return failed(abi::STATUS_INVALID_USER_BUFFER);
        }
        let sent = fill(request.irp, request.location, &request).and_then(|()| {
            kernel.trace.emit(|| created(kernel, request.irp, top));
            let returned = dispatch::call_driver(kernel, top, request.irp)?;
            let ended = self.finish(request.irp, top, returned)?;
            if ended.1 {
                mdl::release(kernel, request.irp, request.mdl)?;
            }
            Ok(ended)
        });
        let (mut result, reuse) = match sent {
            Ok(ended) => ended,
            Err(unwind) => (abandoned(kernel, request.irp, &unwind), false),
        };
        if request.buffer != 0 && copy_out(request.buffer, result).is_err() {
            result = IoResult::failed(abi::STATUS_INVALID_USER_BUFFER);
        }
        if packet::end(kernel, request, reuse) {
            (result, reuse)
        } else {
            (IoResult::failed(abi::STATUS_DEVICE_NOT_CONNECTED), reuse)
        }
    }

    /// After the dispatch routine has returned: the result, and whether the packet can be used again.
    #[inline]
    fn finish(&self, irp: Irp, top: DeviceObject, returned: NTSTATUS) -> Outcome<(IoResult, bool)> {
        let kernel = self.kernel;
        kernel.ke.leave_system_service(kernel, self.thread, irp.address())?;
        if returned == abi::STATUS_PENDING {
            return self.wait(irp, top);
        }
        if !packet::is_completed(kernel) {
            kernel.trace.emit(|| forgotten(irp, top));
            return Ok((IoResult::failed(returned), false));
        }
        let information = if returned.is_error() { 0 } else { irp.information()? };
        Ok((IoResult { status: returned, information }, true))
    }

    /// Waits for the end of a request that was pended. Meanwhile the file is not signaled.
    #[cold]
    fn wait(&self, irp: Irp, top: DeviceObject) -> Outcome<(IoResult, bool)> {
        let (kernel, event) = (self.kernel, self.file.object.event());
        kernel.ke.clear_event(kernel, event)?;
        let early = self.early.map(|answer| Early { answer: answer.clone(), event });
        let waited = packet::wait(kernel, self.thread, early)?;
        // What was told may have another request under way by now, which the event is for.
        if waited != Waited::Told {
            kernel.ke.set_event(kernel, event, 0)?;
        }
        if waited == Waited::GivenUp {
            return Ok((IoResult::failed(abi::STATUS_CANCELLED), false));
        }
        if irp.pending_returned()? == 0 {
            kernel.trace.emit(|| Event::IrpNotMarkedPending { irp: irp.address(), driver: driver_name(top) });
        }
        let status = NTSTATUS::from_bits(irp.status()?);
        Ok((IoResult { status, information: irp.information()? }, true))
    }
}

/// The request's driver frames were left otherwise than by returning.
#[cold]
pub(super) fn abandoned(kernel: &Kernel, irp: Irp, unwind: &Unwind) -> IoResult {
    if let Unwind::Raise(raise) = unwind {
        // The I/O manager itself met bad memory in an object of the driver's.
        let status = u64::from(raise.record.ExceptionCode.bits());
        kernel.bug_check(abi::KMODE_EXCEPTION_NOT_HANDLED, [status, irp.address(), 0, 0]);
    }
    IoResult::failed(abi::STATUS_DEVICE_NOT_CONNECTED)
}

#[cold]
pub(super) fn created(kernel: &Kernel, irp: Irp, top: DeviceObject) -> Event {
    let major = irp
        .current_stack_location()
        .and_then(|at| IoStackLocation::at(at - IoStackLocation::SIZE as u64).major_function())
        .unwrap_or(u8::MAX);
    let device = kernel.ob.by_address(top.address()).and_then(|object| object.path()).unwrap_or_default();
    Event::IrpCreated { irp: irp.address(), major, device }
}

#[cold]
pub(super) fn forgotten(irp: Irp, top: DeviceObject) -> Event {
    Event::IrpForgotten { irp: irp.address(), driver: driver_name(top) }
}

/// The name of the driver of a device, for reports.
pub(super) fn driver_name(device: DeviceObject) -> String {
    let driver = device.driver_object().map(crate::raw::DriverObject::at);
    let name = driver.and_then(|driver| driver.driver_name().to_wide()).unwrap_or_default();
    String::from_utf16_lossy(&name)
}
