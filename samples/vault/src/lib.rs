//! Who may open what. Three devices that say it in three ways:
//!
//! - `\\.\RbVault`: the system and administrators may do anything, users may read; that holds for names below the device
//!   too (FILE_DEVICE_SECURE_OPEN, which the SDK sets by itself);
//! - `\\.\RbPorch`: the same, but for the device itself only. Whoever opens `\\.\RbPorch\anything` gets what he asks for,
//!   and it would be the driver's to refuse him. This is the mistake that FILE_DEVICE_SECURE_OPEN exists for;
//! - `\\.\RbCell`: one open at a time.
//!
//! Reading gives zeroes, writing takes everything: the I/O manager has looked at the handle's access before.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::NTSTATUS;
use driver::{
    Answer, Buffered, Close, Create, Dispatch, Driver, DriverObject, Read, Tag, UnicodeStr, Write, utf16,
};

driver::driver_entry!(Vault);

struct Vault;

impl Driver for Vault {
    type Device = Room;

    const POOL_TAG: Tag = Tag::new(*b"Valt");

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let guarded = || utf16!("D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GR;;;BU)");
        driver
            .device(Room)
            .name(utf16!(r"\Device\RbVault"))
            .symbolic_link(utf16!(r"\??\RbVault"))
            .sddl(guarded())
            .create()?;
        driver
            .device(Room)
            .name(utf16!(r"\Device\RbPorch"))
            .symbolic_link(utf16!(r"\??\RbPorch"))
            .sddl(guarded())
            .characteristics(0)
            .create()?;
        driver
            .device(Room)
            .name(utf16!(r"\Device\RbCell"))
            .symbolic_link(utf16!(r"\??\RbCell"))
            .exclusive()
            .create()?;
        Ok(())
    }
}

/// A device.
struct Room;

impl Dispatch for Room {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        request.output().fill(0, usize::MAX);
        request.complete()
    }

    fn write(&self, request: Write) -> impl Answer {
        request.complete()
    }
}
