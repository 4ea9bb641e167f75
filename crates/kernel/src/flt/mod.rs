//! The filter manager: filters, their communication ports, and the connections of applications to them.
//!
//! - `filter`: `FltRegisterFilter` and what ends a filter.
//! - `port`: a filter's ports, which have names, and who may connect.
//! - `connection`: what goes through one connection: messages, the replies to them, and its end.
//! - `device`: the device whose files are the applications' ends of connections.
//! - `operations`: where the filtering of file operations will be.
//!
//! An application's end is a file of `\FileSystem\Filters\FltMgrMsg` (decision 34), so that overlapped requests, completion ports,
//! cancelling, and the end of a process are `io`'s, as they are for all files.

mod connection;
mod device;
mod filter;
mod operations;
mod port;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use platform::scheduler::Lock;

pub use connection::{Message, close_client_port, send_message};
pub use device::connect;
pub use filter::{
    Registration, dereference_object, filter_load, filter_unload, load_filter, reference_object,
    register_filter, start_filtering, unload_filter, unregister_filter,
};
pub use port::{PortRoutines, close_communication_port, create_communication_port, port_descriptor};

use crate::mm::PoolOwner;
use crate::ob::Object;
use crate::{Kernel, raw};

/// Tag of filters, ports and connections.
const TAG: u32 = u32::from_le_bytes(*b"FMfl");
/// Bytes of their blocks; their layouts are not public.
const BLOCK: usize = 0x40;

/// State of the filter manager of a machine.
#[derive(Debug)]
pub struct FilterManager {
    filters: Mutex<Vec<Arc<Object>>>,
    /// Connections ever made: numbers their messages apart.
    connections: AtomicU32,
    /// The address that stands for its driver's routines; 0 before there was a filter.
    routines: Lock<u64>,
}

impl Default for FilterManager {
    fn default() -> Self {
        Self { filters: Mutex::default(), connections: AtomicU32::new(0), routines: Lock::new(0) }
    }
}

impl FilterManager {
    fn filters(&self) -> MutexGuard<'_, Vec<Arc<Object>>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A zeroed block for an object that drivers know by address.
fn allocate(kernel: &Kernel) -> Result<u64, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(BLOCK, TAG, PoolOwner::default());
    block.map(|block| block.address).ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)
}

/// Calls a filter's routine; it counts as its driver's, also for what it allocates.
fn call_out(kernel: &Kernel, driver: u32, routine: u64, arguments: &[u64]) -> raw::Outcome<NTSTATUS> {
    let returned = crate::io::as_owner(driver, || kernel.ke.call(kernel, routine, arguments))?;
    Ok(NTSTATUS::from_bits(crate::io::low_half(returned)))
}
