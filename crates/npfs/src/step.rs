//! Steps: which of an instance's waiting requests can go on.

use driver::abi::{
    NTSTATUS, STATUS_PIPE_BROKEN, STATUS_PIPE_CLOSING, STATUS_PIPE_DISCONNECTED, STATUS_PIPE_EMPTY,
    STATUS_SUCCESS,
};
use driver::{BufferedControl, DirectRequest, FlushBuffers, PassiveLevel, Pended};

use crate::instance::{End, Instance, Phase, Reader, State, Waiting, answer_read, data, output};

/// What has happened before steps are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// A state has changed.
    Nothing,
    /// A read has taken what was there.
    Taken,
    /// A read has come into its queue.
    Read,
    /// A write has come into its queue.
    Write,
    /// A flush has come into its queue.
    Flush,
}

/// What one step brings, to be carried out without the lock.
#[derive(Default)]
struct Step {
    /// A read has ended.
    reader: Option<Reader>,
    /// A write has ended.
    writer: Option<(Pended<DirectRequest>, NTSTATUS)>,
    /// A write of which a part is taken goes back to the front of its queue.
    back: Option<(Pended<DirectRequest>, Waiting)>,
    flush: Option<(Pended<FlushBuffers>, NTSTATUS)>,
}

impl Instance {
    /// Lets go on what can.
    pub(crate) fn take_steps(&self, level: PassiveLevel) {
        self.take_listen_steps(level);
        self.take_steps_for(level, End::Server, Came::Nothing);
        self.take_steps_for(level, End::Client, Came::Nothing);
    }

    fn take_listen_steps(&self, level: PassiveLevel) {
        while let Some((listen, status)) = self.state.with(level, |state| self.listen_step(state)) {
            if status.is_success() {
                listen.complete();
            } else {
                listen.fail(status);
            }
        }
    }

    fn listen_step(&self, state: &mut State) -> Option<(Pended<BufferedControl>, NTSTATUS)> {
        if !state.has_listeners {
            return None;
        }
        let epoch = state.epoch;
        if let Some((listen, _)) = self.listens.remove_next_if(|of| *of != epoch) {
            return Some((listen, STATUS_PIPE_DISCONNECTED));
        }
        if state.phase == Phase::Listening {
            return None;
        }
        let Some((listen, _)) = self.listens.remove_next() else {
            state.has_listeners = false;
            return None;
        };
        let is_there = matches!(state.phase, Phase::Connected | Phase::Closing(_));
        Some((listen, if is_there { STATUS_SUCCESS } else { STATUS_PIPE_DISCONNECTED }))
    }

    /// Lets go on what can of one direction.
    pub(crate) fn take_steps_for(&self, level: PassiveLevel, writer: End, came: Came) {
        // Only what came, or a connection's end, leaves requests that are stale.
        let mut looks_for_stale = came != Came::Taken;
        self.state.with(level, |state| {
            let channel = &mut state.channels[writer.index()];
            match came {
                Came::Read => channel.waiting = true,
                Came::Write => channel.stalled = true,
                Came::Flush => channel.flushing = true,
                Came::Nothing | Came::Taken => {}
            }
        });
        loop {
            let step = self.state.with(level, |state| {
                let stale = if looks_for_stale { self.refuse_stale(state, writer) } else { None };
                looks_for_stale = stale.is_some();
                let step = stale.or_else(|| self.step(state, writer));
                let reader = step.as_ref().and_then(|step| step.reader.as_ref());
                state.server_has_read |=
                    writer == End::Client && reader.is_some_and(|(_, status)| !status.is_error());
                step
            });
            let Some(step) = step else { return };
            self.carry_out(level, writer, step);
        }
    }

    fn carry_out(&self, level: PassiveLevel, writer: End, step: Step) {
        if let Some((request, status)) = step.reader {
            request.answer(|request| answer_read(request, status));
        }
        if let Some((request, status)) = step.writer {
            self.end_write(level, writer, request, status);
        }
        if let Some((request, waiting)) = step.back {
            self.writes[writer.index()].insert_first(request, waiting);
            self.state.with(level, |state| {
                let channel = &mut state.channels[writer.index()];
                channel.in_transit = false;
                channel.stalled = true;
            });
        }
        if let Some((flush, status)) = step.flush {
            if status.is_success() {
                flush.complete();
            } else {
                flush.fail(status);
            }
        }
    }

    /// A write that waited has ended; half of a transaction goes on as a read.
    fn end_write(&self, level: PassiveLevel, writer: End, request: Pended<DirectRequest>, status: NTSTATUS) {
        let is_transaction = matches!(&*request, DirectRequest::Control(_));
        if !is_transaction || status.is_error() {
            request.answer(|request| answer_read(request, status));
            return;
        }
        let epoch = self.state.with(level, |state| state.epoch);
        let waiting = Waiting { epoch, length: 0, offset: 0, never_waits: false };
        self.reads[writer.index()].insert(request, waiting);
        self.take_steps_for(level, writer.other(), Came::Read);
    }

