//! Why a driver could not be loaded, in sentences that say what to do.

use abi::NTSTATUS;
use kernel::io::UnloadReport;
use loader::map::{MapError, MissingImport};
use thiserror::Error;

use crate::report::left_behind;

/// Why a driver could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// The driver needs exports that are not implemented. All of them are named.
    #[error("{}", missing_imports(.0))]
    MissingImports(Vec<MissingImport>),
    /// The image is not sound, or there is no place for it.
    #[error("the image cannot be loaded: {0}")]
    Image(MapError),
    /// An image that the driver imports from cannot be loaded.
    #[error("{file}, which it imports from, cannot be loaded: {reason}")]
    Library {
        /// The image's file, as the importing image spells it.
        file: String,
        /// Why.
        reason: Box<LoadError>,
    },
    /// An image imports from one that is being loaded because of it, or images need each other more than 16 deep.
    #[error("it is being loaded already: images must not import from each other in a circle, or 16 deep")]
    Circle,
    /// The DllInitialize of an export driver returned an error.
    #[error("DllInitialize failed with {}{}", status_text(*status), each_on_a_line(&left_behind(left)))]
    DllInitialize {
        /// What it returned.
        status: NTSTATUS,
        /// What it left behind.
        left: Box<UnloadReport>,
    },
    /// The file is loaded as an export driver.
    #[error("{0} is loaded for drivers that import from it, and cannot be loaded as a driver beside that")]
    IsLibrary(String),
    /// The image has no entry point.
    #[error("the image has no entry point, so there is no DriverEntry to call")]
    NoEntry,
    /// A driver of this name is loaded.
    #[error("a driver named {0} is loaded already; unload it first, or load under another name")]
    AlreadyLoaded(String),
    /// DriverEntry returned an error.
    #[error("DriverEntry failed with {}{}", status_text(*status), each_on_a_line(&left_behind(left)))]
    DriverEntry {
        /// What it returned.
        status: NTSTATUS,
        /// What it left behind.
        left: Box<UnloadReport>,
    },
    /// DriverEntry stopped the machine: the bugcheck report says how.
    #[error("DriverEntry stopped the machine; see the bugcheck report")]
    Halted,
    /// The machine has stopped, or is out of memory.
    #[error("the machine cannot load a driver: {}", status_text(*.0))]
    Machine(NTSTATUS),
}

impl LoadError {
    /// The status that NT's `NtLoadDriver` would give.
    #[must_use]
    pub fn status(&self) -> NTSTATUS {
        match self {
            Self::Read { .. } => abi::STATUS_OBJECT_NAME_NOT_FOUND,
            Self::MissingImports(_) => abi::STATUS_DRIVER_ENTRYPOINT_NOT_FOUND,
            Self::Image(_) | Self::NoEntry | Self::Circle => abi::STATUS_INVALID_IMAGE_FORMAT,
            Self::AlreadyLoaded(_) | Self::IsLibrary(_) => abi::STATUS_IMAGE_ALREADY_LOADED,
            Self::DriverEntry { status, .. } | Self::DllInitialize { status, .. } | Self::Machine(status) => {
                *status
            }
            Self::Library { reason, .. } => reason.status(),
            Self::Halted => abi::STATUS_DEVICE_NOT_CONNECTED,
        }
    }
}

impl From<MapError> for LoadError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::MissingImports(missing) => Self::MissingImports(missing),
            other => Self::Image(other),
        }
    }
}

/// All imports that are missing, and what can be done.
fn missing_imports(missing: &[MissingImport]) -> String {
    let names: Vec<_> = missing.iter().map(|import| format!("\n  {import}")).collect();
    let count = if missing.len() == 1 { "an import" } else { "imports" };
    let advice = if missing.iter().all(|import| import.stub) {
        "Load it with missing imports allowed (--allow-missing) to run it up to the first call of one."
    } else {
        "Those that are not marked as not implemented are no exports of NT that are known here, nor of an image that is \
         loaded or lies beside the driver: it cannot be loaded."
    };
    format!("{count} of the driver cannot be resolved ({}):{}\n{advice}", missing.len(), names.concat())
}

fn each_on_a_line(clauses: &[String]) -> String {
    clauses.iter().map(|clause| format!("\n  {clause}")).collect()
}

/// `STATUS_NAME (0x…)`.
pub(crate) fn status_text(status: NTSTATUS) -> String {
    match abi::status_name(status) {
        Some(name) => format!("{name} ({status:?})"),
        None => format!("{status:?}"),
    }
}
