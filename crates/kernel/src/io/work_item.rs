//! Work items: routines that drivers have called later, at PASSIVE_LEVEL, by a system worker thread.
//!
//! Workers are started when there is work and none is free, and stay for the machine's life. Each kind of queue has
//! its own, so that delayed work that blocks does not hold up critical work. Items run in the order of queueing.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use abi::{PASSIVE_LEVEL, WORK_QUEUE_ITEM, WORK_QUEUE_TYPE};
use platform::{Parker, Platform};

use super::{Device, Driver, dispatch, driver};
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::ob::Object;
use crate::raw::{self, Outcome, raw_object};
use crate::{Kernel, Unwind, ps};

raw_object! {
    /// A work item of `Ex`. A forward link that is not NULL says that it is queued.
    WorkQueueItem: WORK_QUEUE_ITEM {
        forward, set_forward: u64 = List.Flink;
        worker_routine, set_worker_routine: u64 = WorkerRoutine;
        parameter, set_parameter: u64 = Parameter;
    }
}

/// What an `IO_WORKITEM` is here; drivers know its size only.
#[repr(C)]
struct WorkItem {
    item: WORK_QUEUE_ITEM,
    io_object: u64,
    routine: u64,
    context: u64,
}

raw_object! {
    /// A work item of `Io`.
    IoWorkItem: WorkItem {
        forward, set_forward: u64 = item.List.Flink;
        io_object, set_io_object: u64 = io_object;
        routine, set_routine: u64 = routine;
        context, set_context: u64 = context;
    }
}

const WORK_ITEM_TAG: u32 = u32::from_le_bytes(*b"IoWI");
/// In a queued item's forward link.
const QUEUED: u64 = 1;
/// First parameter of INVALID_WORK_QUEUE_ITEM's sibling WORKER_INVALID: the item is queued already.
const ALREADY_QUEUED: u64 = 1;
/// Most workers of a queue.
const MAX_WORKERS: usize = 64;

/// What a worker calls.
struct Work {
    /// Address of the item.
    item: u64,
    /// What is called; 0 when only the object is to be let go of.
    routine: u64,
    arguments: [u64; 3],
    count: usize,
    /// The device or driver that the item belongs to, referenced.
    object: Option<Arc<Object>>,
    /// The driver, whose image is held.
    owner: Option<Arc<Driver>>,
    /// Of the kernel's own work.
    task: Option<Task>,
}

/// Something that the kernel itself does later.
pub(super) type Task = Box<dyn FnOnce(&Kernel, &Thread) -> Outcome<()> + Send>;

/// One kind of work: critical, or delayed.
#[derive(Default)]
struct Queue {
    inner: Mutex<Inner>,
    workers: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    work: VecDeque<Work>,
    /// Workers that wait for work.
    idle: Vec<Arc<Parker>>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine's system worker threads.
#[derive(Default)]
pub(super) struct Workers {
    critical: Arc<Queue>,
    delayed: Arc<Queue>,
    platform: Mutex<Option<Arc<dyn Platform>>>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Workers {
    /// Ends the workers; those at work when they have done it.
    pub(super) fn close(&self) {
        let platform = self.platform.lock().unwrap_or_else(PoisonError::into_inner).take();
        for queue in [&self.critical, &self.delayed] {
            let idle = {
                let mut inner = queue.lock();
                inner.closed = true;
                std::mem::take(&mut inner.idle)
            };
            // Not under the lock, which those that wake take.
            for parker in idle {
                if let Some(platform) = &platform {
                    platform.unpark(&parker);
                }
            }
        }
    }

    fn submit(&self, kernel: &Kernel, queue_type: WORK_QUEUE_TYPE, work: Work) -> Outcome<()> {
        let critical = matches!(queue_type, abi::CriticalWorkQueue | abi::HyperCriticalWorkQueue);
        let queue = if critical { &self.critical } else { &self.delayed };
        let idle = {
            let mut inner = queue.lock();
            inner.work.push_back(work);
            inner.idle.pop()
        };
        match idle {
            Some(parker) => kernel.platform.unpark(&parker),
            None => self.start(kernel, queue)?,
        }
        Ok(())
    }

    fn start(&self, kernel: &Kernel, queue: &Arc<Queue>) -> Outcome<()> {
        if queue.workers.fetch_add(1, Ordering::AcqRel) >= MAX_WORKERS {
            queue.workers.fetch_sub(1, Ordering::AcqRel);
            return Ok(());
        }
        self.platform
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| kernel.platform.clone());
        let weak = Arc::downgrade(&kernel.arc().ok_or(Unwind::Halt)?);
        let (own, platform) = (queue.clone(), kernel.platform.clone());
        let started = platform.clone().spawn("nt-worker", Box::new(move || run(&weak, &*platform, &own)));
        if started.is_err() && queue.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody would ever run it.
            queue.lock().work.pop_back();
            return Err(Unwind::status(abi::STATUS_INSUFFICIENT_RESOURCES));
        }
        Ok(())
    }
}

