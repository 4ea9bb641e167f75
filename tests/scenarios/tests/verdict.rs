//! The sample `verdict`: a driver that goes on when its application is late, wrong or gone. What it does when all is well is in
//! `applications.rs`.

use std::path::Path;
use std::thread;
use std::time::Instant;

use app::{Buffer, Event, EventKind, FilterPort, MessageHeader, Reactor, Transport, reply_to};
use host::{InputBuffer, Machine, OutputBuffer};
use ringbridge_scenarios::{
    Beside, PATIENCE, VERDICT, application, say_ready, scenario, unload_when_closed, wait_to_go_on,
};
use sample_applications::verdict::{ALLOW, PORT, answer_until, counts, guard, opens};

fn nothing_is_left(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(machine, VERDICT.name);
}

/// Opens a name while a guard does as it likes with the question.
fn opens_beside(
    process: &dyn Transport,
    port: &FilterPort<'_>,
    answer: impl Fn(u64) -> Option<Vec<u8>>,
) -> String {
    thread::scope(|scope| {
        let opened = scope.spawn(|| opens(process, r"\name"));
        let mut question = [0; 64];
        let header = port.get_message(&mut question).expect("is asked");
        assert_eq!(question[16..28], [92, 0, 110, 0, 97, 0, 109, 0, 101, 0, 0, 0], "the name");
        assert_eq!(header.reply_length, 20);
        if let Some(reply) = answer(header.message_id) {
            // Some are cut.
            let _told = port.reply_message(&reply);
        }
        opened.join().expect("no panic")
    })
}

scenario! {
    fn a_guard_that_is_late_or_wrong_opens_no_doors(form: Form) {
        let machine = VERDICT.machine(form);
        let process = machine.process("test");
        let slow = guard(&process, 1).expect("connects");
        assert_eq!(opens(&process, r"\name"), "5", "nobody takes the question");
        drop(slow);
        let slow = guard(&process, 100).expect("connects again");
        assert_eq!(opens_beside(&process, &slow, |_| None), "5", "nobody answers it");
        drop(slow);
        let port = guard(&process, 30_000).expect("connects again");
        let with = |data: &'static [u8]| opens_beside(&process, &port, |id| Some(reply_to(id, data)));
        assert_eq!(with(&[1, 0, 0, 0]), "opened");
        assert_eq!(with(&[2, 0, 0, 0]), "5");
        for wrong in [&[][..], &[1], &[1, 0, 0], &[1, 0, 0, 0, 0], &[3, 0, 0, 0], &[1, 0, 0, 1]] {
            assert_eq!(with(wrong), "5", "{wrong:?}");
        }
        assert_eq!(counts(&port).expect("answers"), [1, 1, 8, 0]);
        assert_eq!(port.send_message(&[], &mut [0; 31]).expect_err("no room").hresult, 0x8007_007A);
        let long = format!(r"\{}", "n".repeat(sample_verdict::LONGEST));
        assert_eq!(opens(&process, &long), "5", "is not asked about");
        assert_eq!(opens(&process, ""), "opened", "the device itself");
        drop(port);
        assert_eq!(opens(&process, r"\name"), "opened", "nobody guards");
        nothing_is_left(&machine);
    }
}

