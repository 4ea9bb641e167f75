//! `RtlQueryRegistryValues`: a driver's table of the values that it wants, and how each comes to it.
//!
//! Strings of the environment are not expanded: there is none here, so REG_EXPAND_SZ comes as it stands.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, RTL_QUERY_REGISTRY_TABLE};

use super::key::{Key, NamedValue};
use super::object::{KeyBody, start_of};
use super::registry::Value;
use crate::Kernel;
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::ob::{self, Wanted};
use crate::raw::{self, Outcome, UnicodeString};

/// Tag of strings that the caller frees, and of what routines are shown.
const TAG: u32 = u32::from_le_bytes(*b"RegQ");
/// Entries that a table may have: one without an end is a driver's bug.
const LONGEST_TABLE: u64 = 1 << 16;
const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";
const CONTROL: &str = r"\Registry\Machine\System\CurrentControlSet\Control";
const WINDOWS_NT: &str = r"\Registry\Machine\Software\Microsoft\Windows NT\CurrentVersion";
const DEVICE_MAP: &str = r"\Registry\Machine\Hardware\DeviceMap";
const USER: &str = r"\Registry\User\.Default";

/// The key that `RelativeTo` and `Path` of the Rtl routines name, made with `create` when it is not there. `path` is the
/// address of a terminated string, or a handle with RTL_REGISTRY_HANDLE.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_INVALID_PARAMETER` for another place, a status of the key's look-up. `Err`: an access
/// violation in the path.
pub fn open_relative(
    kernel: &Kernel,
    thread: &Thread,
    relative_to: u32,
    path: u64,
    create: bool,
) -> Outcome<Result<Arc<Key>, NTSTATUS>> {
    if relative_to & abi::RTL_REGISTRY_HANDLE != 0 {
        return Ok(key_of_handle(kernel, thread, path));
    }
    let base = match relative_to & !abi::RTL_REGISTRY_OPTIONAL {
        abi::RTL_REGISTRY_ABSOLUTE => "",
        abi::RTL_REGISTRY_SERVICES => SERVICES,
        abi::RTL_REGISTRY_CONTROL => CONTROL,
        abi::RTL_REGISTRY_WINDOWS_NT => WINDOWS_NT,
        abi::RTL_REGISTRY_DEVICEMAP => DEVICE_MAP,
        abi::RTL_REGISTRY_USER => USER,
        _ => return Ok(Err(abi::STATUS_INVALID_PARAMETER)),
    };
    let path = if path == 0 { Vec::new() } else { terminated(path)? };
    let open = || {
        let (start, rest) = if base.is_empty() {
            start_of(kernel, None, &path)?
        } else {
            (kernel.cm.key(base)?, path.clone())
        };
        if create { make_all(kernel, &start, &rest) } else { start.open(&rest) }
    };
    Ok(open())
}

fn key_of_handle(kernel: &Kernel, thread: &Thread, handle: u64) -> Result<Arc<Key>, NTSTATUS> {
    let entry = ob::reference_by_handle(kernel, thread, handle, Wanted::default())?;
    let key = entry.object.body::<KeyBody>().map(|body| body.key.clone());
    entry.object.dereference(kernel);
    key.ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)
}

/// Makes a key and all above it.
fn make_all(kernel: &Kernel, start: &Arc<Key>, path: &[u16]) -> Result<Arc<Key>, NTSTATUS> {
    const SEPARATOR: u16 = b'\\' as u16;
    let new = super::NewKey { now: kernel.ke.query_system_time(kernel).cast_signed(), ..Default::default() };
    let mut key = start.clone();
    for part in path.split(|unit| *unit == SEPARATOR).filter(|part| !part.is_empty()) {
        key = key.create(part, &new)?.0;
    }
    Ok(key)
}

/// A terminated string of UTF-16 at `address`; at most as long as a UNICODE_STRING can be.
///
/// # Errors
/// An access violation to raise in the driver.
pub fn terminated(address: u64) -> Outcome<Vec<u16>> {
    let mut text = Vec::new();
    while text.len() < 0x7FFF {
        match raw::read::<u16>(address.wrapping_add(text.len() as u64 * 2))? {
            0 => break,
            unit => text.push(unit),
        }
    }
    Ok(text)
}

/// One entry of a table.
#[derive(Clone, Copy)]
struct Entry {
    routine: u64,
    flags: u32,
    name: u64,
    context: u64,
    default_type: u32,
    default_data: u64,
    default_length: u32,
}

