//! The sample `tap` on the deterministic platform: in every schedule that is tried, a request that is forwarded, held,
//! released, completed, cancelled or overtaken by the filter's detachment ends once, and nothing is left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use abi::NTSTATUS;
use app::{ControlCode, Device};
use host::{Configuration, Machine, Process};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{Form, HELLO, TAP, scenario, unload_cleanly};
use sample_tap::{IOCTL_RELEASE, IOCTL_SET_MODE, Mode};

const SEEDS: u64 = 20;
/// Schedules of each seed.
const RUNS: u32 = 50;
/// Two writes, a read, the victim's write, and its process's end.
const REQUESTS: usize = 5;
const PATH: &str = r"\\.\My_Device";
const CONTROL: &str = r"\\.\Tap";

type Ends = Arc<Mutex<Vec<(&'static str, Result<u32, NTSTATUS>)>>>;

fn open(process: &'static Process, path: &str) -> Device<'static> {
    Device::open(process, path).expect("opens")
}

/// A machine whose filter holds what `mode` says, and applications: two writers, a reader, one that releases, and one
/// that ends at some moment while its write is under way.
fn start(mock: &Mock, machine: &'static Machine, mode: Mode, ends: &Ends) {
    let process = |name: &str| -> &'static Process { Box::leak(Box::new(machine.process(name))) };
    let control = open(process("releaser"), CONTROL);
    control.control(ControlCode(IOCTL_SET_MODE), &(mode as u32).to_le_bytes(), &mut []).expect("sets");
    let spawn = |name: &'static str, body: Box<dyn FnOnce() -> Result<u32, NTSTATUS> + Send>| {
        let ends = ends.clone();
        let run = move || {
            let end = body();
            ends.lock().expect("no thread failed").push((name, end));
        };
        mock.spawn(name, Box::new(run)).expect("starts");
    };
    for name in ["writer 1", "writer 2"] {
        let device = open(process(name), PATH);
        spawn(name, Box::new(move || device.write(b"some bytes").map_err(|error| error.status)));
    }
    let device = open(process("reader"), PATH);
    let read = move || {
        let mut bytes = [0; 5];
        let length = device.read(&mut bytes).map_err(|error| error.status)?;
        assert_eq!(&bytes, b"HHHHH", "through the filter, which is not detached while a read comes to it");
        Ok(length)
    };
    spawn("reader", Box::new(read));
    let victim = process("victim");
    let device = std::mem::ManuallyDrop::new(open(victim, PATH));
    spawn("victim", Box::new(move || device.write(b"perhaps").map_err(|error| error.status)));
    spawn(
        "end",
        Box::new(move || {
            victim.end();
            Ok(0)
        }),
    );
    for name in ["release 1", "release 2"] {
        let control = open(process(name), CONTROL);
        let ends = ends.clone();
        let release = move || {
            loop {
                let mut count = [0; 4];
                control.control(ControlCode(IOCTL_RELEASE), &[], &mut count).map_err(|error| error.status)?;
                // A request that is held when nobody releases any more would never end.
                let requests = |ends: &Vec<(&str, _)>| {
                    ends.iter().filter(|(name, _)| !name.starts_with("release")).count()
                };
                if requests(&ends.lock().expect("no thread failed")) == REQUESTS {
                    return Ok(4);
                }
            }
        };
        spawn(name, Box::new(release));
    }
}

fn check(ends: &Ends, context: &str) {
    let mut ends = std::mem::take(&mut *ends.lock().expect("no thread failed"));
    ends.sort_unstable_by_key(|(name, _)| *name);
    let names: Vec<_> = ends.iter().map(|(name, _)| *name).collect();
    let all = ["end", "reader", "release 1", "release 2", "victim", "writer 1", "writer 2"];
    assert_eq!(names, all, "each request ends once: {context}");
    for (name, end) in ends {
        match (name, end) {
            // It is written, cancelled, or comes after its process has ended.
            ("victim", Ok(7) | Err(abi::STATUS_CANCELLED | abi::STATUS_INVALID_HANDLE)) => {}
            ("writer 1" | "writer 2", Ok(10)) | ("reader", Ok(5)) | ("release 1" | "release 2", Ok(4)) => {}
            ("end", Ok(0)) => {}
            other => panic!("{other:?}: {context}"),
        }
    }
}

fn run_seed(seed: u64, form: Form) -> BTreeSet<Vec<usize>> {
    let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(10_000_000);
    let machine = Machine::with(Arc::new(mock.clone()), Configuration::default()).expect("a machine");
    let machine: &'static Machine = Box::leak(Box::new(machine));
    mock.run(move || HELLO.load(machine, form)).expect("loads");
    let mut schedules = BTreeSet::new();
    for run in 0..RUNS {
        let ends = Ends::default();
        let context = format!("seed {seed}, run {run}");
        let before = mock.schedule().len();
        let mode = [Mode::HoldWrites, Mode::HoldReads, Mode::Pass][run as usize % 3];
        let (inner, results) = (mock.clone(), ends.clone());
        let begin = move || {
            TAP.load(machine, form);
            start(&inner, machine, mode, &results);
        };
        let report =
            mock.run(begin).unwrap_or_else(|error| panic!("{context}: {error}, {:?}", machine.bugcheck()));
        schedules.insert(report.schedule[before..].to_vec());
        check(&ends, &context);
        mock.run(move || unload_cleanly(machine, "tap")).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    mock.run(move || unload_cleanly(machine, "hello")).expect("unloads");
    schedules
}

scenario! {
    fn in_no_schedule_is_a_request_lost_or_completed_twice(form: Form) {
        let mut schedules = BTreeSet::new();
        for seed in 0..SEEDS {
            schedules.extend(run_seed(seed, form));
        }
        let runs = SEEDS * u64::from(RUNS);
        println!("{runs} runs in {} different schedules", schedules.len());
        assert!(schedules.len() as u64 > runs / 2, "the runs hardly differ: {}", schedules.len());
    }
}
