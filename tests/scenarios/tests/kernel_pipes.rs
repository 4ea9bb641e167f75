//! Named pipes that a C driver opens and serves, from a system thread: `pipes.c`; the other end is an application's, embedded and in
//! another process.

use abi::NTSTATUS;
use app::{ControlCode, Device, NamedPipe, NamedPipeOptions, Transport};
use ringbridge_scenarios::{as_application, embedded, in_another_process, open};

const NAME: &str = r"\\.\pipe\FromTheKernel";
const NT_NAMES: [&str; 2] = [r"\??\pipe\FromTheKernel", r"\Device\NamedPipe\fromTHEkernel"];
const ROOM: usize = 256;

struct Driver<'a>(Device<'a>);

impl Driver<'_> {
    /// Status, value, information, bytes.
    fn ask(&self, number: u32, words: [u64; 2], bytes: &[u8]) -> (NTSTATUS, u64, u64, Vec<u8>) {
        const CODE: u32 = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x900, abi::METHOD_BUFFERED, 0);
        let mut input = words.map(u64::to_le_bytes).concat();
        input.extend(bytes);
        let mut output = [0; 24 + ROOM];
        let count = self.0.control(ControlCode(CODE + (number << 2)), &input, &mut output).expect("answers");
        let word =
            |index: usize| u64::from_le_bytes(*output[index * 8..].first_chunk().expect("three words"));
        let status = NTSTATUS::from_bits(u32::try_from(word(0)).expect("a status"));
        (status, word(1), word(2), output[24..count as usize].to_vec())
    }

    fn open(&self, name: &str) -> (NTSTATUS, u64) {
        let access = u64::from(abi::GENERIC_READ | abi::GENERIC_WRITE);
        let (status, handle, ..) = self.ask(0, [access, 0], &wide(name));
        (status, handle)
    }

    fn read(&self, handle: u64, room: u64) -> (NTSTATUS, Vec<u8>) {
        let (status, .., bytes) = self.ask(1, [handle, room], &[]);
        (status, bytes)
    }

    fn write(&self, handle: u64, bytes: &[u8]) -> NTSTATUS {
        self.ask(2, [handle, 0], bytes).0
    }

    fn close(&self, handle: u64) {
        assert_eq!(self.ask(3, [handle, 0], &[]).0, abi::STATUS_SUCCESS);
    }
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn a_driver_is_a_client_and_a_server(transport: &dyn Transport) {
    let driver = Driver(open(transport, r"\\.\RbPipes"));
    assert_eq!(driver.open(NT_NAMES[0]).0, abi::STATUS_OBJECT_NAME_NOT_FOUND);
    for name in NT_NAMES {
        let server = NamedPipeOptions::new().messages(true).read_messages(true).create(transport, NAME);
        let server = server.expect("is made");
        let (status, handle) = driver.open(name);
        assert_eq!(status, abi::STATUS_SUCCESS);
        assert_eq!(driver.open(name).0, abi::STATUS_PIPE_NOT_AVAILABLE, "nobody listens any more");
        assert_eq!(driver.write(handle, b"from the kernel"), abi::STATUS_SUCCESS);
        let mut buffer = [0; 64];
        assert_eq!(server.read(&mut buffer).expect("a message"), 15);
        assert_eq!(&buffer[..15], b"from the kernel");
        server.write(b"hello").expect("room");
        let peek = driver.ask(5, [handle, abi::FSCTL_PIPE_PEEK.into()], &[]);
        assert_eq!((peek.0, peek.2, &peek.3[16..]), (abi::STATUS_SUCCESS, 21, &b"hello"[..]));
        assert_eq!(driver.read(handle, 64), (abi::STATUS_SUCCESS, b"hello".to_vec()));
        server.write(b"last").expect("room");
        drop(server);
        assert_eq!(driver.read(handle, 64), (abi::STATUS_SUCCESS, b"last".to_vec()));
        assert_eq!(driver.read(handle, 64).0, abi::STATUS_PIPE_BROKEN);
        assert_eq!(driver.write(handle, b"x"), abi::STATUS_PIPE_CLOSING);
        driver.close(handle);
    }
    // The other way round. What a system thread makes with no descriptor is the system's.
    let (status, handle, ..) = driver.ask(4, [1, 0], &wide(NT_NAMES[0]));
    assert_eq!(status, abi::STATUS_SUCCESS);
    assert_eq!(NamedPipe::open(transport, NAME).expect_err("the system's").code, abi::ERROR_ACCESS_DENIED);
    driver.close(handle);
    let (status, handle, what, _) = driver.ask(4, [1, 1], &wide(NT_NAMES[0]));
    assert_eq!((status, what), (abi::STATUS_SUCCESS, abi::FILE_CREATED as u64));
    assert_eq!(driver.ask(4, [1, 0], &wide(NT_NAMES[0])).0, abi::STATUS_ACCESS_DENIED, "FILE_CREATE");
    let client = NamedPipe::open(transport, NAME).expect("listens");
    client.set_state(true, false).expect("messages");
    let connect = driver.ask(5, [handle, abi::FSCTL_PIPE_LISTEN.into()], &[]);
    assert_eq!(connect.0, abi::STATUS_PIPE_CONNECTED);
    client.write(b"question").expect("room");
    assert_eq!(driver.read(handle, 3), (abi::STATUS_BUFFER_OVERFLOW, b"que".to_vec()));
    assert_eq!(driver.read(handle, 64), (abi::STATUS_SUCCESS, b"stion".to_vec()));
    assert_eq!(driver.write(handle, b"answer"), abi::STATUS_SUCCESS);
    let mut buffer = [0; 64];
    assert_eq!(client.read(&mut buffer).expect("a message"), 6);
    let gone = driver.ask(5, [handle, abi::FSCTL_PIPE_DISCONNECT.into()], &[]);
    assert_eq!(gone.0, abi::STATUS_SUCCESS);
    assert_eq!(client.read(&mut buffer).expect_err("is over").code, abi::ERROR_PIPE_NOT_CONNECTED);
    driver.close(handle);
}

#[test]
fn a_driver_is_a_client_and_a_server_embedded() {
    embedded("pipes", a_driver_is_a_client_and_a_server);
}

#[test]
fn application_of_a_driver_that_is_a_client_and_a_server() {
    as_application(a_driver_is_a_client_and_a_server);
}

#[test]
fn a_driver_is_a_client_and_a_server_in_another_process() {
    in_another_process("pipes", "application_of_a_driver_that_is_a_client_and_a_server");
}
