//! Drivers that load and unload drivers: `ZwLoadDriver` and `ZwUnloadDriver`.

use abi::NTSTATUS;
use kernel::io;

use crate::call::status_of;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Loads the driver of a service, by the path of its key. Its DriverEntry runs in a system thread.
    irql(PASSIVE_LEVEL)
    fn ZwLoadDriver(call, driver_service_name: u64) -> NTSTATUS {
        let path = call.string(driver_service_name)?;
        Ok(status_of(io::load_driver_by_key(call.kernel, call.thread, &path)?))
    }

    /// Unloads the driver of a service, by the path of its key: now, or when its last file is closed.
    irql(PASSIVE_LEVEL)
    fn ZwUnloadDriver(call, driver_service_name: u64) -> NTSTATUS {
        let path = call.string(driver_service_name)?;
        Ok(status_of(io::unload_driver_by_key(call.kernel, call.thread, &path)?.map(drop)))
    }
}
