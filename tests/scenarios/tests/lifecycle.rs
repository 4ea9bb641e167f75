//! The sample `lifecycle` (rows M14 and M18): a device of Plug and Play from its coming to its going, with files open, requests
//! pended and applications dying on the way.

use abi::{
    NTSTATUS, STATUS_DELETE_PENDING, STATUS_DEVICE_BUSY, STATUS_INVALID_DEVICE_STATE, STATUS_NO_SUCH_DEVICE,
    STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PLUGPLAY_QUERY_VETOED, STATUS_SUCCESS,
};
use app::{Buffer, ControlCode, Device, OpenOptions, Overlapped, Transport};
use host::{DeviceAction, DeviceReport, DeviceRequest, Event, Machine};
use ringbridge_scenarios::{
    Beside, LIFECYCLE, Watch, application, failure, is_pended, open, run_application, say_ready, scenario,
    serve, wait_to_go_on,
};
use sample_lifecycle::{Happened, INTERFACE, IOCTL_FAIL, IOCTL_HISTORY, IOCTL_REFUSE};

const INSTANCE: &str = r"ROOT\LIFECYCLE\0000";
const PATH: &str = r"\\?\ROOT#LIFECYCLE#0000#{5b7c1a3e-2c64-4d0f-9e55-6c1f0b9a4e21}";
/// Also there while the interface is not.
const QUERY_REMOVE: &str = "IRP_MN_QUERY_REMOVE_DEVICE";
const CANCEL_REMOVE: &str = "IRP_MN_CANCEL_REMOVE_DEVICE";
const REMOVE: &str = "IRP_MN_REMOVE_DEVICE";

fn add(machine: &Machine) {
    let (upper_filters, lower_filters) = (Vec::new(), Vec::new());
    let request = DeviceRequest::Add { service: "lifecycle".to_owned(), upper_filters, lower_filters };
    machine.manage_devices(&request).expect("the driver takes it");
}

fn act_on(machine: &Machine, instance: &str, action: DeviceAction) -> Result<DeviceReport, NTSTATUS> {
    let instance = instance.to_owned();
    let done = machine.manage_devices(&DeviceRequest::Act { instance, action });
    done.map_err(|refusal| refusal.status)
}

fn act(machine: &Machine, action: DeviceAction) -> DeviceReport {
    act_on(machine, INSTANCE, action).expect("can happen")
}

fn requests(report: &DeviceReport) -> Vec<(&str, NTSTATUS)> {
    report.answers.iter().map(|answer| (answer.request.as_str(), answer.status)).collect()
}

fn state(machine: &Machine) -> Option<String> {
    let listed = machine.manage_devices(&DeviceRequest::List).expect("lists");
    listed.devices.into_iter().next().map(|device| device.state)
}

fn started(machine: &Machine) {
    add(machine);
    assert_eq!(act(machine, DeviceAction::Start).status, STATUS_SUCCESS);
}

fn history(device: &Device<'_>) -> Vec<u8> {
    let mut bytes = [0; 64];
    let count = device.control(ControlCode(IOCTL_HISTORY), &[], &mut bytes).expect("answers");
    bytes[..count as usize].to_vec()
}

fn bytes(events: &[Happened]) -> Vec<u8> {
    events.iter().map(|event| *event as u8).collect()
}

fn refuse(device: &Device<'_>) {
    device.control(ControlCode(IOCTL_REFUSE), &[], &mut []).expect("answers");
}

/// Whether a stack has answered IRP_MN_REMOVE_DEVICE.
fn is_removal(event: &Event) -> bool {
    matches!(event, Event::PnpRequest { minor: abi::IRP_MN_REMOVE_DEVICE, .. })
}

/// Nothing of the device, its driver or its interface is left.
fn gone(machine: &Machine) {
    assert_eq!(state(machine), None);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    for driver in machine.drivers() {
        assert!(driver.devices.is_empty(), "{driver:?}");
        assert_eq!(driver.name, "PnpManager", "the driver goes with its last device");
    }
    let process = machine.process("late");
    assert_eq!(failure(Device::open(&process, PATH)), STATUS_OBJECT_NAME_NOT_FOUND);
    let left: Vec<_> = machine.pool_usage().into_iter().filter(|(owner, ..)| owner != "kernel").collect();
    assert!(left.is_empty(), "{left:?}");
}

