//! What stops a machine: the report, and that everything else goes on. Drivers as `.sys` files (`stop.sys`, `wrong.sys`)
//! and compiled into the process.

#![expect(unsafe_code, reason = "a driver here writes where it must not")]

use std::sync::mpsc;

use abi::{
    BAD_POOL_CALLER, BAD_POOL_HEADER, MULTIPLE_IRP_COMPLETE_REQUESTS, NTSTATUS, STATUS_DEVICE_NOT_CONNECTED,
};
use app::Device;
use host::{BugcheckReport, Event, LoadError, LoadOptions, Machine, Transport};
use ringbridge_scenarios::{
    PATIENCE, Watch, application, case_code, failure, machine_with, open, run_application, run_case,
    sys_path, words,
};

const STOP: &str = r"\\.\RbStop";
const WRONG: &str = r"\\.\RbWrong";
/// In system space, where nothing is mapped.
const SYSTEM_ADDRESS: u64 = 0x6FFF_0000_1000;
/// Where no application's memory is either.
const USER_ADDRESS: u64 = 0x4FFF_0000_0000;

const BUG_CHECK: u32 = 0;
const COMPLETE_TWICE: u32 = 1;
const PEND: u32 = 2;
const FORGET: u32 = 3;
const STAY_RAISED: u32 = 4;
const FREE_TWICE: u32 = 5;
const FREE_STRAY: u32 = 6;
const FREE_OTHER_TAG: u32 = 7;
const OVERRUN: u32 = 8;
const WRITE: u32 = 9;
const FREE_SYSTEM_BUFFER: u32 = 10;
const OVERRUN_SYSTEM_BUFFER: u32 = 11;
const JUMP: u32 = 12;
const RETURN_ASTRAY: u32 = 13;
const LOSE_STACK: u32 = 14;
const ROUTINE: u32 = 15;
const DELETE_TWICE: u32 = 16;
const CALL_NO_DEVICE: u32 = 17;
const CALL_WITHOUT_LOCATION: u32 = 18;
const COMPLETE_NO_IRP: u32 = 19;
const WAIT: u32 = 20;
const INFORMATION: u32 = 21;
const DEREFERENCE: u32 = 22;
const OVERRUN_EXTENSION: u32 = 23;
const ANSWER: u32 = 24;
const POOL_AT_RAISED_IRQL: u32 = 26;

/// Runs a case of `wrong.sys`.
fn wrong(device: &Device<'_>, number: u32, inputs: &[u64]) -> Result<u32, app::Win32Error> {
    device.control(case_code(number), &words(inputs), &mut [0; 32])
}

/// What a case of `wrong.sys` stops its machine with.
fn stopped_by(number: u32, inputs: &[u64]) -> BugcheckReport {
    let machine = machine_with("wrong");
    let process = machine.process("wrong");
    let device = open(&process, WRONG);
    assert_eq!(failure(wrong(&device, number, inputs)), STATUS_DEVICE_NOT_CONNECTED, "case {number}");
    let report = machine.bugcheck().unwrap_or_else(|| panic!("case {number} stops the machine"));
    is_dead(&machine, &process);
    report
}

fn stop(report: &BugcheckReport) -> (u32, [u64; 4]) {
    (report.bugcheck.stop.code, report.bugcheck.stop.parameters)
}

/// Every call into a stopped machine fails at once.
fn is_dead(machine: &Machine, process: &dyn Transport) {
    let error = Device::open(process, r"\\.\RbWrong").expect_err("the machine has stopped");
    assert_eq!(error.status, STATUS_DEVICE_NOT_CONNECTED);
    assert!(error.to_string().contains("the machine has stopped"), "{error}");
    let listed = process.query_directory(&r"\Device".encode_utf16().collect::<Vec<_>>());
    assert_eq!(listed.expect_err("the machine has stopped"), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.unload("wrong").expect_err("the machine has stopped"), STATUS_DEVICE_NOT_CONNECTED);
    let drivers = machine.drivers();
    let load = machine.load(&sys_path("hello"), LoadOptions::default());
    assert_eq!(load.expect_err("the machine has stopped").status(), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.drivers(), drivers, "what could not be loaded is not listed");
    let late = machine.process("late");
    assert!(Device::open(&late, WRONG).is_err());
    assert_eq!(late.open_handles(), 0);
}

