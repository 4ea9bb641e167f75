//! The rules that the SDK keeps for its authors, seen from NT's side of the entry points.
#![expect(unsafe_code, reason = "plays the I/O manager")]

mod nt;

use nt::Call;
use ringbridge_driver as driver;
use ringbridge_driver::abi::*;
use ringbridge_driver::{
    Answer, Buffered, BufferedControl, Close, Create, Device, DeviceControl, Dispatch, Driver, DriverObject,
    OtherRequest, Pended, PoolArc, PoolBox, RUST_PANIC, Read, SpinLock, Tag, UnicodeStr, Write, utf16,
};

const TAG: Tag = Tag::new(*b"Test");
const PATH: &str = r"\Registry\Machine\System\CurrentControlSet\Services\Test";

const ECHO: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
const INVERT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);
const HELLO: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);
const OVERFLOW: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS);
const COUNT_DIRECT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x804, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
const PANIC: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x805, METHOD_BUFFERED, FILE_ANY_ACCESS);
const PEND: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x807, METHOD_BUFFERED, FILE_ANY_ACCESS);
const PEND_AND_DROP: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x808, METHOD_BUFFERED, FILE_ANY_ACCESS);
const PEND_AND_COMPLETE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x809, METHOD_BUFFERED, FILE_ANY_ACCESS);
const KEEP: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x80A, METHOD_BUFFERED, FILE_ANY_ACCESS);
const EXCHANGE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x80B, METHOD_BUFFERED, FILE_ANY_ACCESS);
const CONTEXT: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x80C, METHOD_BUFFERED, FILE_ANY_ACCESS);
const PENDING: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x806, METHOD_BUFFERED, FILE_ANY_ACCESS);

struct Test;

impl Driver for Test {
    type Device = Kept;
    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        assert_eq!(registry_path.to_string(), PATH);
        let one = utf16!(r"\Device\One");
        let first = driver.device(Kept::default()).name(one).symbolic_link(utf16!(r"\??\One")).create()?;
        first.context().kept.with(|kept| *kept = PoolBox::copy_of(TAG, b"first").unwrap());
        let second = driver.device(Kept::default()).name(utf16!(r"\Device\Two")).exclusive();
        let second = second.device_type(FILE_DEVICE_BEEP).characteristics(FILE_REMOVABLE_MEDIA).create()?;
        assert_ne!(flags(&second) & DO_BUFFERED_IO, 0);
        Ok(())
    }

    fn unload(_driver: &DriverObject<Self>) {
        nt::note("unload");
    }
}

fn flags<C>(device: &Device<'_, C>) -> u32 {
    // SAFETY: a live device.
    unsafe { (*device.as_raw()).Flags }
}

/// Keeps what is written. Serves no cleanup.
#[derive(Default)]
struct Kept {
    kept: SpinLock<PoolBox<[u8]>>,
    pended: SpinLock<Option<Pended<BufferedControl>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        nt::note("context dropped");
    }
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        nt::note("method left");
    }
}

