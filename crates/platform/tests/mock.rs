//! What the mock promises beyond `Platform`: replay, every interleaving, virtual time, and runs that fail cleanly.

extern crate ringbridge_platform as platform;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use platform::mock::{Deadlock, DeadlockCause, Stranded, StrandedThread};
use platform::scheduler::Lock;
use platform::{Mock, Parked, Parker, Platform};

/// Three threads that each write their number three times; what came out, in order.
fn history(mock: &Mock) -> Vec<usize> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let platform = mock.clone();
    let log = Arc::clone(&written);
    mock.run(move || {
        for number in 0..3 {
            let log = Arc::clone(&log);
            let own = platform.clone();
            let body = move || {
                for _ in 0..3 {
                    log.lock().expect("not poisoned").push(number);
                    own.preemption_point();
                }
            };
            platform.spawn("writer", Box::new(body)).expect("a thread starts");
        }
    })
    .expect("no deadlock");
    Arc::into_inner(written).expect("all threads ended").into_inner().expect("not poisoned")
}

#[test]
fn the_same_seed_gives_the_same_history_and_others_give_others() {
    let of = |seed| history(&Mock::new(seed));
    assert_eq!(of(1), of(1));
    let different: BTreeSet<Vec<usize>> = (0..50).map(of).collect();
    assert!(different.len() > 30, "{}", different.len());
}

#[test]
fn a_recorded_schedule_gives_the_same_history() {
    for seed in 0..50 {
        let drawn = Mock::new(seed);
        let first = history(&drawn);
        let replayed = Mock::with_schedule(drawn.schedule());
        assert_eq!(history(&replayed), first, "seed {seed}");
        assert_eq!(replayed.schedule(), drawn.schedule(), "seed {seed}");
    }
}

