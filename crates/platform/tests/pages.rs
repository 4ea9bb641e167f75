//! Reservations: what is mapped stays, what is given back is gone, and pages move while others write them.
#![expect(unsafe_code, reason = "the tests read and write the pages by address")]

extern crate ringbridge_platform as platform;

use std::fs;
use std::io::{PipeReader, PipeWriter, pipe};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use platform::pages::{
    PAGE_SIZE, PagesError, Protection, Reservation, SYSTEM_SLAB, SYSTEM_SPACE, USER_PROBE_ADDRESS,
    USER_WINDOWS, WINDOW_STRIDE, reserve_system_slab, reserve_window,
};
use platform::shared_memory::{Mapping, SharedMemory};

const MIB: usize = 1 << 20;

/// A free place for a test; slots are far from each other.
fn reservation(len: usize) -> Reservation {
    Reservation::first_free(SYSTEM_SPACE, SYSTEM_SLAB, len, 100).expect("a free slab")
}

fn word(address: usize) -> &'static AtomicU64 {
    // SAFETY: the callers pass aligned addresses in committed pages that outlive the use.
    unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address)) }
}

/// Asks Linux whether bytes can be read or written: it answers `EFAULT` where the processor would fault.
struct Probe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Probe {
    fn new() -> Self {
        let (reader, writer) = pipe().expect("a pipe");
        Self { reader, writer }
    }

