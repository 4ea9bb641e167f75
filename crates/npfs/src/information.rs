//! What an end of a pipe is, asked and changed.

use driver::abi::{
    FILE_PIPE_CLIENT_END, FILE_PIPE_COMPLETE_OPERATION, FILE_PIPE_FULL_DUPLEX, FILE_PIPE_INBOUND,
    FILE_PIPE_MESSAGE_MODE, FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_OUTBOUND, FILE_PIPE_SERVER_END,
    FileNameInformation, FilePipeInformation, FilePipeLocalInformation, FileStandardInformation, NTSTATUS,
    STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use driver::{Answered, Output, QueryInformation, SetInformation};

use crate::Npfs;
use crate::instance::{End, Handle, Mode, State};

impl Npfs {
    pub(crate) fn query(&self, handle: &Handle, mut request: QueryInformation) -> Answered {
        let level = request.level();
        let class = request.class();
        let instances = match class {
            FilePipeLocalInformation => self.names.instances(level, &handle.instance.pipe),
            _ => 0,
        };
        let status = handle.instance.state.with(level, |state| {
            let mut output = request.output();
            match class {
                FilePipeInformation => handle.mode(state, &mut output),
                FilePipeLocalInformation => handle.local(state, instances, &mut output),
                FileStandardInformation => handle.standard(state, &mut output),
                FileNameInformation => return handle.name(&mut output),
                _ => return STATUS_INVALID_PARAMETER,
            }
            STATUS_SUCCESS
        });
        if status.is_error() { request.fail(status) } else { request.complete_with(status) }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Handle {
    fn mode(&self, state: &State, output: &mut Output<'_>) {
        let Mode { reads_messages, never_waits } = state.modes[self.end.index()];
        let read_mode = if reads_messages { FILE_PIPE_MESSAGE_MODE } else { 0 };
        let completion_mode = if never_waits { FILE_PIPE_COMPLETE_OPERATION } else { 0 };
        for word in [read_mode, completion_mode] {
            output.write(&word.to_le_bytes());
        }
    }

    /// Source: [MS-FSCC], FilePipeLocalInformation.
    fn local(&self, state: &State, instances: u32, output: &mut Output<'_>) {
        let pipe = &self.instance.pipe;
        let read = &state.channels[self.end.other().index()];
        let written = &state.channels[self.end.index()];
        let configuration = match pipe.configuration {
            FILE_PIPE_INBOUND => FILE_PIPE_INBOUND,
            FILE_PIPE_OUTBOUND => FILE_PIPE_OUTBOUND,
            _ => FILE_PIPE_FULL_DUPLEX,
        };
        let [outbound, inbound] = [End::Server, End::Client].map(|end| &state.channels[end.index()]);
        let words = [
            pipe.pipe_type & FILE_PIPE_MESSAGE_TYPE,
            configuration,
            pipe.maximum_instances,
            instances,
            number(inbound.quota()),
            number(read.len()),
            number(outbound.quota()),
            number(written.room()),
            state.told(self.end, self.epoch_in(state)),
            if self.end == End::Server { FILE_PIPE_SERVER_END } else { FILE_PIPE_CLIENT_END },
        ];
        for word in words {
            output.write(&word.to_le_bytes());
        }
    }

    /// AllocationSize, EndOfFile, NumberOfLinks, DeletePending, Directory. (Confirm: the sizes of a pipe.)
    fn standard(&self, state: &State, output: &mut Output<'_>) {
        let [outbound, inbound] = [End::Server, End::Client].map(|end| &state.channels[end.index()]);
        let unread = state.channels[self.end.other().index()].len();
        output.write(&((outbound.quota() + inbound.quota()) as u64).to_le_bytes());
        output.write(&(unread as u64).to_le_bytes());
        output.write(&1_u32.to_le_bytes());
        // DeletePending: a pipe's name goes with its last instance.
        output.write(&[1, 0, 0, 0]);
    }

    fn name(&self, output: &mut Output<'_>) -> NTSTATUS {
        let name = &self.instance.pipe.name;
        let length = (name.len() + 1) * 2;
        output.write(&number(length).to_le_bytes());
        let room = output.remaining();
        for unit in core::iter::once(&u16::from(b'\\')).chain(name) {
            output.write(&unit.to_le_bytes());
        }
        if length > room { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
    }

    /// SetNamedPipeHandleState.
    pub(crate) fn set(&self, request: SetInformation) -> Answered {
        let level = request.level();
        let words = request.data().as_chunks::<4>().0;
        let (Some(read_mode), Some(completion_mode), FilePipeInformation) =
            (words.first(), words.get(1), request.class())
        else {
            return request.fail(STATUS_INVALID_PARAMETER);
        };
        let (read_mode, completion_mode) =
            (u32::from_le_bytes(*read_mode), u32::from_le_bytes(*completion_mode));
        let reads_messages = read_mode == FILE_PIPE_MESSAGE_MODE;
        let is_sound = read_mode <= FILE_PIPE_MESSAGE_MODE
            && completion_mode <= FILE_PIPE_COMPLETE_OPERATION
            && (self.instance.pipe.has_messages() || !reads_messages);
        if !is_sound {
            return request.fail(STATUS_INVALID_PARAMETER);
        }
        let never_waits = completion_mode == FILE_PIPE_COMPLETE_OPERATION;
        let changed = self.instance.state.with(level, |state| {
            if self.end == End::Client {
                self.check(state)?;
            }
            state.modes[self.end.index()] = Mode { reads_messages, never_waits };
            Ok(())
        });
        match changed {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}
