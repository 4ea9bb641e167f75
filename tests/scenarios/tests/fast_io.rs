//! Fast I/O: what a driver answers without an IRP, and what comes back to one. `tests/drivers/fastio.c` says what its requests do.

use std::sync::Arc;
use std::time::Duration;

use abi::{METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_NEITHER, METHOD_OUT_DIRECT};
use app::{
    Buffer, CompletionPort, ControlCode, Device, Event, EventKind, OpenOptions, Overlapped, Transport,
};
use gate::{SystemCall, SystemReply};
use host::{Event as Happened, LoadOptions, Machine};
use ringbridge_scenarios::{
    Watch, as_application, embedded, failure, in_another_process, machine_with, open, sys_path,
    unload_when_closed, with_driver, words,
};

const DRIVER: &str = "fastio";
const DEVICE: &str = r"\\.\RbFast";
/// A file that its driver says it caches.
const CACHED: &str = r"\\.\RbFast\cached";

const INVERT: u32 = 0;
const DECLINE: u32 = 1;
const BUSY: u32 = 2;
const RAISE: u32 = 3;
const FOLLOW: u32 = 4;
const HIGH_IRQL: u32 = 5;
const OVERFLOW: u32 = 6;
const SEEN: u32 = 7;
const BY_HANDLE: u32 = 8;
const TABLE_SIZE: u32 = 9;
const REGION: u32 = 10;
const ROUTINE: u32 = 11;
const TABLE: u32 = 12;
const LEAST: u32 = 13;

const RAISED: u32 = 0xC000_0123;
const ZERO: Option<Duration> = Some(Duration::ZERO);

fn code(number: u32, method: u32) -> ControlCode {
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800 + number, method, abi::FILE_ANY_ACCESS))
}

/// What the driver has seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    fast: u64,
    irps: u64,
    /// Reads and writes, each by the fast routine and by IRPs; queries likewise.
    transfers: [u64; 4],
    queries: [u64; 2],
    /// Of the last call: Wait, both lengths, the code; whether it was the file and the device; IRQL, previous mode, and whether the
    /// buffers are the application's addresses.
    last: [u32; 4],
    bytes: [u8; 5],
}

fn seen(device: &Device<'_>) -> Seen {
    let mut answer = [0; 96];
    assert_eq!(device.control(code(SEEN, METHOD_BUFFERED), &[], &mut answer).expect("tells"), 96);
    let word = |index: usize| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight bytes"));
    let half =
        |index: usize| u32::from_le_bytes(answer[64 + index * 4..][..4].try_into().expect("four bytes"));
    Seen {
        fast: word(0),
        irps: word(1),
        transfers: [2, 3, 4, 5].map(word),
        queries: [6, 7].map(word),
        last: [0, 1, 2, 3].map(half),
        bytes: answer[80..85].try_into().expect("five bytes"),
    }
}

/// Defines two tests of one body: embedded, and with the application in a process of its own.
macro_rules! in_both_places {
    (fn $name:ident($transport:ident) $body:block) => {
        mod $name {
            use super::*;

            fn body($transport: &dyn Transport) $body

            #[test]
            fn embedded() {
                super::embedded(DRIVER, body);
            }

            #[test]
            fn application_part() {
                as_application(body);
            }

            #[test]
            fn in_another_process() {
                super::in_another_process(DRIVER, concat!(stringify!($name), "::application_part"));
            }
        }
    };
}

// ---- control requests that wait -----------------------------------------------------------------------------------------

