//! `Machine`: one NT in this Linux process, with drivers loaded into it.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use abi::{DRIVER_INITIALIZE, NTSTATUS};
use exports::DataExports;
use gate::{DeviceReport, DeviceRequest, DriverInformation, Parameter, Refusal};
use kernel::cm::Value;
use kernel::io::{self, AddDevice, AddDeviceError, DriverImage, Starter, UnloadOutcome};
use kernel::ke::DpcLimits;
use kernel::lpc::PortUsage;
use kernel::mm::{SectionUsage, TagUsage, UserMapping};
use kernel::se::Token;
use kernel::trace::Observer;
use kernel::{Configuration, Kernel, StartError};
use loader::map::{self, Image, Options};
use loader::pe::MAX_IMAGE_SIZE;
use platform::Platform;
use platform::linux::Linux;

use crate::device_management;
use crate::error::LoadError;
use crate::image_space::MachineImages;
use crate::libraries::{Libraries, Provider};
use crate::process::Process;
use crate::report::BugcheckReport;
use crate::resolver::ExportResolver;
use crate::server::{ServeError, ServeOptions, Server};
use crate::services::{self, ServiceImage, Services};
use crate::stack_walker::LoaderWalker;

/// One NT. Many can live in one Linux process, side by side.
///
/// Dropping a machine is switching it off: drivers that are still loaded are not asked to unload, and what they hold is
/// not reported. Its memory goes when the last process and thread that is inside of it is gone, also after a bugcheck.
pub struct Machine {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) data: Arc<DataExports>,
    pub(crate) images: Arc<MachineImages>,
    pub(crate) libraries: Arc<Libraries>,
    pub(crate) services: Arc<Services>,
}

/// The file system of named pipes, which is there when it is first asked for.
fn named_pipes() -> Starter {
    const NAMES: &[&str] = &[r"\Device\NamedPipe", r"\??\pipe", r"\DosDevices\pipe", r"\GLOBAL??\pipe"];
    let start = |kernel: &Kernel| {
        let Some(entry) = npfs::DRIVER_ENTRY else { return false };
        let entry = entry as usize as u64;
        let image = DriverImage { entry, range: 0..0, file_name: String::new(), keep: Box::new(()) };
        io::load_driver(kernel, "Npfs", image).is_ok()
    };
    Starter { names: NAMES, start: Box::new(start) }
}

/// How to load a driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Load it although exports that it imports are not implemented; the first call of one raises
    /// STATUS_NOT_IMPLEMENTED in the driver.
    pub allow_missing: bool,
}

