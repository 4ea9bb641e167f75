//! Applications of several Linux users: who is admitted to the host, who is an administrator there, and what each may open.
//! They are real processes under their own user and group numbers, which only root can start.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use abi::{
    GENERIC_ALL, GENERIC_READ, GENERIC_WRITE, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_PRIVILEGE_NOT_HELD,
};
use app::{Device, OpenOptions};
use gate::{Client, ConnectError};
use host::{Admission, Machine, ServeOptions};
use ringbridge_scenarios::{
    PublicFolder, VAULT, application, application_socket, failure, machine_with, open, run_application,
    run_case, scenario,
};

/// A user without any rights, and groups of nobody else.
const STRANGER: u32 = 65534;
const OTHERS: u32 = 65534;
const ADMINISTRATORS: u32 = 61_001;
const MEMBERS: u32 = 61_002;

const VAULT_PATH: &str = r"\\.\RbVault";
const CELL: &str = r"\\.\RbCell";
const SECURE: &str = r"\\.\RbSecure";
/// The case of secure.sys that answers what it sees of its caller's token.
const TOKEN: u32 = 4;

const OK: Option<NTSTATUS> = None;
const DENIED: Option<NTSTATUS> = Some(STATUS_ACCESS_DENIED);
const NO_PRIVILEGE: Option<NTSTATUS> = Some(STATUS_PRIVILEGE_NOT_HELD);

/// Path and access; what a user gets, what an administrator gets.
const MATRIX: [(&str, u32, Option<NTSTATUS>, Option<NTSTATUS>); 17] = [
    (VAULT_PATH, GENERIC_READ, OK, OK),
    (VAULT_PATH, abi::FILE_READ_DATA, OK, OK),
    (VAULT_PATH, GENERIC_WRITE, DENIED, OK),
    (VAULT_PATH, abi::FILE_WRITE_DATA, DENIED, OK),
    (VAULT_PATH, GENERIC_READ | GENERIC_WRITE, DENIED, OK),
    (VAULT_PATH, GENERIC_ALL, DENIED, OK),
    (VAULT_PATH, abi::DELETE, DENIED, OK),
    (VAULT_PATH, abi::READ_CONTROL, OK, OK),
    (VAULT_PATH, abi::WRITE_DAC, DENIED, OK),
    (VAULT_PATH, abi::WRITE_OWNER, DENIED, OK),
    (VAULT_PATH, abi::ACCESS_SYSTEM_SECURITY, NO_PRIVILEGE, NO_PRIVILEGE),
    (r"\\.\RbVault\below", GENERIC_READ, OK, OK),
    (r"\\.\RbVault\below", GENERIC_WRITE, DENIED, OK),
    (r"\\.\RbPorch", GENERIC_WRITE, DENIED, OK),
    (r"\\.\RbPorch\below", GENERIC_WRITE, OK, OK),
    (r"\\.\RbCell\below", GENERIC_READ, DENIED, DENIED),
    (CELL, GENERIC_READ, DENIED, DENIED),
];

/// Opens everything in the matrix, whose column `expected` picks.
fn goes_through_the_matrix(
    client: &Client,
    expected: fn(Option<NTSTATUS>, Option<NTSTATUS>) -> Option<NTSTATUS>,
) {
    for (path, access, user, administrator) in MATRIX {
        let opened = OpenOptions::new().access(access).open(client, path).map(drop);
        let status = opened.err().map(|error| error.status);
        assert_eq!(status, expected(user, administrator), "{path} {access:#x}");
    }
    // A handle carries what was granted, and no more.
    let reader = OpenOptions::new().access(GENERIC_READ).open(client, VAULT_PATH).expect("users may read");
    assert_eq!(reader.read(&mut [1; 4]).expect("reads"), 4);
    assert_eq!(failure(reader.write(b"no")), STATUS_ACCESS_DENIED);
    let more = reader.try_clone().expect("is duplicated");
    assert_eq!(failure(more.write(b"no")), STATUS_ACCESS_DENIED);
}

#[test]
fn application_of_a_user() {
    let Some(client) = application() else { return };
    goes_through_the_matrix(&client, |user, _| user);
}

