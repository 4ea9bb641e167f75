//! `Io…`

use kernel::io::{self, DeviceParameters};
use kernel::raw::{self, DeviceObject, Irp};

use crate::call::status_of;
use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Creates a device object for use by a driver. One with a name gets the system's default security descriptor.
    irql(APC_LEVEL)
    fn IoCreateDevice(
        call,
        driver_object: u64,
        device_extension_size: u32,
        device_name: u64,
        device_type: u32,
        device_characteristics: u32,
        exclusive: u8,
        device_object: u64
    ) -> abi::NTSTATUS {
        let name = if device_name == 0 { None } else { Some(call.string(device_name)?) };
        let Some(driver) = call.kernel.io.driver_at(driver_object) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        let parameters = DeviceParameters {
            extension_size: device_extension_size,
            name,
            device_type,
            characteristics: device_characteristics,
            exclusive: exclusive != 0,
            security: None,
        };
        match io::create_device(call.kernel, &driver, &parameters)? {
            Ok(device) => {
                raw::write(device_object, device.address())?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Removes a device object from the system, when the last file on it is closed.
    irql(APC_LEVEL)
    fn IoDeleteDevice(call, device_object: u64) -> () {
        io::delete_device(call.kernel, DeviceObject::at(device_object))
    }

    /// Sets up a symbolic link between a device object's name and a name that applications see.
    irql(PASSIVE_LEVEL) alias("IoCreateUnprotectedSymbolicLink")
    fn IoCreateSymbolicLink(call, symbolic_link_name: u64, device_name: u64) -> abi::NTSTATUS {
        let (name, target) = (call.string(symbolic_link_name)?, call.string(device_name)?);
        Ok(status_of(io::create_symbolic_link(call.kernel, &name, &target)))
    }

    /// Removes a symbolic link from the system.
    irql(PASSIVE_LEVEL)
    fn IoDeleteSymbolicLink(call, symbolic_link_name: u64) -> abi::NTSTATUS {
        let name = call.string(symbolic_link_name)?;
        Ok(status_of(io::delete_symbolic_link(call.kernel, &name)))
    }

    /// Says that all processing of an I/O request is done and returns the IRP to the I/O manager.
    irql(DISPATCH_LEVEL) alias("IoCompleteRequest")
    fn IofCompleteRequest(call, irp: u64, priority_boost: u8) -> () {
        io::complete_request(call.kernel, Irp::at(irp), priority_boost)
    }

    /// Sends an IRP to the driver of a device object.
    irql(DISPATCH_LEVEL) alias("IoCallDriver", "PoCallDriver")
    fn IofCallDriver(call, device_object: u64, irp: u64) -> abi::NTSTATUS {
        io::call_driver(call.kernel, DeviceObject::at(device_object), Irp::at(irp))
    }

    /// Returns how many bytes of the current kernel stack are left.
    irql(DISPATCH_LEVEL)
    fn IoGetRemainingStackSize(call) -> u64 {
        let here = call.frame().rsp;
        Ok(here.saturating_sub(call.thread.stack.limit as u64))
    }

    /// Returns the bounds of the current thread's stack.
    irql(HIGH_LEVEL)
    fn IoGetStackLimits(call, low_limit: u64, high_limit: u64) -> () {
        raw::write(low_limit, call.thread.stack.limit as u64)?;
        raw::write(high_limit, call.thread.stack.top as u64)
    }
}
