//! FSCTL_PIPE_*.

use alloc::vec::Vec;

use driver::abi::{
    FILE_PIPE_PEEK_BUFFER, FILE_PIPE_WAIT_FOR_BUFFER, FSCTL_PIPE_ASSIGN_EVENT, FSCTL_PIPE_DISCONNECT,
    FSCTL_PIPE_GET_CONNECTION_ATTRIBUTE, FSCTL_PIPE_GET_PIPE_ATTRIBUTE, FSCTL_PIPE_IMPERSONATE,
    FSCTL_PIPE_LISTEN, FSCTL_PIPE_PEEK, FSCTL_PIPE_QUERY_CLIENT_PROCESS, FSCTL_PIPE_QUERY_EVENT,
    FSCTL_PIPE_SET_CLIENT_PROCESS, FSCTL_PIPE_TRANSCEIVE, FSCTL_PIPE_WAIT, NTSTATUS, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_INVALID_PIPE_STATE, STATUS_INVALID_READ_MODE, STATUS_NOT_FOUND,
    STATUS_NOT_IMPLEMENTED, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PIPE_BROKEN, STATUS_PIPE_BUSY,
    STATUS_SUCCESS,
};
use driver::{Answered, BufferedControl, DeviceControl, DirectRequest, NeitherControl};

use crate::instance::{End, Handle, Phase, data};
use crate::names::LONGEST_NAME;
use crate::{Npfs, handle};

const PEEK_HEADER: usize = core::mem::offset_of!(FILE_PIPE_PEEK_BUFFER, Data);
const WAIT_NAME: usize = core::mem::offset_of!(FILE_PIPE_WAIT_FOR_BUFFER, Name);

