//! Every entry of a driver's dispatch table, and what causes it: one row each, as `docs/majors.md` shows them. The driver is
//! `tests/drivers/majors.c`, which writes down what comes.

use abi::{METHOD_BUFFERED, METHOD_NEITHER, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS};
use app::{Buffer, ControlCode, Device, OpenOptions, Transport, Win32Error};
use gate::{FileCall, Handle, LockedRange, Mailslot, Memory, NamedPipe, Notice, SystemCall};
use host::{DeviceAction, DeviceRequest, Machine, WmiQuery};
use ringbridge_scenarios::{as_application, machine_with, run_application, serve, unload_when_closed};

const DRIVER: &str = "majors";
const DEVICE: &str = r"\\.\RbMajors";
const FILE: &str = r"\\.\RbMajors\file";
const ALL_BACK: u8 = 255;
const WRITE_DAC_TOO: u32 = abi::GENERIC_READ | abi::GENERIC_WRITE | abi::WRITE_DAC;
/// Of a SECURITY_DESCRIPTOR: a header with nothing behind.
const NO_DESCRIPTOR: usize = 20;

fn code(number: u32, method: u32) -> ControlCode {
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900 + number, method, abi::FILE_ANY_ACCESS))
}

/// What a routine was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    major: u8,
    minor: u8,
    user_mode: bool,
    irql: u8,
    has_file: bool,
    /// Whether it came to the device of a stack.
    plug: bool,
    irp_flags: u32,
    /// Bytes of the file's name.
    name: u32,
    parameters: [u64; 4],
}

/// What the driver has seen since it was asked last; asking makes no IRP.
fn take(device: &Device<'_>) -> Vec<Seen> {
    let mut room = vec![0; 64 * 48];
    let bytes = device.control(code(0, METHOD_NEITHER), &[], &mut room).expect("tells");
    let entry = |entry: &[u8]| Seen {
        major: entry[0],
        minor: entry[1],
        user_mode: entry[2] == 1,
        irql: entry[3],
        has_file: entry[4] == 1,
        plug: entry[6] == 1,
        irp_flags: u32::from_le_bytes(entry[8..12].try_into().expect("four bytes")),
        name: u32::from_le_bytes(entry[12..16].try_into().expect("four bytes")),
        parameters: std::array::from_fn(|index| {
            u64::from_le_bytes(entry[16 + index * 8..][..8].try_into().expect("eight bytes"))
        }),
    };
    room[..bytes as usize].chunks_exact(48).map(entry).collect()
}

fn without(device: &Device<'_>, major: u8) {
    device.control(code(1, METHOD_NEITHER), &[major], &mut []).expect("changes");
}

/// Who causes a request.
enum Cause {
    /// This call of an application's.
    Application(fn(&dyn Transport) -> NTSTATUS),
    /// The tool, or whoever else runs the machine.
    Tool(fn(&Machine) -> NTSTATUS),
    /// Nobody: NT reserves the entry.
    Nobody,
}

struct Row {
    major: u8,
    cause: Cause,
    /// The minor function, and the words of the parameters that a row looks at.
    minor: u8,
    parameters: [Option<u64>; 4],
    /// What the cause ends with where the driver has no routine.
    absent: NTSTATUS,
}

use Cause::{Application, Nobody, Tool};

const ANY: Option<u64> = None;
const INVALID: NTSTATUS = STATUS_INVALID_DEVICE_REQUEST;

fn row(major: u8, cause: Cause, minor: u8, parameters: [Option<u64>; 4], absent: NTSTATUS) -> Row {
    Row { major, cause, minor, parameters, absent }
}

