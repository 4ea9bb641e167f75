//! Drivers by their services' names: the service control manager's `StartService` and `ControlService`, for applications that bring
//! their driver. (A minifilter's: [`filter_load`](crate::filter_load).) Services are made by an installer, or by `ringbridge service`.

use crate::error::Win32Error;
use crate::sys::{self, Transport};

/// `StartService`: loads the driver of a service.
///
/// # Errors
/// ERROR_PRIVILEGE_NOT_HELD (1314) for who may not load drivers, where Windows has ERROR_ACCESS_DENIED (5); ERROR_SERVICE_ALREADY_RUNNING
/// (1056); ERROR_FILE_NOT_FOUND (2) when the service or its image is not there, where Windows has ERROR_SERVICE_DOES_NOT_EXIST (1060) for
/// the first; ERROR_BAD_EXE_FORMAT (193); what the driver's entry returned.
///
/// Source: OpenServiceW, StartServiceW.
pub fn start_service(transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    sys::service::start(transport, name)
}

/// `ControlService` with SERVICE_CONTROL_STOP: unloads the driver of a service; while files are open on its devices, later.
///
/// # Errors
/// As for [`start_service`]; ERROR_FILE_NOT_FOUND (2) when it is not running, where Windows has ERROR_SERVICE_NOT_ACTIVE (1062);
/// ERROR_INVALID_FUNCTION (1) when it has no unload routine, where Windows has ERROR_INVALID_SERVICE_CONTROL (1052).
///
/// Source: ControlService.
pub fn stop_service(transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    sys::service::stop(transport, name)
}
