//! Requests of file systems: what a directory holds and how that changes, extended attributes, quotas, locked ranges; of
//! applications and of drivers by handle.
//!
//! What the driver looks up later, a pattern or a list, is captured into pool of the request's own (`AuxiliaryBuffer`), which goes
//! with the request. The data goes to and from the driver as its device wants that of reads and writes.
//!
//! Source: kernel, IRP_MJ_DIRECTORY_CONTROL, IRP_MJ_QUERY_EA, IRP_MJ_SET_EA, IRP_MJ_QUERY_QUOTA, IRP_MJ_SET_QUOTA,
//! IRP_MJ_LOCK_CONTROL.

use std::sync::Arc;

use abi::NTSTATUS;

use super::asynchronous::{Caller, Notice, Target, answered, application, find_event, start};
use super::device;
use super::entry_lists::{Entries, is_sid};
use super::file::File;
use super::kernel_file::wait_for;
use super::operation::{Bytes, Flow, Operation, Parts};
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::ob;
use crate::ps::Process;
use crate::raw::{self, DeviceObject, Outcome};

/// Tag of what requests capture.
const TAG: u32 = u32::from_le_bytes(*b"IoAx");
const UNICODE_STRING_SIZE: usize = size_of::<abi::UNICODE_STRING>();

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum FileSystemRequest<'a> {
    /// `NtQueryDirectoryFile`.
    QueryDirectory {
        /// FILE_INFORMATION_CLASS.
        class: i32,
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY.
        flags: u8,
        /// Which names, in UTF-16; empty for none. (Confirm: that NT takes a name of no units for none.)
        pattern: &'a [u16],
    },
    /// `NtNotifyChangeDirectoryFile`.
    NotifyChangeDirectory {
        /// FILE_NOTIFY_CHANGE_*.
        filter: u32,
        /// Whether changes below count too.
        watch_tree: bool,
    },
    /// `NtQueryEaFile`.
    QueryEa {
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_INDEX_SPECIFIED.
        flags: u8,
        /// Which is the first, from 1.
        index: u32,
        /// FILE_GET_EA_INFORMATION; none for all.
        list: &'a [u8],
    },
    /// `NtSetEaFile`.
    SetEa,
    /// `NtLockFile`.
    Lock {
        /// Which bytes.
        range: LockedRange,
        /// SL_FAIL_IMMEDIATELY, SL_EXCLUSIVE_LOCK.
        flags: u8,
    },
    /// `NtUnlockFile`.
    Unlock {
        /// Which bytes.
        range: LockedRange,
    },
    /// `NtQueryQuotaInformationFile`.
    QueryQuota {
        /// SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY.
        flags: u8,
        /// FILE_GET_QUOTA_INFORMATION; none for all.
        sids: &'a [u8],
        /// The SID that the scan begins at; none for the first.
        start_sid: &'a [u8],
    },
    /// `NtSetQuotaInformationFile`.
    SetQuota,
}

/// Bytes of a range that is locked.
#[derive(Clone, Copy, Debug)]
pub struct LockedRange {
    /// Where it begins.
    pub offset: i64,
    /// How many they are.
    pub length: i64,
    /// What tells its locks from those of others who have the same file object.
    pub key: u32,
}

