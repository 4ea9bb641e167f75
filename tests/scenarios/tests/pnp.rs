//! The SDK's drivers of Plug and Play devices: AddDevice, a function and filter devices, and what passes them.

use abi::{
    IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_QUERY_EA, IRP_MJ_SYSTEM_CONTROL, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS,
};
use app::ControlCode;
use host::{AddDeviceError, DeviceAction, DeviceRequest, Event, LoadOptions, Machine};
use ringbridge_scenarios::{TOWER, Watch, failure, open, run_case, scenario, sys_path, unload_cleanly};
use test_tower::{IOCTL_OPEN, IOCTL_SEEN};

const PATH: &str = r"\\.\RbTower";
const SEEN: &str = r"\\.\RbSeen";
const PNP_SEND: u32 = 0;
/// IRP_MN_START_DEVICE and IRP_MN_QUERY_STOP_DEVICE.
const START: u8 = 0;
const QUERY_STOP: u8 = 5;

fn devices_of(machine: &Machine, driver: &str) -> usize {
    let drivers = machine.drivers();
    drivers.iter().find(|listed| listed.name == driver).map_or(0, |driver| driver.devices.len())
}

/// What the function device at `PATH`, or the filter that `SEEN` tells of, has seen: starts, the status of the last one below,
/// opens and closes.
fn seen(machine: &Machine, path: &str) -> [u32; 4] {
    let process = machine.process("looker");
    let mut bytes = [0; 16];
    let count = open(&process, path).control(ControlCode(IOCTL_SEEN), &[], &mut bytes).expect("answers");
    assert_eq!(count, 16);
    std::array::from_fn(|index| u32::from_le_bytes(bytes[index * 4..][..4].try_into().expect("four bytes")))
}

/// How many requests of a major function have come to a driver.
fn dispatched(watch: &Watch, name: &str, wanted: u8) -> usize {
    let name = format!(r"\Driver\{name}");
    let events = watch.events();
    let comes = |event: &&Event| matches!(event, Event::IrpDispatched { major, driver, .. } if *major == wanted && *driver == name);
    events.iter().filter(comes).count()
}

/// Sends a request down the whole stack; its status.
fn send(machine: &Machine, major: u8, minor: u8) -> u32 {
    let process = machine.process("manager");
    let device = open(&process, r"\\.\RbPnp");
    let result = run_case(&device, PNP_SEND, &[major.into(), minor.into()]).expect("answers");
    assert_eq!(result.status, 0, "opens the device");
    u32::try_from(result.values[0]).expect("a status")
}

scenario! {
    fn a_function_device_that_add_device_attaches_is_opened_by_its_name_above_the_physical_one(form: Form) {
        let machine = TOWER.machine(form);
        let stack = machine.add_device("tower").expect("the driver takes it");
        assert_eq!(stack.len(), 2, "{stack:?}");
        assert_eq!(stack[1], r"\Device\RbTower");
        let process = machine.process("reader");
        let device = open(&process, PATH);
        let mut buffer = [0; 4];
        assert_eq!(device.read(&mut buffer).expect("answers"), 1);
        assert_eq!(device.read(&mut buffer).expect("answers"), 1);
        assert_eq!(buffer, [2, 0, 0, 0]);
        device.close().expect("closes");
        unload_cleanly(&machine, "tower");
    }
}

