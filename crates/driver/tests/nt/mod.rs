//! Just enough of NT to call a driver's entry points on one thread and see what it asks for. What the calls mean is the
//! kernel's business and tested there; here they are recorded.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::mem::zeroed;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{ptr, slice, thread};

use ringbridge_driver::abi::*;

/// What the driver asked of NT, on this thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    CreateDevice {
        name: String,
        device_type: u32,
        characteristics: u32,
        exclusive: bool,
    },
    LookUp(String),
    DeleteDevice,
    CreateLink(String, String),
    DeleteLink(String),
    Complete {
        status: NTSTATUS,
        information: usize,
        boost: i8,
    },
    /// Not NT's: something that the test's driver did.
    Note(&'static str),
}

thread_local! {
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
    static DEBUGGER: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static POOL_BLOCKS: Cell<usize> = const { Cell::new(0) };
    static MARKED: Cell<bool> = const { Cell::new(false) };
    static POOL_FAILS: Cell<bool> = const { Cell::new(false) };
    static STOPPED: RefCell<Option<Sender<Stop>>> = const { RefCell::new(None) };
}

/// Calls since the last time.
pub(crate) fn calls() -> Vec<Call> {
    CALLS.take()
}

pub(crate) fn note(what: &'static str) {
    record(Call::Note(what));
}

/// Texts that went to the debugger since the last time, one a `DbgPrint`.
pub(crate) fn debugger() -> Vec<String> {
    DEBUGGER.take()
}

/// Pool blocks that this thread has allocated and not freed.
pub(crate) fn pool_blocks() -> usize {
    POOL_BLOCKS.get()
}

pub(crate) fn let_pool_fail(fail: bool) {
    POOL_FAILS.set(fail);
}

/// A bug check, and what happened on its thread before.
pub(crate) struct Stop {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) calls: Vec<Call>,
}

/// Runs `code`, which must bug check, on a thread that stops there.
pub(crate) fn bug_check_of(code: impl FnOnce() + Send + 'static) -> Stop {
    let (stopped, stop): (_, Receiver<Stop>) = channel();
    thread::spawn(move || {
        STOPPED.set(Some(stopped));
        code();
        STOPPED.take();
    });
    stop.recv().expect("the code came back without a bug check")
}

fn record(call: Call) {
    CALLS.with_borrow_mut(|calls| calls.push(call));
}

fn text(string: *const UNICODE_STRING) -> String {
    // SAFETY: null, or valid during the call.
    unsafe { ringbridge_driver::UnicodeStr::from_raw(string) }.to_string()
}

/// A driver object whose table has no entries yet.
pub(crate) fn driver_object() -> Box<DRIVER_OBJECT> {
    // SAFETY: all fields may be zero.
    Box::new(unsafe { zeroed() })
}

/// Calls the driver's entry point.
pub(crate) fn load(driver: &mut DRIVER_OBJECT, entry: DRIVER_INITIALIZE, registry_path: &str) -> NTSTATUS {
    let units: Vec<u16> = registry_path.encode_utf16().collect();
    let length = u16::try_from(units.len() * 2).unwrap();
    let mut path =
        UNICODE_STRING { Length: length, MaximumLength: length, Buffer: units.as_ptr().cast_mut() };
    // SAFETY: a driver object and a registry path, as the I/O manager passes them.
    unsafe { entry.unwrap()(driver, &raw mut path) }
}

/// Calls the driver's unload routine.
pub(crate) fn unload(driver: &mut DRIVER_OBJECT) {
    let routine = driver.DriverUnload.unwrap();
    // SAFETY: a loaded driver, whose devices nobody uses.
    unsafe { routine(driver) };
}

/// Dispatches one request to the driver's newest device. `buffer` is the system buffer.
pub(crate) fn send(
    driver: &mut DRIVER_OBJECT,
    major: u8,
    parameters: IO_STACK_LOCATION_PARAMETERS,
    buffer: Option<&mut [u8]>,
) -> NTSTATUS {
    send_changed(driver, major, parameters, buffer, |_irp, _stack| ())
}

