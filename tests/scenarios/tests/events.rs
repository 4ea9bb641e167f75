//! Named events of drivers and applications (row M8, seed 002): who made one decides who may do what with it, as events.sys
//! and applications with several tokens, and of several Linux users, find it.

use abi::{EVENT_ALL_ACCESS, EVENT_MODIFY_STATE, EVENT_QUERY_STATE, NTSTATUS, SYNCHRONIZE};
use app::{Device, Event, EventKind, Transport};
use host::{Admission, Machine, ServeOptions, Token};
use ringbridge_scenarios::{
    PublicFolder, application, failure, machine_with, open, run_application, run_case, unload_cleanly,
};

const DEVICE: &str = r"\\.\RbEvents";
const MADE: &str = r"Global\RbMade";
const THEIRS: &str = r"Local\RbTheirs";

const MAKE: u32 = 0;
const SET: u32 = 1;
const FORGET: u32 = 2;
const OPEN_THEIRS: u32 = 3;

const PLAIN: u64 = 0;
const BY_IO: u64 = 1;
const FOR_USERS: u64 = 2;
const FOR_ALL: u64 = 3;
const FOR_NOBODY: u64 = 4;
const WRONG: u64 = 5;

const ACCESSES: [u32; 5] =
    [SYNCHRONIZE, SYNCHRONIZE | EVENT_QUERY_STATE, EVENT_MODIFY_STATE, EVENT_ALL_ACCESS, abi::WRITE_DAC];
/// Of [`ACCESSES`].
const ALL: [bool; 5] = [true; 5];
const NONE: [bool; 5] = [false; 5];
/// Waiting and looking; and the list itself, since the system's objects belong to administrators.
const LOOK: [bool; 5] = [true, true, false, false, true];
const OWNER_ONLY: [bool; 5] = [false, false, false, false, true];

fn case(device: &Device<'_>, number: u32, input: u64) -> Vec<u64> {
    run_case(device, number, &[input]).expect("answers").values
}

fn bits(status: NTSTATUS) -> u64 {
    u64::from(status.bits())
}

/// Which of [`ACCESSES`] an application gets of the event `name`, which exists.
fn granted(transport: &dyn Transport, name: &str) -> [bool; 5] {
    ACCESSES.map(|access| match Event::open(transport, name, access) {
        Ok(_event) => true,
        Err(error) => {
            assert_eq!((error.status, error.code), (abi::STATUS_ACCESS_DENIED, 5), "{name} {access:#x}");
            false
        }
    })
}

