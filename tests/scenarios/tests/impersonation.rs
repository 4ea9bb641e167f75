//! Drivers and applications that act for their clients. What each case of the driver does is said in `tests/drivers/cases.h`.

use std::thread;

use abi::{
    NTSTATUS, STATUS_ACCESS_DENIED, STATUS_BAD_IMPERSONATION_LEVEL, SecurityAnonymous, SecurityDelegation,
    SecurityIdentification, SecurityImpersonation,
};
use app::{
    Device, ImpersonationLevel, OpenOptions, SecurityQos, Token, Transport, impersonate_self, revert_to_self,
};
use gate::{Handle, SystemCall};
use host::{Admission, Machine, Process, ServeOptions};
use ringbridge_scenarios::{
    CaseResult, PublicFolder, application, as_application, embedded, in_another_process, open,
    run_application, run_case, serve, with_driver,
};

const DRIVER: &str = "impersonate";
const DEVICE: &str = r"\\.\RbImpersonate";
/// For administrators and the system.
const GUARDED: &str = r"\\.\RbGuarded";

const GUARD: u32 = 0;
const KEEP: u32 = 1;
const ACT: u32 = 3;
const ACT_IN_THREAD: u32 = 4;
const STAY: u32 = 5;
const REVERT: u32 = 6;
const ACT_WITH: u32 = 7;
const WHOM: u32 = 8;
const DISABLE: u32 = 9;
const SUBJECT: u32 = 10;
const INFORMATION: u32 = 11;
const WATCH: u32 = 12;
const CREATED: u32 = 13;
const OPEN_WITH: u32 = 14;

const DYNAMIC: u64 = 1;
const EFFECTIVE_ONLY: u64 = 2;
const REMOTE: u64 = 4;
const BY_SUBJECT: u64 = 1;
const ANONYMOUS: u64 = SecurityAnonymous as u64;
const IDENTIFICATION: u64 = SecurityIdentification as u64;
const IMPERSONATION: u64 = SecurityImpersonation as u64;
const DELEGATION: u64 = SecurityDelegation as u64;

const OK: u64 = 0;
const DENIED: u64 = STATUS_ACCESS_DENIED.bits() as u64;
const BAD_LEVEL: u64 = STATUS_BAD_IMPERSONATION_LEVEL.bits() as u64;

fn case(device: &Device<'_>, number: u32, inputs: &[u64]) -> CaseResult {
    run_case(device, number, inputs).unwrap_or_else(|error| panic!("case {number} of {inputs:?}: {error}"))
}

/// The values of a case that succeeds.
fn values(device: &Device<'_>, number: u32, inputs: &[u64]) -> Vec<u64> {
    let result = case(device, number, inputs);
    assert_eq!(result.status, 0, "case {number} of {inputs:?}: {:#x}", result.status);
    result.values
}

/// How opening the device of administrators ends.
fn guarded(transport: &dyn Transport) -> Option<NTSTATUS> {
    OpenOptions::new().access(abi::FILE_READ_DATA).open(transport, GUARDED).err().map(|error| error.status)
}

/// A machine with the driver and its guarded device.
fn with_guarded(body: impl FnOnce(&Machine)) {
    with_driver(DRIVER, |machine| {
        values(&open(&machine.process("installer"), DEVICE), GUARD, &[]);
        body(machine);
    });
}

fn user(machine: &Machine) -> Process {
    machine.process_as("user", host::Token::user())
}

// ---- what a driver may do for its client -------------------------------------------------------------------------------

#[test]
fn a_driver_that_acts_for_a_user_is_refused_what_the_user_is_refused_and_reverts() {
    with_guarded(|machine| {
        let (user, administrator) = (user(machine), machine.process("administrator"));
        let (his, hers) = (open(&user, DEVICE), open(&administrator, DEVICE));
        for flags in [0, DYNAMIC, EFFECTIVE_ONLY, DYNAMIC | EFFECTIVE_ONLY] {
            for by in [0, BY_SUBJECT] {
                values(&his, KEEP, &[0, IMPERSONATION, flags, by]);
                assert_eq!(values(&hers, ACT, &[0]), [DENIED, OK, OK], "{flags}, {by}");
                // The system's own threads as well.
                assert_eq!(values(&his, ACT_IN_THREAD, &[0]), [DENIED, OK, OK, 0], "{flags}, {by}");
                values(&hers, KEEP, &[1, DELEGATION, flags, by]);
                assert_eq!(values(&hers, ACT, &[1]), [OK, OK, OK], "{flags}, {by}");
                assert_eq!(values(&hers, ACT_IN_THREAD, &[1]), [OK, OK, OK, 0], "{flags}, {by}");
            }
        }
    });
}

