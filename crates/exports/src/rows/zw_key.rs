//! `Zw…Key`: registry keys by handle.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::cm::{self, Answer, Key, KeyBody, NewKey, Value};
use kernel::ob::{self, Wanted};
use kernel::{Outcome, raw};

use crate::attributes::{self, Attributes};
use crate::row::rows;
use crate::{Call, call::status_of};

/// Largest data of a value, in bytes.
const LARGEST: u32 = 1 << 24;

fn now(call: Call<'_>) -> i64 {
    call.kernel.ke.query_system_time(call.kernel).cast_signed()
}

/// The key of a handle that has the rights `access`: keys check them for kernel mode too.
fn key_of(call: Call<'_>, handle: u64, access: u32) -> Result<Arc<Key>, NTSTATUS> {
    let object_type = call.kernel.ob.type_address("Key");
    let wanted = Wanted { object_type, ..Wanted::default() };
    let entry = ob::reference_by_handle(call.kernel, call.thread, handle, wanted)?;
    let key = entry.object.body::<KeyBody>().map(|body| body.key.clone());
    entry.object.dereference(call.kernel);
    if access & !entry.granted != 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    key.ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)
}

/// Opens a key, or makes it (`new`); the handle, and whether it was made.
pub(super) fn open_key(
    call: Call<'_>,
    attributes: &Attributes,
    access: u32,
    new: Option<&NewKey>,
) -> Result<(u64, bool), NTSTATUS> {
    let root = attributes.root(call)?;
    let name = attributes.name.clone().unwrap_or_default();
    let start = cm::start_of(call.kernel, root.as_deref(), &name);
    if let Some(root) = root {
        root.dereference(call.kernel);
    }
    let (start, rest) = start?;
    let (key, made) = match new {
        Some(new) => start.create(&rest, new)?,
        None => (start.open(&rest)?, false),
    };
    let object = cm::key_object(call.kernel, key)?;
    let granted = object.object_type().map_access(access & !abi::KEY_WOW64_RES);
    let handle = ob::open_handle(call.kernel, call.thread, &object, granted, attributes.attributes)?;
    Ok((handle, made))
}

fn open(call: Call<'_>, key_handle: u64, access: u32, address: u64) -> Outcome<NTSTATUS> {
    let attributes = match attributes::read(call, address)? {
        Ok(attributes) => attributes,
        Err(status) => return Ok(status),
    };
    attributes::answer(key_handle, open_key(call, &attributes, access, None).map(|(handle, _)| handle))
}

