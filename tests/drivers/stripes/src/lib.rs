//! Requests in parts, for `tests/associated.rs`: `\\.\RbWhole` has its reads and writes carried out by `\\.\RbLeft` and
//! `\\.\RbRight`, in turns of eight bytes. These keep 64 bytes each, and answer as they are told.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_READ_DATA, METHOD_BUFFERED, NTSTATUS,
    STATUS_DEVICE_DATA_ERROR, STATUS_END_OF_FILE, STATUS_INVALID_DEVICE_REQUEST,
};
use driver::{
    Answer, Close, Create, DeviceControl, Direct, Dispatch, Driver, DriverObject, Part, Pended, PoolArc,
    Read, SpinLock, Tag, Target, UnicodeStr, Write, utf16,
};

driver::driver_entry!(Stripes);

/// What a part's device does with reads from now on, by the first byte: one of the modes below.
pub const IOCTL_MODE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Gives what was asked for.
pub const NORMAL: u8 = 0;
/// Fails with STATUS_DEVICE_DATA_ERROR.
pub const FAIL: u8 = 1;
/// Gives half of it.
pub const HALF: u8 = 2;
/// Keeps the request until it is released.
pub const PEND: u8 = 3;
/// Completes the requests that were kept.
pub const IOCTL_RELEASE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);

const TAG: Tag = Tag::new(*b"Strp");
const STRIPE: u32 = 8;
const SIZE: usize = 64;

struct Stripes;

impl Driver for Stripes {
    type Device = Disk;
    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let part = || {
            let state = State { bytes: [b'.'; SIZE], mode: NORMAL, kept: [const { None }; 4] };
            PoolArc::new(TAG, SpinLock::new(state)).map(Disk::Part)
        };
        let left = driver.device(part()?).name(utf16!(r"\Device\RbLeft"));
        left.symbolic_link(utf16!(r"\??\RbLeft")).create()?;
        let right = driver.device(part()?).name(utf16!(r"\Device\RbRight"));
        right.symbolic_link(utf16!(r"\??\RbRight")).create()?;
        let whole = driver.device(Disk::Whole).name(utf16!(r"\Device\RbWhole"));
        whole.symbolic_link(utf16!(r"\??\RbWhole")).create()?;
        Ok(())
    }
}

enum Disk {
    Whole,
    Part(PoolArc<SpinLock<State>>),
}

struct State {
    bytes: [u8; SIZE],
    mode: u8,
    kept: [Option<Pended<Read<Direct>>>; 4],
}

/// What an open of the whole has opened.
type Pair = PoolArc<[Target; 2]>;

fn open_pair(file_name: &UnicodeStr<'_>) -> Result<PoolArc<Pair>, NTSTATUS> {
    // `\\.\RbWhole\mixed` has a device for its right half that takes no direct requests.
    let right =
        if file_name.units().is_empty() { utf16!(r"\Device\RbRight") } else { utf16!(r"\Device\My_Device") };
    let left = Target::open(TAG, utf16!(r"\Device\RbLeft"), FILE_READ_DATA)?;
    let right = Target::open(TAG, right, FILE_READ_DATA)?;
    PoolArc::new(TAG, PoolArc::new(TAG, [left, right])?)
}

/// The parts of a transfer of so many bytes, and how many there are.
fn parts(pair: &[Target; 2], offset: i64, length: usize) -> ([Part<'_>; 8], usize) {
    let mut parts = [Part { target: &pair[0], byte_offset: 0, length: 0 }; 8];
    let mut count = 0;
    let mut rest = u32::try_from(length).unwrap_or(u32::MAX);
    for (part, number) in parts.iter_mut().zip(0..) {
        if rest == 0 {
            break;
        }
        let target = if number % 2 == 0 { &pair[0] } else { &pair[1] };
        let byte_offset = offset / 2 + i64::from(STRIPE) * (number / 2);
        *part = Part { target, byte_offset, length: rest.min(STRIPE) };
        rest -= part.length;
        count += 1;
    }
    (parts, count)
}

impl Dispatch for Disk {
    type Io = Direct;

    fn create(&self, mut request: Create) -> impl Answer {
        if let Self::Whole = self {
            match open_pair(&request.file_name()) {
                Ok(pair) => request.set_fs_context(pair),
                Err(status) => return request.fail(status),
            }
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read<Direct>) -> impl Answer {
        let Self::Part(state) = self else {
            return request.pend(|request| {
                let pair = request.contexts().fs_context::<Pair>().expect("set when it was opened").clone();
                let (parts, count) = parts(&pair, request.byte_offset(), request.length());
                if let Err((request, status)) = request.split(TAG, &parts[..count]) {
                    request.fail(status);
                }
            });
        };
        let at = usize::try_from(request.byte_offset()).unwrap_or(SIZE).min(SIZE);
        let length = request.length().min(SIZE - at);
        let (bytes, mode) = state.with(|state| (state.bytes, state.mode));
        let length = match mode {
            FAIL => return request.fail(STATUS_DEVICE_DATA_ERROR),
            HALF => length / 2,
            _ => length,
        };
        if let Err(status) = request.output().map(|mut output| output.write(&bytes[at..at + length])) {
            return request.fail(status);
        }
        if mode != PEND {
            return request.complete();
        }
        request.pend(|request| {
            let mut request = Some(request);
            state.with(|state| {
                if let Some(place) = state.kept.iter_mut().find(|place| place.is_none()) {
                    *place = request.take();
                }
            });
            assert!(request.is_none(), "at most four are kept");
        })
    }

    fn write(&self, request: Write<Direct>) -> impl Answer {
        let Self::Part(state) = self else {
            return request.pend(|request| {
                let pair = request.contexts().fs_context::<Pair>().expect("set when it was opened").clone();
                let (parts, count) = parts(&pair, request.byte_offset(), request.length());
                if let Err((request, status)) = request.split(TAG, &parts[..count]) {
                    request.fail(status);
                }
            });
        };
        let at = usize::try_from(request.byte_offset()).unwrap_or(SIZE);
        let mut copy = [0; SIZE];
        let length = request.length();
        if at > SIZE || length > SIZE - at {
            return request.fail(STATUS_END_OF_FILE);
        }
        let copied = request.data().map(|data| data.read(0, &mut copy[..length]));
        match copied {
            Ok(length) => {
                state.with(|state| state.bytes[at..at + length].copy_from_slice(&copy[..length]));
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let (Self::Part(state), DeviceControl::Buffered(request)) = (self, request) else {
            panic!("control requests are for the parts, and buffered");
        };
        match request.code() {
            IOCTL_MODE => {
                let mode = request.input().first().copied().unwrap_or(NORMAL);
                state.with(|state| state.mode = mode);
            }
            IOCTL_RELEASE => {
                while let Some(kept) = state.with(|state| state.kept.iter_mut().find_map(Option::take)) {
                    kept.complete();
                }
            }
            _ => return request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
        request.complete()
    }
}
