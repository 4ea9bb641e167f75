//! The sample `pipe` on the deterministic platform: in every schedule that is tried, nothing is lost or comes twice, and
//! nobody waits for ever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use abi::{FILE_READ_DATA, FILE_WRITE_DATA};
use app::{ControlCode, Device, OpenOptions};
use host::{Configuration, Machine, Process};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{Form, PIPE, scenario, unload_cleanly};
use sample_pipe::{IOCTL_SET_CAPACITY, IOCTL_SET_MODE, Mode};

const SEEDS: u64 = 20;
/// Schedules of each seed.
const RUNS: u32 = 100;
const WRITERS: u8 = 2;
const READERS: u8 = 2;
const MESSAGES: u8 = 3;
const MESSAGE: usize = 8;

/// What readers got, as it came.
type Arrived = Arc<Mutex<Vec<[u8; MESSAGE]>>>;

fn message(writer: u8, number: u8) -> [u8; MESSAGE] {
    let mut message = [0xA0 | writer; MESSAGE];
    message[0] = number;
    message[MESSAGE - 1] = !number;
    message
}

fn open(process: &'static Process, path: &str, access: u32) -> Device<'static> {
    let device = OpenOptions::new().access(access).open(process, path).expect("opens");
    let mode = (Mode::Blocking as u32).to_le_bytes();
    device.control(ControlCode(IOCTL_SET_MODE), &mode, &mut []).expect("the mode is set");
    device
}

/// Opens everything, then starts a thread for each end.
fn start(mock: &Mock, process: &'static Process, run: u32, arrived: &Arrived) {
    let path = format!(r"\\.\Example\{run}");
    let writers: Vec<_> = (0..WRITERS).map(|_| open(process, &path, FILE_WRITE_DATA)).collect();
    let readers: Vec<_> = (0..READERS).map(|_| open(process, &path, FILE_READ_DATA)).collect();
    // Room for one message, for one and a bit, for two.
    let capacity = [8_u32, 13, 16][run as usize % 3].to_le_bytes();
    writers[0].control(ControlCode(IOCTL_SET_CAPACITY), &capacity, &mut []).expect("empty");
    for (number, device) in (0..).zip(writers) {
        let write = move || {
            for index in 0..MESSAGES {
                assert_eq!(device.write(&message(number, index)).expect("writes") as usize, MESSAGE);
            }
        };
        mock.spawn("writer", Box::new(write)).expect("starts");
    }
    for device in readers {
        let arrived = arrived.clone();
        let read = move || {
            let mut bytes = [0; MESSAGE];
            let end = loop {
                match device.read(&mut bytes) {
                    Ok(length) => assert_eq!(length as usize, MESSAGE),
                    Err(error) => break error.status,
                }
                arrived.lock().expect("no thread failed").push(bytes);
            };
            assert_eq!(end, abi::STATUS_PIPE_BROKEN);
        };
        mock.spawn("reader", Box::new(read)).expect("starts");
    }
}

/// Runs the schedules of a seed on one machine, and returns them: what was chosen wherever there was a choice.
fn run_seed(seed: u64, form: Form) -> BTreeSet<Vec<usize>> {
    let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(10_000_000);
    let machine = Machine::with(Arc::new(mock.clone()), Configuration::default()).expect("a machine");
    let machine: &'static Machine = Box::leak(Box::new(machine));
    mock.run(move || PIPE.load(machine, form)).expect("loads");
    let process: &'static Process = Box::leak(Box::new(machine.process("crowd")));
    let mut schedules = BTreeSet::new();
    for run in 0..RUNS {
        let arrived = Arrived::default();
        let before = mock.schedule().len();
        let (inner, results) = (mock.clone(), arrived.clone());
        let report = mock
            .run(move || start(&inner, process, run, &results))
            .unwrap_or_else(|error| panic!("seed {seed}, run {run}: {error}, {:?}", machine.bugcheck()));
        let mut arrived = std::mem::take(&mut *arrived.lock().expect("no thread failed"));
        arrived.sort_unstable();
        let mut all: Vec<_> = (0..WRITERS)
            .flat_map(|writer| (0..MESSAGES).map(move |number| message(writer, number)))
            .collect();
        all.sort_unstable();
        assert_eq!(arrived, all, "seed {seed}, run {run}");
        schedules.insert(report.schedule[before..].to_vec());
    }
    let unload = move || {
        unload_cleanly(machine, "pipe");
    };
    mock.run(unload).expect("unloads");
    schedules
}

scenario! {
    fn no_schedule_loses_or_doubles_a_message_or_leaves_anybody_waiting(form: Form) {
        let mut schedules = BTreeSet::new();
        for seed in 0..SEEDS {
            schedules.extend(run_seed(seed, form));
        }
        let runs = SEEDS * u64::from(RUNS);
        println!("{runs} runs in {} different schedules", schedules.len());
        assert!(schedules.len() as u64 > runs / 2, "the runs hardly differ: {}", schedules.len());
    }
}