/// Gives a query's answer to the caller.
fn give(answer: Result<Answer, NTSTATUS>, to: u64, length: u32, result_length: u64) -> Outcome<NTSTATUS> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(status) => return Ok(status),
    };
    raw::write(result_length, u32::try_from(answer.bytes.len()).unwrap_or(u32::MAX))?;
    let (part, status) = answer.fit(length);
    raw::copy_to(to, part)?;
    Ok(status)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Opens a registry key, or makes it. Keys of links, backup and restore are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn ZwCreateKey(
        call,
        key_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        _title_index: u32,
        class: u64,
        create_options: u32,
        disposition: u64
    ) -> NTSTATUS {
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        if create_options & !abi::REG_OPTION_VOLATILE != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let class = if class == 0 { Vec::new() } else { call.string(class)? };
        let volatile = create_options & abi::REG_OPTION_VOLATILE != 0;
        let new = NewKey { class, volatile, now: now(call) };
        match open_key(call, &attributes, desired_access, Some(&new)) {
            Ok((handle, made)) => {
                raw::write(key_handle, handle)?;
                if disposition != 0 {
                    let word =
                        if made { abi::REG_CREATED_NEW_KEY } else { abi::REG_OPENED_EXISTING_KEY };
                    raw::write(disposition, word)?;
                }
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Opens a registry key.
    irql(PASSIVE_LEVEL)
    fn ZwOpenKey(call, key_handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        open(call, key_handle, desired_access, object_attributes)
    }

    /// As ZwOpenKey, with options: links, backup and restore are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn ZwOpenKeyEx(
        call,
        key_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        open_options: u32
    ) -> NTSTATUS {
        if open_options != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        open(call, key_handle, desired_access, object_attributes)
    }

    /// Tells about a registry key.
    irql(PASSIVE_LEVEL)
    fn ZwQueryKey(call, key: u64, class: i32, information: u64, length: u32, result_length: u64) -> NTSTATUS {
        // A handle's own name needs no right.
        let access = if class == abi::KeyNameInformation { 0 } else { abi::KEY_QUERY_VALUE };
        let answer = key_of(call, key, access).and_then(|key| cm::key_information(&key, class));
        give(answer, information, length, result_length)
    }

    /// Tells about the key with an index below another.
    irql(PASSIVE_LEVEL)
    fn ZwEnumerateKey(
        call,
        key: u64,
        index: u32,
        class: i32,
        information: u64,
        length: u32,
        result_length: u64
    ) -> NTSTATUS {
        let below = key_of(call, key, abi::KEY_ENUMERATE_SUB_KEYS).and_then(|key| key.subkey_at(index));
        let answer = below.and_then(|key| cm::key_information(&key, class));
        give(answer, information, length, result_length)
    }

    /// Tells a value of a registry key.
    irql(PASSIVE_LEVEL)
    fn ZwQueryValueKey(
        call,
        key: u64,
        value_name: u64,
        class: i32,
        information: u64,
        length: u32,
        result_length: u64
    ) -> NTSTATUS {
        let name = call.string(value_name)?;
        let value = key_of(call, key, abi::KEY_QUERY_VALUE).and_then(|key| key.value(&name));
        let answer = value.and_then(|value| cm::value_information(&value, class));
        give(answer, information, length, result_length)
    }

    /// Tells the value with an index of a registry key.
    irql(PASSIVE_LEVEL)
    fn ZwEnumerateValueKey(
        call,
        key: u64,
        index: u32,
        class: i32,
        information: u64,
        length: u32,
        result_length: u64
    ) -> NTSTATUS {
        let value = key_of(call, key, abi::KEY_QUERY_VALUE).and_then(|key| key.value_at(index));
        let answer = value.and_then(|value| cm::value_information(&value, class));
        give(answer, information, length, result_length)
    }

    /// Makes or replaces a value of a registry key.
    irql(PASSIVE_LEVEL)
    fn ZwSetValueKey(
        call,
        key: u64,
        value_name: u64,
        _title_index: u32,
        kind: u32,
        data: u64,
        size: u32
    ) -> NTSTATUS {
        let name = call.string(value_name)?;
        if size > LARGEST {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut bytes = vec![0; size as usize];
        raw::copy_from(&mut bytes, data)?;
        let set = key_of(call, key, abi::KEY_SET_VALUE)
            .and_then(|key| key.set_value(&name, Value { kind, data: bytes }, now(call)));
        Ok(status_of(set))
    }

    /// Takes a value of a registry key away.
    irql(PASSIVE_LEVEL)
    fn ZwDeleteValueKey(call, key: u64, value_name: u64) -> NTSTATUS {
        let name = call.string(value_name)?;
        let deleted =
            key_of(call, key, abi::KEY_SET_VALUE).and_then(|key| key.delete_value(&name, now(call)));
        Ok(status_of(deleted))
    }

    /// Takes a registry key away.
    irql(PASSIVE_LEVEL)
    fn ZwDeleteKey(call, key: u64) -> NTSTATUS {
        Ok(status_of(key_of(call, key, abi::DELETE).and_then(|key| key.delete(now(call)))))
    }

    /// Writes a key's changes to disk; here there is none, the registry lives with the machine.
    irql(PASSIVE_LEVEL)
    fn ZwFlushKey(call, key: u64) -> NTSTATUS {
        Ok(status_of(key_of(call, key, 0).map(drop)))
    }
}
