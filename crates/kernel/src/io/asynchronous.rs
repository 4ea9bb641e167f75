//! Requests whose call need not wait for their end: `NtReadFile` and its kin with everything that they are given. On a file
//! that was opened for asynchronous I/O a request that is pended goes on when the call has returned STATUS_PENDING; its
//! end is told by the caller's IO_STATUS_BLOCK, an event or the file itself, and an APC.
//!
//! An application's addresses lie in its process's user space; those of a driver's own requests (`kernel_file`) are kernel
//! memory, or whatever it vouches for. Calls that wait, and may lend memory from elsewhere, are `request`'s.
//!
//! Source: ddi, ZwReadFile; Win32, Synchronous and Asynchronous I/O; ReadFile; GetOverlappedResult.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::NTSTATUS;

use super::completion_port::Reservation;
use super::file::File;
use super::operation::Operation;
use super::packet::{self, Detached, InFlight};
use super::request::{self, Checked, IoResult, Route};
use super::{cancel, dispatch, fast_io, mdl};
use crate::ke::{ApcTarget, KernelApc, ProcessorMode, Thread, Timeout, UserApc};
use crate::ob::{self, HandleEntry, Object};
use crate::ps::{Process, RequestKey};
use crate::raw::{self, DeviceObject, DispatcherHeader, Irp, Outcome};
use crate::{Kernel, Unwind};

const IOSB_SIZE: u64 = size_of::<abi::IO_STATUS_BLOCK>() as u64;
const IOSB_INFORMATION: u64 = offset_of!(abi::IO_STATUS_BLOCK, Information) as u64;

/// How the end of a request is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notice {
    /// Address of the IO_STATUS_BLOCK.
    pub io_status_block: u64,
    /// Handle of the event that is signaled; 0 for none: the file is signaled then.
    pub event: u64,
    /// Address of the routine that the calling thread is to run as a user APC, for a driver's request as a normal kernel
    /// APC; 0 for none.
    pub apc_routine: u64,
    /// The routine's first argument (the second is the address of the status block); without a routine, what the packet at
    /// the file's completion port has, none if 0.
    pub apc_context: u64,
}

/// A read or a write.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// The file's handle.
    pub handle: u64,
    /// Address of the data.
    pub buffer: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Offset in the file in bytes; `None`, or FILE_USE_FILE_POINTER_POSITION, for the current position of a synchronous
    /// file.
    pub offset: Option<u64>,
}

/// An I/O control, or file system control, request.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The file's handle.
    pub handle: u64,
    /// The control code.
    pub code: u32,
    /// Address and length in bytes of the first buffer.
    pub input: (u64, u32),
    /// Address and length in bytes of the second buffer.
    pub output: (u64, u32),
}

/// What is needed at the end of a request, when its call may have returned.
#[derive(Debug)]
pub(super) struct Pended {
    /// How its caller is told.
    notice: Notice,
    /// The event of the notice, referenced.
    event: Option<Arc<Object>>,
    /// The packet that the file's completion port will get.
    packet: Option<Reservation>,
    /// The file, referenced.
    file: Arc<Object>,
    process: Arc<Process>,
    thread: ApcTarget,
    /// Where what a buffered request brings goes; no bytes for others.
    output: (u64, u32),
    /// Address of pool that goes with the request; 0 for none.
    auxiliary: u64,
    /// Whether it is an application's request.
    user_mode: bool,
}

impl Pended {
    /// Whether it is a request of this process.
    pub(super) fn is_of(&self, process: &Process) -> bool {
        std::ptr::eq(&raw const *self.process, process)
    }

    /// Whose request it is.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// How it is found, with its IRP.
    pub(super) fn key(&self, irp: Irp) -> RequestKey {
        RequestKey {
            file: self.file.address,
            io_status_block: self.notice.io_status_block,
            irp: irp.address(),
        }
    }
}

