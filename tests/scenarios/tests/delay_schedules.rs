//! The sample `delay` on the deterministic platform: answering, cancelling, cleaning up and unloading in every order that
//! is tried. Each read is completed exactly once, and nothing is left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use abi::{STATUS_CANCELLED, STATUS_PENDING, STATUS_SUCCESS};
use app::Transport;
use gate::Handle;
use host::{Configuration, Event, Machine, Observer, Process, UnloadOutcome};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{DELAY, Form, open_asynchronous, scenario};
use sample_delay::{IOCTL_SET, Way};

const SEEDS: u64 = 20;
/// Schedules of each.
const RUNS: u32 = 100;
/// Milliseconds of the two reads of a file, in virtual time.
const DELAYS: [[u32; 2]; 3] = [[0, 1], [1, 1], [0, 3_600_000]];
const BYTES: usize = 8;

/// What the machine did with reads, and how the driver went.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    pended: usize,
    completed: usize,
    cancelled: usize,
    unloaded_clean: usize,
    unloaded_dirty: usize,
}

impl Observer for Tally {
    fn observe(&self, event: &Event) {
        let mut counts = self.0.lock().expect("no thread failed");
        match event {
            Event::IrpReturned { status: STATUS_PENDING, .. } => counts.pended += 1,
            Event::IrpCompleted { status: STATUS_SUCCESS, information, .. }
                if *information == BYTES as u64 =>
            {
                counts.completed += 1;
            }
            Event::IrpCompleted { status: STATUS_CANCELLED, .. } => counts.cancelled += 1,
            Event::DriverUnloaded { report } if report.is_clean() => counts.unloaded_clean += 1,
            Event::DriverUnloaded { .. } => counts.unloaded_dirty += 1,
            _ => {}
        }
    }
}

/// How the applications saw their reads end.
#[derive(Default)]
struct Ends {
    answered: usize,
    cancelled: usize,
}

fn open(process: &Process, way: Way, delay: u32) -> Handle {
    let handle = open_asynchronous(process, "Delay", abi::FILE_READ_DATA);
    let setting = [way as u32, delay].map(u32::to_le_bytes).concat();
    assert_eq!(process.device_control(handle, IOCTL_SET, &setting, &mut []).status, STATUS_SUCCESS);
    handle
}

fn read(process: &Process, handle: Handle, way: Way, ends: &Mutex<Ends>) {
    let mut buffer = [0; BYTES];
    let ended = process.read(handle, &mut buffer, Some(0));
    let mut ends = ends.lock().expect("no thread failed");
    match ended.status {
        STATUS_SUCCESS => {
            assert_eq!((ended.information, buffer), (BYTES as u64, [way.letter(); BYTES]));
            ends.answered += 1;
        }
        STATUS_CANCELLED => {
            assert_eq!((ended.information, buffer), (0, [0; BYTES]));
            ends.cancelled += 1;
        }
        // The file was closed, or the process ended, before the read was made.
        status => assert_eq!(status, abi::STATUS_INVALID_HANDLE),
    }
}

/// Two processes: the first ends while its reads wait, the second closes its files meanwhile. Somebody unloads the driver.
/// The machine goes with the last of them.
fn start(mock: &Mock, machine: Machine, run: u32, ends: &Arc<Mutex<Ends>>) {
    let ending = Arc::new(machine.process("ending"));
    let closing = Arc::new(machine.process("closing"));
    let delays = DELAYS[run as usize % DELAYS.len()];
    let ways = [Way::ALL[run as usize % 3], Way::ALL[(run as usize / 3) % 3]];
    let [_, handles] = [(&ending, ways[0]), (&closing, ways[1])].map(|(process, way)| {
        let handles = delays.map(|delay| open(process, way, delay));
        for handle in handles {
            let (process, ends) = (process.clone(), ends.clone());
            mock.spawn("reader", Box::new(move || read(&process, handle, way, &ends))).expect("starts");
        }
        handles
    });
    // In every other run both do so about when the reads are due.
    let witness = Arc::new(machine.process("witness"));
    let wait = || {
        let (witness, ends, way) = (witness.clone(), ends.clone(), Way::ALL[run as usize / 9 % 3]);
        let handle = open(&witness, way, 1);
        move || {
            if run % 2 == 1 {
                read(&witness, handle, way, &ends);
            }
            assert_eq!(witness.close(handle), STATUS_SUCCESS);
        }
    };
    let (wait_to_close, wait_to_end) = (wait(), wait());
    let close = move || {
        wait_to_close();
        for handle in handles {
            assert_eq!(closing.close(handle), STATUS_SUCCESS);
        }
    };
    mock.spawn("closer", Box::new(close)).expect("starts");
    let end = move || {
        wait_to_end();
        ending.end();
    };
    mock.spawn("killer", Box::new(end)).expect("starts");
    let unload = move || {
        let outcome = machine.unload("delay").expect("it is loaded");
        assert!(matches!(outcome, UnloadOutcome::Unloaded(_) | UnloadOutcome::Pending { .. }));
    };
    mock.spawn("unloader", Box::new(unload)).expect("starts");
}

