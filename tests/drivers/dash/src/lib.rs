//! Control requests that are answered without an IRP, by the safe SDK. `tests/fast_io_sdk.rs` asks for them by control code.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, METHOD_NEITHER, NTSTATUS,
    STATUS_BUFFER_OVERFLOW, STATUS_DEVICE_BUSY, STATUS_PENDING,
};
use driver::{
    Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, FastAnswer, FastControl,
    PoolArc, Tag, UnicodeStr, utf16,
};

driver::driver_entry!(Dash);

const TAG: Tag = Tag::new(*b"Dash");

/// The sum of the input's bytes and of what the file was opened with.
pub const SUM: u32 = code(0, METHOD_BUFFERED);
/// The same, by another method.
pub const SUM_NEITHER: u32 = code(0, METHOD_NEITHER);
/// Declined: the IRP's routine answers how many were answered without IRPs and how many came as such.
pub const COUNTS: u32 = code(1, METHOD_BUFFERED);
/// Refused with STATUS_DEVICE_BUSY.
pub const BUSY: u32 = code(2, METHOD_BUFFERED);
/// A warning with as much of the input as there is room for.
pub const WARN: u32 = code(3, METHOD_BUFFERED);
/// Answered with STATUS_PENDING, which is none: an IRP follows.
pub const PEND: u32 = code(4, METHOD_BUFFERED);
/// A panic.
pub const PANIC: u32 = code(5, METHOD_BUFFERED);

const fn code(number: u32, method: u32) -> u32 {
    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + number, method, FILE_ANY_ACCESS)
}

struct Dash;

impl Driver for Dash {
    type Device = Track;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Track::default()).name(utf16!(r"\Device\RbDash"));
        device.symbolic_link(utf16!(r"\??\RbDash")).create()?;
        Ok(())
    }
}

#[derive(Default)]
struct Track {
    fast: AtomicU32,
    slow: AtomicU32,
}

/// What each file begins its sums with.
struct Start(u8);

impl Dispatch for Track {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        match PoolArc::new(TAG, Start(100)) {
            Ok(start) => {
                let mut request = request;
                request.set_fs_context2(start);
                request.complete()
            }
            Err(_) => request.fail(STATUS_DEVICE_BUSY),
        }
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn fast_control(&self, mut request: FastControl<'_>) -> impl FastAnswer {
        if matches!(request.code(), COUNTS | PEND) {
            return if request.code() == PEND {
                request.complete_with(STATUS_PENDING)
            } else {
                request.decline()
            };
        }
        self.fast.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 64];
        let count = match request.input().read(0, &mut bytes) {
            Ok(count) => count,
            Err(status) => return request.fail(status),
        };
        match request.code() {
            SUM | SUM_NEITHER => {
                let Some(start) = request.contexts().fs_context2::<Start>() else {
                    return request.fail(STATUS_DEVICE_BUSY);
                };
                let sum = bytes[..count].iter().fold(start.0, |sum, byte| sum.wrapping_add(*byte));
                match request.output().write(&[sum]) {
                    Ok(_) => request.complete(),
                    Err(status) => request.fail(status),
                }
            }
            WARN => match request.output().write(&bytes[..count]) {
                Ok(_) => request.complete_with(STATUS_BUFFER_OVERFLOW),
                Err(status) => request.fail(status),
            },
            PANIC => panic!("on purpose"),
            _ => request.fail(STATUS_DEVICE_BUSY),
        }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let slow = self.slow.fetch_add(1, Ordering::Relaxed) + 1;
        let DeviceControl::Buffered(mut request) = request else { return request.fail(STATUS_DEVICE_BUSY) };
        for count in [self.fast.load(Ordering::Relaxed), slow] {
            request.output().write(&count.to_le_bytes());
        }
        request.complete()
    }
}
