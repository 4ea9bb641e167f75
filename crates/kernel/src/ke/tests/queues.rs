//! Queues.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use abi::{STATUS_ABANDONED, STATUS_TIMEOUT};

use super::{Machine, delay, everywhere, on_linux, raised, relative};
use crate::Kernel;
use crate::ke::{Kqueue, ProcessorMode, QueueEnd, Removed, Thread, Timeout};
use crate::raw;

fn queue(machine: &Machine, count: u32) -> Kqueue {
    let queue = Kqueue::at(machine.allocate(Kqueue::SIZE));
    machine.ke.initialize_queue(queue, count).expect("pool is writable");
    queue
}

fn remove(kernel: &Kernel, thread: &Thread, queue: Kqueue, timeout: Timeout) -> Removed {
    kernel
        .ke
        .remove_queue(kernel, thread, queue, ProcessorMode::Kernel, false, timeout)
        .expect("no exception")
}

fn insert(kernel: &Kernel, queue: Kqueue, entry: u64) -> i32 {
    kernel.ke.insert_queue(kernel, queue, entry, QueueEnd::Tail).expect("pool is writable")
}

#[test]
fn entries_come_in_their_order_those_put_in_front_first() {
    on_linux(1, |machine| {
        let queue = queue(machine, 0);
        let entries = [machine.allocate(16), machine.allocate(16), machine.allocate(16)];
        assert_eq!(insert(machine, queue, entries[0]), 0);
        assert_eq!(insert(machine, queue, entries[1]), 1);
        let front = machine.ke.insert_queue(machine, queue, entries[2], QueueEnd::Head);
        assert_eq!(front.expect("pool is writable"), 2);
        assert_eq!(machine.ke.read_state_queue(queue).expect("readable"), 3);
        let taken = machine
            .inside(move |kernel, thread| [(); 4].map(|()| remove(kernel, thread, queue, Timeout::At(0))));
        let expected = [entries[2], entries[0], entries[1]].map(Removed::Entry);
        assert_eq!(taken[..3], expected);
        assert_eq!(taken[3], Removed::Status(STATUS_TIMEOUT));
        assert_eq!(
            raw::read::<u64>(entries[0]).expect("readable"),
            0,
            "an entry in no list has no successor"
        );
    });
}

#[test]
fn no_entry_is_lost_or_taken_twice() {
    everywhere(2, |machine| {
        let queue = queue(machine, 2);
        let entries: Vec<u64> = (0..6).map(|_| machine.allocate(16)).collect();
        let taken = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..3 {
            let taken = taken.clone();
            machine.spawn("taker", move |kernel, thread| {
                while let Removed::Entry(entry) = remove(kernel, thread, queue, relative(50)) {
                    taken.lock().expect("not poisoned").push(entry);
                }
            });
        }
        for part in entries.chunks(3).map(<[u64]>::to_vec) {
            machine.spawn("giver", move |kernel, _| {
                for entry in part {
                    insert(kernel, queue, entry);
                }
            });
        }
        machine.join();
        let mut taken = taken.lock().expect("not poisoned").clone();
        taken.sort_unstable();
        assert_eq!(taken, entries);
    });
}

