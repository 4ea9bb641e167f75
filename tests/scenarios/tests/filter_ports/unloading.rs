//! A filter's registration, who may connect to its ports, and what ends it.

use app::{FilterPort, ImpersonationLevel, filter_load, filter_unload, impersonate_self, revert_to_self};
use host::{Machine, Token, UnloadOutcome};
use ringbridge_scenarios::{machine_with, open};

use super::*;

const PRIVILEGE_NOT_HELD: u32 = 0x8007_0522;
const ALREADY_RUNNING: u32 = 0x8007_0420;
const FILTER_NOT_FOUND: u32 = 0x801F_0013;
const DO_NOT_DETACH: u32 = 0x801F_0010;
const BAD_IMPERSONATION_LEVEL: u32 = 0x8007_0542;

fn left(outcome: UnloadOutcome) -> Vec<String> {
    match outcome {
        UnloadOutcome::Unloaded(report) => {
            assert!(report.pool.is_empty() && report.devices.is_empty(), "{report:?}");
            report.objects
        }
        UnloadOutcome::Pending { files } => panic!("{files} files are open"),
    }
}

fn nothing_left(machine: &Machine) {
    assert_eq!(left(machine.unload(DRIVER).expect("unloads")), Vec::<String>::new());
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}

#[test]
fn the_ports_descriptor_decides_which_token_connects() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let all = u64::from(abi::FLT_PORT_ALL_ACCESS);
    let connected = |token: Token| {
        let process = machine.process_as("application", token);
        FilterPort::connect(&process, PORT, &[], true).err().map(|error| error.hresult)
    };
    // The default one, for the system and administrators.
    assert_eq!(call(&device, CREATE_PORT, &[0, 8, KERNEL, 1, all, 0], PORT).0, OK);
    assert_eq!(connected(Token::administrator()), None);
    assert_eq!(connected(Token::local_system()), None);
    assert_eq!(connected(Token::user()), Some(DENIED));
    assert_eq!(connected(Token::anonymous()), Some(DENIED));
    done(&device, CLOSE_PORT, &[0]);
    // Without the right to connect.
    let other = all & !u64::from(abi::FLT_PORT_CONNECT);
    assert_eq!(call(&device, CREATE_PORT, &[0, 8, KERNEL, 1, other, 0], PORT).0, OK);
    assert_eq!(connected(Token::administrator()), Some(DENIED));
    done(&device, CLOSE_PORT, &[0]);
    create_port(&device, 8);
    assert_eq!(connected(Token::user()), None, "one that lets everybody");
    assert_eq!(done(&device, COUNTS, &[])[0], 3, "who is kept out is not told to the filter");
    drop(device);
    nothing_left(&machine);
}

#[test]
fn a_thread_that_acts_for_a_client_connects_with_the_clients_rights() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    create_port(&device, 1);
    impersonate_self(&process, ImpersonationLevel::Identification).expect("is its own");
    let refused = FilterPort::connect(&process, PORT, &[], true).expect_err("may be looked at only");
    assert_eq!(refused.hresult, BAD_IMPERSONATION_LEVEL);
    assert_eq!(filter_unload(&process, DRIVER).expect_err("the same").hresult, BAD_IMPERSONATION_LEVEL);
    revert_to_self(&process).expect("ends it");
    assert!(FilterPort::connect(&process, PORT, &[], true).is_ok());
    drop(device);
    nothing_left(&machine);
}

#[test]
fn a_port_needs_a_name_a_kernel_handle_and_connections() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let create = |connections: u64, flags: u64, name: &str| {
        NTSTATUS::from_bits(call(&device, CREATE_PORT, &[0, connections, flags, 1, 0, 1], name).0)
    };
    let insensitive = u64::from(OBJ_CASE_INSENSITIVE);
    assert_eq!(create(1, insensitive, PORT), abi::STATUS_INVALID_PARAMETER, "no kernel handle");
    assert_eq!(create(1, KERNEL, ""), abi::STATUS_INVALID_PARAMETER, "no name");
    assert_eq!(create(0, KERNEL, PORT), abi::STATUS_INVALID_PARAMETER, "no connections");
    assert_eq!(create(u64::from(u32::MAX), KERNEL, PORT), abi::STATUS_INVALID_PARAMETER, "less than none");
    assert_eq!(create(1, KERNEL, "RbFilterPort"), abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_eq!(create(1, KERNEL, r"\None\RbFilterPort"), abi::STATUS_OBJECT_PATH_NOT_FOUND);
    create_port(&device, 1);
    let (status, _) = call(&device, CREATE_PORT, &[1, 1, KERNEL, 1, 0, 1], PORT);
    assert_eq!(NTSTATUS::from_bits(status), abi::STATUS_OBJECT_NAME_COLLISION);
    let listed = process.query_directory(&"\\".encode_utf16().collect::<Vec<_>>()).expect("is there");
    let entry = listed.iter().find(|entry| entry.name == "RbFilterPort").expect("it has a name");
    assert_eq!(entry.type_name, "FilterConnectionPort");
    drop(device);
    nothing_left(&machine);
}

