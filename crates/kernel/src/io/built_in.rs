//! Drivers that are the kernel's own code: their devices, files and requests are like those of others, and their routines are
//! called directly. Where drivers' code would find the address of a routine, it finds one that stands for it and is no code.

use std::sync::Arc;
use std::sync::OnceLock;

use abi::NTSTATUS;

use super::{Driver, IoManager, driver};
use crate::ke::Thread;
use crate::raw::{DeviceObject, Irp, Outcome};
use crate::{Kernel, Unwind};

/// Drivers of this kind that a machine can have.
pub(super) const MOST: usize = 4;
/// Bytes between the addresses that stand for their routines.
const STRIDE: u64 = 8;

/// The routines of a driver of the kernel's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuiltIn {
    /// Answers a request, as a dispatch routine of any major function does.
    pub(crate) dispatch: fn(&Kernel, DeviceObject, Irp) -> Outcome<NTSTATUS>,
    /// The cancel routine of its requests: entered with the cancel spin lock held, as every one.
    pub(crate) cancel: fn(&Kernel, &Thread, Irp) -> Outcome<()>,
    /// Unloads another driver, in whose `DriverUnload` this one stands.
    pub(crate) unload: fn(&Kernel, &Driver) -> Outcome<()>,
}

/// The table of such drivers.
#[derive(Debug, Default)]
pub(super) struct BuiltIns {
    entries: [OnceLock<BuiltIn>; MOST],
}

impl IoManager {
    /// The driver whose routines `address` stands for.
    #[inline]
    pub(super) fn built_in(&self, address: u64) -> Option<&BuiltIn> {
        let offset = address.wrapping_sub(self.built_in_addresses());
        if offset >= STRIDE * MOST as u64 || !offset.is_multiple_of(STRIDE) {
            return None;
        }
        self.built_ins.entries[usize::try_from(offset / STRIDE).ok()?].get()
    }
}

/// Makes a driver of the kernel's own; returns it with the address that stands for each of its routines. Must not be called by two
/// threads for one name.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub(crate) fn make_built_in(
    kernel: &Kernel,
    name: &str,
    routines: BuiltIn,
) -> Result<(Arc<Driver>, u64), NTSTATUS> {
    let made = driver::make_built_in(kernel, name)?;
    let free = kernel.io.built_ins.entries.iter().position(|entry| entry.set(routines).is_ok());
    let index = free.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let address = kernel.io.built_in_addresses() + STRIDE * index as u64;
    for major in 0..=abi::IRP_MJ_MAXIMUM_FUNCTION {
        let set: Result<(), Unwind> = made.object.set_major_function(major, address);
        set.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    }
    Ok((made, address))
}
