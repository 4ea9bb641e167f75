//! A pipe: the resource context that all opens of a name share.
//!
//! `readable` and `writable` say whether a blocked request can go on. They change under the mutex, together with what
//! they depend on, and who waits releases the mutex first and looks again after. Readers wait all at once, for anything;
//! of the writers that wait, one at a time has the turn, since only then is it known how much room is enough.

use core::sync::atomic::{AtomicU32, Ordering};

use driver::abi::{
    NTSTATUS, STATUS_CANCELLED, STATUS_DEVICE_BUSY, STATUS_INVALID_PARAMETER, STATUS_PIPE_BROKEN,
};
use driver::{Event, Mutex, Output, PassiveLevel, PoolBox, UnicodeStr};

use crate::open::{Mode, Open};
use crate::ring::Ring;
use crate::{DEFAULT_CAPACITY, MAX_CAPACITY, TAG};

pub(crate) struct Pipe {
    name: PoolBox<[u16]>,
    /// Changes under the names' mutex.
    opens: AtomicU32,
    state: Mutex<State>,
    /// Set while there are bytes, or will be none because the writers are gone.
    readable: Event,
    /// Set while there is the room that the writer with the turn needs, or will be none because the readers are gone.
    writable: Event,
    /// Lets one blocking write through at a time.
    turn: Event,
}

struct State {
    ring: Ring,
    readers: Side,
    writers: Side,
    /// Bytes of room that the writer with the turn waits for; 0 when none waits.
    needed: usize,
}

/// The handles that may read, or those that may write.
#[derive(Default)]
struct Side {
    handles: u32,
    came: bool,
}

impl Side {
    fn enter(&mut self) {
        self.handles += 1;
        self.came = true;
    }

    /// Whether nobody is there any more.
    fn is_gone(&self) -> bool {
        self.came && self.handles == 0
    }
}

/// Given to the next writer on the way out.
struct Turn<'a>(&'a Pipe);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turn.set();
    }
}

impl Pipe {
    pub(crate) fn new(name: &UnicodeStr<'_>) -> Result<Self, NTSTATUS> {
        let state = State {
            ring: Ring::new(DEFAULT_CAPACITY as usize)?,
            readers: Side::default(),
            writers: Side::default(),
            needed: 0,
        };
        Ok(Self {
            name: PoolBox::copy_of(TAG, name.units())?,
            opens: AtomicU32::new(0),
            state: Mutex::new(TAG, state)?,
            readable: Event::notification(TAG, false)?,
            writable: Event::notification(TAG, false)?,
            turn: Event::synchronization(TAG, true)?,
        })
    }

