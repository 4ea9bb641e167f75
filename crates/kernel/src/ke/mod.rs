//! The dispatcher: dispatcher objects and waits, IRQL and virtual processors, threads.
//!
//! Objects live in driver memory, with NT's layouts, and their signal state there is what counts; who waits for them
//! is kept here, under one lock a machine. Blocking goes through the platform only. Handles and names of these
//! objects are `ob`'s; making and ending threads is `ps`'s.
//!
//! - `dispatcher`: the machine's state, and stopping it. `wait`, `waiter`, `wait_list`: waiting.
//! - `object`: what all dispatcher objects share. `event`, `mutant`, `semaphore`, `timer`, `queue`: one kind each.
//! - `irql`, `processors`, `dpc`, `spin_lock`, `shared_spin_lock`: code at DISPATCH_LEVEL.
//! - `thread`, `apc`, `special_apc`, `kernel_apc`, `time`: threads, what ends their waits early, what is finished in their
//!   context and by their drivers there, clocks.
//!   `idle`, `clock`: threads of the machine's own.

mod apc;
mod clock;
mod dispatcher;
mod dpc;
mod dpc_watchdog;
mod event;
mod idle;
mod irql;
mod kernel_apc;
mod mutant;
mod object;
mod processors;
mod queue;
mod semaphore;
mod shared_spin_lock;
mod special_apc;
mod spin_lock;
mod thread;
mod time;
mod timer;
mod wait;
mod wait_list;
mod waiter;

#[cfg(test)]
pub(crate) mod tests;

pub use apc::UserApc;
pub use dispatcher::Dispatcher;
pub use dpc::Kdpc;
pub use dpc_watchdog::DpcLimits;
pub use kernel_apc::KernelApc;
pub use mutant::Kmutant;
pub use object::initialize_header;
pub use processors::MAXIMUM_PROCESSORS;
pub use queue::{Kqueue, QueueEnd, Removed};
pub use semaphore::Ksemaphore;
pub use shared_spin_lock::SpinAccess;
pub use special_apc::ApcTarget;
pub use spin_lock::{HeldSpinLocks, LockQueueHandle};
pub(crate) use thread::THREAD_TAG;
pub use thread::{Thread, ThreadId};
pub use time::{PERFORMANCE_FREQUENCY, TIME_INCREMENT};
pub use timer::Ktimer;
pub use wait::{ProcessorMode, Timeout, WaitType};
