//! Descriptors, lists and SIDs that drivers pass: copied out of their memory first, then judged.

use std::mem::offset_of;

use abi::NTSTATUS;

use super::acl::ACL_HEADER;
use super::sid::HEADER;
use super::{Acl, SecurityDescriptor, Sid};
use crate::raw::{self, Outcome};

/// The SID at `address`; `None` when it is not valid.
///
/// # Errors
/// An access violation.
pub fn read_sid(address: u64) -> Outcome<Option<Sid>> {
    let mut bytes = vec![0; HEADER];
    raw::copy_from(&mut bytes, address)?;
    let count = usize::from(bytes[1]);
    if bytes[0] != abi::SID_REVISION || count > usize::from(abi::SID_MAX_SUB_AUTHORITIES) {
        return Ok(None);
    }
    bytes.resize(HEADER + count * 4, 0);
    raw::copy_from(&mut bytes[HEADER..], address.wrapping_add(HEADER as u64))?;
    Ok(Sid::from_bytes(&bytes))
}

/// The list at `address`, all `AclSize` bytes of it; `None` when they are fewer than a list has. Not judged yet.
///
/// # Errors
/// An access violation.
pub fn read_acl(address: u64) -> Outcome<Option<Vec<u8>>> {
    let size: u16 = raw::read(address.wrapping_add(offset_of!(abi::ACL, AclSize) as u64))?;
    let mut bytes = vec![0; usize::from(size)];
    raw::copy_from(&mut bytes, address)?;
    // It was read twice: what counts is the copy.
    let copied = bytes.get(2..4).map(|size| usize::from(u16::from_le_bytes([size[0], size[1]])));
    Ok((bytes.len() >= ACL_HEADER && copied == Some(bytes.len())).then_some(bytes))
}

/// The descriptor at `address`, absolute or self-relative.
///
/// # Errors
/// `Ok(Err(status))`: `STATUS_UNKNOWN_REVISION`, `STATUS_INVALID_SID`, `STATUS_INVALID_ACL`. `Err`: an access violation.
pub fn capture(address: u64) -> Outcome<Result<SecurityDescriptor, NTSTATUS>> {
    let revision: u8 = raw::read(address)?;
    let at = |offset: usize| address.wrapping_add(offset as u64);
    let control: u16 = raw::read(at(offset_of!(abi::SECURITY_DESCRIPTOR, Control)))?;
    if revision != abi::SECURITY_DESCRIPTOR_REVISION {
        return Ok(Err(abi::STATUS_UNKNOWN_REVISION));
    }
    let parts = if control & abi::SE_SELF_RELATIVE != 0 {
        let part = |slot: usize| {
            let offset: u32 = raw::read(at(slot))?;
            Ok(if offset == 0 { 0 } else { at(offset as usize) })
        };
        [part(4)?, part(8)?, part(12)?, part(16)?]
    } else {
        type Layout = abi::SECURITY_DESCRIPTOR;
        [
            raw::read(at(offset_of!(Layout, Owner)))?,
            raw::read(at(offset_of!(Layout, Group)))?,
            raw::read(at(offset_of!(Layout, Sacl)))?,
            raw::read(at(offset_of!(Layout, Dacl)))?,
        ]
    };
    let read = || -> Outcome<Result<SecurityDescriptor, NTSTATUS>> {
        let mut sids = [None, None];
        for (sid, address) in sids.iter_mut().zip(parts).filter(|(_, address)| *address != 0) {
            *sid = read_sid(address)?;
            if sid.is_none() {
                return Ok(Err(abi::STATUS_INVALID_SID));
            }
        }
        let mut lists = [None, None];
        let present = [abi::SE_SACL_PRESENT, abi::SE_DACL_PRESENT].map(|bit| control & bit != 0);
        for (index, list) in lists.iter_mut().enumerate() {
            if present[index] && parts[2 + index] != 0 {
                *list = read_acl(parts[2 + index])?.and_then(|bytes| Acl::from_bytes(&bytes));
                if list.is_none() {
                    return Ok(Err(abi::STATUS_INVALID_ACL));
                }
            }
        }
        let [sacl, dacl] = lists;
        let control = control & !abi::SE_SELF_RELATIVE;
        Ok(Ok(SecurityDescriptor { control, owner: sids[0], group: sids[1], sacl, dacl }))
    };
    read()
}