/// As [`send`], of a request that is `changed` before.
pub(crate) fn send_changed(
    driver: &mut DRIVER_OBJECT,
    major: u8,
    parameters: IO_STACK_LOCATION_PARAMETERS,
    buffer: Option<&mut [u8]>,
    changed: impl FnOnce(&mut IRP, &mut IO_STACK_LOCATION),
) -> NTSTATUS {
    let routine = driver.MajorFunction[usize::from(major)].expect("the driver serves this major function");
    // Never freed: it may have been put aside.
    // SAFETY: all fields may be zero.
    let stack: &mut IO_STACK_LOCATION = Box::leak(Box::new(unsafe { zeroed() }));
    stack.MajorFunction = major;
    stack.Parameters = parameters;
    stack.DeviceObject = driver.DeviceObject;
    // SAFETY: all fields may be zero.
    let irp: &mut IRP = Box::leak(Box::new(unsafe { zeroed() }));
    irp.AssociatedIrp.SystemBuffer = buffer.map_or(ptr::null_mut(), <[u8]>::as_mut_ptr).cast();
    changed(irp, stack);
    let stack = ptr::from_mut(stack);
    irp.Tail.Overlay.CurrentStackLocation = stack;
    // SAFETY: a device of the driver, and an IRP for it.
    let status = unsafe { routine(driver.DeviceObject, irp) };
    // SAFETY: as made above.
    let control = unsafe { (*stack).Control };
    MARKED.set(control & SL_PENDING_RETURNED != 0);
    status
}