scenario! {
    fn a_start_is_asked_for_in_the_documented_order_and_the_interface_appears_with_it(form: Form) {
        let machine = LIFECYCLE.machine(form);
        add(&machine);
        let process = machine.process("application");
        assert_eq!(failure(Device::open(&process, PATH)), STATUS_OBJECT_NAME_NOT_FOUND);
        let report = act(&machine, DeviceAction::Start);
        assert_eq!(
            requests(&report),
            [
                ("IRP_MN_FILTER_RESOURCE_REQUIREMENTS", STATUS_NOT_SUPPORTED),
                ("IRP_MN_START_DEVICE", STATUS_SUCCESS),
                ("IRP_MN_QUERY_CAPABILITIES", STATUS_SUCCESS),
                ("IRP_MN_QUERY_PNP_DEVICE_STATE", STATUS_SUCCESS),
                ("IRP_MN_QUERY_DEVICE_RELATIONS", STATUS_NOT_SUPPORTED),
            ]
        );
        let link = PATH.replace(r"\\?\", r"\??\");
        assert_eq!(report.devices[0].interfaces, [link]);
        let device = open(&process, PATH);
        assert_eq!(history(&device), bytes(&[Happened::Started]));
        device.close().expect("closes");
        assert_eq!(act_on(&machine, INSTANCE, DeviceAction::Start), Err(STATUS_INVALID_DEVICE_STATE));
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

scenario! {
    fn a_device_that_was_never_started_is_removed_without_a_question(form: Form) {
        let machine = LIFECYCLE.machine(form);
        add(&machine);
        let report = act(&machine, DeviceAction::Remove);
        assert_eq!(requests(&report), [(REMOVE, STATUS_SUCCESS)]);
        assert_eq!(report.unloaded, ["lifecycle"]);
        gone(&machine);
    }
}

scenario! {
    fn an_open_file_is_a_veto_and_the_device_goes_on(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let report = act(&machine, DeviceAction::Remove);
        assert_eq!(report.status, STATUS_PLUGPLAY_QUERY_VETOED);
        assert_eq!(report.reason, "a file is open on it");
        assert_eq!(requests(&report), [(QUERY_REMOVE, STATUS_SUCCESS), (CANCEL_REMOVE, STATUS_SUCCESS)]);
        assert_eq!(
            history(&device),
            bytes(&[Happened::Started, Happened::AskedToRemove, Happened::RemovalCancelled])
        );
        open(&process, PATH).close().expect("others open it again");
        device.close().expect("closes");
        let report = act(&machine, DeviceAction::Remove);
        assert_eq!(requests(&report), [(QUERY_REMOVE, STATUS_SUCCESS), (REMOVE, STATUS_SUCCESS)]);
        gone(&machine);
    }
}

scenario! {
    fn a_driver_that_refuses_is_told_that_nothing_happens(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        refuse(&device);
        let report = act(&machine, DeviceAction::QueryRemove);
        assert_eq!(report.status, STATUS_PLUGPLAY_QUERY_VETOED);
        assert_eq!(requests(&report), [(QUERY_REMOVE, STATUS_DEVICE_BUSY), (CANCEL_REMOVE, STATUS_SUCCESS)]);
        refuse(&device);
        let report = act(&machine, DeviceAction::Stop);
        assert_eq!(
            requests(&report),
            [
                ("IRP_MN_QUERY_STOP_DEVICE", STATUS_DEVICE_BUSY),
                ("IRP_MN_CANCEL_STOP_DEVICE", STATUS_SUCCESS),
            ]
        );
        assert_eq!(state(&machine).as_deref(), Some("Started"));
        device.close().expect("closes");
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

scenario! {
    fn nobody_opens_a_device_whose_removal_is_pending_until_that_is_cancelled(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        assert_eq!(act(&machine, DeviceAction::QueryRemove).status, STATUS_SUCCESS);
        let process = machine.process("application");
        assert_eq!(failure(Device::open(&process, PATH)), STATUS_NO_SUCH_DEVICE);
        assert_eq!(act_on(&machine, INSTANCE, DeviceAction::Stop), Err(STATUS_INVALID_DEVICE_STATE));
        act(&machine, DeviceAction::CancelRemove);
        open(&process, PATH).close().expect("closes");
        act(&machine, DeviceAction::QueryRemove);
        assert_eq!(requests(&act(&machine, DeviceAction::Remove)), [(REMOVE, STATUS_SUCCESS)]);
        gone(&machine);
    }
}

scenario! {
    fn a_stopped_device_is_started_again_under_open_files(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        act(&machine, DeviceAction::Stop);
        assert_eq!(state(&machine).as_deref(), Some("Stopped"));
        assert_eq!(act(&machine, DeviceAction::Start).status, STATUS_SUCCESS);
        use Happened::{AskedToStop, Started, Stopped};
        assert_eq!(history(&device), bytes(&[Started, AskedToStop, Stopped, Started]));
        device.close().expect("closes");
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

scenario! {
    fn a_surprise_removal_ends_pended_reads_and_is_finished_by_the_last_close(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = OpenOptions::new().overlapped(true).open(&process, PATH).expect("opens");
        let read = || {
            let buffer = Buffer::new(&process, 4).expect("memory");
            device.read_overlapped(buffer, &Overlapped::new())
        };
        let operation = read().expect("begins");
        watch.wait_for(1, is_pended);
        let report = act(&machine, DeviceAction::SurpriseRemove);
        assert_eq!(requests(&report), [("IRP_MN_SURPRISE_REMOVAL", STATUS_SUCCESS)]);
        // The read has heard of it: that is what it waited for.
        let finished = operation.finish();
        assert_eq!(finished.result, Ok(1));
        assert_eq!(finished.buffer.to_vec(1), [Happened::Gone as u8]);
        let late = read().map(|operation| operation.finish().result);
        let late = late.unwrap_or_else(|refused| Err(refused.error));
        assert_eq!(failure(late), STATUS_DELETE_PENDING);
        assert_eq!(failure(Device::open(&process, PATH)), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(state(&machine).as_deref(), Some("SurpriseRemoved"));
        assert!(!watch.events().iter().any(is_removal), "a file is open");
        device.close().expect("closes");
        watch.wait_for(1, |event| matches!(event, Event::DriverUnloaded { .. }));
        assert!(watch.events().iter().any(is_removal));
        gone(&machine);
    }
}

#[test]
fn application_that_holds_a_device() {
    let Some(client) = application() else { return };
    let device = open(&client, PATH);
    let _open = device;
    say_ready();
    wait_to_go_on();
}

scenario! {
    fn an_application_that_is_killed_lets_a_device_go_that_is_gone(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let watch = Watch::on(&machine);
        let (_folder, server) = serve(&machine);
        let beside = Beside::start("application_that_holds_a_device", server.path());
        assert_eq!(act(&machine, DeviceAction::Remove).status, STATUS_PLUGPLAY_QUERY_VETOED);
        act(&machine, DeviceAction::SurpriseRemove);
        assert_eq!(state(&machine).as_deref(), Some("SurpriseRemoved"));
        beside.kill();
        watch.wait_for(1, |event| matches!(event, Event::DriverUnloaded { .. }));
        server.stop();
        gone(&machine);
    }
}

fn lives(transport: &dyn Transport, watch_sleep: impl FnOnce()) {
    let paths = app::device_interfaces(transport, &INTERFACE).expect("lists");
    assert_eq!(paths, [PATH]);
    let other = abi::GUID { Data1: 0, ..INTERFACE };
    assert_eq!(app::device_interfaces(transport, &other), Ok(Vec::new()));
    let device = open(transport, &paths[0]);
    watch_sleep();
    use Happened::{AskedToSleep, PoweredDown, PoweredUp, Started};
    assert_eq!(history(&device), bytes(&[Started, AskedToSleep, PoweredDown, PoweredUp]));
}

fn power(machine: &Machine, state: i32) -> DeviceReport {
    let state = state.cast_unsigned();
    machine.manage_devices(&DeviceRequest::Power { state }).expect("the system can go there")
}

fn sleep_and_wake(machine: &Machine) {
    let report = power(machine, abi::PowerSystemSleeping3);
    assert_eq!(
        requests(&report),
        [
            ("IRP_MN_QUERY_POWER PowerSystemSleeping3", STATUS_SUCCESS),
            ("IRP_MN_SET_POWER PowerSystemSleeping3", STATUS_SUCCESS),
        ]
    );
    let report = power(machine, abi::PowerSystemWorking);
    assert_eq!(requests(&report), [("IRP_MN_SET_POWER PowerSystemWorking", STATUS_SUCCESS)]);
}

scenario! {
    fn a_device_loses_its_power_while_the_system_sleeps(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        lives(&machine.process("application"), || sleep_and_wake(&machine));
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

#[test]
fn application_that_lives_through_a_sleep() {
    let Some(client) = application() else { return };
    lives(&client, || {
        use gate::Management;
        for state in [abi::PowerSystemSleeping3, abi::PowerSystemWorking] {
            let state = state.cast_unsigned();
            client.manage_devices(&DeviceRequest::Power { state }).expect("an administrator");
        }
    });
}

scenario! {
    fn an_application_in_another_process_lives_through_a_sleep_that_it_asks_for(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let (_folder, server) = serve(&machine);
        run_application("application_that_lives_through_a_sleep", server.path());
        server.stop();
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

scenario! {
    fn a_device_that_is_against_sleep_keeps_the_system_awake_and_those_asked_before_are_told(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        started_second(&machine);
        let process = machine.process("application");
        let first = open(&process, PATH);
        refuse(&first);
        let report = power(&machine, abi::PowerSystemHibernate);
        assert_eq!(report.status, STATUS_DEVICE_BUSY);
        // The newest is asked first; both hear that the system works on, the oldest first.
        let devices: Vec<_> = report.answers.iter().map(|answer| answer.device.as_str()).collect();
        assert_eq!(devices, [SECOND, INSTANCE, INSTANCE, SECOND]);
        let last = ("IRP_MN_SET_POWER PowerSystemWorking", STATUS_SUCCESS);
        assert_eq!(requests(&report)[2..], [last, last]);
        first.close().expect("closes");
        // It was asked, and is not now.
        power(&machine, abi::PowerSystemHibernate);
        power(&machine, abi::PowerSystemWorking);
        act(&machine, DeviceAction::Remove);
        act_on(&machine, SECOND, DeviceAction::Remove).expect("can happen");
        gone(&machine);
    }
}

const SECOND: &str = r"ROOT\LIFECYCLE\0001";

fn started_second(machine: &Machine) {
    add(machine);
    act_on(machine, SECOND, DeviceAction::Start).expect("can happen");
}

scenario! {
    fn a_driver_stays_until_its_last_device_has_gone(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        started_second(&machine);
        assert!(act(&machine, DeviceAction::Remove).unloaded.is_empty());
        let report = act_on(&machine, SECOND, DeviceAction::Remove).expect("can happen");
        assert_eq!(report.unloaded, ["lifecycle"]);
        gone(&machine);
    }
}

scenario! {
    fn a_device_that_its_driver_reports_as_failed_is_removed_from_its_drivers(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let device = open(&process, PATH);
        device.control(ControlCode(IOCTL_FAIL), &[], &mut []).expect("answers");
        let gone_by_surprise =
            |event: &Event| matches!(event, Event::PnpRequest { minor: abi::IRP_MN_SURPRISE_REMOVAL, .. });
        watch.wait_for(1, gone_by_surprise);
        device.close().expect("closes");
        watch.wait_for(1, |event| matches!(event, Event::DriverUnloaded { .. }));
        // The bus still has it.
        assert_eq!(state(&machine).as_deref(), Some("DriversRemoved"));
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}

scenario! {
    fn a_shutdown_takes_the_power_of_devices_and_asks_nobody(form: Form) {
        let machine = LIFECYCLE.machine(form);
        started(&machine);
        let report = machine.manage_devices(&DeviceRequest::Shutdown).expect("shuts down");
        assert_eq!(requests(&report), [("IRP_MN_SET_POWER PowerSystemShutdown", STATUS_SUCCESS)]);
        power(&machine, abi::PowerSystemWorking);
        act(&machine, DeviceAction::Remove);
        gone(&machine);
    }
}
