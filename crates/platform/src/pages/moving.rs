//! Pages that change what lies behind them while other threads use them.
//!
//! The range is made read-only, copied to a memory file, and the file is mapped over the same address. A write that
//! faults meanwhile must wait and be executed again: the list of ranges being moved is here, and can be read in a
//! signal handler. The handler itself is not here (`fault`).

use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mprotect, mremap_fixed, munmap};
use rustix::thread::sched_yield;

use super::{PAGE_SIZE, PagesError, Protection};
use crate::entry;
use crate::shared_memory::SharedMemory;

/// How far below the stack pointer, and above it, the moving thread may write while it moves pages, on a stack of Linux's.
const STACK_BELOW: usize = 64 << 10;
const STACK_ABOVE: usize = 4 * PAGE_SIZE;

/// One range being moved. Empty while `end` is zero.
struct Slot {
    taken: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
}

impl Slot {
    const fn new() -> Self {
        Self { taken: AtomicBool::new(false), start: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    /// May say yes wrongly while another thread takes the slot, never no while the range is being moved.
    fn contains(&self, address: usize) -> bool {
        let start = self.start.load(SeqCst);
        let end = self.end.load(SeqCst);
        (start..end).contains(&address)
    }
}

/// Ranges being moved; process-wide, since a fault says only an address.
static MOVING: [Slot; 8] = [const { Slot::new() }; 8];

/// How many moves have ended.
static ENDED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What `ENDED` was when this thread last asked.
    static ENDED_BEFORE: Cell<usize> = const { Cell::new(0) };
}

/// Whether a fault at `address` on this thread may come from a move: then call [`wait_until_moved`] and execute
/// the instruction again.
///
/// True while the range is being moved, and once a thread after any move has ended (the one that made this thread
/// fault may have ended before its handler ran). So a fault with another cause is executed again at most once a
/// move, and this is to be asked once a fault. Async-signal-safe.
pub fn is_moving(address: usize) -> bool {
    if listed(address) {
        return true;
    }
    // Read after the list: a move counts as ended before it leaves the list.
    let ended = ENDED.load(SeqCst);
    ENDED_BEFORE.with(|before| before.replace(ended) != ended)
}

/// Returns when no move of `address` is under way. Async-signal-safe.
pub fn wait_until_moved(address: usize) {
    while listed(address) {
        sched_yield();
    }
}

fn listed(address: usize) -> bool {
    MOVING.iter().any(|slot| slot.contains(address))
}

/// Puts a copy of the pages at `address` into `memory`, as long as `memory`, and maps it over them. On an error
/// the pages are as before.
///
/// # Safety
///
/// The range must be committed with `protection`, belong to the caller, with no reference into it, and not be
/// mapped, protected or moved by anybody else meanwhile.
pub(super) unsafe fn replace(
    address: usize,
    memory: &SharedMemory,
    protection: Protection,
) -> Result<(), PagesError> {
    if near_own_stack(&(address..address + memory.len())) {
        return Err(PagesError::OwnStack);
    }
    let entry = Entry::take(address, memory.len());
    // SAFETY: promised by the caller; the entry in the list makes writers wait.
    let result = unsafe { copy_and_map(address, memory, protection) };
    if result.is_err() {
        let place = ptr::with_exposed_provenance_mut(address);
        // SAFETY: promised by the caller.
        let restored = unsafe { mprotect(place, memory.len(), protection.protect_flags()) };
        // The range was one mapping with this protection before: putting it back needs nothing new.
        debug_assert!(restored.is_ok(), "{restored:?}");
    }
    drop(entry);
    result
}

/// # Safety
///
/// As for [`replace`].
unsafe fn copy_and_map(
    address: usize,
    memory: &SharedMemory,
    protection: Protection,
) -> Result<(), PagesError> {
    let len = memory.len();
    let place = ptr::with_exposed_provenance_mut(address);
    // SAFETY: promised by the caller.
    unsafe { mprotect(place, len, Protection::Read.protect_flags())? };
    // SAFETY: readable, and nobody can write any more.
    unsafe { memory.fill_from(address, len)? };
    // SAFETY: promised by the caller.
    unsafe { memory.map_over(address, 0..len, protection) }
}

/// Puts private pages with the content that the shared ones have over the `len` bytes at `address`. On an error the pages are
/// as before.
///
/// # Safety
///
/// As for [`replace`].
pub(super) unsafe fn make_private(
    address: usize,
    len: usize,
    protection: Protection,
) -> Result<(), PagesError> {
    if near_own_stack(&(address..address + len)) {
        return Err(PagesError::OwnStack);
    }
    let entry = Entry::take(address, len);
    // SAFETY: promised by the caller; the entry in the list makes writers wait.
    let result = unsafe { copy_out_and_map(address, len, protection) };
    if result.is_err() {
        let place = ptr::with_exposed_provenance_mut(address);
        // SAFETY: promised by the caller.
        let restored = unsafe { mprotect(place, len, protection.protect_flags()) };
        debug_assert!(restored.is_ok(), "{restored:?}");
    }
    drop(entry);
    result
}

/// # Safety
///
/// As for [`replace`].
unsafe fn copy_out_and_map(address: usize, len: usize, protection: Protection) -> Result<(), PagesError> {
    let place = ptr::with_exposed_provenance_mut(address);
    // SAFETY: promised by the caller.
    unsafe { mprotect(place, len, Protection::Read.protect_flags())? };
    let writable = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so no existing mapping changes.
    let copy = unsafe { mmap_anonymous(ptr::null_mut(), len, writable, MapFlags::PRIVATE)? };
    // SAFETY: the source is readable, the copy new; what other mappings of the source write meanwhile is bytes.
    unsafe { ptr::copy_nonoverlapping(place.cast::<u8>(), copy.cast::<u8>(), len) };
    // SAFETY: the copy is this function's alone.
    let protected = unsafe { mprotect(copy, len, protection.protect_flags()) };
    let moved = protected.and_then(|()| {
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: the copy is this function's, and the range at `place` the caller's.
        unsafe { mremap_fixed(copy, len, len, flags, place) }
    });
    if let Err(error) = moved {
        // SAFETY: mapped above, and known to nobody.
        unsafe { munmap(copy, len)? };
        return Err(error.into());
    }
    Ok(())
}

/// The moving thread would wait for itself if its own frames became read-only.
fn near_own_stack(range: &Range<usize>) -> bool {
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    let kernel_stack = entry::region().map(entry::Region::stack);
    let stack = match kernel_stack.filter(|stack| (stack.limit..stack.top).contains(&here)) {
        Some(stack) => stack.limit..stack.top,
        // Where a stack of Linux's ends is not known here.
        None => here.saturating_sub(STACK_BELOW)..here + STACK_ABOVE,
    };
    range.start < stack.end && stack.start < range.end
}

/// A line of the list, for as long as it lives.
struct Entry(&'static Slot);

impl Entry {
    fn take(address: usize, len: usize) -> Self {
        loop {
            for slot in &MOVING {
                if slot.taken.compare_exchange(false, true, SeqCst, SeqCst).is_ok() {
                    slot.start.store(address, SeqCst);
                    slot.end.store(address + len, SeqCst);
                    return Self(slot);
                }
            }
            sched_yield();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        ENDED.fetch_add(1, SeqCst);
        self.0.end.store(0, SeqCst);
        self.0.taken.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_does_not_move_the_stack_it_runs_on() {
        let local = 0_u8;
        let page = (&raw const local).addr() & !(PAGE_SIZE - 1);
        assert!(near_own_stack(&(page..page + PAGE_SIZE)));
        let far = page - (1 << 20);
        assert!(!near_own_stack(&(far..far + PAGE_SIZE)));
    }

    #[test]
    fn a_fault_whose_move_has_just_ended_is_executed_again_once() {
        is_moving(0);
        assert!(!is_moving(0));
        let entry = Entry::take(PAGE_SIZE, PAGE_SIZE);
        assert!(is_moving(PAGE_SIZE + 1));
        assert!(!is_moving(2 * PAGE_SIZE));
        drop(entry);
        assert!(is_moving(PAGE_SIZE + 1));
        assert!(!is_moving(PAGE_SIZE + 1));
    }
}
