//! The sample `shelf`: a volume of files, by its application and by what its callers may do wrong. All in both forms, embedded and in
//! another process.

use std::path::Path;
use std::sync::Arc;

use app::{
    Buffer, Device, Disposition, FindFiles, LockOptions, MoveMethod, OpenOptions, Overlapped, Transport,
    Win32Error, create_directory, delete_file, directory_changes, disk_free_space, move_file,
    remove_directory, set_volume_label,
};
use gate::{FileCall, Handle, Memory, SystemCall};
use host::Machine;
use ringbridge_scenarios::{
    Beside, PATIENCE, SHELF, application, run_application, say_ready, scenario, unload_when_closed,
    wait_to_go_on,
};
use sample_shelf::{CAPACITY, LONGEST_LABEL, SECTOR, SERIAL};

const SHARE: u32 = abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE | abi::FILE_SHARE_DELETE;
const SAYS: [&str; 7] = [
    "\"Tales\" of SHELF, 1024 KiB",
    "read \"quick\" up to 9",
    "Disk, 9 bytes, 1 name",
    "found fox.txt 9, dog.txt 4",
    "waited: true, then action 1 of news",
    "at once: Some(33), waited: true, the other is kept out: Some(33)",
    "cleared away: Some(3)",
];

fn ends_well(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_when_closed(machine, SHELF.name);
}

fn says(transport: Arc<dyn Transport>) {
    let mut said = Vec::new();
    let ran = sample_applications::shelf::run(transport, &mut |line| said.push(line.to_owned()));
    assert_eq!(said, SAYS, "{ran:?}");
    ran.expect("succeeds");
}

scenario! {
    fn its_application_says_the_same_embedded_and_in_another_process(form: Form) {
        let machine = SHELF.machine(form);
        says(Arc::new(machine.process("embedded")));
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
        run_application("application_of_shelf", server.path());
        server.stop();
        ends_well(&machine);
    }
}

#[test]
fn application_of_shelf() {
    if let Some(client) = application() {
        says(Arc::new(client));
    }
}

fn path(name: &str) -> String {
    format!(r"\\.\Shelf\{name}")
}

fn how(disposition: Disposition) -> OpenOptions {
    OpenOptions::new().share(SHARE).disposition(disposition)
}

fn file<'a>(transport: &'a dyn Transport, name: &str) -> Device<'a> {
    how(Disposition::OpenAlways).open(transport, &path(name)).expect("opens")
}

fn code<T>(result: Result<T, Win32Error>) -> u32 {
    result.err().map_or(0, |error| error.code)
}

/// Runs `body` with each form of the driver, embedded and in another process, where it is the test `name`.
fn everywhere(form: ringbridge_scenarios::Form, name: &str, body: impl Fn(&dyn Transport)) {
    let machine = SHELF.machine(form);
    body(&machine.process("embedded"));
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
    run_application(name, server.path());
    server.stop();
    ends_well(&machine);
}

/// A rule: its scenario, and the test that plays its application.
macro_rules! rule {
    (fn $name:ident(), fn $application:ident(), $body:ident) => {
        scenario! {
            fn $name(form: Form) {
                everywhere(form, stringify!($application), $body);
            }
        }

        #[test]
        fn $application() {
            if let Some(client) = application() {
                $body(&client);
            }
        }
    };
}

rule!(fn a_disposition_says_what_becomes_of_a_name(), fn application_of_dispositions(), dispositions);

