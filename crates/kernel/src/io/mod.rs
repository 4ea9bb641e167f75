//! The I/O manager: drivers, devices, files, and the IRPs that travel between them.
//!
//! A request: `request` builds the IRP for the target's top device and buffer mode, `dispatch` calls drivers,
//! `completion` brings the IRP back up, `request` copies the result out. Names and handles are `ob`'s; what a
//! driver's image is made of is the loader's.

mod asynchronous;
mod attach;
mod build;
mod built_in;
mod cancel;
mod completion;
mod completion_port;
mod csq;
mod demand_start;
mod device;
mod device_queue;
mod dispatch;
mod driver;
mod driver_extension;
mod entry_lists;
mod fast_io;
mod file;
mod file_call;
mod file_system;
mod information;
mod irp;
mod kernel_file;
mod library;
mod mdl;
mod open;
mod operation;
mod packet;
mod pnp;
mod power;
mod remove_lock;
mod request;
mod section;
mod security;
mod service;
mod share_access;
mod shutdown;
mod symbolic_link;
mod target_directory;
#[cfg(test)]
mod tests;
mod unbuffered;
mod user_memory;
mod volume;
mod wmi;
mod work_item;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use platform::pages::{SYSTEM_SPACE, USER_PROBE_ADDRESS};

use crate::Kernel;
use crate::ke::THREAD_TAG;
use crate::mm::{MemoryManager, PoolBlock, PoolError, PoolOwner};

pub use asynchronous::{
    Control, Notice, Transfer, start_device_control, start_fs_control, start_read, start_write,
};
pub use attach::{
    attach_to_named, attach_to_stack, attached_device, attached_device_reference, base_device_reference,
    detach, device_object_pointer, lower_device_reference, related_device,
};
pub use build::{ControlRequest, FsdRequest, Notify, build_device_io_control_request, build_fsd_request};
pub(crate) use built_in::{BuiltIn, make_built_in};
pub use cancel::{
    Cancelled, acquire_cancel_spin_lock, cancel_io_file, cancel_irp, cancel_synchronous_io_file, end_process,
    end_thread, release_cancel_spin_lock, set_cancel_routine,
};
pub use completion::complete_request;
pub use completion_port::{
    CompletionPacket, create_io_completion, remove_io_completion, set_completion_notification_modes,
    set_file_completion, set_io_completion,
};
pub use csq::{
    CsqRoutines, IoCsq, IoCsqIrpContext, csq_initialize, csq_insert_irp, csq_remove_irp, csq_remove_next_irp,
};
pub use demand_start::Starter;
pub use device::{Device, DeviceParameters, create_device, delete_device};
pub use device_queue::{
    DeviceQueue, DeviceQueueEntry, NextPacket, initialize_device_queue, insert_device_queue,
    remove_device_queue, remove_entry_device_queue, set_start_io_attributes, start_next_packet, start_packet,
};
pub use dispatch::call_driver;
pub(crate) use dispatch::{as_owner, low_half};
pub use driver::{
    Driver, DriverEntryFailure, DriverImage, LoadError, UnloadOutcome, UnloadReport, has_service_key,
    load_driver, unload_driver,
};
pub use driver_extension::{
    allocate_driver_object_extension, driver_object_extension, register_reinitialization,
};
pub use file::File;
pub use file_call::{flush_buffers_file, query_information_file, set_information_file};
pub use file_system::{
    FileSystemRequest, LockedRange, check_ea_list, file_system_request_by_handle, start_file_system_request,
};
pub use information::{FileQuery, query_by_object, query_file, query_volume, set_file, set_volume};
pub use irp::{allocate_irp, free_irp, initialize_irp, make_associated_irp, reuse_irp};
pub use kernel_file::{FileRequest, request_by_handle};
pub use library::{Library, LibraryError, LibraryImage, load_library, unload_library};
pub use mdl::{allocate_mdl, free_mdl, mdl_outcome};
pub use open::{Mailslot, NamedPipe, OpenRequest, create_file, open_file};
pub use packet::{CANCEL_PATIENCE, current_irp};
pub use pnp::{
    AddDevice, AddDeviceError, DevNode, DevNodeState, DeviceInterfaces, InterfaceQuery, PnpAction, PnpAnswer,
    PnpReport, PropertyQuery, Veto, add_device, device_interfaces, device_property, device_registry_path,
    get_device_interfaces, interface_registry_path, invalidate_bus_relations, invalidate_device_state,
    operate, pnp_minor_name, register_device_interface, register_notification, request_device_eject,
    set_device_interface_state, unregister_notification,
};
pub use power::{
    PowerAnswer, PowerReport, PowerRequest, request_power_irp, set_power_state, set_system_power,
};
pub use remove_lock::{
    IoRemoveLock, acquire_remove_lock, initialize_remove_lock, release_remove_lock,
    release_remove_lock_and_wait,
};
pub use request::{DeviceControl, IoResult, device_control, device_control_early, read, write};
pub use section::{create_section, segment};
pub use security::{SecurityQuery, query_security, query_security_object, set_security, set_security_object};
pub(crate) use service::in_system_thread;
pub use service::{
    NewService, ServiceImages, ServiceKey, check_load_privilege, create_service, delete_service,
    file_name_of, load_driver_by_key, load_service, service_key, service_keys, unload_driver_by_key,
};
pub use share_access::{check_share_access, remove_share_access, set_share_access, update_share_access};
pub use shutdown::{Chance, register_shutdown_notification, shut_down, unregister_shutdown_notification};
pub use symbolic_link::{create_symbolic_link, delete_symbolic_link};
pub use volume::{query_volume_information_file, set_volume_information_file};
pub use wmi::{WmiAnswer, WmiRequest, wmi_providers, wmi_registration_control, wmi_request, wmi_write_event};
pub use work_item::{
    IoWorkItem, WorkQueueItem, allocate_work_item, dereference_later, free_work_item, initialize_work_item,
    queue_io_work_item, queue_work_item, size_of_work_item,
};

