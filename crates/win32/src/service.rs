//! Services, as far as applications load their drivers with them: `OpenSCManager`, `CreateService`, `StartService`, `ControlService`,
//! `DeleteService`. Only kernel drivers: a service is what this process has created, or a driver that the machine has loaded; there is no
//! database that outlives both. To start one loads its file, which is one of Linux's, into the host; to stop it unloads it.

#![allow(non_camel_case_types, reason = "these are Win32's names")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gate::{DriverUnload, LoadDriver, Refusal};

use crate::failure::{Failure, MISSING, done, fail};
use crate::pointer::Pointer;
use crate::session::management;
use crate::text::Text;
use crate::types::BOOL;

/// A handle of the manager or of a service, no handle of the machine's.
pub type SC_HANDLE = usize;

const SC_MANAGER_CREATE_SERVICE: u32 = 2;
const GENERIC: u32 = abi::GENERIC_ALL | abi::GENERIC_WRITE;
const SERVICE_KERNEL_DRIVER: u32 = 1;
const SERVICE_FILE_SYSTEM_DRIVER: u32 = 2;
const SERVICE_CONTROL_STOP: u32 = 1;
const SERVICE_CONTROL_INTERROGATE: u32 = 4;
const SERVICE_STOPPED: u32 = 1;
const SERVICE_STOP_PENDING: u32 = 3;
const SERVICE_RUNNING: u32 = 4;
const SERVICE_ACCEPT_STOP: u32 = 1;
const SC_STATUS_PROCESS_INFO: u32 = 0;
/// ERROR_INVALID_SERVICE_CONTROL.
const INVALID_CONTROL: Failure = Failure(1052);
const BAD_HANDLE: Failure = Failure(abi::ERROR_INVALID_HANDLE);
const NO_SERVICE: Failure = Failure(abi::ERROR_SERVICE_DOES_NOT_EXIST);

/// SERVICE_STATUS. 28 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SERVICE_STATUS {
    /// SERVICE_KERNEL_DRIVER.
    pub service_type: u32,
    /// SERVICE_STOPPED, _STOP_PENDING or _RUNNING.
    pub state: u32,
    /// SERVICE_ACCEPT_STOP while it runs.
    pub accepted: u32,
    /// A Win32 code.
    pub exit_code: u32,
    /// 0.
    pub specific_exit_code: u32,
    /// 0.
    pub check_point: u32,
    /// 0.
    pub wait_hint: u32,
}

const _: () = assert!(size_of::<SERVICE_STATUS>() == 28);

/// SERVICE_STATUS_PROCESS. 36 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SERVICE_STATUS_PROCESS {
    /// The front.
    pub status: SERVICE_STATUS,
    /// 0: drivers have none.
    pub process: u32,
    /// 0.
    pub flags: u32,
}

#[derive(Clone)]
enum Opened {
    Manager,
    /// By its name in small letters.
    Service(String),
}

struct Created {
    name: String,
    file: PathBuf,
    deleted: bool,
}

#[derive(Default)]
struct Manager {
    next: usize,
    opened: HashMap<SC_HANDLE, Opened>,
    created: HashMap<String, Created>,
}

/// Where handles begin: no machine has so many.
const FIRST: usize = 0x5C00_0000_0000;

static MANAGER: Mutex<Option<Manager>> = Mutex::new(None);

