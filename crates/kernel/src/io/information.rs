//! What a file is, asked and changed: `ZwQueryInformationFile`, `ZwSetInformationFile`, `ZwQueryVolumeInformationFile`.
//!
//! What the file object says the I/O manager answers itself: access, mode, alignment, and the position of a file for
//! synchronous I/O. All else its driver is asked, and the call waits for the answer on every file.
//!
//! Source: ddi, ZwQueryInformationFile, ZwSetInformationFile; IRP_MJ_QUERY_INFORMATION; FILE_MODE_INFORMATION.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{FILE_ALL_INFORMATION, FILE_INFORMATION_CLASS, NTSTATUS};

use super::asynchronous::{Caller, Notice, Target};
use super::fast_io;
use super::file::File;
use super::kernel_file::wait_for;
use super::operation::Operation;
use super::request::Route;
use super::target_directory::{self, TargetDirectory};
use super::volume;
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::ob::{self, Object, Wanted};
use crate::raw::{self, DeviceObject, FileObject, Outcome};

/// Tag of status blocks of requests whose caller gives none.
const TAG: u32 = u32::from_le_bytes(*b"IoSb");
const IOSB_SIZE: usize = size_of::<abi::IO_STATUS_BLOCK>();

/// Options of an open, and the flag of the file object that each becomes.
const MODES: [(u32, u32); 4] = [
    (abi::FILE_WRITE_THROUGH, abi::FO_WRITE_THROUGH),
    (abi::FILE_SEQUENTIAL_ONLY, abi::FO_SEQUENTIAL_ONLY),
    (abi::FILE_NO_INTERMEDIATE_BUFFERING, abi::FO_NO_INTERMEDIATE_BUFFERING),
    (abi::FILE_DELETE_ON_CLOSE, abi::FO_DELETE_ON_CLOSE),
];

/// A query or a change by handle.
#[derive(Clone, Copy, Debug)]
pub struct FileQuery {
    /// The file's handle.
    pub handle: u64,
    /// Address of the IO_STATUS_BLOCK.
    pub io_status_block: u64,
    /// Address of the information.
    pub buffer: u64,
    /// Bytes there.
    pub length: u32,
    /// FILE_INFORMATION_CLASS, or FS_INFORMATION_CLASS.
    pub class: i32,
}

/// FO_* of a file that is opened with these options. FILE_DELETE_ON_CLOSE is the driver's to note.
pub(super) fn flags_of(options: u32) -> u32 {
    let mut flags = 0;
    for (option, flag) in &MODES[..3] {
        if options & option != 0 {
            flags |= flag;
        }
    }
    if options & abi::FILE_RANDOM_ACCESS != 0 {
        flags |= abi::FO_RANDOM_ACCESS;
    }
    if options & abi::FILE_SYNCHRONOUS_IO_NONALERT != 0 {
        flags |= abi::FO_SYNCHRONOUS_IO;
    }
    if options & abi::FILE_SYNCHRONOUS_IO_ALERT != 0 {
        flags |= abi::FO_SYNCHRONOUS_IO | abi::FO_ALERTABLE_IO;
    }
    flags
}

/// What FILE_MODE_INFORMATION says of a file object.
fn mode(object: FileObject) -> Outcome<u32> {
    let flags = object.flags()?;
    let mut mode = 0;
    for (option, flag) in MODES {
        if flags & flag != 0 {
            mode |= option;
        }
    }
    if flags & abi::FO_SYNCHRONOUS_IO != 0 {
        let alertable = flags & abi::FO_ALERTABLE_IO != 0;
        mode |= if alertable { abi::FILE_SYNCHRONOUS_IO_ALERT } else { abi::FILE_SYNCHRONOUS_IO_NONALERT };
    }
    Ok(mode)
}

/// What is done with a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Query,
    Change,
}

/// Whether an application may ask for `class` with so many bytes.
pub(super) fn check_class(class: FILE_INFORMATION_CLASS, length: u32, what: Class) -> Result<(), NTSTATUS> {
    let least = if what == Class::Query { least_of_query(class) } else { least_of_change(class) };
    check(least, &FileQuery { handle: 0, io_status_block: 0, buffer: 0, length, class })
}

/// Bytes that the answer to a query of a class has that the I/O manager answers itself.
pub(super) fn length_of(class: FILE_INFORMATION_CLASS) -> usize {
    least_of_query(class).unwrap_or(0)
}

