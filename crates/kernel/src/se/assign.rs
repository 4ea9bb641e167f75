//! Descriptors of new objects, and changing those of old ones. Source: "DACL for a New Object", "ACE Inheritance Rules";
//! ddi, SeAssignSecurity.

use abi::NTSTATUS;

use super::{Ace, AceBody, Acl, SecurityDescriptor, Sid, Token, map_generic, well_known};

const INHERITS: u8 = abi::OBJECT_INHERIT_ACE | abi::CONTAINER_INHERIT_ACE;
const INHERITANCE: u8 = INHERITS | abi::NO_PROPAGATE_INHERIT_ACE | abi::INHERIT_ONLY_ACE;

/// The descriptor of an object that `token`'s process creates: what `explicit` says, else what `parent` lets its children
/// inherit, else the token's default list. Generic rights become those of `mapping`.
///
/// # Errors
/// `STATUS_INVALID_OWNER` for an owner that the token may not name (SeRestorePrivilege may name any),
/// `STATUS_PRIVILEGE_NOT_HELD` for a SACL without SeSecurityPrivilege.
pub fn assign(
    parent: Option<&SecurityDescriptor>,
    explicit: Option<&SecurityDescriptor>,
    is_container: bool,
    token: &Token,
    mapping: &[u32; 4],
) -> Result<SecurityDescriptor, NTSTATUS> {
    let owner = explicit.and_then(|one| one.owner);
    if let Some(owner) = &owner
        && !token.may_own(owner)
        && !token.has_privilege(abi::SE_RESTORE_PRIVILEGE)
    {
        return Err(abi::STATUS_INVALID_OWNER);
    }
    let owner = owner.unwrap_or(token.owner);
    let group = explicit.and_then(|one| one.group).unwrap_or(token.primary_group);
    let sacl = explicit.and_then(|one| one.sacl.clone());
    if sacl.is_some() && !token.has_privilege(abi::SE_SECURITY_PRIVILEGE) {
        return Err(abi::STATUS_PRIVILEGE_NOT_HELD);
    }
    let mut control = abi::SE_DACL_PRESENT;
    let given = explicit.filter(|one| one.has_dacl() && one.control & abi::SE_DACL_DEFAULTED == 0);
    let inherited = parent.and_then(|parent| parent.dacl.as_ref());
    let inherited = inherited.map(|list| inherit(list, is_container, owner, group, mapping));
    let dacl = if let Some(given) = given {
        control |= given.control & (abi::SE_DACL_PROTECTED | abi::SE_DACL_AUTO_INHERITED);
        given.dacl.clone().map(|list| mapped(list, mapping))
    } else if let Some(list) = inherited.filter(|list| !list.aces.is_empty()) {
        Some(list)
    } else if let Some(defaulted) = explicit.filter(|one| one.has_dacl()) {
        control |= abi::SE_DACL_DEFAULTED;
        defaulted.dacl.clone().map(|list| mapped(list, mapping))
    } else {
        control |= abi::SE_DACL_DEFAULTED;
        Some(mapped(token.default_dacl.clone(), mapping))
    };
    if sacl.is_some() {
        control |= abi::SE_SACL_PRESENT;
    }
    let sacl = sacl.map(|list| mapped(list, mapping));
    Ok(SecurityDescriptor { control, owner: Some(owner), group: Some(group), sacl, dacl })
}

/// What a child inherits of a list.
fn inherit(list: &Acl, is_container: bool, owner: Sid, group: Sid, mapping: &[u32; 4]) -> Acl {
    let mut aces = Vec::new();
    for ace in &list.aces {
        let AceBody::Rights { mask, sid } = ace.body else { continue };
        let wanted = if is_container { INHERITS } else { abi::OBJECT_INHERIT_ACE };
        if ace.flags & wanted == 0 {
            continue;
        }
        let effective = if is_container { abi::CONTAINER_INHERIT_ACE } else { abi::OBJECT_INHERIT_ACE };
        let goes_on = is_container && ace.flags & abi::NO_PROPAGATE_INHERIT_ACE == 0;
        let audit = ace.flags & !INHERITANCE & !abi::INHERITED_ACE;
        let real = match sid {
            well_known::CREATOR_OWNER => owner,
            well_known::CREATOR_GROUP => group,
            other => other,
        };
        let specific = map_generic(mask, mapping);
        let same = real == sid && specific == mask;
        let applies = ace.flags & effective != 0;
        let body = AceBody::Rights { mask: specific, sid: real };
        if applies && goes_on && same {
            aces.push(Ace { kind: ace.kind, flags: audit | ace.flags & INHERITS, body });
            continue;
        }
        if applies {
            aces.push(Ace { kind: ace.kind, flags: audit, body });
        }
        if goes_on {
            let flags = audit | ace.flags & INHERITS | abi::INHERIT_ONLY_ACE;
            aces.push(Ace { kind: ace.kind, flags, body: ace.body.clone() });
        }
    }
    Acl { revision: list.revision, aces }
}