fn manager<R>(body: impl FnOnce(&mut Manager) -> R) -> R {
    body(MANAGER.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

impl Manager {
    fn open(&mut self, what: Opened) -> SC_HANDLE {
        self.next += 16;
        let handle = FIRST + self.next;
        self.opened.insert(handle, what);
        handle
    }

    fn is_open(&self, key: &str) -> bool {
        self.opened.values().any(|opened| matches!(opened, Opened::Service(other) if other == key))
    }
}

/// Who may not load drivers may not do what that takes.
fn refused(refusal: &Refusal) -> Failure {
    match refusal.status {
        abi::STATUS_PRIVILEGE_NOT_HELD => Failure(abi::ERROR_ACCESS_DENIED),
        status => status.into(),
    }
}

fn drivers() -> Result<Vec<String>, Failure> {
    let drivers = management()?.drivers().map_err(|refusal| refused(&refusal))?;
    Ok(drivers.into_iter().map(|driver| driver.name).collect())
}

/// What the machine calls the driver of this service, if it is loaded.
fn loaded(key: &str) -> Result<Option<String>, Failure> {
    Ok(drivers()?.into_iter().find(|name| name.to_lowercase() == key))
}

fn service(handle: SC_HANDLE) -> Result<String, Failure> {
    match manager(|manager| manager.opened.get(&handle).cloned()) {
        Some(Opened::Service(key)) => Ok(key),
        Some(Opened::Manager) | None => Err(BAD_HANDLE),
    }
}

fn is_manager(handle: SC_HANDLE) -> Result<(), Failure> {
    let opened = manager(|manager| manager.opened.get(&handle).cloned());
    if matches!(opened, Some(Opened::Manager)) { Ok(()) } else { Err(BAD_HANDLE) }
}

fn handle_or_null(result: Result<SC_HANDLE, Failure>) -> SC_HANDLE {
    result.unwrap_or_else(|failure| fail(failure, 0))
}

/// Opens the manager of this machine. `machine` and `database` are not looked at. NULL when it fails: ERROR_ACCESS_DENIED for rights to create
/// services without the right to load drivers.
#[unsafe(no_mangle)]
pub extern "C" fn OpenSCManagerW(_machine: Pointer<u16>, _database: Pointer<u16>, access: u32) -> SC_HANDLE {
    handle_or_null(open_manager(access))
}

/// The same.
#[unsafe(no_mangle)]
pub extern "C" fn OpenSCManagerA(_machine: Pointer<u8>, _database: Pointer<u8>, access: u32) -> SC_HANDLE {
    handle_or_null(open_manager(access))
}

fn open_manager(access: u32) -> Result<SC_HANDLE, Failure> {
    management()?;
    if access & (SC_MANAGER_CREATE_SERVICE | GENERIC) != 0 {
        drivers()?;
    }
    Ok(manager(|manager| manager.open(Opened::Manager)))
}

/// Closes a handle of the manager's or of a service. A service that was deleted goes with its last handle.
#[unsafe(no_mangle)]
pub extern "C" fn CloseServiceHandle(handle: SC_HANDLE) -> BOOL {
    done(manager(|manager| match manager.opened.remove(&handle).ok_or(BAD_HANDLE)? {
        Opened::Service(key) if !manager.is_open(&key) => {
            if manager.created.get(&key).is_some_and(|created| created.deleted) {
                manager.created.remove(&key);
            }
            Ok(())
        }
        _ => Ok(()),
    }))
}

/// Creates a service for a kernel driver; `file` is where Linux finds it, in which `\??\` before it does no harm and `\` is `/`. It is started by
/// [`StartServiceW`] only. ERROR_SERVICE_EXISTS (1073), ERROR_SERVICE_MARKED_FOR_DELETE (1072), ERROR_INVALID_NAME (123), ERROR_NOT_SUPPORTED for
/// programs.
#[unsafe(no_mangle)]
pub extern "C" fn CreateServiceW(
    handle: SC_HANDLE,
    name: Pointer<u16>,
    _display: Pointer<u16>,
    _access: u32,
    service_type: u32,
    _start: u32,
    _error: u32,
    file: Pointer<u16>,
    _group: Pointer<u16>,
    _tag: Pointer<u32>,
    _dependencies: Pointer<u16>,
    _account: Pointer<u16>,
    _password: Pointer<u16>,
) -> SC_HANDLE {
    handle_or_null(create(handle, name, service_type, file))
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn CreateServiceA(
    handle: SC_HANDLE,
    name: Pointer<u8>,
    _display: Pointer<u8>,
    _access: u32,
    service_type: u32,
    _start: u32,
    _error: u32,
    file: Pointer<u8>,
    _group: Pointer<u8>,
    _tag: Pointer<u32>,
    _dependencies: Pointer<u8>,
    _account: Pointer<u8>,
    _password: Pointer<u8>,
) -> SC_HANDLE {
    handle_or_null(create(handle, name, service_type, file))
}

fn create(
    handle: SC_HANDLE,
    name: impl Text,
    service_type: u32,
    file: impl Text,
) -> Result<SC_HANDLE, Failure> {
    is_manager(handle)?;
    let (name, file) = (name.text()?, file.text()?);
    if name.is_empty() || name.chars().count() > 256 || name.contains(['/', '\\']) {
        return Err(Failure(abi::ERROR_INVALID_NAME));
    }
    if service_type & (SERVICE_KERNEL_DRIVER | SERVICE_FILE_SYSTEM_DRIVER) == 0 {
        return Err(Failure(abi::ERROR_NOT_SUPPORTED));
    }
    if file.is_empty() {
        return Err(MISSING);
    }
    let key = name.to_lowercase();
    let is_loaded = loaded(&key)?.is_some();
    manager(|manager| match manager.created.get(&key) {
        Some(Created { deleted: true, .. }) => Err(Failure(abi::ERROR_SERVICE_MARKED_FOR_DELETE)),
        Some(_) => Err(Failure(abi::ERROR_SERVICE_EXISTS)),
        None if is_loaded => Err(Failure(abi::ERROR_SERVICE_EXISTS)),
        None => {
            let file = linux_path(&file);
            manager.created.insert(key.clone(), Created { name, file, deleted: false });
            Ok(manager.open(Opened::Service(key)))
        }
    })
}

fn linux_path(file: &str) -> PathBuf {
    let file = file.trim_matches('"');
    let file = file.strip_prefix(r"\??\").or_else(|| file.strip_prefix(r"\\?\")).unwrap_or(file);
    // A name of Linux's may have a backslash in it.
    if Path::new(file).exists() { file.into() } else { file.replace('\\', "/").into() }
}

/// Opens a service that this process has created, or that is loaded. ERROR_SERVICE_DOES_NOT_EXIST (1060).
#[unsafe(no_mangle)]
pub extern "C" fn OpenServiceW(handle: SC_HANDLE, name: Pointer<u16>, _access: u32) -> SC_HANDLE {
    handle_or_null(open(handle, name))
}

/// The same, its name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn OpenServiceA(handle: SC_HANDLE, name: Pointer<u8>, _access: u32) -> SC_HANDLE {
    handle_or_null(open(handle, name))
}

fn open(handle: SC_HANDLE, name: impl Text) -> Result<SC_HANDLE, Failure> {
    is_manager(handle)?;
    let key = name.text()?.to_lowercase();
    if !manager(|manager| manager.created.contains_key(&key)) && loaded(&key)?.is_none() {
        return Err(NO_SERVICE);
    }
    Ok(manager(|manager| manager.open(Opened::Service(key))))
}

/// Loads the service's driver. ERROR_SERVICE_ALREADY_RUNNING (1056), ERROR_FILE_NOT_FOUND (2), ERROR_ACCESS_DENIED (5), or why it is not loaded, of
/// which a line on stderr says more. Arguments are for programs: not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn StartServiceW(service: SC_HANDLE, _count: u32, _arguments: Pointer<Pointer<u16>>) -> BOOL {
    done(start(service))
}

/// The same.
#[unsafe(no_mangle)]
pub extern "C" fn StartServiceA(service: SC_HANDLE, _count: u32, _arguments: Pointer<Pointer<u8>>) -> BOOL {
    done(start(service))
}

fn start(handle: SC_HANDLE) -> Result<(), Failure> {
    let key = service(handle)?;
    if loaded(&key)?.is_some() {
        return Err(Failure(abi::ERROR_SERVICE_ALREADY_RUNNING));
    }
    let created = manager(|manager| {
        let created = manager.created.get(&key)?;
        Some((created.name.clone(), created.file.clone(), created.deleted))
    });
    let (name, file, deleted) = created.ok_or(NO_SERVICE)?;
    if deleted {
        return Err(Failure(abi::ERROR_SERVICE_MARKED_FOR_DELETE));
    }
    let image = std::fs::read(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure(abi::ERROR_FILE_NOT_FOUND),
        std::io::ErrorKind::PermissionDenied => Failure(abi::ERROR_ACCESS_DENIED),
        _ => Failure(abi::ERROR_READ_FAULT),
    })?;
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let request = LoadDriver {
        name: &name,
        file_name: &file_name,
        image: &image,
        allow_missing: false,
        parameters: Vec::new(),
    };
    management()?.load_driver(&request).map_err(|refusal| {
        if !refusal.reason.is_empty() {
            eprintln!("ringbridge: {name} is not loaded: {}", refusal.reason);
        }
        refused(&refusal)
    })
}

fn status(state: u32) -> SERVICE_STATUS {
    SERVICE_STATUS {
        service_type: SERVICE_KERNEL_DRIVER,
        state,
        accepted: if state == SERVICE_RUNNING { SERVICE_ACCEPT_STOP } else { 0 },
        exit_code: abi::ERROR_SUCCESS,
        specific_exit_code: 0,
        check_point: 0,
        wait_hint: 0,
    }
}

/// SERVICE_CONTROL_STOP unloads the driver, which goes on (SERVICE_STOP_PENDING) while its files are open; SERVICE_CONTROL_INTERROGATE only asks.
/// ERROR_SERVICE_NOT_ACTIVE (1062), ERROR_INVALID_SERVICE_CONTROL (1052) for other controls and drivers that cannot be unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn ControlService(service: SC_HANDLE, control: u32, told: Pointer<SERVICE_STATUS>) -> BOOL {
    done(self::control(service, control, told))
}