impl Npfs {
    pub(crate) fn control(&self, request: DeviceControl) -> Answered {
        match request {
            DeviceControl::Buffered(request) => self.buffered(request),
            DeviceControl::Neither(request) if request.code() == FSCTL_PIPE_TRANSCEIVE => transceive(request),
            other => other.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn buffered(&self, request: BufferedControl) -> Answered {
        if request.code() == FSCTL_PIPE_WAIT {
            return self.wait(request);
        }
        let handle = match handle(request.contexts()) {
            Ok(handle) => handle,
            Err(status) => return request.fail(status),
        };
        match request.code() {
            FSCTL_PIPE_LISTEN => {
                let (answered, begins) = handle.listen(request);
                if begins {
                    self.names.waits().wake(handle.instance.pipe.id, None);
                }
                answered
            }
            FSCTL_PIPE_DISCONNECT => match handle.disconnect(request.level()) {
                Ok(()) => request.complete(),
                Err(status) => request.fail(status),
            },
            FSCTL_PIPE_IMPERSONATE => match handle.impersonate(request.level()) {
                Ok(()) => request.complete(),
                Err(status) => request.fail(status),
            },
            FSCTL_PIPE_PEEK => handle.peek(request),
            FSCTL_PIPE_GET_PIPE_ATTRIBUTE => handle.process(request, b"ServerProcessId", End::Server),
            FSCTL_PIPE_GET_CONNECTION_ATTRIBUTE => handle.process(request, b"ClientProcessId", End::Client),
            FSCTL_PIPE_ASSIGN_EVENT
            | FSCTL_PIPE_QUERY_EVENT
            | FSCTL_PIPE_SET_CLIENT_PROCESS
            | FSCTL_PIPE_QUERY_CLIENT_PROCESS => request.fail(STATUS_NOT_IMPLEMENTED),
            _ => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    /// WaitNamedPipe, on whatever file of the device.
    fn wait(&self, request: BufferedControl) -> Answered {
        let level = request.level();
        let (name, timeout) = match wait_parameters(request.input()) {
            Ok(parameters) => parameters,
            Err(status) => return request.fail(status),
        };
        let name = &name[..];
        let (pipe, default) = match self.names.look(level, name) {
            Ok((.., true)) => return request.complete(),
            Ok((pipe, default, false)) => (pipe, default),
            Err(status) => return request.fail(status),
        };
        let answered = self.names.waits().wait(request, pipe, timeout.unwrap_or(default));
        // One that has begun to listen meanwhile, or is gone, has found nobody to wake.
        match self.names.look(level, name) {
            Ok((now, _, false)) if now == pipe => {}
            Ok((now, _, true)) if now == pipe => self.names.waits().wake(pipe, None),
            _ => self.names.waits().wake(pipe, Some(STATUS_OBJECT_NAME_NOT_FOUND)),
        }
        answered
    }
}

/// The name, which may be as long as a pipe's, and how long, if that is said.
fn wait_parameters(input: &[u8]) -> Result<(Vec<u16>, Option<i64>), NTSTATUS> {
    let header = input.first_chunk::<WAIT_NAME>().ok_or(STATUS_INVALID_PARAMETER)?;
    let (timeout, rest) = header.split_first_chunk::<8>().ok_or(STATUS_INVALID_PARAMETER)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(STATUS_INVALID_PARAMETER)?;
    let is_specified = rest.first().is_some_and(|flag| *flag != 0);
    let name = input[WAIT_NAME..].get(..u32::from_le_bytes(*length) as usize);
    let (pairs, odd) = name.ok_or(STATUS_INVALID_PARAMETER)?.as_chunks::<2>();
    if !odd.is_empty() || pairs.is_empty() || pairs.len() > LONGEST_NAME {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let mut name = Vec::new();
    name.try_reserve_exact(pairs.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    name.extend(pairs.iter().map(|pair| u16::from_le_bytes(*pair)));
    Ok((name, is_specified.then_some(i64::from_le_bytes(*timeout))))
}

/// TransactNamedPipe: writes a message and reads the next, by one request.
///
/// Source: Win32, TransactNamedPipe (not with byte mode, nor while there is something to read).
fn transceive(request: NeitherControl) -> Answered {
    let handle = match handle(request.contexts()) {
        Ok(handle) => handle,
        Err(status) => return request.fail(status),
    };
    let request = match request.lock() {
        Ok(request) => request,
        Err((request, status)) => return request.fail(status),
    };
    let level = request.level();
    let checked = handle.instance.state.with(level, |state| {
        handle.check(state)?;
        if !state.modes[handle.end.index()].reads_messages {
            return Err(STATUS_INVALID_READ_MODE);
        }
        let unread = &state.channels[handle.end.other().index()];
        if !unread.is_empty() || unread.stalled || unread.in_transit {
            return Err(STATUS_PIPE_BUSY);
        }
        Ok(())
    });
    match checked {
        Ok(()) => handle.write(DirectRequest::Control(request)),
        Err(status) => request.fail(status),
    }
}

impl Handle {
    /// PeekNamedPipe.
    fn peek(&self, mut request: BufferedControl) -> Answered {
        let level = request.level();
        if request.output_length() < PEEK_HEADER {
            return request.fail(STATUS_BUFFER_TOO_SMALL);
        }
        match self.instance.state.with(level, |state| self.show(state, &mut request)) {
            Ok(status) => request.complete_with(status),
            Err(status) => request.fail(status),
        }
    }

    fn show(
        &self,
        state: &crate::instance::State,
        request: &mut BufferedControl,
    ) -> Result<NTSTATUS, NTSTATUS> {
        if state.phase == Phase::Listening {
            return Err(STATUS_INVALID_PIPE_STATE);
        }
        self.check(state)?;
        let (writer, has_messages) = (self.end.other(), self.instance.pipe.has_messages());
        let channel = &state.channels[writer.index()];
        let writes = &self.instance.writes[writer.index()];
        let (mut total, mut count) = (channel.len(), channel.messages());
        let mut first = (count > 0).then(|| channel.first());
        if channel.stalled {
            writes.for_each(|waiting| {
                total += waiting.rest();
                count += 1;
                first = first.or(Some(waiting.rest()));
            });
        }
        if count == 0 && state.phase == Phase::Closing(writer) {
            return Err(STATUS_PIPE_BROKEN);
        }
        let shown = if has_messages { first.unwrap_or(0) } else { total };
        let mut output = request.output();
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let (messages, length) = if has_messages { (number(count), number(shown)) } else { (0, 0) };
        for word in [state.told(self.end, self.epoch_in(state)), number(total), messages, length] {
            output.write(&word.to_le_bytes());
        }
        let room = output.remaining();
        channel.show(&mut output, shown.min(room));
        if channel.stalled && (!has_messages || channel.is_empty()) {
            writes.visit(|write, waiting| {
                if let Ok(data) = data(write) {
                    output.copy_from(&data, waiting.offset as usize, waiting.rest());
                }
                !has_messages && output.remaining() > 0
            });
        }
        Ok(if shown > room { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS })
    }

    /// GetNamedPipeServerProcessId, GetNamedPipeClientProcessId. (Confirm: the names of the attributes; ntifs.h has the codes alone.)
    fn process(&self, mut request: BufferedControl, name: &[u8], whose: End) -> Answered {
        let asked = request.input().split(|byte| *byte == 0).next().unwrap_or(&[]);
        if asked != name {
            return request.fail(STATUS_NOT_FOUND);
        }
        let level = request.level();
        let process = self.instance.state.with(level, |state| {
            if whose == End::Client {
                self.check(state)?;
            }
            Ok(state.processes[whose.index()])
        });
        match process {
            Err(status) => request.fail(status),
            Ok(_) if request.output_length() < size_of::<u32>() => request.fail(STATUS_BUFFER_TOO_SMALL),
            Ok(process) => {
                request.output().write(&u32::try_from(process).unwrap_or(0).to_le_bytes());
                request.complete()
            }
        }
    }
}
