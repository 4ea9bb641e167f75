//! The kernel's lowest room: dispatcher objects and waits, IRQL and virtual processors, threads.
//!
//! Objects live in driver memory, with NT's layouts; who waits for them is kept here. Blocking goes through the
//! platform only. Handles and names of these objects are `ob`'s.

mod irql;
mod thread;

pub use irql::Dispatcher;
pub use thread::{Thread, ThreadId};
