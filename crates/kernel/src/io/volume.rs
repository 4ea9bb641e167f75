//! What a volume is, asked and changed by applications: `NtQueryVolumeInformationFile`, `NtSetVolumeInformationFile`. Each waits for its end.
//!
//! What kind of device it is, the I/O manager answers; all else the driver.
//!
//! Source: ddi, ZwQueryVolumeInformationFile, ZwSetVolumeInformationFile (the tables of classes and rights);
//! IRP_MJ_QUERY_VOLUME_INFORMATION, IRP_MJ_SET_VOLUME_INFORMATION.

use abi::{FS_INFORMATION_CLASS, NTSTATUS};

use super::file::File;
use super::packet::{InFlight, Needs};
use super::request::{IoResult, Route, buffered_flags, copy_back, with_file};
use crate::Kernel;
use crate::ke::Thread;
use crate::ps::Process;
use crate::raw::{InputBuffer, IoStackLocation, Irp, Outcome, OutputBuffer};

/// Bytes that the answer of FileFsDeviceInformation has.
const DEVICE_SIZE: usize = size_of::<abi::FILE_FS_DEVICE_INFORMATION>();

/// Bytes that a query needs at least.
///
/// # Errors
/// `STATUS_INVALID_INFO_CLASS`; `STATUS_NOT_IMPLEMENTED` for classes whose layouts are not known here.
pub(super) fn least_of_query(class: FS_INFORMATION_CLASS) -> Result<usize, NTSTATUS> {
    Ok(match class {
        abi::FileFsVolumeInformation => size_of::<abi::FILE_FS_VOLUME_INFORMATION>(),
        abi::FileFsSizeInformation => size_of::<abi::FILE_FS_SIZE_INFORMATION>(),
        abi::FileFsDeviceInformation => DEVICE_SIZE,
        abi::FileFsAttributeInformation => size_of::<abi::FILE_FS_ATTRIBUTE_INFORMATION>(),
        abi::FileFsControlInformation => size_of::<abi::FILE_FS_CONTROL_INFORMATION>(),
        abi::FileFsFullSizeInformation => size_of::<abi::FILE_FS_FULL_SIZE_INFORMATION>(),
        abi::FileFsObjectIdInformation => size_of::<abi::FILE_FS_OBJECTID_INFORMATION>(),
        abi::FileFsSectorSizeInformation => size_of::<abi::FILE_FS_SECTOR_SIZE_INFORMATION>(),
        abi::FileFsDriverPathInformation..abi::FileFsMaximumInformation => {
            return Err(abi::STATUS_NOT_IMPLEMENTED);
        }
        _ => return Err(abi::STATUS_INVALID_INFO_CLASS),
    })
}

/// The same for changes.
///
/// # Errors
/// As for [`least_of_query`].
pub(super) fn least_of_change(class: FS_INFORMATION_CLASS) -> Result<usize, NTSTATUS> {
    match class {
        abi::FileFsLabelInformation => Ok(size_of::<abi::FILE_FS_LABEL_INFORMATION>()),
        abi::FileFsControlInformation => Ok(size_of::<abi::FILE_FS_CONTROL_INFORMATION>()),
        abi::FileFsObjectIdInformation => Ok(size_of::<abi::FILE_FS_OBJECTID_INFORMATION>()),
        abi::FileFsVolumeFlagsInformation => Err(abi::STATUS_NOT_IMPLEMENTED),
        _ => Err(abi::STATUS_INVALID_INFO_CLASS),
    }
}

pub(super) fn check(least: Result<usize, NTSTATUS>, length: usize) -> Result<(), NTSTATUS> {
    if length < least? { Err(abi::STATUS_INFO_LENGTH_MISMATCH) } else { Ok(()) }
}

/// FILE_FS_DEVICE_INFORMATION of the device that the file was opened on. (Confirm: that NT never asks a driver that is no redirector's.)
pub(super) fn device_information(file: &File) -> Outcome<[u8; DEVICE_SIZE]> {
    let mut answer = [0; DEVICE_SIZE];
    answer[..4].copy_from_slice(&file.device.device_type()?.to_le_bytes());
    answer[4..].copy_from_slice(&file.device.characteristics()?.to_le_bytes());
    Ok(answer)
}

