//! The application's side: devices as Win32 programs see them, over any [`Transport`].
//!
//! [`Device`] opens `\\.\Name` and reads, writes and controls it; [`Win32Error`] carries the Win32 code, NT's status behind
//! it, and a sentence that says what to do. What the requests mean is the kernel's matter.
#![forbid(unsafe_code)]

mod control_code;
mod device;
mod error;
mod path;

pub use control_code::{Access, ControlCode, Method};
pub use device::{Device, OpenOptions};
pub use error::Win32Error;
pub use gate::{DirectoryEntry, Handle, IoStatus, Transport};
pub use path::nt_path;
