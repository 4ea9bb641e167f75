//! Interlocked lists of pool boxes.

use driver::abi::NTSTATUS;
use driver::{InterlockedList, Linked, PassiveLevel, PoolArc, SequencedList, SpinLock, Thread};

use crate::TAG;
use crate::pool::Counts;

pub(crate) fn sequenced() -> Result<(), NTSTATUS> {
    let list = SequencedList::new(TAG)?;
    assert!(list.pop().is_none());
    assert!(list.push(Linked::new(TAG, 1)?), "it was empty");
    assert!(!list.push(Linked::new(TAG, 2)?));
    assert_eq!(list.depth(), 2);
    let mut last = list.pop().expect("two are in it");
    *last += 10;
    assert_eq!(*last, 12);
    list.push(last);
    list.push(Linked::new(TAG, 3)?);
    let mut taken = list.take_all();
    assert_eq!(list.depth(), 0);
    assert_eq!(taken.next().map(Linked::into_inner), Some(3));
    assert_eq!(taken.next().map(Linked::into_inner), Some(12));
    // The third is dropped with this.
    drop(taken);

    let shared = PoolArc::new(TAG, SpinLock::new(0))?;
    let counted = SequencedList::new(TAG)?;
    for _ in 0..3 {
        counted.push(Linked::new(TAG, Counts(shared.clone()))?);
    }
    drop(counted.pop());
    assert_eq!(shared.with(|drops| *drops), 1);
    drop(counted);
    assert_eq!(shared.with(|drops| *drops), 3, "what is in a list is dropped with it");
    Ok(())
}

pub(crate) fn interlocked() -> Result<(), NTSTATUS> {
    let list = InterlockedList::new(TAG)?;
    assert!(list.pop_front().is_none());
    assert!(list.push_back(Linked::new(TAG, 2)?), "it was empty");
    assert!(!list.push_back(Linked::new(TAG, 3)?));
    assert!(!list.push_front(Linked::new(TAG, 1)?));
    for expected in 1..=3 {
        assert_eq!(list.pop_front().map(Linked::into_inner), Some(expected));
    }
    assert!(list.pop_front().is_none());

    let shared = PoolArc::new(TAG, SpinLock::new(0))?;
    let counted = InterlockedList::new(TAG)?;
    for _ in 0..3 {
        counted.push_back(Linked::new(TAG, Counts(shared.clone()))?);
    }
    drop(counted);
    assert_eq!(shared.with(|drops| *drops), 3, "what is in a list is dropped with it");
    Ok(())
}

/// Entries that each thread puts into either list, and takes out of it.
const EACH: u32 = 200;

pub(crate) fn between_threads(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let stack = PoolArc::new(TAG, SequencedList::new(TAG)?)?;
    let queue = PoolArc::new(TAG, InterlockedList::new(TAG)?)?;
    let sum = PoolArc::new(TAG, SpinLock::new(0))?;
    let start = || {
        let (stack, queue, sum) = (stack.clone(), queue.clone(), sum.clone());
        Thread::spawn(level, TAG, move |_stop| {
            for number in 0..EACH {
                stack.push(Linked::new(TAG, number).expect("pool"));
                // What it takes goes on, whoever put it in.
                if let Some(entry) = stack.pop() {
                    queue.push_back(entry);
                }
                if let Some(entry) = queue.pop_front() {
                    sum.with(|sum| *sum += entry.into_inner());
                }
            }
        })
    };
    let threads = [start()?, start()?, start()?];
    threads.into_iter().for_each(|thread| thread.join(level));
    let left: u32 = stack.take_all().map(Linked::into_inner).sum();
    let queued: u32 = core::iter::from_fn(|| queue.pop_front()).map(Linked::into_inner).sum();
    assert_eq!(sum.with(|sum| *sum) + left + queued, 3 * (EACH - 1) * EACH / 2);
    Ok(())
}
