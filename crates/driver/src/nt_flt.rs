//! The filter manager's own functions, as drivers import them from `fltmgr.sys`: as in [`nt`](crate::nt), each declared once, with the
//! contracts of the Windows driver documentation under the function's name.

use core::ffi::c_void;

use abi::{
    DRIVER_OBJECT, FLT_FILTER, FLT_PORT, FLT_REGISTRATION, LARGE_INTEGER, NTSTATUS, OBJECT_ATTRIBUTES,
    PFLT_CONNECT_NOTIFY, PFLT_DISCONNECT_NOTIFY, PFLT_MESSAGE_NOTIFY,
};

macro_rules! fltmgr {
    ($($(#[$doc:meta])* fn $name:ident $arguments:tt $(-> $result:ty)?;)*) => {
        #[cfg(windows)]
        #[link(name = "fltmgr.sys", kind = "raw-dylib", modifiers = "+verbatim")]
        unsafe extern "win64" {
            $($(#[$doc])* pub fn $name $arguments $(-> $result)?;)*
        }

        #[cfg(not(windows))]
        unsafe extern "win64" {
            $(
                $(#[$doc])*
                #[link_name = concat!("ringbridge_nt_", stringify!($name))]
                pub fn $name $arguments $(-> $result)?;
            )*
        }
    };
}

fltmgr! {
    /// Registers a filter. IRQL: PASSIVE_LEVEL.
    fn FltRegisterFilter(
        Driver: *mut DRIVER_OBJECT,
        Registration: *const FLT_REGISTRATION,
        RetFilter: *mut *mut FLT_FILTER,
    ) -> NTSTATUS;
    /// Unregisters a filter; returns when nobody uses it any more. IRQL: PASSIVE_LEVEL.
    fn FltUnregisterFilter(Filter: *mut FLT_FILTER);
    /// Keeps a filter from being unregistered. IRQL: up to APC_LEVEL.
    fn FltObjectReference(FltObject: *mut c_void) -> NTSTATUS;
    /// Undoes FltObjectReference. IRQL: up to APC_LEVEL.
    fn FltObjectDereference(FltObject: *mut c_void);
    /// Makes a descriptor for the system and administrators. IRQL: PASSIVE_LEVEL.
    fn FltBuildDefaultSecurityDescriptor(SecurityDescriptor: *mut *mut c_void, DesiredAccess: u32) -> NTSTATUS;
    /// Frees it. IRQL: up to APC_LEVEL.
    fn FltFreeSecurityDescriptor(SecurityDescriptor: *mut c_void);
    /// Makes a port that applications connect to. IRQL: PASSIVE_LEVEL.
    fn FltCreateCommunicationPort(
        Filter: *mut FLT_FILTER,
        ServerPort: *mut *mut FLT_PORT,
        ObjectAttributes: *const OBJECT_ATTRIBUTES,
        ServerPortCookie: *mut c_void,
        ConnectNotifyCallback: PFLT_CONNECT_NOTIFY,
        DisconnectNotifyCallback: PFLT_DISCONNECT_NOTIFY,
        MessageNotifyCallback: PFLT_MESSAGE_NOTIFY,
        MaxConnections: i32,
    ) -> NTSTATUS;
    /// Ends a port; its connections stay. IRQL: PASSIVE_LEVEL.
    fn FltCloseCommunicationPort(ServerPort: *mut FLT_PORT);
    /// Ends a connection, and sets the pointer to NULL. IRQL: PASSIVE_LEVEL.
    fn FltCloseClientPort(Filter: *mut FLT_FILTER, ClientPort: *mut *mut FLT_PORT);
    /// Sends a message, and waits for its delivery or its reply. IRQL: up to APC_LEVEL.
    fn FltSendMessage(
        Filter: *mut FLT_FILTER,
        ClientPort: *mut *mut FLT_PORT,
        SenderBuffer: *const c_void,
        SenderBufferLength: u32,
        ReplyBuffer: *mut c_void,
        ReplyLength: *mut u32,
        Timeout: *const LARGE_INTEGER,
    ) -> NTSTATUS;
}
