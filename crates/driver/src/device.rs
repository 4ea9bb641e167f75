//! Device objects with a typed context in the device extension, and their names.

use core::cell::Cell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem;
use core::ptr::{self, NonNull};

use abi::{
    BOOLEAN, DEVICE_OBJECT, DEVICE_TYPE, DO_POWER_PAGABLE, DRIVER_OBJECT, FILE_DEVICE_SECURE_OPEN,
    FILE_DEVICE_UNKNOWN, GUID, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_PROCEDURE_NOT_FOUND, TRUE,
    UNICODE_STRING,
};

use crate::nt::{
    IoCreateDevice, IoCreateSymbolicLink, IoDeleteDevice, IoDeleteSymbolicLink, IoDetachDevice,
    IoSetStartIoAttributes, MmGetSystemRoutineAddress,
};
use crate::physical::PhysicalDevice;
use crate::pool::POOL_ALIGNMENT;
use crate::remove_lock::RawRemoveLock;
use crate::stack::{self, Vtable};
use crate::{Dispatch, Driver, DriverObject, Mode, UnicodeStr, utf16};

/// What the extension of every device begins with.
#[repr(C)]
pub(crate) struct Header {
    /// Of a filter's device; none for the devices of [`Driver::Device`].
    pub(crate) filter: Option<&'static Vtable>,
    /// The device that it is attached to: written by the I/O manager before the first request comes. Null for a device that
    /// is attached to none.
    lower: Cell<*mut DEVICE_OBJECT>,
    /// Of an attached device, which requests reach that nothing else keeps it for. Acquired for each request that is under
    /// way here, and for a filter also for those that will come back.
    pub(crate) lock: RawRemoveLock,
    /// Of the device of a driver with a StartIo routine: acquired for its current request.
    pub(crate) turns: RawRemoveLock,
    /// Whether `turns` is in use.
    starts: Cell<bool>,
    /// Whether `lock` lets nobody in any more, and all have left.
    drained: Cell<bool>,
    /// The device that the same call of AddDevice has created before.
    pub(crate) earlier: Cell<Option<NonNull<DEVICE_OBJECT>>>,
}

impl Header {
    pub(crate) const fn new(filter: Option<&'static Vtable>) -> Self {
        Self {
            filter,
            lower: Cell::new(ptr::null_mut()),
            lock: RawRemoveLock::uninitialised(),
            turns: RawRemoveLock::uninitialised(),
            starts: Cell::new(false),
            drained: Cell::new(false),
            earlier: Cell::new(None),
        }
    }

    /// Keeps the device's context until the value is dropped; STATUS_DELETE_PENDING when the device was detached.
    ///
    /// # Safety
    ///
    /// A request keeps the device. One that is attached to none is kept by its requests altogether.
    pub(crate) unsafe fn enter(&self, tag: *mut c_void) -> Result<Entered<'_>, NTSTATUS> {
        let lock = self.lower().map(|_| &self.lock);
        if let Some(lock) = lock {
            // SAFETY: initialised before the device was attached.
            unsafe { lock.acquire(tag) }?;
        }
        Ok(Entered { lock, tag })
    }

    /// The device below, if this one was attached to any.
    pub(crate) fn lower(&self) -> Option<NonNull<DEVICE_OBJECT>> {
        NonNull::new(self.lower.get())
    }

    /// Where the I/O manager writes it.
    pub(crate) fn place_of_lower(&self) -> *mut *mut DEVICE_OBJECT {
        self.lower.as_ptr()
    }
}

/// Somebody uses the context of a device.
pub(crate) struct Entered<'a> {
    /// Of an attached device.
    lock: Option<&'a RawRemoveLock>,
    tag: *mut c_void,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(lock) = self.lock {
            // SAFETY: acquired in `enter`.
            unsafe { lock.release(self.tag) };
        }
    }
}