fn dispositions(transport: &dyn Transport) {
    let open = |disposition| how(disposition).open(transport, &path("d"));
    assert_eq!(code(open(Disposition::OpenExisting)), abi::ERROR_FILE_NOT_FOUND);
    assert_eq!(code(open(Disposition::TruncateExisting)), abi::ERROR_FILE_NOT_FOUND);
    open(Disposition::CreateNew).expect("is made").write(b"12345").expect("writes");
    assert_eq!(code(open(Disposition::CreateNew)), abi::ERROR_FILE_EXISTS);
    assert_eq!(open(Disposition::OpenAlways).expect("opens").file_size().expect("is told"), 5);
    assert_eq!(open(Disposition::TruncateExisting).expect("opens").file_size().expect("is told"), 0);
    open(Disposition::OpenExisting).expect("opens").write(b"123").expect("writes");
    assert_eq!(open(Disposition::CreateAlways).expect("opens").file_size().expect("is told"), 0);
    assert_eq!(
        code(how(Disposition::OpenExisting).open(transport, &path(r"none\d"))),
        abi::ERROR_PATH_NOT_FOUND
    );
    assert_eq!(
        code(how(Disposition::OpenExisting).open(transport, &path(r"d\e"))),
        abi::ERROR_PATH_NOT_FOUND
    );
    assert_eq!(code(how(Disposition::OpenAlways).open(transport, &path("a?b"))), abi::ERROR_INVALID_NAME);
    let alone = OpenOptions::new().open(transport, &path("D")).expect("names have no case");
    assert_eq!(code(open(Disposition::OpenExisting)), abi::ERROR_SHARING_VIOLATION);
    drop(alone);
    delete_file(transport, &path("d")).expect("goes");
    assert_eq!(code(delete_file(transport, &path("d"))), abi::ERROR_FILE_NOT_FOUND);
}

rule!(fn a_synchronous_files_pointer_moves_and_its_end_is_set(), fn application_of_pointers(), pointers);

fn pointers(transport: &dyn Transport) {
    let file = file(transport, "p");
    file.write(b"0123456789").expect("writes");
    assert_eq!(file.set_file_pointer(0, MoveMethod::Current).expect("is told"), 10);
    assert_eq!(file.set_file_pointer(-4, MoveMethod::End).expect("moves"), 6);
    assert_eq!(file.set_file_pointer(-2, MoveMethod::Current).expect("moves"), 4);
    let mut two = [0; 2];
    assert_eq!(file.read(&mut two).expect("reads"), 2);
    assert_eq!((&two, file.set_file_pointer(0, MoveMethod::Current).expect("is told")), (b"45", 6));
    assert_eq!(code(file.set_file_pointer(-7, MoveMethod::Current)), abi::ERROR_NEGATIVE_SEEK);
    file.set_end_of_file().expect("cuts");
    assert_eq!(file.file_size().expect("is told"), 6);
    assert_eq!(code(file.read(&mut two)), abi::ERROR_HANDLE_EOF);
    file.set_file_pointer(i64::try_from(CAPACITY).expect("small") + 1, MoveMethod::Begin).expect("moves");
    assert_eq!(code(file.set_end_of_file()), abi::ERROR_DISK_FULL);
    file.set_file_pointer(100, MoveMethod::Begin).expect("moves");
    file.write(b"x").expect("leaves a hole");
    file.set_file_pointer(98, MoveMethod::Begin).expect("moves");
    let mut three = [9; 3];
    file.read(&mut three).expect("reads");
    assert_eq!(&three, b"\0\0x");
    let reader = how(Disposition::OpenExisting).access(abi::GENERIC_READ).open(transport, &path("p"));
    let reader = reader.expect("opens");
    assert_eq!(code(reader.set_end_of_file()), abi::ERROR_ACCESS_DENIED);
    assert_eq!(code(reader.set_delete(true)), abi::ERROR_ACCESS_DENIED);
    drop((reader, file));
    delete_file(transport, &path("p")).expect("goes");
}

rule!(fn a_folder_lists_what_fits_a_pattern(), fn application_of_folders(), folders);

fn folders(transport: &dyn Transport) {
    create_directory(transport, &path("many")).expect("is made");
    assert_eq!(code(create_directory(transport, &path("many"))), abi::ERROR_ALREADY_EXISTS);
    let list = |pattern: &str| -> Result<Vec<String>, Win32Error> {
        let found = FindFiles::new(transport, &path(&format!(r"many\{pattern}")))?;
        found.map(|file| file.map(|file| file.name)).collect()
    };
    assert_eq!(code(list("*")), abi::ERROR_FILE_NOT_FOUND, "nothing is in it");
    let long = "x".repeat(40);
    let expected: Vec<String> = (0..100).map(|number| format!("{long}{number:02}.txt")).collect();
    for name in &expected {
        drop(file(transport, &format!(r"many\{name}")));
    }
    assert_eq!(list("*").expect("lists"), expected, "more than one answer has room for");
    assert_eq!(list("*.*").expect("lists").len(), 100);
    assert_eq!(list("X*7?.TXT").expect("lists"), expected[70..80]);
    assert_eq!(list(&expected[42]).expect("lists"), expected[42..43]);
    assert_eq!(code(list("*.doc")), abi::ERROR_FILE_NOT_FOUND);
    assert_eq!(code(FindFiles::new(transport, &path(r"nowhere\*"))), abi::ERROR_PATH_NOT_FOUND);
    assert_eq!(code(remove_directory(transport, &path("many"))), abi::ERROR_DIR_NOT_EMPTY);
    assert_eq!(code(delete_file(transport, &path("many"))), abi::ERROR_ACCESS_DENIED, "it is a folder");
    for name in &expected {
        delete_file(transport, &path(&format!(r"many\{name}"))).expect("goes");
    }
    remove_directory(transport, &path("many")).expect("goes");
}

