//! The access check. Source: "How AccessCheck Works", "DACLs and ACEs", "Order of ACEs in a DACL"; ddi, SeAccessCheck;
//! [MS-DTYP], "Conditional ACEs".

use abi::NTSTATUS;

use super::{AceBody, SecurityDescriptor, Sid, Token, well_known};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest {
    /// Rights; generic ones and MAXIMUM_ALLOWED too.
    pub desired: u32,
    /// Rights that the caller has already.
    pub previously_granted: u32,
    /// What the generic rights stand for.
    pub mapping: [u32; 4],
    /// Whether an application asks. Kernel-mode callers get what they ask for.
    pub user_mode: bool,
}

/// What was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Rights, specific and standard ones only, those granted before included.
    pub access: u32,
    /// Whether SeSecurityPrivilege gave ACCESS_SYSTEM_SECURITY.
    pub used_security: bool,
    /// Whether SeTakeOwnershipPrivilege gave WRITE_OWNER.
    pub used_take_ownership: bool,
}

const GENERIC: [u32; 4] = [abi::GENERIC_READ, abi::GENERIC_WRITE, abi::GENERIC_EXECUTE, abi::GENERIC_ALL];

/// Replaces generic rights by a type's own; MAXIMUM_ALLOWED stays.
#[must_use]
pub fn map_generic(access: u32, mapping: &[u32; 4]) -> u32 {
    let all = GENERIC.iter().fold(0, |all, bit| all | bit);
    let asked = GENERIC.iter().zip(mapping).filter(|(bit, _)| access & *bit != 0);
    asked.fold(access & !all, |mapped, (_, rights)| mapped | rights)
}

/// Decides whether `token` gets what `request` asks for on an object with `descriptor`; `None` is an object without one,
/// where applications get nothing (Confirm).
///
/// The DACL is read in its order: an entry that allows gives those of its rights that no earlier one denied; one that denies
/// something still asked for ends the check. No DACL, or a NULL one, allows everything, an empty one nothing. Masks in the
/// list are taken as they stand: generic rights were mapped when the descriptor was assigned. A conditional entry that denies
/// does so: its condition is unknown here, and an unknown one counts as met. Entries of other kinds count for nothing.
///
/// A request for no access at all gets none, and is refused unless something was granted before.
///
/// # Errors
/// `STATUS_ACCESS_DENIED`; `STATUS_PRIVILEGE_NOT_HELD` for ACCESS_SYSTEM_SECURITY without SeSecurityPrivilege.
pub fn access_check(
    descriptor: Option<&SecurityDescriptor>,
    token: &Token,
    request: &AccessRequest,
) -> Result<Granted, NTSTATUS> {
    let desired = map_generic(request.desired, &request.mapping);
    let maximum = desired & abi::MAXIMUM_ALLOWED != 0;
    let asked = desired & !abi::MAXIMUM_ALLOWED;
    if !request.user_mode {
        let all = if maximum { request.mapping[3] } else { 0 };
        return Ok(Granted { access: asked | all | request.previously_granted, ..Granted::default() });
    }
    let descriptor = descriptor.ok_or(abi::STATUS_ACCESS_DENIED)?;
    let mut granted = Granted { access: request.previously_granted, ..Granted::default() };
    let mut remaining = asked & !request.previously_granted;
    if remaining & abi::ACCESS_SYSTEM_SECURITY != 0 {
        if !token.has_privilege(abi::SE_SECURITY_PRIVILEGE) {
            return Err(abi::STATUS_PRIVILEGE_NOT_HELD);
        }
        granted.used_security = true;
        granted.access |= abi::ACCESS_SYSTEM_SECURITY;
        remaining &= !abi::ACCESS_SYSTEM_SECURITY;
    }
    if remaining & abi::WRITE_OWNER != 0 && token.has_privilege(abi::SE_TAKE_OWNERSHIP_PRIVILEGE) {
        granted.used_take_ownership = true;
        granted.access |= abi::WRITE_OWNER;
        remaining &= !abi::WRITE_OWNER;
    }
    let wanted = Wanted { rights: remaining, everything: maximum.then_some(request.mapping[3]) };
    let mut given = list_grants(descriptor, token, &wanted, &Who::Token(token));
    if !token.restricted.is_empty() {
        given &= list_grants(descriptor, token, &wanted, &Who::Restricted(&token.restricted));
    }
    granted.access |= given;
    let lacks = remaining & !given != 0 || granted.access == 0;
    if lacks { Err(abi::STATUS_ACCESS_DENIED) } else { Ok(granted) }
}