fn table() -> Vec<Row> {
    let at = |value: u64| Some(value);
    let sizes = abi::FILE_OPEN << 24 | abi::FILE_SYNCHRONOUS_IO_NONALERT | abi::FILE_NON_DIRECTORY_FILE;
    let pipe_options = at((abi::FILE_OPEN_IF << 24 | abi::FILE_SYNCHRONOUS_IO_NONALERT).into());
    let slot_options = at((abi::FILE_CREATE << 24 | abi::FILE_SYNCHRONOUS_IO_NONALERT).into());
    let owner = at(abi::OWNER_SECURITY_INFORMATION.into());
    let dacl = at(abi::DACL_SECURITY_INFORMATION.into());
    let shutdown = Tool(|machine| machine.shut_down().map_or_else(|status| status, |()| STATUS_SUCCESS));
    let class = |class: i32| Some(u64::from(class.cast_unsigned()));
    vec![
        row(abi::IRP_MJ_CREATE, Application(create), 0, [ANY, at(sizes.into()), ANY, at(0)], INVALID),
        row(abi::IRP_MJ_CREATE_NAMED_PIPE, Application(pipe), 0, [ANY, pipe_options, ANY, at(1)], INVALID),
        row(abi::IRP_MJ_CLOSE, Application(close), 0, [at(0); 4], STATUS_SUCCESS),
        row(abi::IRP_MJ_READ, Application(read), 0, [at(5), ANY, at(0), ANY], INVALID),
        row(abi::IRP_MJ_WRITE, Application(write), 0, [at(6), ANY, at(0), ANY], INVALID),
        row(abi::IRP_MJ_QUERY_INFORMATION, Application(query), 0, [at(24), class(5), ANY, ANY], INVALID),
        row(abi::IRP_MJ_SET_INFORMATION, Application(set), 0, [at(8), class(20), ANY, ANY], INVALID),
        row(abi::IRP_MJ_QUERY_EA, Application(query_ea), 0, [at(128), at(0), at(0), at(0)], INVALID),
        row(abi::IRP_MJ_SET_EA, Application(set_ea), 0, [at(11), ANY, ANY, ANY], INVALID),
        row(abi::IRP_MJ_FLUSH_BUFFERS, Application(flush), 0, [at(0); 4], INVALID),
        row(
            abi::IRP_MJ_QUERY_VOLUME_INFORMATION,
            Application(query_volume),
            0,
            [at(64), at(1), ANY, ANY],
            INVALID,
        ),
        row(
            abi::IRP_MJ_SET_VOLUME_INFORMATION,
            Application(set_volume),
            0,
            [at(8), at(2), ANY, ANY],
            INVALID,
        ),
        row(
            abi::IRP_MJ_DIRECTORY_CONTROL,
            Application(list),
            abi::IRP_MN_QUERY_DIRECTORY,
            [at(128), at(0), class(37), at(0)],
            INVALID,
        ),
        row(
            abi::IRP_MJ_FILE_SYSTEM_CONTROL,
            Application(fs_control),
            abi::IRP_MN_USER_FS_REQUEST,
            [at(0), at(0), at(0x9_0000), ANY],
            INVALID,
        ),
        row(abi::IRP_MJ_DEVICE_CONTROL, Application(control), 0, [at(4), at(3), ANY, ANY], INVALID),
        row(
            abi::IRP_MJ_INTERNAL_DEVICE_CONTROL,
            Application(internal),
            0,
            [at(0), at(0), at(0x77), ANY],
            INVALID,
        ),
        row(abi::IRP_MJ_SHUTDOWN, shutdown, 0, [ANY; 4], STATUS_SUCCESS),
        row(
            abi::IRP_MJ_LOCK_CONTROL,
            Application(lock),
            abi::IRP_MN_LOCK,
            [ANY, at(77), at(5), ANY],
            INVALID,
        ),
        row(abi::IRP_MJ_CLEANUP, Application(close), 0, [at(0); 4], STATUS_SUCCESS),
        row(
            abi::IRP_MJ_CREATE_MAILSLOT,
            Application(mailslot),
            0,
            [ANY, slot_options, ANY, at(3 | 100 << 32)],
            INVALID,
        ),
        row(
            abi::IRP_MJ_QUERY_SECURITY,
            Application(query_security),
            0,
            [owner, at(1024), ANY, ANY],
            STATUS_SUCCESS,
        ),
        // The revision, and SE_SELF_RELATIVE with SE_DACL_PRESENT.
        row(
            abi::IRP_MJ_SET_SECURITY,
            Application(set_security),
            0,
            [dacl, at(0x8004_0001), ANY, ANY],
            STATUS_SUCCESS,
        ),
        row(abi::IRP_MJ_POWER, Tool(power), abi::IRP_MN_QUERY_POWER, [ANY; 4], STATUS_SUCCESS),
        row(
            abi::IRP_MJ_SYSTEM_CONTROL,
            Tool(system_control),
            abi::IRP_MN_QUERY_ALL_DATA,
            [ANY, ANY, at(4096), ANY],
            INVALID,
        ),
        row(abi::IRP_MJ_DEVICE_CHANGE, Nobody, 0, [ANY; 4], INVALID),
        row(abi::IRP_MJ_QUERY_QUOTA, Application(query_quota), 0, [at(128), at(0), at(0), at(0)], INVALID),
        row(abi::IRP_MJ_SET_QUOTA, Application(set_quota), 0, [at(52), ANY, ANY, ANY], INVALID),
        row(abi::IRP_MJ_PNP, Tool(plug), abi::IRP_MN_START_DEVICE, [ANY; 4], STATUS_SUCCESS),
    ]
}

