//! Paged pool with an owner. Its pages may be out, so nothing here is touched above APC_LEVEL: neither the value, nor the
//! pool's own bookkeeping.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use abi::{APC_LEVEL, NTSTATUS, PagedPool, STATUS_INSUFFICIENT_RESOURCES};

use crate::nt::{ExAllocatePoolWithTag, ExFreePoolWithTag, KeGetCurrentIrql};
use crate::pool::POOL_ALIGNMENT;
use crate::{PassiveLevel, Tag};

/// A value, or a slice, in paged pool.
///
/// Allocating and looking at it take a [`PassiveLevel`], which a DPC has not:
///
/// ```compile_fail,E0277
/// # extern crate ringbridge_driver as driver;
/// # use driver::*;
/// # fn start(tag: Tag, kept: PagedBox<u32>, level: PassiveLevel) {
/// let timer = Timer::new(tag, move |_timer| drop(*kept.get(level)));
/// # }
/// ```
///
/// What the witness does not see, a spin lock that is held, [`get`](Self::get) does: it asks for the IRQL. At APC_LEVEL,
/// which [`FastMutex::with`](crate::FastMutex::with) raises to, paged pool can be used. A reference that was taken before a
/// spin lock is left to NT's page fault, as all of them are in C.
///
/// A box may go anywhere, into a device's context say, but it is dropped at APC_LEVEL at most.
pub struct PagedBox<T: ?Sized> {
    memory: NonNull<T>,
    tag: Tag,
    owned: PhantomData<T>,
}

// SAFETY: the block is exclusive, so the box moves and is shared as its value is.
unsafe impl<T: ?Sized + Send> Send for PagedBox<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for PagedBox<T> {}

/// # Panics
///
/// Above APC_LEVEL.
pub(crate) fn expect_pageable(what: &str) {
    // SAFETY: callable at any IRQL.
    let irql = unsafe { KeGetCurrentIrql() };
    assert!(irql <= APC_LEVEL, "{what} above APC_LEVEL");
}

fn allocate<T>(tag: Tag, bytes: usize) -> Result<NonNull<T>, NTSTATUS> {
    const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "pool blocks are 16-byte aligned") };
    expect_pageable("paged pool is allocated");
    if bytes == 0 {
        return Ok(NonNull::dangling());
    }
    // SAFETY: callable at this IRQL.
    let memory = unsafe { ExAllocatePoolWithTag(PagedPool, bytes, tag.value()) };
    NonNull::new(memory.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)
}

impl<T> PagedBox<T> {
    /// Moves `value` into paged pool. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn new(_level: PassiveLevel, tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        let memory = allocate::<T>(tag, size_of::<T>())?;
        // SAFETY: fresh memory for a `T`.
        unsafe { memory.write(value) };
        Ok(Self { memory, tag, owned: PhantomData })
    }

    /// Takes the value out of pool.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn into_inner(self, _level: PassiveLevel) -> T {
        expect_pageable("paged pool is read");
        let (memory, tag) = (self.memory, self.tag);
        core::mem::forget(self);
        // SAFETY: initialised when the box was made, and not used there again.
        let value = unsafe { memory.read() };
        if size_of::<T>() > 0 {
            // SAFETY: a block of `allocate`, under its tag.
            unsafe { ExFreePoolWithTag(memory.as_ptr().cast(), tag.value()) };
        }
        value
    }
}

impl<T: Copy> PagedBox<[T]> {
    /// Copies `values` into paged pool; an empty slice takes no block. Fails with STATUS_INSUFFICIENT_RESOURCES.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn copy_of(_level: PassiveLevel, tag: Tag, values: &[T]) -> Result<Self, NTSTATUS> {
        let memory = allocate::<T>(tag, size_of_val(values))?;
        // SAFETY: fresh memory for as many values.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), memory.as_ptr(), values.len()) };
        Ok(Self { memory: NonNull::slice_from_raw_parts(memory, values.len()), tag, owned: PhantomData })
    }
}

impl PagedBox<[u8]> {
    /// `length` bytes of 0; none take no block. Fails with STATUS_INSUFFICIENT_RESOURCES.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn zeroed(_level: PassiveLevel, tag: Tag, length: usize) -> Result<Self, NTSTATUS> {
        let memory = allocate::<u8>(tag, length)?;
        // SAFETY: fresh memory of that length.
        unsafe { ptr::write_bytes(memory.as_ptr(), 0, length) };
        Ok(Self { memory: NonNull::slice_from_raw_parts(memory, length), tag, owned: PhantomData })
    }
}

impl<T: ?Sized> PagedBox<T> {
    /// The value.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    #[must_use]
    pub fn get(&self, _level: PassiveLevel) -> &T {
        expect_pageable("paged pool is read");
        // SAFETY: initialised when the box was made.
        unsafe { self.memory.as_ref() }
    }

    /// The value, to be changed.
    ///
    /// # Panics
    ///
    /// Above APC_LEVEL.
    pub fn get_mut(&mut self, _level: PassiveLevel) -> &mut T {
        expect_pageable("paged pool is written");
        // SAFETY: initialised when the box was made, and the box is the only owner.
        unsafe { self.memory.as_mut() }
    }
}

impl<T: ?Sized> Drop for PagedBox<T> {
    /// # Panics
    ///
    /// Above APC_LEVEL.
    fn drop(&mut self) {
        expect_pageable("paged pool is freed");
        let memory = self.memory.as_ptr();
        // SAFETY: the value is initialised.
        let bytes = size_of_val(unsafe { &*memory });
        // SAFETY: the value is initialised and not used again.
        unsafe { ptr::drop_in_place(memory) };
        if bytes > 0 {
            // SAFETY: a block of `allocate`, under its tag.
            unsafe { ExFreePoolWithTag(memory.cast(), self.tag.value()) };
        }
    }
}
