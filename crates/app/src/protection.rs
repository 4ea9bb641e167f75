//! Who may do what with an open object: `GetKernelObjectSecurity`, `SetKernelObjectSecurity`. And `CreateMailslot`, whose handle is a
//! device's as every other is.

use crate::device::Device;
use crate::error::Win32Error;
use crate::sys::{self, Transport};

impl<'a> Device<'a> {
    /// `GetKernelObjectSecurity`: a self-relative SECURITY_DESCRIPTOR with those parts that `information` names
    /// (OWNER_SECURITY_INFORMATION and its like).
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) for a handle without READ_CONTROL, or ACCESS_SYSTEM_SECURITY for the SACL; the driver's, for a name below
    /// its device.
    pub fn security(&self, information: u32) -> Result<Vec<u8>, Win32Error> {
        sys::kernel_object_security(self.transport(), self.handle(), information)
    }

    /// `SetKernelObjectSecurity`: changes those parts to what the self-relative `descriptor` has.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) for a handle without WRITE_OWNER, WRITE_DAC or ACCESS_SYSTEM_SECURITY;
    /// ERROR_INVALID_SECURITY_DESCR (1338); ERROR_INVALID_OWNER (1307); the driver's, for a name below its device.
    pub fn set_security(&self, information: u32, descriptor: &[u8]) -> Result<(), Win32Error> {
        sys::set_kernel_object_security(self.transport(), self.handle(), information, descriptor)
    }

    /// `CreateMailslot`: makes `\\.\mailslot\name`, and opens its reading end. `maximum_message_size` in bytes, 0 for any;
    /// `read_timeout` in milliseconds, [`u32::MAX`] for ever.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2) or ERROR_PATH_NOT_FOUND (3) where no driver serves mailslots, which is so on Ringbridge until one is
    /// loaded that does; ERROR_ALREADY_EXISTS (183) when the driver knows the name.
    pub fn create_mailslot(
        transport: &'a dyn Transport,
        name: &str,
        maximum_message_size: u32,
        read_timeout: u32,
    ) -> Result<Self, Win32Error> {
        let handle = sys::create_mailslot(transport, name, maximum_message_size, read_timeout)?;
        Ok(Self::from_handle(transport, handle))
    }
}
