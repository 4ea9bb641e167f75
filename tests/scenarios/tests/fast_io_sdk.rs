//! Fast I/O by the safe SDK, against the test driver `dash`: compiled in and as a `.sys`, with the application embedded and in a
//! process of its own.

use app::{ControlCode, Device, Transport};
use ringbridge_scenarios::{
    DASH, HELLO, Watch, application, failure, open, run_application, scenario, serve, unload_when_closed,
};
use test_dash::{BUSY, COUNTS, PANIC, PEND, SUM, SUM_NEITHER, WARN};

const PATH: &str = r"\\.\RbDash";

fn counts(device: &Device<'_>, code: u32) -> [u32; 2] {
    let mut answer = [0; 8];
    assert_eq!(device.control(ControlCode(code), &[], &mut answer), Ok(8));
    [0, 4].map(|at| u32::from_le_bytes(answer[at..at + 4].try_into().expect("four bytes")))
}

fn all(transport: &dyn Transport) {
    let device = open(transport, PATH);
    let [fast, slow] = counts(&device, COUNTS);
    let mut answer = [0; 4];
    for code in [SUM, SUM_NEITHER] {
        assert_eq!(device.control(ControlCode(code), &[1, 2, 3], &mut answer), Ok(1));
        assert_eq!(answer[0], 106, "the file's context is there");
        assert_eq!(device.control(ControlCode(code), &[], &mut answer), Ok(1));
        assert_eq!(answer[0], 100);
        assert_eq!(device.control(ControlCode(code), &[1], &mut []), Ok(0), "no room");
    }
    assert_eq!(failure(device.control(ControlCode(BUSY), &[], &mut [])), abi::STATUS_DEVICE_BUSY);
    let warned = device.control(ControlCode(WARN), b"12345678", &mut answer);
    assert_eq!(failure(warned), abi::STATUS_BUFFER_OVERFLOW);
    assert_eq!(answer, *b"1234");
    assert_eq!(counts(&device, PEND), [fast + 8, slow + 1], "STATUS_PENDING is no answer");
    assert_eq!(counts(&device, COUNTS), [fast + 8, slow + 2], "all others made no IRP");
}

#[test]
fn application_part() {
    if let Some(client) = application() {
        all(&client);
    }
}

scenario! {
    fn a_driver_answers_control_requests_without_irps_or_declines_them(form: Form) {
        let machine = DASH.machine(form);
        all(&machine.process("embedded"));
        let (_folder, server) = serve(&machine);
        run_application("application_part", server.path());
        server.stop();
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_when_closed(&machine, "dash");
    }
}

scenario! {
    fn a_panic_in_a_fast_routine_stops_the_machine_as_every_one(form: Form) {
        let machine = DASH.machine(form);
        let process = machine.process("embedded");
        let device = open(&process, PATH);
        let stopped = device.control(ControlCode(PANIC), &[], &mut []);
        assert_eq!(failure(stopped), abi::STATUS_DEVICE_NOT_CONNECTED);
        assert_eq!(machine.bugcheck().expect("stops").bugcheck.stop.code, driver::RUST_PANIC);
    }
}

scenario! {
    fn a_driver_that_does_not_ask_for_it_has_no_fast_routine(form: Form) {
        let machine = HELLO.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("embedded");
        let device = open(&process, r"\\.\My_Device");
        device.control(ControlCode(sample_hello::IOCTL_ECHO), b"x", &mut [0; 1]).expect("answers");
        assert!(!watch.events().iter().any(|event| matches!(event, host::Event::FastIo { .. })));
    }
}
