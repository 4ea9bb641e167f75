//! Named pipes between applications, with no driver of the user's at all: the file system as machines start it, and as a `.sys`; both
//! ends in one process, and in two. Values are those of the pages of CreateNamedPipe and its kin.

use std::time::Duration;

use app::{
    Buffer, Event, EventKind, NamedPipe, NamedPipeOptions, OpenOptions, Overlapped, Peek, PipeAccess,
    PipeWait, Transport, Win32Error,
};
use host::{LoadOptions, Machine};
use ringbridge_scenarios::{
    Beside, Form, application, run_application, say_ready, scenario, sys_path, wait_to_go_on,
};

const NAME: &str = r"\\.\pipe\Rb\Test";

fn machine(form: Form) -> Machine {
    let machine = Machine::new().expect("a machine");
    if form == Form::Sys {
        machine.load(&sys_path("npfs"), LoadOptions::default()).expect("the .sys file loads");
    }
    machine
}

/// Nothing of a pipe is left: the driver goes, and leaves nothing.
fn nothing_is_left(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    let name = machine.drivers().first().expect("it was used").name.clone();
    ringbridge_scenarios::unload_when_closed(machine, &name);
}

fn code<T: std::fmt::Debug>(result: Result<T, Win32Error>) -> u32 {
    result.expect_err("fails").code
}

fn messages() -> NamedPipeOptions {
    NamedPipeOptions::new().messages(true).read_messages(true)
}

/// Both ends, connected; the client reads messages where the server does.
fn pair<'a>(transport: &'a dyn Transport, options: &NamedPipeOptions) -> (NamedPipe<'a>, NamedPipe<'a>) {
    let server = options.create(transport, NAME).expect("is made");
    let client = NamedPipe::open(transport, NAME).expect("listens");
    if server.state().expect("told").reads_messages {
        client.set_state(true, false).expect("of messages");
    }
    (server, client)
}

fn read(pipe: &NamedPipe<'_>, room: usize) -> Vec<u8> {
    let mut buffer = vec![0; room];
    let count = pipe.read(&mut buffer).expect("there is something");
    buffer.truncate(count as usize);
    buffer
}

scenario! {
    fn bytes_go_both_ways_and_have_no_boundaries(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &NamedPipeOptions::new());
        assert_eq!(client.write(b"ab").expect("room"), 2);
        assert_eq!(client.write(b"cde").expect("room"), 3);
        assert_eq!(read(&server, 4), b"abcd");
        assert_eq!(read(&server, 4), b"e");
        assert_eq!(server.write(b"back").expect("room"), 4);
        assert_eq!(read(&client, 9), b"back");
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_message_is_read_whole_or_in_parts_that_say_so(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages());
        client.write(b"first").expect("room");
        client.write(b"").expect("room");
        client.write(b"third").expect("room");
        let mut buffer = [0; 3];
        let cut = server.read(&mut buffer).expect_err("there is more");
        assert_eq!((cut.code, cut.bytes, &buffer), (abi::ERROR_MORE_DATA, 3, b"fir"));
        assert_eq!(read(&server, 9), b"st");
        assert_eq!(read(&server, 9), b"", "a message of no bytes");
        server.set_state(false, false).expect("bytes");
        assert_eq!(read(&server, 2), b"th", "byte mode cuts without a word");
        assert_eq!(read(&server, 9), b"ird");
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn names_have_one_kind_of_pipe_and_no_regard_to_case(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let options = messages().max_instances(2);
        assert_eq!(code(NamedPipe::open(&process, NAME)), abi::ERROR_FILE_NOT_FOUND);
        let first = options.first_instance(true).create(&process, NAME).expect("is new");
        assert_eq!(code(options.first_instance(true).create(&process, NAME)), abi::ERROR_ACCESS_DENIED);
        let bytes = NamedPipeOptions::new().max_instances(2);
        assert_eq!(code(bytes.create(&process, NAME)), abi::ERROR_ACCESS_DENIED, "another type");
        let inbound = options.access(PipeAccess::Inbound);
        assert_eq!(code(inbound.create(&process, NAME)), abi::ERROR_ACCESS_DENIED, "another direction");
        let more = options.max_instances(3);
        assert_eq!(code(more.create(&process, NAME)), abi::ERROR_ACCESS_DENIED, "another number");
        let second = options.create(&process, r"\\.\PIPE\rb\tEST").expect("the same name");
        assert_eq!(code(options.create(&process, NAME)), abi::ERROR_PIPE_BUSY, "as many as there may be");
        assert_eq!(first.state().expect("told").instances, 2);
        assert_eq!(code(NamedPipe::open(&process, r"\\.\pipe\Rb")), abi::ERROR_FILE_NOT_FOUND, "no folder");
        let clients = [(); 2].map(|()| NamedPipe::open(&process, NAME).expect("listens"));
        assert_eq!(code(NamedPipe::open(&process, NAME)), abi::ERROR_PIPE_BUSY, "nobody listens");
        drop((first, second, clients));
        assert_eq!(code(NamedPipe::open(&process, NAME)), abi::ERROR_FILE_NOT_FOUND, "went with its last");
        nothing_is_left(&machine);
    }
}