/// Bytes that a query needs at least; `None` for what no query asks for by handle.
fn least_of_query(class: FILE_INFORMATION_CLASS) -> Option<usize> {
    Some(match class {
        abi::FileBasicInformation => size_of::<abi::FILE_BASIC_INFORMATION>(),
        abi::FileStandardInformation => size_of::<abi::FILE_STANDARD_INFORMATION>(),
        abi::FileInternalInformation => size_of::<abi::FILE_INTERNAL_INFORMATION>(),
        abi::FileEaInformation => size_of::<abi::FILE_EA_INFORMATION>(),
        abi::FileAccessInformation => size_of::<abi::FILE_ACCESS_INFORMATION>(),
        abi::FileNameInformation
        | abi::FileAlternateNameInformation
        | abi::FileNormalizedNameInformation
        | abi::FileNetworkPhysicalNameInformation
        | abi::FileVolumeNameInformation => size_of::<abi::FILE_NAME_INFORMATION>(),
        abi::FilePositionInformation => size_of::<abi::FILE_POSITION_INFORMATION>(),
        abi::FileModeInformation => size_of::<abi::FILE_MODE_INFORMATION>(),
        abi::FileAlignmentInformation => size_of::<abi::FILE_ALIGNMENT_INFORMATION>(),
        abi::FileAllInformation => size_of::<FILE_ALL_INFORMATION>(),
        abi::FileStreamInformation => size_of::<abi::FILE_STREAM_INFORMATION>(),
        abi::FilePipeInformation => size_of::<abi::FILE_PIPE_INFORMATION>(),
        abi::FilePipeLocalInformation => size_of::<abi::FILE_PIPE_LOCAL_INFORMATION>(),
        abi::FilePipeRemoteInformation => size_of::<abi::FILE_PIPE_REMOTE_INFORMATION>(),
        abi::FileMailslotQueryInformation => size_of::<abi::FILE_MAILSLOT_QUERY_INFORMATION>(),
        abi::FileNetworkOpenInformation => size_of::<abi::FILE_NETWORK_OPEN_INFORMATION>(),
        abi::FileAttributeTagInformation => size_of::<abi::FILE_ATTRIBUTE_TAG_INFORMATION>(),
        _ => return None,
    })
}

/// The same for changes.
fn least_of_change(class: FILE_INFORMATION_CLASS) -> Option<usize> {
    Some(match class {
        abi::FileBasicInformation => size_of::<abi::FILE_BASIC_INFORMATION>(),
        abi::FileDispositionInformation => size_of::<abi::FILE_DISPOSITION_INFORMATION>(),
        class if target_directory::is_named_by(class) => size_of::<abi::FILE_RENAME_INFORMATION>(),
        // Flags.
        abi::FileDispositionInformationEx => size_of::<u32>(),
        abi::FilePositionInformation => size_of::<abi::FILE_POSITION_INFORMATION>(),
        abi::FileModeInformation => size_of::<abi::FILE_MODE_INFORMATION>(),
        abi::FileAllocationInformation => size_of::<abi::FILE_ALLOCATION_INFORMATION>(),
        abi::FileEndOfFileInformation => size_of::<abi::FILE_END_OF_FILE_INFORMATION>(),
        abi::FilePipeInformation => size_of::<abi::FILE_PIPE_INFORMATION>(),
        abi::FilePipeRemoteInformation => size_of::<abi::FILE_PIPE_REMOTE_INFORMATION>(),
        abi::FileMailslotSetInformation => size_of::<abi::FILE_MAILSLOT_SET_INFORMATION>(),
        abi::FileValidDataLengthInformation => size_of::<abi::FILE_VALID_DATA_LENGTH_INFORMATION>(),
        _ => return None,
    })
}

/// Whether a class is known, but not what is needed for it here.
fn is_missing(class: FILE_INFORMATION_CLASS) -> bool {
    (abi::FileDirectoryInformation..abi::FileMaximumInformation).contains(&class)
}

fn check(least: Option<usize>, query: &FileQuery) -> Result<(), NTSTATUS> {
    match least {
        None if is_missing(query.class) => Err(abi::STATUS_NOT_IMPLEMENTED),
        None => Err(abi::STATUS_INVALID_INFO_CLASS),
        Some(least) if (query.length as usize) < least => Err(abi::STATUS_INFO_LENGTH_MISMATCH),
        Some(_) => Ok(()),
    }
}

