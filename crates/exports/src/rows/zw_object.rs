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
        attributes::open::<Directory>(call, handle, desired_access, object_attributes)
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
        attributes::open::<SymbolicLink>(call, handle, desired_access, object_attributes)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::ex::{self, EventBody};
    use kernel::ke::Thread;
    use kernel::ps::SYSTEM_PROCESS_ID;
    use platform::entry::KernelStack;

    use super::*;
    use crate::attributes::Attributes;
    use crate::rows::scratch::Scratch;

    fn thread(scratch: &Scratch, process: u32) -> Thread {
        let stack = KernelStack { top: 0, limit: 0, guard: 0 };
        Thread::new(&scratch.kernel, 8, process, stack, true).expect("pool")
    }

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn attributes(root: u64, name: &str, attributes: u32) -> Attributes {
        Attributes { root, name: Some(wide(name)), attributes, security: None }
    }

    #[test]
    fn an_object_that_gets_no_handle_leaves_no_name() {
        let scratch = Scratch::new();
        let kernel = &*scratch.kernel;
        let process = kernel.ps.create("application");
        let thread = thread(&scratch, process.id);
        kernel.ps.terminate(kernel, &process).expect("running");
        let object: Arc<Object> = Object::new(0, Directory::default());
        let name = attributes(0, r"\Late", abi::OBJ_PERMANENT);
        let to = scratch.bytes(8);
        let made = attributes::create::<Directory>(Call { kernel, thread: &thread }, to, 0, &name, &object);
        assert_eq!(made.expect("writable"), abi::STATUS_PROCESS_IS_TERMINATING);
        assert_eq!(object.references(), 0);
        assert!(kernel.ob.find(&wide(r"\Late"), false).is_err());
    }

    #[test]
    fn a_directory_that_lost_its_name_is_not_taken_for_the_root() {
        let scratch = Scratch::new();
        let kernel = &*scratch.kernel;
        let thread = thread(&scratch, SYSTEM_PROCESS_ID);
        let call = Call { kernel, thread: &thread };
        let open = |object: &Arc<Object>| {
            assert!(object.try_reference());
            ob::open_handle(kernel, &thread, object, 0, 0).expect("room")
        };
        let root = open(&kernel.ob.find(&wide(r"\"), false).expect("the root").object);
        assert_eq!(attributes(root, "Device", 0).path(call), Ok(wide(r"\Device")));
        let directory = Object::new(0, Directory::default());
        kernel.ob.insert(&wide(r"\Gone"), &directory, true).expect("a free name");
        let gone = open(&directory);
        assert_eq!(attributes(gone, "Device", 0).path(call), Ok(wide(r"\Gone\Device")));
        assert!(kernel.ob.remove_name(&directory));
        assert_eq!(attributes(gone, "Device", 0).path(call), Err(abi::STATUS_OBJECT_PATH_NOT_FOUND));
    }

    #[test]
    fn openif_opens_what_a_link_leads_to_unless_links_are_made() {
        let scratch = Scratch::new();
        let kernel = &*scratch.kernel;
        let thread = thread(&scratch, SYSTEM_PROCESS_ID);
        let event = || ex::event_object(kernel, abi::NotificationEvent, false).expect("pool");
        kernel.ob.insert(&wide(r"\Event"), &event(), true).expect("a free name");
        let link = || Object::new(0, SymbolicLink { target: wide(r"\Event") });
        kernel.ob.insert(&wide(r"\Link"), &link(), true).expect("a free name");
        let name = attributes(0, r"\Link", abi::OBJ_OPENIF);
        let (call, to) = (Call { kernel, thread: &thread }, scratch.bytes(8));
        for (made, type_name) in [
            (attributes::create::<EventBody>(call, to, 0, &name, &event()), "Event"),
            (attributes::create::<SymbolicLink>(call, to, 0, &name, &link()), "SymbolicLink"),
        ] {
            assert_eq!(made.expect("writable"), abi::STATUS_OBJECT_NAME_EXISTS, "{type_name}");
        }
    }
}