rule!(fn a_file_that_is_deleted_goes_with_its_last_handle(), fn application_of_deletion(), deletion);

fn deletion(transport: &dyn Transport) {
    let kept = how(Disposition::CreateNew).open(transport, &path("gone")).expect("opens");
    delete_file(transport, &path("gone")).expect("is marked");
    assert_eq!(code(how(Disposition::OpenAlways).open(transport, &path("gone"))), abi::ERROR_ACCESS_DENIED);
    kept.write(b"still there").expect("writes");
    drop(kept);
    assert_eq!(
        code(how(Disposition::OpenExisting).open(transport, &path("gone"))),
        abi::ERROR_FILE_NOT_FOUND
    );
    let options = how(Disposition::CreateNew).delete_on_close(true);
    let first = options.open(transport, &path("gone")).expect("opens");
    let second = file(transport, "gone");
    drop(first);
    assert_eq!(code(how(Disposition::OpenExisting).open(transport, &path("gone"))), abi::ERROR_ACCESS_DENIED);
    drop(second);
    assert_eq!(code(delete_file(transport, &path("gone"))), abi::ERROR_FILE_NOT_FOUND);
}

rule!(fn a_file_is_renamed_in_its_folder_and_moved_to_another(), fn application_of_moves(), moves);

fn moves(transport: &dyn Transport) {
    let names = |folder: &str| -> Vec<String> {
        let Ok(found) = FindFiles::new(transport, &path(&format!(r"{folder}\*"))) else { return Vec::new() };
        found.map(|file| file.expect("lists").name).collect()
    };
    let moved = |from: &str, to: &str, replace| code(move_file(transport, &path(from), &path(to), replace));
    create_directory(transport, &path("from")).expect("is made");
    create_directory(transport, &path("to")).expect("is made");
    file(transport, r"from\a").write(b"one").expect("writes");
    drop(file(transport, r"to\b"));
    assert_eq!(moved(r"from\a", r"from\A2", false), 0);
    assert_eq!(names("from"), ["A2"]);
    assert_eq!(moved(r"from\a2", r"to\B", false), abi::ERROR_ALREADY_EXISTS);
    assert_eq!(moved(r"from\a2", r"nowhere\b", false), abi::ERROR_PATH_NOT_FOUND);
    assert_eq!(moved(r"from\none", r"to\c", false), abi::ERROR_FILE_NOT_FOUND);
    let kept = file(transport, r"to\b");
    assert_eq!(moved(r"from\a2", r"to\b", true), abi::ERROR_ACCESS_DENIED, "somebody has it");
    drop(kept);
    assert_eq!(moved(r"from\a2", r"to\b", true), 0);
    assert_eq!((names("from").len(), names("to")), (0, vec!["b".to_owned()]));
    assert_eq!(file(transport, r"to\b").file_size().expect("is told"), 3);
    assert_eq!(moved("to", r"to\below", false), abi::ERROR_SHARING_VIOLATION, "into itself");
    assert_eq!(moved("to", r"from\below", false), 0);
    assert_eq!(names(r"from\below"), ["b"]);
    delete_file(transport, &path(r"from\below\b")).expect("goes");
    for name in [r"from\below", "from"] {
        remove_directory(transport, &path(name)).expect("goes");
    }
}

rule!(fn a_new_name_is_the_files_own_folders_or_another_ones(), fn application_of_new_names(), new_names);