in_both_places! {
    fn a_control_request_of_any_method_is_answered_without_an_irp_on_the_applications_own_buffers(transport) {
        let device = open(transport, DEVICE);
        for (count, method) in (1..).zip([METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, METHOD_NEITHER]) {
            let mut answer = [0xEE; 16];
            let code = code(INVERT, method);
            assert_eq!(device.control(code, b"12345678", &mut answer[..12]), Ok(8), "{method}");
            let inverted: Vec<u8> = b"12345678".iter().map(|byte| !byte).collect();
            assert_eq!(answer[..8], inverted[..], "{method}");
            assert_eq!(answer[8..], [0xEE; 8], "{method}: nothing else is touched");
            let seen = seen(&device);
            assert_eq!((seen.fast, seen.irps), (count, 0));
            assert_eq!(seen.last, [1, 8, 12, code.0], "it may wait");
            assert_eq!(seen.bytes, [1, 1, abi::PASSIVE_LEVEL, 1, 1], "its file and device, PASSIVE_LEVEL, UserMode");
        }
    }
}

in_both_places! {
    fn what_the_routine_declines_comes_as_an_irp(transport) {
        let device = open(transport, DEVICE);
        for (count, method) in (1..).zip([METHOD_BUFFERED, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, METHOD_NEITHER]) {
            let mut answer = [0; 8];
            let bytes = device.control(code(DECLINE, method), b"12345678", &mut answer).expect("answers");
            if method == METHOD_BUFFERED {
                assert_eq!((bytes, answer), (8, [0x49; 8]), "the IRP's answer");
            }
            let seen = seen(&device);
            assert_eq!((seen.fast, seen.irps), (count, count), "{method}: asked once, then sent");
        }
    }
}

in_both_places! {
    fn the_routines_status_is_the_calls(transport) {
        let device = open(transport, DEVICE);
        let mut answer = [0; 8];
        let error = device.control(code(BUSY, METHOD_BUFFERED), b"12", &mut answer);
        assert_eq!(failure(error), abi::STATUS_DEVICE_NOT_READY);
        let warned = device.control(code(OVERFLOW, METHOD_BUFFERED), b"12", &mut answer);
        let warned = warned.expect_err("is ERROR_MORE_DATA");
        assert_eq!((warned.code, warned.status), (234, abi::STATUS_BUFFER_OVERFLOW));
        assert_eq!(answer[..2], [!b'1', !b'2'], "a warning has brought its bytes");
        assert_eq!((seen(&device).fast, seen(&device).irps), (2, 0));
    }
}

in_both_places! {
    fn what_the_routine_raises_is_the_calls_status_and_stops_nothing(transport) {
        let device = open(transport, DEVICE);
        for _ in 0..3 {
            let raised = device.control(code(RAISE, METHOD_BUFFERED), &[], &mut []);
            assert_eq!(failure(raised).bits(), RAISED);
            let followed = device.control(code(FOLLOW, METHOD_BUFFERED), &words(&[0x10]), &mut [0; 8]);
            assert_eq!(failure(followed), abi::STATUS_ACCESS_VIOLATION, "no user address");
            let none = device.control(code(FOLLOW, METHOD_BUFFERED), &[], &mut []);
            assert_eq!(failure(none), abi::STATUS_ACCESS_VIOLATION, "a buffer of no bytes is NULL");
        }
        assert_eq!(device.control(code(INVERT, METHOD_BUFFERED), b"1", &mut [0; 1]), Ok(1), "all goes on");
    }
}

// ---- requests that go on -------------------------------------------------------------------------------------------------

fn overlapped<'a>(transport: &'a dyn Transport) -> Device<'a> {
    OpenOptions::new().overlapped(true).open(transport, DEVICE).expect("opens")
}

fn buffer(transport: &dyn Transport) -> Buffer {
    Buffer::new(transport, 16).expect("memory")
}

