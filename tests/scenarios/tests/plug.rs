//! What the Plug and Play and power managers send to a device stack, seen by a C driver as function driver and as its own
//! filter; and drivers that break the rules.

use std::sync::Arc;

use abi::{
    IRP_MJ_PNP, IRP_MJ_POWER, IRP_MN_CANCEL_REMOVE_DEVICE, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_REMOVE_DEVICE,
    IRP_MN_SET_POWER, IRP_MN_START_DEVICE, IRP_MN_STOP_DEVICE, IRP_MN_SURPRISE_REMOVAL, NTSTATUS,
    STATUS_BUFFER_TOO_SMALL, STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER_2, STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_EXISTS,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PENDING, STATUS_PLUGPLAY_QUERY_VETOED, STATUS_SUCCESS,
};
use host::{DeviceAction, DeviceReport, DeviceRequest, Event, LoadOptions, Machine};
use ringbridge_scenarios::{Watch, machine_with, open, run_case, sys_path, unload_cleanly};

const INSTANCE: &str = r"ROOT\PLUG\0000";
const MODE: u32 = 0;
const FAILS_START: u64 = 1;
const PENDS_START: u64 = 2;
const KEEPS_STOP: u64 = 3;
const FORGETS_QUERY: u64 = 4;
const STAYS_ATTACHED: u64 = 5;
const TRACE: u32 = 1;
const INTERFACE: u32 = 2;
const PROPERTY: u32 = 3;
const POWER: u32 = 4;
const NOTIFICATION: u32 = 5;
const SHUTDOWN: u32 = 6;
const ASK: u32 = 7;

fn case(machine: &Machine, number: u32, inputs: &[u64]) -> Vec<u64> {
    let process = machine.process("tester");
    run_case(&open(&process, r"\\.\RbPlug"), number, inputs).expect("answers").values
}

/// A machine with a device of `plug`'s that `filters` more of its own stand above.
fn machine(filters: usize) -> Machine {
    let machine = machine_with("plug");
    let request = DeviceRequest::Add {
        service: "plug".to_owned(),
        upper_filters: vec!["plug".to_owned(); filters],
        lower_filters: Vec::new(),
    };
    machine.manage_devices(&request).expect("the driver takes it");
    machine
}

fn act(machine: &Machine, action: DeviceAction) -> DeviceReport {
    let instance = INSTANCE.to_owned();
    machine.manage_devices(&DeviceRequest::Act { instance, action }).expect("can happen")
}

/// One step of a request in a stack: its status, the device's number, whether it is on its way up, and its codes.
type Step = (NTSTATUS, u8, bool, u8, u8);

fn trace(machine: &Machine) -> Vec<Step> {
    let step = |value: u64| {
        let bytes = value.to_be_bytes();
        let status = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        (NTSTATUS::from_bits(status), bytes[4], bytes[5] == 1, bytes[6], bytes[7])
    };
    case(machine, TRACE, &[]).into_iter().map(step).collect()
}

fn steps_of(steps: &[Step], wanted: u8) -> Vec<(NTSTATUS, u8, bool)> {
    let own = steps.iter().filter(|(_, _, _, major, minor)| *major == IRP_MJ_PNP && *minor == wanted);
    own.map(|(status, number, up, ..)| (*status, *number, *up)).collect()
}

fn not_passed_down(watch: &Arc<Watch>) -> Vec<(u8, String)> {
    let events = watch.events().into_iter();
    let told = events.filter_map(|event| match event {
        Event::NotPassedDown { minor, driver, .. } => Some((minor, driver)),
        _ => None,
    });
    told.collect()
}