// ---- the calls ----------------------------------------------------------------------------------------------------------

fn ended<T>(result: Result<T, Win32Error>) -> NTSTATUS {
    match result {
        Ok(_) => STATUS_SUCCESS,
        Err(error) => {
            let is_one = error.status == STATUS_INVALID_DEVICE_REQUEST;
            assert_eq!(error.code == 1, is_one, "ERROR_INVALID_FUNCTION is that status: {error}");
            error.status
        }
    }
}

fn file(transport: &dyn Transport) -> Device<'_> {
    OpenOptions::new().access(WRITE_DAC_TOO).open(transport, FILE).expect("opens")
}

fn call(transport: &dyn Transport, request: &SystemCall<'_>, output: &mut [u8]) -> NTSTATUS {
    transport.system_call(request, output).status
}

fn create(transport: &dyn Transport) -> NTSTATUS {
    ended(OpenOptions::new().open(transport, FILE))
}

fn close(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).close())
}

fn read(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).read(&mut [0; 5]))
}

fn write(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).write(&[0; 6]))
}

fn query(transport: &dyn Transport) -> NTSTATUS {
    let file = file(transport);
    let request =
        SystemCall::QueryInformationFile { handle: file.handle(), class: abi::FileStandardInformation };
    call(transport, &request, &mut [0; 24])
}

fn set(transport: &dyn Transport) -> NTSTATUS {
    let file = file(transport);
    let class = abi::FileEndOfFileInformation;
    let request = SystemCall::SetInformationFile { handle: file.handle(), class, data: &[0; 8] };
    call(transport, &request, &mut [])
}

fn flush(transport: &dyn Transport) -> NTSTATUS {
    let file = file(transport);
    call(transport, &SystemCall::FlushBuffersFile { handle: file.handle() }, &mut [])
}

fn fs_control(transport: &dyn Transport) -> NTSTATUS {
    let file = file(transport);
    let block = transport.allocate_memory(16).expect("memory");
    let notice = Notice { io_status_block: block.address(), ..Notice::default() };
    let (input, output) = (Memory::default(), Memory::default());
    let request = SystemCall::FsControl { handle: file.handle(), code: 0x9_0000, input, output, notice };
    call(transport, &request, &mut [])
}

fn control(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).control(code(9, METHOD_BUFFERED), &[0; 3], &mut [0; 4]))
}

fn internal(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).control(code(2, METHOD_BUFFERED), &[], &mut []))
}

fn path() -> Vec<u16> {
    r"\??\RbMajors\new".encode_utf16().collect()
}