scenario! {
    fn an_instance_listens_is_connected_and_disconnected(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let server = NamedPipeOptions::new().create(&process, NAME).expect("is made");
        assert_eq!(code(server.read(&mut [0; 4])), abi::ERROR_PIPE_LISTENING);
        assert_eq!(code(server.peek(&mut [])), abi::ERROR_BAD_PIPE);
        assert_eq!(code(server.client_process_id()), abi::ERROR_PIPE_LISTENING);
        let client = NamedPipe::open(&process, NAME).expect("listens from the start");
        assert_eq!(code(server.connect()), abi::ERROR_PIPE_CONNECTED);
        assert_eq!(code(client.connect()), abi::ERROR_INVALID_FUNCTION);
        assert_eq!(code(client.disconnect()), abi::ERROR_INVALID_FUNCTION);
        assert_eq!(server.client_process_id().expect("told"), process.id());
        assert_eq!(client.server_process_id().expect("told"), process.id());
        drop(client);
        assert_eq!(code(server.connect()), abi::ERROR_NO_DATA, "not disconnected yet");
        server.disconnect().expect("was connected");
        assert_eq!(code(server.disconnect()), abi::ERROR_PIPE_NOT_CONNECTED);
        assert_eq!(code(server.write(b"x")), abi::ERROR_PIPE_NOT_CONNECTED);
        assert_eq!(code(NamedPipe::open(&process, NAME)), abi::ERROR_PIPE_BUSY, "does not listen");
        server.set_state(false, true).expect("PIPE_NOWAIT");
        server.connect().expect("listens now");
        assert_eq!(code(server.connect()), abi::ERROR_PIPE_LISTENING);
        let client = NamedPipe::open(&process, NAME).expect("listens again");
        assert_eq!(code(server.connect()), abi::ERROR_PIPE_CONNECTED);
        server.disconnect().expect("connected");
        assert_eq!(code(client.write(b"x")), abi::ERROR_PIPE_NOT_CONNECTED);
        assert_eq!(code(client.read(&mut [0; 4])), abi::ERROR_PIPE_NOT_CONNECTED);
        server.connect().expect("listens");
        let next = NamedPipe::open(&process, NAME).expect("the next");
        assert_eq!(code(client.write(b"x")), abi::ERROR_PIPE_NOT_CONNECTED, "it is another's");
        next.write(b"y").expect("its own");
        assert_eq!(read(&server, 4), b"y");
        drop(client);
        next.write(b"z").expect("the first one's end is none of its own");
        drop((server, next));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn what_was_written_is_read_after_its_writer_has_closed_and_lost_when_it_is_disconnected(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages());
        client.write(b"one").expect("room");
        client.write(b"two").expect("room");
        server.write(b"never read").expect("room");
        drop(client);
        assert_eq!(read(&server, 9), b"one");
        assert_eq!(code(server.write(b"x")), abi::ERROR_NO_DATA);
        assert_eq!(server.peek(&mut []).expect("there is one").available, 3);
        assert_eq!(read(&server, 9), b"two");
        assert_eq!(code(server.read(&mut [0; 9])), abi::ERROR_BROKEN_PIPE);
        assert_eq!(code(server.peek(&mut [])), abi::ERROR_BROKEN_PIPE);
        drop(server);
        let (server, client) = pair(&process, &messages());
        server.write(b"last").expect("room");
        drop(server);
        assert_eq!(code(client.write(b"x")), abi::ERROR_NO_DATA);
        assert_eq!(read(&client, 9), b"last");
        assert_eq!(code(client.read(&mut [0; 9])), abi::ERROR_BROKEN_PIPE);
        drop(client);
        let (server, client) = pair(&process, &messages());
        server.write(b"lost").expect("room");
        server.disconnect().expect("connected");
        assert_eq!(code(client.read(&mut [0; 9])), abi::ERROR_PIPE_NOT_CONNECTED);
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn peeking_leaves_what_is_there(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages());
        assert_eq!(server.peek(&mut [0; 4]).expect("none"), Peek { read: 0, available: 0, left_this_message: 0 });
        client.write(b"hello").expect("room");
        client.write(b"you").expect("room");
        let mut buffer = [0; 4];
        let peek = server.peek(&mut buffer).expect("two");
        assert_eq!((peek, &buffer), (Peek { read: 4, available: 8, left_this_message: 1 }, b"hell"));
        let mut buffer = [0; 9];
        assert_eq!(server.peek(&mut buffer).expect("two").read, 5, "one message at a time");
        assert_eq!(read(&server, 9), b"hello");
        drop((server, client));
        let (server, client) = pair(&process, &NamedPipeOptions::new());
        client.write(b"hello").expect("room");
        client.write(b"you").expect("room");
        let peek = server.peek(&mut buffer).expect("bytes");
        assert_eq!((peek, &buffer[..8]), (Peek { read: 8, available: 8, left_this_message: 0 }, &b"helloyou"[..]));
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_transaction_writes_a_message_and_reads_the_next(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages());
        server.write(b"unread").expect("room");
        assert_eq!(code(client.transact(b"x", &mut [0; 9])), abi::ERROR_PIPE_BUSY);
        assert_eq!(read(&client, 9), b"unread");
        client.set_state(false, false).expect("bytes");
        assert_eq!(code(client.transact(b"x", &mut [0; 9])), abi::ERROR_BAD_PIPE);
        client.set_state(true, false).expect("messages");
        let answers = || {
            assert_eq!(read(&server, 9), b"ask");
            server.write(b"answer").expect("room");
            assert_eq!(read(&server, 9), b"again");
            server.write(b"too long").expect("room");
        };
        std::thread::scope(|scope| {
            scope.spawn(answers);
            let mut room = [0; 9];
            assert_eq!(client.transact(b"ask", &mut room).expect("is answered"), 6);
            assert_eq!(&room[..6], b"answer");
            let mut short = [0; 3];
            let cut = client.transact(b"again", &mut short).expect_err("there is more");
            assert_eq!((cut.code, cut.bytes, &short), (abi::ERROR_MORE_DATA, 3, b"too"));
            assert_eq!(read(&client, 9), b" long");
        });
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_call_connects_asks_and_closes(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let server = messages().create(&process, NAME).expect("is made");
        let serve = || {
            for _ in 0..3 {
                match server.connect() {
                    Ok(()) => {}
                    Err(error) => assert_eq!(error.code, abi::ERROR_PIPE_CONNECTED),
                }
                let question = read(&server, 9);
                server.write(&question.to_ascii_uppercase()).expect("room");
                server.flush().ok();
                server.disconnect().expect("connected");
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(serve);
            for _ in 0..3 {
                let mut room = [0; 9];
                let length = NamedPipe::call(&process, NAME, b"abc", &mut room, PipeWait::Forever);
                assert_eq!((length.expect("is answered"), &room[..3]), (3, &b"ABC"[..]));
            }
        });
        drop(server);
        let missing = NamedPipe::call(&process, NAME, b"", &mut [], PipeWait::Forever);
        assert_eq!(code(missing), abi::ERROR_FILE_NOT_FOUND);
        nothing_is_left(&machine);
    }
}

/// An overlapped pair: the server's end and the client's.
fn overlapped_pair<'a>(
    transport: &'a dyn Transport,
    options: &NamedPipeOptions,
) -> (NamedPipe<'a>, NamedPipe<'a>) {
    let server = options.overlapped(true).create(transport, NAME).expect("is made");
    let client =
        NamedPipe::open_with(&OpenOptions::new().overlapped(true), transport, NAME).expect("listens");
    if server.state().expect("told").reads_messages {
        client.set_state(true, false).expect("of messages");
    }
    (server, client)
}

