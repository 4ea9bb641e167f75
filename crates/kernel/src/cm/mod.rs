//! The configuration manager: registry keys and values, in memory, gone with the machine.

mod key;

pub use key::{Registry, Value};
