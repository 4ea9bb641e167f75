//! `Io…`: device stacks.

use abi::NTSTATUS;
use kernel::io;
use kernel::raw::{self, DeviceObject, FileObject};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Attaches a device to the stack of a named device; returns the device that it stands on now.
    irql(PASSIVE_LEVEL)
    fn IoAttachDevice(call, source_device: u64, target_device: u64, attached_device: u64) -> NTSTATUS {
        let target = call.string(target_device)?;
        let source = DeviceObject::at(source_device);
        let attached = io::attach_to_named(call.kernel, source, &target, attached_device)?;
        Ok(attached.err().unwrap_or(abi::STATUS_SUCCESS))
    }

    /// Attaches a device to the top of a stack; returns the device that it stands on now, or NULL.
    irql(DISPATCH_LEVEL) alias("IoAttachDeviceByPointer")
    fn IoAttachDeviceToDeviceStack(call, source_device: u64, target_device: u64) -> u64 {
        let (source, target) = (DeviceObject::at(source_device), DeviceObject::at(target_device));
        Ok(io::attach_to_stack(call.kernel, source, target, 0)?.map_or(0, DeviceObject::address))
    }

    /// As IoAttachDeviceToDeviceStack; the device below is written before the first request can come.
    irql(DISPATCH_LEVEL)
    fn IoAttachDeviceToDeviceStackSafe(
        call,
        source_device: u64,
        target_device: u64,
        attached_to_device_object: u64
    ) -> NTSTATUS {
        let (source, target) = (DeviceObject::at(source_device), DeviceObject::at(target_device));
        match io::attach_to_stack(call.kernel, source, target, attached_to_device_object)? {
            Ok(_) => Ok(abi::STATUS_SUCCESS),
            Err(status) => {
                raw::write(attached_to_device_object, 0_u64)?;
                Ok(status)
            }
        }
    }

    /// Takes the device that is attached to a device off it.
    irql(PASSIVE_LEVEL)
    fn IoDetachDevice(call, target_device: u64) -> () {
        io::detach(call.kernel, DeviceObject::at(target_device))
    }

    /// Returns the device at the top of a stack.
    irql(DISPATCH_LEVEL)
    fn IoGetAttachedDevice(call, device_object: u64) -> u64 {
        let _no_state_of_the_machine = call;
        io::attached_device(DeviceObject::at(device_object)).map(DeviceObject::address)
    }

    /// Returns the device at the top of a stack, referenced.
    irql(DISPATCH_LEVEL)
    fn IoGetAttachedDeviceReference(call, device_object: u64) -> u64 {
        io::attached_device_reference(call.kernel, DeviceObject::at(device_object)).map(DeviceObject::address)
    }

    /// Returns the device below another in its stack, referenced; NULL at the bottom.
    irql(DISPATCH_LEVEL)
    fn IoGetLowerDeviceObject(call, device_object: u64) -> u64 {
        Ok(io::lower_device_reference(call.kernel, DeviceObject::at(device_object)).address())
    }

    /// Returns the device at the bottom of a stack, referenced.
    irql(DISPATCH_LEVEL)
    fn IoGetDeviceAttachmentBaseRef(call, device_object: u64) -> u64 {
        Ok(io::base_device_reference(call.kernel, DeviceObject::at(device_object)).address())
    }

    /// Returns the top of the stack that requests on a file go to. File systems' volumes are not implemented.
    irql(DISPATCH_LEVEL)
    fn IoGetRelatedDeviceObject(call, file_object: u64) -> u64 {
        let _no_state_of_the_machine = call;
        io::related_device(FileObject::at(file_object)).map(DeviceObject::address)
    }

    /// Opens a named device; returns its file object, referenced, and the top of its stack.
    irql(PASSIVE_LEVEL)
    fn IoGetDeviceObjectPointer(
        call,
        object_name: u64,
        desired_access: u32,
        file_object: u64,
        device_object: u64
    ) -> NTSTATUS {
        let name = call.string(object_name)?;
        let Some(process) = call.kernel.ps.get(call.thread.process_id) else {
            return Ok(abi::STATUS_PROCESS_IS_TERMINATING);
        };
        match io::device_object_pointer(call.kernel, &process, &name, desired_access)? {
            Ok((file, device)) => {
                raw::write(file_object, file.address())?;
                raw::write(device_object, device.address())?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }
}