/// Specific and standard rights.
const ALL_RIGHTS: u32 = abi::SPECIFIC_RIGHTS_ALL | abi::STANDARD_RIGHTS_ALL;

/// What the list is asked for.
struct Wanted {
    rights: u32,
    /// For MAXIMUM_ALLOWED: all rights that the type of object has.
    everything: Option<u32>,
}

/// Whose SIDs the entries are compared with.
enum Who<'a> {
    Token(&'a Token),
    /// The restricting SIDs of a token.
    Restricted(&'a [Sid]),
}

impl Who<'_> {
    fn allows(&self, sid: &Sid) -> bool {
        match self {
            Self::Token(token) => token.is_allowed(sid),
            Self::Restricted(sids) => sids.contains(sid),
        }
    }

    fn denies(&self, sid: &Sid) -> bool {
        match self {
            Self::Token(token) => token.is_denied(sid),
            Self::Restricted(sids) => sids.contains(sid),
        }
    }
}

/// Those of the `wanted` rights that the DACL, and being the owner, give.
///
/// Taking from each entry what none before it decided gives the same answer as ending at the first denial: whoever asks
/// for a denied right does not get it.
fn list_grants(descriptor: &SecurityDescriptor, token: &Token, wanted: &Wanted, who: &Who<'_>) -> u32 {
    let Some(dacl) = descriptor.dacl.as_ref().filter(|_| descriptor.has_dacl()) else {
        return wanted.rights | wanted.everything.unwrap_or(0);
    };
    let wanted = if wanted.everything.is_some() { ALL_RIGHTS } else { wanted.rights };
    let plain = dacl.aces.iter().filter(|ace| ace.flags & abi::INHERIT_ONLY_ACE == 0);
    let entries: Vec<(bool, u32, Sid)> = plain
        .filter_map(|ace| match (&ace.body, ace.kind) {
            (AceBody::Rights { mask, sid }, abi::ACCESS_ALLOWED_ACE_TYPE) => Some((true, *mask, *sid)),
            (AceBody::Rights { mask, sid }, abi::ACCESS_DENIED_ACE_TYPE) => Some((false, *mask, *sid)),
            (AceBody::Opaque(body), abi::ACCESS_DENIED_CALLBACK_ACE_TYPE) => {
                let (mask, sid) = body.split_first_chunk()?;
                Some((false, u32::from_le_bytes(*mask), Sid::from_bytes(sid)?))
            }
            _ => None,
        })
        .collect();
    // A restricted token is an owner's only where one of its restricting SIDs is the owner's too.
    let is_owner = descriptor.owner.is_some_and(|owner| token.is_allowed(&owner) && who.allows(&owner));
    let limited = entries.iter().any(|(_, _, sid)| *sid == well_known::OWNER_RIGHTS);
    let mut given = 0;
    if is_owner && !limited {
        given |= wanted & (abi::READ_CONTROL | abi::WRITE_DAC);
    }
    let mut denied = 0;
    for (allow, mask, sid) in entries {
        let as_owner = is_owner && sid == well_known::OWNER_RIGHTS;
        if allow && (as_owner || who.allows(&sid)) {
            given |= mask & wanted & !denied;
        } else if !allow && (as_owner || who.denies(&sid)) {
            denied |= mask & !given;
        }
    }
    given
}
