//! Interlocked lists and sums: those with a spin lock of the driver's, and sequenced lists (`SLIST_HEADER`).
//!
//! A sequenced list is changed with one 16-byte compare-and-swap on NT. All that change one come here (on x64 drivers
//! have no inline code for it), so a lock of ours does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::DISPATCH_LEVEL;
use kernel::raw::{self, Outcome};
use kernel::{Kernel, Unwind};

use crate::Call;
use crate::row::rows;

/// First parameter of KERNEL_SECURITY_CHECK_FAILURE: a LIST_ENTRY is corrupted.
const CORRUPT_LIST: u64 = 3;
/// The bits of an SLIST_HEADER's second word that are no address.
const RESERVED: u64 = 0xF;

const STRIPES: usize = 64;

/// The locks of sequenced lists, by their addresses. Held for a few accesses only, in which nothing waits.
fn stripe(header: u64) -> MutexGuard<'static, ()> {
    static LOCKS: [Mutex<()>; STRIPES] = [const { Mutex::new(()) }; STRIPES];
    let index = usize::try_from(header >> 4).unwrap_or(0) % STRIPES;
    LOCKS[index].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes depth and sequence, in the header's first word: 16 and 48 bits.
fn count(header: u64, depth: impl FnOnce(u16) -> u16) -> Outcome<()> {
    let word = raw::read::<u64>(header)?;
    let [low, high, ..] = word.to_le_bytes();
    let depth = depth(u16::from_le_bytes([low, high]));
    let sequence = (word >> 16).wrapping_add(1);
    raw::write(header, sequence << 16 | u64::from(depth))
}

fn first(header: u64) -> Outcome<u64> {
    Ok(raw::read::<u64>(header.wrapping_add(8))? & !RESERVED)
}

fn set_first(header: u64, entry: u64) -> Outcome<()> {
    let reserved = raw::read::<u64>(header.wrapping_add(8))? & RESERVED;
    raw::write(header.wrapping_add(8), entry | reserved)
}

/// Pushes an entry; returns the one that was first.
pub(super) fn push(header: u64, entry: u64) -> Outcome<u64> {
    let _lock = stripe(header);
    let old = first(header)?;
    raw::write(entry, old)?;
    set_first(header, entry)?;
    count(header, |depth| depth.wrapping_add(1))?;
    Ok(old)
}

/// Pops the first entry; 0 for none.
pub(super) fn pop(header: u64) -> Outcome<u64> {
    let _lock = stripe(header);
    let entry = first(header)?;
    if entry != 0 {
        set_first(header, raw::read(entry)?)?;
        count(header, |depth| depth.wrapping_sub(1))?;
    }
    Ok(entry)
}

fn flush(header: u64) -> Outcome<u64> {
    let _lock = stripe(header);
    let entry = first(header)?;
    set_first(header, 0)?;
    count(header, |_| 0)?;
    Ok(entry)
}

/// How many entries there are, modulo 65536.
pub(super) fn depth(header: u64) -> Outcome<u16> {
    raw::read(header)
}

/// Makes a list empty.
pub(super) fn initialize(header: u64) -> Outcome<()> {
    raw::write(header, 0_u64)?;
    raw::write(header.wrapping_add(8), 0_u64)
}

/// Runs `body` holding a spin lock, at any IRQL.
fn locked<R>(call: Call<'_>, lock: u64, body: impl FnOnce() -> Outcome<R>) -> Outcome<R> {
    let (kernel, ke) = (call.kernel, &call.kernel.ke);
    let old = ke.raise_irql(kernel, ke.current_irql().max(DISPATCH_LEVEL));
    let result = ke.acquire_spin_lock_at_dpc_level(kernel, call.thread, lock).and_then(|()| {
        let result = body();
        ke.release_spin_lock_from_dpc_level(kernel, call.thread, lock)?;
        result
    });
    ke.lower_irql(kernel, old);
    result
}

/// The neighbours of two entries that should point to each other: bugcheck KERNEL_SECURITY_CHECK_FAILURE if they do not.
fn check(kernel: &Kernel, before: u64, after: u64) -> Outcome<()> {
    if raw::read::<u64>(before)? == after && raw::read::<u64>(after.wrapping_add(8))? == before {
        return Ok(());
    }
    kernel.bug_check(abi::KERNEL_SECURITY_CHECK_FAILURE, [CORRUPT_LIST, before, after, 0]);
    Err(Unwind::Halt)
}

