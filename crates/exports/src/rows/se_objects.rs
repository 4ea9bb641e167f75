//! Security descriptors of objects: `SeAssignSecurity`, `ZwSetSecurityObject` and their kin, and `IoCreateDeviceSecure`.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::io::{self, DeviceParameters, File, SecurityQuery};
use kernel::ob::Object;
use kernel::se::{self, SecurityDescriptor};
use kernel::{Outcome, raw};

use super::ex;
use super::se::{mapping, subject};
use crate::Call;
use crate::row::rows;

/// Tag of descriptors in pool.
const TAG: u32 = u32::from_le_bytes(*b"SeSd");

/// The object whose descriptor counts: for the open of a device itself, the device. An open of a name below it is the
/// driver's to protect, which has to be asked for by handle.
fn protected(call: Call<'_>, object: Arc<Object>) -> Result<Arc<Object>, NTSTATUS> {
    let Some(file) = object.body::<File>() else { return Ok(object) };
    let named = file.object.file_name().length().map_err(|_| abi::STATUS_INVALID_HANDLE)?;
    if named != 0 {
        return Err(abi::STATUS_NOT_IMPLEMENTED);
    }
    call.kernel.ob.by_address(file.device.address()).ok_or(abi::STATUS_INVALID_HANDLE)
}

/// Puts a descriptor into pool of the calling driver's, self-relative; 0 without memory.
fn to_pool(call: Call<'_>, descriptor: &SecurityDescriptor) -> Outcome<u64> {
    let Some(bytes) = descriptor.to_bytes() else { return Ok(0) };
    let address = ex::allocate(call, bytes.len() as u64, TAG, true, false)?;
    if address != 0 {
        raw::copy_to(address, &bytes)?;
    }
    Ok(address)
}

fn free(call: Call<'_>, address: u64) -> Outcome<()> {
    if address == 0 { Ok(()) } else { ex::free(call.kernel, address, 0) }
}

