//! What applications ask of a file besides reading, writing and controlling it: `NtQueryInformationFile`, `NtSetInformationFile`,
//! `NtFlushBuffersFile`. Each waits for its end, also on a file for asynchronous I/O, as NT's do.
//!
//! What drivers ask by handle is `information`'s.

use std::sync::Arc;

use super::asynchronous::application;
use super::fast_io;
use super::file::File;
use super::information::{self, Class};
use super::packet::{InFlight, Needs};
use super::request::{IoResult, Route, buffered_flags, copy_back, with_file};
use super::target_directory::{self, TargetDirectory};
use crate::Kernel;
use crate::ke::Thread;
use crate::ps::Process;
use crate::raw::{self, InputBuffer, IoStackLocation, Irp, OutputBuffer};

/// `NtQueryInformationFile`: fills the front of `buffer`; `information` is how many bytes. Must run inside the machine, in the
/// context of `process`. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_INVALID_INFO_CLASS`, `STATUS_INFO_LENGTH_MISMATCH`,
/// `STATUS_ACCESS_DENIED` without FILE_READ_ATTRIBUTES for the classes that want it, `STATUS_NOT_IMPLEMENTED` for classes that
/// the I/O manager prepares on NT and not here, or the driver's status.
///
/// Source: ddi, ZwQueryInformationFile (the table of classes and rights).
pub fn query_information_file(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    class: i32,
    output: &mut [u8],
) -> IoResult {
    let length = u32::try_from(output.len()).unwrap_or(u32::MAX);
    if let Err(status) = information::check_class(class, length, Class::Query) {
        return IoResult::failed(status);
    }
    with_file(kernel, process, handle, |file, granted| {
        if wants_attributes(class) && granted & abi::FILE_READ_ATTRIBUTES == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        match information::own_answer(file, granted, class) {
            Ok(Some(word)) => {
                let bytes = word.to_le_bytes();
                let count = information::length_of(class).min(bytes.len());
                output[..count].copy_from_slice(&bytes[..count]);
                return IoResult { status: abi::STATUS_SUCCESS, information: count as u64 };
            }
            Ok(None) => {}
            Err(_) => return IoResult::failed(abi::STATUS_INVALID_DEVICE_STATE),
        }
        let route = Route::of(kernel, thread, file);
        match fast_io::query(&route, class, |from, length| raw::copy_from(&mut output[..length], from)) {
            Ok(None) => {}
            Ok(Some(result)) => return result,
            Err(_) => return IoResult::failed(abi::STATUS_DEVICE_NOT_CONNECTED),
        }
        let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
            location.set_major_function(abi::IRP_MJ_QUERY_INFORMATION)?;
            location.set_parameter(0, u64::from(length))?;
            location.set_parameter(1, u64::from(class.cast_unsigned()))?;
            irp.set_flags(abi::IRP_INPUT_OPERATION | buffered_flags(request.buffer))?;
            irp.set_system_buffer(request.buffer)
        };
        let needs = Needs { buffer: length, pages: 0 };
        // Zeroes: what was there before is not the application's to see, whatever its driver claims to have written.
        let copy_in = |to: u64| {
            crate::raw::fill(to, 0, length as usize)?;
            if class == abi::FileAllInformation {
                information::own_parts_of_all(file, granted, to)?;
            }
            Ok(())
        };
        let Some(mut buffer) = OutputBuffer::from_slice(output) else {
            return IoResult::failed(abi::STATUS_INVALID_BUFFER_SIZE);
        };
        route.send(needs, copy_in, fill, |from, result| copy_back(&mut buffer, from, result)).0
    })
}

/// Source: ddi, ZwQueryInformationFile.
fn wants_attributes(class: i32) -> bool {
    matches!(
        class,
        abi::FileBasicInformation
            | abi::FileAllInformation
            | abi::FileNetworkOpenInformation
            | abi::FileAttributeTagInformation
            | abi::FilePipeInformation
            | abi::FilePipeLocalInformation
            | abi::FilePipeRemoteInformation
    )
}

