//! The memory of a driver's own: paged boxes, lookaside and sequenced lists, MDLs, and what goes to another driver's device by
//! direct methods. `tests/memory.rs` asks for the cases by control code. A case panics when something is not as it
//! should be, which stops the machine.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_READ_DATA, FILE_WRITE_DATA, METHOD_IN_DIRECT,
    METHOD_NEITHER, METHOD_OUT_DIRECT, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Event, Lookaside, Mdl,
    PagedBox, PagedLookaside, PassiveLevel, PoolArc, PoolBox, SequencedList, SpinLock, Tag, Target, Thread,
    Timer, UnicodeStr, utf16,
};

driver::driver_entry!(Memory);

const TAG: Tag = Tag::new(*b"Mem ");

/// Boxes in paged pool.
pub const PAGED: u32 = 0;
/// Lookaside lists, of both kinds.
pub const LOOKASIDE: u32 = 1;
/// Sequenced lists, from several threads.
pub const SEQUENCED: u32 = 2;
/// MDLs, whole and in part.
pub const MDLS: u32 = 3;
/// Direct reads, writes and methods, to the sample `buffers`.
pub const DIRECT: u32 = 4;
/// Stops the machine: a paged box that a DPC drops.
pub const DROP_PAGED: u32 = 5;
/// Leaves a paged box allocated.
pub const LEAK_PAGED: u32 = 6;

/// `buffers`' codes.
const STORE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_IN_DIRECT, FILE_ANY_ACCESS);
const LOAD: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
const INVERT_NEITHER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_NEITHER, FILE_ANY_ACCESS);

struct Memory;

impl Driver for Memory {
    type Device = Case;
    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Case).name(utf16!(r"\Device\RbMemory"));
        device.symbolic_link(utf16!(r"\??\RbMemory")).create()?;
        Ok(())
    }
}

struct Case;

