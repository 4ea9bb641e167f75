//! `Io…`: share access.

use abi::NTSTATUS;
use kernel::io;
use kernel::raw::{FileObject, ShareAccess};

use crate::call::status_of;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Checks whether an open fits the other opens of a file, and counts it when asked to.
    irql(PASSIVE_LEVEL)
    fn IoCheckShareAccess(
        call,
        desired_access: u32,
        desired_share_access: u32,
        file_object: u64,
        share_access: u64,
        update: u8
    ) -> NTSTATUS {
        let _ = call;
        let (file, counts) = (FileObject::at(file_object), ShareAccess::at(share_access));
        let checked =
            io::check_share_access(desired_access, desired_share_access, file, counts, update != 0)?;
        Ok(status_of(checked))
    }

    /// Sets the share access of a file that is opened for the first time.
    irql(PASSIVE_LEVEL)
    fn IoSetShareAccess(
        call,
        desired_access: u32,
        desired_share_access: u32,
        file_object: u64,
        share_access: u64
    ) -> () {
        let _ = call;
        let (file, counts) = (FileObject::at(file_object), ShareAccess::at(share_access));
        io::set_share_access(desired_access, desired_share_access, file, counts)
    }

    /// Counts an open of a file that was checked before.
    irql(PASSIVE_LEVEL)
    fn IoUpdateShareAccess(call, file_object: u64, share_access: u64) -> () {
        let _ = call;
        io::update_share_access(FileObject::at(file_object), ShareAccess::at(share_access))
    }

    /// Takes an open out of the share access of a file.
    irql(PASSIVE_LEVEL)
    fn IoRemoveShareAccess(call, file_object: u64, share_access: u64) -> () {
        let _ = call;
        io::remove_share_access(FileObject::at(file_object), ShareAccess::at(share_access))
    }
}
