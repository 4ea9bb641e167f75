//! A driver of Plug and Play devices for `tests/pnp.rs`. The first physical device of a machine gets a function device that
//! applications open as `\\.\RbTower`; the second a filter, of which `\\.\RbSeen` tells; the third is refused, when a filter is
//! attached already.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_READ_DATA, FILE_WRITE_DATA, IRP_MN_START_DEVICE,
    METHOD_BUFFERED, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS,
};
use driver::{
    AddDevice, Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Filter,
    Filtered, OtherRequest, PhysicalDevice, PoolArc, PoolBox, Read, SpinLock, Tag, Target, UnicodeStr, utf16,
};

driver::driver_entry!(Tower);

/// Tells what the function driver has seen: its counters, as 32-bit words, in the order of `Seen`.
pub const IOCTL_SEEN: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Has the filter's companion open the device whose name, in UTF-16, is the input.
pub const IOCTL_OPEN: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Has it write one byte, twice, to the device whose name is the input, and not wait.
pub const IOCTL_WRITE_LATER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Waits for these writes' ends; tells their statuses in their order, as 32-bit words.
pub const IOCTL_WRITTEN: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS);

const TAG: Tag = Tag::new(*b"Towr");

struct Tower;

impl Driver for Tower {
    type Device = Floor;
    const POOL_TAG: Tag = TAG;
    const ADD_DEVICE: Option<AddDevice<Self>> = Some(Self::add_device);

    fn entry(_driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        Ok(())
    }
}

impl Tower {
    fn add_device(driver: &DriverObject<Self>, physical: &PhysicalDevice<'_>) -> Result<(), NTSTATUS> {
        let seen = PoolArc::new(TAG, Seen::new())?;
        let function = Floor::Function(Function { seen: seen.clone(), reads: SpinLock::new(0) });
        let function = driver.device(function).name(utf16!(r"\Device\RbTower"));
        match function.symbolic_link(utf16!(r"\??\RbTower")).attach_to(physical).create() {
            Err(STATUS_OBJECT_NAME_COLLISION) => {}
            created => return created.map(drop),
        }
        driver.filter(Above(seen.clone())).attach_to_physical(physical)?;
        let beside = driver.device(Floor::Beside(seen)).name(utf16!(r"\Device\RbSeen"));
        beside.symbolic_link(utf16!(r"\??\RbSeen")).create().map(drop)
    }
}

struct Seen {
    started: AtomicU32,
    status_of_start: AtomicU32,
    creates_above: AtomicU32,
    closes_above: AtomicU32,
    target: SpinLock<Option<PoolArc<Target>>>,
    written: [AtomicU32; 2],
}

/// The device whose name, in UTF-16, these bytes are.
fn open(bytes: &[u8]) -> Result<Target, NTSTATUS> {
    let mut name = [0; 64];
    let (pairs, _odd) = bytes.as_chunks();
    let length = pairs.len().min(name.len());
    for (unit, pair) in name.iter_mut().zip(pairs) {
        *unit = u16::from_le_bytes(*pair);
    }
    Target::open(TAG, UnicodeStr::new(&name[..length]), FILE_READ_DATA | FILE_WRITE_DATA)
}

fn write_later(seen: &PoolArc<Seen>, target: Target) -> Result<(), NTSTATUS> {
    let target = PoolArc::new(TAG, target)?;
    for number in 0..2 {
        let own = seen.clone();
        target.write_later(PoolBox::zeroed(TAG, 1)?, 0, move |_bytes, result| {
            let status = result.map_or_else(|status| status, |_| STATUS_SUCCESS);
            own.written[number].store(status.bits(), Ordering::Relaxed);
        })?;
    }
    drop(seen.target.with(|kept| kept.replace(target)));
    Ok(())
}

impl Seen {
    fn new() -> Self {
        let zero = || AtomicU32::new(0);
        Self {
            started: zero(),
            status_of_start: zero(),
            creates_above: zero(),
            closes_above: zero(),
            target: SpinLock::new(None),
            written: [zero(), zero()],
        }
    }

    fn words(&self) -> [u32; 4] {
        [&self.started, &self.status_of_start, &self.creates_above, &self.closes_above]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

enum Floor {
    /// Tells what a filter has seen.
    Beside(PoolArc<Seen>),
    Function(Function),
}

struct Function {
    seen: PoolArc<Seen>,
    reads: SpinLock<u8>,
}

impl Dispatch for Floor {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        let Self::Function(function) = self else { return request.fail(STATUS_INVALID_DEVICE_REQUEST) };
        let number = function.reads.with(|reads| {
            *reads += 1;
            *reads
        });
        request.output().write(&[number]);
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let (Self::Beside(seen) | Self::Function(Function { seen, .. })) = self;
        match request {
            DeviceControl::Buffered(mut request) if request.code() == IOCTL_SEEN => {
                for word in seen.words() {
                    request.output().write(&word.to_le_bytes());
                }
                request.complete()
            }
            DeviceControl::Buffered(request) if request.code() == IOCTL_OPEN => match open(request.input()) {
                Ok(_opened) => request.complete(),
                Err(status) => request.fail(status),
            },
            DeviceControl::Buffered(request) if request.code() == IOCTL_WRITE_LATER => {
                let written = open(request.input()).and_then(|target| write_later(seen, target));
                match written {
                    Ok(()) => request.complete(),
                    Err(status) => request.fail(status),
                }
            }
            DeviceControl::Buffered(mut request) if request.code() == IOCTL_WRITTEN => {
                // Dropping it waits for its requests.
                drop(seen.target.with(Option::take));
                for word in &seen.written {
                    request.output().write(&word.load(Ordering::Relaxed).to_le_bytes());
                }
                request.complete()
            }
            request => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    /// A start is for the drivers below first; all else passes.
    fn pnp(&self, request: OtherRequest) -> impl Answer {
        let Self::Function(function) = self else { return request.complete_unchanged() };
        if request.minor() != IRP_MN_START_DEVICE {
            return request.forward();
        }
        let level = request.level();
        let request = request.forward_and_wait(level);
        count(&function.seen.started);
        function.seen.status_of_start.store(request.status().bits(), Ordering::Relaxed);
        request.complete_unchanged()
    }
}

struct Above(PoolArc<Seen>);

impl Filter for Above {
    fn create(&self, request: Filtered<Self, Create>) -> impl Answer {
        count(&self.0.creates_above);
        request.forward()
    }

    fn close(&self, request: Filtered<Self, Close>) -> impl Answer {
        count(&self.0.closes_above);
        request.forward()
    }
}
