//! One call: data into the window, a request into the slot, the answer and data out again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{NTSTATUS, STATUS_DEVICE_NOT_CONNECTED, STATUS_INSUFFICIENT_RESOURCES};
use platform::pages::PAGE_SIZE;

use super::threads::{Link, SlotState};
use crate::bell;
use crate::patience::processor;
use crate::window::slot_offset;
use crate::wire::{FRONT, REST, Reply, Request, SLOT_SIZE};

/// How much of the output the caller gets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyBack {
    /// There is none.
    Nothing,
    /// `information` bytes, unless the status is an error.
    Information,
    /// All of it, always; and the host sees what was there before.
    Everything,
}

/// A slot keeps at most this much of the data area between calls, in bytes.
const STAGING_KEPT: u64 = 1 << 20;

/// Where a call's data lies in the window, and whether it has to be copied there.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    copied: bool,
}

impl Link {
    /// Makes a call on the calling thread's slot. `header` needs neither places nor lengths.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_CONNECTED`, `STATUS_INSUFFICIENT_RESOURCES`; the request has not been seen by the host
    /// then, or the host is gone.
    #[inline]
    pub(super) fn call(
        self: &Arc<Self>,
        header: Request,
        input: &[u8],
        output: &mut [u8],
        back: CopyBack,
    ) -> Result<Reply, NTSTATUS> {
        let turn = self.turn(self).ok_or(STATUS_DEVICE_NOT_CONNECTED)?;
        let state = &self.slots[turn.slot as usize];
        let (from, to) = self.place(turn.slot, state, input, output)?;
        if from.copied {
            self.copy_in(from.offset, input);
        }
        if to.copied && back == CopyBack::Everything {
            self.copy_in(to.offset, output);
        }
        // `place` has found room for both, which is less than 4 GiB.
        let length = |data: &[u8]| u32::try_from(data.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES);
        let request = Request {
            input_offset: from.offset,
            input_length: length(input)?,
            output_offset: to.offset,
            output_length: length(output)?,
            flags: header.flags | turn.flags(),
            ..header
        };
        let reply = self.exchange(turn.slot, state, &request)?;
        if to.copied {
            self.copy_back(to.offset, output, &reply, back);
        }
        if state.staging_length.load(Ordering::Relaxed) > STAGING_KEPT {
            self.give_staging(state);
        }
        Ok(reply)
    }

