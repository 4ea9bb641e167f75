//! Handles: a process's table from handle values to objects with granted access.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use abi::NTSTATUS;

use super::object::Object;
use crate::Kernel;
use crate::ps::Process;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub struct HandleEntry {
    /// The object.
    pub object: Arc<Object>,
    /// Rights granted when it was opened, specific ones only.
    pub granted: u32,
}

/// A process's handles. Values are multiples of four from 4.
#[derive(Debug, Default)]
pub struct HandleTable {
    slots: RwLock<Slots>,
    /// Changes with every close, so that threads can keep what they looked up last.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Option<HandleEntry>>,
    free: Vec<usize>,
}

/// Handles that one process can hold.
const LIMIT: usize = 1 << 24;

impl HandleTable {
    /// Opens a handle; takes over one reference to the object from the caller.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` when the table is full; the reference stays the caller's.
    pub fn insert(&self, object: Arc<Object>, granted: u32) -> Result<u32, NTSTATUS> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let index = match slots.free.pop() {
            Some(index) => index,
            None if slots.entries.len() < LIMIT => {
                slots.entries.push(None);
                slots.entries.len() - 1
            }
            None => return Err(abi::STATUS_INSUFFICIENT_RESOURCES),
        };
        object.add_handle();
        slots.entries[index] = Some(HandleEntry { object, granted });
        let value = u32::try_from((index + 1) * 4).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(value)
    }

    /// What `handle` stands for. The low two bits are ignored, as on NT.
    #[must_use]
    pub fn get(&self, handle: u32) -> Option<HandleEntry> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.entries.get(index_of(handle)?)?.clone()
    }

    /// Changes whenever a handle is closed.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Closes a handle in the context of `process`, whose table this is: the type's close procedure runs, then the
    /// handle's reference is dropped.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`.
    pub fn close(&self, kernel: &Kernel, process: &Process, handle: u32) -> Result<(), NTSTATUS> {
        let index = index_of(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
        let entry = {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            let entry = slots.entries.get_mut(index).and_then(Option::take);
            let entry = entry.ok_or(abi::STATUS_INVALID_HANDLE)?;
            slots.free.push(index);
            self.generation.fetch_add(1, Ordering::Release);
            entry
        };
        let last = entry.object.remove_handle() == 0;
        entry.object.body.close(kernel, process, &entry.object, last);
        if last && !entry.object.is_permanent() && kernel.ob.remove_name(&entry.object) {
            entry.object.dereference(kernel);
        }
        entry.object.dereference(kernel);
        Ok(())
    }

    /// All open handles.
    #[must_use]
    pub fn values(&self) -> Vec<u32> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let open = slots.entries.iter().enumerate().filter(|(_, entry)| entry.is_some());
        open.filter_map(|(index, _)| u32::try_from((index + 1) * 4).ok()).collect()
    }
}

fn index_of(handle: u32) -> Option<usize> {
    usize::try_from(handle / 4).ok()?.checked_sub(1)
}