    fn readable(&self, address: usize) -> bool {
        use std::os::fd::AsRawFd;
        let place = ptr::with_exposed_provenance(address);
        // SAFETY: Linux checks the address.
        let count = unsafe { libc::write(self.writer.as_raw_fd(), place, 1) };
        if count == 1 {
            let mut byte = 0_u8;
            // SAFETY: one byte of room.
            unsafe { libc::read(self.reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
        }
        count == 1
    }

    fn writable(&self, address: usize) -> bool {
        use std::os::fd::AsRawFd;
        // Writes a zero, then takes out what a failed read may have left.
        // SAFETY: one readable byte.
        unsafe { libc::write(self.writer.as_raw_fd(), [0_u8].as_ptr().cast(), 1) };
        let place = ptr::with_exposed_provenance_mut(address);
        // SAFETY: Linux checks the address, which belongs to the test.
        let count = unsafe { libc::read(self.reader.as_raw_fd(), place, 1) };
        if count != 1 {
            let mut byte = 0_u8;
            // SAFETY: one byte of room.
            unsafe { libc::read(self.reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
        }
        count == 1
    }
}

#[test]
fn committed_pages_are_zero_and_decommitted_ones_lose_their_content() {
    let pages = reservation(MIB);
    let probe = Probe::new();
    let base = pages.base();
    assert!(!probe.readable(base));
    pages.commit(0, 2 * PAGE_SIZE, Protection::ReadWrite).expect("memory");
    assert_eq!(word(base).load(Ordering::Relaxed), 0);
    word(base).store(1, Ordering::Relaxed);
    word(base + PAGE_SIZE).store(2, Ordering::Relaxed);

    pages.decommit(0, PAGE_SIZE).expect("committed");
    assert!(!probe.readable(base));
    assert_eq!(word(base + PAGE_SIZE).load(Ordering::Relaxed), 2);
    pages.commit(0, 2 * PAGE_SIZE, Protection::ReadWrite).expect("memory");
    assert_eq!(word(base).load(Ordering::Relaxed), 0);
    assert_eq!(word(base + PAGE_SIZE).load(Ordering::Relaxed), 2);
}

#[test]
fn each_protection_allows_what_it_says() {
    let pages = reservation(MIB);
    let probe = Probe::new();
    pages.commit(0, PAGE_SIZE, Protection::ReadWrite).expect("memory");
    for (protection, readable, writable) in [
        (Protection::NoAccess, false, false),
        (Protection::Read, true, false),
        (Protection::ReadWrite, true, true),
        (Protection::ReadExecute, true, false),
        (Protection::ReadWriteExecute, true, true),
    ] {
        pages.protect(0, PAGE_SIZE, protection).expect("committed");
        let found = (probe.readable(pages.base()), probe.writable(pages.base()));
        assert_eq!(found, (readable, writable), "{protection:?}");
    }
}

#[test]
fn executable_pages_execute() {
    let pages = reservation(PAGE_SIZE);
    pages.commit(0, PAGE_SIZE, Protection::ReadWrite).expect("memory");
    // mov eax, 42; ret
    word(pages.base()).store(0x0000_c300_0000_2ab8, Ordering::Relaxed);
    pages.protect(0, PAGE_SIZE, Protection::ReadExecute).expect("committed");
    let code = ptr::with_exposed_provenance::<()>(pages.base());
    // SAFETY: the page holds this function's code.
    let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(code) };
    assert_eq!(function(), 42);
}

#[test]
fn what_is_mapped_is_never_replaced() {
    let pages = reservation(4 * PAGE_SIZE);
    for (offset, len) in [(0, PAGE_SIZE), (3 * PAGE_SIZE, 2 * PAGE_SIZE), (0, 16 * PAGE_SIZE)] {
        let again = Reservation::at(pages.base() + offset, len);
        assert_eq!(again.expect_err("mapped already"), PagesError::Occupied);
    }
    let local = 0_u8;
    let stack = (&raw const local).addr() & !(PAGE_SIZE - 1);
    assert_eq!(Reservation::at(stack, PAGE_SIZE).expect_err("this stack"), PagesError::Occupied);
}

#[test]
fn dropping_a_reservation_frees_its_addresses() {
    let pages = reservation(MIB);
    let base = pages.base();
    pages.commit(0, MIB, Protection::ReadWrite).expect("memory");
    drop(pages);
    assert!(!Probe::new().readable(base));
    Reservation::at(base, MIB).expect("free again");
}

#[test]
fn bad_ranges_are_refused_with_their_reason() {
    let odd = Reservation::at(SYSTEM_SPACE.start + 1, PAGE_SIZE);
    assert_eq!(odd.expect_err("odd address"), PagesError::Misaligned);
    let cases = [
        (SYSTEM_SPACE.start, 0),
        (0, PAGE_SIZE),
        (usize::MAX - PAGE_SIZE + 1, PAGE_SIZE),
        (1 << 47, PAGE_SIZE),
        (SYSTEM_SPACE.start, 1 << 47),
    ];
    for (address, len) in cases {
        let error = Reservation::at(address, len).expect_err("no such range");
        assert_eq!(error, PagesError::OutOfRange, "{address:#x} {len:#x}");
    }

    let pages = reservation(MIB);
    let rw = Protection::ReadWrite;
    assert_eq!(pages.commit(0, 100, rw), Err(PagesError::Misaligned));
    assert_eq!(pages.commit(100, PAGE_SIZE, rw), Err(PagesError::Misaligned));
    assert_eq!(pages.commit(0, 0, rw), Err(PagesError::OutOfRange));
    assert_eq!(pages.commit(0, MIB + PAGE_SIZE, rw), Err(PagesError::OutOfRange));
    assert_eq!(pages.protect(MIB, PAGE_SIZE, rw), Err(PagesError::OutOfRange));
    assert_eq!(pages.decommit(usize::MAX - PAGE_SIZE + 1, PAGE_SIZE), Err(PagesError::OutOfRange));
    assert!(pages.contains(pages.base(), MIB) && pages.contains(pages.base() + MIB, 0));
    assert!(!pages.contains(pages.base() - 1, 1) && !pages.contains(pages.base() + 1, MIB));
    assert!(!pages.contains(pages.base(), usize::MAX));
}

#[test]
fn slabs_and_windows_lie_where_the_address_map_says() {
    let first = reserve_system_slab().expect("a free slab");
    let second = reserve_system_slab().expect("another");
    assert_eq!((first.len(), second.len()), (SYSTEM_SLAB, SYSTEM_SLAB));
    assert!(first.base() < second.base());
    for slab in [&first, &second] {
        assert!((slab.base() - SYSTEM_SPACE.start).is_multiple_of(SYSTEM_SLAB));
        assert!(SYSTEM_SPACE.contains(&slab.base()) && slab.range().end <= SYSTEM_SPACE.end);
    }

    let windows: Vec<Reservation> = (0..8).map(|_| reserve_window(MIB).expect("a window")).collect();
    for window in &windows {
        assert!(window.base().is_multiple_of(WINDOW_STRIDE));
        assert!(USER_WINDOWS.contains(&window.base()));
        assert!(window.range().end <= USER_PROBE_ADDRESS);
    }
    // A window starts anywhere, so eight of them in one row would be one chance in 3072 to the seventh.
    let neighbours = windows.windows(2).all(|pair| pair[1].base() == pair[0].base() + WINDOW_STRIDE);
    assert!(!neighbours);
    let error = reserve_window(WINDOW_STRIDE + PAGE_SIZE).expect_err("longer than a stride");
    assert_eq!(error, PagesError::OutOfRange);
}

#[test]
fn the_search_wraps_around_and_ends_when_all_is_taken() {
    let all = reservation(4 * MIB).range();
    let find = || Reservation::first_free(all.clone(), MIB, MIB, 6);
    let found: Vec<Reservation> = (0..4).map(|_| find().expect("a free slot")).collect();
    let slots: Vec<usize> = found.iter().map(|pages| (pages.base() - all.start) / MIB).collect();
    assert_eq!(slots, [2, 3, 0, 1]);
    assert_eq!(find().expect_err("all taken"), PagesError::Occupied);
    let nothing = Reservation::first_free(all.clone(), 0, PAGE_SIZE, 0);
    assert_eq!(nothing.expect_err("no slots"), PagesError::OutOfRange);
}

#[test]
fn address_space_under_a_limit_is_no_memory() {
    let limit = libc::rlimit { rlim_cur: 8 << 30, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a complete limit; the process runs this test alone or has other tests that need less.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above, in the child alone.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        let refused = matches!(reserve_system_slab(), Err(PagesError::NoMemory));
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = 0;
    // SAFETY: the child that was just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

#[test]
fn moved_pages_keep_address_and_content_and_are_shared() {
    let pages = reservation(MIB);
    let probe = Probe::new();
    pages.commit(0, 4 * PAGE_SIZE, Protection::ReadWrite).expect("memory");
    for index in 0..4 {
        word(pages.base() + index * PAGE_SIZE).store(index as u64 + 1, Ordering::Relaxed);
    }
    let moved =
        pages.move_to_descriptor(PAGE_SIZE, 2 * PAGE_SIZE, Protection::ReadWrite).expect("pages move");
    assert_eq!(moved.len(), 2 * PAGE_SIZE);
    for index in 0..4 {
        assert_eq!(word(pages.base() + index * PAGE_SIZE).load(Ordering::Relaxed), index as u64 + 1);
    }
    let other = moved.map_anywhere(0..2 * PAGE_SIZE, Protection::ReadWrite).expect("a view");
    assert_eq!(word(other.address()).load(Ordering::Relaxed), 2);
    word(other.address() + PAGE_SIZE).store(33, Ordering::Relaxed);
    assert_eq!(word(pages.base() + 2 * PAGE_SIZE).load(Ordering::Relaxed), 33);
    word(pages.base() + PAGE_SIZE).store(22, Ordering::Relaxed);
    assert_eq!(word(other.address()).load(Ordering::Relaxed), 22);

    // Given back, the pages live on in the other view alone, and fresh ones come in their place.
    pages.decommit(PAGE_SIZE, 2 * PAGE_SIZE).expect("committed");
    assert!(!probe.readable(pages.base() + PAGE_SIZE));
    assert_eq!(word(other.address()).load(Ordering::Relaxed), 22);
    pages.commit(PAGE_SIZE, PAGE_SIZE, Protection::ReadWrite).expect("memory");
    assert_eq!(word(pages.base() + PAGE_SIZE).load(Ordering::Relaxed), 0);
}

#[test]
fn pages_that_are_private_again_keep_their_content_and_other_views_no_longer_see_them() {
    let pages = reservation(MIB);
    let rw = Protection::ReadWrite;
    pages.commit(0, 4 * PAGE_SIZE, rw).expect("memory");
    let moved = pages.move_to_descriptor(PAGE_SIZE, 2 * PAGE_SIZE, rw).expect("pages move");
    let other = moved.map_anywhere(0..2 * PAGE_SIZE, rw).expect("a view");
    word(other.address() + PAGE_SIZE).store(7, Ordering::Relaxed);
    pages.make_private(PAGE_SIZE, 2 * PAGE_SIZE, rw).expect("pages move back");
    assert_eq!(word(pages.base() + 2 * PAGE_SIZE).load(Ordering::Relaxed), 7);
    word(other.address() + PAGE_SIZE).store(8, Ordering::Relaxed);
    assert_eq!(word(pages.base() + 2 * PAGE_SIZE).load(Ordering::Relaxed), 7);
    word(pages.base() + 2 * PAGE_SIZE).store(9, Ordering::Relaxed);
    assert_eq!(word(other.address() + PAGE_SIZE).load(Ordering::Relaxed), 8);
    pages.move_to_descriptor(PAGE_SIZE, 2 * PAGE_SIZE, rw).expect("and can be shared anew");
}

#[test]
fn shared_pages_do_not_move_again_until_they_were_given_back() {
    let pages = reservation(MIB);
    let rw = Protection::ReadWrite;
    pages.commit(0, 8 * PAGE_SIZE, rw).expect("memory");
    let moved = pages.move_to_descriptor(2 * PAGE_SIZE, 2 * PAGE_SIZE, rw).expect("pages move");
    for (first, count) in [(2, 1), (3, 1), (1, 2), (3, 3), (0, 8)] {
        let again = pages.move_to_descriptor(first * PAGE_SIZE, count * PAGE_SIZE, rw);
        assert_eq!(again.expect_err("shared"), PagesError::Shared, "{first} {count}");
    }
    pages.move_to_descriptor(0, 2 * PAGE_SIZE, rw).expect("beside it");
    pages.decommit(2 * PAGE_SIZE, PAGE_SIZE).expect("committed");
    pages.commit(2 * PAGE_SIZE, PAGE_SIZE, rw).expect("memory");
    pages.move_to_descriptor(2 * PAGE_SIZE, PAGE_SIZE, rw).expect("private again");
    assert!(pages.move_to_descriptor(3 * PAGE_SIZE, PAGE_SIZE, rw).is_err());
    drop(moved);

    let window = SharedMemory::new(PAGE_SIZE).expect("memory");
    pages.map(6 * PAGE_SIZE, &window, 0..PAGE_SIZE, rw).expect("a view");
    let again = pages.move_to_descriptor(6 * PAGE_SIZE, PAGE_SIZE, rw);
    assert_eq!(again.expect_err("shared"), PagesError::Shared);
}

#[test]
fn a_move_that_fails_changes_nothing() {
    let pages = reservation(MIB);
    let rw = Protection::ReadWrite;
    pages.commit(0, PAGE_SIZE, rw).expect("memory");
    word(pages.base()).store(7, Ordering::Relaxed);
    // SAFETY: the child touches the reservation and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // Files may not grow: the size of the new memory cannot be set, and writing to it fails.
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: ignoring a signal and setting a limit, in the child alone.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        let failed = pages.move_to_descriptor(0, PAGE_SIZE, rw).is_err();
        word(pages.base()).store(word(pages.base()).load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let kept = word(pages.base()).load(Ordering::Relaxed) == 8;
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!(failed && kept))) };
    }
    let mut status = 0;
    // SAFETY: the child that was just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

/// Writers raise counters, one in each page and one that all share, while the pages move again and again.
#[test]
fn no_write_is_lost_while_pages_move() {
    const PAGES: usize = 4;
    const MOVES: usize = 100;
    platform::fault::install().expect("handlers");
    let pages = Arc::new(reservation(MOVES * PAGES * PAGE_SIZE));
    pages.commit(0, MOVES * PAGES * PAGE_SIZE, Protection::ReadWrite).expect("memory");
    let place = Arc::new(AtomicU64::new(pages.base() as u64));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let (place, stop) = (Arc::clone(&place), Arc::clone(&stop));
            thread::spawn(move || {
                let mut written = vec![0_u64; MOVES];
                let first = place.load(Ordering::Acquire);
                while !stop.load(Ordering::Relaxed) {
                    let now = place.load(Ordering::Acquire);
                    let base = usize::try_from(now).expect("64 bits");
                    let own = word(base + number * PAGE_SIZE);
                    own.store(own.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    word(base + 3 * PAGE_SIZE).fetch_add(1, Ordering::Relaxed);
                    let index = usize::try_from(now - first).expect("64 bits") / (PAGES * PAGE_SIZE);
                    written[index] += 1;
                }
                written
            })
        })
        .collect();

    let mut views = Vec::new();
    for index in 0..MOVES {
        let offset = index * PAGES * PAGE_SIZE;
        let base = pages.base() + offset;
        place.store(base as u64, Ordering::Release);
        // All writers are at these pages before they move.
        for number in 0..3 {
            while word(base + number * PAGE_SIZE).load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
        }
        let moved =
            pages.move_to_descriptor(offset, PAGES * PAGE_SIZE, Protection::ReadWrite).expect("pages move");
        views.push(moved.map_anywhere(0..PAGES * PAGE_SIZE, Protection::Read).expect("a view"));
        // And write them afterwards too, also while every second batch becomes private again.
        let seen = word(base + 3 * PAGE_SIZE).load(Ordering::Relaxed);
        if index % 2 == 1 {
            views.pop();
            pages.make_private(offset, PAGES * PAGE_SIZE, Protection::ReadWrite).expect("pages move back");
        }
        while word(base + 3 * PAGE_SIZE).load(Ordering::Relaxed) == seen {
            thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written: Vec<Vec<u64>> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
    for index in 0..MOVES {
        let shared = (index % 2 == 0).then(|| &views[index / 2]);
        let base = shared.map_or(pages.base() + index * PAGES * PAGE_SIZE, Mapping::address);
        for (number, writer) in written.iter().enumerate() {
            let found = word(base + number * PAGE_SIZE).load(Ordering::Relaxed);
            assert_eq!(found, writer[index], "move {index}, writer {number}");
        }
        let sum: u64 = written.iter().map(|writer| writer[index]).sum();
        assert_eq!(word(base + 3 * PAGE_SIZE).load(Ordering::Relaxed), sum, "move {index}");
    }
}

#[test]
fn several_threads_move_pages_at_once() {
    platform::fault::install().expect("handlers");
    let pages = Arc::new(reservation(16 * MIB));
    pages.commit(0, 16 * MIB, Protection::ReadWrite).expect("memory");
    let movers: Vec<_> = (0..16)
        .map(|number| {
            let pages = Arc::clone(&pages);
            thread::spawn(move || {
                for page in 0..20 {
                    let offset = number * MIB + page * PAGE_SIZE;
                    word(pages.base() + offset).store(offset as u64 + 1, Ordering::Relaxed);
                    pages.move_to_descriptor(offset, PAGE_SIZE, Protection::ReadWrite).expect("a page moves");
                    assert_eq!(
                        word(pages.base() + offset).fetch_add(1, Ordering::Relaxed),
                        offset as u64 + 1
                    );
                }
            })
        })
        .collect();
    for mover in movers {
        mover.join().expect("a mover");
    }
}

#[test]
fn a_slab_costs_no_memory_until_it_is_used() {
    fn resident() -> usize {
        let text = fs::read_to_string("/proc/self/statm").expect("Linux");
        text.split_whitespace().nth(1).expect("a second field").parse().expect("a number")
    }
    let before = resident();
    let slab = reserve_system_slab().expect("a free slab");
    slab.commit(0, 64 * MIB, Protection::ReadWrite).expect("memory");
    assert!(resident().saturating_sub(before) < 16 * MIB / PAGE_SIZE);
}
