//! The sample `steward`: for whom it opens what. `\Device\RbVault` may be written by administrators, and read by users.

use abi::{NTSTATUS, STATUS_ACCESS_DENIED, STATUS_BAD_IMPERSONATION_LEVEL, STATUS_SUCCESS};
use app::{
    Device, ImpersonationLevel, OpenOptions, SecurityQos, Transport, impersonate_self, revert_to_self,
};
use host::{Admission, Machine, ServeOptions, Token};
use ringbridge_scenarios::{
    Form, PublicFolder, STEWARD, VAULT, application, failure, open, run_application, scenario,
    unload_when_closed,
};
use sample_applications::steward::{IOCTL_OPEN, IOCTL_OPEN_AS_DRIVER, ask};

const STEWARD_PATH: &str = r"\\.\Steward";
const VAULT_DEVICE: &str = r"\Device\RbVault";

/// As the client, as the driver.
fn asked(device: &Device<'_>) -> [NTSTATUS; 2] {
    [IOCTL_OPEN, IOCTL_OPEN_AS_DRIVER].map(|code| ask(device, code, VAULT_DEVICE).expect("is answered"))
}

fn machine(form: Form) -> Machine {
    let machine = STEWARD.machine(form);
    VAULT.load(&machine, form);
    machine
}

fn ends(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(machine, STEWARD.name);
}

scenario! {
    fn a_client_gets_what_it_may_open_and_no_more_whoever_asks_on_its_handle(form: Form) {
        let machine = machine(form);
        let user = machine.process_as("user", Token::user());
        let administrator = machine.process("administrator");
        let (his, hers) = (open(&user, STEWARD_PATH), open(&administrator, STEWARD_PATH));
        assert_eq!(asked(&his), [STATUS_ACCESS_DENIED, STATUS_SUCCESS]);
        assert_eq!(asked(&hers), [STATUS_SUCCESS, STATUS_SUCCESS]);
        // A handle is for whom it was opened: in the administrator's hands, the user's.
        let given = user.duplicate_into(his.handle(), &administrator, 0, abi::DUPLICATE_SAME_ACCESS).expect("is given");
        let name: Vec<u8> = VAULT_DEVICE.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut answer = [0; 4];
        assert!(administrator.device_control(given, IOCTL_OPEN.0, &name, &mut answer).status.is_success());
        assert_eq!(NTSTATUS::from_bits(u32::from_le_bytes(answer)), STATUS_ACCESS_DENIED);
        drop((his, hers));
        drop((user, administrator));
        ends(&machine);
    }
}

scenario! {
    fn an_open_allows_no_more_than_it_says(form: Form) {
        let machine = machine(form);
        let process = machine.process("administrator");
        for (level, expected) in [
            (ImpersonationLevel::Anonymous, STATUS_BAD_IMPERSONATION_LEVEL),
            (ImpersonationLevel::Identification, STATUS_BAD_IMPERSONATION_LEVEL),
            (ImpersonationLevel::Impersonation, STATUS_SUCCESS),
            (ImpersonationLevel::Delegation, STATUS_SUCCESS),
        ] {
            for context_tracking in [false, true] {
                let qos = SecurityQos { level, context_tracking, effective_only: false };
                let device = OpenOptions::new().security_qos(qos).open(&process, STEWARD_PATH).expect("opens");
                assert_eq!(asked(&device), [expected, STATUS_SUCCESS], "{qos:?}");
            }
        }
        drop(process);
        ends(&machine);
    }
}

scenario! {
    fn the_guard_gives_a_thread_back_whom_it_acted_for_before(form: Form) {
        let machine = machine(form);
        let process = machine.process("administrator");
        let device = open(&process, STEWARD_PATH);
        for level in [ImpersonationLevel::Identification, ImpersonationLevel::Impersonation] {
            impersonate_self(&process, level).expect("may");
            assert_eq!(asked(&device), [STATUS_SUCCESS, STATUS_SUCCESS], "as who has opened it");
            let own = app::Token::of_thread(&process, true).expect("still");
            assert_eq!(own.impersonation_level().expect("is told"), Some(level));
            revert_to_self(&process).expect("reverts");
        }
        // Who may not be passed on opens no steward.
        impersonate_self(&process, ImpersonationLevel::Identification).expect("may");
        assert_eq!(failure(Device::open(&process, STEWARD_PATH)), STATUS_BAD_IMPERSONATION_LEVEL);
        drop(device);
        drop(process);
        ends(&machine);
    }
}

#[test]
fn application_of_a_user() {
    let Some(client) = application() else { return };
    assert_eq!(asked(&open(&client, STEWARD_PATH)), [STATUS_ACCESS_DENIED, STATUS_SUCCESS]);
}

#[test]
fn application_of_an_administrator() {
    let Some(client) = application() else { return };
    assert_eq!(asked(&open(&client, STEWARD_PATH)), [STATUS_SUCCESS, STATUS_SUCCESS]);
}

scenario! {
    fn linux_users_get_what_each_may_open(form: Form) {
        const STRANGER: u32 = 65534;
        let Some(folder) = PublicFolder::for_other_users() else { return };
        let machine = machine(form);
        let socket = folder.path("host.sock");
        let options = ServeOptions { admission: Admission::Everyone, ..ServeOptions::default() };
        let server = machine.serve_to(&socket, options).expect("serves");
        folder.run_as(STRANGER, STRANGER, "application_of_a_user", &socket);
        run_application("application_of_an_administrator", &socket);
        server.stop();
        ends(&machine);
    }
}
