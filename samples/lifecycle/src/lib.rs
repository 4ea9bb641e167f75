//! A driver of Plug and Play devices that tells of its device's life. It makes no device itself: the Plug and Play manager
//! says that there is one (`ringbridge pnp add lifecycle`, a root-enumerated device on Windows), and calls AddDevice.
//!
//! Applications find the device by its interface, [`INTERFACE`], which is enabled while the device is started. A read waits
//! for what happens to the device next, and gives it as one of [`Happened`]; [`IOCTL_HISTORY`] gives everything so far.
//! [`IOCTL_REFUSE`] has the driver veto the next query, [`IOCTL_FAIL`] has it report that its device has failed.
//!
//! # Removal
//!
//! A file that is open is a veto: the Plug and Play manager does not remove a device that is in use, and does not ask the driver
//! about that. When the device is gone without a question (surprise removal), the driver ends the reads that wait
//! (STATUS_DELETE_PENDING), refuses new ones, and takes its interface away; IRP_MN_REMOVE_DEVICE comes when the last file is
//! closed.
//!
//! # Power
//!
//! When the system sleeps the device goes to D3, when it wakes to D0, by a power request of this driver's own
//! (`PoRequestPowerIrp`), which [`PlugAndPlay`] makes.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use driver::abi::{
    CTL_CODE, DEVICE_POWER_STATE, FILE_DEVICE_UNKNOWN, FILE_READ_ACCESS, FILE_WRITE_ACCESS, GUID,
    METHOD_BUFFERED, NTSTATUS, PNP_DEVICE_FAILED, PowerDeviceD0, STATUS_DELETE_PENDING, STATUS_DEVICE_BUSY,
    STATUS_INVALID_DEVICE_REQUEST, SYSTEM_POWER_STATE,
};
use driver::{
    AddDevice, Answer, Buffered, CancelSafeQueue, Cleanup, Close, Create, DeviceControl, DeviceInterface,
    DeviceNotice, Dispatch, Driver, DriverObject, OtherRequest, PhysicalDevice, PlugAndPlay, Read, SpinLock,
    Tag, UnicodeStr,
};

/// The class of the device's interface: {5B7C1A3E-2C64-4D0F-9E55-6C1F0B9A4E21}.
pub const INTERFACE: GUID = GUID {
    Data1: 0x5B7C_1A3E,
    Data2: 0x2C64,
    Data3: 0x4D0F,
    Data4: [0x9E, 0x55, 0x6C, 0x1F, 0x0B, 0x9A, 0x4E, 0x21],
};

/// Gives what has happened so far, a byte each.
pub const IOCTL_HISTORY: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_READ_ACCESS);
/// Has the driver say no (STATUS_DEVICE_BUSY) when it is asked the next time: about a stop, a removal or the system's sleep.
pub const IOCTL_REFUSE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_WRITE_ACCESS);
/// Has the driver report that its device has failed: it is removed as if by surprise.
pub const IOCTL_FAIL: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_WRITE_ACCESS);

/// Most events that are kept.
pub const HISTORY: usize = 64;

/// What happens to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Happened {
    /// It was started.
    Started = 1,
    /// Its driver was asked whether it can be stopped.
    AskedToStop = 2,
    /// It was stopped.
    Stopped = 3,
    /// It was not stopped after all.
    StopCancelled = 4,
    /// Its driver was asked whether it can be removed.
    AskedToRemove = 5,
    /// It was not removed after all.
    RemovalCancelled = 6,
    /// It is gone.
    Gone = 7,
    /// Its driver was asked whether the system can sleep.
    AskedToSleep = 8,
    /// It has lost its power.
    PoweredDown = 9,
    /// It has power again.
    PoweredUp = 10,
}

const TAG: Tag = Tag::new(*b"Life");

driver::driver_entry!(Lifecycle);

struct Lifecycle;

impl Driver for Lifecycle {
    type Device = Life;
    const POOL_TAG: Tag = TAG;
    const ADD_DEVICE: Option<AddDevice<Self>> = Some(Self::add_device);

    fn entry(_driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        Ok(())
    }
}

