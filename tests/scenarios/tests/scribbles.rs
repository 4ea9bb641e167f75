//! Drivers that write over what the kernel shares with them: every word of every object, by values of many kinds. Whatever
//! the kernel makes of it, its own memory stays as it was, the process lives, and every request ends.

use abi::STATUS_DEVICE_NOT_CONNECTED;
use app::Device;
use ringbridge_scenarios::{Form, HELLO, case_code, machine_with, open, words};

const WRONG: &str = r"\\.\RbWrong";
const SCRIBBLE: u32 = 25;
/// WRONG_ITSELF: the object's own address.
const ITSELF: u64 = 0x175_0000_0000;
/// In system space, where nothing is mapped.
const NOTHING: u64 = 0x6FFF_0000_1000;

/// Memory of the process that no driver has any business with.
static CANARY: [u64; 512] = [0x0123_4567_89AB_CDEF; 512];

fn canary() -> u64 {
    CANARY.as_ptr().addr() as u64 + 2048
}

/// Lets a driver scribble, then uses whatever is left of the machine; says whether that stopped it.
fn scribbled(object: u64, offset: u64, value: u64) -> bool {
    let machine = machine_with("wrong");
    let process = machine.process("scribbled");
    let device = open(&process, WRONG);
    let _any_end = device.control(case_code(SCRIBBLE), &words(&[object, offset, value]), &mut [0; 32]);
    let _any_end = device.read(&mut [0; 8]);
    let _any_end = device.control(case_code(21), &words(&[4]), &mut [0; 8]);
    let _any_end = Device::open(&process, WRONG).map(Device::close);
    let _any_end = device.close();
    let _any_list = (machine.drivers(), machine.pool_usage());
    let _any_end = machine.unload("wrong");
    if let Some(report) = machine.bugcheck() {
        assert!(!report.to_string().is_empty());
        assert_eq!(machine.unload("wrong"), Err(STATUS_DEVICE_NOT_CONNECTED));
    }
    assert!(CANARY.iter().all(|word| *word == 0x0123_4567_89AB_CDEF), "{object} {offset:#x} {value:#x}");
    machine.bugcheck().is_some()
}

/// Scribbles over all of an object of `size` bytes; returns how many machines that stopped.
fn scribble_all_over(object: u64, size: usize) -> usize {
    let values = [0, 1, u64::MAX, 0x4141_4141_4141_4141, 0x1000, NOTHING, ITSELF, canary()];
    let mut stopped = 0;
    for offset in (0..size as u64).step_by(8) {
        for value in values {
            stopped += usize::from(scribbled(object, offset, value));
        }
    }
    // The thread, and other machines, are as good as new.
    let machine = HELLO.machine(Form::Sys);
    let process = machine.process("reader");
    assert_eq!(open(&process, r"\\.\My_Device").read(&mut [0; 16]), Ok(16));
    stopped
}

#[test]
fn an_irp_is_never_trusted() {
    let stopped = scribble_all_over(0, size_of::<abi::IRP>());
    assert!(stopped > 0, "the kernel reads it");
}

#[test]
fn a_stack_location_is_never_trusted() {
    let stopped = scribble_all_over(1, size_of::<abi::IO_STACK_LOCATION>());
    assert!(stopped > 0, "the kernel reads it");
}

#[test]
fn a_device_object_is_never_trusted() {
    let stopped = scribble_all_over(2, size_of::<abi::DEVICE_OBJECT>());
    assert!(stopped > 0, "the kernel reads it");
}

#[test]
fn a_driver_object_is_never_trusted() {
    let stopped = scribble_all_over(3, size_of::<abi::DRIVER_OBJECT>());
    assert!(stopped > 0, "the kernel reads it");
}

#[test]
fn a_file_object_is_never_trusted() {
    assert_eq!(scribble_all_over(4, size_of::<abi::FILE_OBJECT>()), 0, "the kernel has its own record");
}

#[test]
fn a_thread_object_is_never_trusted() {
    assert_eq!(scribble_all_over(5, 256), 0, "the kernel has its own record");
}

#[test]
fn the_kernels_extensions_are_never_trusted() {
    assert_eq!(scribble_all_over(6, size_of::<abi::DEVOBJ_EXTENSION>()), 0);
    assert_eq!(scribble_all_over(7, size_of::<abi::DRIVER_EXTENSION>()), 0);
}
