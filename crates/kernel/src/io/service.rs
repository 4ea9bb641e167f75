//! Services: the keys below `Services` by which drivers are known, and starting and stopping a driver by its key's path
//! (`NtLoadDriver`, `NtUnloadDriver`). Where the image of a service is and how it is brought into memory, the host says.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use abi::NTSTATUS;

use super::driver::{self, SERVICES, UnloadOutcome, check_name, has_service_key};
use super::work_item::queue_task;
use crate::cm::{NewKey, Value};
use crate::ex::event_object;
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::ob::eq_ignore_case;
use crate::raw::{DispatcherHeader, Outcome};
use crate::se::{Privilege, Subject};
use crate::{Kernel, Unwind, ps};

/// Brings the images of services into memory and starts them as drivers.
pub trait ServiceImages: Send + Sync {
    /// Loads the driver of the service `service`, whose key says that its image is at `image_path`. Called in a system thread, at
    /// PASSIVE_LEVEL, with no lock held.
    ///
    /// # Errors
    /// Why it is not loaded; `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such image.
    fn start(&self, kernel: &Kernel, service: &str, image_path: &str) -> Result<(), NTSTATUS>;
}

/// How a machine starts services; without one, it has no images.
#[derive(Default)]
pub(super) struct Images(OnceLock<Arc<dyn ServiceImages>>);

impl fmt::Debug for Images {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Images").field("are_known", &self.0.get().is_some()).finish()
    }
}

impl super::IoManager {
    /// Says how services are started. Only the first call counts.
    pub fn set_service_images(&self, images: Arc<dyn ServiceImages>) {
        let _only_the_first = self.service_images.0.set(images);
    }
}

/// A service that is made.
#[derive(Clone, Copy, Debug)]
pub struct NewService<'a> {
    /// The name of its key.
    pub name: &'a str,
    /// SERVICE_KERNEL_DRIVER, SERVICE_FILE_SYSTEM_DRIVER, …
    pub service_type: u32,
    /// SERVICE_BOOT_START … SERVICE_DISABLED.
    pub start_type: u32,
    /// File name of its image; it is said to lie among the drivers.
    pub file_name: &'a str,
    /// For minifilters: the altitude of its one instance.
    pub altitude: Option<&'a str>,
}

/// What the key of a service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceKey {
    /// Its name, as it was made.
    pub name: String,
    /// SERVICE_KERNEL_DRIVER, SERVICE_FILE_SYSTEM_DRIVER, …
    pub service_type: u32,
    /// SERVICE_BOOT_START … SERVICE_DISABLED.
    pub start_type: u32,
    /// SERVICE_ERROR_*.
    pub error_control: u32,
    /// Where its image is.
    pub image_path: String,
    /// It goes when its driver is gone (`DeleteFlag`).
    pub is_deleted: bool,
}

fn path_of(name: &str) -> String {
    format!("{SERVICES}\\{name}")
}

/// Where an image of this name lies, among the drivers.
pub(super) fn image_path(file_name: &str) -> String {
    format!(r"\SystemRoot\System32\drivers\{file_name}")
}

/// The file that a path names last.
#[must_use]
pub fn file_name_of(image_path: &str) -> &str {
    image_path.rsplit('\\').next().unwrap_or_default()
}

/// Whether the key at `key` says that the service's image is a file of this name, wherever it lies.
pub(super) fn names_image(kernel: &Kernel, key: &str, file_name: &str) -> bool {
    text(kernel, key, "ImagePath").is_some_and(|path| file_name_of(&path).eq_ignore_ascii_case(file_name))
}

fn dword(kernel: &Kernel, key: &str, name: &str) -> Option<u32> {
    let value = kernel.cm.value(key, name).ok()?;
    let data = (value.kind == abi::REG_DWORD).then_some(value.data)?;
    data.try_into().ok().map(u32::from_le_bytes)
}

fn text(kernel: &Kernel, key: &str, name: &str) -> Option<String> {
    let value = kernel.cm.value(key, name).ok()?;
    if !matches!(value.kind, abi::REG_SZ | abi::REG_EXPAND_SZ) {
        return None;
    }
    let units: Vec<u16> =
        value.data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = units.split(|unit| *unit == 0).next().unwrap_or_default();
    Some(String::from_utf16_lossy(text))
}