impl fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Machine").field("halted", &self.kernel.is_halted()).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine on Linux with one processor.
    ///
    /// # Errors
    /// When there is no address space or memory for it.
    pub fn new() -> Result<Self, StartError> {
        Self::with(Arc::new(Linux::new()), Configuration::default())
    }

    /// A machine on a platform of the caller's choice.
    ///
    /// # Errors
    /// As for [`Machine::new`].
    pub fn with(platform: Arc<dyn Platform>, configuration: Configuration) -> Result<Self, StartError> {
        let kernel = Kernel::new(platform, configuration)?;
        kernel.io.set_invalid_device_request(exports::invalid_device_request() as u64);
        kernel.set_stack_walker(Arc::new(LoaderWalker));
        kernel.io.set_starters(vec![named_pipes()]);
        let data = Arc::new(DataExports::new(&kernel).map_err(|_| StartError::NoMemory)?);
        let images = Arc::new(MachineImages::new(kernel.mm.space.clone()));
        let (libraries, services) = (Arc::new(Libraries::new()), Arc::new(Services::default()));
        kernel.io.set_service_images(Arc::new(services::Starter {
            data: data.clone(),
            images: images.clone(),
            libraries: libraries.clone(),
            services: services.clone(),
        }));
        Ok(Self { kernel, data, images, libraries, services })
    }

    /// What DPCs may take before the machine stops with DPC_WATCHDOG_VIOLATION; `None` switches the watchdog off, for a debugger
    /// that holds the process. It begins with [`DpcLimits::default`].
    pub fn set_dpc_limits(&self, limits: Option<DpcLimits>) {
        self.kernel.ke.set_dpc_limits(limits);
    }

    /// The same machine once more, for a part of this process that may outlive the value that its owner holds.
    pub(crate) fn share(&self) -> Self {
        Self {
            kernel: self.kernel.clone(),
            data: self.data.clone(),
            images: self.images.clone(),
            libraries: self.libraries.clone(),
            services: self.services.clone(),
        }
    }

    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Tells `observer` of everything that happens from now on.
    pub fn watch(&self, observer: Arc<dyn Observer>) {
        self.kernel.trace.watch(observer);
    }

    /// Loads the driver in the file at `path` as the service of the file's name without its ending. Export drivers that it
    /// imports from and that lie beside it are loaded first.
    ///
    /// # Errors
    /// See [`LoadError`]; except for what a failed DriverEntry left, nothing stays.
    pub fn load(&self, path: &Path, options: LoadOptions) -> Result<String, LoadError> {
        let name = services::name_of(path);
        let loaded = self.load_file(&name, path, options);
        let image = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.remember_attempt(&name, ServiceImage::File(image), options, &loaded);
        loaded.map(|()| name)
    }

    pub(crate) fn load_file(&self, name: &str, path: &Path, options: LoadOptions) -> Result<(), LoadError> {
        let read = |reason| LoadError::Read { path: path.display().to_string(), reason };
        let bytes = read_image(path).map_err(read)?;
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        self.load_from(name, &file_name, &bytes, path.parent(), options)
    }

    /// What was loaded can be started again by its name, whatever its DriverEntry said.
    fn remember_attempt(
        &self,
        name: &str,
        image: ServiceImage,
        options: LoadOptions,
        loaded: &Result<(), LoadError>,
    ) {
        if matches!(loaded, Ok(()) | Err(LoadError::DriverEntry { .. })) {
            self.remember(name, image, options);
        }
    }

    /// Loads a driver from the bytes of its file, as the service `name`. Of other images it can import from those that are
    /// loaded.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_image(
        &self,
        name: &str,
        file_name: &str,
        bytes: &[u8],
        options: LoadOptions,
    ) -> Result<(), LoadError> {
        let loaded = self.load_from(name, file_name, bytes, None, options);
        if matches!(loaded, Ok(()) | Err(LoadError::DriverEntry { .. })) {
            let image = ServiceImage::Bytes { file_name: file_name.to_owned(), bytes: bytes.into() };
            self.remember_attempt(name, image, options, &loaded);
        }
        loaded
    }

    pub(crate) fn load_from(
        &self,
        name: &str,
        file_name: &str,
        bytes: &[u8],
        folder: Option<&Path>,
        options: LoadOptions,
    ) -> Result<(), LoadError> {
        if self.libraries.has_library(file_name) {
            return Err(LoadError::IsLibrary(file_name.to_owned()));
        }
        let map_options = Options { allow_stubs: options.allow_missing, security_cookie: None };
        let providers = self.providers(file_name, bytes, folder, map_options)?;
        let resolver = ExportResolver { data: &self.data, providers: &providers };
        let image = map::map(file_name, bytes, self.images.clone(), &resolver, map_options)?;
        let entry = image.entry().ok_or(LoadError::NoEntry)? as u64;
        let range = image.range();
        let image = Arc::new(image);
        self.start(
            name,
            DriverImage {
                entry,
                range: range.start as u64..range.end as u64,
                file_name: file_name.to_owned(),
                keep: Box::new(KeptImage { _image: Arc::clone(&image), _providers: providers }),
            },
        )?;
        self.libraries.add_driver(file_name, &image);
        // As NT does when DriverEntry has returned: what is executed or read there later is a fault. Where Linux cannot
        // split the mapping, it stays.
        let _stays = image.discard_initialisation();
        Ok(())
    }

    /// Loads a driver that is compiled into this process, as the service `name`. Its faults are caught and become
    /// bugchecks; its frames cannot be unwound.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_native(&self, name: &str, driver_entry: DRIVER_INITIALIZE) -> Result<(), LoadError> {
        let loaded = self.start_native(name, driver_entry);
        self.remember_attempt(name, ServiceImage::Native(driver_entry), LoadOptions::default(), &loaded);
        loaded
    }

    pub(crate) fn start_native(&self, name: &str, driver_entry: DRIVER_INITIALIZE) -> Result<(), LoadError> {
        let entry = driver_entry.ok_or(LoadError::NoEntry)? as usize as u64;
        self.start(name, DriverImage { entry, range: 0..0, file_name: String::new(), keep: Box::new(()) })
    }

    fn start(&self, name: &str, image: DriverImage) -> Result<(), LoadError> {
        match io::load_driver(&self.kernel, name, image) {
            Ok(_) => Ok(()),
            Err(io::LoadError::AlreadyLoaded) => Err(LoadError::AlreadyLoaded(name.to_owned())),
            Err(io::LoadError::Status(status)) => Err(LoadError::Machine(status)),
            Err(io::LoadError::Halted) => Err(LoadError::Halted),
            Err(io::LoadError::DriverEntry(failure)) => {
                Err(LoadError::DriverEntry { status: failure.status, left: Box::new(failure.left) })
            }
        }
    }

    /// Sets a value under the `Parameters` key of the service `name`, which need not be loaded yet.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_INVALID` for a name that is no key's.
    pub fn set_parameter(&self, name: &str, value_name: &str, value: &Parameter) -> Result<(), NTSTATUS> {
        if name.is_empty() || name.contains('\\') {
            return Err(abi::STATUS_OBJECT_NAME_INVALID);
        }
        let path = format!(r"\Registry\Machine\System\CurrentControlSet\Services\{name}\Parameters");
        self.kernel.cm.create_key(&path)?;
        let value = match value {
            Parameter::Dword(number) => Value::dword(*number),
            Parameter::Text(text) => Value::string(text),
        };
        self.kernel.cm.set_value(&path, value_name, value)
    }

    /// Asks a driver to unload.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when no such driver is loaded, `STATUS_INVALID_DEVICE_REQUEST` when it cannot be
    /// unloaded or is unloading already, `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
    pub fn unload(&self, name: &str) -> Result<UnloadOutcome, NTSTATUS> {
        io::unload_driver(&self.kernel, name)
    }

    /// Makes a root-enumerated device for a loaded driver and calls its AddDevice with it. Returns the device's stack, paths
    /// (or addresses) of the physical device object first. What else there is to say of devices: [`Machine::manage_devices`].
    ///
    /// # Errors
    /// See [`AddDeviceError`].
    pub fn add_device(&self, service: &str) -> Result<Vec<String>, AddDeviceError> {
        let node = io::add_device(&self.kernel, &AddDevice { service, ..AddDevice::default() })?;
        Ok(node.stack().into_iter().map(|device| self.device_name(device.address())).collect())
    }

    /// Something about the machine's devices: that they come, start, stop and go, and that the system sleeps, wakes or is
    /// shut down.
    ///
    /// # Errors
    /// As for `gate::Management::manage_devices`.
    pub fn manage_devices(&self, request: &DeviceRequest) -> Result<DeviceReport, Refusal> {
        device_management::answer(self, request)
    }

    /// A device's path, or its address.
    pub(crate) fn device_name(&self, address: u64) -> String {
        let object = self.kernel.ob.by_address(address);
        object.and_then(|object| object.path()).unwrap_or_else(|| format!("{address:#x}"))
    }

    /// The loaded drivers, in the order of loading.
    #[must_use]
    pub fn drivers(&self) -> Vec<DriverInformation> {
        let drivers = self.kernel.io.drivers().into_iter();
        drivers.map(|driver| self.describe(&driver)).collect()
    }

    /// File names of the loaded export drivers, in the order of loading.
    #[must_use]
    pub fn libraries(&self) -> Vec<String> {
        self.kernel.io.libraries().iter().map(|library| library.file_name.clone()).collect()
    }

    fn describe(&self, driver: &io::Driver) -> DriverInformation {
        let devices = driver.devices().unwrap_or_default().into_iter();
        let devices = devices.map(|device| self.device_name(device.address()));
        DriverInformation {
            name: driver.name.clone(),
            file_name: driver.file_name.clone(),
            base: driver.range.start,
            size: driver.range.end - driver.range.start,
            devices: devices.collect(),
        }
    }

    /// A process of the machine that runs in this Linux process: its requests are plain calls. It is an administrator's.
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        self.process_as(name, Token::administrator())
    }

    /// As [`Machine::process`], with a token of the caller's choice: `Token::user()`, `Token::local_system()`, ….
    #[must_use]
    pub fn process_as(&self, name: &str, token: Token) -> Process {
        Process::new(self.kernel.clone(), name, token)
    }

    /// Serves the machine to other Linux processes on a Unix socket at `path`, until the server is stopped or dropped. Only
    /// the calling user and root can connect.
    ///
    /// # Errors
    /// When another host serves there, or the socket cannot be made.
    pub fn serve(&self, path: &Path) -> Result<Server, ServeError> {
        self.serve_to(path, ServeOptions::default())
    }

    /// As [`Machine::serve`], to whom `options` say.
    ///
    /// # Errors
    /// As for [`Machine::serve`]; among others when the socket cannot be given to the group.
    pub fn serve_to(&self, path: &Path, options: ServeOptions) -> Result<Server, ServeError> {
        Server::start(self.share(), path, options)
    }

    /// Pool in use now: owner's service name (`kernel` for the kernel's own), tag, blocks and bytes.
    #[must_use]
    pub fn pool_usage(&self) -> Vec<(String, u32, TagUsage)> {
        let (drivers, libraries) = (self.kernel.io.drivers(), self.kernel.io.libraries());
        let name = |id| {
            let driver = drivers.iter().find(|driver| driver.id == id).map(|driver| &driver.name);
            let library = libraries.iter().find(|library| library.id == id).map(|library| &library.name);
            driver
                .or(library)
                .cloned()
                .unwrap_or_else(|| if id == 0 { "kernel".to_owned() } else { format!("driver {id}") })
        };
        let usage = self.kernel.mm.pool.usage().into_iter();
        usage.map(|(owner, tag, usage)| (name(owner.0), tag, usage)).collect()
    }

    /// What drivers have mapped for processes now.
    #[must_use]
    pub fn user_mappings(&self) -> Vec<UserMapping> {
        self.kernel.mm.user_mappings()
    }

    /// Segments and views of sections now.
    #[must_use]
    pub fn section_usage(&self) -> SectionUsage {
        self.kernel.mm.section_usage()
    }

    /// Ports and their connections now.
    #[must_use]
    pub fn port_usage(&self) -> PortUsage {
        self.kernel.lpc.usage()
    }

    /// Tells the drivers that asked for it that the machine is shut down (IRP_MJ_SHUTDOWN). It can be used after that.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
    pub fn shut_down(&self) -> Result<(), NTSTATUS> {
        kernel::io::shut_down(&self.kernel)
    }

    /// The bugcheck that stopped the machine, if one did.
    #[must_use]
    pub fn bugcheck(&self) -> Option<BugcheckReport> {
        self.kernel.bugcheck().map(|bugcheck| BugcheckReport { bugcheck: bugcheck.clone() })
    }
}

/// Reads a driver's file, as much of it as an image can be large.
///
/// # Errors
/// When it cannot be read, or is no regular file.
pub fn read_image(path: &Path) -> std::io::Result<Vec<u8>> {
    // Asked before it is opened: opening a FIFO would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(u64::from(MAX_IMAGE_SIZE) + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An image on its way into the kernel, which keeps it as `Any`, and then what it imports from: dropped in this order.
pub(crate) struct KeptImage {
    pub(crate) _image: Arc<Image>,
    pub(crate) _providers: Vec<Provider>,
}
