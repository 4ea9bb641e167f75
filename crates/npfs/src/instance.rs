//! One instance of a pipe: its two ends, its states, and the requests of both.

use driver::abi::{
    FILE_PIPE_CLOSING_STATE, FILE_PIPE_COMPLETE_OPERATION, FILE_PIPE_CONNECTED_STATE,
    FILE_PIPE_DISCONNECTED_STATE, FILE_PIPE_LISTENING_STATE, FILE_PIPE_MESSAGE_MODE,
    NAMED_PIPE_CREATE_PARAMETERS, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_CANNOT_IMPERSONATE,
    STATUS_ILLEGAL_FUNCTION, STATUS_PIPE_BROKEN, STATUS_PIPE_CLOSING, STATUS_PIPE_CONNECTED,
    STATUS_PIPE_DISCONNECTED, STATUS_PIPE_EMPTY, STATUS_PIPE_LISTENING, STATUS_SUCCESS,
};
use driver::{
    Answered, BufferedControl, CancelSafeQueue, Cleanup, ClientSecurity, DirectRequest, FastMutex,
    FlushBuffers, LockedData, Output, PassiveLevel, Pended, PoolArc, current_process_id,
};

use crate::TAG;
use crate::channel::Channel;
use crate::names::Pipe;
use crate::step::Came;

/// The two ends of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What an instance is about. Source: Win32, Named Pipe Operations; [MS-FSCC], FilePipeLocalInformation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Disconnected,
    Listening,
    Connected,
    /// This end is gone, the other is there.
    Closing(End),
    /// Both are gone.
    Gone,
}

/// What an end is like. Source: Win32, SetNamedPipeHandleState.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    pub(crate) reads_messages: bool,
    /// PIPE_NOWAIT.
    pub(crate) never_waits: bool,
}

/// What the instance's lock is for.
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Counts connections that have ended.
    pub(crate) epoch: u32,
    pub(crate) modes: [Mode; 2],
    /// Identifiers of the processes.
    pub(crate) processes: [usize; 2],
    /// By the end that writes.
    pub(crate) channels: [Channel; 2],
    /// Who the client is, and whether the server has read what it wrote.
    pub(crate) client: Option<PoolArc<ClientSecurity>>,
    pub(crate) server_has_read: bool,
    /// Requests may be waiting for a client.
    pub(crate) has_listeners: bool,
}

/// What waits with a request.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) epoch: u32,
    /// Of a write: its bytes.
    pub(crate) length: u32,
    /// Of a write: how many of them are taken.
    pub(crate) offset: u32,
    /// Of a read: it was made in PIPE_NOWAIT, and waits only for writes that wait.
    pub(crate) never_waits: bool,
}

impl Waiting {
    pub(crate) fn rest(&self) -> usize {
        (self.length - self.offset) as usize
    }
}

pub(crate) type Queue = CancelSafeQueue<DirectRequest, Waiting>;

/// An instance.
pub(crate) struct Instance {
    pub(crate) pipe: PoolArc<Pipe>,
    pub(crate) state: FastMutex<State>,
    /// By the end that reads.
    pub(crate) reads: [Queue; 2],
    /// By the end that writes.
    pub(crate) writes: [Queue; 2],
    /// By the end that writes; with the epoch.
    pub(crate) flushes: [CancelSafeQueue<FlushBuffers, u32>; 2],
    pub(crate) listens: CancelSafeQueue<BufferedControl, u32>,
}

/// The end of an instance that a file is.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) end: End,
    /// Of a client: its connection.
    pub(crate) epoch: u32,
    pub(crate) instance: PoolArc<Instance>,
}

/// The bytes that a request brings.
pub(crate) fn data(request: &DirectRequest) -> Result<LockedData<'_>, NTSTATUS> {
    match request {
        DirectRequest::Write(write) => write.data(),
        DirectRequest::Control(control) => control.input(),
        DirectRequest::Read(_) => unreachable!("reads are not among the writes"),
    }
}

/// Where what a request reads goes.
pub(crate) fn output(request: &mut DirectRequest) -> Result<Output<'_>, NTSTATUS> {
    match request {
        DirectRequest::Read(read) => read.output(),
        DirectRequest::Control(control) => control.output(),
        DirectRequest::Write(_) => unreachable!("writes are not among the reads"),
    }
}

