//! A write that faults because its page moves, and whose handler runs only when the move is over. In a process of
//! its own, for its handler.
#![expect(unsafe_code, reason = "the test installs a signal handler and writes by address")]

extern crate ringbridge_platform as platform;

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use platform::pages::{PAGE_SIZE, Protection, Reservation, SYSTEM_SLAB, SYSTEM_SPACE, is_moving};

static MOVES_ENDED: AtomicUsize = AtomicUsize::new(0);
static MOVES_BEGUN: AtomicUsize = AtomicUsize::new(0);
static LATE_FAULTS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let begun = MOVES_BEGUN.load(SeqCst);
    while MOVES_ENDED.load(SeqCst) < begun {
        thread::yield_now();
    }
    // SAFETY: Linux passes a valid siginfo_t.
    let information = unsafe { &*info };
    // SAFETY: for this signal it holds an address.
    let address = unsafe { information.si_addr() }.addr();
    if !is_moving(address) {
        // The move made this thread fault, and the list does not say so any more: nothing else would.
        // SAFETY: ends the process.
        unsafe { libc::_exit(3) };
    }
    LATE_FAULTS.fetch_add(1, SeqCst);
}

fn word(address: usize) -> &'static AtomicU64 {
    // SAFETY: the callers pass aligned addresses in committed pages that outlive the use.
    unsafe { AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address)) }
}

#[test]
fn a_write_is_executed_again_even_if_its_move_is_over_when_the_handler_runs() {
    const ENOUGH: usize = 5;
    const MOVES: usize = 10_000;
    // SAFETY: sigaction is plain data for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a complete action with a handler of the right type.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) }, 0);

    let len = MOVES * PAGE_SIZE;
    let pages = Reservation::first_free(SYSTEM_SPACE, SYSTEM_SLAB, len, 100).expect("a free slab");
    pages.commit(0, len, Protection::ReadWrite).expect("memory");
    let place = Arc::new(AtomicUsize::new(pages.base()));
    let writers_place = Arc::clone(&place);
    let writer = thread::spawn(move || {
        let mut written = 0_u64;
        loop {
            match writers_place.load(SeqCst) {
                0 => return written,
                address => word(address).fetch_add(1, SeqCst),
            };
            written += 1;
        }
    });
    let mut moves = 0;
    while LATE_FAULTS.load(SeqCst) < ENOUGH {
        assert!(moves < MOVES, "no write met a move");
        let address = pages.base() + moves * PAGE_SIZE;
        place.store(address, SeqCst);
        while word(address).load(SeqCst) == 0 {
            thread::yield_now();
        }
        MOVES_BEGUN.fetch_add(1, SeqCst);
        pages
            .move_to_descriptor(moves * PAGE_SIZE, PAGE_SIZE, Protection::ReadWrite)
            .expect("the page moves");
        MOVES_ENDED.fetch_add(1, SeqCst);
        moves += 1;
    }
    place.store(0, SeqCst);
    let written = writer.join().expect("the writer");
    let found: u64 = (0..moves).map(|page| word(pages.base() + page * PAGE_SIZE).load(SeqCst)).sum();
    assert_eq!(found, written);
}