#[test]
fn without_choices_each_thread_runs_until_it_parks() {
    assert_eq!(history(&Mock::with_schedule(Vec::new())), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

/// Two threads with two steps each.
fn two_by_two(mock: &Mock) -> String {
    let written = Arc::new(Mutex::new(String::new()));
    let platform = mock.clone();
    let log = Arc::clone(&written);
    mock.run(move || {
        for letter in ['a', 'b'] {
            let log = Arc::clone(&log);
            let own = platform.clone();
            let body = move || {
                log.lock().expect("not poisoned").push(letter);
                own.preemption_point();
                log.lock().expect("not poisoned").push(letter);
            };
            platform.spawn("writer", Box::new(body)).expect("a thread starts");
        }
    })
    .expect("no deadlock");
    written.lock().expect("not poisoned").clone()
}

/// Calls `run` with a fresh mock for every schedule in depth-first order.
fn explore(mut run: impl FnMut(&Mock)) -> usize {
    let mut next = Some(Vec::new());
    let mut count = 0;
    while let Some(schedule) = next {
        let mock = Mock::with_schedule(schedule);
        run(&mock);
        count += 1;
        next = mock.next_schedule();
    }
    count
}

#[test]
fn depth_first_exploration_meets_every_interleaving() {
    let mut seen = BTreeSet::new();
    explore(|mock| {
        seen.insert(two_by_two(mock));
    });
    let all = ["aabb", "abab", "abba", "baab", "baba", "bbaa"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

/// Waits for a flag in the wrong way: the setter may look for a waiter before there is one.
fn forgetful(mock: &Mock) -> Result<(), Deadlock> {
    let platform = mock.clone();
    mock.run(move || {
        let set = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new(AtomicBool::new(false));
        let parker = Arc::new(Parker::new());
        let (other_set, other_waiting, other_parker) =
            (Arc::clone(&set), Arc::clone(&waiting), Arc::clone(&parker));
        let own = platform.clone();
        let setter = move || {
            other_set.store(true, Relaxed);
            own.preemption_point();
            if other_waiting.load(Relaxed) {
                own.unpark(&other_parker);
            }
        };
        platform.spawn("setter", Box::new(setter)).expect("a thread starts");
        if !set.load(Relaxed) {
            platform.preemption_point();
            waiting.store(true, Relaxed);
            platform.park(&parker, None);
        }
    })
    .map(drop)
}

#[test]
fn exploration_finds_a_lost_wakeup_and_its_schedule_replays_it() {
    let mut lost = Vec::new();
    let all = explore(|mock| lost.extend(forgetful(mock).err()));
    assert!(!lost.is_empty() && lost.len() < all, "{} of {all}", lost.len());
    for deadlock in lost {
        assert_eq!(deadlock.cause, DeadlockCause::AllParked);
        let root = StrandedThread { number: 0, name: "root".to_owned(), parked: true };
        assert_eq!(deadlock.threads, [root]);
        let again = forgetful(&Mock::with_schedule(deadlock.schedule.clone()));
        assert_eq!(again, Err(deadlock));
    }
}

#[test]
fn the_lock_admits_one_thread_under_every_interleaving() {
    let count = explore(|mock| {
        let platform = mock.clone();
        let lock = Arc::new(Lock::new(0));
        let inside = Arc::new(AtomicBool::new(false));
        let checked = Arc::clone(&lock);
        mock.run(move || {
            for _ in 0..2 {
                let (lock, inside, own) = (Arc::clone(&lock), Arc::clone(&inside), platform.clone());
                let body = move || {
                    let mut value = lock.lock(&own);
                    assert!(!inside.swap(true, Relaxed));
                    own.preemption_point();
                    *value += 1;
                    inside.store(false, Relaxed);
                };
                platform.spawn("locker", Box::new(body)).expect("a thread starts");
            }
        })
        .expect("no deadlock");
        assert_eq!(*checked.try_lock(mock).expect("free"), 2);
    });
    assert!(count > 20, "{count}");
}

/// Threads that wait for a held lock get it in the order in which they came, whoever else tries meanwhile.
#[test]
fn a_lock_is_handed_on_in_arrival_order() {
    let mock = Mock::with_schedule(Vec::new());
    let platform = mock.clone();
    mock.run(move || {
        let lock = Arc::new(Lock::new(Vec::new()));
        let held = lock.lock(&platform);
        for number in 0..4 {
            let (lock, own) = (Arc::clone(&lock), platform.clone());
            let body = move || lock.lock(&own).push(number);
            platform.spawn("waiter", Box::new(body)).expect("a thread starts");
            // Virtual time: passes only when the waiter has parked.
            platform.park(&Parker::new(), Some(platform.interrupt_time() + 1));
        }
        drop(held);
        platform.park(&Parker::new(), Some(platform.interrupt_time() + 1));
        assert_eq!(*lock.lock(&platform), [0, 1, 2, 3]);
    })
    .expect("no deadlock");
}

/// A thread that releases and takes again at once cannot keep a waiter out for ever.
#[test]
fn a_waiter_that_lost_a_race_is_handed_the_lock() {
    let mock = Mock::with_schedule(Vec::new()).with_step_limit(10_000);
    let platform = mock.clone();
    mock.run(move || {
        let lock = Arc::new(Lock::new(false));
        let (other, own) = (Arc::clone(&lock), platform.clone());
        let mut held = lock.lock(&platform);
        platform.spawn("waiter", Box::new(move || *other.lock(&own) = true)).expect("a thread starts");
        while !*held {
            platform.park(&Parker::new(), Some(platform.interrupt_time() + 1));
            drop(held);
            held = lock.lock(&platform);
        }
    })
    .expect("the waiter gets the lock");
}

#[test]
fn virtual_time_jumps_from_deadline_to_deadline_in_order() {
    const HOUR: u64 = 36_000_000_000;
    for seed in 0..20 {
        let mock = Mock::new(seed);
        let platform = mock.clone();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&woken);
        let report = mock
            .run(move || {
                for hours in [5, 1, 4, 2, 3] {
                    let (log, own) = (Arc::clone(&log), platform.clone());
                    let body = move || {
                        assert_eq!(own.park(&Parker::new(), Some(hours * HOUR)), Parked::TimedOut);
                        assert_eq!(own.interrupt_time(), hours * HOUR);
                        log.lock().expect("not poisoned").push(hours);
                    };
                    platform.spawn("sleeper", Box::new(body)).expect("a thread starts");
                }
            })
            .expect("no deadlock");
        assert_eq!(*woken.lock().expect("not poisoned"), [1, 2, 3, 4, 5]);
        assert_eq!((report.interrupt_time, report.threads), (5 * HOUR, 6));
    }
}

/// Whether a worker that never parks was overtaken by a time-out.
fn overtaken(mock: &Mock) -> bool {
    let platform = mock.clone();
    let result = Arc::new(AtomicBool::new(false));
    let out = Arc::clone(&result);
    mock.run(move || {
        let parker = Arc::new(Parker::new());
        let (other, own) = (Arc::clone(&parker), platform.clone());
        let worker = move || {
            own.preemption_point();
            own.unpark(&other);
        };
        platform.spawn("worker", Box::new(worker)).expect("a thread starts");
        out.store(platform.park(&parker, Some(1)) == Parked::TimedOut, Relaxed);
    })
    .expect("no deadlock");
    result.load(Relaxed)
}

#[test]
fn deadlines_overtake_running_threads_only_when_asked() {
    assert!((0..100).all(|seed| !overtaken(&Mock::new(seed))));
    assert!((0..100).any(|seed| overtaken(&Mock::new(seed).with_early_deadlines())));
    assert!((0..100).any(|seed| !overtaken(&Mock::new(seed).with_early_deadlines())));
}

/// Counts its drops.
struct Witness(Arc<AtomicUsize>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn two_locks_in_two_orders(mock: &Mock, drops: &Arc<AtomicUsize>) -> Result<(), Deadlock> {
    let platform = mock.clone();
    let drops = Arc::clone(drops);
    mock.run(move || {
        let locks = Arc::new([Lock::new(()), Lock::new(())]);
        for (name, first) in [("forward", 0), ("backward", 1)] {
            let (locks, own, witness) = (Arc::clone(&locks), platform.clone(), Witness(Arc::clone(&drops)));
            let body = move || {
                let _witness = witness;
                let _outer = locks[first].lock(&own);
                let _inner = locks[1 - first].lock(&own);
            };
            platform.spawn(name, Box::new(body)).expect("a thread starts");
        }
    })
    .map(drop)
}

#[test]
fn a_deadlock_names_its_threads_and_unwinds_them() {
    let mut found = 0;
    for seed in 0..100 {
        let drops = Arc::new(AtomicUsize::new(0));
        let mock = Mock::new(seed);
        if let Err(deadlock) = two_locks_in_two_orders(&mock, &drops) {
            found += 1;
            let names: Vec<&str> = deadlock.threads.iter().map(|thread| thread.name.as_str()).collect();
            assert_eq!(names, ["forward", "backward"]);
            let text = deadlock.to_string();
            assert!(text.contains("forward (1 parked) backward (2 parked)"), "{text}");
            // The mock is usable again.
            mock.run(|| {}).expect("nothing is left behind");
        }
        assert_eq!(drops.load(Relaxed), 2, "seed {seed}");
    }
    assert!((1..100).contains(&found), "{found}");
}

#[test]
fn threads_of_a_deadlock_are_left_alone_when_asked() {
    let drops = Arc::new(AtomicUsize::new(0));
    // The root ends; `forward` takes its first lock, `backward` runs into it, then both are stuck.
    let stuck = (0..100).find_map(|seed| {
        let before = drops.load(Relaxed);
        let mock = Mock::new(seed).with_stranded(Stranded::Leave);
        let deadlock = two_locks_in_two_orders(&mock, &drops).err()?;
        Some((deadlock, drops.load(Relaxed) - before))
    });
    let (deadlock, dropped) = stuck.expect("one of the seeds deadlocks");
    assert_eq!(deadlock.threads.len(), 2);
    assert_eq!(dropped, 0);
}

#[test]
fn destructors_that_park_do_not_hold_up_the_end_of_a_failed_run() {
    struct Waits(Mock, Parker);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert_eq!(self.0.park(&self.1, None), Parked::Unparked);
        }
    }
    let mock = Mock::new(3);
    let platform = mock.clone();
    let deadlock = mock.run(move || {
        let waits = Waits(platform.clone(), Parker::new());
        platform.park(&waits.1, None);
    });
    assert_eq!(deadlock.expect_err("nobody unparks").cause, DeadlockCause::AllParked);
}

#[test]
fn a_panic_in_any_thread_comes_out_of_run() {
    for seed in 0..20 {
        let mock = Mock::new(seed);
        let platform = mock.clone();
        let drops = Arc::new(AtomicUsize::new(0));
        let witness = Witness(Arc::clone(&drops));
        let result = catch_unwind(AssertUnwindSafe(|| {
            mock.run(move || {
                let _witness = witness;
                platform.spawn("faulty", Box::new(|| panic!("out of thread"))).expect("a thread starts");
                platform.park(&Parker::new(), None);
            })
        }));
        let payload = result.expect_err("the panic");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of thread"));
        assert_eq!(drops.load(Relaxed), 1);
        mock.run(|| {}).expect("nothing is left behind");
    }
}

#[test]
fn endless_spinning_ends_at_the_step_limit() {
    let mock = Mock::new(1).with_step_limit(1000);
    let platform = mock.clone();
    let deadlock = mock
        .run(move || {
            loop {
                platform.relax(0);
            }
        })
        .expect_err("the loop never ends by itself");
    assert_eq!(deadlock.cause, DeadlockCause::StepLimit);
    assert!(!deadlock.threads[0].parked);
}

#[test]
fn spawn_fails_at_the_thread_limit_and_outside_of_a_run() {
    let mock = Mock::new(1).with_thread_limit(2);
    assert!(mock.spawn("early", Box::new(|| {})).is_err());
    let platform = mock.clone();
    mock.run(move || {
        let (own, parker) = (platform.clone(), Arc::new(Parker::new()));
        let other = Arc::clone(&parker);
        let sleeper = move || {
            own.park(&other, None);
        };
        platform.spawn("one", Box::new(sleeper)).expect("the root and one more");
        let error = platform.spawn("two", Box::new(|| panic!("must not run"))).expect_err("the limit");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        platform.unpark(&parker);
    })
    .expect("no deadlock");
}
