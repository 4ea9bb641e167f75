//! Plug and Play and power for a function driver in methods: each says what the device has to do, and this file does with the
//! requests what NT's rules ask, in their order.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use abi::{
    DEVICE_OBJECT, DEVICE_POWER_STATE, DevicePowerState, GUID, IO_NO_INCREMENT, IO_STATUS_BLOCK, IRP,
    IRP_MN_CANCEL_REMOVE_DEVICE, IRP_MN_CANCEL_STOP_DEVICE, IRP_MN_QUERY_PNP_DEVICE_STATE,
    IRP_MN_QUERY_POWER, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_REMOVE_DEVICE,
    IRP_MN_SET_POWER, IRP_MN_START_DEVICE, IRP_MN_STOP_DEVICE, IRP_MN_SURPRISE_REMOVAL, NTSTATUS,
    POWER_STATE, PowerDeviceD0, PowerDeviceD3, PowerSystemWorking, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
    SYSTEM_POWER_STATE, UNICODE_STRING,
};

use crate::irp::Answered;
use crate::nt::{
    IoInvalidateDeviceState, IoRegisterDeviceInterface, IoSetDeviceInterfaceState, IofCompleteRequest,
    PoRequestPowerIrp, PoSetPowerState, RtlFreeUnicodeString,
};
use crate::{OtherRequest, PassiveLevel, PhysicalDevice, UnicodeStr};

/// A device whose start, removal and power are the Plug and Play and power managers' to say. Its
/// [`Dispatch`](crate::Dispatch) hands its requests here:
///
/// ```
/// # extern crate ringbridge_driver as driver;
/// # use driver::abi::NTSTATUS;
/// # use driver::*;
/// struct Lamp;
///
/// impl PlugAndPlay for Lamp {
///     fn start(&self) -> Result<(), NTSTATUS> {
///         // The drivers below have started the device.
///         Ok(())
///     }
/// }
///
/// impl Dispatch for Lamp {
///     type Io = Buffered;
///
///     fn pnp(&self, request: OtherRequest) -> impl Answer {
///         request.plug_and_play(self)
///     }
///
///     fn power(&self, request: OtherRequest) -> impl Answer {
///         request.manage_power(self)
///     }
/// }
/// ```
///
/// All methods are called at PASSIVE_LEVEL in a system thread, those of Plug and Play one at a time. None has to be written:
/// what is left out agrees and does nothing. After [`remove`](Self::remove) the device is detached and deleted, and its
/// context dropped; that is where what it holds goes.
///
/// Source: kernel, Handling an IRP_MN_START_DEVICE Request and its siblings; Handling System Set-Power IRPs in a Device
/// Power Policy Owner.
pub trait PlugAndPlay: Send + Sync + 'static {
    /// IRP_MN_START_DEVICE, when the drivers below have started the device: for the first time, or after a stop. Failing it
    /// removes the device.
    fn start(&self) -> Result<(), NTSTATUS> {
        Ok(())
    }

    /// IRP_MN_QUERY_STOP_DEVICE: whether the device can be stopped. An error is a veto.
    fn query_stop(&self) -> Result<(), NTSTATUS> {
        Ok(())
    }

    /// IRP_MN_CANCEL_STOP_DEVICE: it is not stopped after all.
    fn cancel_stop(&self) {}

    /// IRP_MN_STOP_DEVICE: it stands still until it is started again.
    fn stop(&self) {}

    /// IRP_MN_QUERY_REMOVE_DEVICE: whether the device can be removed. An error is a veto.
    fn query_remove(&self) -> Result<(), NTSTATUS> {
        Ok(())
    }

    /// IRP_MN_CANCEL_REMOVE_DEVICE: it is not removed after all.
    fn cancel_remove(&self) {}

    /// IRP_MN_SURPRISE_REMOVAL: the device is gone. Requests that it has are to be ended; IRP_MN_REMOVE_DEVICE follows when
    /// the last file is closed.
    fn surprise_removal(&self) {}

    /// IRP_MN_REMOVE_DEVICE: the last that is called.
    fn remove(&self) {}

    /// IRP_MN_QUERY_PNP_DEVICE_STATE: PNP_DEVICE_* bits. Who has changed them says so by
    /// [`DeviceNotice::state_changed`].
    fn device_state(&self) -> u32 {
        0
    }

    /// IRP_MN_QUERY_POWER: whether the system can go to this state. An error is a veto.
    fn query_power(&self, state: SYSTEM_POWER_STATE) -> Result<(), NTSTATUS> {
        let _agreed = state;
        Ok(())
    }

    /// The device power state for a system power state: D0 while the system works, else D3.
    fn device_power_for(&self, state: SYSTEM_POWER_STATE) -> DEVICE_POWER_STATE {
        if state == PowerSystemWorking { PowerDeviceD0 } else { PowerDeviceD3 }
    }

    /// IRP_MN_SET_POWER for the device: before the drivers below when it loses power, after them when it gets power.
    fn set_power(&self, state: DEVICE_POWER_STATE) {
        let _nothing_to_do = state;
    }
}

