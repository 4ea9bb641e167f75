//! The rules of `Platform`, one function each, run on Linux and on the mock under many seeds.

extern crate ringbridge_platform as platform;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use platform::scheduler::Lock;
use platform::{Linux, Mock, Parked, Parker, Platform};

type Shared = Arc<dyn Platform>;

const MILLISECOND: u64 = 10_000;

/// Threads that a rule starts and waits for; a panic in one of them fails the rule.
struct Team {
    platform: Shared,
    ended: Arc<Ended>,
    started: usize,
}

#[derive(Default)]
struct Ended {
    count: AtomicUsize,
    parker: Parker,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Team {
    fn new(platform: &Shared) -> Self {
        Self { platform: Arc::clone(platform), ended: Arc::default(), started: 0 }
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce(&Shared) + Send + 'static) {
        let platform = Arc::clone(&self.platform);
        let ended = Arc::clone(&self.ended);
        let body = move || {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(&platform))) {
                *ended.panic.lock().expect("not poisoned") = Some(payload);
            }
            ended.count.fetch_add(1, Relaxed);
            platform.unpark(&ended.parker);
        };
        self.platform.spawn(name, Box::new(body)).expect("a thread starts");
        self.started += 1;
    }

    fn wait(self) {
        while self.ended.count.load(Relaxed) < self.started {
            assert_eq!(self.platform.park(&self.ended.parker, None), Parked::Unparked);
        }
        if let Some(payload) = self.ended.panic.lock().expect("not poisoned").take() {
            resume_unwind(payload);
        }
    }
}

fn unparks_do_not_add_up(platform: &Shared) {
    let parker = Parker::new();
    platform.unpark(&parker);
    platform.unpark(&parker);
    assert_eq!(platform.park(&parker, None), Parked::Unparked);
    assert_eq!(platform.park(&parker, Some(platform.interrupt_time())), Parked::TimedOut);
}

fn a_pending_unpark_wins_over_a_past_deadline(platform: &Shared) {
    let parker = Parker::new();
    platform.unpark(&parker);
    assert_eq!(platform.park(&parker, Some(0)), Parked::Unparked);
    assert_eq!(platform.park(&parker, Some(0)), Parked::TimedOut);
}

fn a_park_that_timed_out_leaves_the_parker_usable(platform: &Shared) {
    let parker = Parker::new();
    let soon = platform.interrupt_time() + MILLISECOND;
    assert_eq!(platform.park(&parker, Some(soon)), Parked::TimedOut);
    platform.unpark(&parker);
    assert_eq!(platform.park(&parker, None), Parked::Unparked);
}

fn the_farthest_deadline_does_not_come(platform: &Shared) {
    let parker = Arc::new(Parker::new());
    let mut team = Team::new(platform);
    let other = Arc::clone(&parker);
    team.spawn("waker", move |platform| platform.unpark(&other));
    assert_eq!(platform.park(&parker, Some(u64::MAX)), Parked::Unparked);
    team.wait();
}

fn deadlines_come_no_earlier_than_asked(platform: &Shared) {
    let mut team = Team::new(platform);
    for number in [5, 1, 4, 2, 3] {
        team.spawn("sleeper", move |platform| {
            let parker = Parker::new();
            let deadline = platform.interrupt_time() + number * MILLISECOND;
            assert_eq!(platform.park(&parker, Some(deadline)), Parked::TimedOut);
            assert!(platform.interrupt_time() >= deadline);
        });
    }
    team.wait();
}

fn the_clocks_do_not_go_back(platform: &Shared) {
    let parker = Parker::new();
    let system = platform.system_time();
    let mut last = platform.interrupt_time();
    for _ in 0..100 {
        platform.preemption_point();
        let now = platform.interrupt_time();
        assert!(now >= last);
        last = now;
    }
    platform.park(&parker, Some(last + MILLISECOND));
    assert!(platform.interrupt_time() >= last + MILLISECOND);
    // Both clocks count the same unit, from any year after 2020.
    assert!(system > 132_223_104_000_000_000);
    assert!(platform.system_time() >= system + MILLISECOND);
}

fn a_name_with_a_nul_is_refused_and_the_body_dropped(platform: &Shared) {
    let witness = Arc::new(());
    let inside = Arc::clone(&witness);
    let body = Box::new(move || panic!("must not run: {inside:?}"));
    let error = platform.spawn("a\0b", body).expect_err("the name holds a NUL");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(Arc::strong_count(&witness), 1);
}

fn a_baton_goes_round_many_threads(platform: &Shared) {
    const THREADS: usize = 12;
    const ROUNDS: usize = 20;
    let parkers: Arc<Vec<Parker>> = Arc::new((0..THREADS).map(|_| Parker::new()).collect());
    let turns = Arc::new(AtomicUsize::new(0));
    let mut team = Team::new(platform);
    for own in 0..THREADS {
        let parkers = Arc::clone(&parkers);
        let turns = Arc::clone(&turns);
        team.spawn("runner", move |platform| {
            for round in 0..ROUNDS {
                assert_eq!(platform.park(&parkers[own], None), Parked::Unparked);
                // Relaxed: parking itself makes the writes of whoever unparked visible.
                assert_eq!(turns.load(Relaxed), round * THREADS + own);
                turns.store(turns.load(Relaxed) + 1, Relaxed);
                platform.unpark(&parkers[(own + 1) % THREADS]);
            }
        });
    }
    platform.unpark(&parkers[0]);
    team.wait();
    assert_eq!(turns.load(Relaxed), THREADS * ROUNDS);
}