/// A worker's life: it holds on to the machine only while it works.
fn run(weak: &Weak<Kernel>, platform: &dyn Platform, queue: &Queue) {
    let parker = Arc::new(Parker::new());
    loop {
        let work = {
            let mut inner = queue.lock();
            if inner.closed {
                return;
            }
            let work = inner.work.pop_front();
            if work.is_none() {
                inner.idle.push(parker.clone());
            }
            work
        };
        match work {
            Some(work) => {
                let Some(kernel) = weak.upgrade() else { return };
                if execute(&kernel, work).is_err() {
                    return;
                }
            }
            None => {
                platform.park(&parker, None);
            }
        }
    }
}

/// Drops a reference to a file or another object whose end calls driver code: the last one on a system worker thread, at
/// PASSIVE_LEVEL and outside of any driver's call. IRQL <= DISPATCH_LEVEL.
pub fn dereference_later(kernel: &Kernel, object: &Arc<Object>) {
    if object.dereference_unless_last() {
        return;
    }
    let released = Some(object.clone());
    let work =
        Work { item: 0, routine: 0, arguments: [0; 3], count: 0, object: released, owner: None, task: None };
    if kernel.io.workers.submit(kernel, abi::CriticalWorkQueue, work).is_err() {
        // There is no thread to be had: better here than never.
        object.dereference(kernel);
    }
}

/// Has the kernel's own work done later, by a system worker thread at PASSIVE_LEVEL in the system process. IRQL <=
/// DISPATCH_LEVEL.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES` as a raise when there is no thread to be had.
pub(super) fn queue_task(kernel: &Kernel, task: Task) -> Outcome<()> {
    let work = Work {
        item: 0,
        routine: 0,
        arguments: [0; 3],
        count: 0,
        object: None,
        owner: None,
        task: Some(task),
    };
    kernel.io.workers.submit(kernel, abi::DelayedWorkQueue, work)
}

/// Calls a work item's routine in the system process.
fn execute(kernel: &Kernel, work: Work) -> Outcome<()> {
    let system = kernel.ps.system().clone();
    if let Some(task) = work.task {
        return ps::inside(kernel, &system, |thread| task(kernel, thread)).map_err(|_| Unwind::Halt)?;
    }
    if work.routine == 0 {
        let release = |_: &_| work.object.map(|object| object.dereference(kernel));
        return ps::inside(kernel, &system, release).map(drop).map_err(|_| Unwind::Halt);
    }
    let owner = work.owner;
    let arguments = work.arguments;
    let done = ps::inside(kernel, &system, |thread| {
        // From now on it can be queued again, or freed. Memory that cannot be written says so when it is queued.
        let _no_longer_queued = raw::write(work.item, 0_u64);
        let call = || kernel.ke.call(kernel, work.routine, &arguments[..work.count]);
        let called = match &owner {
            Some(driver) => dispatch::as_owner(driver.id, call),
            None => call(),
        };
        match called {
            // Exits of threads are none of a work item's, but it has ended.
            Ok(_) | Err(Unwind::Exit(_)) => {}
            Err(unwind) => return Err(unwind),
        }
        // The next item's routine, whosever it is, would act for this one's client. Source: bug check 0xDF.
        if ps::impersonation(thread).is_some() {
            let parameter = if work.count == 1 { arguments[0] } else { arguments[1] };
            let parameters = [work.routine, parameter, work.item, 0];
            kernel.bug_check(abi::IMPERSONATING_WORKER_THREAD, parameters);
            return Err(Unwind::Halt);
        }
        let irql = kernel.ke.current_irql();
        if irql != PASSIVE_LEVEL {
            let parameters = [work.routine, u64::from(irql), arguments[1], work.item];
            kernel.bug_check(abi::WORKER_THREAD_RETURNED_AT_BAD_IRQL, parameters);
            return Err(Unwind::Halt);
        }
        kernel.ke.leave_system_service(kernel, thread, work.routine)
    });
    if let Some(object) = work.object {
        object.dereference(kernel);
    }
    if let Some(driver) = owner {
        driver::release_image(&driver);
    }
    done.map_err(|_| Unwind::Halt)?
}