/// Generic rights of the entries that count for the object itself become its type's own.
fn mapped(mut list: Acl, mapping: &[u32; 4]) -> Acl {
    for ace in list.aces.iter_mut().filter(|ace| ace.flags & abi::INHERIT_ONLY_ACE == 0) {
        if let AceBody::Rights { mask, .. } = &mut ace.body {
            *mask = map_generic(*mask, mapping);
        }
    }
    list
}

/// `old` with those parts of `new` that `information` names (`OWNER_SECURITY_INFORMATION`, …).
///
/// # Errors
/// `STATUS_INVALID_OWNER`, `STATUS_INVALID_PRIMARY_GROUP` where an owner or a group is named and there is none.
pub fn set_information(
    old: &SecurityDescriptor,
    information: u32,
    new: &SecurityDescriptor,
    mapping: &[u32; 4],
) -> Result<SecurityDescriptor, NTSTATUS> {
    let mut changed = old.clone();
    if information & abi::OWNER_SECURITY_INFORMATION != 0 {
        changed.owner = Some(new.owner.ok_or(abi::STATUS_INVALID_OWNER)?);
        changed.control &= !abi::SE_OWNER_DEFAULTED;
    }
    if information & abi::GROUP_SECURITY_INFORMATION != 0 {
        changed.group = Some(new.group.ok_or(abi::STATUS_INVALID_PRIMARY_GROUP)?);
        changed.control &= !abi::SE_GROUP_DEFAULTED;
    }
    if information & abi::DACL_SECURITY_INFORMATION != 0 {
        const OF_DACL: u16 = abi::SE_DACL_PROTECTED | abi::SE_DACL_AUTO_INHERITED;
        changed.control &= !(OF_DACL | abi::SE_DACL_DEFAULTED);
        changed.control |= abi::SE_DACL_PRESENT | new.control & OF_DACL;
        changed.dacl = new.dacl.clone().map(|list| mapped(list, mapping));
    }
    if information & abi::SACL_SECURITY_INFORMATION != 0 {
        const OF_SACL: u16 = abi::SE_SACL_PROTECTED | abi::SE_SACL_AUTO_INHERITED;
        changed.control &= !(OF_SACL | abi::SE_SACL_DEFAULTED);
        changed.control |= abi::SE_SACL_PRESENT | new.control & OF_SACL;
        changed.sacl = new.sacl.clone().map(|list| mapped(list, mapping));
    }
    Ok(changed)
}

/// Those parts of a descriptor that `information` names.
#[must_use]
pub fn take_information(descriptor: &SecurityDescriptor, information: u32) -> SecurityDescriptor {
    let has = |bit: u32| information & bit != 0;
    let mut taken = SecurityDescriptor::default();
    let keep = |bits: u16| descriptor.control & bits;
    if has(abi::OWNER_SECURITY_INFORMATION) {
        taken.owner = descriptor.owner;
        taken.control |= keep(abi::SE_OWNER_DEFAULTED);
    }
    if has(abi::GROUP_SECURITY_INFORMATION) {
        taken.group = descriptor.group;
        taken.control |= keep(abi::SE_GROUP_DEFAULTED);
    }
    if has(abi::DACL_SECURITY_INFORMATION) {
        taken.dacl.clone_from(&descriptor.dacl);
        taken.control |= keep(
            abi::SE_DACL_PRESENT
                | abi::SE_DACL_DEFAULTED
                | abi::SE_DACL_PROTECTED
                | abi::SE_DACL_AUTO_INHERITED,
        );
    }
    if has(abi::SACL_SECURITY_INFORMATION) {
        taken.sacl.clone_from(&descriptor.sacl);
        taken.control |= keep(
            abi::SE_SACL_PRESENT
                | abi::SE_SACL_DEFAULTED
                | abi::SE_SACL_PROTECTED
                | abi::SE_SACL_AUTO_INHERITED,
        );
    }
    taken
}
