//! Headers of messages through LPC ports and filter communication ports.

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