/// # Safety
///
/// `device` was created through this crate, and is not deleted during `'a`.
pub(crate) unsafe fn header<'a>(device: *mut DEVICE_OBJECT) -> &'a Header {
    // SAFETY: the caller's contract.
    let header = unsafe { (*device).DeviceExtension }.cast::<Header>();
    // SAFETY: every extension begins with one.
    unsafe { &*header }
}

/// What the SDK keeps in the device extension. Fields are dropped in this order: the name that applications use goes
/// first, so that nobody finds a device whose context is gone.
#[repr(C)]
struct Extension<C> {
    header: Header,
    link: Option<SymbolicLink>,
    context: C,
}

/// A symbolic link that goes when its owner does.
struct SymbolicLink {
    name: UnicodeStr<'static>,
}

impl SymbolicLink {
    fn new(name: UnicodeStr<'static>, device_name: UnicodeStr<'_>) -> Result<Self, NTSTATUS> {
        // SAFETY: both strings are valid during the call, and the I/O manager copies them.
        let status = unsafe { IoCreateSymbolicLink(name.as_raw(), device_name.as_raw()) };
        if status.is_success() { Ok(Self { name }) } else { Err(status) }
    }
}

impl Drop for SymbolicLink {
    fn drop(&mut self) {
        // SAFETY: a valid string. A failure means that somebody else removed the link, which leaves nothing to do.
        let _ = unsafe { IoDeleteSymbolicLink(self.name.as_raw()) };
    }
}

/// A device that is about to be created; [`DriverObject::device`] starts one.
#[must_use = "`create` creates the device"]
pub struct DeviceBuilder<'d, D: Driver> {
    driver: &'d DriverObject<D>,
    context: D::Device,
    name: Option<UnicodeStr<'static>>,
    symbolic_link: Option<UnicodeStr<'static>>,
    device_type: DEVICE_TYPE,
    characteristics: u32,
    exclusive: bool,
    sddl: Option<UnicodeStr<'static>>,
    physical: Option<NonNull<DEVICE_OBJECT>>,
}

impl<'d, D: Driver> DeviceBuilder<'d, D> {
    pub(crate) fn new(driver: &'d DriverObject<D>, context: D::Device) -> Self {
        Self {
            driver,
            context,
            name: None,
            symbolic_link: None,
            device_type: FILE_DEVICE_UNKNOWN,
            characteristics: FILE_DEVICE_SECURE_OPEN,
            exclusive: false,
            sddl: None,
            physical: None,
        }
    }

    /// Attaches the device above a physical device, as a function driver does: see [`AddDevice`](crate::AddDevice). Requests for
    /// the stack come to the device's methods; of Plug and Play, power and system control those that have no method go down.
    ///
    /// The flag DO_POWER_PAGABLE is that of the device below; how buffers are passed is the device's own
    /// ([`Dispatch::Io`]). When the device goes, with its driver or by IRP_MN_REMOVE_DEVICE, it is detached first, and requests that are still in its methods are waited for;
    /// those that it has pended go with its context.
    pub fn attach_to(mut self, physical: &'d PhysicalDevice<'_>) -> Self {
        self.physical = Some(physical.as_non_null());
        self
    }

    /// The device's name, such as `\Device\My_Device`.
    pub fn name(mut self, name: UnicodeStr<'static>) -> Self {
        self.name = Some(name);
        self
    }

    /// A second name, where applications look: `\??\My_Device` is their `\\.\My_Device`. Deleted with the device.
    pub fn symbolic_link(mut self, name: UnicodeStr<'static>) -> Self {
        self.symbolic_link = Some(name);
        self
    }

    /// One of `FILE_DEVICE_*`, instead of `FILE_DEVICE_UNKNOWN`.
    pub fn device_type(mut self, device_type: DEVICE_TYPE) -> Self {
        self.device_type = device_type;
        self
    }

    /// Device characteristics, instead of `FILE_DEVICE_SECURE_OPEN` alone (which applies the device's security
    /// descriptor to names below the device too).
    pub fn characteristics(mut self, characteristics: u32) -> Self {
        self.characteristics = characteristics;
        self
    }