/// `ZwQueryInformationFile` in kernel mode; waits for the driver's answer. PASSIVE_LEVEL, special kernel APCs enabled.
///
/// The status is the driver's, `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_INVALID_INFO_CLASS` for what is
/// no class, `STATUS_INFO_LENGTH_MISMATCH`, or `STATUS_NOT_IMPLEMENTED` for classes that the I/O manager prepares on NT and not
/// here.
///
/// # Errors
/// An access violation in the caller's memory, or how the driver's frames were left.
pub fn query_file(kernel: &Kernel, thread: &Thread, query: &FileQuery) -> Outcome<NTSTATUS> {
    if let Err(status) = check(least_of_query(query.class), query) {
        return Ok(status);
    }
    with_file(kernel, thread, query.handle, |caller, object, granted| {
        let Some(file) = object.body::<File>() else { return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH) };
        if query.class == abi::FileAllInformation {
            own_parts_of_all(file, granted, query.buffer)?;
        } else if let Some(word) = own_answer(file, granted, query.class)? {
            let length = least_of_query(query.class).unwrap_or(0);
            raw::copy_to(query.buffer, &word.to_le_bytes()[..length])?;
            return ended(query, length as u64);
        }
        let route = Route::of(kernel, thread, file).in_mode(false);
        let copy = |from, length| raw::copy_within(query.buffer, from, length);
        if let Some(result) = fast_io::query(&route, query.class, copy)? {
            if !result.status.is_error() {
                ended(query, result.information)?;
            }
            return Ok(result.status);
        }
        ask(caller, query, abi::IRP_MJ_QUERY_INFORMATION)
    })
}

/// Writes what the I/O manager knows of a file into the FILE_ALL_INFORMATION at `address`, which the driver completes.
pub(super) fn own_parts_of_all(file: &File, granted: u32, address: u64) -> Outcome<()> {
    let at = |offset: usize| address.wrapping_add(offset as u64);
    raw::write(at(offset_of!(FILE_ALL_INFORMATION, AccessInformation)), granted)?;
    raw::write(at(offset_of!(FILE_ALL_INFORMATION, ModeInformation)), mode(file.object)?)?;
    raw::write(at(offset_of!(FILE_ALL_INFORMATION, AlignmentInformation)), alignment(file)?)
}

/// What the I/O manager knows of a file, without its driver; as many of the bytes mean something as the class has.
pub(super) fn own_answer(file: &File, granted: u32, class: FILE_INFORMATION_CLASS) -> Outcome<Option<u64>> {
    Ok(match class {
        abi::FileAccessInformation => Some(u64::from(granted)),
        abi::FileModeInformation => Some(u64::from(mode(file.object)?)),
        abi::FileAlignmentInformation => Some(u64::from(alignment(file)?)),
        abi::FilePositionInformation if file.synchronous => Some(file.object.current_byte_offset()?),
        _ => None,
    })
}

/// The alignment that the file's device wants.
fn alignment(file: &File) -> Outcome<u32> {
    super::device::top_of_stack(file.device).and_then(DeviceObject::alignment_requirement)
}

/// `ZwSetInformationFile` in kernel mode; as [`query_file`]. `STATUS_INVALID_PARAMETER` for a position below zero.
///
/// # Errors
/// As for [`query_file`].
pub fn set_file(kernel: &Kernel, thread: &Thread, query: &FileQuery) -> Outcome<NTSTATUS> {
    if let Err(status) = check(least_of_change(query.class), query) {
        return Ok(status);
    }
    with_file(kernel, thread, query.handle, |caller, object, _| {
        let Some(file) = object.body::<File>() else { return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH) };
        match query.class {
            abi::FilePositionInformation if file.synchronous => {
                let position: u64 = raw::read(query.buffer)?;
                if position.cast_signed() < 0 {
                    return Ok(abi::STATUS_INVALID_PARAMETER);
                }
                let _one_at_a_time = file.lock.lock(&*kernel.platform);
                file.object.set_current_byte_offset(position)?;
                ended(query, 0)
            }
            abi::FileModeInformation => Ok(abi::STATUS_NOT_IMPLEMENTED),
            class => {
                let bytes = (query.buffer, query.length);
                let target = match TargetDirectory::open_at(caller, file, class, bytes)? {
                    Ok(target) => target,
                    Err(status) => return Ok(status),
                };
                let change = Operation::information(abi::IRP_MJ_SET_INFORMATION, class, bytes)
                    .with_target(target.parameters());
                let notice = Notice { io_status_block: query.io_status_block, ..Notice::default() };
                let ended = wait_for(caller, Target::Handle(query.handle), notice, &[], |_, _| Ok(change));
                // A request that was given up may still be with its driver.
                if !matches!(ended, Err(crate::Unwind::Halt)) {
                    target.release(caller);
                }
                ended
            }
        }
    })
}