/// FileRenameInformation, or its Ex form, of a file.
fn rename(transport: &dyn Transport, handle: Handle, class: i32, (root, name): (u64, &str)) -> abi::NTSTATUS {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u32::try_from(name.len()).expect("short");
    let mut data = [&[0; 8][..], &root.to_le_bytes(), &length.to_le_bytes(), &name].concat();
    data.resize(data.len().max(size_of::<abi::FILE_RENAME_INFORMATION>()), 0);
    transport.system_call(&SystemCall::SetInformationFile { handle, class, data: &data }, &mut []).status
}

fn new_names(transport: &dyn Transport) {
    let class = abi::FileRenameInformation;
    let deleting = |name: &str| {
        let opened =
            OpenOptions::new().access(abi::DELETE).share(SHARE).directory(true).open(transport, &path(name));
        opened.expect("opens")
    };
    let is_there = |name: &str| how(Disposition::OpenExisting).open(transport, &path(name)).is_ok();
    create_directory(transport, &path("names")).expect("is made");
    create_directory(transport, &path("gone")).expect("is made");
    for name in [r"names\a", r"names\b"] {
        drop(file(transport, name));
    }
    let kept = deleting(r"names\a");
    let folder = OpenOptions::new().access(abi::FILE_LIST_DIRECTORY).share(SHARE).directory(true);
    let folder = folder.open(transport, &path("names")).expect("opens");
    let asked = |root, name: &str| rename(transport, kept.handle(), class, (root, name));
    assert_eq!(asked(0, "b"), abi::STATUS_OBJECT_NAME_COLLISION);
    assert_eq!(asked(0, "c"), abi::STATUS_SUCCESS);
    assert!(is_there(r"names\c") && !is_there(r"names\a"));
    assert_eq!(asked(0, r"below\c"), abi::STATUS_OBJECT_NAME_INVALID, "no name");
    assert_eq!(asked(0, "c?"), abi::STATUS_OBJECT_NAME_INVALID);
    assert_eq!(asked(0, &"n".repeat(65)), abi::STATUS_OBJECT_NAME_INVALID);
    assert_eq!(asked(0, r"\??\Shelf"), abi::STATUS_OBJECT_NAME_INVALID, "the volume has no folder");
    assert_eq!(asked(0, r"\??\Shelf\names\"), abi::STATUS_OBJECT_NAME_INVALID);
    assert_eq!(asked(0, r"\??\Shelf\d"), abi::STATUS_SUCCESS, "to the root");
    assert_eq!(asked(u64::from(folder.handle().0), "e"), abi::STATUS_SUCCESS, "and back, by a handle");
    assert!(is_there(r"names\e") && !is_there("d"));
    let reader = how(Disposition::OpenExisting).access(abi::GENERIC_READ);
    let reader = reader.open(transport, &path(r"names\e")).expect("opens");
    assert_eq!(rename(transport, reader.handle(), class, (0, "d")), abi::STATUS_ACCESS_DENIED);
    // What is deleted is not moved, and nothing goes into a folder that is.
    let gone = deleting("gone");
    gone.set_delete(true).expect("is noted");
    assert_eq!(asked(u64::from(gone.handle().0), "f"), abi::STATUS_DELETE_PENDING);
    kept.set_delete(true).expect("is noted");
    let ex = abi::FileRenameInformationEx;
    assert_eq!(rename(transport, kept.handle(), ex, (0, "f")), abi::STATUS_DELETE_PENDING);
    drop((kept, reader, gone));
    delete_file(transport, &path(r"names\b")).expect("goes");
    drop(folder);
    remove_directory(transport, &path("names")).expect("goes");
}

rule!(fn a_volume_tells_its_label_and_its_space(), fn application_of_volumes(), volumes);

fn volumes(transport: &dyn Transport) {
    let root = path("");
    set_volume_label(transport, &root, "Étagère").expect("is changed");
    assert_eq!(
        code(set_volume_label(transport, &root, &"x".repeat(LONGEST_LABEL + 1))),
        abi::ERROR_LABEL_TOO_LONG
    );
    let file = file(transport, "v");
    let told = file.volume_information().expect("is told");
    assert_eq!((told.label.as_str(), told.file_system.as_str()), ("Étagère", "SHELF"));
    assert_eq!((told.serial_number, told.maximum_component_length), (SERIAL, 64));
    let before = disk_free_space(transport, &root).expect("is told");
    assert_eq!(before.total, CAPACITY);
    file.write(&vec![1; SECTOR as usize + 1]).expect("writes");
    let after = disk_free_space(transport, &root).expect("is told");
    assert_eq!(before.free - after.free, 2 * u64::from(SECTOR));
    set_volume_label(transport, &root, "").expect("is taken away");
    assert_eq!(file.volume_information().expect("is told").label, "");
    let handle = file.handle();
    let volume = |class, room: &mut [u8]| {
        transport.system_call(&SystemCall::File(FileCall::QueryVolumeInformation { handle, class }), room)
    };
    assert_eq!(volume(0, &mut [0; 64]).status, abi::STATUS_INVALID_INFO_CLASS);
    assert_eq!(volume(abi::FileFsMaximumInformation, &mut [0; 64]).status, abi::STATUS_INVALID_INFO_CLASS);
    assert_eq!(volume(abi::FileFsSizeInformation, &mut [0; 23]).status, abi::STATUS_INFO_LENGTH_MISMATCH);
    let mut room = [0; 16];
    let partly = volume(abi::FileFsAttributeInformation, &mut room);
    assert_eq!((partly.status, partly.information), (abi::STATUS_BUFFER_OVERFLOW, 16));
    assert_eq!(room[8..], [10, 0, 0, 0, b'S', 0, b'H', 0], "what fits, and how long all of it is");
    let mut device = [0; 8];
    assert_eq!(volume(abi::FileFsDeviceInformation, &mut device).status, abi::STATUS_SUCCESS);
    assert_eq!(device[..4], abi::FILE_DEVICE_VIRTUAL_DISK.to_le_bytes());
    drop(file);
    delete_file(transport, &path("v")).expect("goes");
}

fn watched<'a>(transport: &'a dyn Transport, name: &str) -> Device<'a> {
    let options = OpenOptions::new().access(abi::FILE_LIST_DIRECTORY).share(SHARE).directory(true);
    options.overlapped(true).open(transport, &path(name)).expect("opens")
}