fn control(handle: SC_HANDLE, control: u32, told: Pointer<SERVICE_STATUS>) -> Result<(), Failure> {
    if told.is_null() {
        return Err(MISSING);
    }
    let key = service(handle)?;
    let name = loaded(&key)?.ok_or(Failure(abi::ERROR_SERVICE_NOT_ACTIVE))?;
    match control {
        SERVICE_CONTROL_INTERROGATE => told.write(status(SERVICE_RUNNING)),
        SERVICE_CONTROL_STOP => {
            told.write(status(SERVICE_RUNNING))?;
            let unloaded = management()?.unload_driver(&name).map_err(|refusal| match refusal.status {
                abi::STATUS_INVALID_DEVICE_REQUEST => INVALID_CONTROL,
                _ => refused(&refusal),
            })?;
            told.write(status(match unloaded {
                DriverUnload::Unloaded { .. } => SERVICE_STOPPED,
                DriverUnload::Pending { .. } => SERVICE_STOP_PENDING,
            }))
        }
        _ => Err(INVALID_CONTROL),
    }
}

fn state(handle: SC_HANDLE) -> Result<SERVICE_STATUS, Failure> {
    let key = service(handle)?;
    Ok(status(if loaded(&key)?.is_some() { SERVICE_RUNNING } else { SERVICE_STOPPED }))
}