/// `NtQueryVolumeInformationFile`: fills the front of `output`; `information` is how many bytes. Must run inside the machine, in the
/// context of `process`. PASSIVE_LEVEL.
///
/// Ends with `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH`, `STATUS_INVALID_INFO_CLASS`, `STATUS_INFO_LENGTH_MISMATCH`,
/// `STATUS_ACCESS_DENIED` without FILE_READ_DATA for FileFsControlInformation, `STATUS_NOT_IMPLEMENTED` for classes whose layouts
/// are not known here, or the driver's status; STATUS_BUFFER_OVERFLOW brings what fits.
pub fn query_volume_information_file(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    class: i32,
    output: &mut [u8],
) -> IoResult {
    if let Err(status) = check(least_of_query(class), output.len()) {
        return IoResult::failed(status);
    }
    with_file(kernel, process, handle, |file, granted| {
        if class == abi::FileFsControlInformation && granted & abi::FILE_READ_DATA == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        if class == abi::FileFsDeviceInformation {
            let Ok(answer) = device_information(file) else {
                return IoResult::failed(abi::STATUS_INVALID_DEVICE_STATE);
            };
            output[..DEVICE_SIZE].copy_from_slice(&answer);
            return IoResult { status: abi::STATUS_SUCCESS, information: DEVICE_SIZE as u64 };
        }
        let Some(mut buffer) = OutputBuffer::from_slice(output) else {
            return IoResult::failed(abi::STATUS_INVALID_BUFFER_SIZE);
        };
        let length = buffer.len();
        let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
            start(irp, location, request, abi::IRP_MJ_QUERY_VOLUME_INFORMATION, class, length)?;
            irp.set_flags(abi::IRP_INPUT_OPERATION | buffered_flags(request.buffer))
        };
        // Zeroes: what was there before is not the application's to see, whatever its driver claims to have written.
        let copy_in = |to: u64| crate::raw::fill(to, 0, length as usize);
        let needs = Needs { buffer: length, pages: 0 };
        let route = Route::of(kernel, thread, file);
        route.send(needs, copy_in, fill, |from, result| copy_back(&mut buffer, from, result)).0
    })
}

/// `NtSetVolumeInformationFile`; as [`query_volume_information_file`], with FILE_WRITE_DATA.
pub fn set_volume_information_file(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: u32,
    class: i32,
    data: &[u8],
) -> IoResult {
    if let Err(status) = check(least_of_change(class), data.len()) {
        return IoResult::failed(status);
    }
    let Some(buffer) = InputBuffer::from_slice(data) else {
        return IoResult::failed(abi::STATUS_INVALID_BUFFER_SIZE);
    };
    with_file(kernel, process, handle, |file, granted| {
        if granted & abi::FILE_WRITE_DATA == 0 {
            return IoResult::failed(abi::STATUS_ACCESS_DENIED);
        }
        let length = buffer.len();
        let fill = |irp: Irp, location: IoStackLocation, request: &InFlight| {
            start(irp, location, request, abi::IRP_MJ_SET_VOLUME_INFORMATION, class, length)?;
            irp.set_flags(buffered_flags(request.buffer))
        };
        let needs = Needs { buffer: length, pages: 0 };
        let route = Route::of(kernel, thread, file);
        route.send(needs, |to| buffer.copy_to(to), fill, |_, _| Ok(())).0
    })
}

fn start(
    irp: Irp,
    location: IoStackLocation,
    request: &InFlight,
    major: u8,
    class: FS_INFORMATION_CLASS,
    length: u32,
) -> Outcome<()> {
    location.set_major_function(major)?;
    location.set_parameter(0, u64::from(length))?;
    location.set_parameter(1, u64::from(class.cast_unsigned()))?;
    irp.set_system_buffer(request.buffer)
}
