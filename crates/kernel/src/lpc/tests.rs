//! Random histories of servers and clients on the deterministic platform, each step compared with a plain model of the rules. After
//! each step all threads have come to rest: virtual time, which the test waits for, passes only then.

mod early;
mod model;
mod waits;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::{Act, Model, Random};
use world::World;

use crate::ke::tests::on_mock;
use crate::lpc::PortUsage;

/// Machines, histories of each, acts of each history; those that cannot be done just then count too.
const MACHINES: u64 = 60;
const HISTORIES: u64 = 100;
const ACTS: usize = 100;

#[test]
fn ports_behave_as_their_model_says() {
    let started = Instant::now();
    on_mock(0..MACHINES, 1, |machine| {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let first = NEXT.fetch_add(HISTORIES, Ordering::Relaxed);
        let world = World::start(machine);
        machine.inside(move |kernel, thread| {
            for seed in first..first + HISTORIES {
                one_history(&world, kernel, thread, seed);
            }
            world.stop(kernel);
        });
    });
    // Most waits end with somebody's message while their thread sleeps.
    let early = early::ANSWERED.load(Ordering::Relaxed);
    assert!(early > 1000, "{early} early answers");
    for (state, count) in SIGNALED.iter().enumerate() {
        assert!(count.load(Ordering::Relaxed) > 1000, "state {state}");
    }
    let counts = SEEN.lock().expect("not poisoned").clone();
    eprintln!("{} histories in {:?}: {counts:x?}", MACHINES * HISTORIES, started.elapsed());
    // Each happens often enough to be looked at.
    for kind in [1, 2, 3, 5, 10].map(|kind| (abi::STATUS_SUCCESS.bits(), kind)) {
        assert!(counts.get(&kind).is_some_and(|count| *count > 100), "{kind:x?}");
    }
    for status in [
        abi::STATUS_SUCCESS,
        abi::STATUS_TIMEOUT,
        abi::STATUS_USER_APC,
        abi::STATUS_PORT_DISCONNECTED,
        abi::STATUS_PORT_CONNECTION_REFUSED,
        abi::STATUS_REPLY_MESSAGE_MISMATCH,
        abi::STATUS_INVALID_PARAMETER,
    ] {
        assert!(counts.get(&(status.bits(), 0)).is_some_and(|count| *count > 100), "{status:?}");
    }
}

/// How often a port that can be waited for was found without a message, and with one.
static SIGNALED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// How often calls have ended so: status, and type of the message.
static SEEN: Mutex<BTreeMap<(u32, u16), u32>> = Mutex::new(BTreeMap::new());

fn one_history(world: &World, kernel: &crate::Kernel, thread: &crate::ke::Thread, seed: u64) {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    let waitable = seed.is_multiple_of(2);
    let mut run = world.begin(kernel, waitable);
    let mut done = Vec::new();
    for _ in 0..ACTS {
        let Some(act) = model.choose(&mut random) else { continue };
        step(&mut model, &mut run, kernel, thread, act, seed, &mut done);
        if let (true, has_message) = model.port() {
            let signaled = run.is_signaled(kernel, thread);
            assert_eq!(signaled, waitable.then_some(has_message), "seed {seed}: the last of {done:?}");
            SIGNALED[usize::from(has_message)].fetch_add(u64::from(waitable), Ordering::Relaxed);
        }
    }
    while let Some(act) = model.next_to_close() {
        step(&mut model, &mut run, kernel, thread, act, seed, &mut done);
    }
    assert_eq!(kernel.lpc.usage(), PortUsage::default(), "seed {seed}: something is left of {done:?}");
}

fn step(
    model: &mut Model,
    run: &mut world::Run<'_>,
    kernel: &crate::Kernel,
    thread: &crate::ke::Thread,
    act: Act,
    seed: u64,
    done: &mut Vec<Act>,
) {
    done.push(act);
    let mut expected = model.act(act);
    let mut seen = run.act(kernel, thread, act, &expected);
    if let (Act::Ask { .. }, Some(number)) = (act, model.newest()) {
        run.given.push((number, kernel.lpc.last_message()));
    }
    for ended in &seen {
        let kind = ended.message.map_or(0, |message| message.0);
        *SEEN.lock().expect("not poisoned").entry((ended.status, kind)).or_default() += 1;
    }
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected, "seed {seed}: the last of {done:?}");
}
