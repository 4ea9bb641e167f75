//! Win32's functions themselves.

mod file;
mod named_pipe;
mod protection;
mod token;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use abi::NTSTATUS;
use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    CM_GET_DEVICE_INTERFACE_LIST_PRESENT, CM_Get_Device_Interface_List_SizeW, CM_Get_Device_Interface_ListW,
    CM_MapCrToWin32Err, CR_BUFFER_SMALL, CR_SUCCESS,
};
use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_ALREADY_EXISTS, ERROR_IO_PENDING,
    GetLastError, HANDLE, INVALID_HANDLE_VALUE, SetLastError, WAIT_ABANDONED_0, WAIT_FAILED,
    WAIT_IO_COMPLETION, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{
    ReadFile, ReadFileEx, SetFileCompletionNotificationModes, WriteFile, WriteFileEx,
};
use windows_sys::Win32::System::IO::{
    CancelIo, CancelIoEx, CancelSynchronousIo, CreateIoCompletionPort, DeviceIoControl,
    GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, FlushViewOfFile, MEM_COMMIT, MEM_MAPPED, MEM_RELEASE,
    MEM_RESERVE, MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFileEx, OpenFileMappingW,
    PAGE_READONLY, PAGE_READWRITE, UnmapViewOfFile, VirtualAlloc, VirtualFree, VirtualQuery,
};
use windows_sys::Win32::System::Pipes::{ConnectNamedPipe, TransactNamedPipe};
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, GetCurrentThread, INFINITE, OpenEventW, PulseEvent, ResetEvent,
    SetEvent, SleepEx, WaitForMultipleObjectsEx,
};

use super::windows_filter::begin_get_message;
use super::{Apc, Bytes, Cancelled, EventChange, MOST_PACKETS, Notice, OVERLAPPED_SIZE, Packet, Start};
use crate::error::Win32Error;
use crate::wait::Waited;

pub(crate) use file::{
    FindHandle, create_directory, create_file, delete_file, disk_free_space, file_information, file_size,
    file_type, find_first_file, find_next_file, move_file, remove_directory, set_delete, set_end_of_file,
    set_file_pointer, set_volume_label, unlock, volume_information,
};
pub(crate) use named_pipe::{
    create_named_pipe, disconnect_named_pipe, flush, impersonate_named_pipe_client, named_pipe_info,
    named_pipe_process, named_pipe_state, peek_named_pipe, set_named_pipe_state, wait_named_pipe,
};
pub(crate) use protection::*;
pub(crate) use token::*;

const _: () = assert!(size_of::<OVERLAPPED>() == OVERLAPPED_SIZE as usize);
/// The lowest bit of `hEvent`: the file's completion port is not told.
const WITHOUT_PACKET: usize = 1;

/// Where the kernel is: on Windows it is Windows' own.
pub trait Transport: Send + Sync {}

/// Windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Win32;

impl Transport for Win32 {}

/// Why there is no connection: on Windows there always is one.
#[derive(Clone, Copy, Debug)]
pub enum ConnectError {}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, _formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl std::error::Error for ConnectError {}

/// Connects to Windows' own kernel: nothing to do.
///
/// # Errors
/// None.
pub fn connect() -> Result<Arc<dyn Transport>, ConnectError> {
    Ok(Arc::new(Win32))
}

/// A handle of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub usize);

impl Handle {
    /// What a driver gets that is passed this handle: 64 bits.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0 as u64
    }

    pub(super) fn raw(self) -> HANDLE {
        std::ptr::with_exposed_provenance_mut(self.0)
    }

    pub(super) fn of(handle: HANDLE) -> Self {
        Self(handle.expose_provenance())
    }
}

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    /// The status that the thread's last Win32 error came from.
    fn RtlGetLastNtStatus() -> i32;
}