impl OtherRequest {
    /// Deals with an IRP_MJ_PNP request of a device, as its driver's rules say.
    ///
    /// # Panics
    ///
    /// Above PASSIVE_LEVEL, where Plug and Play requests do not come.
    pub fn plug_and_play(self, device: &impl PlugAndPlay) -> Answered {
        match self.minor() {
            IRP_MN_START_DEVICE => {
                let request = self.forward_and_wait(level());
                let started = match request.status() {
                    status if status.is_success() => device.start(),
                    status => Err(status),
                };
                request.end(started)
            }
            IRP_MN_QUERY_STOP_DEVICE => self.pass_if(device.query_stop()),
            IRP_MN_QUERY_REMOVE_DEVICE => self.pass_if(device.query_remove()),
            IRP_MN_CANCEL_STOP_DEVICE => {
                let request = self.succeeding().forward_and_wait(level());
                device.cancel_stop();
                request.complete_unchanged()
            }
            IRP_MN_CANCEL_REMOVE_DEVICE => {
                let request = self.succeeding().forward_and_wait(level());
                device.cancel_remove();
                request.complete_unchanged()
            }
            IRP_MN_STOP_DEVICE => {
                device.stop();
                self.succeeding().forward()
            }
            IRP_MN_SURPRISE_REMOVAL => {
                device.surprise_removal();
                self.succeeding().forward()
            }
            IRP_MN_REMOVE_DEVICE => {
                device.remove();
                self.succeeding().forward()
            }
            IRP_MN_QUERY_PNP_DEVICE_STATE => {
                let state = device.device_state() as usize;
                let before = self.irp().io_status().Information;
                self.irp().set_status(STATUS_SUCCESS, before | state);
                self.forward()
            }
            _ => self.forward(),
        }
    }

    /// Deals with an IRP_MJ_POWER request of a device whose power policy owner this driver is.
    ///
    /// A new system power state goes to the drivers below first; then the device gets its own
    /// (`PoRequestPowerIrp`), and the system's request ends with that.
    ///
    /// # Panics
    ///
    /// Above PASSIVE_LEVEL: the device is to have DO_POWER_PAGABLE, as it has from those below.
    pub fn manage_power(self, device: &impl PlugAndPlay) -> Answered {
        const TYPE: usize = 1;
        const STATE: usize = 2;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an enumeration stands in the lower half of its word"
        )]
        let number = |index| (self.argument(index) as u32).cast_signed();
        let (kind, state) = (number(TYPE), number(STATE));
        match (self.minor(), kind == DevicePowerState) {
            (IRP_MN_QUERY_POWER, true) => self.succeeding().forward(),
            (IRP_MN_QUERY_POWER, false) => self.pass_if(device.query_power(state)),
            (IRP_MN_SET_POWER, true) => self.set_device_power(device, state),
            (IRP_MN_SET_POWER, false) => self.follow_system_power(device.device_power_for(state)),
            _ => self.forward(),
        }
    }

    fn set_device_power(self, device: &impl PlugAndPlay, state: DEVICE_POWER_STATE) -> Answered {
        let note = |object: *mut DEVICE_OBJECT| {
            // SAFETY: this driver's device.
            let _before =
                unsafe { PoSetPowerState(object, DevicePowerState, POWER_STATE { DeviceState: state }) };
        };
        let object = self.irp().device();
        if state == PowerDeviceD0 {
            let request = self.succeeding().forward_and_wait(level());
            if request.status().is_success() {
                device.set_power(state);
                note(object);
            }
            return request.complete_unchanged();
        }
        device.set_power(state);
        note(object);
        self.succeeding().forward()
    }

    /// The system has a new power state, which the drivers below hear of first; then the device gets this one.
    fn follow_system_power(self, state: DEVICE_POWER_STATE) -> Answered {
        let request = self.succeeding().forward_and_wait(level());
        if !request.status().is_success() {
            return request.complete_unchanged();
        }
        let (irp, device) = (request.irp().as_raw(), request.irp().device());
        request.irp().mark_pending();
        let state = POWER_STATE { DeviceState: state };
        // SAFETY: the request stays this driver's until `device_is_powered`, which ends it, and which is called at the end of
        // a request that was sent, and only then.
        let status = unsafe {
            PoRequestPowerIrp(
                device,
                IRP_MN_SET_POWER,
                state,
                Some(device_is_powered),
                irp.as_ptr().cast(),
                ptr::null_mut(),
            )
        };
        if status.is_error() { request.end(Err(status)) } else { Answered::pended(irp) }
    }

    /// Lets the drivers below decide too, or ends the request with this driver's veto.
    fn pass_if(self, agreed: Result<(), NTSTATUS>) -> Answered {
        match agreed {
            Ok(()) => self.succeeding().forward(),
            Err(status) => self.end(Err(status)),
        }
    }

    /// With STATUS_SUCCESS in it, as a request goes down that its driver has dealt with.
    fn succeeding(self) -> Self {
        self.irp().set_status(STATUS_SUCCESS, 0);
        self
    }

    fn end(self, result: Result<(), NTSTATUS>) -> Answered {
        match result {
            Ok(()) => self.complete(),
            Err(status) if status.is_success() => self.fail(STATUS_UNSUCCESSFUL),
            Err(status) => self.fail(status),
        }
    }
}