/// What the key of the service `name` says. Without an ImagePath, the image is the one of the service's name.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such key; `STATUS_ILL_FORMED_SERVICE_ENTRY` when its Type is missing or is
/// no driver's.
///
/// Source: "CreateService" and the services' registry tree; `ntstatus.h` for the second status. (Confirm: which values must be there.)
pub fn service_key(kernel: &Kernel, name: &str) -> Result<ServiceKey, NTSTATUS> {
    check_name(name).map_err(|_| abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
    let path = path_of(name);
    let own = kernel.cm.key(&path)?.path();
    let own = own.rsplit(|unit| *unit == u16::from(b'\\')).next().unwrap_or_default();
    let service_type = dword(kernel, &path, "Type");
    let service_type = service_type.filter(|kind| *kind != 0 && kind & !abi::SERVICE_DRIVER == 0);
    let name = String::from_utf16_lossy(own);
    Ok(ServiceKey {
        service_type: service_type.ok_or(abi::STATUS_ILL_FORMED_SERVICE_ENTRY)?,
        start_type: dword(kernel, &path, "Start").unwrap_or(abi::SERVICE_DEMAND_START),
        error_control: dword(kernel, &path, "ErrorControl").unwrap_or(abi::SERVICE_ERROR_NORMAL),
        image_path: text(kernel, &path, "ImagePath").unwrap_or_else(|| image_path(&format!("{name}.sys"))),
        is_deleted: dword(kernel, &path, "DeleteFlag").is_some_and(|flag| flag != 0),
        name,
    })
}

/// All services whose keys are drivers', in the order of their names.
pub fn service_keys(kernel: &Kernel) -> Vec<ServiceKey> {
    let Ok(services) = kernel.cm.key(SERVICES) else { return Vec::new() };
    let names = (0..).map_while(|index| services.subkey_at(index).ok());
    let mut keys: Vec<ServiceKey> = names
        .filter_map(|key| {
            let path = key.path();
            let name = path.rsplit(|unit| *unit == u16::from(b'\\')).next()?;
            service_key(kernel, &String::from_utf16_lossy(name)).ok()
        })
        .collect();
    keys.sort_by_key(|key| key.name.to_lowercase());
    keys
}

/// Makes the key of a service.
///
/// # Errors
/// `STATUS_OBJECT_NAME_COLLISION` when there is one of this name; `STATUS_OBJECT_NAME_INVALID`.
///
/// Source: "CreateService"; for minifilters, "Creating an INF File for a Minifilter Driver" (Instances, DefaultInstance, Altitude, Flags).
pub fn create_service(kernel: &Kernel, service: &NewService<'_>) -> Result<(), NTSTATUS> {
    check_name(service.name)?;
    let path = path_of(service.name);
    let cm = &kernel.cm;
    let name: Vec<u16> = service.name.encode_utf16().collect();
    // Of two that make it at the same time, one does.
    let (_, made) = cm.key(SERVICES)?.create(&name, &NewKey::default())?;
    if !made {
        return Err(abi::STATUS_OBJECT_NAME_COLLISION);
    }
    cm.set_value(&path, "ErrorControl", Value::dword(abi::SERVICE_ERROR_NORMAL))?;
    cm.set_value(&path, "ImagePath", Value::expand_string(&image_path(service.file_name)))?;
    cm.set_value(&path, "DisplayName", Value::string(service.name))?;
    if let Some(altitude) = service.altitude {
        let instance = format!("{} Instance", service.name);
        let instances = format!(r"{path}\Instances");
        let own = format!(r"{instances}\{instance}");
        cm.create_key(&own)?;
        cm.set_value(&instances, "DefaultInstance", Value::string(&instance))?;
        cm.set_value(&own, "Altitude", Value::string(altitude))?;
        cm.set_value(&own, "Flags", Value::dword(0))?;
    }
    cm.set_value(&path, "Start", Value::dword(service.start_type))?;
    // Last: with it, it is a service that can be started.
    cm.set_value(&path, "Type", Value::dword(service.service_type))
}

/// Removes the key of a service, with all below it: at once, or when its driver is gone. Returns whether it is gone now.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND`; `STATUS_KEY_DELETED` when it is marked already.
///
/// Source: "DeleteService".
pub fn delete_service(kernel: &Kernel, name: &str) -> Result<bool, NTSTATUS> {
    if !has_service_key(kernel, name) {
        return Err(abi::STATUS_OBJECT_NAME_NOT_FOUND);
    }
    let path = path_of(name);
    if dword(kernel, &path, "DeleteFlag").is_some_and(|flag| flag != 0) {
        return Err(abi::STATUS_KEY_DELETED);
    }
    kernel.cm.set_value(&path, "DeleteFlag", Value::dword(1))?;
    // Looked at after the mark was made: a driver that goes now looks at the mark.
    Ok(remove_if_marked(kernel, name))
}

/// Removes the key of a service that is to be deleted, unless its driver is loaded.
pub(super) fn remove_if_marked(kernel: &Kernel, name: &str) -> bool {
    let path = path_of(name);
    let marked = dword(kernel, &path, "DeleteFlag").is_some_and(|flag| flag != 0);
    if !marked || kernel.io.driver(name).is_some() {
        return false;
    }
    kernel.cm.delete_key(&path);
    true
}

/// The name of the service whose key is at `path`.
fn name_in(path: &[u16]) -> Result<String, NTSTATUS> {
    let services: Vec<u16> = SERVICES.encode_utf16().collect();
    let name = path.split_at_checked(services.len()).and_then(|(front, rest)| {
        let (separator, name) = rest.split_first()?;
        (eq_ignore_case(front, &services) && *separator == u16::from(b'\\')).then_some(name)
    });
    String::from_utf16(name.unwrap_or_default()).map_err(|_| abi::STATUS_OBJECT_NAME_NOT_FOUND)
}

/// Loads the driver of a service, in a system thread, and waits for that. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_OBJECT_NAME_NOT_FOUND` without such a service or image; `STATUS_IMAGE_ALREADY_LOADED`, also when another
/// thread loads it at the same time; as for [`service_key`]; `STATUS_INVALID_IMAGE_FORMAT`; `STATUS_DRIVER_ENTRYPOINT_NOT_FOUND` when
/// it imports what is not there; what its DriverEntry returned. `Err`: the machine has stopped.
///
/// Source: ddi, ZwLoadDriver; "Writing a DriverEntry Routine" (a system thread, at PASSIVE_LEVEL). (Confirm: DriverEntry's status is passed
/// on, not STATUS_FAILED_DRIVER_ENTRY, of which ntstatus.h says what it means and no page which call answers with it: StartService of a
/// driver that returns STATUS_ACCESS_DENIED fails with ERROR_ACCESS_DENIED.)
pub fn load_service(kernel: &Kernel, thread: &Thread, name: &str) -> Outcome<Result<(), NTSTATUS>> {
    let key = match service_key(kernel, name) {
        Ok(key) => key,
        Err(status) => return Ok(Err(status)),
    };
    if kernel.io.driver(&key.name).is_some() {
        return Ok(Err(abi::STATUS_IMAGE_ALREADY_LOADED));
    }
    let Some(images) = kernel.io.service_images.0.get().cloned() else {
        return Ok(Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    };
    in_system_thread(kernel, thread, move |kernel| images.start(kernel, &key.name, &key.image_path))
}

/// `NtLoadDriver` with the path of the service's key. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// As for [`load_service`].
///
/// Source: ddi, ZwLoadDriver.
pub fn load_driver_by_key(kernel: &Kernel, thread: &Thread, path: &[u16]) -> Outcome<Result<(), NTSTATUS>> {
    match name_in(path) {
        Ok(name) => load_service(kernel, thread, &name),
        Err(status) => Ok(Err(status)),
    }
}

/// `NtUnloadDriver` with the path of the service's key: DriverUnload runs in a system thread, which is waited for; while files are
/// open, later. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_OBJECT_NAME_NOT_FOUND` without such a service, or when it is not loaded; `STATUS_INVALID_DEVICE_REQUEST`
/// when it has no DriverUnload or is being unloaded. `Err`: the machine has stopped.
///
/// Source: ddi, ZwUnloadDriver. (Confirm: the status of a driver that waits for its last file.)
pub fn unload_driver_by_key(
    kernel: &Kernel,
    thread: &Thread,
    path: &[u16],
) -> Outcome<Result<UnloadOutcome, NTSTATUS>> {
    match name_in(path) {
        Ok(name) if has_service_key(kernel, &name) => {
            in_system_thread(kernel, thread, move |kernel| driver::unload_driver(kernel, &name))
        }
        Ok(_) => Ok(Err(abi::STATUS_OBJECT_NAME_NOT_FOUND)),
        Err(status) => Ok(Err(status)),
    }
}

/// Has a system worker thread do something, and waits for it.
pub(crate) fn in_system_thread<R: Send + 'static>(
    kernel: &Kernel,
    thread: &Thread,
    body: impl FnOnce(&Kernel) -> Result<R, NTSTATUS> + Send + 'static,
) -> Outcome<Result<R, NTSTATUS>> {
    let event = match event_object(kernel, abi::NotificationEvent, false) {
        Ok(event) => event,
        Err(status) => return Ok(Err(status)),
    };
    let answer = Arc::new(Mutex::new(None));
    let task = {
        let (answer, event) = (answer.clone(), event.clone());
        // The worker's own reference: who waits may be gone when the machine stops.
        let _one_is_held = event.try_reference();
        move |kernel: &Kernel, _: &Thread| {
            let done = body(kernel);
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            let set = kernel.ke.set_event(kernel, DispatcherHeader::at(event.address), 0);
            event.dereference(kernel);
            set.map(drop)
        }
    };
    if queue_task(kernel, Box::new(task)).is_err() {
        event.dereference(kernel);
        event.dereference(kernel);
        return Ok(Err(abi::STATUS_INSUFFICIENT_RESOURCES));
    }
    let (mode, never) = (ProcessorMode::Kernel, Timeout::Never);
    let waited = kernel.ke.wait_for_single_object(kernel, thread, event.address, mode, false, never);
    event.dereference(kernel);
    waited?;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    answer.ok_or(Unwind::Halt)
}

/// Whether the calling thread, as whoever it acts for, may load and unload drivers. On Windows the privilege must be on, too, which
/// nothing here can be asked for yet.
///
/// # Errors
/// `STATUS_PRIVILEGE_NOT_HELD` without SeLoadDriverPrivilege; what is wrong with the client that it acts for.
pub fn check_load_privilege(kernel: &Kernel, process: &ps::Process) -> Result<(), NTSTATUS> {
    let is_it = |privilege: &Privilege| privilege.number == abi::SE_LOAD_DRIVER_PRIVILEGE;
    let held = Subject::current(kernel, process).effective()?.privileges.iter().any(is_it);
    if held { Ok(()) } else { Err(abi::STATUS_PRIVILEGE_NOT_HELD) }
}
