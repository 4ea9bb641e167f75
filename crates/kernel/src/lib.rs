//! The NT kernel, by NT's own rooms.
//!
//! - [`raw`]: driver-visible objects as addresses with checked accessors; the only `unsafe`.
//! - [`ke`]: dispatcher objects, waits, IRQL and virtual processors, threads as the dispatcher knows them.
//! - [`mm`]: system space, pool, kernel stacks.
//! - [`ob`]: objects, the namespace, handles.
//! - [`ps`]: processes and system threads.
//! - [`cm`]: the registry.
//! - [`se`]: security descriptors, tokens, the access check.
//! - [`ex`]: event objects, resources.
//! - [`io`]: drivers, devices, files, IRPs.
//! - [`lpc`]: LPC ports, by which processes and drivers send each other messages.
//! - [`flt`]: filters and their communication ports.
//! - [`trace`]: what happens, for whoever watches.
//!
//! Loading images, and what exports look like to driver code, are other crates' matter.
#![deny(unsafe_code)]

pub mod cm;
pub mod ex;
pub mod flt;
pub mod io;
pub mod ke;
mod kernel;
pub mod lpc;
pub mod mm;
pub mod ob;
pub mod ps;
pub mod raw;
pub mod se;
pub mod trace;

pub use kernel::{Bugcheck, Configuration, Exception, Kernel, StackFrame, StackWalker, StartError};
pub use platform::landing::{Raise, Unwind};
pub use raw::Outcome;
