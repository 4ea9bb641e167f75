//! The sample `tap` above the sample `hello`, and above the driver below.sys: a filter and what it filters, in all
//! combinations of compiled in and `.sys`.

use abi::NTSTATUS;
use app::{ControlCode, Device};
use host::{Event, LoadOptions, Machine, Parameter, Process, Transport, UnloadOutcome};
use ringbridge_scenarios::{
    Form, HELLO, TAP, Watch, application, failure, machine_with, open, run_application, scenario, sys_path,
    unload_cleanly,
};
use sample_hello::{IOCTL_ECHO, IOCTL_LAST_WRITE};
use sample_tap::{IOCTL_RELEASE, IOCTL_REPORT, IOCTL_SET_MODE, Mode, RETRIES, Report};

const PATH: &str = r"\\.\My_Device";
const CONTROL: &str = r"\\.\Tap";

/// Makes four tests of one body: the filter and the driver below, each compiled in and as `.sys`.
macro_rules! pair {
    (fn $name:ident($machine:ident) $body:block) => {
        mod $name {
            use super::*;

            fn run($machine: &Machine) $body

            #[test]
            fn native_over_native() {
                run(&stack(Form::Native, Form::Native));
            }

            #[test]
            fn native_over_sys() {
                run(&stack(Form::Native, Form::Sys));
            }

            #[test]
            fn sys_over_native() {
                run(&stack(Form::Sys, Form::Native));
            }

            #[test]
            fn sys_over_sys() {
                run(&stack(Form::Sys, Form::Sys));
            }
        }
    };
}

fn stack(tap: Form, hello: Form) -> Machine {
    let machine = HELLO.machine(hello);
    TAP.load(&machine, tap);
    machine
}

fn report(transport: &dyn Transport) -> Report {
    let mut bytes = [0; Report::LENGTH];
    let length =
        open(transport, CONTROL).control(ControlCode(IOCTL_REPORT), &[], &mut bytes).expect("reports");
    assert_eq!(length as usize, Report::LENGTH);
    Report::from_bytes(&bytes).expect("long enough")
}

fn set_mode(transport: &dyn Transport, mode: Mode) {
    let mode = (mode as u32).to_le_bytes();
    open(transport, CONTROL).control(ControlCode(IOCTL_SET_MODE), &mode, &mut []).expect("the mode is set");
}

fn release(transport: &dyn Transport) -> u32 {
    let mut count = [0; 4];
    open(transport, CONTROL).control(ControlCode(IOCTL_RELEASE), &[], &mut count).expect("releases");
    u32::from_le_bytes(count)
}

fn read(device: &Device<'_>, length: usize) -> String {
    let mut bytes = vec![0; length];
    assert_eq!(device.read(&mut bytes).expect("reads") as usize, length);
    String::from_utf8(bytes).expect("text")
}

fn is_pending(event: &Event) -> bool {
    matches!(event, Event::IrpReturned { status: abi::STATUS_PENDING, .. })
}

fn passes_and_changes(transport: &dyn Transport) {
    let before = report(transport);
    let device = open(transport, PATH);
    assert_eq!(read(&device, 5), "HHHHH", "hello gives small letters");
    assert_eq!(device.write(b"a line").expect("writes"), 6);
    assert_eq!(failure(device.write(b"!refused")), abi::STATUS_ACCESS_DENIED);
    let mut answer = [0; 16];
    assert_eq!(device.control(ControlCode(IOCTL_LAST_WRITE), &[], &mut answer).expect("controls"), 6);
    assert_eq!(&answer[..6], b"a line", "what was refused did not come to the driver");
    assert_eq!(device.control(ControlCode(IOCTL_ECHO), b"echo", &mut answer).expect("controls"), 4);
    let unknown = device.control(ControlCode(0x0022_2FFC), &[], &mut []);
    assert_eq!(failure(unknown), abi::STATUS_INVALID_DEVICE_REQUEST, "the answer of the driver below");
    assert_eq!(device.read(&mut []).expect("reads"), 0);
    device.close().expect("closes");
    let after = report(transport);
    let seen = [after.creates - before.creates, after.closes - before.closes, after.reads - before.reads];
    assert_eq!(seen, [1, 1, 2]);
    let seen =
        [after.writes - before.writes, after.controls - before.controls, after.refused - before.refused];
    assert_eq!(seen, [2, 3, 1]);
    assert_eq!(after.bytes_read - before.bytes_read, 5);
}

