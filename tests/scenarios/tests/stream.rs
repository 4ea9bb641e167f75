//! The sample `stream`: bytes through rings in memory that the driver maps for its application.

use std::sync::Arc;

use app::{Transport, View};
use host::Machine;
use ringbridge_scenarios::{
    Beside, Form, STREAM, application, failure, run_application, say_ready, scenario, serve,
    unload_when_closed, wait_to_go_on,
};
use sample_applications::stream::{self, Flow, IOCTL_FINISH, IOCTL_OPEN, Stream};

/// Runs `body` with a machine that has the driver, which must end as it began.
fn with_machine(form: Form, body: impl FnOnce(&Machine)) {
    let machine = STREAM.machine(form);
    body(&machine);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(&machine, "stream");
    assert!(machine.user_mappings().is_empty());
}

fn says_that_all_is_equal(transport: Arc<dyn Transport>) {
    let mut said = Vec::new();
    stream::run(transport, &mut |line| said.push(line.to_owned())).expect("succeeds");
    assert_eq!(
        said,
        [
            "64 MiB down, then up, in messages of 64 KiB: checksums equal: true",
            "4 MiB down, then up, in messages of 64 bytes: checksums equal: true",
            "64 MiB down and up at once: checksums equal: true",
        ]
    );
}

#[test]
fn application_that_streams() {
    if let Some(client) = application() {
        says_that_all_is_equal(Arc::new(client));
    }
}

scenario! {
    fn nothing_is_lost_or_changed_in_either_direction(form: Form) {
        with_machine(form, |machine| {
            says_that_all_is_equal(Arc::new(machine.process("embedded")));
            let (_folder, server) = serve(machine);
            run_application("application_that_streams", server.path());
            server.stop();
        });
    }
}

#[test]
fn application_that_streams_gigabytes() {
    let Some(client) = application() else { return };
    let transport: &dyn Transport = &client;
    let stream = Stream::open(transport, 4 << 20).expect("opens");
    let total = gigabytes() << 30;
    let received = stream.receive(transport, Flow::new(total, 64 << 10)).expect("receives");
    let sent = stream.send(transport, Flow::new(total, 64 << 10)).expect("sends");
    assert_eq!(stream.finish().expect("ends"), [received, sent]);
}

/// RINGBRIDGE_GIGABYTES, or one.
fn gigabytes() -> u64 {
    std::env::var("RINGBRIDGE_GIGABYTES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

scenario! {
    fn gigabytes_have_equal_checksums(form: Form) {
        with_machine(form, |machine| {
            let (_folder, server) = serve(machine);
            run_application("application_that_streams_gigabytes", server.path());
            server.stop();
        });
    }
}

#[test]
fn application_that_streams_until_it_is_killed() {
    let Some(client) = application() else { return };
    let transport: &dyn Transport = &client;
    let stream = Stream::open(transport, 1 << 16).expect("opens");
    std::thread::scope(|scope| {
        scope.spawn(|| stream.send(transport, Flow::new(!7, 4096)));
        scope.spawn(|| stream.receive(transport, Flow::new(!7, 4096)));
        say_ready();
        wait_to_go_on();
    });
}

scenario! {
    fn a_killed_application_leaves_no_thread_and_no_mapping(form: Form) {
        with_machine(form, |machine| {
            let (_folder, server) = serve(machine);
            for _ in 0..10 {
                Beside::start("application_that_streams_until_it_is_killed", server.path()).kill();
            }
            server.stop();
        });
    }
}

scenario! {
    fn an_application_that_scribbles_over_its_rings_gets_an_error_and_stops_nobody(form: Form) {
        with_machine(form, |machine| {
            let process = machine.process("hostile");
            let other = machine.process("other");
            let beside = Stream::open(&other, 1 << 16).expect("opens");
            for (place, value) in [(8_u64, 3_u64), (64, u64::MAX), (128, 12_345), (192, u64::MAX), (0, 0)] {
                let stream = Stream::open(&process, 256).expect("opens");
                let code = sample_applications::stream::IOCTL_PRODUCE;
                let [down, up] = stream.addresses();
                for address in [down, up] {
                    let view = View::of_driver(&process, address, 256 + 192).expect("mapped");
                    view.store_u64(place, value).expect("writable");
                    view.store_u64(64, u64::MAX - 7).expect("writable");
                    view.store_u64(128, 5).expect("writable");
                }
                let start = [1_u64 << 20, 64, 1, 1].map(u64::to_le_bytes).concat();
                stream.device().control(code, &start, &mut []).expect("starts");
                let consume = sample_applications::stream::IOCTL_CONSUME;
                stream.device().control(consume, &start, &mut []).expect("starts");
                let mut told = [0; 48];
                stream.device().control(IOCTL_FINISH, &[], &mut told).expect("ends");
                let status = |at: usize| u32::from_le_bytes(told[at..at + 4].try_into().expect("four bytes"));
                assert!([16, 40].map(status).iter().all(|status| *status != 0), "{told:?}");
            }
            let received = beside.receive(&other, Flow::new(1 << 20, 4096)).expect("nobody else is disturbed");
            assert_eq!(beside.finish().expect("ends")[0], received);
        });
    }
}

scenario! {
    fn what_is_no_event_or_ring_is_refused(form: Form) {
        with_machine(form, |machine| {
            let process = machine.process("application");
            let device = app::Device::open(&process, r"\\.\Stream").expect("opens");
            let file = u64::from(device.handle().0);
            let open = |numbers: [u64; 5]| {
                failure(device.control(IOCTL_OPEN, &numbers.map(u64::to_le_bytes).concat(), &mut [0; 24]))
            };
            assert_eq!(open([64, 0, 0, 0, 0]), abi::STATUS_INVALID_HANDLE);
            assert_eq!(open([64, file, file, file, file]), abi::STATUS_OBJECT_TYPE_MISMATCH);
            for capacity in [0, 63, 100, u64::MAX, 512 << 20] {
                assert_eq!(open([capacity, 0, 0, 0, 0]), abi::STATUS_INVALID_PARAMETER, "{capacity}");
            }
            let finished = failure(device.control(IOCTL_FINISH, &[], &mut [0; 48]));
            assert_eq!(finished, abi::STATUS_INVALID_DEVICE_STATE);
        });
    }
}

#[test]
fn the_application_uses_its_drivers_codes() {
    assert_eq!(IOCTL_OPEN.0, sample_stream::IOCTL_OPEN);
    assert_eq!(stream::IOCTL_PRODUCE.0, sample_stream::IOCTL_PRODUCE);
    assert_eq!(stream::IOCTL_CONSUME.0, sample_stream::IOCTL_CONSUME);
    assert_eq!(IOCTL_FINISH.0, sample_stream::IOCTL_FINISH);
}
