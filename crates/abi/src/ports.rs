//! Headers of messages through LPC ports and filter communication ports.

use core::ffi::c_void;

use crate::*;

/// Head of every LPC message. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PORT_MESSAGE {
    /// Bytes after this header.
    pub DataLength: u16,
    /// Bytes with this header.
    pub TotalLength: u16,
    pub Type: u16,
    pub DataInfoOffset: u16,
    pub ClientId: CLIENT_ID,
    pub MessageId: u32,
    /// Also `CallbackId`.
    pub ClientViewSize: usize,
}

/// A section that one end of a port shows the other. Sizes and the offset are in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PORT_VIEW {
    pub Length: u32,
    pub SectionHandle: HANDLE,
    pub SectionOffset: u32,
    pub ViewSize: usize,
    /// Where it is in the process that gave it.
    pub ViewBase: *mut c_void,
    /// Where it is in the other end's process.
    pub ViewRemoteBase: *mut c_void,
}

/// The other end's view, in one's own process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct REMOTE_PORT_VIEW {
    pub Length: u32,
    pub ViewSize: usize,
    pub ViewBase: *mut c_void,
}

/// What a message is: in `PORT_MESSAGE::Type`.
pub const LPC_REQUEST: u16 = 1;
pub const LPC_REPLY: u16 = 2;
pub const LPC_DATAGRAM: u16 = 3;
pub const LPC_LOST_REPLY: u16 = 4;
pub const LPC_PORT_CLOSED: u16 = 5;
pub const LPC_CLIENT_DIED: u16 = 6;
pub const LPC_EXCEPTION: u16 = 7;
pub const LPC_DEBUG_EVENT: u16 = 8;
pub const LPC_ERROR_EVENT: u16 = 9;
pub const LPC_CONNECTION_REQUEST: u16 = 10;
/// Beside the type.
pub const LPC_CONTINUATION_REQUIRED: u16 = 0x2000;
/// Beside the type: kernel code has sent it.
pub const LPC_KERNELMODE_MESSAGE: u16 = 0x8000;
/// Bytes of the longest message, with its header, on x64.
pub const PORT_MAXIMUM_MESSAGE_LENGTH: usize = 0x200;

/// To connect to a port.
pub const PORT_CONNECT: u32 = 0x1;
pub const PORT_ALL_ACCESS: u32 = 0x1F_0001;

/// Head of a message that an application receives from a minifilter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FILTER_MESSAGE_HEADER {
    pub ReplyLength: u32,
    pub MessageId: u64,
}

/// Head of an application's reply to a minifilter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FILTER_REPLY_HEADER {
    pub Status: NTSTATUS,
    pub MessageId: u64,
}
