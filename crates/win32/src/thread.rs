//! Threads: `CreateThread`, `ExitThread`, `GetExitCodeThread`. A thread is a Linux thread; its handle is a machine's event, which is
//! set when it ends, so that it can be waited for beside anything else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gate::{Handle, SystemCall};

use crate::failure::{Failure, MISSING, done, fail};
use crate::pending;
use crate::pointer::Pointer;
use crate::session::{self, ask, session};
use crate::types::{BOOL, HANDLE, ThreadRoutine};

const CREATE_SUSPENDED: u32 = 4;
const STILL_ACTIVE: u32 = 259;
const NOT_A_THREAD: Failure = Failure(abi::ERROR_INVALID_HANDLE);

/// A thread, as long as it runs or somebody has a handle.
pub(crate) struct Thread {
    /// Its own handle of the event, which it sets at its end and closes.
    own: Handle,
    exit_code: AtomicU32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What the machine calls it; 0 until it has asked.
    identifier: u32,
    /// How often it was suspended before it ran.
    suspended: u32,
}

impl Thread {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> u32 {
        let waited = self.changed.wait_while(self.state(), |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).identifier
    }

    /// It ends.
    fn end(&self, code: u32) {
        self.exit_code.store(code, Ordering::Release);
        if let Some(transport) = session::current() {
            pending::settle_all();
            let _who_waits_has_lost_the_session_too =
                transport.system_call(&SystemCall::SetEvent { handle: self.own }, &mut []);
            transport.close(self.own);
        }
    }
}

/// By handle. Handles of other objects are not here.
static THREADS: Mutex<Option<HashMap<u32, Arc<Thread>>>> = Mutex::new(None);

thread_local! {
    /// The calling thread, if it is one of these.
    static CURRENT: RefCell<Option<Arc<Thread>>> = const { RefCell::new(None) };
}

