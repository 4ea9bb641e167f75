//! Named pipes against applications that mean harm: buffers where nothing is or that go while a request has them, names and quotas at
//! their ends, requests that are cancelled or closed at every step. Nothing of it may stop the machine, hang, or leave anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use abi::NTSTATUS;
use app::{
    Buffer, FileMapping, MappingAccess, NamedPipe, NamedPipeOptions, OpenOptions, Overlapped, Transport,
};
use gate::{Memory, Notice, SharedMemory, SystemCall};
use host::{LoadOptions, Machine};
use ringbridge_scenarios::{
    Form, PATIENCE, as_application, run_application, scenario, serve, sys_path, unload_when_closed,
};

const NAME: &str = r"\\.\pipe\Attacked";
/// Bytes of an IO_STATUS_BLOCK, which stands before the data.
const BLOCK: u32 = 16;
const VIEW: u64 = 0x1_0000;

fn machine(form: Form) -> Machine {
    let machine = Machine::new().expect("a machine");
    if form == Form::Sys {
        machine.load(&sys_path("npfs"), LoadOptions::default()).expect("the .sys file loads");
    }
    machine
}

fn nothing_is_left(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    let name = machine.drivers().first().expect("it was used").name.clone();
    unload_when_closed(machine, &name);
}

/// Runs the attack embedded, and as the test `test` in another process.
fn in_both_places(form: Form, test: &str, attack: fn(&dyn Transport)) {
    let machine = machine(form);
    attack(&machine.process("attacker"));
    let (_folder, server) = serve(&machine);
    run_application(test, server.path());
    server.stop();
    nothing_is_left(&machine);
}

/// FSCTL_PIPE_TRANSCEIVE with buffers wherever they are; waits for it.
fn transceive(
    transport: &dyn Transport,
    pipe: &NamedPipe<'_>,
    block: &dyn SharedMemory,
    input: Memory,
    output: Memory,
) -> NTSTATUS {
    let notice = Notice { io_status_block: block.address(), ..Notice::default() };
    let code = abi::FSCTL_PIPE_TRANSCEIVE;
    let call = SystemCall::FsControl { handle: pipe.handle(), code, input, output, notice };
    transport.system_call(&call, &mut []).status
}

fn pair<'a>(
    transport: &'a dyn Transport,
    options: &NamedPipeOptions,
    overlapped: bool,
) -> (NamedPipe<'a>, NamedPipe<'a>) {
    let server = options.create(transport, NAME).expect("is made");
    let open = OpenOptions::new().access(abi::GENERIC_READ | abi::GENERIC_WRITE).overlapped(overlapped);
    let client = NamedPipe::open_with(&open, transport, NAME).expect("listens");
    (server, client)
}

// ---- buffers ---------------------------------------------------------------------------------------------------------------

/// In byte mode a transaction fails at once, with its buffers locked before.
fn uses_buffers_that_are_not_there_or_go(transport: &dyn Transport) {
    const ROUNDS: u32 = 3_000;
    let (server, client) = pair(transport, &NamedPipeOptions::new(), false);
    let block = transport.allocate_memory(BLOCK).expect("memory");
    let sound = transport.allocate_memory(64).expect("memory");
    let sound = Memory { address: sound.address(), length: 64 };
    let mapping = FileMapping::new(transport, VIEW, MappingAccess::ReadWrite).expect("memory");
    let place = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("room").address();
    let inside = Memory { address: place + 8, length: 4096 };
    let nowhere = Memory { address: place + (64 << 20), length: 64 };
    let violation = abi::STATUS_ACCESS_VIOLATION;
    for (input, output) in [(nowhere, sound), (sound, nowhere), (inside, sound), (sound, inside)] {
        assert_eq!(transceive(transport, &client, &*block, input, output), violation, "{input:?} {output:?}");
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // It is not to be had while a request has locked it.
                drop(mapping.map_at(MappingAccess::ReadWrite, 0, 0, place));
            }
        });
        // Looked at when the other thread has ended.
        let attempts = (0..ROUNDS).map(|round| {
            let (input, output) = if round % 2 == 0 { (inside, sound) } else { (sound, inside) };
            transceive(transport, &client, &*block, input, output)
        });
        let statuses: Vec<NTSTATUS> = attempts.collect();
        is_over.store(true, Ordering::Relaxed);
        let expected = [violation, abi::STATUS_INVALID_READ_MODE];
        let other = statuses.iter().find(|status| !expected.contains(status));
        assert!(other.is_none(), "{other:?}");
    });
    // The pipe is as it was.
    client.write(b"sound").expect("room");
    let mut bytes = [0; 9];
    assert_eq!(server.read(&mut bytes).expect("there is something"), 5);
}