fn level() -> PassiveLevel {
    PassiveLevel::expect("a Plug and Play or power request")
}

/// `REQUEST_POWER_COMPLETE`: the device has its power state, and the system's request, the context, ends.
unsafe extern "win64" fn device_is_powered(
    _device: *mut DEVICE_OBJECT,
    _minor: u8,
    _state: POWER_STATE,
    system_request: *mut c_void,
    result: *mut IO_STATUS_BLOCK,
) {
    let irp = system_request.cast::<IRP>();
    // SAFETY: valid during this call.
    let status = unsafe { (*result).Status };
    // SAFETY: `follow_system_power` has kept the request for this.
    unsafe { (*irp).IoStatus = IO_STATUS_BLOCK { Status: status, Information: 0 } };
    // SAFETY: completed once.
    unsafe { IofCompleteRequest(irp, IO_NO_INCREMENT) };
}

/// A device interface, registered and not enabled until [`enable`](Self::enable): applications find the device by it.
/// Dropping it disables it.
///
/// Source: kernel, Registering a Device Interface Class; ddi, IoRegisterDeviceInterface.
pub struct DeviceInterface {
    name: UNICODE_STRING,
}

// SAFETY: a string that nobody changes; NT's functions on it may be called from any thread.
unsafe impl Send for DeviceInterface {}
// SAFETY: as above.
unsafe impl Sync for DeviceInterface {}

impl PhysicalDevice<'_> {
    /// Registers an interface of this class (`IoRegisterDeviceInterface`), with a reference string that comes back as the
    /// file's name when it is opened. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_DEVICE_REQUEST for a reference string with a separator, STATUS_INSUFFICIENT_RESOURCES.
    pub fn register_interface(
        &self,
        class: &GUID,
        reference: Option<UnicodeStr<'_>>,
    ) -> Result<DeviceInterface, NTSTATUS> {
        let reference = reference.as_ref().map_or(ptr::null(), UnicodeStr::as_raw);
        let mut name = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: ptr::null_mut() };
        // SAFETY: a physical device, and strings that are valid during the call.
        let status = unsafe { IoRegisterDeviceInterface(self.as_raw(), class, reference, &raw mut name) };
        if status.is_success() { Ok(DeviceInterface { name }) } else { Err(status) }
    }

    /// For telling the Plug and Play manager of the device, as long as that is there.
    #[must_use]
    pub fn notice(&self) -> DeviceNotice {
        DeviceNotice { physical: self.as_non_null() }
    }
}

impl DeviceInterface {
    /// Lets applications see and open it (`IoSetDeviceInterfaceState`): what [`PlugAndPlay::start`] does. Once it is
    /// enabled that is no error. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_COLLISION and others of its symbolic link.
    pub fn enable(&self) -> Result<(), NTSTATUS> {
        // SAFETY: a string that NT has made.
        let status = unsafe { IoSetDeviceInterfaceState(&raw const self.name, abi::TRUE) };
        if status.is_success() { Ok(()) } else { Err(status) }
    }

    /// Takes it out of sight. Where it is not enabled nothing happens. IRQL: PASSIVE_LEVEL.
    pub fn disable(&self) {
        // SAFETY: as in `enable`. That it is not enabled is no failure.
        let _ = unsafe { IoSetDeviceInterfaceState(&raw const self.name, abi::FALSE) };
    }

    /// The symbolic link, `\??\ROOT#…`.
    #[must_use]
    pub fn name(&self) -> UnicodeStr<'_> {
        // SAFETY: a string that NT has made and nobody changes.
        unsafe { UnicodeStr::from_raw(&raw const self.name) }
    }
}

impl Drop for DeviceInterface {
    fn drop(&mut self) {
        self.disable();
        // SAFETY: allocated by `IoRegisterDeviceInterface`, freed once.
        unsafe { RtlFreeUnicodeString(&raw mut self.name) };
    }
}

/// What a driver tells the Plug and Play manager of its device. Kept in the device's context.
pub struct DeviceNotice {
    physical: NonNull<DEVICE_OBJECT>,
}

// SAFETY: the physical device stays while a device is attached above it, and these functions may be called from any thread.
unsafe impl Send for DeviceNotice {}
// SAFETY: as above.
unsafe impl Sync for DeviceNotice {}

impl DeviceNotice {
    /// Has the manager ask for [`PlugAndPlay::device_state`] soon (`IoInvalidateDeviceState`). IRQL: up to DISPATCH_LEVEL.
    pub fn state_changed(&self) {
        // SAFETY: a physical device, which the device above keeps.
        unsafe { IoInvalidateDeviceState(self.physical.as_ptr()) };
    }
}