#[test]
fn a_client_that_allows_less_than_impersonation_may_be_looked_at_and_nothing_opened_for_it() {
    with_guarded(|machine| {
        let process = machine.process("administrator");
        let device = open(&process, DEVICE);
        for level in [ANONYMOUS, IDENTIFICATION] {
            for flags in [0, DYNAMIC] {
                values(&device, KEEP, &[0, level, flags]);
                assert_eq!(values(&device, ACT, &[0]), [BAD_LEVEL, OK, OK], "{level}, {flags}");
                assert_eq!(values(&device, STAY, &[0])[..2], [1, level]);
                // Client, level, administrator by the client's and the process's token, no privilege.
                assert_eq!(values(&device, SUBJECT, &[]), [1, level, 1, 1, 0]);
                assert_eq!(guarded(&process), Some(STATUS_BAD_IMPERSONATION_LEVEL));
                let named = app::Event::named(&process, "RbOfClient", app::EventKind::AutoReset, false);
                assert_eq!(named.err().map(|error| error.status), Some(STATUS_BAD_IMPERSONATION_LEVEL));
                // A client that may not be passed on is nobody's client.
                for by in [0, BY_SUBJECT] {
                    let kept = case(&device, KEEP, &[1, level, flags, by]).status;
                    assert_eq!(u64::from(kept), BAD_LEVEL);
                }
                values(&device, REVERT, &[]);
                assert_eq!(values(&device, SUBJECT, &[]), [0, 0, 1, 1, 1]);
                assert_eq!(guarded(&process), None);
            }
        }
    });
}

#[test]
fn a_client_is_passed_on_at_no_higher_level_than_its_server_has() {
    with_guarded(|machine| {
        let process = machine.process("administrator");
        let device = open(&process, DEVICE);
        let kept = |level, flags, by| u64::from(case(&device, KEEP, &[1, level, flags, by]).status);
        for by in [0, BY_SUBJECT] {
            values(&device, KEEP, &[0, IMPERSONATION, DYNAMIC]);
            values(&device, STAY, &[0]);
            assert_eq!(kept(IMPERSONATION, DYNAMIC, by), OK);
            assert_eq!(kept(IDENTIFICATION, 0, by), OK);
            assert_eq!(kept(DELEGATION, DYNAMIC, by), BAD_LEVEL);
            assert_eq!(kept(IMPERSONATION, REMOTE, by), BAD_LEVEL, "not to another system");
            values(&device, KEEP, &[0, IMPERSONATION, DYNAMIC]);
            values(&device, REVERT, &[]);
            values(&device, KEEP, &[0, DELEGATION, DYNAMIC]);
            values(&device, STAY, &[0]);
            assert_eq!(kept(DELEGATION, REMOTE, by), OK);
            values(&device, REVERT, &[]);
        }
    });
}

#[test]
fn a_users_thread_that_impersonates_an_administrator_may_only_look_at_him() {
    with_guarded(|machine| {
        let (user, administrator) = (user(machine), machine.process("administrator"));
        let (his, hers) = (open(&user, DEVICE), open(&administrator, DEVICE));
        for flags in [0, DYNAMIC] {
            values(&hers, KEEP, &[0, IMPERSONATION, flags]);
            assert_eq!(values(&his, ACT, &[0]), [BAD_LEVEL, OK, DENIED], "it gains nothing");
            assert_eq!(values(&his, STAY, &[0])[..2], [1, IDENTIFICATION]);
            assert_eq!(guarded(&user), Some(STATUS_BAD_IMPERSONATION_LEVEL));
            values(&his, REVERT, &[]);
            assert_eq!(guarded(&user), Some(STATUS_ACCESS_DENIED));
            // Its own user it may be.
            values(&his, KEEP, &[0, IMPERSONATION, flags]);
            assert_eq!(values(&his, STAY, &[0])[..2], [1, IMPERSONATION]);
            values(&his, REVERT, &[]);
        }
    });
}

