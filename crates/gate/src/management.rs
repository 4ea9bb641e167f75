//! What an administrator asks of a machine besides its devices: to load drivers, to unload them, and which there are. On
//! Windows the service control manager and its tools stand here.

use std::fmt;

use abi::NTSTATUS;

use crate::device_management::{DeviceReport, DeviceRequest};
use crate::fields::{Fields, put_text};
use crate::service_management::{ServiceReport, ServiceRequest};

/// A value under a service's `Parameters` key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// REG_DWORD.
    Dword(u32),
    /// REG_SZ.
    Text(String),
}

/// A driver to load. The file's content is given, not its place: the host opens no file for others, and may see
/// other files under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadDriver<'a> {
    /// The service's name.
    pub name: &'a str,
    /// The file's name, for reports.
    pub file_name: &'a str,
    /// The file's content.
    pub image: &'a [u8],
    /// Load it although exports that it imports are not implemented.
    pub allow_missing: bool,
    /// Values for the service's `Parameters` key, by name, set before it is loaded.
    pub parameters: Vec<(String, Parameter)>,
}

/// What came of asking a driver to unload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverUnload {
    /// DriverUnload has run.
    Unloaded {
        /// What the driver left behind, a clause each ("left the device …").
        left: Vec<String>,
    },
    /// It will run when the last file is closed and the last attached device gone; no more can be opened or attached.
    Pending {
        /// Open files and attached devices.
        files: u32,
    },
}

/// A loaded driver, as a machine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInformation {
    /// Service name.
    pub name: String,
    /// File name of its image; empty for drivers compiled into the host's process.
    pub file_name: String,
    /// Where the image lies; 0 for drivers compiled into the host's process.
    pub base: u64,
    /// Bytes of the image.
    pub size: u64,
    /// Paths (or addresses) of its devices, newest first.
    pub devices: Vec<String>,
}

/// Why something was not done: a status for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// NT's status; always an error or a warning.
    pub status: NTSTATUS,
    /// What happened and what can be done; may be empty.
    pub reason: String,
}