pub(super) fn last_error(function: &'static str, subject: &str) -> Win32Error {
    // SAFETY: reads the thread's last error.
    let code = unsafe { GetLastError() };
    // SAFETY: reads the thread's last status.
    let last = NTSTATUS(unsafe { RtlGetLastNtStatus() });
    // An error that Win32 itself has found leaves an older status there.
    let status = if abi::win32_from_status(last) == code { last } else { abi::STATUS_UNSUCCESSFUL };
    Win32Error { code, status, function, subject: subject.to_owned(), bytes: 0 }
}

fn done(function: &'static str, result: i32) -> Result<(), Win32Error> {
    if result == 0 { Err(last_error(function, "")) } else { Ok(()) }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Rounded up, and never INFINITE.
fn milliseconds(timeout: Option<Duration>) -> u32 {
    let whole = |time: Duration| u32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(INFINITE - 1);
    timeout.map_or(INFINITE, |time| whole(time).min(INFINITE - 1))
}

fn length(bytes: &[u8], function: &'static str) -> Result<u32, Win32Error> {
    u32::try_from(bytes.len()).map_err(|_| Win32Error::new(function, "", abi::STATUS_INVALID_BUFFER_SIZE))
}

pub(crate) fn handle_value(handle: Handle) -> u64 {
    handle.0 as u64
}

pub(crate) fn close(_transport: &dyn Transport, handle: Handle) -> Result<(), Win32Error> {
    // SAFETY: takes a value.
    done("CloseHandle", unsafe { CloseHandle(handle.raw()) })
}

pub(crate) fn duplicate(_transport: &dyn Transport, handle: Handle) -> Result<Handle, Win32Error> {
    // SAFETY: a pseudo handle.
    let own = unsafe { GetCurrentProcess() };
    let mut made = null_mut();
    // SAFETY: `made` can be written.
    let result =
        unsafe { DuplicateHandle(own, handle.raw(), own, &raw mut made, 0, 0, DUPLICATE_SAME_ACCESS) };
    done("DuplicateHandle", result).map(|()| Handle::of(made))
}

/// What a synchronous call has transferred, also when it has failed with a warning.
fn transferred(function: &'static str, result: i32, bytes: u32) -> Result<u32, Win32Error> {
    if result == 0 { Err(Win32Error { bytes, ..last_error(function, "") }) } else { Ok(bytes) }
}

pub(crate) fn read(_transport: &dyn Transport, handle: Handle, buffer: &mut [u8]) -> Result<u32, Win32Error> {
    let room = length(buffer, "ReadFile")?;
    let mut bytes = 0;
    // SAFETY: the buffer has so many bytes.
    let result = unsafe { ReadFile(handle.raw(), buffer.as_mut_ptr(), room, &raw mut bytes, null_mut()) };
    transferred("ReadFile", result, bytes)
}

pub(crate) fn write(_transport: &dyn Transport, handle: Handle, data: &[u8]) -> Result<u32, Win32Error> {
    let size = length(data, "WriteFile")?;
    let mut bytes = 0;
    // SAFETY: the buffer has so many bytes.
    let result = unsafe { WriteFile(handle.raw(), data.as_ptr(), size, &raw mut bytes, null_mut()) };
    transferred("WriteFile", result, bytes)
}

pub(crate) fn control(
    _transport: &dyn Transport,
    handle: Handle,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<u32, Win32Error> {
    let (first, second) = (length(input, "DeviceIoControl")?, length(output, "DeviceIoControl")?);
    let (from, to) = (input.as_ptr().cast(), output.as_mut_ptr().cast());
    let mut bytes = 0;
    // SAFETY: both buffers have so many bytes.
    let result =
        unsafe { DeviceIoControl(handle.raw(), code, from, first, to, second, &raw mut bytes, null_mut()) };
    transferred("DeviceIoControl", result, bytes)
}

/// Pages of the process.
#[derive(Debug)]
pub(crate) struct Memory {
    address: usize,
    length: u32,
}

impl Memory {
    pub(crate) fn new(_transport: &dyn Transport, length: u32) -> Result<Self, Win32Error> {
        // SAFETY: new pages.
        let pages = unsafe {
            VirtualAlloc(null(), (length as usize).max(1), MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE)
        };
        if pages.is_null() {
            return Err(last_error("VirtualAlloc", ""));
        }
        Ok(Self { address: pages.expose_provenance(), length })
    }

    pub(crate) fn address(&self) -> u64 {
        self.address as u64
    }

    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    fn part(&self, start: u32, length: usize) -> *mut u8 {
        let end = (start as usize).checked_add(length);
        assert!(end.is_some_and(|end| end <= self.length as usize), "outside of the memory");
        std::ptr::with_exposed_provenance_mut(self.address + start as usize)
    }

    pub(crate) fn read(&self, start: u32, target: &mut [u8]) {
        let source = self.part(start, target.len());
        // SAFETY: inside the pages, which are there as long as `self`; any bytes are valid.
        unsafe { std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    }

    pub(crate) fn write(&mut self, start: u32, source: &[u8]) {
        let target = self.part(start, source.len());
        // SAFETY: inside the pages, which are this value's own.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
    }

    pub(crate) fn load(&self, start: u32) -> u32 {
        assert!(start.is_multiple_of(4), "a word lies on a multiple of four");
        let word = self.part(start, 4).cast::<u32>();
        // SAFETY: inside the pages, and aligned.
        let word = unsafe { AtomicU32::from_ptr(word) };
        word.load(Ordering::Acquire)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let pages = std::ptr::with_exposed_provenance_mut::<c_void>(self.address);
        // SAFETY: allocated by `new`, and used no more.
        let _cannot_fail = unsafe { VirtualFree(pages, 0, MEM_RELEASE) };
    }
}

thread_local! {
    /// Completion routines that have been called on this thread.
    static DUE: RefCell<VecDeque<Apc>> = const { RefCell::new(VecDeque::new()) };
}

/// What Windows calls in an alertable wait: notes it down.
unsafe extern "system" fn due(_error: u32, _bytes: u32, overlapped: *mut OVERLAPPED) {
    // SAFETY: the OVERLAPPED of a request that has ended, which is kept until its routine has run. For requests with a
    // routine `hEvent` is the application's.
    let routine = unsafe { (*overlapped).hEvent }.expose_provenance() as u64;
    let apc = Apc { routine, overlapped: overlapped.expose_provenance() as u64 };
    DUE.with_borrow_mut(|due| due.push_back(apc));
}

fn pointer<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or(0))
}

pub(crate) fn begin(
    _transport: &dyn Transport,
    handle: Handle,
    start: Start,
    notice: Notice,
) -> Result<(), Win32Error> {
    let overlapped = pointer::<OVERLAPPED>(notice.overlapped);
    let event = notice.event.map_or(0, |event| event.0);
    let event = match notice.routine {
        0 => event | if notice.without_packet { WITHOUT_PACKET } else { 0 },
        routine => usize::try_from(routine).unwrap_or(0),
    };
    let offset = match start {
        Start::Read { offset, .. } | Start::Write { offset, .. } | Start::Lock { offset, .. } => offset,
        Start::Control { .. }
        | Start::Connect
        | Start::Transact { .. }
        | Start::GetMessage { .. }
        | Start::DirectoryChanges { .. } => 0,
    };
    // SAFETY: memory of a request that has not begun.
    let filled = unsafe { &mut *overlapped };
    filled.hEvent = std::ptr::with_exposed_provenance_mut(event);
    filled.Anonymous.Pointer = pointer(offset);
    let file = handle.raw();
    let bytes = |bytes: Bytes| (pointer::<u8>(bytes.address), bytes.length);
    let ex = notice.routine != 0;
    let result = match start {
        Start::Read { buffer, .. } => {
            let (data, length) = bytes(buffer);
            if ex {
                // SAFETY: buffer and OVERLAPPED stay until the request has ended, and its routine has run.
                unsafe { ReadFileEx(file, data, length, overlapped, Some(due)) }
            } else {
                // SAFETY: buffer and OVERLAPPED stay until the request has ended.
                unsafe { ReadFile(file, data, length, null_mut(), overlapped) }
            }
        }
        Start::Write { buffer, .. } => {
            let (data, length) = bytes(buffer);
            if ex {
                // SAFETY: buffer and OVERLAPPED stay until the request has ended, and its routine has run.
                unsafe { WriteFileEx(file, data, length, overlapped, Some(due)) }
            } else {
                // SAFETY: buffer and OVERLAPPED stay until the request has ended.
                unsafe { WriteFile(file, data, length, null_mut(), overlapped) }
            }
        }
        Start::DirectoryChanges { .. } | Start::Lock { .. } => {
            // SAFETY: buffer and OVERLAPPED stay until the request has ended.
            unsafe { file::begin(handle.raw(), &start, overlapped) }
        }
        Start::Connect => {
            // SAFETY: the OVERLAPPED stays until the request has ended.
            unsafe { ConnectNamedPipe(file, overlapped) }
        }
        Start::Transact { input, output } => {
            let ((from, first), (to, second)) = (bytes(input), bytes(output));
            // SAFETY: buffers and OVERLAPPED stay until the request has ended.
            unsafe { TransactNamedPipe(file, from.cast(), first, to.cast(), second, null_mut(), overlapped) }
        }
        Start::Control { code, input, output } => {
            let ((from, first), (to, second)) = (bytes(input), bytes(output));
            // SAFETY: buffers and OVERLAPPED stay until the request has ended.
            unsafe {
                DeviceIoControl(file, code, from.cast(), first, to.cast(), second, null_mut(), overlapped)
            }
        }
        Start::GetMessage { buffer } => {
            let (data, length) = bytes(buffer);
            // SAFETY: buffer and OVERLAPPED stay until the request has ended.
            return unsafe { begin_get_message(file, data, length, overlapped) }.map_err(|code| Win32Error {
                code,
                status: abi::STATUS_UNSUCCESSFUL,
                function: start.function(),
                subject: String::new(),
                bytes: 0,
            });
        }
    };
    if result != 0 {
        return Ok(());
    }
    let error = last_error(start.function(), "");
    // A warning has ended the request in its call, with all that belongs to an end.
    let has_ended = error.status.is_warning();
    if error.code == ERROR_IO_PENDING || has_ended { Ok(()) } else { Err(error) }
}

pub(crate) fn cancel(_transport: &dyn Transport, handle: Handle, which: Cancelled) -> Result<(), Win32Error> {
    match which {
        // SAFETY: takes a value.
        Cancelled::Own => done("CancelIo", unsafe { CancelIo(handle.raw()) }),
        // SAFETY: no OVERLAPPED.
        Cancelled::All => done("CancelIoEx", unsafe { CancelIoEx(handle.raw(), null()) }),
        Cancelled::One(overlapped) => {
            // SAFETY: compared only.
            done("CancelIoEx", unsafe { CancelIoEx(handle.raw(), pointer(overlapped)) })
        }
    }
}

/// Whether calls can still succeed.
pub(crate) fn is_connected(_transport: &dyn Transport) -> bool {
    true
}

/// True besides the handle: it existed.
pub(crate) fn create_event(
    _transport: &dyn Transport,
    name: Option<&str>,
    manual_reset: bool,
    initial_state: bool,
) -> Result<(Handle, bool), Win32Error> {
    let path = name.map(wide);
    let path = path.as_ref().map_or(null(), |path| path.as_ptr());
    // SAFETY: success need not clear it.
    unsafe { SetLastError(0) };
    // SAFETY: a name with its terminating zero, or none.
    let event = unsafe { CreateEventW(null(), manual_reset.into(), initial_state.into(), path) };
    if event.is_null() {
        return Err(last_error("CreateEvent", name.unwrap_or_default()));
    }
    // SAFETY: reads the thread's last error.
    let existed = unsafe { GetLastError() } == ERROR_ALREADY_EXISTS;
    Ok((Handle::of(event), existed))
}

pub(crate) fn open_event(_transport: &dyn Transport, name: &str, access: u32) -> Result<Handle, Win32Error> {
    let path = wide(name);
    // SAFETY: a name with its terminating zero.
    let event = unsafe { OpenEventW(access, 0, path.as_ptr()) };
    if event.is_null() { Err(last_error("OpenEvent", name)) } else { Ok(Handle::of(event)) }
}

pub(crate) fn change_event(
    _transport: &dyn Transport,
    handle: Handle,
    change: EventChange,
) -> Result<(), Win32Error> {
    match change {
        // SAFETY: takes a value.
        EventChange::Set => done("SetEvent", unsafe { SetEvent(handle.raw()) }),
        // SAFETY: takes a value.
        EventChange::Reset => done("ResetEvent", unsafe { ResetEvent(handle.raw()) }),
        // SAFETY: takes a value.
        EventChange::Pulse => done("PulseEvent", unsafe { PulseEvent(handle.raw()) }),
    }
}

pub(crate) fn wait(
    _transport: &dyn Transport,
    handles: &[Handle],
    all: bool,
    alertable: bool,
    timeout: Option<Duration>,
) -> Result<Waited, Win32Error> {
    let raw: Vec<HANDLE> = handles.iter().map(|handle| handle.raw()).collect();
    let count = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    let time = milliseconds(timeout);
    // SAFETY: so many handles.
    let waited = unsafe { WaitForMultipleObjectsEx(count, raw.as_ptr(), all.into(), time, alertable.into()) };
    let index = |first: u32| (waited - first) as usize;
    match waited {
        WAIT_FAILED => Err(last_error("WaitForMultipleObjects", "")),
        WAIT_TIMEOUT => Ok(Waited::TimedOut),
        WAIT_IO_COMPLETION => Ok(Waited::CompletionRoutine),
        _ if waited >= WAIT_ABANDONED_0 => Ok(Waited::Abandoned(index(WAIT_ABANDONED_0))),
        _ => Ok(Waited::Signaled(index(WAIT_OBJECT_0))),
    }
}

/// `None` waits for ever.
pub(crate) fn sleep(
    _transport: &dyn Transport,
    alertable: bool,
    time: Option<Duration>,
) -> Result<Waited, Win32Error> {
    // SAFETY: takes values.
    let slept = unsafe { SleepEx(milliseconds(time), alertable.into()) };
    Ok(if slept == WAIT_IO_COMPLETION { Waited::CompletionRoutine } else { Waited::TimedOut })
}

/// The calling thread's oldest.
pub(crate) fn take_apc(_transport: &dyn Transport) -> Option<Apc> {
    DUE.with_borrow_mut(VecDeque::pop_front)
}

pub(crate) fn create_port(_transport: &dyn Transport, threads: u32) -> Result<Handle, Win32Error> {
    // SAFETY: takes values.
    let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, threads) };
    if port.is_null() { Err(last_error("CreateIoCompletionPort", "")) } else { Ok(Handle::of(port)) }
}

