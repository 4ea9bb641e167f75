//! What a driver sees of a file from its open to its end.

use super::*;

const CREATE: u64 = abi::IRP_MJ_CREATE as u64 + 1;
const CLEANUP: u64 = abi::IRP_MJ_CLEANUP as u64 + 1;
const CLOSE: u64 = abi::IRP_MJ_CLOSE as u64 + 1;
const WHOLE_LIFE: u64 = CREATE << 16 | CLEANUP << 8 | CLOSE;

/// What the driver has seen since this was asked last.
fn seen() -> u64 {
    raw::exchange(extension() + LIFE, 0).expect("writable")
}

#[test]
fn a_file_that_gets_no_handle_is_cleaned_up_before_it_is_closed() {
    on_mock(0..1, 1, |machine| {
        let rig = rig(machine);
        machine.inside(move |kernel, _| {
            rig.process.handles.close(kernel, &rig.process, rig.handle).expect("open");
            assert_eq!(seen(), WHOLE_LIFE, "with a handle");
            let path: Vec<u16> = r"\Device\Test".encode_utf16().collect();
            let request = OpenRequest {
                path: &path,
                desired_access: abi::FILE_READ_DATA,
                create_disposition: abi::FILE_OPEN,
                user_mode: true,
                ..OpenRequest::default()
            };
            // A file object alone, as kernel code may have one.
            let (file, ..) = io::open_file(kernel, &rig.process, &request).expect("opens");
            file.dereference(kernel);
            assert_eq!(seen(), WHOLE_LIFE, "a file object alone");
            rig.process.handles.close_all(kernel, &rig.process);
            let refused = io::create_file(kernel, &rig.process, &request);
            assert_eq!(refused.err(), Some(abi::STATUS_PROCESS_IS_TERMINATING));
            assert_eq!(seen(), WHOLE_LIFE, "there was no room for a handle");
        });
    });
}
