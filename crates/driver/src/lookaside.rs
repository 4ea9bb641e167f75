//! Lookaside lists: blocks of one size that are kept for the next allocation instead of going back to pool.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::{
    APC_LEVEL, LOOKASIDE_LIST_EX, NTSTATUS, NonPagedPoolNx, PALLOCATE_FUNCTION_EX, PFREE_FUNCTION_EX,
    POOL_TYPE, PagedPool, SLIST_ENTRY, SLIST_HEADER, STATUS_INSUFFICIENT_RESOURCES,
};

use crate::nt::{
    ExDeleteLookasideListEx, ExInitializeLookasideListEx, ExQueryDepthSList, ExpInterlockedPopEntrySList,
    ExpInterlockedPushEntrySList, KeGetCurrentIrql,
};
use crate::pool::POOL_ALIGNMENT;
use crate::{PassiveLevel, PoolArc, Tag};

/// A list of the system's, deleted when the last box of it is gone.
struct List(UnsafeCell<LOOKASIDE_LIST_EX>);

// SAFETY: its entries are taken and put back atomically, its counters are counted so here, and the rest never changes.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: initialised, and nobody has an entry or uses it again.
        unsafe { ExDeleteLookasideListEx(self.0.get()) };
    }
}

impl List {
    fn new(tag: Tag, kind: POOL_TYPE, size: usize) -> Result<PoolArc<Self>, NTSTATUS> {
        // SAFETY: numbers and pointers, all of which may be 0. So it can be deleted if initialising it fails.
        let list = PoolArc::new(tag, Self(UnsafeCell::new(unsafe { core::mem::zeroed() })))?;
        let size = size.max(size_of::<SLIST_ENTRY>());
        // SAFETY: memory for a list in non-paged pool, at its final address.
        let status =
            unsafe { ExInitializeLookasideListEx(list.0.get(), None, None, kind, 0, size, tag.value(), 0) };
        if status.is_success() { Ok(list) } else { Err(status) }
    }

    /// Where a field of the list is.
    fn field<T>(&self, offset: usize) -> *mut T {
        self.0.get().cast::<u8>().wrapping_add(offset).cast()
    }

    fn head(&self) -> *mut SLIST_HEADER {
        self.field(offset_of!(LOOKASIDE_LIST_EX, L.u))
    }

    /// `ExAllocateFromLookasideListEx`, which the headers inline.
    fn allocate(&self) -> Option<NonNull<u8>> {
        // SAFETY: a counter of the list's.
        unsafe { count(self.field(offset_of!(LOOKASIDE_LIST_EX, L.TotalAllocates))) };
        // SAFETY: the list's head.
        let entry = unsafe { ExpInterlockedPopEntrySList(self.head()) };
        if !entry.is_null() {
            return NonNull::new(entry.cast());
        }
        // SAFETY: a counter of the list's.
        unsafe { count(self.field(offset_of!(LOOKASIDE_LIST_EX, L.u2))) };
        let routine = self.field::<PALLOCATE_FUNCTION_EX>(offset_of!(LOOKASIDE_LIST_EX, L.u4));
        // SAFETY: set when it was initialised.
        let routine = unsafe { routine.read() }?;
        // SAFETY: as above.
        let kind = unsafe { self.field::<POOL_TYPE>(offset_of!(LOOKASIDE_LIST_EX, L.Type)).read() };
        // SAFETY: as above.
        let size = unsafe { self.field::<u32>(offset_of!(LOOKASIDE_LIST_EX, L.Size)).read() };
        // SAFETY: as above.
        let tag = unsafe { self.field::<u32>(offset_of!(LOOKASIDE_LIST_EX, L.Tag)).read() };
        // SAFETY: the list's own routine.
        let entry = unsafe { routine(kind, size as usize, tag, self.0.get()) };
        NonNull::new(entry.cast())
    }

    /// `ExFreeToLookasideListEx`, which the headers inline.
    ///
    /// # Safety
    ///
    /// `entry` came from [`Self::allocate`], and nobody uses it.
    unsafe fn free(&self, entry: NonNull<u8>) {
        // SAFETY: a counter of the list's.
        unsafe { count(self.field(offset_of!(LOOKASIDE_LIST_EX, L.TotalFrees))) };
        let depth = self.field::<u16>(offset_of!(LOOKASIDE_LIST_EX, L.Depth));
        // SAFETY: the system adjusts it meanwhile; any value is right.
        let depth = unsafe { depth.read_volatile() };
        // SAFETY: the list's head.
        if unsafe { ExQueryDepthSList(self.head()) } < depth {
            // SAFETY: an entry that is in no list.
            unsafe { ExpInterlockedPushEntrySList(self.head(), entry.as_ptr().cast()) };
            return;
        }
        // SAFETY: a counter of the list's.
        unsafe { count(self.field(offset_of!(LOOKASIDE_LIST_EX, L.u3))) };
        let routine = self.field::<PFREE_FUNCTION_EX>(offset_of!(LOOKASIDE_LIST_EX, L.u5));
        // SAFETY: set when it was initialised.
        if let Some(routine) = unsafe { routine.read() } {
            // SAFETY: the list's own routine.
            unsafe { routine(entry.as_ptr().cast(), self.0.get()) };
        }
    }
}

