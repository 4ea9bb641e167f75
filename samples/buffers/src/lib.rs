//! How bytes travel: one control code for each transfer method, and a device with direct reads and writes. It creates
//! one device, which applications open as `\\.\Buffers` and whose memory they fill and read:
//!
//! - writing replaces the memory's content, straight from the application's memory; reading gives it back;
//! - [`IOCTL_INVERT_BUFFERED`] gives its input inverted: one system buffer, both ways;
//! - [`IOCTL_STORE`] (METHOD_IN_DIRECT) fills the memory from the second buffer, combined with the one byte of its input;
//! - [`IOCTL_LOAD`] (METHOD_OUT_DIRECT) writes the memory, from the offset in its input on, into the second buffer;
//! - [`IOCTL_INVERT_NEITHER`] gives its input inverted, from and to the application's own addresses.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_NEITHER,
    METHOD_OUT_DIRECT, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Answered, BufferedControl, Close, Create, DeviceControl, Direct, Dispatch, Driver, DriverObject,
    InDirectControl, LockedData, NeitherControl, OutDirectControl, PoolBox, Read, SpinLock, Tag, UnicodeStr,
    Write, utf16,
};

/// Gives its input inverted.
pub const IOCTL_INVERT_BUFFERED: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Keeps the second buffer, each byte combined (exclusive or) with the one byte of the first.
pub const IOCTL_STORE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_IN_DIRECT, FILE_ANY_ACCESS);
/// Gives what is kept, from the offset on that the first buffer says (four bytes, little-endian).
pub const IOCTL_LOAD: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
/// Gives its input inverted.
pub const IOCTL_INVERT_NEITHER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_NEITHER, FILE_ANY_ACCESS);

driver::driver_entry!(Buffers);

struct Buffers;

impl Driver for Buffers {
    type Device = Memory;

    const POOL_TAG: Tag = Tag::new(*b"Buff");

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Memory::default());
        device.name(utf16!(r"\Device\Buffers")).symbolic_link(utf16!(r"\??\Buffers")).create()?;
        Ok(())
    }
}

/// The device: the bytes that it keeps.
#[derive(Default)]
struct Memory {
    kept: SpinLock<PoolBox<[u8]>>,
}

impl Memory {
    /// Keeps a copy of `data`. The application can change its bytes at any time: each is looked at once.
    fn keep(&self, data: &LockedData<'_>, key: u8) -> Result<(), NTSTATUS> {
        let mut copy = PoolBox::zeroed(Buffers::POOL_TAG, data.len())?;
        data.read(0, &mut copy);
        copy.iter_mut().for_each(|byte| *byte ^= key);
        self.kept.with(|kept| core::mem::swap(kept, &mut copy));
        Ok(())
    }
}

impl Dispatch for Memory {
    type Io = Direct;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read<Direct>) -> impl Answer {
        match request.output().map(|mut output| self.kept.with(|kept| output.write(kept))) {
            Ok(_) => request.complete(),
            Err(status) => request.fail(status),
        }
    }

    fn write(&self, request: Write<Direct>) -> impl Answer {
        match request.data().and_then(|data| self.keep(&data, 0)) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        match request {
            DeviceControl::Buffered(request) if request.code() == IOCTL_INVERT_BUFFERED => {
                invert_buffered(request)
            }
            DeviceControl::InDirect(request) if request.code() == IOCTL_STORE => self.store(request),
            DeviceControl::OutDirect(request) if request.code() == IOCTL_LOAD => self.load(request),
            DeviceControl::Neither(request) if request.code() == IOCTL_INVERT_NEITHER => {
                invert_neither(request)
            }
            other => other.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

impl Memory {
    fn store(&self, request: InDirectControl) -> Answered {
        let &[key] = request.input() else { return request.fail(STATUS_INVALID_PARAMETER) };
        match request.data().and_then(|data| self.keep(&data, key)) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }

    fn load(&self, mut request: OutDirectControl) -> Answered {
        let Ok(offset) = request.input().try_into().map(u32::from_le_bytes) else {
            return request.fail(STATUS_INVALID_PARAMETER);
        };
        let written = request.output().map(|mut output| {
            self.kept.with(|kept| output.write(kept.get(offset as usize..).unwrap_or_default()))
        });
        match written {
            Ok(_) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

fn invert_buffered(mut request: BufferedControl) -> Answered {
    request.input_mut().iter_mut().for_each(|byte| *byte = !*byte);
    request.complete_in_place()
}

fn invert_neither(mut request: NeitherControl) -> Answered {
    let mut part = [0; 512];
    let mut done = 0;
    loop {
        let copied = request.input().read(done, &mut part).and_then(|count| {
            part[..count].iter_mut().for_each(|byte| *byte = !*byte);
            request.output().write(&part[..count])
        });
        match copied {
            Ok(0) => return request.complete(),
            Ok(count) => done += count,
            Err(status) => return request.fail(status),
        }
    }
}
