//! Requests that a driver makes itself, for another driver's device.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use abi::*;

use crate::bugcheck::guard;
use crate::nt::{
    ExFreePoolWithTag, IoBuildAsynchronousFsdRequest, IoBuildDeviceIoControlRequest,
    IoBuildSynchronousFsdRequest, IoFreeIrp, IoFreeMdl, IoGetDeviceObjectPointer, IoGetRelatedDeviceObject,
    IofCallDriver, KeInitializeEvent, MmUnlockPages, ObReferenceObjectByHandle, ObfDereferenceObject,
    ZwClose, ZwOpenFile,
};
use crate::remove_lock::{KeptGuard, RemoveLock};
use crate::section::ATTRIBUTES_LENGTH;
use crate::wait::{Waiter, wait};
use crate::{PassiveLevel, PoolBox, Tag, UnicodeStr, all_apcs_disabled};

/// Another driver's device, opened. Requests go to the top of its stack, as it is at that moment.
///
/// Dropping it waits for requests that are still under way, then gives the file back, and its driver sees that as
/// IRP_MJ_CLOSE. IRQL: PASSIVE_LEVEL, unless a method says otherwise.
///
/// Methods that wait panic inside a [`GuardedRegion`](crate::GuardedRegion), a [`FastMutex`](crate::FastMutex) or a spin lock: the
/// end of their request is an APC of the thread that waits.
pub struct Target {
    // First: dropping it waits.
    lock: RemoveLock,
    file: File,
    tag: Tag,
}

/// A referenced file object.
struct File(NonNull<FILE_OBJECT>);

// SAFETY: NT's functions on file objects may be called from any thread.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the reference of `IoGetDeviceObjectPointer`.
        unsafe { ObfDereferenceObject(self.0.as_ptr().cast()) };
    }
}

/// A request that its thread waits for: how it is told of its end.
struct Waited {
    event: KEVENT,
    block: IO_STATUS_BLOCK,
}

impl Target {
    /// Opens the device `name` for `access` (`FILE_READ_DATA` and its kin), by `IoGetDeviceObjectPointer`: its driver sees
    /// IRP_MJ_CREATE, and at once IRP_MJ_CLEANUP. `tag` is that of the memory it needs.
    ///
    /// # Errors
    ///
    /// What opening it fails with: STATUS_OBJECT_NAME_NOT_FOUND, STATUS_ACCESS_DENIED, the driver's own.
    pub fn open(tag: Tag, name: UnicodeStr<'_>, access: u32) -> Result<Self, NTSTATUS> {
        let lock = RemoveLock::new(tag)?;
        let (mut file, mut device) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: a valid string, and places for the results.
        let status =
            unsafe { IoGetDeviceObjectPointer(name.as_raw(), access, &raw mut file, &raw mut device) };
        match NonNull::new(file) {
            Some(file) if status.is_success() => Ok(Self { lock, file: File(file), tag }),
            _ if status.is_success() => Err(STATUS_INVALID_PARAMETER),
            _ => Err(status),
        }
    }

