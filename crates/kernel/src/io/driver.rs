//! Drivers: loading, their objects, unloading, and what they leave behind.

use std::any::Any;
use std::fmt;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi::NTSTATUS;

use super::driver_extension::{Hung, reinitialize};
use super::{dispatch, free_own, pnp, service, symbolic_link};
use crate::cm::Value;
use crate::mm::{PoolOwner, SystemView, TagUsage, UserMapping};
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::raw::{self, DeviceObject, DriverExtension, DriverObject, Outcome};
use crate::{Kernel, Unwind, ps};

/// Tag of driver objects and their strings.
pub(super) const DRIVER_TAG: u32 = u32::from_le_bytes(*b"Driv");
/// Where the driver's identifier stands, behind driver object and extension.
const ID_AT: usize = DriverObject::SIZE + size_of::<abi::DRIVER_EXTENSION>();
const ID_OFFSET: u64 = ID_AT as u64;
pub(super) const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";
const HARDWARE: &str = r"\REGISTRY\MACHINE\HARDWARE\DESCRIPTION\SYSTEM";

/// Code that can be loaded as a driver.
pub struct DriverImage {
    /// Address of DriverEntry.
    pub entry: u64,
    /// Where its code and data lie; empty for code compiled into the process.
    pub range: Range<u64>,
    /// File name, for the service key and reports.
    pub file_name: String,
    /// Kept while the driver is loaded; dropping it unmaps the image.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for DriverImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DriverImage").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

/// A loaded driver.
#[derive(Debug)]
pub struct Driver {
    /// Distinguishes it from all drivers ever loaded into the machine; also its pool owner.
    pub id: u32,
    /// Its service name.
    pub name: String,
    /// The driver object that it sees.
    pub object: DriverObject,
    /// Where its code and data lie; empty for code compiled into the process.
    pub range: Range<u64>,
    /// File name of its image.
    pub file_name: String,
    state: AtomicU8,
    /// Files open on its devices, also on those that it has deleted.
    files: AtomicU32,
    image: Mutex<Option<Box<dyn ErasedImage>>>,
    /// Work items that are yet to return from its code.
    work: AtomicU32,
    /// It is gone and its image may go when the last of them has returned.
    releasable: AtomicBool,
    pub(super) hung: Hung,
}

/// `Box<dyn Any>` with `Debug`.
pub(super) trait ErasedImage: Any + Send + Sync {}
impl<T: Any + Send + Sync> ErasedImage for T {}
impl fmt::Debug for dyn ErasedImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("image")
    }
}

const LOADED: u8 = 0;
const UNLOADING: u8 = 1;
const GONE: u8 = 2;

/// What a driver held when it was gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnloadReport {
    /// Service name.
    pub driver: String,
    /// Pool not freed, by tag.
    pub pool: Vec<(u32, TagUsage)>,
    /// Names (or addresses) of devices not deleted.
    pub devices: Vec<String>,
    /// Symbolic links not deleted.
    pub symbolic_links: Vec<String>,
    /// Memory not unmapped from processes.
    pub user_mappings: Vec<UserMapping>,
    /// Views of sections in system space not unmapped.
    pub system_views: Vec<SystemView>,
    /// Objects of other rooms not let go of, a filter's ports for example, by type and name.
    pub objects: Vec<String>,
}

impl UnloadReport {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pool.is_empty()
            && self.devices.is_empty()
            && self.symbolic_links.is_empty()
            && self.user_mappings.is_empty()
            && self.system_views.is_empty()
            && self.objects.is_empty()
    }
}

/// What came of asking a driver to unload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnloadOutcome {
    /// DriverUnload has run.
    Unloaded(UnloadReport),
    /// Files are open on its devices, or devices of others are attached to them: no more can be opened or attached,
    /// and DriverUnload runs when the last is gone.
    Pending {
        /// Open files and attached devices.
        files: u32,
    },
}

/// DriverEntry's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverEntryFailure {
    /// What it returned.
    pub status: NTSTATUS,
    /// What it left behind: NT does not clean up for it, and DriverUnload is not called.
    pub left: UnloadReport,
}

/// Why a driver could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A driver of this name is loaded (`STATUS_IMAGE_ALREADY_LOADED`).
    AlreadyLoaded,
    /// The machine has stopped or is out of memory.
    Status(NTSTATUS),
    /// DriverEntry returned an error.
    DriverEntry(Box<DriverEntryFailure>),
    /// DriverEntry stopped the machine.
    Halted,
}

