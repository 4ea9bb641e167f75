//! Lookaside lists: blocks of one size that a driver takes and gives back often, without going to the pool each time.
//!
//! Allocating and freeing are what the headers inline (`ExAllocateFromLookasideListEx`, `ExFreeToLookasideListEx`), and use
//! the same fields of the list.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering};

use abi::{
    GENERAL_LOOKASIDE_POOL, LOOKASIDE_LIST_EX, NTSTATUS, NonPagedPoolNx, POOL_TYPE, PagedPool, SLIST_HEADER,
    STATUS_INSUFFICIENT_RESOURCES,
};

use crate::nt::{
    ExDeleteLookasideListEx, ExInitializeLookasideListEx, ExQueryDepthSList, ExpInterlockedPopEntrySList,
    ExpInterlockedPushEntrySList,
};
use crate::paged::expect_pageable;
use crate::pool::POOL_ALIGNMENT;
use crate::{PassiveLevel, PoolArc, PoolBox, Tag};

/// A list that was initialised, in non-paged pool. It goes when the last of those that use it does.
struct List {
    list: PoolBox<UnsafeCell<LOOKASIDE_LIST_EX>>,
    is_paged: bool,
}

// SAFETY: the blocks go through a sequenced list, the counters are atomic, and the rest does not change.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    fn new<T>(tag: Tag, pool: POOL_TYPE) -> Result<PoolArc<Self>, NTSTATUS> {
        const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "pool blocks are 16-byte aligned") };
        // A free block holds its list's link.
        let size = size_of::<T>().max(size_of::<abi::SLIST_ENTRY>());
        // SAFETY: numbers, pointers and optional routines, all of which may be 0.
        let list = unsafe { MaybeUninit::<LOOKASIDE_LIST_EX>::zeroed().assume_init() };
        let list = PoolBox::new(tag, UnsafeCell::new(list))?;
        // SAFETY: memory for a list, at its final address; the pool's own routines.
        let status =
            unsafe { ExInitializeLookasideListEx(list.get(), None, None, pool, 0, size, tag.value(), 0) };
        if !status.is_success() {
            return Err(status);
        }
        PoolArc::new(tag, Self { list, is_paged: pool == PagedPool })
    }

    /// The list of free blocks.
    fn free_blocks(&self) -> *mut SLIST_HEADER {
        // SAFETY: a field of a live list.
        unsafe { &raw mut (*self.list.get()).L.u.ListHead }
    }

    /// Adds 1 to a counter of the list.
    fn count(&self, counter: impl FnOnce(*mut GENERAL_LOOKASIDE_POOL) -> *mut u32) {
        // SAFETY: a field of a live list.
        let list = unsafe { &raw mut (*self.list.get()).L };
        // SAFETY: a counter of a live list, which only counts.
        unsafe { AtomicU32::from_ptr(counter(list)) }.fetch_add(1, Ordering::Relaxed);
    }

    fn allocate(&self) -> Result<NonNull<c_void>, NTSTATUS> {
        // SAFETY: a field of a live list.
        self.count(|list| unsafe { &raw mut (*list).TotalAllocates });
        // SAFETY: an initialised list of free blocks.
        let block = unsafe { ExpInterlockedPopEntrySList(self.free_blocks()) };
        if let Some(block) = NonNull::new(block.cast()) {
            return Ok(block);
        }
        // SAFETY: a field of a live list.
        self.count(|list| unsafe { &raw mut (*list).u2.AllocateMisses });
        let list = self.list.get();
        // SAFETY: set when the list was initialised, and constant since.
        let kind = unsafe { (*list).L.Type };
        // SAFETY: as above.
        let size = unsafe { (*list).L.Size };
        // SAFETY: as above.
        let tag = unsafe { (*list).L.Tag };
        // SAFETY: as above.
        let routine = unsafe { (*list).L.u4 };
        // SAFETY: an extended list's routine.
        let routine = unsafe { routine.AllocateEx }.expect("an initialised list has its routines");
        // SAFETY: the list's own routine, with the list's own values.
        let block = unsafe { routine(kind, size as usize, tag, list) };
        NonNull::new(block).ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }

    /// # Safety
    ///
    /// `block` is of `allocate`, and used no more.
    unsafe fn free(&self, block: NonNull<c_void>) {
        // SAFETY: a field of a live list.
        self.count(|list| unsafe { &raw mut (*list).TotalFrees });
        let list = self.list.get();
        // SAFETY: an initialised list of free blocks.
        let kept = unsafe { ExQueryDepthSList(self.free_blocks()) };
        // SAFETY: a field of a live list.
        let depth = unsafe { &raw const (*list).L.Depth };
        // SAFETY: NT adapts it while others look: one that is out of date keeps a block more or less.
        if kept < unsafe { depth.read_volatile() } {
            // SAFETY: a block of the list's, which has room for the link.
            unsafe { ExpInterlockedPushEntrySList(self.free_blocks(), block.as_ptr().cast()) };
            return;
        }
        // SAFETY: a field of a live list.
        self.count(|list| unsafe { &raw mut (*list).u3.FreeMisses });
        // SAFETY: set when the list was initialised, and constant since.
        let routine = unsafe { (*list).L.u5 };
        // SAFETY: an extended list's routine.
        let routine = unsafe { routine.FreeEx }.expect("an initialised list has its routines");
        // SAFETY: a block of the list's own routine.
        unsafe { routine(block.as_ptr(), list) };
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if self.is_paged {
            expect_pageable("a paged lookaside list is deleted");
        }
        // SAFETY: initialised, and no block of it is in use: each holds a count of the list.
        unsafe { ExDeleteLookasideListEx(self.list.get()) };
    }
}

