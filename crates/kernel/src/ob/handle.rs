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
    /// What its opener or `ObSetHandleAttributes` says of it.
    pub attributes: HandleAttributes,
}

/// Attributes of a handle, not of its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandleAttributes {
    /// OBJ_INHERIT: recorded; no process inherits handles here.
    pub inherit: bool,
    /// Closing it is refused until this is taken back, or the process ends.
    pub protect_from_close: bool,
}

/// A process's handles. Values are multiples of four from 4.
#[derive(Debug)]
pub struct HandleTable {
    slots: RwLock<Slots>,
    /// Handles that there can be.
    limit: usize,
    /// Changes with every close, so that threads can keep what they looked up last.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Option<HandleEntry>>,
    free: Vec<usize>,
    /// The process has ended: there are no more handles.
    closed: bool,
}

/// Handles that one process can hold.
const LIMIT: usize = 1 << 24;

impl Default for HandleTable {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl HandleTable {
    fn with_limit(limit: usize) -> Self {
        Self { slots: RwLock::default(), limit, generation: AtomicU64::new(0) }
    }

    /// Opens a handle; takes over one reference to the object from the caller.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES` when the table is full, `STATUS_PROCESS_IS_TERMINATING` when its process has closed all
    /// handles; the reference stays the caller's.
    pub fn insert(&self, object: Arc<Object>, granted: u32) -> Result<u32, NTSTATUS> {
        self.insert_with(object, granted, HandleAttributes::default())
    }

    /// As [`Self::insert`], with attributes.
    ///
    /// # Errors
    /// As for [`Self::insert`].
    pub fn insert_with(
        &self,
        object: Arc<Object>,
        granted: u32,
        attributes: HandleAttributes,
    ) -> Result<u32, NTSTATUS> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.closed {
            return Err(abi::STATUS_PROCESS_IS_TERMINATING);
        }
        let index = match slots.free.pop() {
            Some(index) => index,
            None if slots.entries.len() < self.limit => {
                slots.entries.push(None);
                slots.entries.len() - 1
            }
            None => return Err(abi::STATUS_INSUFFICIENT_RESOURCES),
        };
        object.add_handle();
        slots.entries[index] = Some(HandleEntry { object, granted, attributes });
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

    /// Changes a handle's attributes.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`.
    pub fn set_attributes(&self, handle: u32, attributes: HandleAttributes) -> Result<(), NTSTATUS> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = index_of(handle).and_then(|index| slots.entries.get_mut(index)?.as_mut());
        slot.ok_or(abi::STATUS_INVALID_HANDLE)?.attributes = attributes;
        Ok(())
    }

    /// Closes a handle in the context of `process`, whose table this is: the type's close procedure runs, then the
    /// handle's reference is dropped.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`; `STATUS_HANDLE_NOT_CLOSABLE` when it is protected from that.
    pub fn close(&self, kernel: &Kernel, process: &Process, handle: u32) -> Result<(), NTSTATUS> {
        let entry = self.take(handle, false)?;
        drop_handle(kernel, process, &entry.object);
        Ok(())
    }

    /// Closes all handles, protected ones too: the process ends. Drivers may open some while they hear of that, afterwards
    /// nobody can: a request that is late would leave its handle to nobody.
    pub(crate) fn close_all(&self, kernel: &Kernel, process: &Process) {
        self.close_each(kernel, process);
        self.slots.write().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.close_each(kernel, process);
    }

    fn close_each(&self, kernel: &Kernel, process: &Process) {
        for handle in self.values() {
            // Another thread may have closed it meanwhile.
            if let Ok(entry) = self.take(handle, true) {
                drop_handle(kernel, process, &entry.object);
            }
        }
    }

