//! `IoWMI…`: drivers that offer data blocks to Windows Management Instrumentation.

use abi::NTSTATUS;
use kernel::io;

use super::ex;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Registers a device as a provider of WMI data blocks, or takes it back. Callbacks (WMIREG_FLAG_CALLBACK) are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoWMIRegistrationControl(call, device_object: u64, action: u32) -> NTSTATUS {
        Ok(io::wmi_registration_control(call.kernel, device_object, action))
    }

    /// Tells of a WMI event. The buffer, in nonpaged pool, is freed when it has been taken.
    irql(APC_LEVEL)
    fn IoWMIWriteEvent(call, wnode_event_item: u64) -> NTSTATUS {
        let status = io::wmi_write_event(call.kernel, wnode_event_item)?;
        if status.is_success() {
            ex::free(call.kernel, wnode_event_item, 0)?;
        }
        Ok(status)
    }
}