    /// Allows one open handle at a time; a second open fails with STATUS_ACCESS_DENIED.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Who may open the device, in the security descriptor definition language: `D:P(A;;GA;;;SY)(A;;GA;;;BA)` lets in the
    /// system and administrators. Without one the system's default holds, which lets everyone read and write.
    ///
    /// The device must have a name. It is created by `IoCreateDeviceSecure`, which is looked up when it is needed, so
    /// that no WDK library is linked; a system without it refuses to create the device (STATUS_PROCEDURE_NOT_FOUND)
    /// rather than leave it open.
    pub fn sddl(mut self, sddl: UnicodeStr<'static>) -> Self {
        self.sddl = Some(sddl);
        self
    }

    /// Applies the device's security descriptor to names below the device too (`FILE_DEVICE_SECURE_OPEN`). This is so
    /// unless [`DeviceBuilder::characteristics`] has said otherwise.
    pub fn secure_open(mut self) -> Self {
        self.characteristics |= FILE_DEVICE_SECURE_OPEN;
        self
    }

    /// Creates the device, then its symbolic link. IRQL: PASSIVE_LEVEL.
    ///
    /// The device lives until the driver is unloaded or IRP_MN_REMOVE_DEVICE has taken it away, or until [`Driver::entry`] or the [`AddDevice`](crate::AddDevice) that
    /// creates it fails; it can be opened when these have returned. Fails as `IoCreateDevice` and
    /// `IoCreateSymbolicLink` do (STATUS_OBJECT_NAME_COLLISION, STATUS_INSUFFICIENT_RESOURCES, …), leaving nothing behind,
    /// with STATUS_NO_SUCH_DEVICE when the device to attach to is being removed, and with STATUS_INVALID_PARAMETER for a
    /// symbolic link to a device without a name.
    pub fn create(self) -> Result<Device<'d, D::Device>, NTSTATUS> {
        if self.symbolic_link.is_some() && self.name.is_none() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let object = self.create_object()?;
        // SAFETY: valid, and not yet open to requests.
        let extension = unsafe { (*object.as_ptr()).DeviceExtension }.cast::<Extension<D::Device>>();
        // SAFETY: the extension was created with this size and alignment.
        unsafe {
            extension.write(Extension { header: Header::new(None), link: None, context: self.context })
        };
        // SAFETY: as above.
        unsafe { (*object.as_ptr()).Flags |= <D::Device as Dispatch>::Io::FLAGS };
        // SAFETY: written above, and unknown to others; this AddDevice's physical device.
        if let Err(status) = unsafe { prepare::<D>(object, self.physical) } {
            // SAFETY: written above, and no request has come.
            unsafe { extension.drop_in_place() };
            // SAFETY: created above, and attached to nothing.
            unsafe { IoDeleteDevice(object.as_ptr()) };
            return Err(status);
        }
        if let (Some(link), Some(name)) = (self.symbolic_link, self.name) {
            match SymbolicLink::new(link, name) {
                // SAFETY: written above, and nobody else has the device yet.
                Ok(link) => unsafe { (*extension).link = Some(link) },
                Err(status) => {
                    // SAFETY: created above, with this context, and returned to nobody.
                    unsafe { delete::<D::Device>(object) };
                    return Err(status);
                }
            }
        }
        self.driver.has_created(object);
        Ok(Device { object, driver: PhantomData })
    }

    fn create_object(&self) -> Result<NonNull<DEVICE_OBJECT>, NTSTATUS> {
        const {
            assert!(align_of::<Extension<D::Device>>() <= POOL_ALIGNMENT, "extensions are 16-byte aligned");
            // DEVICE_OBJECT.Size counts both.
            let size = size_of::<DEVICE_OBJECT>() + size_of::<Extension<D::Device>>();
            assert!(size <= u16::MAX as usize, "a device object and its extension have at most 65,535 bytes");
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let size = size_of::<Extension<D::Device>>() as u32;
        let name = self.name.as_ref().map_or(ptr::null(), UnicodeStr::as_raw);
        let mut object = ptr::null_mut();
        if let Some(sddl) = &self.sddl {
            let create = create_device_secure().ok_or(STATUS_PROCEDURE_NOT_FOUND)?;
            // SAFETY: the driver object is valid in `entry`; name and text are copied.
            let status = unsafe {
                create(
                    self.driver.as_raw(),
                    size,
                    name,
                    self.device_type,
                    self.characteristics,
                    self.exclusive.into(),
                    sddl.as_raw(),
                    ptr::null(),
                    &raw mut object,
                )
            };
            return if status.is_success() {
                NonNull::new(object).ok_or(STATUS_INVALID_PARAMETER)
            } else {
                Err(status)
            };
        }
        // SAFETY: the driver object is valid in `entry`; the name is copied.
        let status = unsafe {
            IoCreateDevice(
                self.driver.as_raw(),
                size,
                name,
                self.device_type,
                self.characteristics,
                self.exclusive.into(),
                &raw mut object,
            )
        };
        if status.is_success() { NonNull::new(object).ok_or(STATUS_INVALID_PARAMETER) } else { Err(status) }
    }
}