#[test]
fn application_of_an_administrator() {
    let Some(client) = application() else { return };
    goes_through_the_matrix(&client, |_, administrator| administrator);
    let writer = OpenOptions::new().access(GENERIC_WRITE).open(&client, VAULT_PATH).expect("opens");
    assert_eq!(writer.write(b"yes").expect("writes"), 3);
    assert_eq!(failure(writer.read(&mut [0; 4])), STATUS_ACCESS_DENIED);
}

scenario! {
    fn the_token_of_a_linux_user_decides_what_he_opens(form: Form) {
        let Some(folder) = PublicFolder::for_other_users() else { return };
        let machine = VAULT.machine(form);
        let socket = folder.path("host.sock");
        let options = ServeOptions { admission: Admission::Everyone, administrators: Some(ADMINISTRATORS), ..ServeOptions::default() };
        let server = machine.serve_to(&socket, options).expect("serves");
        let holder = machine.process("holder");
        let cell = open(&holder, CELL);
        folder.run_as(STRANGER, OTHERS, "application_of_a_user", &socket);
        folder.run_as(STRANGER, MEMBERS, "application_of_a_user", &socket);
        folder.run_as(STRANGER, ADMINISTRATORS, "application_of_an_administrator", &socket);
        folder.run_as(0, OTHERS, "application_of_an_administrator", &socket);
        run_application("application_of_an_administrator", &socket);
        drop(cell);
        server.stop();
    }
}

#[test]
fn application_that_asks_who_it_is() {
    let Some(client) = application() else { return };
    let device = open(&client, SECURE);
    let expected = if own_uid() == 0 { [1, 1, 0, 1] } else { [0, 1, 0, 1] };
    assert_eq!(run_case(&device, TOKEN, &[]).expect("answers").values, expected);
}

#[test]
fn a_driver_sees_the_token_of_the_linux_user_that_it_works_for() {
    let Some(folder) = PublicFolder::for_other_users() else { return };
    let machine = machine_with("secure");
    let socket = folder.path("host.sock");
    let options =
        ServeOptions { admission: Admission::Everyone, administrators: None, ..ServeOptions::default() };
    let server = machine.serve_to(&socket, options).expect("serves");
    folder.run_as(STRANGER, OTHERS, "application_that_asks_who_it_is", &socket);
    folder.run_as(0, 0, "application_that_asks_who_it_is", &socket);
    server.stop();
}

fn own_uid() -> u32 {
    fs::metadata("/proc/self").expect("/proc is mounted").uid()
}

#[test]
fn application_that_is_turned_away() {
    let Some(socket) = application_socket() else { return };
    let refused = Client::connect(socket).expect_err("it is not admitted");
    assert!(matches!(refused, ConnectError::AccessDenied(_)), "{refused}");
    assert!(refused.to_string().contains("--group"), "{refused}");
}

#[test]
fn application_that_is_admitted() {
    let Some(client) = application() else { return };
    drop(Device::open(&client, SECURE).expect("opens"));
}

#[test]
fn the_socket_admits_whom_the_host_says() {
    let Some(folder) = PublicFolder::for_other_users() else { return };
    let machine: Machine = machine_with("secure");
    let socket = folder.path("host.sock");
    let (away, admitted) = ("application_that_is_turned_away", "application_that_is_admitted");
    for (admission, mode, member, stranger) in [
        (Admission::Owner, 0o600, away, away),
        (Admission::Group(MEMBERS), 0o660, admitted, away),
        (Admission::Everyone, 0o666, admitted, admitted),
    ] {
        let options = ServeOptions { admission, administrators: None, ..ServeOptions::default() };
        let server = machine.serve_to(&socket, options).expect("serves");
        let file = fs::metadata(&socket).expect("the socket is there");
        assert_eq!(file.permissions().mode() & 0o777, mode, "{admission:?}");
        folder.run_as(STRANGER, MEMBERS, member, &socket);
        folder.run_as(STRANGER, OTHERS, stranger, &socket);
        run_application(admitted, &socket);
        server.stop();
    }
}