/// Who calls.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) kernel: &'a Kernel,
    /// The process in whose context that is.
    pub(super) process: &'a Arc<Process>,
    pub(super) thread: &'a Thread,
    /// Whether it is an application: its addresses and rights are checked, and kernel handles are none.
    pub(super) user_mode: bool,
}

/// `NtReadFile`. Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// Returns STATUS_PENDING when the request goes on; else it has ended with the status that is returned. An error that is
/// returned is told in no other way, unless the file is synchronous and the request was pended.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_ACCESS_DENIED`, `STATUS_ACCESS_VIOLATION` for a buffer or status block that
/// is not in the process's user space, `STATUS_INVALID_PARAMETER` for an asynchronous file without an offset,
/// `STATUS_INSUFFICIENT_RESOURCES`, or the driver's status.
pub fn start_read(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    transfer: &Transfer,
    notice: Notice,
) -> NTSTATUS {
    answered(start_transfer(application(kernel, process, thread), abi::IRP_MJ_READ, transfer, notice))
}

/// `NtWriteFile`; as [`start_read`].
pub fn start_write(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    transfer: &Transfer,
    notice: Notice,
) -> NTSTATUS {
    answered(start_transfer(application(kernel, process, thread), abi::IRP_MJ_WRITE, transfer, notice))
}

/// `NtDeviceIoControlFile`; as [`start_read`].
pub fn start_device_control(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    control: &Control,
    notice: Notice,
) -> NTSTATUS {
    let caller = application(kernel, process, thread);
    answered(start_control(caller, abi::IRP_MJ_DEVICE_CONTROL, control, notice))
}

/// `NtFsControlFile`; as [`start_read`].
pub fn start_fs_control(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    control: &Control,
    notice: Notice,
) -> NTSTATUS {
    let caller = application(kernel, process, thread);
    answered(start_control(caller, abi::IRP_MJ_FILE_SYSTEM_CONTROL, control, notice))
}

pub(super) fn application<'a>(
    kernel: &'a Kernel,
    process: &'a Arc<Process>,
    thread: &'a Thread,
) -> Caller<'a> {
    Caller { kernel, process, thread, user_mode: true }
}

/// Nothing is raised in applications: what is not a status has stopped the machine.
pub(super) fn answered(started: Outcome<NTSTATUS>) -> NTSTATUS {
    started.unwrap_or(abi::STATUS_DEVICE_NOT_CONNECTED)
}

/// Makes a read or a write (`major`).
///
/// # Errors
/// For drivers: an access violation in what they named, or how the frames of the device's driver were left.
pub(super) fn start_transfer(
    caller: Caller<'_>,
    major: u8,
    transfer: &Transfer,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    let Transfer { handle, buffer, length, offset } = *transfer;
    let plan = |file: &File, granted: u32| {
        let Checked { position, device_flags } = request::check_transfer(file, granted, major, offset)?;
        Ok(Operation::transfer(major, device_flags, position, (buffer, length)))
    };
    let event = match find_event(caller, notice.event) {
        Ok(event) => event,
        Err(status) => return Ok(status),
    };
    start(caller, Target::Handle(handle), (notice, event), &[(buffer, length)], plan)
}

/// Makes a control request (`major`).
///
/// # Errors
/// As for [`start_transfer`].
pub(super) fn start_control(
    caller: Caller<'_>,
    major: u8,
    control: &Control,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    let Control { handle, code, input, output } = *control;
    let plan = |_: &File, granted: u32| {
        request::check_control(code, granted)?;
        Ok(Operation::control(major, code, input, output))
    };
    let event = match find_event(caller, notice.event) {
        Ok(event) => event,
        Err(status) => return Ok(status),
    };
    start(caller, Target::Handle(handle), (notice, event), &[input, output], plan)
}

/// Which file a request is for.
pub(super) enum Target {
    /// The one that this handle stands for.
    Handle(u64),
    /// This one, with a reference that the request takes over, whatever becomes of it.
    File(Arc<Object>),
}