in_both_places! {
    fn an_overlapped_request_ends_in_its_call_with_event_and_packet(transport) {
        let device = overlapped(transport);
        let port = CompletionPort::new(transport, 0).expect("a port");
        port.associate(&device, 7).expect("associates");
        let event = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        let told = Overlapped::new().event(&event);
        let invert = code(INVERT, METHOD_BUFFERED);

        let operation = device.control_overlapped(invert, buffer(transport), buffer(transport), &told);
        let operation = operation.expect("begins");
        assert!(operation.has_completed());
        assert_eq!(event.wait(ZERO), Ok(true));
        let packet = port.get(ZERO).expect("works").expect("a packet");
        assert_eq!((packet.key, packet.result), (7, Ok(16)));
        let finished = operation.finish();
        assert_eq!(finished.result, Ok(16));
        assert_eq!(finished.buffer.to_vec(16), [0xFF; 16]);

        // Refused: told by the call alone.
        event.reset().expect("resets");
        let busy = code(BUSY, METHOD_BUFFERED);
        let refused = device.control_overlapped(busy, buffer(transport), buffer(transport), &told);
        assert_eq!(refused.expect_err("is refused").error.status, abi::STATUS_DEVICE_NOT_READY);
        assert_eq!(event.wait(ZERO), Ok(false));
        assert!(port.get(ZERO).expect("works").is_none());
        let raised = code(RAISE, METHOD_BUFFERED);
        let refused = device.control_overlapped(raised, buffer(transport), buffer(transport), &told);
        assert_eq!(refused.expect_err("is refused").error.status.bits(), RAISED);
        assert_eq!((seen(&device).fast, seen(&device).irps), (3, 0));
    }
}

in_both_places! {
    fn notification_modes_leave_out_packet_and_event(transport) {
        let device = overlapped(transport);
        let port = CompletionPort::new(transport, 0).expect("a port");
        port.associate(&device, 7).expect("associates");
        let event = Event::new(transport, EventKind::ManualReset, false).expect("an event");
        let told = Overlapped::new().event(&event);
        let invert = || {
            let code = code(INVERT, METHOD_BUFFERED);
            let operation = device.control_overlapped(code, buffer(transport), buffer(transport), &told);
            assert_eq!(operation.expect("begins").finish().result, Ok(16));
            let signaled = event.wait(ZERO).expect("works");
            event.reset().expect("resets");
            (signaled, port.get(ZERO).expect("works").is_some())
        };
        let set = |flags| {
            let call = SystemCall::SetCompletionNotificationModes { handle: device.handle(), flags };
            assert!(transport.system_call(&call, &mut []).status.is_success());
        };
        assert_eq!(invert(), (true, true));
        set(abi::FILE_SKIP_SET_USER_EVENT_ON_FAST_IO);
        assert_eq!(invert(), (false, true), "its own event stays as it was");
        set(abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS);
        assert_eq!(invert(), (false, false));
    }
}

// ---- reads and writes ----------------------------------------------------------------------------------------------------

in_both_places! {
    fn reads_and_writes_are_fast_on_a_synchronous_file_that_is_cached(transport) {
        let device = open(transport, CACHED);
        let mut data = [0; 5];
        assert_eq!(device.read(&mut data), Ok(5));
        assert_eq!(data, *b"\0FFFF", "offset 0");
        assert_eq!(device.read(&mut data), Ok(5));
        assert_eq!(data, *b"\x05FFFF", "the routine has moved the position");
        assert_eq!(device.write(&[1; 20]), Ok(20));
        assert_eq!(device.read(&mut data), Ok(5));
        assert_eq!(data, *b"\x1EFFFF");
        assert_eq!(seen(&device).transfers, [3, 1, 0, 0]);

        assert_eq!(device.read(&mut [0; 7]), Ok(7), "another status than a read's: an IRP follows");
        assert_eq!(device.read(&mut [0; 8]), Ok(8), "declined");
        assert_eq!(seen(&device).transfers, [5, 1, 2, 0]);
        let end = device.read(&mut [0; 9]);
        assert!(matches!(end, Ok(0) | Err(_)), "STATUS_END_OF_FILE is final: {end:?}");
        assert_eq!(seen(&device).transfers, [6, 1, 2, 0]);
    }
}