/// Counts as the headers do: two threads at once may count as one.
///
/// # Safety
///
/// A counter of a list.
unsafe fn count(counter: *mut u32) {
    // SAFETY: the caller's contract; it is aligned.
    let counter = unsafe { AtomicU32::from_ptr(counter) };
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Makes boxes of one type in non-paged pool: as [`PoolBox`](crate::PoolBox), and quicker the second time. IRQL of all uses: up to
/// DISPATCH_LEVEL.
pub struct Lookaside<T> {
    list: PoolArc<List>,
    entries: PhantomData<fn() -> T>,
}

impl<T> Lookaside<T> {
    /// A list without blocks. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "pool blocks are 16-byte aligned") };
        Ok(Self { list: List::new(tag, NonPagedPoolNx, size_of::<T>())?, entries: PhantomData })
    }

    /// Moves `value` into a block. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn allocate(&self, value: T) -> Result<LookasideBox<T>, NTSTATUS> {
        let memory = self.list.allocate().ok_or(STATUS_INSUFFICIENT_RESOURCES)?.cast();
        // SAFETY: a block for a `T`.
        unsafe { memory.write(value) };
        Ok(LookasideBox { list: self.list.clone(), memory, owned: PhantomData })
    }
}

/// A value in a block of a [`Lookaside`], to which the block goes back. The list stays as long as it has such boxes.
pub struct LookasideBox<T> {
    list: PoolArc<List>,
    memory: NonNull<T>,
    owned: PhantomData<T>,
}

// SAFETY: the block is exclusive, so the box moves and is shared as its value is.
unsafe impl<T: Send> Send for LookasideBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for LookasideBox<T> {}

impl<T> Deref for LookasideBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: initialised when the box was made.
        unsafe { self.memory.as_ref() }
    }
}

impl<T> DerefMut for LookasideBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: initialised when the box was made, and the box is the only owner.
        unsafe { self.memory.as_mut() }
    }
}

impl<T> Drop for LookasideBox<T> {
    fn drop(&mut self) {
        // SAFETY: the value is initialised and not used again.
        unsafe { self.memory.drop_in_place() };
        // SAFETY: a block of this list, used no more.
        unsafe { self.list.free(self.memory.cast()) };
    }
}

/// As [`Lookaside`], in paged pool: its values are touched at PASSIVE_LEVEL only, by whoever has the witness.
pub struct PagedLookaside<T> {
    list: PoolArc<List>,
    entries: PhantomData<fn() -> T>,
}

impl<T> PagedLookaside<T> {
    /// A list without blocks. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(_level: PassiveLevel, tag: Tag) -> Result<Self, NTSTATUS> {
        const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "pool blocks are 16-byte aligned") };
        Ok(Self { list: List::new(tag, PagedPool, size_of::<T>())?, entries: PhantomData })
    }

    /// Moves `value` into a block. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn allocate(&self, _level: PassiveLevel, value: T) -> Result<PagedLookasideBox<T>, NTSTATUS> {
        let memory = self.list.allocate().ok_or(STATUS_INSUFFICIENT_RESOURCES)?.cast();
        // SAFETY: a block for a `T`; the witness says that it may be touched.
        unsafe { memory.write(value) };
        Ok(PagedLookasideBox(LookasideBox { list: self.list.clone(), memory, owned: PhantomData }))
    }
}

/// A value in a block of a [`PagedLookaside`]. Dropping it above APC_LEVEL panics: a bug check.
pub struct PagedLookasideBox<T>(LookasideBox<T>);

impl<T> PagedLookasideBox<T> {
    /// The value.
    #[must_use]
    pub fn get(&self, _level: PassiveLevel) -> &T {
        &self.0
    }

    /// The value, to change it.
    #[must_use]
    pub fn get_mut(&mut self, _level: PassiveLevel) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for PagedLookasideBox<T> {
    fn drop(&mut self) {
        expect_paged_memory();
    }
}

/// # Panics
///
/// Above APC_LEVEL, where paged memory must not be touched.
pub(crate) fn expect_paged_memory() {
    // SAFETY: callable at any IRQL.
    let irql = unsafe { KeGetCurrentIrql() };
    assert!(irql <= APC_LEVEL, "paged pool is dropped at IRQL {irql}");
}