impl Target {
    /// For a request that is not made.
    pub(super) fn release(self, kernel: &Kernel) {
        if let Self::File(object) = self {
            object.dereference(kernel);
        }
    }
}

/// A file that a request is for, referenced.
struct Found {
    object: Arc<Object>,
    granted: u32,
    /// The handle that it was found by, and whose that is.
    handle: Option<(Arc<Process>, u32)>,
}

impl Found {
    fn of(caller: Caller<'_>, target: Target) -> Result<Self, NTSTATUS> {
        let handle = match target {
            Target::Handle(handle) => handle,
            Target::File(object) => return Ok(Self { object, granted: u32::MAX, handle: None }),
        };
        let (owner, value) = ob::locate(caller.kernel, caller.process, handle, caller.user_mode)?;
        let HandleEntry { object, granted, .. } =
            owner.handles.get(value).ok_or(abi::STATUS_INVALID_HANDLE)?;
        if object.body::<File>().is_none() {
            return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
        }
        if !object.try_reference() {
            return Err(abi::STATUS_INVALID_HANDLE);
        }
        // Kernel mode may all.
        let granted = if caller.user_mode { granted } else { u32::MAX };
        Ok(Self { object, granted, handle: Some((owner, value)) })
    }

    /// Whether the handle still stands for it.
    fn is_open(&self) -> bool {
        self.handle.as_ref().is_none_or(|(owner, value)| {
            owner.handles.get(*value).is_some_and(|entry| Arc::ptr_eq(&entry.object, &self.object))
        })
    }
}

/// Finds the file, makes the request that `plan` says, and waits for its end if the file is synchronous. The event is
/// referenced, and not any more when the request has ended.
///
/// # Errors
/// As for [`start_transfer`].
pub(super) fn start(
    caller: Caller<'_>,
    target: Target,
    (notice, event): (Notice, Option<Arc<Object>>),
    buffers: &[(u64, u32)],
    plan: impl FnOnce(&File, u32) -> Result<Operation, NTSTATUS>,
) -> Outcome<NTSTATUS> {
    let Caller { kernel, process, thread, user_mode } = caller;
    let probed = probe(caller, notice.io_status_block, buffers);
    let found = match (Found::of(caller, target), probed) {
        (Ok(found), Ok(Ok(()))) => found,
        (found, probed) => {
            let_go(kernel, event.as_deref());
            let status = found.as_ref().err().copied();
            let_go(kernel, found.ok().as_ref().map(|found| &*found.object));
            return probed.map(|probed| probed.err().or(status).unwrap_or(abi::STATUS_INVALID_HANDLE));
        }
    };
    let object = found.object.clone();
    let mut pended = Pended {
        notice,
        event,
        packet: None,
        file: object.clone(),
        process: process.clone(),
        thread: thread.apc_target(),
        output: (0, 0),
        auxiliary: 0,
        user_mode,
    };
    let Some(file) = object.body::<File>() else {
        pended.release(kernel);
        return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH);
    };
    let one_at_a_time = file.synchronous.then(|| file.lock.lock(&*kernel.platform));
    // Anew: another thread may have closed the handle while this one waited for the lock.
    let planned = if found.is_open() { plan(file, found.granted) } else { Err(abi::STATUS_INVALID_HANDLE) };
    let operation = match planned {
        Ok(operation) => operation,
        Err(status) => {
            pended.release(kernel);
            return Ok(status);
        }
    };
    pended.auxiliary = operation.auxiliary();
    if let Err(status) = pended.reserve(kernel, file) {
        pended.release(kernel);
        return Ok(status);
    }
    let route = Route::of(kernel, thread, file).in_mode(user_mode);
    match fast_io::operation(&route, &operation) {
        Ok(None) => {}
        Ok(Some(result)) => return pended.tell_fast(kernel, file, result),
        Err(unwind) => {
            if !matches!(unwind, Unwind::Halt) {
                pended.release(kernel);
            }
            return Err(unwind);
        }
    }
    pended.output = operation.copied_out();
    let status = send(caller, file, &operation, pended)?;
    if status == abi::STATUS_PENDING && one_at_a_time.is_some() {
        return wait_for_file(kernel, thread, file);
    }
    Ok(status)
}

