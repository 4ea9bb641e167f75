//! `Rtl…`: SIDs. All but the validating ones take a valid SID on trust, as documented; none reads beyond it.

use std::mem::offset_of;

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::raw::{self, UnicodeString};
use kernel::se::{self, Sid};

use super::ex;
use crate::row::rows;

const HEADER: u64 = offset_of!(abi::SID, SubAuthority) as u64;
const COUNT: u64 = offset_of!(abi::SID, SubAuthorityCount) as u64;
const AUTHORITY: u64 = offset_of!(abi::SID, IdentifierAuthority) as u64;

fn length(sid: u64) -> Outcome<u32> {
    let count: u8 = raw::read(sid.wrapping_add(COUNT))?;
    Ok(8 + u32::from(count) * 4)
}

/// The bytes of a SID, valid or not.
fn bytes(sid: u64) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0; length(sid)? as usize];
    raw::copy_from(&mut bytes, sid)?;
    Ok(bytes)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Returns the length of a SID in bytes.
    irql(APC_LEVEL)
    fn RtlLengthSid(call, sid: u64) -> u32 {
        let _ = call;
        length(sid)
    }

    /// Returns how many bytes a SID with so many sub-authorities takes.
    irql(APC_LEVEL)
    fn RtlLengthRequiredSid(call, sub_authority_count: u32) -> u32 {
        let _ = call;
        Ok(8_u32.wrapping_add(sub_authority_count.wrapping_mul(4)))
    }

    /// Initialises a SID with an authority and room for sub-authorities, which are left as they are.
    irql(APC_LEVEL)
    fn RtlInitializeSid(call, sid: u64, identifier_authority: u64, sub_authority_count: u8) -> NTSTATUS {
        let _ = call;
        if sub_authority_count > abi::SID_MAX_SUB_AUTHORITIES {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        let mut authority = [0; 6];
        raw::copy_from(&mut authority, identifier_authority)?;
        raw::copy_to(sid, &[abi::SID_REVISION, sub_authority_count])?;
        raw::copy_to(sid.wrapping_add(AUTHORITY), &authority)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns the address of a sub-authority of a SID.
    irql(APC_LEVEL)
    fn RtlSubAuthoritySid(call, sid: u64, sub_authority: u32) -> u64 {
        let _ = call;
        Ok(sid.wrapping_add(HEADER).wrapping_add(u64::from(sub_authority) * 4))
    }

    /// Returns the address of the count of a SID's sub-authorities.
    irql(APC_LEVEL)
    fn RtlSubAuthorityCountSid(call, sid: u64) -> u64 {
        let _ = call;
        Ok(sid.wrapping_add(COUNT))
    }

    /// Whether a SID has a known revision and not too many sub-authorities; FALSE where it cannot be read.
    irql(APC_LEVEL)
    fn RtlValidSid(call, sid: u64) -> u8 {
        let _ = call;
        Ok(u8::from(matches!(se::read_sid(sid), Ok(Some(_)))))
    }

    /// Whether two SIDs are the same.
    irql(APC_LEVEL)
    fn RtlEqualSid(call, sid1: u64, sid2: u64) -> u8 {
        let _ = call;
        Ok(u8::from(bytes(sid1)? == bytes(sid2)?))
    }

    /// Copies a SID.
    irql(APC_LEVEL)
    fn RtlCopySid(call, destination_length: u32, destination: u64, source: u64) -> NTSTATUS {
        let _ = call;
        let source = bytes(source)?;
        if source.len() > destination_length as usize {
            return Ok(abi::STATUS_BUFFER_TOO_SMALL);
        }
        raw::copy_to(destination, &source)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Writes a SID as text, S-1-5-18. The buffer is allocated when asked for, and freed with RtlFreeUnicodeString.
    irql(PASSIVE_LEVEL)
    fn RtlConvertSidToUnicodeString(call, unicode_string: u64, sid: u64, allocate: u8) -> NTSTATUS {
        let Some(sid): Option<Sid> = se::read_sid(sid)? else { return Ok(abi::STATUS_INVALID_SID) };
        let text: Vec<u16> = sid.to_string().encode_utf16().collect();
        // A SID's text is far shorter than a string can be.
        let length = u16::try_from(text.len() * 2).unwrap_or(u16::MAX);
        let string = UnicodeString::at(unicode_string);
        if allocate != 0 {
            const TAG: u32 = u32::from_le_bytes(*b"Strg");
            let buffer = ex::allocate(call, u64::from(length) + 2, TAG, true, false)?;
            if buffer == 0 {
                return Ok(abi::STATUS_NO_MEMORY);
            }
            string.set(0, length + 2, buffer)?;
        } else if string.maximum_length()? < length {
            return Ok(abi::STATUS_BUFFER_OVERFLOW);
        }
        raw::copy_wide(string.buffer()?, &text)?;
        if string.maximum_length()? >= length + 2 {
            raw::write(string.buffer()?.wrapping_add(u64::from(length)), 0_u16)?;
        }
        string.set_length(length)?;
        Ok(abi::STATUS_SUCCESS)
    }
}