fn threads<R>(body: impl FnOnce(&mut HashMap<u32, Arc<Thread>>) -> R) -> R {
    body(THREADS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

pub(crate) fn forget(handle: Handle) -> Option<Arc<Thread>> {
    threads(|threads| threads.remove(&handle.0))
}

pub(crate) fn remember(handle: Handle, thread: Arc<Thread>) {
    threads(|threads| threads.insert(handle.0, thread));
}

/// `made` is another handle to what `source` is one to.
pub(crate) fn duplicated(source: Handle, made: Handle, source_is_closed: bool) {
    let known = threads(|threads| {
        let known = threads.get(&source.0).cloned();
        if source_is_closed {
            threads.remove(&source.0);
        }
        known
    });
    let current = || CURRENT.with_borrow(|current| current.clone().filter(|thread| thread.own == source));
    if let Some(thread) = known.or_else(current) {
        remember(made, thread);
    }
}

/// The calling thread's own event. ERROR_INVALID_HANDLE for a thread that `CreateThread` has not made.
pub(crate) fn own() -> Result<Handle, Failure> {
    CURRENT.with_borrow(|current| current.as_ref().map(|thread| thread.own)).ok_or(NOT_A_THREAD)
}

fn find(handle: HANDLE) -> Result<Arc<Thread>, Failure> {
    if handle == HANDLE::CURRENT_THREAD {
        return CURRENT.with_borrow(Clone::clone).ok_or(NOT_A_THREAD);
    }
    let handle = handle.of_machine()?;
    threads(|threads| threads.get(&handle.0).cloned()).ok_or(NOT_A_THREAD)
}

/// What the machine calls the thread.
pub(crate) fn identifier(handle: HANDLE) -> Result<u32, Failure> {
    if handle == HANDLE::CURRENT_THREAD {
        return current_identifier();
    }
    Ok(find(handle)?.wait_while(|state| state.identifier == 0))
}

fn current_identifier() -> Result<u32, Failure> {
    let reply = ask(&SystemCall::GetCurrentThreadId, &mut [])?;
    crate::failure::checked(reply.status)?;
    u32::try_from(reply.information).map_err(|_| abi::STATUS_UNSUCCESSFUL.into())
}

/// What a new thread is given.
struct Start {
    routine: ThreadRoutine,
    argument: Pointer<c_void>,
    thread: Arc<Thread>,
}

unsafe extern "C-unwind" {
    /// libc's, which unwinds: the crate says that it does not.
    safe fn pthread_exit(value: *mut c_void) -> !;
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        routine: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> i32;
}

/// Makes a thread. CREATE_SUSPENDED has it wait for `ResumeThread`. Security attributes are not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn CreateThread(
    _attributes: Pointer<c_void>,
    stack: usize,
    routine: Option<ThreadRoutine>,
    argument: Pointer<c_void>,
    flags: u32,
    identifier: Pointer<u32>,
) -> HANDLE {
    create(stack, routine, argument, flags, identifier).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

fn create(
    stack: usize,
    routine: Option<ThreadRoutine>,
    argument: Pointer<c_void>,
    flags: u32,
    identifier: Pointer<u32>,
) -> Result<HANDLE, Failure> {
    let routine = routine.ok_or(MISSING)?;
    let reply = ask(
        &SystemCall::CreateEvent {
            name: &[],
            desired_access: abi::EVENT_ALL_ACCESS,
            event_type: abi::NotificationEvent,
            initial_state: false,
        },
        &mut [],
    )?;
    crate::failure::checked(reply.status)?;
    let transport = session()?;
    let own = transport.duplicate_handle(reply.handle, 0, abi::DUPLICATE_SAME_ACCESS);
    let own = own.inspect_err(|_| {
        transport.close(reply.handle);
    })?;
    let suspended = u32::from(flags & CREATE_SUSPENDED != 0);
    let thread = Arc::new(Thread {
        own,
        exit_code: AtomicU32::new(STILL_ACTIVE),
        state: Mutex::new(State { identifier: 0, suspended }),
        changed: Condvar::new(),
    });
    remember(reply.handle, thread.clone());
    if let Err(failure) = start(stack, Start { routine, argument, thread: thread.clone() }) {
        forget(reply.handle);
        transport.close(own);
        transport.close(reply.handle);
        return Err(failure);
    }
    if !identifier.is_null() {
        identifier.write(thread.wait_while(|state| state.identifier == 0))?;
    }
    Ok(reply.handle.into())
}

fn start(stack: usize, start: Start) -> Result<(), Failure> {
    let argument = Box::into_raw(Box::new(start));
    let mut attributes = std::mem::MaybeUninit::uninit();
    // SAFETY: a place for the attributes.
    unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    let attributes = attributes.as_mut_ptr();
    // SAFETY: initialised.
    unsafe { libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED) };
    if stack > 0 {
        let stack = stack.max(1 << 16).next_multiple_of(4096);
        // Refused, the default stays, which is more.
        // SAFETY: initialised.
        unsafe { libc::pthread_attr_setstacksize(attributes, stack) };
    }
    let mut made = 0;
    // SAFETY: a place for the thread's number, its attributes, and an argument that `run` takes back.
    let error = unsafe { pthread_create(&raw mut made, attributes, run, argument.cast()) };
    // SAFETY: initialised, and not used any more.
    unsafe { libc::pthread_attr_destroy(attributes) };
    if error == 0 {
        return Ok(());
    }
    // SAFETY: made above; no thread has taken it.
    drop(unsafe { Box::from_raw(argument) });
    Err(Failure(abi::ERROR_NOT_ENOUGH_MEMORY))
}

/// A thread's life. `ExitThread` unwinds this frame, so nothing that is dropped may be in it while the routine runs.
extern "C-unwind" fn run(argument: *mut c_void) -> *mut c_void {
    let (routine, argument) = begin(argument);
    let code = routine(argument);
    end(code);
    std::ptr::null_mut()
}

fn begin(argument: *mut c_void) -> (ThreadRoutine, *mut c_void) {
    // SAFETY: of `start`, for this thread alone.
    let start = unsafe { Box::from_raw(argument.cast::<Start>()) };
    let Start { routine, argument, thread } = *start;
    // Without a session the thread has no number, and runs all the same.
    thread.state().identifier = current_identifier().unwrap_or(u32::MAX);
    thread.changed.notify_all();
    thread.wait_while(|state| state.suspended > 0);
    CURRENT.set(Some(thread));
    (routine, argument.raw())
}

fn end(code: u32) {
    if let Some(thread) = CURRENT.take() {
        thread.end(code);
    }
}

/// Ends the calling thread.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn ExitThread(code: u32) {
    end(code);
    pthread_exit(std::ptr::null_mut());
}

/// Lets a thread run that was made suspended; how often it was suspended before. u32::MAX when it fails. Threads that run cannot be
/// suspended.
#[unsafe(no_mangle)]
pub extern "C" fn ResumeThread(thread: HANDLE) -> u32 {
    match find(thread) {
        Ok(thread) => {
            let before = std::mem::take(&mut thread.state().suspended);
            thread.changed.notify_all();
            before
        }
        Err(failure) => fail(failure, u32::MAX),
    }
}

/// How a thread has ended; STILL_ACTIVE (259) while it runs.
#[unsafe(no_mangle)]
pub extern "C" fn GetExitCodeThread(thread: HANDLE, code: Pointer<u32>) -> BOOL {
    done(find(thread).and_then(|thread| code.write(thread.exit_code.load(Ordering::Acquire))))
}

/// What the machine, and so a driver, calls a thread; 0 when it fails.
#[unsafe(no_mangle)]
pub extern "C" fn GetThreadId(thread: HANDLE) -> u32 {
    identifier(thread).unwrap_or_else(|failure| fail(failure, 0))
}

/// What the machine, and so a driver, calls the calling thread; without a machine what Linux does.
#[unsafe(no_mangle)]
pub extern "C" fn GetCurrentThreadId() -> u32 {
    current_identifier().unwrap_or_else(|_| {
        // SAFETY: asks for a number.
        unsafe { libc::gettid() }.unsigned_abs()
    })
}