    fn take(&self, handle: u32, protected_too: bool) -> Result<HandleEntry, NTSTATUS> {
        let index = index_of(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entries.get_mut(index).ok_or(abi::STATUS_INVALID_HANDLE)?;
        let protected = slot.as_ref().is_some_and(|entry| entry.attributes.protect_from_close);
        if protected && !protected_too {
            return Err(abi::STATUS_HANDLE_NOT_CLOSABLE);
        }
        let entry = slot.take().ok_or(abi::STATUS_INVALID_HANDLE)?;
        slots.free.push(index);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(entry)
    }

    /// Whether one of the handles stands for `object`.
    pub(crate) fn holds(&self, object: &Arc<Object>) -> bool {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.entries.iter().flatten().any(|entry| Arc::ptr_eq(&entry.object, object))
    }

    /// All open handles.
    #[must_use]
    pub fn values(&self) -> Vec<u32> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let open = slots.entries.iter().enumerate().filter(|(_, entry)| entry.is_some());
        open.filter_map(|(index, _)| u32::try_from((index + 1) * 4).ok()).collect()
    }
}

/// A handle is gone: the type hears of it, the name of a temporary object goes with the last one.
fn drop_handle(kernel: &Kernel, process: &Process, object: &Arc<Object>) {
    let last = object.remove_handle() == 0;
    object.body.close(kernel, process, object, last);
    // Meanwhile another process may have opened it by its name, which then goes with that handle.
    if last && !object.is_permanent() && object.handles() == 0 && kernel.ob.remove_name(object) {
        object.dereference(kernel);
    }
    object.dereference(kernel);
}

fn index_of(handle: u32) -> Option<usize> {
    usize::try_from(handle / 4).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::ex;
    use crate::ke::tests::on_mock;
    use crate::ob::{ObjectBody, ObjectType};

    #[test]
    fn a_process_that_has_ended_gets_no_handles() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let process = kernel.ps.create("application");
                let object = ex::event_object(kernel, abi::NotificationEvent, false).expect("pool");
                assert!(object.try_reference());
                process.handles.insert(object.clone(), 0).expect("it runs");
                kernel.ps.terminate(kernel, &process).expect("running");
                let late = process.handles.insert(object.clone(), 0);
                assert_eq!(late, Err(abi::STATUS_PROCESS_IS_TERMINATING));
                assert_eq!((object.references(), object.handles()), (1, 0));
                object.dereference(kernel);
            });
        });
    }

    #[test]
    fn a_full_table_refuses_a_handle_and_leaves_the_reference_to_the_caller() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let process = kernel.ps.create("application");
                let table = HandleTable::with_limit(2);
                let object = ex::event_object(kernel, abi::NotificationEvent, false).expect("pool");
                let insert = || {
                    assert!(object.try_reference());
                    table.insert(object.clone(), 0)
                };
                let (first, second) = (insert().expect("room"), insert().expect("room"));
                assert_eq!(insert(), Err(abi::STATUS_INSUFFICIENT_RESOURCES));
                assert_eq!((object.references(), object.handles()), (4, 2));
                object.dereference(kernel);
                table.close(kernel, &process, first).expect("open");
                assert_eq!(insert(), Ok(first), "room again");
                table.close_all(kernel, &process);
                assert_eq!((table.get(second).is_none(), object.references()), (true, 1));
                object.dereference(kernel);
            });
        });
    }

    /// Opened by somebody else while its last handle is being closed.
    #[derive(Default)]
    struct Reopened(AtomicBool);

    impl ObjectBody for Reopened {
        fn object_type(&self) -> ObjectType {
            ObjectType { name: "Reopened", parses: false, generic_mapping: [0; 4] }
        }

        fn close(&self, _kernel: &Kernel, process: &Process, object: &Arc<Object>, _last_in_system: bool) {
            if !self.0.swap(true, Ordering::Relaxed) {
                assert!(object.try_reference());
                process.handles.insert(object.clone(), 0).expect("room");
            }
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    #[test]
    fn a_temporary_name_goes_with_the_last_handle_and_not_before() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let path: Vec<u16> = r"\BaseNamedObjects\Reopened".encode_utf16().collect();
                let process = kernel.ps.create("application");
                let object = Object::new(0, Reopened::default());
                kernel.ob.insert(&path, &object, false).expect("a free name");
                let first = process.handles.insert(object.clone(), 0).expect("room");
                process.handles.close(kernel, &process, first).expect("open");
                assert!(kernel.ob.find(&path, false).is_ok(), "there is a handle");
                let second = process.handles.values()[0];
                process.handles.close(kernel, &process, second).expect("open");
                assert!(kernel.ob.find(&path, false).is_err());
                assert_eq!(object.references(), 0);
            });
        });
    }
}