fn opened(transport: &dyn Transport, request: &SystemCall<'_>) -> NTSTATUS {
    let reply = transport.system_call(request, &mut []);
    if reply.status.is_success() {
        assert_ne!(reply.handle, Handle(0));
        assert!(transport.close(reply.handle).is_success());
    }
    reply.status
}

fn pipe(transport: &dyn Transport) -> NTSTATUS {
    let pipe = NamedPipe {
        desired_access: abi::GENERIC_READ | abi::SYNCHRONIZE,
        share_access: abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_OPEN_IF,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        pipe_type: abi::FILE_PIPE_MESSAGE_TYPE,
        maximum_instances: 1,
        default_timeout: -1,
        ..NamedPipe::default()
    };
    opened(transport, &SystemCall::CreateNamedPipeFile { name: &path(), pipe, descriptor: &[] })
}

fn mailslot(transport: &dyn Transport) -> NTSTATUS {
    let mailslot = Mailslot {
        desired_access: abi::GENERIC_READ | abi::SYNCHRONIZE,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        quota: 3,
        maximum_message_size: 100,
        read_timeout: -1,
    };
    opened(transport, &SystemCall::CreateMailslotFile { name: &path(), mailslot })
}

fn query_security(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).security(abi::OWNER_SECURITY_INFORMATION))
}

fn set_security(transport: &dyn Transport) -> NTSTATUS {
    ended(file(transport).set_security(abi::DACL_SECURITY_INFORMATION, &null_dacl()))
}

/// A descriptor with a NULL DACL.
fn null_dacl() -> [u8; NO_DESCRIPTOR] {
    let mut descriptor = [0; NO_DESCRIPTOR];
    descriptor[0] = abi::SECURITY_DESCRIPTOR_REVISION;
    descriptor[2..4].copy_from_slice(&(abi::SE_SELF_RELATIVE | abi::SE_DACL_PRESENT).to_le_bytes());
    descriptor
}

/// A request about the file, with `contents` in its buffer of `length` bytes.
fn about(
    transport: &dyn Transport,
    (contents, length): (&[u8], u32),
    make: impl Fn(Handle, Memory, Notice) -> FileCall<'static>,
) -> NTSTATUS {
    let file = file(transport);
    let mut room = Buffer::new(transport, length).expect("memory");
    room.write(0, contents);
    let block = Buffer::new(transport, 16).expect("memory");
    let memory = Memory { address: room.address(), length };
    let notice = Notice { io_status_block: block.address(), ..Notice::default() };
    call(transport, &SystemCall::File(make(file.handle(), memory, notice)), &mut [0; 64])
}

fn query_ea(transport: &dyn Transport) -> NTSTATUS {
    about(transport, (&[], 128), |handle, buffer, Notice { io_status_block, .. }| FileCall::QueryEa {
        handle,
        buffer,
        flags: 0,
        index: 0,
        list: &[],
        io_status_block,
    })
}

fn set_ea(transport: &dyn Transport) -> NTSTATUS {
    let list = b"\0\0\0\0\0\x01\x01\0A\0x";
    about(transport, (list, 11), |handle, buffer, Notice { io_status_block, .. }| FileCall::SetEa {
        handle,
        buffer,
        io_status_block,
    })
}

fn query_volume(transport: &dyn Transport) -> NTSTATUS {
    about(transport, (&[], 8), |handle, _, _| FileCall::QueryVolumeInformation {
        handle,
        class: abi::FileFsVolumeInformation,
    })
}

fn set_volume(transport: &dyn Transport) -> NTSTATUS {
    about(transport, (&[], 8), |handle, _, _| FileCall::SetVolumeInformation {
        handle,
        class: abi::FileFsLabelInformation,
        data: b"\x04\0\0\0A\0B\0",
    })
}

fn list(transport: &dyn Transport) -> NTSTATUS {
    about(transport, (&[], 128), |handle, buffer, notice| FileCall::QueryDirectory {
        handle,
        buffer,
        class: abi::FileIdBothDirectoryInformation,
        flags: 0,
        pattern: &[],
        notice,
    })
}