struct DriverBody;

impl ObjectBody for DriverBody {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Driver",
            parses: false,
            generic_mapping: [0x2_0000, 0x2_0000, 0x2_0000, 0xF_0000],
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The identifier of the driver whose driver object this is; 0 when it cannot be read.
#[inline]
pub(super) fn id_of(object: DriverObject) -> u32 {
    raw::read(object.address().wrapping_add(ID_OFFSET)).unwrap_or(0)
}

impl Driver {
    /// Whether it is being unloaded, or is gone.
    #[must_use]
    pub fn is_unloading(&self) -> bool {
        self.state.load(Ordering::Acquire) != LOADED
    }

    /// Its devices now, newest first.
    ///
    /// # Errors
    /// An access violation in a device object.
    pub fn devices(&self) -> Outcome<Vec<DeviceObject>> {
        let mut devices = Vec::new();
        let mut device = DeviceObject::at(self.object.device_object()?);
        while !device.is_null() && devices.len() < 1 << 16 {
            devices.push(device);
            device = DeviceObject::at(device.next_device()?);
        }
        Ok(devices)
    }

    pub(super) fn forget_device(&self, device: DeviceObject) {
        let _freed_by_driver = device.set_driver_object(0);
    }

    /// Files open on its devices, also on those that it has deleted.
    #[must_use]
    pub fn open_files(&self) -> u32 {
        self.files.load(Ordering::Acquire)
    }

