//! Errors as applications get them: a Win32 code, and what to do about it.

use std::fmt;

use abi::NTSTATUS;

/// A failed call: `GetLastError`'s code and the NTSTATUS behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Win32Error {
    /// The Win32 code, for example 2 (ERROR_FILE_NOT_FOUND).
    pub code: u32,
    /// The status that it comes from.
    pub status: NTSTATUS,
    /// The Win32 function that failed.
    pub function: &'static str,
    /// What it was called on: a path, or empty.
    pub subject: String,
    /// Bytes that the request reports all the same (`lpBytesReturned`): for warnings such as ERROR_MORE_DATA.
    pub bytes: u32,
}

impl Win32Error {
    pub(crate) fn new(function: &'static str, subject: &str, status: NTSTATUS) -> Self {
        Self { code: abi::win32_from_status(status), status, function, subject: subject.to_owned(), bytes: 0 }
    }

    /// What the user can do, when the code alone says it.
    fn advice(&self) -> &'static str {
        match self.status {
            abi::STATUS_OBJECT_NAME_NOT_FOUND if self.function == "OpenEvent" => {
                "no event has this name; one is there as long as somebody has it open"
            }
            abi::STATUS_OBJECT_NAME_NOT_FOUND | abi::STATUS_OBJECT_PATH_NOT_FOUND => {
                "no device has this name; check that the driver is loaded and created its symbolic link \
                 (`ringbridge ls '\\??'` lists the names)"
            }
            abi::STATUS_ACCESS_DENIED => {
                "the handle lacks the access that the request needs, the device is open exclusively, or its security \
                 descriptor keeps this user out"
            }
            abi::STATUS_INVALID_DEVICE_REQUEST => "the driver does not handle this request",
            abi::STATUS_INVALID_HANDLE => "the handle is closed, or was never opened",
            abi::STATUS_DEVICE_NOT_CONNECTED => {
                "the machine has stopped or the host has ended; see the host's bugcheck report"
            }
            abi::STATUS_NOT_IMPLEMENTED => "Ringbridge does not implement this yet",
            abi::STATUS_NO_SUCH_DEVICE => "the device is being removed, or its driver is not ready",
            _ => "",
        }
    }
}

/// Bytes transferred, or how it failed.
#[inline]
pub(crate) fn transferred(
    function: &'static str,
    status: NTSTATUS,
    information: u64,
) -> Result<u32, Win32Error> {
    let bytes = u32::try_from(information).unwrap_or(u32::MAX);
    if status.is_success() {
        Ok(bytes)
    } else {
        Err(Win32Error { bytes, ..Win32Error::new(function, "", status) })
    }
}

impl fmt::Display for Win32Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.function)?;
        if !self.subject.is_empty() {
            write!(formatter, "({})", self.subject)?;
        }
        let win32 = abi::win32_name(self.code).unwrap_or("a code without a name");
        let status = abi::status_name(self.status).unwrap_or("a status without a name");
        write!(formatter, " failed with {} {win32} ({status}, {:?})", self.code, self.status)?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(formatter, ": {advice}"),
        }
    }
}

impl std::error::Error for Win32Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_about_what_was_asked_for() {
        let status = abi::STATUS_OBJECT_NAME_NOT_FOUND;
        let said = |function| Win32Error::new(function, "Name", status).to_string();
        let device = said("CreateFile");
        assert!(device.starts_with("CreateFile(Name) failed with 2 ERROR_FILE_NOT_FOUND"), "{device}");
        assert!(device.contains("check that the driver is loaded"), "{device}");
        let event = said("OpenEvent");
        assert!(event.contains("no event has this name") && !event.contains("device"), "{event}");
    }
}