in_both_places! {
    fn reads_and_writes_of_other_files_are_irps(transport) {
        let device = open(transport, DEVICE);
        let mut data = [0; 5];
        assert_eq!(device.read(&mut data), Ok(5));
        assert_eq!(data, *b"IIIII");
        assert_eq!(device.write(&data), Ok(5));
        assert_eq!(seen(&device).transfers, [0, 0, 1, 1], "it has no PrivateCacheMap");
        device.close().expect("closes");

        let options = OpenOptions::new().access(abi::GENERIC_READ).overlapped(true);
        let device = options.open(transport, CACHED).expect("opens");
        let read = device.read_overlapped(buffer(transport), &Overlapped::new()).expect("begins");
        assert_eq!(read.finish().result, Ok(16));
        assert_eq!(seen(&device).transfers, [0, 0, 2, 1], "it is not synchronous");
    }
}

// ---- queries -------------------------------------------------------------------------------------------------------------

fn query(transport: &dyn Transport, device: &Device<'_>, class: i32, output: &mut [u8]) -> SystemReply {
    transport.system_call(&SystemCall::QueryInformationFile { handle: device.handle(), class }, output)
}

in_both_places! {
    fn three_classes_of_information_have_a_routine_of_their_own(transport) {
        let device = open(transport, DEVICE);
        let mut answer = [0xEE; 64];
        let reply = query(transport, &device, abi::FileBasicInformation, &mut answer);
        assert_eq!((reply.status, reply.information), (abi::STATUS_SUCCESS, 40));
        assert_eq!((answer[0], answer[32]), (77, 2));
        assert_eq!(seen(&device).queries, [1, 0]);

        let reply = query(transport, &device, abi::FileStandardInformation, &mut answer[..24]);
        assert_eq!((reply.status, reply.information), (abi::STATUS_SUCCESS, 24));
        assert_eq!(answer[..24], [0x49; 24], "declined: the IRP's answer alone");
        assert_eq!(seen(&device).queries, [2, 1]);

        let reply = query(transport, &device, abi::FileNetworkOpenInformation, &mut answer[..56]);
        assert_eq!((reply.status, reply.information), (abi::STATUS_DEVICE_NOT_READY, 0));
        assert_eq!(seen(&device).queries, [3, 1]);

        let reply = query(transport, &device, abi::FileInternalInformation, &mut answer[..8]);
        assert_eq!(reply.status, abi::STATUS_SUCCESS);
        assert_eq!(seen(&device).queries, [3, 2], "others have none");
    }
}

// ---- the table -----------------------------------------------------------------------------------------------------------

in_both_places! {
    fn a_table_that_ends_before_an_entry_does_not_have_it(transport) {
        const CONTROL_ENDS: u32 = 0x58;
        let device = open(transport, DEVICE);
        let resize = |size: u32| {
            let set = device.control(code(TABLE_SIZE, METHOD_BUFFERED), &size.to_le_bytes(), &mut []);
            assert_eq!(set, Ok(0));
        };
        let asked = || {
            let before = seen(&device).fast;
            device.control(code(DECLINE, METHOD_BUFFERED), &[], &mut []).expect("answers");
            seen(&device).fast - before
        };
        assert_eq!(asked(), 1);
        resize(CONTROL_ENDS);
        assert_eq!(asked(), 1, "it is the last one");
        resize(CONTROL_ENDS - 1);
        assert_eq!(asked(), 0);
        resize(0);
        assert_eq!(asked(), 0, "no table");
        resize(0xE0);
        assert_eq!(asked(), 1);
    }
}

#[test]
fn a_filter_without_a_table_gets_every_request_as_an_irp() {
    let machine = machine_with(DRIVER);
    machine.load(&sys_path("veil"), LoadOptions::default()).expect("the filter attaches");
    let process = machine.process("application");
    let device = open(&process, DEVICE);
    let mut answer = [0; 4];
    assert_eq!(device.control(code(INVERT, METHOD_BUFFERED), b"1234", &mut answer), Ok(4));
    assert_eq!((answer, seen(&device).fast), ([0x49; 4], 0));
    device.close().expect("closes");
    unload_when_closed(&machine, "veil");
    let device = open(&process, DEVICE);
    assert_eq!(device.control(code(INVERT, METHOD_BUFFERED), b"1234", &mut answer), Ok(4));
    assert_eq!(seen(&device).fast, 1, "the top of the stack again");
}