/// Whether all that an application's request names lies in the process's user space, where pages are, and the status block
/// can be written. Of a driver's, the status block is looked at alone.
///
/// # Errors
/// An access violation in a driver's status block. (Confirm: that NT finds out before it sends the request.)
fn probe(caller: Caller<'_>, io_status_block: u64, buffers: &[(u64, u32)]) -> Outcome<Result<(), NTSTATUS>> {
    let writable = raw::touch(io_status_block, IOSB_SIZE, true);
    if !caller.user_mode {
        return writable.map(Ok);
    }
    let space = &caller.process.user_space;
    let inside = space.contains(io_status_block, IOSB_SIZE)
        && buffers.iter().all(|(address, length)| space.has_pages(*address, u64::from(*length), false));
    Ok(if inside && writable.is_ok() { Ok(()) } else { Err(abi::STATUS_ACCESS_VIOLATION) })
}

/// The event behind a handle, referenced.
pub(super) fn find_event(caller: Caller<'_>, handle: u64) -> Result<Option<Arc<Object>>, NTSTATUS> {
    if handle == 0 {
        return Ok(None);
    }
    let (owner, value) = ob::locate(caller.kernel, caller.process, handle, caller.user_mode)?;
    let HandleEntry { object, granted, .. } = owner.handles.get(value).ok_or(abi::STATUS_INVALID_HANDLE)?;
    if object.object_type().name != "Event" || object.body.waits_on(&object).is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if caller.user_mode && granted & abi::EVENT_MODIFY_STATE == 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    if object.try_reference() { Ok(Some(object)) } else { Err(abi::STATUS_INVALID_HANDLE) }
}

fn let_go(kernel: &Kernel, object: Option<&Object>) {
    if let Some(object) = object {
        object.dereference(kernel);
    }
}

/// Waits for the end of a synchronous file's request.
fn wait_for_file(kernel: &Kernel, thread: &Thread, file: &File) -> Outcome<NTSTATUS> {
    let event = file.object.event().address();
    kernel.ke.wait_for_single_object(kernel, thread, event, ProcessorMode::Kernel, false, Timeout::Never)?;
    file.object.final_status().map(NTSTATUS::from_bits)
}

/// Gives the request its system buffer's bytes and its MDL, whose pages are locked. What a driver's buffered request brings
/// can be written. The status: that of a list in the system buffer that is not sound.
///
/// # Errors
/// An access violation.
fn bring(caller: Caller<'_>, operation: &Operation, request: &InFlight) -> Outcome<Result<(), NTSTATUS>> {
    let (from, length) = operation.copied_in();
    if length > 0 {
        raw::copy_within(request.buffer, from, length as usize)?;
    }
    if let Some((entries, length)) = operation.list() {
        let mut list = vec![0; length as usize];
        raw::copy_from(&mut list, request.buffer)?;
        if let Err((status, _)) = entries.check(&list) {
            return Ok(Err(status));
        }
    }
    if !caller.user_mode {
        let (to, length) = operation.copied_out();
        raw::touch(to, u64::from(length), true)?;
    }
    operation.describe(request)?;
    if request.mdl.is_null() {
        return Ok(Ok(()));
    }
    let user = Some(&caller.process.user_space);
    let for_writing = operation.is_for_writing();
    caller.kernel.mm.probe_and_lock(request.mdl, user, caller.user_mode, for_writing).map(Ok)
}

