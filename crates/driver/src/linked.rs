//! Interlocked lists of pool boxes: no lock of the driver's own, and nothing is allocated to put an entry in.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};

use abi::{KSPIN_LOCK, LIST_ENTRY, NTSTATUS, SLIST_ENTRY, SLIST_HEADER};

use crate::nt::{
    ExInterlockedInsertHeadList, ExInterlockedInsertTailList, ExInterlockedRemoveHeadList, ExQueryDepthSList,
    ExpInterlockedFlushSList, ExpInterlockedPopEntrySList, ExpInterlockedPushEntrySList,
};
use crate::{PoolBox, Tag};

/// The link is first, so that one address is both. It has room for either kind.
#[repr(C, align(16))]
struct Node<T> {
    link: MaybeUninit<LIST_ENTRY>,
    tag: Tag,
    value: T,
}

const _: () = assert!(size_of::<LIST_ENTRY>() >= size_of::<SLIST_ENTRY>());

/// A value in non-paged pool with room for a list's link: what a [`SequencedList`] or an [`InterlockedList`] takes and
/// gives back. IRQL of all uses: up to DISPATCH_LEVEL, as far as dropping the value allows.
pub struct Linked<T> {
    node: PoolBox<Node<T>>,
}

impl<T> Linked<T> {
    /// Moves `value` into pool. Fails with STATUS_INSUFFICIENT_RESOURCES, and drops it.
    pub fn new(tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        Ok(Self { node: PoolBox::new(tag, Node { link: MaybeUninit::uninit(), tag, value })? })
    }

    /// Takes the value out of pool.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.node.into_inner().value
    }

    fn into_link<L>(self) -> *mut L {
        self.node.leak().as_ptr().cast()
    }

    /// # Safety
    ///
    /// `link` is null, or of `into_link` and taken out of its list.
    unsafe fn from_link<L>(link: *mut L) -> Option<Self> {
        let node = NonNull::new(link.cast::<Node<T>>())?;
        // SAFETY: a node, which is the caller's alone.
        let tag = unsafe { (*node.as_ptr()).tag };
        // SAFETY: as above, allocated under its tag.
        Some(Self { node: unsafe { PoolBox::from_leaked(node, tag) } })
    }
}

impl<T> Deref for Linked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T> DerefMut for Linked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.node.value
    }
}

// SAFETY: the link is nobody's while the box is not in a list.
unsafe impl<T: Send> Send for Linked<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Linked<T> {}

/// A sequenced singly linked list (`SLIST_HEADER`): last in, first out, without a lock. Dropping it drops what is in it.
/// IRQL of all uses: up to DISPATCH_LEVEL.
pub struct SequencedList<T> {
    head: PoolBox<UnsafeCell<SLIST_HEADER>>,
    entries: PhantomData<T>,
}

// SAFETY: each entry is one thread's at a time: who pops it has it.
unsafe impl<T: Send> Send for SequencedList<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SequencedList<T> {}

impl<T> SequencedList<T> {
    /// An empty list. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        // What InitializeSListHead stores.
        let head = SLIST_HEADER { Alignment: 0, Region: 0 };
        Ok(Self { head: PoolBox::new(tag, UnsafeCell::new(head))?, entries: PhantomData })
    }

    /// Puts an entry in front. Returns whether the list was empty.
    pub fn push(&self, entry: Linked<T>) -> bool {
        // SAFETY: an initialised list, and an entry that is in none.
        let old = unsafe { ExpInterlockedPushEntrySList(self.head.get(), entry.into_link()) };
        old.is_null()
    }

    /// Takes the entry that was put in last.
    pub fn pop(&self) -> Option<Linked<T>> {
        // SAFETY: an initialised list, whose entries are of `push`.
        let link = unsafe { ExpInterlockedPopEntrySList(self.head.get()) };
        // SAFETY: as above; taken out just now.
        unsafe { Linked::from_link(link) }
    }

    /// Takes all entries at once, the last one first.
    pub fn take_all(&self) -> TakenEntries<T> {
        // SAFETY: an initialised list, whose entries are of `push`.
        let next = unsafe { ExpInterlockedFlushSList(self.head.get()) };
        TakenEntries { next, entries: PhantomData }
    }

    /// How many entries there are just now, modulo 65536.
    #[must_use]
    pub fn depth(&self) -> u16 {
        // SAFETY: an initialised list.
        unsafe { ExQueryDepthSList(self.head.get()) }
    }
}

