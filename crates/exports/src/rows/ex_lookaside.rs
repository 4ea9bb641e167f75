//! Lookaside lists: blocks of one size that are kept for reuse.
//!
//! Drivers allocate and free inline, by the list's fields: these are NT's, and the default routines are the entry
//! thunks of the pool exports.

use std::mem::offset_of;

use abi::{GENERAL_LOOKASIDE as L, NTSTATUS};
use kernel::raw::{self, Outcome};

use super::ex;
use super::ex_lists::{depth, initialize, pop, push};
use crate::Call;
use crate::resolve::{Resolved, resolve_function};
use crate::row::rows;

/// Freed blocks that a list keeps, the most that NT's lists grow to (EX_MAXIMUM_LOOKASIDE_DEPTH_BASE).
const DEPTH: u16 = 256;
/// Smallest block: a freed one holds its list's link.
const MINIMUM_SIZE: u32 = 16;
/// PagedPool, POOL_RAISE_IF_ALLOCATION_FAILURE.
const PAGED: u32 = 1;
const RAISE: u32 = 16;
/// EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL and …_FAIL_NO_RAISE.
const RAISE_ON_FAIL: u32 = 1;
const FAIL_NO_RAISE: u32 = 2;

const TYPE: u64 = offset_of!(L, Type) as u64;
const TAG: u64 = offset_of!(L, Tag) as u64;
const SIZE: u64 = offset_of!(L, Size) as u64;
const ALLOCATE: u64 = offset_of!(L, u4) as u64;
const FREE: u64 = offset_of!(L, u5) as u64;
const TOTAL_ALLOCATES: u64 = offset_of!(L, TotalAllocates) as u64;
const ALLOCATE_MISSES: u64 = offset_of!(L, u2) as u64;
const TOTAL_FREES: u64 = offset_of!(L, TotalFrees) as u64;
const FREE_MISSES: u64 = offset_of!(L, u3) as u64;

const _: () = assert!(offset_of!(L, u) == 0);
const _: () = assert!(offset_of!(abi::GENERAL_LOOKASIDE_POOL, u5) as u64 == FREE);

fn routine(name: &str) -> u64 {
    match resolve_function(name) {
        Some(Resolved::Function(address)) => address as u64,
        _ => 0,
    }
}

/// What a list is made of.
struct Settings {
    allocate: u64,
    free: u64,
    pool_type: u32,
    size: u64,
    tag: u32,
}

/// Fills a list's fields in; routines that are NULL become the pool's.
fn make(list: u64, settings: &Settings) -> Outcome<()> {
    raw::fill(list, 0, offset_of!(L, ListEntry) + 16)?;
    initialize(list)?;
    raw::write(list.wrapping_add(offset_of!(L, Depth) as u64), DEPTH)?;
    raw::write(list.wrapping_add(offset_of!(L, MaximumDepth) as u64), DEPTH)?;
    raw::write(list.wrapping_add(TYPE), settings.pool_type)?;
    raw::write(list.wrapping_add(TAG), settings.tag)?;
    let size = u32::try_from(settings.size).unwrap_or(u32::MAX).max(MINIMUM_SIZE);
    raw::write(list.wrapping_add(SIZE), size)?;
    let or = |routine_or_null: u64, name| if routine_or_null == 0 { routine(name) } else { routine_or_null };
    raw::write(list.wrapping_add(ALLOCATE), or(settings.allocate, "ExAllocatePoolWithTag"))?;
    raw::write(list.wrapping_add(FREE), or(settings.free, "ExFreePool"))
}

fn increment(list: u64, counter: u64) -> Outcome<()> {
    raw::fetch_add(list.wrapping_add(counter), 1).map(drop)
}

/// A block: one that was freed before, or what the list's routine allocates. 0 for none.
fn allocate(call: Call<'_>, list: u64) -> Outcome<u64> {
    increment(list, TOTAL_ALLOCATES)?;
    let block = pop(list)?;
    if block != 0 {
        return Ok(block);
    }
    increment(list, ALLOCATE_MISSES)?;
    let pool_type = raw::read::<u32>(list.wrapping_add(TYPE))?;
    let size = u64::from(raw::read::<u32>(list.wrapping_add(SIZE))?);
    let tag = raw::read::<u32>(list.wrapping_add(TAG))?;
    let allocate = raw::read::<u64>(list.wrapping_add(ALLOCATE))?;
    if allocate == routine("ExAllocatePoolWithTag") {
        return ex::allocate(call, size, tag, pool_type & PAGED != 0, pool_type & RAISE != 0);
    }
    // A routine of a list that is not the extended kind does not look at the fourth argument.
    call.kernel.ke.call(call.kernel, allocate, &[u64::from(pool_type), size, u64::from(tag), list])
}

/// Keeps a block for reuse, or gives it to the list's routine when there are enough.
fn free(call: Call<'_>, list: u64, block: u64) -> Outcome<()> {
    increment(list, TOTAL_FREES)?;
    if depth(list)? < raw::read::<u16>(list.wrapping_add(offset_of!(L, Depth) as u64))? {
        return push(list, block).map(drop);
    }
    increment(list, FREE_MISSES)?;
    free_block(call, list, block)
}

fn free_block(call: Call<'_>, list: u64, block: u64) -> Outcome<()> {
    let free = raw::read::<u64>(list.wrapping_add(FREE))?;
    if free == routine("ExFreePool") {
        return ex::free(call.kernel, block, 0);
    }
    call.kernel.ke.call(call.kernel, free, &[block, list]).map(drop)
}

