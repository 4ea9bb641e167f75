//! Associated requests in the SDK, as the test driver `stripes` makes them: a request that two other devices carry out in
//! parts of eight bytes, the first on the left.

use abi::{
    NTSTATUS, STATUS_DEVICE_DATA_ERROR, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS,
};
use app::{ControlCode, Device};
use gate::Transport;
use host::{Event, Process};
use ringbridge_scenarios::{HELLO, STRIPES, Watch, is_pended, open, scenario, unload_cleanly};
use test_stripes::{FAIL, HALF, IOCTL_MODE, IOCTL_RELEASE, NORMAL, PEND};

const WHOLE: &str = r"\\.\RbWhole";
const LEFT: &str = r"\\.\RbLeft";
const RIGHT: &str = r"\\.\RbRight";
const TEXT: &[u8; 28] = b"Left oneRight 1.Left twoRigh";

/// Reads from the start; status and bytes.
fn read(process: &Process, device: &Device<'_>, buffer: &mut [u8]) -> (NTSTATUS, u64) {
    let ended = process.read(device.handle(), buffer, Some(0));
    (ended.status, ended.information)
}

fn set_mode(device: &Device<'_>, mode: u8) {
    device.control(ControlCode(IOCTL_MODE), &[mode], &mut []).expect("answers");
}

scenario! {
    fn a_request_is_completed_with_all_its_bytes_when_its_parts_have_been(form: Form) {
        let machine = STRIPES.machine(form);
        let process = machine.process("application");
        let (whole, left, right) = (open(&process, WHOLE), open(&process, LEFT), open(&process, RIGHT));
        let written = process.write(whole.handle(), TEXT, Some(0));
        assert_eq!((written.status, written.information), (STATUS_SUCCESS, 28));
        let mut buffer = [0; 18];
        assert_eq!(read(&process, &left, &mut buffer), (STATUS_SUCCESS, 18));
        assert_eq!(&buffer, b"Left oneLeft two..");
        assert_eq!(read(&process, &right, &mut buffer), (STATUS_SUCCESS, 18));
        assert_eq!(&buffer, b"Right 1.Righ......");
        let mut buffer = [0; 30];
        assert_eq!(read(&process, &whole, &mut buffer[..28]), (STATUS_SUCCESS, 28));
        assert_eq!(&buffer, b"Left oneRight 1.Left twoRigh\0\0");
        drop((whole, left, right));
        drop(process);
        unload_cleanly(&machine, "stripes");
    }
}

scenario! {
    fn a_request_ends_with_the_last_of_its_parts(form: Form) {
        let machine = STRIPES.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let (whole, left, right) = (open(&process, WHOLE), open(&process, LEFT), open(&process, RIGHT));
        process.write(whole.handle(), TEXT, Some(0));
        let before = watch.events().iter().filter(|event| is_pended(event)).count();
        set_mode(&left, PEND);
        set_mode(&right, PEND);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut buffer = [0; 28];
                let ended = read(&process, &whole, &mut buffer);
                (ended, buffer)
            });
            // Four parts and the whole.
            watch.wait_for(before + 5, is_pended);
            let release = |device: &Device<'_>| device.control(ControlCode(IOCTL_RELEASE), &[], &mut []);
            release(&right).expect("answers");
            let reads = |event: &Event| matches!(event, Event::IrpCompleted { information: 28, .. });
            assert_eq!(watch.events().iter().filter(|event| reads(event)).count(), 1, "the write");
            release(&left).expect("answers");
            assert_eq!(reader.join().expect("no panic"), ((STATUS_SUCCESS, 28), *TEXT));
        });
        drop((whole, left, right));
        drop(process);
        unload_cleanly(&machine, "stripes");
    }
}

scenario! {
    fn the_first_part_that_fails_gives_the_status_and_one_that_comes_short_the_length(form: Form) {
        let machine = STRIPES.machine(form);
        let process = machine.process("application");
        let (whole, left, right) = (open(&process, WHOLE), open(&process, LEFT), open(&process, RIGHT));
        process.write(whole.handle(), TEXT, Some(0));
        let mut buffer = [0; 28];
        set_mode(&right, FAIL);
        assert_eq!(read(&process, &whole, &mut buffer), (STATUS_DEVICE_DATA_ERROR, 0));
        set_mode(&right, HALF);
        let mut buffer = [0; 28];
        assert_eq!(read(&process, &whole, &mut buffer), (STATUS_SUCCESS, 12));
        assert_eq!(&buffer[..12], b"Left oneRigh");
        set_mode(&right, NORMAL);
        assert_eq!(read(&process, &whole, &mut buffer), (STATUS_SUCCESS, 28));
        drop((whole, left, right));
        drop(process);
        unload_cleanly(&machine, "stripes");
    }
}

scenario! {
    fn a_request_that_cannot_be_split_comes_back_and_no_part_is_sent(form: Form) {
        let machine = STRIPES.machine(form);
        HELLO.load(&machine, form);
        let process = machine.process("application");
        let whole = open(&process, WHOLE);
        assert_eq!(read(&process, &whole, &mut []), (STATUS_INVALID_PARAMETER, 0), "no parts");
        // The right half of this one is a buffered device: the part for the left one was made before that is seen.
        let mixed = open(&process, r"\\.\RbWhole\mixed");
        let watch = Watch::on(&machine);
        assert_eq!(read(&process, &mixed, &mut [0; 16]), (STATUS_NOT_SUPPORTED, 0));
        let dispatched = |event: &Event| matches!(event, Event::IrpDispatched { .. });
        assert_eq!(watch.events().iter().filter(|event| dispatched(event)).count(), 1);
        drop((whole, mixed));
        drop(process);
        unload_cleanly(&machine, "stripes");
    }
}
