//! What a driver gets of what an application asks of files and volumes, as recorder.sys notes it, embedded and from another process.

use app::{Buffer, ControlCode, Device, OpenOptions, Transport};
use gate::{FileCall, LockedRange, Memory, Notice, SystemCall};
use ringbridge_scenarios::{as_application, embedded, in_another_process};

const RECORD: ControlCode =
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900, abi::METHOD_BUFFERED, abi::FILE_ANY_ACCESS));
const WORDS: usize = 20;
/// Words of what the driver answers for itself that are not the record.
const OWN_WORDS: usize = 4;
const POINTER: u64 = 1;

/// A driver's view of a request; see recorder.c.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Record {
    major: u8,
    minor: u8,
    flags: u8,
    parameters: [u64; 4],
    /// The first bytes of what was captured.
    captured: u64,
    /// The first bytes of the data.
    data: u64,
    lock_operation: bool,
}

/// How a device has its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Buffered,
    Direct,
    Neither,
}

struct Caller<'a> {
    transport: &'a dyn Transport,
    device: Device<'a>,
    way: Way,
    room: Buffer,
    block: Buffer,
}

/// Where a request has its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    None,
    Out,
    In,
    /// In a system buffer, whatever the device's own way is.
    System,
}

impl Caller<'_> {
    fn buffer(&self) -> Memory {
        Memory { address: self.room.address(), length: self.room.len() }
    }

    fn notice(&self) -> Notice {
        Notice { io_status_block: self.block.address(), ..Notice::default() }
    }

    fn make(&self, call: FileCall<'_>, output: &mut [u8]) {
        let status = self.transport.system_call(&SystemCall::File(call), output).status;
        assert_eq!(status, abi::STATUS_SUCCESS, "{call:?}");
    }

    /// The last request was `expected`, with its data where it must be.
    #[track_caller]
    fn saw(&self, expected: Record, data: Data) {
        let mut bytes = [0; WORDS * 8];
        self.device.control(RECORD, &[], &mut bytes).expect("tells");
        let (words, _) = bytes.as_chunks();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        let byte = |index| u8::try_from(word(index)).expect("a byte");
        let seen = Record {
            major: byte(1),
            minor: byte(2),
            flags: byte(3),
            parameters: [word(4), word(5), word(6), word(7)],
            captured: word(12),
            data: word(13),
            lock_operation: word(16) != 0,
        };
        assert_eq!(seen, expected, "{:?}", self.way);
        let places = [word(8) != 0, word(9) != 0, word(10) != 0];
        let way = if data == Data::System { Way::Buffered } else { self.way };
        let expected = match way {
            _ if data == Data::None => [false; 3],
            Way::Buffered => [true, false, false],
            Way::Direct => [false, true, false],
            Way::Neither => [false, false, true],
        };
        assert_eq!(places, expected, "{seen:?} {:?}", self.way);
        assert_eq!(word(11) != 0, self.way == Way::Direct && data == Data::Out, "what the MDL is for");
        assert_eq!(word(14) != 0, expected_aside(&seen), "AuxiliaryBuffer of {seen:?}");
        assert_eq!(word(15), 1, "UserMode");
        if data == Data::Out {
            assert_eq!(self.room.to_vec(9)[..], [0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0][..]);
        }
    }

    fn clear(&mut self, bytes: &[u8]) {
        let zeroes = vec![0; self.room.len() as usize];
        self.room.write(0, &zeroes);
        self.room.write(0, bytes);
    }
}

fn expected_aside(record: &Record) -> bool {
    record.captured != 0
}

