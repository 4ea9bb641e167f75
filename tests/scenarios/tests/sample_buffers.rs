//! The sample `buffers`: the same bytes by every transfer method and by direct reads and writes.

use app::{ControlCode, Device, Transport};
use host::{InputBuffer, IoStatus, OutputBuffer, Process, UnloadOutcome};
use ringbridge_scenarios::{BUFFERS, application, failure, open, run_application, scenario, unload_cleanly};
use sample_buffers::{IOCTL_INVERT_BUFFERED, IOCTL_INVERT_NEITHER, IOCTL_LOAD, IOCTL_STORE};

const PATH: &str = r"\\.\Buffers";
const INVERTS: [ControlCode; 2] = [ControlCode(IOCTL_INVERT_BUFFERED), ControlCode(IOCTL_INVERT_NEITHER)];
const STORE: ControlCode = ControlCode(IOCTL_STORE);
const LOAD: ControlCode = ControlCode(IOCTL_LOAD);
const LENGTHS: [usize; 6] = [0, 1, 511, 512, 65_536, 200_001];

fn line(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 253).to_le_bytes()[0]).collect()
}

fn invert(device: &Device<'_>, code: ControlCode, length: usize) {
    let sent = line(length);
    let mut answer = vec![0; length];
    assert_eq!(device.control(code, &sent, &mut answer).expect("inverts") as usize, length);
    assert!(answer.iter().zip(&sent).all(|(got, sent)| *got == !*sent), "{code:?}, {length} bytes");
}

fn carries_bytes_every_way(transport: &dyn Transport) {
    let device = open(transport, PATH);
    for length in LENGTHS {
        for code in INVERTS {
            invert(&device, code, length);
        }
        let sent = line(length);
        assert_eq!(device.write(&sent).expect("writes") as usize, length);
        let mut answer = vec![0xEE; length + 10];
        assert_eq!(device.read(&mut answer).expect("reads") as usize, length);
        assert!(answer[..length] == sent && answer[length..] == [0xEE; 10], "{length} bytes");

        let mut second = sent.clone();
        assert_eq!(device.control(STORE, &[0x5A], &mut second).expect("stores") as usize, length);
        assert!(second == sent, "the driver only reads it");
        let mut answer = vec![0; length];
        assert_eq!(device.control(LOAD, &0_u32.to_le_bytes(), &mut answer).expect("loads") as usize, length);
        assert!(answer.iter().zip(&sent).all(|(got, sent)| *got == *sent ^ 0x5A), "{length} bytes");
        let from = u32::try_from(length / 2).expect("small");
        let bytes = device.control(LOAD, &from.to_le_bytes(), &mut answer).expect("loads") as usize;
        assert_eq!(bytes, length - length / 2);
    }
    assert_eq!(failure(device.control(STORE, b"", &mut [0; 9])), abi::STATUS_INVALID_PARAMETER);
    let beyond = device.control(LOAD, &u32::MAX.to_le_bytes(), &mut [0; 9]);
    assert_eq!(beyond.expect("nothing is there"), 0);
    // A shorter second buffer takes the front.
    let mut short = [0; 3];
    for code in INVERTS {
        assert_eq!(device.control(code, &[1, 2, 3, 4], &mut short).expect("inverts"), 3);
        assert_eq!(short, [!1, !2, !3]);
    }
}

scenario! {
    fn every_way_carries_bytes(form: Form) {
        let machine = BUFFERS.machine(form);
        carries_bytes_every_way(&machine.process("application"));
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_cleanly(&machine, "buffers");
    }
}

#[test]
fn application_of_buffers() {
    let Some(client) = application() else { return };
    carries_bytes_every_way(&client);
}

scenario! {
    fn every_way_carries_bytes_from_another_process(form: Form) {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = BUFFERS.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_of_buffers", server.path());
        server.stop();
        assert!(matches!(machine.unload("buffers"), Ok(UnloadOutcome::Unloaded(_))));
    }
}

fn inverts(
    process: &Process,
    device: &Device<'_>,
    input: InputBuffer<'_>,
    output: OutputBuffer<'_>,
) -> IoStatus {
    process.control_buffers(device.handle(), IOCTL_INVERT_NEITHER, input, output)
}

scenario! {
    /// Also compiled in, where no handler takes what the access would raise.
    fn an_address_where_nothing_is_ends_a_neither_request_with_an_access_violation(form: Form) {
        let machine = BUFFERS.machine(form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let mut window = process.allocate(4096).expect("room");
        // In the process's window, behind everything that is allocated there.
        let start = window.address();
        let nowhere = start + (1 << 30);
        let from_nowhere = inverts(
            &process,
            &device,
            InputBuffer::in_window(nowhere, 100).expect("a window"),
            window.output(0..100),
        );
        assert_eq!(from_nowhere.status, abi::STATUS_ACCESS_VIOLATION);
        let sent = line(100);
        let into_nowhere = inverts(
            &process,
            &device,
            InputBuffer::from_slice(&sent).expect("short"),
            OutputBuffer::in_window(nowhere, 100).expect("a window"),
        );
        assert_eq!(into_nowhere.status, abi::STATUS_ACCESS_VIOLATION);
        let right =
            inverts(&process, &device, InputBuffer::from_slice(&sent).expect("short"), window.output(3996..4096));
        assert_eq!((right.status, right.information), (abi::STATUS_SUCCESS, 100));
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}

scenario! {
    fn direct_io_where_no_pages_are_is_an_access_violation_and_never_reaches_the_driver(form: Form) {
        let machine = BUFFERS.machine(form);
        let process = machine.process("application");
        let device = open(&process, PATH);
        let window = process.allocate(4096).expect("room");
        // Nothing is there at all, and nothing behind the first page.
        for (address, length) in [(window.address() + (1 << 30), 100), (window.address() + 4000, 200)] {
            let input = || InputBuffer::in_window(address, length).expect("a window");
            let output = || OutputBuffer::in_window(address, length).expect("a window");
            let none = || InputBuffer::from_slice(&[]).expect("short");
            let key = || InputBuffer::from_slice(&[0; 4]).expect("short");
            for refused in [
                process.write_buffer(device.handle(), input(), None),
                process.read_buffer(device.handle(), output(), None),
                process.control_buffers(device.handle(), IOCTL_STORE, none(), output()),
                process.control_buffers(device.handle(), IOCTL_LOAD, key(), output()),
            ] {
                assert_eq!((refused.status, refused.information), (abi::STATUS_ACCESS_VIOLATION, 0));
            }
        }
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}
