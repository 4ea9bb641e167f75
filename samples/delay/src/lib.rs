//! Answers that come later. The device is `\\.\Delay`; a read of it is answered after a time, by one of three [`Way`]s:
//!
//! - [`Way::Thread`]: a system thread that waits for the next read that is due;
//! - [`Way::Timer`]: a timer's DPC, at DISPATCH_LEVEL in whatever thread;
//! - [`Way::WorkItem`]: a timer's DPC again, but the answer is left to a work item, at PASSIVE_LEVEL.
//!
//! [`IOCTL_SET`] says which, and how many milliseconds, for the handle that it is sent to; until then it is the thread, at
//! once. The answer is as many bytes as were asked for, all of them the way's letter. [`IOCTL_QUERY`] counts.
//!
//! A read that waits ends early with STATUS_CANCELLED: when its application cancels it or ends, and when the last handle
//! to its file is closed. Unloading the driver waits for its thread, its timers and its work item.
//!
//! An application (`app::Device`; in C, `CreateFile`, `DeviceIoControl` and `ReadFile`):
//!
//! ```text
//! let device = Device::open(&transport, r"\\.\Delay")?;
//! device.control(ControlCode(IOCTL_SET), &setting(Way::Timer, 20), &mut [])?;
//! device.read(&mut buffer)?;                      // after 20 ms: all d
//! ```
//!
//! # The race that is not here
//!
//! The obvious way to answer a read in a thread has the thread first and the mark second:
//!
//! ```c
//! PsCreateSystemThread(&thread, 0, NULL, NULL, NULL, answer, irp);     // answer() completes the IRP
//! IoMarkIrpPending(irp);
//! return STATUS_PENDING;
//! ```
//!
//! Between the two lines the thread may have run to its end. The IRP is completed then, and its memory the I/O manager's
//! again: IoMarkIrpPending writes into what may be another request. Worse, the completion found no mark, so that the
//! I/O manager took the request for one that was answered in the dispatch routine, while the caller is told
//! STATUS_PENDING and waits for a completion that has been. It works on every quiet machine, because a new thread
//! takes longer to start than one line to run. `tests/drivers/race.c` makes the order certain, and shows what comes of it.
//!
//! In Rust the order is not the author's. A [`Read`] cannot go to another thread, since it is not `Send`. What can is a
//! [`Pended`](driver::Pended) read, and the two ways to get one, [`Read::pend`] and
//! [`CancelSafeQueue::pend`](driver::CancelSafeQueue::pend), mark the IRP first. They consume the read, so that nothing is left to touch, and give the only answer that the method can return.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod waiting;

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, BufferedControl, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject,
    Event, PoolArc, Read, Stop, Tag, Thread, Timer, UnicodeStr, Woken, WorkItem, time, utf16,
};

use waiting::Waiting;

/// Sets how the reads of this handle are answered from now on: two numbers of four bytes, little-endian, a [`Way`] and
/// milliseconds.
pub const IOCTL_SET: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Gives four numbers of four bytes, little-endian: the reads that each [`Way`] has answered, and those that wait.
pub const IOCTL_QUERY: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Who answers a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Way {
    /// A system thread.
    Thread = 0,
    /// A timer's DPC.
    Timer = 1,
    /// A work item.
    WorkItem = 2,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Thread, Self::Timer, Self::WorkItem];

    /// What its answers consist of.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Thread => b't',
            Self::Timer => b'd',
            Self::WorkItem => b'w',
        }
    }
}

const TAG: Tag = Tag::new(*b"Dlay");

driver::driver_entry!(DelayDriver);

struct DelayDriver;

impl Driver for DelayDriver {
    type Device = Delay;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Delay::new(driver)?);
        device.name(utf16!(r"\Device\Delay")).symbolic_link(utf16!(r"\??\Delay")).create()?;
        Ok(())
    }
}

/// The device. What answers is dropped before what it answers from, and dropping waits for its end.
struct Delay {
    _thread: Thread,
    timer: Timer,
    /// Its DPC queues the work item.
    work_timer: Timer,
    shared: PoolArc<Shared>,
}

/// The reads that wait, by who is to answer them.
struct Shared {
    /// In the order of [`Way`].
    waiting: [Waiting; 3],
    /// Tells the thread that there is one more.
    wake: Event,
}