/// `IoCreateDeviceSecure`, which the WDK's library wdmsec.lib looks up in the same way.
type CreateDeviceSecure = unsafe extern "win64" fn(
    *mut DRIVER_OBJECT,
    u32,
    *const UNICODE_STRING,
    DEVICE_TYPE,
    u32,
    BOOLEAN,
    *const UNICODE_STRING,
    *const GUID,
    *mut *mut DEVICE_OBJECT,
) -> NTSTATUS;

/// `None` where the system has none.
fn create_device_secure() -> Option<CreateDeviceSecure> {
    let name = utf16!("IoCreateDeviceSecure");
    // SAFETY: a valid string; callable at PASSIVE_LEVEL.
    let address = NonNull::new(unsafe { MmGetSystemRoutineAddress(name.as_raw()) })?;
    // SAFETY: the routine of this name has this type.
    Some(unsafe { mem::transmute::<NonNull<c_void>, CreateDeviceSecure>(address) })
}

/// A device of this driver.
pub struct Device<'d, C> {
    object: NonNull<DEVICE_OBJECT>,
    driver: PhantomData<&'d C>,
}

impl<'d, C> Device<'d, C> {
    /// The context that the device was created with.
    #[must_use]
    pub fn context(&self) -> &'d C {
        // SAFETY: the device has a context of this type, and lives at least as long as the borrow of its driver.
        unsafe { context(self.object.as_ptr()) }
    }

    /// For NT's functions.
    #[must_use]
    pub fn as_raw(&self) -> *mut DEVICE_OBJECT {
        self.object.as_ptr()
    }
}

/// # Safety
///
/// `device` was created by [`DeviceBuilder::create`] with a context of type `C`, and is not deleted during `'a`.
pub(crate) unsafe fn context<'a, C>(device: *mut DEVICE_OBJECT) -> &'a C {
    // SAFETY: the caller's contract.
    let extension = unsafe { (*device).DeviceExtension }.cast::<Extension<C>>();
    // SAFETY: the caller's contract.
    unsafe { &(*extension).context }
}

/// What a filter's device is, if `device` is one.
///
/// # Safety
///
/// A device of this driver, created through this crate.
pub(crate) unsafe fn filter_of(device: *mut DEVICE_OBJECT) -> Option<&'static Vtable> {
    // SAFETY: the caller's contract.
    unsafe { header(device) }.filter
}

/// Deletes all devices of a driver, the newest first. Filters are detached first.
///
/// # Safety
///
/// Their contexts are of type `C`, and no request and no reference of the driver uses them any more.
pub(crate) unsafe fn delete_all<C>(driver: NonNull<DRIVER_OBJECT>) {
    // SAFETY: a driver object that is initialised or unloaded.
    let mut next = unsafe { (*driver.as_ptr()).DeviceObject };
    while let Some(device) = NonNull::new(next) {
        // Read before the device goes. One that is still referenced stays in the list, so no second pass.
        // SAFETY: a device in the list is valid.
        next = unsafe { (*device.as_ptr()).NextDevice };
        // SAFETY: the caller's contract.
        unsafe { delete_any::<C>(device) };
    }
}

