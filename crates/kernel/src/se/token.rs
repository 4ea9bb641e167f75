//! Tokens: who a process is, and what it may do whatever an object's list says.

use super::{Ace, Acl, Sid, well_known};

/// A group of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub sid: Sid,
    /// `SE_GROUP_ENABLED`, `SE_GROUP_USE_FOR_DENY_ONLY`, …
    pub attributes: u32,
}

/// A privilege of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// `SE_…_PRIVILEGE`, the low part of its LUID; the high part is 0.
    pub number: u32,
    /// `SE_PRIVILEGE_ENABLED`, …
    pub attributes: u32,
}

/// Who somebody is. It does not change: privileges cannot be adjusted, nor groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The account.
    pub user: Sid,
    /// Groups.
    pub groups: Vec<Group>,
    /// Privileges held, enabled or not.
    pub privileges: Vec<Privilege>,
    /// Where there are some, access must be granted to one of these too.
    pub restricted: Vec<Sid>,
    /// Owner of what it creates.
    pub owner: Sid,
    /// Primary group of what it creates.
    pub primary_group: Sid,
    /// List of what it creates, where nothing else says.
    pub default_dacl: Acl,
    /// Mandatory level (0x4000 system, 0x3000 high, 0x2000 medium). Drivers can ask for it; nothing judges by it.
    pub integrity: u32,
    /// Its logon session: 0x3E7 is the system's, 0x3E6 the anonymous one.
    pub logon_session: u32,
}

const ENABLED: u32 = abi::SE_GROUP_MANDATORY | abi::SE_GROUP_ENABLED_BY_DEFAULT | abi::SE_GROUP_ENABLED;
const PRIVILEGE_ON: u32 = abi::SE_PRIVILEGE_ENABLED | abi::SE_PRIVILEGE_ENABLED_BY_DEFAULT;

fn enabled(sids: &[Sid]) -> Vec<Group> {
    sids.iter().map(|sid| Group { sid: *sid, attributes: ENABLED }).collect()
}

fn privileges(on: &[u32], off: &[u32]) -> Vec<Privilege> {
    let on = on.iter().map(|number| Privilege { number: *number, attributes: PRIVILEGE_ON });
    on.chain(off.iter().map(|number| Privilege { number: *number, attributes: 0 })).collect()
}

/// What the system and the owner may do with what a token creates.
fn own_list(owner: Sid) -> Acl {
    Acl::new(vec![
        Ace::allow(abi::GENERIC_ALL, owner),
        Ace::allow(abi::GENERIC_ALL, well_known::LOCAL_SYSTEM),
    ])
}

impl Token {
    /// The system process's: Local System with every privilege that NT gives it.
    ///
    /// Its default list gives the system everything and administrators reading, running and READ_CONTROL. Confirm:
    /// which privileges are enabled from the start.
    #[must_use]
    pub fn local_system() -> Self {
        let all: Vec<u32> =
            (abi::SE_CREATE_TOKEN_PRIVILEGE..=abi::SE_CREATE_SYMBOLIC_LINK_PRIVILEGE).collect();
        let mut groups = enabled(&[well_known::WORLD, well_known::AUTHENTICATED_USERS]);
        groups.push(Group {
            sid: well_known::ADMINISTRATORS,
            attributes: abi::SE_GROUP_ENABLED_BY_DEFAULT | abi::SE_GROUP_ENABLED | abi::SE_GROUP_OWNER,
        });
        let read = abi::GENERIC_READ | abi::GENERIC_EXECUTE | abi::READ_CONTROL;
        Self {
            user: well_known::LOCAL_SYSTEM,
            groups,
            privileges: privileges(&all, &[]),
            restricted: Vec::new(),
            owner: well_known::ADMINISTRATORS,
            primary_group: well_known::LOCAL_SYSTEM,
            default_dacl: Acl::new(vec![
                Ace::allow(abi::GENERIC_ALL, well_known::LOCAL_SYSTEM),
                Ace::allow(read, well_known::ADMINISTRATORS),
            ]),
            integrity: 0x4000,
            logon_session: 0x3E7,
        }
    }

    /// An administrator's, elevated, at the machine. Its privileges are held but, as on NT, off, except traversing,
    /// impersonating and creating global objects.
    #[must_use]
    pub fn administrator() -> Self {
        let mut groups = Self::interactive_groups();
        groups.push(Group { sid: well_known::ADMINISTRATORS, attributes: ENABLED | abi::SE_GROUP_OWNER });
        let off = [
            abi::SE_SECURITY_PRIVILEGE,
            abi::SE_TAKE_OWNERSHIP_PRIVILEGE,
            abi::SE_LOAD_DRIVER_PRIVILEGE,
            abi::SE_SYSTEM_PROFILE_PRIVILEGE,
            abi::SE_SYSTEMTIME_PRIVILEGE,
            abi::SE_INC_BASE_PRIORITY_PRIVILEGE,
            abi::SE_BACKUP_PRIVILEGE,
            abi::SE_RESTORE_PRIVILEGE,
            abi::SE_SHUTDOWN_PRIVILEGE,
            abi::SE_DEBUG_PRIVILEGE,
            abi::SE_MANAGE_VOLUME_PRIVILEGE,
        ];
        let on =
            [abi::SE_CHANGE_NOTIFY_PRIVILEGE, abi::SE_IMPERSONATE_PRIVILEGE, abi::SE_CREATE_GLOBAL_PRIVILEGE];
        Self {
            user: well_known::account(500),
            groups,
            privileges: privileges(&on, &off),
            restricted: Vec::new(),
            owner: well_known::ADMINISTRATORS,
            primary_group: well_known::account(513),
            default_dacl: own_list(well_known::ADMINISTRATORS),
            integrity: 0x3000,
            logon_session: 0x1_0000,
        }
    }