#[test]
fn application_whose_buffers_go() {
    as_application(uses_buffers_that_are_not_there_or_go);
}

scenario! {
    fn a_transaction_whose_buffers_are_not_there_or_go_fails_and_stops_nothing(form: Form) {
        in_both_places(form, "application_whose_buffers_go", uses_buffers_that_are_not_there_or_go);
    }
}

/// What is locked stays until the request has ended.
fn frees_what_a_request_has(transport: &dyn Transport) {
    let options = NamedPipeOptions::new().messages(true).read_messages(true).buffers(0, 0);
    let (server, client) = pair(transport, &options, true);
    client.set_state(true, false).expect("messages");
    let block = transport.allocate_memory(BLOCK).expect("memory");
    let mapping = FileMapping::new(transport, VIEW, MappingAccess::ReadWrite).expect("memory");
    let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("room");
    view.write(0, b"question").expect("inside");
    let (address, kept) = (view.address(), mapping.map(MappingAccess::Read, 0, 0).expect("room"));
    let (input, output) = (Memory { address, length: 8 }, Memory { address: address + 4096, length: 64 });
    let status = transceive(transport, &client, &*block, input, output);
    assert_eq!(status, abi::STATUS_PENDING);
    drop(view);
    let mut bytes = [0; 9];
    assert_eq!(server.read(&mut bytes).expect("is asked"), 8);
    assert_eq!(&bytes[..8], b"question");
    server.write(b"answer").expect("somebody reads");
    let mut answer = [0; 6];
    kept.read(4096, &mut answer).expect("inside");
    assert_eq!(&answer, b"answer", "it is the mapping's, though the view is gone");
}

#[test]
fn application_that_frees_what_a_request_has() {
    as_application(frees_what_a_request_has);
}

scenario! {
    fn buffers_of_a_transaction_that_waits_stay_until_it_ends(form: Form) {
        in_both_places(form, "application_that_frees_what_a_request_has", frees_what_a_request_has);
    }
}

// ---- what waits and is cancelled ---------------------------------------------------------------------------------------------

/// A write that had no room was before others, and before a flush.
fn cancels_the_first_write(transport: &dyn Transport) {
    let options = NamedPipeOptions::new().messages(true).read_messages(true).buffers(4, 4).overlapped(true);
    let (server, client) = pair(transport, &options, false);
    let buffer = |bytes: &[u8]| Buffer::from_bytes(transport, bytes).expect("memory");
    let write = |bytes: &[u8]| server.write_overlapped(buffer(bytes), &Overlapped::new());
    let long = write(b"too long").expect("begins");
    let next = write(b"fits").expect("begins");
    let last = write(b"too long again").expect("begins");
    assert!(!next.has_completed(), "it waits behind the first");
    long.cancel().expect("it waits");
    assert_eq!(long.finish().result.expect_err("is cancelled").code, abi::ERROR_OPERATION_ABORTED);
    assert!(next.wait(Some(PATIENCE)).expect("can be waited for"), "it goes on");
    assert_eq!(next.finish().result.expect("there is room"), 4);
    let mut bytes = [0; 9];
    assert_eq!(client.read(&mut bytes).expect("there is something"), 4);
    thread::scope(|scope| {
        let flush = scope.spawn(|| server.flush());
        last.cancel().expect("it waits");
        assert_eq!(last.finish().result.expect_err("is cancelled").code, abi::ERROR_OPERATION_ABORTED);
        flush.join().expect("no panic").expect("nothing is left to be read");
    });
}

#[test]
fn application_that_cancels_the_first_write() {
    as_application(cancels_the_first_write);
}

scenario! {
    fn what_waits_behind_a_write_goes_on_at_once_when_that_is_cancelled(form: Form) {
        in_both_places(form, "application_that_cancels_the_first_write", cancels_the_first_write);
    }
}

// ---- what is closed under requests -------------------------------------------------------------------------------------------

