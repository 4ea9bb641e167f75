//! Extended attributes: lists of FILE_FULL_EA_INFORMATION, which NT has checked.

use alloc::vec::Vec;
use core::mem::offset_of;

use driver::Output;
use driver::abi::*;

/// Bytes of a file's attributes at most.
const MOST: usize = 4096;

/// An entry of a list: its name and its value.
#[derive(Clone, Copy)]
struct Entry<'a> {
    flags: u8,
    name: &'a [u8],
    value: &'a [u8],
}

/// The entries of a list of either kind, and where the next one begins.
fn entries(list: &[u8], full: bool) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = Some(list).filter(|list| !list.is_empty());
    core::iter::from_fn(move || {
        let entry = rest.take()?;
        let next = u32::from_le_bytes(*entry.first_chunk()?) as usize;
        let parsed = if full { full_entry(entry) } else { name_entry(entry) };
        rest = if next == 0 { None } else { entry.get(next..) };
        parsed
    })
}

fn full_entry(entry: &[u8]) -> Option<Entry<'_>> {
    type Layout = FILE_FULL_EA_INFORMATION;
    let name_length = usize::from(*entry.get(offset_of!(Layout, EaNameLength))?);
    let value = entry.get(offset_of!(Layout, EaValueLength)..)?.first_chunk()?;
    let value_length = usize::from(u16::from_le_bytes(*value));
    let name = entry.get(offset_of!(Layout, EaName)..)?;
    Some(Entry {
        flags: *entry.get(offset_of!(Layout, Flags))?,
        name: name.get(..name_length)?,
        value: name.get(name_length + 1..)?.get(..value_length)?,
    })
}

fn name_entry(entry: &[u8]) -> Option<Entry<'_>> {
    type Layout = FILE_GET_EA_INFORMATION;
    let name_length = usize::from(*entry.get(offset_of!(Layout, EaNameLength))?);
    let name = entry.get(offset_of!(Layout, EaName)..)?.get(..name_length)?;
    Some(Entry { flags: 0, name, value: &[] })
}

impl Entry<'_> {
    fn length(&self) -> usize {
        offset_of!(FILE_FULL_EA_INFORMATION, EaName) + self.name.len() + 1 + self.value.len()
    }

    /// The part before the name.
    fn header(&self, next: usize) -> [u8; offset_of!(FILE_FULL_EA_INFORMATION, EaName)] {
        let mut header = [0; offset_of!(FILE_FULL_EA_INFORMATION, EaName)];
        header[..4].copy_from_slice(&u32::try_from(next).unwrap_or(0).to_le_bytes());
        header[4] = self.flags;
        header[5] = u8::try_from(self.name.len()).unwrap_or(0);
        header[6..].copy_from_slice(&u16::try_from(self.value.len()).unwrap_or(0).to_le_bytes());
        header
    }
}

/// What a file has when `changes` are made: an attribute without a value goes.
pub(crate) fn merged(old: &[u8], changes: &[u8]) -> Result<Vec<u8>, NTSTATUS> {
    let mut merged = Vec::new();
    merged.try_reserve_exact(MOST).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    let is_changed =
        |entry: &Entry<'_>| entries(changes, true).any(|new| new.name.eq_ignore_ascii_case(entry.name));
    let kept = entries(old, true).filter(|entry| !is_changed(entry));
    let mut last = None;
    for entry in kept.chain(entries(changes, true).filter(|entry| !entry.value.is_empty())) {
        let start = merged.len().next_multiple_of(4);
        if start + entry.length() > MOST {
            return Err(STATUS_EA_TOO_LARGE);
        }
        merged.resize(start, 0);
        if let Some(last) = last {
            let next = u32::try_from(start - last).unwrap_or(0);
            merged[last..last + 4].copy_from_slice(&next.to_le_bytes());
        }
        last = Some(start);
        merged.extend_from_slice(&entry.header(0));
        merged.extend_from_slice(entry.name);
        merged.push(0);
        merged.extend_from_slice(entry.value);
    }
    Ok(merged)
}

/// Gives the attributes that are asked for, or all; of those that are not there, no value.
pub(crate) fn give(all: &[u8], asked: &[u8], single: bool, mut output: Output<'_>) -> NTSTATUS {
    let find =
        |entry: Entry<'_>| entries(all, true).position(|own| own.name.eq_ignore_ascii_case(entry.name));
    let count = if asked.is_empty() { entries(all, true).count() } else { entries(asked, false).count() };
    if count == 0 {
        return STATUS_NO_EAS_ON_FILE;
    }
    let count = if single { 1 } else { count };
    for index in 0..count {
        let entry = if asked.is_empty() {
            entries(all, true).nth(index)
        } else {
            let wanted = entries(asked, false).nth(index);
            wanted.map(|wanted| find(wanted).and_then(|at| entries(all, true).nth(at)).unwrap_or(wanted))
        };
        let Some(entry) = entry else { break };
        let room = entry.length().next_multiple_of(4);
        let is_last = index + 1 == count;
        if entry.length() > output.remaining() {
            return if index == 0 { STATUS_BUFFER_TOO_SMALL } else { STATUS_BUFFER_OVERFLOW };
        }
        output.write(&entry.header(if is_last { 0 } else { room }));
        output.write(entry.name);
        output.fill(0, 1);
        output.write(entry.value);
        if !is_last {
            output.fill(0, room - entry.length());
        }
    }
    STATUS_SUCCESS
}