fn first(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let count = bytes.len().min(8);
    word[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(word)
}

fn on_each_device(transport: &dyn Transport, body: impl Fn(Caller<'_>)) {
    for (way, name) in [(Way::Buffered, "B"), (Way::Direct, "D"), (Way::Neither, "N")] {
        let path = format!(r"\\.\RbRecorder{name}");
        let device = OpenOptions::new().open(transport, &path).expect("opens");
        let room = Buffer::new(transport, 128).expect("memory");
        let block = Buffer::new(transport, 16).expect("memory");
        body(Caller { transport, device, way, room, block });
    }
}

macro_rules! rule {
    (fn $name:ident(), fn $application:ident(), fn $elsewhere:ident(), $body:ident) => {
        #[test]
        fn $name() {
            embedded("recorder", |transport| on_each_device(transport, $body));
        }

        #[test]
        fn $elsewhere() {
            in_another_process("recorder", stringify!($application));
        }

        #[test]
        fn $application() {
            as_application(|transport| on_each_device(transport, $body));
        }
    };
}

rule!(
    fn directory_control_brings_class_pattern_and_flags(),
    fn application_of_directories(),
    fn directory_control_brings_the_same_from_another_process(),
    directories
);

fn directories(mut caller: Caller<'_>) {
    let handle = caller.device.handle();
    let pattern: Vec<u16> = "*.txt".encode_utf16().collect();
    let text: Vec<u8> = pattern.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let class = abi::FileIdBothDirectoryInformation;
    let base = Record {
        major: abi::IRP_MJ_DIRECTORY_CONTROL,
        minor: abi::IRP_MN_QUERY_DIRECTORY,
        parameters: [128, 0, u64::from(class.cast_unsigned()), 0],
        ..Record::default()
    };
    let list = |caller: &Caller<'_>, flags, pattern: &[u16]| {
        let (buffer, notice) = (caller.buffer(), caller.notice());
        caller.make(FileCall::QueryDirectory { handle, buffer, class, flags, pattern, notice }, &mut []);
        let end = caller.block.to_vec(9);
        assert_eq!((first(&end[..4]), end[8]), (0, 8), "the status block");
    };
    list(&caller, 0, &[]);
    caller.saw(base, Data::Out);
    caller.clear(&[]);
    let flags = abi::SL_RESTART_SCAN | abi::SL_RETURN_SINGLE_ENTRY;
    list(&caller, flags, &pattern);
    let parameters = [128, POINTER, base.parameters[2], 0];
    caller.saw(Record { flags, parameters, captured: first(&text), ..base }, Data::Out);
    caller.clear(&[]);
    let (buffer, notice, filter) = (caller.buffer(), caller.notice(), abi::FILE_NOTIFY_CHANGE_SIZE);
    let watch = |watch_tree| FileCall::NotifyChangeDirectory { handle, buffer, filter, watch_tree, notice };
    let minor = abi::IRP_MN_NOTIFY_CHANGE_DIRECTORY;
    let base = Record { minor, parameters: [128, u64::from(filter), 0, 0], ..base };
    caller.make(watch(false), &mut []);
    caller.saw(base, Data::Out);
    caller.clear(&[]);
    caller.make(watch(true), &mut []);
    caller.saw(Record { flags: abi::SL_WATCH_TREE, ..base }, Data::Out);
}

rule!(
    fn volume_requests_bring_class_and_length_in_a_system_buffer(),
    fn application_of_volumes(),
    fn volume_requests_bring_the_same_from_another_process(),
    volumes
);

fn volumes(caller: Caller<'_>) {
    let handle = caller.device.handle();
    let mut room = [0; 100];
    let class = abi::FileFsVolumeInformation;
    caller.make(FileCall::QueryVolumeInformation { handle, class }, &mut room);
    assert_eq!(room[..9], [0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0]);
    let major = abi::IRP_MJ_QUERY_VOLUME_INFORMATION;
    caller.saw(Record { major, parameters: [100, 1, 0, 0], ..Record::default() }, Data::System);
    let data = b"\x06\0\0\0NAM";
    let class = abi::FileFsLabelInformation;
    let short = SystemCall::File(FileCall::SetVolumeInformation { handle, class, data });
    let refused = caller.transport.system_call(&short, &mut []).status;
    assert_eq!(refused, abi::STATUS_INFO_LENGTH_MISMATCH, "a label has room for a unit");
    let data = b"\x06\0\0\0N\0A\0M\0";
    caller.make(FileCall::SetVolumeInformation { handle, class, data }, &mut []);
    let major = abi::IRP_MJ_SET_VOLUME_INFORMATION;
    let expected = Record { major, parameters: [10, 2, 0, 0], data: first(data), ..Record::default() };
    caller.saw(expected, Data::System);
    let class = abi::FileFsVolumeInformation;
    let wrong = SystemCall::File(FileCall::SetVolumeInformation { handle, class, data: &[0; 64] });
    assert_eq!(caller.transport.system_call(&wrong, &mut []).status, abi::STATUS_INVALID_INFO_CLASS);
}

rule!(
    fn attribute_and_quota_requests_bring_their_lists(),
    fn application_of_lists(),
    fn attribute_and_quota_requests_bring_the_same_from_another_process(),
    lists
);

fn lists(mut caller: Caller<'_>) {
    let handle = caller.device.handle();
    let (buffer, io_status_block) = (caller.buffer(), caller.block.address());
    let list = b"\0\0\0\0\x03AGE\0";
    let flags = abi::SL_INDEX_SPECIFIED;
    let query = FileCall::QueryEa { handle, buffer, flags, index: 5, list, io_status_block };
    caller.make(query, &mut []);
    let base = Record { major: abi::IRP_MJ_QUERY_EA, ..Record::default() };
    let parameters = [128, POINTER, list.len() as u64, 5];
    caller.saw(Record { flags, parameters, captured: first(list), ..base }, Data::Out);
    let sids = b"\0\0\0\0\x0C\0\0\0\x01\x01\0\0\0\0\0\x05\x12\0\0\0";
    caller.clear(&[]);
    let start = &sids[8..];
    let (both, start_sid) = ([&sids[..], start].concat(), 12);
    let quota =
        |sids, start_sid| FileCall::QueryQuota { handle, buffer, flags: 0, sids, start_sid, io_status_block };
    caller.make(quota(sids, 0), &mut []);
    let base = Record { major: abi::IRP_MJ_QUERY_QUOTA, ..Record::default() };
    let parameters = [128, 0, POINTER, sids.len() as u64];
    caller.saw(Record { parameters, captured: first(sids), ..base }, Data::Out);
    let flags = abi::SL_INDEX_SPECIFIED;
    for (sids, parameters, captured) in [
        (&both[..], [128, POINTER, POINTER, sids.len() as u64], first(sids)),
        (start, [128, POINTER, 0, 0], first(start)),
    ] {
        caller.clear(&[]);
        caller.make(quota(sids, start_sid), &mut []);
        caller.saw(Record { flags, parameters, captured, ..base }, Data::Out);
    }
    for (sids, start_sid) in
        [(&start[..11], 11), (&[2, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0][..], 12), (&[1][..], 1)]
    {
        let wrong = SystemCall::File(quota(sids, start_sid));
        assert_eq!(caller.transport.system_call(&wrong, &mut []).status, abi::STATUS_INVALID_SID);
    }
    let beyond = SystemCall::File(quota(start, 13));
    assert!(caller.transport.system_call(&beyond, &mut []).status.is_error());
    let entry = b"\0\0\0\0\0\x01\x01\0A\0x";
    caller.clear(entry);
    caller.make(FileCall::SetEa { handle, buffer, io_status_block }, &mut []);
    let base = Record { parameters: [128, 0, 0, 0], ..Record::default() };
    caller.saw(Record { major: abi::IRP_MJ_SET_EA, data: first(entry), ..base }, Data::In);
    let quota = [&[0, 0, 0, 0, 12, 0, 0, 0][..], &[0; 32], &sids[8..]].concat();
    caller.clear(&quota);
    caller.make(FileCall::SetQuota { handle, buffer, io_status_block }, &mut []);
    caller.saw(Record { major: abi::IRP_MJ_SET_QUOTA, data: first(&quota), ..base }, Data::In);
    // Nobody but the driver can look at what is not in a system buffer.
    caller.clear(b"\x05");
    let torn = SystemCall::File(FileCall::SetEa { handle, buffer, io_status_block });
    let status = caller.transport.system_call(&torn, &mut []).status;
    let checked =
        if caller.way == Way::Buffered { abi::STATUS_EA_LIST_INCONSISTENT } else { abi::STATUS_SUCCESS };
    assert_eq!(status, checked);
}

rule!(
    fn lock_control_brings_offset_length_key_and_flags(),
    fn application_of_locks(),
    fn lock_control_brings_the_same_from_another_process(),
    locks
);

fn locks(caller: Caller<'_>) {
    let handle = caller.device.handle();
    let range = LockedRange { offset: 0x1_2345_6789, length: 0x42, key: 77 };
    let notice = caller.notice();
    let base = Record {
        major: abi::IRP_MJ_LOCK_CONTROL,
        minor: abi::IRP_MN_LOCK,
        parameters: [POINTER, 77, 0x1_2345_6789, 0],
        captured: 0x42,
        lock_operation: true,
        ..Record::default()
    };
    for flags in [
        0,
        abi::SL_FAIL_IMMEDIATELY,
        abi::SL_EXCLUSIVE_LOCK,
        abi::SL_FAIL_IMMEDIATELY | abi::SL_EXCLUSIVE_LOCK,
    ] {
        caller.make(FileCall::Lock { handle, range, flags, notice }, &mut []);
        caller.saw(Record { flags, ..base }, Data::None);
    }
    let io_status_block = notice.io_status_block;
    caller.make(FileCall::Unlock { handle, range, io_status_block }, &mut []);
    caller.saw(Record { minor: abi::IRP_MN_UNLOCK_SINGLE, ..base }, Data::None);
}

rule!(
    fn locks_go_with_the_last_handle_of_their_process_also_when_others_have_the_file(),
    fn application_of_shared_files(),
    fn locks_go_with_the_last_handle_of_another_process(),
    shared_files
);

fn shared_files(caller: Caller<'_>) {
    let Caller { transport, device, block, .. } = &caller;
    let number = |code| ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, code, abi::METHOD_BUFFERED, 0));
    let (take, give_back) = (number(0x902), number(0x903));
    // How many requests there were; major and minor function of the last.
    let last = || {
        let mut bytes = [0; WORDS * 8];
        device.control(RECORD, &[], &mut bytes).expect("tells");
        let (words, _) = bytes.as_chunks();
        [0, 1, 2].map(|index| u64::from_le_bytes(words[index]))
    };
    let path = match caller.way {
        Way::Buffered => r"\\.\RbRecorderB\shared",
        Way::Direct => r"\\.\RbRecorderD\shared",
        Way::Neither => r"\\.\RbRecorderN\shared",
    };
    for (locked, twice) in [(false, false), (true, false), (true, true)] {
        let shared = Device::open(*transport, path).expect("opens");
        let handle = shared.handle();
        shared.control(take, &[], &mut []).expect("the driver has it, too");
        if locked {
            let range = LockedRange { offset: 1, length: 2, key: 3 };
            let notice = Notice { io_status_block: block.address(), ..Notice::default() };
            caller.make(FileCall::Lock { handle, range, flags: 0, notice }, &mut []);
        }
        let other = twice.then(|| {
            let duplicated = transport.duplicate_handle(handle, 0, abi::DUPLICATE_SAME_ACCESS);
            duplicated.expect("is made")
        });
        let before = last();
        shared.close().expect("closes");
        if let Some(other) = other {
            assert_eq!(last(), before, "the process has another handle");
            assert_eq!(transport.close(other), abi::STATUS_SUCCESS);
        }
        let unlocked = [before[0] + 1, abi::IRP_MJ_LOCK_CONTROL.into(), abi::IRP_MN_UNLOCK_ALL.into()];
        assert_eq!(last(), if locked { unlocked } else { before }, "{locked} {twice}");
        device.control(give_back, &[], &mut []).expect("closes");
        assert_eq!(last()[0], before[0] + u64::from(locked), "the last handle of all is CLEANUP's");
    }
}