scenario! {
    fn a_write_beyond_the_quota_waits_until_it_is_read(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        for options in [NamedPipeOptions::new().buffers(8, 8), messages().buffers(8, 8)] {
            let (server, client) = overlapped_pair(&process, &options);
            let bytes = |bytes: &[u8]| Buffer::from_bytes(&process, bytes).expect("memory");
            let room = || Buffer::new(&process, 16).expect("memory");
            let write = |data: &[u8]| client.write_overlapped(bytes(data), &Overlapped::new()).expect("begins");
            let first = write(b"12345");
            assert!(first.has_completed(), "there was room");
            let second = write(b"6789");
            let third = write(b"x");
            assert!(!second.has_completed() && !third.has_completed(), "one waits behind the other");
            let read = server.read_overlapped(room(), &Overlapped::new()).expect("begins").finish();
            assert_eq!(read.result.expect("all of it"), 5);
            assert!(second.has_completed() && third.has_completed(), "now there is room");
            assert_eq!(second.finish().result.expect("taken"), 4);
            // Longer than the quota: read from where it is, in parts.
            let long = write(b"abcdefghij");
            assert!(!long.has_completed());
            let mut all = Vec::new();
            while all.len() < 15 {
                let buffer = Buffer::new(&process, 3).expect("memory");
                let read = server.read_overlapped(buffer, &Overlapped::new()).expect("begins").finish();
                let count = match read.result {
                    Ok(count) => count,
                    Err(error) => {
                        assert_eq!(error.code, abi::ERROR_MORE_DATA);
                        error.bytes
                    }
                };
                all.extend(read.buffer.to_vec(count));
            }
            assert_eq!(all, b"6789xabcdefghij");
            assert_eq!(long.finish().result.expect("taken"), 10);
            drop((third, first));
            drop((server, client));
        }
        nothing_is_left(&machine);
    }
}