#[test]
fn static_tracking_keeps_a_copy_and_dynamic_tracking_the_clients_own_token() {
    with_guarded(|machine| {
        let process = user(machine);
        let device = open(&process, DEVICE);
        let (primary, impersonation) = (1, 2);
        assert_eq!(values(&device, KEEP, &[0, IMPERSONATION, DYNAMIC]), [1, 0, primary, 1]);
        let invalid = u64::from(abi::STATUS_INVALID_INFO_CLASS.bits());
        assert_eq!(values(&device, INFORMATION, &[0]), [OK, primary, invalid, 0, 2]);
        assert_eq!(values(&device, KEEP, &[0, IMPERSONATION, DYNAMIC | EFFECTIVE_ONLY]), [1, 1, primary, 1]);
        assert_eq!(values(&device, STAY, &[0]), [1, IMPERSONATION, 1, 1, 0], "copied when it is opened");
        values(&device, REVERT, &[]);
        assert_eq!(values(&device, KEEP, &[0, IDENTIFICATION, 0]), [0, 0, impersonation, 0]);
        assert_eq!(values(&device, INFORMATION, &[0]), [OK, impersonation, OK, IDENTIFICATION, 2]);
        assert_eq!(values(&device, STAY, &[0]), [1, IDENTIFICATION, 1, 0, 0]);
        values(&device, REVERT, &[]);
        // Of its two privileges one is enabled.
        assert_eq!(values(&device, KEEP, &[0, IMPERSONATION, EFFECTIVE_ONLY]), [0, 0, impersonation, 0]);
        assert_eq!(values(&device, INFORMATION, &[0])[4], 1);
    });
}

#[test]
fn ps_impersonate_client_goes_no_further_than_an_impersonation_token_and_ends_with_none() {
    with_guarded(|machine| {
        let process = machine.process("administrator");
        let device = open(&process, DEVICE);
        values(&device, KEEP, &[0, IDENTIFICATION, 0]);
        assert_eq!(values(&device, ACT_WITH, &[0, DELEGATION])[..2], [1, IDENTIFICATION]);
        assert_eq!(values(&device, ACT_WITH, &[0, ANONYMOUS])[..2], [1, ANONYMOUS]);
        assert_eq!(u64::from(case(&device, ACT_WITH, &[0, 4]).status), BAD_LEVEL, "there are four levels");
        assert_eq!(values(&device, WHOM, &[])[..2], [1, ANONYMOUS], "as before");
        assert_eq!(values(&device, ACT_WITH, &[9, 0]), [0]);
        assert_eq!(guarded(&process), None);
    });
}

#[test]
fn impersonation_that_was_disabled_is_restored() {
    with_guarded(|machine| {
        let (user, administrator) = (user(machine), machine.process("administrator"));
        values(&open(&user, DEVICE), KEEP, &[0, IMPERSONATION, DYNAMIC]);
        let device = open(&administrator, DEVICE);
        assert_eq!(values(&device, DISABLE, &[]), [0, 0, OK, 0, OK]);
        values(&device, STAY, &[0]);
        assert_eq!(values(&device, DISABLE, &[]), [1, 0, OK, 1, DENIED]);
        values(&device, REVERT, &[]);
    });
}

// ---- whom an application's thread acts for -----------------------------------------------------------------------------

/// An administrator's thread acts for the user that is kept, from call to call; other threads do not, nor those that come later.
fn a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is(transport: &(dyn Transport + Sync)) {
    let device = open(transport, DEVICE);
    assert_eq!(values(&device, STAY, &[0])[..2], [1, IMPERSONATION]);
    assert_eq!(guarded(transport), Some(STATUS_ACCESS_DENIED));
    assert_eq!(values(&device, SUBJECT, &[]), [1, IMPERSONATION, 0, 1, 0]);
    let elsewhere = || {
        assert_eq!(values(&device, WHOM, &[]), [0]);
        assert_eq!(guarded(transport), None);
        // It ends so.
        assert_eq!(values(&device, STAY, &[0])[..2], [1, IMPERSONATION]);
        assert_eq!(guarded(transport), Some(STATUS_ACCESS_DENIED));
    };
    for _ in 0..3 {
        thread::scope(|scope| {
            scope.spawn(elsewhere).join().expect("is as it should be");
        });
    }
    assert_eq!(guarded(transport), Some(STATUS_ACCESS_DENIED), "still");
    values(&device, REVERT, &[]);
    assert_eq!(guarded(transport), None);
}

fn with_a_user_kept(body: impl FnOnce(&Machine)) {
    with_guarded(|machine| {
        values(&open(&user(machine), DEVICE), KEEP, &[0, IMPERSONATION, DYNAMIC]);
        body(machine);
    });
}