/// The innermost frame is the driver's, and the dispatch routine that was called is among the others.
fn names_the_driver(report: &BugcheckReport, image: &str) {
    let stack = &report.bugcheck.stack;
    let first = stack.first().unwrap_or_else(|| panic!("no stack: {report}"));
    assert!(first.image == image && first.offset > 0x1000 && first.address > first.offset, "{report}");
    assert!(report.to_string().contains(&format!("{image}+{:#x}", first.offset)), "{report}");
}

#[test]
fn what_no_driver_can_handle_stops_the_machine_and_runs_no_handler() {
    let cases: [(u32, u64, u32, u64); 7] = [
        (0, 5, 0x139, 5),
        (1, 0x30, 0x1E, 0xC000_0005),
        (2, 0, 0x1E, 0xC000_0010),
        (3, SYSTEM_ADDRESS, 0x50, SYSTEM_ADDRESS),
        (4, 0x30, 0xD1, 0x30),
        (5, 0, 0xBE, 0),
        (6, 0, 0x7F, 8),
    ];
    for (number, input, code, parameter) in cases {
        let machine = machine_with("stop");
        let watch = Watch::on(&machine);
        let process = machine.process("stopper");
        let device = open(&process, STOP);
        assert_eq!(failure(run_case(&device, number, &[input])), STATUS_DEVICE_NOT_CONNECTED);
        let report = machine.bugcheck().expect("the machine has stopped");
        assert_eq!(stop(&report).0, code, "case {number}: {report}");
        if parameter != 0 {
            assert_eq!(stop(&report).1[0], parameter, "case {number}: {report}");
        }
        names_the_driver(&report, "stop.sys");
        assert_eq!(report.bugcheck.irql, if number == 4 { 2 } else { 0 }, "case {number}");
        assert!(report.bugcheck.context.is_some() || number == 2, "case {number}: {report}");
        let dispatched = watch.events().into_iter().rev().find_map(|event| match event {
            Event::IrpDispatched { irp, .. } => Some(irp),
            _ => None,
        });
        assert_eq!(Some(report.bugcheck.irp), dispatched, "case {number}: the IRP at work");
        let told = watch.events().into_iter().filter(|event| matches!(event, Event::Bugcheck { .. })).count();
        assert_eq!(told, 1, "case {number}");
    }
}