rule!(fn changes_are_told_once_and_none_is_lost(), fn application_of_changes(), changes);

fn changes(transport: &dyn Transport) {
    const NAMES: u32 = abi::FILE_NOTIFY_CHANGE_FILE_NAME | abi::FILE_NOTIFY_CHANGE_DIR_NAME;
    create_directory(transport, &path("w")).expect("is made");
    let (folder, tree) = (watched(transport, "w"), watched(transport, ""));
    let room = |length| Buffer::new(transport, length).expect("memory");
    let ask = |device: &Device<'_>, subtree| -> Vec<(u32, String)> {
        let told = device.read_directory_changes(room(512), subtree, NAMES, &Overlapped::new());
        let told = told.expect("begins").finish();
        let length = told.result.expect("is told");
        directory_changes(&told.buffer, length)
            .into_iter()
            .map(|change| (change.action, change.name))
            .collect()
    };
    let refused = folder.read_directory_changes(room(512), false, 0, &Overlapped::new());
    assert_eq!(refused.expect_err("nothing to be told").error.code, abi::ERROR_INVALID_PARAMETER);
    let first = folder.read_directory_changes(room(512), false, NAMES, &Overlapped::new()).expect("begins");
    let above = tree.read_directory_changes(room(512), true, NAMES, &Overlapped::new()).expect("begins");
    assert!(!first.has_completed() && !above.has_completed());
    drop(file(transport, r"w\one"));
    let told = first.finish();
    let length = told.result.expect("is told");
    let told = directory_changes(&told.buffer, length);
    assert_eq!((told[0].action, told[0].name.as_str()), (abi::FILE_ACTION_ADDED, "one"));
    let told = above.finish();
    let length = told.result.expect("is told");
    assert_eq!(directory_changes(&told.buffer, length)[0].name, r"w\one");
    // Between two requests.
    drop(file(transport, r"w\two"));
    delete_file(transport, &path(r"w\one")).expect("goes");
    let expected = [(abi::FILE_ACTION_ADDED, "two".to_owned()), (abi::FILE_ACTION_REMOVED, "one".to_owned())];
    assert_eq!(ask(&folder, false), expected);
    // There is no room for what has changed.
    drop(file(transport, r"w\three"));
    let told = folder.read_directory_changes(room(8), false, NAMES, &Overlapped::new()).expect("begins");
    assert_eq!(told.finish().result.expect("no error"), 0);
    // Cancelled, and closed.
    let waiting = folder.read_directory_changes(room(512), false, NAMES, &Overlapped::new()).expect("begins");
    waiting.cancel().expect("is cancelled");
    assert_eq!(code(waiting.finish().result), abi::ERROR_OPERATION_ABORTED);
    drop((folder, tree));
    for name in ["two", "three"] {
        delete_file(transport, &path(&format!(r"w\{name}"))).expect("goes");
    }
    remove_directory(transport, &path("w")).expect("goes");
}