/// Makes an application's request, in the context of `process`. PASSIVE_LEVEL. `buffer` is the address and length in bytes of what
/// it reads or fills; all addresses are in the process's user space.
///
/// Queries and changes of attributes and quotas, and unlocking, wait for their end on every file; the others return STATUS_PENDING when
/// they go on, and are told as [`start_read`](super::start_read)'s.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_ACCESS_DENIED` (directories want FILE_LIST_DIRECTORY,
/// attributes FILE_READ_EA or FILE_WRITE_EA, locks FILE_READ_DATA or FILE_WRITE_DATA, changing quotas FILE_WRITE_DATA),
/// `STATUS_ACCESS_VIOLATION`, `STATUS_INVALID_INFO_CLASS` for a class that is no directory's, `STATUS_INFO_LENGTH_MISMATCH` for a
/// buffer that cannot hold an entry of the class, `STATUS_INVALID_PARAMETER` for a filter of no changes or unknown ones,
/// `STATUS_EA_LIST_INCONSISTENT`, `STATUS_QUOTA_LIST_INCONSISTENT`, `STATUS_INVALID_SID`, `STATUS_INSUFFICIENT_RESOURCES`, or the driver's status.
/// (Confirm: that asking for quotas wants no right.)
///
/// Source: ddi, ZwQueryDirectoryFile, ZwQueryEaFile, ZwSetEaFile, ZwLockFile, ZwUnlockFile; NtNotifyChangeDirectoryFile;
/// ZwQueryQuotaInformationFile, ZwSetQuotaInformationFile.
pub fn start_file_system_request(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    (handle, buffer): (u64, Bytes),
    request: &FileSystemRequest<'_>,
    notice: Notice,
) -> NTSTATUS {
    let caller = application(kernel, process, thread);
    answered(make(caller, handle, buffer, request, notice))
}

/// The same for a driver, by handle, as [`request_by_handle`](super::request_by_handle).
///
/// # Errors
/// As for [`request_by_handle`](super::request_by_handle).
pub fn file_system_request_by_handle(
    kernel: &Kernel,
    thread: &Thread,
    (handle, buffer): (u64, Bytes),
    request: &FileSystemRequest<'_>,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    let process = match ob::current_process(kernel, thread) {
        Ok(process) => process,
        Err(status) => return Ok(status),
    };
    let caller = Caller { kernel, process: &process, thread, user_mode: false };
    let status = make(caller, handle, buffer, request, notice)?;
    kernel.ke.deliver_kernel_apcs(kernel, thread)?;
    Ok(status)
}

fn make(
    caller: Caller<'_>,
    handle: u64,
    buffer: Bytes,
    request: &FileSystemRequest<'_>,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    if let Err(status) = request.check(buffer.1) {
        return Ok(status);
    }
    let kernel = caller.kernel;
    let plan = |file: &File, granted: u32| {
        request.check_access(granted)?;
        request.plan(kernel, file, buffer)
    };
    if request.always_waits() {
        return wait_for(caller, Target::Handle(handle), notice, &[buffer], plan);
    }
    let event = match find_event(caller, notice.event) {
        Ok(event) => event,
        Err(status) => return Ok(status),
    };
    start(caller, Target::Handle(handle), (notice, event), &[buffer], plan)
}

/// Bytes that a query of a directory's class has room for, at least: the structure's, an entry with a name of one unit. (Confirm: that it is
/// so many for each class; NT's table of least lengths is not public.)
fn least_of_directory(class: abi::FILE_INFORMATION_CLASS) -> Result<usize, NTSTATUS> {
    Ok(match class {
        abi::FileDirectoryInformation => size_of::<abi::FILE_DIRECTORY_INFORMATION>(),
        abi::FileFullDirectoryInformation => size_of::<abi::FILE_FULL_DIR_INFORMATION>(),
        abi::FileBothDirectoryInformation => size_of::<abi::FILE_BOTH_DIR_INFORMATION>(),
        abi::FileNamesInformation => size_of::<abi::FILE_NAMES_INFORMATION>(),
        abi::FileIdBothDirectoryInformation => size_of::<abi::FILE_ID_BOTH_DIR_INFORMATION>(),
        abi::FileIdFullDirectoryInformation => size_of::<abi::FILE_ID_FULL_DIR_INFORMATION>(),
        // Of directories too, with entries whose layouts are not known here.
        abi::FileObjectIdInformation
        | abi::FileQuotaInformation
        | abi::FileReparsePointInformation
        | abi::FileIdGlobalTxDirectoryInformation
        | abi::FileIdExtdDirectoryInformation
        | abi::FileIdExtdBothDirectoryInformation => return Err(abi::STATUS_NOT_IMPLEMENTED),
        _ => return Err(abi::STATUS_INVALID_INFO_CLASS),
    })
}

