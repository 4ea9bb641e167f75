//! Win32 for applications in C: the functions that a console application talks to a driver with, under their own names, as a
//! shared library. The headers beside it (`include/`) make the sources of Windows applications compile with gcc and clang;
//! `ringbridge cc` does both.
//!
//! Requests go to the host that `app::connect` finds, at the first call that needs one; a program that embeds a machine may give
//! its own transport first ([`use_transport`]). What requests mean is the kernel's matter, and what a status becomes is `abi`'s.
//!
//! **Memory.** An application's buffers, OVERLAPPEDs and status blocks are its own heap and stack, where the host cannot
//! write. So a request that goes on has a *stand-in* in the session's window (`pending`), which is brought home when it has
//! ended: before any function returns that could tell the application so, and by a thread of this library for
//! applications that only look at their memory. What lies in memory from `VirtualAlloc` is used in place.
//!
//! **Handles** are the machine's; those of threads are events that are set at the thread's end (`thread`).
//!
//! **Distrust.** Pointers are the application's: NULL and the lowest 64 KiB are refused as Windows refuses them, anything else
//! is taken at its word, as memory of the application's own process. Nothing that the host says is used as an address.
#![cfg(not(windows))]
#![expect(unsafe_code, reason = "applications in C call with pointers")]
#![allow(non_snake_case, reason = "these are Win32's names")]

mod apc;
pub mod code_headers;
pub mod compiling;
mod completion_port;
mod device;
mod dos_device;
mod event;
mod failure;
mod file;
mod file_information;
mod file_mapping;
mod file_names;
mod file_watch;
mod filter_port;
mod fs_control;
mod handle;
mod heap;
mod lent;
mod lock;
mod lpc;
mod memory;
mod message;
mod message_text;
mod named_pipe;
mod native;
mod overlapped;
mod pending;
mod pointer;
mod position;
mod process;
mod security;
mod service;
mod session;
mod settler;
mod synchronization;
mod text;
mod thread;
mod time;
mod types;
mod wait;

pub use apc::*;
pub use completion_port::*;
pub use device::*;
pub use dos_device::*;
pub use event::*;
pub use failure::{GetLastError, SetLastError};
pub use file::*;
pub use file_information::*;
pub use file_mapping::*;
pub use file_names::*;
pub use file_watch::*;
pub use filter_port::*;
pub use handle::*;
pub use heap::*;
pub use lock::*;
pub use lpc::*;
pub use memory::{VirtualAlloc, VirtualFree};
pub use message::*;
pub use named_pipe::*;
pub use native::*;
pub use overlapped::*;
pub use pointer::Pointer;
pub use position::*;
pub use process::*;
pub use security::SECURITY_ATTRIBUTES;
pub use service::*;
pub use session::use_transport;
pub use synchronization::*;
pub use thread::*;
pub use time::*;
pub use types::*;
pub use wait::*;