/// Whether the IRP that was dispatched last was marked pending.
pub(crate) fn was_marked() -> bool {
    MARKED.get()
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_MmGetSystemRoutineAddress(name: *const UNICODE_STRING) -> *mut c_void {
    record(Call::LookUp(text(name)));
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_IoCreateDevice(
    driver: *mut DRIVER_OBJECT,
    extension: u32,
    name: *const UNICODE_STRING,
    device_type: u32,
    characteristics: u32,
    exclusive: BOOLEAN,
    created: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let exclusive = exclusive != FALSE;
    record(Call::CreateDevice { name: text(name), device_type, characteristics, exclusive });
    let size = size_of::<DEVICE_OBJECT>() + extension as usize;
    // SAFETY: not empty.
    let device = unsafe { alloc_zeroed(Layout::from_size_align(size, 16).unwrap()) }.cast::<DEVICE_OBJECT>();
    // SAFETY: zeroed memory of the right size is a device object.
    let object = unsafe { &mut *device };
    object.Size = u16::try_from(size).unwrap();
    object.DeviceExtension = device.wrapping_add(1).cast();
    // SAFETY: the caller's driver object.
    let driver = unsafe { &mut *driver };
    object.NextDevice = driver.DeviceObject;
    driver.DeviceObject = device;
    object.DriverObject = driver;
    // SAFETY: the caller's variable.
    unsafe { *created = device };
    STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_IoDeleteDevice(device: *mut DEVICE_OBJECT) {
    record(Call::DeleteDevice);
    // SAFETY: made above.
    let object = unsafe { &mut *device };
    // SAFETY: the driver object lives as long as the test.
    let driver = unsafe { &mut *object.DriverObject };
    assert_eq!(driver.DeviceObject, device, "devices are deleted newest first");
    driver.DeviceObject = object.NextDevice;
    let layout = Layout::from_size_align(usize::from(object.Size), 16).unwrap();
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(device.cast(), layout) };
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_IoCreateSymbolicLink(
    link: *const UNICODE_STRING,
    device: *const UNICODE_STRING,
) -> NTSTATUS {
    if text(link).ends_with("Taken") {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    record(Call::CreateLink(text(link), text(device)));
    STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_IoDeleteSymbolicLink(link: *const UNICODE_STRING) -> NTSTATUS {
    record(Call::DeleteLink(text(link)));
    STATUS_SUCCESS
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_IofCompleteRequest(irp: *mut IRP, boost: i8) {
    // SAFETY: the request of `send`.
    let IO_STATUS_BLOCK { Status: status, Information: information } = unsafe { (*irp).IoStatus };
    // SAFETY: as above.
    let tail = unsafe { (*irp).Tail };
    // SAFETY: a request in a dispatch routine uses the tail's overlay.
    let stack = unsafe { tail.Overlay }.CurrentStackLocation;
    // SAFETY: as above.
    if unsafe { (*stack).Control } & SL_PENDING_RETURNED != 0 {
        note("marked pending");
    }
    record(Call::Complete { status, information, boost });
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_ObfReferenceObject(_object: *mut c_void) -> isize {
    unreachable!("requests here have no file object")
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_ObfDereferenceObject(_object: *mut c_void) -> isize {
    unreachable!("requests here have no file object")
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_ExAllocatePoolWithTag(
    kind: POOL_TYPE,
    bytes: usize,
    tag: u32,
) -> *mut c_void {
    assert_eq!(kind, NonPagedPoolNx);
    assert_ne!(bytes, 0, "drivers do not allocate nothing");
    if POOL_FAILS.get() {
        return ptr::null_mut();
    }
    POOL_BLOCKS.set(POOL_BLOCKS.get() + 1);
    // SAFETY: not empty.
    let block = unsafe { alloc_zeroed(Layout::from_size_align(bytes + 16, 16).unwrap()) }.cast::<usize>();
    // SAFETY: room for both in front of the caller's bytes.
    unsafe { block.cast::<[usize; 2]>().write([bytes, tag as usize]) };
    block.wrapping_add(2).cast()
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_ExFreePoolWithTag(memory: *mut c_void, tag: u32) {
    let block = memory.cast::<usize>().wrapping_sub(2);
    // SAFETY: written above.
    let [bytes, owner] = unsafe { block.cast::<[usize; 2]>().read() };
    assert_eq!(owner, tag as usize, "a block is freed under its own tag");
    POOL_BLOCKS.set(POOL_BLOCKS.get() - 1);
    // SAFETY: allocated above with this layout.
    unsafe { dealloc(block.cast(), Layout::from_size_align(bytes + 16, 16).unwrap()) };
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_MmMapLockedPagesSpecifyCache(
    _mdl: *mut MDL,
    mode: KPROCESSOR_MODE,
    _cache: MEMORY_CACHING_TYPE,
    _address: *mut c_void,
    _bug_check: u32,
    _priority: u32,
) -> *mut c_void {
    assert_eq!(mode, KernelMode);
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
    // SAFETY: the lock is the driver's, and only touched here.
    let lock = unsafe { AtomicUsize::from_ptr(lock) };
    assert_eq!(lock.swap(1, Ordering::Acquire), 0, "one thread takes a spin lock twice");
    PASSIVE_LEVEL
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL) {
    // SAFETY: the lock is the driver's, and only touched here.
    let lock = unsafe { AtomicUsize::from_ptr(lock) };
    assert_eq!(lock.swap(0, Ordering::Release), 1, "a free spin lock is released");
    assert_eq!(irql, PASSIVE_LEVEL);
    note("spin lock released");
}

// Rust cannot define a variadic function; Win64 passes these two arguments alike either way.
#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_DbgPrint(format: *const c_char, argument: *const c_char) -> u32 {
    // SAFETY: a string that ends in 0.
    let format = unsafe { CStr::from_ptr(format) };
    // SAFETY: as above.
    let argument = unsafe { CStr::from_ptr(argument) };
    assert_eq!(format, c"%s", "text is no format");
    DEBUGGER.with_borrow_mut(|texts| texts.push(argument.to_str().unwrap().to_owned()));
    0
}

#[unsafe(no_mangle)]
extern "win64" fn ringbridge_nt_KeBugCheckEx(code: u32, text: usize, length: usize, _: usize, _: usize) -> ! {
    // SAFETY: RUST_PANIC's first two parameters are UTF-8 text.
    let text = unsafe { slice::from_raw_parts(text as *const u8, length) };
    let message = String::from_utf8(text.to_vec()).unwrap();
    if let Some(stopped) = STOPPED.take() {
        let _ = stopped.send(Stop { code, message, calls: calls() });
    }
    loop {
        thread::park();
    }
}

/// Routines that filters, and requests of the driver's own, call: the tests here have none.
macro_rules! not_called {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "win64" fn $name() {
            unreachable!("{} is not called by these tests", stringify!($name));
        }
    )*};
}

not_called! {
    ringbridge_nt_IofCallDriver ringbridge_nt_IoAttachDeviceToDeviceStackSafe ringbridge_nt_IoDetachDevice
    ringbridge_nt_IoGetDeviceObjectPointer ringbridge_nt_IoGetRelatedDeviceObject
    ringbridge_nt_IoBuildDeviceIoControlRequest ringbridge_nt_IoBuildSynchronousFsdRequest
    ringbridge_nt_IoBuildAsynchronousFsdRequest ringbridge_nt_IoFreeIrp ringbridge_nt_IoInitializeRemoveLockEx
    ringbridge_nt_IoAcquireRemoveLockEx ringbridge_nt_IoReleaseRemoveLockEx
    ringbridge_nt_IoReleaseRemoveLockAndWaitEx ringbridge_nt_KeInitializeEvent ringbridge_nt_KeSetEvent
    ringbridge_nt_KeWaitForSingleObject ringbridge_nt_IoCsqInitialize ringbridge_nt_IoCsqInsertIrp
    ringbridge_nt_IoCsqRemoveNextIrp
}
