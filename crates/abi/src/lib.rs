//! NT's x64 layouts, constants and status codes exactly as in the public headers; no behaviour.
//!
//! Everything is re-exported flat (`abi::IRP`). Spelling is C's. Unnamed unions and structures of the headers carry the
//! names that `DUMMYUNIONNAME` gives them in C (`u`, `u2`, `s`), or are left out where one member says it all; named
//! parts are types of their own (`IRP_TAIL_OVERLAY`). Bit fields of one word are that word; `_pad` fields are what
//! `POINTER_ALIGNMENT` leaves. Enumerations are integers and constants, for a driver may store any value. Function
//! pointers are `Option<unsafe extern "win64" fn>`, so that zeroed memory is valid for every type here.
//!
//! `headers/generate.py` writes the tables and the compile-time checks from mingw-w64's copy of the headers;
//! `headers/public_only.tsv` lists what Microsoft publishes and that copy lacks.
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
mod flt;
mod io;
mod irp;
mod ke;
mod layout_checks;
mod major;
mod mdl;
mod object;
mod pipe;
mod plug_play;
mod pnp;
mod ports;
mod ps;
mod registry;
mod rtl;
mod security;
mod service;
mod stack;
mod status;
mod status_codes;
mod token;
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
pub use flt::*;
pub use io::*;
pub use irp::*;
pub use ke::*;
pub use major::*;
pub use mdl::*;
pub use object::*;
pub use pipe::*;
pub use plug_play::*;
pub use pnp::*;
pub use ports::*;
pub use ps::*;
pub use registry::*;
pub use rtl::*;
pub use security::*;
pub use service::*;
pub use stack::*;
pub use status::*;
pub use status_codes::*;
pub use token::*;
pub use user_shared::*;
pub use win32::*;
pub use win32_codes::*;