use irp::DriverIrps;
use packet::PacketTable;
use work_item::Workers;

use crate::raw::DeviceObject;

/// Tag of the I/O manager's spin locks.
const LOCKS_TAG: u32 = u32::from_le_bytes(*b"IoLk");

/// State of the I/O manager of a machine.
#[derive(Debug)]
pub struct IoManager {
    drivers: RwLock<Vec<Arc<Driver>>>,
    libraries: RwLock<Vec<Arc<Library>>>,
    packets: Arc<PacketTable>,
    driver_irps: DriverIrps,
    workers: Workers,
    /// Devices that want to be told of the machine's shutdown, in the order of asking, each referenced.
    shutdown: Mutex<Vec<DeviceObject>>,
    /// The same for those that want to be told last.
    last_chance: Mutex<Vec<DeviceObject>>,
    pub(crate) pnp: pnp::PnpManager,
    power: power::PowerManager,
    /// Devices that are WMI providers, by address.
    wmi: Mutex<Vec<u64>>,
    next_driver: AtomicU32,
    /// For devices that ask for a name (FILE_AUTOGENERATED_DEVICE_NAME).
    next_generated_name: AtomicU32,
    invalid_device_request: AtomicU64,
    /// Which driver made a symbolic link, by folded path: for the reports of what drivers leave behind.
    link_makers: RwLock<HashMap<Vec<u16>, u32>>,
    /// Held while devices are attached and detached. Requests read the stacks without it.
    stacks: Mutex<()>,
    /// The cancel spin lock; behind it, an address that stands for the cancel routine of cancel-safe queues, and those of the
    /// kernel's own drivers.
    cancel_spin_lock: u64,
    file_segments: section::FileSegments,
    starters: demand_start::Starters,
    service_images: service::Images,
    built_ins: built_in::BuiltIns,
}

impl IoManager {
    /// `None` when there is no pool for what every I/O manager has.
    pub(crate) fn new(memory: &MemoryManager) -> Option<Self> {
        let locks = memory.pool.allocate_zeroed(16 + 8 * built_in::MOST, LOCKS_TAG, PoolOwner::default())?;
        Some(Self {
            drivers: RwLock::default(),
            libraries: RwLock::default(),
            packets: Arc::default(),
            driver_irps: DriverIrps::default(),
            workers: Workers::default(),
            shutdown: Mutex::default(),
            last_chance: Mutex::default(),
            pnp: pnp::PnpManager::default(),
            power: power::PowerManager::default(),
            wmi: Mutex::default(),
            next_driver: AtomicU32::new(1),
            next_generated_name: AtomicU32::new(1),
            invalid_device_request: AtomicU64::new(0),
            link_makers: RwLock::default(),
            stacks: Mutex::default(),
            cancel_spin_lock: locks.address,
            file_segments: section::FileSegments::default(),
            starters: demand_start::Starters::default(),
            service_images: service::Images::default(),
            built_ins: built_in::BuiltIns::default(),
        })
    }

    pub(crate) fn cancel_spin_lock(&self) -> u64 {
        self.cancel_spin_lock
    }

    /// What IRPs in cancel-safe queues have as their cancel routine. Drivers only compare it with NULL; it is no code.
    pub(crate) fn csq_cancel_routine(&self) -> u64 {
        self.cancel_spin_lock + 8
    }

