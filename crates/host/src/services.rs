//! A machine's services: what its registry says of them, and here where their images are (decision 47).
//!
//! Whatever was loaded is a service from then on, as its key is: it can be started again by its name, also by an application's
//! `FilterLoad` or a driver's `ZwLoadDriver`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::{DRIVER_INITIALIZE, NTSTATUS};
use exports::DataExports;
use kernel::Kernel;
use kernel::io::{self, ServiceImages, ServiceKey, UnloadOutcome};
use thiserror::Error;

use crate::error::{LoadError, status_text};
use crate::image_space::MachineImages;
use crate::libraries::Libraries;
use crate::machine::{LoadOptions, Machine};

/// Where the image of a service is.
#[derive(Clone)]
pub enum ServiceImage {
    /// A file, opened anew at each start.
    File(PathBuf),
    /// The content of a file, kept as long as the service.
    Bytes {
        /// The file's name.
        file_name: String,
        /// Its content.
        bytes: Arc<[u8]>,
    },
    /// Compiled into this process.
    Native(DRIVER_INITIALIZE),
}

impl std::fmt::Debug for ServiceImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ServiceImage").field(&self.file_name()).finish()
    }
}

impl ServiceImage {
    fn file_name(&self) -> String {
        match self {
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Bytes { file_name, .. } => file_name.clone(),
            Self::Native(_) => String::new(),
        }
    }
}

/// A service that a machine gets (`CreateService`).
#[derive(Clone, Debug)]
pub struct NewService<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image.
    pub image: ServiceImage,
    /// How it is loaded.
    pub options: LoadOptions,
    /// SERVICE_KERNEL_DRIVER or SERVICE_FILE_SYSTEM_DRIVER.
    pub service_type: u32,
    /// SERVICE_DEMAND_START, or another that says when Windows would start it; nothing is started by itself here. A service that
    /// is SERVICE_DISABLED cannot be started.
    pub start_type: u32,
    /// Of a minifilter: the altitude of its one instance.
    pub altitude: Option<&'a str>,
}

impl<'a> NewService<'a> {
    /// A driver that is started on demand.
    #[must_use]
    pub fn new(name: &'a str, image: ServiceImage) -> Self {
        Self {
            name,
            image,
            options: LoadOptions::default(),
            service_type: abi::SERVICE_KERNEL_DRIVER,
            start_type: abi::SERVICE_DEMAND_START,
            altitude: None,
        }
    }
}

/// A service, as `QueryServiceStatus` and `QueryServiceConfig` tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// What its key says.
    pub key: ServiceKey,
    /// SERVICE_STOPPED, SERVICE_RUNNING, or SERVICE_STOP_PENDING while files keep its driver.
    pub state: u32,
}

/// Why a service was not made, started, stopped or removed.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// `ERROR_SERVICE_EXISTS`.
    #[error("a service named {0} exists already; delete it first, or take another name")]
    Exists(String),
    /// `ERROR_SERVICE_DOES_NOT_EXIST`.
    #[error("there is no service named {0}")]
    DoesNotExist(String),
    /// `ERROR_SERVICE_MARKED_FOR_DELETE`.
    #[error("the service {0} is deleted, and goes when its driver is gone")]
    MarkedForDelete(String),
    /// `ERROR_SERVICE_DISABLED`.
    #[error("the service {0} is disabled (its key's Start is 4)")]
    Disabled(String),
    /// `ERROR_SERVICE_ALREADY_RUNNING`.
    #[error("the service {0} is running already")]
    AlreadyRunning(String),
    /// `ERROR_SERVICE_NOT_ACTIVE`.
    #[error("the service {0} is not running")]
    NotActive(String),
    /// `ERROR_SERVICE_CANNOT_ACCEPT_CTRL`.
    #[error("the driver of {0} is being unloaded, and goes when its last file is closed")]
    CannotAcceptControl(String),
    /// `ERROR_INVALID_SERVICE_CONTROL`.
    #[error("the driver of {0} has no unload routine and stays until the machine ends")]
    InvalidControl(String),
    /// Its driver cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The machine has stopped, or the name is no service's.
    #[error("{}", status_text(*.0))]
    Status(NTSTATUS),
}

