//! The file system of named pipes, `\Device\NamedPipe`; applications call it `\\.\pipe`. An ordinary driver on the safe SDK: a machine
//! starts it, compiled in, when one of its names is first opened, and it runs as a `.sys` as well.
//!
//! - `names`: the pipes by name, and who may open them.
//! - `waits`: who waits for an instance of a pipe (FSCTL_PIPE_WAIT).
//! - `instance`: one instance, which two ends share: its states, its queues of requests.
//! - `step`: which of the requests that wait can go on, one at a time.
//! - `channel`: the bytes and messages that are under way in one direction.
//! - `control`, `information`: FSCTL_PIPE_*, FilePipeInformation and its kin.
//!
//! # How requests wait
//!
//! A request waits in one of its instance's cancel-safe queues, and is put there with no lock held, since that may complete it. Whoever
//! puts it there, and whoever changes something that it may wait for, then takes *steps* until none can be taken: under the instance's
//! lock a step takes requests out, moves bytes, and says what came of it; without the lock they are completed. Each request carries the
//! *epoch* of the connection that it was made in: what comes into a queue behind the end of its connection is refused by the next step.
//!
//! A write that has no room waits with its bytes where they are, in its writer's locked memory; readers take them from there. So what
//! is copied into the driver's memory is never more than a pipe's quota, and a message for which a reader waits is copied once.
//!
//! Source: Win32, Named Pipes and the pages of its functions; [MS-FSA], the parts about named pipes; [MS-FSCC], FSCTL_PIPE_*.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
mod control;
#[expect(non_upper_case_globals, reason = "the names of classes, as patterns")]
mod information;
mod instance;
mod names;
mod step;
mod waits;

use driver::abi::{
    FILE_DEVICE_NAMED_PIPE, FILE_OPENED, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED,
};
use driver::{
    Answer, Answered, Cleanup, Close, Contexts, Create, CreateNamedPipe, Direct, DirectRequest,
    DirectoryControl, Dispatch, Driver, DriverObject, FileSystemControl, FlushBuffers, PassiveLevel, PoolArc,
    QueryInformation, Read, SetInformation, Tag, UnicodeStr, Write, utf16,
};

use instance::{End, Handle};
use names::Names;

const TAG: Tag = Tag::new(*b"NpFs");

driver::driver_entry!(NpfsDriver);

struct NpfsDriver;

impl Driver for NpfsDriver {
    type Device = Npfs;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(Npfs { names: Names::new()? })
            .name(utf16!(r"\Device\NamedPipe"))
            .symbolic_link(utf16!(r"\??\pipe"))
            .device_type(FILE_DEVICE_NAMED_PIPE)
            .create()?;
        Ok(())
    }
}

/// The device.
struct Npfs {
    names: Names,
}

/// The end that a file is. None for a file of the device itself, or of the folder of all pipes.
fn handle(contexts: Contexts<'_>) -> Result<Handle, NTSTATUS> {
    contexts.fs_context2::<Handle>().cloned().ok_or(STATUS_INVALID_PARAMETER)
}

impl Npfs {
    /// Makes `handle` the end that the new file is.
    fn keep(&self, request: &mut Create, handle: Handle) -> Result<Handle, NTSTATUS> {
        match PoolArc::new(TAG, handle.clone()) {
            Ok(context) => {
                request.set_fs_context2(context);
                Ok(handle)
            }
            Err(status) => {
                self.shut(request.level(), &handle);
                Err(status)
            }
        }
    }

    /// An end is gone, if it was not before.
    fn shut(&self, level: PassiveLevel, handle: &Handle) {
        if handle.end == End::Server {
            self.names.remove(level, &handle.instance);
        }
        handle.shut(level);
    }
}

impl Dispatch for Npfs {
    type Io = Direct;

    fn create(&self, mut request: Create) -> impl Answer {
        let name = request.file_name().units();
        if names::is_root(name) {
            return request.complete_as(FILE_OPENED);
        }
        match self.names.open(&request).and_then(|handle| self.keep(&mut request, handle)) {
            Ok(handle) => {
                handle.instance.take_steps(request.level());
                request.complete_as(FILE_OPENED)
            }
            Err(status) => request.fail(status),
        }
    }

    fn create_named_pipe(&self, mut request: CreateNamedPipe) -> impl Answer {
        let made = self.names.create(&request);
        match made.and_then(|(handle, what)| Ok((self.keep(&mut request, handle)?, what))) {
            Ok((handle, what)) => {
                self.names.waits().wake(handle.instance.pipe.id, None);
                request.complete_as(what)
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        if let Ok(handle) = handle(request.contexts()) {
            self.shut(request.level(), &handle);
            handle.instance.cancel_file(handle.end, &request);
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        // Without a cleanup before, if there never was a handle.
        if let Ok(handle) = handle(request.contexts()) {
            self.shut(request.level(), &handle);
        }
        request.complete()
    }

    fn read(&self, request: Read<Direct>) -> impl Answer {
        match handle(request.contexts()) {
            Ok(handle) => handle.read(DirectRequest::Read(request)),
            Err(status) => request.fail(status),
        }
    }

    fn write(&self, request: Write<Direct>) -> impl Answer {
        match handle(request.contexts()) {
            Ok(handle) => handle.write(DirectRequest::Write(request)),
            Err(status) => request.fail(status),
        }
    }

    fn flush_buffers(&self, request: FlushBuffers) -> impl Answer {
        match handle(request.contexts()) {
            Ok(handle) => handle.flush(request),
            Err(status) => request.fail(status),
        }
    }

    fn file_system_control(&self, request: FileSystemControl) -> impl Answer {
        match request {
            FileSystemControl::Control(control) => self.control(control),
            FileSystemControl::Other(other) => other.fail(STATUS_INVALID_PARAMETER),
        }
    }

    fn query_information(&self, request: QueryInformation) -> impl Answer {
        let answer: Answered = match handle(request.contexts()) {
            Ok(handle) => self.query(&handle, request),
            Err(status) => request.fail(status),
        };
        answer
    }

    fn set_information(&self, request: SetInformation) -> impl Answer {
        match handle(request.contexts()) {
            Ok(handle) => handle.set(request),
            Err(status) => request.fail(status),
        }
    }

    /// The folder of all pipes cannot be listed yet.
    fn directory_control(&self, request: DirectoryControl<Direct>) -> impl Answer {
        request.fail(STATUS_NOT_IMPLEMENTED)
    }
}