pub(crate) fn associate(
    _transport: &dyn Transport,
    port: Handle,
    file: Handle,
    key: u64,
) -> Result<(), Win32Error> {
    let key = usize::try_from(key).unwrap_or(usize::MAX);
    // SAFETY: takes values.
    let made = unsafe { CreateIoCompletionPort(file.raw(), port.raw(), key, 0) };
    done("CreateIoCompletionPort", i32::from(!made.is_null()))
}

pub(crate) fn post(
    _transport: &dyn Transport,
    port: Handle,
    key: u64,
    overlapped: u64,
    bytes: u32,
) -> Result<(), Win32Error> {
    let key = usize::try_from(key).unwrap_or(usize::MAX);
    // SAFETY: a number that nothing is read from.
    let posted = unsafe { PostQueuedCompletionStatus(port.raw(), bytes, key, pointer(overlapped)) };
    done("PostQueuedCompletionStatus", posted)
}

/// Waits for a packet, and takes as many as there are and `packets` has room for, at most [`MOST_PACKETS`]. 0: none came in time.
pub(crate) fn take_packets(
    _transport: &dyn Transport,
    port: Handle,
    packets: &mut [Packet],
    timeout: Option<Duration>,
) -> Result<usize, Win32Error> {
    let none = OVERLAPPED_ENTRY {
        lpCompletionKey: 0,
        lpOverlapped: null_mut(),
        Internal: 0,
        dwNumberOfBytesTransferred: 0,
    };
    let mut room = [none; MOST_PACKETS];
    let most = u32::try_from(packets.len().min(MOST_PACKETS)).unwrap_or(0);
    let (time, mut count) = (milliseconds(timeout), 0);
    // SAFETY: room for so many.
    let taken =
        unsafe { GetQueuedCompletionStatusEx(port.raw(), room.as_mut_ptr(), most, &raw mut count, time, 0) };
    if taken == 0 {
        let error = last_error("GetQueuedCompletionStatus", "");
        return if error.code == WAIT_TIMEOUT { Ok(0) } else { Err(error) };
    }
    for (place, entry) in packets.iter_mut().zip(&room[..count as usize]) {
        let overlapped = entry.lpOverlapped.expose_provenance() as u64;
        #[expect(clippy::cast_possible_truncation, reason = "a status has 32 bits")]
        let status = NTSTATUS::from_bits(entry.Internal as u32);
        let bytes = entry.dwNumberOfBytesTransferred.into();
        *place = Packet { key: entry.lpCompletionKey as u64, overlapped, status, bytes };
    }
    Ok(count as usize)
}

