//! Fuzz targets: what must survive any input. A target is a function of bytes that panics when a rule is broken; `engine/`
//! holds one program a target that feeds it inputs which reach new code (`cargo xtask fuzz`), `tests/replay.rs` feeds it
//! those under `regressions/`.
//!
//! - [`pe`]: a driver's file, through [`loader::map::map`] and out of memory again;
//! - [`unwind`]: function and unwind tables, and the code and stack that they speak of;
//! - [`ioctl`]: what applications ask of a machine with drivers;
//! - [`slots`]: what another process writes into its call slots;
//! - [`filter_messages`]: what an application asks of a filter's port;
//! - [`lpc_messages`]: what a process says to LPC ports;
//! - [`pipe_messages`]: what applications ask of named pipes.
//!
//! What ran for how long: `docs/fuzzing.md`.
#![deny(unsafe_code)]

mod deeds;
pub mod filter_messages;
mod images;
mod impatience;
pub mod ioctl;
pub mod lpc_messages;
pub mod pe;
pub mod pipe_messages;
mod random;
pub mod slots;
pub mod unwind;