    /// Makes a call whose data lies in the window already; `request` says where.
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_CONNECTED`.
    pub(super) fn call_in_place(self: &Arc<Self>, request: &Request) -> Result<Reply, NTSTATUS> {
        let turn = self.turn(self).ok_or(STATUS_DEVICE_NOT_CONNECTED)?;
        let request = Request { flags: request.flags | turn.flags(), ..*request };
        self.exchange(turn.slot, &self.slots[turn.slot as usize], &request)
    }

    /// Hands the slot to the host and waits until it comes back.
    #[inline]
    fn exchange(&self, slot: u32, state: &SlotState, request: &Request) -> Result<Reply, NTSTATUS> {
        let lines = self.window.slot(slot);
        let last = state.sequence.load(Ordering::Relaxed);
        let number = bell::next(last);
        state.sequence.store(number, Ordering::Relaxed);
        lines.request.write(request, processor());
        bell::ring(&lines.request.bell, number, &lines.reply.parked);
        let partner = lines.reply.processor.load(Ordering::Relaxed);
        let beside = lines.after_reply();
        let answered = state
            .patience
            .look(&lines.reply.bell, beside, last, self.spin, partner)
            .or_else(|| self.sleep(slot, state, last));
        if answered != Some(number) {
            // The session is over, or the host answers what nobody asked and is no host of ours.
            self.leave();
            return Err(STATUS_DEVICE_NOT_CONNECTED);
        }
        Ok(lines.reply.read())
    }

    /// Sleeps until an answer has come, or the session is over.
    #[cold]
    fn sleep(&self, slot: u32, state: &SlotState, last: u32) -> Option<u32> {
        // In one order with `life`, so that the watcher knows of everybody who has not seen the end.
        state.asleep.store(true, Ordering::SeqCst);
        let lines = self.window.slot(slot);
        let number = bell::wait(&lines.reply.bell, last, &lines.request.parked, || !self.life.is_alive());
        state.asleep.store(false, Ordering::Release);
        number
    }

    /// Finds room for a call's data: where it lies already, in the slot, or in the slot's part of the data area.
    #[inline]
    fn place(
        &self,
        slot: u32,
        state: &SlotState,
        input: &[u8],
        output: &[u8],
    ) -> Result<(Place, Place), NTSTATUS> {
        let mut cursor = REST.start;
        let mut inline = |data: &[u8]| {
            let start = cursor;
            let end = start.checked_add(data.len() as u64)?;
            (end <= SLOT_SIZE).then(|| {
                cursor = end.next_multiple_of(64);
                Place { offset: slot_offset(slot) + start, copied: true }
            })
        };
        // Short outputs go right behind the reply and short inputs beside the request, in lines that travel anyway.
        let to = self.direct(output).or_else(|| inline(output));
        let from = if input.len() as u64 <= FRONT.end - FRONT.start {
            Some(Place { offset: slot_offset(slot) + FRONT.start, copied: true })
        } else {
            self.direct(input).or_else(|| inline(input))
        };
        match (from, to) {
            (Some(from), Some(to)) => Ok((from, to)),
            (from, to) => self.stage(state, input, output, from, to),
        }
    }

    #[inline]
    fn direct(&self, data: &[u8]) -> Option<Place> {
        self.window.offset_of(data).map(|offset| Place { offset, copied: false })
    }

    /// Room in the data area for what has no place yet.
    #[cold]
    fn stage(
        &self,
        state: &SlotState,
        input: &[u8],
        output: &[u8],
        from: Option<Place>,
        to: Option<Place>,
    ) -> Result<(Place, Place), NTSTATUS> {
        let needed = |place: Option<Place>, data: &[u8]| {
            if place.is_some() { Some(0) } else { (data.len() as u64).checked_next_multiple_of(64) }
        };
        let lengths = needed(from, input).zip(needed(to, output));
        let (input_length, output_length) = lengths.ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let total = input_length.checked_add(output_length).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let start = self.staging(state, total).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let staged = |offset| Place { offset, copied: true };
        Ok((from.unwrap_or(staged(start)), to.unwrap_or(staged(start + input_length))))
    }

    /// The slot's part of the data area, made at least `length` bytes long.
    fn staging(&self, state: &SlotState, length: u64) -> Option<u64> {
        if state.staging_length.load(Ordering::Relaxed) < length {
            self.give_staging(state);
            // Rounded up, so that growing transfers do not come here every time.
            let rounded = length.checked_next_multiple_of(PAGE_SIZE as u64)?;
            let rounded = if rounded <= STAGING_KEPT { rounded.next_power_of_two() } else { rounded };
            let start = self.extents().take(rounded)?;
            state.staging.store(start, Ordering::Relaxed);
            state.staging_length.store(rounded, Ordering::Relaxed);
        }
        Some(state.staging.load(Ordering::Relaxed))
    }

    /// Gives the slot's part of the data area back, pages included.
    #[cold]
    pub(super) fn give_staging(&self, state: &SlotState) {
        let length = state.staging_length.swap(0, Ordering::Relaxed);
        if length != 0 {
            self.give(state.staging.load(Ordering::Relaxed), length);
        }
    }

    #[inline]
    fn copy_in(&self, offset: u64, data: &[u8]) {
        // SAFETY: `place` found this range in the window for this call; no Rust value lives there.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), self.window.pointer(offset), data.len()) };
    }

    #[inline]
    fn copy_back(&self, offset: u64, output: &mut [u8], reply: &Reply, back: CopyBack) {
        let length = match back {
            CopyBack::Nothing => 0,
            CopyBack::Everything => output.len(),
            CopyBack::Information if NTSTATUS::from_bits(reply.status).is_error() => 0,
            CopyBack::Information => {
                usize::try_from(reply.information).map_or(output.len(), |count| count.min(output.len()))
            }
        };
        let source = self.window.pointer(offset);
        // SAFETY: `place` found room for all of `output` there; bytes are valid whatever the host writes meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(source, output.as_mut_ptr(), length) };
    }
}
