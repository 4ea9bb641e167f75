//! `Object`: anything with a reference count, and perhaps a name, handles and a body in driver memory.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Kernel;
use crate::ps::Process;
use crate::se::{SecurityDescriptor, map_generic};

/// What a room keeps in an object of its type.
pub trait ObjectBody: Any + Send + Sync {
    /// The type's name, as the namespace shows it: `Device`, `File`, `Event`.
    fn object_type(&self) -> ObjectType;

    /// A handle was closed. `last_in_system` when no process has one now. Runs in the closing process's context.
    fn close(&self, kernel: &Kernel, process: &Process, object: &Arc<Object>, last_in_system: bool) {
        let _ = (kernel, process, object, last_in_system);
    }

    /// The last reference is gone.
    fn delete(&self, kernel: &Kernel, object: &Object) {
        let _ = (kernel, object);
    }

    /// Its full name, where that is not its path in the namespace alone; empty when it has none.
    fn full_name(&self, object: &Object) -> Vec<u16> {
        object.path().unwrap_or_default().encode_utf16().collect()
    }

    /// Address of the dispatcher object that a wait for this one waits for; `None` when it cannot be waited for.
    fn waits_on(&self, object: &Object) -> Option<u64> {
        let _ = object;
        None
    }

    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
}

/// An object type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// Its name.
    pub name: &'static str,
    /// Whether paths may go on behind an object of this type (devices: the rest goes to the driver).
    pub parses: bool,
    /// Access masks that GENERIC_READ, _WRITE, _EXECUTE and _ALL stand for.
    pub generic_mapping: [u32; 4],
}

impl ObjectType {
    /// Replaces generic rights by the type's own; MAXIMUM_ALLOWED by all of them.
    #[must_use]
    pub fn map_access(&self, desired: u32) -> u32 {
        let all = if desired & abi::MAXIMUM_ALLOWED != 0 { self.generic_mapping[3] } else { 0 };
        map_generic(desired & !abi::MAXIMUM_ALLOWED, &self.generic_mapping) | all
    }
}

/// An object.
pub struct Object {
    /// Address of its body in driver memory; 0 when drivers cannot see it.
    pub address: u64,
    /// What its room keeps.
    pub body: Box<dyn ObjectBody>,
    references: AtomicIsize,
    handles: AtomicIsize,
    place: Mutex<Option<Place>>,
    security: Mutex<Option<Arc<SecurityDescriptor>>>,
    /// Attribution, for reports: the driver that made it, 0 for the kernel.
    pub creator: AtomicU64,
}

/// Where an object is in the namespace.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) directory: Weak<Object>,
    pub(super) name: Vec<u16>,
    pub(super) permanent: bool,
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Object")
            .field("type", &self.body.object_type().name)
            .field("address", &format_args!("{:#x}", self.address))
            .field("references", &self.references)
            .field("handles", &self.handles)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// A new object with one reference, its maker's.
    #[must_use]
    pub fn new(address: u64, body: impl ObjectBody) -> Arc<Self> {
        Arc::new(Self {
            address,
            body: Box::new(body),
            references: AtomicIsize::new(1),
            handles: AtomicIsize::new(0),
            place: Mutex::new(None),
            security: Mutex::default(),
            creator: AtomicU64::new(0),
        })
    }

    /// Its type.
    #[must_use]
    pub fn object_type(&self) -> ObjectType {
        self.body.object_type()
    }

    /// Its body as the type that its room gave it.
    #[inline]
    #[must_use]
    pub fn body<T: 'static>(&self) -> Option<&T> {
        self.body.as_any().downcast_ref()
    }

    /// Takes a reference; false when the last one is gone already.
    #[inline]
    #[must_use]
    pub fn try_reference(&self) -> bool {
        // Never counts up from nothing, not even for a moment: another thread would take that for a reference.
        let add_one = |references: isize| (references > 0).then_some(references + 1);
        self.references.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add_one).is_ok()
    }

    /// Drops a reference; the last one ends the object. Returns how many are left.
    #[inline]
    pub fn dereference(&self, kernel: &Kernel) -> isize {
        let left = self.references.fetch_sub(1, Ordering::Release) - 1;
        if left == 0 {
            self.delete(kernel);
        }
        left
    }

    /// Drops a reference unless it is the last. False when it is: it is still the caller's then.
    #[must_use]
    pub(crate) fn dereference_unless_last(&self) -> bool {
        let drop_one = |references: isize| (references > 1).then_some(references - 1);
        self.references.fetch_update(Ordering::AcqRel, Ordering::Relaxed, drop_one).is_ok()
    }

    /// Drops a reference that is certainly not the last.
    pub(super) fn undo_reference(&self) {
        self.references.fetch_sub(1, Ordering::Release);
    }

    /// Lets its name go with the last handle (`ZwMakeTemporaryObject`); true when it has a name and no handle now.
    pub(super) fn make_temporary(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *place {
            Some(place) => {
                place.permanent = false;
                self.handles() == 0
            }
            None => false,
        }
    }

    /// Whether its name stays when the last handle is closed. Objects without a name count as permanent.
    pub(super) fn is_permanent(&self) -> bool {
        self.place().is_none_or(|place| place.permanent)
    }

    #[cold]
    fn delete(&self, kernel: &Kernel) {
        std::sync::atomic::fence(Ordering::Acquire);
        kernel.ob.remove_name(self);
        kernel.ob.forget(self.address);
        self.body.delete(kernel, self);
    }

    /// References now: handles, the kernel's and drivers'.
    #[must_use]
    pub fn references(&self) -> isize {
        self.references.load(Ordering::Relaxed)
    }

    /// Handles now.
    #[must_use]
    pub fn handles(&self) -> isize {
        self.handles.load(Ordering::Relaxed)
    }

    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many handles are left.
    pub(super) fn remove_handle(&self) -> isize {
        self.handles.fetch_sub(1, Ordering::AcqRel) - 1
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_place(&self, place: Option<Place>) -> Option<Place> {
        std::mem::replace(&mut *self.place.lock().unwrap_or_else(PoisonError::into_inner), place)
    }

    /// Its security descriptor. Objects that never had a name have none, unless somebody gave them one.
    #[must_use]
    pub fn security(&self) -> Option<Arc<SecurityDescriptor>> {
        self.security.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it a security descriptor. Handles that are open keep what they were granted.
    pub fn set_security(&self, descriptor: SecurityDescriptor) {
        *self.security.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(descriptor));
    }

    /// Its full path, if it has a name.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        let mut place = self.place()?;
        let mut names = Vec::new();
        // In a loop: directories may be nested deeper than a kernel stack is.
        loop {
            names.push(String::from_utf16_lossy(&place.name));
            match place.directory.upgrade()?.place() {
                Some(above) => place = above,
                None => break,
            }
        }
        Some(names.iter().rev().flat_map(|name| ["\\", name]).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::ob::Directory;

    #[test]
    fn an_object_whose_last_reference_is_gone_is_referenced_by_nobody_again() {
        // Long enough for the two to meet, or for one to be preempted, many times.
        const ROUNDS: usize = 10_000_000;
        let object = Object::new(0, Directory::default());
        object.undo_reference();
        let start = Barrier::new(2);
        let revive = || {
            start.wait();
            (0..ROUNDS).filter(|_| object.try_reference()).count()
        };
        let revived = thread::scope(|scope| {
            let other = scope.spawn(revive);
            revive() + other.join().expect("no panic")
        });
        assert_eq!((revived, object.references()), (0, 0));
    }
}