// ---- drivers that ask ------------------------------------------------------------------------------------------------------

fn by_handle(device: &Device<'_>, number: u32, input: u64) -> [u64; 5] {
    let mut answer = [0; 40];
    let input = words(&[code(number, METHOD_BUFFERED).0.into(), input]);
    assert_eq!(device.control(code(BY_HANDLE, METHOD_BUFFERED), &input, &mut answer), Ok(40));
    std::array::from_fn(|index| u64::from_le_bytes(answer[index * 8..][..8].try_into().expect("eight")))
}

in_both_places! {
    fn a_drivers_own_request_is_fast_too_and_what_is_raised_goes_on_to_it(transport) {
        const UNTOUCHED: [u64; 2] = [0x1234, 99];
        let device = open(transport, DEVICE);
        assert_eq!(by_handle(&device, INVERT, !5), [0, 0, 8, 5, 1], "block, output, event");
        assert_eq!(seen(&device).bytes[3..], [0, 0], "KernelMode, and its own addresses");
        let busy = by_handle(&device, BUSY, 0);
        assert_eq!(busy, [abi::STATUS_DEVICE_NOT_READY.bits().into(), UNTOUCHED[0], UNTOUCHED[1], 0, 0]);
        assert_eq!(by_handle(&device, RAISE, 0)[..3], [RAISED.into(), UNTOUCHED[0], UNTOUCHED[1]]);
        assert_eq!(by_handle(&device, DECLINE, 0), [0, 0, 8, 0x4949_4949_4949_4949, 1], "by an IRP");
    }
}

// ---- hostile buffers, and drivers gone wrong -----------------------------------------------------------------------------

in_both_places! {
    fn whatever_a_routine_claims_to_have_written_the_caller_finds_its_own_bytes_there(transport) {
        let device = open(transport, DEVICE);
        assert_eq!(device.control(code(INVERT, METHOD_NEITHER), &[0xA5; 4000], &mut [0; 4000]), Ok(4000));
        for method in [METHOD_IN_DIRECT, METHOD_OUT_DIRECT, METHOD_NEITHER] {
            for length in [0_u16, 1, 4000, 65_000] {
                let mut own = vec![0x11; length.into()];
                assert_eq!(device.control(code(LEAST, method), &[], &mut own), Ok(length.into()));
                assert!(own.iter().all(|byte| *byte == 0x11), "{method} {length}");
            }
        }
        assert_eq!(seen(&device).irps, 0);
    }
}

in_both_places! {
    fn a_request_for_bytes_that_are_not_all_the_applications_meets_no_routine(transport) {
        let device = overlapped(transport);
        let memory = buffer(transport);
        let block = buffer(transport);
        for (address, length) in [
            (memory.address(), u32::MAX),
            (memory.address(), 1 << 31),
            (u64::MAX - 15, 16),
            (u64::MAX, 1),
            (0, 1),
            (0x10, u32::MAX),
        ] {
            let bad = gate::Memory { address, length };
            for (input, output) in [(bad, gate::Memory::default()), (gate::Memory::default(), bad)] {
                let notice = gate::Notice { io_status_block: block.address(), ..gate::Notice::default() };
                let code = code(INVERT, METHOD_NEITHER).0;
                let call = SystemCall::DeviceControl { handle: device.handle(), code, input, output, notice };
                let refused = transport.system_call(&call, &mut []).status;
                assert_eq!(refused, abi::STATUS_ACCESS_VIOLATION, "{address:#x} {length:#x}");
            }
        }
        assert_eq!((seen(&device).fast, seen(&device).irps), (0, 0));
    }
}