rule!(fn a_locked_range_is_one_files_alone_until_it_is_given_back(), fn application_of_locks(), locks);

fn locks(transport: &dyn Transport) {
    const SHARED: LockOptions = LockOptions { exclusive: false, fail_immediately: true };
    const EXCLUSIVE: LockOptions = LockOptions { exclusive: true, fail_immediately: true };
    let (first, second) = (file(transport, "l"), file(transport, "l"));
    first.write(&[7; 100]).expect("writes");
    first.lock(10, 10, EXCLUSIVE).expect("is free");
    assert_eq!(code(second.lock(19, 1, SHARED)), abi::ERROR_LOCK_VIOLATION);
    second.lock(20, 5, SHARED).expect("is beside it");
    first.lock(20, 5, SHARED).expect("is shared");
    assert_eq!(code(first.lock(22, 1, EXCLUSIVE)), abi::ERROR_LOCK_VIOLATION);
    let mut byte = [0];
    let at = |file: &Device<'_>, offset| file.set_file_pointer(offset, MoveMethod::Begin).expect("moves");
    at(&second, 12);
    assert_eq!(code(second.read(&mut byte)), abi::ERROR_LOCK_VIOLATION);
    at(&first, 12);
    assert_eq!(first.read(&mut byte).expect("its own"), 1);
    at(&second, 21);
    assert_eq!(second.read(&mut byte).expect("shared"), 1);
    assert_eq!(code(second.unlock(10, 10)), abi::ERROR_NOT_LOCKED, "another's");
    assert_eq!(code(first.unlock(10, 9)), abi::ERROR_NOT_LOCKED, "not as it was locked");
    assert_eq!(
        code(first.lock(u64::MAX, 1, EXCLUSIVE)),
        abi::win32_from_status(abi::STATUS_INVALID_LOCK_RANGE)
    );
    let overlapped =
        how(Disposition::OpenExisting).overlapped(true).open(transport, &path("l")).expect("opens");
    let wait = LockOptions { exclusive: true, fail_immediately: false };
    let begin = |length| {
        let nothing = Buffer::new(transport, 0).expect("memory");
        overlapped.lock_overlapped(length, wait, nothing, &Overlapped::new().offset(10)).expect("begins")
    };
    let (waiting, cancelled) = (begin(1), begin(2));
    assert!(!waiting.has_completed() && !cancelled.has_completed());
    cancelled.cancel().expect("is cancelled");
    assert_eq!(code(cancelled.finish().result), abi::ERROR_OPERATION_ABORTED);
    // Its locks go with its handle.
    drop(first);
    assert_eq!(waiting.finish().result.expect("is granted"), 0);
    drop((second, overlapped));
    delete_file(transport, &path("l")).expect("goes");
}

scenario! {
    fn what_a_process_has_locked_is_free_when_it_closes_its_last_handle_though_another_has_the_file(form: Form) {
        const NOW: LockOptions = LockOptions { exclusive: true, fail_immediately: true };
        let machine = SHELF.machine(form);
        {
            let (first, second) = (machine.process("first"), machine.process("second"));
            let other = file(&second, "shared");
            for dies in [false, true] {
                let process = machine.process("short");
                let owner = file(&process, "shared");
                owner.lock(0, 1, NOW).expect("is free");
                let kept = process.duplicate_into(owner.handle(), &first, 0, abi::DUPLICATE_SAME_ACCESS);
                let kept = kept.expect("is duplicated");
                assert_eq!(code(other.lock(0, 1, NOW)), abi::ERROR_LOCK_VIOLATION);
                if dies {
                    // Its handles are closed with it.
                    std::mem::forget(owner);
                    drop(process);
                } else {
                    owner.close().expect("closes");
                }
                other.lock(0, 1, NOW).expect("is free again");
                other.unlock(0, 1).expect("is its own");
                assert_eq!(Transport::close(&first, kept), abi::STATUS_SUCCESS);
            }
        }
        ends_well(&machine);
    }
}