impl Entry {
    fn read(at: u64) -> Outcome<Self> {
        let field = |offset: usize| at.wrapping_add(offset as u64);
        Ok(Self {
            routine: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, QueryRoutine)))?,
            flags: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, Flags)))?,
            name: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, Name)))?,
            context: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, EntryContext)))?,
            default_type: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, DefaultType)))?,
            default_data: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, DefaultData)))?,
            default_length: raw::read(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, DefaultLength)))?,
        })
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn is_last(&self) -> bool {
        self.routine == 0 && !self.has(abi::RTL_QUERY_REGISTRY_DIRECT | abi::RTL_QUERY_REGISTRY_SUBKEY)
    }
}

/// `RtlQueryRegistryValues`, for the key that [`open_relative`] found; `None` stands for one that is optional and not
/// there. PASSIVE_LEVEL.
///
/// The status is that of the first entry that fails: `STATUS_OBJECT_NAME_NOT_FOUND` for a required value or a subkey
/// that is not there, `STATUS_OBJECT_TYPE_MISMATCH` when RTL_QUERY_REGISTRY_TYPECHECK finds another type,
/// `STATUS_BUFFER_TOO_SMALL`, `STATUS_INVALID_PARAMETER` for an entry that contradicts itself, or what a routine returned.
/// (Confirm: RTL_QUERY_REGISTRY_SUBKEY with a routine shows it all values of the subkey.)
///
/// # Errors
/// An access violation in the table, or what a routine raised.
///
/// Source: ddi, RtlQueryRegistryValues.
pub fn query_values(
    kernel: &Kernel,
    top: Option<&Arc<Key>>,
    table: u64,
    context: u64,
    owner: PoolOwner,
) -> Outcome<NTSTATUS> {
    let mut current = top.cloned();
    for index in 0..LONGEST_TABLE {
        let entry = Entry::read(table.wrapping_add(index * size_of::<RTL_QUERY_REGISTRY_TABLE>() as u64))?;
        if entry.is_last() {
            break;
        }
        let query = Query { kernel, entry, context, owner };
        // A value that nobody asks for, or a subkey, has a routine to tell, and here there is none.
        let for_routines = abi::RTL_QUERY_REGISTRY_SUBKEY | abi::RTL_QUERY_REGISTRY_NOVALUE;
        if entry.has(abi::RTL_QUERY_REGISTRY_DIRECT)
            && (entry.name == 0 || entry.routine != 0 || entry.has(for_routines))
        {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        if entry.has(abi::RTL_QUERY_REGISTRY_TOPKEY | abi::RTL_QUERY_REGISTRY_SUBKEY) {
            current = top.cloned();
        }
        let status = if entry.has(abi::RTL_QUERY_REGISTRY_SUBKEY) {
            if entry.name == 0 {
                return Ok(abi::STATUS_INVALID_PARAMETER);
            }
            let name = terminated(entry.name)?;
            match top.map(|top| top.open(&name)) {
                Some(Ok(key)) => current = Some(key),
                Some(Err(status)) if entry.has(abi::RTL_QUERY_REGISTRY_REQUIRED) => return Ok(status),
                // Its values are not there.
                _ => current = None,
            }
            if entry.routine == 0 { abi::STATUS_SUCCESS } else { query.all(current.as_ref())? }
        } else if entry.has(abi::RTL_QUERY_REGISTRY_NOVALUE) {
            query.call(&[], abi::REG_NONE, &[])?
        } else if entry.name == 0 {
            query.all(current.as_ref())?
        } else {
            query.one(current.as_ref())?
        };
        if status.is_error() {
            return Ok(status);
        }
    }
    Ok(abi::STATUS_SUCCESS)
}

struct Query<'a> {
    kernel: &'a Kernel,
    entry: Entry,
    context: u64,
    /// Whose the strings are that it gets.
    owner: PoolOwner,
}

