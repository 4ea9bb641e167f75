//! `ZwQueryDirectoryFile`, `ZwQueryEaFile`, `ZwLockFile` and their kin: what drivers ask of file systems by handle.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::io::{self, FileQuery, FileSystemRequest, LockedRange, Notice};
use kernel::raw::{self, UnicodeString};

use crate::Call;
use crate::row::rows;

fn request(
    call: Call<'_>,
    handle: u64,
    buffer: (u64, u32),
    request: &FileSystemRequest<'_>,
    notice: Notice,
) -> Outcome<NTSTATUS> {
    call.thread.called_by_kernel(|| {
        io::file_system_request_by_handle(call.kernel, call.thread, (handle, buffer), request, notice)
    })
}

/// Of a request that waits for its end.
fn block(io_status_block: u64) -> Notice {
    Notice { io_status_block, ..Notice::default() }
}

/// A copy of a list of the caller's.
fn list(address: u64, length: u32) -> Outcome<Vec<u8>> {
    let mut list = vec![0; if address == 0 { 0 } else { length as usize }];
    raw::copy_from(&mut list, address)?;
    Ok(list)
}

/// A copy of a SID of the caller's; of none no bytes.
fn sid(address: u64) -> Outcome<Result<Vec<u8>, NTSTATUS>> {
    if address == 0 {
        return Ok(Ok(Vec::new()));
    }
    let [revision, sub_authorities] = raw::read::<u16>(address)?.to_le_bytes();
    if revision != 1 || sub_authorities > 15 {
        return Ok(Err(abi::STATUS_INVALID_SID));
    }
    list(address, 8 + 4 * u32::from(sub_authorities)).map(Ok)
}

/// SL_* of a query's two BOOLEANs.
fn scan_flags(single: u8, restart: u8) -> u8 {
    let single = if single != 0 { abi::SL_RETURN_SINGLE_ENTRY } else { 0 };
    single | if restart != 0 { abi::SL_RESTART_SCAN } else { 0 }
}

/// The offset and the length of a range, where the caller has them.
fn range(offset: u64, length: u64, key: u32) -> Outcome<LockedRange> {
    let long = |address| raw::read::<u64>(address).map(u64::cast_signed);
    Ok(LockedRange { offset: long(offset)?, length: long(length)?, key })
}