impl<T> Drop for SequencedList<T> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// Entries of a [`SequencedList`], taken out together. What is not asked for is dropped with this.
pub struct TakenEntries<T> {
    next: *mut SLIST_ENTRY,
    entries: PhantomData<T>,
}

// SAFETY: the entries are in no list any more, and this one's alone.
unsafe impl<T: Send> Send for TakenEntries<T> {}

impl<T> Iterator for TakenEntries<T> {
    type Item = Linked<T>;

    fn next(&mut self) -> Option<Linked<T>> {
        let link = self.next;
        if link.is_null() {
            return None;
        }
        // SAFETY: an entry that was taken out, still linked to the next one.
        self.next = unsafe { (*link).Next };
        // SAFETY: of `push`, and taken out.
        unsafe { Linked::from_link(link) }
    }
}

impl<T> Drop for TakenEntries<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// A doubly linked list under a spin lock of its own (`ExInterlockedInsertTailList` and its kin), open at both ends. Dropping
/// it drops what is in it. IRQL of all uses: up to DISPATCH_LEVEL.
pub struct InterlockedList<T> {
    list: PoolBox<Locked>,
    entries: PhantomData<T>,
}

struct Locked {
    head: UnsafeCell<LIST_ENTRY>,
    lock: UnsafeCell<KSPIN_LOCK>,
}

// SAFETY: each entry is one thread's at a time: who takes it out has it.
unsafe impl<T: Send> Send for InterlockedList<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for InterlockedList<T> {}

impl<T> InterlockedList<T> {
    /// An empty list. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(tag: Tag) -> Result<Self, NTSTATUS> {
        let empty = LIST_ENTRY { Flink: ptr::null_mut(), Blink: ptr::null_mut() };
        let list = PoolBox::new(tag, Locked { head: UnsafeCell::new(empty), lock: UnsafeCell::new(0) })?;
        // What InitializeListHead stores.
        let head = list.head.get();
        // SAFETY: in pool, and nobody else's yet.
        unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
        Ok(Self { list, entries: PhantomData })
    }

    /// Puts an entry at the front. Returns whether the list was empty.
    pub fn push_front(&self, entry: Linked<T>) -> bool {
        let (head, lock) = (self.list.head.get(), self.list.lock.get());
        // SAFETY: an initialised list with its lock, and an entry that is in none.
        unsafe { ExInterlockedInsertHeadList(head, entry.into_link(), lock) }.is_null()
    }

    /// Puts an entry at the end. Returns whether the list was empty.
    pub fn push_back(&self, entry: Linked<T>) -> bool {
        let (head, lock) = (self.list.head.get(), self.list.lock.get());
        // SAFETY: an initialised list with its lock, and an entry that is in none.
        unsafe { ExInterlockedInsertTailList(head, entry.into_link(), lock) }.is_null()
    }

    /// Takes the entry at the front.
    pub fn pop_front(&self) -> Option<Linked<T>> {
        // SAFETY: an initialised list with its lock, whose entries are of `push_front` and `push_back`.
        let link = unsafe { ExInterlockedRemoveHeadList(self.list.head.get(), self.list.lock.get()) };
        // SAFETY: as above; taken out just now.
        unsafe { Linked::from_link(link) }
    }
}

impl<T> Drop for InterlockedList<T> {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}