impl Query<'_> {
    fn now(&self) -> i64 {
        self.kernel.ke.query_system_time(self.kernel).cast_signed()
    }

    fn all(&self, key: Option<&Arc<Key>>) -> Outcome<NTSTATUS> {
        let Some(key) = key else { return Ok(abi::STATUS_SUCCESS) };
        let values = key.all_values();
        if values.is_empty() && self.entry.has(abi::RTL_QUERY_REGISTRY_REQUIRED) {
            return Ok(abi::STATUS_OBJECT_NAME_NOT_FOUND);
        }
        for value in values {
            let status = self.show(&value)?;
            if status.is_error() {
                return Ok(status);
            }
            self.delete_if_wanted(key, &value.name);
        }
        Ok(abi::STATUS_SUCCESS)
    }

    fn delete_if_wanted(&self, key: &Key, name: &[u16]) {
        if self.entry.has(abi::RTL_QUERY_REGISTRY_DELETE) {
            // Somebody else took it away meanwhile.
            let _gone = key.delete_value(name, self.now());
        }
    }

    fn one(&self, key: Option<&Arc<Key>>) -> Outcome<NTSTATUS> {
        let name = terminated(self.entry.name)?;
        let found = key.map_or(Err(abi::STATUS_OBJECT_NAME_NOT_FOUND), |key| key.value(&name));
        let value = match found {
            Ok(value) => value,
            Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) => {
                if self.entry.has(abi::RTL_QUERY_REGISTRY_REQUIRED) {
                    return Ok(abi::STATUS_OBJECT_NAME_NOT_FOUND);
                }
                return match self.default_value(name)? {
                    Some(default) => self.give(&default),
                    None => Ok(abi::STATUS_SUCCESS),
                };
            }
            Err(status) => return Ok(status),
        };
        if self.entry.has(abi::RTL_QUERY_REGISTRY_TYPECHECK) {
            let wanted = self.entry.default_type >> abi::RTL_QUERY_REGISTRY_TYPECHECK_SHIFT;
            if wanted != abi::REG_NONE && wanted != value.value.kind {
                return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH);
            }
        }
        let status = self.give(&value)?;
        if !status.is_error()
            && let Some(key) = key
        {
            self.delete_if_wanted(key, &value.name);
        }
        Ok(status)
    }

    /// What the entry says a value is that is not there.
    fn default_value(&self, name: Vec<u16>) -> Outcome<Option<NamedValue>> {
        let kind = if self.entry.has(abi::RTL_QUERY_REGISTRY_TYPECHECK) {
            self.entry.default_type & !abi::RTL_QUERY_REGISTRY_TYPECHECK_MASK
        } else {
            self.entry.default_type
        };
        if kind == abi::REG_NONE {
            return Ok(None);
        }
        let (at, mut length) = (self.entry.default_data, u64::from(self.entry.default_length));
        if length == 0 && at != 0 {
            length = match kind {
                abi::REG_SZ | abi::REG_EXPAND_SZ => terminated(at)?.len() as u64 * 2 + 2,
                abi::REG_MULTI_SZ => multi_length(at)?,
                _ => 0,
            };
        }
        let mut data = vec![0; usize::try_from(length.min(1 << 24)).unwrap_or(0)];
        raw::copy_from(&mut data, at)?;
        Ok(Some(NamedValue { name, value: Value { kind, data } }))
    }

    fn give(&self, value: &NamedValue) -> Outcome<NTSTATUS> {
        if self.entry.has(abi::RTL_QUERY_REGISTRY_DIRECT) {
            self.store(&value.value)
        } else {
            self.show(value)
        }
    }

    /// Calls the routine with a value: with each string of a REG_MULTI_SZ by itself, unless the entry says no.
    fn show(&self, value: &NamedValue) -> Outcome<NTSTATUS> {
        let Value { kind, data } = &value.value;
        let as_it_is = self.entry.has(abi::RTL_QUERY_REGISTRY_NOEXPAND);
        if *kind == abi::REG_MULTI_SZ && !as_it_is {
            for string in strings_of(data) {
                let status = self.call(&value.name, abi::REG_SZ, &string)?;
                if status.is_error() {
                    return Ok(status);
                }
            }
            return Ok(abi::STATUS_SUCCESS);
        }
        let kind = if *kind == abi::REG_EXPAND_SZ && !as_it_is { abi::REG_SZ } else { *kind };
        self.call(&value.name, kind, data)
    }

    fn call(&self, name: &[u16], kind: u32, data: &[u8]) -> Outcome<NTSTATUS> {
        let size = name.len() * 2 + 2;
        let data_at = size.next_multiple_of(8);
        let pool = &self.kernel.mm.pool;
        let block = pool.allocate_zeroed(data_at + data.len(), TAG, PoolOwner::default());
        let Some(block) = block else { return Ok(abi::STATUS_INSUFFICIENT_RESOURCES) };
        let run = || {
            raw::copy_wide(block.address, name)?;
            raw::copy_to(block.address + data_at as u64, data)?;
            let shown = if data.is_empty() { 0 } else { block.address + data_at as u64 };
            let name_at =
                if self.entry.has(abi::RTL_QUERY_REGISTRY_NOVALUE) { self.entry.name } else { block.address };
            let length = data.len() as u64;
            let arguments = [name_at, u64::from(kind), shown, length, self.context, self.entry.context];
            self.kernel.ke.call(self.kernel, self.entry.routine, &arguments)
        };
        let returned = run();
        let freed = pool.free(block.address);
        let returned = returned?;
        if freed.is_err() {
            self.kernel.bug_check(abi::BAD_POOL_HEADER, [0x20, block.address, 0, 0]);
        }
        let low = u32::try_from(returned & 0xFFFF_FFFF).unwrap_or(0);
        Ok(NTSTATUS::from_bits(low))
    }

    /// RTL_QUERY_REGISTRY_DIRECT: stores a value at the entry's context.
    fn store(&self, value: &Value) -> Outcome<NTSTATUS> {
        let at = self.entry.context;
        match value.kind {
            abi::REG_SZ | abi::REG_EXPAND_SZ => self.store_string(at, &value.data),
            // Strings one by one have no place where they could go.
            abi::REG_MULTI_SZ if !self.entry.has(abi::RTL_QUERY_REGISTRY_NOEXPAND) => {
                Ok(abi::STATUS_INVALID_PARAMETER)
            }
            abi::REG_MULTI_SZ => self.store_string(at, &value.data),
            _ => store_bytes(at, value),
        }
    }

    fn store_string(&self, at: u64, data: &[u8]) -> Outcome<NTSTATUS> {
        let string = UnicodeString::at(at);
        let data = &data[..data.len() & !1];
        let terminated = data.ends_with(&[0, 0]);
        let characters = if terminated { data.len() - 2 } else { data.len() };
        let (Ok(length), Ok(whole)) = (u16::try_from(characters), u16::try_from(characters + 2)) else {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        };
        let mut buffer = string.buffer()?;
        if buffer == 0 {
            let Some(block) = self.kernel.mm.pool.allocate(usize::from(whole), TAG, self.owner, true) else {
                return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
            };
            buffer = block.address;
            string.set(length, whole, buffer)?;
        } else if string.maximum_length()? < whole {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        raw::copy_to(buffer, &data[..characters])?;
        raw::write(buffer.wrapping_add(characters as u64), 0_u16)?;
        string.set_length(length)?;
        Ok(abi::STATUS_SUCCESS)
    }
}