pub(crate) fn set_notification_modes(
    _transport: &dyn Transport,
    handle: Handle,
    flags: u32,
) -> Result<(), Win32Error> {
    let flags = u8::try_from(flags).unwrap_or(u8::MAX);
    // SAFETY: takes values.
    let set = unsafe { SetFileCompletionNotificationModes(handle.raw(), flags) };
    done("SetFileCompletionNotificationModes", set)
}

/// The calling thread, for others.
#[derive(Debug)]
pub(crate) struct ThreadHandle(Handle);

impl ThreadHandle {
    pub(crate) fn current(_transport: &dyn Transport) -> Result<Self, Win32Error> {
        // SAFETY: a pseudo handle.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: a pseudo handle.
        let thread = unsafe { GetCurrentThread() };
        let mut made = null_mut();
        // SAFETY: `made` can be written.
        let result =
            unsafe { DuplicateHandle(process, thread, process, &raw mut made, 0, 0, DUPLICATE_SAME_ACCESS) };
        done("DuplicateHandle", result).map(|()| Self(Handle::of(made)))
    }

    pub(crate) fn cancel_synchronous_io(&self, _transport: &dyn Transport) -> Result<(), Win32Error> {
        // SAFETY: takes a value.
        done("CancelSynchronousIo", unsafe { CancelSynchronousIo(self.0.raw()) })
    }
}