rule!(fn calls_about_files_with_wrong_memory_or_handles_are_refused(), fn application_of_bad_calls(), bad_calls);

fn bad_calls(transport: &dyn Transport) {
    let file = file(transport, "b");
    let folder = watched(transport, "");
    let (room, told) =
        (Buffer::new(transport, 128).expect("memory"), Buffer::new(transport, 16).expect("memory"));
    let (buffer, block) = (Memory { address: room.address(), length: 128 }, told.address());
    let status = |call| transport.system_call(&SystemCall::File(call), &mut []).status;
    let list = |handle, buffer, class, block| {
        let notice = gate::Notice { io_status_block: block, ..gate::Notice::default() };
        status(FileCall::QueryDirectory { handle, buffer, class, flags: 0, pattern: &[], notice })
    };
    let both = abi::FileBothDirectoryInformation;
    assert_eq!(list(Handle(0x7FF0), buffer, both, block), abi::STATUS_INVALID_HANDLE);
    assert_eq!(list(folder.handle(), buffer, 4, block), abi::STATUS_INVALID_INFO_CLASS);
    assert_eq!(
        list(folder.handle(), Memory { length: 8, ..buffer }, both, block),
        abi::STATUS_INFO_LENGTH_MISMATCH
    );
    let names = abi::FileNamesInformation;
    for address in [0, 8, 1 << 46, u64::MAX - 8] {
        let wrong = Memory { address, length: 64 };
        assert_eq!(list(folder.handle(), wrong, names, block), abi::STATUS_ACCESS_VIOLATION, "{address:#x}");
        assert_eq!(
            list(folder.handle(), buffer, names, address),
            abi::STATUS_ACCESS_VIOLATION,
            "{address:#x}"
        );
        let io_status_block = address;
        let range = gate::LockedRange { offset: 0, length: 1, key: 0 };
        let unlock = FileCall::Unlock { handle: file.handle(), range, io_status_block };
        assert_eq!(status(unlock), abi::STATUS_ACCESS_VIOLATION, "{address:#x}");
        let set = FileCall::SetEa { handle: file.handle(), buffer: wrong, io_status_block: block };
        assert_eq!(status(set), abi::STATUS_ACCESS_VIOLATION, "{address:#x}");
    }
    let torn = FileCall::SetEa { handle: file.handle(), buffer, io_status_block: block };
    assert_eq!(status(torn), abi::STATUS_EA_LIST_INCONSISTENT, "zeroes are no list");
    let reader = how(Disposition::OpenExisting).access(abi::FILE_READ_DATA).open(transport, &path("b"));
    let reader = reader.expect("opens");
    let set = FileCall::SetEa { handle: reader.handle(), buffer, io_status_block: block };
    assert_eq!(status(set), abi::STATUS_ACCESS_DENIED);
    let query = FileCall::QueryEa {
        handle: reader.handle(),
        buffer,
        flags: 0,
        index: 0,
        list: &[],
        io_status_block: block,
    };
    assert_eq!(status(query), abi::STATUS_ACCESS_DENIED);
    let quota = FileCall::QueryQuota {
        handle: file.handle(),
        buffer,
        flags: 0,
        sids: &[],
        start_sid: 0,
        io_status_block: block,
    };
    assert_eq!(status(quota), abi::STATUS_INVALID_DEVICE_REQUEST, "the volume has none");
    drop((file, folder, reader));
    delete_file(transport, &path("b")).expect("goes");
}

rule!(fn extended_attributes_are_set_replaced_asked_for_and_taken_away(), fn application_of_attributes(), attributes);

fn ea(next: u32, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut entry = next.to_le_bytes().to_vec();
    entry.extend([0, u8::try_from(name.len()).expect("short")]);
    entry.extend(u16::try_from(value.len()).expect("short").to_le_bytes());
    entry.extend(name);
    entry.push(0);
    entry.extend(value);
    entry
}