/// What becomes of a control request when the control routine (`ROUTINE`) or the table (`TABLE`) of its driver is there, and the
/// stop code of the machine, if it stops.
fn lost(what: u32, address: u64) -> (Result<u32, abi::NTSTATUS>, Option<u32>) {
    let machine = machine_with(DRIVER);
    let process = machine.process("application");
    let device = open(&process, DEVICE);
    assert_eq!(device.control(code(what, METHOD_BUFFERED), &words(&[address]), &mut []), Ok(0));
    let called = device.control(code(DECLINE, METHOD_BUFFERED), &[], &mut []);
    (called.map_err(|error| error.status), machine.bugcheck().map(|report| report.bugcheck.stop.code))
}

#[test]
fn a_routine_in_memory_that_is_no_code_stops_the_machine() {
    let halted = Err(abi::STATUS_DEVICE_NOT_CONNECTED);
    // Where no image is (any more), whatever lies there.
    let gone = Some(abi::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS);
    assert_eq!(lost(ROUTINE, 0), (halted, gone), "pool");
    let stopped = lost(ROUTINE, 0x10);
    assert_eq!(stopped, (halted, Some(abi::KMODE_EXCEPTION_NOT_HANDLED)), "no memory of anybody's");
}

#[test]
fn a_table_in_memory_that_is_gone_is_none() {
    assert_eq!(lost(TABLE, 0x10), (Ok(0), None));
    assert_eq!(lost(TABLE, u64::MAX - 7), (Ok(0), None));
    assert_eq!(lost(TABLE, 0), (Ok(0), None), "freed");
}

// ---- what stops the machine, and what is seen -----------------------------------------------------------------------------

fn stop_of(number: u32) -> u32 {
    let machine = machine_with(DRIVER);
    let process = machine.process("application");
    let device = open(&process, DEVICE);
    let error = device.control(code(number, METHOD_BUFFERED), &[], &mut []);
    assert_eq!(failure(error), abi::STATUS_DEVICE_NOT_CONNECTED);
    machine.bugcheck().expect("the machine stops").bugcheck.stop.code
}

#[test]
fn a_routine_that_returns_at_raised_irql_or_in_a_critical_region_stops_the_machine() {
    assert_eq!(stop_of(HIGH_IRQL), abi::IRQL_GT_ZERO_AT_SYSTEM_SERVICE);
    assert_eq!(stop_of(REGION), abi::APC_INDEX_MISMATCH);
}

/// Routine, and how it was taken.
fn calls(watch: &Arc<Watch>) -> Vec<(&'static str, Option<u32>)> {
    let call = |event: Happened| match event {
        Happened::FastIo { routine, driver, taken } => {
            assert_eq!(driver, r"\Driver\fastio");
            Some((routine, taken.map(|(status, _)| status.bits())))
        }
        _ => None,
    };
    watch.events().into_iter().filter_map(call).collect()
}

#[test]
fn the_trace_says_whether_a_call_was_taken_or_fell_back_to_an_irp() {
    with_driver(DRIVER, |machine: &Machine| {
        let watch = Watch::on(machine);
        let process = machine.process("application");
        let device = open(&process, CACHED);
        let mut answer = [0; 4];
        let made = |watch: &Arc<Watch>| {
            watch.events().iter().filter(|event| matches!(event, Happened::IrpCreated { .. })).count()
        };
        let before = made(&watch);
        device.control(code(INVERT, METHOD_BUFFERED), b"1234", &mut answer).expect("answers");
        device.read(&mut answer).expect("reads");
        assert_eq!(made(&watch), before, "no IRP");
        device.control(code(DECLINE, METHOD_BUFFERED), b"1234", &mut answer).expect("answers");
        assert_eq!(made(&watch), before + 1);
        failure(device.control(code(RAISE, METHOD_BUFFERED), b"1234", &mut answer));
        let control = "FastIoDeviceControl";
        let expected =
            [(control, Some(0)), ("FastIoRead", Some(0)), (control, None), (control, Some(RAISED))];
        assert_eq!(calls(&watch), expected);
    });
}