fn lock(transport: &dyn Transport) -> NTSTATUS {
    let range = LockedRange { offset: 5, length: 6, key: 77 };
    about(transport, (&[], 8), |handle, _, notice| FileCall::Lock { handle, range, flags: 0, notice })
}

fn query_quota(transport: &dyn Transport) -> NTSTATUS {
    about(transport, (&[], 128), |handle, buffer, Notice { io_status_block, .. }| FileCall::QueryQuota {
        handle,
        buffer,
        flags: 0,
        sids: &[],
        start_sid: 0,
        io_status_block,
    })
}

fn set_quota(transport: &dyn Transport) -> NTSTATUS {
    // FILE_QUOTA_INFORMATION of S-1-5-18.
    let sid = b"\x01\x01\0\0\0\0\0\x05\x12\0\0\0";
    let entry = [&[0, 0, 0, 0, 12, 0, 0, 0][..], &[0; 32], sid].concat();
    about(transport, (&entry, 52), |handle, buffer, Notice { io_status_block, .. }| FileCall::SetQuota {
        handle,
        buffer,
        io_status_block,
    })
}

// ---- what the tool does -------------------------------------------------------------------------------------------------

const INSTANCE: &str = r"ROOT\MAJORS\0000";

fn plug(machine: &Machine) -> NTSTATUS {
    let service = DRIVER.to_owned();
    let request = DeviceRequest::Add { service, upper_filters: Vec::new(), lower_filters: Vec::new() };
    machine.manage_devices(&request).expect("its driver takes it");
    act(machine, DeviceAction::Start)
}

fn act(machine: &Machine, action: DeviceAction) -> NTSTATUS {
    let request = DeviceRequest::Act { instance: INSTANCE.to_owned(), action };
    machine.manage_devices(&request).map_or_else(|refusal| refusal.status, |report| report.status)
}

fn unplug(machine: &Machine) {
    assert_eq!(act(machine, DeviceAction::Remove), STATUS_SUCCESS);
}

fn power(machine: &Machine) -> NTSTATUS {
    let added = plug(machine);
    assert!(added.is_success());
    let sleeps = DeviceRequest::Power { state: abi::PowerSystemSleeping3.cast_unsigned() };
    let slept = machine.manage_devices(&sleeps).expect("sleeps");
    let wakes = DeviceRequest::Power { state: abi::PowerSystemWorking.cast_unsigned() };
    machine.manage_devices(&wakes).expect("wakes");
    unplug(machine);
    slept.status
}

fn system_control(machine: &Machine) -> NTSTATUS {
    let providers = machine.wmi_providers().expect("there is one");
    assert_eq!(providers.len(), 1);
    machine.wmi_query(providers[0].id, [7; 16], WmiQuery::AllData).expect_err("it has no data")
}

// ---- the rows -----------------------------------------------------------------------------------------------------------

fn check(row: &Row, seen: &[Seen]) {
    let is_its = |seen: &&Seen| seen.major == row.major && seen.minor == row.minor;
    let found = seen.iter().find(is_its).unwrap_or_else(|| panic!("{:#x}: {seen:#x?}", row.major));
    for (word, (wanted, got)) in row.parameters.iter().zip(found.parameters).enumerate() {
        assert!(wanted.is_none_or(|wanted| wanted == got), "{:#x}: word {word} of {found:#x?}", row.major);
    }
    let by_application = matches!(row.cause, Application(_));
    let of_the_system =
        matches!(row.major, abi::IRP_MJ_CLOSE | abi::IRP_MJ_CLEANUP | abi::IRP_MJ_INTERNAL_DEVICE_CONTROL);
    assert_eq!(found.user_mode, by_application && !of_the_system, "{:#x}: RequestorMode", row.major);
    assert_eq!(found.irql, abi::PASSIVE_LEVEL, "{:#x}", row.major);
    let has_file = by_application && row.major != abi::IRP_MJ_INTERNAL_DEVICE_CONTROL;
    assert_eq!(found.has_file, has_file, "{:#x}: a file", row.major);
    assert_eq!(found.name != 0, has_file, "{:#x}: the file's name", row.major);
}

