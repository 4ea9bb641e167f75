//! What `read`, `write` and `ioctl` have in common: bytes from the command line, bytes to the terminal.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use app::Win32Error;
use serde_json::{Value, json};

use crate::hex;
use crate::number::MAX_LENGTH;
use crate::output::Output;

/// How bytes are shown.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Shape {
    /// Write the bytes themselves instead of a hex dump
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print one JSON object; the bytes are its field `data`, in hexadecimal
    #[arg(long)]
    json: bool,
}

/// The first `count` bytes of `buffer`, however many the driver claims.
pub(crate) fn front(buffer: &[u8], count: u32) -> &[u8] {
    &buffer[..buffer.len().min(count as usize)]
}

/// The bytes that came of a request: all of them on success, those that fitted on a warning such as ERROR_MORE_DATA,
/// which then remains to be told.
pub(crate) fn outcome(done: Result<u32, Win32Error>) -> (u32, Option<Win32Error>) {
    match done {
        Ok(bytes) => (bytes, None),
        Err(error) if error.status.is_warning() => (error.bytes, Some(error)),
        Err(error) => (0, Some(error)),
    }
}

impl Shape {
    /// Shows the bytes that a request gave; `about` are the JSON object's other fields. A request that failed with
    /// nothing to show is only an error.
    pub(crate) fn show(
        self,
        output: &mut Output,
        mut about: Value,
        data: &[u8],
        error: Option<Win32Error>,
    ) -> Result<()> {
        if let Some(error) = error {
            if error.status.is_warning() && !self.json {
                self.print(output, data)?;
            }
            return Err(error.into());
        }
        if self.json {
            about["bytes"] = json!(data.len());
            about["data"] = json!(hex::digits(data));
            return output.json(about);
        }
        self.print(output, data)
    }

    fn print(self, output: &mut Output, data: &[u8]) -> Result<()> {
        if self.raw {
            output.raw(data)
        } else if data.is_empty() {
            output.line("0 bytes")
        } else {
            hex::dump(data).into_iter().try_for_each(|line| output.line(line))
        }
    }
}

/// A file's content, at most as much as one request transfers.
pub(crate) fn file(path: &Path) -> Result<Vec<u8>> {
    let read = || format!("cannot read {}", path.display());
    let length = fs::metadata(path).with_context(read)?.len();
    if length > u64::from(MAX_LENGTH) {
        bail!("{} has {length} bytes; a request takes at most {MAX_LENGTH}", path.display());
    }
    let mut bytes = Vec::new();
    // Devices and pipes have no length that could be asked for.
    let limit = u64::from(MAX_LENGTH) + 1;
    File::open(path).with_context(read)?.take(limit).read_to_end(&mut bytes).with_context(read)?;
    if bytes.len() as u64 == limit {
        bail!("{} has more than {MAX_LENGTH} bytes, the most that a request takes", path.display());
    }
    Ok(bytes)
}

/// Bytes given as text, as hexadecimal digits or as a file; none when nothing was given.
pub(crate) fn data(text: Option<&str>, digits: Option<&HexBytes>, path: Option<&PathBuf>) -> Result<Vec<u8>> {
    match (text, digits, path) {
        (Some(text), ..) => Ok(text.as_bytes().to_vec()),
        (_, Some(bytes), _) => Ok(bytes.0.clone()),
        (_, _, Some(path)) => file(path),
        _ => Ok(Vec::new()),
    }
}

/// Bytes from hexadecimal digits.
#[derive(Clone, Debug)]
pub(crate) struct HexBytes(pub(crate) Vec<u8>);

/// For clap.
pub(crate) fn hex_bytes(text: &str) -> Result<HexBytes, String> {
    hex::parse(text).map(HexBytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_brings_its_bytes_and_an_error_none() {
        let error = |status, bytes| Win32Error {
            code: abi::win32_from_status(status),
            status,
            function: "DeviceIoControl",
            subject: String::new(),
            bytes,
        };
        assert_eq!(outcome(Ok(3)), (3, None));
        let more = error(abi::STATUS_BUFFER_OVERFLOW, 4);
        assert_eq!(outcome(Err(more.clone())), (4, Some(more)));
        let small = error(abi::STATUS_BUFFER_TOO_SMALL, 4);
        assert_eq!(outcome(Err(small.clone())), (0, Some(small)));
    }

    #[test]
    fn a_driver_that_claims_too_much_shows_no_more_than_there_is() {
        assert_eq!(front(b"abcd", 2), b"ab");
        assert_eq!(front(b"abcd", u32::MAX), b"abcd");
    }
}
