//! The service control manager itself: `advapi32.dll`.

use std::ptr::null;

use windows_sys::Win32::System::Services::{
    CloseServiceHandle, ControlService, OpenSCManagerW, OpenServiceW, SC_HANDLE, SC_MANAGER_CONNECT,
    SERVICE_CONTROL_STOP, SERVICE_START, SERVICE_STATUS, SERVICE_STOP, StartServiceW,
};

use super::windows::{Transport, last_error};
use crate::error::Win32Error;

/// A handle of the manager's.
struct Opened(SC_HANDLE);

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: an open handle, which is closed once.
        let _there_is_nobody_to_tell = unsafe { CloseServiceHandle(self.0) };
    }
}

fn open(name: &str, access: u32) -> Result<Opened, Win32Error> {
    // SAFETY: this computer's active database.
    let manager = unsafe { OpenSCManagerW(null(), null(), SC_MANAGER_CONNECT) };
    if manager.is_null() {
        return Err(last_error("OpenSCManager", name));
    }
    let manager = Opened(manager);
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: an open manager, and a name that ends with zero.
    let service = unsafe { OpenServiceW(manager.0, wide.as_ptr(), access) };
    if service.is_null() { Err(last_error("OpenService", name)) } else { Ok(Opened(service)) }
}

pub(crate) fn start(_transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    let service = open(name, SERVICE_START)?;
    // SAFETY: an open service, and no arguments, which drivers do not get.
    let done = unsafe { StartServiceW(service.0, 0, null()) };
    if done == 0 { Err(last_error("StartService", name)) } else { Ok(()) }
}

pub(crate) fn stop(_transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    let service = open(name, SERVICE_STOP)?;
    let mut status = SERVICE_STATUS::default();
    // SAFETY: an open service, and room for its status.
    let done = unsafe { ControlService(service.0, SERVICE_CONTROL_STOP, &raw mut status) };
    if done == 0 { Err(last_error("ControlService", name)) } else { Ok(()) }
}
