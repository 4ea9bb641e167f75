//! `Zw…InformationFile`, `IoQueryFileInformation`: what a file is.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::io::{self, FileQuery};
use kernel::raw;

use crate::Call;
use crate::row::rows;

fn by_object(
    call: Call<'_>,
    file: u64,
    major: u8,
    what: (i32, u64, u32),
    returned: u64,
) -> Outcome<NTSTATUS> {
    let (status, information) = io::query_by_object(call.kernel, call.thread, file, major, what)?;
    raw::write(returned, u32::try_from(information).unwrap_or(u32::MAX))?;
    Ok(status)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Tells what a file is: access, mode, alignment and a synchronous file's position at once, all else by its driver. Classes
    /// of folders and completion ports are not implemented.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtQueryInformationFile")
    fn ZwQueryInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        file_information: u64,
        length: u32,
        file_information_class: i32
    ) -> NTSTATUS {
        let (handle, buffer, class) = (file_handle, file_information, file_information_class);
        let query = FileQuery { handle, io_status_block, buffer, length, class };
        call.thread.called_by_kernel(|| io::query_file(call.kernel, call.thread, &query))
    }

    /// Changes what a file is: a synchronous file's position at once, all else by its driver. Modes, names, links, completion
    /// ports and priorities are not implemented.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtSetInformationFile")
    fn ZwSetInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        file_information: u64,
        length: u32,
        file_information_class: i32
    ) -> NTSTATUS {
        let (handle, buffer, class) = (file_handle, file_information, file_information_class);
        let query = FileQuery { handle, io_status_block, buffer, length, class };
        call.thread.called_by_kernel(|| io::set_file(call.kernel, call.thread, &query))
    }

    /// Tells about a file's volume, by its driver.
    irql(PASSIVE_LEVEL) alias("NtQueryVolumeInformationFile")
    fn ZwQueryVolumeInformationFile(
        call,
        file_handle: u64,
        io_status_block: u64,
        fs_information: u64,
        length: u32,
        fs_information_class: i32
    ) -> NTSTATUS {
        let (handle, buffer, class) = (file_handle, fs_information, fs_information_class);
        let query = FileQuery { handle, io_status_block, buffer, length, class };
        call.thread.called_by_kernel(|| io::query_volume(call.kernel, call.thread, &query))
    }

    /// Tells what the file of a file object is, by its driver.
    irql(PASSIVE_LEVEL)
    fn IoQueryFileInformation(
        call,
        file_object: u64,
        file_information_class: i32,
        length: u32,
        file_information: u64,
        returned_length: u64
    ) -> NTSTATUS {
        let what = (file_information_class, file_information, length);
        by_object(call, file_object, abi::IRP_MJ_QUERY_INFORMATION, what, returned_length)
    }

    /// Tells about the volume of a file object, by its driver.
    irql(PASSIVE_LEVEL)
    fn IoQueryVolumeInformation(
        call,
        file_object: u64,
        fs_information_class: i32,
        length: u32,
        fs_information: u64,
        returned_length: u64
    ) -> NTSTATUS {
        let what = (fs_information_class, fs_information, length);
        by_object(call, file_object, abi::IRP_MJ_QUERY_VOLUME_INFORMATION, what, returned_length)
    }
}
