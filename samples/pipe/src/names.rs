//! The pipes by name.

use alloc::vec::Vec;

use driver::abi::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_INVALID};
use driver::{Mutex, PassiveLevel, PoolArc, UnicodeStr};

use crate::TAG;
use crate::open::Open;
use crate::pipe::Pipe;

/// The pipes that somebody has open. Few enough to look at each.
pub(crate) struct Names {
    pipes: Mutex<Vec<Entry>>,
}

struct Entry {
    pipe: PoolArc<Pipe>,
    /// Counted here and not by pointers, since an entry goes exactly when the last open is closed.
    opens: u32,
}

impl Names {
    pub(crate) fn new() -> Result<Self, NTSTATUS> {
        Ok(Self { pipes: Mutex::new(TAG, Vec::new())? })
    }

    /// The pipe of this name, which comes into being if it is new. `open` is one of its opens now.
    pub(crate) fn open(
        &self,
        level: PassiveLevel,
        name: &UnicodeStr<'_>,
        open: &Open,
    ) -> Result<PoolArc<Pipe>, NTSTATUS> {
        if matches!(name.units(), [] | [0x5C]) {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let mut pipes = self.pipes.lock(level);
        let known = pipes.iter_mut().find(|entry| entry.pipe.name().eq_ignore_case(name));
        let entry = match known {
            Some(entry) => entry,
            None => {
                let pipe = PoolArc::new(TAG, Pipe::new(name)?)?;
                pipes.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
                pipes.push_mut(Entry { pipe, opens: 0 })
            }
        };
        entry.opens += 1;
        entry.pipe.enter(level, open, entry.opens);
        Ok(entry.pipe.clone())
    }

    /// One open less; the pipe goes with its last.
    pub(crate) fn close(&self, level: PassiveLevel, pipe: PoolArc<Pipe>) {
        let mut pipes = self.pipes.lock(level);
        let Some(index) = pipes.iter().position(|entry| entry.pipe.is_same(&pipe)) else { return };
        let entry = &mut pipes[index];
        entry.opens -= 1;
        entry.pipe.set_opens(entry.opens);
        if entry.opens == 0 {
            pipes.swap_remove(index);
        }
    }
}
