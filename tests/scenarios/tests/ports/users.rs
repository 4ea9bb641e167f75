//! Who may connect to a port, and whom its server acts as.

use app::ImpersonationLevel;
use app::OpenOptions;
use host::Token;
use kernel::se::{Ace, Acl, well_known};
use ringbridge_scenarios::run_case;

use super::*;

/// For administrators and the system.
const GUARDED: &str = r"\\.\RbGuarded";
/// The case of `impersonate.sys` that makes it.
const GUARD: u32 = 0;

#[test]
fn a_port_is_connected_to_by_whom_its_list_lets() {
    let machine = Machine::new().expect("a machine");
    let (server, stranger) = (machine.process("server"), machine.process_as("stranger", Token::user()));
    let port = create(&server);
    let refused =
        Port::connect(&stranger, NAME, SecurityQos::default(), None, b"").expect_err("not its user");
    assert_eq!(refused.status, abi::STATUS_ACCESS_DENIED);
    drop(port);
    nothing_is_left(&machine);
}

/// How opening the device of administrators ends.
fn guarded(transport: &dyn Transport) -> Option<NTSTATUS> {
    OpenOptions::new().access(abi::FILE_READ_DATA).open(transport, GUARDED).err().map(|error| error.status)
}

/// What a server may open while it acts as a client that is no administrator in effect.
fn opened_as_client(qos: SecurityQos) -> (Option<NTSTATUS>, Result<(), NTSTATUS>) {
    let machine = ringbridge_scenarios::machine_with("impersonate");
    let mut everybody = Token::administrator();
    everybody.default_dacl = Acl::new(vec![Ace::allow(abi::GENERIC_ALL, well_known::WORLD)]);
    let server = machine.process_as("server", everybody);
    run_case(&open(&server, r"\\.\RbImpersonate"), GUARD, &[]).expect("is made");
    let client = Token::administrator().deny_only(well_known::ADMINISTRATORS);
    let client = machine.process_as("client", client);
    let port = create(&server);
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            let own = Port::connect(&client, NAME, qos, None, b"").expect("everybody may").port;
            own.request_wait_reply(&Message::new(b"")).expect("is replied to");
        });
        let request = port.listen().expect("a client comes");
        let own = Port::accept(&server, &request, 1, None, b"").expect("it waits").port;
        own.complete().expect("it waits");
        let asked = port.receive(None).expect("it asks").expect("for ever").message;
        assert_eq!(guarded(&server), None, "as itself");
        let wrong = port.impersonate_client(&asked).map(drop);
        assert_eq!(wrong, Err(abi::STATUS_INVALID_PORT_HANDLE), "not an end of a connection");
        let acting = own.impersonate_client(&asked).expect("it waits");
        let as_client = guarded(&server);
        drop(acting);
        assert_eq!(guarded(&server), None, "as itself again");
        own.reply(&asked.reply(b"")).expect("it waits");
        (as_client, own.impersonate_client(&asked).map(drop))
    });
    drop(port);
    drop((server, client));
    assert_eq!(machine.port_usage(), PortUsage::default());
    seen
}

#[test]
fn a_server_acts_as_its_client_until_it_reverts_and_before_it_replies() {
    for context_tracking in [true, false] {
        let (opened, late) = opened_as_client(SecurityQos { context_tracking, ..SecurityQos::default() });
        assert_eq!(opened, Some(abi::STATUS_ACCESS_DENIED), "what its client may not open");
        assert_eq!(late, Err(abi::STATUS_REPLY_MESSAGE_MISMATCH), "the request is over");
    }
}

#[test]
fn a_server_opens_nothing_as_a_client_that_lets_itself_be_identified_only() {
    let level = ImpersonationLevel::Identification;
    let (opened, _) = opened_as_client(SecurityQos { level, ..SecurityQos::default() });
    assert_eq!(opened, Some(abi::STATUS_BAD_IMPERSONATION_LEVEL));
}

fn connected_to(client: &dyn Transport, name: &str, server: &app::Sid) -> Result<(), NTSTATUS> {
    let connected =
        Port::secure_connect(client, name, SecurityQos::default(), None, &[b'x'; MAX_DATA], server);
    connected.map(drop).map_err(|refused| refused.status)
}

#[test]
fn a_client_that_says_who_its_server_must_be_connects_to_nobody_else() {
    let machine = Machine::new().expect("a machine");
    let (server, client) = (machine.process("server"), machine.process("client"));
    let port = create(&server);
    let own = app::Token::of_process(&server).and_then(|token| token.user()).expect("has one");
    let system = app::Sid::from_bytes(&well_known::LOCAL_SYSTEM.to_bytes()).expect("one");
    assert_eq!(connected_to(&client, NAME, &system), Err(abi::STATUS_SERVER_SID_MISMATCH));
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = port.listen().expect("a client comes");
            assert_eq!(request.data(), [b'x'; 16], "the SID is no part of it");
            Port::accept(&server, &request, 0, None, b"")
                .expect("it waits")
                .port
                .complete()
                .expect("it waits");
        });
        assert_eq!(connected_to(&client, NAME, &own), Ok(()));
    });
    drop(port);
    drop((server, client));
    nothing_is_left(&machine);
}

#[test]
fn everybody_may_put_ports_into_rpc_control_and_not_among_the_devices() {
    let machine = Machine::new().expect("a machine");
    let user = machine.process_as("user", Token::user());
    let made = |name| Port::create(&user, name, 0, 0);
    let port = made(r"\RPC Control\RbPort").expect("everybody may");
    assert_eq!(made(r"\rpc control\rbport").map(drop), Err(abi::STATUS_OBJECT_NAME_COLLISION));
    assert_eq!(made(r"\Device\RbPort").map(drop), Err(abi::STATUS_ACCESS_DENIED));
    drop(port);
    drop(user);
    nothing_is_left(&machine);
}