    pub(crate) fn name(&self) -> UnicodeStr<'_> {
        UnicodeStr::new(&self.name)
    }

    pub(crate) fn set_opens(&self, opens: u32) {
        self.opens.store(opens, Ordering::Relaxed);
    }

    /// Counts `open` among the pipe's readers and writers, which has this many opens now.
    pub(crate) fn enter(&self, level: PassiveLevel, open: &Open, opens: u32) {
        self.set_opens(opens);
        self.change(level, |state| {
            if open.may_read() {
                state.readers.enter();
            }
            if open.may_write() {
                state.writers.enter();
            }
        });
    }

    /// Counts `open` no more.
    pub(crate) fn leave(&self, level: PassiveLevel, open: &Open) {
        self.change(level, |state| {
            if open.leave() {
                state.readers.handles -= u32::from(open.may_read());
                state.writers.handles -= u32::from(open.may_write());
            }
        });
    }

    /// Moves bytes to `output`.
    pub(crate) fn read(
        &self,
        level: PassiveLevel,
        mode: Mode,
        output: &mut Output<'_>,
    ) -> Result<(), NTSTATUS> {
        if output.capacity() == 0 {
            return Ok(());
        }
        loop {
            let is_broken = self.change(level, |state| {
                state.ring.pop(output);
                state.writers.is_gone()
            });
            if output.written() > 0 || mode == Mode::NonBlocking {
                return Ok(());
            }
            if is_broken {
                return Err(STATUS_PIPE_BROKEN);
            }
            self.readable.wait_for_user(level).map_err(|_| STATUS_CANCELLED)?;
        }
    }

    /// Takes bytes of `data`, and returns how many.
    pub(crate) fn write(&self, level: PassiveLevel, mode: Mode, data: &[u8]) -> Result<usize, NTSTATUS> {
        match mode {
            // Not between the parts of a write that waits.
            Mode::NonBlocking => {
                Ok(self.change(level, |state| if state.needed > 0 { 0 } else { state.ring.push(data) }))
            }
            Mode::Blocking => self.write_all(level, data),
        }
    }

    fn write_all(&self, level: PassiveLevel, data: &[u8]) -> Result<usize, NTSTATUS> {
        if data.is_empty() {
            return Ok(0);
        }
        self.turn.wait_for_user(level).map_err(|_| STATUS_CANCELLED)?;
        let _turn = Turn(self);
        let mut taken = 0;
        let result = self.write_parts(level, data, &mut taken);
        if result.is_err() {
            self.change(level, |state| state.needed = 0);
        }
        if taken > 0 { Ok(taken) } else { result.map(|()| 0) }
    }

    fn write_parts(&self, level: PassiveLevel, data: &[u8], taken: &mut usize) -> Result<(), NTSTATUS> {
        while *taken < data.len() {
            let rest = &data[*taken..];
            let is_broken = self.change(level, |state| {
                let whole = *taken == 0 && rest.len() <= state.ring.capacity();
                let least = if whole { rest.len() } else { 1 };
                if !state.readers.is_gone() && state.ring.room() >= least {
                    *taken += state.ring.push(rest);
                }
                state.needed = if *taken == data.len() {
                    0
                } else if *taken == 0 {
                    least
                } else {
                    1
                };
                state.readers.is_gone()
            });
            if *taken == data.len() {
                break;
            }
            if is_broken {
                return Err(STATUS_PIPE_BROKEN);
            }
            self.writable.wait_for_user(level).map_err(|_| STATUS_CANCELLED)?;
        }
        Ok(())
    }

    pub(crate) fn set_capacity(&self, level: PassiveLevel, capacity: u32) -> Result<(), NTSTATUS> {
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        self.change(level, |state| {
            if state.ring.len() > capacity as usize {
                return Err(STATUS_DEVICE_BUSY);
            }
            state.ring = state.ring.moved_to(capacity as usize)?;
            Ok(())
        })
    }

    /// Capacity, bytes inside, opens.
    pub(crate) fn state(&self, level: PassiveLevel) -> [u32; 3] {
        let state = self.state.lock(level);
        // Neither is above MAX_CAPACITY.
        let [capacity, length] =
            [state.ring.capacity(), state.ring.len()].map(|n| n.try_into().unwrap_or(u32::MAX));
        [capacity, length, self.opens.load(Ordering::Relaxed)]
    }

    /// Changes the state under the mutex, and the events with it.
    fn change<R>(&self, level: PassiveLevel, code: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock(level);
        let before = (state.is_readable(), state.is_writable());
        let result = code(&mut state);
        let after = (state.is_readable(), state.is_writable());
        for (event, before, after) in
            [(&self.readable, before.0, after.0), (&self.writable, before.1, after.1)]
        {
            match (before, after) {
                (false, true) => _ = event.set(),
                (true, false) => event.clear(),
                _ => {}
            }
        }
        result
    }
}

impl State {
    fn is_readable(&self) -> bool {
        self.ring.len() > 0 || self.writers.is_gone()
    }

    /// A need above the capacity, which has shrunk since, is met by any room: its write is cut into parts now.
    fn is_writable(&self) -> bool {
        let enough = if self.needed > self.ring.capacity() { 1 } else { self.needed };
        self.needed > 0 && (self.ring.room() >= enough || self.readers.is_gone())
    }
}
