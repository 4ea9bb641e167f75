//! Resources (`ERESOURCE`): locks that one thread holds exclusively, or many share, each as often as it likes.
//!
//! Who owns and who waits is kept here, by address; the structure in driver memory mirrors what drivers look at
//! (`ActiveCount`, `Flag`, the waiter counts). A releasing thread hands the resource over to those it wakes. Callers are
//! to have normal kernel APCs disabled, as on NT; that is not checked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::raw::{self, DispatcherHeader, Outcome, raw_object};
use crate::{Kernel, Unwind};

raw_object! {
    /// A resource in driver memory.
    Resource: abi::ERESOURCE {
        active_count, set_active_count: u16 = ActiveCount;
        flag, set_flag: u16 = Flag;
        owner_thread, set_owner_thread: u64 = OwnerEntry.OwnerThread;
        active_entries, set_active_entries: u32 = ActiveEntries;
        contention_count, set_contention_count: u32 = ContentionCount;
        shared_waiters, set_shared_waiters: u32 = NumberOfSharedWaiters;
        exclusive_waiters, set_exclusive_waiters: u32 = NumberOfExclusiveWaiters;
    }
}

/// ResourceOwnedExclusive.
const OWNED_EXCLUSIVE: u16 = 0x80;

/// Whom a request for shared access lets go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedPolicy {
    /// Threads that wait for exclusive access, unless the caller has access already: ExAcquireResourceSharedLite.
    Normal,
    /// Nobody: ExAcquireSharedStarveExclusive.
    StarveExclusive,
    /// Threads that wait for exclusive access, always: ExAcquireSharedWaitForExclusive.
    WaitForExclusive,
}

/// The resources of a machine that are owned.
#[derive(Debug, Default)]
pub struct Resources {
    held: Mutex<HashMap<u64, State>>,
}

#[derive(Debug, Default)]
struct State {
    exclusive: bool,
    /// Owners, and how often each has acquired it.
    owners: Vec<(u64, u32)>,
    shared: VecDeque<Waiting>,
    waiting_exclusive: VecDeque<Waiting>,
    contention: u32,
}

/// A thread that waits, and the event in its thread object that wakes it.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    thread: u64,
    event: DispatcherHeader,
}

impl State {
    fn count(&self, owner: u64) -> u32 {
        self.owners.iter().find(|(id, _)| *id == owner).map_or(0, |(_, count)| *count)
    }

    fn add(&mut self, owner: u64) {
        match self.owners.iter_mut().find(|(id, _)| *id == owner) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.owners.push((owner, 1)),
        }
    }

    fn try_exclusive(&mut self, thread: u64) -> bool {
        let granted = self.owners.is_empty() || self.exclusive && self.count(thread) > 0;
        if granted {
            self.exclusive = true;
            self.add(thread);
        }
        granted
    }

    fn try_shared(&mut self, thread: u64, policy: SharedPolicy) -> bool {
        let owns = self.count(thread) > 0;
        let first = !self.waiting_exclusive.is_empty();
        let granted = self.owners.is_empty()
            || self.exclusive && owns
            || !self.exclusive
                && match policy {
                    SharedPolicy::Normal => owns || !first,
                    SharedPolicy::StarveExclusive => true,
                    SharedPolicy::WaitForExclusive => !first,
                };
        if granted {
            self.add(thread);
        }
        granted
    }

    /// Gives shared access to all who wait for it.
    fn grant_shared(&mut self, woken: &mut Vec<Waiting>) {
        while let Some(waiting) = self.shared.pop_front() {
            self.add(waiting.thread);
            woken.push(waiting);
        }
    }

    /// Gives the resource, which nobody owns now, to those who are next: after exclusive access to all who wait for
    /// shared access, after shared access to the first who waits for exclusive access.
    fn hand_over(&mut self, woken: &mut Vec<Waiting>) {
        let shared_first = std::mem::take(&mut self.exclusive) || self.waiting_exclusive.is_empty();
        if shared_first && !self.shared.is_empty() {
            self.grant_shared(woken);
        } else if let Some(waiting) = self.waiting_exclusive.pop_front() {
            self.exclusive = true;
            self.add(waiting.thread);
            woken.push(waiting);
        }
    }

    fn is_idle(&self) -> bool {
        self.owners.is_empty() && self.shared.is_empty() && self.waiting_exclusive.is_empty()
    }

    /// Brings the structure in driver memory up to date.
    fn mirror(&self, resource: Resource) -> Outcome<()> {
        let entries = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        resource.set_active_entries(entries)?;
        resource.set_active_count(u16::try_from(entries).unwrap_or(u16::MAX))?;
        let flag = resource.flag()? & !OWNED_EXCLUSIVE;
        resource.set_flag(if self.exclusive { flag | OWNED_EXCLUSIVE } else { flag })?;
        let owner = if self.exclusive { self.owners.first().map_or(0, |(id, _)| *id) } else { 0 };
        resource.set_owner_thread(owner)?;
        resource.set_contention_count(self.contention)?;
        resource.set_shared_waiters(u32::try_from(self.shared.len()).unwrap_or(u32::MAX))?;
        resource.set_exclusive_waiters(u32::try_from(self.waiting_exclusive.len()).unwrap_or(u32::MAX))
    }
}

