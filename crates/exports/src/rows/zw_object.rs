//! `Zw…DirectoryObject`, `Zw…SymbolicLinkObject`: the namespace by handle.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::ob::{self, Directory, NamedObject, Object, ObjectBody, SymbolicLink, Wanted};
use kernel::raw::{self, UnicodeString};

use crate::Call;
use crate::attributes;
use crate::row::rows;

/// Runs `body` with what a handle's object keeps.
fn with_body<T: ObjectBody, R>(
    call: Call<'_>,
    handle: u64,
    body: impl FnOnce(&T) -> R,
) -> Result<R, NTSTATUS> {
    let entry = ob::reference_by_handle(call.kernel, call.thread, handle, Wanted::default())?;
    let result = entry.object.body::<T>().map(body);
    entry.object.dereference(call.kernel);
    result.ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)
}

fn make(call: Call<'_>, to: u64, access: u32, address: u64, body: impl ObjectBody) -> Outcome<NTSTATUS> {
    let attributes = match attributes::read(call, address)? {
        Ok(attributes) => attributes,
        Err(status) => return Ok(status),
    };
    let is_link = body.as_any().is::<SymbolicLink>();
    let object = Object::new(0, body);
    if is_link {
        attributes::create::<SymbolicLink>(call, to, access, &attributes, &object)
    } else {
        attributes::create::<Directory>(call, to, access, &attributes, &object)
    }
}

/// Bytes of an OBJECT_DIRECTORY_INFORMATION: two UNICODE_STRINGs.
const ENTRY: usize = 32;

/// Writes entries, one of zeros, and behind them their strings.
fn write_entries(buffer: u64, entries: &[NamedObject]) -> Outcome<()> {
    let mut text = buffer.wrapping_add(((entries.len() + 1) * ENTRY) as u64);
    let mut at = buffer;
    for (name, object) in entries {
        let type_name: Vec<u16> = object.object_type().name.encode_utf16().collect();
        for string in [name, &type_name] {
            let bytes = u16::try_from(string.len() * 2).unwrap_or(u16::MAX - 2);
            raw::copy_wide(text, string)?;
            raw::write(text.wrapping_add(u64::from(bytes)), 0_u16)?;
            UnicodeString::at(at).set(bytes, bytes + 2, text)?;
            text = text.wrapping_add(u64::from(bytes) + 2);
            at = at.wrapping_add(16);
        }
    }
    raw::fill(at, 0, ENTRY)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Opens an object directory.
    irql(PASSIVE_LEVEL)
    fn ZwOpenDirectoryObject(call, handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        attributes::open::<Directory>(call, handle, desired_access, object_attributes, false)
    }

    /// Makes an object directory.
    irql(PASSIVE_LEVEL)
    fn ZwCreateDirectoryObject(call, handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        make(call, handle, desired_access, object_attributes, Directory::default())
    }

    /// Tells the objects of a directory, one or as many as fit, from where the context says.
    irql(PASSIVE_LEVEL)
    fn ZwQueryDirectoryObject(
        call,
        directory: u64,
        buffer: u64,
        length: u32,
        return_single_entry: u8,
        restart_scan: u8,
        context: u64,
        return_length: u64
    ) -> NTSTATUS {
        let listed = match with_body::<Directory, _>(call, directory, Directory::list) {
            Ok(listed) => listed,
            Err(status) => return Ok(status),
        };
        let start = if restart_scan != 0 { 0 } else { raw::read::<u32>(context)? as usize };
        let rest = listed.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(abi::STATUS_NO_MORE_ENTRIES);
        }
        let most = if return_single_entry != 0 { 1 } else { rest.len() };
        let (mut size, mut count) = (ENTRY, 0);
        for (name, object) in &rest[..most] {
            let more = ENTRY + name.len() * 2 + object.object_type().name.len() * 2 + 4;
            if size + more > length as usize {
                if count == 0 {
                    size += more;
                }
                break;
            }
            size += more;
            count += 1;
        }
        if return_length != 0 {
            raw::write(return_length, u32::try_from(size).unwrap_or(u32::MAX))?;
        }
        if count == 0 {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        write_entries(buffer, &rest[..count])?;
        raw::write(context, u32::try_from(start + count).unwrap_or(u32::MAX))?;
        Ok(if count < most { abi::STATUS_MORE_ENTRIES } else { abi::STATUS_SUCCESS })
    }

    /// Opens a symbolic link itself.
    irql(PASSIVE_LEVEL)
    fn ZwOpenSymbolicLinkObject(call, handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        attributes::open::<SymbolicLink>(call, handle, desired_access, object_attributes, true)
    }

    /// Makes a symbolic link, which goes with its last handle unless it is permanent.
    irql(PASSIVE_LEVEL)
    fn ZwCreateSymbolicLinkObject(
        call,
        handle: u64,
        desired_access: u32,
        object_attributes: u64,
        link_target: u64
    ) -> NTSTATUS {
        let target = call.string(link_target)?;
        if target.is_empty() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        make(call, handle, desired_access, object_attributes, SymbolicLink { target })
    }

    /// Tells a symbolic link's target.
    irql(PASSIVE_LEVEL)
    fn ZwQuerySymbolicLinkObject(call, handle: u64, link_target: u64, returned_length: u64) -> NTSTATUS {
        let target = match with_body(call, handle, |link: &SymbolicLink| link.target.clone()) {
            Ok(target) => target,
            Err(status) => return Ok(status),
        };
        let bytes = u16::try_from(target.len() * 2).unwrap_or(u16::MAX - 1);
        if returned_length != 0 {
            raw::write(returned_length, u32::from(bytes))?;
        }
        let string = UnicodeString::at(link_target);
        if string.maximum_length()? < bytes {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        raw::copy_wide(string.buffer()?, &target)?;
        string.set_length(bytes)?;
        Ok(abi::STATUS_SUCCESS)
    }
}
