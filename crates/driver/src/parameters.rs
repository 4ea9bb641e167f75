//! The parameters of the driver's service: values of the registry key `Parameters` below the one that
//! [`Driver::entry`](crate::Driver::entry) is told.

use core::mem::offset_of;
use core::ptr;

use abi::{
    HANDLE, KEY_QUERY_VALUE, KEY_VALUE_PARTIAL_INFORMATION, KeyValuePartialInformation, NTSTATUS,
    OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, REG_DWORD, REG_SZ, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_OBJECT_TYPE_MISMATCH,
};

use crate::nt::{ZwClose, ZwOpenKey, ZwQueryValueKey};
use crate::{PassiveLevel, PoolBox, Tag, UnicodeStr, utf16};

/// Where a value's bytes begin.
const DATA: usize = offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data);
const _: () = assert!(DATA.is_multiple_of(2));
const TYPE: usize = offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Type);

/// The open key of a service's parameters.
pub struct Parameters {
    key: Key,
    tag: Tag,
}

/// A kernel handle of a registry key.
struct Key(HANDLE);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, and closed once.
        let _closed = unsafe { ZwClose(self.0) };
    }
}

#[expect(clippy::cast_possible_truncation, reason = "48")]
const ATTRIBUTES_LENGTH: u32 = size_of::<OBJECT_ATTRIBUTES>() as u32;

fn open(root: HANDLE, name: UnicodeStr<'_>) -> Result<Key, NTSTATUS> {
    let mut attributes = OBJECT_ATTRIBUTES {
        Length: ATTRIBUTES_LENGTH,
        RootDirectory: root,
        ObjectName: name.as_raw().cast_mut(),
        Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: ptr::null_mut(),
        SecurityQualityOfService: ptr::null_mut(),
    };
    let mut key = ptr::null_mut();
    // SAFETY: valid for the call, which does not change the name.
    let status = unsafe { ZwOpenKey(&raw mut key, KEY_QUERY_VALUE, &raw mut attributes) };
    if status.is_success() { Ok(Key(key)) } else { Err(status) }
}

impl Parameters {
    /// Opens the parameters of the service whose key is at `registry_path`. `tag` is that of the memory that reading takes.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND when the service has none.
    pub fn open(_level: PassiveLevel, tag: Tag, registry_path: UnicodeStr<'_>) -> Result<Self, NTSTATUS> {
        let service = open(ptr::null_mut(), registry_path)?;
        Ok(Self { key: open(service.0, utf16!("Parameters"))?, tag })
    }

    /// The REG_DWORD `name`.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND when there is no such value, STATUS_OBJECT_TYPE_MISMATCH for one of another type,
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn dword(&self, _level: PassiveLevel, name: UnicodeStr<'_>) -> Result<u32, NTSTATUS> {
        let value = self.value(name, REG_DWORD)?;
        let bytes = value.get(DATA..DATA + 4).ok_or(STATUS_OBJECT_TYPE_MISMATCH)?;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| STATUS_OBJECT_TYPE_MISMATCH)?))
    }

    /// Runs `code` with the REG_SZ `name`, without its terminating zero.
    ///
    /// # Errors
    ///
    /// As for [`dword`](Self::dword).
    pub fn string<R>(
        &self,
        _level: PassiveLevel,
        name: UnicodeStr<'_>,
        code: impl FnOnce(UnicodeStr<'_>) -> R,
    ) -> Result<R, NTSTATUS> {
        let value = self.value(name, REG_SZ)?;
        let bytes = value.get(DATA..).unwrap_or(&[]);
        // SAFETY: any two bytes are a unit. Pool begins at a multiple of 16, and the data at an even offset.
        let (_, units, _) = unsafe { bytes.align_to::<u16>() };
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        Ok(code(UnicodeStr::new(&units[..end])))
    }

    /// A value of this type, as KEY_VALUE_PARTIAL_INFORMATION, cut to the length of its data.
    fn value(&self, name: UnicodeStr<'_>, value_type: u32) -> Result<PoolBox<[u8]>, NTSTATUS> {
        let mut length = DATA + 64;
        loop {
            let mut buffer = PoolBox::<[u8]>::zeroed(self.tag, length)?;
            let mut needed = 0;
            let room = u32::try_from(length).unwrap_or(u32::MAX);
            // SAFETY: an open key; the buffer has as many bytes as it says.
            let status = unsafe {
                ZwQueryValueKey(
                    self.key.0,
                    name.as_raw().cast_mut(),
                    KeyValuePartialInformation,
                    buffer.as_mut_ptr().cast(),
                    room,
                    &raw mut needed,
                )
            };
            let needed = needed as usize;
            if matches!(status, STATUS_BUFFER_OVERFLOW | STATUS_BUFFER_TOO_SMALL) && needed > length {
                // It may have grown meanwhile: asked for again.
                length = needed;
                continue;
            }
            if !status.is_success() {
                return Err(status);
            }
            let kind = buffer.get(TYPE..TYPE + 4).and_then(|bytes| bytes.try_into().ok());
            if kind.map(u32::from_le_bytes) != Some(value_type) {
                return Err(STATUS_OBJECT_TYPE_MISMATCH);
            }
            return PoolBox::<[u8]>::copy_of(self.tag, &buffer[..needed.min(length)]);
        }
    }
}
