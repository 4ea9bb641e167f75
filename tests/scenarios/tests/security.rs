//! Who gets what when he opens a device: the sample vault, and what secure.sys asks of the kernel.

use abi::NTSTATUS;
use app::{Device, OpenOptions};
use gate::{CreateFile, Transport};
use host::{Machine, Token, well_known};
use ringbridge_scenarios::{VAULT, failure, machine_with, open, run_case, scenario, unload_cleanly};

const VAULT_PATH: &str = r"\\.\RbVault";
const DENIED: Option<NTSTATUS> = Some(abi::STATUS_ACCESS_DENIED);

const CHECK: u32 = 0;
const PROTECT: u32 = 1;
const CREATE: u32 = 2;
const DELETE: u32 = 3;
const TOKEN: u32 = 4;
const SHARE: u32 = 5;
const CREATED: u32 = 6;
const WATCH: u32 = 7;
const SECURE: &str = r"\\.\RbSecure";
const SECURED: &str = r"\\.\RbSecured";

/// The error of an open, if it fails.
fn opened_as(machine: &Machine, token: Token, path: &str, access: u32) -> Option<NTSTATUS> {
    let process = machine.process_as("opener", token);
    OpenOptions::new().access(access).open(&process, path).err().map(|error| error.status)
}

scenario! {
    fn the_devices_descriptor_decides_what_each_token_gets(form: Form) {
        let machine = VAULT.machine(form);
        let (read, write, all) = (abi::GENERIC_READ, abi::GENERIC_WRITE, abi::GENERIC_ALL);
        let filtered = || Token::administrator().deny_only(well_known::ADMINISTRATORS);
        let restricted = || Token::administrator().restricted_to(&[well_known::RESTRICTED]);
        let table = [
            (Token::local_system(), read | write, None),
            (Token::local_system(), all, None),
            (Token::administrator(), read | write, None),
            (Token::administrator(), all, None),
            (Token::user(), read, None),
            (Token::user(), write, DENIED),
            (Token::user(), read | write, DENIED),
            (Token::user(), abi::WRITE_DAC, DENIED),
            (Token::anonymous(), read, DENIED),
            (filtered(), read, None),
            (filtered(), write, DENIED),
            (restricted(), read, DENIED),
            (Token::user(), abi::ACCESS_SYSTEM_SECURITY, Some(abi::STATUS_PRIVILEGE_NOT_HELD)),
        ];
        for (token, access, expected) in table {
            let said = format!("{:?} {access:#x}", token.user);
            assert_eq!(opened_as(&machine, token, VAULT_PATH, access), expected, "{said}");
        }
    }
}

