//! Why a file is not an image that can be loaded.

use std::fmt;

use object::pe;
use thiserror::Error;

/// What is wrong with an image, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The file is something else.
    #[error("this is not a Windows image: {0}")]
    NotAnImage(&'static str),
    /// The file ends before something that it announces.
    #[error(
        "the file is cut off: {what} needs {needed} bytes from offset {offset:#x}, the file has {length}"
    )]
    Truncated {
        /// What cannot be read.
        what: &'static str,
        /// File offset in bytes.
        offset: u64,
        /// Bytes needed there.
        needed: u64,
        /// Bytes that the file has.
        length: u64,
    },
    /// The image is for another processor.
    #[error("the image is for {0}; only x64 images can run here")]
    WrongMachine(Machine),
    /// The image is a program or a user-mode DLL.
    #[error("this is not a driver: its subsystem is {0}, a driver's is 1 (NATIVE)")]
    NotADriver(u16),
    /// A table contradicts itself, the file or the image.
    #[error("{what} at relative address {rva:#x}: {why}")]
    Malformed {
        /// The table.
        what: &'static str,
        /// Its place in the image, or of the part that is wrong.
        rva: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// A section's header is wrong.
    #[error("section {number} ({name}): {why}")]
    Section {
        /// Its number, from 1.
        number: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A size or count is beyond what is accepted.
    #[error("{what} is {value}, at most {limit} is accepted")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The image's number.
        value: u64,
        /// The most accepted.
        limit: u64,
    },
}

impl ImageError {
    pub(crate) fn malformed(what: &'static str, rva: u32, why: &'static str) -> Self {
        Self::Malformed { what, rva, why }
    }
}

/// A processor, as images name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine(pub u16);

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            pe::IMAGE_FILE_MACHINE_I386 => formatter.write_str("32-bit x86"),
            pe::IMAGE_FILE_MACHINE_AMD64 => formatter.write_str("x64"),
            pe::IMAGE_FILE_MACHINE_ARM64 => formatter.write_str("ARM64"),
            pe::IMAGE_FILE_MACHINE_ARM | pe::IMAGE_FILE_MACHINE_ARMNT => formatter.write_str("32-bit ARM"),
            pe::IMAGE_FILE_MACHINE_IA64 => formatter.write_str("Itanium"),
            other => write!(formatter, "an unknown machine ({other:#06x})"),
        }
    }
}
