//! A driver that has something to tell, at once. The device is `\\.\Notify`; [`IOCTL_START`] has a system thread make
//! numbered notifications, which the application learns of in one of three [`Way`]s:
//!
//! - [`Way::NamedEvent`]: the driver makes an event under `\BaseNamedObjects` when its device is opened, and sets it. The
//!   application asks for the name ([`IOCTL_NAME`]), opens `Global\` and the name for waiting (SYNCHRONIZE), and reads when the
//!   event is set;
//! - [`Way::OwnEvent`]: the application makes an event and passes its handle with [`IOCTL_START`]. This is the recommended one:
//!   it needs no name, and no rights but the application's own;
//! - [`Way::Request`], the *inverted call*: the application keeps requests of [`IOCTL_NEXT`] waiting in the driver, which
//!   completes them when there is something to say. Word and answer travel together, so nothing is read.
//!
//! # How nothing is lost
//!
//! An event has one bit. Set twice before anybody looks, it tells once. So the event says "look", never "one more": behind it is
//! a ring of notifications, and the application reads until there are no more, which a read says at once
//! (STATUS_NO_MORE_ENTRIES). What comes after that sets the event again, because the driver puts a notification into the ring
//! *before* it sets the event. A driver that let reads wait would make the loop hang at its end; one that set the event first
//! would have the application find nothing and sleep on it.
//!
//! The ring is bounded. When it is full the thread waits for room, which every read and every answered request makes.
//!
//! # Who may do what
//!
//! The event that the driver makes has the system's default list: administrators may wait for it and nobody but the driver may
//! set it; standard users may not open it. If an application has made an event of that name before, the driver
//! opens that, and both may set it. The name is the driver's, and no application's choice: a driver opens events without a
//! check, so whoever chose the name would have it set other people's events. It is made in IRP_MJ_CREATE and not in DriverEntry, when
//! `\BaseNamedObjects` may not be there yet.
//!
//! In C: `IoCreateSynchronizationEvent`, `ObReferenceObjectByHandle(…, EVENT_MODIFY_STATE, *ExEventObjectType, UserMode, …)`,
//! `IoCsqInsertIrp`.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

mod name;
mod ring;

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use driver::abi::{
    CTL_CODE, FILE_DEVICE_UNKNOWN, FILE_READ_ACCESS, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_DEVICE_BUSY, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NO_MORE_ENTRIES,
};
use driver::{
    Answer, Answered, Buffered, BufferedControl, CancelSafeQueue, Cleanup, Close, Create, DeviceControl,
    Dispatch, Driver, DriverObject, Event, Mutex, Output, PassiveLevel, PoolArc, Read, SpinLock, Stop, Tag,
    Thread, UnicodeStr, Woken, utf16,
};

use name::EventName;
pub use ring::CAPACITY;
use ring::Ring;

/// Gives the name of this handle's event, without its directory, in UTF-16.
pub const IOCTL_NAME: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_READ_ACCESS);
/// Starts making notifications for this handle. Two numbers of four bytes, little-endian: a [`Way`], and how many
/// notifications; with [`Way::OwnEvent`] behind them the event's handle, eight bytes. STATUS_DEVICE_BUSY while there are some to
/// make.
pub const IOCTL_START: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_READ_ACCESS);
/// Waits for notifications; gives as many as there are, at least one, and at most as fit.
pub const IOCTL_NEXT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_READ_ACCESS);

/// Bytes of a notification: its number, little-endian. Numbers go on from 0 for each handle.
pub const NOTIFICATION: usize = size_of::<u64>();

/// How an application learns that there are notifications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Way {
    /// By the event that the driver has named.
    NamedEvent = 0,
    /// By an event whose handle it has passed.
    OwnEvent = 1,
    /// By the end of a request.
    Request = 2,
}

