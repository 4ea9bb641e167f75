//! Export drivers: images whose exports drivers import. They have no driver object; `DllInitialize` is called before the
//! first driver that needs one is entered, `DllUnload` when the last is gone. Who needs which, and where their exports lie,
//! is the host's matter.
//!
//! Source: kernel, "Creating Export Drivers"; ddi, DllInitialize, DllUnload.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use abi::NTSTATUS;

use super::driver::{DRIVER_TAG, ErasedImage, SERVICES, UnloadReport, describe_service, pool_of};
use super::{dispatch, free_own, symbolic_link};
use crate::mm::PoolOwner;
use crate::raw::{self, Outcome, UnicodeString};
use crate::{Kernel, Unwind, ps};

/// An export driver's image.
pub struct LibraryImage {
    /// Address of DllInitialize; 0 without one.
    pub initialize: u64,
    /// Address of DllUnload; 0 without one.
    pub unload: u64,
    /// Where its code and data lie.
    pub range: Range<u64>,
    /// File name, for the service key and reports.
    pub file_name: String,
    /// Kept while it is loaded; dropping it unmaps the image.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for LibraryImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LibraryImage").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

/// A loaded export driver.
#[derive(Debug)]
pub struct Library {
    /// Distinguishes it from all drivers and export drivers ever loaded into the machine; also its pool owner.
    pub id: u32,
    /// Name of its service: its file's without the ending.
    pub name: String,
    /// File name of its image.
    pub file_name: String,
    /// Where its code and data lie.
    pub range: Range<u64>,
    unload: u64,
    image: Mutex<Option<Box<dyn ErasedImage>>>,
}

/// Why an export driver could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryError {
    /// The machine has stopped or is out of memory.
    Status(NTSTATUS),
    /// DllInitialize returned an error; and what it left behind.
    Initialize(NTSTATUS, Box<UnloadReport>),
    /// DllInitialize stopped the machine.
    Halted,
}

impl Library {
    /// Whether it has a DllUnload. One without is never unloaded. (Confirm: no public text says what becomes of such.)
    #[must_use]
    pub fn can_unload(&self) -> bool {
        self.unload != 0
    }

    fn left(&self, kernel: &Kernel) -> UnloadReport {
        UnloadReport {
            driver: self.name.clone(),
            pool: pool_of(kernel, self.id),
            devices: Vec::new(),
            symbolic_links: symbolic_link::left_by(kernel, self.id),
            user_mappings: kernel.mm.user_mappings_of(PoolOwner(self.id)),
            system_views: kernel.mm.system_views_of(PoolOwner(self.id)),
            objects: Vec::new(),
        }
    }

    fn take_image(&self) -> Option<Box<dyn ErasedImage>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes it out of the machine. When it left something that may still be used, its image stays in memory.
    fn remove(&self, kernel: &Kernel, release: bool) {
        kernel.io.change_libraries(|all| all.retain(|other| other.id != self.id));
        let image = self.take_image();
        if release {
            drop(image);
        } else {
            std::mem::forget(image);
        }
    }
}

/// Loads an export driver: service key, and DllInitialize with its path, in the system process at PASSIVE_LEVEL.
///
/// # Errors
/// See [`LibraryError`].
pub fn load_library(kernel: &Kernel, image: LibraryImage) -> Result<Arc<Library>, LibraryError> {
    if kernel.is_halted() {
        return Err(LibraryError::Status(abi::STATUS_DEVICE_NOT_CONNECTED));
    }
    let name = image.file_name.rsplit_once('.').map_or(&*image.file_name, |(name, _)| name).to_owned();
    super::driver::check_name(&name).map_err(LibraryError::Status)?;
    let key = format!("{SERVICES}\\{name}");
    describe_service(kernel, &key, &image.file_name).map_err(LibraryError::Status)?;
    let library = Arc::new(Library {
        id: kernel.io.next_driver.fetch_add(1, Ordering::Relaxed),
        name,
        file_name: image.file_name,
        range: image.range,
        unload: image.unload,
        image: Mutex::new(Some(Box::new(image.keep))),
    });
    kernel.io.change_libraries(|all| all.push(library.clone()));
    let status = match image.initialize {
        0 => Ok(abi::STATUS_SUCCESS),
        routine => initialize(kernel, &library, routine, &key),
    };
    match status {
        Ok(status) if status.is_success() => Ok(library),
        Ok(status) => {
            let left = library.left(kernel);
            library.remove(kernel, left.is_clean());
            Err(LibraryError::Initialize(status, Box::new(left)))
        }
        Err(error) => {
            // A machine that has stopped keeps what it has; else nothing was called.
            if error != LibraryError::Halted {
                library.remove(kernel, true);
            }
            Err(error)
        }
    }
}

/// Calls DllInitialize with the path of the library's service key, which is there for the time of the call.
fn initialize(kernel: &Kernel, library: &Library, routine: u64, key: &str) -> Result<NTSTATUS, LibraryError> {
    const REFUSED: LibraryError = LibraryError::Status(abi::STATUS_INSUFFICIENT_RESOURCES);
    let text: Vec<u16> = key.encode_utf16().collect();
    let header = size_of::<abi::UNICODE_STRING>();
    let block = kernel.mm.pool.allocate_zeroed(header + text.len() * 2 + 2, DRIVER_TAG, PoolOwner::default());
    let path = UnicodeString::at(block.ok_or(REFUSED)?.address);
    let write = || -> Outcome<()> {
        let buffer = path.address() + header as u64;
        raw::copy_wide(buffer, &text)?;
        let length = u16::try_from(text.len() * 2).unwrap_or(u16::MAX - 2);
        path.set(length, length + 2, buffer)
    };
    write().map_err(|_| REFUSED)?;
    let called = call(kernel, library, routine, &[path.address()]);
    match called {
        Err(LibraryError::Halted) => return Err(LibraryError::Halted),
        _ => free_own(kernel, path.address()),
    };
    called
}

/// Calls a routine of the library in the system process.
fn call(
    kernel: &Kernel,
    library: &Library,
    routine: u64,
    arguments: &[u64],
) -> Result<NTSTATUS, LibraryError> {
    let system = kernel.ps.system().clone();
    let returned = ps::inside(kernel, &system, |thread| {
        let value = dispatch::as_owner(library.id, || kernel.ke.call(kernel, routine, arguments))?;
        kernel.ke.leave_system_service(kernel, thread, routine).map(|()| value)
    });
    match returned {
        Ok(Ok(value)) => Ok(NTSTATUS::from_bits(dispatch::low_half(value))),
        Ok(Err(Unwind::Exit(status))) => Ok(status),
        Ok(Err(Unwind::Halt | Unwind::Raise(_))) => Err(LibraryError::Halted),
        Err(status) => Err(LibraryError::Status(status)),
    }
}

/// Unloads an export driver that no driver needs any more: DllUnload, and what it left is told to the observers as a
/// driver's is. Its image stays when it left something, and when DllUnload returns an error. (Confirm: the latter.)
pub fn unload_library(kernel: &Kernel, library: &Library) {
    if !library.can_unload() || kernel.is_halted() {
        return;
    }
    let Ok(status) = call(kernel, library, library.unload, &[]) else { return };
    let report = library.left(kernel);
    library.remove(kernel, report.is_clean() && status.is_success());
    kernel.trace.emit(|| crate::trace::Event::DriverUnloaded { report });
}