pair! {
    fn a_filter_counts_changes_and_refuses_what_passes_it(machine) {
        passes_and_changes(&machine.process("application"));
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_cleanly(machine, "tap");
        unload_cleanly(machine, "hello");
    }
}

#[test]
fn application_of_tap() {
    let Some(client) = application() else { return };
    passes_and_changes(&client);
}

pair! {
    fn a_filter_sees_the_requests_of_another_process(machine) {
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_of_tap", server.path());
        server.stop();
        unload_cleanly(machine, "tap");
        unload_cleanly(machine, "hello");
    }
}

pair! {
    fn a_major_function_that_neither_serves_is_answered_by_the_driver_below(machine) {
        // hello has no cleanup: what closes the handle does not care.
        let watch = Watch::on(machine);
        let process = machine.process("closer");
        open(&process, PATH).close().expect("closes");
        let invalid = |event: &Event| {
            matches!(event, Event::IrpReturned { status: abi::STATUS_INVALID_DEVICE_REQUEST, .. })
        };
        let returned = watch.events().iter().filter(|event| invalid(event)).count();
        assert_eq!(returned, 2, "the cleanup, through both drivers");
        let device = open(&process, CONTROL);
        assert_eq!(failure(device.read(&mut [0; 4])), abi::STATUS_INVALID_DEVICE_REQUEST, "tap's own device");
    }
}

scenario! {
    fn files_that_were_opened_before_go_through_a_filter_while_it_is_attached(form: Form) {
        let machine = HELLO.machine(form);
        let process = machine.process("early");
        let early = open(&process, PATH);
        assert_eq!(read(&early, 3), "hhh");
        TAP.load(&machine, form);
        assert_eq!(read(&early, 3), "HHH", "IoGetRelatedDeviceObject: the top of the stack, as it is now");
        let late = open(&process, PATH);
        assert_eq!(report(&process).creates, 1, "only the late one");
        unload_cleanly(&machine, "tap");
        assert_eq!(read(&early, 3), "hhh");
        assert_eq!(read(&late, 3), "hhh");
        drop((early, late));
        unload_cleanly(&machine, "hello");
    }
}

