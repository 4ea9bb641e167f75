//! `Rtl…`: security descriptors in a driver's memory.

use std::mem::offset_of;

use abi::{NTSTATUS, SECURITY_DESCRIPTOR};
use kernel::Outcome;
use kernel::raw;
use kernel::se::{self, SecurityDescriptor};

use crate::row::rows;

const CONTROL: u64 = offset_of!(SECURITY_DESCRIPTOR, Control) as u64;
const OWNER: Part = Part { slot: 0, defaulted: abi::SE_OWNER_DEFAULTED };
const GROUP: Part = Part { slot: 1, defaulted: abi::SE_GROUP_DEFAULTED };
const SACL: List = List { slot: 2, present: abi::SE_SACL_PRESENT, defaulted: abi::SE_SACL_DEFAULTED };
const DACL: List = List { slot: 3, present: abi::SE_DACL_PRESENT, defaulted: abi::SE_DACL_DEFAULTED };

/// An owner or group: its place among the four parts.
struct Part {
    slot: u64,
    defaulted: u16,
}

struct List {
    slot: u64,
    present: u16,
    defaulted: u16,
}

fn control(descriptor: u64) -> Outcome<u16> {
    raw::read(descriptor.wrapping_add(CONTROL))
}

fn known_revision(descriptor: u64) -> Outcome<bool> {
    Ok(raw::read::<u8>(descriptor)? == abi::SECURITY_DESCRIPTOR_REVISION)
}

/// Address of a part, in either form; 0 where there is none.
fn part(descriptor: u64, slot: u64) -> Outcome<u64> {
    if control(descriptor)? & abi::SE_SELF_RELATIVE == 0 {
        return raw::read(descriptor.wrapping_add(8 + slot * 8));
    }
    let offset: u32 = raw::read(descriptor.wrapping_add(4 + slot * 4))?;
    Ok(if offset == 0 { 0 } else { descriptor.wrapping_add(u64::from(offset)) })
}

/// Sets a part of an absolute descriptor, and its control bits within `mask`.
fn set(descriptor: u64, slot: u64, address: Option<u64>, mask: u16, bits: u16) -> Outcome<NTSTATUS> {
    if !known_revision(descriptor)? {
        return Ok(abi::STATUS_UNKNOWN_REVISION);
    }
    let before = control(descriptor)?;
    if before & abi::SE_SELF_RELATIVE != 0 {
        return Ok(abi::STATUS_INVALID_SECURITY_DESCR);
    }
    if let Some(address) = address {
        raw::write(descriptor.wrapping_add(8 + slot * 8), address)?;
    }
    raw::write(descriptor.wrapping_add(CONTROL), before & !mask | bits)?;
    Ok(abi::STATUS_SUCCESS)
}

fn set_list(list: &List, descriptor: u64, present: u8, address: u64, defaulted: u8) -> Outcome<NTSTATUS> {
    let mask = list.present | list.defaulted;
    if present == 0 {
        return set(descriptor, list.slot, None, mask, 0);
    }
    let bits = if defaulted != 0 { mask } else { list.present };
    set(descriptor, list.slot, Some(address), mask, bits)
}

fn set_part(which: &Part, descriptor: u64, address: u64, defaulted: u8) -> Outcome<NTSTATUS> {
    let bits = if defaulted != 0 { which.defaulted } else { 0 };
    set(descriptor, which.slot, Some(address), which.defaulted, bits)
}

fn get_part(which: &Part, descriptor: u64, address: u64, defaulted: u64) -> Outcome<NTSTATUS> {
    if !known_revision(descriptor)? {
        return Ok(abi::STATUS_UNKNOWN_REVISION);
    }
    raw::write(address, part(descriptor, which.slot)?)?;
    raw::write(defaulted, u8::from(control(descriptor)? & which.defaulted != 0))?;
    Ok(abi::STATUS_SUCCESS)
}

fn get_list(which: &List, descriptor: u64, present: u64, address: u64, defaulted: u64) -> Outcome<NTSTATUS> {
    if !known_revision(descriptor)? {
        return Ok(abi::STATUS_UNKNOWN_REVISION);
    }
    let bits = control(descriptor)?;
    let is_present = bits & which.present != 0;
    raw::write(present, u8::from(is_present))?;
    if is_present {
        raw::write(address, part(descriptor, which.slot)?)?;
        raw::write(defaulted, u8::from(bits & which.defaulted != 0))?;
    }
    Ok(abi::STATUS_SUCCESS)
}

