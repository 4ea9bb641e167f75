//! A driver that asks its application. Each open of a name below `\\.\Verdict` is a question to the application that is connected to the
//! filter port `\Verdict`, its guard: may this name be opened? Many are asked at once, each in the thread that opens.
//!
//! # The protocol
//!
//! - A question is the name in UTF-16 with its backslash, at most [`LONGEST`] units; longer names are denied unasked.
//! - An answer is one number of four bytes, little-endian: [`ALLOW`] or [`DENY`].
//! - The context of the connection is how long the guard may take for an answer, in milliseconds: one number of four bytes, from 1 to
//!   [`SLOWEST`]. Others are refused with STATUS_INVALID_PARAMETER. There is one guard at a time.
//! - A message from the guard (`FilterSendMessage`), whatever it is, is answered with four numbers of eight bytes: the opens so far that
//!   were allowed, denied, denied because the guard was late or wrong or went away, and allowed because there was none.
//!
//! # The driver goes on
//!
//! Without a guard everything is allowed: nobody watches. With one, what is not allowed in time is denied with STATUS_ACCESS_DENIED: a guard
//! that hangs, dies or answers nonsense opens no doors, and costs each open no more than the time that it has asked for. An open of
//! the device itself, without a name behind it, is always allowed.
//!
//! In C: `FltRegisterFilter`, `FltBuildDefaultSecurityDescriptor`, `FltCreateCommunicationPort`, `FltSendMessage`, `FltCloseClientPort`.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use driver::abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER};
use driver::{
    Answer, Buffered, Cleanup, ClientPort, Close, Create, Dispatch, Driver, DriverObject, Minifilter,
    PassiveLevel, PoolArc, PoolBox, PortAccess, PortNotify, Sent, ServerPort, SpinLock, Tag, UnicodeStr,
    UserData, UserOutput, utf16,
};

/// The answer that lets a name be opened.
pub const ALLOW: u32 = 1;
/// The answer that does not.
pub const DENY: u32 = 2;
/// UTF-16 units of the longest name that is asked about.
pub const LONGEST: usize = 512;
/// Milliseconds that a guard may take at most.
pub const SLOWEST: u32 = 60_000;

const TAG: Tag = Tag::new(*b"Verd");

driver::driver_entry!(VerdictDriver);

struct VerdictDriver;

impl Driver for VerdictDriver {
    type Device = Verdict;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let filter = Minifilter::register(driver)?;
        let desk = PoolArc::new(TAG, Desk::default())?;
        let (access, notify) = (PortAccess::Administrators, Guards { desk: desk.clone() });
        let port = filter.create_port(driver.level(), TAG, utf16!(r"\Verdict"), 1, access, notify)?;
        driver
            .device(Verdict { _port: port, _filter: filter, desk })
            .name(utf16!(r"\Device\Verdict"))
            .symbolic_link(utf16!(r"\??\Verdict"))
            .create()?;
        Ok(())
    }
}

/// The device. Its port goes before its filter.
struct Verdict {
    _port: ServerPort,
    _filter: Minifilter,
    desk: PoolArc<Desk>,
}

/// Where questions go.
#[derive(Default)]
struct Desk {
    guard: SpinLock<Option<PoolArc<Guard>>>,
    allowed: AtomicU64,
    denied: AtomicU64,
    /// Denied without a sound answer.
    unanswered: AtomicU64,
    /// Allowed, since nobody guards.
    unguarded: AtomicU64,
}

/// The application that is connected.
struct Guard {
    client: ClientPort,
    patience: Duration,
}

/// Who may be a guard.
struct Guards {
    desk: PoolArc<Desk>,
}

impl PortNotify for Guards {
    type Connection = Guard;

    fn connect(
        &self,
        _level: PassiveLevel,
        client: ClientPort,
        context: &[u8],
    ) -> Result<PoolArc<Guard>, NTSTATUS> {
        let patience = context.try_into().map(u32::from_le_bytes).map_err(|_| STATUS_INVALID_PARAMETER)?;
        if patience == 0 || patience > SLOWEST {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let guard = PoolArc::new(TAG, Guard { client, patience: Duration::from_millis(patience.into()) })?;
        // The one before, if it is still there, is dropped behind the lock.
        let _earlier = self.desk.guard.with(|place| place.replace(guard.clone()));
        Ok(guard)
    }

    fn disconnect(&self, _level: PassiveLevel, connection: &PoolArc<Guard>) {
        let is_it = |guard: &mut PoolArc<Guard>| guard.is_same(connection);
        let _dropped_behind_the_lock = self.desk.guard.with(|place| place.take_if(is_it));
    }

    fn message(
        &self,
        _level: PassiveLevel,
        _connection: &PoolArc<Guard>,
        _input: &UserData<'_>,
        output: &mut UserOutput<'_>,
    ) -> Result<(), NTSTATUS> {
        let Desk { allowed, denied, unanswered, unguarded, .. } = &*self.desk;
        let counts = [allowed, denied, unanswered, unguarded];
        let counts = counts.map(|count| count.load(Ordering::Relaxed).to_le_bytes());
        if output.capacity() < size_of_val(&counts) {
            return Err(STATUS_BUFFER_TOO_SMALL);
        }
        output.write(counts.as_flattened()).map(drop)
    }
}

impl Desk {
    /// Whether a name may be opened.
    fn ask(&self, level: PassiveLevel, name: &[u16]) -> bool {
        let Some(guard) = self.guard.with(|guard| guard.clone()) else {
            self.unguarded.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        let (count, verdict) = match answer(level, &guard, name) {
            Some(ALLOW) => (&self.allowed, true),
            Some(DENY) => (&self.denied, false),
            _ => (&self.unanswered, false),
        };
        count.fetch_add(1, Ordering::Relaxed);
        verdict
    }
}

/// What the guard answers, if it does so in time.
fn answer(level: PassiveLevel, guard: &Guard, name: &[u16]) -> Option<u32> {
    if name.len() > LONGEST {
        return Some(DENY);
    }
    let mut question = PoolBox::zeroed(TAG, size_of_val(name)).ok()?;
    for (place, unit) in question.chunks_exact_mut(2).zip(name) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    let mut reply = [0; 4];
    match guard.client.send(level, &question, Some(&mut reply), Some(guard.patience)) {
        Ok(Sent::Replied { length: 4 }) => Some(u32::from_le_bytes(reply)),
        // Late, too short or too long, or gone.
        _ => None,
    }
}

impl Dispatch for Verdict {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        let level = request.level();
        let name = request.file_name();
        if name.units().is_empty() || self.desk.ask(level, name.units()) {
            request.complete()
        } else {
            request.fail(STATUS_ACCESS_DENIED)
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }
}