/// A block with its list.
struct Block<T> {
    value: NonNull<T>,
    list: PoolArc<List>,
    owned: PhantomData<T>,
}

impl<T> Block<T> {
    fn new(list: &PoolArc<List>, value: T) -> Result<Self, NTSTATUS> {
        let memory = list.allocate()?.cast::<T>();
        // SAFETY: a block of the list's, which is for a `T`.
        unsafe { memory.write(value) };
        Ok(Self { value: memory, list: list.clone(), owned: PhantomData })
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        if self.list.is_paged {
            expect_pageable("a block of a paged lookaside list is given back");
        }
        // SAFETY: the value is initialised and not used again.
        unsafe { ptr::drop_in_place(self.value.as_ptr()) };
        // SAFETY: a block of this list, whose value is gone.
        unsafe { self.list.free(self.value.cast()) };
    }
}

// SAFETY: the block is exclusive, so it moves and is shared as its value is; its list may be used in any thread.
unsafe impl<T: Send> Send for Block<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Block<T> {}

/// A lookaside list of blocks for a `T` in non-paged pool. IRQL of all uses: up to DISPATCH_LEVEL.
///
/// Blocks go back to the list when their [`LookasideBox`] is dropped. They keep it: it is deleted with the last of them, if
/// the `Lookaside` itself goes earlier.
pub struct Lookaside<T> {
    list: PoolArc<List>,
    blocks: PhantomData<fn(T) -> T>,
}

impl<T> Lookaside<T> {
    /// A list without blocks; `tag` is theirs. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        Ok(Self { list: List::new::<T>(tag, NonPagedPoolNx)?, blocks: PhantomData })
    }

    /// Moves `value` into a block of the list, or of the pool when the list has none. Fails with
    /// STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn allocate(&self, value: T) -> Result<LookasideBox<T>, NTSTATUS> {
        Block::new(&self.list, value).map(|block| LookasideBox { block })
    }
}

/// A value in a block of a [`Lookaside`]. IRQL of all uses: up to DISPATCH_LEVEL, as far as dropping the value allows.
pub struct LookasideBox<T> {
    block: Block<T>,
}

impl<T> Deref for LookasideBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: initialised when the box was made.
        unsafe { self.block.value.as_ref() }
    }
}

impl<T> DerefMut for LookasideBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: initialised when the box was made, and the box is the only owner.
        unsafe { self.block.value.as_mut() }
    }
}

/// As [`Lookaside`], in paged pool, with the rules of [`PagedBox`](crate::PagedBox). IRQL: up to APC_LEVEL, also to drop it.
pub struct PagedLookaside<T> {
    list: PoolArc<List>,
    blocks: PhantomData<fn(T) -> T>,
}

impl<T> PagedLookaside<T> {
    /// A list without blocks; `tag` is theirs. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(_level: PassiveLevel, tag: Tag) -> Result<Self, NTSTATUS> {
        Ok(Self { list: List::new::<T>(tag, PagedPool)?, blocks: PhantomData })
    }

    /// As [`Lookaside::allocate`].
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn allocate(&self, _level: PassiveLevel, value: T) -> Result<PagedLookasideBox<T>, NTSTATUS> {
        expect_pageable("a block of a paged lookaside list is taken");
        Block::new(&self.list, value).map(|block| PagedLookasideBox { block })
    }
}

/// A value in a block of a [`PagedLookaside`]. IRQL of all uses: up to APC_LEVEL, also to drop it.
pub struct PagedLookasideBox<T> {
    block: Block<T>,
}

impl<T> PagedLookasideBox<T> {
    /// The value.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    #[must_use]
    pub fn get(&self, _level: PassiveLevel) -> &T {
        expect_pageable("a paged block is read");
        // SAFETY: initialised when the box was made.
        unsafe { self.block.value.as_ref() }
    }

    /// The value, to be changed.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn get_mut(&mut self, _level: PassiveLevel) -> &mut T {
        expect_pageable("a paged block is written");
        // SAFETY: initialised when the box was made, and the box is the only owner.
        unsafe { self.block.value.as_mut() }
    }
}