impl Dispatch for Case {
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
        let result = match (request.code() >> 2 & 0xFFF) - 0x800 {
            PAGED => paged(level),
            LOOKASIDE => lookaside(level),
            SEQUENCED => sequenced(level),
            MDLS => mdls(),
            DIRECT => direct(level),
            DROP_PAGED => drop_paged(level),
            LEAK_PAGED => PagedBox::new(level, TAG, [0_u8; 1000]).map(core::mem::forget),
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        match result {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

/// Counts how often it is dropped.
struct Counted<'a>(&'a AtomicU32, u64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn paged(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let dropped = AtomicU32::new(0);
    let mut value = PagedBox::new(level, TAG, Counted(&dropped, 17))?;
    value.get_mut(level).1 += 1;
    assert_eq!(value.get(level).1, 18);
    drop(value);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    let mut bytes = PagedBox::zeroed(level, TAG, 10_000)?;
    assert!(bytes.get(level).len() == 10_000 && bytes.get(level).iter().all(|byte| *byte == 0));
    bytes.get_mut(level)[9_999] = 1;
    assert_eq!(PagedBox::zeroed(level, TAG, 0)?.get(level).len(), 0);
    Ok(())
}

fn lookaside(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let dropped = AtomicU32::new(0);
    let list = Lookaside::new(TAG)?;
    let mut first = list.allocate(Counted(&dropped, 1))?;
    let second = list.allocate(Counted(&dropped, 2))?;
    first.1 = 7;
    assert_eq!((first.1, second.1), (7, 2));
    let address = &raw const *second;
    drop(second);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    let again = list.allocate(Counted(&dropped, 3))?;
    assert_eq!(&raw const *again, address, "the block that was given back is the next");
    // The list stays until its last box has gone.
    drop(list);
    assert_eq!((first.1, again.1), (7, 3));
    drop((first, again));
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    let small = Lookaside::new(TAG)?;
    let (one, two) = (small.allocate(1_u8)?, small.allocate(2_u8)?);
    assert_eq!((*one, *two), (1, 2));
    let list = PagedLookaside::new(level, TAG)?;
    let mut value = list.allocate(level, [5_u8; 100])?;
    value.get_mut(level)[99] = 6;
    assert_eq!(value.get(level)[98..], [5, 6]);
    Ok(())
}

fn sequenced(level: PassiveLevel) -> Result<(), NTSTATUS> {
    const EACH: u64 = 200;
    let list = SequencedList::new(TAG)?;
    assert!(list.pop().is_none());
    for value in [1_u64, 2, 3] {
        list.push(value)?;
    }
    assert_eq!((list.depth(), list.pop(), list.depth()), (3, Some(3), 2));
    let mut flushed = [0; 2];
    let mut count = 0;
    list.flush(|value| {
        flushed[count] = value;
        count += 1;
    });
    assert_eq!((flushed, list.depth()), ([2, 1], 0));
    // Two push while two pop: what is left and what was popped is what was pushed.
    let shared = PoolArc::new(TAG, (list, AtomicU32::new(0)))?;
    let mut threads = [None, None, None, None];
    for (number, slot) in (0..).zip(&mut threads) {
        let own = shared.clone();
        *slot = Some(Thread::spawn(level, TAG, move |_stop| {
            let (list, popped) = &*own;
            for value in 0..EACH {
                if number % 2 == 0 {
                    list.push(value).expect("pool");
                } else if let Some(value) = list.pop() {
                    popped.fetch_add(u32::try_from(value).expect("small") + 1, Ordering::Relaxed);
                }
            }
        })?);
    }
    threads.into_iter().flatten().for_each(|thread| thread.join(level));
    let mut left = 0;
    shared.0.flush(|value| left += u32::try_from(value).expect("small") + 1);
    let pushed = 2 * (1..=EACH).sum::<u64>();
    assert_eq!(u64::from(left + shared.1.load(Ordering::Relaxed)), pushed);
    // Values that nobody took are dropped with the list.
    let rest = SequencedList::new(TAG)?;
    rest.push(PoolBox::new(TAG, 1_u64)?)
}

fn mdls() -> Result<(), NTSTATUS> {
    let mut buffer = PoolBox::zeroed(TAG, 9_000)?;
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = index.to_le_bytes()[0];
    }
    let address = (&raw const buffer[0]).addr();
    let mut mdl = Mdl::of(buffer)?;
    assert_eq!(mdl.byte_count(), 9_000);
    assert_eq!(mdl.byte_offset() as usize, address % 4096);
    mdl.bytes_mut()[4_100] = 0xEE;
    let part = mdl.part(4_099, 3)?;
    assert_eq!((part.byte_count(), part.bytes()?), (3, &[3, 0xEE, 5][..]));
    assert_eq!(part.bytes()?.as_ptr().addr(), address + 4_099, "non-paged pool is mapped as it is");
    drop(part);
    for (start, length) in [(0, 0), (8_999, 2), (usize::MAX, 2), (9_000, 1)] {
        assert_eq!(mdl.part(start, length).err(), Some(STATUS_INVALID_PARAMETER));
    }
    assert_eq!(mdl.part(0, 9_000)?.bytes()?.len(), 9_000);
    let buffer = mdl.into_buffer();
    assert_eq!(buffer.len(), 9_000);
    assert_eq!(Mdl::of(PoolBox::default()).err(), Some(STATUS_INVALID_PARAMETER));
    Ok(())
}

fn direct(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let target = Target::open(TAG, utf16!(r"\Device\Buffers"), FILE_READ_DATA | FILE_WRITE_DATA)?;
    for length in [1, 4_096, 10_000] {
        let mut sent = PoolBox::zeroed(TAG, length)?;
        sent.iter_mut().zip(0_u32..).for_each(|(byte, index)| *byte = index.to_le_bytes()[0] ^ 0x33);
        // Direct writes and reads.
        assert_eq!(target.write(level, &sent, 0)?, length);
        let mut back = PoolBox::zeroed(TAG, length)?;
        assert_eq!(target.read(level, &mut back, 0)?, length);
        assert!(*back == *sent, "{length} bytes");
        // METHOD_IN_DIRECT: the driver reads the second buffer.
        assert_eq!(target.control(level, STORE, &[0xFF], &mut back)?, length);
        assert!(*back == *sent, "and does not change it");
        // METHOD_OUT_DIRECT: the driver writes it.
        assert_eq!(target.control(level, LOAD, &0_u32.to_le_bytes(), &mut back)?, length);
        assert!(back.iter().zip(sent.iter()).all(|(got, sent)| *got == !*sent), "{length} bytes");
    }
    // From the kernel stack, which is non-paged while its thread runs.
    let mut few = [0_u8; 16];
    assert_eq!(target.write(level, b"on the stack", 0)?, 12);
    assert_eq!(target.read(level, &mut few, 0)?, 12);
    assert_eq!(&few[..12], b"on the stack");
    let refused = target.control(level, INVERT_NEITHER, &[1], &mut [0]);
    assert_eq!(refused, Err(STATUS_INVALID_PARAMETER));
    Ok(())
}

fn drop_paged(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let value = SpinLock::new(Some(PagedBox::new(level, TAG, 1_u64)?));
    let timer = Timer::new(TAG, move |_timer| drop(value.with(Option::take)))?;
    timer.set(Duration::ZERO);
    Event::notification(TAG, false)?.wait(level);
    Ok(())
}