#[test]
fn a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is_embedded() {
    with_a_user_kept(|machine| {
        a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is(
            &machine.process("administrator"),
        );
    });
}

#[test]
fn application_whose_threads_act_for_a_user() {
    if let Some(client) = application() {
        a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is(&client);
    }
}

#[test]
fn a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is_in_another_process() {
    with_a_user_kept(|machine| {
        let (_folder, server) = serve(machine);
        run_application("application_whose_threads_act_for_a_user", server.path());
        server.stop();
    });
}

// ---- the quality of service of an open ---------------------------------------------------------------------------------

/// Level, dynamic tracking, effective only.
fn quality_of(device: &Device<'_>) -> Vec<u64> {
    values(device, CREATED, &[])[..3].to_vec()
}

fn the_quality_of_service_of_an_open_arrives_with_its_create_request(transport: &dyn Transport) {
    let device = open(transport, DEVICE);
    values(&device, WATCH, &[]);
    drop(open(transport, DEVICE));
    assert_eq!(quality_of(&device), [IMPERSONATION, 1, 0], "of who says nothing");
    for (level, value) in [
        (ImpersonationLevel::Anonymous, ANONYMOUS),
        (ImpersonationLevel::Identification, IDENTIFICATION),
        (ImpersonationLevel::Impersonation, IMPERSONATION),
        (ImpersonationLevel::Delegation, DELEGATION),
    ] {
        for (context_tracking, effective_only) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let qos = SecurityQos { level, context_tracking, effective_only };
            drop(OpenOptions::new().security_qos(qos).open(transport, DEVICE).expect("opens"));
            let expected = [value, u64::from(context_tracking), u64::from(effective_only)];
            assert_eq!(quality_of(&device), expected, "{qos:?}");
        }
    }
    // A driver's own open says it in its object attributes.
    let length = 12;
    values(&device, OPEN_WITH, &[IDENTIFICATION, EFFECTIVE_ONLY, length]);
    assert_eq!(quality_of(&device), [IDENTIFICATION, 0, 1]);
    values(&device, OPEN_WITH, &[DELEGATION, DYNAMIC, length]);
    assert_eq!(quality_of(&device), [DELEGATION, 1, 0]);
    let refused = |level, length| case(&device, OPEN_WITH, &[level, 0, length]).status;
    assert_eq!(refused(IMPERSONATION, 8), abi::STATUS_INVALID_PARAMETER.bits());
    assert_eq!(refused(4, length), STATUS_BAD_IMPERSONATION_LEVEL.bits());
    assert_eq!(quality_of(&device), [DELEGATION, 1, 0], "the driver has seen neither");
}

#[test]
fn the_quality_of_service_of_an_open_arrives_with_its_create_request_embedded() {
    embedded(DRIVER, the_quality_of_service_of_an_open_arrives_with_its_create_request);
}

#[test]
fn application_that_says_what_may_be_done_for_it() {
    as_application(the_quality_of_service_of_an_open_arrives_with_its_create_request);
}

#[test]
fn the_quality_of_service_of_an_open_arrives_with_its_create_request_from_another_process() {
    in_another_process(DRIVER, "application_that_says_what_may_be_done_for_it");
}

#[test]
fn a_create_request_carries_the_client_that_its_thread_impersonates() {
    with_guarded(|machine| {
        let (user, administrator) = (user(machine), machine.process("administrator"));
        let (his, hers) = (open(&user, DEVICE), open(&administrator, DEVICE));
        values(&hers, WATCH, &[]);
        drop(open(&administrator, DEVICE));
        assert_eq!(values(&hers, CREATED, &[])[3..], [0, 0, 1]);
        for level in [IDENTIFICATION, IMPERSONATION] {
            values(&his, KEEP, &[0, level, 0]);
            values(&hers, STAY, &[0]);
            // A name below the device is the driver's to judge: what it judges by is the client.
            drop(open(&administrator, r"\\.\RbImpersonate\below"));
            values(&hers, REVERT, &[]);
            assert_eq!(values(&hers, CREATED, &[])[3..], [1, level, 0]);
        }
    });
}

// ---- an application's own tokens ---------------------------------------------------------------------------------------

fn refused<T>(result: Result<T, app::Win32Error>) -> u32 {
    result.err().map_or(0, |error| error.code)
}

