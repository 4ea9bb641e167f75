//! Services: drivers that are known by their keys, and started and stopped by name, from the machine's side, a driver's (`ZwLoadDriver`)
//! and an application's (`StartService`, `FilterLoad`).

use std::sync::{Arc, Barrier};
use std::thread;

use abi::NTSTATUS;
use app::{Device, Transport, filter_load, filter_unload, start_service, stop_service};
use host::{LoadOptions, Machine, NewService, ServiceError, ServiceImage, Token, UnloadOutcome};
use ringbridge_scenarios::{
    Form, SampleDriver, VERDICT, application, open, run_application, scenario, serve, sys_path,
};

/// The test driver, which is many services.
const SERVICES: &str = "services";
const LOAD: u32 = 0;
const UNLOAD: u32 = 1;
const LOAD_FILTER: u32 = 2;
const UNLOAD_FILTER: u32 = 3;
const FACTS: u32 = 4;

const ALREADY_RUNNING: u32 = 0x8007_0420;
const BAD_EXE_FORMAT: u32 = 0x8007_00C1;
const DENIED: u32 = 0x8007_0005;
const NOT_FOUND: u32 = 0x8007_0002;
const PRIVILEGE_NOT_HELD: u32 = 0x8007_0522;
const DO_NOT_DETACH: u32 = 0x801F_0010;

fn file(name: &str) -> ServiceImage {
    ServiceImage::File(sys_path(name))
}

/// A machine that knows the test driver as services of these names.
fn machine(names: &[&str]) -> Machine {
    let machine = Machine::new().expect("a machine");
    for name in names {
        machine.add_service(&NewService::new(name, file(SERVICES))).expect("is new");
    }
    machine
}

fn state(machine: &Machine, name: &str) -> u32 {
    machine.service(name).expect("is known").state
}

fn loaded(machine: &Machine) -> Vec<String> {
    let mut names: Vec<_> = machine.drivers().into_iter().map(|driver| driver.name).collect();
    names.sort();
    names
}

fn stops(machine: &Machine, name: &str) {
    match machine.stop_service(name).expect("stops") {
        UnloadOutcome::Unloaded(report) => assert!(report.is_clean(), "{report:?}"),
        UnloadOutcome::Pending { files } => panic!("{files} files keep {name}"),
    }
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}

/// Has the driver of `device` do something with a name; its status.
fn asks(device: &Device<'_>, number: u32, name: &str) -> NTSTATUS {
    let input: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut answer = [0; 32];
    device.control(code(number), &input, &mut answer).expect("answers");
    NTSTATUS::from_bits(u32::from_le_bytes(answer[..4].try_into().expect("four bytes")))
}

fn code(number: u32) -> app::ControlCode {
    app::ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, abi::METHOD_BUFFERED, 0))
}