/// Sends the request. It tells its end unless it is refused at once.
fn send(caller: Caller<'_>, file: &File, operation: &Operation, mut pended: Pended) -> Outcome<NTSTATUS> {
    let Caller { kernel, process, thread, user_mode } = caller;
    let route = Route::of(kernel, thread, file).in_mode(user_mode);
    let (top, request) = match route.begin(operation.needs(), true) {
        Ok(begun) => begun,
        Err(status) => {
            pended.release(kernel);
            return Ok(status);
        }
    };
    let fail = |pended: Pended| {
        pended.release(kernel);
        let _no_driver_knows_it = packet::end_at_once(kernel, request, true);
    };
    match bring(caller, operation, &request) {
        Ok(Ok(())) => {}
        Ok(Err(status)) => {
            fail(pended);
            return Ok(status);
        }
        Err(unwind) => {
            fail(pended);
            return if user_mode { Ok(abi::STATUS_ACCESS_VIOLATION) } else { Err(unwind) };
        }
    }
    if !process.begin_request(kernel) {
        if user_mode {
            let _stopped = pended.release_mdls(kernel, request);
            fail(pended);
            return Ok(abi::STATUS_CANCELLED);
        }
        // A driver that cleans up in the context of a process that ends: nobody waits for its requests any more.
        pended.process = kernel.ps.system().clone();
        pended.process.begin_request(kernel);
    }
    let sent = pended.begin(kernel, request.irp).and_then(|()| {
        operation.fill(request.irp, request.location, &request)?;
        kernel.trace.emit(|| request::created(kernel, request.irp, top));
        let returned = dispatch::call_driver(kernel, top, request.irp)?;
        if user_mode {
            kernel.ke.leave_system_service(kernel, thread, request.irp.address())?;
        }
        Ok(returned)
    });
    match sent {
        Ok(abi::STATUS_PENDING) => {
            go_on(kernel, thread, request, pended);
            Ok(abi::STATUS_PENDING)
        }
        Ok(returned) if packet::is_completed(kernel) => {
            let refused = returned.is_error();
            let ended =
                if refused { pended.refuse(kernel, request) } else { pended.end(kernel, request, false) };
            let intact = packet::end_at_once(kernel, request, true) && ended.is_ok();
            Ok(if intact { returned } else { abi::STATUS_DEVICE_NOT_CONNECTED })
        }
        Ok(returned) => {
            kernel.trace.emit(|| request::forgotten(request.irp, top));
            pended.process.end_request(kernel);
            // Its driver may still look there.
            pended.auxiliary = 0;
            pended.release(kernel);
            let _kept = packet::end_at_once(kernel, request, false);
            Ok(returned)
        }
        Err(unwind) if user_mode => {
            pended.process.end_request(kernel);
            let _kept = packet::end_at_once(kernel, request, false);
            Ok(request::abandoned(kernel, request.irp, &unwind).status)
        }
        Err(unwind) => {
            pended.leave(kernel, top, request);
            Err(unwind)
        }
    }
}

/// The call returns, the request goes on; or it has ended meanwhile, on another thread, and is told here.
fn go_on(kernel: &Kernel, thread: &Thread, request: InFlight, pended: Pended) {
    let process = pended.process.clone();
    match packet::detach(kernel, request, pended) {
        Detached::GoesOn(packet) => {
            // Whoever ends the process has cancelled what had gone on by then.
            if process.is_terminating()
                && let Some(held) = packet.hold()
            {
                let _stopped = cancel::cancel_own(kernel, thread, request.irp);
                held.release(kernel);
            }
        }
        Detached::Completed(packet, pended) => {
            let _stopped = pended.end(kernel, request, true);
            packet::recycle(kernel, packet, request);
        }
    }
}

/// A request that went on has been completed: tells its end, in the context of its thread.
///
/// # Errors
/// What stopped the machine.
pub(super) fn complete(
    kernel: &Kernel,
    packet: Arc<packet::Packet>,
    request: InFlight,
    pended: Pended,
) -> Outcome<()> {
    let target = pended.thread.clone();
    kernel.ke.queue_special_apc(kernel, &target, move |kernel| {
        let ended = pended.end(kernel, request, true);
        packet::recycle(kernel, packet, request);
        ended
    })?;
    // It may be this thread's own.
    Kernel::with_current(|kernel, thread| kernel.ke.deliver_kernel_apcs(kernel, thread)).unwrap_or(Ok(()))
}