impl Way {
    fn of(number: u32) -> Option<Self> {
        [Self::NamedEvent, Self::OwnEvent, Self::Request].into_iter().find(|way| *way as u32 == number)
    }
}

const TAG: Tag = Tag::new(*b"Ntfy");

driver::driver_entry!(NotifyDriver);

struct NotifyDriver;

impl Driver for NotifyDriver {
    type Device = Notify;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Notify::default());
        device.name(utf16!(r"\Device\Notify")).symbolic_link(utf16!(r"\??\Notify")).create()?;
        Ok(())
    }
}

/// The device.
#[derive(Default)]
struct Notify {
    /// Counts opens, for their names.
    opens: AtomicU32,
}

/// An open. Its thread is dropped with it, and dropping waits for the thread's end.
struct Open {
    producer: Mutex<Option<Thread>>,
    shared: PoolArc<Shared>,
}

/// What an open's requests and its thread share.
struct Shared {
    ring: SpinLock<Ring>,
    /// Tells the thread that there may be room.
    room: Event,
    /// Of [`IOCTL_NEXT`].
    waiting: CancelSafeQueue<BufferedControl>,
    name: EventName,
    named: PoolArc<Event>,
    /// The next notification's number.
    next: AtomicU64,
    /// There is a thread that makes notifications.
    busy: AtomicBool,
}

impl Open {
    fn new(level: PassiveLevel, number: u32) -> Result<Self, NTSTATUS> {
        let name = EventName::new(number);
        let named = Event::named_synchronization(level, name.path())?;
        // The system makes it set, but there is nothing to read yet.
        named.clear();
        let shared = Shared {
            ring: SpinLock::new(Ring::new()),
            room: Event::synchronization(TAG, false)?,
            waiting: CancelSafeQueue::new(TAG)?,
            name,
            named: PoolArc::new(TAG, named)?,
            next: AtomicU64::new(0),
            busy: AtomicBool::new(false),
        };
        Ok(Self { producer: Mutex::new(TAG, None)?, shared: PoolArc::new(TAG, shared)? })
    }

    fn start(&self, level: PassiveLevel, input: &[u8]) -> Result<(), NTSTATUS> {
        let (numbers, handle) = input.split_first_chunk::<8>().ok_or(STATUS_INVALID_PARAMETER)?;
        let [w0, w1, w2, w3, count @ ..] = *numbers;
        let way = Way::of(u32::from_le_bytes([w0, w1, w2, w3])).ok_or(STATUS_INVALID_PARAMETER)?;
        let event = match (way, handle) {
            (Way::NamedEvent, []) => Some(self.shared.named.clone()),
            (Way::OwnEvent, handle) => {
                let handle = handle.try_into().map_err(|_| STATUS_INVALID_PARAMETER)?;
                // Here, in the application's own context, the number means what it meant there.
                let event = Event::from_user_handle(level, u64::from_le_bytes(handle))?;
                Some(PoolArc::new(TAG, event)?)
            }
            (Way::Request, []) => None,
            _ => return Err(STATUS_INVALID_PARAMETER),
        };
        let count = u32::from_le_bytes(count);
        let mut producer = self.producer.lock(level);
        if self.shared.busy.swap(true, Ordering::Acquire) {
            return Err(STATUS_DEVICE_BUSY);
        }
        let shared = self.shared.clone();
        match Thread::spawn(level, TAG, move |stop| shared.produce(stop, count, event.as_deref())) {
            Ok(thread) => {
                // Waits for the one before, which has nothing left to do.
                *producer = Some(thread);
                Ok(())
            }
            Err(status) => {
                self.shared.busy.store(false, Ordering::Release);
                Err(status)
            }
        }
    }
}

