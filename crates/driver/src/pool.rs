//! Non-paged pool with an owner. Unlike `alloc`'s collections it can fail, and it is NT's pool on every system, so that
//! what a driver leaks is reported by its tag.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use abi::{NTSTATUS, NonPagedPoolNx, STATUS_INSUFFICIENT_RESOURCES};

use crate::nt::{ExAllocatePoolWithTag, ExFreePoolWithTag};

/// Alignment that every pool block has, in bytes.
pub(crate) const POOL_ALIGNMENT: usize = 16;

/// Four characters that name the owner of a pool block in reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(u32);

impl Tag {
    /// Reads `Rust` in reports; sources in C would write `'tsuR'`.
    pub const DEFAULT: Self = Self::new(*b"Rust");

    /// A tag from its characters in the order in which reports show them.
    ///
    /// # Panics
    ///
    /// Unless all four are printable ASCII; in a constant that is a compile error.
    #[must_use]
    pub const fn new(characters: [u8; 4]) -> Self {
        let mut at = 0;
        while at < characters.len() {
            assert!(matches!(characters[at], b' '..=b'~'), "a pool tag is four printable ASCII characters");
            at += 1;
        }
        Self(u32::from_le_bytes(characters))
    }

    /// The number that NT's functions take.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// A value, or a slice, in non-paged pool. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct PoolBox<T: ?Sized> {
    memory: NonNull<T>,
    tag: Tag,
    owned: PhantomData<T>,
}

// SAFETY: the block is exclusive, so the box moves and is shared as its value is.
unsafe impl<T: ?Sized + Send> Send for PoolBox<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for PoolBox<T> {}

impl<T> PoolBox<T> {
    /// Moves `value` into pool. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        let memory = allocate::<T>(tag, size_of::<T>())?;
        // SAFETY: fresh memory for a `T`.
        unsafe { memory.write(value) };
        Ok(Self { memory, tag, owned: PhantomData })
    }

    /// Takes the value out of pool.
    pub fn into_inner(self) -> T {
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

    /// Gives the value up without dropping it.
    pub(crate) fn leak(self) -> NonNull<T> {
        let memory = self.memory;
        core::mem::forget(self);
        memory
    }

    /// # Safety
    ///
    /// `memory` is a leaked box's that was allocated under `tag`, and nobody else uses it.
    pub(crate) unsafe fn from_leaked(memory: NonNull<T>, tag: Tag) -> Self {
        Self { memory, tag, owned: PhantomData }
    }
}

impl<T: Copy> PoolBox<[T]> {
    /// Copies `values` into pool; an empty slice takes no block. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn copy_of(tag: Tag, values: &[T]) -> Result<Self, NTSTATUS> {
        let memory = allocate::<T>(tag, size_of_val(values))?;
        // SAFETY: fresh memory for as many values.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), memory.as_ptr(), values.len()) };
        Ok(Self { memory: NonNull::slice_from_raw_parts(memory, values.len()), tag, owned: PhantomData })
    }
}

impl PoolBox<[u8]> {
    /// `length` bytes of 0; none take no block. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn zeroed(tag: Tag, length: usize) -> Result<Self, NTSTATUS> {
        let memory = allocate::<u8>(tag, length)?;
        // SAFETY: fresh memory of that length.
        unsafe { ptr::write_bytes(memory.as_ptr(), 0, length) };
        Ok(Self { memory: NonNull::slice_from_raw_parts(memory, length), tag, owned: PhantomData })
    }
}

impl<T: ?Sized> PoolBox<T> {
    /// For NT's functions, which write behind this crate's back.
    pub(crate) fn as_raw(&self) -> *mut T {
        self.memory.as_ptr()
    }
}

impl<T> Default for PoolBox<[T]> {
    /// The empty slice.
    fn default() -> Self {
        let memory = NonNull::slice_from_raw_parts(NonNull::dangling(), 0);
        Self { memory, tag: Tag::DEFAULT, owned: PhantomData }
    }
}

fn allocate<T>(tag: Tag, bytes: usize) -> Result<NonNull<T>, NTSTATUS> {
    const { assert!(align_of::<T>() <= POOL_ALIGNMENT, "pool blocks are 16-byte aligned") };
    if bytes == 0 {
        return Ok(NonNull::dangling());
    }
    // SAFETY: callable up to DISPATCH_LEVEL.
    let memory = unsafe { ExAllocatePoolWithTag(NonPagedPoolNx, bytes, tag.value()) };
    NonNull::new(memory.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)
}

impl<T: ?Sized> Deref for PoolBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: initialised when the box was made.
        unsafe { self.memory.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for PoolBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: initialised when the box was made, and the box is the only owner.
        unsafe { self.memory.as_mut() }
    }
}

impl<T: ?Sized> Drop for PoolBox<T> {
    fn drop(&mut self) {
        let memory = self.memory.as_ptr();
        let bytes = size_of_val::<T>(self);
        // SAFETY: the value is initialised and not used again.
        unsafe { ptr::drop_in_place(memory) };
        if bytes > 0 {
            // SAFETY: a block of `allocate`, under its tag.
            unsafe { ExFreePoolWithTag(memory.cast(), self.tag.value()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_stored_in_the_order_in_which_tools_show_it() {
        assert_eq!(Tag::DEFAULT.value(), 0x7473_7552);
        assert_eq!(Tag::DEFAULT.value().to_le_bytes(), *b"Rust");
    }
}
