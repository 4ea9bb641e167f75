//! What a completion does for who waits: `\\.\Boost` completes each [`IOCTL_COMPLETE`] with the priority boost of the kind of
//! device that the input names, as a place in [`BOOSTS`]. The answer is the boost, one byte.
//!
//! A driver gives the boost of what it drives: somebody waits for a key, nobody for a sector of a disk.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, IO_CD_ROM_INCREMENT, IO_DISK_INCREMENT,
    IO_KEYBOARD_INCREMENT, IO_MAILSLOT_INCREMENT, IO_MOUSE_INCREMENT, IO_NAMED_PIPE_INCREMENT,
    IO_NETWORK_INCREMENT, IO_NO_INCREMENT, IO_PARALLEL_INCREMENT, IO_SERIAL_INCREMENT, IO_SOUND_INCREMENT,
    IO_VIDEO_INCREMENT, METHOD_BUFFERED, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Tag, UnicodeStr, utf16,
};

/// Completes with the boost at the place that the input's one byte says; answers with it.
pub const IOCTL_COMPLETE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Every `IO_*_INCREMENT`.
pub const BOOSTS: [i8; 12] = [
    IO_NO_INCREMENT,
    IO_CD_ROM_INCREMENT,
    IO_DISK_INCREMENT,
    IO_PARALLEL_INCREMENT,
    IO_VIDEO_INCREMENT,
    IO_MAILSLOT_INCREMENT,
    IO_NAMED_PIPE_INCREMENT,
    IO_NETWORK_INCREMENT,
    IO_SERIAL_INCREMENT,
    IO_KEYBOARD_INCREMENT,
    IO_MOUSE_INCREMENT,
    IO_SOUND_INCREMENT,
];

driver::driver_entry!(Boost);

struct Boost;

impl Driver for Boost {
    type Device = Kinds;

    const POOL_TAG: Tag = Tag::new(*b"Boos");

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver.device(Kinds).name(utf16!(r"\Device\Boost")).symbolic_link(utf16!(r"\??\Boost")).create()?;
        Ok(())
    }
}

/// The device.
struct Kinds;

impl Dispatch for Kinds {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        if request.code() != IOCTL_COMPLETE {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        }
        let &[place] = request.input() else { return request.fail(STATUS_INVALID_PARAMETER) };
        let Some(boost) = BOOSTS.get(usize::from(place)) else {
            return request.fail(STATUS_INVALID_PARAMETER);
        };
        request.output().write(&boost.to_le_bytes());
        request.complete().with_priority_boost(*boost)
    }
}
