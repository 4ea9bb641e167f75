//! `Flt…`: filters and their communication ports.

use abi::NTSTATUS;
use kernel::flt::{self, Message, PortRoutines};
use kernel::ke::Timeout;
use kernel::mm::PoolOwner;
use kernel::{Unwind, raw, se};

use crate::attributes;
use crate::call::status_of;
use crate::resolve::{Resolved, find, resolve_function};
use crate::row::rows;

/// Tag of security descriptors that are built for drivers.
const DESCRIPTOR_TAG: u32 = u32::from_le_bytes(*b"FMsd");
/// Longest name that FltGetRoutineAddress looks at, in bytes.
const LONGEST: u64 = 256;

rows! {
    dll = "fltmgr.sys";

    /// Registers a filter. Its ports work; its callbacks for file operations are kept and not called yet, and instances, contexts
    /// and names are not there.
    irql(PASSIVE_LEVEL) support(Partial)
    fn FltRegisterFilter(call, driver: u64, registration: u64, ret_filter: u64) -> NTSTATUS {
        match flt::register_filter(call.kernel, driver, registration)? {
            Ok(filter) => raw::write(ret_filter, filter).map(|()| abi::STATUS_SUCCESS),
            Err(status) => Ok(status),
        }
    }

    /// Starts filtering: there are no volumes to attach to yet.
    irql(APC_LEVEL) support(Partial)
    fn FltStartFiltering(call, filter: u64) -> NTSTATUS {
        Ok(status_of(flt::start_filtering(call.kernel, filter)))
    }

    /// Unregisters a filter: its connections end, and it returns when nobody uses the filter any more.
    irql(PASSIVE_LEVEL)
    fn FltUnregisterFilter(call, filter: u64) -> () {
        flt::unregister_filter(call.kernel, call.thread, filter)
    }

    /// Loads the driver of a minifilter's service, by the service's name. Its DriverEntry runs in a system thread.
    irql(PASSIVE_LEVEL)
    fn FltLoadFilter(call, filter_name: u64) -> NTSTATUS {
        let name = String::from_utf16_lossy(&call.string(filter_name)?);
        Ok(status_of(flt::load_filter(call.kernel, call.thread, &name)?))
    }

    /// Unloads a minifilter, by its service's name; its callback may refuse.
    irql(PASSIVE_LEVEL)
    fn FltUnloadFilter(call, filter_name: u64) -> NTSTATUS {
        let name = String::from_utf16_lossy(&call.string(filter_name)?);
        Ok(status_of(flt::unload_filter(call.kernel, call.thread, &name)?))
    }

    /// Keeps a filter from being unregistered. Other objects of the filter manager's are not there yet.
    irql(APC_LEVEL) support(Partial)
    fn FltObjectReference(call, object: u64) -> NTSTATUS {
        Ok(status_of(flt::reference_object(call.kernel, object)?))
    }

    /// Undoes FltObjectReference.
    irql(APC_LEVEL) support(Partial)
    fn FltObjectDereference(call, object: u64) -> () {
        flt::dereference_object(call.kernel, object)
    }

    /// Makes a descriptor by which the system and administrators have the access that is named, and nobody else any.
    irql(PASSIVE_LEVEL)
    fn FltBuildDefaultSecurityDescriptor(call, security_descriptor: u64, desired_access: u32) -> NTSTATUS {
        let Some(bytes) = flt::port_descriptor(desired_access).to_bytes() else {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        };
        let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
        let Some(block) = call.kernel.mm.pool.allocate_zeroed(bytes.len(), DESCRIPTOR_TAG, owner) else {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        };
        raw::copy_to(block.address, &bytes)?;
        raw::write(security_descriptor, block.address)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Frees what FltBuildDefaultSecurityDescriptor has made. What is no such block stops the machine: BAD_POOL_CALLER.
    irql(APC_LEVEL)
    fn FltFreeSecurityDescriptor(call, security_descriptor: u64) -> () {
        if call.kernel.mm.pool.free(security_descriptor).is_err() {
            call.kernel.bug_check(abi::BAD_POOL_CALLER, [0x7, 0, 0, security_descriptor]);
            return Err(Unwind::Halt);
        }
        Ok(())
    }

    /// Makes a port that applications connect to. OBJ_KERNEL_HANDLE is needed (else STATUS_INVALID_PARAMETER), and a name.
    irql(PASSIVE_LEVEL)
    fn FltCreateCommunicationPort(
        call,
        filter: u64,
        server_port: u64,
        object_attributes: u64,
        server_port_cookie: u64,
        connect_notify_callback: u64,
        disconnect_notify_callback: u64,
        message_notify_callback: u64,
        max_connections: i32
    ) -> NTSTATUS {
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        if attributes.attributes & abi::OBJ_KERNEL_HANDLE == 0 || attributes.name.is_none() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let path = match attributes.path(call) {
            Ok(path) => path,
            Err(status) => return Ok(status),
        };
        let descriptor = match attributes.security_descriptor {
            0 => None,
            address => match se::capture(address)? {
                Ok(descriptor) => Some(descriptor),
                Err(status) => return Ok(status),
            },
        };
        let routines = PortRoutines {
            cookie: server_port_cookie,
            connect: connect_notify_callback,
            disconnect: disconnect_notify_callback,
            message: message_notify_callback,
            maximum: max_connections.cast_unsigned(),
        };
        match flt::create_communication_port(call.kernel, filter, &path, descriptor, routines)? {
            Ok(port) => raw::write(server_port, port).map(|()| abi::STATUS_SUCCESS),
            Err(status) => Ok(status),
        }
    }

    /// Ends a port: nobody can connect any more, and connections stay. What is no port stops the machine: BAD_POOL_CALLER.
    irql(PASSIVE_LEVEL)
    fn FltCloseCommunicationPort(call, server_port: u64) -> () {
        flt::close_communication_port(call.kernel, server_port)
    }

    /// Ends a connection, and sets the caller's pointer to it to NULL.
    irql(PASSIVE_LEVEL)
    fn FltCloseClientPort(call, filter: u64, client_port: u64) -> () {
        let _ = filter;
        flt::close_client_port(call.kernel, client_port)
    }

    /// Sends a message to the application at a connection, and waits until it has got it, or has replied.
    irql(APC_LEVEL)
    fn FltSendMessage(
        call,
        filter: u64,
        client_port: u64,
        sender_buffer: u64,
        sender_buffer_length: u32,
        reply_buffer: u64,
        reply_length: u64,
        timeout: u64
    ) -> NTSTATUS {
        let _ = filter;
        let reply = match (reply_buffer, reply_length) {
            (0, _) => None,
            (_, 0) => return Ok(abi::STATUS_INVALID_PARAMETER),
            (buffer, length) => Some((buffer, raw::read(length)?)),
        };
        let data = (sender_buffer, sender_buffer_length);
        let message = Message { data, reply, timeout: Timeout::read(timeout)? };
        let (status, replied) = flt::send_message(call.kernel, call.thread, client_port, message)?;
        if reply.is_some() && matches!(status, abi::STATUS_SUCCESS | abi::STATUS_BUFFER_OVERFLOW) {
            raw::write(reply_length, replied)?;
        }
        Ok(status)
    }

    /// Returns the address of a routine of the filter manager's by name; NULL for what is not implemented.
    irql(PASSIVE_LEVEL)
    fn FltGetRoutineAddress(call, name: u64) -> u64 {
        let _ = call;
        let mut bytes = Vec::new();
        for index in 0..LONGEST {
            match raw::read::<u8>(name.wrapping_add(index))? {
                0 => break,
                byte => bytes.push(byte),
            }
        }
        let name = String::from_utf8_lossy(&bytes);
        if find(&name).is_none_or(|row| row.dll != "fltmgr.sys") {
            return Ok(0);
        }
        match resolve_function(&name) {
            Some(Resolved::Function(address)) => Ok(address as u64),
            _ => Ok(0),
        }
    }
}
