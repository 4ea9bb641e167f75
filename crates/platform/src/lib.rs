//! The only code that talks to Linux, and its deterministic mock.
//!
//! - [`scheduler`]: the [`Platform`] trait, through which every wait, sleep and clock read of a kernel goes; [`linux`]
//!   is the real one.
//! - [`pages`]: reservations, protection, and pages that move to a descriptor of their own.
//! - [`entry`], [`landing`], [`fault`], [`images`]: how threads get into driver code and out of it again, faults
//!   included; the one signal-safe registry.
//! - [`code`]: instructions that are replaced while other threads execute them.
//! - [`memory`], [`routines`]: accesses that survive memory which is not there.
#![expect(unsafe_code, reason = "this room wraps Linux, signals and the processor")]

pub mod clock;
pub mod code;
pub mod entry;
pub mod fault;
pub mod images;
pub mod landing;
pub mod linux;
pub mod memory;
pub mod mock;
pub mod pages;
pub mod routines;
pub mod scheduler;
pub mod shared_memory;

pub use linux::Linux;
pub use mock::Mock;
pub use scheduler::{Parked, Parker, Platform};