scenario! {
    fn plug_and_play_power_and_system_control_go_down_unless_a_method_takes_them(form: Form) {
        let machine = TOWER.machine(form);
        machine.load(&sys_path("pnp"), LoadOptions::default()).expect("the driver loads");
        machine.add_device("tower").expect("the driver takes it");
        let watch = Watch::on(&machine);
        let (success, unset) = (STATUS_SUCCESS.bits(), STATUS_INVALID_DEVICE_REQUEST.bits());
        // What the bus's driver does not know comes back as it went.
        for (major, minor, answer) in [
            (IRP_MJ_PNP, START, success),
            (IRP_MJ_PNP, QUERY_STOP, success),
            (IRP_MJ_POWER, 2, success),
            (IRP_MJ_SYSTEM_CONTROL, 0, STATUS_NOT_SUPPORTED.bits()),
        ] {
            assert_eq!(send(&machine, major, minor), answer, "{major} {minor}");
            assert_eq!(seen(&machine, PATH), [1, success, 0, 0], "{major} {minor}");
        }
        assert_eq!(dispatched(&watch, "PnpManager", IRP_MJ_PNP), 2);
        assert_eq!(dispatched(&watch, "PnpManager", IRP_MJ_POWER), 1);
        assert_eq!(dispatched(&watch, "PnpManager", IRP_MJ_SYSTEM_CONTROL), 1);
        // Of the others the function driver itself refuses those that it has no method for.
        assert_eq!(send(&machine, IRP_MJ_QUERY_EA, 0), unset);
        assert_eq!(dispatched(&watch, "PnpManager", IRP_MJ_QUERY_EA), 0);
        unload_cleanly(&machine, "tower");
    }
}

scenario! {
    fn a_filter_above_a_physical_device_sees_what_is_sent_to_that(form: Form) {
        let machine = TOWER.machine(form);
        machine.add_device("tower").expect("the driver takes it");
        let stack = machine.add_device("tower").expect("the driver takes it");
        assert_eq!(stack.len(), 2, "{stack:?}");
        let process = machine.process("opener");
        let name: Vec<u8> = stack[0].encode_utf16().flat_map(u16::to_le_bytes).collect();
        // The physical device's driver refuses the open, behind the filter.
        let opened = open(&process, SEEN).control(ControlCode(IOCTL_OPEN), &name, &mut []);
        assert_eq!(failure(opened), STATUS_INVALID_DEVICE_REQUEST);
        assert_eq!(seen(&machine, SEEN), [0, 0, 1, 0]);
        unload_cleanly(&machine, "tower");
    }
}

scenario! {
    fn what_a_failing_add_device_has_attached_and_created_is_gone_and_the_rest_stays(form: Form) {
        let machine = TOWER.machine(form);
        for _ in 0..2 {
            machine.add_device("tower").expect("the driver takes it");
        }
        assert_eq!((devices_of(&machine, "tower"), devices_of(&machine, "PnpManager")), (3, 2));
        let refused = AddDeviceError::AddDevice(STATUS_OBJECT_NAME_COLLISION);
        assert_eq!(machine.add_device("tower"), Err(refused));
        assert_eq!((devices_of(&machine, "tower"), devices_of(&machine, "PnpManager")), (3, 2));
        let process = machine.process("reader");
        let device = open(&process, PATH);
        assert_eq!(device.read(&mut [0; 4]).expect("the first stack still answers"), 1);
        device.close().expect("closes");
        unload_cleanly(&machine, "tower");
    }
}

scenario! {
    fn a_removal_detaches_and_deletes_function_and_filter_devices_whichever_method_answers_it(form: Form) {
        let machine = TOWER.machine(form);
        for _ in 0..2 {
            machine.add_device("tower").expect("the driver takes it");
        }
        let watch = Watch::on(&machine);
        assert_eq!((devices_of(&machine, "tower"), devices_of(&machine, "PnpManager")), (3, 2));
        // The second has a filter alone, the first a function device with a method of its own for these requests.
        for (instance, left) in [(r"ROOT\TOWER\0001", (2, 1)), (r"ROOT\TOWER\0000", (1, 0))] {
            for action in [DeviceAction::Start, DeviceAction::Remove] {
                let instance = instance.to_owned();
                let report = machine.manage_devices(&DeviceRequest::Act { instance, action });
                assert_eq!(report.expect("can happen").status, STATUS_SUCCESS, "{action:?}");
            }
            assert_eq!((devices_of(&machine, "tower"), devices_of(&machine, "PnpManager")), left);
        }
        let bad = |event: &Event| matches!(event, Event::DeviceNotDetached { .. } | Event::NotPassedDown { .. });
        assert!(!watch.events().iter().any(bad), "{:#?}", watch.events());
        unload_cleanly(&machine, "tower");
    }
}
