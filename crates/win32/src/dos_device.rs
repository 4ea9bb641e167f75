//! `QueryDosDevice`: what the names of `\\.\` stand for.

use crate::failure::{Failure, MISSING, fail};
use crate::pointer::Pointer;
use crate::session::session;
use crate::text::{Text, Unit};

/// Writes what the name stands for, or without a name all the names, each with a zero behind it and one more at the end; how many
/// units. 0 when it fails: ERROR_FILE_NOT_FOUND, ERROR_INSUFFICIENT_BUFFER.
#[unsafe(no_mangle)]
pub extern "C" fn QueryDosDeviceW(name: Pointer<u16>, target: Pointer<u16>, room: u32) -> u32 {
    query(name, target, room).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn QueryDosDeviceA(name: Pointer<u8>, target: Pointer<u8>, room: u32) -> u32 {
    query(name, target, room).unwrap_or_else(|failure| fail(failure, 0))
}

fn query<T: Unit>(name: Pointer<T>, target: Pointer<T>, room: u32) -> Result<u32, Failure>
where
    Pointer<T>: Text,
{
    if target.is_null() {
        return Err(MISSING);
    }
    let name = name.text_if_there()?;
    let path: Vec<u16> = r"\??".encode_utf16().collect();
    let links =
        session()?.query_directory(&path)?.into_iter().filter(|entry| entry.type_name == "SymbolicLink");
    let strings: Vec<String> = match &name {
        None => links.map(|link| link.name).collect(),
        Some(name) => {
            let named = links.filter(|link| link.name.to_lowercase() == name.to_lowercase());
            named.map(|link| link.target).collect()
        }
    };
    if strings.is_empty() && name.is_some() {
        return Err(Failure(abi::ERROR_FILE_NOT_FOUND));
    }
    let mut units = Vec::new();
    for string in &strings {
        units.extend(T::of(string));
        units.push(T::ZERO);
    }
    units.push(T::ZERO);
    if units.len() > room as usize {
        return Err(Failure(abi::ERROR_INSUFFICIENT_BUFFER));
    }
    for (index, unit) in units.iter().enumerate() {
        target.at(index).write(*unit)?;
    }
    u32::try_from(units.len()).map_err(|_| MISSING)
}