impl ServiceError {
    /// A status whose Win32 code is the service control manager's (facility NTWIN32), or the driver's own.
    #[must_use]
    pub fn status(&self) -> NTSTATUS {
        const NTWIN32: u32 = 0xC007_0000;
        let code = match self {
            Self::Exists(_) => abi::ERROR_SERVICE_EXISTS,
            Self::DoesNotExist(_) => abi::ERROR_SERVICE_DOES_NOT_EXIST,
            Self::MarkedForDelete(_) => abi::ERROR_SERVICE_MARKED_FOR_DELETE,
            Self::Disabled(_) => abi::ERROR_SERVICE_DISABLED,
            Self::AlreadyRunning(_) => abi::ERROR_SERVICE_ALREADY_RUNNING,
            Self::NotActive(_) => abi::ERROR_SERVICE_NOT_ACTIVE,
            Self::CannotAcceptControl(_) => abi::ERROR_SERVICE_CANNOT_ACCEPT_CTRL,
            Self::InvalidControl(_) => abi::ERROR_INVALID_SERVICE_CONTROL,
            Self::Load(error) => return error.status(),
            Self::Status(status) => return *status,
        };
        NTSTATUS::from_bits(NTWIN32 | code)
    }
}

#[derive(Clone)]
struct Known {
    image: ServiceImage,
    options: LoadOptions,
}

/// The images of a machine's services, by the service's name in lower case.
#[derive(Default)]
pub(crate) struct Services(Mutex<HashMap<String, Known>>);

impl Services {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, name: &str, image: ServiceImage, options: LoadOptions) {
        self.lock().insert(name.to_lowercase(), Known { image, options });
    }

    /// The image at an ImagePath: the service's own, if that has the file name, else that of another service which has it.
    fn find(&self, service: &str, image_path: &str) -> Option<Known> {
        let file_name = io::file_name_of(image_path);
        let has_it = |known: &&Known| known.image.file_name().eq_ignore_ascii_case(file_name);
        let known = self.lock();
        let own = known.get(&service.to_lowercase()).filter(has_it);
        own.or_else(|| known.values().find(has_it).filter(|_| !file_name.is_empty())).cloned()
    }

    /// Forgets the images of services whose keys are gone.
    fn forget_deleted(&self, kernel: &Kernel) {
        let mut deleted = Vec::new();
        // Dropped behind the lock.
        deleted.extend(self.lock().extract_if(|name, _| !io::has_service_key(kernel, name)));
    }
}

/// How the kernel starts services of a machine: all but the kernel itself, which owns this.
pub(crate) struct Starter {
    pub(crate) data: Arc<DataExports>,
    pub(crate) images: Arc<MachineImages>,
    pub(crate) libraries: Arc<Libraries>,
    pub(crate) services: Arc<Services>,
}

impl ServiceImages for Starter {
    fn start(&self, kernel: &Kernel, service: &str, image_path: &str) -> Result<(), NTSTATUS> {
        let machine = Machine {
            kernel: kernel.arc().ok_or(abi::STATUS_DEVICE_NOT_CONNECTED)?,
            data: self.data.clone(),
            images: self.images.clone(),
            libraries: self.libraries.clone(),
            services: self.services.clone(),
        };
        machine.start_image(service, image_path).map_err(|error| error.status())
    }
}

impl Machine {
    /// Keeps in mind where the image of a service is, if the attempt to load it made or found its key.
    pub(crate) fn remember(&self, name: &str, image: ServiceImage, options: LoadOptions) {
        self.services.forget_deleted(&self.kernel);
        if io::has_service_key(&self.kernel, name) {
            self.services.remember(name, image, options);
        }
    }

    fn start_image(&self, name: &str, image_path: &str) -> Result<(), LoadError> {
        let Some(Known { image, options }) = self.services.find(name, image_path) else {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no service brought this image");
            return Err(LoadError::Read { path: image_path.to_owned(), reason: missing });
        };
        match image {
            ServiceImage::File(path) => self.load_file(name, &path, options),
            ServiceImage::Bytes { file_name, bytes } => {
                self.load_from(name, &file_name, &bytes, None, options)
            }
            ServiceImage::Native(entry) => self.start_native(name, entry),
        }
    }

