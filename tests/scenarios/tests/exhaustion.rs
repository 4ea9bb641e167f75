//! Too much of everything: handles, requests that wait, a window that is full. What there is no room for is refused with a
//! status; what there was before goes on, and all of it can be given back.

use std::sync::Arc;

use abi::{ERROR_NO_SYSTEM_RESOURCES, ERROR_OPERATION_ABORTED, GENERIC_READ};
use app::{Buffer, Device, OpenOptions, Operation, Overlapped, Transport, Win32Error};
use host::{LoadOptions, Machine, TagUsage};
use kernel::Configuration;
use platform::Linux;
use ringbridge_scenarios::{
    APPS, AppsWitness, application, apps_nothing, apps_pend, machine_with, run_application, serve, sys_path,
    unload_when_closed,
};

/// A machine of little pool, with `apps`.
fn small_machine() -> Machine {
    let configuration = Configuration { pool_limit: 4 << 20, ..Configuration::default() };
    let machine = Machine::with(Arc::new(Linux::new()), configuration).expect("enough for a machine");
    machine.load(&sys_path("apps"), LoadOptions::default()).expect("enough for a driver");
    machine
}

/// What of pool is in use, but for what is kept for requests to come.
fn pool(machine: &Machine) -> Vec<(String, u32, TagUsage)> {
    let kept = [b"Irp ", b"IoSB", b"IoMd"].map(|tag| u32::from_le_bytes(*tag));
    let mut usage = machine.pool_usage();
    usage.retain(|(owner, tag, usage)| usage.blocks > 0 && !(owner == "kernel" && kept.contains(tag)));
    usage
}

fn asynchronous(transport: &dyn Transport) -> Device<'_> {
    let options = OpenOptions::new().access(GENERIC_READ).overlapped(true);
    options.open(transport, APPS).expect("opens")
}

/// Makes something again and again until there is no room for it.
fn until_refused<T>(mut make: impl FnMut() -> Result<T, Win32Error>) -> Vec<T> {
    let mut made = Vec::new();
    let error = loop {
        match make() {
            Ok(one) => made.push(one),
            Err(error) => break error,
        }
        assert!(made.len() < 1 << 20, "there was to be an end");
    };
    assert_eq!((error.code, error.status), (ERROR_NO_SYSTEM_RESOURCES, abi::STATUS_INSUFFICIENT_RESOURCES));
    made
}

fn waits<'d>(
    device: &'d Device<'d>,
    transport: &dyn Transport,
    input: u32,
) -> Result<Operation<'d>, Win32Error> {
    let buffer = |length| Buffer::new(transport, length).expect("room in the window");
    let begun = device.control_overlapped(apps_pend(), buffer(input), buffer(0), &Overlapped::new());
    begun.map_err(|refused| refused.error)
}

#[test]
fn handles_that_there_is_no_pool_for_are_refused_and_the_others_go_on() {
    let machine = small_machine();
    let process = machine.process("application");
    let witness = AppsWitness::new(&process);
    let before = pool(&machine);
    for _ in 0..2 {
        let devices = until_refused(|| Device::open(&process, APPS));
        assert!(devices.len() > 500, "{}", devices.len());
        for device in [&devices[0], &devices[devices.len() - 1]] {
            device.control(apps_nothing(), &[], &mut [0; 8]).expect("answers");
        }
        drop(devices);
        witness.wait_until_alone();
        assert_eq!(pool(&machine), before);
    }
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}

/// Pends requests until there is no room, lets `end` end them, and does so once more: nothing was kept.
fn too_many_requests(machine: &Machine, input: u32, end: impl Fn(&Device<'_>, &[Operation<'_>])) -> usize {
    let process = machine.process("application");
    let witness = AppsWitness::new(&process);
    let device = asynchronous(&process);
    let before = pool(machine);
    let counts = [(); 2].map(|()| {
        let operations = until_refused(|| waits(&device, &process, input));
        assert!(!operations.iter().any(Operation::has_completed));
        let count = operations.len();
        end(&device, &operations);
        for operation in operations {
            let error = operation.finish().result.expect_err("is cancelled");
            assert_eq!(error.code, ERROR_OPERATION_ABORTED);
        }
        assert_eq!(witness.counts().pending, 0);
        assert_eq!(pool(machine), before);
        count
    });
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    drop(device);
    witness.wait_until_alone();
    counts[1]
}

#[test]
fn requests_that_there_is_no_pool_for_are_refused_and_the_others_are_cancelled_in_any_way() {
    let machine = small_machine();
    let all = |device: &Device<'_>, _: &[Operation<'_>]| device.cancel_all().expect("there are some");
    let each = |_: &Device<'_>, operations: &[Operation<'_>]| {
        operations.iter().rev().for_each(|operation| operation.cancel().expect("it waits"));
    };
    let own = |device: &Device<'_>, _: &[Operation<'_>]| device.cancel_own().expect("the calling thread's");
    // The packets that have a buffer of their own come first; those behind them have what they need.
    assert!(too_many_requests(&machine, 0, all) > 1000);
    assert!(too_many_requests(&machine, 100, each) > 500);
    too_many_requests(&machine, 5000, own);
}

#[test]
fn requests_with_buffers_of_pages_are_refused_before_the_process_has_no_mappings_left() {
    let machine = machine_with("apps");
    let all = |device: &Device<'_>, _: &[Operation<'_>]| device.cancel_all().expect("there are some");
    let count = too_many_requests(&machine, 4096, all);
    assert!((10_000..50_000).contains(&count), "{count}");
}

#[test]
fn application_whose_window_is_full() {
    const PART: u32 = 64 << 20;
    let Some(client) = application() else { return };
    let device = asynchronous(&client);
    let synchronous = Device::open(&client, APPS).expect("opens");
    for _ in 0..2 {
        let mut parts = until_refused(|| Buffer::new(&client, PART));
        parts.extend(until_refused(|| Buffer::new(&client, PART / 64)));
        let mut small = until_refused(|| Buffer::new(&client, 0));
        let mut large = vec![0; 16 << 20];
        // What does not fit a call's own slot goes through the window.
        let error = synchronous.control(apps_nothing(), &[], &mut large).expect_err("no room");
        assert_eq!(error.code, ERROR_NO_SYSTEM_RESOURCES);
        assert_eq!(synchronous.control(apps_nothing(), &[], &mut [0; 8]).expect("needs no room"), 8);
        let (output, input) = (small.pop().expect("some"), small.pop().expect("some"));
        let operation = device.control_overlapped(apps_pend(), input, output, &Overlapped::new());
        let operation = operation.expect("has its memory");
        operation.cancel().expect("waits");
        assert_eq!(operation.finish().result.expect_err("cancelled").code, ERROR_OPERATION_ABORTED);
        drop((parts, small));
        assert_eq!(synchronous.control(apps_nothing(), &[], &mut large).expect("room again"), 8);
    }
}

#[test]
fn a_full_window_refuses_what_needs_room_and_nothing_else() {
    let machine = machine_with("apps");
    let (_folder, server) = serve(&machine);
    run_application("application_whose_window_is_full", server.path());
    server.stop();
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(&machine, "apps");
}