    /// As [`open`](Self::open), as far as the calling thread's user may: that of its process, or the client's that it
    /// [impersonates](crate::ClientSecurity::impersonate) (OBJ_FORCE_ACCESS_CHECK).
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); STATUS_BAD_IMPERSONATION_LEVEL for a client that may be looked at only.
    pub fn open_checked(
        _level: PassiveLevel,
        tag: Tag,
        name: UnicodeStr<'_>,
        access: u32,
    ) -> Result<Self, NTSTATUS> {
        let lock = RemoveLock::new(tag)?;
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: ATTRIBUTES_LENGTH,
            RootDirectory: ptr::null_mut(),
            ObjectName: name.as_raw().cast_mut(),
            Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE | OBJ_FORCE_ACCESS_CHECK,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let mut handle = ptr::null_mut();
        let mut block = MaybeUninit::<IO_STATUS_BLOCK>::zeroed();
        // SAFETY: valid for the call, which does not change the name.
        let status = unsafe {
            ZwOpenFile(
                &raw mut handle,
                access,
                &raw mut attributes,
                block.as_mut_ptr(),
                0,
                FILE_NON_DIRECTORY_FILE,
            )
        };
        if !status.is_success() {
            return Err(status);
        }
        let mut file = ptr::null_mut();
        // SAFETY: a kernel handle of this driver's own; a device's open is a file.
        let referenced = unsafe {
            ObReferenceObjectByHandle(handle, 0, ptr::null_mut(), KernelMode, &raw mut file, ptr::null_mut())
        };
        // SAFETY: as above. The reference keeps the file open, as with IoGetDeviceObjectPointer.
        unsafe { ZwClose(handle) };
        match NonNull::new(file.cast()) {
            Some(file) if referenced.is_success() => Ok(Self { lock, file: File(file), tag }),
            _ => Err(if referenced.is_success() { STATUS_INVALID_PARAMETER } else { referenced }),
        }
    }

    /// The top of the device's stack.
    pub(crate) fn top(&self) -> NonNull<DEVICE_OBJECT> {
        // SAFETY: a referenced file object.
        let top = unsafe { IoGetRelatedDeviceObject(self.file.0.as_ptr()) };
        // SAFETY: it has a device.
        unsafe { NonNull::new_unchecked(top) }
    }

    /// Has dropping the target wait for what this is kept with.
    pub(crate) fn keep(&self) -> Result<KeptGuard, NTSTATUS> {
        Ok(self.lock.acquire()?.keep())
    }

    /// For the locations of requests.
    pub(crate) fn file_object(&self) -> *mut FILE_OBJECT {
        self.file.0.as_ptr()
    }

    /// IRP_MJ_DEVICE_CONTROL, and waits; returns `Information`, the bytes of `output` that the driver wrote.
    ///
    /// Every method will do. For the direct ones `output` is the second buffer, which METHOD_OUT_DIRECT fills;
    /// [`control_with_data`](Self::control_with_data) has a form for METHOD_IN_DIRECT that leaves it alone. With METHOD_NEITHER the
    /// driver gets the addresses of `input` and `output` themselves: they are the system's, which mean the same in every
    /// thread, the request is the kernel's (`RequestorMode`), and this waits for its end, so they stay as long as it does. A
    /// driver that probes them as an application's all the same fails the request.
    ///
    /// # Errors
    ///
    /// The driver's status; STATUS_INSUFFICIENT_RESOURCES, also when the pages of a direct method cannot be locked.
    pub fn control(
        &self,
        _level: PassiveLevel,
        code: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, NTSTATUS> {
        let length = length_of(output)?;
        self.send_control(code, input, (output.as_mut_ptr(), length), FALSE)
    }

    /// As [`control`](Self::control), METHOD_IN_DIRECT: `data` is the second buffer, from which the driver reads. Returns
    /// `Information`.
    ///
    /// # Errors
    ///
    /// As for [`control`](Self::control); STATUS_INVALID_PARAMETER for another method.
    pub fn control_with_data(
        &self,
        _level: PassiveLevel,
        code: u32,
        input: &[u8],
        data: &[u8],
    ) -> Result<usize, NTSTATUS> {
        if METHOD_FROM_CTL_CODE(code) != METHOD_IN_DIRECT {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // Locked for reading alone.
        self.send_control(code, input, (data.as_ptr().cast_mut(), length_of(data)?), FALSE)
    }

    /// As [`control`](Self::control), IRP_MJ_INTERNAL_DEVICE_CONTROL.
    ///
    /// # Errors
    ///
    /// As for [`control`](Self::control).
    pub fn internal_control(
        &self,
        _level: PassiveLevel,
        code: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, NTSTATUS> {
        let length = length_of(output)?;
        self.send_control(code, input, (output.as_mut_ptr(), length), TRUE)
    }

    fn send_control(
        &self,
        code: u32,
        input: &[u8],
        (output, output_length): (*mut u8, u32),
        internal: BOOLEAN,
    ) -> Result<usize, NTSTATUS> {
        let input_length = length_of(input)?;
        let (input, output) = (input.as_ptr().cast_mut().cast(), output.cast());
        self.send_and_wait(|top, event, block| {
            // SAFETY: buffers, event and status block stay until the request has ended.
            unsafe {
                IoBuildDeviceIoControlRequest(
                    code,
                    top,
                    input,
                    input_length,
                    output,
                    output_length,
                    internal,
                    event,
                    block,
                )
            }
        })
    }

    /// IRP_MJ_READ, and waits; returns how many bytes were read.
    ///
    /// # Errors
    ///
    /// The driver's status; STATUS_INSUFFICIENT_RESOURCES.
    pub fn read(&self, _level: PassiveLevel, buffer: &mut [u8], offset: i64) -> Result<usize, NTSTATUS> {
        let length = length_of(buffer)?;
        self.transfer(IRP_MJ_READ, buffer.as_mut_ptr(), length, offset)
    }

    /// IRP_MJ_WRITE, and waits; returns how many bytes were written.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn write(&self, _level: PassiveLevel, data: &[u8], offset: i64) -> Result<usize, NTSTATUS> {
        let length = length_of(data)?;
        self.transfer(IRP_MJ_WRITE, data.as_ptr().cast_mut(), length, offset)
    }

    /// IRP_MJ_FLUSH_BUFFERS, and waits.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn flush(&self, _level: PassiveLevel) -> Result<(), NTSTATUS> {
        self.transfer(IRP_MJ_FLUSH_BUFFERS, ptr::null_mut(), 0, 0).map(drop)
    }

    fn transfer(&self, major: u8, buffer: *mut u8, length: u32, offset: i64) -> Result<usize, NTSTATUS> {
        self.send_and_wait(|top, event, block| {
            // SAFETY: buffer, event and status block stay until the request has ended; the offset is copied.
            unsafe {
                IoBuildSynchronousFsdRequest(
                    major.into(),
                    top,
                    buffer.cast(),
                    length,
                    &raw const offset,
                    event,
                    block,
                )
            }
        })
    }

    fn send_and_wait(
        &self,
        build: impl FnOnce(*mut DEVICE_OBJECT, *mut KEVENT, *mut IO_STATUS_BLOCK) -> *mut IRP,
    ) -> Result<usize, NTSTATUS> {
        // The end of such a request is an APC of its thread, which writes to this frame whenever it comes.
        assert!(!all_apcs_disabled(), "a request is made and waited for where APCs are held up");
        // SAFETY: all fields may be zero.
        let mut waited: Waited = unsafe { core::mem::zeroed() };
        let event = &raw mut waited.event;
        // SAFETY: on the kernel stack, which stays during a KernelMode wait.
        unsafe { KeInitializeEvent(event, NotificationEvent, FALSE) };
        let top = self.top().as_ptr();
        let irp =
            NonNull::new(build(top, event, &raw mut waited.block)).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let _filled = self.set_file(irp);
        // SAFETY: a request for this device, sent once; the I/O manager frees it.
        let mut status = unsafe { IofCallDriver(top, irp.as_ptr()) };
        if status == STATUS_PENDING {
            // SAFETY: initialised above.
            let _satisfied = unsafe { wait(event.cast(), Waiter::Driver, None) };
            // SAFETY: written before the event was set.
            status = unsafe { (&raw const waited.block.Status).read() };
        }
        if status.is_error() {
            return Err(status);
        }
        // SAFETY: written for every request that is no error.
        Ok(unsafe { (&raw const waited.block.Information).read() })
    }

    /// Names the file in the location of the first driver: those with contexts of their own look for it. Returns the
    /// location.
    fn set_file(&self, irp: NonNull<IRP>) -> NonNull<IO_STACK_LOCATION> {
        // SAFETY: an IRP that has not been sent.
        let tail = unsafe { (*irp.as_ptr()).Tail };
        // SAFETY: an IRP of the driver's uses the overlay.
        let overlay = unsafe { tail.Overlay };
        // SAFETY: it has a location for the device that it goes to.
        let first = unsafe { NonNull::new_unchecked(overlay.CurrentStackLocation.wrapping_sub(1)) };
        // SAFETY: as above.
        unsafe { (*first.as_ptr()).FileObject = self.file.0.as_ptr() };
        first
    }

    /// IRP_MJ_READ without waiting, for as many bytes as `buffer` has. `done` gets the buffer back with the number of bytes or the
    /// status, in any thread, at up to DISPATCH_LEVEL; it does not own the target, whose end would wait for it. IRQL: up to
    /// APC_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the request could not be made: then `done` is not called.
    pub fn read_later<D>(&self, buffer: PoolBox<[u8]>, offset: i64, done: D) -> Result<(), NTSTATUS>
    where
        D: FnOnce(PoolBox<[u8]>, Result<usize, NTSTATUS>) + Send + 'static,
    {
        self.transfer_later(IRP_MJ_READ, buffer, offset, done)
    }

    /// IRP_MJ_WRITE of `data` without waiting; otherwise as [`read_later`](Self::read_later).
    ///
    /// # Errors
    ///
    /// As for [`read_later`](Self::read_later).
    pub fn write_later<D>(&self, data: PoolBox<[u8]>, offset: i64, done: D) -> Result<(), NTSTATUS>
    where
        D: FnOnce(PoolBox<[u8]>, Result<usize, NTSTATUS>) + Send + 'static,
    {
        self.transfer_later(IRP_MJ_WRITE, data, offset, done)
    }

    fn transfer_later<D>(
        &self,
        major: u8,
        buffer: PoolBox<[u8]>,
        offset: i64,
        done: D,
    ) -> Result<(), NTSTATUS>
    where
        D: FnOnce(PoolBox<[u8]>, Result<usize, NTSTATUS>) + Send + 'static,
    {
        let guard = self.lock.acquire()?;
        let length = length_of(&buffer)?;
        let later = Later { under_way: guard.keep(), tag: self.tag, major, buffer, done };
        let mut later = PoolBox::new(self.tag, later)?;
        let address = later.buffer.as_mut_ptr().cast();
        let top = self.top().as_ptr();
        // SAFETY: the buffer stays until the completion routine has it; the offset is copied.
        let irp = unsafe {
            IoBuildAsynchronousFsdRequest(
                major.into(),
                top,
                address,
                length,
                &raw const offset,
                ptr::null_mut(),
            )
        };
        let irp = NonNull::new(irp).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let mut first = self.set_file(irp);
        // SAFETY: the location of an IRP that has not been sent.
        let first = unsafe { first.as_mut() };
        first.CompletionRoutine = Some(ended::<D>);
        first.Context = later.leak().as_ptr().cast();
        first.Control = SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL;
        // SAFETY: a request for this device, sent once; its completion routine frees it.
        let _told_by_the_routine = unsafe { IofCallDriver(top, irp.as_ptr()) };
        Ok(())
    }
}