impl Shared {
    fn of(&self, way: Way) -> &Waiting {
        &self.waiting[way as usize]
    }
}

impl Delay {
    fn new(driver: &DriverObject<DelayDriver>) -> Result<Self, NTSTATUS> {
        let [by_thread, by_timer, by_work_item] = Way::ALL.map(|way| Waiting::new(TAG, way.letter()));
        let waiting = [by_thread?, by_timer?, by_work_item?];
        let shared = PoolArc::new(TAG, Shared { waiting, wake: Event::synchronization(TAG, false)? })?;

        let own = shared.clone();
        let thread = Thread::spawn(driver.level(), TAG, move |stop| answer_until(stop, &own))?;

        let own = shared.clone();
        let timer = Timer::new(TAG, move |timer| {
            let (waiting, now) = (own.of(Way::Timer), time::interrupt_time());
            waiting.answer_due();
            // What was due now and waits still is being cancelled. A timer that is set for it expires at once, and its DPC
            // may keep the canceller from the processor for ever; or it came since, and whoever brought it sets the timer.
            waiting.arm(timer, now);
        })?;

        let own = shared.clone();
        let work = WorkItem::new(driver, TAG, move |_level, _item| {
            own.of(Way::WorkItem).answer_due();
        })?;
        let own = shared.clone();
        let work_timer = Timer::new(TAG, move |timer| {
            let now = time::interrupt_time();
            work.queue();
            // The work item takes those that are due now.
            own.of(Way::WorkItem).arm(timer, now);
        })?;
        Ok(Self { _thread: thread, timer, work_timer, shared })
    }
}

/// The thread's life.
fn answer_until(stop: &Stop<'_>, shared: &Shared) {
    loop {
        let next = shared.of(Way::Thread).answer_due();
        let timeout = next.map(|due| due.saturating_sub(time::interrupt_time()));
        if stop.wait(&shared.wake, timeout) == Woken::Stopped {
            return;
        }
    }
}

/// An open's setting: its reads' way in the upper half, milliseconds in the lower.
#[derive(Default)]
struct Open {
    way: AtomicU32,
    milliseconds: AtomicU32,
}

impl Open {
    fn set(&self, way: u32, milliseconds: u32) -> Result<(), NTSTATUS> {
        if way as usize >= Way::ALL.len() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        self.way.store(way, Ordering::Relaxed);
        self.milliseconds.store(milliseconds, Ordering::Relaxed);
        Ok(())
    }

    fn way(&self) -> Way {
        Way::ALL[self.way.load(Ordering::Relaxed) as usize]
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.milliseconds.load(Ordering::Relaxed).into())
    }
}

impl Dispatch for Delay {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        match PoolArc::new(TAG, Open::default()) {
            Ok(open) => {
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        for waiting in &self.shared.waiting {
            waiting.cancel_file(&request);
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, request: Read) -> impl Answer {
        let Some(open) = request.contexts().fs_context2::<Open>() else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let (way, due) = (open.way(), time::interrupt_time() + open.delay());
        let waiting = self.shared.of(way);
        // From here on the read may be answered, or cancelled, at any moment.
        let answer = waiting.pend(request, due);
        match way {
            Way::Thread => _ = self.shared.wake.set(),
            Way::Timer => waiting.arm(&self.timer, Duration::ZERO),
            Way::WorkItem => waiting.arm(&self.work_timer, Duration::ZERO),
        }
        answer
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match self.control(&mut request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

impl Delay {
    fn control(&self, request: &mut BufferedControl) -> Result<(), NTSTATUS> {
        match request.code() {
            IOCTL_SET => {
                let (&[way, milliseconds], &[]) = request.input().as_chunks() else {
                    return Err(STATUS_INVALID_PARAMETER);
                };
                let open: &Open = request.contexts().fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
                open.set(u32::from_le_bytes(way), u32::from_le_bytes(milliseconds))
            }
            IOCTL_QUERY => {
                let [thread, timer, work_item] = &self.shared.waiting;
                let waiting = self.shared.waiting.iter().map(Waiting::count).sum();
                let numbers = [thread.answered(), timer.answered(), work_item.answered(), waiting];
                if request.output_length() < size_of_val(&numbers) {
                    return Err(STATUS_BUFFER_TOO_SMALL);
                }
                request.output().write(numbers.map(u32::to_le_bytes).as_flattened());
                Ok(())
            }
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}