impl FileSystemRequest<'_> {
    fn always_waits(&self) -> bool {
        !matches!(self, Self::QueryDirectory { .. } | Self::NotifyChangeDirectory { .. } | Self::Lock { .. })
    }

    /// What needs no file to be seen wrong.
    fn check(&self, length: u32) -> Result<(), NTSTATUS> {
        match *self {
            Self::QueryDirectory { class, flags, pattern } => {
                let known = abi::SL_RESTART_SCAN | abi::SL_RETURN_SINGLE_ENTRY;
                if flags & !known != 0 || pattern.len() * 2 > usize::from(u16::MAX) {
                    return Err(abi::STATUS_INVALID_PARAMETER);
                }
                let least = least_of_directory(class)?;
                if (length as usize) < least { Err(abi::STATUS_INFO_LENGTH_MISMATCH) } else { Ok(()) }
            }
            Self::NotifyChangeDirectory { filter, .. } => {
                let sound = filter != 0 && filter & !abi::FILE_NOTIFY_VALID_MASK == 0;
                if sound { Ok(()) } else { Err(abi::STATUS_INVALID_PARAMETER) }
            }
            Self::QueryEa { list, .. } if !list.is_empty() => {
                Entries::GetEa.check(list).map_err(|(status, _)| status)
            }
            Self::QueryQuota { start_sid, .. } if !start_sid.is_empty() && !is_sid(start_sid) => {
                Err(abi::STATUS_INVALID_SID)
            }
            Self::QueryQuota { sids, .. } if !sids.is_empty() => {
                Entries::GetQuota.check(sids).map_err(|(status, _)| status)
            }
            _ => Ok(()),
        }
    }

    fn check_access(&self, granted: u32) -> Result<(), NTSTATUS> {
        let one_of = match self {
            Self::QueryDirectory { .. } | Self::NotifyChangeDirectory { .. } => abi::FILE_LIST_DIRECTORY,
            Self::QueryEa { .. } => abi::FILE_READ_EA,
            Self::SetEa => abi::FILE_WRITE_EA,
            Self::Lock { .. } | Self::Unlock { .. } => abi::FILE_READ_DATA | abi::FILE_WRITE_DATA,
            Self::QueryQuota { .. } => return Ok(()),
            Self::SetQuota => abi::FILE_WRITE_DATA,
        };
        if granted & one_of == 0 { Err(abi::STATUS_ACCESS_DENIED) } else { Ok(()) }
    }

    fn plan(&self, kernel: &Kernel, file: &File, buffer: Bytes) -> Result<Operation, NTSTATUS> {
        let flags = device::top_of_stack(file.device).and_then(DeviceObject::flags);
        let device_flags = flags.map_err(|_| abi::STATUS_NO_SUCH_DEVICE)?;
        let length = u64::from(buffer.1);
        let of = |major, minor, flags, flow, parameters| Parts {
            major,
            minor,
            flags,
            flow,
            parameters,
            auxiliary: 0,
        };
        let parts = match *self {
            Self::QueryDirectory { class, flags, pattern } => {
                let auxiliary = capture_name(kernel, pattern)?;
                let parameters = [length, auxiliary, u64::from(class.cast_unsigned()), 0];
                let (major, minor) = (abi::IRP_MJ_DIRECTORY_CONTROL, abi::IRP_MN_QUERY_DIRECTORY);
                Parts { auxiliary, ..of(major, minor, flags, Flow::ToCaller, parameters) }
            }
            Self::NotifyChangeDirectory { filter, watch_tree } => {
                let flags = if watch_tree { abi::SL_WATCH_TREE } else { 0 };
                let (major, minor) = (abi::IRP_MJ_DIRECTORY_CONTROL, abi::IRP_MN_NOTIFY_CHANGE_DIRECTORY);
                of(major, minor, flags, Flow::ToCaller, [length, filter.into(), 0, 0])
            }
            Self::QueryEa { flags, index, list } => {
                let auxiliary = capture(kernel, list)?;
                let parameters = [length, auxiliary, list.len() as u64, index.into()];
                Parts { auxiliary, ..of(abi::IRP_MJ_QUERY_EA, 0, flags, Flow::ToCaller, parameters) }
            }
            Self::SetEa => {
                let flow = Flow::ToDriver(Some(Entries::FullEa));
                of(abi::IRP_MJ_SET_EA, 0, 0, flow, [length, 0, 0, 0])
            }
            Self::Lock { range, flags } => {
                let _freed_by_driver = file.object.set_lock_operation(1);
                return range.plan(kernel, abi::IRP_MN_LOCK, flags);
            }
            Self::Unlock { range } => return range.plan(kernel, abi::IRP_MN_UNLOCK_SINGLE, 0),
            Self::QueryQuota { flags, sids, start_sid } => {
                let start = sids.len().next_multiple_of(size_of::<u32>());
                let mut captured = sids.to_vec();
                captured.resize(start, 0);
                captured.extend(start_sid);
                let auxiliary = capture(kernel, &captured)?;
                let begin =
                    |bytes: &[u8], at: usize| if bytes.is_empty() { 0 } else { auxiliary + at as u64 };
                let parameters = [length, begin(start_sid, start), begin(sids, 0), sids.len() as u64];
                // (Confirm: which flag says of a first SID.)
                let flags = flags | if start_sid.is_empty() { 0 } else { abi::SL_INDEX_SPECIFIED };
                Parts { auxiliary, ..of(abi::IRP_MJ_QUERY_QUOTA, 0, flags, Flow::ToCaller, parameters) }
            }
            Self::SetQuota => {
                let flow = Flow::ToDriver(Some(Entries::Quota));
                of(abi::IRP_MJ_SET_QUOTA, 0, 0, flow, [length, 0, 0, 0])
            }
        };
        Ok(Operation::file_system(parts, device_flags, buffer))
    }
}