    /// A standard user's, at the machine.
    #[must_use]
    pub fn user() -> Self {
        let user = well_known::account(1001);
        Self {
            user,
            groups: Self::interactive_groups(),
            privileges: privileges(&[abi::SE_CHANGE_NOTIFY_PRIVILEGE], &[abi::SE_SHUTDOWN_PRIVILEGE]),
            restricted: Vec::new(),
            owner: user,
            primary_group: well_known::account(513),
            default_dacl: own_list(user),
            integrity: 0x2000,
            logon_session: 0x2_0000,
        }
    }

    /// Of somebody who gave no name. It does not belong to Everyone (`EveryoneIncludesAnonymous` is off by default).
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            user: well_known::ANONYMOUS,
            groups: Vec::new(),
            privileges: Vec::new(),
            restricted: Vec::new(),
            owner: well_known::ANONYMOUS,
            primary_group: well_known::ANONYMOUS,
            default_dacl: own_list(well_known::ANONYMOUS),
            integrity: 0,
            logon_session: 0x3E6,
        }
    }

    fn interactive_groups() -> Vec<Group> {
        enabled(&[
            well_known::account(513),
            well_known::WORLD,
            well_known::USERS,
            well_known::INTERACTIVE,
            well_known::AUTHENTICATED_USERS,
            well_known::LOCAL,
        ])
    }

    /// With one more group, enabled.
    #[must_use]
    pub fn with_group(mut self, sid: Sid) -> Self {
        self.groups.push(Group { sid, attributes: ENABLED });
        self
    }

    /// With one more privilege, or one of its own, enabled.
    #[must_use]
    pub fn with_privilege(mut self, number: u32) -> Self {
        self.privileges.retain(|privilege| privilege.number != number);
        self.privileges.push(Privilege { number, attributes: PRIVILEGE_ON });
        self
    }

    /// With a group that counts for entries that deny only, as `CreateRestrictedToken` makes it.
    #[must_use]
    pub fn deny_only(mut self, sid: Sid) -> Self {
        for group in self.groups.iter_mut().filter(|group| group.sid == sid) {
            group.attributes &= !(ENABLED | abi::SE_GROUP_OWNER);
            group.attributes |= abi::SE_GROUP_USE_FOR_DENY_ONLY;
        }
        self
    }

    /// What is left when nothing can be enabled any more: without disabled privileges and groups.
    #[must_use]
    pub fn effective_only(&self) -> Self {
        const COUNTS: u32 = abi::SE_GROUP_ENABLED | abi::SE_GROUP_USE_FOR_DENY_ONLY;
        let mut effective = self.clone();
        effective.groups.retain(|group| group.attributes & COUNTS != 0);
        effective.privileges.retain(|privilege| privilege.attributes & abi::SE_PRIVILEGE_ENABLED != 0);
        effective
    }

    /// Restricted: access must be granted to one of `sids` too.
    #[must_use]
    pub fn restricted_to(mut self, sids: &[Sid]) -> Self {
        self.restricted = sids.to_vec();
        self
    }

    /// Whether an entry that allows something to `sid` concerns it.
    #[must_use]
    pub fn is_allowed(&self, sid: &Sid) -> bool {
        let on = |group: &Group| group.sid == *sid && group.attributes & abi::SE_GROUP_ENABLED != 0;
        self.user == *sid || self.groups.iter().any(on)
    }

    /// Whether an entry that denies something to `sid` concerns it.
    #[must_use]
    pub fn is_denied(&self, sid: &Sid) -> bool {
        const COUNTS: u32 = abi::SE_GROUP_ENABLED | abi::SE_GROUP_USE_FOR_DENY_ONLY;
        let counts = |group: &Group| group.sid == *sid && group.attributes & COUNTS != 0;
        self.user == *sid || self.groups.iter().any(counts)
    }

    /// Whether it has the privilege, enabled.
    #[must_use]
    pub fn has_privilege(&self, number: u32) -> bool {
        let on = |one: &Privilege| one.number == number && one.attributes & abi::SE_PRIVILEGE_ENABLED != 0;
        self.privileges.iter().any(on)
    }

    /// Whether it may make `sid` an owner: its user, or a group with `SE_GROUP_OWNER`.
    #[must_use]
    pub fn may_own(&self, sid: &Sid) -> bool {
        let owner = |group: &Group| group.sid == *sid && group.attributes & abi::SE_GROUP_OWNER != 0;
        self.user == *sid || self.groups.iter().any(owner)
    }

    /// Whether it is an administrator's (`SeTokenIsAdmin`).
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        let restricted =
            !self.restricted.is_empty() && !self.restricted.contains(&well_known::ADMINISTRATORS);
        self.is_allowed(&well_known::ADMINISTRATORS) && !restricted
    }
}