/// Whether the driver is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn QueryServiceStatus(service: SC_HANDLE, told: Pointer<SERVICE_STATUS>) -> BOOL {
    if told.is_null() {
        return done(Err(MISSING));
    }
    done(state(service).and_then(|status| told.write(status)))
}

/// The same; `needed` is told how many bytes it takes. ERROR_INSUFFICIENT_BUFFER, ERROR_INVALID_LEVEL for other levels than
/// SC_STATUS_PROCESS_INFO.
#[unsafe(no_mangle)]
pub extern "C" fn QueryServiceStatusEx(
    service: SC_HANDLE,
    level: u32,
    buffer: Pointer<SERVICE_STATUS_PROCESS>,
    size: u32,
    needed: Pointer<u32>,
) -> BOOL {
    const SIZE: u32 = 36;
    let query = || {
        if level != SC_STATUS_PROCESS_INFO {
            return Err(Failure(abi::ERROR_INVALID_LEVEL));
        }
        needed.write(SIZE)?;
        let status = state(service)?;
        if size < SIZE {
            return Err(Failure(abi::ERROR_INSUFFICIENT_BUFFER));
        }
        buffer.write(SERVICE_STATUS_PROCESS { status, process: 0, flags: 0 })
    };
    done(query())
}

/// Deletes a service when its last handle is closed; a driver that is loaded stays so. ERROR_SERVICE_MARKED_FOR_DELETE (1072) the second
/// time, ERROR_ACCESS_DENIED for one that this process has not created.
#[unsafe(no_mangle)]
pub extern "C" fn DeleteService(handle: SC_HANDLE) -> BOOL {
    done(service(handle).and_then(|key| {
        manager(|manager| match manager.created.get_mut(&key) {
            None => Err(Failure(abi::ERROR_ACCESS_DENIED)),
            Some(created) if created.deleted => Err(Failure(abi::ERROR_SERVICE_MARKED_FOR_DELETE)),
            Some(created) => {
                created.deleted = true;
                Ok(())
            }
        })
    }))
}

/// Programs that are services are not for this machine: ERROR_FAILED_SERVICE_CONTROLLER_CONNECT (1063), which a program gets on Windows, too, that
/// was started by hand.
#[unsafe(no_mangle)]
pub extern "C" fn StartServiceCtrlDispatcherW(_table: Pointer<c_void>) -> BOOL {
    done(Err(Failure(1063)))
}

/// The same.
#[unsafe(no_mangle)]
pub extern "C" fn StartServiceCtrlDispatcherA(_table: Pointer<c_void>) -> BOOL {
    done(Err(Failure(1063)))
}