/// Frees the blocks that a list keeps.
fn empty(call: Call<'_>, list: u64) -> Outcome<()> {
    loop {
        match pop(list)? {
            0 => return Ok(()),
            block => free_block(call, list, block)?,
        }
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a lookaside list of nonpaged blocks.
    irql(DISPATCH_LEVEL)
    fn ExInitializeNPagedLookasideList(
        call,
        lookaside: u64,
        allocate: u64,
        free: u64,
        flags: u32,
        size: u64,
        tag: u32,
        _depth: u32
    ) -> () {
        let _ = call;
        make(lookaside, &Settings { allocate, free, pool_type: flags, size, tag })
    }

    /// Initialises a lookaside list of paged blocks.
    irql(APC_LEVEL)
    fn ExInitializePagedLookasideList(
        call,
        lookaside: u64,
        allocate: u64,
        free: u64,
        flags: u32,
        size: u64,
        tag: u32,
        _depth: u32
    ) -> () {
        let _ = call;
        make(lookaside, &Settings { allocate, free, pool_type: flags | PAGED, size, tag })
    }

    /// Initialises a lookaside list whose routines receive the list.
    irql(DISPATCH_LEVEL)
    fn ExInitializeLookasideListEx(
        call,
        lookaside: u64,
        allocate: u64,
        free: u64,
        pool_type: u32,
        flags: u32,
        size: u64,
        tag: u32,
        _depth: u32
    ) -> NTSTATUS {
        let _ = call;
        // Both flags are for the pool's own routine, and exclude each other.
        let known = matches!(flags, 0 | RAISE_ON_FAIL | FAIL_NO_RAISE);
        if !known || flags != 0 && allocate != 0 {
            return Ok(abi::STATUS_INVALID_PARAMETER_5);
        }
        let raise = if flags == RAISE_ON_FAIL { RAISE } else { 0 };
        make(lookaside, &Settings { allocate, free, pool_type: pool_type | raise, size, tag })?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Frees the blocks that a lookaside list keeps.
    irql(DISPATCH_LEVEL)
        alias("ExDeletePagedLookasideList", "ExFlushLookasideListEx")
    fn ExDeleteNPagedLookasideList(call, lookaside: u64) -> () {
        empty(call, lookaside)
    }

    /// Frees the blocks that a lookaside list keeps, with routines that receive it.
    irql(DISPATCH_LEVEL)
    fn ExDeleteLookasideListEx(call, lookaside: u64) -> () {
        empty(call, lookaside)
    }

    /// Takes a block from a lookaside list, or allocates one.
    irql(DISPATCH_LEVEL) alias("ExAllocateFromPagedLookasideList", "ExAllocateFromLookasideListEx")
    fn ExAllocateFromNPagedLookasideList(call, lookaside: u64) -> u64 {
        allocate(call, lookaside)
    }

    /// Gives a block back to a lookaside list, or frees it.
    irql(DISPATCH_LEVEL) alias("ExFreeToPagedLookasideList", "ExFreeToLookasideListEx")
    fn ExFreeToNPagedLookasideList(call, lookaside: u64, entry: u64) -> () {
        free(call, lookaside, entry)
    }
}

#[cfg(test)]
mod tests {
    use platform::entry::KernelStack;

    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn freed_blocks_are_reused_and_given_back_when_the_list_goes() {
        let scratch = Scratch::new();
        let stack = KernelStack { top: 0, limit: 0, guard: 0 };
        let thread = kernel::ke::Thread::new(&scratch.kernel, 8, 4, stack, true).expect("pool");
        let call = Call { kernel: &scratch.kernel, thread: &thread };
        let list = scratch.bytes(size_of::<L>());
        let tag = u32::from_le_bytes(*b"Look");
        make(list, &Settings { allocate: 0, free: 0, pool_type: 512, size: 4, tag }).expect("pool");

        let blocks = || {
            let usage = scratch.kernel.mm.pool.usage();
            usage.iter().find(|row| row.1 == tag).map_or(0, |row| row.2.blocks)
        };
        let (first, second) = (allocate(call, list).expect("memory"), allocate(call, list).expect("memory"));
        assert_eq!(blocks(), 2);
        free(call, list, first).expect("room");
        free(call, list, second).expect("room");
        assert_eq!((blocks(), depth(list).expect("r")), (2, 2));
        assert_eq!(allocate(call, list).expect("memory"), second);
        free(call, list, second).expect("room");
        empty(call, list).expect("intact: a block holds the link, whatever size was asked for");
        assert_eq!(blocks(), 0);
        let counters: Vec<u32> = [TOTAL_ALLOCATES, ALLOCATE_MISSES, TOTAL_FREES, FREE_MISSES]
            .map(|counter| raw::read(list + counter).expect("r"))
            .to_vec();
        assert_eq!(counters, [3, 2, 3, 0]);
    }

    #[test]
    fn a_full_list_frees() {
        let scratch = Scratch::new();
        let stack = KernelStack { top: 0, limit: 0, guard: 0 };
        let thread = kernel::ke::Thread::new(&scratch.kernel, 8, 4, stack, true).expect("pool");
        let call = Call { kernel: &scratch.kernel, thread: &thread };
        let list = scratch.bytes(size_of::<L>());
        make(list, &Settings { allocate: 0, free: 0, pool_type: 0, size: 64, tag: 1 }).expect("pool");
        raw::write(list + offset_of!(L, Depth) as u64, 1_u16).expect("pool");
        let blocks = [allocate(call, list).expect("memory"), allocate(call, list).expect("memory")];
        for block in blocks {
            free(call, list, block).expect("live");
        }
        assert_eq!(depth(list).expect("r"), 1);
        assert!(scratch.kernel.mm.pool.find(blocks[1]).is_none(), "the second was freed");
        assert!(scratch.kernel.mm.pool.find(blocks[0]).is_some());
    }
}