scenario! {
    fn the_driver_below_is_unloaded_with_the_filter_when_it_was_asked_first(form: Form) {
        let machine = stack(form, form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        assert_eq!(machine.unload("hello").expect("is asked"), UnloadOutcome::Pending { files: 2 });
        assert_eq!(read(&device, 2), "HH", "both go on working");
        device.close().expect("closes");
        assert_eq!(machine.drivers().len(), 2, "the filter is attached");
        unload_cleanly(&machine, "tap");
        assert!(machine.drivers().is_empty(), "hello went with the attachment");
    }
}

scenario! {
    fn a_filter_without_a_device_to_attach_to_does_not_load_and_leaves_nothing(form: Form) {
        let machine = Machine::new().expect("a machine");
        let loaded = match form {
            Form::Native => machine.load_native("tap", TAP.entry).err(),
            Form::Sys => machine.load(&sys_path("tap"), LoadOptions::default()).err(),
        };
        let said = format!("{:?}", loaded.expect("is refused"));
        assert!(said.contains("OBJECT_NAME_NOT_FOUND") || said.contains("C0000034"), "{said}");
        let open = Device::open(&machine.process("lost"), CONTROL).map(drop);
        assert_eq!(failure(open), abi::STATUS_OBJECT_NAME_NOT_FOUND);
        HELLO.load(&machine, form);
        TAP.load(&machine, form);
    }
}

/// The driver below.sys with the filter above.
fn above_below(tap: Form) -> Machine {
    let machine = machine_with("below");
    TAP.load(&machine, tap);
    machine
}

scenario! {
    fn a_filters_stack_has_one_location_more(form: Form) {
        let machine = machine_with("below");
        let process = machine.process("counter");
        let locations = || {
            let mut count = [0];
            open(&process, PATH).control(ControlCode(IOCTL_ECHO), &[], &mut count).expect("controls");
            count[0]
        };
        assert_eq!(locations(), 1);
        TAP.load(&machine, form);
        assert_eq!(locations(), 2);
        unload_cleanly(&machine, "tap");
        assert_eq!(locations(), 1);
    }
}

scenario! {
    fn a_busy_read_is_sent_again_until_it_succeeds_or_often_enough(form: Form) {
        let machine = above_below(form);
        let process = machine.process("reader");
        let device = open(&process, PATH);
        let most = u8::try_from(RETRIES).expect("few");
        for (busy, again) in [(0, 0), (1, 1), (most, most)] {
            let before = report(&process).sent_again;
            device.write(&[b'B', busy]).expect("writes");
            assert_eq!(read(&device, 4), "ABCA", "busy {busy} times");
            assert_eq!(report(&process).sent_again - before, u32::from(again));
        }
        device.write(&[b'B', most + 1]).expect("writes");
        assert_eq!(failure(device.read(&mut [0; 4])), abi::STATUS_DEVICE_BUSY);
        assert_eq!(read(&device, 1), "A");
        drop(device);
        unload_cleanly(&machine, "tap");
    }
}

/// Starts `request` on a thread, waits until it is pending, then runs `then`; the request's result.
fn while_pending<T: Send>(machine: &Machine, request: impl FnOnce() -> T + Send, then: impl FnOnce()) -> T {
    let watch = Watch::on(machine);
    std::thread::scope(|scope| {
        let pending = scope.spawn(request);
        watch.wait_for(1, is_pending);
        then();
        pending.join().expect("no panic")
    })
}

scenario! {
    fn a_read_that_is_pended_below_is_changed_on_its_way_up(form: Form) {
        let machine = above_below(form);
        let (reader, other) = (machine.process("reader"), machine.process("other"));
        let (device, control) = (open(&reader, PATH), open(&other, PATH));
        control.write(b"P").expect("writes");
        let text = while_pending(&machine, || read(&device, 7), || assert_eq!(control.write(b"C").expect("writes"), 1));
        assert_eq!(text, "ABCABCA");
        drop((device, control));
        unload_cleanly(&machine, "tap");
    }
}

scenario! {
    fn a_write_that_is_held_goes_down_when_it_is_released(form: Form) {
        let machine = stack(form, form);
        let (writer, other) = (machine.process("writer"), machine.process("other"));
        let (device, witness) = (open(&writer, PATH), open(&other, PATH));
        witness.write(b"before").expect("writes");
        set_mode(&other, Mode::HoldWrites);
        let last = || {
            let mut answer = [0; 16];
            let length = witness.control(ControlCode(IOCTL_LAST_WRITE), &[], &mut answer).expect("controls");
            answer[..length as usize].to_vec()
        };
        let written = while_pending(&machine, || device.write(b"held"), || {
            assert_eq!(last(), b"before");
            assert_eq!(release(&other), 1);
        });
        assert_eq!(written.expect("writes"), 4);
        assert_eq!(last(), b"held");
        assert_eq!((report(&other).held, release(&other)), (1, 0));
    }
}

scenario! {
    fn a_read_that_a_completion_routine_keeps_ends_when_it_is_completed_again(form: Form) {
        let machine = stack(form, form);
        let (reader, other) = (machine.process("reader"), machine.process("other"));
        let device = open(&reader, PATH);
        set_mode(&other, Mode::HoldReads);
        let text = while_pending(&machine, || read(&device, 3), || assert_eq!(release(&other), 1));
        assert_eq!(text, "HHH");
    }
}

fn cancelled_while_held(
    machine: &Machine,
    mode: Mode,
    request: impl FnOnce(&Process, &Device<'_>) -> NTSTATUS + Send,
) {
    let (victim, other) = (machine.process("victim"), machine.process("other"));
    set_mode(&other, mode);
    // The file that attaching opened was closed through the filter.
    assert_eq!((report(&other).creates, report(&other).closes), (0, 1));
    // Its handle is closed by the process's end.
    let device = std::mem::ManuallyDrop::new(open(&victim, PATH));
    let status = while_pending(machine, || request(&victim, &device), || victim.end());
    assert_eq!(status, abi::STATUS_CANCELLED);
    assert_eq!((report(&other).held, release(&other)), (1, 0), "it is held no more");
    assert_eq!(report(&other).closes, 2);
    set_mode(&other, Mode::Pass);
    assert_eq!(read(&open(&other, PATH), 2), "HH");
    unload_cleanly(machine, "tap");
}

scenario! {
    fn a_write_that_is_cancelled_while_it_is_held_never_comes_to_the_driver_below(form: Form) {
        let machine = stack(form, form);
        cancelled_while_held(&machine, Mode::HoldWrites, |_, device| failure(device.write(b"never")));
        let process = machine.process("witness");
        let length = open(&process, PATH).control(ControlCode(IOCTL_LAST_WRITE), &[], &mut [0; 8]);
        assert_eq!(length.expect("controls"), 0);
    }
}

scenario! {
    fn a_read_that_is_cancelled_while_a_completion_routine_keeps_it_ends(form: Form) {
        let machine = stack(form, form);
        cancelled_while_held(&machine, Mode::HoldReads, |_, device| failure(device.read(&mut [0; 4])));
    }
}

scenario! {
    fn unloading_a_filter_lets_go_of_what_it_holds(form: Form) {
        let machine = stack(form, form);
        let (writer, other) = (machine.process("writer"), machine.process("other"));
        let device = open(&writer, PATH);
        set_mode(&other, Mode::HoldWrites);
        let written = while_pending(&machine, || device.write(b"held"), || unload_cleanly(&machine, "tap"));
        assert_eq!(written.expect("writes"), 4, "it went down to hello");
        assert_eq!(read(&device, 2), "hh");
    }
}

scenario! {
    fn unloading_a_filter_waits_for_requests_that_will_come_back_to_it(form: Form) {
        let machine = above_below(form);
        let (reader, other) = (machine.process("reader"), machine.process("other"));
        let (device, control) = (open(&reader, PATH), open(&other, PATH));
        control.write(b"P").expect("writes");
        let watch = Watch::on(&machine);
        let text = while_pending(&machine, || read(&device, 3), || {
            std::thread::scope(|scope| {
                let unloading = scope.spawn(|| unload_cleanly(&machine, "tap"));
                // From the detachment on, requests do not come to the filter: its last.
                let detached = || read_is_small(&control);
                while !detached() {
                    std::thread::yield_now();
                }
                assert!(!unloading.is_finished(), "a read is still on its way to the completion routine");
                control.write(b"C").expect("writes");
                unloading.join().expect("no panic");
            });
        });
        assert_eq!(text, "ABC", "the completion routine saw it");
        assert!(watch.events().iter().any(|event| matches!(event, Event::DriverUnloaded { .. })));
    }
}

/// Whether the driver below answers alone: it has one stack location then.
fn read_is_small(device: &Device<'_>) -> bool {
    let mut count = [0];
    match device.control(ControlCode(IOCTL_ECHO), &[], &mut count) {
        Ok(_) => count[0] == 1,
        // It was sent to the filter, and came when that let nobody in any more.
        Err(error) if error.status == abi::STATUS_DELETE_PENDING => false,
        Err(error) => panic!("controls: {error}"),
    }
}

scenario! {
    fn the_device_that_its_service_names_is_the_one_it_attaches_to(form: Form) {
        // Another name of hello's device, and longer than what is read at first.
        let other = r"\??\Another_name_of_the_device_that_is_long_enough_to_be_read_twice";
        for (target, loads) in [(r"\Device\My_Device", true), (r"\??\My_Device", true), (other, false)] {
            let machine = HELLO.machine(Form::Sys);
            let parameter = Parameter::Text(target.to_owned());
            machine.set_parameter("tap", sample_tap::PARAMETER, &parameter).expect("a name of a key");
            let loaded = match form {
                Form::Native => machine.load_native("tap", sample_tap::DRIVER_ENTRY),
                Form::Sys => machine.load(&sys_path("tap"), LoadOptions::default()).map(drop),
            };
            match loaded {
                Ok(()) => {
                    assert!(loads, "{target}");
                    let process = machine.process("reader");
                    let mut bytes = [0; 3];
                    assert_eq!(open(&process, PATH).read(&mut bytes), Ok(3));
                    assert_eq!(&bytes, b"HHH");
                }
                Err(error) => assert!(!loads && error.to_string().contains("0xC0000034"), "{target}: {error}"),
            }
        }
    }
}

scenario! {
    fn a_target_that_is_no_string_is_an_error_of_its_driver_entry(form: Form) {
        let machine = HELLO.machine(Form::Sys);
        machine.set_parameter("tap", sample_tap::PARAMETER, &Parameter::Dword(7)).expect("a name of a key");
        let loaded = match form {
            Form::Native => machine.load_native("tap", sample_tap::DRIVER_ENTRY),
            Form::Sys => machine.load(&sys_path("tap"), LoadOptions::default()).map(drop),
        };
        let error = loaded.expect_err("a number names no device");
        assert!(error.to_string().contains("0xC0000024"), "{error}");
    }
}
