//! A first driver. It creates one device, which applications open as `\\.\My_Device`:
//!
//! - reading gives `0x68` (the letter `h`), as many as were asked for;
//! - writing is accepted, and the bytes are remembered;
//! - [`IOCTL_ECHO`] gives the bytes that it was sent, [`IOCTL_LAST_WRITE`] those written last.
//!
//! `cargo xtask sys hello` builds it for Windows and for Ringbridge; on Linux it can also be compiled into the process.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_READ_ACCESS, FILE_WRITE_ACCESS, METHOD_BUFFERED,
    NTSTATUS, STATUS_INVALID_DEVICE_REQUEST,
};
use driver::{
    Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, PoolBox, Read, SpinLock,
    Tag, UnicodeStr, Write, println, utf16,
};

/// Echoes its input; any handle may ask.
pub const IOCTL_ECHO: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Echoes its input; only a handle that may read and write gets this far.
pub const IOCTL_ECHO_CHECKED: u32 =
    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_READ_ACCESS | FILE_WRITE_ACCESS);
/// Gives the bytes that were written last.
pub const IOCTL_LAST_WRITE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);

driver::driver_entry!(Hello);

/// The driver: what happens when it is loaded. Unloading deletes what was created here.
struct Hello;

impl Driver for Hello {
    type Device = MyDevice;

    const POOL_TAG: Tag = Tag::new(*b"Helo");

    fn entry(driver: &DriverObject<Self>, registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(MyDevice::default())
            .name(utf16!(r"\Device\My_Device"))
            .symbolic_link(utf16!(r"\??\My_Device"))
            .create()?;
        println!("hello: loaded from {registry_path}");
        Ok(())
    }
}

/// The device: what it remembers, and how it answers.
#[derive(Default)]
struct MyDevice {
    last_write: SpinLock<PoolBox<[u8]>>,
}

impl Dispatch for MyDevice {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        let length = request.length();
        request.output().fill(0x68, length);
        request.complete()
    }

    fn write(&self, request: Write) -> impl Answer {
        match PoolBox::copy_of(Hello::POOL_TAG, request.data()) {
            Ok(mut bytes) => {
                self.last_write.with(|last| core::mem::swap(last, &mut bytes));
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match request.code() {
            IOCTL_ECHO | IOCTL_ECHO_CHECKED => request.complete_in_place(),
            IOCTL_LAST_WRITE => {
                self.last_write.with(|last| request.output().write(last));
                request.complete()
            }
            _ => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}
