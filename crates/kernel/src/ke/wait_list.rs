//! Who waits for which object, in order of arrival.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use abi::NTSTATUS;

use super::queue;
use super::wait::{ProcessorMode, WaitType};
use super::waiter::Waiter;
use crate::Kernel;

/// The list of threads that wait for no object: delays.
pub(super) const NO_OBJECT: u64 = 0;

const END: u32 = u32::MAX;

/// All wait lists of a machine. Blocks are used again, so that a wait allocates nothing once the machine is warm.
#[derive(Debug)]
pub(super) struct WaitLists {
    blocks: Vec<Block>,
    free: u32,
    lists: HashMap<u64, List, BuildHasherDefault<AddressHasher>>,
}

/// One object of one thread's wait.
#[derive(Debug)]
struct Block {
    /// None while the block is free.
    waiter: Option<Arc<Waiter>>,
    object: u64,
    /// Which of the wait's objects.
    key: u32,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl WaitLists {
    pub(super) fn new() -> Self {
        Self { blocks: Vec::new(), free: END, lists: HashMap::default() }
    }

    /// The first thread that waits for `object`, with the index of the object in its wait.
    pub(super) fn first(&self, object: u64) -> Option<u32> {
        self.lists.get(&object).map(|list| list.first)
    }

    /// The last one.
    pub(super) fn last(&self, object: u64) -> Option<u32> {
        self.lists.get(&object).map(|list| list.last)
    }

    /// The waiter of a block, the key of the object in its wait.
    pub(super) fn waiter(&self, block: u32) -> Option<(&Arc<Waiter>, u32)> {
        let block = &self.blocks[block as usize];
        block.waiter.as_ref().map(|waiter| (waiter, block.key))
    }

    /// The block after this one that belongs to another thread: ending this thread's wait leaves it in place.
    pub(super) fn next_thread(&self, block: u32) -> Option<u32> {
        let own = self.blocks[block as usize].waiter.as_ref().map(Arc::as_ptr);
        let mut next = self.blocks[block as usize].next;
        while next != END && self.blocks[next as usize].waiter.as_ref().map(Arc::as_ptr) == own {
            next = self.blocks[next as usize].next;
        }
        (next != END).then_some(next)
    }

    /// Begins a wait for one of `objects`; see [`Self::link`].
    pub(super) fn begin(
        &mut self,
        waiter: &Arc<Waiter>,
        objects: &[u64],
        mode: ProcessorMode,
        alertable: bool,
    ) {
        let mut own = waiter.state();
        (own.kind, own.mode, own.alertable) = (WaitType::Any, mode, alertable);
        own.objects.clear();
        drop(own);
        waiter.begin();
        self.link(waiter, objects);
    }

    /// Appends `waiter` to the list of each of its wait's objects, or to that of [`NO_OBJECT`].
    pub(super) fn link(&mut self, waiter: &Arc<Waiter>, objects: &[u64]) {
        let mut state = waiter.state();
        state.blocks.clear();
        let objects = if objects.is_empty() { &[NO_OBJECT] } else { objects };
        for (key, object) in (0..).zip(objects) {
            let index = self.append(waiter, *object, key);
            state.blocks.push(index);
        }
    }

    /// Takes `waiter` out of all lists. Does nothing when it is in none.
    pub(super) fn unlink(&mut self, waiter: &Waiter) {
        let mut state = waiter.state();
        for index in state.blocks.drain(..) {
            self.remove(index);
        }
    }

    /// All threads that wait, some of them more than once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Waiter>> {
        self.blocks.iter().filter_map(|block| block.waiter.as_ref())
    }

    fn append(&mut self, waiter: &Arc<Waiter>, object: u64, key: u32) -> u32 {
        let list = self.lists.get(&object).copied();
        let previous = list.map_or(END, |list| list.last);
        let block = Block { waiter: Some(waiter.clone()), object, key, previous, next: END };
        let index = self.free;
        let index = if index == END {
            self.blocks.push(block);
            u32::try_from(self.blocks.len() - 1).expect("fewer than 2^32 waits at a time")
        } else {
            self.free = self.blocks[index as usize].next;
            self.blocks[index as usize] = block;
            index
        };
        if previous != END {
            self.blocks[previous as usize].next = index;
        }
        self.lists.insert(object, List { first: list.map_or(index, |list| list.first), last: index });
        index
    }

    fn remove(&mut self, index: u32) {
        let block = &mut self.blocks[index as usize];
        let (object, previous, next) = (block.object, block.previous, block.next);
        block.waiter = None;
        block.next = self.free;
        self.free = index;
        if previous != END {
            self.blocks[previous as usize].next = next;
        }
        if next != END {
            self.blocks[next as usize].previous = previous;
        }
        if previous == END && next == END {
            self.lists.remove(&object);
        } else if let Some(list) = self.lists.get_mut(&object) {
            list.first = if previous == END { next } else { list.first };
            list.last = if next == END { previous } else { list.last };
        }
    }
}

/// Threads to unpark once the dispatcher's lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Wakes {
    first: Option<Arc<Waiter>>,
    others: Vec<Arc<Waiter>>,
}

impl Wakes {
    pub(super) fn push(&mut self, waiter: Arc<Waiter>) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.others.push(waiter),
        }
    }

    /// Lets the threads go on. Never under the dispatcher's lock.
    pub(super) fn wake(self, kernel: &Kernel) {
        for waiter in self.first.iter().chain(&self.others) {
            kernel.platform.unpark(&waiter.parker);
        }
    }
}

/// Ends the wait of `waiter` and has it woken.
pub(super) fn finish(lists: &mut WaitLists, waiter: &Arc<Waiter>, status: NTSTATUS, wakes: &mut Wakes) {
    lists.unlink(waiter);
    queue::end_wait(waiter);
    waiter.finish(status);
    wakes.push(waiter.clone());
}

/// Spreads addresses, which differ in few bits.
#[derive(Debug, Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, address: u64) {
        let mixed = (self.0 ^ address).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