scenario! {
    fn names_below_a_device_are_checked_where_it_asks_for_that(form: Form) {
        let machine = VAULT.machine(form);
        let write = abi::GENERIC_WRITE;
        for path in [VAULT_PATH, r"\\.\RbPorch"] {
            assert_eq!(opened_as(&machine, Token::user(), path, write), DENIED, "{path}");
        }
        assert_eq!(opened_as(&machine, Token::user(), r"\\.\RbVault\below", write), DENIED);
        assert_eq!(opened_as(&machine, Token::user(), r"\\.\RbVault\", write), DENIED);
        assert_eq!(opened_as(&machine, Token::user(), r"\\.\RbVault\below", abi::GENERIC_READ), None);
        assert_eq!(opened_as(&machine, Token::user(), r"\\.\RbPorch\below", write), None);
        assert_eq!(opened_as(&machine, Token::anonymous(), r"\\.\RbPorch\below", write), None);
        assert_eq!(opened_as(&machine, Token::administrator(), r"\\.\RbVault\below", write), None);
    }
}

/// Opens with MAXIMUM_ALLOWED, which Win32's calls pass on as it is.
fn open_for_the_most(process: &dyn Transport, path: &str) -> Result<gate::Handle, NTSTATUS> {
    let path: Vec<u16> = path.encode_utf16().collect();
    let request = CreateFile {
        path: &path,
        desired_access: abi::MAXIMUM_ALLOWED,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    process.create_file(&request).map(|(handle, _)| handle)
}

scenario! {
    fn maximum_allowed_gives_the_handle_what_the_list_gives_the_token(form: Form) {
        let machine = VAULT.machine(form);
        let mut byte = [0];
        for (token, writes) in [(Token::user(), abi::STATUS_ACCESS_DENIED), (Token::administrator(), abi::STATUS_SUCCESS)] {
            let process = machine.process_as("most", token);
            let handle = open_for_the_most(&process, r"\??\RbVault").expect("opens");
            assert_eq!(process.read(handle, &mut byte, None).status, abi::STATUS_SUCCESS);
            assert_eq!(process.write(handle, &byte, None).status, writes);
        }
        let process = machine.process_as("least", Token::anonymous());
        assert_eq!(open_for_the_most(&process, r"\??\RbVault"), Err(abi::STATUS_ACCESS_DENIED));
    }
}

scenario! {
    fn an_exclusive_device_is_open_once_whoever_asks(form: Form) {
        let machine = VAULT.machine(form);
        let (first, second) = (machine.process("first"), machine.process_as("second", Token::local_system()));
        let device = open(&first, r"\\.\RbCell");
        for path in [r"\\.\RbCell", r"\\.\RbCell\below"] {
            assert_eq!(failure(Device::open(&second, path).map(drop)), abi::STATUS_ACCESS_DENIED, "{path}");
        }
        // Of one name, not of one driver.
        open(&second, VAULT_PATH).close().expect("closes");
        device.close().expect("closes");
        open(&second, r"\\.\RbCell").close().expect("closes");
    }
}

#[test]
fn a_driver_checks_a_list_of_its_own_for_the_process_that_asks() {
    let machine = machine_with("secure");
    let (read, write) = (abi::FILE_READ_DATA, abi::FILE_WRITE_DATA);
    let generic = abi::FILE_GENERIC_READ;
    let (user, kernel) = (1, 0);
    let table = [
        (Token::user(), read, user, abi::STATUS_SUCCESS, [1, read]),
        (Token::user(), abi::GENERIC_READ, user, abi::STATUS_SUCCESS, [1, generic]),
        (Token::user(), abi::MAXIMUM_ALLOWED, user, abi::STATUS_SUCCESS, [1, generic]),
        (Token::user(), read | write, user, abi::STATUS_ACCESS_DENIED, [0, 0]),
        (Token::user().deny_only(well_known::USERS), read, user, abi::STATUS_ACCESS_DENIED, [0, 0]),
        (Token::user().deny_only(well_known::USERS), write, kernel, abi::STATUS_SUCCESS, [1, write]),
    ];
    for (token, desired, mode, status, values) in table {
        let process = machine.process_as("checked", token);
        let device = open(&process, SECURE);
        let answer = run_case(&device, CHECK, &[desired.into(), mode]).expect("answers");
        assert_eq!(
            (answer.status, answer.values),
            (status.bits(), values.map(u64::from).to_vec()),
            "{desired:#x}"
        );
    }
}

#[test]
fn a_list_set_on_a_device_that_exists_decides_later_opens_and_leaves_earlier_handles_alone() {
    let machine = machine_with("secure");
    assert_eq!(opened_as(&machine, Token::user(), SECURE, abi::GENERIC_READ | abi::GENERIC_WRITE), None);
    let process = machine.process("early");
    let device = open(&process, SECURE);
    let answer = run_case(&device, PROTECT, &[]).expect("answers");
    let too_small = u64::from(abi::STATUS_BUFFER_TOO_SMALL.bits());
    assert_eq!((answer.status, answer.values), (0, vec![too_small, 1, 1]));
    for token in [Token::user(), Token::administrator()] {
        assert_eq!(opened_as(&machine, token, SECURE, abi::GENERIC_READ), DENIED);
    }
    assert_eq!(opened_as(&machine, Token::local_system(), SECURE, abi::GENERIC_READ), None);
    run_case(&device, TOKEN, &[]).expect("the handle is as it was");
}

#[test]
fn a_driver_finds_io_create_device_secure_and_kernel_mode_opens_pass_the_list() {
    let machine = machine_with("secure");
    let process = machine.process("maker");
    let device = open(&process, SECURE);
    let answer = run_case(&device, CREATE, &[]).expect("answers");
    let invalid = u64::from(abi::STATUS_INVALID_PARAMETER.bits());
    assert_eq!((answer.status, answer.values), (0, vec![0, invalid, invalid]));
    assert_eq!(opened_as(&machine, Token::administrator(), SECURED, abi::GENERIC_READ), DENIED);
    assert_eq!(opened_as(&machine, Token::local_system(), SECURED, abi::GENERIC_ALL), None);
    run_case(&device, DELETE, &[]).expect("answers");
    device.close().expect("closes");
    unload_cleanly(&machine, "secure");
}

#[test]
fn a_driver_sees_the_token_of_the_process_it_works_for() {
    let machine = machine_with("secure");
    for (token, values) in [
        (Token::user(), [0, 1, 0, 1]),
        (Token::administrator(), [1, 1, 0, 1]),
        (Token::local_system(), [1, 1, 1, 1]),
    ] {
        let process = machine.process_as("asked", token);
        let device = open(&process, SECURE);
        assert_eq!(run_case(&device, TOKEN, &[]).expect("answers").values, values);
    }
}

#[test]
fn a_create_carries_what_was_granted_and_the_openers_token() {
    let machine = machine_with("secure");
    let process = machine.process("administrator");
    let device = open(&process, SECURE);
    run_case(&device, WATCH, &[]).expect("answers");
    let user = machine.process_as("user", Token::user());
    // What Everyone has on a device without a list of its own.
    let everyone = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE | abi::FILE_GENERIC_EXECUTE;
    open_for_the_most(&user, r"\??\RbSecure").expect("opens");
    let values = run_case(&device, CREATED, &[]).expect("answers").values;
    assert_eq!(values, [everyone, abi::MAXIMUM_ALLOWED, everyone, 0].map(u64::from));
    let administrator = machine.process("another");
    open_for_the_most(&administrator, r"\??\RbSecure").expect("opens");
    let values = run_case(&device, CREATED, &[]).expect("answers").values;
    assert_eq!(values, [abi::FILE_ALL_ACCESS, abi::MAXIMUM_ALLOWED, abi::FILE_ALL_ACCESS, 1].map(u64::from));
}

#[test]
fn share_access_admits_opens_that_let_each_other() {
    let machine = machine_with("secure");
    let process = machine.process("sharer");
    let device = open(&process, SECURE);
    let violation = u64::from(abi::STATUS_SHARING_VIOLATION.bits());
    let values = run_case(&device, SHARE, &[]).expect("answers").values;
    assert_eq!(values, [violation, 0, violation, 0, 1]);
}
