//! The driver's life: DriverEntry, the driver object, DriverUnload.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

use abi::{
    DEVICE_OBJECT, DRIVER_OBJECT, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
    UNICODE_STRING,
};

use crate::bugcheck::guard;
use crate::{
    AddDevice, DeviceBuilder, Dispatch, PassiveLevel, StartIo, Tag, UnicodeStr, device, dispatch, fast_io,
    packet, physical,
};

/// A driver. [`driver_entry!`](macro@crate::driver_entry) makes it loadable.
pub trait Driver: Sized + 'static {
    /// The context of the driver's devices; a driver with several kinds of devices uses an enum.
    type Device: Dispatch;

    /// What the driver's pool is called in reports. In a `.sys` it is also the tag of `alloc`'s heap.
    const POOL_TAG: Tag = Tag::DEFAULT;

    /// AddDevice, for a driver of Plug and Play devices; without one the driver takes none.
    const ADD_DEVICE: Option<AddDevice<Self>> = None;

    /// StartIo, for a driver whose devices take one request at a time.
    const START_IO: Option<StartIo<Self::Device>> = None;

    /// DriverEntry: creates devices. `registry_path` is the driver's key. IRQL: PASSIVE_LEVEL, in a system thread.
    ///
    /// A failure is what loading the driver returns; devices created before it are deleted, and [`unload`](Self::unload)
    /// is not called.
    fn entry(driver: &DriverObject<Self>, registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS>;

    /// DriverUnload, before the driver's symbolic links and devices are deleted (newest first). Called when no handle to
    /// them is open. IRQL: PASSIVE_LEVEL, in a system thread.
    fn unload(driver: &DriverObject<Self>) {
        let _ = driver;
    }
}

/// The driver object of `D`, which owns the driver's devices.
pub struct DriverObject<D> {
    object: NonNull<DRIVER_OBJECT>,
    /// For AddDevice: what it creates is its own until it has succeeded.
    adding: bool,
    /// The device that AddDevice has created last.
    newest: Cell<Option<NonNull<DEVICE_OBJECT>>>,
    driver: PhantomData<fn() -> D>,
}

impl<D: Driver> DriverObject<D> {
    pub(crate) fn new(object: NonNull<DRIVER_OBJECT>, adding: bool) -> Self {
        Self { object, adding, newest: Cell::new(None), driver: PhantomData }
    }

    /// A device of this crate's, which its builder is through with.
    pub(crate) fn has_created(&self, device: NonNull<DEVICE_OBJECT>) {
        if self.adding {
            let earlier = self.newest.replace(Some(device));
            // SAFETY: just created.
            unsafe { device::header(device.as_ptr()) }.earlier.set(earlier);
        }
    }

    /// What AddDevice has created last; each device knows the one before it.
    pub(crate) fn newest(&self) -> Option<NonNull<DEVICE_OBJECT>> {
        self.newest.get()
    }

    /// Starts a device with this context; [`DeviceBuilder::create`] creates it.
    pub fn device(&self, context: D::Device) -> DeviceBuilder<'_, D> {
        DeviceBuilder::new(self, context)
    }

    /// For what may wait: `entry`, `unload` and AddDevice run at PASSIVE_LEVEL.
    #[must_use]
    pub fn level(&self) -> PassiveLevel {
        // SAFETY: only these have a driver object, which does not leave its thread.
        unsafe { PassiveLevel::assume() }
    }

    /// For NT's functions.
    #[must_use]
    pub fn as_raw(&self) -> *mut DRIVER_OBJECT {
        self.object.as_ptr()
    }
}

/// What [`driver_entry!`](macro@crate::driver_entry) exports: fills in the driver object and calls [`Driver::entry`].
///
/// # Safety
///
/// For the I/O manager only: `driver` is a driver object that is being initialised, `registry_path` valid during the
/// call.
pub unsafe extern "win64" fn driver_entry<D: Driver>(
    driver: *mut DRIVER_OBJECT,
    registry_path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let Some(object) = NonNull::new(driver) else { return STATUS_INVALID_PARAMETER };
    guard(|| {
        #[cfg(windows)]
        crate::windows::set_heap_tag(D::POOL_TAG);
        if D::ADD_DEVICE.is_some() {
            // SAFETY: the caller's contract; `D`'s devices are created through `DriverObject<D>` alone.
            unsafe { dispatch::fill_stack_table::<D::Device>(object) };
            // SAFETY: the caller's contract.
            let extension = unsafe { (*object.as_ptr()).DriverExtension };
            // SAFETY: a driver object has one.
            unsafe { (*extension).AddDevice = Some(physical::add_device::<D>) };
        } else {
            // SAFETY: as above.
            unsafe { dispatch::fill_table::<D::Device>(object) };
        }
        // SAFETY: as above.
        unsafe { fast_io::fill_table::<D::Device>(object) };
        if D::START_IO.is_some() {
            // SAFETY: the caller's contract.
            unsafe { (*object.as_ptr()).DriverStartIo = Some(packet::start_io::<D>) };
        }
        // SAFETY: the caller's contract.
        unsafe { (*object.as_ptr()).DriverUnload = Some(driver_unload::<D>) };
        // SAFETY: the caller's contract.
        let registry_path = unsafe { UnicodeStr::from_raw(registry_path) };
        let Err(status) = D::entry(&DriverObject::new(object, false), registry_path) else {
            return STATUS_SUCCESS;
        };
        // SAFETY: devices of a driver that is being initialised take no requests yet.
        unsafe { device::delete_all::<D::Device>(object) };
        // A success code here would keep a driver loaded that has just said it failed.
        if status.is_success() { STATUS_UNSUCCESSFUL } else { status }
    })
}

/// `DRIVER_OBJECT.DriverUnload`.
unsafe extern "win64" fn driver_unload<D: Driver>(driver: *mut DRIVER_OBJECT) {
    // SAFETY: NT unloads no null driver.
    let object = unsafe { NonNull::new_unchecked(driver) };
    guard(|| {
        D::unload(&DriverObject::new(object, false));
        // SAFETY: NT calls this when no request and no handle is left.
        unsafe { device::delete_all::<D::Device>(object) };
    });
}

/// Makes a [`Driver`] loadable, once in its crate's root.
///
/// Everywhere it defines `pub const DRIVER_ENTRY: DRIVER_INITIALIZE`, which a Ringbridge machine is given to load the
/// driver that is compiled into the process. For Windows it also exports the symbol `DriverEntry`; on Linux no symbol is
/// exported, since many drivers share one process.
#[macro_export]
macro_rules! driver_entry {
    ($driver:ty) => {
        /// The driver's entry point.
        pub const DRIVER_ENTRY: $crate::abi::DRIVER_INITIALIZE = Some($crate::driver_entry::<$driver>);

        #[cfg(windows)]
        #[unsafe(no_mangle)]
        unsafe extern "win64" fn DriverEntry(
            driver: *mut $crate::abi::DRIVER_OBJECT,
            registry_path: *mut $crate::abi::UNICODE_STRING,
        ) -> $crate::abi::NTSTATUS {
            // SAFETY: the I/O manager's call, handed on.
            unsafe { $crate::driver_entry::<$driver>(driver, registry_path) }
        }
    };
}