scenario! {
    fn what_waits_is_cancelled_and_takes_nothing(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let options = messages().buffers(4, 4);
        let server = options.overlapped(true).create(&process, NAME).expect("is made");
        let nothing = || Buffer::new(&process, 0).expect("memory");
        let listen = server.connect_overlapped(nothing(), &Overlapped::new()).expect("begins");
        assert!(!listen.has_completed());
        listen.cancel().expect("waits");
        assert_eq!(code(listen.finish().result), abi::ERROR_OPERATION_ABORTED);
        let event = Event::new(&process, EventKind::ManualReset, false).expect("an event");
        let listen = server.connect_overlapped(nothing(), &Overlapped::new().event(&event)).expect("begins");
        let client = NamedPipe::open_with(&OpenOptions::new().overlapped(true), &process, NAME).expect("listens");
        client.set_state(true, false).expect("of messages");
        assert!(event.wait(Some(Duration::ZERO)).expect("an event"), "the end is told");
        listen.finish().result.expect("somebody is there");
        let room = || Buffer::new(&process, 8).expect("memory");
        let read = server.read_overlapped(room(), &Overlapped::new()).expect("begins");
        read.cancel().expect("waits");
        assert_eq!(code(read.finish().result), abi::ERROR_OPERATION_ABORTED);
        let write = |data: &[u8]| {
            let data = Buffer::from_bytes(&process, data).expect("memory");
            client.write_overlapped(data, &Overlapped::new()).expect("begins")
        };
        let (kept, waits) = (write(b"kept"), write(b"gone"));
        waits.cancel().expect("waits");
        assert_eq!(code(waits.finish().result), abi::ERROR_OPERATION_ABORTED);
        // Of which a part is read already.
        let cut = write(b"cut in two");
        kept.finish().result.expect("room");
        let read = |length| {
            let room = Buffer::new(&process, length).expect("memory");
            server.read_overlapped(room, &Overlapped::new()).expect("begins").finish()
        };
        assert_eq!(read(8).buffer.to_vec(4), b"kept");
        assert_eq!(read(3).buffer.to_vec(3), b"cut");
        cut.cancel().expect("waits");
        assert_eq!(code(cut.finish().result), abi::ERROR_OPERATION_ABORTED);
        let after = server.read_overlapped(room(), &Overlapped::new()).expect("begins");
        assert!(!after.has_completed(), "nothing is left of what was cancelled");
        drop(after);
        drop((client, server));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn requests_that_wait_end_with_the_other_end(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let room = || Buffer::new(&process, 8).expect("memory");
        let (server, client) = overlapped_pair(&process, &messages().buffers(4, 4));
        let read = server.read_overlapped(room(), &Overlapped::new()).expect("begins");
        let write = server.write_overlapped(room(), &Overlapped::new()).expect("begins");
        assert!(!read.has_completed() && !write.has_completed());
        drop(client);
        assert_eq!(code(read.finish().result), abi::ERROR_BROKEN_PIPE);
        assert_eq!(code(write.finish().result), abi::ERROR_NO_DATA);
        drop(server);
        let (server, client) = overlapped_pair(&process, &messages().buffers(4, 4));
        let read = client.read_overlapped(room(), &Overlapped::new()).expect("begins");
        let own = server.read_overlapped(room(), &Overlapped::new()).expect("begins");
        server.disconnect().expect("connected");
        assert_eq!(code(read.finish().result), abi::ERROR_PIPE_NOT_CONNECTED);
        assert_eq!(code(own.finish().result), abi::ERROR_PIPE_NOT_CONNECTED);
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn waiting_for_an_instance_ends_when_one_listens_in_time_or_with_the_pipe(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let soon = PipeWait::For(Duration::from_millis(1));
        assert_eq!(code(NamedPipe::wait(&process, NAME, soon)), abi::ERROR_FILE_NOT_FOUND);
        let options = NamedPipeOptions::new().default_timeout(Duration::from_millis(2));
        let server = options.create(&process, NAME).expect("is made");
        NamedPipe::wait(&process, NAME, PipeWait::Forever).expect("it listens");
        let client = NamedPipe::open(&process, NAME).expect("listens");
        assert_eq!(code(NamedPipe::wait(&process, NAME, soon)), abi::ERROR_SEM_TIMEOUT);
        assert_eq!(code(NamedPipe::wait(&process, NAME, PipeWait::Default)), abi::ERROR_SEM_TIMEOUT);
        let watch = ringbridge_scenarios::Watch::on(&machine);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| NamedPipe::wait(&process, NAME, PipeWait::Forever));
            watch.wait_for(1, ringbridge_scenarios::is_pended);
            let another = options.create(&process, NAME).expect("is made");
            waits.join().expect("no panic").expect("one listens");
            let taken = NamedPipe::open(&process, NAME).expect("listens");
            let waits = scope.spawn(|| NamedPipe::wait(&process, NAME, PipeWait::Forever));
            watch.wait_for(2, ringbridge_scenarios::is_pended);
            drop((server, another));
            let gone = waits.join().expect("no panic");
            assert_eq!(code(gone), abi::ERROR_FILE_NOT_FOUND);
            drop(taken);
        });
        drop(client);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_pipe_of_one_direction_gives_the_other_to_nobody(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let client = |access| NamedPipe::open_with(&OpenOptions::new().access(access), &process, NAME);
        let inbound = NamedPipeOptions::new().access(PipeAccess::Inbound).create(&process, NAME).expect("is made");
        assert_eq!(code(client(abi::GENERIC_READ)), abi::ERROR_ACCESS_DENIED);
        assert_eq!(code(client(abi::GENERIC_READ | abi::GENERIC_WRITE)), abi::ERROR_ACCESS_DENIED);
        let writer = client(abi::GENERIC_WRITE).expect("may write");
        writer.write(b"in").expect("room");
        assert_eq!(code(writer.read(&mut [0])), abi::ERROR_ACCESS_DENIED);
        assert_eq!(read(&inbound, 4), b"in");
        assert_eq!(code(inbound.write(b"x")), abi::ERROR_ACCESS_DENIED);
        drop((inbound, writer));
        let outbound = NamedPipeOptions::new().access(PipeAccess::Outbound).create(&process, NAME).expect("is made");
        assert_eq!(code(client(abi::GENERIC_WRITE)), abi::ERROR_ACCESS_DENIED);
        let reader = client(abi::GENERIC_READ).expect("may read");
        outbound.write(b"out").expect("room");
        assert_eq!(read(&reader, 4), b"out");
        drop((outbound, reader));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn who_never_waits_is_told_so_or_writes_what_there_is_room_for(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &NamedPipeOptions::new().buffers(8, 4));
        client.set_state(false, true).expect("PIPE_NOWAIT");
        assert_eq!(code(client.read(&mut [0; 4])), abi::ERROR_NO_DATA);
        assert_eq!(client.write(b"abcdef").expect("some of it"), 4);
        assert_eq!(client.write(b"ef").expect("nothing of it"), 0);
        assert_eq!(read(&server, 9), b"abcd");
        drop((server, client));
        let (server, client) = pair(&process, &messages().buffers(8, 4));
        client.set_state(true, true).expect("PIPE_NOWAIT");
        assert_eq!(client.write(b"abcdef").expect("nothing of it"), 0);
        assert_eq!(client.write(b"abcd").expect("room"), 4);
        assert_eq!(read(&server, 9), b"abcd");
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn an_end_tells_what_it_is(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages().buffers(10, 20).max_instances(7));
        let info = server.info().expect("told");
        assert!(info.is_server && info.is_message_type);
        assert_eq!((info.out_buffer, info.in_buffer, info.max_instances), (10, 20, 7));
        assert!(!client.info().expect("told").is_server);
        assert_eq!(code(NamedPipeOptions::new().read_messages(true).create(&process, r"\\.\pipe\b")), abi::ERROR_INVALID_PARAMETER);
        drop((server, client));
        let (server, client) = pair(&process, &NamedPipeOptions::new());
        assert_eq!(server.info().expect("told").max_instances, 255);
        assert_eq!(code(client.set_state(true, false)), abi::ERROR_INVALID_PARAMETER, "it has no messages");
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn flushing_waits_until_all_is_read(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &messages());
        client.flush().expect("there is nothing");
        client.write(b"one").expect("room");
        let watch = ringbridge_scenarios::Watch::on(&machine);
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| client.flush());
            watch.wait_for(1, ringbridge_scenarios::is_pended);
            assert!(!flush.is_finished());
            assert_eq!(read(&server, 9), b"one");
            flush.join().expect("no panic").expect("all is read");
        });
        drop((server, client));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn other_users_may_read_and_make_no_instances(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let server = NamedPipeOptions::new().create(&process, NAME).expect("is made");
        let user = machine.process_as("user", host::Token::user());
        assert_eq!(code(NamedPipeOptions::new().create(&user, NAME)), abi::ERROR_ACCESS_DENIED);
        assert_eq!(code(NamedPipe::open(&user, NAME)), abi::ERROR_ACCESS_DENIED);
        let options = OpenOptions::new().access(abi::GENERIC_READ);
        let client = NamedPipe::open_with(&options, &user, NAME).expect("everybody may read");
        server.write(b"news").expect("room");
        assert_eq!(read(&client, 9), b"news");
        drop((server, client));
        nothing_is_left(&machine);
    }
}