impl Pended {
    /// Makes sure that the file's completion port, if it has one, can be told.
    fn reserve(&mut self, kernel: &Kernel, file: &File) -> Result<(), NTSTATUS> {
        let Some(completion) = file.completion.get() else { return Ok(()) };
        if self.notice.apc_routine != 0 {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        if self.notice.apc_context != 0 {
            self.packet = Some(completion.reserve(kernel)?);
        }
        Ok(())
    }

    /// Before the driver sees the IRP: nothing has ended yet.
    fn begin(&self, kernel: &Kernel, irp: Irp) -> Outcome<()> {
        let event = self.event.as_ref().and_then(|event| event.body.waits_on(event));
        irp.set_user_iosb(self.notice.io_status_block)?;
        irp.set_user_event(event.unwrap_or(0))?;
        if let Some(event) = event {
            kernel.ke.clear_event(kernel, DispatcherHeader::at(event))?;
        }
        match self.file.body::<File>() {
            Some(file) => kernel.ke.clear_event(kernel, file.object.event()),
            None => Ok(()),
        }
    }

    /// Lets go of what it holds; nobody is told.
    fn release(self, kernel: &Kernel) {
        if self.auxiliary != 0 {
            super::free_own(kernel, self.auxiliary);
        }
        if let Some(packet) = self.packet {
            packet.release(kernel);
        }
        let_go(kernel, self.event.as_deref());
        super::dereference_later(kernel, &self.file);
    }

    fn release_mdls(&self, kernel: &Kernel, request: InFlight) -> Outcome<()> {
        if !request.mdl.is_null() {
            mdl::mdl_outcome(kernel, kernel.mm.unlock_pages(request.mdl))?;
        }
        mdl::release(kernel, request.irp, request.mdl)
    }

    /// The driver's frames were left by an exception, which goes on to the driver that has made the request. What has been completed
    /// ends as if the routine had returned then. What has not never will: the file is let go of, and the pages are unlocked;
    /// the IRP stays, since its driver may still know it.
    fn leave(mut self, kernel: &Kernel, top: DeviceObject, request: InFlight) {
        if packet::is_completed(kernel) {
            let refused = request.irp.status().is_ok_and(|status| NTSTATUS::from_bits(status).is_error());
            // What stops the machine here has its own report.
            let _stopped =
                if refused { self.refuse(kernel, request) } else { self.end(kernel, request, false) };
            let _overrun = packet::end_at_once(kernel, request, true);
            return;
        }
        kernel.trace.emit(|| request::forgotten(request.irp, top));
        let flags = if request.mdl.is_null() { Ok(0) } else { request.mdl.flags() };
        if flags.is_ok_and(|flags| flags & abi::MDL_PAGES_LOCKED.cast_unsigned() != 0) {
            let _stopped = mdl::mdl_outcome(kernel, kernel.mm.unlock_pages(request.mdl));
        }
        self.process.end_request(kernel);
        self.auxiliary = 0;
        self.release(kernel);
        let _kept = packet::end_at_once(kernel, request, false);
    }

    /// The request was refused at once: the caller's return value says it all.
    fn refuse(self, kernel: &Kernel, request: InFlight) -> Outcome<()> {
        let released = self.release_mdls(kernel, request);
        self.process.end_request(kernel);
        self.release(kernel);
        released
    }

    /// What NT's APC of I/O completion does: brings the data, writes the status block, signals, queues the user APC or the
    /// completion port's packet. `pended`: the call has returned STATUS_PENDING, or will.
    fn end(mut self, kernel: &Kernel, request: InFlight, pended: bool) -> Outcome<()> {
        let irp = request.irp;
        let mut status = NTSTATUS::from_bits(irp.status()?);
        let information = irp.information()?;
        let (address, length) = self.output;
        if length > 0 && !status.is_error() {
            let length = usize::try_from(information).unwrap_or(usize::MAX).min(length as usize);
            if raw::copy_within(address, request.buffer, length).is_err() {
                status = abi::STATUS_ACCESS_VIOLATION;
            }
        }
        let released = self.release_mdls(kernel, request);
        self.write_block(status, information);
        if let Some(file) = self.file.body::<File>() {
            file.object.set_final_status(status.bits())?;
            let skips = file.skips.load(Ordering::Relaxed);
            let skips_file = skips & abi::FILE_SKIP_SET_EVENT_ON_HANDLE != 0;
            if (self.event.is_none() && !skips_file) || file.synchronous {
                kernel.ke.set_event(kernel, file.object.event(), 0)?;
            }
            let skips_packet = skips & abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS != 0;
            if skips_packet
                && !pended
                && status.is_success()
                && let Some(packet) = self.packet.take()
            {
                packet.release(kernel);
            }
        }
        self.set_event(kernel)?;
        self.queue_apc(kernel);
        if let Some(packet) = self.packet.take() {
            packet.post(kernel, self.notice.apc_context, status, information)?;
        }
        let process = self.process.clone();
        self.release(kernel);
        process.tell_end(kernel);
        process.end_request(kernel);
        released
    }

    fn write_block(&self, status: NTSTATUS, information: u64) {
        // The status last: an application may look at it without waiting.
        let block = self.notice.io_status_block;
        let _given_back = raw::write(block.wrapping_add(IOSB_INFORMATION), information)
            .and_then(|()| raw::write(block, status.bits()));
    }

    fn set_event(&self, kernel: &Kernel) -> Outcome<()> {
        if let Some(event) = &self.event
            && let Some(object) = event.body.waits_on(event)
        {
            kernel.ke.set_event(kernel, DispatcherHeader::at(object), 0)?;
        }
        Ok(())
    }

    fn queue_apc(&self, kernel: &Kernel) {
        if self.notice.apc_routine == 0 {
            return;
        }
        let arguments = [self.notice.apc_context, self.notice.io_status_block, 0];
        let routine = self.notice.apc_routine;
        if self.user_mode {
            kernel.ke.queue_user_apc(kernel, &self.thread, UserApc { routine, arguments });
        } else {
            kernel.ke.queue_kernel_apc(kernel, &self.thread, KernelApc { routine, arguments });
        }
    }

    /// The request was answered without an IRP. An error is told by the returned status alone, as every one that is known
    /// when the call returns; success by block, event, APC and packet, unless the file's notification modes say otherwise. The
    /// file's own event and status are those of its last IRP. (Confirm: whether NT writes the block on an error too, and queues the
    /// APC; its pages tell of fast I/O what FILE_SKIP_SET_USER_EVENT_ON_FAST_IO leaves out.)
    ///
    /// Source: Win32, SetFileCompletionNotificationModes.
    fn tell_fast(mut self, kernel: &Kernel, file: &File, result: IoResult) -> Outcome<NTSTATUS> {
        let IoResult { status, information } = result;
        if status.is_error() || status == abi::STATUS_PENDING {
            self.release(kernel);
            return Ok(status);
        }
        self.write_block(status, information);
        let skips = file.skips.load(Ordering::Relaxed);
        if skips & abi::FILE_SKIP_SET_USER_EVENT_ON_FAST_IO == 0 {
            self.set_event(kernel)?;
        }
        self.queue_apc(kernel);
        let skips_packet = skips & abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS != 0 && status.is_success();
        if !skips_packet && let Some(packet) = self.packet.take() {
            packet.post(kernel, self.notice.apc_context, status, information)?;
        }
        self.release(kernel);
        Ok(status)
    }
}