/// Everything waits at both ends when one is closed: all ends, the other end's with what tells it so.
fn closes_an_end_under_its_requests(transport: &dyn Transport) {
    let options = NamedPipeOptions::new().messages(true).read_messages(true).buffers(0, 0).overlapped(true);
    let aborted = abi::ERROR_OPERATION_ABORTED;
    for server_closes in [true, false] {
        let (server, client) = pair(transport, &options, true);
        let buffer = |bytes: &[u8]| Buffer::from_bytes(transport, bytes).expect("memory");
        let (gone, stays) = if server_closes { (&server, &client) } else { (&client, &server) };
        let writes = [gone, stays].map(|end| {
            [(); 2].map(|()| end.write_overlapped(buffer(b"no room"), &Overlapped::new()).expect("begins"))
        });
        assert!(writes.iter().flatten().all(|write| !write.has_completed()), "there is no room");
        let [of_gone, of_stays] = writes;
        let handle = gone.handle();
        assert_eq!(transport.close(handle), abi::STATUS_SUCCESS);
        for write in of_gone {
            assert_eq!(write.finish().result.expect_err("its end is closed").code, aborted);
        }
        for write in of_stays {
            assert_eq!(write.finish().result.expect_err("nobody reads it").code, abi::ERROR_NO_DATA);
        }
        assert!(stays.write_overlapped(buffer(b"x"), &Overlapped::new()).is_err(), "nobody reads it");
    }
}

#[test]
fn application_that_closes_an_end_under_its_requests() {
    as_application(closes_an_end_under_its_requests);
}

scenario! {
    fn all_that_waits_at_a_pipe_ends_when_either_end_is_closed(form: Form) {
        let attack = closes_an_end_under_its_requests;
        in_both_places(form, "application_that_closes_an_end_under_its_requests", attack);
    }
}

scenario! {
    fn the_file_system_unloads_behind_its_last_file_and_comes_back(form: Form) {
        let machine = machine(form);
        let process = machine.process("test");
        let (server, client) = pair(&process, &NamedPipeOptions::new(), false);
        let name = machine.drivers().first().expect("it was used").name.clone();
        assert!(matches!(machine.unload(&name), Ok(host::UnloadOutcome::Pending { .. })), "files are open");
        client.write(b"still").expect("room");
        let mut bytes = [0; 9];
        assert_eq!(server.read(&mut bytes).expect("there is something"), 5);
        drop((server, client));
        assert!(machine.drivers().iter().all(|driver| driver.name != name), "its last file is closed");
        let (server, client) = pair(&process, &NamedPipeOptions::new(), false);
        drop((server, client));
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        let name = machine.drivers().first().expect("it came back").name.clone();
        unload_when_closed(&machine, &name);
    }
}

// ---- names and quotas --------------------------------------------------------------------------------------------------------

fn names_and_quotas_at_their_ends(transport: &dyn Transport) {
    let create = |name: &str| NamedPipeOptions::new().create(transport, name);
    for wrong in [r"\\.\pipe\", r"\\.\pipe", "", r"\\.\pipe\"] {
        assert!(create(wrong).is_err(), "{wrong:?}");
    }
    let long = |length: usize| format!(r"\\.\pipe\{}", "n".repeat(length));
    for odd in [r"\\.\pipe\a\b\c\".to_owned(), long(247), long(300), "\\\\.\\pipe\\a\0b".to_owned()] {
        let Ok(server) = create(&odd) else { continue };
        let client = NamedPipe::open(transport, &odd).expect("the same name");
        drop((server, client));
        assert!(NamedPipe::open(transport, &odd).is_err(), "it went with its last");
    }
    // Many, made and gone in an order that is not their names'.
    let many: Vec<_> = (0..200_u32)
        .map(|number| format!(r"\\.\pipe\{}", number * 67 % 211))
        .map(|name| (create(&name).expect("is new"), name))
        .collect();
    for (_, name) in &many {
        drop(NamedPipe::open(transport, &name.to_uppercase()).expect("is there"));
    }
    let (even, odd): (Vec<_>, Vec<_>) = many.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let names: Vec<String> = even.iter().map(|(_, (_, name))| name.clone()).collect();
    drop(even);
    assert!(names.iter().all(|name| NamedPipe::open(transport, name).is_err()), "gone");
    drop(odd);
    for (quota, length) in [(u32::MAX, 1 << 20), (1 << 17, 1 << 17), (u32::MAX, 0), (0, 0)] {
        let options = NamedPipeOptions::new().messages(true).read_messages(true).buffers(quota, quota);
        let (server, client) = pair(transport, &options, false);
        let sent: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
        assert_eq!(client.write(&sent).expect("room"), length);
        let mut got = vec![0; sent.len() + 1];
        assert_eq!(server.read(&mut got).expect("a message"), length);
        assert!(got[..sent.len()] == sent, "as it was sent");
    }
}

#[test]
fn application_with_names_and_quotas_at_their_ends() {
    as_application(names_and_quotas_at_their_ends);
}

scenario! {
    fn names_and_quotas_at_their_ends_do_what_they_say_or_are_refused(form: Form) {
        in_both_places(form, "application_with_names_and_quotas_at_their_ends", names_and_quotas_at_their_ends);
    }
}
