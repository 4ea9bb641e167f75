//! `Device`: an open handle to a device, with the calls of a Win32 program.

use crate::control_code::ControlCode;
use crate::error::Win32Error;
use crate::file::Disposition;
use crate::security::SecurityQos;
use crate::sys::{self, Create, Handle, Transport};
use crate::wait::Waitable;

/// How to open a device: `CreateFile`'s arguments. By default for reading and writing, unshared, existing.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    access: u32,
    share: u32,
    overlapped: bool,
    disposition: Disposition,
    directory: bool,
    delete_on_close: bool,
    security_qos: Option<SecurityQos>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            access: abi::GENERIC_READ | abi::GENERIC_WRITE,
            share: 0,
            overlapped: false,
            disposition: Disposition::OpenExisting,
            directory: false,
            delete_on_close: false,
            security_qos: None,
        }
    }
}

impl OpenOptions {
    /// For reading and writing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `dwDesiredAccess`: GENERIC_READ, GENERIC_WRITE, FILE_READ_DATA, 0 …
    #[must_use]
    pub fn access(mut self, access: u32) -> Self {
        self.access = access;
        self
    }

    /// `dwShareMode`: FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE.
    #[must_use]
    pub fn share(mut self, share: u32) -> Self {
        self.share = share;
        self
    }

    /// FILE_FLAG_OVERLAPPED: requests may go on when their call has returned.
    #[must_use]
    pub fn overlapped(mut self, overlapped: bool) -> Self {
        self.overlapped = overlapped;
        self
    }

    /// `dwCreationDisposition`.
    #[must_use]
    pub fn disposition(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    /// FILE_FLAG_BACKUP_SEMANTICS: a folder may be opened too.
    #[must_use]
    pub fn directory(mut self, directory: bool) -> Self {
        self.directory = directory;
        self
    }

    /// FILE_FLAG_DELETE_ON_CLOSE: the file goes when its last handle is closed.
    #[must_use]
    pub fn delete_on_close(mut self, delete_on_close: bool) -> Self {
        self.delete_on_close = delete_on_close;
        self
    }

    /// SECURITY_SQOS_PRESENT with its flags: what the driver, or the server behind it, may do with the application's token. By
    /// default it may impersonate, with the token as it is at that time.
    #[must_use]
    pub fn security_qos(mut self, qos: SecurityQos) -> Self {
        self.security_qos = Some(qos);
        self
    }

    /// `CreateFile(path, …, FILE_ATTRIBUTE_NORMAL)`.
    ///
    /// # Errors
    /// ERROR_FILE_EXISTS (80) when there is a file that was to be made;
    /// ERROR_FILE_NOT_FOUND (2) when there is no such device, ERROR_PATH_NOT_FOUND (3) when there is no such directory,
    /// ERROR_ACCESS_DENIED (5) when it is open exclusively or its security descriptor says so, or what the driver's create
    /// routine says.
    pub fn open<'a>(&self, transport: &'a dyn Transport, path: &str) -> Result<Device<'a>, Win32Error> {
        let create = Create {
            access: self.access,
            share: self.share,
            disposition: self.disposition,
            overlapped: self.overlapped,
            directory: self.directory,
            delete_on_close: self.delete_on_close,
            security: self.security_qos.map_or(0, SecurityQos::flags),
        };
        let handle = sys::create_file(transport, path, &create)?;
        Ok(Device { transport, handle })
    }
}

/// An open device. Closing it on drop ignores errors; [`Device::close`] reports them.
pub struct Device<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl std::fmt::Debug for Device<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Device").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<'a> Device<'a> {
    /// Opens a device for reading and writing.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`].
    pub fn open(transport: &'a dyn Transport, path: &str) -> Result<Self, Win32Error> {
        OpenOptions::new().open(transport, path)
    }

    /// A file that was opened in another way.
    pub(crate) fn from_handle(transport: &'a dyn Transport, handle: Handle) -> Self {
        Self { transport, handle }
    }

    /// The handle's value.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    pub(crate) fn transport(&self) -> &'a dyn Transport {
        self.transport
    }

    /// `ReadFile`: fills the front of `buffer`; returns how many bytes.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) without read access, ERROR_INVALID_FUNCTION (1) when the driver does not read, or the
    /// driver's error.
    pub fn read(&self, buffer: &mut [u8]) -> Result<u32, Win32Error> {
        sys::read(self.transport, self.handle, buffer)
    }

    /// `WriteFile`; returns how many bytes were taken.
    ///
    /// # Errors
    /// As for [`Device::read`], of writing.
    pub fn write(&self, data: &[u8]) -> Result<u32, Win32Error> {
        sys::write(self.transport, self.handle, data)
    }

    /// `DeviceIoControl`; returns `lpBytesReturned`.
    ///
    /// # Errors
    /// ERROR_ACCESS_DENIED (5) when the code asks for access that the handle lacks, ERROR_INVALID_FUNCTION (1) when the
    /// driver does not know the code, ERROR_MORE_DATA (234) with the bytes that fitted in [`Win32Error::bytes`], or the
    /// driver's error.
    #[inline]
    pub fn control(&self, code: ControlCode, input: &[u8], output: &mut [u8]) -> Result<u32, Win32Error> {
        sys::control(self.transport, self.handle, code.0, input, output)
    }

    /// `DuplicateHandle(…, DUPLICATE_SAME_ACCESS)`: a second handle to the same open file. The driver sees CLEANUP when both
    /// are closed.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6), or that the host is gone.
    pub fn try_clone(&self) -> Result<Self, Win32Error> {
        let handle = sys::duplicate(self.transport, self.handle)?;
        Ok(Device { transport: self.transport, handle })
    }

    /// `CloseHandle`.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6), or that the host is gone.
    pub fn close(self) -> Result<(), Win32Error> {
        let closed = sys::close(self.transport, self.handle);
        std::mem::forget(self);
        closed
    }
}

impl Waitable for Device<'_> {
    fn wait_handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        let _reported_by_close_only = sys::close(self.transport, self.handle);
    }
}
