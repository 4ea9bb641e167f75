//! Host and application in one process, with the window mapped twice. What needs two processes is tested in
//! `tests/two_processes.rs`.

mod early;
mod fake;
mod handshake;
mod hostile;

use std::sync::Arc;
use std::thread;

use abi::*;

use crate::{
    Client, ConnectOptions, CreateFile, Handle, SecurityQos, ServerOptions, Spin, SystemCall, SystemReply,
    Transport, WindowSize,
};
use fake::*;

fn connect(path: &str) -> Client {
    Client::connect_elsewhere(path, ConnectOptions::default()).unwrap()
}

fn small(slots: u32) -> ServerOptions {
    ServerOptions { window: WindowSize { slots, data: 4 << 20 }, ..ServerOptions::default() }
}

#[test]
fn a_control_request_goes_there_and_back_in_every_size() {
    let path = socket_path("control");
    let (server, _log) = serve(&path, ServerOptions::default());
    let client = connect(&path);
    for size in [0, 1, 63, 64, 65, 4000, 7999, 8000, 8001, 20_000, 1 << 20, (1 << 20) + 1, 5 << 20] {
        let input: Vec<u8> = (0..size).map(|at: usize| at.wrapping_mul(7).to_le_bytes()[0]).collect();
        let mut output = vec![0; size + 3];
        let result = client.device_control(Handle(4), ECHO, &input, &mut output);
        assert_eq!((result.status, result.information), (STATUS_SUCCESS, size as u64));
        assert_eq!(output[..size], input);
        assert_eq!(output[size..], [0; 3]);
    }
    drop(client);
    server.stop();
}

#[test]
fn a_buffered_answer_is_copied_back_unless_the_status_is_an_error() {
    let path = socket_path("copyback");
    let (server, _log) = serve(&path, ServerOptions::default());
    let client = connect(&path);
    let ask = |code| {
        let mut output = [9; 4];
        let result = client.device_control(Handle(4), code, &[1, 2], &mut output);
        (result.status, result.information, output)
    };
    assert_eq!(ask(ECHO), (STATUS_SUCCESS, 2, [1, 2, 9, 9]));
    assert_eq!(ask(ECHO_AND_WARN), (STATUS_BUFFER_OVERFLOW, 2, [1, 2, 9, 9]));
    assert_eq!(ask(ECHO_AND_FAIL), (STATUS_UNSUCCESSFUL, 2, [9; 4]));
    assert_eq!(ask(BOAST), (STATUS_SUCCESS, 16, [7; 4]), "Information is the driver's, the copy is not");
    assert_eq!(ask(0xFFFF_0000), (STATUS_INVALID_DEVICE_REQUEST, 0, [9; 4]));
    server.stop();
}

#[test]
fn a_direct_output_is_seen_by_the_driver_and_changed_whatever_the_status() {
    let path = socket_path("direct");
    let (server, _log) = serve(&path, ServerOptions::default());
    let client = connect(&path);
    for size in [10, 100_000] {
        let mut output = vec![41; size];
        let result = client.device_control(Handle(4), INCREMENT, &[], &mut output);
        assert_eq!(result.status, STATUS_UNSUCCESSFUL);
        assert_eq!(output, vec![42; size]);
    }
    server.stop();
}

#[test]
fn files_are_created_read_written_and_closed() {
    let path = socket_path("files");
    let (server, log) = serve(&path, ServerOptions::default());
    let client = connect(&path);
    let name: Vec<u16> = (0..32767_u16).collect();
    let request = |path| CreateFile {
        path,
        desired_access: 1,
        file_attributes: 2,
        share_access: 3,
        create_disposition: 4,
        create_options: 5,
        security_qos: None,
    };
    let (handle, information) = client.create_file(&request(&name)).unwrap();
    assert_eq!((handle, information), (Handle(0x44), FILE_OPENED as u64));
    assert_eq!(log.events().created, [(name.clone(), [1, 2, 3, 4, 5])]);
    assert_eq!(client.create_file(&request(&[])), Err(STATUS_OBJECT_NAME_NOT_FOUND));
    assert_eq!(client.create_file(&request(&[b'a'.into(); 32768])), Err(STATUS_OBJECT_NAME_INVALID));

    let mut bytes = [0; 5];
    let result = client.read(handle, &mut bytes, Some(10));
    assert_eq!((result.status, result.information, bytes), (STATUS_SUCCESS, 5, [10, 11, 12, 13, 14]));
    client.read(handle, &mut bytes, None);
    assert_eq!(bytes, [1, 2, 3, 4, 5]);
    let result = client.write(handle, b"hello", None);
    assert_eq!((result.status, result.information), (STATUS_SUCCESS, 5));
    client.write(handle, &[8; 10_000], Some(u64::MAX));
    assert_eq!(log.events().written, [(b"hello".to_vec(), None), (vec![8; 10_000], Some(u64::MAX))]);

    assert_eq!(client.close(handle), STATUS_SUCCESS);
    assert_eq!(client.close(Handle(8)), STATUS_INVALID_HANDLE);
    assert_eq!(log.events().closed, [0x44, 8]);
    server.stop();
}

