//! Security descriptors of objects, and the creation of mailslots.

use gate::{Handle, Mailslot, SystemCall, Transport};

use super::{Memory, call, done};
use crate::error::Win32Error;
use crate::path::nt_path;

/// Bytes of most descriptors.
const FIRST: u32 = 1024;
/// Bytes of the longest: four parts of at most 64 KiB each.
const MOST: u32 = 1 << 18;

pub(crate) fn kernel_object_security(
    transport: &dyn Transport,
    handle: Handle,
    information: u32,
) -> Result<Vec<u8>, Win32Error> {
    let mut length = FIRST;
    loop {
        let memory = Memory::new(transport, length)?;
        let buffer = gate::Memory { address: memory.address(), length };
        let request = SystemCall::QuerySecurityObject { handle, information, buffer };
        let reply = transport.system_call(&request, &mut []);
        let bytes = u32::try_from(reply.information).unwrap_or(u32::MAX);
        if reply.status == abi::STATUS_BUFFER_TOO_SMALL && bytes > length && bytes <= MOST {
            length = bytes;
            continue;
        }
        done("GetKernelObjectSecurity", reply.status)?;
        let mut descriptor = vec![0; bytes.min(length) as usize];
        memory.read(0, &mut descriptor);
        return Ok(descriptor);
    }
}

pub(crate) fn set_kernel_object_security(
    transport: &dyn Transport,
    handle: Handle,
    information: u32,
    descriptor: &[u8],
) -> Result<(), Win32Error> {
    let request = SystemCall::SetSecurityObject { handle, information, descriptor };
    call(transport, "SetKernelObjectSecurity", &request)
}

/// `read_timeout` in milliseconds; MAILSLOT_WAIT_FOREVER is -1.
pub(crate) fn create_mailslot(
    transport: &dyn Transport,
    name: &str,
    maximum_message_size: u32,
    read_timeout: u32,
) -> Result<Handle, Win32Error> {
    let path = nt_path(name);
    let mailslot = Mailslot {
        desired_access: abi::GENERIC_READ | abi::SYNCHRONIZE | abi::WRITE_DAC,
        create_options: abi::FILE_WRITE_THROUGH | abi::FILE_SYNCHRONOUS_IO_NONALERT,
        quota: 0,
        maximum_message_size,
        read_timeout: if read_timeout == u32::MAX { -1 } else { -10_000 * i64::from(read_timeout) },
    };
    let reply = transport.system_call(&SystemCall::CreateMailslotFile { name: &path, mailslot }, &mut []);
    if reply.status.is_success() {
        Ok(reply.handle)
    } else {
        Err(Win32Error::new("CreateMailslot", name, reply.status))
    }
}