/// Everyone (S-1-1-0) may do what `mask` says, and the system anything.
fn everyone_may(mask: u32) -> Vec<u8> {
    let list = host::Acl::new(vec![
        host::Ace::allow(abi::FILE_ALL_ACCESS, host::well_known::LOCAL_SYSTEM),
        host::Ace::allow(mask, host::well_known::WORLD),
    ]);
    let (control, dacl) = (abi::SE_DACL_PRESENT, Some(list));
    let descriptor = host::SecurityDescriptor { control, dacl, ..host::SecurityDescriptor::default() };
    descriptor.to_bytes().expect("is short")
}

scenario! {
    fn a_pipes_maker_says_who_opens_it_and_who_makes_instances(form: Form) {
        let machine = machine(form);
        let process = machine.process_as("server", host::Token::local_system());
        let user = machine.process_as("user", host::Token::user());
        // FILE_APPEND_DATA is the same bit as FILE_CREATE_PIPE_INSTANCE: whoever may have GENERIC_WRITE may make instances.
        let all = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE;
        let connects = all & !abi::FILE_CREATE_PIPE_INSTANCE;
        let plain = OpenOptions::new();
        let without_append = OpenOptions::new().access(abi::FILE_READ_DATA | abi::FILE_WRITE_DATA);
        for (mask, opens, opens_without_append, makes) in [
            (0, false, false, false),
            (abi::FILE_GENERIC_READ, false, false, false),
            (connects, false, true, false),
            (all, true, true, true),
        ] {
            let options = NamedPipeOptions::new().max_instances(3);
            let server = options.create_secured(&process, NAME, &everyone_may(mask)).expect("is made");
            let again = options.create(&process, NAME).expect("the system may do anything");
            let check = |what: &str, allowed, done: Result<NamedPipe<'_>, Win32Error>| {
                let expected = if allowed { Ok(()) } else { Err(abi::ERROR_ACCESS_DENIED) };
                assert_eq!(done.map(drop).map_err(|error| error.code), expected, "{mask:x}: {what}");
            };
            let instance = options.create_secured(&user, NAME, &everyone_may(abi::FILE_ALL_ACCESS));
            check("an instance, whatever descriptor comes with it", makes, instance);
            check("open", opens, NamedPipe::open_with(&plain, &user, NAME));
            let opened = NamedPipe::open_with(&without_append, &user, NAME);
            check("open without FILE_APPEND_DATA", opens_without_append, opened);
            drop((server, again));
        }
        nothing_is_left(&machine);
    }
}

