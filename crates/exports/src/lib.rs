//! Exports: what driver code imports from `ntoskrnl.exe`, `hal.dll` and their like, one row each.
//!
//! A row (declared with `rows!`) says name, aliases, IRQL, signature and what the export does; its entry thunk, the
//! resolver's entry, the trace line and the documentation come from it. What the services mean is the kernel's
//! matter: rows only take arguments from driver code and hand them on.
#![expect(unsafe_code, reason = "entry thunks, and symbols that Rust drivers in this process link to")]

mod attributes;
mod call;
mod code_page;
mod data;
mod document;
mod format;
mod resolve;
mod row;
mod rows;
mod stub;
mod variadic;

pub use call::Call;
pub use data::DataExports;
pub use document::markdown;
pub use resolve::{Resolved, find, invalid_device_request, is_module, resolve};
pub use row::{Address, Row, Support};
pub use rows::all;