/// `IoQueryFileInformation` (IRP_MJ_QUERY_INFORMATION) and `IoQueryVolumeInformation` (IRP_MJ_QUERY_VOLUME_INFORMATION): asks
/// the driver of the file object at `file`; also the bytes that it has written. As [`query_file`].
///
/// # Errors
/// As for [`query_file`].
pub fn query_by_object(
    kernel: &Kernel,
    thread: &Thread,
    file: u64,
    major: u8,
    (class, buffer, length): (i32, u64, u32),
) -> Outcome<(NTSTATUS, u64)> {
    let block = kernel.mm.pool.allocate_zeroed(IOSB_SIZE, TAG, PoolOwner::default());
    let Some(block) = block else { return Ok((abi::STATUS_INSUFFICIENT_RESOURCES, 0)) };
    let query = FileQuery { handle: 0, io_status_block: block.address, buffer, length, class };
    let least = if major == abi::IRP_MJ_QUERY_INFORMATION { least_of_query(class) } else { Some(1) };
    let answered = match (kernel.ob.by_address(file), check(least, &query)) {
        (Some(object), Ok(())) if object.body::<File>().is_some() && object.try_reference() => {
            let process = ob::current_process(kernel, thread);
            match process {
                Ok(process) => {
                    let caller = Caller { kernel, process: &process, thread, user_mode: false };
                    ask_object(caller, Target::File(object), &query, major)
                }
                Err(status) => {
                    object.dereference(kernel);
                    Ok(status)
                }
            }
        }
        (_, Err(status)) => Ok(status),
        _ => Ok(abi::STATUS_OBJECT_TYPE_MISMATCH),
    };
    let information = raw::read(block.address + 8).unwrap_or(0);
    // A request that was given up may still write there.
    if !matches!(answered, Err(crate::Unwind::Halt)) {
        super::free_own(kernel, block.address);
    }
    Ok((answered?, information))
}

/// `ZwQueryVolumeInformationFile`: what kind of device it is at once, all else by the driver. As [`query_file`].
///
/// # Errors
/// As for [`query_file`].
pub fn query_volume(kernel: &Kernel, thread: &Thread, query: &FileQuery) -> Outcome<NTSTATUS> {
    if let Err(status) = volume::check(volume::least_of_query(query.class), query.length as usize) {
        return Ok(status);
    }
    with_file(kernel, thread, query.handle, |caller, object, _| {
        let Some(file) = object.body::<File>() else { return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH) };
        if query.class == abi::FileFsDeviceInformation {
            let answer = volume::device_information(file)?;
            raw::copy_to(query.buffer, &answer)?;
            return ended(query, answer.len() as u64);
        }
        ask(caller, query, abi::IRP_MJ_QUERY_VOLUME_INFORMATION)
    })
}

/// `ZwSetVolumeInformationFile`: has the driver change it. As [`query_volume`].
///
/// # Errors
/// As for [`query_file`].
pub fn set_volume(kernel: &Kernel, thread: &Thread, query: &FileQuery) -> Outcome<NTSTATUS> {
    if let Err(status) = volume::check(volume::least_of_change(query.class), query.length as usize) {
        return Ok(status);
    }
    with_file(kernel, thread, query.handle, |caller, object, _| {
        if object.body::<File>().is_none() {
            return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH);
        }
        ask(caller, query, abi::IRP_MJ_SET_VOLUME_INFORMATION)
    })
}

/// Runs `body` with the file of a handle, and what that is granted.
fn with_file(
    kernel: &Kernel,
    thread: &Thread,
    handle: u64,
    body: impl FnOnce(Caller<'_>, &Arc<Object>, u32) -> Outcome<NTSTATUS>,
) -> Outcome<NTSTATUS> {
    let found = ob::current_process(kernel, thread).and_then(|process| {
        let entry = ob::reference_by_handle(kernel, thread, handle, Wanted::default())?;
        Ok((process, entry))
    });
    let (process, entry) = match found {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let caller = Caller { kernel, process: &process, thread, user_mode: false };
    let done = body(caller, &entry.object, entry.granted);
    if !matches!(done, Err(crate::Unwind::Halt)) {
        entry.object.dereference(kernel);
    }
    done
}

fn ask(caller: Caller<'_>, query: &FileQuery, major: u8) -> Outcome<NTSTATUS> {
    ask_object(caller, Target::Handle(query.handle), query, major)
}

fn ask_object(caller: Caller<'_>, target: Target, query: &FileQuery, major: u8) -> Outcome<NTSTATUS> {
    let notice = Notice { io_status_block: query.io_status_block, ..Notice::default() };
    wait_for(caller, target, notice, &[], |_, _| {
        Ok(Operation::information(major, query.class, (query.buffer, query.length)))
    })
}

/// Answered without the driver.
fn ended(query: &FileQuery, information: u64) -> Outcome<NTSTATUS> {
    raw::write(query.io_status_block, abi::STATUS_SUCCESS.bits())?;
    raw::write(query.io_status_block.wrapping_add(8), information)?;
    Ok(abi::STATUS_SUCCESS)
}