/// What the completion routine of a request needs that nobody waits for.
struct Later<D> {
    under_way: KeptGuard,
    tag: Tag,
    major: u8,
    buffer: PoolBox<[u8]>,
    done: D,
}

/// The completion routine of [`Target::read_later`] and [`Target::write_later`].
unsafe extern "win64" fn ended<D>(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS
where
    D: FnOnce(PoolBox<[u8]>, Result<usize, NTSTATUS>) + Send + 'static,
{
    // SAFETY: a completion routine's IRP.
    let IRP { IoStatus: block, AssociatedIrp: associated, Flags: flags, MdlAddress: mdl, .. } =
        unsafe { *irp };
    // SAFETY: what `transfer_later` leaked.
    let later = unsafe { NonNull::new_unchecked(context.cast::<Later<D>>()) };
    // SAFETY: as above.
    let tag = unsafe { (*later.as_ptr()).tag };
    // SAFETY: as above, and used no more after this.
    let later = unsafe { PoolBox::from_leaked(later, tag) };
    let Later { under_way, major, mut buffer, done, .. } = later.into_inner();
    let result =
        if block.Status.is_error() { Err(block.Status) } else { Ok(block.Information.min(buffer.len())) };
    // SAFETY: not an associated IRP.
    let system_buffer = unsafe { associated.SystemBuffer };
    if flags & IRP_BUFFERED_IO != 0 && !system_buffer.is_null() {
        if let (IRP_MJ_READ, Ok(count)) = (major, result) {
            // SAFETY: the system buffer is as long as the buffer.
            unsafe { ptr::copy_nonoverlapping(system_buffer.cast(), buffer.as_mut_ptr(), count) };
        }
        // SAFETY: the driver frees it, whose request this is.
        unsafe { ExFreePoolWithTag(system_buffer, 0) };
    }
    // SAFETY: the MDLs of the driver's own request, whose pages are locked.
    unsafe { release_mdls(mdl) };
    // SAFETY: the driver's own IRP, which nobody else has.
    unsafe { IoFreeIrp(irp) };
    guard(|| done(buffer, result));
    drop(under_way);
    STATUS_MORE_PROCESSING_REQUIRED
}

/// Unlocks and frees the MDLs of a request that its driver frees: of a device with direct I/O it has one.
///
/// # Safety
///
/// `mdl` is null, or the first of the chain of a completed request's, whose pages are locked.
unsafe fn release_mdls(mut mdl: *mut MDL) {
    while !mdl.is_null() {
        // SAFETY: the caller's contract.
        let next = unsafe { (*mdl).Next };
        // SAFETY: the caller's contract.
        unsafe { MmUnlockPages(mdl) };
        // SAFETY: of the chain, and used no more.
        unsafe { IoFreeMdl(mdl) };
        mdl = next;
    }
}

fn length_of(bytes: &[u8]) -> Result<u32, NTSTATUS> {
    u32::try_from(bytes.len()).map_err(|_| STATUS_INVALID_PARAMETER)
}