    /// Makes a service and does not start it (`CreateService`). A relative path is made absolute now.
    ///
    /// # Errors
    /// [`ServiceError::Exists`]; [`ServiceError::Status`] with `STATUS_OBJECT_NAME_INVALID` for a name that is no key's, with
    /// `STATUS_INVALID_PARAMETER` for another type or start than drivers have. That there is no such file shows at the start.
    pub fn add_service(&self, service: &NewService<'_>) -> Result<(), ServiceError> {
        let NewService { name, ref image, options, service_type, start_type, altitude } = *service;
        let is_driver = matches!(
            service_type,
            abi::SERVICE_KERNEL_DRIVER | abi::SERVICE_FILE_SYSTEM_DRIVER | abi::SERVICE_RECOGNIZER_DRIVER
        );
        if !is_driver || start_type > abi::SERVICE_DISABLED {
            return Err(ServiceError::Status(abi::STATUS_INVALID_PARAMETER));
        }
        let image = match image {
            ServiceImage::File(path) => {
                ServiceImage::File(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            other => other.clone(),
        };
        let file_name = &image.file_name();
        let key = io::NewService { name, service_type, start_type, file_name, altitude };
        match io::create_service(&self.kernel, &key) {
            Ok(()) => {
                self.remember(name, image, options);
                Ok(())
            }
            Err(abi::STATUS_OBJECT_NAME_COLLISION) => Err(ServiceError::Exists(name.to_owned())),
            Err(status) => Err(ServiceError::Status(status)),
        }
    }

    fn key(&self, name: &str) -> Result<ServiceKey, ServiceError> {
        io::service_key(&self.kernel, name).map_err(|status| match status {
            abi::STATUS_OBJECT_NAME_NOT_FOUND => ServiceError::DoesNotExist(name.to_owned()),
            status => ServiceError::Status(status),
        })
    }

    /// Starts a service (`StartService`): loads its driver.
    ///
    /// # Errors
    /// [`ServiceError::DoesNotExist`], [`ServiceError::MarkedForDelete`], [`ServiceError::Disabled`],
    /// [`ServiceError::AlreadyRunning`]; [`ServiceError::Load`], after which it is stopped.
    ///
    /// Source: StartServiceW.
    pub fn start_service(&self, name: &str) -> Result<(), ServiceError> {
        let key = self.key(name)?;
        if key.is_deleted {
            return Err(ServiceError::MarkedForDelete(key.name));
        }
        if key.start_type == abi::SERVICE_DISABLED {
            return Err(ServiceError::Disabled(key.name));
        }
        match self.start_image(&key.name, &key.image_path) {
            Err(LoadError::AlreadyLoaded(_)) => Err(ServiceError::AlreadyRunning(key.name)),
            started => started.map_err(ServiceError::Load),
        }
    }

    /// Stops a service (`ControlService` with SERVICE_CONTROL_STOP): unloads its driver, or asks it to go with its last file.
    ///
    /// # Errors
    /// [`ServiceError::DoesNotExist`], [`ServiceError::NotActive`], [`ServiceError::CannotAcceptControl`] when it has been asked;
    /// [`ServiceError::InvalidControl`] when it has no unload routine.
    ///
    /// Source: ControlService.
    pub fn stop_service(&self, name: &str) -> Result<UnloadOutcome, ServiceError> {
        let key = self.key(name)?;
        let Some(driver) = self.kernel.io.driver(&key.name) else {
            return Err(ServiceError::NotActive(key.name));
        };
        if driver.is_unloading() {
            return Err(ServiceError::CannotAcceptControl(key.name));
        }
        let outcome = self.unload(&key.name).map_err(|status| match status {
            abi::STATUS_OBJECT_NAME_NOT_FOUND => ServiceError::NotActive(key.name.clone()),
            abi::STATUS_INVALID_DEVICE_REQUEST if driver.is_unloading() => {
                ServiceError::CannotAcceptControl(key.name.clone())
            }
            abi::STATUS_INVALID_DEVICE_REQUEST => ServiceError::InvalidControl(key.name.clone()),
            status => ServiceError::Status(status),
        });
        self.services.forget_deleted(&self.kernel);
        outcome
    }

    /// Removes a service (`DeleteService`): now, or when its driver is gone. Returns whether it is gone.
    ///
    /// # Errors
    /// [`ServiceError::DoesNotExist`], [`ServiceError::MarkedForDelete`] when it has been deleted already.
    ///
    /// Source: DeleteService.
    pub fn delete_service(&self, name: &str) -> Result<bool, ServiceError> {
        let gone = io::delete_service(&self.kernel, name).map_err(|status| match status {
            abi::STATUS_OBJECT_NAME_NOT_FOUND => ServiceError::DoesNotExist(name.to_owned()),
            abi::STATUS_KEY_DELETED => ServiceError::MarkedForDelete(name.to_owned()),
            status => ServiceError::Status(status),
        })?;
        self.services.forget_deleted(&self.kernel);
        Ok(gone)
    }

    /// Tells of a service.
    ///
    /// # Errors
    /// [`ServiceError::DoesNotExist`]; [`ServiceError::Status`] with `STATUS_ILL_FORMED_SERVICE_ENTRY` for a key that is no driver's.
    pub fn service(&self, name: &str) -> Result<ServiceStatus, ServiceError> {
        self.key(name).map(|key| self.with_state(key))
    }

    /// Tells of all services, in the order of their names.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceStatus> {
        io::service_keys(&self.kernel).into_iter().map(|key| self.with_state(key)).collect()
    }

    fn with_state(&self, key: ServiceKey) -> ServiceStatus {
        let state = match self.kernel.io.driver(&key.name) {
            None => abi::SERVICE_STOPPED,
            Some(driver) if driver.is_unloading() => abi::SERVICE_STOP_PENDING,
            Some(_) => abi::SERVICE_RUNNING,
        };
        ServiceStatus { key, state }
    }
}

/// The service's name that a file stands for: the file's without its ending.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
