//! What drivers hang on their driver objects.

use kernel::io;
use kernel::raw::{self, DriverObject};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Allocates memory that is found again by the driver object and an address, and goes with the driver.
    irql(APC_LEVEL)
    fn IoAllocateDriverObjectExtension(
        call,
        driver_object: u64,
        client_identification_address: u64,
        driver_object_extension_size: u32,
        driver_object_extension: u64
    ) -> abi::NTSTATUS {
        let driver = DriverObject::at(driver_object);
        let (client, size) = (client_identification_address, driver_object_extension_size);
        match io::allocate_driver_object_extension(call.kernel, driver, client, size) {
            Ok(extension) => {
                raw::write(driver_object_extension, extension)?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Finds what IoAllocateDriverObjectExtension has allocated; NULL if nothing.
    irql(DISPATCH_LEVEL)
    fn IoGetDriverObjectExtension(call, driver_object: u64, client_identification_address: u64) -> u64 {
        let driver = DriverObject::at(driver_object);
        Ok(io::driver_object_extension(call.kernel, driver, client_identification_address))
    }

    /// Has a routine called when the driver's DriverEntry has succeeded.
    irql(PASSIVE_LEVEL) alias("IoRegisterBootDriverReinitialization")
    fn IoRegisterDriverReinitialization(
        call,
        driver_object: u64,
        driver_reinitialization_routine: u64,
        context: u64
    ) -> () {
        let driver = DriverObject::at(driver_object);
        io::register_reinitialization(call.kernel, driver, driver_reinitialization_routine, context)
    }
}