impl From<NTSTATUS> for Refusal {
    fn from(status: NTSTATUS) -> Self {
        Self { status, reason: String::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = abi::status_name(self.status).unwrap_or("a status without a name");
        match self.reason.as_str() {
            "" => write!(formatter, "{name} ({:?})", self.status),
            reason => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}

/// An administrator's way to a machine's drivers. Everybody else gets `STATUS_PRIVILEGE_NOT_HELD`.
pub trait Management: Send + Sync {
    /// `NtLoadDriver`, with the service's key and the driver's file in one call.
    ///
    /// # Errors
    /// Why it is not loaded. Its `Parameters` key stays.
    fn load_driver(&self, request: &LoadDriver<'_>) -> Result<(), Refusal>;

    /// `NtUnloadDriver`.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`; `STATUS_INVALID_DEVICE_REQUEST` when it cannot be unloaded or is unloading already.
    fn unload_driver(&self, name: &str) -> Result<DriverUnload, Refusal>;

    /// Something about devices. A device that was not started, or stays because somebody is against its removal, is a
    /// report, not a refusal.
    ///
    /// # Errors
    /// `STATUS_NO_SUCH_DEVICE`; `STATUS_INVALID_DEVICE_STATE` when the device does not stand where this can happen; for a
    /// device that comes, why its drivers do not take it.
    fn manage_devices(&self, request: &DeviceRequest) -> Result<DeviceReport, Refusal>;

    /// Something about services.
    ///
    /// # Errors
    /// What the service control manager would say, as a status of facility NTWIN32 (`ERROR_SERVICE_DOES_NOT_EXIST`, …); at a start, why
    /// the driver is not loaded.
    fn manage_services(&self, request: &ServiceRequest<'_>) -> Result<ServiceReport, Refusal>;

    /// The loaded drivers, in the order of loading.
    ///
    /// # Errors
    /// `STATUS_PRIVILEGE_NOT_HELD`, or that the host is gone.
    fn drivers(&self) -> Result<Vec<DriverInformation>, Refusal>;
}

const ALLOW_MISSING: u32 = 1;
const DWORD: u32 = abi::REG_DWORD;
const TEXT: u32 = abi::REG_SZ;

/// A request to load as bytes: flags, names, parameters, and behind them the image.
pub(crate) fn encode_load(request: &LoadDriver<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(request.image.len() + 512);
    let flags = if request.allow_missing { ALLOW_MISSING } else { 0 };
    bytes.extend_from_slice(&flags.to_le_bytes());
    put_text(&mut bytes, request.name);
    put_text(&mut bytes, request.file_name);
    let count = u32::try_from(request.parameters.len()).expect("fewer than 2^32 parameters");
    bytes.extend_from_slice(&count.to_le_bytes());
    for (name, value) in &request.parameters {
        put_text(&mut bytes, name);
        match value {
            Parameter::Dword(number) => {
                bytes.extend_from_slice(&DWORD.to_le_bytes());
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            Parameter::Text(text) => {
                bytes.extend_from_slice(&TEXT.to_le_bytes());
                put_text(&mut bytes, text);
            }
        }
    }
    bytes.extend_from_slice(request.image);
    bytes
}

/// `None` if these are no such request.
pub(crate) fn decode_load(bytes: &[u8]) -> Option<LoadDriver<'_>> {
    let mut fields = Fields(bytes);
    let flags = fields.u32()?;
    if flags & !ALLOW_MISSING != 0 {
        return None;
    }
    let (name, file_name) = (fields.text()?, fields.text()?);
    let mut parameters = Vec::new();
    for _ in 0..fields.u32()? {
        let name = fields.text()?.to_owned();
        let value = match fields.u32()? {
            DWORD => Parameter::Dword(fields.u32()?),
            TEXT => Parameter::Text(fields.text()?.to_owned()),
            _ => return None,
        };
        parameters.push((name, value));
    }
    let allow_missing = flags & ALLOW_MISSING != 0;
    Some(LoadDriver { name, file_name, image: fields.0, allow_missing, parameters })
}

/// The outcome of an unload as bytes: files that are open, and what was left. What does not fit into `limit` bytes is left
/// out.
pub(crate) fn encode_unload(outcome: &DriverUnload, limit: usize) -> Vec<u8> {
    let (files, left) = match outcome {
        DriverUnload::Unloaded { left } => (0, left.as_slice()),
        // Zero says that it is unloaded; something always keeps a driver that is not.
        DriverUnload::Pending { files } => ((*files).max(1), [].as_slice()),
    };
    let mut bytes = files.to_le_bytes().to_vec();
    for clause in left {
        if bytes.len() + 4 + clause.len() > limit {
            break;
        }
        put_text(&mut bytes, clause);
    }
    bytes
}

pub(crate) fn decode_unload(bytes: &[u8]) -> Option<DriverUnload> {
    let mut fields = Fields(bytes);
    let files = fields.u32()?;
    let mut left = Vec::new();
    while !fields.is_empty() {
        left.push(fields.text()?.to_owned());
    }
    Some(if files == 0 { DriverUnload::Unloaded { left } } else { DriverUnload::Pending { files } })
}

pub(crate) fn encode_drivers(drivers: &[DriverInformation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for driver in drivers {
        put_text(&mut bytes, &driver.name);
        put_text(&mut bytes, &driver.file_name);
        bytes.extend_from_slice(&driver.base.to_le_bytes());
        bytes.extend_from_slice(&driver.size.to_le_bytes());
        let count = u32::try_from(driver.devices.len()).expect("fewer than 2^32 devices");
        bytes.extend_from_slice(&count.to_le_bytes());
        driver.devices.iter().for_each(|device| put_text(&mut bytes, device));
    }
    bytes
}

pub(crate) fn decode_drivers(bytes: &[u8]) -> Option<Vec<DriverInformation>> {
    let mut fields = Fields(bytes);
    let mut drivers = Vec::new();
    while !fields.is_empty() {
        let (name, file_name) = (fields.text()?.to_owned(), fields.text()?.to_owned());
        let (base, size) = (fields.u64()?, fields.u64()?);
        let mut devices = Vec::new();
        for _ in 0..fields.u32()? {
            devices.push(fields.text()?.to_owned());
        }
        drivers.push(DriverInformation { name, file_name, base, size, devices });
    }
    Some(drivers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> LoadDriver<'static> {
        LoadDriver {
            name: "hello",
            file_name: "hello.sys",
            image: b"MZ and the rest",
            allow_missing: true,
            parameters: vec![
                ("Depth".to_owned(), Parameter::Dword(7)),
                ("Target".to_owned(), Parameter::Text(r"\Device\Ümläut".to_owned())),
            ],
        }
    }

    #[test]
    fn requests_and_answers_survive_the_wire() {
        assert_eq!(decode_load(&encode_load(&load())), Some(load()));
        let left = vec!["left one thing".to_owned(), "left another".to_owned()];
        for outcome in [DriverUnload::Unloaded { left }, DriverUnload::Pending { files: 3 }] {
            assert_eq!(decode_unload(&encode_unload(&outcome, 4096)), Some(outcome));
        }
        let driver = |devices: &[&str]| DriverInformation {
            name: "hello".to_owned(),
            file_name: "hello.sys".to_owned(),
            base: 1 << 45,
            size: 0x5000,
            devices: devices.iter().map(|&device| device.to_owned()).collect(),
        };
        let drivers = vec![driver(&[]), driver(&[r"\Device\A", "0x1234"])];
        assert_eq!(decode_drivers(&encode_drivers(&drivers)), Some(drivers));
    }

    #[test]
    fn torn_requests_and_answers_are_none() {
        let whole = encode_load(&load());
        let head = whole.len() - load().image.len();
        for length in 0..head {
            assert_eq!(decode_load(&whole[..length]), None, "{length}");
        }
        assert_eq!(decode_load(&[0xFF; 64]), None);
        assert_eq!(decode_unload(&[0, 0]), None);
        assert_eq!(decode_drivers(&[9; 11]), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_is_whole() {
        let left: Vec<_> = (0..100).map(|number| format!("left thing {number:03}")).collect();
        let bytes = encode_unload(&DriverUnload::Unloaded { left: left.clone() }, 100);
        assert!(bytes.len() <= 100);
        assert_eq!(decode_unload(&bytes), Some(DriverUnload::Unloaded { left: left[..5].to_vec() }));
    }
}