/// Deletes a filter's device, or one with a context of type `C`.
///
/// # Safety
///
/// As [`delete_all`].
pub(crate) unsafe fn delete_any<C>(device: NonNull<DEVICE_OBJECT>) {
    // SAFETY: a device of this driver.
    match unsafe { filter_of(device.as_ptr()) } {
        // SAFETY: its own routine, called once.
        Some(filter) => unsafe { (filter.delete)(device) },
        // SAFETY: the caller's contract.
        None => unsafe { delete::<C>(device) },
    }
}

/// Makes a device ready for its driver's StartIo routine, and attaches it above `physical`. One that fails is attached to
/// nothing.
///
/// # Safety
///
/// A device whose extension is written, and which has had no request yet; `physical` is valid.
unsafe fn prepare<D: Driver>(
    device: NonNull<DEVICE_OBJECT>,
    physical: Option<NonNull<DEVICE_OBJECT>>,
) -> Result<(), NTSTATUS> {
    if D::START_IO.is_some() {
        // SAFETY: the caller's contract.
        let header = unsafe { header(device.as_ptr()) };
        // SAFETY: in the device extension, which is non-paged and stays where it is.
        unsafe { header.turns.initialise(D::POOL_TAG) };
        // SAFETY: initialised. `delete` gives this acquisition back.
        unsafe { header.turns.acquire(device.as_ptr().cast()) }?;
        header.starts.set(true);
        // SAFETY: the driver's own device.
        unsafe { IoSetStartIoAttributes(device.as_ptr(), TRUE, TRUE) };
    }
    match physical {
        // SAFETY: the caller's contract.
        Some(physical) => unsafe { stack::attach(D::POOL_TAG, device, physical, DO_POWER_PAGABLE) },
        None => Ok(()),
    }
}

/// Lets no more requests in to an attached device, and waits for those that are under way.
///
/// # Safety
///
/// A device of this driver that was attached, at PASSIVE_LEVEL.
pub(crate) unsafe fn drain(device: NonNull<DEVICE_OBJECT>) {
    // SAFETY: the caller's contract.
    let header = unsafe { header(device.as_ptr()) };
    if !header.drained.replace(true) {
        // SAFETY: acquired when the device was attached, and given back once.
        unsafe { header.lock.release_and_wait(device.as_ptr().cast()) };
    }
}

/// # Safety
///
/// As [`delete_all`].
unsafe fn delete<C>(device: NonNull<DEVICE_OBJECT>) {
    // SAFETY: the caller's contract.
    let extension = unsafe { (*device.as_ptr()).DeviceExtension }.cast::<Extension<C>>();
    // SAFETY: as above.
    let header = unsafe { &(*extension).header };
    if let Some(lower) = header.lower() {
        // SAFETY: attached to it, and not detached yet.
        unsafe { IoDetachDevice(lower.as_ptr()) };
        // SAFETY: as above, and nothing has detached it.
        unsafe { drain(device) };
    }
    // All but the header, which is still needed.
    // SAFETY: a place in the extension.
    let link = unsafe { &raw mut (*extension).link };
    // SAFETY: as above.
    let context = unsafe { &raw mut (*extension).context };
    // SAFETY: written when the device was created, dropped once.
    unsafe { link.drop_in_place() };
    // SAFETY: as above.
    unsafe { context.drop_in_place() };
    if header.starts.get() {
        // With the context a current request has gone, and with that those that waited.
        // SAFETY: acquired when the device was created.
        unsafe { header.turns.release_and_wait(device.as_ptr().cast()) };
    }
    // SAFETY: the driver's own device, which it does not use again.
    unsafe { IoDeleteDevice(device.as_ptr()) };
}
