//! A driver of Plug and Play devices, before its first device is started: AddDevice, what it hangs on its driver object,
//! and its reinitialisation routines. `wdm.sys` writes down what it gets.

use app::Device;
use host::AddDeviceError;
use ringbridge_scenarios::{Form, HELLO, case_code, machine_with, open, unload_cleanly};

const WDM: &str = r"\\.\RbWdm";
const RECORD: u32 = 0;
const REFUSE: u32 = 1;
const REMOVE: u32 = 2;

/// `wdm_record`, word by word.
#[derive(Debug)]
struct Record([u32; 14]);

fn record(device: &Device<'_>) -> Record {
    let mut bytes = [0; 56];
    assert_eq!(device.control(case_code(RECORD), &[], &mut bytes).expect("answers"), 56);
    let mut words = [0; 14];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    Record(words)
}

#[test]
fn add_device_is_called_at_passive_level_with_a_physical_device_object_of_the_pnp_manager() {
    let machine = machine_with("wdm");
    let process = machine.process("looker");
    let device = open(&process, WDM);
    assert_eq!(record(&device).0[0], 0, "nobody has added a device yet");
    let stack = machine.add_device("wdm").expect("the driver takes it");
    assert_eq!(stack.len(), 2, "the physical device and the driver's: {stack:?}");
    assert!(stack[0].starts_with(r"\Device\"), "physical device objects have names: {stack:?}");
    let Record([calls, irql, flags, physical_stack, lower_is_physical, stack_size, ..]) = record(&device);
    assert_eq!((calls, irql), (1, 0));
    assert_ne!(flags & abi::DO_BUS_ENUMERATED_DEVICE, 0);
    assert_eq!(flags & abi::DO_DEVICE_INITIALIZING, 0);
    assert_eq!((physical_stack, lower_is_physical, stack_size), (1, 1, 2));
    let manager =
        machine.drivers().into_iter().find(|driver| driver.name == "PnpManager").expect("is listed");
    assert_eq!(manager.devices, stack[..1]);
    device.control(case_code(REMOVE), &[], &mut []).expect("answers");
    device.close().expect("closes");
    unload_cleanly(&machine, "wdm");
}

#[test]
fn a_driver_may_have_several_devices_added() {
    let machine = machine_with("wdm");
    let first = machine.add_device("wdm").expect("the driver takes it");
    let second = machine.add_device("wdm").expect("the driver takes it");
    assert_ne!(first[0], second[0]);
    unload_cleanly(&machine, "wdm");
}

#[test]
fn a_device_that_add_device_refuses_is_gone_again() {
    let machine = machine_with("wdm");
    let process = machine.process("looker");
    let device = open(&process, WDM);
    device.control(case_code(REFUSE), &[], &mut []).expect("answers");
    assert_eq!(machine.add_device("wdm"), Err(AddDeviceError::AddDevice(abi::STATUS_NO_SUCH_DEVICE)));
    let manager =
        machine.drivers().into_iter().find(|driver| driver.name == "PnpManager").expect("is listed");
    assert!(manager.devices.is_empty(), "{manager:?}");
}

#[test]
fn a_driver_without_add_device_takes_no_devices() {
    let machine = HELLO.machine(Form::Sys);
    let refused = AddDeviceError::Status(abi::STATUS_INVALID_DEVICE_REQUEST);
    assert_eq!(machine.add_device("hello"), Err(refused));
    let unknown = AddDeviceError::Status(abi::STATUS_OBJECT_NAME_NOT_FOUND);
    assert_eq!(machine.add_device("nobody"), Err(unknown));
}

#[test]
fn a_driver_object_extension_is_found_by_its_address_exists_once_and_goes_with_the_driver() {
    let machine = machine_with("wdm");
    let process = machine.process("looker");
    let device = open(&process, WDM);
    let Record([.., first, second, third, found, _, _, _, _]) = record(&device);
    assert_eq!((first, second), (0, 0));
    assert_eq!(third, abi::STATUS_OBJECT_NAME_COLLISION.bits());
    assert_eq!(found, 1);
    device.close().expect("closes");
    unload_cleanly(&machine, "wdm");
}

#[test]
fn a_reinitialisation_routine_runs_after_driver_entry_and_one_registered_there_after_the_next_driver() {
    let machine = machine_with("wdm");
    let process = machine.process("looker");
    let device = open(&process, WDM);
    let Record([.., at_entry, calls, count, context]) = record(&device);
    assert_eq!((at_entry, calls, count, context), (0, 1, 1, 76));
    HELLO.load(&machine, Form::Sys);
    let Record([.., calls, count, context]) = record(&device);
    assert_eq!((calls, count, context), (2, 2, 77));
}