/// The calls of applications: each reaches its routine, and ends as it must where there is none.
fn calls(transport: &dyn Transport) {
    let device = Device::open(transport, DEVICE).expect("opens");
    for row in table() {
        let Application(cause) = row.cause else { continue };
        take(&device);
        let status = cause(transport);
        assert_eq!(status, STATUS_SUCCESS, "{:#x}", row.major);
        check(&row, &take(&device));

        without(&device, row.major);
        assert_eq!(cause(transport), row.absent, "{:#x} without a routine", row.major);
        without(&device, ALL_BACK);
        assert!(
            take(&device).iter().all(|seen| seen.major != row.major),
            "{:#x}: nobody was asked",
            row.major
        );
    }
}

#[test]
fn application_part() {
    as_application(calls);
}

#[test]
fn every_call_of_an_application_reaches_its_routine_embedded() {
    let machine = machine_with(DRIVER);
    calls(&machine.process("application"));
    unload_when_closed(&machine, DRIVER);
}

#[test]
fn every_call_of_an_application_reaches_its_routine_from_another_process() {
    let machine = machine_with(DRIVER);
    let (_folder, server) = serve(&machine);
    run_application("application_part", server.path());
    server.stop();
    unload_when_closed(&machine, DRIVER);
}

#[test]
fn every_action_of_the_tool_reaches_its_routine() {
    for row in table() {
        let Tool(cause) = row.cause else { continue };
        let machine = machine_with(DRIVER);
        let process = machine.process("watcher");
        let device = Device::open(&process, DEVICE).expect("opens");
        take(&device);
        let expected = match row.major {
            abi::IRP_MJ_SYSTEM_CONTROL => abi::STATUS_WMI_GUID_NOT_FOUND,
            _ => STATUS_SUCCESS,
        };
        assert_eq!(cause(&machine), expected, "{:#x}", row.major);
        check(&row, &take(&device));
        let stacked = matches!(row.major, abi::IRP_MJ_PNP | abi::IRP_MJ_POWER);
        if row.major == abi::IRP_MJ_PNP {
            unplug(&machine);
        }
        // A device of a stack passes them on: without a routine it would break the stack.
        if !stacked {
            without(&device, row.major);
            let again = cause(&machine);
            assert_eq!(again, row.absent, "{:#x} without a routine", row.major);
        }
        assert!(machine.bugcheck().is_none());
    }
}

#[test]
fn every_entry_has_a_row_and_nobody_sends_the_one_that_is_reserved() {
    let majors: Vec<_> = table().iter().map(|row| row.major).collect();
    assert_eq!(majors, (0..=abi::IRP_MJ_MAXIMUM_FUNCTION).collect::<Vec<_>>());
    let reserved = table().into_iter().filter(|row| matches!(row.cause, Nobody)).map(|row| row.major);
    assert_eq!(reserved.collect::<Vec<_>>(), [abi::IRP_MJ_DEVICE_CHANGE]);
}

// ---- security ------------------------------------------------------------------------------------------------------------