    fn step(&self, state: &mut State, writer: End) -> Option<Step> {
        self.step_of_reads(state, writer)
            .or_else(|| self.step_of_writes(state, writer))
            .or_else(|| self.step_of_flushes(state, writer))
    }

    /// Requests of connections that have ended.
    fn refuse_stale(&self, state: &mut State, writer: End) -> Option<Step> {
        let (epoch, index) = (state.epoch, writer.index());
        let is_on = matches!(state.phase, Phase::Connected | Phase::Closing(_));
        let is_stale = |of: u32| !is_on || of != epoch;
        let channel = &state.channels[index];
        if channel.waiting
            && let Some((read, _)) =
                self.reads[writer.other().index()].remove_next_if(|waiting| is_stale(waiting.epoch))
        {
            return Some(Step { reader: Some((read, STATUS_PIPE_DISCONNECTED)), ..Step::default() });
        }
        if channel.stalled
            && let Some((write, _)) = self.writes[index].remove_next_if(|waiting| is_stale(waiting.epoch))
        {
            return Some(Step { writer: Some((write, STATUS_PIPE_DISCONNECTED)), ..Step::default() });
        }
        if channel.flushing
            && let Some((flush, _)) = self.flushes[index].remove_next_if(|of| is_stale(*of))
        {
            return Some(Step { flush: Some((flush, STATUS_PIPE_DISCONNECTED)), ..Step::default() });
        }
        None
    }

    /// Reads that wait, when there is something to read, or never will be.
    fn step_of_reads(&self, state: &mut State, writer: End) -> Option<Step> {
        let (phase, index) = (state.phase, writer.index());
        let as_messages = state.modes[writer.other().index()].reads_messages;
        let reads = &self.reads[writer.other().index()];
        let channel = &mut state.channels[index];
        if !channel.waiting {
            return None;
        }
        if reads.is_empty() {
            channel.waiting = false;
            return None;
        }
        if !channel.is_empty() {
            let (mut read, _) = reads.remove_next()?;
            let status = match output(&mut read) {
                Ok(mut output) => channel.pop(&mut output, as_messages),
                Err(status) => status,
            };
            return Some(Step { reader: Some((read, status)), ..Step::default() });
        }
        if channel.in_transit {
            return None;
        }
        if channel.stalled {
            if let Some((write, mut waiting)) = self.writes[index].remove_next() {
                let epoch = state.epoch;
                let delivered = match data(&write) {
                    Ok(data) => self.deliver(writer, epoch, channel, &data, &mut waiting, as_messages),
                    Err(status) => return Some(Step { writer: Some((write, status)), ..Step::default() }),
                };
                let was_taken = delivered.is_some() && waiting.rest() == 0;
                let mut step = Step { reader: delivered, ..Step::default() };
                if was_taken {
                    step.writer = Some((write, STATUS_SUCCESS));
                } else {
                    channel.in_transit = true;
                    step.back = Some((write, waiting));
                }
                return Some(step);
            }
            channel.stalled = false;
        }
        if phase == Phase::Closing(writer) {
            let (read, _) = reads.remove_next()?;
            return Some(Step { reader: Some((read, STATUS_PIPE_BROKEN)), ..Step::default() });
        }
        let (read, _) = reads.remove_next_if(|waiting| waiting.never_waits)?;
        Some(Step { reader: Some((read, STATUS_PIPE_EMPTY)), ..Step::default() })
    }

    /// Writes that wait, when there is room, or nobody will read them.
    fn step_of_writes(&self, state: &mut State, writer: End) -> Option<Step> {
        let index = writer.index();
        let reader_is_gone = state.phase == Phase::Closing(writer.other());
        let channel = &mut state.channels[index];
        if !channel.stalled || channel.in_transit {
            return None;
        }
        let mut is_empty = true;
        let next = self.writes[index].remove_first_if(|waiting| {
            is_empty = false;
            reader_is_gone || channel.fits(waiting.rest())
        });
        let Some((write, waiting)) = next else {
            channel.stalled = !is_empty;
            return None;
        };
        let status = if reader_is_gone {
            STATUS_PIPE_CLOSING
        } else {
            let pushed =
                data(&write).and_then(|data| channel.push(&data, waiting.offset as usize, waiting.rest()));
            pushed.err().unwrap_or(STATUS_SUCCESS)
        };
        Some(Step { writer: Some((write, status)), ..Step::default() })
    }

    /// Flushes, when all has been read, or never will be.
    fn step_of_flushes(&self, state: &mut State, writer: End) -> Option<Step> {
        let reader_is_gone = state.phase == Phase::Closing(writer.other());
        let channel = &mut state.channels[writer.index()];
        let all_is_read = channel.is_empty() && !channel.stalled && !channel.in_transit;
        if !channel.flushing || !(all_is_read || reader_is_gone) {
            return None;
        }
        match self.flushes[writer.index()].remove_next() {
            Some((flush, _)) => {
                let status = if reader_is_gone { STATUS_PIPE_BROKEN } else { STATUS_SUCCESS };
                Some(Step { flush: Some((flush, status)), ..Step::default() })
            }
            None => {
                channel.flushing = false;
                None
            }
        }
    }
}
