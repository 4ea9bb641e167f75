//! File mappings: `CreateFileMapping`, `OpenFileMapping`, `MapViewOfFile(Ex)`: NT's sections.

use std::fmt;
use std::ops::Deref;

use crate::device::Device;
use crate::error::Win32Error;
use crate::sys::{self, Handle, Transport};
use crate::view::View;

/// What views of a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingAccess {
    /// Reading: PAGE_READONLY, FILE_MAP_READ.
    Read,
    /// Reading and writing: PAGE_READWRITE, FILE_MAP_WRITE.
    ReadWrite,
}

impl MappingAccess {
    fn is_writable(self) -> bool {
        self == Self::ReadWrite
    }
}

/// Pages that processes and drivers show each other. Dropping it closes its handle; views stay.
pub struct FileMapping<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl fmt::Debug for FileMapping<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileMapping").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl<'a> FileMapping<'a> {
    /// `CreateFileMapping` without a file and without a name: `size` bytes of zeroes.
    ///
    /// # Errors
    /// ERROR_INVALID_PARAMETER (87) for no bytes; ERROR_NOT_ENOUGH_MEMORY (8), ERROR_NO_SYSTEM_RESOURCES (1450).
    pub fn new(transport: &'a dyn Transport, size: u64, access: MappingAccess) -> Result<Self, Win32Error> {
        Self::create(transport, None, None, size, access).map(|(mapping, _)| mapping)
    }

    /// `CreateFileMapping` without a file: creates the mapping of this name, or opens it if it exists (true then:
    /// ERROR_ALREADY_EXISTS; `size` is not looked at). `Global\Name` and `Name` are both `\BaseNamedObjects\Name`: a machine has one
    /// session.
    ///
    /// # Errors
    /// As for [`Self::new`]; ERROR_ACCESS_DENIED (5) when it exists and may not be used in this way; ERROR_INVALID_HANDLE (6) when the
    /// name is something else's.
    pub fn named(
        transport: &'a dyn Transport,
        name: &str,
        size: u64,
        access: MappingAccess,
    ) -> Result<(Self, bool), Win32Error> {
        Self::create(transport, None, Some(name), size, access)
    }

    /// `CreateFileMapping` of a file: all of it for a `size` of 0. A file that is too short becomes longer if its views are written
    /// to. What they write reaches the file with [`FileView::flush`], and with the last view and mapping.
    ///
    /// # Errors
    /// ERROR_FILE_INVALID (1006) for an empty file and no size; ERROR_NOT_ENOUGH_MEMORY (8) for more bytes than it has that is only
    /// read; ERROR_ACCESS_DENIED (5) when it was opened for less; ERROR_BAD_EXE_FORMAT (193) when its driver has no sections.
    pub fn of_file(
        transport: &'a dyn Transport,
        file: &Device<'_>,
        size: u64,
        access: MappingAccess,
    ) -> Result<Self, Win32Error> {
        Self::create(transport, Some(file.handle()), None, size, access).map(|(mapping, _)| mapping)
    }

    fn create(
        transport: &'a dyn Transport,
        file: Option<Handle>,
        name: Option<&str>,
        size: u64,
        access: MappingAccess,
    ) -> Result<(Self, bool), Win32Error> {
        let made = sys::create_file_mapping(transport, file, name, size, access.is_writable());
        made.map(|(handle, existed)| (Self { transport, handle }, existed))
    }

    /// `OpenFileMapping`.
    ///
    /// # Errors
    /// ERROR_FILE_NOT_FOUND (2); ERROR_ACCESS_DENIED (5); ERROR_INVALID_HANDLE (6) when the name is something else's.
    pub fn open(transport: &'a dyn Transport, name: &str, access: MappingAccess) -> Result<Self, Win32Error> {
        let handle = sys::open_file_mapping(transport, name, access.is_writable())?;
        Ok(Self { transport, handle })
    }

    /// The handle's value: what a driver gets that is to use the section.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The handle as it travels in a request: eight bytes on every system.
    #[must_use]
    pub fn handle_bytes(&self) -> [u8; 8] {
        sys::handle_value(self.handle).to_le_bytes()
    }

    /// `MapViewOfFile`: shows `size` bytes from `offset` on, a multiple of 64 KiB; all up to the end for a `size` of 0.
    ///
    /// # Errors
    /// ERROR_MAPPED_ALIGNMENT (1132) for another offset; ERROR_ACCESS_DENIED (5) for what is not all in the mapping, and without the
    /// right to it; ERROR_INVALID_PARAMETER (87) for writing to a mapping that is only read; ERROR_NO_SYSTEM_RESOURCES (1450).
    pub fn map(&self, access: MappingAccess, offset: u64, size: u64) -> Result<FileView<'a>, Win32Error> {
        self.map_at(access, offset, size, 0)
    }

    /// `MapViewOfFileEx`: the same at the address `base`, a multiple of 64 KiB; anywhere for 0.
    ///
    /// # Errors
    /// As for [`Self::map`]; ERROR_MAPPED_ALIGNMENT (1132) for another base; ERROR_INVALID_ADDRESS (487) when it is taken, or not
    /// the process's.
    pub fn map_at(
        &self,
        access: MappingAccess,
        offset: u64,
        size: u64,
        base: u64,
    ) -> Result<FileView<'a>, Win32Error> {
        const GRANULARITY: u64 = 0x1_0000;
        if !offset.is_multiple_of(GRANULARITY) || !base.is_multiple_of(GRANULARITY) {
            return Err(Win32Error::new("MapViewOfFileEx", "", abi::STATUS_MAPPED_ALIGNMENT));
        }
        let (address, length) =
            sys::map_view(self.transport, self.handle, offset, size, access.is_writable(), base)?;
        let view = View::new(self.transport, address, length).inspect_err(|_| {
            let _nobody_to_tell = sys::unmap_view(self.transport, address);
        })?;
        Ok(FileView { transport: self.transport, view })
    }
}

impl Drop for FileMapping<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = sys::close(self.transport, self.handle);
    }
}

/// A view of a [`FileMapping`]: a [`View`] that ends when this is dropped (`UnmapViewOfFile`).
pub struct FileView<'a> {
    transport: &'a dyn Transport,
    view: View,
}

impl fmt::Debug for FileView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(formatter)
    }
}

impl FileView<'_> {
    /// `FlushViewOfFile`: writes `length` changed bytes from `start` on to the file, all up to the end for 0.
    ///
    /// # Errors
    /// What the file's driver answers.
    ///
    /// # Panics
    /// If `start` is not inside.
    pub fn flush(&self, start: u64, length: u64) -> Result<(), Win32Error> {
        assert!(start < self.view.len(), "outside of the view");
        sys::flush_view(self.transport, self.view.address() + start, length)
    }
}

impl Deref for FileView<'_> {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Drop for FileView<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = sys::unmap_view(self.transport, self.view.address());
    }
}