/// An application's own checks of descriptors by handle.
fn descriptors(transport: &dyn Transport) {
    const OWNER: u32 = abi::OWNER_SECURITY_INFORMATION;
    const DACL: u32 = abi::DACL_SECURITY_INFORMATION;
    let device = OpenOptions::new().access(WRITE_DAC_TOO).open(transport, DEVICE).expect("opens");
    take(&device);
    let whole = device.security(OWNER | DACL).expect("READ_CONTROL is in GENERIC_READ");
    assert!(whole.len() > NO_DESCRIPTOR, "owner and list are there");
    device.set_security(DACL, &null_dacl()).expect("WRITE_DAC");
    let list = u16::from_le_bytes(device.security(DACL).expect("readable")[2..4].try_into().expect("two"));
    assert_eq!(list & abi::SE_DACL_PRESENT, abi::SE_DACL_PRESENT);
    assert_eq!(device.security(DACL).expect("readable").len(), NO_DESCRIPTOR, "a NULL list");
    assert!(take(&device).is_empty(), "the device's own descriptor: its driver is not asked");

    let refused = |result: Result<(), Win32Error>| result.expect_err("is refused").status;
    assert_eq!(refused(device.set_security(OWNER, &null_dacl())), abi::STATUS_ACCESS_DENIED, "WRITE_OWNER");
    let sacl = device.security(abi::SACL_SECURITY_INFORMATION);
    assert_eq!(sacl.expect_err("needs ACCESS_SYSTEM_SECURITY").status, abi::STATUS_ACCESS_DENIED);
    assert_eq!(refused(device.set_security(DACL, &[1, 0, 4])), abi::STATUS_INVALID_SECURITY_DESCR);
    let blind = OpenOptions::new().access(abi::FILE_WRITE_DATA | abi::SYNCHRONIZE).open(transport, DEVICE);
    let blind = blind.expect("opens");
    assert_eq!(blind.security(DACL).expect_err("no READ_CONTROL").status, abi::STATUS_ACCESS_DENIED);
    assert_eq!(refused(blind.set_security(DACL, &null_dacl())), abi::STATUS_ACCESS_DENIED);

    // A file with a name is its driver's.
    let file = file(transport);
    assert_eq!(file.security(OWNER).expect("the driver's")[2..4], 0xC000_u16.to_le_bytes());
    let memory = transport.allocate_memory(64).expect("memory");
    let ask = |handle, address, length| {
        let buffer = Memory { address, length };
        let request = SystemCall::QuerySecurityObject { handle, information: DACL, buffer };
        let reply = transport.system_call(&request, &mut []);
        (reply.status, reply.information)
    };
    let needs = (abi::STATUS_BUFFER_TOO_SMALL, 20);
    assert_eq!(ask(file.handle(), memory.address(), 19), needs, "the driver's word for it");
    assert_eq!(ask(device.handle(), memory.address(), 19), needs);
    assert_eq!(ask(device.handle(), memory.address(), 20), (STATUS_SUCCESS, 20));
    assert_eq!(ask(file.handle(), 0x10, 20), (abi::STATUS_ACCESS_VIOLATION, 0), "no address of its own");
    assert_eq!(ask(Handle(0x7FFC), memory.address(), 20), (abi::STATUS_INVALID_HANDLE, 0));

    // One whose driver knows of no descriptors is everybody's.
    without(&device, abi::IRP_MJ_QUERY_SECURITY);
    let open = file.security(OWNER | DACL).expect("is answered");
    assert_eq!(open[2] & 4, 4, "a DACL");
    assert_eq!(open[16..20], [0; 4], "which is NULL");
    assert_eq!(open[open.len() - 12..], [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], "S-1-1-0");
    without(&device, ALL_BACK);
}

#[test]
fn application_part_security() {
    as_application(descriptors);
}

#[test]
fn a_device_has_its_own_descriptor_and_a_file_its_drivers_embedded() {
    let machine = machine_with(DRIVER);
    descriptors(&machine.process("application"));
    unload_when_closed(&machine, DRIVER);
}

#[test]
fn a_device_has_its_own_descriptor_and_a_file_its_drivers_from_another_process() {
    let machine = machine_with(DRIVER);
    let (_folder, server) = serve(&machine);
    run_application("application_part_security", server.path());
    server.stop();
    unload_when_closed(&machine, DRIVER);
}

#[test]
fn without_a_driver_for_them_no_mailslot_can_be_made() {
    let machine = machine_with(DRIVER);
    let process = machine.process("application");
    let made = Device::create_mailslot(&process, r"\\.\mailslot\rb", 0, u32::MAX);
    let code = made.expect_err("nobody serves them").code;
    assert!(matches!(code, 2 | 3), "ERROR_FILE_NOT_FOUND or ERROR_PATH_NOT_FOUND: {code}");
}
