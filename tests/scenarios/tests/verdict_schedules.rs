//! The sample `verdict` on the deterministic platform: who asks, who answers, and who cancels, closes or unloads under both, in every order
//! that is tried. A wake-up that is lost leaves somebody waiting for ever, which the platform reports, or lets a question time out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use app::{FilterPort, MessageHeader, reply_to};
use gate::{Handle, SystemCall, Transport};
use host::{Configuration, Machine, Process, UnloadOutcome};
use platform::mock::Stranded;
use platform::{Mock, Platform};
use ringbridge_scenarios::{Form, VERDICT, scenario};
use sample_applications::verdict::{ALLOW, PORT, opens};

/// Schedules of each way to disturb.
const RUNS: u64 = 200;
const OPENS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    Cancels,
    Closes,
    Unloads,
}

struct Run {
    machine: Machine,
    guard: Mutex<Option<Arc<Process>>>,
    port: Handle,
    opened: Mutex<Vec<String>>,
    /// The guard need not go on.
    is_over: AtomicBool,
    threads: Mutex<u32>,
}

impl Run {
    fn guard(&self) -> Arc<Process> {
        self.guard.lock().expect("no thread failed").clone().expect("it runs")
    }

    fn ask(&self, disturbance: Disturbance) {
        let process = self.machine.process("asker");
        for _ in 0..OPENS {
            let opened = opens(&process, r"\name");
            self.opened.lock().expect("no thread failed").push(opened);
        }
        self.is_over.store(true, Ordering::Release);
        if disturbance == Disturbance::Cancels {
            assert_eq!(self.guard().close(self.port), abi::STATUS_SUCCESS);
        }
    }

    fn answer(&self, disturbance: Disturbance) {
        let guard = self.guard();
        loop {
            let mut question = [0; 64];
            let got = guard.device_control(self.port, abi::FILTER_PORT_GET_MESSAGE, &[], &mut question);
            let again = disturbance == Disturbance::Cancels && !self.is_over.load(Ordering::Acquire);
            match got.status {
                abi::STATUS_SUCCESS => {}
                abi::STATUS_CANCELLED if again => continue,
                _ => return,
            }
            let header = MessageHeader::from_bytes(&question).expect("a header");
            let reply = reply_to(header.message_id, &ALLOW.to_le_bytes());
            let told =
                guard.device_control(self.port, abi::FILTER_PORT_REPLY_MESSAGE, &reply, &mut []).status;
            if disturbance == Disturbance::Cancels {
                assert_eq!(told, abi::STATUS_SUCCESS, "somebody waits for it");
            }
        }
    }

    fn disturb(&self, disturbance: Disturbance) {
        let guard = self.guard();
        match disturbance {
            Disturbance::Cancels => {
                for _ in 0..3 {
                    let call = SystemCall::CancelIoFileEx { handle: self.port, io_status_block: 0 };
                    let _perhaps_nothing_waits = guard.system_call(&call, &mut []);
                }
            }
            Disturbance::Closes => assert_eq!(guard.close(self.port), abi::STATUS_SUCCESS),
            Disturbance::Unloads => drop(self.machine.unload("verdict").expect("it is loaded")),
        }
    }

    fn judge(&self, disturbance: Disturbance) {
        let guard = self.guard.lock().expect("no thread failed").take().expect("it runs");
        let _perhaps_closed = guard.close(self.port);
        assert_eq!(guard.open_handles(), 0);
        drop(guard);
        assert!(self.machine.bugcheck().is_none(), "{:?}", self.machine.bugcheck());
        let opened = self.opened.lock().expect("no thread failed");
        let allowed: &[&str] = match disturbance {
            Disturbance::Cancels => &["opened"],
            Disturbance::Closes => &["opened", "5"],
            Disturbance::Unloads => &["opened", "5", "2", "3"],
        };
        assert!(
            opened.iter().all(|opened| allowed.contains(&opened.as_str())),
            "{disturbance:?}: {opened:?}"
        );
        if disturbance != Disturbance::Unloads {
            let Ok(UnloadOutcome::Unloaded(report)) = self.machine.unload("verdict") else {
                panic!("is open")
            };
            assert!(report.is_clean(), "{report:?}");
        }
        assert!(self.machine.drivers().iter().all(|driver| driver.name != "verdict"), "it is still there");
    }
}

/// What a thread does.
type Body = fn(&Run, Disturbance);

fn start(mock: &Mock, machine: Machine, disturbance: Disturbance, judged: &Arc<AtomicBool>) {
    let guard = Arc::new(machine.process("guard"));
    let port = {
        let port = FilterPort::connect(&*guard, PORT, &60_000_u32.to_le_bytes(), false).expect("connects");
        let handle = port.device().handle();
        // Its threads close it.
        std::mem::forget(port);
        handle
    };
    let (guard, opened) = (Mutex::new(Some(guard)), Mutex::default());
    let run = Run { machine, guard, port, opened, is_over: AtomicBool::new(false), threads: Mutex::new(3) };
    let run = Arc::new(run);
    let bodies: [(&str, Body); 3] =
        [("asker", Run::ask), ("guard", Run::answer), ("disturber", Run::disturb)];
    for (name, body) in bodies {
        let (run, judged) = (run.clone(), judged.clone());
        let thread = move || {
            body(&run, disturbance);
            let left = {
                let mut threads = run.threads.lock().expect("no thread failed");
                *threads -= 1;
                *threads
            };
            if left == 0 {
                run.judge(disturbance);
                judged.store(true, Ordering::Release);
            }
        };
        mock.spawn(name, Box::new(thread)).expect("starts");
    }
}

fn run_one(seed: u64, form: Form, disturbance: Disturbance) -> Vec<usize> {
    let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(1_000_000);
    let (inner, judged) = (mock.clone(), Arc::<AtomicBool>::default());
    let own = judged.clone();
    let root = move || {
        let machine = Machine::with(Arc::new(inner.clone()), Configuration::default()).expect("a machine");
        VERDICT.load(&machine, form);
        start(&inner, machine, disturbance, &own);
    };
    let report = mock.run(root).unwrap_or_else(|error| panic!("{disturbance:?}, seed {seed}: {error}"));
    assert!(judged.load(Ordering::Acquire), "{disturbance:?}, seed {seed}: somebody waits for ever");
    report.schedule
}

fn explore(form: Form, disturbance: Disturbance) {
    let schedules: BTreeSet<_> = (0..RUNS).map(|seed| run_one(seed, form, disturbance)).collect();
    println!("{disturbance:?}: {} different schedules", schedules.len());
    assert!(schedules.len() as u64 > RUNS / 2, "the runs hardly differ: {}", schedules.len());
}

scenario! {
    fn no_schedule_loses_a_question_whose_receiver_is_cancelled(form: Form) {
        explore(form, Disturbance::Cancels);
    }
}

scenario! {
    fn no_schedule_lets_an_asker_wait_for_a_guard_that_has_gone(form: Form) {
        explore(form, Disturbance::Closes);
    }
}

scenario! {
    fn no_schedule_lets_anybody_wait_for_a_driver_that_is_unloaded(form: Form) {
        explore(form, Disturbance::Unloads);
    }
}