/// A counter that several threads raise and one lowers, with the usual loop around park.
fn no_wakeup_is_lost(platform: &Shared) {
    const PRODUCERS: usize = 3;
    const ITEMS: usize = 20;
    let parker = Arc::new(Parker::new());
    let items = Arc::new(AtomicUsize::new(0));
    let mut team = Team::new(platform);
    for _ in 0..PRODUCERS {
        let parker = Arc::clone(&parker);
        let items = Arc::clone(&items);
        team.spawn("producer", move |platform| {
            for _ in 0..ITEMS {
                items.fetch_add(1, Relaxed);
                platform.unpark(&parker);
            }
        });
    }
    let mut taken = 0;
    while taken < PRODUCERS * ITEMS {
        match items.swap(0, Relaxed) {
            0 => assert_eq!(platform.park(&parker, None), Parked::Unparked),
            count => taken += count,
        }
    }
    team.wait();
}

fn an_unpark_at_the_deadline_is_not_lost(platform: &Shared) {
    for _ in 0..20 {
        let parker = Arc::new(Parker::new());
        let deadline = platform.interrupt_time() + MILLISECOND / 10;
        let other = Arc::clone(&parker);
        let mut team = Team::new(platform);
        team.spawn("waker", move |platform| {
            platform.park(&Parker::new(), Some(deadline));
            platform.unpark(&other);
        });
        if platform.park(&parker, Some(deadline)) == Parked::TimedOut {
            // Then it is still to come, or pending.
            assert_eq!(platform.park(&parker, None), Parked::Unparked);
        }
        team.wait();
    }
}

fn a_lock_admits_one_thread_at_a_time(platform: &Shared) {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 50;
    let lock = Arc::new(Lock::new(0_u64));
    let inside = Arc::new(AtomicBool::new(false));
    let mut team = Team::new(platform);
    for _ in 0..THREADS {
        let lock = Arc::clone(&lock);
        let inside = Arc::clone(&inside);
        team.spawn("locker", move |platform| {
            for _ in 0..ROUNDS {
                let mut count = lock.lock(&**platform);
                assert!(!inside.swap(true, Relaxed));
                platform.preemption_point();
                *count += 1;
                inside.store(false, Relaxed);
            }
        });
    }
    team.wait();
    assert_eq!(*lock.lock(&**platform), THREADS * ROUNDS);
}

fn a_held_lock_is_not_taken_by_trying(platform: &Shared) {
    let lock = Lock::new(());
    let held = lock.lock(&**platform);
    assert!(lock.try_lock(&**platform).is_none());
    assert!(lock.try_lock(&**platform).is_none(), "the first attempt has not opened it");
    drop(held);
    assert!(lock.try_lock(&**platform).is_some());
    assert!(lock.try_lock(&**platform).is_some());
}

fn a_spin_loop_lets_its_partner_run(platform: &Shared) {
    let flag = Arc::new(AtomicBool::new(false));
    let other = Arc::clone(&flag);
    let mut team = Team::new(platform);
    team.spawn("setter", move |_| other.store(true, Relaxed));
    let mut round = 0;
    while !flag.load(Relaxed) {
        platform.relax(round);
        round = round.saturating_add(1);
    }
    team.wait();
}

fn a_spin_loop_sees_time_pass(platform: &Shared) {
    let until = platform.interrupt_time() + MILLISECOND;
    let mut round = 0;
    while platform.interrupt_time() < until {
        platform.relax(round);
        round = round.saturating_add(1);
    }
}

fn threads_start_threads(platform: &Shared) {
    fn tree(platform: &Shared, depth: u64, leaves: &Arc<AtomicU64>) {
        if depth == 0 {
            leaves.fetch_add(1, Relaxed);
            return;
        }
        let mut team = Team::new(platform);
        for _ in 0..2 {
            let leaves = Arc::clone(leaves);
            team.spawn("branch", move |platform| tree(platform, depth - 1, &leaves));
        }
        team.wait();
    }
    let leaves = Arc::new(AtomicU64::new(0));
    tree(platform, 3, &leaves);
    assert_eq!(leaves.load(Relaxed), 8);
}

const SEEDS: u64 = 60;

fn on_linux(rule: fn(&Shared)) {
    let spinning: Shared = Arc::new(Linux::with_park_spins(100));
    for platform in [Arc::new(Linux::new()) as Shared, spinning] {
        rule(&platform);
    }
}

fn on_mock(rule: fn(&Shared)) {
    for seed in 0..SEEDS {
        let mut mock = Mock::new(seed);
        if seed % 2 == 1 {
            mock = mock.with_early_deadlines();
        }
        let platform: Shared = Arc::new(mock.clone());
        mock.run(move || rule(&platform)).unwrap_or_else(|deadlock| panic!("seed {seed}: {deadlock}"));
    }
}

macro_rules! rules {
    ($($rule:ident)*) => {
        mod linux {
            $(#[test] fn $rule() { super::on_linux(super::$rule); })*
        }
        mod mock {
            $(#[test] fn $rule() { super::on_mock(super::$rule); })*
        }
    };
}

rules! {
    unparks_do_not_add_up
    a_pending_unpark_wins_over_a_past_deadline
    a_park_that_timed_out_leaves_the_parker_usable
    the_farthest_deadline_does_not_come
    deadlines_come_no_earlier_than_asked
    the_clocks_do_not_go_back
    a_name_with_a_nul_is_refused_and_the_body_dropped
    a_baton_goes_round_many_threads
    no_wakeup_is_lost
    an_unpark_at_the_deadline_is_not_lost
    a_lock_admits_one_thread_at_a_time
    a_held_lock_is_not_taken_by_trying
    a_spin_loop_lets_its_partner_run
    a_spin_loop_sees_time_pass
    threads_start_threads
}
