//! A filter: it attaches to another driver's device, [`TARGET`], and sees every request before that driver does.
//!
//! - It counts them; [`IOCTL_REPORT`] on its own device `\\.\Tap` gives the [`Report`].
//! - What is read comes back in capital letters.
//! - A write that begins with [`REFUSED`] is refused with STATUS_ACCESS_DENIED, and the driver below does not learn of it.
//! - A read that the driver below is too busy for (STATUS_DEVICE_BUSY) is sent down again, [`RETRIES`] times at most.
//! - As [`IOCTL_SET_MODE`] says, it holds writes on their way down, or reads on their way up, until [`IOCTL_RELEASE`] or until
//!   they are cancelled.
//! - All else passes.
//!
//! Load it after the driver whose device it is for. Unloading detaches it.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod above;

use core::sync::atomic::{AtomicU32, Ordering};

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
};
use driver::{
    Answer, Answered, Buffered, BufferedControl, Close, Create, DeviceControl, Dispatch, Driver,
    DriverObject, HeldQueue, Parameters, PoolArc, Read, Tag, UnicodeStr, Write, println, utf16,
};

use above::Above;

/// The device that it is for, unless its service has the parameter [`PARAMETER`]: the one of the sample `hello`.
pub const TARGET: &str = r"\Device\My_Device";
/// The parameter (REG_SZ) that names another device.
pub const PARAMETER: &str = "Target";
/// First byte of a write that is refused.
pub const REFUSED: u8 = b'!';
/// How often a read is sent down again at most.
pub const RETRIES: usize = 8;

/// Gives the [`Report`].
pub const IOCTL_REPORT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x810, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Takes a [`Mode`], as a number of four bytes.
pub const IOCTL_SET_MODE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x811, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Lets the requests that are held go on; gives their number, four bytes.
pub const IOCTL_RELEASE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x812, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// What is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Mode {
    /// Nothing.
    Pass = 0,
    /// Writes, on their way down.
    HoldWrites = 1,
    /// Reads, on their way up.
    HoldReads = 2,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// How many requests there were of which kind, since the filter is attached.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct Report {
            $($(#[$doc])* pub $name: u32,)*
        }

        impl Report {
            /// Bytes of a report: each number has four, the lowest first.
            pub const LENGTH: usize = 4 * [$(stringify!($name)),*].len();

            /// Reads what [`IOCTL_REPORT`] gave; `None` if it is too short.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let mut numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
                Some(Self { $($name: numbers.next()?,)* })
            }
        }

        #[derive(Default)]
        struct Counters {
            $($name: AtomicU32,)*
        }

        impl Counters {
            fn numbers(&self) -> [u32; Report::LENGTH / 4] {
                [$(self.$name.load(Ordering::Relaxed)),*]
            }
        }
    };
}

counters! {
    /// IRP_MJ_CREATE.
    creates,
    /// IRP_MJ_CLOSE.
    closes,
    /// IRP_MJ_READ.
    reads,
    /// Bytes that were read.
    bytes_read,
    /// IRP_MJ_WRITE.
    writes,
    /// IRP_MJ_DEVICE_CONTROL.
    controls,
    /// Writes that were refused.
    refused,
    /// Requests that were held.
    held,
    /// Reads that were sent down again.
    sent_again,
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

driver::driver_entry!(Tap);

struct Tap;

impl Driver for Tap {
    type Device = Control;

    const POOL_TAG: Tag = Tag::new(*b"Tap ");

    fn entry(driver: &DriverObject<Self>, registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let shared = PoolArc::new(Self::POOL_TAG, Shared::new()?)?;
        driver
            .device(Control { shared: shared.clone() })
            .name(utf16!(r"\Device\Tap"))
            .symbolic_link(utf16!(r"\??\Tap"))
            .create()?;
        let attach = |name: UnicodeStr<'_>| {
            driver.filter(Above { shared: shared.clone() }).attach_to(name)?;
            println!("tap: attached to {name}");
            Ok(())
        };
        let level = driver.level();
        let named = Parameters::open(level, Self::POOL_TAG, registry_path)
            .and_then(|parameters| parameters.string(level, utf16!(PARAMETER), attach));
        match named {
            Ok(attached) => attached,
            Err(STATUS_OBJECT_NAME_NOT_FOUND) => attach(utf16!(TARGET)),
            Err(status) => Err(status),
        }
    }
}

/// What the filter and the control device have in common.
struct Shared {
    counters: Counters,
    mode: AtomicU32,
    writes: HeldQueue<Above, Write>,
    reads: HeldQueue<Above, Read>,
}

impl Shared {
    fn new() -> Result<Self, NTSTATUS> {
        Ok(Self {
            counters: Counters::default(),
            mode: AtomicU32::new(Mode::Pass as u32),
            writes: HeldQueue::new(Tap::POOL_TAG)?,
            reads: HeldQueue::new(Tap::POOL_TAG)?,
        })
    }

    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::Acquire) == mode as u32
    }

    fn release_all(&self) -> usize {
        self.writes.release_all() + self.reads.release_all()
    }
}

/// The driver's own device.
struct Control {
    shared: PoolArc<Shared>,
}

impl Dispatch for Control {
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
        match request.code() {
            IOCTL_REPORT => give(request, &self.shared.counters.numbers()),
            IOCTL_SET_MODE => self.set_mode(request),
            IOCTL_RELEASE => {
                let released = u32::try_from(self.shared.release_all()).unwrap_or(u32::MAX);
                give(request, &[released])
            }
            _ => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

impl Control {
    fn set_mode(&self, request: BufferedControl) -> Answered {
        const LAST: u32 = Mode::HoldReads as u32;
        match request.input().first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) {
            Some(mode @ 0..=LAST) => {
                self.shared.mode.store(mode, Ordering::Release);
                request.complete()
            }
            _ => request.fail(STATUS_INVALID_PARAMETER),
        }
    }
}

fn give(mut request: BufferedControl, numbers: &[u32]) -> Answered {
    if request.output_length() < 4 * numbers.len() {
        return request.fail(STATUS_BUFFER_TOO_SMALL);
    }
    for number in numbers {
        request.output().write(&number.to_le_bytes());
    }
    request.complete()
}