fn length(request: &DirectRequest) -> u32 {
    let length = match request {
        DirectRequest::Read(read) => read.length(),
        DirectRequest::Write(write) => write.length(),
        DirectRequest::Control(control) => control.input_length(),
    };
    // As they came.
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A write that waited is being cancelled: what waited behind it, and a flush that waited for it, may go on. At DISPATCH_LEVEL, where only
/// drivers cancel, they go on at the next step of their direction.
fn write_is_cancelled((request, _): &(Pended<DirectRequest>, Waiting)) {
    if let (Some(level), Some(handle)) = (PassiveLevel::now(), request.contexts().fs_context2::<Handle>()) {
        handle.instance.take_steps_for(level, handle.end, Came::Write);
    }
}

/// Answers a request that has read.
pub(crate) fn answer_read(request: DirectRequest, status: NTSTATUS) -> Answered {
    match request {
        _ if status.is_error() => request.fail(status),
        DirectRequest::Read(read) => read.complete_with(status),
        DirectRequest::Control(control) => control.complete_with(status),
        DirectRequest::Write(write) => write.complete(),
    }
}

impl State {
    /// Whether a request of this end may begin, made in the connection `epoch`.
    ///
    /// Source: Win32, ReadFile, WriteFile, DisconnectNamedPipe, GetNamedPipeHandleState (errors).
    fn check(&self, end: End, epoch: u32) -> Result<(), NTSTATUS> {
        match self.phase {
            _ if epoch != self.epoch => Err(STATUS_PIPE_DISCONNECTED),
            Phase::Disconnected | Phase::Gone => Err(STATUS_PIPE_DISCONNECTED),
            Phase::Listening => Err(STATUS_PIPE_LISTENING),
            Phase::Closing(gone) if gone == end => Err(STATUS_PIPE_DISCONNECTED),
            Phase::Connected | Phase::Closing(_) => Ok(()),
        }
    }

    /// FILE_PIPE_*_STATE, for this end.
    pub(crate) fn told(&self, end: End, epoch: u32) -> u32 {
        match self.phase {
            _ if end == End::Client && epoch != self.epoch => FILE_PIPE_DISCONNECTED_STATE,
            Phase::Disconnected | Phase::Gone => FILE_PIPE_DISCONNECTED_STATE,
            Phase::Listening => FILE_PIPE_LISTENING_STATE,
            Phase::Connected => FILE_PIPE_CONNECTED_STATE,
            Phase::Closing(_) => FILE_PIPE_CLOSING_STATE,
        }
    }

    /// The connection has ended: what is under way is lost, what waits is stale.
    fn end_connection(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.channels.iter_mut().for_each(Channel::clear);
        self.processes[End::Client.index()] = 0;
        self.client = None;
    }
}

impl Instance {
    pub(crate) fn new(
        pipe: PoolArc<Pipe>,
        parameters: &NAMED_PIPE_CREATE_PARAMETERS,
    ) -> Result<PoolArc<Self>, NTSTATUS> {
        let server = Mode {
            reads_messages: parameters.ReadMode == FILE_PIPE_MESSAGE_MODE,
            never_waits: parameters.CompletionMode == FILE_PIPE_COMPLETE_OPERATION,
        };
        let channels = [
            Channel::new(parameters.OutboundQuota, pipe.has_messages()),
            Channel::new(parameters.InboundQuota, pipe.has_messages()),
        ];
        let state = State {
            phase: Phase::Listening,
            epoch: 0,
            modes: [server, Mode::default()],
            processes: [current_process_id(), 0],
            channels,
            has_listeners: false,
            client: None,
            server_has_read: false,
        };
        let queue = || CancelSafeQueue::new(TAG);
        let writes = || CancelSafeQueue::with_cancelling(TAG, write_is_cancelled);
        PoolArc::new(
            TAG,
            Self {
                pipe,
                state: FastMutex::new(TAG, state)?,
                reads: [queue()?, queue()?],
                writes: [writes()?, writes()?],
                flushes: [CancelSafeQueue::new(TAG)?, CancelSafeQueue::new(TAG)?],
                listens: CancelSafeQueue::new(TAG)?,
            },
        )
    }

    pub(crate) fn listens(&self, level: PassiveLevel) -> bool {
        self.state.with(level, |state| state.phase == Phase::Listening)
    }

    /// Requests of a file whose last handle is closed.
    pub(crate) fn cancel_file(&self, end: End, cleanup: &Cleanup) {
        self.reads[end.index()].cancel_file(cleanup);
        self.writes[end.index()].cancel_file(cleanup);
        self.flushes[end.index()].cancel_file(cleanup);
        if end == End::Server {
            self.listens.cancel_file(cleanup);
        }
        self.take_steps(cleanup.level());
    }
}

/// What becomes of a request at once.
enum Now {
    /// It has ended, or is refused.
    Ended(NTSTATUS),
    /// A write in PIPE_NOWAIT has ended, with so many bytes.
    Partly(usize),
    /// It waits.
    Waits(Waiting),
}

impl Handle {
    pub(crate) fn of_server(instance: PoolArc<Instance>) -> Self {
        Self { end: End::Server, epoch: 0, instance }
    }

    /// The connection that a request of this end is made in.
    pub(crate) fn epoch_in(&self, state: &State) -> u32 {
        match self.end {
            End::Server => state.epoch,
            End::Client => self.epoch,
        }
    }

    pub(crate) fn check(&self, state: &State) -> Result<(), NTSTATUS> {
        state.check(self.end, self.epoch_in(state))
    }

    /// The end is gone: the other may read what is under way to it.
    pub(crate) fn shut(&self, level: PassiveLevel) {
        let end = self.end;
        let has_changed = self.instance.state.with(level, |state| {
            if end == End::Client && self.epoch != state.epoch {
                return false;
            }
            state.phase = match state.phase {
                Phase::Connected => Phase::Closing(end),
                Phase::Closing(gone) if gone != end => Phase::Gone,
                Phase::Disconnected | Phase::Listening if end == End::Server => Phase::Gone,
                _ => return false,
            };
            state.channels[end.other().index()].clear();
            if state.phase == Phase::Gone {
                state.end_connection();
            }
            true
        });
        if has_changed {
            self.instance.take_steps(level);
        }
    }

    /// ReadFile.
    pub(crate) fn read(&self, mut request: DirectRequest) -> Answered {
        let (instance, level) = (&self.instance, level(&request));
        let (now, goes_on) = instance.state.with(level, |state| self.begin_read(state, &mut request));
        match now {
            Now::Ended(status) => {
                if goes_on {
                    instance.take_steps_for(level, self.end.other(), Came::Taken);
                }
                answer_read(request, status)
            }
            Now::Partly(_) => unreachable!("of writes only"),
            Now::Waits(waiting) => {
                let answered = instance.reads[self.end.index()].pend(request, waiting);
                instance.take_steps_for(level, self.end.other(), Came::Read);
                answered
            }
        }
    }

    /// Also whether others may go on after it.
    fn begin_read(&self, state: &mut State, request: &mut DirectRequest) -> (Now, bool) {
        let epoch = self.epoch_in(state);
        let mode = state.modes[self.end.index()];
        if let Err(status) = state.check(self.end, epoch) {
            return (Now::Ended(status), false);
        }
        let writer = self.end.other();
        let channel = &mut state.channels[writer.index()];
        if !channel.is_empty() {
            let status = match output(request) {
                Ok(mut output) => channel.pop(&mut output, mode.reads_messages),
                Err(status) => status,
            };
            state.server_has_read |= self.end == End::Server && !status.is_error();
            let channel = &state.channels[writer.index()];
            return (Now::Ended(status), channel.stalled || channel.flushing);
        }
        if !channel.stalled {
            if state.phase == Phase::Closing(writer) {
                return (Now::Ended(STATUS_PIPE_BROKEN), false);
            }
            if mode.never_waits {
                return (Now::Ended(STATUS_PIPE_EMPTY), false);
            }
        }
        channel.waiting = true;
        let never_waits = mode.never_waits;
        (Now::Waits(Waiting { epoch, length: 0, offset: 0, never_waits }), false)
    }

    /// WriteFile, and the first half of TransactNamedPipe.
    pub(crate) fn write(&self, request: DirectRequest) -> Answered {
        let (instance, level) = (&self.instance, level(&request));
        let (now, reader) = instance.state.with(level, |state| self.begin_write(state, &request));
        if let Some((reader, status)) = reader {
            reader.answer(|request| answer_read(request, status));
            if !matches!(now, Now::Waits(_)) {
                // What it had no room for is for those that wait behind it.
                instance.take_steps_for(level, self.end, Came::Taken);
            }
        }
        let queue = &instance.writes[self.end.index()];
        match (now, request) {
            (Now::Ended(status), request) if status.is_error() => request.fail(status),
            (Now::Ended(_), DirectRequest::Control(control)) => {
                // Now it reads.
                self.read(DirectRequest::Control(control))
            }
            (Now::Ended(_), request) => answer_read(request, STATUS_SUCCESS),
            (Now::Partly(taken), DirectRequest::Write(write)) => write.complete_partly(taken),
            (Now::Partly(_), request) => request.fail(STATUS_PIPE_CLOSING),
            (Now::Waits(waiting), request) => {
                // Of which a part is taken: before those that have come meanwhile.
                let is_cut = waiting.offset > 0;
                let answered =
                    if is_cut { queue.pend_first(request, waiting) } else { queue.pend(request, waiting) };
                if is_cut {
                    let index = self.end.index();
                    instance.state.with(level, |state| state.channels[index].in_transit = false);
                }
                instance.take_steps_for(level, self.end, Came::Write);
                answered
            }
        }
    }

    /// Also a read that waited for it, and how that has ended.
    fn begin_write(&self, state: &mut State, request: &DirectRequest) -> (Now, Option<Reader>) {
        let epoch = self.epoch_in(state);
        if let Err(status) = state.check(self.end, epoch) {
            return (Now::Ended(status), None);
        }
        if state.phase != Phase::Connected {
            return (Now::Ended(STATUS_PIPE_CLOSING), None);
        }
        let (length, never_waits) = (length(request), state.modes[self.end.index()].never_waits);
        let mut waiting = Waiting { epoch, length, offset: 0, never_waits };
        let data = match data(request) {
            Ok(data) => data,
            Err(status) => return (Now::Ended(status), None),
        };
        let has_messages = self.instance.pipe.has_messages();
        let as_messages = state.modes[self.end.other().index()].reads_messages;
        let channel = &mut state.channels[self.end.index()];
        // Those that wait are before it.
        let is_first = !channel.stalled && !channel.in_transit;
        let mut reader = None;
        if is_first && channel.is_empty() && channel.waiting {
            reader = self.instance.deliver(self.end, epoch, channel, &data, &mut waiting, as_messages);
            let is_read = reader.as_ref().is_some_and(|(_, status)| !status.is_error());
            state.server_has_read |= self.end == End::Client && is_read;
            if reader.is_some() && waiting.rest() == 0 {
                return (Now::Ended(STATUS_SUCCESS), reader);
            }
        }
        let (offset, rest) = (waiting.offset as usize, waiting.rest());
        if is_first && channel.fits(rest) {
            return (Now::Ended(channel.push(&data, offset, rest).err().unwrap_or(STATUS_SUCCESS)), reader);
        }
        if never_waits && has_messages && offset > 0 {
            // The front of the message is read: its rest must be there.
            return (Now::Ended(channel.push(&data, offset, rest).err().unwrap_or(STATUS_SUCCESS)), reader);
        }
        if never_waits {
            let taken = if has_messages || !is_first { 0 } else { channel.room().min(rest) };
            let pushed = if taken == 0 { Ok(()) } else { channel.push(&data, offset, taken) };
            return (pushed.map_or_else(Now::Ended, |()| Now::Partly(offset + taken)), reader);
        }
        channel.stalled = true;
        channel.in_transit |= offset > 0;
        (Now::Waits(waiting), reader)
    }

    /// FlushFileBuffers: ends when the other end has read all that this one has written.
    pub(crate) fn flush(&self, request: FlushBuffers) -> Answered {
        let level = request.level();
        let begun = self.instance.state.with(level, |state| {
            self.check(state)?;
            if state.phase != Phase::Connected {
                return Err(STATUS_PIPE_CLOSING);
            }
            let epoch = self.epoch_in(state);
            let channel = &mut state.channels[self.end.index()];
            let waits = !channel.is_empty() || channel.stalled || channel.in_transit;
            channel.flushing |= waits;
            Ok(waits.then_some(epoch))
        });
        match begun {
            Ok(None) => request.complete(),
            Err(status) => request.fail(status),
            Ok(Some(epoch)) => {
                let answered = self.instance.flushes[self.end.index()].pend(request, epoch);
                self.instance.take_steps_for(level, self.end, Came::Flush);
                answered
            }
        }
    }

    /// ConnectNamedPipe. True: the instance begins to listen.
    ///
    /// Source: Win32, ConnectNamedPipe.
    pub(crate) fn listen(&self, request: BufferedControl) -> (Answered, bool) {
        if self.end != End::Server {
            return (request.fail(STATUS_ILLEGAL_FUNCTION), false);
        }
        let level = request.level();
        let begun = self.instance.state.with(level, |state| {
            let never_waits = state.modes[self.end.index()].never_waits;
            let begins = match state.phase {
                Phase::Disconnected => true,
                Phase::Listening => false,
                Phase::Connected => return Err(STATUS_PIPE_CONNECTED),
                Phase::Closing(_) | Phase::Gone => return Err(STATUS_PIPE_CLOSING),
            };
            state.phase = Phase::Listening;
            match (never_waits, begins) {
                (true, true) => Ok((None, true)),
                (true, false) => Err(STATUS_PIPE_LISTENING),
                (false, begins) => {
                    state.has_listeners = true;
                    Ok((Some(state.epoch), begins))
                }
            }
        });
        match begun {
            Err(status) => (request.fail(status), false),
            Ok((None, begins)) => (request.complete(), begins),
            Ok((Some(epoch), begins)) => {
                let answered = self.instance.listens.pend(request, epoch);
                self.instance.take_steps(level);
                (answered, begins)
            }
        }
    }

    /// ImpersonateNamedPipeClient: the calling thread acts as the client, once something of the client's has been read.
    pub(crate) fn impersonate(&self, level: PassiveLevel) -> Result<(), NTSTATUS> {
        if self.end != End::Server {
            return Err(STATUS_ILLEGAL_FUNCTION);
        }
        let client = self.instance.state.with(level, |state| {
            self.check(state)?;
            let client = state.client.clone().filter(|_| state.server_has_read);
            client.ok_or(STATUS_CANNOT_IMPERSONATE)
        })?;
        client.impersonate_until_reverted(level)
    }

    /// DisconnectNamedPipe.
    pub(crate) fn disconnect(&self, level: PassiveLevel) -> Result<(), NTSTATUS> {
        if self.end != End::Server {
            return Err(STATUS_ILLEGAL_FUNCTION);
        }
        self.instance.state.with(level, |state| {
            if matches!(state.phase, Phase::Disconnected | Phase::Gone) {
                return Err(STATUS_PIPE_DISCONNECTED);
            }
            state.phase = Phase::Disconnected;
            state.end_connection();
            Ok(())
        })?;
        self.instance.take_steps(level);
        Ok(())
    }
}

/// A read that has ended, and how.
pub(crate) type Reader = (Pended<DirectRequest>, NTSTATUS);

fn level(request: &DirectRequest) -> PassiveLevel {
    match request {
        DirectRequest::Read(read) => read.level(),
        DirectRequest::Write(write) => write.level(),
        DirectRequest::Control(control) => control.level(),
    }
}

impl Instance {
    /// Connects a client, if it listens.
    pub(crate) fn connect_client(
        &self,
        level: PassiveLevel,
        client: &PoolArc<ClientSecurity>,
    ) -> Option<u32> {
        self.state.with(level, |state| {
            if state.phase != Phase::Listening {
                return None;
            }
            state.phase = Phase::Connected;
            // Clients begin in byte mode, and wait. Source: Win32, CreateFile ("Pipes"), SetNamedPipeHandleState.
            state.modes[End::Client.index()] = Mode::default();
            state.processes[End::Client.index()] = current_process_id();
            state.client = Some(client.clone());
            state.server_has_read = false;
            Some(state.epoch)
        })
    }

    /// Gives what a write brings to the first read that waits for it, if there is one. The read's end is its caller's to tell.
    pub(crate) fn deliver(
        &self,
        writer: End,
        epoch: u32,
        channel: &mut Channel,
        data: &LockedData<'_>,
        write: &mut Waiting,
        as_messages: bool,
    ) -> Option<Reader> {
        let queue = &self.reads[writer.other().index()];
        let Some((mut read, _)) = queue.remove_next_if(|waiting| waiting.epoch == epoch) else {
            channel.waiting = false;
            return None;
        };
        let status = match output(&mut read) {
            Ok(mut output) => {
                let taken = output.copy_from(data, write.offset as usize, write.rest());
                write.offset += u32::try_from(taken).unwrap_or(0);
                if as_messages && write.rest() > 0 { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
            }
            Err(status) => status,
        };
        Some((read, status))
    }
}
