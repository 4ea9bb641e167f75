//! Who gets a session and who does not.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;

use abi::*;
use platform::shared_memory::SharedMemory;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{RecvFlags, SendFlags, accept, bind, listen, recv, send};

use super::fake::*;
use crate::socket::{self, ReceiveError, hear_soon, tell, tell_with};
use crate::wire::{Layout, MESSAGE_SIZE, Message, VERSION};
use crate::{
    BindError, Client, ConnectError, Handle, Listener, Peer, ServerOptions, Service, Transport, WindowSize,
};

#[test]
fn without_a_host_the_error_says_how_to_start_one() {
    let path = socket_path("nohost");
    let error = Client::connect(&path).unwrap_err();
    assert!(matches!(error, ConnectError::NoHost(_)), "{error:?}");
    assert!(error.to_string().contains("ringbridge serve"), "{error}");
    // A socket that a dead host left is no host either.
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::connect(&path).unwrap_err();
    assert!(!matches!(error, ConnectError::Linux { .. }), "{error:?}");
    fs::remove_file(&path).unwrap();
}

#[test]
fn an_application_whose_session_fails_with_a_panic_is_let_go_at_once() {
    let path = socket_path("openpanics");
    let open = |_: &Peer| -> Result<Arc<dyn Service>, NTSTATUS> { panic!("asked to") };
    let server = Listener::bind(&path).unwrap().serve(ServerOptions::default(), open).unwrap();
    let socket = socket::connect(path.as_ref()).unwrap();
    tell(&socket, &Message::Hello).unwrap();
    assert!(matches!(hear_soon(&socket).unwrap(), (Message::Offer { .. }, Some(_))));
    tell(&socket, &Message::Accept).unwrap();
    assert!(matches!(hear_soon(&socket), Err(ReceiveError::Closed)));
    while server.sessions() != 0 {
        thread::yield_now();
    }
    server.stop();
}