impl Drop for ThreadHandle {
    fn drop(&mut self) {
        // SAFETY: takes a value, which is this one's own.
        let _closed = unsafe { CloseHandle(self.0.raw()) };
    }
}

pub(crate) fn create_file_mapping(
    _transport: &dyn Transport,
    file: Option<Handle>,
    name: Option<&str>,
    size: u64,
    writable: bool,
) -> Result<(Handle, bool), Win32Error> {
    let full = name.map(wide);
    let name_pointer = full.as_ref().map_or(null(), |name| name.as_ptr());
    let [low, high] = [size & 0xFFFF_FFFF, size >> 32].map(|half| u32::try_from(half).unwrap_or(0));
    let protection = if writable { PAGE_READWRITE } else { PAGE_READONLY };
    let file = file.map_or(INVALID_HANDLE_VALUE, Handle::raw);
    // SAFETY: sets a value of the thread.
    unsafe { SetLastError(0) };
    // SAFETY: a name with its terminating zero, or none; the others are values.
    let handle = unsafe { CreateFileMappingW(file, null(), protection, high, low, name_pointer) };
    if handle.is_null() {
        return Err(last_error("CreateFileMapping", name.unwrap_or_default()));
    }
    // SAFETY: reads the thread's last error.
    Ok((Handle::of(handle), unsafe { GetLastError() } == ERROR_ALREADY_EXISTS))
}