#[test]
fn the_report_says_in_words_what_happened_where() {
    let report = stopped_by(WRITE, &[0x10]);
    let text = report.to_string();
    let context = report.bugcheck.context.clone().expect("registers");
    let exception = report.bugcheck.exception.clone().expect("an exception");
    assert_eq!(stop(&report), (0x1E, [0xC000_0005, exception.address, 1, 0x10]));
    assert_eq!((exception.status, exception.parameters), (abi::STATUS_ACCESS_VIOLATION, vec![1, 0x10]));
    assert_eq!(exception.address, context.Rip);
    assert_eq!(report.bugcheck.stack[0].address, context.Rip);
    assert!(report.bugcheck.stack.len() >= 2, "the case and its dispatch routine: {report}");
    for part in [
        "STOP 0x0000001E KMODE_EXCEPTION_NOT_HANDLED",
        "STATUS_ACCESS_VIOLATION",
        "writing 0x10",
        &format!("rip {:016x}", context.Rip),
        "IRP ",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    names_the_driver(&report, "wrong.sys");
}

#[test]
fn ke_bug_check_ex_is_reported_with_its_own_code_and_parameters() {
    let report = stopped_by(BUG_CHECK, &[0xE0DE_AD01, 1, 2, 3]);
    assert_eq!(stop(&report), (0xE0DE_AD01, [1, 2, 3, 0x1234]));
    names_the_driver(&report, "wrong.sys");
}

#[test]
fn completing_a_request_twice_is_multiple_irp_complete_requests() {
    let report = stopped_by(COMPLETE_TWICE, &[]);
    assert_eq!(stop(&report).0, MULTIPLE_IRP_COMPLETE_REQUESTS);
    assert_eq!(stop(&report).1[0], report.bugcheck.irp, "the first parameter is the IRP");
    assert_ne!(report.bugcheck.irp, 0);
    names_the_driver(&report, "wrong.sys");
}

#[test]
fn what_is_wrong_with_pool_is_found_when_it_is_freed() {
    for (number, inputs, code) in [
        (FREE_TWICE, &[][..], BAD_POOL_CALLER),
        (FREE_STRAY, &[0x1234_5670][..], BAD_POOL_CALLER),
        (FREE_STRAY, &[u64::MAX][..], BAD_POOL_CALLER),
        (FREE_OTHER_TAG, &[][..], BAD_POOL_CALLER),
        (FREE_SYSTEM_BUFFER, &[][..], BAD_POOL_CALLER),
        (OVERRUN, &[100][..], BAD_POOL_HEADER),
        (OVERRUN, &[5000][..], BAD_POOL_HEADER),
    ] {
        let report = stopped_by(number, inputs);
        assert_eq!(stop(&report).0, code, "case {number} {inputs:x?}: {report}");
        names_the_driver(&report, "wrong.sys");
    }
}

#[test]
fn paged_pool_is_used_up_to_apc_level_and_nonpaged_pool_up_to_dispatch_level() {
    const NONPAGED: u64 = 512;
    const PAGED: u64 = 1;
    const CLOCK_LEVEL: u64 = 13;
    let (apc, dispatch) = (u64::from(abi::APC_LEVEL), u64::from(abi::DISPATCH_LEVEL));
    for (first, pool, irql) in [(0, PAGED, apc), (1, PAGED, apc), (0, NONPAGED, dispatch)] {
        let machine = machine_with("wrong");
        let process = machine.process("right");
        let device = open(&process, WRONG);
        wrong(&device, POOL_AT_RAISED_IRQL, &[first, pool, irql]).expect("is allowed");
    }
    for (pool, kind, irql) in [(PAGED, 1, dispatch), (NONPAGED, 0, CLOCK_LEVEL)] {
        let allocated = stop(&stopped_by(POOL_AT_RAISED_IRQL, &[0, pool, irql]));
        assert_eq!(allocated, (BAD_POOL_CALLER, [8, irql, kind, 100]), "IRQL, kind, bytes");
        let (code, [what, at, freed, address]) = stop(&stopped_by(POOL_AT_RAISED_IRQL, &[1, pool, irql]));
        assert_eq!((code, what, at, freed), (BAD_POOL_CALLER, 9, irql, kind));
        assert_ne!(address, 0, "the block's");
    }
}

#[test]
fn writing_behind_a_block_of_whole_pages_faults_at_once() {
    let report = stopped_by(OVERRUN, &[8192]);
    assert_eq!(stop(&report).0, 0x50, "{report}");
    assert_eq!(stop(&report).1[1], 2, "a write");
}

#[test]
fn a_device_extension_that_was_overrun_is_found_when_the_device_goes() {
    // The extension of 16 bytes, what the kernel keeps behind it, and 8 bytes that are nobody's.
    let behind = 16 + size_of::<abi::DEVOBJ_EXTENSION>() as u64 + 8;
    let machine = machine_with("wrong");
    let process = machine.process("wrong");
    let device = open(&process, WRONG);
    assert_eq!(failure(wrong(&device, OVERRUN_EXTENSION, &[behind])), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(BAD_POOL_HEADER));
}

#[test]
fn a_system_buffer_that_was_overrun_is_found_when_the_request_ends() {
    let machine = machine_with("wrong");
    let process = machine.process("wrong");
    let device = open(&process, WRONG);
    let request = device.control(case_code(OVERRUN_SYSTEM_BUFFER), &[], &mut [0; 5000]);
    assert_eq!(failure(request), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(BAD_POOL_HEADER));
}

#[test]
fn returning_to_the_application_at_dispatch_level_is_irql_gt_zero_at_system_service() {
    let report = stopped_by(STAY_RAISED, &[]);
    assert_eq!((stop(&report).0, stop(&report).1[1]), (0x4A, 2), "{report}");
}

#[test]
fn objects_that_are_none_stop_the_machine() {
    assert_eq!(stop(&stopped_by(DEREFERENCE, &[0x1000])).0, 0x18);
    assert_eq!(stop(&stopped_by(DELETE_TWICE, &[])).0, BAD_POOL_CALLER);
    assert_eq!(stop(&stopped_by(CALL_WITHOUT_LOCATION, &[])).0, 0x35);
    for number in [CALL_NO_DEVICE, COMPLETE_NO_IRP] {
        for address in [0, 0x1000, USER_ADDRESS, SYSTEM_ADDRESS, 0xFFFF_8000_0000_0000] {
            let report = stopped_by(number, &[address]);
            assert!(matches!(stop(&report).0, 0x1E | 0x50), "case {number} {address:#x}: {report}");
        }
    }
}

/// Addresses that are no code: the application's, the kernel's, and one that the processor cannot even form.
const NO_CODE: [u64; 5] = [0, 0x1000, USER_ADDRESS, SYSTEM_ADDRESS, 0x8000_0000_0000_0000];

#[test]
fn control_that_goes_astray_stops_the_machine_and_not_the_process() {
    for number in [JUMP, RETURN_ASTRAY] {
        for address in NO_CODE {
            let report = stopped_by(number, &[address]);
            assert!(matches!(stop(&report).0, 0x1E | 0x50 | 0xFC), "case {number} {address:#x}: {report}");
        }
    }
}

#[test]
fn a_lost_stack_pointer_stops_the_machine_and_not_the_process() {
    for address in NO_CODE {
        let report = stopped_by(LOSE_STACK, &[address]);
        assert!(matches!(stop(&report).0, 0x1E | 0x50 | 0x7F), "{address:#x}: {report}");
    }
}

#[test]
fn a_dispatch_routine_that_is_no_code_stops_the_machine_and_not_the_process() {
    for address in [0x1000, USER_ADDRESS, SYSTEM_ADDRESS, 0x8000_0000_0000_0000] {
        let machine = machine_with("wrong");
        let process = machine.process("wrong");
        let device = open(&process, WRONG);
        wrong(&device, ROUTINE, &[address]).expect("is set");
        assert_eq!(failure(device.read(&mut [0; 4])), STATUS_DEVICE_NOT_CONNECTED, "{address:#x}");
        let report = machine.bugcheck().expect("the machine has stopped");
        assert!(matches!(stop(&report).0, 0x1E | 0x50 | 0xFC), "{address:#x}: {report}");
        is_dead(&machine, &process);
    }
}

#[test]
fn a_forgotten_request_ends_with_what_the_routine_returned_and_harms_no_other() {
    let machine = machine_with("wrong");
    let watch = Watch::on(&machine);
    let process = machine.process("forgotten");
    let device = open(&process, WRONG);
    assert_eq!(wrong(&device, FORGET, &[0]), Ok(0));
    assert_eq!(failure(wrong(&device, FORGET, &[0xC000_0001])), abi::STATUS_UNSUCCESSFUL);
    let forgotten = watch
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::IrpForgotten { driver, .. } if driver == r"\Driver\wrong"));
    assert_eq!(forgotten.count(), 2);
    let mut answer = [0; 8];
    assert_eq!(device.control(case_code(INFORMATION), &words(&[8]), &mut answer), Ok(8));
    assert_eq!(answer, [0xAB; 8]);
    assert!(machine.bugcheck().is_none());
}