scenario! {
    fn questions_are_futures_and_one_that_is_dropped_loses_none(form: Form) {
        let machine = VERDICT.machine(form);
        let process = std::sync::Arc::new(machine.process("test"));
        let reactor = Reactor::new(process.clone()).expect("a reactor");
        let refused = reactor.connect_filter_port(PORT, &[]).expect_err("is refused");
        assert!(matches!(refused, app::ConnectAsyncError::Connect(error) if error.hresult == 0x8007_0057));
        let port = reactor.connect_filter_port(PORT, &30_000_u32.to_le_bytes()).expect("connects");
        let buffer = || Buffer::new(reactor.transport(), 64).expect("memory");
        thread::scope(|scope| {
            for answer in [ALLOW, sample_verdict::DENY] {
                drop(port.get_message(buffer()));
                let question = port.get_message(buffer());
                let opened = scope.spawn(|| opens(&*process, r"\name"));
                let done = futures_lite::future::block_on(question);
                let length = done.result.expect("is asked");
                let header = MessageHeader::from_bytes(&done.buffer.to_vec(length)).expect("a header");
                port.port().reply_message(&reply_to(header.message_id, &answer.to_le_bytes())).expect("in time");
                let expected = if answer == ALLOW { "opened" } else { "5" };
                assert_eq!(opened.join().expect("no panic"), expected);
            }
        });
        drop(port);
        drop(reactor);
        drop(process);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_message_whose_buffer_is_not_there_fails_and_stops_nothing(form: Form) {
        let machine = VERDICT.machine(form);
        let process = machine.process("test");
        let port = guard(&process, 1000).expect("connects");
        let window = process.allocate(4096).expect("room");
        let sends = |address: u64| {
            let input = InputBuffer::from_slice(&[]).expect("short");
            let output = OutputBuffer::in_window(address, 32).expect("a window");
            process.control_buffers(port.device().handle(), abi::FILTER_PORT_SEND_MESSAGE, input, output).status
        };
        assert_eq!(sends(window.address() + (1 << 30)), abi::STATUS_ACCESS_VIOLATION);
        assert_eq!(sends(window.address()), abi::STATUS_SUCCESS);
        drop((port, window));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn who_would_be_a_guard_is_checked(form: Form) {
        let machine = VERDICT.machine(form);
        let process = machine.process("test");
        let connect = |context: &[u8]| FilterPort::connect(&process, PORT, context, false);
        for wrong in [&[][..], &[1, 0, 0], &[1, 0, 0, 0, 0], &[0; 4], &[0xFF; 4]] {
            assert_eq!(connect(wrong).expect_err("is refused").hresult, 0x8007_0057, "{wrong:?}");
        }
        let first = guard(&process, 1000).expect("connects");
        assert_eq!(guard(&process, 1000).expect_err("there is one").hresult, 0x8007_04D6);
        let user = machine.process_as("user", host::Token::user());
        drop(first);
        assert_eq!(guard(&user, 1000).expect_err("administrators only").hresult, 0x8007_0005);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn the_driver_unloads_under_its_guard(form: Form) {
        let machine = VERDICT.machine(form);
        let process = machine.process("test");
        let port = guard(&process, 1000).expect("connects");
        let stop = Event::new(&process, EventKind::ManualReset, false).expect("is made");
        thread::scope(|scope| {
            // It ends with the connection.
            scope.spawn(|| answer_until(&process, &port, &stop, |_| ALLOW));
            assert_eq!(opens(&process, r"\name"), "opened");
            nothing_is_left(&machine);
        });
        assert_eq!(counts(&port).expect_err("it is over").hresult, 0x8007_0006);
    }
}

#[test]
fn guard_that_does_not_answer() {
    let Some(client) = application() else { return };
    let port = guard(&client, 60_000).expect("connects");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut question = [0; 64];
            port.get_message(&mut question).expect("is asked");
            println!("\nasked");
        });
        say_ready();
        wait_to_go_on();
    });
}

scenario! {
    fn a_guard_that_dies_is_no_guard(form: Form) {
        let machine = VERDICT.machine(form);
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
        let process = machine.process("test");
        for _ in 0..3 {
            let mut application = Beside::start("guard_that_does_not_answer", server.path());
            thread::scope(|scope| {
                let opened = scope.spawn(|| opens(&process, r"\name"));
                application.wait_for("asked");
                application.kill();
                assert_eq!(opened.join().expect("no panic"), "5", "long before its minute is over");
            });
            // The next guard can come.
            let start = Instant::now();
            let port = loop {
                match guard(&process, 1000) {
                    Ok(port) => break port,
                    Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
                }
                thread::yield_now();
            };
            drop(port);
        }
        server.stop();
        nothing_is_left(&machine);
    }
}
