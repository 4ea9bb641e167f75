//! Sequenced singly linked lists: `SLIST_HEADER`, last in, first out, without a lock.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use abi::{NTSTATUS, SLIST_ENTRY, SLIST_HEADER};

use crate::nt::{
    ExQueryDepthSList, ExpInterlockedFlushSList, ExpInterlockedPopEntrySList, ExpInterlockedPushEntrySList,
};
use crate::{PoolBox, Tag};

/// Values in non-paged pool that threads and DPCs push and pop at once. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct SequencedList<T: Send> {
    head: PoolBox<Head>,
    tag: Tag,
    values: PhantomData<T>,
}

struct Head(UnsafeCell<SLIST_HEADER>);

// SAFETY: the head is changed by NT's interlocked functions alone.
unsafe impl Send for Head {}
// SAFETY: as above.
unsafe impl Sync for Head {}

// SAFETY: values are moved in and out, never shared.
unsafe impl<T: Send> Sync for SequencedList<T> {}

/// The link is first, so that one address is both.
#[repr(C)]
struct Node<T> {
    link: SLIST_ENTRY,
    value: T,
}

impl<T: Send> SequencedList<T> {
    /// An empty list; its values will be under the same tag. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        // What `InitializeSListHead` does, which the headers inline.
        let head = PoolBox::new(tag, Head(UnsafeCell::new(SLIST_HEADER { Alignment: 0, Region: 0 })))?;
        Ok(Self { head, tag, values: PhantomData })
    }

    /// Puts a value in front. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn push(&self, value: T) -> Result<(), NTSTATUS> {
        let node = PoolBox::new(self.tag, Node { link: SLIST_ENTRY { Next: ptr::null_mut() }, value })?;
        let entry = node.leak().as_ptr().cast();
        // SAFETY: the list's head, and an entry that is in no list.
        unsafe { ExpInterlockedPushEntrySList(self.head.0.get(), entry) };
        Ok(())
    }

    /// Takes the value that was pushed last.
    #[must_use]
    pub fn pop(&self) -> Option<T> {
        // SAFETY: the list's head.
        let entry = unsafe { ExpInterlockedPopEntrySList(self.head.0.get()) };
        // SAFETY: an entry that is in no list any more.
        NonNull::new(entry).map(|entry| unsafe { self.take(entry) })
    }

    /// Takes all values at once, the last one pushed first, and hands each to `each`.
    pub fn flush(&self, mut each: impl FnMut(T)) {
        // SAFETY: the list's head.
        let mut next = unsafe { ExpInterlockedFlushSList(self.head.0.get()) };
        while let Some(entry) = NonNull::new(next) {
            // SAFETY: the entries stay linked, and are this call's alone.
            next = unsafe { (*entry.as_ptr()).Next };
            // SAFETY: as above.
            each(unsafe { self.take(entry) });
        }
    }

    /// How many values there are, while nobody else pushes or pops.
    #[must_use]
    pub fn depth(&self) -> u16 {
        // SAFETY: the list's head.
        unsafe { ExQueryDepthSList(self.head.0.get()) }
    }

    /// # Safety
    ///
    /// The entry of a value that was pushed here, which is in no list any more; called once.
    unsafe fn take(&self, entry: NonNull<SLIST_ENTRY>) -> T {
        // SAFETY: a node that `push` leaked, under this tag.
        let node = unsafe { PoolBox::from_leaked(entry.cast::<Node<T>>(), self.tag) };
        node.into_inner().value
    }
}

impl<T: Send> Drop for SequencedList<T> {
    fn drop(&mut self) {
        self.flush(drop);
    }
}