/// An administrator's application.
fn an_application_looks_at_its_tokens_lowers_itself_and_reverts(transport: &dyn Transport) {
    const NO_TOKEN: u32 = 1008;
    const BAD_LEVEL: u32 = 1346;
    const CANT_OPEN_ANONYMOUS: u32 = 1347;
    const BAD_TOKEN_TYPE: u32 = 1349;
    let device = open(transport, DEVICE);
    values(&device, GUARD, &[]);
    let own = Token::of_process(transport).expect("opens");
    let user = own.user().expect("is told").to_string();
    assert!(user.starts_with("S-1-5-21-") && user.ends_with("-500"), "{user}");
    assert_eq!(own.impersonation_level().expect("is told"), None);
    assert!(own.is_elevated().expect("is told"));
    assert_eq!(refused(own.impersonate()), 5, "it was not opened for that");
    assert_eq!(refused(Token::of_thread(transport, true)), NO_TOKEN);
    revert_to_self(transport).expect("without effect");

    impersonate_self(transport, ImpersonationLevel::Impersonation).expect("may");
    let mine = Token::of_thread(transport, false).expect("opens");
    assert_eq!(mine.user().expect("is told"), own.user().expect("is told"));
    assert_eq!(mine.impersonation_level().expect("is told"), Some(ImpersonationLevel::Impersonation));
    assert_eq!(refused(mine.duplicate(ImpersonationLevel::Delegation)), BAD_LEVEL);
    assert_eq!(guarded(transport), None);

    impersonate_self(transport, ImpersonationLevel::Identification).expect("may");
    assert_eq!(values(&device, WHOM, &[])[..2], [1, IDENTIFICATION], "the driver sees it");
    assert_eq!(guarded(transport), Some(STATUS_BAD_IMPERSONATION_LEVEL));
    assert_eq!(refused(Token::of_thread(transport, false)), BAD_LEVEL);
    assert_eq!(refused(Token::of_process(transport)), BAD_LEVEL);
    let looked = Token::of_thread(transport, true).expect("as itself");
    assert_eq!(looked.impersonation_level().expect("is told"), Some(ImpersonationLevel::Identification));
    assert_eq!(refused(looked.duplicate(ImpersonationLevel::Impersonation)), BAD_LEVEL);
    revert_to_self(transport).expect("reverts");

    impersonate_self(transport, ImpersonationLevel::Anonymous).expect("may");
    assert_eq!(refused(Token::of_thread(transport, true)), CANT_OPEN_ANONYMOUS);
    revert_to_self(transport).expect("reverts");
    assert_eq!((guarded(transport), refused(Token::of_thread(transport, true))), (None, NO_TOKEN));

    mine.impersonate().expect("it was opened for that");
    assert_eq!(values(&device, WHOM, &[])[..2], [1, IMPERSONATION]);
    revert_to_self(transport).expect("reverts");
    a_token_that_is_none_is_refused(transport, &device);
    let primary = SystemCall::OpenProcessToken { desired_access: abi::TOKEN_IMPERSONATE };
    let primary = transport.system_call(&primary, &mut []).handle;
    let set = transport.system_call(&SystemCall::SetThreadToken { token: Some(primary) }, &mut []);
    assert_eq!(abi::win32_from_status(set.status), BAD_TOKEN_TYPE);
    assert!(transport.close(primary).is_success());
}