impl Shared {
    /// The thread's life: makes `count` notifications, and tells of each by the event, or else by the end of a request.
    fn produce(&self, stop: &Stop<'_>, count: u32, event: Option<&Event>) {
        for _ in 0..count {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            // First into the ring, then told.
            while !self.ring.with(|ring| ring.put(number)) {
                if stop.wait(&self.room, None) == Woken::Stopped {
                    return;
                }
            }
            match event {
                Some(event) => _ = event.set(),
                None => self.answer_waiting(),
            }
        }
        self.busy.store(false, Ordering::Release);
    }

    /// Answers requests that wait, as long as there are notifications. IRQL: up to DISPATCH_LEVEL.
    fn answer_waiting(&self) {
        // The ring's lock is held from the choice of a request to its last notification, so that requests get them in their
        // order whoever answers: the thread, or the dispatch of a request that finds some there. The ends are outside: a
        // completion may run other drivers' code.
        while let Some(request) = self.ring.with(|ring| {
            if ring.is_empty() {
                return None;
            }
            let (mut request, ()) = self.waiting.remove_next()?;
            fetch(ring, &mut request.output());
            Some(request)
        }) {
            self.room.set();
            request.complete();
        }
    }

    /// Takes as many notifications as there are and fit. Whether there was one.
    fn read(&self, mut output: Output<'_>) -> bool {
        let count = self.ring.with(|ring| fetch(ring, &mut output));
        if count > 0 {
            self.room.set();
        }
        count > 0
    }
}

/// Takes notifications into `output`; how many. IRQL: up to DISPATCH_LEVEL.
fn fetch(ring: &mut Ring, output: &mut Output<'_>) -> usize {
    let mut count = 0;
    while output.remaining() >= NOTIFICATION
        && let Some(number) = ring.take()
    {
        output.write(&number.to_le_bytes());
        count += 1;
    }
    count
}

impl Dispatch for Notify {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        let number = self.opens.fetch_add(1, Ordering::Relaxed);
        match Open::new(request.level(), number).and_then(|open| PoolArc::new(TAG, open)) {
            Ok(open) => {
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        if let Some(open) = request.contexts().fs_context2::<Open>() {
            open.shared.waiting.cancel_file(&request);
        }
        request.complete()
    }

    /// With the answer the open goes, and waits for its thread.
    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    /// Answered at once, whatever there is: the application waits for the event, not here.
    fn read(&self, mut request: Read) -> impl Answer {
        let Some(shared) = request.contexts().fs_context2::<Open>().map(|open| open.shared.clone()) else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        if request.length() < NOTIFICATION {
            return request.fail(STATUS_BUFFER_TOO_SMALL);
        }
        if shared.read(request.output()) { request.complete() } else { request.fail(STATUS_NO_MORE_ENTRIES) }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let done = match request.code() {
            IOCTL_NEXT => return next(request),
            IOCTL_START => {
                let open = request.contexts().fs_context2::<Open>().ok_or(STATUS_INVALID_DEVICE_REQUEST);
                open.and_then(|open| open.start(request.level(), request.input()))
            }
            IOCTL_NAME => tell_name(&mut request),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match done {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

fn next(request: BufferedControl) -> Answered {
    let Some(shared) = request.contexts().fs_context2::<Open>().map(|open| open.shared.clone()) else {
        return request.fail(STATUS_INVALID_DEVICE_REQUEST);
    };
    if request.output_length() < NOTIFICATION {
        return request.fail(STATUS_BUFFER_TOO_SMALL);
    }
    // From here on the request may be answered, or cancelled, at any moment.
    let answered = shared.waiting.pend(request, ());
    // What came before it was there.
    shared.answer_waiting();
    answered
}

fn tell_name(request: &mut BufferedControl) -> Result<(), NTSTATUS> {
    let (contexts, mut output) = request.contexts_and_output();
    let name = contexts.fs_context2::<Open>().ok_or(STATUS_INVALID_DEVICE_REQUEST)?.shared.name.units();
    if output.remaining() < size_of_val(name) {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    for unit in name {
        output.write(&unit.to_le_bytes());
    }
    Ok(())
}