/// What the driver `started` saw in its DriverEntry: whether the process was the system's, the IRQL, whether the thread was.
fn facts(transport: &dyn Transport) -> [u64; 3] {
    let device = Device::open(transport, r"\\.\RbStarted").expect("opens");
    let mut answer = [0; 24];
    device.control(code(FACTS), &[], &mut answer).expect("answers");
    let (words, _) = answer.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

fn key(name: &str) -> String {
    format!(r"\Registry\Machine\System\CurrentControlSet\Services\{name}")
}

#[test]
fn a_service_is_made_started_stopped_and_deleted_by_its_name() {
    let machine = machine(&["started"]);
    assert_eq!(state(&machine, "STARTED"), abi::SERVICE_STOPPED);
    let key = machine.service("started").expect("is known").key;
    assert_eq!((key.service_type, key.start_type, key.error_control), (1, 3, 1));
    assert_eq!(key.image_path, r"\SystemRoot\System32\drivers\services.sys");
    let again = machine.add_service(&NewService::new("Started", file(SERVICES)));
    assert!(matches!(again, Err(ServiceError::Exists(_))), "{again:?}");
    let idle = machine.stop_service("started");
    assert!(matches!(idle, Err(ServiceError::NotActive(_))), "{idle:?}");
    for _ in 0..3 {
        machine.start_service("started").expect("starts");
        assert_eq!(state(&machine, "started"), abi::SERVICE_RUNNING);
        let twice = machine.start_service("started");
        assert!(matches!(twice, Err(ServiceError::AlreadyRunning(_))), "{twice:?}");
        stops(&machine, "started");
        assert_eq!(state(&machine, "started"), abi::SERVICE_STOPPED);
    }
    assert!(machine.delete_service("started").expect("is known"), "at once");
    let none = machine.start_service("started").expect_err("is gone");
    assert!(matches!(none, ServiceError::DoesNotExist(_)), "{none:?}");
    assert_eq!(abi::win32_from_status(none.status()), abi::ERROR_SERVICE_DOES_NOT_EXIST);
}

#[test]
fn a_service_that_runs_is_deleted_when_it_has_stopped() {
    let machine = machine(&["started"]);
    let process = machine.process("test");
    machine.start_service("started").expect("starts");
    let device = Device::open(&process, r"\\.\RbStarted").expect("opens");
    assert!(!machine.delete_service("started").expect("is known"), "later");
    let twice = machine.delete_service("started");
    assert!(matches!(twice, Err(ServiceError::MarkedForDelete(_))), "{twice:?}");
    let pending = machine.stop_service("started").expect("is asked");
    assert_eq!(pending, UnloadOutcome::Pending { files: 1 });
    assert_eq!(state(&machine, "started"), abi::SERVICE_STOP_PENDING);
    let asked = machine.stop_service("started");
    assert!(matches!(asked, Err(ServiceError::CannotAcceptControl(_))), "{asked:?}");
    drop(device);
    assert!(matches!(machine.service("started"), Err(ServiceError::DoesNotExist(_))));
    // The name is free, and what had it is not remembered.
    machine.add_service(&NewService::new("started", file(SERVICES))).expect("is new");
    machine.start_service("started").expect("starts");
    stops(&machine, "started");
}

#[test]
fn what_cannot_be_started_says_why_and_stays_stopped() {
    let machine = machine(&["services_refusing", "services_staying"]);
    let folder = tempfile::tempdir().expect("a folder");
    let torn = folder.path().join("torn.sys");
    let file = |path: &std::path::Path| ServiceImage::File(path.to_owned());
    machine.add_service(&NewService::new("torn", file(&torn))).expect("is new");
    let disabled = NewService { start_type: abi::SERVICE_DISABLED, ..NewService::new("off", file(&torn)) };
    machine.add_service(&disabled).expect("is new");
    let status = |name: &str| machine.start_service(name).expect_err("does not start").status();
    assert_eq!(status("torn"), abi::STATUS_OBJECT_NAME_NOT_FOUND);
    std::fs::write(&torn, &std::fs::read(sys_path(SERVICES)).expect("is built")[..3000]).expect("is ours");
    assert_eq!(status("torn"), abi::STATUS_INVALID_IMAGE_FORMAT);
    // At each start the file is opened anew.
    std::fs::copy(sys_path(SERVICES), &torn).expect("is ours");
    machine.start_service("torn").expect("is whole now");
    stops(&machine, "torn");
    assert_eq!(status("services_refusing"), abi::STATUS_ACCESS_DENIED);
    assert_eq!(abi::win32_from_status(status("off")), abi::ERROR_SERVICE_DISABLED);
    assert_eq!(loaded(&machine), [""; 0]);
    machine.start_service("services_staying").expect("starts");
    let stays = machine.stop_service("services_staying");
    assert!(matches!(stays, Err(ServiceError::InvalidControl(_))), "{stays:?}");
    for (name, kind, start) in [("a", 0, 3), ("a", 16, 3), ("a", 3, 3), ("a", 1, 5)] {
        let wrong =
            NewService { service_type: kind, start_type: start, ..NewService::new(name, file(&torn)) };
        let refused = machine.add_service(&wrong).expect_err("is refused").status();
        assert_eq!(refused, abi::STATUS_INVALID_PARAMETER);
    }
    let wrong = machine.add_service(&NewService::new(r"a\b", file(&torn))).expect_err("is refused");
    assert_eq!(wrong.status(), abi::STATUS_OBJECT_NAME_INVALID);
}

#[test]
fn a_driver_loads_and_unloads_others_by_their_keys() {
    let machine = machine(&["services", "started", "services_refusing", "services_staying"]);
    machine.start_service("services").expect("starts");
    let process = machine.process("test");
    let device = open(&process, r"\\.\RbServices");
    assert_eq!(asks(&device, LOAD, &key("Started")), abi::STATUS_SUCCESS);
    assert_eq!(
        facts(&process),
        [1, 0, 1],
        "in a system thread, at PASSIVE_LEVEL, not in the caller's process"
    );
    assert_eq!(asks(&device, LOAD, &key("started")), abi::STATUS_IMAGE_ALREADY_LOADED);
    assert_eq!(asks(&device, UNLOAD, &key("started").to_uppercase()), abi::STATUS_SUCCESS);
    assert_eq!(asks(&device, UNLOAD, &key("started")), abi::STATUS_OBJECT_NAME_NOT_FOUND);
    for wrong in [&key("none"), "", "started", &key(""), &key(r"started\Parameters"), r"\Device\started"] {
        assert_eq!(asks(&device, LOAD, wrong), abi::STATUS_OBJECT_NAME_NOT_FOUND, "{wrong}");
        assert_eq!(asks(&device, UNLOAD, wrong), abi::STATUS_OBJECT_NAME_NOT_FOUND, "{wrong}");
    }
    assert_eq!(asks(&device, LOAD, &key("services_refusing")), abi::STATUS_ACCESS_DENIED);
    assert_eq!(asks(&device, LOAD_FILTER, "started"), abi::STATUS_SUCCESS);
    assert_eq!(asks(&device, UNLOAD_FILTER, "started"), abi::STATUS_FLT_FILTER_NOT_FOUND, "it is none");
    assert_eq!(loaded(&machine), ["services", "started"]);
    stops(&machine, "started");
    drop(device);
    stops(&machine, "services");
}

#[test]
fn a_driver_may_load_another_in_its_own_entry() {
    let machine = machine(&["services_nesting", "started"]);
    machine.start_service("services_nesting").expect("starts");
    assert_eq!(loaded(&machine), ["services_nesting", "started"]);
    stops(&machine, "services_nesting");
    // By an application, too.
    let process = machine.process("test");
    let failed = start_service(&process, "services_nesting").expect_err("the other is loaded");
    assert_eq!(failed.code, abi::ERROR_SERVICE_ALREADY_RUNNING);
    stop_service(&process, "started").expect("stops");
    start_service(&process, "services_nesting").expect("starts");
    assert_eq!(facts(&process), [1, 0, 1]);
    stops(&machine, "started");
    stops(&machine, "services_nesting");
}

#[test]
fn of_those_who_load_a_service_at_the_same_time_one_does() {
    let machine = machine(&["started"]);
    let process = machine.process("test");
    for _ in 0..10 {
        let together = Barrier::new(4);
        let done: Vec<_> = thread::scope(|scope| {
            let load = || {
                together.wait();
                filter_load(&process, "started").err().map(|error| error.hresult)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(done.iter().filter(|done| done.is_none()).count(), 1, "{done:x?}");
        assert!(done.iter().flatten().all(|hresult| *hresult == ALREADY_RUNNING), "{done:x?}");
        stops(&machine, "started");
    }
}

#[test]
fn an_application_loads_by_name_what_it_may() {
    let machine = machine(&["started", "services_refusing"]);
    let folder = tempfile::tempdir().expect("a folder");
    let torn = folder.path().join("torn.sys");
    std::fs::write(&torn, b"MZ").expect("is ours");
    machine.add_service(&NewService::new("torn", ServiceImage::File(torn))).expect("is new");
    let (process, user) = (machine.process("test"), machine.process_as("user", Token::user()));
    let load = |name: &str| filter_load(&process, name).expect_err("is not loaded").hresult;
    assert_eq!(filter_load(&user, "started").expect_err("no privilege").hresult, PRIVILEGE_NOT_HELD);
    for refused in [start_service(&user, "started"), stop_service(&user, "started")] {
        assert_eq!(refused.expect_err("no privilege").code, abi::ERROR_PRIVILEGE_NOT_HELD);
    }
    assert_eq!(load("none"), NOT_FOUND);
    assert_eq!(load(""), NOT_FOUND);
    assert_eq!(load(r"started\Parameters"), NOT_FOUND);
    assert_eq!(load("torn"), BAD_EXE_FORMAT);
    assert_eq!(load("services_refusing"), DENIED);
    filter_load(&process, "STARTED").expect("loads");
    assert_eq!(facts(&process), [1, 0, 1]);
    assert_eq!(load("started"), ALREADY_RUNNING);
    assert_eq!(loaded(&machine), ["started"], "by the name of its key");
    let device = Device::open(&process, r"\\.\RbStarted").expect("opens");
    stop_service(&process, "started").expect("is asked, and goes with its last file");
    assert_eq!(state(&machine, "started"), abi::SERVICE_STOP_PENDING);
    drop(device);
    assert_eq!(stop_service(&process, "started").expect_err("has stopped").code, abi::ERROR_FILE_NOT_FOUND);
}

/// The application of `verdict`, which brings its driver.
fn loads_talks_and_unloads(transport: &Arc<dyn Transport>) {
    for _ in 0..2 {
        filter_load(&**transport, VERDICT.name).expect("loads");
        assert_eq!(filter_load(&**transport, VERDICT.name).expect_err("again").hresult, ALREADY_RUNNING);
        let mut said = Vec::new();
        sample_applications::verdict::run(transport.clone(), &mut |line: &str| said.push(line.to_owned()))
            .expect("runs");
        assert_eq!(said[0], "without a guard: opened");
        assert_eq!(said[5], "allowed 81, denied 22, unanswered 0, unguarded 1", "it counts anew: {said:?}");
        let stays = filter_unload(&**transport, VERDICT.name).expect_err("it has no callback");
        assert_eq!(stays.hresult, DO_NOT_DETACH);
        stop_service(&**transport, VERDICT.name).expect("stops");
    }
}

#[test]
fn loads_in_a_process_of_its_own() {
    if let Some(client) = application() {
        let client: Arc<dyn Transport> = Arc::new(client);
        loads_talks_and_unloads(&client);
    }
}

fn knowing(driver: SampleDriver, form: Form) -> Machine {
    let machine = Machine::new().expect("a machine");
    let image = match form {
        Form::Native => ServiceImage::Native(driver.entry),
        Form::Sys => file(driver.name),
    };
    let service = NewService {
        service_type: abi::SERVICE_FILE_SYSTEM_DRIVER,
        altitude: Some("370030"),
        ..NewService::new(driver.name, image)
    };
    machine.add_service(&service).expect("is new");
    machine
}

scenario! {
    fn an_application_loads_its_filter_talks_and_unloads_it(form: Form) {
        let machine = knowing(VERDICT, form);
        let process: Arc<dyn Transport> = Arc::new(machine.process("application"));
        loads_talks_and_unloads(&process);
        drop(process);
        let (_folder, server) = serve(&machine);
        run_application("loads_in_a_process_of_its_own", server.path());
        server.stop();
        assert_eq!(loaded(&machine), ["FltMgr"]);
        assert_eq!(state(&machine, VERDICT.name), abi::SERVICE_STOPPED);
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}

scenario! {
    fn what_was_loaded_can_be_started_by_its_name(form: Form) {
        let machine = VERDICT.machine(form);
        let process = machine.process("test");
        machine.unload(VERDICT.name).expect("unloads");
        assert_eq!(state(&machine, VERDICT.name), abi::SERVICE_STOPPED);
        filter_load(&process, VERDICT.name).expect("loads");
        stops(&machine, VERDICT.name);
        let bytes = std::fs::read(sys_path(VERDICT.name)).expect("is built");
        machine.load_image("copy", "copy.sys", &bytes, LoadOptions::default()).expect("loads");
        stops(&machine, "copy");
        filter_load(&process, "copy").expect("its bytes are kept");
        stops(&machine, "copy");
        // Its key alone is gone, and with it what is known of it.
        assert!(machine.delete_service("copy").expect("is known"));
        assert_eq!(filter_load(&process, "copy").expect_err("is gone").hresult, NOT_FOUND);
    }
}