fn attributes(transport: &dyn Transport) {
    let file = file(transport, "e");
    let handle = file.handle();
    let status_block = Buffer::new(transport, 64).expect("memory");
    let io_status_block = status_block.address();
    let set = |list: &[u8]| {
        let list = Buffer::from_bytes(transport, list).expect("memory");
        let buffer = Memory { address: list.address(), length: list.len() };
        transport
            .system_call(&SystemCall::File(FileCall::SetEa { handle, buffer, io_status_block }), &mut [])
            .status
    };
    let query = |length, flags, list: &[u8]| {
        let room = Buffer::new(transport, length).expect("memory");
        let buffer = Memory { address: room.address(), length };
        let call = FileCall::QueryEa { handle, buffer, flags, index: 0, list, io_status_block };
        let status = transport.system_call(&SystemCall::File(call), &mut []).status;
        let count = status_block.to_vec(12)[8];
        (status, room.to_vec(u32::from(count)))
    };
    assert_eq!(query(64, 0, &[]).0, abi::STATUS_NO_EAS_ON_FILE);
    assert_eq!(set(&ea(0, b"COLOUR", b"red")), abi::STATUS_SUCCESS);
    assert_eq!(query(64, 0, &[]), (abi::STATUS_SUCCESS, ea(0, b"COLOUR", b"red")));
    let mut two = ea(20, b"COLOUR", b"blue");
    two.resize(20, 0);
    two.extend(ea(0, b"AGE", b"7"));
    assert_eq!(set(&two), abi::STATUS_SUCCESS);
    assert_eq!(query(64, 0, &[]), (abi::STATUS_SUCCESS, two));
    let single = query(64, abi::SL_RETURN_SINGLE_ENTRY, &[]);
    assert_eq!(single, (abi::STATUS_SUCCESS, ea(0, b"COLOUR", b"blue")));
    assert_eq!(query(64, 0, b"\0\0\0\0\x03AGE\0"), (abi::STATUS_SUCCESS, ea(0, b"AGE", b"7")));
    assert_eq!(query(64, 0, b"\0\0\0\0\x04NONE\0"), (abi::STATUS_SUCCESS, ea(0, b"NONE", b"")));
    assert_eq!(query(64, 0, b"\0\0\0\0\x04NONE").0, abi::STATUS_EA_LIST_INCONSISTENT);
    assert_eq!(query(8, 0, &[]).0, abi::STATUS_BUFFER_TOO_SMALL);
    assert_eq!(set(&ea(0, b"colour", b"")), abi::STATUS_SUCCESS);
    assert_eq!(query(64, 0, &[]), (abi::STATUS_SUCCESS, ea(0, b"AGE", b"7")));
    drop(file);
    delete_file(transport, &path("e")).expect("goes");
}

#[test]
fn application_that_holds_and_waits() {
    let Some(client) = application() else { return };
    let kept =
        how(Disposition::OpenAlways).delete_on_close(true).open(&client, &path("held")).expect("opens");
    kept.lock(0, 10, LockOptions { exclusive: true, fail_immediately: false }).expect("is free");
    let folder = watched(&client, "");
    let room = Buffer::new(&client, 64).expect("memory");
    let _told = folder.read_directory_changes(room, true, abi::FILE_NOTIFY_CHANGE_EA, &Overlapped::new());
    say_ready();
    wait_to_go_on();
}

scenario! {
    fn what_a_killed_application_held_is_free_and_what_it_waited_for_is_cancelled(form: Form) {
        let machine = SHELF.machine(form);
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
        let process = machine.process("survivor");
        for _ in 0..3 {
            let application = Beside::start("application_that_holds_and_waits", server.path());
            let file = how(Disposition::OpenExisting).overlapped(true).open(&process, &path("held")).expect("opens");
            let nothing = Buffer::new(&process, 0).expect("memory");
            let wait = LockOptions { exclusive: true, fail_immediately: false };
            let waiting = file.lock_overlapped(10, wait, nothing, &Overlapped::new()).expect("begins");
            assert!(!waiting.has_completed());
            application.kill();
            assert!(waiting.wait(Some(PATIENCE)).expect("can be waited for"), "the lock went with its owner");
            assert_eq!(waiting.finish().result.expect("is granted"), 0);
            drop(file);
            assert_eq!(code(how(Disposition::OpenExisting).open(&process, &path("held"))), abi::ERROR_FILE_NOT_FOUND);
        }
        drop(process);
        server.stop();
        ends_well(&machine);
    }
}