impl Dispatch for Kept {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        request.set_fs_context(PoolArc::new(TAG, 7_u8).unwrap());
        let _leaving = Leaving;
        assert_eq!(request.file_name().units(), []);
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        if request.byte_offset() < 0 {
            return request.fail(STATUS_INVALID_PARAMETER);
        }
        self.kept.with(|kept| request.output().write(kept));
        request.complete().with_priority_boost(IO_SERIAL_INCREMENT)
    }

    fn write(&self, request: Write) -> impl Answer {
        match PoolBox::copy_of(TAG, request.data()) {
            Ok(mut copy) => {
                self.kept.with(|kept| std::mem::swap(kept, &mut copy));
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn power(&self, request: OtherRequest) -> impl Answer {
        request.complete_unchanged()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        match request {
            DeviceControl::OutDirect(request) if request.code() == COUNT_DIRECT => {
                assert_eq!(request.input(), b"in");
                request.fail(STATUS_DEVICE_BUSY)
            }
            DeviceControl::Buffered(mut request) => match request.code() {
                ECHO => request.complete_in_place(),
                INVERT => {
                    request.input_mut().iter_mut().for_each(|byte| *byte = !*byte);
                    request.complete_in_place()
                }
                HELLO => {
                    assert_eq!(request.output().write(b"hello"), 5.min(request.output_length()));
                    request.complete()
                }
                OVERFLOW => {
                    request.output().fill(1, usize::MAX);
                    request.complete_with(STATUS_BUFFER_OVERFLOW)
                }
                PEND => request.pend(|mut request| {
                    request.output().write(b"later");
                    request.answer(|request| request.complete().with_priority_boost(IO_SERIAL_INCREMENT));
                    nt::note("answered");
                }),
                PEND_AND_DROP => request.pend(drop),
                PEND_AND_COMPLETE => {
                    let (mut kept, mut completed) = (None, None);
                    let pended = request.pend(|request| kept = Some(request));
                    kept.unwrap().answer(|request| {
                        completed = Some(request.complete());
                        pended
                    });
                    completed.unwrap()
                }
                KEEP => request.pend(|request| drop(self.pended.with(|pended| pended.replace(request)))),
                EXCHANGE => {
                    let mut kept = self.pended.with(Option::take).unwrap();
                    std::mem::swap(&mut *kept, &mut request);
                    kept.complete();
                    request.complete()
                }
                CONTEXT => {
                    let (contexts, mut output) = request.contexts_and_output();
                    output.write(contexts.fs_context().map_or(&[], std::slice::from_ref));
                    request.complete()
                }
                PANIC => self.kept.with(|_| panic!("number {}", 5)),
                PENDING => request.complete_with(STATUS_PENDING),
                _ => request.fail(STATUS_INVALID_DEVICE_REQUEST),
            },
            other => other.fail(STATUS_NOT_SUPPORTED),
        }
    }
}

const ENTRY: DRIVER_INITIALIZE = Some(driver::driver_entry::<Test>);

fn loaded() -> Box<DRIVER_OBJECT> {
    let mut driver = nt::driver_object();
    assert_eq!(nt::load(&mut driver, ENTRY, PATH), STATUS_SUCCESS);
    nt::calls();
    driver
}

fn read(length: u32, byte_offset: i64) -> IO_STACK_LOCATION_PARAMETERS {
    let read = IO_STACK_LOCATION_PARAMETERS_READ {
        Length: length,
        _pad0: [0; 4],
        Key: 0,
        Flags: 0,
        ByteOffset: byte_offset,
    };
    IO_STACK_LOCATION_PARAMETERS { Read: read }
}

fn write(length: usize) -> IO_STACK_LOCATION_PARAMETERS {
    let length = u32::try_from(length).unwrap();
    let write =
        IO_STACK_LOCATION_PARAMETERS_WRITE { Length: length, _pad0: [0; 4], Key: 0, Flags: 0, ByteOffset: 0 };
    IO_STACK_LOCATION_PARAMETERS { Write: write }
}

fn control(code: u32, input: u32, output: u32) -> IO_STACK_LOCATION_PARAMETERS {
    let control = IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL {
        OutputBufferLength: output,
        _pad0: [0; 4],
        InputBufferLength: input,
        _pad1: [0; 4],
        IoControlCode: code,
        Type3InputBuffer: std::ptr::null_mut(),
    };
    IO_STACK_LOCATION_PARAMETERS { DeviceIoControl: control }
}

/// Sends one control to a fresh driver; returns its completion and the system buffer after it.
fn controlled(code: u32, input: &[u8], output: u32) -> (Call, Vec<u8>) {
    let mut driver = loaded();
    let mut buffer = vec![b'.'; input.len().max(output as usize)];
    buffer[..input.len()].copy_from_slice(input);
    let parameters = control(code, u32::try_from(input.len()).unwrap(), output);
    let system_buffer = (!buffer.is_empty()).then_some(buffer.as_mut_slice());
    nt::send(&mut driver, IRP_MJ_DEVICE_CONTROL, parameters, system_buffer);
    let call = nt::calls().pop().unwrap();
    nt::unload(&mut driver);
    (call, buffer)
}

fn completed(status: NTSTATUS, information: usize) -> Call {
    Call::Complete { status, information, boost: IO_NO_INCREMENT }
}

#[test]
fn major_functions_without_a_method_keep_the_entry_that_nt_put_there() {
    let driver = loaded();
    let set: Vec<u8> = (0..=IRP_MJ_MAXIMUM_FUNCTION)
        .filter(|major| driver.MajorFunction[usize::from(*major)].is_some())
        .collect();
    let expected =
        [IRP_MJ_CREATE, IRP_MJ_CLOSE, IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_POWER];
    assert_eq!(set, expected);
    assert!(driver.DriverUnload.is_some());
}

#[test]
fn loading_creates_and_unloading_deletes_in_reverse_order() {
    let mut driver = nt::driver_object();
    assert_eq!(nt::load(&mut driver, ENTRY, PATH), STATUS_SUCCESS);
    let created = |name: &str, device_type, characteristics, exclusive| {
        let name = name.to_owned();
        Call::CreateDevice { name, device_type, characteristics, exclusive }
    };
    assert_eq!(
        nt::calls(),
        [
            created(r"\Device\One", FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, false),
            Call::CreateLink(r"\??\One".into(), r"\Device\One".into()),
            Call::Note("spin lock released"),
            created(r"\Device\Two", FILE_DEVICE_BEEP, FILE_REMOVABLE_MEDIA, true),
        ]
    );
    assert_eq!(nt::pool_blocks(), 1);
    nt::unload(&mut driver);
    assert_eq!(
        nt::calls(),
        [
            Call::Note("unload"),
            Call::Note("context dropped"),
            Call::DeleteDevice,
            Call::DeleteLink(r"\??\One".into()),
            Call::Note("context dropped"),
            Call::DeleteDevice,
        ]
    );
    assert!(driver.DeviceObject.is_null());
    assert_eq!(nt::pool_blocks(), 0);
}

/// Fails after its first device, in the way that the registry path names.
struct Failing;

impl Driver for Failing {
    type Device = Kept;

    fn entry(driver: &DriverObject<Self>, registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let first = utf16!(r"\Device\First");
        driver.device(Kept::default()).name(first).symbolic_link(utf16!(r"\??\First")).create()?;
        let second = driver.device(Kept::default());
        match registry_path.to_string().as_str() {
            "link taken" => {
                second.name(utf16!(r"\Device\Second")).symbolic_link(utf16!(r"\??\Taken")).create()?
            }
            "link without a name" => second.symbolic_link(utf16!(r"\??\Second")).create()?,
            _ => return Err(STATUS_SUCCESS),
        };
        Ok(())
    }
}

#[test]
fn a_driver_whose_entry_fails_leaves_no_device_and_no_link() {
    for (how, status, devices) in [
        ("link taken", STATUS_OBJECT_NAME_COLLISION, 2),
        ("link without a name", STATUS_INVALID_PARAMETER, 1),
        ("an error that is none", STATUS_UNSUCCESSFUL, 1),
    ] {
        let mut driver = nt::driver_object();
        assert_eq!(nt::load(&mut driver, Some(driver::driver_entry::<Failing>), how), status, "{how}");
        assert!(driver.DeviceObject.is_null(), "{how}");
        let calls = nt::calls();
        let count = |call: &Call| calls.iter().filter(|made| *made == call).count();
        assert_eq!(count(&Call::DeleteDevice), devices, "{how}");
        assert_eq!(count(&Call::DeleteLink(r"\??\First".into())), 1, "{how}");
        assert_eq!(count(&Call::DeleteLink(r"\??\Taken".into())), 0, "{how}");
    }
}

#[test]
fn a_request_is_completed_after_its_method_has_left() {
    let mut driver = loaded();
    // SAFETY: all fields may be zero.
    let parameters = unsafe { std::mem::zeroed() };
    assert_eq!(nt::send(&mut driver, IRP_MJ_CREATE, parameters, None), STATUS_SUCCESS);
    assert_eq!(nt::calls(), [Call::Note("method left"), completed(STATUS_SUCCESS, 0)]);
}

#[test]
fn a_write_is_kept_and_a_read_reports_the_bytes_that_were_written_to_it() {
    let mut driver = loaded();
    assert_eq!(nt::send(&mut driver, IRP_MJ_WRITE, write(4), Some(&mut *b"data".to_vec())), STATUS_SUCCESS);
    assert_eq!(nt::calls().last(), Some(&completed(STATUS_SUCCESS, 4)));
    for (length, information, expected) in [(6, 4, b"data.."), (2, 2, b"da...."), (0, 0, b"......")] {
        let mut buffer = *b"......";
        let system_buffer = (length > 0).then_some(&mut buffer[..]);
        assert_eq!(nt::send(&mut driver, IRP_MJ_READ, read(length, 0), system_buffer), STATUS_SUCCESS);
        let last = Call::Complete { status: STATUS_SUCCESS, information, boost: IO_SERIAL_INCREMENT };
        assert_eq!(nt::calls().last(), Some(&last));
        assert_eq!(&buffer, expected);
    }
    assert_eq!(nt::send(&mut driver, IRP_MJ_WRITE, write(0), None), STATUS_SUCCESS);
    assert_eq!(nt::calls().last(), Some(&completed(STATUS_SUCCESS, 0)));
    nt::unload(&mut driver);
    assert_eq!(nt::pool_blocks(), 0);
}

#[test]
fn a_failure_carries_no_information() {
    let mut driver = loaded();
    let status = nt::send(&mut driver, IRP_MJ_READ, read(4, -1), Some(&mut [0; 4]));
    assert_eq!(status, STATUS_INVALID_PARAMETER);
    assert_eq!(nt::calls(), [completed(STATUS_INVALID_PARAMETER, 0)]);
}

#[test]
fn pool_that_is_used_up_is_the_writers_error() {
    let mut driver = loaded();
    nt::let_pool_fail(true);
    let status = nt::send(&mut driver, IRP_MJ_WRITE, write(4), Some(&mut [0; 4]));
    nt::let_pool_fail(false);
    assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES);
}

#[test]
fn buffered_control_shares_one_buffer_and_reports_no_more_than_was_put_there() {
    assert_eq!(controlled(ECHO, b"abc", 8), (completed(STATUS_SUCCESS, 3), b"abc.....".into()));
    assert_eq!(controlled(ECHO, b"abcdef", 2), (completed(STATUS_SUCCESS, 2), b"abcdef".into()));
    assert_eq!(controlled(ECHO, b"", 0), (completed(STATUS_SUCCESS, 0), b"".into()));
    assert_eq!(controlled(INVERT, &[0, 1], 2), (completed(STATUS_SUCCESS, 2), [255, 254].into()));
    assert_eq!(controlled(HELLO, b"abc", 8), (completed(STATUS_SUCCESS, 5), b"hello...".into()));
    assert_eq!(controlled(HELLO, b"abcd", 2), (completed(STATUS_SUCCESS, 2), b"hecd".into()));
    assert_eq!(controlled(OVERFLOW, b"", 3), (completed(STATUS_BUFFER_OVERFLOW, 3), [1; 3].into()));
    assert_eq!(controlled(!3, b"abc", 3).0, completed(STATUS_INVALID_DEVICE_REQUEST, 0));
}

#[test]
fn controls_of_the_other_methods_arrive_as_what_they_are() {
    assert_eq!(controlled(COUNT_DIRECT, b"in", 0).0, completed(STATUS_DEVICE_BUSY, 0));
    assert_eq!(controlled(ECHO | METHOD_NEITHER, b"in", 0).0, completed(STATUS_NOT_SUPPORTED, 0));
    assert_eq!(controlled(ECHO | METHOD_IN_DIRECT, b"in", 0).0, completed(STATUS_NOT_SUPPORTED, 0));
}

/// What a dispatch routine that pends did and returned.
fn pended(code: u32) -> (NTSTATUS, bool, Vec<Call>) {
    let mut driver = loaded();
    let status = nt::send(&mut driver, IRP_MJ_DEVICE_CONTROL, control(code, 0, 8), Some(&mut [0; 8]));
    let calls = nt::calls();
    nt::unload(&mut driver);
    nt::calls();
    (status, nt::was_marked(), calls)
}

#[test]
fn a_request_is_marked_pending_before_it_is_given_away_and_pending_is_returned_whenever_it_is_answered() {
    let answered = Call::Complete { status: STATUS_SUCCESS, information: 5, boost: IO_SERIAL_INCREMENT };
    let calls = [Call::Note("marked pending"), answered, Call::Note("answered")].into();
    assert_eq!(pended(PEND), (STATUS_PENDING, true, calls));
}

#[test]
fn a_pended_request_that_is_dropped_is_completed_as_cancelled() {
    let calls = [Call::Note("marked pending"), completed(STATUS_CANCELLED, 0)].into();
    assert_eq!(pended(PEND_AND_DROP), (STATUS_PENDING, true, calls));
}

#[test]
fn status_pending_is_returned_for_a_request_that_is_completed_in_its_call_after_it_was_marked() {
    let calls = [Call::Note("marked pending"), completed(STATUS_SUCCESS, 0)].into();
    assert_eq!(pended(PEND_AND_COMPLETE), (STATUS_PENDING, true, calls));
}

#[test]
fn a_pended_request_that_was_exchanged_for_one_that_is_not_is_a_bug_check() {
    let stop = nt::bug_check_of(|| {
        let mut driver = loaded();
        for code in [KEEP, EXCHANGE] {
            nt::send(&mut driver, IRP_MJ_DEVICE_CONTROL, control(code, 0, 0), None);
        }
    });
    assert_eq!(stop.code, RUST_PANIC);
    let is_completed = |call: &Call| matches!(call, Call::Complete { .. });
    assert!(!stop.calls.iter().any(is_completed), "{:?}", stop.calls);
}

#[test]
fn the_contexts_of_a_file_belong_to_the_driver_whose_device_was_opened() {
    let mut driver = loaded();
    let sent = |driver: &mut DRIVER_OBJECT, major, file: &mut FILE_OBJECT| {
        let mut buffer = [0];
        let with_file = |_irp: &mut IRP, stack: &mut IO_STACK_LOCATION| stack.FileObject = file;
        nt::send_changed(driver, major, control(CONTEXT, 0, 1), Some(&mut buffer), with_file);
        buffer[0]
    };
    // SAFETY: all fields may be zero.
    let mut own: FILE_OBJECT = unsafe { std::mem::zeroed() };
    own.DeviceObject = driver.DeviceObject;
    sent(&mut driver, IRP_MJ_CREATE, &mut own);
    assert_eq!(sent(&mut driver, IRP_MJ_DEVICE_CONTROL, &mut own), 7);
    sent(&mut driver, IRP_MJ_CLOSE, &mut own);
    assert!(own.FsContext.is_null());

    // SAFETY: all fields may be zero.
    let mut of_another: FILE_OBJECT = unsafe { std::mem::zeroed() };
    // SAFETY: the driver's newest device, before which it has made another.
    of_another.DeviceObject = unsafe { (*driver.DeviceObject).NextDevice };
    let number = std::ptr::without_provenance_mut(16);
    of_another.FsContext = number;
    sent(&mut driver, IRP_MJ_CREATE, &mut of_another);
    assert_eq!(sent(&mut driver, IRP_MJ_DEVICE_CONTROL, &mut of_another), 0);
    sent(&mut driver, IRP_MJ_CLOSE, &mut of_another);
    assert_eq!(of_another.FsContext, number);
    nt::unload(&mut driver);
    assert_eq!(nt::pool_blocks(), 0);
}

#[test]
fn a_panic_is_a_bug_check_and_completes_nothing() {
    let stop = nt::bug_check_of(|| {
        controlled(PANIC, b"", 0);
    });
    assert_eq!((stop.code, stop.message.as_str()), (RUST_PANIC, "number 5"));
    assert_eq!(stop.calls, [Call::Note("spin lock released")]);
}

#[test]
fn completing_with_status_pending_is_a_bug_check() {
    let stop = nt::bug_check_of(|| {
        controlled(PENDING, b"", 0);
    });
    assert_eq!(stop.code, RUST_PANIC);
    assert_eq!(stop.calls, []);
}

#[test]
fn a_request_is_completed_as_it_came_unless_another_driver_has_left_status_pending() {
    let mut driver = loaded();
    for (came, ends) in [
        ((STATUS_NOT_SUPPORTED, 0), (STATUS_NOT_SUPPORTED, 0)),
        ((STATUS_SUCCESS, 5), (STATUS_SUCCESS, 5)),
        ((STATUS_PENDING, 5), (STATUS_UNSUCCESSFUL, 0)),
    ] {
        let with_status = |irp: &mut IRP, _stack: &mut IO_STACK_LOCATION| {
            irp.IoStatus = IO_STATUS_BLOCK { Status: came.0, Information: came.1 };
        };
        let status = nt::send_changed(&mut driver, IRP_MJ_POWER, write(0), None, with_status);
        assert_eq!(status, ends.0);
        assert_eq!(nt::calls(), [completed(ends.0, ends.1)]);
    }
}

#[test]
fn printed_text_is_never_a_format_and_goes_in_pieces_that_dbgprint_takes() {
    driver::println!("100 %s {}", "a\0b");
    assert_eq!(nt::debugger(), ["100 %s a\u{FFFD}b\n"]);
    driver::print!("");
    assert_eq!(nt::debugger(), [""; 0]);
    let long = "€".repeat(300);
    driver::print!("{long}");
    let pieces = nt::debugger();
    assert!(pieces.iter().all(|piece| piece.len() < 512), "{pieces:?}");
    assert_eq!(pieces.concat(), long);
}
