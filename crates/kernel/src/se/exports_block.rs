//! What the data export `SeExports` points to: privileges and well-known SIDs, in a machine's own memory.

use std::mem::offset_of;

use abi::{NTSTATUS, SE_EXPORTS};

use super::{Sid, well_known as known};
use crate::mm::PoolOwner;
use crate::{Kernel, raw};

const TAG: u32 = u32::from_le_bytes(*b"SeEx");

macro_rules! fields {
    ($($name:ident = $value:expr,)*) => { &[$((offset_of!(SE_EXPORTS, $name), $value)),*] };
}

const PRIVILEGES: &[(usize, u32)] = fields! {
    SeCreateTokenPrivilege = abi::SE_CREATE_TOKEN_PRIVILEGE,
    SeAssignPrimaryTokenPrivilege = abi::SE_ASSIGNPRIMARYTOKEN_PRIVILEGE,
    SeLockMemoryPrivilege = abi::SE_LOCK_MEMORY_PRIVILEGE,
    SeIncreaseQuotaPrivilege = abi::SE_INCREASE_QUOTA_PRIVILEGE,
    // Never assigned: its number, 0, is nobody's.
    SeUnsolicitedInputPrivilege = 0,
    SeTcbPrivilege = abi::SE_TCB_PRIVILEGE,
    SeSecurityPrivilege = abi::SE_SECURITY_PRIVILEGE,
    SeTakeOwnershipPrivilege = abi::SE_TAKE_OWNERSHIP_PRIVILEGE,
    SeLoadDriverPrivilege = abi::SE_LOAD_DRIVER_PRIVILEGE,
    SeCreatePagefilePrivilege = abi::SE_CREATE_PAGEFILE_PRIVILEGE,
    SeIncreaseBasePriorityPrivilege = abi::SE_INC_BASE_PRIORITY_PRIVILEGE,
    SeSystemProfilePrivilege = abi::SE_SYSTEM_PROFILE_PRIVILEGE,
    SeSystemtimePrivilege = abi::SE_SYSTEMTIME_PRIVILEGE,
    SeProfileSingleProcessPrivilege = abi::SE_PROF_SINGLE_PROCESS_PRIVILEGE,
    SeCreatePermanentPrivilege = abi::SE_CREATE_PERMANENT_PRIVILEGE,
    SeBackupPrivilege = abi::SE_BACKUP_PRIVILEGE,
    SeRestorePrivilege = abi::SE_RESTORE_PRIVILEGE,
    SeShutdownPrivilege = abi::SE_SHUTDOWN_PRIVILEGE,
    SeDebugPrivilege = abi::SE_DEBUG_PRIVILEGE,
    SeAuditPrivilege = abi::SE_AUDIT_PRIVILEGE,
    SeSystemEnvironmentPrivilege = abi::SE_SYSTEM_ENVIRONMENT_PRIVILEGE,
    SeChangeNotifyPrivilege = abi::SE_CHANGE_NOTIFY_PRIVILEGE,
    SeRemoteShutdownPrivilege = abi::SE_REMOTE_SHUTDOWN_PRIVILEGE,
    SeUndockPrivilege = abi::SE_UNDOCK_PRIVILEGE,
    SeSyncAgentPrivilege = abi::SE_SYNC_AGENT_PRIVILEGE,
    SeEnableDelegationPrivilege = abi::SE_ENABLE_DELEGATION_PRIVILEGE,
    SeManageVolumePrivilege = abi::SE_MANAGE_VOLUME_PRIVILEGE,
    SeImpersonatePrivilege = abi::SE_IMPERSONATE_PRIVILEGE,
    SeCreateGlobalPrivilege = abi::SE_CREATE_GLOBAL_PRIVILEGE,
    SeTrustedCredManAccessPrivilege = abi::SE_TRUSTED_CREDMAN_ACCESS_PRIVILEGE,
    SeRelabelPrivilege = abi::SE_RELABEL_PRIVILEGE,
    SeIncreaseWorkingSetPrivilege = abi::SE_INC_WORKING_SET_PRIVILEGE,
    SeTimeZonePrivilege = abi::SE_TIME_ZONE_PRIVILEGE,
    SeCreateSymbolicLinkPrivilege = abi::SE_CREATE_SYMBOLIC_LINK_PRIVILEGE,
};

const SIDS: &[(usize, Sid)] = fields! {
    SeNullSid = known::NULL,
    SeWorldSid = known::WORLD,
    SeLocalSid = known::LOCAL,
    SeCreatorOwnerSid = known::CREATOR_OWNER,
    SeCreatorGroupSid = known::CREATOR_GROUP,
    SeNtAuthoritySid = known::NT_AUTHORITY,
    SeDialupSid = known::DIALUP,
    SeNetworkSid = known::NETWORK,
    SeBatchSid = known::BATCH,
    SeInteractiveSid = known::INTERACTIVE,
    SeLocalSystemSid = known::LOCAL_SYSTEM,
    SeAliasAdminsSid = known::ADMINISTRATORS,
    SeAliasUsersSid = known::USERS,
    SeAliasGuestsSid = known::GUESTS,
    SeAliasPowerUsersSid = known::POWER_USERS,
    SeAliasAccountOpsSid = known::ACCOUNT_OPERATORS,
    SeAliasSystemOpsSid = known::SYSTEM_OPERATORS,
    SeAliasPrintOpsSid = known::PRINT_OPERATORS,
    SeAliasBackupOpsSid = known::BACKUP_OPERATORS,
    SeAuthenticatedUsersSid = known::AUTHENTICATED_USERS,
    SeRestrictedSid = known::RESTRICTED,
    SeAnonymousLogonSid = known::ANONYMOUS,
    SeLocalServiceSid = known::LOCAL_SERVICE,
    SeNetworkServiceSid = known::NETWORK_SERVICE,
    SeIUserSid = known::IUSER,
    SeUntrustedMandatorySid = known::mandatory(0),
    SeLowMandatorySid = known::mandatory(0x1000),
    SeMediumMandatorySid = known::mandatory(0x2000),
    SeHighMandatorySid = known::mandatory(0x3000),
    SeSystemMandatorySid = known::mandatory(0x4000),
    SeOwnerRightsSid = known::OWNER_RIGHTS,
};

/// Makes a machine's `SE_EXPORTS`, with the SIDs behind it; its address.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn exports_block(kernel: &Kernel) -> Result<u64, NTSTATUS> {
    let mut bytes = vec![0; size_of::<SE_EXPORTS>()];
    for (offset, number) in PRIVILEGES {
        bytes[*offset..offset + 4].copy_from_slice(&number.to_le_bytes());
    }
    let size = bytes.len() + SIDS.iter().map(|(_, sid)| sid.byte_length()).sum::<usize>();
    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default());
    let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    for (offset, sid) in SIDS {
        let place = address + bytes.len() as u64;
        bytes[*offset..offset + 8].copy_from_slice(&place.to_le_bytes());
        bytes.extend(sid.to_bytes());
    }
    raw::copy_to(address, &bytes).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(address)
}