rows! {
    dll = "ntoskrnl.exe";

    /// Lists a folder by its driver, in the classes whose layouts are known here; on a file for asynchronous I/O, without waiting for the end.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtQueryDirectoryFile")
    fn ZwQueryDirectoryFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        file_information: u64,
        length: u32,
        file_information_class: i32,
        return_single_entry: u8,
        file_name: u64,
        restart_scan: u8
    ) -> NTSTATUS {
        let pattern = if file_name == 0 { Vec::new() } else { UnicodeString::at(file_name).to_wide()? };
        let flags = scan_flags(return_single_entry, restart_scan);
        let asked = FileSystemRequest::QueryDirectory { class: file_information_class, flags, pattern: &pattern };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, file_handle, (file_information, length), &asked, notice)
    }

    /// Has a folder's driver tell what changes in it; as ZwQueryDirectoryFile.
    irql(PASSIVE_LEVEL) alias("NtNotifyChangeDirectoryFile")
    fn ZwNotifyChangeDirectoryFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32,
        completion_filter: u32,
        watch_tree: u8
    ) -> NTSTATUS {
        let watch_tree = watch_tree != 0;
        let asked = FileSystemRequest::NotifyChangeDirectory { filter: completion_filter, watch_tree };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, file_handle, (buffer, length), &asked, notice)
    }

    /// Tells a file's extended attributes, by its driver.
    irql(PASSIVE_LEVEL) alias("NtQueryEaFile")
    fn ZwQueryEaFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32,
        return_single_entry: u8,
        ea_list: u64,
        ea_list_length: u32,
        ea_index: u64,
        restart_scan: u8
    ) -> NTSTATUS {
        let list = list(ea_list, ea_list_length)?;
        let mut flags = scan_flags(return_single_entry, restart_scan);
        let index = if ea_index == 0 {
            0
        } else {
            flags |= abi::SL_INDEX_SPECIFIED;
            raw::read(ea_index)?
        };
        let asked = FileSystemRequest::QueryEa { flags, index, list: &list };
        request(call, file_handle, (buffer, length), &asked, block(io_status_block))
    }

    /// Changes a file's extended attributes, by its driver.
    irql(PASSIVE_LEVEL) alias("NtSetEaFile")
    fn ZwSetEaFile(call, file_handle: u64, io_status_block: u64, buffer: u64, length: u32) -> NTSTATUS {
        request(call, file_handle, (buffer, length), &FileSystemRequest::SetEa, block(io_status_block))
    }

    /// Says whether a list of extended attributes is sound, and where not.
    irql(PASSIVE_LEVEL)
    fn IoCheckEaBufferValidity(call, ea_buffer: u64, ea_length: u32, error_offset: u64) -> NTSTATUS {
        let _ = call;
        match io::check_ea_list(&list(ea_buffer, ea_length)?) {
            Ok(()) => Ok(abi::STATUS_SUCCESS),
            Err((status, at)) => {
                raw::write(error_offset, u32::try_from(at).unwrap_or(u32::MAX))?;
                Ok(status)
            }
        }
    }

    /// Tells who may take how much of a volume, by its driver.
    irql(PASSIVE_LEVEL) alias("NtQueryQuotaInformationFile")
    fn ZwQueryQuotaInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32,
        return_single_entry: u8,
        sid_list: u64,
        sid_list_length: u32,
        start_sid: u64,
        restart_scan: u8
    ) -> NTSTATUS {
        let Ok(start_sid) = sid(start_sid)? else { return Ok(abi::STATUS_INVALID_SID) };
        let sids = list(sid_list, sid_list_length)?;
        let flags = scan_flags(return_single_entry, restart_scan);
        let asked = FileSystemRequest::QueryQuota { flags, sids: &sids, start_sid: &start_sid };
        request(call, file_handle, (buffer, length), &asked, block(io_status_block))
    }

    /// Says who may take how much of a volume, by its driver.
    irql(PASSIVE_LEVEL) alias("NtSetQuotaInformationFile")
    fn ZwSetQuotaInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32
    ) -> NTSTATUS {
        request(call, file_handle, (buffer, length), &FileSystemRequest::SetQuota, block(io_status_block))
    }

    /// Keeps a range of a file's bytes for the handle, by its driver; on a file for asynchronous I/O, without waiting for it.
    irql(PASSIVE_LEVEL) alias("NtLockFile")
    fn ZwLockFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        byte_offset: u64,
        length: u64,
        key: u32,
        fail_immediately: u8,
        exclusive_lock: u8
    ) -> NTSTATUS {
        let flags = if fail_immediately != 0 { abi::SL_FAIL_IMMEDIATELY } else { 0 }
            | if exclusive_lock != 0 { abi::SL_EXCLUSIVE_LOCK } else { 0 };
        let asked = FileSystemRequest::Lock { range: range(byte_offset, length, key)?, flags };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, file_handle, (0, 0), &asked, notice)
    }

    /// Gives such a range back, by its driver.
    irql(PASSIVE_LEVEL) alias("NtUnlockFile")
    fn ZwUnlockFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        byte_offset: u64,
        length: u64,
        key: u32
    ) -> NTSTATUS {
        let asked = FileSystemRequest::Unlock { range: range(byte_offset, length, key)? };
        request(call, file_handle, (0, 0), &asked, block(io_status_block))
    }

    /// Changes what a file's volume is, by its driver: its label, its control parameters, its object identifier.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtSetVolumeInformationFile")
    fn ZwSetVolumeInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        fs_information: u64,
        length: u32,
        fs_information_class: i32
    ) -> NTSTATUS {
        let (handle, buffer, class) = (file_handle, fs_information, fs_information_class);
        let query = FileQuery { handle, io_status_block, buffer, length, class };
        call.thread.called_by_kernel(|| io::set_volume(call.kernel, call.thread, &query))
    }
}