fn map_access(writable: bool) -> u32 {
    FILE_MAP_READ | if writable { FILE_MAP_WRITE } else { 0 }
}

pub(crate) fn open_file_mapping(
    _transport: &dyn Transport,
    name: &str,
    writable: bool,
) -> Result<Handle, Win32Error> {
    let full = wide(name);
    // SAFETY: a name with its terminating zero.
    let handle = unsafe { OpenFileMappingW(map_access(writable), 0, full.as_ptr()) };
    if handle.is_null() { Err(last_error("OpenFileMapping", name)) } else { Ok(Handle::of(handle)) }
}

pub(crate) fn device_interfaces(
    _transport: &dyn Transport,
    class: &abi::GUID,
) -> Result<Vec<String>, Win32Error> {
    let class = windows_sys::core::GUID {
        data1: class.Data1,
        data2: class.Data2,
        data3: class.Data3,
        data4: class.Data4,
    };
    let failed = |result| {
        // SAFETY: takes numbers.
        let code = unsafe { CM_MapCrToWin32Err(result, abi::ERROR_GEN_FAILURE) };
        Win32Error {
            code,
            status: abi::STATUS_UNSUCCESSFUL,
            function: "CM_Get_Device_Interface_List",
            subject: String::new(),
            bytes: 0,
        }
    };
    loop {
        let (mut length, none) = (0, null());
        let flags = CM_GET_DEVICE_INTERFACE_LIST_PRESENT;
        // SAFETY: places on the stack.
        let sized =
            unsafe { CM_Get_Device_Interface_List_SizeW(&raw mut length, &raw const class, none, flags) };
        if sized != CR_SUCCESS {
            return Err(failed(sized));
        }
        let mut list = vec![0_u16; length as usize];
        let room = list.as_mut_ptr();
        // SAFETY: room for as many units as are named.
        let listed = unsafe { CM_Get_Device_Interface_ListW(&raw const class, none, room, length, flags) };
        match listed {
            // One came meanwhile.
            CR_BUFFER_SMALL => {}
            CR_SUCCESS => {
                let names = list.split(|unit| *unit == 0).filter(|name| !name.is_empty());
                return Ok(names.map(String::from_utf16_lossy).collect());
            }
            listed => return Err(failed(listed)),
        }
    }
}