scenario! {
    fn what_is_no_descriptor_makes_no_pipe(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let options = NamedPipeOptions::new();
        let valid = everyone_may(abi::FILE_ALL_ACCESS);
        for cut in [0, 1, 19, valid.len() - 1] {
            let made = options.create_secured(&process, NAME, &valid[..cut]);
            assert_eq!(code(made), abi::ERROR_INVALID_SECURITY_DESCR, "{cut} bytes");
        }
        let long = [&valid[..], &[0; 2048]].concat();
        assert_eq!(code(options.create_secured(&process, NAME, &long)), abi::ERROR_INVALID_PARAMETER);
        assert_eq!(code(NamedPipe::open(&process, NAME)), abi::ERROR_FILE_NOT_FOUND);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_name_of_any_length_that_pipes_have_can_be_waited_for(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let name = format!(r"\\.\pipe\{}", "n".repeat(3000));
        assert_eq!(code(NamedPipe::wait(&process, &name, PipeWait::Default)), abi::ERROR_FILE_NOT_FOUND);
        let server = NamedPipeOptions::new().create(&process, &name).expect("is made");
        NamedPipe::wait(&process, &name, PipeWait::Default).expect("it listens");
        drop(server);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_server_acts_as_its_client_once_it_has_read_of_it(form: Form) {
        let machine = machine(form);
        let administrator = machine.process("administrator");
        // One user twice; the server is of the administrators.
        let more = host::Token::user().with_group(host::well_known::ADMINISTRATORS);
        let (process, user) = (machine.process_as("server", more), machine.process_as("user", host::Token::user()));
        let secret = r"\\.\pipe\Secret";
        let secrets = [(); 2].map(|()| NamedPipeOptions::new().create(&administrator, secret).expect("is made"));
        drop(NamedPipe::open(&process, secret).expect("of the administrators"));
        let server = NamedPipeOptions::new().create(&process, NAME).expect("is made");
        let client = NamedPipe::open(&user, NAME).expect("its owner's");
        assert_eq!(code(server.impersonate_client()), abi::ERROR_CANNOT_IMPERSONATE, "nothing is read");
        assert_eq!(code(client.impersonate_client()), abi::ERROR_INVALID_FUNCTION);
        client.write(b"open it for me").expect("room");
        assert_eq!(read(&server, 20), b"open it for me");
        server.impersonate_client().expect("it has read");
        assert_eq!(code(NamedPipe::open(&process, secret)), abi::ERROR_ACCESS_DENIED, "as its client");
        app::revert_to_self(&process).expect("was another");
        drop(NamedPipe::open(&process, secret).expect("itself again"));
        server.disconnect().expect("connected");
        assert_eq!(code(server.impersonate_client()), abi::ERROR_PIPE_NOT_CONNECTED);
        drop((server, client, secrets));
        nothing_is_left(&machine);
    }
}

scenario! {
    fn futures_and_completion_ports_hear_of_pipes(form: Form) {
        let machine = machine(form);
        let process = std::sync::Arc::new(machine.process("test"));
        let reactor = app::Reactor::new(process.clone()).expect("a reactor");
        let server = messages().overlapped(true).create(reactor.transport(), NAME).expect("is made");
        let server = reactor.adopt(server.into_device()).expect("is heard of");
        let buffer = |length| Buffer::new(reactor.transport(), length).expect("memory");
        futures_lite::future::block_on(async {
            let connected = server.connect(buffer(0));
            let client = NamedPipe::open(&*process, NAME).expect("listens");
            connected.await.result.expect("somebody is there");
            client.write(b"hello").expect("room");
            let heard = server.read(buffer(9), 0).await;
            assert_eq!(heard.buffer.to_vec(heard.result.expect("read")), b"hello");
        });
        drop(server);
        drop(reactor);
        drop(process);
        nothing_is_left(&machine);
    }
}

/// The server's part of two processes: echoes messages in capitals until its client goes.
fn serve_one(transport: &dyn Transport) {
    let server = messages().create(transport, NAME).expect("is made");
    say_ready();
    match server.connect() {
        Ok(()) => {}
        Err(error) => assert_eq!(error.code, abi::ERROR_PIPE_CONNECTED),
    }
    loop {
        let mut buffer = [0; 64];
        match server.read(&mut buffer) {
            Ok(length) => {
                let answer = buffer[..length as usize].to_ascii_uppercase();
                server.write(&answer).expect("room");
            }
            Err(error) => {
                assert_eq!(error.code, abi::ERROR_BROKEN_PIPE);
                return;
            }
        }
    }
}

#[test]
fn application_that_serves() {
    if let Some(client) = application() {
        serve_one(&client);
    }
}

/// The client's part.
fn ask(transport: &dyn Transport) {
    let client = NamedPipe::open(transport, NAME).expect("listens");
    client.set_state(true, false).expect("messages");
    for length in [0, 1, 7, 64] {
        let mut answer = [0; 64];
        let count = client.transact(&vec![b'a'; length], &mut answer).expect("is answered");
        assert_eq!(answer[..count as usize], vec![b'A'; length]);
    }
}

#[test]
fn application_that_asks() {
    if let Some(client) = application() {
        ask(&client);
    }
}

#[test]
fn application_that_is_killed_while_it_waits() {
    let Some(client) = application() else { return };
    let pipe = match NamedPipe::open(&client, NAME) {
        Ok(pipe) => pipe,
        Err(_) => messages().create(&client, NAME).expect("is made"),
    };
    if !pipe.info().expect("told").is_server {
        pipe.write(b"last words").expect("room");
    }
    std::thread::scope(|scope| {
        scope.spawn(|| pipe.read(&mut [0; 8]));
        scope.spawn(|| pipe.flush());
        say_ready();
        wait_to_go_on();
    });
}

#[test]
fn application_that_makes_a_pipe_of_its_own_descriptor() {
    let Some(client) = application() else { return };
    let options = NamedPipeOptions::new();
    let long = [&everyone_may(abi::FILE_GENERIC_READ)[..], &[0; 2048]].concat();
    assert_eq!(code(options.create_secured(&client, NAME, &long)), abi::ERROR_INVALID_PARAMETER);
    let server =
        options.create_secured(&client, NAME, &everyone_may(abi::FILE_GENERIC_READ)).expect("is made");
    assert_eq!(code(options.create(&client, NAME)), abi::ERROR_ACCESS_DENIED, "nobody makes another");
    assert_eq!(code(NamedPipe::open(&client, NAME)), abi::ERROR_ACCESS_DENIED, "nobody writes");
    let reads = OpenOptions::new().access(abi::GENERIC_READ);
    drop(NamedPipe::open_with(&reads, &client, NAME).expect("everyone reads"));
    drop(server);
}

scenario! {
    fn a_descriptor_comes_from_another_process(form: Form) {
        let machine = machine(form);
        let (_folder, server) = ringbridge_scenarios::serve(&machine);
        run_application("application_that_makes_a_pipe_of_its_own_descriptor", server.path());
        server.stop();
        nothing_is_left(&machine);
    }
}

scenario! {
    fn two_processes_talk_through_a_pipe(form: Form) {
        let machine = machine(form);
        let (_folder, server) = ringbridge_scenarios::serve(&machine);
        // Each end in a process of its own; then one of them embedded.
        let serving = Beside::start("application_that_serves", server.path());
        run_application("application_that_asks", server.path());
        serving.finish();
        let serving = Beside::start("application_that_serves", server.path());
        ask(&machine.process("test"));
        serving.finish();
        server.stop();
        nothing_is_left(&machine);
    }
}

scenario! {
    fn an_end_whose_process_is_killed_is_closed(form: Form) {
        let machine = machine(form);
        let (_folder, server) = ringbridge_scenarios::serve(&machine);
        let process = machine.process("test");
        for _ in 0..5 {
            let own = messages().create(&process, NAME).expect("is made");
            let application = Beside::start("application_that_is_killed_while_it_waits", server.path());
            own.set_state(false, false).expect("bytes");
            assert_eq!(read(&own, 4), b"last");
            application.kill();
            assert_eq!(read(&own, 9), b" words");
            assert_eq!(code(own.read(&mut [0; 9])), abi::ERROR_BROKEN_PIPE);
            drop(own);
            let application = Beside::start("application_that_is_killed_while_it_waits", server.path());
            let own = NamedPipe::open(&process, NAME).expect("listens");
            application.kill();
            assert_eq!(code(own.read(&mut [0; 9])), abi::ERROR_BROKEN_PIPE);
            drop(own);
        }
        drop(process);
        server.stop();
        nothing_is_left(&machine);
    }
}