    /// The first of the addresses that stand for routines of the kernel's own drivers.
    #[inline]
    fn built_in_addresses(&self) -> u64 {
        self.cancel_spin_lock + 16
    }

    /// Sets the address of the dispatch routine that unset major functions have: driver code may read and call it.
    pub fn set_invalid_device_request(&self, routine: u64) {
        self.invalid_device_request.store(routine, Ordering::Release);
    }

    #[inline]
    pub(crate) fn invalid_device_request(&self) -> u64 {
        self.invalid_device_request.load(Ordering::Relaxed)
    }

    /// All loaded drivers, in the order of loading.
    #[must_use]
    pub fn drivers(&self) -> Vec<Arc<Driver>> {
        self.drivers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All loaded export drivers, in the order of loading.
    #[must_use]
    pub fn libraries(&self) -> Vec<Arc<Library>> {
        self.libraries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_libraries(&self, change: impl FnOnce(&mut Vec<Arc<Library>>)) {
        change(&mut self.libraries.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The driver with this service name, without regard to case.
    #[must_use]
    pub fn driver(&self, name: &str) -> Option<Arc<Driver>> {
        self.drivers().into_iter().find(|driver| driver.name.eq_ignore_ascii_case(name))
    }

    /// The driver whose driver object is at `address`.
    #[must_use]
    pub fn driver_at(&self, address: u64) -> Option<Arc<Driver>> {
        self.drivers().into_iter().find(|driver| driver.object.address() == address)
    }

    /// The driver, or export driver, that the calling code belongs to: by the return address of the export it called, else by whose
    /// routine the kernel called last on this thread.
    #[must_use]
    pub fn calling_driver(&self) -> Option<u32> {
        let address = crate::raw::return_address();
        let in_image = address < USER_PROBE_ADDRESS as u64
            || (SYSTEM_SPACE.start as u64..SYSTEM_SPACE.end as u64).contains(&address);
        if address != 0 && in_image {
            let drivers = self.drivers.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(driver) = drivers.iter().find(|driver| driver.range.contains(&address)) {
                return Some(driver.id);
            }
            drop(drivers);
            let libraries = self.libraries.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(library) = libraries.iter().find(|library| library.range.contains(&address)) {
                return Some(library.id);
            }
        }
        dispatch::running_driver()
    }

    /// The service name of the driver, or export driver, with an identifier; empty when there is none.
    #[must_use]
    pub fn service_name(&self, id: u32) -> String {
        let driver =
            self.drivers().into_iter().find(|driver| driver.id == id).map(|driver| driver.name.clone());
        let library = || self.libraries().into_iter().find(|library| library.id == id);
        driver.or_else(|| Some(library()?.name.clone())).unwrap_or_default()
    }

    /// Wakes every thread that waits for an IRP, for a machine that has stopped.
    pub(crate) fn wake_all(&self, kernel: &Kernel) {
        self.packets.wake_all(kernel);
        for process in kernel.ps.all() {
            process.wake(kernel);
        }
        self.workers.close();
    }
}

/// Frees pool of the I/O manager's own that drivers can write to. What a driver did to it stops the machine, and is
/// false here: a block that was overrun is BAD_POOL_HEADER, one that was freed BAD_POOL_CALLER.
fn free_own(kernel: &Kernel, address: u64) -> bool {
    const ALREADY_FREED: u64 = 0x7;
    const OVERRUN: u64 = 0x20;
    match kernel.mm.pool.free(address) {
        Ok(_) => return true,
        Err(PoolError::NotAllocated) => {
            kernel.bug_check(abi::BAD_POOL_CALLER, [ALREADY_FREED, 0, 0, address]);
        }
        Err(PoolError::Overrun(block)) => {
            let end = address + block.size as u64;
            kernel.bug_check(abi::BAD_POOL_HEADER, [OVERRUN, address, end, u64::from(block.tag)]);
        }
    }
    false
}

/// Whether a block is the kernel's own, which drivers must not free: an IRP, its system buffer or MDL, an object of any room, a
/// thread's also where no handle stands for it.
#[must_use]
pub fn owns_pool(kernel: &Kernel, block: &PoolBlock) -> bool {
    const TAGS: [u32; 8] = [
        packet::IRP_TAG,
        packet::BUFFER_TAG,
        packet::MDL_TAG,
        device::DEVICE_TAG,
        driver::DRIVER_TAG,
        open::FILE_TAG,
        completion_port::TAG,
        THREAD_TAG,
    ];
    // Blocks of drivers need no look at the objects.
    block.owner == PoolOwner::default()
        && (TAGS.contains(&block.tag)
            || kernel.ob.by_address(block.address).is_some()
            || kernel.ob.type_at(block.address).is_some())
}