/// Captures a descriptor that may be absent.
fn capture(address: u64) -> Outcome<Result<Option<SecurityDescriptor>, NTSTATUS>> {
    if address == 0 { Ok(Ok(None)) } else { Ok(se::capture(address)?.map(Some)) }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Makes the security descriptor of a new object from an explicit one, the parent's and the creator's token.
    irql(PASSIVE_LEVEL)
    fn SeAssignSecurity(
        call,
        parent_descriptor: u64,
        explicit_descriptor: u64,
        new_descriptor: u64,
        is_directory_object: u8,
        subject_context: u64,
        generic_mapping: u64,
        _pool_type: u32
    ) -> NTSTATUS {
        let (parent, explicit) = match (capture(parent_descriptor)?, capture(explicit_descriptor)?) {
            (Ok(parent), Ok(explicit)) => (parent, explicit),
            (Err(status), _) | (_, Err(status)) => return Ok(status),
        };
        let token = subject(call, subject_context)?;
        let mapping = mapping(generic_mapping)?;
        let container = is_directory_object != 0;
        match se::assign(parent.as_ref(), explicit.as_ref(), container, &token, &mapping) {
            Ok(descriptor) => {
                let address = to_pool(call, &descriptor)?;
                raw::write(new_descriptor, address)?;
                Ok(if address == 0 { abi::STATUS_INSUFFICIENT_RESOURCES } else { abi::STATUS_SUCCESS })
            }
            Err(status) => Ok(status),
        }
    }

    /// Frees a security descriptor that SeAssignSecurity made, and sets the pointer to NULL.
    irql(PASSIVE_LEVEL)
    fn SeDeassignSecurity(call, security_descriptor: u64) -> NTSTATUS {
        free(call, raw::read(security_descriptor)?)?;
        raw::write(security_descriptor, 0_u64)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Copies a security descriptor into pool, self-relative; one of a kernel-mode caller's only when it asks for that.
    irql(PASSIVE_LEVEL)
    fn SeCaptureSecurityDescriptor(
        call,
        security_descriptor: u64,
        current_mode: u8,
        _pool_type: u32,
        capture_if_kernel: u8,
        captured: u64
    ) -> NTSTATUS {
        if security_descriptor == 0 || (current_mode == 0 && capture_if_kernel == 0) {
            raw::write(captured, security_descriptor)?;
            return Ok(abi::STATUS_SUCCESS);
        }
        match se::capture(security_descriptor)? {
            Ok(descriptor) => {
                let address = to_pool(call, &descriptor)?;
                raw::write(captured, address)?;
                Ok(if address == 0 { abi::STATUS_INSUFFICIENT_RESOURCES } else { abi::STATUS_SUCCESS })
            }
            Err(status) => Ok(status),
        }
    }

    /// Frees what SeCaptureSecurityDescriptor copied, called with the same mode and flag.
    irql(PASSIVE_LEVEL)
    fn SeReleaseSecurityDescriptor(call, captured: u64, current_mode: u8, capture_if_kernel: u8) -> () {
        if current_mode == 0 && capture_if_kernel == 0 { Ok(()) } else { free(call, captured) }
    }

    /// Sets parts of the security descriptor of an object: a device, through a handle to it or to an open of it, or any
    /// other; of an open of a name below a device, by IRP_MJ_SET_SECURITY.
    irql(PASSIVE_LEVEL) alias("NtSetSecurityObject")
    fn ZwSetSecurityObject(call, handle: u64, security_information: u32, security_descriptor: u64) -> NTSTATUS {
        let (information, buffer) = (security_information, security_descriptor);
        let query = SecurityQuery { handle, information, buffer, length: 0 };
        io::set_security(call.kernel, call.thread, &query)
    }

    /// Copies parts of the security descriptor of an object, self-relative; of an open of a name below a device, by
    /// IRP_MJ_QUERY_SECURITY.
    irql(PASSIVE_LEVEL) alias("NtQuerySecurityObject")
    fn ZwQuerySecurityObject(
        call,
        handle: u64,
        security_information: u32,
        security_descriptor: u64,
        length: u32,
        length_needed: u64
    ) -> NTSTATUS {
        let (information, buffer) = (security_information, security_descriptor);
        let query = SecurityQuery { handle, information, buffer, length };
        let (status, needed) = io::query_security(call.kernel, call.thread, &query)?;
        if status.is_success() || status == abi::STATUS_BUFFER_TOO_SMALL {
            raw::write(length_needed, u32::try_from(needed).unwrap_or(u32::MAX))?;
        }
        Ok(status)
    }

    /// Returns a copy of the security descriptor of an object; NULL where it has none.
    irql(APC_LEVEL)
    fn ObGetObjectSecurity(call, object: u64, security_descriptor: u64, memory_allocated: u64) -> NTSTATUS {
        let Some(object) = call.kernel.ob.by_address(object) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        let object = match protected(call, object) {
            Ok(object) => object,
            Err(status) => return Ok(status),
        };
        let (address, has) = match object.security() {
            Some(descriptor) => (to_pool(call, &descriptor)?, true),
            None => (0, false),
        };
        if has && address == 0 {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        raw::write(security_descriptor, address)?;
        raw::write(memory_allocated, u8::from(has))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Lets go of what ObGetObjectSecurity returned.
    irql(APC_LEVEL)
    fn ObReleaseObjectSecurity(call, security_descriptor: u64, memory_allocated: u8) -> () {
        if memory_allocated == 0 { Ok(()) } else { free(call, security_descriptor) }
    }

    /// Creates a named device with the security descriptor that a text stands for: a protected DACL, D:P(…). What the
    /// registry says for the device's setup class is not looked at.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoCreateDeviceSecure(
        call,
        driver_object: u64,
        device_extension_size: u32,
        device_name: u64,
        device_type: u32,
        device_characteristics: u32,
        exclusive: u8,
        default_sddl_string: u64,
        _device_class_guid: u64,
        device_object: u64
    ) -> NTSTATUS {
        let name = if device_name == 0 { None } else { Some(call.string(device_name)?) };
        // What has no name cannot be opened: there is nothing to protect.
        let named = name.is_some() || device_characteristics & abi::FILE_AUTOGENERATED_DEVICE_NAME != 0;
        let driver = call.kernel.io.driver_at(driver_object);
        let (Some(driver), true) = (driver, named && default_sddl_string != 0) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        let Some(security) = device_security(&call.string(default_sddl_string)?) else {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        };
        let parameters = DeviceParameters {
            extension_size: device_extension_size,
            name,
            device_type,
            characteristics: device_characteristics,
            exclusive: exclusive != 0,
            security: Some(security),
        };
        match io::create_device(call.kernel, &driver, &parameters)? {
            Ok(device) => {
                raw::write(device_object, device.address())?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }
}

/// The descriptor of a device: owner and group are the system's defaults, the list is the text's. `None` for a text with
/// anything but a DACL.
fn device_security(text: &[u16]) -> Option<SecurityDescriptor> {
    let asked = se::parse_sddl(text).ok().filter(|asked| asked.control == expected(asked))?;
    if asked.owner.is_some() || asked.group.is_some() {
        return None;
    }
    let information = abi::DACL_SECURITY_INFORMATION;
    let mapping =
        [abi::FILE_GENERIC_READ, abi::FILE_GENERIC_WRITE, abi::FILE_GENERIC_EXECUTE, abi::FILE_ALL_ACCESS];
    se::set_information(&se::device_descriptor(), information, &asked, &mapping).ok()
}

fn expected(asked: &SecurityDescriptor) -> u16 {
    abi::SE_DACL_PRESENT | asked.control & abi::SE_DACL_PROTECTED
}

#[cfg(test)]
mod tests {
    use kernel::ke::Thread;
    use platform::entry::KernelStack;

    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn releasing_as_a_descriptor_what_the_io_manager_owns_stops_the_machine_and_frees_nothing() {
        let scratch = Scratch::new();
        let stack = KernelStack { top: 0, limit: 0, guard: 0 };
        let thread = Thread::new(&scratch.kernel, 8, 4, stack, true).expect("pool");
        let call = Call { kernel: &scratch.kernel, thread: &thread };
        free(call, scratch.bytes(32)).expect("a block of its own");
        let irp = io::allocate_irp(call.kernel, 1).expect("pool").address();
        assert!(matches!(free(call, irp), Err(kernel::Unwind::Halt)));
        let stop = call.kernel.bugcheck().expect("stopped").stop;
        assert_eq!((stop.code, stop.parameters[1]), (abi::BAD_POOL_CALLER, irp));
        assert!(call.kernel.mm.pool.find(irp).is_some());
    }
}
