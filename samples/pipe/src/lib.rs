//! Named pipes. The device is `\Device\Example`; opening `\\.\Example\HELLO` binds the handle to the pipe `\HELLO`, which
//! all opens of that name share, whatever its case. A pipe comes with its first open and goes, with what is in it, at the
//! last close. Opening the device without a name fails with STATUS_OBJECT_NAME_INVALID.
//!
//! A write appends bytes, a read takes them; no byte is lost or given twice. What a request does when the pipe is full
//! or empty is the open's [`Mode`]:
//!
//! - [`Mode::NonBlocking`], how every open begins: a write takes as much as fits (nothing while a blocking
//!   write waits for room, so as not to get ahead of it or into it), a read gives what is there, both may be 0 bytes
//!   with STATUS_SUCCESS.
//! - [`Mode::Blocking`]: a read waits for the first byte. A write waits until all of it is in; up to the pipe's capacity
//!   it goes in as one piece, longer ones in parts as room comes, and no other write gets between the parts.
//!
//! Waiting ends without success in two ways. STATUS_PIPE_BROKEN: the other side was there, and the last of its handles
//! is closed (a handle that may write counts as a writer, even if it is the reader's: open for reading only to be told);
//! on a pipe whose other side never came yet, a request waits for it. STATUS_CANCELLED: the application's thread ends.
//! A write of which parts are in then succeeds with their length, and the next one fails.
//!
//! [`IOCTL_SET_CAPACITY`], [`IOCTL_SET_MODE`], [`IOCTL_QUERY`] and [`IOCTL_POSITION`] are the control codes.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod names;
mod open;
mod pipe;
mod ring;

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_WRITE_ACCESS, METHOD_BUFFERED, NTSTATUS,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
};
use driver::{
    Answer, Buffered, BufferedControl, Cleanup, Close, Contexts, Create, DeviceControl, Dispatch, Driver,
    DriverObject, PoolArc, Read, Tag, UnicodeStr, Write, utf16,
};

use names::Names;
pub use open::Mode;
use open::Open;
use pipe::Pipe;

/// Sets the pipe's capacity: four bytes, little-endian, from 1 to [`MAX_CAPACITY`]. What is in the pipe stays; a capacity
/// below that fails with STATUS_DEVICE_BUSY, one out of range with STATUS_INVALID_PARAMETER.
pub const IOCTL_SET_CAPACITY: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS);
/// Sets the [`Mode`] of this open: four bytes, little-endian.
pub const IOCTL_SET_MODE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Gives three numbers of four bytes each, little-endian: capacity, bytes in the pipe, opens.
pub const IOCTL_QUERY: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Answers with the bytes that this open has read and written: two numbers of eight bytes, little-endian.
pub const IOCTL_POSITION: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// Bytes that a pipe holds unless [`IOCTL_SET_CAPACITY`] says otherwise.
pub const DEFAULT_CAPACITY: u32 = 4096;
/// The largest capacity, in bytes.
pub const MAX_CAPACITY: u32 = 1 << 20;

const TAG: Tag = Tag::new(*b"Pipe");

driver::driver_entry!(PipeDriver);

struct PipeDriver;

impl Driver for PipeDriver {
    type Device = Example;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(Example { names: Names::new()? })
            .name(utf16!(r"\Device\Example"))
            .symbolic_link(utf16!(r"\??\Example"))
            .create()?;
        Ok(())
    }
}

/// The device: the pipes by name. A file's FsContext is its [`Pipe`], its FsContext2 its [`Open`].
struct Example {
    names: Names,
}

/// The contexts of a file, both of which every open sets.
fn of<'a>(contexts: Contexts<'a>) -> Result<(&'a Pipe, &'a Open), NTSTATUS> {
    contexts.fs_context().zip(contexts.fs_context2()).ok_or(STATUS_INVALID_DEVICE_REQUEST)
}

impl Dispatch for Example {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        // Last what cannot be undone by dropping it: being one of the pipe's opens.
        let opened = PoolArc::new(TAG, Open::new(request.desired_access()))
            .and_then(|open| Ok((self.names.open(request.level(), &request.file_name(), &open)?, open)));
        match opened {
            Ok((pipe, open)) => {
                request.set_fs_context(pipe);
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        if let Ok((pipe, open)) = of(request.contexts()) {
            pipe.leave(request.level(), open);
        }
        request.complete()
    }

    fn close(&self, mut request: Close) -> impl Answer {
        if let Ok((pipe, open)) = of(request.contexts()) {
            // Without a handle there was no cleanup.
            pipe.leave(request.level(), open);
        }
        if let Some(pipe) = request.take_fs_context() {
            self.names.close(request.level(), pipe);
        }
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        let level = request.level();
        let (contexts, mut output) = request.contexts_and_output();
        let read = of(contexts).and_then(|(pipe, open)| {
            pipe.read(level, open.mode(), &mut output)?;
            open.has_read(output.written());
            Ok(())
        });
        match read {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }

    fn write(&self, request: Write) -> impl Answer {
        let data = request.data();
        let taken = of(request.contexts()).and_then(|(pipe, open)| {
            let taken = pipe.write(request.level(), open.mode(), data)?;
            open.has_written(taken);
            Ok(taken)
        });
        match taken {
            Ok(taken) => request.complete_partly(taken),
            Err(status) => request.fail(status),
        }
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match control(&mut request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

fn control(request: &mut BufferedControl) -> Result<(), NTSTATUS> {
    let level = request.level();
    let (pipe, open) = of(request.contexts())?;
    match request.code() {
        IOCTL_SET_CAPACITY => pipe.set_capacity(level, number(request.input())?),
        IOCTL_SET_MODE => open.set_mode(number(request.input())?),
        IOCTL_QUERY => {
            let (contexts, mut output) = request.contexts_and_output();
            let state = of(contexts)?.0.state(level).map(u32::to_le_bytes);
            if output.capacity() < size_of_val(&state) {
                return Err(STATUS_BUFFER_TOO_SMALL);
            }
            output.write(state.as_flattened());
            Ok(())
        }
        IOCTL_POSITION => {
            let (contexts, mut output) = request.contexts_and_output();
            let position = of(contexts)?.1.position().map(u64::to_le_bytes);
            if output.capacity() < size_of_val(&position) {
                return Err(STATUS_BUFFER_TOO_SMALL);
            }
            output.write(position.as_flattened());
            Ok(())
        }
        _ => Err(STATUS_INVALID_DEVICE_REQUEST),
    }
}

/// The one number that an input is.
fn number(input: &[u8]) -> Result<u32, NTSTATUS> {
    input.try_into().map(u32::from_le_bytes).map_err(|_| STATUS_INVALID_PARAMETER)
}