impl Resources {
    fn lock(&self, kernel: &Kernel) -> MutexGuard<'_, HashMap<u64, State>> {
        kernel.platform.preemption_point();
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a resource that nobody owns (`ddi: ExInitializeResourceLite`). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn initialize(&self, kernel: &Kernel, resource: Resource) -> Outcome<()> {
        self.delete(kernel, resource).map(drop)
    }

    /// Forgets a resource (`ddi: ExDeleteResourceLite`). Returns how many threads owned it and how many waited for it: a
    /// driver's bug, unless both are none. No published text says what comes of it; here nobody wakes those who wait.
    /// IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn delete(&self, kernel: &Kernel, resource: Resource) -> Outcome<(usize, usize)> {
        raw::fill(resource.address(), 0, Resource::SIZE)?;
        let state = self.lock(kernel).remove(&resource.address()).unwrap_or_default();
        Ok((state.owners.len(), state.shared.len() + state.waiting_exclusive.len()))
    }

    /// Acquires a resource exclusively (`ddi: ExAcquireResourceExclusiveLite`); false when `wait` is and another thread
    /// is in the way. Recursive. A thread that has shared access only waits for itself, as on NT. IRQL: up to APC_LEVEL.
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn acquire_exclusive(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        resource: Resource,
        wait: bool,
    ) -> Outcome<bool> {
        self.acquire(kernel, thread, resource, wait, None)
    }

    /// Acquires a resource for shared access (`ddi: ExAcquireResourceSharedLite` and those that [`SharedPolicy`] names);
    /// false when `wait` is and the caller would have to wait. A thread that owns it exclusively owns it once more.
    /// IRQL: up to APC_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::acquire_exclusive`].
    pub fn acquire_shared(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        resource: Resource,
        wait: bool,
        policy: SharedPolicy,
    ) -> Outcome<bool> {
        self.acquire(kernel, thread, resource, wait, Some(policy))
    }

    fn acquire(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        resource: Resource,
        wait: bool,
        shared: Option<SharedPolicy>,
    ) -> Outcome<bool> {
        // A resource that cannot be read is refused before anything is recorded under its address.
        resource.flag()?;
        let me = thread.object();
        let waiting = Waiting { thread: me, event: thread.executive_event() };
        {
            let mut held = self.lock(kernel);
            let state = held.entry(resource.address()).or_default();
            let granted = match shared {
                Some(policy) => state.try_shared(me, policy),
                None => state.try_exclusive(me),
            };
            if !granted && wait {
                state.contention = state.contention.saturating_add(1);
                if shared.is_some() { &mut state.shared } else { &mut state.waiting_exclusive }
                    .push_back(waiting);
            }
            state.mirror(resource)?;
            if granted || !wait {
                return Ok(granted);
            }
        }
        loop {
            let (mode, event) = (ProcessorMode::Kernel, waiting.event.address());
            let ended = kernel.ke.wait_for_single_object(kernel, thread, event, mode, false, Timeout::Never);
            let mut held = self.lock(kernel);
            let state = held.entry(resource.address()).or_default();
            let queues = [&mut state.shared, &mut state.waiting_exclusive];
            match ended {
                Ok(_) if queues.iter().any(|queue| queue.iter().any(|other| other.thread == me)) => {}
                Ok(_) => return Ok(true),
                Err(unwind) => {
                    for queue in queues {
                        queue.retain(|other| other.thread != me);
                    }
                    return Err(unwind);
                }
            }
        }
    }

    /// Releases a resource once for `owner`, a thread object or an owner pointer (`ddi: ExReleaseResourceLite,
    /// ExReleaseResourceForThreadLite`). Not owned by it: bugcheck RESOURCE_NOT_OWNED with the resource, the thread and
    /// no owner table. IRQL: up to DISPATCH_LEVEL. Confirm: who is next when both kinds of threads wait.
    ///
    /// # Errors
    /// An access violation; `Unwind::Halt` when the machine stops.
    pub fn release(&self, kernel: &Kernel, resource: Resource, owner: u64) -> Outcome<()> {
        let mut woken = Vec::new();
        let mut held = self.lock(kernel);
        let state = held.get_mut(&resource.address());
        let found = state.and_then(|state| {
            let index = state.owners.iter().position(|(id, _)| *id == owner)?;
            Some((state, index))
        });
        let Some((state, index)) = found else {
            drop(held);
            return not_owned(kernel, resource, owner);
        };
        state.owners[index].1 -= 1;
        if state.owners[index].1 == 0 {
            state.owners.swap_remove(index);
        }
        if state.owners.is_empty() {
            state.hand_over(&mut woken);
        }
        let mirrored = state.mirror(resource);
        if state.is_idle() && state.contention == 0 {
            held.remove(&resource.address());
        }
        drop(held);
        wake(kernel, &woken)?;
        mirrored
    }

    /// Turns exclusive into shared access and lets in all who wait for that (`ddi: ExConvertExclusiveToSharedLite`).
    /// Not owned exclusively by `thread`: bugcheck RESOURCE_NOT_OWNED (confirm). IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::release`].
    pub fn convert_to_shared(&self, kernel: &Kernel, thread: &Thread, resource: Resource) -> Outcome<()> {
        let mut woken = Vec::new();
        let mut held = self.lock(kernel);
        let state = held.get_mut(&resource.address());
        let Some(state) = state.filter(|state| state.exclusive && state.count(thread.object()) > 0) else {
            drop(held);
            return not_owned(kernel, resource, thread.object());
        };
        state.exclusive = false;
        state.grant_shared(&mut woken);
        let mirrored = state.mirror(resource);
        drop(held);
        wake(kernel, &woken)?;
        mirrored
    }

    /// Makes what `thread` owns the property of `owner`, so that another thread can release it
    /// (`ddi: ExSetResourceOwnerPointer`). Not owned by it: bugcheck RESOURCE_NOT_OWNED. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    /// As for [`Self::release`].
    pub fn set_owner(&self, kernel: &Kernel, thread: &Thread, resource: Resource, owner: u64) -> Outcome<()> {
        let mut held = self.lock(kernel);
        let state = held.get_mut(&resource.address());
        let Some(state) = state.filter(|state| state.count(thread.object()) > 0) else {
            drop(held);
            return not_owned(kernel, resource, thread.object());
        };
        let count = state.count(thread.object()) + state.count(owner);
        state.owners.retain(|(id, _)| *id != thread.object() && *id != owner);
        state.owners.push((owner, count));
        state.mirror(resource)
    }

    /// Whether `thread` owns the resource exclusively (`ddi: ExIsResourceAcquiredExclusiveLite`).
    #[must_use]
    pub fn is_acquired_exclusive(&self, kernel: &Kernel, thread: &Thread, resource: Resource) -> bool {
        let held = self.lock(kernel);
        held.get(&resource.address()).is_some_and(|state| state.exclusive && state.count(thread.object()) > 0)
    }

    /// How often `thread` has acquired the resource, in either way (`ddi: ExIsResourceAcquiredSharedLite`).
    #[must_use]
    pub fn acquired(&self, kernel: &Kernel, thread: &Thread, resource: Resource) -> u32 {
        self.lock(kernel).get(&resource.address()).map_or(0, |state| state.count(thread.object()))
    }

    /// Threads that wait for exclusive access (`ddi: ExGetExclusiveWaiterCount`).
    #[must_use]
    pub fn exclusive_waiters(&self, kernel: &Kernel, resource: Resource) -> usize {
        self.lock(kernel).get(&resource.address()).map_or(0, |state| state.waiting_exclusive.len())
    }

    /// Threads that wait for shared access (`ddi: ExGetSharedWaiterCount`).
    #[must_use]
    pub fn shared_waiters(&self, kernel: &Kernel, resource: Resource) -> usize {
        self.lock(kernel).get(&resource.address()).map_or(0, |state| state.shared.len())
    }
}

fn wake(kernel: &Kernel, woken: &[Waiting]) -> Outcome<()> {
    for waiting in woken {
        kernel.ke.set_event(kernel, waiting.event, 0)?;
    }
    Ok(())
}

#[cold]
fn not_owned(kernel: &Kernel, resource: Resource, owner: u64) -> Outcome<()> {
    kernel.bug_check(abi::RESOURCE_NOT_OWNED, [resource.address(), owner, 0, 0]);
    Err(Unwind::Halt)
}
