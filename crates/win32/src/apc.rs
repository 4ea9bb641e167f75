//! User APCs: what `ReadFileEx` and `NtReadFile` have the calling thread run, in one of its alertable waits.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;

use abi::NTSTATUS;
use gate::{Handle, SystemCall, UserApc};

use crate::device::{self, overlapped_offset};
use crate::failure::{Failure, MISSING, checked, done};
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::session::session;
use crate::types::{ApcRoutine, BOOL, CompletionRoutine, HANDLE, OVERLAPPED};

/// What a request is to run.
#[derive(Clone, Copy)]
pub(crate) enum Routine {
    Completion(CompletionRoutine),
    Apc(ApcRoutine, Pointer<c_void>),
}

/// The routine of all APCs that this library asks for. Their context is a number of [`EXPECTED`], so that nothing the host
/// says is ever called.
pub(crate) const OURS: u64 = 1;

thread_local! {
    /// This thread's, by number.
    static EXPECTED: RefCell<HashMap<u64, (Routine, Pointer<u64>)>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(1) };
}

/// The calling thread will run `routine` when the request has ended whose status block is at `home`. Its number.
pub(crate) fn expect(routine: Routine, home: Pointer<u64>) -> u64 {
    let number = NEXT.replace(NEXT.get() + 1);
    EXPECTED.with_borrow_mut(|expected| expected.insert(number, (routine, home)));
    number
}

/// The request was refused.
pub(crate) fn expect_no_more(number: u64) {
    EXPECTED.with_borrow_mut(|expected| expected.remove(&number));
}

/// Runs what is due in the calling thread, after an alertable wait has ended for it.
pub(crate) fn run_due() {
    let Ok(transport) = session() else { return };
    loop {
        let mut room = [0; UserApc::SIZE];
        if transport.system_call(&SystemCall::TakeUserApc, &mut room).status != abi::STATUS_SUCCESS {
            return;
        }
        let apc = UserApc::from_bytes(&room);
        if apc.routine != OURS {
            continue;
        }
        let due = EXPECTED.with_borrow_mut(|expected| expected.remove(&apc.arguments[0]));
        if let Some((routine, home)) = due {
            pending::settle(home.address());
            run(routine, home);
        }
    }
}

fn run(routine: Routine, home: Pointer<u64>) {
    match routine {
        Routine::Completion(routine) => {
            let status = home.load().map_or(abi::STATUS_ACCESS_VIOLATION, device::status_of);
            let bytes = home.at(1).load().unwrap_or(0);
            let code = if status.is_success() { abi::ERROR_SUCCESS } else { abi::win32_from_status(status) };
            routine(code, device::count(bytes), home.cast().raw());
        }
        Routine::Apc(routine, context) => routine(context.raw(), home.cast().raw(), 0),
    }
}

/// Begins to read, and has the calling thread run `routine` at the end, in one of its alertable waits. ERROR_INVALID_PARAMETER for a
/// file that has a completion port.
#[unsafe(no_mangle)]
pub extern "C" fn ReadFileEx(
    file: HANDLE,
    buffer: Pointer<u8>,
    length: u32,
    overlapped: Pointer<OVERLAPPED>,
    routine: Option<CompletionRoutine>,
) -> BOOL {
    let buffer = Span { at: buffer, length };
    done(begin(file, overlapped, routine, |offset| Action::Read { buffer, offset: Some(offset) }))
}

/// Begins to write; as [`ReadFileEx`].
#[unsafe(no_mangle)]
pub extern "C" fn WriteFileEx(
    file: HANDLE,
    buffer: Pointer<u8>,
    length: u32,
    overlapped: Pointer<OVERLAPPED>,
    routine: Option<CompletionRoutine>,
) -> BOOL {
    let buffer = Span { at: buffer, length };
    done(begin(file, overlapped, routine, |offset| Action::Write { buffer, offset: Some(offset) }))
}

fn begin(
    file: HANDLE,
    overlapped: Pointer<OVERLAPPED>,
    routine: Option<CompletionRoutine>,
    action: impl FnOnce(u64) -> Action,
) -> Result<(), Failure> {
    let file: Handle = file.of_machine()?;
    // Windows calls a missing one when the request has ended.
    let routine = routine.map(Routine::Completion).ok_or(MISSING)?;
    if overlapped.is_null() {
        return Err(MISSING);
    }
    let action = action(overlapped_offset(overlapped)?);
    let told = Told { event: None, routine: Some(routine), context: 0 };
    let status: NTSTATUS = pending::start(file, &action, overlapped.cast(), told);
    checked(if status == abi::STATUS_PENDING { abi::STATUS_SUCCESS } else { status })
}