const MAKE: ControlCode =
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x901, abi::METHOD_BUFFERED, abi::FILE_ANY_ACCESS));

/// Status, Information and what the create request brought; major and minor function, flags, the four words of Parameters.
fn made_by_the_driver(device: &Device<'_>, which: u64) -> ([u64; 4], [u64; 7]) {
    let mut answer = [0; (OWN_WORDS + WORDS) * 8];
    device.control(MAKE, &which.to_le_bytes(), &mut answer).expect("answers");
    let (words, _) = answer.as_chunks();
    let word = |index: usize| u64::from_le_bytes(words[index]);
    (std::array::from_fn(word), std::array::from_fn(|index| word(5 + index)))
}

rule!(
    fn a_new_name_brings_the_folder_of_its_path_opened_for_that(),
    fn application_of_names(),
    fn a_new_name_brings_the_same_from_another_process(),
    new_names
);

/// FILE_RENAME_INFORMATION, which FILE_LINK_INFORMATION is like.
fn new_name(flags: u32, root: u64, name: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u32::try_from(name.len()).expect("short");
    let mut data =
        [&flags.to_le_bytes()[..], &[0; 4], &root.to_le_bytes(), &length.to_le_bytes(), &name].concat();
    data.resize(data.len().max(size_of::<abi::FILE_RENAME_INFORMATION>()), 0);
    data
}

