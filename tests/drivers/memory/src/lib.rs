//! A driver's own memory, of every kind, and an application's, locked, for `tests/sdk_memory.rs`. It creates one device, which
//! applications open as `\\.\Memory`:
//!
//! - each [`Case`], a METHOD_BUFFERED control code, uses one kind, and panics, which stops the machine, where something is not
//!   as it should be; [`Case::Controls`] and [`Case::Requests`] send requests to the device of the sample `buffers`;
//! - writing replaces the device's bytes, reading gives them back, and [`IOCTL_INVERT_LOCKED`] (METHOD_NEITHER) gives its input
//!   inverted. All three get the application's addresses, lock the memory there, and are answered by another thread.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod lists;
mod lookaside;
mod mdls;
mod pool;
mod requests;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, METHOD_NEITHER, NTSTATUS,
    STATUS_INVALID_DEVICE_REQUEST,
};
use driver::{
    Answer, Answered, CancelSafeQueue, Close, Create, DeviceControl, Direct, Dispatch, Driver, DriverObject,
    LockedControl, Neither, NeitherControl, PassiveLevel, Pended, PoolArc, PoolBox, Read, SpinLock, Tag,
    Thread, UnicodeStr, Write, utf16,
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
    /// MDLs over pool, over a part of it, and over pages.
    Mdls,
    /// Requests to the sample `buffers`, by every method of control codes.
    Controls,
    /// Reads and writes of its direct device, waited for and not.
    Requests,
    /// Forgets a block of paged pool and one of nonpaged pool.
    Leak,
}

/// Gives its input inverted, from and to the application's own memory, in another thread.
pub const IOCTL_INVERT_LOCKED: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x8F0, METHOD_NEITHER, FILE_ANY_ACCESS);

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
        let device = driver.device(MemoryDevice::new()?).name(utf16!(r"\Device\Memory"));
        device.symbolic_link(utf16!(r"\??\Memory")).create()?;
        Ok(())
    }
}

/// The device: the bytes that were written last.
struct MemoryDevice {
    kept: PoolArc<SpinLock<PoolBox<[u8]>>>,
    reads: PoolArc<CancelSafeQueue<Read<Direct>, ()>>,
}

impl MemoryDevice {
    fn new() -> Result<Self, NTSTATUS> {
        let kept = PoolArc::new(TAG, SpinLock::new(PoolBox::default()))?;
        Ok(Self { kept, reads: PoolArc::new(TAG, CancelSafeQueue::new(TAG)?)? })
    }
}

/// Runs `code` in another thread, and waits for it: dropping a thread does.
fn elsewhere(level: PassiveLevel, code: impl FnOnce() + Send + 'static) {
    drop(Thread::spawn(level, TAG, move |_stop| code()).expect("a thread"));
}

fn answer(mut request: Pended<LockedControl>) -> Result<(), (Pended<LockedControl>, NTSTATUS)> {
    let inverted = PoolBox::zeroed(TAG, request.input_length()).and_then(|mut bytes| {
        request.input()?.read(0, &mut bytes);
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        request.output()?.write(&bytes);
        Ok(())
    });
    match inverted {
        Ok(()) => {
            request.complete();
            Ok(())
        }
        Err(status) => Err((request, status)),
    }
}

fn invert(request: NeitherControl) -> Answered {
    let level = request.level();
    match request.lock() {
        Ok(request) => request.pend(|request| {
            elsewhere(level, || {
                if let Err((request, status)) = answer(request) {
                    request.fail(status);
                }
            });
        }),
        Err((request, status)) => request.fail(status),
    }
}

impl Dispatch for MemoryDevice {
    type Io = Neither;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, request: Read<Neither>) -> impl Answer {
        let level = request.level();
        let request = match request.lock() {
            Ok(request) => request,
            Err((request, status)) => return request.fail(status),
        };
        let answered = self.reads.pend(request, ());
        let (reads, kept) = (self.reads.clone(), self.kept.clone());
        elsewhere(level, move || {
            // None when it was cancelled meanwhile.
            let Some((mut request, ())) = reads.remove_next() else { return };
            match request.output().map(|mut output| kept.with(|kept| output.write(kept))) {
                Ok(_) => request.complete(),
                Err(status) => request.fail(status),
            }
        });
        answered
    }

    fn write(&self, request: Write<Neither>) -> impl Answer {
        let level = request.level();
        let request = match request.lock() {
            Ok(request) => request,
            Err((request, status)) => return request.fail(status),
        };
        let kept = self.kept.clone();
        request.pend(|request| {
            elsewhere(level, move || {
                let copied = PoolBox::zeroed(TAG, request.length()).and_then(|mut copy| {
                    request.data()?.read(0, &mut copy);
                    Ok(copy)
                });
                match copied {
                    Ok(mut copy) => {
                        kept.with(|kept| core::mem::swap(kept, &mut copy));
                        request.complete();
                    }
                    Err(status) => request.fail(status),
                }
            });
        })
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let request = match request {
            DeviceControl::Buffered(request) => request,
            DeviceControl::Neither(request) if request.code() == IOCTL_INVERT_LOCKED => {
                return invert(request);
            }
            other => return other.fail(STATUS_INVALID_DEVICE_REQUEST),
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
            _ if code == Case::Mdls.code() => mdls::own(level),
            _ if code == Case::Controls.code() => requests::controls(level),
            _ if code == Case::Requests.code() => requests::reads_and_writes(level),
            _ if code == Case::Leak.code() => pool::leak(level),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match tried {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}
