//! Ranges of files that are locked, and changes in folders: `LockFileEx`, `UnlockFileEx`, `ReadDirectoryChangesW`.

use gate::LockedRange;

use crate::apc::Routine;
use crate::device::{count, ended, overlapped_offset};
use crate::failure::{Failure, MISSING, done};
use crate::fs_control;
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::types::{BOOL, CompletionRoutine, FALSE, HANDLE, OVERLAPPED};

const LOCKFILE_FAIL_IMMEDIATELY: u32 = 1;
const LOCKFILE_EXCLUSIVE_LOCK: u32 = 2;

fn range(offset: u64, length_low: u32, length_high: u32) -> LockedRange {
    let length = u64::from(length_low) | u64::from(length_high) << 32;
    LockedRange { offset: offset.cast_signed(), length: length.cast_signed(), key: 0 }
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Locks a range for this file alone, or fails: ERROR_LOCK_VIOLATION (33).
#[unsafe(no_mangle)]
pub extern "C" fn LockFile(
    file: HANDLE,
    offset_low: u32,
    offset_high: u32,
    length_low: u32,
    length_high: u32,
) -> BOOL {
    let range = range(joined(offset_low, offset_high), length_low, length_high);
    let flags = abi::SL_FAIL_IMMEDIATELY | abi::SL_EXCLUSIVE_LOCK;
    done(fs_control::to_the_end(file, &Action::Lock { range, flags }).map(drop))
}

/// Gives a range back that [`LockFile`] has locked. ERROR_NOT_LOCKED (158) when it is not.
#[unsafe(no_mangle)]
pub extern "C" fn UnlockFile(
    file: HANDLE,
    offset_low: u32,
    offset_high: u32,
    length_low: u32,
    length_high: u32,
) -> BOOL {
    let range = range(joined(offset_low, offset_high), length_low, length_high);
    done(fs_control::to_the_end(file, &Action::Unlock { range }).map(drop))
}

/// Locks a range from the OVERLAPPED's offset on: with LOCKFILE_EXCLUSIVE_LOCK for this file alone, with LOCKFILE_FAIL_IMMEDIATELY or
/// when it is free. On a file for overlapped I/O ERROR_IO_PENDING says that it waits. The third argument is 0.
#[unsafe(no_mangle)]
pub extern "C" fn LockFileEx(
    file: HANDLE,
    flags: u32,
    reserved: u32,
    length_low: u32,
    length_high: u32,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    let lock = || {
        if overlapped.is_null()
            || reserved != 0
            || flags & !(LOCKFILE_FAIL_IMMEDIATELY | LOCKFILE_EXCLUSIVE_LOCK) != 0
        {
            return Err(MISSING);
        }
        let exclusive = if flags & LOCKFILE_EXCLUSIVE_LOCK == 0 { 0 } else { abi::SL_EXCLUSIVE_LOCK };
        let at_once = if flags & LOCKFILE_FAIL_IMMEDIATELY == 0 { 0 } else { abi::SL_FAIL_IMMEDIATELY };
        let range = range(overlapped_offset(overlapped)?, length_low, length_high);
        begin(file, &Action::Lock { range, flags: exclusive | at_once }, overlapped)
    };
    done(lock())
}

/// Gives a range back from the OVERLAPPED's offset on; it has ended when this returns. The second argument is 0.
#[unsafe(no_mangle)]
pub extern "C" fn UnlockFileEx(
    file: HANDLE,
    reserved: u32,
    length_low: u32,
    length_high: u32,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    let unlock = || {
        if overlapped.is_null() || reserved != 0 {
            return Err(MISSING);
        }
        let range = range(overlapped_offset(overlapped)?, length_low, length_high);
        fs_control::to_the_end(file, &Action::Unlock { range }).map(drop)
    };
    done(unlock())
}

/// With an OVERLAPPED of the application's.
fn begin(file: HANDLE, action: &Action, overlapped: Pointer<OVERLAPPED>) -> Result<(), Failure> {
    let OVERLAPPED { event, .. } = overlapped.read()?;
    let told = Told { event: event.event()?, routine: None, context: overlapped.context(event) };
    ended(pending::start(file.of_machine()?, action, overlapped.cast(), told))
}

/// Tells what changes in a folder, as FILE_NOTIFY_INFORMATION; without bytes: there was more than fits. Without an OVERLAPPED it returns
/// then, and `returned` must be there; with one it goes on, and `returned` is not written. A routine is run by the calling thread in one
/// of its alertable waits, and the OVERLAPPED's event is not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn ReadDirectoryChangesW(
    folder: HANDLE,
    buffer: Pointer<u8>,
    length: u32,
    below: BOOL,
    filter: u32,
    returned: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
    routine: Option<CompletionRoutine>,
) -> BOOL {
    let watch_tree = below != FALSE;
    let action = Action::NotifyChange { buffer: Span { at: buffer, length }, filter, watch_tree };
    let watch = || {
        if overlapped.is_null() {
            let information = fs_control::to_the_end(folder, &action)?.information;
            return returned.write(count(information));
        }
        let told = match routine {
            Some(routine) => Told { event: None, routine: Some(Routine::Completion(routine)), context: 0 },
            None => {
                let OVERLAPPED { event, .. } = overlapped.read()?;
                Told { event: event.event()?, routine: None, context: overlapped.context(event) }
            }
        };
        let status = pending::start(folder.of_machine()?, &action, overlapped.cast(), told);
        // Win32 says of a request that goes on that it has begun.
        if status.is_error() { Err(status.into()) } else { Ok(()) }
    };
    if overlapped.is_null() && returned.is_null() {
        return done(Err(MISSING));
    }
    done(watch())
}