fn new_names(caller: Caller<'_>) {
    let Caller { transport, device, .. } = &caller;
    let own = match caller.way {
        Way::Buffered => "B",
        Way::Direct => "D",
        Way::Neither => "N",
    };
    let opened = |access| {
        let path = format!(r"\\.\RbRecorder{own}\file");
        OpenOptions::new().access(access).open(*transport, &path).expect("opens")
    };
    let file = opened(abi::DELETE | abi::FILE_READ_DATA);
    let ask = |handle, class, data: &[u8]| {
        transport.system_call(&SystemCall::SetInformationFile { handle, class, data }, &mut []).status
    };
    // The word with ReplaceIfExists, whether a folder came, SL_* of the last open, open files.
    let seen = |class: i32, data: &[u8]| {
        let mut bytes = [0; WORDS * 8];
        device.control(RECORD, &[], &mut bytes).expect("tells");
        let (words, _) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let expected = [u64::from(abi::IRP_MJ_SET_INFORMATION), 0, 0, data.len() as u64, class as u64];
        assert_eq!(words[1..6], expected);
        [words[7], words[18], words[17], words[19]]
    };
    let full = format!(r"\??\RbRecorder{own}\sub\new");
    let target = u64::from(abi::SL_OPEN_TARGET_DIRECTORY);
    let own_handle = u64::from(file.handle().0);
    // Replace, class, root, name; what the driver saw. `device` and `file` are open, and the folder while the request is.
    let (rename, link) = (abi::FileRenameInformation, abi::FileLinkInformation);
    let (rename_ex, link_ex) = (abi::FileRenameInformationEx, abi::FileLinkInformationEx);
    for (flags, class, root, name, expected) in [
        (0, rename, 0, "new", [0, 0, 0, 2]),
        (1, rename, 0, r"sub\new", [1, 0, 0, 2]),
        (0, rename, 0, &*full, [0, 1, target, 3]),
        (1, link, 0, &*full, [1, 1, target, 3]),
        (0, link, own_handle, "new", [0, 1, target, 3]),
        // Of a byte, and of a word with other flags beside.
        (0x100, rename, 0, "new", [0, 0, target, 2]),
        (2, rename_ex, 0, "new", [0, 0, target, 2]),
        (3, link_ex, 0, &*full, [1, 1, target, 3]),
    ] {
        let data = new_name(flags, root, name);
        assert_eq!(ask(file.handle(), class, &data), abi::STATUS_SUCCESS, "{class} {name}");
        assert_eq!(seen(class, &data), expected, "{class} {name}");
    }
    refused_names(&caller, &file, &opened(abi::FILE_READ_DATA), &full);
}