#[test]
fn no_more_threads_run_than_the_queue_admits() {
    everywhere(2, |machine| {
        let queue = queue(machine, 1);
        let (running, most, turns) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (running, most, turns) = (running.clone(), most.clone(), turns.clone());
            machine.spawn("worker", move |kernel, thread| {
                while let Removed::Entry(_) = remove(kernel, thread, queue, relative(50)) {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    kernel.platform.preemption_point();
                    running.fetch_sub(1, Ordering::SeqCst);
                    turns.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let entries: Vec<u64> = (0..4).map(|_| machine.allocate(16)).collect();
        machine.spawn("giver", move |kernel, _| {
            for entry in entries {
                insert(kernel, queue, entry);
            }
        });
        machine.join();
        assert_eq!(turns.load(Ordering::SeqCst), 4);
        assert_eq!(most.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_second_thread_gets_its_entry_when_the_first_waits_and_not_before() {
    on_linux(2, |machine| {
        let queue = queue(machine, 1);
        let entries = [machine.allocate(16), machine.allocate(16)];
        let log = machine.inside(move |kernel, thread| {
            insert(kernel, queue, entries[0]);
            insert(kernel, queue, entries[1]);
            let first = remove(kernel, thread, queue, Timeout::At(0));
            // As the other thread would find it: one runs, one may.
            let count = queue.current_count().expect("readable");
            let left = kernel.ke.read_state_queue(queue).expect("readable");
            (first, count, left)
        });
        assert_eq!(log, (Removed::Entry(entries[0]), 1, 1));
        // The thread has ended, so it no longer counts.
        assert_eq!(queue.current_count().expect("readable"), 0);
        let second = Arc::new(Mutex::new(None));
        let (own, started) = (second.clone(), machine.event(abi::NotificationEvent, false));
        machine.spawn("first", move |kernel, thread| {
            let taken = remove(kernel, thread, queue, Timeout::At(0));
            assert_eq!(taken, Removed::Entry(entries[1]));
            insert(kernel, queue, entries[0]);
            kernel.ke.set_event(kernel, started, 0).expect("pool is writable");
            // It waits: now the other may have what was inserted.
            delay(kernel, thread, 20).expect("no exception");
        });
        machine.spawn("second", move |kernel, thread| {
            super::wait(kernel, thread, started.address(), Timeout::Never).expect("no exception");
            *own.lock().expect("not poisoned") = Some(remove(kernel, thread, queue, relative(5_000)));
        });
        machine.join();
        assert_eq!(*second.lock().expect("not poisoned"), Some(Removed::Entry(entries[0])));
    });
}

#[test]
fn a_queue_that_is_run_down_returns_its_entries_in_a_ring_and_lets_its_waiters_go() {
    everywhere(1, |machine| {
        let queue = queue(machine, 1);
        let ended = Arc::new(Mutex::new(None));
        let own = ended.clone();
        machine.spawn("waiter", move |kernel, thread| {
            *own.lock().expect("not poisoned") = Some(remove(kernel, thread, queue, relative(1_000)));
        });
        machine.spawn("ender", move |kernel, thread| {
            delay(kernel, thread, 10).expect("no exception");
            assert_eq!(kernel.ke.rundown_queue(kernel, queue).expect("pool is writable"), 0);
        });
        machine.join();
        assert_eq!(*ended.lock().expect("not poisoned"), Some(Removed::Status(STATUS_ABANDONED)));
        let entries = [machine.allocate(16), machine.allocate(16)];
        insert(machine, queue, entries[0]);
        insert(machine, queue, entries[1]);
        assert_eq!(machine.ke.rundown_queue(machine, queue).expect("pool is writable"), entries[0]);
        assert_eq!(raw::read::<u64>(entries[0]).expect("readable"), entries[1]);
        assert_eq!(raw::read::<u64>(entries[1]).expect("readable"), entries[0]);
    });
}

#[test]
fn a_thread_that_leaves_a_queue_for_one_that_is_damaged_lets_another_run_in_its_place() {
    everywhere(2, |machine| {
        let (sound, damaged) = (queue(machine, 1), queue(machine, 1));
        let entries = [machine.allocate(16), machine.allocate(16)];
        insert(machine, sound, entries[0]);
        insert(machine, damaged, machine.allocate(16));
        // A driver has overwritten the head of its list, which leads nowhere now.
        let head = damaged.address() + std::mem::offset_of!(abi::KQUEUE, EntryListHead) as u64;
        raw::write(head, 0x10_u64).expect("pool is writable");
        let joined = Arc::new(AtomicUsize::new(0));
        let own = joined.clone();
        machine.spawn("leaver", move |kernel, thread| {
            assert_eq!(remove(kernel, thread, sound, Timeout::Never), Removed::Entry(entries[0]));
            insert(kernel, sound, entries[1]);
            own.store(1, Ordering::SeqCst);
            for round in 0..10 {
                kernel.platform.relax(round);
            }
            let mode = ProcessorMode::Kernel;
            let taken = kernel.ke.remove_queue(kernel, thread, damaged, mode, false, Timeout::Never);
            assert_eq!(raised(taken), abi::STATUS_ACCESS_VIOLATION);
        });
        machine.spawn("other", move |kernel, thread| {
            while joined.load(Ordering::SeqCst) == 0 {
                kernel.platform.relax(u32::MAX);
            }
            assert_eq!(remove(kernel, thread, sound, Timeout::Never), Removed::Entry(entries[1]));
        });
    });
}