/// `ExQueueWorkItem`. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// [`Unwind::Halt`] after bugcheck 0x96 (INVALID_WORK_QUEUE_ITEM) for a queue that is none, 0xE4 (WORKER_INVALID) for an
/// item that is queued already; `STATUS_INSUFFICIENT_RESOURCES` raised when there is no thread for it.
///
/// Source: ddi, ExQueueWorkItem; bug checks 0x96 and 0xE4.
pub fn queue_work_item(kernel: &Kernel, item: WorkQueueItem, queue_type: WORK_QUEUE_TYPE) -> Outcome<()> {
    let routine = item.worker_routine()?;
    if !(0..abi::MaximumWorkQueue).contains(&queue_type) || routine == 0 {
        kernel.bug_check(abi::INVALID_WORK_QUEUE_ITEM, [0, item.address(), 0, routine]);
        return Err(Unwind::Halt);
    }
    begin_queueing(kernel, item.address())?;
    let arguments = [item.parameter()?, 0, 0];
    let work =
        Work { item: item.address(), routine, arguments, count: 1, object: None, owner: None, task: None };
    kernel.io.workers.submit(kernel, queue_type, work)
}

/// Marks an item queued, which only one can do.
fn begin_queueing(kernel: &Kernel, item: u64) -> Outcome<()> {
    if raw::exchange(item, QUEUED)? == QUEUED && kernel.io.is_work_queued(item) {
        kernel.bug_check(abi::WORKER_INVALID, [ALREADY_QUEUED, item, 0, 0]);
        return Err(Unwind::Halt);
    }
    Ok(())
}

impl super::IoManager {
    fn is_work_queued(&self, item: u64) -> bool {
        let queues = [&self.workers.critical, &self.workers.delayed];
        queues.iter().any(|queue| queue.lock().work.iter().any(|work| work.item == item))
    }
}

/// The driver whose device, or whose driver object, this is.
fn owner_of(kernel: &Kernel, object: &Object) -> Option<Arc<Driver>> {
    match object.body::<Device>() {
        Some(device) => device.driver.upgrade(),
        None => kernel.io.driver_at(object.address),
    }
}

/// `IoSizeofWorkItem`: bytes of an `IO_WORKITEM`.
#[must_use]
pub fn size_of_work_item() -> u32 {
    u32::try_from(size_of::<WorkItem>()).unwrap_or(u32::MAX)
}

/// `IoAllocateWorkItem`: an item of a device's; null without memory. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation, when a driver has freed memory that is not its own.
pub fn allocate_work_item(kernel: &Kernel, device: u64) -> Outcome<IoWorkItem> {
    let owner = PoolOwner(kernel.io.calling_driver().unwrap_or(0));
    let Some(block) = kernel.mm.pool.allocate_zeroed(IoWorkItem::SIZE, WORK_ITEM_TAG, owner) else {
        return Ok(IoWorkItem::at(0));
    };
    let item = IoWorkItem::at(block.address);
    item.set_io_object(device)?;
    Ok(item)
}

/// `IoInitializeWorkItem`: an item of a device's or a driver's in the driver's own memory. Any IRQL.
///
/// # Errors
/// An access violation.
pub fn initialize_work_item(item: IoWorkItem, io_object: u64) -> Outcome<()> {
    raw::fill(item.address(), 0, IoWorkItem::SIZE)?;
    item.set_io_object(io_object)
}