/// Writes `bytes` (nothing when there are none) to `place` if its length, at `length`, suffices; sets the length in any
/// case.
fn put(bytes: Option<Vec<u8>>, place: u64, length: u64) -> Outcome<bool> {
    let bytes = bytes.unwrap_or_default();
    let room: u32 = raw::read(length)?;
    raw::write(length, u32::try_from(bytes.len()).unwrap_or(u32::MAX))?;
    let fits = bytes.len() <= room as usize;
    if fits && !bytes.is_empty() {
        raw::copy_to(place, &bytes)?;
    }
    Ok(fits)
}

fn is_valid(captured: Outcome<Result<SecurityDescriptor, NTSTATUS>>) -> u8 {
    u8::from(matches!(captured, Ok(Ok(_))))
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises an absolute security descriptor without parts.
    irql(APC_LEVEL)
    fn RtlCreateSecurityDescriptor(call, security_descriptor: u64, revision: u32) -> NTSTATUS {
        let _ = call;
        if revision != u32::from(abi::SECURITY_DESCRIPTOR_REVISION) {
            return Ok(abi::STATUS_UNKNOWN_REVISION);
        }
        raw::fill(security_descriptor, 0, size_of::<SECURITY_DESCRIPTOR>())?;
        raw::write(security_descriptor, abi::SECURITY_DESCRIPTOR_REVISION)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Sets the DACL of an absolute security descriptor; it is referred to, not copied.
    irql(APC_LEVEL)
    fn RtlSetDaclSecurityDescriptor(call, descriptor: u64, present: u8, dacl: u64, defaulted: u8) -> NTSTATUS {
        let _ = call;
        set_list(&DACL, descriptor, present, dacl, defaulted)
    }

    /// Sets the SACL of an absolute security descriptor; it is referred to, not copied.
    irql(APC_LEVEL)
    fn RtlSetSaclSecurityDescriptor(call, descriptor: u64, present: u8, sacl: u64, defaulted: u8) -> NTSTATUS {
        let _ = call;
        set_list(&SACL, descriptor, present, sacl, defaulted)
    }

    /// Sets the owner of an absolute security descriptor; it is referred to, not copied.
    irql(APC_LEVEL)
    fn RtlSetOwnerSecurityDescriptor(call, descriptor: u64, owner: u64, defaulted: u8) -> NTSTATUS {
        let _ = call;
        set_part(&OWNER, descriptor, owner, defaulted)
    }

    /// Sets the primary group of an absolute security descriptor; it is referred to, not copied.
    irql(APC_LEVEL)
    fn RtlSetGroupSecurityDescriptor(call, descriptor: u64, group: u64, defaulted: u8) -> NTSTATUS {
        let _ = call;
        set_part(&GROUP, descriptor, group, defaulted)
    }

    /// Returns whether a security descriptor has a DACL, and where.
    irql(APC_LEVEL)
    fn RtlGetDaclSecurityDescriptor(call, descriptor: u64, present: u64, dacl: u64, defaulted: u64) -> NTSTATUS {
        let _ = call;
        get_list(&DACL, descriptor, present, dacl, defaulted)
    }

    /// Returns whether a security descriptor has a SACL, and where.
    irql(APC_LEVEL)
    fn RtlGetSaclSecurityDescriptor(call, descriptor: u64, present: u64, sacl: u64, defaulted: u64) -> NTSTATUS {
        let _ = call;
        get_list(&SACL, descriptor, present, sacl, defaulted)
    }

    /// Returns where the owner of a security descriptor is; NULL when it has none.
    irql(APC_LEVEL)
    fn RtlGetOwnerSecurityDescriptor(call, descriptor: u64, owner: u64, defaulted: u64) -> NTSTATUS {
        let _ = call;
        get_part(&OWNER, descriptor, owner, defaulted)
    }

    /// Returns where the primary group of a security descriptor is; NULL when it has none.
    irql(APC_LEVEL)
    fn RtlGetGroupSecurityDescriptor(call, descriptor: u64, group: u64, defaulted: u64) -> NTSTATUS {
        let _ = call;
        get_part(&GROUP, descriptor, group, defaulted)
    }

    /// Returns the length of a security descriptor with all its parts, in bytes.
    irql(APC_LEVEL)
    fn RtlLengthSecurityDescriptor(call, descriptor: u64) -> u32 {
        let _ = call;
        let bits = control(descriptor)?;
        let relative = bits & abi::SE_SELF_RELATIVE != 0;
        let mut length: u32 = if relative { 20 } else { 40 };
        for which in [OWNER, GROUP] {
            let sid = part(descriptor, which.slot)?;
            if sid != 0 {
                length += 8 + u32::from(raw::read::<u8>(sid.wrapping_add(1))?) * 4;
            }
        }
        for which in [SACL, DACL] {
            let list = part(descriptor, which.slot)?;
            if list != 0 && bits & which.present != 0 {
                length += u32::from(raw::read::<u16>(list.wrapping_add(2))?).next_multiple_of(4);
            }
        }
        Ok(length)
    }

    /// Whether a security descriptor and its parts are valid.
    irql(APC_LEVEL)
    fn RtlValidSecurityDescriptor(call, descriptor: u64) -> u8 {
        let _ = call;
        Ok(is_valid(se::capture(descriptor)))
    }

    /// Whether a self-relative security descriptor lies within so many bytes, is valid, and has the required parts.
    irql(APC_LEVEL)
    fn RtlValidRelativeSecurityDescriptor(call, descriptor: u64, length: u32, required: u32) -> u8 {
        let _ = call;
        // Parts can lie no further off than their offsets and lists reach.
        let mut bytes = vec![0; (length as usize).min(1 << 20)];
        raw::copy_from(&mut bytes, descriptor)?;
        let Some(read) = SecurityDescriptor::from_bytes(&bytes) else { return Ok(0) };
        let lacks = required & abi::OWNER_SECURITY_INFORMATION != 0 && read.owner.is_none()
            || required & abi::GROUP_SECURITY_INFORMATION != 0 && read.group.is_none();
        Ok(u8::from(!lacks))
    }

    /// Copies an absolute security descriptor with its parts into a self-relative one.
    irql(APC_LEVEL)
    fn RtlAbsoluteToSelfRelativeSD(call, absolute: u64, self_relative: u64, buffer_length: u64) -> NTSTATUS {
        let _ = call;
        if control(absolute)? & abi::SE_SELF_RELATIVE != 0 {
            return Ok(abi::STATUS_BAD_DESCRIPTOR_FORMAT);
        }
        let captured = match se::capture(absolute)? {
            Ok(captured) => captured,
            Err(status) => return Ok(status),
        };
        let fits = put(captured.to_bytes(), self_relative, buffer_length)?;
        Ok(if fits { abi::STATUS_SUCCESS } else { abi::STATUS_BUFFER_TOO_SMALL })
    }

    /// Copies a self-relative security descriptor into an absolute one and buffers for its parts.
    irql(APC_LEVEL)
    fn RtlSelfRelativeToAbsoluteSD(
        call,
        self_relative: u64,
        absolute: u64,
        absolute_size: u64,
        dacl: u64,
        dacl_size: u64,
        sacl: u64,
        sacl_size: u64,
        owner: u64,
        owner_size: u64,
        group: u64,
        group_size: u64
    ) -> NTSTATUS {
        let _ = call;
        if control(self_relative)? & abi::SE_SELF_RELATIVE == 0 {
            return Ok(abi::STATUS_BAD_DESCRIPTOR_FORMAT);
        }
        let captured = match se::capture(self_relative)? {
            Ok(captured) => captured,
            Err(status) => return Ok(status),
        };
        let list = |list: &Option<se::Acl>| list.as_ref().and_then(se::Acl::to_bytes);
        let parts = [
            (captured.owner.map(|sid| sid.to_bytes()), owner, owner_size),
            (captured.group.map(|sid| sid.to_bytes()), group, group_size),
            (list(&captured.sacl), sacl, sacl_size),
            (list(&captured.dacl), dacl, dacl_size),
        ];
        let mut header = vec![0; size_of::<SECURITY_DESCRIPTOR>()];
        header[0] = abi::SECURITY_DESCRIPTOR_REVISION;
        header[2..4].copy_from_slice(&captured.control.to_le_bytes());
        let mut fits = true;
        for (slot, (bytes, place, size)) in parts.into_iter().enumerate() {
            if bytes.is_some() {
                header[8 + slot * 8..16 + slot * 8].copy_from_slice(&place.to_le_bytes());
            }
            fits &= put(bytes, place, size)?;
        }
        fits &= put(Some(header), absolute, absolute_size)?;
        Ok(if fits { abi::STATUS_SUCCESS } else { abi::STATUS_BUFFER_TOO_SMALL })
    }
}