fn refused_names(caller: &Caller<'_>, file: &Device<'_>, reader: &Device<'_>, full: &str) {
    let Caller { transport, device, .. } = caller;
    let ask = |file: &Device<'_>, class, data: &[u8]| {
        let call = SystemCall::SetInformationFile { handle: file.handle(), class, data };
        transport.system_call(&call, &mut []).status
    };
    let count = || {
        let mut bytes = [0; WORDS * 8];
        device.control(RECORD, &[], &mut bytes).expect("tells");
        first(&bytes)
    };
    let before = count();
    let rename = abi::FileRenameInformation;
    let elsewhere = if caller.way == Way::Direct { "B" } else { "D" };
    let elsewhere = format!(r"\??\RbRecorder{elsewhere}\new");
    let event = app::Event::new(*transport, app::EventKind::ManualReset, false).expect("is made");
    for (root, name, status) in [
        (0, &*elsewhere, abi::STATUS_NOT_SAME_DEVICE),
        (0, r"\??\RbNowhere\new", abi::STATUS_OBJECT_PATH_NOT_FOUND),
        (0, r"\", abi::STATUS_OBJECT_TYPE_MISMATCH),
        (0, "", abi::STATUS_INVALID_PARAMETER),
        (0x7777_7778, "new", abi::STATUS_INVALID_HANDLE),
        (u64::MAX - 0x100, "new", abi::STATUS_INVALID_HANDLE),
        (u64::from(event.handle().0), "new", abi::STATUS_OBJECT_TYPE_MISMATCH),
        (u64::from(file.handle().0), r"\new", abi::STATUS_OBJECT_PATH_SYNTAX_BAD),
    ] {
        assert_eq!(ask(file, rename, &new_name(1, root, name)), status, "{root:#x} {:.40}", name);
    }
    let mut data = new_name(0, 0, "name");
    for length in [0, 1, 7, 10, 0x7FFF_FFFE, u32::MAX] {
        data[16..20].copy_from_slice(&length.to_le_bytes());
        assert_eq!(ask(file, rename, &data), abi::STATUS_INVALID_PARAMETER, "{length}");
    }
    assert_eq!(ask(file, rename, &data[..23]), abi::STATUS_INFO_LENGTH_MISMATCH);
    assert_eq!(ask(reader, rename, &new_name(0, 0, "new")), abi::STATUS_ACCESS_DENIED, "without DELETE");
    assert_eq!(count(), before, "the driver heard of none");
    assert_eq!(ask(reader, abi::FileLinkInformation, &new_name(0, 0, full)), abi::STATUS_SUCCESS);
}