#[test]
fn a_directory_of_any_size_is_listed() {
    let path = socket_path("directory");
    let (server, _log) = serve(&path, small(8));
    let client = connect(&path);
    let list = |name: &str| client.query_directory(&name.encode_utf16().collect::<Vec<_>>());
    assert_eq!(list("0"), Ok(Vec::new()));
    let entries = list("10000").unwrap();
    assert_eq!(entries.len(), 10_000);
    assert_eq!(entries[9_999].target, r"\Device\9999");
    assert_eq!(list("x"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
    assert_eq!(list("1000000"), Err(STATUS_INSUFFICIENT_RESOURCES), "more than the window holds");
    server.stop();
}

#[test]
fn a_system_call_brings_its_answer_and_its_output() {
    let path = socket_path("calls");
    let (server, _log) = serve(&path, small(8));
    let client = connect(&path);
    let set = client.system_call(&SystemCall::SetEvent { handle: Handle(12) }, &mut []);
    assert_eq!(set, SystemReply { status: STATUS_SUCCESS, handle: Handle(12), information: 7 });
    let remove = SystemCall::RemoveIoCompletion { handle: Handle(8), alertable: false, timeout: None };
    for length in [0, 32, 64 * 32] {
        let mut packets = vec![0; length];
        assert_eq!(client.system_call(&remove, &mut packets).information, length as u64);
        assert!(packets.iter().all(|byte| *byte == 0x5A));
    }
    let name = vec![0x41; 32_768];
    let long = SystemCall::OpenEvent { name: &name, desired_access: 0 };
    assert_eq!(client.system_call(&long, &mut []).status, STATUS_OBJECT_NAME_INVALID);
    let just = SystemCall::OpenEvent { name: &name[1..], desired_access: 0 };
    assert_eq!(client.system_call(&just, &mut []).status, STATUS_NOT_IMPLEMENTED, "it has arrived");
    let many = [Handle(4); 200];
    let wait = SystemCall::Wait { handles: &many, all: false, alertable: false, timeout: Some(0) };
    assert_eq!(client.system_call(&wait, &mut []).status, STATUS_INVALID_PARAMETER_1);
    server.stop();
}

#[test]
fn a_buffer_in_the_window_is_used_in_place() {
    let path = socket_path("buffer");
    let (server, _log) = serve(&path, small(8));
    let client = connect(&path);
    let mut buffer = client.allocate(100_000).unwrap();
    // SAFETY: the fake writes to buffers only while it serves a request.
    let result = client.device_control(Handle(4), ADDRESS, &[], unsafe { buffer.bytes_mut() });
    // The host has the window elsewhere in this process, but windows start at multiples of their stride.
    let within = |address: u64| address % platform::pages::WINDOW_STRIDE as u64;
    assert_eq!(within(result.information), within(buffer.address()));

    // SAFETY: as above.
    let result = client.read(Handle(4), unsafe { buffer.bytes_mut() }, Some(5));
    assert_eq!(result.information, 100_000);
    let mut bytes = [0; 3];
    buffer.read(0, &mut bytes);
    assert_eq!(bytes, [5, 6, 7]);
    buffer.write(99_998, &[1, 2]);
    drop(buffer);
    let mut again = [1; 100];
    client.allocate(100_000).unwrap().read(99_900, &mut again);
    assert_eq!(again, [0; 100], "what is given back is zeroed");
    server.stop();
}

#[test]
fn what_the_window_cannot_hold_is_refused_and_nothing_is_lost() {
    let path = socket_path("toolarge");
    let (server, log) = serve(&path, small(8));
    let client = connect(&path);
    for _ in 0..3 {
        let result = client.write(Handle(4), &vec![1; (4 << 20) + 1], None);
        assert_eq!((result.status, result.information), (STATUS_INSUFFICIENT_RESOURCES, 0));
        let result = client.write(Handle(4), &vec![1; 4 << 20], None);
        assert_eq!((result.status, result.information), (STATUS_SUCCESS, 4 << 20));
    }
    assert_eq!(log.events().written.len(), 3);
    assert_eq!(client.allocate(usize::MAX).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    let all = client.allocate(4 << 20).unwrap();
    assert_eq!(client.allocate(1).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    drop(all);
    assert!(client.allocate(1).is_ok());
    server.stop();
}

#[test]
fn each_thread_is_served_by_a_thread_of_its_own_that_ends_with_it() {
    const THREADS: usize = 20;
    let path = socket_path("threads");
    let (server, log) = serve(&path, ServerOptions::default());
    let client = Arc::new(connect(&path));
    let barrier = Arc::new(std::sync::Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (client, barrier) = (Arc::clone(&client), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                for round in 0..200_usize {
                    let input = [number.to_le_bytes(), round.to_le_bytes()].concat();
                    let mut output = [0; 16];
                    let result = client.device_control(Handle(4), ECHO, &input, &mut output);
                    assert_eq!((result.information, &output[..]), (16, &input[..]));
                }
                barrier.wait();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let events = log.wait_for("the threads' end", |events| events.threads_ended == THREADS);
    assert_eq!(events.threads_started, THREADS);
    assert_eq!(events.callers.len(), THREADS * 200);
    let mut callers = events.callers;
    callers.sort_by_key(|id| format!("{id:?}"));
    callers.dedup();
    assert_eq!(callers.len(), THREADS);
    server.stop();
}

#[test]
fn slots_are_used_again_after_their_threads_have_ended() {
    let path = socket_path("reuse");
    let (server, log) = serve(&path, small(3));
    let client = Arc::new(connect(&path));
    for round in 0..50_usize {
        let theirs = Arc::clone(&client);
        let ask = move || theirs.device_control(Handle(4), ECHO, &[1], &mut [0]).status;
        assert_eq!(thread::spawn(ask).join().unwrap(), STATUS_SUCCESS, "round {round}");
    }
    assert_eq!(log.events().callers.len(), 50);
    server.stop();
}

#[test]
fn more_threads_than_slots_take_turns() {
    const THREADS: usize = 12;
    let path = socket_path("exhausted");
    let (server, log) = serve(&path, small(4));
    let client = Arc::new(connect(&path));
    let barrier = Arc::new(std::sync::Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (client, barrier) = (Arc::clone(&client), Arc::clone(&barrier));
            thread::spawn(move || {
                for _ in 0..100 {
                    let input = vec![number.to_le_bytes()[0]; 10_000];
                    let mut output = vec![0; 10_000];
                    let result = client.device_control(Handle(4), ECHO, &input, &mut output);
                    assert_eq!(result.status, STATUS_SUCCESS);
                    assert_eq!(output, input);
                }
                barrier.wait();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let events = log.events();
    assert_eq!(events.callers.len(), THREADS * 100);
    assert_eq!(events.threads_started, 4, "three slots and the shared one");
    server.stop();
}

#[test]
fn whom_a_thread_acts_for_does_not_stay_with_a_slot_that_several_threads_share() {
    let path = socket_path("turns");
    let (server, log) = serve(&path, small(2));
    let client = connect(&path);
    let act = |token| client.system_call(&SystemCall::SetThreadToken { token }, &mut []).status;
    let token = Some(Handle(8));
    assert_eq!(act(token), STATUS_SUCCESS, "this thread has a slot of its own");
    assert_eq!((log.events().tokens_set, log.events().turns_ended), (1, 0), "which keeps it");
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(act(token), STATUS_INSUFFICIENT_RESOURCES);
            assert_eq!((log.events().tokens_set, log.events().turns_ended), (1, 1));
            assert_eq!(act(None), STATUS_SUCCESS);
            client.device_control(Handle(4), ECHO, &[], &mut []);
            assert_eq!((log.events().tokens_set, log.events().turns_ended), (2, 3));
        });
    });
    server.stop();
}

#[test]
fn what_an_application_allows_travels_with_its_open() {
    let path = socket_path("allowed");
    let (server, log) = serve(&path, ServerOptions::default());
    let client = connect(&path);
    let name: Vec<u16> = "name".encode_utf16().collect();
    let quality = SecurityQos { level: 1, dynamic_tracking: true, effective_only: false };
    for security_qos in [None, Some(quality)] {
        client.create_file(&CreateFile { path: &name, security_qos, ..CreateFile::default() }).unwrap();
    }
    assert_eq!(log.events().allowed, [None, Some(quality)]);
    server.stop();
}

#[test]
fn a_user_has_so_many_sessions_and_another_when_one_has_ended() {
    let path = socket_path("many");
    let (server, log) = serve(&path, ServerOptions { sessions_per_user: 2, ..ServerOptions::default() });
    let (first, second) = (connect(&path), connect(&path));
    for _ in 0..20 {
        let third = Client::connect_elsewhere(&path, ConnectOptions::default());
        assert!(
            matches!(third, Err(crate::ConnectError::Refused(STATUS_CONNECTION_COUNT_LIMIT))),
            "{third:?}"
        );
    }
    let mut output = [0];
    assert_eq!(second.device_control(Handle(4), ECHO, &[7], &mut output).status, STATUS_SUCCESS);
    assert_eq!((output, log.events().opened.len()), ([7], 2), "the others are as before");
    drop(first);
    log.wait_for("the end of the first session", |events| events.sessions_ended == 1);
    // Its thread counts until it has nothing left to do.
    while server.sessions() != 1 {
        thread::yield_now();
    }
    let third = connect(&path);
    assert_eq!(third.device_control(Handle(4), ECHO, &[8], &mut output).status, STATUS_SUCCESS);
    server.stop();
}

#[test]
fn sides_that_never_spin_find_each_other_asleep() {
    let path = socket_path("parked");
    let (server, _log) = serve(&path, ServerOptions { spin: Spin::Never, ..ServerOptions::default() });
    let client =
        Client::connect_elsewhere(&path, ConnectOptions { spin: Spin::Never, ..ConnectOptions::default() })
            .unwrap();
    for round in 0..2_000_u32 {
        let mut output = [0; 4];
        client.device_control(Handle(4), ECHO, &round.to_le_bytes(), &mut output);
        assert_eq!(u32::from_le_bytes(output), round);
    }
    server.stop();
}

#[test]
fn stopping_the_server_ends_blocked_calls_and_all_later_ones() {
    let path = socket_path("stop");
    let (server, log) = serve(&path, ServerOptions::default());
    let client = Arc::new(connect(&path));
    let theirs = Arc::clone(&client);
    let blocked = thread::spawn(move || theirs.device_control(Handle(4), BLOCK, &[], &mut []));
    log.wait_for("the blocked call", |events| events.blocked == 1);
    assert_eq!(server.sessions(), 1);
    server.stop();
    let status = blocked.join().unwrap().status;
    assert!(status == STATUS_DEVICE_NOT_CONNECTED || status == STATUS_CANCELLED, "{status:?}");
    assert_eq!(client.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(client.close(Handle(4)), STATUS_DEVICE_NOT_CONNECTED);
    assert!(!client.is_connected());
    let events = log.events();
    assert_eq!((events.sessions_ending, events.sessions_ended), (1, 1));
    assert!(!std::path::Path::new(&path).exists(), "the socket's name goes with the server");
}

#[test]
fn closing_a_client_ends_its_session_once_and_disturbs_no_other() {
    let path = socket_path("close");
    let (server, log) = serve(&path, ServerOptions::default());
    let (first, second) = (connect(&path), connect(&path));
    for client in [&first, &second, &first] {
        assert_eq!(client.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
    }
    drop(first);
    log.wait_for("the session's end", |events| events.sessions_ended == 1);
    assert_eq!(second.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
    server.stop();
    let events = log.events();
    assert_eq!((events.sessions_ending, events.sessions_ended), (2, 2));
    assert_eq!(events.threads_started, events.threads_ended);
}

#[test]
fn a_panic_in_the_service_ends_its_session_only() {
    let path = socket_path("panic");
    let (server, log) = serve(&path, ServerOptions::default());
    let (first, second) = (connect(&path), connect(&path));
    assert_eq!(first.device_control(Handle(4), PANIC, &[], &mut []).status, STATUS_DEVICE_NOT_CONNECTED);
    log.wait_for("the session's end", |events| events.sessions_ended == 1);
    assert_eq!(second.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
    server.stop();
}