#[test]
fn a_socket_is_private_and_taken_over_only_from_the_dead() {
    let path = socket_path("bind");
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Listener::bind(&path).unwrap_err(), BindError::InUse(_)));
    drop(listener);
    assert!(!fs::exists(&path).unwrap() && !fs::exists(format!("{path}.lock")).unwrap());
    drop(Listener::bind(&path).unwrap());

    fs::write(&path, "precious").unwrap();
    assert!(matches!(Listener::bind(&path).unwrap_err(), BindError::NotASocket(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_living_listener_of_another_kind_is_left_alone() {
    let path = socket_path("foreign");
    let socket = socket::new().unwrap();
    bind(&socket, &socket::address(path.as_ref()).unwrap()).unwrap();
    listen(&socket, 1).unwrap();
    assert!(matches!(Listener::bind(&path).unwrap_err(), BindError::InUse(_)));
    assert!(fs::exists(&path).unwrap());
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_refused_application_learns_the_status() {
    let path = socket_path("refused");
    let open = |_: &crate::Peer| -> Result<Arc<dyn crate::Service>, NTSTATUS> { Err(STATUS_ACCESS_DENIED) };
    let server = Listener::bind(&path).unwrap().serve(ServerOptions::default(), open).unwrap();
    let error = Client::connect_elsewhere(&path, crate::ConnectOptions::default()).unwrap_err();
    assert!(matches!(error, ConnectError::Refused(STATUS_ACCESS_DENIED)), "{error:?}");
    server.stop();
}

#[test]
fn an_application_of_another_version_is_told_the_hosts() {
    let path = socket_path("version");
    let (server, log) = serve(&path, ServerOptions::default());
    let socket = socket::connect(path.as_ref()).unwrap();
    send(&socket, &Message::Hello.encode_as(VERSION + 1), SendFlags::NOSIGNAL).unwrap();
    let mut bytes = [0; MESSAGE_SIZE];
    recv(&socket, &mut bytes, RecvFlags::empty()).unwrap();
    assert!(matches!(Message::decode(&bytes), Ok(Message::Refused { .. })), "{bytes:?}");
    assert_eq!(log.events().opened.len(), 0);
    server.stop();
}

#[test]
fn garbage_and_silence_get_no_session_and_harm_nobody() {
    let path = socket_path("garbage");
    let (server, log) = serve(&path, ServerOptions::default());
    for length in [1, 63, 64, 65, 4096] {
        let socket = socket::connect(path.as_ref()).unwrap();
        send(&socket, &vec![0xA5; length], SendFlags::NOSIGNAL).unwrap();
        assert!(hear_soon(&socket).is_err());
    }
    let silent = socket::connect(path.as_ref()).unwrap();
    let client = super::connect(&path);
    assert_eq!(client.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
    assert_eq!(log.events().opened.len(), 1);
    server.stop();
    drop(silent);
}

#[test]
fn an_occupied_address_is_replaced_by_another_but_not_for_ever() {
    let path = socket_path("occupied");
    let (server, log) = serve(&path, ServerOptions::default());
    let socket = socket::connect(path.as_ref()).unwrap();
    tell(&socket, &Message::Hello).unwrap();
    let mut proposed = Vec::new();
    loop {
        match hear_soon(&socket).unwrap() {
            (Message::Offer { base, layout }, Some(descriptor)) => {
                let memory = SharedMemory::from_descriptor(descriptor).unwrap();
                assert_eq!(memory.len() as u64, layout.len);
                assert!(!proposed.contains(&base));
                proposed.push(base);
                tell(&socket, &Message::Occupied).unwrap();
            }
            (Message::Refused { status }, None) => {
                assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES.bits());
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(proposed.len() > 1);
    assert_eq!(log.events().opened.len(), 0);
    server.stop();
}

/// A host that makes one offer. Returns what the client makes of it, and what the client said.
fn offered(test: &str, offer: impl FnOnce() -> (Message, OwnedFd) + Send) -> ConnectError {
    let path = socket_path(test);
    let socket = socket::new().unwrap();
    bind(&socket, &socket::address(path.as_ref()).unwrap()).unwrap();
    listen(&socket, 1).unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let peer = accept(&socket).unwrap();
            assert!(matches!(hear_soon(&peer), Ok((Message::Hello, None))));
            let (message, descriptor) = offer();
            tell_with(&peer, &message, descriptor.as_fd()).unwrap();
            // It must hang up without having accepted.
            assert!(hear_soon(&peer).is_err());
        });
        Client::connect(&path).unwrap_err()
    });
    fs::remove_file(&path).unwrap();
    error
}

fn layout() -> Layout {
    WindowSize { slots: 4, data: 0x10_000 }.layout().unwrap()
}

const BASE: u64 = platform::pages::USER_WINDOWS.start as u64;

#[test]
fn a_window_that_could_shrink_is_refused() {
    let error = offered("unsealed", || {
        let descriptor = memfd_create(c"unsealed", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&descriptor, layout().len).unwrap();
        (Message::Offer { base: BASE, layout: layout() }, descriptor)
    });
    assert!(matches!(error, ConnectError::Window(platform::pages::PagesError::NotSealed)), "{error:?}");
}

#[test]
fn a_window_shorter_than_promised_is_refused() {
    let error = offered("short", || {
        let memory = SharedMemory::new(4096).unwrap();
        (Message::Offer { base: BASE, layout: layout() }, memory.into())
    });
    assert!(matches!(error, ConnectError::Window(_)), "{error:?}");
}

#[test]
fn a_window_outside_the_users_part_or_with_an_unsound_layout_is_refused() {
    let memory = || OwnedFd::from(SharedMemory::new(usize::try_from(layout().len).unwrap()).unwrap());
    for (at, base) in [0, 0x7000_0000_0000, u64::MAX, BASE + 1].into_iter().enumerate() {
        let error =
            offered(&format!("outside{at}"), || (Message::Offer { base, layout: layout() }, memory()));
        assert!(matches!(error, ConnectError::Window(_)), "{base:#x}: {error:?}");
    }
    let unsound = Layout { slot_count: 1000, ..layout() };
    let error = offered("unsound", || (Message::Offer { base: BASE, layout: unsound }, memory()));
    assert!(matches!(error, ConnectError::Window(_)), "{error:?}");
}

#[test]
fn a_host_of_another_version_is_named() {
    let path = socket_path("hostversion");
    let socket = socket::new().unwrap();
    bind(&socket, &socket::address(path.as_ref()).unwrap()).unwrap();
    listen(&socket, 1).unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let peer = accept(&socket).unwrap();
            hear_soon(&peer).unwrap();
            let answer = Message::Refused { status: 0 }.encode_as(VERSION + 1);
            send(&peer, &[&answer[..], &[0; 64]].concat(), SendFlags::NOSIGNAL).unwrap();
        });
        Client::connect(&path).unwrap_err()
    });
    assert!(matches!(error, ConnectError::Version { host, own } if host == VERSION + 1 && own == VERSION));
    fs::remove_file(&path).unwrap();
}