/// Address and length of the view.
pub(crate) fn map_view(
    _transport: &dyn Transport,
    mapping: Handle,
    offset: u64,
    size: u64,
    writable: bool,
    base: u64,
) -> Result<(u64, u64), Win32Error> {
    let [low, high] = [offset & 0xFFFF_FFFF, offset >> 32].map(|half| u32::try_from(half).unwrap_or(0));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let place = pointer::<c_void>(base);
    // SAFETY: the system finds the place, or takes one where nothing is.
    let view = unsafe { MapViewOfFileEx(mapping.raw(), map_access(writable), high, low, size, place) };
    if view.Value.is_null() {
        return Err(last_error("MapViewOfFileEx", ""));
    }
    let address = view.Value.expose_provenance() as u64;
    let region = query(address).map_or(0, |region| region.RegionSize as u64);
    Ok((address, region))
}

/// What is at an address.
fn query(address: u64) -> Option<MEMORY_BASIC_INFORMATION> {
    let mut region = MEMORY_BASIC_INFORMATION::default();
    let size = size_of::<MEMORY_BASIC_INFORMATION>();
    // SAFETY: `region` has so many bytes.
    let written = unsafe { VirtualQuery(pointer::<c_void>(address), &raw mut region, size) };
    (written == size).then_some(region)
}