/// `NtSetInformationFile`; as [`query_information_file`], with FILE_WRITE_ATTRIBUTES, FILE_WRITE_DATA for lengths, DELETE for
/// dispositions and renaming. What is renamed or linked may end with `STATUS_NOT_SAME_DEVICE`, and with what opening its folder ends with.
pub fn set_information_file(
    kernel: &Kernel,
    process: &Arc<Process>,
    thread: &Thread,
    handle: u32,
    class: i32,
    data: &[u8],
) -> IoResult {
    let Some(buffer) = InputBuffer::from_slice(data) else {
        return IoResult::failed(abi::STATUS_INVALID_BUFFER_SIZE);
    };
    let length = buffer.len();
    if let Err(status) = information::check_class(class, length, Class::Change) {
        return IoResult::failed(status);
    }
    with_file(kernel, process, handle, |file, granted| {
        let right = match class {
            abi::FileBasicInformation | abi::FilePipeInformation | abi::FilePipeRemoteInformation => {
                abi::FILE_WRITE_ATTRIBUTES
            }
            abi::FileAllocationInformation
            | abi::FileEndOfFileInformation
            | abi::FileValidDataLengthInformation => abi::FILE_WRITE_DATA,
            abi::FileDispositionInformation | abi::FileDispositionInformationEx => abi::DELETE,
            class if target_directory::is_rename(class) => abi::DELETE,
            _ => 0,
        };
        if granted & right != right {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        match class {
            abi::FilePositionInformation if file.synchronous => return set_position(file, data),
            abi::FileModeInformation => return IoResult::failed(abi::STATUS_NOT_IMPLEMENTED),
            _ => {}
        }
        let caller = application(kernel, process, thread);
        let target = match TargetDirectory::open(caller, file, class, data) {
            Ok(target) => target,
            Err(status) => return IoResult::failed(status),
        };
        let (directory, replace) = target.parameters();
        let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
            location.set_major_function(abi::IRP_MJ_SET_INFORMATION)?;
            location.set_parameter(0, u64::from(length))?;
            location.set_parameter(1, u64::from(class.cast_unsigned()))?;
            location.set_parameter(2, directory)?;
            location.set_parameter(3, replace)?;
            irp.set_flags(buffered_flags(request.buffer))?;
            irp.set_system_buffer(request.buffer)
        };
        let route = Route::of(kernel, thread, file);
        let needs = Needs { buffer: length, pages: 0 };
        let result = route.send(needs, |to| buffer.copy_to(to), fill, |_, _| Ok(())).0;
        target.release(caller);
        result
    })
}

/// Its file is locked.
fn set_position(file: &File, data: &[u8]) -> IoResult {
    let position = data.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    if position.cast_signed() < 0 {
        return IoResult::failed(abi::STATUS_INVALID_PARAMETER);
    }
    match file.object.set_current_byte_offset(position) {
        Ok(()) => IoResult { status: abi::STATUS_SUCCESS, information: 0 },
        Err(_) => IoResult::failed(abi::STATUS_INVALID_DEVICE_STATE),
    }
}

/// `NtFlushBuffersFile`. Ends with `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_ACCESS_DENIED` without
/// FILE_WRITE_DATA or FILE_APPEND_DATA, or the driver's status.
///
/// Source: Win32, FlushFileBuffers (GENERIC_WRITE).
pub fn flush_buffers_file(kernel: &Kernel, process: &Process, thread: &Thread, handle: u32) -> IoResult {
    with_file(kernel, process, handle, |file, granted| {
        if granted & (abi::FILE_WRITE_DATA | abi::FILE_APPEND_DATA) == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        let fill = |_: Irp, location: IoStackLocation, _: &InFlight| -> crate::raw::Outcome<()> {
            location.set_major_function(abi::IRP_MJ_FLUSH_BUFFERS)
        };
        Route::of(kernel, thread, file).send_in_place(Needs::default(), &|_| Ok(()), &fill).0
    })
}