fn insert(kernel: &Kernel, entry: u64, before: u64, after: u64) -> Outcome<()> {
    check(kernel, before, after)?;
    raw::write(entry, after)?;
    raw::write(entry.wrapping_add(8), before)?;
    raw::write(before, entry)?;
    raw::write(after.wrapping_add(8), entry)
}

/// What the insertion routines return: the neighbour, or 0 when that was the head.
fn unless_head(entry: u64, head: u64) -> u64 {
    if entry == head { 0 } else { entry }
}

fn insert_head(kernel: &Kernel, head: u64, entry: u64) -> Outcome<u64> {
    let next = raw::read::<u64>(head)?;
    insert(kernel, entry, head, next)?;
    Ok(unless_head(next, head))
}

fn insert_tail(kernel: &Kernel, head: u64, entry: u64) -> Outcome<u64> {
    let last = raw::read::<u64>(head.wrapping_add(8))?;
    insert(kernel, entry, last, head)?;
    Ok(unless_head(last, head))
}

fn remove_head(kernel: &Kernel, head: u64) -> Outcome<u64> {
    let entry = raw::read::<u64>(head)?;
    if entry == head {
        return Ok(0);
    }
    let next = raw::read::<u64>(entry)?;
    check(kernel, head, entry)?;
    check(kernel, entry, next)?;
    raw::write(head, next)?;
    raw::write(next.wrapping_add(8), head)?;
    Ok(entry)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a sequenced list: empty.
    irql(HIGH_LEVEL)
    fn InitializeSListHead(call, list_head: u64) -> () {
        let _ = call;
        initialize(list_head)
    }

    /// Pushes an entry on a sequenced list; returns the previous first one.
    irql(DISPATCH_LEVEL)
    fn ExpInterlockedPushEntrySList(call, list_head: u64, list_entry: u64) -> u64 {
        let _ = call;
        push(list_head, list_entry)
    }

    /// Pops the first entry of a sequenced list; NULL for none.
    irql(DISPATCH_LEVEL)
    fn ExpInterlockedPopEntrySList(call, list_head: u64) -> u64 {
        let _ = call;
        pop(list_head)
    }

    /// Empties a sequenced list; returns the first of its entries, which stay linked.
    irql(DISPATCH_LEVEL)
    fn ExpInterlockedFlushSList(call, list_head: u64) -> u64 {
        let _ = call;
        flush(list_head)
    }

    /// Returns the number of entries of a sequenced list.
    irql(DISPATCH_LEVEL)
    fn ExQueryDepthSList(call, list_head: u64) -> u16 {
        let _ = call;
        depth(list_head)
    }

    /// Inserts an entry at the front of a list; returns the previous first one, NULL for none.
    irql(HIGH_LEVEL)
    fn ExInterlockedInsertHeadList(call, list_head: u64, list_entry: u64, lock: u64) -> u64 {
        locked(call, lock, || insert_head(call.kernel, list_head, list_entry))
    }

    /// Inserts an entry at the end of a list; returns the previous last one, NULL for none.
    irql(HIGH_LEVEL)
    fn ExInterlockedInsertTailList(call, list_head: u64, list_entry: u64, lock: u64) -> u64 {
        locked(call, lock, || insert_tail(call.kernel, list_head, list_entry))
    }

    /// Takes the first entry of a list; NULL for none.
    irql(HIGH_LEVEL)
    fn ExInterlockedRemoveHeadList(call, list_head: u64, lock: u64) -> u64 {
        locked(call, lock, || remove_head(call.kernel, list_head))
    }

    /// Pushes an entry on a singly linked list; returns the previous first one.
    irql(HIGH_LEVEL)
    fn ExInterlockedPushEntryList(call, list_head: u64, list_entry: u64, lock: u64) -> u64 {
        locked(call, lock, || {
            let first = raw::read::<u64>(list_head)?;
            raw::write(list_entry, first)?;
            raw::write(list_head, list_entry)?;
            Ok(first)
        })
    }

    /// Pops the first entry of a singly linked list; NULL for none.
    irql(HIGH_LEVEL)
    fn ExInterlockedPopEntryList(call, list_head: u64, lock: u64) -> u64 {
        locked(call, lock, || {
            let first = raw::read::<u64>(list_head)?;
            if first != 0 {
                raw::write(list_head, raw::read::<u64>(first)?)?;
            }
            Ok(first)
        })
    }

    /// Adds to a 32-bit sum; returns what it was.
    irql(HIGH_LEVEL)
    fn ExInterlockedAddUlong(call, addend: u64, increment: u32, lock: u64) -> u32 {
        locked(call, lock, || {
            let old = raw::read::<u32>(addend)?;
            raw::write(addend, old.wrapping_add(increment))?;
            Ok(old)
        })
    }

    /// Adds to a 64-bit sum; returns what it was.
    irql(HIGH_LEVEL)
    fn ExInterlockedAddLargeInteger(call, addend: u64, increment: u64, lock: u64) -> u64 {
        locked(call, lock, || {
            let old = raw::read::<u64>(addend)?;
            raw::write(addend, old.wrapping_add(increment))?;
            Ok(old)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn a_sequenced_list_is_last_in_first_out_and_counts() {
        let scratch = Scratch::new();
        let (header, a, b) = (scratch.bytes(16), scratch.bytes(16), scratch.bytes(16));
        initialize(header).expect("pool");
        assert_eq!(pop(header).expect("r"), 0);
        assert_eq!(push(header, a).expect("w"), 0);
        assert_eq!(push(header, b).expect("w"), a);
        assert_eq!(depth(header).expect("r"), 2);
        assert_eq!(pop(header).expect("w"), b);
        assert_eq!(pop(header).expect("w"), a);
        assert_eq!(depth(header).expect("r"), 0);
        assert_eq!(raw::read::<u64>(header).expect("r") >> 16, 4, "each change has its sequence number");
    }

    #[test]
    fn flushing_leaves_the_entries_linked() {
        let scratch = Scratch::new();
        let (header, a, b) = (scratch.bytes(16), scratch.bytes(16), scratch.bytes(16));
        push(header, a).expect("w");
        push(header, b).expect("w");
        assert_eq!(flush(header).expect("w"), b);
        assert_eq!((raw::read::<u64>(b).expect("r"), raw::read::<u64>(a).expect("r")), (a, 0));
        assert_eq!((depth(header).expect("r"), pop(header).expect("r")), (0, 0));
    }

    fn list(scratch: &Scratch) -> u64 {
        let head = scratch.bytes(16);
        raw::write(head, head).expect("pool");
        raw::write(head + 8, head).expect("pool");
        head
    }

    #[test]
    fn a_list_keeps_both_ends_in_order() {
        let scratch = Scratch::new();
        let kernel = &*scratch.kernel;
        let (head, a, b, c) = (list(&scratch), scratch.bytes(16), scratch.bytes(16), scratch.bytes(16));
        assert_eq!(remove_head(kernel, head).expect("r"), 0);
        assert_eq!(insert_tail(kernel, head, a).expect("w"), 0);
        assert_eq!(insert_tail(kernel, head, b).expect("w"), a);
        assert_eq!(insert_head(kernel, head, c).expect("w"), a);
        let order: Vec<u64> = (0..4).map(|_| remove_head(kernel, head).expect("w")).collect();
        assert_eq!(order, [c, a, b, 0]);
        assert_eq!(insert_head(kernel, head, a).expect("w"), 0, "an emptied list is like a new one");
    }

    #[test]
    fn a_corrupt_list_stops_the_machine() {
        let scratch = Scratch::new();
        let kernel = &*scratch.kernel;
        let (head, a, b) = (list(&scratch), scratch.bytes(16), scratch.bytes(16));
        insert_head(kernel, head, a).expect("w");
        raw::write(a + 8, b).expect("pool");
        assert!(matches!(insert_head(kernel, head, b), Err(Unwind::Halt)));
        let stop = kernel.bugcheck().expect("stopped").stop;
        assert_eq!((stop.code, stop.parameters[0]), (abi::KERNEL_SECURITY_CHECK_FAILURE, CORRUPT_LIST));
    }
}
