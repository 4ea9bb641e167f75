//! `Se…`: subjects, tokens, privileges, and the access check.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, SECURITY_SUBJECT_CONTEXT};
use kernel::se::{
    self, AccessRequest, Granted, Level, Subject, SubjectContext, Token, TokenKind, TokenReference,
};
use kernel::{Outcome, Unwind, raw};

use super::ex;
use crate::Call;
use crate::row::rows;

const CLIENT: u64 = offset_of!(SECURITY_SUBJECT_CONTEXT, ClientToken) as u64;
const LEVEL: u64 = offset_of!(SECURITY_SUBJECT_CONTEXT, ImpersonationLevel) as u64;
const PRIMARY: u64 = offset_of!(SECURITY_SUBJECT_CONTEXT, PrimaryToken) as u64;
/// Tag of privilege sets.
const TAG: u32 = u32::from_le_bytes(*b"SePv");
const USER_MODE: u8 = 1;

/// The token at `address`, with a reference; for what is none, the machine stops as it does for any bad object pointer.
pub(super) fn referenced(call: Call<'_>, address: u64) -> Outcome<TokenReference> {
    TokenReference::at(call.kernel, address).ok_or_else(|| {
        call.kernel.bug_check(abi::REFERENCE_BY_POINTER, [0, address, 0, 0]);
        Unwind::Halt
    })
}

/// As [`referenced`]: the token alone.
pub(super) fn token(call: Call<'_>, address: u64) -> Outcome<Arc<Token>> {
    referenced(call, address).map(|token| token.token().clone())
}

/// The token that a subject context speaks for: the client's, else the process's.
pub(super) fn subject(call: Call<'_>, context: u64) -> Outcome<Arc<Token>> {
    let client: u64 = raw::read(context.wrapping_add(CLIENT))?;
    let address = if client != 0 { client } else { raw::read(context.wrapping_add(PRIMARY))? };
    token(call, address)
}

/// Whether a subject context speaks for a client that may be looked at only.
fn may_only_look(context: u64) -> Outcome<bool> {
    let client: u64 = raw::read(context.wrapping_add(CLIENT))?;
    let level: u32 = raw::read(context.wrapping_add(LEVEL))?;
    Ok(client != 0 && !Level::new(level).is_some_and(Level::may_open))
}

/// Drops the reference of a token that a context or a driver holds.
pub(super) fn release(call: Call<'_>, address: u64) -> Outcome<()> {
    let object = call.kernel.ob.by_address(address);
    match object.filter(|object| object.body::<se::TokenBody>().is_some()) {
        Some(object) => {
            object.dereference(call.kernel);
            Ok(())
        }
        None => token(call, address).map(drop),
    }
}

/// A PRIVILEGE_SET of the privileges that an access check used; 0 for none.
fn used_privileges(call: Call<'_>, granted: &Granted) -> Outcome<u64> {
    const ENTRIES: u64 = offset_of!(abi::PRIVILEGE_SET, Privilege) as u64;
    const ENTRY: u64 = size_of::<abi::LUID_AND_ATTRIBUTES>() as u64;
    let used: Vec<u32> = [
        (granted.used_security, abi::SE_SECURITY_PRIVILEGE),
        (granted.used_take_ownership, abi::SE_TAKE_OWNERSHIP_PRIVILEGE),
    ]
    .into_iter()
    .filter_map(|(used, number)| used.then_some(number))
    .collect();
    if used.is_empty() {
        return Ok(0);
    }
    let set = ex::allocate(call, ENTRIES + ENTRY * used.len() as u64, TAG, true, true)?;
    raw::write(set, u32::try_from(used.len()).unwrap_or(0))?;
    raw::write(set + 4, 0_u32)?;
    for (place, number) in (0..).map(|index| set + ENTRIES + index * ENTRY).zip(used) {
        raw::write(place, u64::from(number))?;
        raw::write(place + 8, abi::SE_PRIVILEGE_USED_FOR_ACCESS)?;
    }
    Ok(set)
}

