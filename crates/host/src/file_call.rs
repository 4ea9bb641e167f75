//! The system calls about files and volumes beside their data.

use gate::{FileCall, Handle, LockedRange, Memory, SystemReply};
use kernel::io::{self, FileSystemRequest, Notice};
use kernel::ke::Thread;

use crate::process::Process;
use crate::system_call::{ended, notice};

fn range(range: LockedRange) -> io::LockedRange {
    io::LockedRange { offset: range.offset, length: range.length, key: range.key }
}

/// Of a request that waits for its end.
fn block(io_status_block: u64) -> Notice {
    Notice { io_status_block, ..Notice::default() }
}

impl Process {
    pub(crate) fn file_call(&self, thread: &Thread, call: &FileCall<'_>, output: &mut [u8]) -> SystemReply {
        let (kernel, process) = (&*self.kernel, &self.process);
        let start = |handle: Handle, buffer: Memory, request: FileSystemRequest<'_>, notice: Notice| {
            let target = (u64::from(handle.0), (buffer.address, buffer.length));
            let status = io::start_file_system_request(kernel, process, thread, target, &request, notice);
            SystemReply::status(status)
        };
        match *call {
            FileCall::QueryVolumeInformation { handle, class } => {
                ended(io::query_volume_information_file(kernel, process, thread, handle.0, class, output))
            }
            FileCall::SetVolumeInformation { handle, class, data } => {
                ended(io::set_volume_information_file(kernel, process, thread, handle.0, class, data))
            }
            FileCall::QueryDirectory { handle, buffer, class, flags, pattern, notice: ref told } => {
                let request = FileSystemRequest::QueryDirectory { class, flags, pattern };
                start(handle, buffer, request, notice(told))
            }
            FileCall::NotifyChangeDirectory { handle, buffer, filter, watch_tree, notice: ref told } => {
                let request = FileSystemRequest::NotifyChangeDirectory { filter, watch_tree };
                start(handle, buffer, request, notice(told))
            }
            FileCall::QueryEa { handle, buffer, flags, index, list, io_status_block } => {
                let request = FileSystemRequest::QueryEa { flags, index, list };
                start(handle, buffer, request, block(io_status_block))
            }
            FileCall::SetEa { handle, buffer, io_status_block } => {
                start(handle, buffer, FileSystemRequest::SetEa, block(io_status_block))
            }
            FileCall::Lock { handle, range: bytes, flags, notice: ref told } => {
                let request = FileSystemRequest::Lock { range: range(bytes), flags };
                start(handle, Memory::default(), request, notice(told))
            }
            FileCall::Unlock { handle, range: bytes, io_status_block } => {
                let request = FileSystemRequest::Unlock { range: range(bytes) };
                start(handle, Memory::default(), request, block(io_status_block))
            }
            FileCall::QueryQuota { handle, buffer, flags, sids, start_sid, io_status_block } => {
                let Some(end) = sids.len().checked_sub(start_sid as usize) else {
                    return SystemReply::status(abi::STATUS_INVALID_PARAMETER);
                };
                let (sids, start_sid) = sids.split_at(end);
                let request = FileSystemRequest::QueryQuota { flags, sids, start_sid };
                start(handle, buffer, request, block(io_status_block))
            }
            FileCall::SetQuota { handle, buffer, io_status_block } => {
                start(handle, buffer, FileSystemRequest::SetQuota, block(io_status_block))
            }
        }
    }
}