impl Lifecycle {
    fn add_device(driver: &DriverObject<Self>, physical: &PhysicalDevice<'_>) -> Result<(), NTSTATUS> {
        let life = Life {
            interface: physical.register_interface(&INTERFACE, None)?,
            notice: physical.notice(),
            history: SpinLock::new(History { events: [0; HISTORY], count: 0 }),
            waiting: CancelSafeQueue::new(TAG)?,
            refuses: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        };
        driver.device(life).attach_to(physical).create().map(drop)
    }
}

/// The device.
struct Life {
    interface: DeviceInterface,
    notice: DeviceNotice,
    history: SpinLock<History>,
    /// Reads that wait for the next event.
    waiting: CancelSafeQueue<Read<Buffered>>,
    /// The next question is answered with no.
    refuses: AtomicBool,
    has_failed: AtomicBool,
}

struct History {
    events: [u8; HISTORY],
    count: usize,
}

impl Life {
    /// Keeps it, and tells those that wait.
    fn note(&self, happened: Happened) {
        let event = happened as u8;
        self.history.with(|history| {
            if let Some(place) = history.events.get_mut(history.count) {
                *place = event;
                history.count += 1;
            }
        });
        while let Some((read, ())) = self.waiting.remove_next() {
            read.answer(|mut read| {
                read.output().write(&[event]);
                read.complete()
            });
        }
    }

    fn asked(&self, happened: Happened) -> Result<(), NTSTATUS> {
        self.note(happened);
        if self.refuses.swap(false, Ordering::AcqRel) { Err(STATUS_DEVICE_BUSY) } else { Ok(()) }
    }
}

impl PlugAndPlay for Life {
    fn start(&self) -> Result<(), NTSTATUS> {
        self.interface.enable()?;
        self.note(Happened::Started);
        Ok(())
    }

    fn query_stop(&self) -> Result<(), NTSTATUS> {
        self.asked(Happened::AskedToStop)
    }

    fn stop(&self) {
        self.note(Happened::Stopped);
    }

    fn cancel_stop(&self) {
        self.note(Happened::StopCancelled);
    }

    fn query_remove(&self) -> Result<(), NTSTATUS> {
        self.asked(Happened::AskedToRemove)
    }

    fn cancel_remove(&self) {
        self.note(Happened::RemovalCancelled);
    }

    fn surprise_removal(&self) {
        self.note(Happened::Gone);
        self.waiting.close(STATUS_DELETE_PENDING);
        self.interface.disable();
    }

    fn remove(&self) {
        self.waiting.close(STATUS_DELETE_PENDING);
        self.interface.disable();
    }

    fn device_state(&self) -> u32 {
        if self.has_failed.load(Ordering::Acquire) { PNP_DEVICE_FAILED } else { 0 }
    }

    fn query_power(&self, _state: SYSTEM_POWER_STATE) -> Result<(), NTSTATUS> {
        self.asked(Happened::AskedToSleep)
    }

    fn set_power(&self, state: DEVICE_POWER_STATE) {
        self.note(if state == PowerDeviceD0 { Happened::PoweredUp } else { Happened::PoweredDown });
    }
}

impl Dispatch for Life {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        self.waiting.cancel_file(&request);
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, request: Read<Buffered>) -> impl Answer {
        self.waiting.pend(request, ())
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        match request {
            DeviceControl::Buffered(mut request) if request.code() == IOCTL_HISTORY => {
                let (events, count) = self.history.with(|history| (history.events, history.count));
                request.output().write(&events[..count]);
                request.complete()
            }
            DeviceControl::Buffered(request) if request.code() == IOCTL_REFUSE => {
                self.refuses.store(true, Ordering::Release);
                request.complete()
            }
            DeviceControl::Buffered(request) if request.code() == IOCTL_FAIL => {
                self.has_failed.store(true, Ordering::Release);
                self.notice.state_changed();
                request.complete()
            }
            request => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn pnp(&self, request: OtherRequest) -> impl Answer {
        request.plug_and_play(self)
    }

    fn power(&self, request: OtherRequest) -> impl Answer {
        request.manage_power(self)
    }
}
