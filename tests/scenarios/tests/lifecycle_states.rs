//! A device of the sample `lifecycle` under whatever may happen to it, in any order: it stands where the published state
//! diagram says, what cannot happen is refused, and nothing is left in the end.

use std::collections::VecDeque;

use abi::{
    STATUS_INVALID_DEVICE_STATE, STATUS_NO_SUCH_DEVICE, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PLUGPLAY_QUERY_VETOED, STATUS_SUCCESS,
};
use app::Device;
use host::{DeviceAction, DeviceRequest, Event, Machine};
use proptest::prelude::*;
use ringbridge_scenarios::{Form, LIFECYCLE, Watch, failure};

const INSTANCE: &str = r"ROOT\LIFECYCLE\0000";
const PATH: &str = r"\\?\ROOT#LIFECYCLE#0000#{5b7c1a3e-2c64-4d0f-9e55-6c1f0b9a4e21}";

#[derive(Clone, Copy, Debug)]
enum Step {
    Act(DeviceAction),
    Open,
    Close,
    SleepAndWake,
}

fn step() -> impl Strategy<Value = Step> {
    use DeviceAction::{CancelRemove, QueryRemove, Remove, Start, Stop, SurpriseRemove};
    prop_oneof![
        4 => Just(Step::Act(Start)),
        2 => Just(Step::Act(Stop)),
        2 => Just(Step::Act(QueryRemove)),
        2 => Just(Step::Act(CancelRemove)),
        1 => Just(Step::Act(Remove)),
        1 => Just(Step::Act(SurpriseRemove)),
        4 => Just(Step::Open),
        3 => Just(Step::Close),
        1 => Just(Step::SleepAndWake),
    ]
}

/// What the diagram says: Source: kernel, State Transitions for PnP Devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Added,
    Started,
    Stopped,
    /// Whether it was started before.
    QueryRemoved(bool),
    SurpriseRemoved,
    Gone,
}

/// Where an action leads with so many files open; `None` where it cannot happen.
fn after(state: State, action: DeviceAction, open: usize) -> Option<(State, bool)> {
    use DeviceAction::{CancelRemove, QueryRemove, Remove, Start, Stop, SurpriseRemove};
    use State::{Added, Gone, QueryRemoved, Started, Stopped, SurpriseRemoved};
    // Whether it is vetoed.
    Some(match (state, action) {
        (Added | Stopped, Start) => (Started, false),
        (Started, Stop) => (Stopped, false),
        (Started | Stopped, QueryRemove | Remove) if open > 0 => (state, true),
        (Started | Stopped, QueryRemove) => (QueryRemoved(state == Started), false),
        (QueryRemoved(true), CancelRemove) => (Started, false),
        (QueryRemoved(false), CancelRemove) => (Stopped, false),
        (Added | Started | Stopped | QueryRemoved(_), Remove) | (Added, SurpriseRemove) => (Gone, false),
        (Started | Stopped | QueryRemoved(_), SurpriseRemove) if open > 0 => (SurpriseRemoved, false),
        (Started | Stopped | QueryRemoved(_), SurpriseRemove) => (Gone, false),
        _ => return None,
    })
}

fn act(machine: &Machine, state: &mut State, action: DeviceAction, open: usize) {
    let instance = INSTANCE.to_owned();
    let done = machine.manage_devices(&DeviceRequest::Act { instance, action });
    match after(*state, action, open) {
        Some((next, vetoed)) => {
            let expected = if vetoed { STATUS_PLUGPLAY_QUERY_VETOED } else { STATUS_SUCCESS };
            let report = done.unwrap_or_else(|refusal| panic!("{state:?} {action:?}: {refusal}"));
            assert_eq!(report.status, expected, "{state:?} {action:?}");
            *state = next;
        }
        None => {
            let expected =
                if *state == State::Gone { STATUS_NO_SUCH_DEVICE } else { STATUS_INVALID_DEVICE_STATE };
            assert_eq!(done.expect_err("cannot happen").status, expected, "{state:?} {action:?}");
        }
    }
}

/// What opening fails with; `None` where it succeeds.
fn refusal(state: State) -> Option<abi::NTSTATUS> {
    match state {
        State::Added | State::SurpriseRemoved | State::Gone => Some(STATUS_OBJECT_NAME_NOT_FOUND),
        State::QueryRemoved(_) => Some(STATUS_NO_SUCH_DEVICE),
        State::Started | State::Stopped => None,
    }
}

fn is_unload(event: &Event) -> bool {
    matches!(event, Event::DriverUnloaded { report } if report.driver == "lifecycle")
}

fn run(form: Form, steps: &[Step]) {
    let machine = LIFECYCLE.machine(form);
    let watch = Watch::on(&machine);
    let (upper_filters, lower_filters) = (Vec::new(), Vec::new());
    let request = DeviceRequest::Add { service: "lifecycle".to_owned(), upper_filters, lower_filters };
    machine.manage_devices(&request).expect("the driver takes it");
    let process = machine.process("application");
    let (mut state, mut files) = (State::Added, VecDeque::new());
    for step in steps {
        match *step {
            Step::Act(action) => act(&machine, &mut state, action, files.len()),
            Step::Open => match refusal(state) {
                Some(status) => assert_eq!(failure(Device::open(&process, PATH)), status, "{state:?}"),
                None => files.push_back(Device::open(&process, PATH).expect("opens")),
            },
            Step::Close => {
                let Some(file) = files.pop_front() else { continue };
                file.close().expect("closes");
                if state == State::SurpriseRemoved && files.is_empty() {
                    state = State::Gone;
                    watch.wait_for(1, is_unload);
                }
            }
            Step::SleepAndWake => {
                for power in [abi::PowerSystemSleeping3, abi::PowerSystemWorking] {
                    let request = DeviceRequest::Power { state: power.cast_unsigned() };
                    let report = machine.manage_devices(&request).expect("sleeps and wakes");
                    assert_eq!(report.answers.is_empty(), state != State::Started, "{state:?}");
                }
            }
        }
    }
    // A machine ends with a device gone, whatever was open.
    if state != State::Gone && state != State::SurpriseRemoved {
        act(&machine, &mut state, DeviceAction::SurpriseRemove, files.len());
    }
    files.clear();
    watch.wait_for(1, is_unload);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    assert!(machine.drivers().iter().all(|driver| driver.devices.is_empty()), "{:?}", machine.drivers());
    let reports = watch.events().into_iter().filter_map(|event| match event {
        Event::DriverUnloaded { report } => Some(report),
        _ => None,
    });
    assert!(reports.into_iter().all(|report| report.is_clean()), "left something");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_device_stands_where_the_state_diagram_says_native(steps in prop::collection::vec(step(), 0..24)) {
        run(Form::Native, &steps);
    }

    #[test]
    fn a_device_stands_where_the_state_diagram_says_sys(steps in prop::collection::vec(step(), 0..24)) {
        run(Form::Sys, &steps);
    }
}