impl LockedRange {
    fn plan(self, kernel: &Kernel, minor: u8, flags: u8) -> Result<Operation, NTSTATUS> {
        let auxiliary = capture(kernel, &self.length.to_le_bytes())?;
        let parameters = [auxiliary, self.key.into(), self.offset.cast_unsigned(), 0];
        let (major, flow) = (abi::IRP_MJ_LOCK_CONTROL, Flow::ToDriver(None));
        let parts = Parts { major, minor, flags, flow, parameters, auxiliary };
        Ok(Operation::file_system(parts, 0, (0, 0)))
    }
}

/// A copy in pool; 0 of nothing.
fn capture(kernel: &Kernel, bytes: &[u8]) -> Result<u64, NTSTATUS> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let block = kernel.mm.pool.allocate(bytes.len(), TAG, PoolOwner::default(), false);
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    // The memory is the kernel's own and was committed just now.
    raw::copy_to(address, bytes).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(address)
}

/// A UNICODE_STRING with its text behind it; 0 for no name.
fn capture_name(kernel: &Kernel, name: &[u16]) -> Result<u64, NTSTATUS> {
    if name.is_empty() {
        return Ok(0);
    }
    let length = u16::try_from(name.len() * 2).map_err(|_| abi::STATUS_INVALID_PARAMETER)?;
    let size = UNICODE_STRING_SIZE + usize::from(length);
    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let text = address + UNICODE_STRING_SIZE as u64;
    let written =
        raw::copy_wide(text, name).and_then(|()| raw::UnicodeString::at(address).set(length, length, text));
    written.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(address)
}

/// `IoCheckEaBufferValidity` of a copy of the list.
///
/// # Errors
/// `STATUS_EA_LIST_INCONSISTENT` and where in bytes.
pub fn check_ea_list(list: &[u8]) -> Result<(), (NTSTATUS, usize)> {
    Entries::FullEa.check(list)
}