/// A process whose reads are cancelled, by its end, when they may just be due: time passes whenever it may.
fn start_cancelling(mock: &Mock, machine: Machine, run: u32, ends: &Arc<Mutex<Ends>>) {
    let ending = Arc::new(machine.process("ending"));
    let way = if run.is_multiple_of(2) { Way::Timer } else { Way::WorkItem };
    for _ in 0..2 {
        let (process, ends) = (ending.clone(), ends.clone());
        let handle = open(&process, way, 1);
        mock.spawn("reader", Box::new(move || read(&process, handle, way, &ends))).expect("starts");
    }
    let end = move || {
        ending.end();
        let outcome = machine.unload("delay").expect("it is loaded");
        assert!(matches!(outcome, UnloadOutcome::Unloaded(_) | UnloadOutcome::Pending { .. }));
    };
    mock.spawn("killer", Box::new(end)).expect("starts");
}

type Start = fn(&Mock, Machine, u32, &Arc<Mutex<Ends>>);

/// Runs one schedule on a machine of its own, and returns it: what was chosen wherever there was a choice.
fn run_one(start: Start, seed: u64, run: u32, form: Form, total: &mut Counts) -> Vec<usize> {
    let mock = Mock::new(seed << 32 | u64::from(run)).with_stranded(Stranded::Leave);
    let mock = mock.with_step_limit(1_000_000);
    // Time passes while others could still run: timers expire in the middle of what they race with.
    let mock = if seed.is_multiple_of(2) { mock } else { mock.with_early_deadlines() };
    let (tally, ends) = (Arc::<Tally>::default(), Arc::<Mutex<Ends>>::default());
    let (inner, observer, results) = (mock.clone(), tally.clone(), ends.clone());
    let root = move || {
        let machine = Machine::with(Arc::new(inner.clone()), Configuration::default()).expect("a machine");
        machine.watch(observer);
        DELAY.load(&machine, form);
        start(&inner, machine, run, &results);
    };
    let report = mock.run(root).unwrap_or_else(|error| panic!("seed {seed}, run {run}: {error}"));
    let counts = *tally.0.lock().expect("no thread failed");
    let ends = ends.lock().expect("no thread failed");
    assert_eq!(counts.completed, ends.answered, "seed {seed}, run {run}: {counts:?}");
    assert_eq!(counts.cancelled, ends.cancelled, "seed {seed}, run {run}: {counts:?}");
    assert_eq!(counts.pended, ends.answered + ends.cancelled, "seed {seed}, run {run}: {counts:?}");
    assert_eq!((counts.unloaded_clean, counts.unloaded_dirty), (1, 0), "seed {seed}, run {run}");
    total.completed += counts.completed;
    total.cancelled += counts.cancelled;
    report.schedule
}

scenario! {
    fn no_schedule_completes_a_read_twice_or_never_or_leaves_anything(form: Form) {
        let mut schedules = BTreeSet::new();
        let mut total = Counts::default();
        for seed in 0..SEEDS {
            schedules.extend((0..RUNS).map(|run| run_one(start, seed, run, form, &mut total)));
        }
        let runs = SEEDS * u64::from(RUNS);
        println!("{runs} runs in {} different schedules: {total:?}", schedules.len());
        assert!(schedules.len() as u64 > runs / 2, "the runs hardly differ: {}", schedules.len());
        assert!(total.completed as u64 > runs / 4 && total.cancelled as u64 > runs / 4, "{total:?}");
    }
}

scenario! {
    fn a_read_that_is_due_while_it_is_cancelled_ends_on_one_processor(form: Form) {
        let mut total = Counts::default();
        for seed in (1..SEEDS).step_by(2) {
            for run in 0..RUNS {
                run_one(start_cancelling, seed, run, form, &mut total);
            }
        }
        assert!(total.completed > 0 && total.cancelled > 0, "{total:?}");
    }
}