    /// What keeps it loaded: open files, and devices attached to its own.
    pub(super) fn users(&self) -> u32 {
        let devices = self.devices().unwrap_or_default();
        let attached = devices.iter().filter(|device| device.attached_device().is_ok_and(|above| above != 0));
        self.open_files() + u32::try_from(attached.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn begin_file(&self) {
        self.files.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end_file(&self) {
        self.files.fetch_sub(1, Ordering::AcqRel);
    }

    fn left(&self, kernel: &Kernel) -> UnloadReport {
        let devices = self.devices().unwrap_or_default().into_iter().map(|device| {
            let path = kernel.ob.by_address(device.address()).and_then(|object| object.path());
            path.unwrap_or_else(|| format!("a device without a name at {:#x}", device.address()))
        });
        UnloadReport {
            driver: self.name.clone(),
            pool: pool_of(kernel, self.id),
            devices: devices.collect(),
            symbolic_links: symbolic_link::left_by(kernel, self.id),
            user_mappings: kernel.mm.user_mappings_of(PoolOwner(self.id)),
            system_views: kernel.mm.system_views_of(PoolOwner(self.id)),
            objects: objects_of(kernel, self.id),
        }
    }
}

/// Pool in use that belongs to `owner`, by tag.
pub(super) fn pool_of(kernel: &Kernel, owner: u32) -> Vec<(u32, TagUsage)> {
    let usage = kernel.mm.pool.usage().into_iter();
    usage.filter(|(of, ..)| of.0 == owner).map(|(_, tag, usage)| (tag, usage)).collect()
}

/// What `owner` made besides devices and has not let go of.
fn objects_of(kernel: &Kernel, owner: u32) -> Vec<String> {
    let made = kernel.ob.made_by(owner).into_iter().filter(|object| object.body::<super::Device>().is_none());
    let mut told: Vec<String> = made
        .map(|object| {
            let type_name = object.object_type().name;
            object.path().map_or_else(|| type_name.to_owned(), |path| format!("{type_name} {path}"))
        })
        .collect();
    told.sort_unstable();
    told
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Loads a driver as the service `name`: driver object, service key, DriverEntry in the system process at
/// PASSIVE_LEVEL, on the calling thread.
///
/// # Errors
/// See [`LoadError`]. What a failed DriverEntry left is reported and stays, unusable.
pub fn load_driver(kernel: &Kernel, name: &str, image: DriverImage) -> Result<Arc<Driver>, LoadError> {
    if kernel.is_halted() {
        return Err(LoadError::Status(abi::STATUS_DEVICE_NOT_CONNECTED));
    }
    check_name(name).map_err(LoadError::Status)?;
    if kernel.io.driver(name).is_some() {
        return Err(LoadError::AlreadyLoaded);
    }
    let entry = image.entry;
    let (driver, body, registry_path) = register(kernel, name, image)?;
    let arguments = [driver.object.address(), registry_path];
    let system = kernel.ps.system().clone();
    let returned = ps::inside(kernel, &system, |thread| {
        let value = dispatch::as_owner(driver.id, || kernel.ke.call(kernel, entry, &arguments))?;
        kernel.ke.leave_system_service(kernel, thread, entry).map(|()| value)
    });
    let status = match returned {
        Ok(Ok(value)) => NTSTATUS::from_bits(dispatch::low_half(value)),
        Ok(Err(Unwind::Exit(status))) => status,
        Ok(Err(Unwind::Halt | Unwind::Raise(_))) => return Err(LoadError::Halted),
        Err(status) => {
            // DriverEntry was not called.
            driver.state.store(GONE, Ordering::Release);
            remove(kernel, &driver, &body, true);
            return Err(LoadError::Status(status));
        }
    };
    if !status.is_success() {
        driver.state.store(GONE, Ordering::Release);
        let left = driver.left(kernel);
        remove(kernel, &driver, &body, left.is_clean());
        return Err(LoadError::DriverEntry(Box::new(DriverEntryFailure { status, left })));
    }
    let finished = finish_initialization(kernel, &driver);
    finished.and_then(|()| reinitialize(kernel)).map_err(|_| LoadError::Halted)?;
    if kernel.is_halted() { Err(LoadError::Halted) } else { Ok(driver) }
}

/// Makes the driver known: service key, driver object and its name. Returns it with its object and the address of
/// DriverEntry's registry path.
fn register(
    kernel: &Kernel,
    name: &str,
    image: DriverImage,
) -> Result<(Arc<Driver>, Arc<Object>, u64), LoadError> {
    let id = kernel.io.next_driver.fetch_add(1, Ordering::Relaxed);
    let service_key = format!("{SERVICES}\\{name}");
    describe_service(kernel, &service_key, &image.file_name).map_err(LoadError::Status)?;
    let (object, registry_path) =
        make_object(kernel, id, name, &service_key, &image).map_err(LoadError::Status)?;
    let driver = Arc::new(Driver {
        id,
        name: name.to_owned(),
        object,
        range: image.range.clone(),
        file_name: image.file_name.clone(),
        state: AtomicU8::new(LOADED),
        files: AtomicU32::new(0),
        image: Mutex::new(Some(Box::new(image.keep))),
        work: AtomicU32::new(0),
        releasable: AtomicBool::new(false),
        hung: Hung::default(),
    });
    let body = Object::new(object.address(), DriverBody);
    let path = format!(r"\Driver\{name}");
    if let Err(status) = kernel.ob.insert(&wide(&path), &body, true) {
        // Another thread has loaded a driver of this name meanwhile, or a driver made an object of that name.
        free_own(kernel, object.address());
        let taken = status == abi::STATUS_OBJECT_NAME_COLLISION;
        return Err(if taken { LoadError::AlreadyLoaded } else { LoadError::Status(status) });
    }
    kernel.ob.remember(&body);
    kernel.io.drivers.write().unwrap_or_else(PoisonError::into_inner).push(driver.clone());
    Ok((driver, body, registry_path))
}

/// Makes a driver that has no code of its own: all of its requests are answered as those of unset major functions are.
///
/// # Errors
/// `STATUS_OBJECT_NAME_COLLISION` when somebody's driver has the name; `STATUS_INSUFFICIENT_RESOURCES`.
pub(super) fn make_built_in(kernel: &Kernel, name: &str) -> Result<Arc<Driver>, NTSTATUS> {
    let image = DriverImage { entry: 0, range: 0..0, file_name: String::new(), keep: Box::new(()) };
    let (driver, ..) = match register(kernel, name, image) {
        Ok(registered) => registered,
        Err(LoadError::AlreadyLoaded) => return Err(abi::STATUS_OBJECT_NAME_COLLISION),
        Err(LoadError::Status(status)) => return Err(status),
        Err(_) => return Err(abi::STATUS_INSUFFICIENT_RESOURCES),
    };
    let flags = driver.object.flags().unwrap_or(0) | abi::DRVO_BUILTIN_DRIVER;
    driver.object.set_flags(flags).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(driver)
}

/// Service names are one part of a path, and with the path of the services' key they fit into a UNICODE_STRING.
pub(super) fn check_name(name: &str) -> Result<(), NTSTATUS> {
    /// As the registry's longest key name, in UTF-16 units.
    const LONGEST: usize = 255;
    let sound = !name.is_empty() && !name.contains('\\') && name.encode_utf16().count() <= LONGEST;
    if sound { Ok(()) } else { Err(abi::STATUS_OBJECT_NAME_INVALID) }
}

/// Whether a service of this name, one part of a path, has a key.
#[must_use]
pub fn has_service_key(kernel: &Kernel, name: &str) -> bool {
    check_name(name).is_ok() && kernel.cm.has_key(&format!("{SERVICES}\\{name}"))
}

/// Makes the key of a service whose driver is loaded without having been installed. One that is there keeps what it says, but for where
/// its image is.
pub(super) fn describe_service(kernel: &Kernel, key: &str, file_name: &str) -> Result<(), NTSTATUS> {
    let cm = &kernel.cm;
    cm.create_key(key)?;
    let name = key.rsplit('\\').next().unwrap_or_default();
    let values = [
        ("Type", Value::dword(abi::SERVICE_KERNEL_DRIVER)),
        ("Start", Value::dword(abi::SERVICE_DEMAND_START)),
        ("ErrorControl", Value::dword(abi::SERVICE_ERROR_NORMAL)),
        ("DisplayName", Value::string(name)),
    ];
    for (value_name, value) in values {
        if cm.value(key, value_name).is_err() {
            cm.set_value(key, value_name, value)?;
        }
    }
    if service::names_image(kernel, key, file_name) {
        return Ok(());
    }
    cm.set_value(key, "ImagePath", Value::expand_string(&service::image_path(file_name)))
}

/// Makes the driver object and its strings; returns it and the address of DriverEntry's registry path.
fn make_object(
    kernel: &Kernel,
    id: u32,
    name: &str,
    service_key: &str,
    image: &DriverImage,
) -> Result<(DriverObject, u64), NTSTATUS> {
    let texts = [wide(&format!(r"\Driver\{name}")), wide(service_key), wide(name), wide(HARDWARE)];
    let strings_at = ID_AT + 16;
    let headers = 2 * size_of::<abi::UNICODE_STRING>();
    let size = strings_at + headers + texts.iter().map(|text| text.len() * 2 + 2).sum::<usize>();
    let block = kernel.mm.pool.allocate_zeroed(size, DRIVER_TAG, PoolOwner::default());
    let block = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let object = DriverObject::at(block.address);
    let write = || -> Outcome<u64> {
        object.set_object_type(abi::IO_TYPE_DRIVER.cast_unsigned())?;
        object.set_size(u16::try_from(DriverObject::SIZE).unwrap_or(0))?;
        object.set_driver_start(image.range.start)?;
        object.set_driver_size(u32::try_from(image.range.end - image.range.start).unwrap_or(u32::MAX))?;
        object.set_driver_init(image.entry)?;
        let extension = DriverExtension::at(object.address() + DriverObject::SIZE as u64);
        object.set_driver_extension(extension.address())?;
        extension.set_driver_object(object.address())?;
        raw::write(object.address() + ID_OFFSET, id)?;
        for major in 0..=abi::IRP_MJ_MAXIMUM_FUNCTION {
            object.set_major_function(major, kernel.io.invalid_device_request())?;
        }
        let registry_path = raw::UnicodeString::at(object.address() + strings_at as u64);
        let hardware = raw::UnicodeString::at(registry_path.address() + 16);
        object.set_hardware_database(hardware.address())?;
        let headers = [object.driver_name(), registry_path, extension.service_key_name(), hardware];
        let mut text_at = hardware.address() + 16;
        for (header, text) in headers.iter().zip(&texts) {
            raw::copy_wide(text_at, text)?;
            let length = u16::try_from(text.len() * 2).unwrap_or(u16::MAX - 2);
            header.set(length, length + 2, text_at)?;
            text_at += u64::from(length) + 2;
        }
        Ok(registry_path.address())
    };
    let registry_path = write().map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok((object, registry_path))
}

/// What the I/O manager does after a successful DriverEntry.
fn finish_initialization(kernel: &Kernel, driver: &Driver) -> Outcome<()> {
    for device in driver.devices()? {
        device.set_flags(device.flags()? & !abi::DO_DEVICE_INITIALIZING)?;
    }
    for major in 0..=abi::IRP_MJ_MAXIMUM_FUNCTION {
        if driver.object.major_function(major)? == 0 {
            driver.object.set_major_function(major, kernel.io.invalid_device_request())?;
        }
    }
    Ok(())
}

/// Asks a driver to unload (`NtUnloadDriver`): at once when no file is open on its devices, else when the last is
/// closed.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND` when no such driver is loaded, `STATUS_INVALID_DEVICE_REQUEST` when it has no
/// DriverUnload or is unloading already, `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
pub fn unload_driver(kernel: &Kernel, name: &str) -> Result<UnloadOutcome, NTSTATUS> {
    if kernel.is_halted() {
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
    }
    let driver = kernel.io.driver(name).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
    if driver.object.driver_unload().unwrap_or(0) == 0 {
        return Err(abi::STATUS_INVALID_DEVICE_REQUEST);
    }
    if driver.state.compare_exchange(LOADED, UNLOADING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Err(abi::STATUS_INVALID_DEVICE_REQUEST);
    }
    match driver.users() {
        0 => run_unload(kernel, &driver).map(UnloadOutcome::Unloaded),
        files => Ok(UnloadOutcome::Pending { files }),
    }
}

/// After a file or an attachment is gone: a driver that waited for that is unloaded.
pub(super) fn unload_if_last(kernel: &Kernel, driver: &Arc<Driver>) {
    if driver.state.load(Ordering::Acquire) == UNLOADING && driver.users() == 0 {
        // The report goes to the observers; when the machine has stopped meanwhile there is none.
        let _report = run_unload(kernel, driver);
    }
}

fn run_unload(kernel: &Kernel, driver: &Arc<Driver>) -> Result<UnloadReport, NTSTATUS> {
    if driver.state.compare_exchange(UNLOADING, GONE, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Err(abi::STATUS_INVALID_DEVICE_REQUEST);
    }
    let unload = driver.object.driver_unload().map_err(|_| abi::STATUS_INVALID_DEVICE_REQUEST)?;
    let system = kernel.ps.system().clone();
    let returned = ps::inside(kernel, &system, |thread| {
        dispatch::as_owner(driver.id, || match kernel.io.built_in(unload) {
            Some(built_in) => (built_in.unload)(kernel, driver),
            None => kernel.ke.call(kernel, unload, &[driver.object.address()]).map(drop),
        })?;
        kernel.ke.leave_system_service(kernel, thread, unload)
    })?;
    if returned.is_err() {
        return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
    }
    let report = driver.left(kernel);
    if let Some(body) = kernel.ob.by_address(driver.object.address()) {
        remove(kernel, driver, &body, report.is_clean());
    }
    service::remove_if_marked(kernel, &driver.name);
    kernel.trace.emit(|| crate::trace::Event::DriverUnloaded { report: report.clone() });
    Ok(report)
}

/// Takes the driver out of the machine. When it left something that may still be used, its image and driver object
/// stay in memory.
fn remove(kernel: &Kernel, driver: &Driver, body: &Arc<Object>, release: bool) {
    kernel.io.drivers.write().unwrap_or_else(PoisonError::into_inner).retain(|other| other.id != driver.id);
    if kernel.ob.remove_name(body) {
        body.dereference(kernel);
    }
    body.dereference(kernel);
    driver.hung.release(kernel);
    pnp::forget_driver(kernel, driver.id);
    if release {
        hold_image(driver);
        driver.releasable.store(true, Ordering::SeqCst);
        release_image(driver);
        free_own(kernel, driver.object.address());
    } else {
        std::mem::forget(driver.image.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Keeps a driver's code in memory until [`release_image`].
pub(super) fn hold_image(driver: &Driver) {
    driver.work.fetch_add(1, Ordering::SeqCst);
}

/// Undoes [`hold_image`]; the last one lets the image of a driver that is gone go.
pub(super) fn release_image(driver: &Driver) {
    if driver.work.fetch_sub(1, Ordering::SeqCst) == 1 && driver.releasable.load(Ordering::SeqCst) {
        let image = driver.image.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Not under the lock: with it go the export drivers that only this one needs, and their code is called.
        drop(image);
    }
}

const _: () = assert!(offset_of!(abi::DRIVER_OBJECT, MajorFunction) == 0x70);