#[test]
fn more_information_than_the_buffer_holds_is_not_copied_out() {
    let machine = machine_with("wrong");
    let process = machine.process("greedy");
    let device = open(&process, WRONG);
    for information in [9, 4096, 1 << 20, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let mut answer = [0x11; 64];
        let _whatever_it_reports =
            device.control(case_code(INFORMATION), &words(&[information]), &mut answer[..8]);
        assert_eq!(answer[8..], [0x11; 56], "{information:#x}");
        assert_eq!(answer[..8], [0xAB; 8], "{information:#x}");
    }
    assert!(machine.bugcheck().is_none());
}

#[test]
fn an_error_copies_nothing_out_and_a_warning_does() {
    const WARNING: NTSTATUS = abi::STATUS_BUFFER_OVERFLOW;
    const ERROR: NTSTATUS = abi::STATUS_BUFFER_TOO_SMALL;
    let machine = machine_with("wrong");
    let process = machine.process("statuses");
    let device = open(&process, WRONG);
    let ask = |status: NTSTATUS| {
        let mut answer = [0x11; 8];
        let bits = u64::from(status.bits());
        let result = device.control(case_code(ANSWER), &words(&[bits, bits]), &mut answer);
        (result.map_err(|error| (error.status, error.bytes)), answer)
    };
    assert_eq!(ask(abi::STATUS_SUCCESS), (Ok(8), [0xAB; 8]));
    assert_eq!(ask(WARNING), (Err((WARNING, 8)), [0xAB; 8]));
    assert_eq!(ask(ERROR), (Err((ERROR, 0)), [0x11; 8]));
}

