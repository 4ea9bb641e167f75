//! `Po…`: power requests of drivers.

use abi::NTSTATUS;
use kernel::io::{self, PowerRequest};
use kernel::raw::DeviceObject;

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Sends a power request to the top of a device's stack, and calls a function at its end. Set-power requests for one
    /// device are not held back until the one before has ended.
    irql(DISPATCH_LEVEL) support(Partial)
    fn PoRequestPowerIrp(
        call,
        device_object: u64,
        minor_function: u8,
        power_state: i32,
        completion_function: u64,
        context: u64,
        irp: u64
    ) -> NTSTATUS {
        let request = PowerRequest {
            device: DeviceObject::at(device_object),
            minor: minor_function,
            state: power_state,
            completion: (completion_function, context),
            irp,
        };
        io::request_power_irp(call.kernel, &request)
    }

    /// Does nothing, as since Windows Vista: requests are not held back for it.
    irql(DISPATCH_LEVEL)
    fn PoStartNextPowerIrp(call, irp: u64) -> () {
        let _nothing_waits = (call, irp);
        Ok(())
    }

    /// Notes the power state of a device; returns the one before.
    irql(DISPATCH_LEVEL)
    fn PoSetPowerState(call, device_object: u64, state_type: i32, state: i32) -> i32 {
        Ok(io::set_power_state(call.kernel, DeviceObject::at(device_object), state_type, state))
    }
}
