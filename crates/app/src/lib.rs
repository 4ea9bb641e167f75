//! The application's side: devices as Win32 programs see them, over any [`Transport`].
//!
//! [`Device`] opens `\\.\Name` and reads, writes and controls it; [`Win32Error`] carries the Win32 code, NT's status behind
//! it, and a sentence that says what to do. What the requests mean is the kernel's matter.
#![cfg_attr(not(windows), forbid(unsafe_code))]
#![cfg_attr(windows, expect(unsafe_code, reason = "`sys::windows` calls Win32"))]

mod async_filter_port;
mod buffer;
mod completion_port;
mod completion_routine;
mod control_code;
mod device;
mod device_interface;
mod directory;
mod error;
mod event;
mod file;
mod file_mapping;
mod filter_port;
pub mod lpc;
mod named_pipe;
mod overlapped;
mod path;
mod protection;
mod reactor;
mod ring_signals;
mod security;
mod service;
mod sys;
mod thread;
mod view;
mod wait;

pub use async_filter_port::{AsyncFilterPort, ConnectAsyncError};
pub use buffer::Buffer;
pub use completion_port::{CompletionPacket, CompletionPort, NotificationModes};
pub use completion_routine::CompletionRoutines;
pub use control_code::{Access, ControlCode, Method};
pub use device::{Device, OpenOptions};
pub use device_interface::device_interfaces;
pub use directory::{DirectoryChange, FindData, FindFiles, directory_changes};
pub use error::Win32Error;
pub use event::{Event, EventKind};
pub use file::{
    DiskSpace, Disposition, FileInformation, FileType, LockOptions, MoveMethod, VolumeInformation,
    create_directory, delete_file, disk_free_space, move_file, remove_directory, set_volume_label,
};
pub use file_mapping::{FileMapping, FileView, MappingAccess};
pub use filter_port::{
    FILTER_HEADER_SIZE, FilterError, FilterPort, MessageHeader, filter_load, filter_unload,
    hresult_from_status, reply_to,
};
#[cfg(not(windows))]
pub use gate::{DirectoryEntry, IoStatus};
pub use named_pipe::{HandleState, NamedPipe, NamedPipeInfo, NamedPipeOptions, Peek, PipeAccess, PipeWait};
pub use overlapped::{Finished, Operation, Overlapped, Refused};
pub use path::{nt_path, object_path};
pub use reactor::{AsyncDevice, Reactor, Request};
pub use ring;
pub use ring_signals::{RingSignals, SignalError};
pub use security::{ImpersonationLevel, SecurityQos, Sid, Token, impersonate_self, revert_to_self};
pub use service::{start_service, stop_service};
#[cfg(windows)]
pub use sys::Win32;
pub use sys::{ConnectError, Handle, Transport, connect};
pub use thread::Thread;
pub use view::View;
pub use wait::{MAXIMUM_WAIT_OBJECTS, Waitable, Waited, wait_all, wait_any};
