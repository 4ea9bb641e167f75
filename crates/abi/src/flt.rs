//! The filter manager's interface (`fltKernel.h`, `fltUser.h`), as far as communication ports need it; and the control codes of
//! its device, which are Ringbridge's own, since Windows' are not public.

use core::ffi::c_void;

use crate::*;

/// Right to connect to a communication port.
pub const FLT_PORT_CONNECT: u32 = 0x0001;
pub const FLT_PORT_ALL_ACCESS: u32 = FLT_PORT_CONNECT | STANDARD_RIGHTS_ALL;

pub const FLT_REGISTRATION_VERSION_0200: u16 = 0x0200;
pub const FLT_REGISTRATION_VERSION_0201: u16 = 0x0201;
pub const FLT_REGISTRATION_VERSION_0202: u16 = 0x0202;
pub const FLT_REGISTRATION_VERSION_0203: u16 = 0x0203;
pub const FLT_REGISTRATION_VERSION: u16 = FLT_REGISTRATION_VERSION_0203;

/// Of [`FLT_REGISTRATION`]: stopping the service does not unload the filter.
pub const FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP: u32 = 0x0000_0001;
/// Of a [`PFLT_FILTER_UNLOAD_CALLBACK`]: its answer is not asked for.
pub const FLTFL_FILTER_UNLOAD_MANDATORY: u32 = 0x0000_0001;
/// Of `FilterConnectCommunicationPort`: the handle is for synchronous I/O.
pub const FLT_PORT_FLAG_SYNC_HANDLE: u32 = 0x0000_0001;
/// `MajorFunction` of the entry behind the last of an array of [`FLT_OPERATION_REGISTRATION`].
pub const IRP_MJ_OPERATION_END: u8 = 0x80;

/// A filter (`PFLT_FILTER`): its layout is not public.
#[repr(C)]
#[derive(Debug)]
pub struct FLT_FILTER {
    _opaque: [u8; 0],
}

/// A communication port (`PFLT_PORT`), a filter's or a connection's: its layout is not public.
#[repr(C)]
#[derive(Debug)]
pub struct FLT_PORT {
    _opaque: [u8; 0],
}

/// The filter is to go; `Flags` is 0 or [`FLTFL_FILTER_UNLOAD_MANDATORY`]. PASSIVE_LEVEL.
pub type PFLT_FILTER_UNLOAD_CALLBACK = Option<unsafe extern "win64" fn(Flags: u32) -> NTSTATUS>;
/// An application connects to a port; a failure refuses it. `SizeOfContext` is in bytes. PASSIVE_LEVEL.
pub type PFLT_CONNECT_NOTIFY = Option<
    unsafe extern "win64" fn(
        ClientPort: *mut FLT_PORT,
        ServerPortCookie: *mut c_void,
        ConnectionContext: *mut c_void,
        SizeOfContext: u32,
        ConnectionPortCookie: *mut *mut c_void,
    ) -> NTSTATUS,
>;
/// The last handle of a connection was closed. PASSIVE_LEVEL.
pub type PFLT_DISCONNECT_NOTIFY = Option<unsafe extern "win64" fn(ConnectionCookie: *mut c_void)>;
/// An application's `FilterSendMessage`. Lengths are in bytes; the buffers are the application's. PASSIVE_LEVEL.
pub type PFLT_MESSAGE_NOTIFY = Option<
    unsafe extern "win64" fn(
        PortCookie: *mut c_void,
        InputBuffer: *mut c_void,
        InputBufferLength: u32,
        OutputBuffer: *mut c_void,
        OutputBufferLength: u32,
        ReturnOutputBufferLength: *mut u32,
    ) -> NTSTATUS,
>;

/// The callbacks of one major function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FLT_OPERATION_REGISTRATION {
    pub MajorFunction: u8,
    pub Flags: u32,
    pub PreOperation: *mut c_void,
    pub PostOperation: *mut c_void,
    pub Reserved1: *mut c_void,
}

/// What a filter tells of itself. Callbacks that are not called yet are pointers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FLT_REGISTRATION {
    /// Bytes.
    pub Size: u16,
    pub Version: u16,
    pub Flags: u32,
    pub ContextRegistration: *const c_void,
    pub OperationRegistration: *const FLT_OPERATION_REGISTRATION,
    pub FilterUnloadCallback: PFLT_FILTER_UNLOAD_CALLBACK,
    pub InstanceSetupCallback: *mut c_void,
    pub InstanceQueryTeardownCallback: *mut c_void,
    pub InstanceTeardownStartCallback: *mut c_void,
    pub InstanceTeardownCompleteCallback: *mut c_void,
    pub GenerateFileNameCallback: *mut c_void,
    pub NormalizeNameComponentCallback: *mut c_void,
    pub NormalizeContextCleanupCallback: *mut c_void,
    /// From version 0x0202 on.
    pub TransactionNotificationCallback: *mut c_void,
    pub NormalizeNameComponentExCallback: *mut c_void,
    /// From version 0x0203 on.
    pub SectionNotificationCallback: *mut c_void,
}

const _: () = assert!(core::mem::size_of::<FLT_OPERATION_REGISTRATION>() == 32);
const _: () = assert!(core::mem::size_of::<FLT_REGISTRATION>() == 112);
const _: () = assert!(core::mem::offset_of!(FLT_REGISTRATION, FilterUnloadCallback) == 24);

const fn port_code(function: u32) -> u32 {
    FILE_DEVICE_DISK_FILE_SYSTEM << 16 | function << 2 | METHOD_NEITHER
}

/// `FilterGetMessage`: the second buffer is for the message with its [`FILTER_MESSAGE_HEADER`].
pub const FILTER_PORT_GET_MESSAGE: u32 = port_code(0x901);
/// `FilterReplyMessage`: the first buffer is the reply with its [`FILTER_REPLY_HEADER`].
pub const FILTER_PORT_REPLY_MESSAGE: u32 = port_code(0x902);
/// `FilterSendMessage`: both buffers are the caller's own.
pub const FILTER_PORT_SEND_MESSAGE: u32 = port_code(0x903);
/// `FilterReplyMessage`, and then `FilterGetMessage`: both buffers as there, the second with room for a header. The request's end is
/// that of the latter. When the reply's status is another than STATUS_SUCCESS no message is got: the request ends with success
/// and that status, in four bytes, instead of a message.
pub const FILTER_PORT_REPLY_AND_GET_MESSAGE: u32 = port_code(0x904);