/// A thread waits in the machine, in the way of case `number`; another stops it.
fn waiter_wakes(number: u32, is_waiting: impl Fn(&Event) -> bool) {
    let machine = machine_with("wrong");
    let watch = Watch::on(&machine);
    let process = machine.process("waiter");
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let sender = sender.clone();
            let process = &process;
            scope.spawn(move || {
                let device = open(process, WRONG);
                sender.send(failure(wrong(&device, number, &[]))).expect("the test listens");
            });
        }
        watch.wait_for(3, is_waiting);
        assert!(receiver.try_recv().is_err(), "they wait");
        let device = open(&process, WRONG);
        assert_eq!(failure(wrong(&device, BUG_CHECK, &[0xE000_0001])), STATUS_DEVICE_NOT_CONNECTED);
        for _ in 0..3 {
            let status = receiver.recv_timeout(PATIENCE).expect("a waiter wakes");
            assert_eq!(status, STATUS_DEVICE_NOT_CONNECTED);
        }
    });
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(0xE000_0001));
}

#[test]
fn threads_with_a_pending_request_wake_when_their_machine_stops() {
    waiter_wakes(
        PEND,
        |event| matches!(event, Event::IrpReturned { status, .. } if *status == abi::STATUS_PENDING),
    );
}

#[test]
fn threads_that_wait_for_an_object_wake_when_their_machine_stops() {
    waiter_wakes(WAIT, |event| matches!(event, Event::Export { name: "KeWaitForSingleObject", .. }));
}

#[test]
fn a_machine_that_stops_leaves_the_others_of_its_process_alone() {
    let healthy = machine_with("seh");
    let process = healthy.process("healthy");
    let device = open(&process, r"\\.\RbSeh");
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for _ in 0..2000 {
                let result = run_case(&device, 5, &[0x30]).expect("is answered");
                assert_eq!(result.values, [1, 2, 3]);
            }
        });
        for round in 0..20 {
            let _report =
                if round % 2 == 0 { stopped_by(WRITE, &[0]) } else { stopped_by(BUG_CHECK, &[0xE000_0002]) };
        }
        worker.join().expect("the other machine goes on");
    });
    assert!(healthy.bugcheck().is_none());
    // This thread stopped machines and uses another afterwards.
    assert_eq!(run_case(&device, 14, &[10]).expect("is answered").values, [10]);
}

#[test]
fn the_first_of_many_bugchecks_is_the_one_that_is_kept() {
    let machine = machine_with("wrong");
    let watch = Watch::on(&machine);
    let process = machine.process("many");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let process = &process;
            scope.spawn(move || {
                let Ok(device) = Device::open(process, WRONG) else { return };
                let status = failure(wrong(&device, BUG_CHECK, &[0xE000_0000 + number]));
                assert_eq!(status, STATUS_DEVICE_NOT_CONNECTED);
            });
        }
    });
    let report = machine.bugcheck().expect("the machine has stopped");
    let told: Vec<_> = watch
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Bugcheck { stop } => Some(stop),
            _ => None,
        })
        .collect();
    assert_eq!(told, [report.bugcheck.stop]);
}

#[test]
fn application_of_a_machine_that_stops() {
    let Some(client) = application() else { return };
    let (device, other) = (open(&client, WRONG), open(&client, WRONG));
    std::thread::scope(|scope| {
        let pending = scope.spawn(|| failure(wrong(&other, PEND, &[])));
        assert_eq!(failure(wrong(&device, BUG_CHECK, &[0xE000_0003])), STATUS_DEVICE_NOT_CONNECTED);
        assert_eq!(pending.join().expect("wakes"), STATUS_DEVICE_NOT_CONNECTED);
    });
    for _ in 0..100 {
        assert_eq!(failure(device.read(&mut [0; 4])), STATUS_DEVICE_NOT_CONNECTED);
    }
    let error = Device::open(&client, WRONG).expect_err("the machine has stopped");
    assert!(error.to_string().contains("see the host's bugcheck report"), "{error}");
}

#[test]
fn applications_of_a_stopped_machine_get_errors_and_live_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("wrong");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application("application_of_a_machine_that_stops", server.path());
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(0xE000_0003));
    server.stop();
}

mod native {
    //! A driver compiled into the process, with the same faults.

    use driver::abi::NTSTATUS;
    use driver::{
        Answer, Buffered, Close, Create, DeviceControl, Dispatch, Driver, DriverObject, Read, UnicodeStr,
        Write, utf16,
    };

    driver::driver_entry!(Faulty);

    pub(super) const PATH: &str = r"\\.\Faulty";
    pub(super) const UNLOADING: &str = "a panic while it is unloaded";

    struct Faulty;

    impl Driver for Faulty {
        type Device = FaultyDevice;

