//! What drivers hang on their driver objects.

use abi::NTSTATUS;
use kernel::io;
use kernel::raw::{self, DriverObject};

use super::zw_key;
use crate::Call;
use crate::attributes::{self, Attributes};
use crate::row::rows;

/// The path of a driver's `Parameters` key.
fn parameters_path(call: Call<'_>, driver_object: u64) -> Result<Vec<u16>, NTSTATUS> {
    let driver = call.kernel.io.driver_at(driver_object).ok_or(abi::STATUS_INVALID_PARAMETER_1)?;
    let name = &driver.name;
    let path = format!(r"\Registry\Machine\System\CurrentControlSet\Services\{name}\Parameters");
    Ok(path.encode_utf16().collect())
}

rows! {
    dll = "ntoskrnl.exe";

    /// Opens the `Parameters` key of a driver's service; a kernel handle. The keys for what drivers keep of their own are not
    /// implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoOpenDriverRegistryKey(
        call,
        driver_object: u64,
        reg_key_type: i32,
        desired_access: u32,
        flags: u32,
        driver_reg_key: u64
    ) -> NTSTATUS {
        if flags != 0 {
            return Ok(abi::STATUS_INVALID_PARAMETER_4);
        }
        if reg_key_type != abi::DriverRegKeyParameters {
            let known = (0..abi::MaxDriverRegKeyType).contains(&reg_key_type);
            return Ok(if known { abi::STATUS_NOT_IMPLEMENTED } else { abi::STATUS_INVALID_PARAMETER_2 });
        }
        let opened = parameters_path(call, driver_object).and_then(|path| {
            let attributes =
                Attributes { name: Some(path), attributes: abi::OBJ_KERNEL_HANDLE, ..Attributes::default() };
            Ok(zw_key::open_key(call, &attributes, desired_access, None)?.0)
        });
        attributes::answer(driver_reg_key, opened)
    }

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
