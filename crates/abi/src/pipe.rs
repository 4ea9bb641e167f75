//! What the file system of named pipes is asked by FSCTL_PIPE_*. Source: ntifs.h; [MS-FSCC], FSCTL_PIPE_PEEK, _WAIT, _TRANSCEIVE.

use crate::*;

const fn code(function: u32, method: u32, access: u32) -> u32 {
    CTL_CODE(FILE_DEVICE_NAMED_PIPE, function, method, access)
}

pub const FSCTL_PIPE_ASSIGN_EVENT: u32 = code(0, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_DISCONNECT: u32 = code(1, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_LISTEN: u32 = code(2, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_PEEK: u32 = code(3, METHOD_BUFFERED, FILE_READ_ACCESS);
pub const FSCTL_PIPE_QUERY_EVENT: u32 = code(4, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_TRANSCEIVE: u32 = code(5, METHOD_NEITHER, FILE_READ_ACCESS | FILE_WRITE_ACCESS);
pub const FSCTL_PIPE_WAIT: u32 = code(6, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_IMPERSONATE: u32 = code(7, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_SET_CLIENT_PROCESS: u32 = code(8, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_QUERY_CLIENT_PROCESS: u32 = code(9, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_GET_PIPE_ATTRIBUTE: u32 = code(10, METHOD_BUFFERED, FILE_ANY_ACCESS);
pub const FSCTL_PIPE_GET_CONNECTION_ATTRIBUTE: u32 = code(12, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// The answer of FSCTL_PIPE_PEEK; `Data` goes on behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_PIPE_PEEK_BUFFER {
    pub NamedPipeState: u32,
    pub ReadDataAvailable: u32,
    pub NumberOfMessages: u32,
    pub MessageLength: u32,
    pub Data: [i8; 1],
}

/// What FSCTL_PIPE_WAIT asks; `Name` goes on behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FILE_PIPE_WAIT_FOR_BUFFER {
    pub Timeout: LARGE_INTEGER,
    pub NameLength: u32,
    pub TimeoutSpecified: BOOLEAN,
    pub Name: [u16; 1],
}

const _: () = {
    assert!(FSCTL_PIPE_ASSIGN_EVENT == 0x0011_0000 && FSCTL_PIPE_DISCONNECT == 0x0011_0004);
    assert!(FSCTL_PIPE_LISTEN == 0x0011_0008 && FSCTL_PIPE_PEEK == 0x0011_400C);
    assert!(FSCTL_PIPE_QUERY_EVENT == 0x0011_0010 && FSCTL_PIPE_TRANSCEIVE == 0x0011_C017);
    assert!(FSCTL_PIPE_WAIT == 0x0011_0018 && FSCTL_PIPE_IMPERSONATE == 0x0011_001C);
    assert!(FSCTL_PIPE_SET_CLIENT_PROCESS == 0x0011_0020 && FSCTL_PIPE_QUERY_CLIENT_PROCESS == 0x0011_0024);
    assert!(
        size_of::<FILE_PIPE_PEEK_BUFFER>() == 20 && core::mem::offset_of!(FILE_PIPE_PEEK_BUFFER, Data) == 16
    );
    assert!(core::mem::offset_of!(FILE_PIPE_WAIT_FOR_BUFFER, NameLength) == 8);
    assert!(core::mem::offset_of!(FILE_PIPE_WAIT_FOR_BUFFER, TimeoutSpecified) == 12);
    assert!(core::mem::offset_of!(FILE_PIPE_WAIT_FOR_BUFFER, Name) == 14);
    assert!(size_of::<FILE_PIPE_WAIT_FOR_BUFFER>() == 16);
};
