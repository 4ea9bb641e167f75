//! NT's layouts, constants and status codes exactly as in the public headers.
#![no_std]
#![forbid(unsafe_code)]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names are spelled as in the public headers"
)]
#![expect(
    missing_docs,
    reason = "fields and constants carry the public headers' names, whose documentation is theirs"
)]

#[macro_use]
mod names;

mod base;
mod bugchecks;
#[rustfmt::skip]
mod bugcodes;
mod device;
mod driver;
mod exception;
mod fast_io;
mod file;
mod file_info;
mod io;
mod irp;
mod ke;
mod layout_checks;
mod major;
mod mdl;
mod pnp;
mod ports;
mod security;
mod stack;
mod status;
mod status_codes;
mod user_shared;
mod win32;
mod win32_codes;
#[rustfmt::skip]
mod win32_map;

pub use base::*;
pub use bugchecks::*;
pub use bugcodes::*;
pub use device::*;
pub use driver::*;
pub use exception::*;
pub use fast_io::*;
pub use file::*;
pub use file_info::*;
pub use io::*;
pub use irp::*;
pub use ke::*;
pub use major::*;
pub use mdl::*;
pub use pnp::*;
pub use ports::*;
pub use security::*;
pub use stack::*;
pub use status::*;
pub use status_codes::*;
pub use user_shared::*;
pub use win32::*;
pub use win32_codes::*;