pub(crate) fn unmap_view(_transport: &dyn Transport, address: u64) -> Result<(), Win32Error> {
    let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: pointer(address) };
    // SAFETY: a view of this room's, which is used no more.
    done("UnmapViewOfFile", unsafe { UnmapViewOfFile(view) })
}

pub(crate) fn flush_view(_transport: &dyn Transport, address: u64, length: u64) -> Result<(), Win32Error> {
    let length = usize::try_from(length).unwrap_or(0);
    // SAFETY: writes pages to a file, whatever is there.
    done("FlushViewOfFile", unsafe { FlushViewOfFile(pointer::<c_void>(address), length) })
}

/// Access to what is shown to the process.
#[derive(Debug)]
pub(crate) struct Shown {
    address: u64,
    length: u64,
}

impl Shown {
    /// Only of committed pages that no allocator of the process hands out: mapped ones.
    pub(crate) fn at(_transport: &dyn Transport, address: u64, length: u64) -> Result<Self, Win32Error> {
        let refused = || Win32Error::new("access to a view", "", abi::STATUS_ACCESS_VIOLATION);
        let end = address.checked_add(length).ok_or_else(refused)?;
        let mut at = address;
        while at < end {
            let region = query(at).ok_or_else(refused)?;
            // Memory that a driver maps is told as private or as mapped pages; pages of images are neither.
            let is_private = region.Type == windows_sys::Win32::System::Memory::MEM_PRIVATE;
            if region.State != MEM_COMMIT || !(region.Type == MEM_MAPPED || is_private) {
                return Err(refused());
            }
            at = region.BaseAddress.expose_provenance() as u64 + region.RegionSize as u64;
        }
        Ok(Self { address, length })
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    #[inline]
    fn place<T>(&self, start: u64, length: u64) -> *mut T {
        let fits = start.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(fits, "{length} bytes at {start} are outside of a view of {}", self.length);
        let place = pointer::<T>(self.address + start);
        assert!(place.is_aligned(), "a number lies at a multiple of its size");
        place
    }

    #[inline]
    pub(crate) fn read(&self, start: u64, target: &mut [u8]) -> Result<(), Win32Error> {
        let source = self.place::<u8>(start, target.len() as u64);
        // SAFETY: shown to the process by a driver or a mapping, as found by `at`; any bytes are valid.
        unsafe { std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
        Ok(())
    }

    #[inline]
    pub(crate) fn write(&self, start: u64, source: &[u8]) -> Result<(), Win32Error> {
        let target = self.place::<u8>(start, source.len() as u64);
        // SAFETY: as in `read`; no Rust value lives there.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
        Ok(())
    }

    #[inline]
    pub(crate) fn load_u32(&self, start: u64) -> Result<u32, Win32Error> {
        // SAFETY: as in `read`, and aligned.
        let number = unsafe { AtomicU32::from_ptr(self.place(start, 4)) };
        Ok(number.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn store_u32(&self, start: u64, value: u32) -> Result<(), Win32Error> {
        // SAFETY: as in `write`, and aligned.
        let number = unsafe { AtomicU32::from_ptr(self.place(start, 4)) };
        number.store(value, Ordering::Release);
        Ok(())
    }

    #[inline]
    pub(crate) fn load_u64(&self, start: u64) -> Result<u64, Win32Error> {
        // SAFETY: as in `read`, and aligned.
        let number = unsafe { AtomicU64::from_ptr(self.place(start, 8)) };
        Ok(number.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn store_u64(&self, start: u64, value: u64) -> Result<(), Win32Error> {
        // SAFETY: as in `write`, and aligned.
        let number = unsafe { AtomicU64::from_ptr(self.place(start, 8)) };
        number.store(value, Ordering::Release);
        Ok(())
    }
}
