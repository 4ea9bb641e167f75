//! What a driver hangs on its driver object: extensions that it finds again by an address of its choice, and routines that
//! are to be called again when its DriverEntry has succeeded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::driver::DRIVER_TAG;
use super::{Driver, dispatch, free_own};
use crate::mm::PoolOwner;
use crate::raw::{DriverObject, Outcome};
use crate::{Kernel, ps};

/// What a driver has hung on its driver object.
#[derive(Debug, Default)]
pub(super) struct Hung {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Extensions by client identification address.
    extensions: HashMap<u64, u64>,
    /// Routines and their contexts, in the order of registering.
    reinitialize: Vec<(u64, u64)>,
    /// How often one of them has been called.
    calls: u32,
}

impl Hung {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the extensions, of a driver that is gone.
    pub(super) fn release(&self, kernel: &Kernel) {
        for (_, extension) in self.lock().extensions.drain() {
            free_own(kernel, extension);
        }
    }
}

/// `IoAllocateDriverObjectExtension`: `size` zeroed bytes that go with the driver. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_OBJECT_NAME_COLLISION` when the driver has one for this identification address,
/// `STATUS_INSUFFICIENT_RESOURCES`, `STATUS_INVALID_PARAMETER` for what is no driver object.
///
/// Source: ddi, IoAllocateDriverObjectExtension.
pub fn allocate_driver_object_extension(
    kernel: &Kernel,
    driver: DriverObject,
    client: u64,
    size: u32,
) -> Result<u64, NTSTATUS> {
    let driver = kernel.io.driver_at(driver.address()).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    let mut inner = driver.hung.lock();
    if inner.extensions.contains_key(&client) {
        return Err(abi::STATUS_OBJECT_NAME_COLLISION);
    }
    let block = kernel.mm.pool.allocate_zeroed(size as usize, DRIVER_TAG, PoolOwner::default());
    let block = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    inner.extensions.insert(client, block.address);
    Ok(block.address)
}

/// `IoGetDriverObjectExtension`: the extension's address; 0 when there is none. IRQL <= DISPATCH_LEVEL.
///
/// Source: ddi, IoGetDriverObjectExtension.
#[must_use]
pub fn driver_object_extension(kernel: &Kernel, driver: DriverObject, client: u64) -> u64 {
    let driver = kernel.io.driver_at(driver.address());
    driver.and_then(|driver| driver.hung.lock().extensions.get(&client).copied()).unwrap_or(0)
}

/// `IoRegisterDriverReinitialization` and `IoRegisterBootDriverReinitialization`: `routine` is called with the driver
/// object, `context` and how often such routines of the driver have been called, this time included, once DriverEntry has
/// succeeded; from within a routine: when the next driver has been loaded. PASSIVE_LEVEL.
///
/// # Errors
/// An access violation in the driver object.
///
/// Source: ddi, IoRegisterDriverReinitialization.
pub fn register_reinitialization(
    kernel: &Kernel,
    driver: DriverObject,
    routine: u64,
    context: u64,
) -> Outcome<()> {
    let Some(driver) = kernel.io.driver_at(driver.address()) else { return Ok(()) };
    driver.object.set_flags(driver.object.flags()? | abi::DRVO_REINIT_REGISTERED)?;
    driver.hung.lock().reinitialize.push((routine, context));
    Ok(())
}

/// Calls the routines that are registered now, of all drivers, in the system process at PASSIVE_LEVEL.
///
/// # Errors
/// How a routine was left otherwise than by returning; the machine has stopped then.
pub(super) fn reinitialize(kernel: &Kernel) -> Outcome<()> {
    for driver in kernel.io.drivers() {
        let registered = std::mem::take(&mut driver.hung.lock().reinitialize);
        if registered.is_empty() {
            continue;
        }
        driver.object.set_flags(driver.object.flags()? & !abi::DRVO_REINIT_REGISTERED)?;
        for (routine, context) in registered {
            call(kernel, &driver, routine, context)?;
        }
    }
    Ok(())
}

fn call(kernel: &Kernel, driver: &Driver, routine: u64, context: u64) -> Outcome<()> {
    let count = {
        let mut inner = driver.hung.lock();
        inner.calls += 1;
        inner.calls
    };
    let arguments = [driver.object.address(), context, u64::from(count)];
    let system = kernel.ps.system().clone();
    let called = ps::inside(kernel, &system, |thread| {
        dispatch::as_owner(driver.id, || kernel.ke.call(kernel, routine, &arguments))?;
        kernel.ke.leave_system_service(kernel, thread, routine)
    });
    // A machine that has stopped calls nothing more.
    called.unwrap_or(Ok(()))
}