/// Other data: up to four bytes as they are; more into a buffer whose first word says its size, negative for the data
/// alone, else behind two words with length and type.
fn store_bytes(at: u64, value: &Value) -> Outcome<NTSTATUS> {
    const WORD: usize = 4;
    let data = &value.data;
    if data.len() <= WORD {
        return raw::copy_to(at, data).map(|()| abi::STATUS_SUCCESS);
    }
    let size = raw::read::<u32>(at)?.cast_signed();
    let (header, room) = if size < 0 { (0, size.unsigned_abs()) } else { (2 * WORD, size.unsigned_abs()) };
    if data.len() + header > room as usize {
        return Ok(abi::STATUS_BUFFER_TOO_SMALL);
    }
    if header != 0 {
        raw::write(at, u32::try_from(data.len()).unwrap_or(u32::MAX))?;
        raw::write(at.wrapping_add(WORD as u64), value.kind)?;
    }
    raw::copy_to(at.wrapping_add(header as u64), data).map(|()| abi::STATUS_SUCCESS)
}

/// Bytes of the strings at `at`, with both terminators.
fn multi_length(at: u64) -> Outcome<u64> {
    let mut length = 0;
    loop {
        let units = terminated(at.wrapping_add(length))?.len() as u64;
        length += units * 2 + 2;
        if units == 0 || length > 1 << 24 {
            return Ok(length);
        }
    }
}

/// The strings of a REG_MULTI_SZ, each with its terminator.
fn strings_of(data: &[u8]) -> Vec<Vec<u8>> {
    let units: Vec<u16> = data.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let strings = units.split(|unit| *unit == 0).take_while(|string| !string.is_empty());
    strings.map(|string| string.iter().copied().chain([0]).flat_map(u16::to_le_bytes).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::tests::on_mock;

    #[test]
    fn a_direct_entry_that_contradicts_itself_is_refused_and_nothing_is_called() {
        on_mock(0..1, 1, |machine| {
            machine.inside(|kernel, _| {
                let allocate = |size| {
                    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner(1));
                    block.expect("memory").address
                };
                let table = allocate(2 * size_of::<RTL_QUERY_REGISTRY_TABLE>());
                let name = allocate(16);
                raw::copy_wide(name, &"Start".encode_utf16().collect::<Vec<_>>()).expect("pool");
                let field = |offset: usize| table + offset as u64;
                let direct = abi::RTL_QUERY_REGISTRY_DIRECT;
                for (flags, name) in [
                    (direct, 0),
                    (direct | abi::RTL_QUERY_REGISTRY_SUBKEY, name),
                    (direct | abi::RTL_QUERY_REGISTRY_NOVALUE, name),
                ] {
                    raw::write(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, Flags)), flags).expect("pool");
                    raw::write(field(offset_of!(RTL_QUERY_REGISTRY_TABLE, Name)), name).expect("pool");
                    let key = kernel.cm.key(SERVICES).expect("is always there");
                    let status = query_values(kernel, Some(&key), table, 0, PoolOwner(1));
                    assert_eq!(status.expect("nothing raises"), abi::STATUS_INVALID_PARAMETER, "{flags:#x}");
                }
            });
        });
    }
}
