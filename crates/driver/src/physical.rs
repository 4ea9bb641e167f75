//! Devices of Plug and Play: the physical device object that a driver's AddDevice gets, and that call itself.
//!
//! What is attached above it is `device`'s (a function driver's) or `stack`'s (a filter's).

use core::marker::PhantomData;
use core::ptr::NonNull;

use abi::{
    DEVICE_OBJECT, DO_DEVICE_INITIALIZING, DRIVER_OBJECT, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    STATUS_UNSUCCESSFUL,
};

use crate::bugcheck::guard;
use crate::{Driver, DriverObject, device};

/// `DRIVER_ADD_DEVICE`: a device that this driver is for is there. The routine creates a device of its own and attaches it
/// above ([`DeviceBuilder::attach_to`](crate::DeviceBuilder::attach_to) for a function driver,
/// [`FilterBuilder::attach_to_physical`](crate::FilterBuilder::attach_to_physical) for a filter), or succeeds without doing so, which a
/// filter may. IRQL: PASSIVE_LEVEL, in a system thread.
///
/// When it succeeds, the devices that it has created are open to requests (DO_DEVICE_INITIALIZING is cleared). When it fails
/// they are detached and deleted, and its status, or STATUS_UNSUCCESSFUL for one that is no failure, goes to the Plug and
/// Play manager.
///
/// A driver that has one names it in [`Driver::ADD_DEVICE`]. Its dispatch table is full then, for a stack's requests include Plug
/// and Play and power:
///
/// ```
/// # extern crate ringbridge_driver as driver;
/// # use driver::abi::NTSTATUS;
/// # use driver::*;
/// # struct Lamp;
/// # impl Dispatch for Lamp {
/// #     type Io = Buffered;
/// # }
/// struct Lamps;
///
/// impl Driver for Lamps {
///     type Device = Lamp;
///     const ADD_DEVICE: Option<AddDevice<Self>> = Some(Self::add_device);
///
///     fn entry(_driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
///         Ok(())
///     }
/// }
///
/// impl Lamps {
///     fn add_device(driver: &DriverObject<Self>, physical: &PhysicalDevice<'_>) -> Result<(), NTSTATUS> {
///         driver.device(Lamp).attach_to(physical).create().map(drop)
///     }
/// }
/// ```
///
/// After IRP_MN_REMOVE_DEVICE the devices that were attached here are detached and deleted. What happens to a device between
/// its coming and that is [`PlugAndPlay`](crate::PlugAndPlay)'s.
///
/// NT does not unload a driver while a device stands above one of its own, not even when that one is the driver's too.
///
/// Source: ddi, DRIVER_ADD_DEVICE; kernel, Writing an AddDevice Routine.
pub type AddDevice<D> = fn(&DriverObject<D>, &PhysicalDevice<'_>) -> Result<(), NTSTATUS>;

/// The physical device object that an [`AddDevice`] routine is called for, at the bottom of its stack.
pub struct PhysicalDevice<'a> {
    object: NonNull<DEVICE_OBJECT>,
    call: PhantomData<&'a DEVICE_OBJECT>,
}

impl PhysicalDevice<'_> {
    pub(crate) fn as_non_null(&self) -> NonNull<DEVICE_OBJECT> {
        self.object
    }

    /// For NT's functions.
    #[must_use]
    pub fn as_raw(&self) -> *mut DEVICE_OBJECT {
        self.object.as_ptr()
    }
}

/// `DRIVER_EXTENSION.AddDevice` of a driver that has one.
pub(crate) unsafe extern "win64" fn add_device<D: Driver>(
    driver: *mut DRIVER_OBJECT,
    physical: *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let (Some(driver), Some(object), Some(routine)) =
        (NonNull::new(driver), NonNull::new(physical), D::ADD_DEVICE)
    else {
        return STATUS_INVALID_PARAMETER;
    };
    guard(|| {
        let driver = DriverObject::<D>::new(driver, true);
        let result = routine(&driver, &PhysicalDevice { object, call: PhantomData });
        let mut next = driver.newest();
        while let Some(device) = next {
            // SAFETY: created by this call, and not deleted yet.
            next = unsafe { device::header(device.as_ptr()) }.earlier.get();
            match result {
                // SAFETY: as above.
                Ok(()) => unsafe { (*device.as_ptr()).Flags &= !DO_DEVICE_INITIALIZING },
                // SAFETY: as above; the routine's borrow of it has ended.
                Err(_) => unsafe { device::delete_any::<D::Device>(device) },
            }
        }
        match result {
            Ok(()) => STATUS_SUCCESS,
            Err(status) if status.is_success() => STATUS_UNSUCCESSFUL,
            Err(status) => status,
        }
    })
}
