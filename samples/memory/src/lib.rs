//! A driver's own memory, of every kind. It creates one device, which applications open as `\\.\Memory`; each control code
//! ([`Case`], METHOD_BUFFERED) uses one kind, and panics, which stops the machine, where something is not as it should be.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod lists;
mod lookaside;
mod pool;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST,
};
use driver::{
    Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Tag, UnicodeStr, utf16,
};

/// Every block's tag.
pub(crate) const TAG: Tag = Tag::new(*b"Memo");

/// What a control code tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Case {
    /// Boxes in paged pool.
    Paged,
    /// The same, looked at while a spin lock is held: the machine stops.
    PagedAtDispatchLevel,
    /// The same, dropped while a spin lock is held: the machine stops.
    PagedDroppedAtDispatchLevel,
    /// Lookaside lists in both pools.
    Lookaside,
    /// A block of a paged lookaside list, looked at while a spin lock is held: the machine stops.
    PagedLookasideAtDispatchLevel,
    /// A sequenced singly linked list.
    SequencedList,
    /// A doubly linked list.
    InterlockedList,
    /// Both kinds of lists between threads.
    ListsBetweenThreads,
}

impl Case {
    /// Its control code.
    #[must_use]
    pub const fn code(self) -> u32 {
        CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + self as u32, METHOD_BUFFERED, FILE_ANY_ACCESS)
    }
}

driver::driver_entry!(Memory);

struct Memory;

impl Driver for Memory {
    type Device = MemoryDevice;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(MemoryDevice).name(utf16!(r"\Device\Memory"));
        device.symbolic_link(utf16!(r"\??\Memory")).create()?;
        Ok(())
    }
}

struct MemoryDevice;

impl Dispatch for MemoryDevice {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let level = request.level();
        let code = request.code();
        let tried = match code {
            _ if code == Case::Paged.code() => pool::paged(level),
            _ if code == Case::PagedAtDispatchLevel.code() => pool::paged_at_dispatch_level(level),
            _ if code == Case::PagedDroppedAtDispatchLevel.code() => {
                pool::paged_dropped_at_dispatch_level(level)
            }
            _ if code == Case::Lookaside.code() => lookaside::both(level),
            _ if code == Case::PagedLookasideAtDispatchLevel.code() => {
                lookaside::paged_at_dispatch_level(level)
            }
            _ if code == Case::SequencedList.code() => lists::sequenced(),
            _ if code == Case::InterlockedList.code() => lists::interlocked(),
            _ if code == Case::ListsBetweenThreads.code() => lists::between_threads(level),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match tried {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}
