//! Raw objects: what driver code sees and changes under our feet, as addresses with checked accessors.
//!
//! The only part of the kernel with `unsafe`. Nothing here is ever a reference into driver memory: every field is
//! read or written in one guarded access, and a fault becomes an exception for the driver that passed the address.
//! Writes go only where driver code's own memory lies (decision 2), never into the host's heap. What the
//! fields mean is left to the rooms above.
#![expect(unsafe_code, reason = "guarded access to driver memory, and calls into driver code")]

mod current;
mod driver_code;
mod fields;
mod objects;
mod user_buffer;

pub use current::{Inside, Machine, enter, with_current};
pub use driver_code::{call, call_taking, is_image, return_address};
pub use fields::{
    copy_from, copy_to, copy_wide, copy_within, exchange, fetch_add, fill, is_driver_memory, read, touch,
    write,
};
pub use objects::{
    CompletionEntry, DeviceObject, DispatcherHeader, DriverExtension, DriverObject, FileObject,
    IoStackLocation, Irp, Mdl, ShareAccess, UnicodeString,
};

pub use user_buffer::{InputBuffer, OutputBuffer};

use platform::landing::Unwind;

pub(crate) use fields::raw_object;

/// What a kernel service called by driver code returns: its value, or how control leaves the driver's call.
pub type Outcome<T> = Result<T, Unwind>;
