//! Counted pointers into non-paged pool. They know their type when the type is forgotten on the way through a file
//! object's context fields, whose two sides are the driver's own and a `PVOID`.

use core::any::TypeId;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use abi::NTSTATUS;

use crate::{PoolBox, Tag};

/// What every block begins with, whatever its value is.
struct Header {
    type_id: TypeId,
    count: AtomicUsize,
    /// Frees the block and drops its value.
    free: unsafe fn(NonNull<Header>),
}

/// The header is first, so that one address is both.
#[repr(C)]
struct Block<T> {
    header: Header,
    value: T,
}

/// A value in non-paged pool that lives as long as the last pointer to it. IRQL of all uses: up to DISPATCH_LEVEL, as
/// far as dropping the value allows.
pub struct PoolArc<T> {
    block: NonNull<Block<T>>,
    shared: PhantomData<Block<T>>,
}

// SAFETY: pointers in several threads share the value, and the last of them drops it, in whichever thread.
unsafe impl<T: Send + Sync> Send for PoolArc<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for PoolArc<T> {}

impl<T: Send + Sync + 'static> PoolArc<T> {
    /// Moves `value` into pool. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        let header = Header { type_id: TypeId::of::<T>(), count: AtomicUsize::new(1), free: free::<T> };
        let block = PoolBox::new(tag, Boxed { block: Block { header, value }, tag })?;
        Ok(Self { block: block.leak().cast(), shared: PhantomData })
    }

    /// Forgets the type; the count is handed on.
    pub(crate) fn erase(self) -> ErasedArc {
        let header = self.block.cast();
        core::mem::forget(self);
        ErasedArc { header }
    }
}

/// A block with what freeing it needs behind it.
#[repr(C)]
struct Boxed<T> {
    block: Block<T>,
    tag: Tag,
}

/// # Safety
///
/// `header` begins a block of `PoolArc::<T>::new` to which nobody points any more.
unsafe fn free<T>(header: NonNull<Header>) {
    let boxed = header.cast::<Boxed<T>>();
    // SAFETY: the caller's contract.
    let tag = unsafe { (*boxed.as_ptr()).tag };
    // SAFETY: a box of `new`, leaked there under this tag.
    drop(unsafe { PoolBox::from_leaked(boxed, tag) });
}

impl<T> PoolArc<T> {
    /// Whether both point to the same value.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.block == other.block
    }

    fn header(&self) -> &Header {
        // SAFETY: the block lives as long as its pointers.
        unsafe { &self.block.as_ref().header }
    }
}

impl<T> Deref for PoolArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the block lives as long as its pointers.
        unsafe { &self.block.as_ref().value }
    }
}

impl<T> Clone for PoolArc<T> {
    fn clone(&self) -> Self {
        let count = self.header().count.fetch_add(1, Ordering::Relaxed);
        assert!(count <= usize::MAX / 2, "pointers were leaked until their count overflowed");
        Self { block: self.block, shared: PhantomData }
    }
}

impl<T> Drop for PoolArc<T> {
    fn drop(&mut self) {
        // SAFETY: this pointer's count, given up once.
        unsafe { release(self.block.cast()) };
    }
}

/// # Safety
///
/// Gives up one count of a live block.
unsafe fn release(header: NonNull<Header>) {
    // SAFETY: the caller's contract.
    let Header { count, free, .. } = unsafe { header.as_ref() };
    let free = *free;
    if count.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: that was the last pointer.
        unsafe { free(header) };
    }
}

/// A [`PoolArc`] whose type is forgotten: what a file object's context field holds.
pub(crate) struct ErasedArc {
    header: NonNull<Header>,
}

impl ErasedArc {
    pub(crate) fn into_raw(self) -> *mut core::ffi::c_void {
        let raw = self.header.as_ptr().cast();
        core::mem::forget(self);
        raw
    }

    /// # Safety
    ///
    /// `raw` is null, or came from [`into_raw`](Self::into_raw), whose count this takes over.
    pub(crate) unsafe fn from_raw(raw: *mut core::ffi::c_void) -> Option<Self> {
        NonNull::new(raw.cast()).map(|header| Self { header })
    }

    /// The pointer with its type again, if it is this.
    pub(crate) fn downcast<T: 'static>(self) -> Result<PoolArc<T>, Self> {
        // SAFETY: the block lives as long as its pointers.
        if unsafe { self.header.as_ref() }.type_id != TypeId::of::<T>() {
            return Err(self);
        }
        let block = self.header.cast();
        core::mem::forget(self);
        Ok(PoolArc { block, shared: PhantomData })
    }

    /// The value behind a raw pointer, if it is of this type.
    ///
    /// # Safety
    ///
    /// `raw` is null, or came from [`into_raw`](Self::into_raw), and its count is held during `'a`.
    pub(crate) unsafe fn value<'a, T: 'static>(raw: *const core::ffi::c_void) -> Option<&'a T> {
        // SAFETY: the caller's contract.
        let header = unsafe { raw.cast::<Header>().as_ref() }?;
        if header.type_id != TypeId::of::<T>() {
            return None;
        }
        // SAFETY: a block of this type, which its count keeps.
        let block = unsafe { &*raw.cast::<Block<T>>() };
        Some(&block.value)
    }
}

impl Drop for ErasedArc {
    fn drop(&mut self) {
        // SAFETY: this pointer's count, given up once.
        unsafe { release(self.header) };
    }
}