fn a_token_that_is_none_is_refused(transport: &dyn Transport, device: &Device<'_>) {
    let status = |call: SystemCall<'_>| transport.system_call(&call, &mut [0; 256]).status;
    let class = abi::TokenUser;
    let duplicate = |handle, kind, level| SystemCall::DuplicateToken {
        handle,
        desired_access: 0,
        level,
        kind,
        effective_only: false,
    };
    for (handle, expected) in
        [(Handle(0x7FFC), abi::STATUS_INVALID_HANDLE), (device.handle(), abi::STATUS_OBJECT_TYPE_MISMATCH)]
    {
        assert_eq!(status(SystemCall::SetThreadToken { token: Some(handle) }), expected);
        assert_eq!(status(SystemCall::QueryInformationToken { handle, class }), expected);
        assert_eq!(status(duplicate(handle, abi::TokenImpersonation, 2)), expected);
    }
    let own = Token::of_process(transport).expect("opens");
    let handle = own.handle();
    assert_eq!(status(duplicate(handle, 3, 2)), abi::STATUS_INVALID_PARAMETER);
    assert_eq!(status(duplicate(handle, abi::TokenImpersonation, 4)), STATUS_BAD_IMPERSONATION_LEVEL);
    assert_eq!(
        status(SystemCall::QueryInformationToken { handle, class: 999 }),
        abi::STATUS_INVALID_INFO_CLASS
    );
    let call = SystemCall::QueryInformationToken { handle, class: abi::TokenGroups };
    let small = transport.system_call(&call, &mut [0; 8]);
    assert_eq!(small.status, abi::STATUS_BUFFER_TOO_SMALL);
    assert!(small.information > 8, "{}", small.information);
    // With none of its rights.
    let call = SystemCall::OpenProcessToken { desired_access: abi::TOKEN_ADJUST_GROUPS };
    let handle = transport.system_call(&call, &mut []).handle;
    assert_eq!(status(SystemCall::QueryInformationToken { handle, class }), STATUS_ACCESS_DENIED);
    assert_eq!(status(duplicate(handle, abi::TokenPrimary, 0)), STATUS_ACCESS_DENIED);
    assert_eq!(status(SystemCall::SetThreadToken { token: Some(handle) }), STATUS_ACCESS_DENIED);
    assert!(transport.close(handle).is_success());
}

#[test]
fn an_application_looks_at_its_tokens_lowers_itself_and_reverts_embedded() {
    embedded(DRIVER, an_application_looks_at_its_tokens_lowers_itself_and_reverts);
}

#[test]
fn application_that_lowers_itself() {
    as_application(an_application_looks_at_its_tokens_lowers_itself_and_reverts);
}

#[test]
fn an_application_looks_at_its_tokens_lowers_itself_and_reverts_in_another_process() {
    in_another_process(DRIVER, "application_that_lowers_itself");
}

#[test]
fn a_server_that_acts_for_a_user_is_refused_its_own_token_and_sees_the_users() {
    with_a_user_kept(|machine| {
        let administrator = machine.process("administrator");
        let device = open(&administrator, DEVICE);
        values(&device, STAY, &[0]);
        assert_eq!(refused(Token::of_process(&administrator)), 5, "the user may not");
        for open_as_self in [false, true] {
            let client = Token::of_thread(&administrator, open_as_self).expect("both may");
            assert!(client.user().expect("is told").to_string().ends_with("-1001"));
            assert!(!client.is_elevated().expect("is told"));
            assert_eq!(refused(client.duplicate(ImpersonationLevel::Delegation)), 1346);
        }
        revert_to_self(&administrator).expect("reverts");
        assert_eq!(guarded(&administrator), None);
    });
}

// ---- two Linux users ---------------------------------------------------------------------------------------------------

/// A user without any rights.
const STRANGER: u32 = 65534;

#[test]
fn application_of_a_user_that_is_acted_for() {
    let Some(client) = application() else { return };
    let device = open(&client, DEVICE);
    assert_eq!(guarded(&client), Some(STATUS_ACCESS_DENIED));
    values(&device, KEEP, &[0, IMPERSONATION, 0]);
    // What an administrator has left in the other slot does not lift it.
    assert_eq!(values(&device, ACT, &[1])[0], BAD_LEVEL);
    assert_eq!(guarded(&client), Some(STATUS_ACCESS_DENIED));
}

#[test]
fn application_of_an_administrator_that_acts_for_a_user() {
    let Some(client) = application() else { return };
    let device = open(&client, DEVICE);
    assert_eq!(values(&device, ACT, &[0]), [DENIED, OK, OK]);
    assert_eq!(values(&device, ACT_IN_THREAD, &[0]), [DENIED, OK, OK, 0]);
    a_thread_stays_impersonated_from_call_to_call_and_no_other_thread_is(&client);
}

#[test]
fn an_administrator_acts_for_a_linux_user_who_has_gone_and_no_user_for_an_administrator() {
    let Some(folder) = PublicFolder::for_other_users() else { return };
    with_guarded(|machine| {
        let socket = folder.path("host.sock");
        let options = ServeOptions { admission: Admission::Everyone, ..ServeOptions::default() };
        let server = machine.serve_to(&socket, options).expect("serves");
        values(&open(&machine.process("administrator"), DEVICE), KEEP, &[1, DELEGATION, 0]);
        folder.run_as(STRANGER, STRANGER, "application_of_a_user_that_is_acted_for", &socket);
        run_application("application_of_an_administrator_that_acts_for_a_user", &socket);
        server.stop();
    });
}
