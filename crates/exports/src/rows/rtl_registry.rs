//! `Rtl…`: the registry by path.

use abi::NTSTATUS;
use kernel::cm::{self, Value, terminated};
use kernel::mm::PoolOwner;
use kernel::raw;

use crate::Call;
use crate::call::status_of;
use crate::row::rows;

fn now(call: Call<'_>) -> i64 {
    call.kernel.ke.query_system_time(call.kernel).cast_signed()
}

rows! {
    dll = "ntoskrnl.exe";

    /// Gives a driver the registry values that its table names. An environment for strings is not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn RtlQueryRegistryValues(
        call,
        relative_to: u32,
        path: u64,
        query_table: u64,
        context: u64,
        environment: u64
    ) -> NTSTATUS {
        if environment != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
        let optional = relative_to & abi::RTL_REGISTRY_OPTIONAL != 0;
        match cm::open_relative(call.kernel, call.thread, relative_to, path, false)? {
            Ok(key) => cm::query_values(call.kernel, Some(&key), query_table, context, owner),
            Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) if optional => {
                cm::query_values(call.kernel, None, query_table, context, owner)
            }
            Err(status) => Ok(status),
        }
    }

    /// Makes or replaces a registry value; a key that is missing is made.
    irql(PASSIVE_LEVEL)
    fn RtlWriteRegistryValue(
        call,
        relative_to: u32,
        path: u64,
        value_name: u64,
        kind: u32,
        data: u64,
        length: u32
    ) -> NTSTATUS {
        let name = if value_name == 0 { Vec::new() } else { terminated(value_name)? };
        if length > 1 << 24 {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut bytes = vec![0; length as usize];
        raw::copy_from(&mut bytes, data)?;
        let opened = cm::open_relative(call.kernel, call.thread, relative_to, path, true)?;
        let value = Value { kind, data: bytes };
        Ok(status_of(opened.and_then(|key| key.set_value(&name, value, now(call)))))
    }

    /// Takes a registry value away.
    irql(PASSIVE_LEVEL)
    fn RtlDeleteRegistryValue(call, relative_to: u32, path: u64, value_name: u64) -> NTSTATUS {
        let name = terminated(value_name)?;
        let opened = cm::open_relative(call.kernel, call.thread, relative_to, path, false)?;
        Ok(status_of(opened.and_then(|key| key.delete_value(&name, now(call)))))
    }

    /// Whether there is a registry key.
    irql(PASSIVE_LEVEL)
    fn RtlCheckRegistryKey(call, relative_to: u32, path: u64) -> NTSTATUS {
        let opened = cm::open_relative(call.kernel, call.thread, relative_to, path, false)?;
        Ok(status_of(opened.map(drop)))
    }

    /// Makes a registry key, and those above it.
    irql(PASSIVE_LEVEL)
    fn RtlCreateRegistryKey(call, relative_to: u32, path: u64) -> NTSTATUS {
        let opened = cm::open_relative(call.kernel, call.thread, relative_to, path, true)?;
        Ok(status_of(opened.map(drop)))
    }
}