/// `IoFreeWorkItem`. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// [`Unwind::Halt`] after bugcheck BAD_POOL_CALLER for what is no work item, 0xE4 for one that is queued.
pub fn free_work_item(kernel: &Kernel, item: IoWorkItem) -> Outcome<()> {
    if kernel.io.is_work_queued(item.address()) {
        kernel.bug_check(abi::WORKER_INVALID, [ALREADY_QUEUED, item.address(), 0, 0]);
        return Err(Unwind::Halt);
    }
    let held = kernel.mm.pool.find(item.address());
    let is_item = held.is_some_and(|block| block.address == item.address() && block.tag == WORK_ITEM_TAG);
    if !is_item || kernel.mm.pool.free(item.address()).is_err() {
        kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, item.address()]);
        return Err(Unwind::Halt);
    }
    Ok(())
}

/// `IoQueueWorkItem`, and with `extended` `IoQueueWorkItemEx`, whose routine gets the item too. The device, and with it
/// its driver, stays until the routine has returned; the routine may free the item. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// As for [`queue_work_item`].
///
/// Source: ddi, IoQueueWorkItem and IoQueueWorkItemEx.
pub fn queue_io_work_item(
    kernel: &Kernel,
    item: IoWorkItem,
    routine: u64,
    queue_type: WORK_QUEUE_TYPE,
    context: u64,
    extended: bool,
) -> Outcome<()> {
    if !(0..abi::MaximumWorkQueue).contains(&queue_type) || routine == 0 {
        kernel.bug_check(abi::INVALID_WORK_QUEUE_ITEM, [0, item.address(), 0, routine]);
        return Err(Unwind::Halt);
    }
    begin_queueing(kernel, item.address())?;
    item.set_routine(routine)?;
    item.set_context(context)?;
    let io_object = item.io_object()?;
    let object = kernel.ob.by_address(io_object).filter(|object| object.try_reference());
    let owner = object.as_ref().and_then(|object| owner_of(kernel, object));
    if let Some(driver) = &owner {
        driver::hold_image(driver);
    }
    let arguments = [io_object, context, item.address()];
    let count = if extended { 3 } else { 2 };
    let work = Work { item: item.address(), routine, arguments, count, object, owner, task: None };
    kernel.io.workers.submit(kernel, queue_type, work)
}

const _: () = assert!(offset_of!(WORK_QUEUE_ITEM, List) == 0);
const _: () = assert!(offset_of!(WorkItem, item) == 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::tests::{delay, on_mock};
    use crate::ps::ImpersonationRequest;
    use crate::se::{Token, TokenReference};

    /// Acts for the process `client`, and does not revert.
    extern "win64" fn stays_a_client(client: u32) {
        Kernel::with_current(|kernel, thread| {
            let client = kernel.ps.get(client).expect("it runs");
            let token = TokenReference::of_process(kernel, &client).expect("pool");
            ps::impersonate(kernel, thread, token, ImpersonationRequest::default()).expect("may");
        });
    }

    #[test]
    fn a_work_item_that_stays_impersonated_stops_the_machine_before_the_next_one_runs() {
        on_mock(0..10, 1, |machine| {
            let client = machine.ps.create_as("client", Token::user());
            let routine = stays_a_client as *const () as u64;
            let item = WorkQueueItem::at(machine.allocate(WorkQueueItem::SIZE));
            item.set_worker_routine(routine).expect("writable");
            item.set_parameter(client.id.into()).expect("writable");
            machine.inside(move |kernel, thread| {
                queue_work_item(kernel, item, abi::DelayedWorkQueue).expect("a worker");
                assert!(delay(kernel, thread, 1000).is_err(), "the machine has stopped");
            });
            let stop = machine.bugcheck().expect("stopped").stop;
            let parameters = [routine, client.id.into(), item.address(), 0];
            assert_eq!((stop.code, stop.parameters), (abi::IMPERSONATING_WORKER_THREAD, parameters));
        });
    }
}