/// Runs `body` with a machine, and one handle to the device of its events.sys, which must be free of trouble at the end.
fn with_driver(body: impl FnOnce(&Machine, &Device<'_>)) {
    let machine = machine_with("events");
    let witness = machine.process_as("witness", Token::local_system());
    let device = open(&witness, DEVICE);
    body(&machine, &device);
    device.close().expect("closes");
    unload_cleanly(&machine, "events");
}

#[test]
fn an_event_that_a_driver_makes_without_a_descriptor_may_be_waited_for_by_administrators_and_set_by_the_system()
 {
    with_driver(|machine, device| {
        for way in [PLAIN, BY_IO] {
            assert_eq!(case(device, MAKE, way), [0]);
            for (token, expected) in [
                (Token::local_system(), ALL),
                (Token::administrator(), LOOK),
                (Token::user(), NONE),
                (Token::administrator().deny_only(host::well_known::ADMINISTRATORS), NONE),
                (Token::anonymous(), NONE),
            ] {
                let who = token.user;
                assert_eq!(granted(&machine.process_as("opener", token), MADE), expected, "{who}, way {way}");
            }
            let administrator = machine.process("administrator");
            let event = Event::open(&administrator, MADE, SYNCHRONIZE).expect("may wait");
            assert_eq!(failure(event.set()), abi::STATUS_ACCESS_DENIED);
            assert_eq!(failure(event.reset()), abi::STATUS_ACCESS_DENIED);
            // CreateEvent asks for everything, also of an event that exists.
            let taken = Event::named(&administrator, MADE, EventKind::AutoReset, true);
            assert_eq!(failure(taken), abi::STATUS_ACCESS_DENIED);
            assert!(!event.wait(Some(std::time::Duration::ZERO)).expect("waits"));
            assert_eq!(case(device, SET, 0), [0]);
            assert!(event.wait(None).expect("waits"));
            drop(event);
            assert_eq!(case(device, FORGET, 0), [0]);
            assert_eq!(Event::open(&administrator, MADE, SYNCHRONIZE).expect_err("it is gone").code, 2);
        }
    });
}

#[test]
fn who_works_for_a_driver_when_it_makes_an_event_has_no_more_rights_than_others() {
    let machine = machine_with("events");
    let user = machine.process_as("user", Token::user());
    let device = open(&user, DEVICE);
    assert_eq!(case(&device, MAKE, BY_IO), [0]);
    assert_eq!(granted(&user, MADE), NONE);
    assert_eq!(granted(&machine.process("administrator"), MADE), LOOK);
    assert_eq!(case(&device, FORGET, 0), [0]);
    device.close().expect("closes");
    unload_cleanly(&machine, "events");
}

#[test]
fn a_descriptor_in_object_attributes_counts() {
    with_driver(|machine, device| {
        for (way, user, administrator) in
            [(FOR_USERS, ALL, ALL), (FOR_ALL, ALL, ALL), (FOR_NOBODY, NONE, OWNER_ONLY)]
        {
            assert_eq!(case(device, MAKE, way), [0]);
            assert_eq!(granted(&machine.process_as("user", Token::user()), MADE), user, "way {way}");
            assert_eq!(granted(&machine.process("administrator"), MADE), administrator, "way {way}");
            assert_eq!(case(device, FORGET, 0), [0]);
        }
        assert_eq!(case(device, MAKE, WRONG), [bits(abi::STATUS_UNKNOWN_REVISION)]);
        let administrator = machine.process("administrator");
        let nothing = Event::open(&administrator, MADE, SYNCHRONIZE);
        assert_eq!(nothing.expect_err("was not made").code, 2);
    });
}

#[test]
fn an_event_that_an_application_made_first_is_both_sides_to_set() {
    with_driver(|machine, device| {
        for token in [Token::user(), Token::administrator()] {
            let process = machine.process_as("application", token);
            let (event, existed) =
                Event::named(&process, MADE, EventKind::AutoReset, false).expect("is created");
            assert!(!existed);
            // The driver opens what it meant to make.
            assert_eq!(case(device, MAKE, BY_IO), [0]);
            assert_eq!(granted(&process, MADE), ALL);
            for set in [|event: &Event<'_>| event.set().expect("may set"), |_: &Event<'_>| {}] {
                set(&event);
                assert_eq!(case(device, SET, 0), [0]);
                assert!(event.wait(None).expect("waits"));
            }
            drop(event);
            assert_eq!(case(device, FORGET, 0), [0]);
        }
    });
}

#[test]
fn a_driver_opens_any_event_unless_it_asks_for_the_check() {
    let machine = machine_with("events");
    let owner = machine.process_as("owner", Token::user());
    let (event, _) = Event::named(&owner, THEIRS, EventKind::AutoReset, false).expect("is created");
    // A user's list names the user and the system, not administrators.
    for (token, forced) in [
        (Token::administrator(), vec![bits(abi::STATUS_ACCESS_DENIED)]),
        (Token::user(), vec![0, 0]),
        (Token::local_system(), vec![0, 0]),
    ] {
        let who = token.user;
        let process = machine.process_as("caller", token);
        let device = open(&process, DEVICE);
        assert_eq!(case(&device, OPEN_THEIRS, 0), [0, 0], "{who}");
        assert!(event.wait(None).expect("waits"));
        let check = u64::from(abi::OBJ_FORCE_ACCESS_CHECK);
        assert_eq!(case(&device, OPEN_THEIRS, check), forced, "{who}");
        event.reset().expect("may set");
    }
}

// ---- other Linux users -------------------------------------------------------------------------------------------------

/// A user without any rights, and a group of nobody else.
const STRANGER: u32 = 65534;
const OTHERS: u32 = 65534;
const ADMINISTRATORS: u32 = 61_003;

#[test]
fn application_of_a_user() {
    let Some(client) = application() else { return };
    assert_eq!(granted(&client, MADE), NONE);
    let (event, existed) = Event::named(&client, THEIRS, EventKind::AutoReset, false).expect("is created");
    assert!(!existed);
    let device = open(&client, DEVICE);
    assert_eq!(case(&device, OPEN_THEIRS, 0), [0, 0]);
    assert!(event.wait(None).expect("waits"));
    event.set().expect("it is its own");
}

#[test]
fn application_of_an_administrator() {
    let Some(client) = application() else { return };
    assert_eq!(granted(&client, MADE), LOOK);
    let event = Event::open(&client, MADE, SYNCHRONIZE).expect("may wait");
    let device = open(&client, DEVICE);
    assert_eq!(case(&device, SET, 0), [0]);
    assert!(event.wait(None).expect("waits"));
}

#[test]
fn an_event_of_a_driver_is_for_administrators_among_linux_users_and_one_of_a_users_is_his() {
    let Some(folder) = PublicFolder::for_other_users() else { return };
    with_driver(|machine, device| {
        assert_eq!(case(device, MAKE, BY_IO), [0]);
        let socket = folder.path("host.sock");
        let options = ServeOptions {
            admission: Admission::Everyone,
            administrators: Some(ADMINISTRATORS),
            ..ServeOptions::default()
        };
        let server = machine.serve_to(&socket, options).expect("serves");
        folder.run_as(STRANGER, OTHERS, "application_of_a_user", &socket);
        folder.run_as(STRANGER, ADMINISTRATORS, "application_of_an_administrator", &socket);
        run_application("application_of_an_administrator", &socket);
        server.stop();
        assert_eq!(case(device, FORGET, 0), [0]);
    });
}