        fn entry(driver: &DriverObject<Self>, path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
            assert!(!path.to_string().ends_with("faulty_entry"), "a panic in DriverEntry");
            let device = driver.device(FaultyDevice).name(utf16!(r"\Device\Faulty"));
            device.symbolic_link(utf16!(r"\??\Faulty")).create()?;
            Ok(())
        }

        fn unload(_driver: &DriverObject<Self>) {
            panic!("{UNLOADING}");
        }
    }

    struct FaultyDevice;

    impl Dispatch for FaultyDevice {
        type Io = Buffered;

        fn create(&self, request: Create) -> impl Answer {
            request.complete()
        }

        fn close(&self, request: Close) -> impl Answer {
            request.complete()
        }

        fn read(&self, request: Read) -> impl Answer {
            let numbers = vec![1; request.length()];
            assert!(numbers.len() < 4, "a read of {} bytes is too long for me", numbers.len());
            request.complete()
        }

        fn write(&self, request: Write) -> impl Answer {
            let address = usize::from_le_bytes(request.data().try_into().expect("eight bytes"));
            let wild = std::ptr::without_provenance_mut::<u32>(address);
            // SAFETY: none: this is the driver bug under test. Nothing is mapped there.
            unsafe { wild.write_volatile(1) };
            request.complete()
        }

        fn device_control(&self, request: DeviceControl) -> impl Answer {
            match request {
                DeviceControl::Buffered(request) => request.complete_in_place(),
                _ => panic!("only METHOD_BUFFERED"),
            }
        }
    }
}

fn native_machine() -> Machine {
    let machine = Machine::new().expect("a machine");
    machine.load_native("faulty", native::DRIVER_ENTRY).expect("loads");
    machine
}

#[test]
fn a_panic_in_a_compiled_in_driver_stops_its_machine_only() {
    let other = native_machine();
    let machine = native_machine();
    let watch = Watch::on(&machine);
    let process = machine.process("reader");
    let device = open(&process, native::PATH);
    assert_eq!(device.read(&mut [0; 3]), Ok(0));
    assert_eq!(failure(device.read(&mut [0; 7])), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(driver::RUST_PANIC));
    let printed = watch.events().into_iter().any(|event| {
        matches!(event, Event::DebugPrint { text } if text.contains("a read of 7 bytes is too long for me"))
    });
    assert!(printed, "the message is in the trace: {:?}", watch.events());
    assert_eq!(failure(device.read(&mut [0; 3])), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(open(&other.process("reader"), native::PATH).read(&mut [0; 3]), Ok(0));
}

#[test]
fn a_panic_in_a_compiled_in_driver_entry_or_unload_stops_its_machine() {
    let machine = Machine::new().expect("a machine");
    let load = machine.load_native("faulty_entry", native::DRIVER_ENTRY);
    assert!(matches!(load, Err(LoadError::Halted)), "{load:?}");
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(driver::RUST_PANIC));
    let machine = native_machine();
    assert_eq!(machine.unload("faulty"), Err(STATUS_DEVICE_NOT_CONNECTED));
    assert_eq!(machine.bugcheck().map(|report| stop(&report).0), Some(driver::RUST_PANIC));
}

#[test]
fn a_wild_write_of_a_compiled_in_driver_stops_its_machine_only() {
    for address in [0_u64, 0x10, USER_ADDRESS, SYSTEM_ADDRESS, 0x8000_0000_0000_0000] {
        let machine = native_machine();
        let process = machine.process("writer");
        let device = open(&process, native::PATH);
        assert_eq!(failure(device.write(&address.to_le_bytes())), STATUS_DEVICE_NOT_CONNECTED);
        let report = machine.bugcheck().expect("the machine has stopped");
        assert_eq!((stop(&report).0, stop(&report).1[0]), (0x1E, 0xC000_0005), "{address:#x}: {report}");
        let exception = report.bugcheck.exception.clone().expect("an exception");
        // The processor says nothing about addresses that it cannot form.
        let parameters = if address >> 47 == 0 { [1, address] } else { [0, u64::MAX] };
        assert_eq!(exception.parameters, parameters, "{report}");
        assert_ne!(report.bugcheck.irp, 0, "{report}");
        assert!(report.bugcheck.context.is_some(), "{report}");
    }
    // The process, and threads that were in a stopped machine, go on.
    assert_eq!(open(&native_machine().process("reader"), native::PATH).read(&mut [0; 3]), Ok(0));
}
