//! Processes and threads: whose handles, whose context, and how a Linux thread becomes one of a machine's.

mod attach;
mod process;
mod system_thread;

pub use attach::inside;
pub use process::{KERNEL_HANDLE, Process, Processes, SYSTEM_PROCESS_ID};
pub use system_thread::{ThreadBody, spawn_system_thread};