/// The four masks of a GENERIC_MAPPING.
pub(super) fn mapping(address: u64) -> Outcome<[u32; 4]> {
    let mut masks = [0; 4];
    for (mask, offset) in masks.iter_mut().zip([0, 4, 8, 12]) {
        *mask = raw::read(address.wrapping_add(offset))?;
    }
    Ok(masks)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Captures who the current thread acts for: the token of its process, and the client's that it impersonates.
    irql(PASSIVE_LEVEL)
    fn SeCaptureSubjectContext(call, subject_context: u64) -> () {
        let process = call.kernel.ps.get(call.thread.process_id);
        let captured = process.as_ref().map(|process| SubjectContext::current(call.kernel, process));
        let Some(Ok(captured)) = captured else {
            return Err(Unwind::status(abi::STATUS_INSUFFICIENT_RESOURCES));
        };
        captured.write(subject_context, call.thread.process_id)?;
        captured.leave();
        Ok(())
    }

    /// Lets go of a captured subject context.
    irql(PASSIVE_LEVEL)
    fn SeReleaseSubjectContext(call, subject_context: u64) -> () {
        for place in [CLIENT, PRIMARY] {
            let address: u64 = raw::read(subject_context.wrapping_add(place))?;
            raw::write(subject_context.wrapping_add(place), 0_u64)?;
            if address != 0 {
                release(call, address)?;
            }
        }
        Ok(())
    }

    /// Keeps the tokens of a subject context from changing; tokens never change here.
    irql(PASSIVE_LEVEL)
    fn SeLockSubjectContext(call, subject_context: u64) -> () {
        subject(call, subject_context).map(drop)
    }

    /// Ends what SeLockSubjectContext began.
    irql(PASSIVE_LEVEL)
    fn SeUnlockSubjectContext(call, subject_context: u64) -> () {
        subject(call, subject_context).map(drop)
    }

    /// Decides whether a subject gets the access that it asks for. Integrity levels, object types and conditional entries
    /// are not judged.
    irql(PASSIVE_LEVEL) support(Partial)
    fn SeAccessCheck(
        call,
        security_descriptor: u64,
        subject_context: u64,
        _subject_context_locked: u8,
        desired_access: u32,
        previously_granted_access: u32,
        privileges: u64,
        generic_mapping: u64,
        access_mode: u8,
        granted_access: u64,
        access_status: u64
    ) -> u8 {
        let user_mode = access_mode == USER_MODE;
        let mapping = mapping(generic_mapping)?;
        let desired = se::map_generic(desired_access, &mapping);
        let request = AccessRequest {
            desired,
            previously_granted: previously_granted_access,
            mapping,
            user_mode,
        };
        let checked = if user_mode {
            let token = subject(call, subject_context)?;
            if may_only_look(subject_context)? {
                Err(abi::STATUS_BAD_IMPERSONATION_LEVEL)
            } else if security_descriptor == 0 {
                Err(abi::STATUS_ACCESS_DENIED)
            } else {
                match se::capture(security_descriptor)? {
                    Ok(descriptor) => se::access_check(Some(&descriptor), &token, &request),
                    Err(status) => Err(status),
                }
            }
        } else {
            se::access_check(None, &Token::local_system(), &request)
        };
        let set = match &checked {
            Ok(granted) if privileges != 0 => used_privileges(call, granted)?,
            _ => 0,
        };
        if privileges != 0 {
            raw::write(privileges, set)?;
        }
        raw::write(granted_access, checked.as_ref().map_or(0, |granted| granted.access))?;
        raw::write(access_status, checked.err().unwrap_or(abi::STATUS_SUCCESS).bits())?;
        Ok(u8::from(checked.is_ok()))
    }

    /// Frees the privileges that SeAccessCheck returned.
    irql(PASSIVE_LEVEL)
    fn SeFreePrivileges(call, privileges: u64) -> () {
        if privileges == 0 { Ok(()) } else { ex::free(call.kernel, privileges, 0) }
    }

    /// Whether the current thread, or the client that it impersonates, has a privilege, enabled. Kernel-mode callers always
    /// have it.
    irql(PASSIVE_LEVEL)
    fn SeSinglePrivilegeCheck(call, privilege_value: u64, previous_mode: u8) -> u8 {
        if previous_mode != USER_MODE {
            return Ok(1);
        }
        let Some(process) = call.kernel.ps.get(call.thread.process_id) else { return Ok(0) };
        let number = u32::try_from(privilege_value).ok();
        let subject = Subject::current(call.kernel, &process);
        let holds = |number| subject.effective().is_ok_and(|token| token.has_privilege(number));
        Ok(u8::from(number.is_some_and(holds)))
    }

    /// Whether a subject has all, or one, of a set of privileges; marks those that it has as used.
    irql(PASSIVE_LEVEL)
    fn SePrivilegeCheck(call, required_privileges: u64, subject_context: u64, access_mode: u8) -> u8 {
        const ENTRIES: u64 = offset_of!(abi::PRIVILEGE_SET, Privilege) as u64;
        const ENTRY: u64 = size_of::<abi::LUID_AND_ATTRIBUTES>() as u64;
        if access_mode != USER_MODE {
            return Ok(1);
        }
        let token = subject(call, subject_context)?;
        if may_only_look(subject_context)? {
            return Ok(0);
        }
        let count: u32 = raw::read(required_privileges)?;
        let all = raw::read::<u32>(required_privileges.wrapping_add(4))? & abi::PRIVILEGE_SET_ALL_NECESSARY != 0;
        let mut held = 0;
        for index in 0..u64::from(count) {
            let entry = required_privileges.wrapping_add(ENTRIES + index * ENTRY);
            let number = u32::try_from(raw::read::<u64>(entry)?).unwrap_or(0);
            if token.has_privilege(number) {
                held += 1;
                let attributes: u32 = raw::read(entry.wrapping_add(8))?;
                raw::write(entry.wrapping_add(8), attributes | abi::SE_PRIVILEGE_USED_FOR_ACCESS)?;
            }
        }
        Ok(u8::from(if all { held == count } else { held > 0 }))
    }

    /// Whether a token is an administrator's.
    irql(PASSIVE_LEVEL)
    fn SeTokenIsAdmin(call, token: u64) -> u8 {
        Ok(u8::from(self::token(call, token)?.is_administrator()))
    }

    /// Whether a token is restricted.
    irql(PASSIVE_LEVEL)
    fn SeTokenIsRestricted(call, token: u64) -> u8 {
        Ok(u8::from(!self::token(call, token)?.restricted.is_empty()))
    }

    /// Whether a token is a primary one (1) or impersonates (2).
    irql(PASSIVE_LEVEL)
    fn SeTokenType(call, token: u64) -> i32 {
        let kind = referenced(call, token)?.kind();
        Ok(if kind == TokenKind::Primary { abi::TokenPrimary } else { abi::TokenImpersonation })
    }

    /// Returns the logon session of a token.
    irql(PASSIVE_LEVEL)
    fn SeQueryAuthenticationIdToken(call, token: u64, logon_id: u64) -> NTSTATUS {
        raw::write(logon_id, u64::from(self::token(call, token)?.logon_session))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns what a token holds, in pool that the caller frees. The classes user, groups, privileges, owner, primary
    /// group, default DACL, type, impersonation level, statistics, restricted SIDs, session, elevation, restrictions and integrity level.
    irql(PASSIVE_LEVEL) support(Partial)
    fn SeQueryInformationToken(call, token: u64, token_information_class: i32, token_information: u64) -> NTSTATUS {
        let held = referenced(call, token)?;
        let answer = se::query_information(held.token(), held.kind(), token, token_information_class);
        let Some(answer) = answer else {
            return Ok(abi::STATUS_INVALID_INFO_CLASS);
        };
        match answer {
            se::Answer::Word(word) => raw::write(token_information, word)?,
            se::Answer::Block(block) => {
                let address = ex::allocate(call, block.len() as u64, TAG, true, false)?;
                if address == 0 {
                    return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
                }
                raw::copy_to(address, &block.at(address))?;
                raw::write(token_information, address)?;
            }
        }
        Ok(abi::STATUS_SUCCESS)
    }

    /// Lets go of a token that was referenced.
    irql(PASSIVE_LEVEL) alias("PsDereferenceImpersonationToken")
    fn PsDereferencePrimaryToken(call, token: u64) -> () {
        if token == 0 { Ok(()) } else { release(call, token) }
    }
}