#[test]
fn requests_begin_as_not_supported_go_down_from_the_top_and_end_at_the_bus() {
    let machine = machine(1);
    act(&machine, DeviceAction::Start);
    let steps = trace(&machine);
    assert_eq!(
        steps_of(&steps, IRP_MN_START_DEVICE),
        [
            (STATUS_NOT_SUPPORTED, 1, false),
            (STATUS_NOT_SUPPORTED, 0, false),
            (STATUS_SUCCESS, 0, true),
            (STATUS_SUCCESS, 1, true),
        ]
    );
    act(&machine, DeviceAction::Remove);
    let steps = trace(&machine);
    assert_eq!(
        steps_of(&steps, IRP_MN_REMOVE_DEVICE),
        [(STATUS_NOT_SUPPORTED, 1, false), (STATUS_SUCCESS, 0, false)]
    );
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_start_that_fails_is_followed_by_a_removal_and_the_device_stays_without_drivers() {
    let machine = machine(0);
    case(&machine, MODE, &[FAILS_START]);
    let report = act(&machine, DeviceAction::Start);
    assert_eq!(report.status, STATUS_DEVICE_CONFIGURATION_ERROR);
    let last: Vec<_> = report.answers.iter().rev().take(2).map(|answer| answer.request.as_str()).collect();
    assert_eq!(last, ["IRP_MN_REMOVE_DEVICE", "IRP_MN_START_DEVICE"]);
    assert_eq!(report.devices[0].state, "DriversRemoved");
    assert_eq!(report.devices[0].stack.len(), 1);
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_start_that_is_pended_is_waited_for() {
    let machine = machine(0);
    case(&machine, MODE, &[PENDS_START]);
    let watch = Watch::on(&machine);
    assert_eq!(act(&machine, DeviceAction::Start).status, STATUS_SUCCESS);
    assert!(not_passed_down(&watch).is_empty());
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_driver_that_keeps_a_request_that_is_the_bus_s_too_is_named() {
    let machine = machine(1);
    act(&machine, DeviceAction::Start);
    case(&machine, MODE, &[KEEPS_STOP]);
    let watch = Watch::on(&machine);
    act(&machine, DeviceAction::Stop);
    assert_eq!(not_passed_down(&watch), [(IRP_MN_STOP_DEVICE, "plug".to_owned())]);
    act(&machine, DeviceAction::Start);
    act(&machine, DeviceAction::Remove);
    assert_eq!(not_passed_down(&watch).len(), 1, "only that");
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_request_that_a_driver_forgets_is_reported_and_nobody_waits_for_it() {
    let machine = machine(0);
    act(&machine, DeviceAction::Start);
    case(&machine, MODE, &[FORGETS_QUERY]);
    let watch = Watch::on(&machine);
    act(&machine, DeviceAction::QueryRemove);
    assert!(watch.events().iter().any(|event| matches!(event, Event::IrpForgotten { .. })));
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_driver_that_does_not_detach_its_device_is_named() {
    let machine = machine(0);
    act(&machine, DeviceAction::Start);
    case(&machine, MODE, &[STAYS_ATTACHED]);
    let watch = Watch::on(&machine);
    act(&machine, DeviceAction::Remove);
    let named = |event: &Event| matches!(event, Event::DeviceNotDetached { driver, .. } if driver == "plug");
    assert!(watch.events().iter().any(named));
}

#[test]
fn a_surprise_removal_of_a_device_that_is_not_open_is_followed_by_the_removal() {
    let machine = machine(1);
    act(&machine, DeviceAction::Start);
    trace(&machine);
    act(&machine, DeviceAction::SurpriseRemove);
    let down: Vec<_> =
        trace(&machine).into_iter().filter(|step| !step.2).map(|step| (step.1, step.4)).collect();
    let (gone, remove) = (IRP_MN_SURPRISE_REMOVAL, IRP_MN_REMOVE_DEVICE);
    assert_eq!(down, [(1, gone), (0, gone), (1, remove), (0, remove)]);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_file_on_the_physical_device_is_a_veto_too() {
    for started in [false, true] {
        vetoed_by_a_file(started);
    }
}

fn vetoed_by_a_file(started: bool) {
    let machine = machine(0);
    if started {
        act(&machine, DeviceAction::Start);
    }
    trace(&machine);
    let listed = machine.manage_devices(&DeviceRequest::List).expect("lists");
    let physical = listed.devices[0].stack[0].split(' ').nth(1).expect("a path").to_owned();
    assert!(physical.starts_with(r"\Device\"), "{physical}");
    // Opening goes to the top of the stack, where this driver lets everybody in.
    let process = machine.process("opener");
    let path: Vec<u16> = physical.encode_utf16().collect();
    let request = host::CreateFile {
        path: &path,
        desired_access: abi::GENERIC_READ,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: 0,
        security_qos: None,
    };
    use host::Transport;
    let (handle, _) = process.create_file(&request).expect("opens");
    let report = act(&machine, DeviceAction::Remove);
    assert_eq!(report.status, STATUS_PLUGPLAY_QUERY_VETOED);
    let asked: Vec<_> = trace(&machine).into_iter().filter(|step| !step.2).map(|step| step.4).collect();
    // A device that was never started is not asked.
    let expected: &[u8] =
        if started { &[IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE] } else { &[] };
    assert_eq!(asked, expected);
    assert_eq!(process.close(handle), STATUS_SUCCESS);
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn filters_that_the_devices_key_names_stand_below_and_above_the_function_driver() {
    let machine = machine_with("plug");
    machine.load(&sys_path("lifecycle"), LoadOptions::default()).expect("loads");
    let request = DeviceRequest::Add {
        service: "lifecycle".to_owned(),
        upper_filters: vec!["plug".to_owned()],
        lower_filters: vec!["plug".to_owned()],
    };
    let report = machine.manage_devices(&request).expect("the drivers take it");
    let stack = report.devices[0].stack.iter();
    let drivers: Vec<_> = stack.map(|device| device.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(drivers, ["PnpManager", "plug", "lifecycle", "plug"]);
    let instance = r"ROOT\LIFECYCLE\0000".to_owned();
    let request = DeviceRequest::Act { instance, action: DeviceAction::SurpriseRemove };
    let report = machine.manage_devices(&request).expect("can happen");
    assert_eq!(report.unloaded, ["lifecycle"], "the other has a device of its own");
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_device_whose_filter_is_not_loaded_is_not_added() {
    let machine = machine_with("plug");
    let request = DeviceRequest::Add {
        service: "plug".to_owned(),
        upper_filters: vec!["nobody".to_owned()],
        lower_filters: Vec::new(),
    };
    let refusal = machine.manage_devices(&request).expect_err("no such driver");
    assert_eq!(refusal.status, STATUS_OBJECT_NAME_NOT_FOUND);
    assert!(machine.manage_devices(&DeviceRequest::List).expect("lists").devices.is_empty());
    unload_cleanly(&machine, "plug");
}

#[test]
fn interfaces_answer_as_documented() {
    let machine = machine(0);
    let status = |status: NTSTATUS| u64::from(status.bits());
    assert_eq!(
        case(&machine, INTERFACE, &[]),
        [
            status(STATUS_INVALID_DEVICE_REQUEST),
            status(STATUS_INVALID_DEVICE_REQUEST),
            0,
            status(STATUS_OBJECT_NAME_NOT_FOUND),
            status(STATUS_OBJECT_NAME_NOT_FOUND),
            0,
            0,
            0,
            status(STATUS_OBJECT_NAME_EXISTS),
            0,
            1,
            0,
            0,
        ]
    );
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn properties_answer_with_their_length_when_there_is_too_little_room() {
    let machine = machine(0);
    let status = |status: NTSTATUS| u64::from(status.bits());
    let hardware_id = (r"ROOT\PLUG".len() as u64 + 2) * 2;
    assert_eq!(
        case(&machine, PROPERTY, &[]),
        [
            0,
            10,
            status(STATUS_BUFFER_TOO_SMALL),
            hardware_id,
            status(STATUS_OBJECT_NAME_NOT_FOUND),
            status(STATUS_INVALID_DEVICE_REQUEST),
            0,
        ]
    );
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_power_request_of_a_driver_goes_through_its_whole_stack_and_its_end_is_told() {
    let machine = machine(1);
    act(&machine, DeviceAction::Start);
    for raised in [0, 1] {
        trace(&machine);
        let d3 = u64::from(abi::PowerDeviceD3.cast_unsigned());
        let before = if raised == 0 { 0 } else { d3 };
        let (pending, bad) = (u64::from(STATUS_PENDING.bits()), u64::from(STATUS_INVALID_PARAMETER_2.bits()));
        assert_eq!(
            case(&machine, POWER, &[raised]),
            [bad, pending, 1, u64::from(IRP_MN_SET_POWER), d3, 0, before, d3]
        );
        let steps: Vec<_> =
            trace(&machine).into_iter().map(|step| (step.0, step.1, step.2, step.3)).collect();
        assert_eq!(
            steps,
            [
                (STATUS_NOT_SUPPORTED, 1, false, IRP_MJ_POWER),
                (STATUS_NOT_SUPPORTED, 0, false, IRP_MJ_POWER),
                (STATUS_SUCCESS, 0, true, IRP_MJ_POWER),
                (STATUS_SUCCESS, 1, true, IRP_MJ_POWER),
            ]
        );
    }
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_notification_tells_of_interfaces_until_it_is_unregistered() {
    let machine = machine(0);
    assert_eq!(case(&machine, NOTIFICATION, &[]), [0, 1, 1, 0, 2]);
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn who_asked_for_the_last_chance_is_told_of_the_shutdown_after_all_others() {
    let machine = machine(0);
    assert_eq!(case(&machine, SHUTDOWN, &[0]), [0, 0]);
    machine.shut_down().expect("the machine runs");
    assert_eq!(case(&machine, SHUTDOWN, &[1]), [21]);
    act(&machine, DeviceAction::Remove);
    unload_cleanly(&machine, "plug");
}

#[test]
fn a_driver_that_invalidates_its_relations_is_asked_for_them_and_one_that_asks_for_an_eject_loses_its_device()
{
    let machine = machine(0);
    act(&machine, DeviceAction::Start);
    let watch = Watch::on(&machine);
    let asked =
        |event: &Event, wanted: u8| matches!(event, Event::PnpRequest { minor, .. } if *minor == wanted);
    case(&machine, ASK, &[0]);
    watch.wait_for(1, |event| asked(event, abi::IRP_MN_QUERY_DEVICE_RELATIONS));
    case(&machine, ASK, &[1]);
    // The last: of the physical device alone, which its bus does not have any more.
    watch.wait_for(2, |event| asked(event, IRP_MN_REMOVE_DEVICE));
    let minors = watch.events().into_iter().filter_map(|event| match event {
        Event::PnpRequest { minor, .. } => Some(minor),
        _ => None,
    });
    let (query, remove) = (IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_REMOVE_DEVICE);
    let expected = [abi::IRP_MN_QUERY_DEVICE_RELATIONS, query, remove, abi::IRP_MN_EJECT, remove];
    assert_eq!(minors.collect::<Vec<_>>(), expected);
    assert!(machine.bugcheck().is_none());
}