#[test]
fn a_registration_is_checked() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let register =
        |size: u64, version: u64| NTSTATUS::from_bits(call(&device, REGISTER, &[size, version], "").0);
    assert_eq!(register(112, 0x203), abi::STATUS_OBJECT_NAME_COLLISION, "a driver has one filter");
    done(&device, UNREGISTER, &[]);
    for (size, version) in [(112, 0x1FF), (112, 0x204), (111, 0x203), (103, 0x202), (87, 0x200), (0, 0x203)] {
        assert_eq!(register(size, version), abi::STATUS_INVALID_PARAMETER, "{size} {version:#x}");
    }
    assert_eq!(register(88, 0x200), abi::STATUS_SUCCESS, "as old drivers are");
    assert_eq!(done(&device, START, &[]), [0; 3]);
    assert_eq!(call(&device, START, &[], "").0, bits(abi::STATUS_INVALID_PARAMETER), "once");
    done(&device, REFERENCE, &[]);
    done(&device, DEREFERENCE, &[]);
    let knows = |name: &str| call(&device, KNOWS, &[], name).1[0] != 0;
    assert!(knows("FltSendMessage"));
    assert!(
        !knows("FltGetFileNameInformation") && !knows("FltNone") && !knows("IoCreateDevice") && !knows("")
    );
    drop(device);
    nothing_left(&machine);
}

#[test]
fn unregistering_waits_for_who_uses_the_filter_and_ends_its_connections() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    create_port(&device, 1);
    let port = connect(&process);
    done(&device, REFERENCE, &[]);
    thread::scope(|scope| {
        let unanswered = scope.spawn(|| send(&open(&process, DEVICE), 8, 1, 8, 0));
        take(&port, 8);
        let second = open(&process, DEVICE);
        let unregistered = scope.spawn(move || done(&second, UNREGISTER, &[]));
        // Its connections end before it waits.
        assert_eq!(unanswered.join().expect("no panic").0, bits(abi::STATUS_PORT_DISCONNECTED));
        assert!(!unregistered.is_finished(), "somebody uses it");
        let refused = FilterPort::connect(&process, PORT, &[], true).expect_err("it goes");
        assert_eq!(refused.hresult, NOT_FOUND);
        // By the address that the driver keeps of it.
        done(&device, DEREFERENCE, &[]);
        unregistered.join().expect("no panic");
    });
    assert_eq!(done(&device, COUNTS, &[])[..2], [1, 1], "told by then");
    drop(port);
    assert_eq!(done(&device, COUNTS, &[])[..2], [1, 1], "and not again");
    assert_eq!(send(&device, 8, 1, 8, 0).0, bits(abi::STATUS_PORT_DISCONNECTED));
    drop(device);
    nothing_left(&machine);
}

#[test]
fn stopping_the_service_calls_the_unload_callback_which_must() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    create_port(&device, 2);
    let port = connect(&process);
    // It would refuse what it may refuse.
    done(&device, SET, &[0, bits(abi::STATUS_FLT_DO_NOT_DETACH).into(), 0]);
    drop(device);
    nothing_left(&machine);
    // The application's end outlives the filter.
    assert_eq!(port.get_message(&mut [0; 32]).expect_err("it is over").hresult, INVALID_HANDLE);
    assert_eq!(port.send_message(&[0], &mut [0]).expect_err("it is over").hresult, INVALID_HANDLE);
    assert_eq!(port.reply_message(&reply_to(1, &[])).expect_err("it is over").hresult, INVALID_HANDLE);
    drop(port);
    assert!(machine.bugcheck().is_none());
}

#[test]
fn an_application_may_ask_a_filter_to_unload() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let user = machine.process_as("user", Token::user());
    let device = open(&process, DEVICE);
    assert_eq!(filter_unload(&user, DRIVER).expect_err("no privilege").hresult, PRIVILEGE_NOT_HELD);
    assert_eq!(filter_load(&user, DRIVER).expect_err("no privilege").hresult, PRIVILEGE_NOT_HELD);
    assert_eq!(filter_load(&process, DRIVER).expect_err("it is there").hresult, ALREADY_RUNNING);
    assert_eq!(filter_load(&process, "none").expect_err("no service").hresult, NOT_FOUND);
    assert_eq!(filter_unload(&process, "none").expect_err("no filter").hresult, FILTER_NOT_FOUND);
    done(&device, SET, &[0, bits(abi::STATUS_FLT_DO_NOT_DETACH).into(), 0]);
    assert_eq!(filter_unload(&process, DRIVER).expect_err("it refuses").hresult, DO_NOT_DETACH);
    assert_eq!(done(&device, UNLOADS, &[])[..2], [1, 0], "asked, and not told that it must");
    done(&device, SET, &[0, 0, 0]);
    drop(device);
    filter_unload(&process, DRIVER).expect("it agrees");
    assert!(machine.drivers().iter().all(|driver| driver.name != DRIVER), "its driver is gone");
    filter_load(&process, DRIVER).expect("its service is known");
    assert_eq!(done(&open(&process, DEVICE), UNLOADS, &[])[..2], [0, 0], "a new image");
    filter_unload(&process, DRIVER).expect("it agrees");
}

#[test]
fn what_a_filter_leaves_is_told() {
    let machine = machine_with(DRIVER);
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    create_port(&device, 2);
    let port = connect(&process);
    done(&device, SET, &[0, 0, 1]);
    drop(device);
    let told = left(machine.unload(DRIVER).expect("unloads"));
    assert_eq!(told, ["Filter", "FilterCommunicationPort", r"FilterConnectionPort \RbFilterPort"]);
    drop(port);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}