#[test]
fn a_driver_renames_by_handle_with_the_folder_of_the_path_opened_and_asks_for_quotas_from_a_sid_on() {
    let target = u64::from(abi::SL_OPEN_TARGET_DIRECTORY);
    let other = u64::from(abi::STATUS_NOT_SAME_DEVICE.bits());
    // Status; ReplaceIfExists, SL_* of the last open, whether a folder came, open files: the application's, the driver's, the folder.
    let expected = [
        (12, 0, [1, 0, 0, 2]),
        (13, 0, [1, target, 1, 3]),
        (14, 0, [1, target, 1, 3]),
        (16, 0, [1, target, 1, 3]),
    ];
    embedded("recorder", |transport| {
        let device = Device::open(transport, r"\\.\RbRecorderN").expect("opens");
        let answer = |which: u64| {
            let mut answer = [0; (OWN_WORDS + WORDS) * 8];
            device.control(MAKE, &which.to_le_bytes(), &mut answer).expect("answers");
            let (words, _) = answer.as_chunks();
            words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>()
        };
        for (which, status, seen) in expected {
            let answer = answer(which);
            assert_eq!(
                (answer[0], [7, 17, 18, 19].map(|at| answer[OWN_WORDS + at])),
                (status, seen),
                "{which}"
            );
        }
        assert_eq!(answer(15)[0], other);
        // The first SID of a query of quotas.
        let quota = answer(17);
        let flags = u64::from(abi::SL_INDEX_SPECIFIED | abi::SL_RETURN_SINGLE_ENTRY);
        assert_eq!(
            (quota[0], [3, 5, 6, 7].map(|at| quota[OWN_WORDS + at])),
            (0, [flags, POINTER, POINTER, 20])
        );
        assert_eq!(answer(18)[0], u64::from(abi::STATUS_INVALID_SID.bits()));
    });
}

#[test]
fn a_driver_makes_the_same_requests_by_handle_and_opens_with_extended_attributes() {
    let attributes = [13, first(b"\0\0\0\0\0\x03\x01\0")];
    let major = u64::from;
    let (directory, lock) = (major(abi::IRP_MJ_DIRECTORY_CONTROL), major(abi::IRP_MJ_LOCK_CONTROL));
    let scan = u64::from(abi::SL_RESTART_SCAN | abi::SL_RETURN_SINGLE_ENTRY);
    let locks = u64::from(abi::SL_FAIL_IMMEDIATELY | abi::SL_EXCLUSIVE_LOCK);
    let (tree, index) = (u64::from(abi::SL_WATCH_TREE), u64::from(abi::SL_INDEX_SPECIFIED));
    let expected: [(u64, [u64; 7]); 9] = [
        (8, [directory, 1, scan, 128, POINTER, 3, 0]),
        (8, [directory, 2, tree, 128, 1, 0, 0]),
        (8, [major(abi::IRP_MJ_QUERY_EA), 0, index, 128, POINTER, 9, 4]),
        (0, [major(abi::IRP_MJ_SET_EA), 0, 0, 13, 0, 0, 0]),
        (0, [lock, 1, locks, POINTER, 7, 5, 0]),
        (0, [lock, 2, 0, POINTER, 7, 5, 0]),
        (0, [major(abi::IRP_MJ_SET_VOLUME_INFORMATION), 0, 0, 8, 2, 0, 0]),
        (8, [major(abi::IRP_MJ_QUERY_QUOTA), 0, 0, 128, 0, POINTER, 20]),
        (0, [major(abi::IRP_MJ_SET_QUOTA), 0, 0, 52, 0, 0, 0]),
    ];
    embedded("recorder", |transport| {
        let device = Device::open(transport, r"\\.\RbRecorderN").expect("opens");
        for (which, (information, request)) in (0..).zip(expected) {
            let (result, seen) = made_by_the_driver(&device, which);
            assert_eq!(result, [0, information, attributes[0], attributes[1]], "{which}");
            assert_eq!(seen, request, "{which}");
        }
        let torn = u64::from(abi::STATUS_EA_LIST_INCONSISTENT.bits());
        for which in 9..=11 {
            assert_eq!(made_by_the_driver(&device, which).0[..2], [torn, 0], "{which}");
        }
    });
}
