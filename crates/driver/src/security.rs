//! Security descriptors of what a driver keeps by name itself: made when it is created, asked when it is opened.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use abi::{
    ACCESS_STATE, FALSE, FILE_ALL_ACCESS, FILE_GENERIC_EXECUTE, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
    GENERIC_MAPPING, KernelMode, MAXIMUM_ALLOWED, NTSTATUS, PagedPool, SL_FORCE_ACCESS_CHECK,
    STATUS_ACCESS_DENIED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, UserMode,
};

use crate::nt::{SeAccessCheck, SeAssignSecurity, SeDeassignSecurity, SeFreePrivileges};
use crate::{Create, PassiveLevel};

/// A security descriptor, with rights as files have them.
pub struct SecurityDescriptor {
    descriptor: NonNull<c_void>,
}

// SAFETY: pool that nobody changes.
unsafe impl Send for SecurityDescriptor {}
// SAFETY: as above.
unsafe impl Sync for SecurityDescriptor {}

/// What IoGetFileObjectGenericMapping gives.
const MAPPING: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: FILE_GENERIC_READ,
    GenericWrite: FILE_GENERIC_WRITE,
    GenericExecute: FILE_GENERIC_EXECUTE,
    GenericAll: FILE_ALL_ACCESS,
};

fn access_state(create: &Create) -> Option<NonNull<ACCESS_STATE>> {
    let parameters = create.irp.parameters();
    // SAFETY: a create's, or that of a major with the same beginning.
    let context = unsafe { parameters.Create }.SecurityContext;
    // SAFETY: null, or valid until the request is completed.
    NonNull::new(unsafe { context.as_ref() }?.AccessState)
}

impl SecurityDescriptor {
    /// The descriptor of what this request creates (`SeAssignSecurity`): the one that its maker gives, else the default of who it is.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_OWNER, STATUS_PRIVILEGE_NOT_HELD, STATUS_INSUFFICIENT_RESOURCES.
    pub fn assign(_level: PassiveLevel, create: &Create) -> Result<Self, NTSTATUS> {
        let state = access_state(create).ok_or(STATUS_INVALID_PARAMETER)?.as_ptr();
        let mut made = ptr::null_mut();
        let mut mapping = MAPPING;
        // SAFETY: valid until the request is completed.
        let explicit = unsafe { (*state).SecurityDescriptor };
        // SAFETY: a place in the state.
        let subject = unsafe { &raw mut (*state).SubjectSecurityContext };
        // SAFETY: valid for the call.
        let status = unsafe {
            SeAssignSecurity(
                ptr::null_mut(),
                explicit.cast(),
                &raw mut made,
                FALSE,
                subject,
                &raw mut mapping,
                PagedPool,
            )
        };
        match NonNull::new(made) {
            _ if !status.is_success() => Err(status),
            Some(descriptor) => Ok(Self { descriptor }),
            None => Err(STATUS_INSUFFICIENT_RESOURCES),
        }
    }

    /// Whether who opens by this request may have what it asks for, and `more` (`SeAccessCheck`). Kernel mode may, unless the check is
    /// forced. What MAXIMUM_ALLOWED gives is told to the I/O manager.
    ///
    /// # Errors
    ///
    /// STATUS_ACCESS_DENIED, STATUS_PRIVILEGE_NOT_HELD.
    pub fn check(&self, _level: PassiveLevel, create: &Create, more: u32) -> Result<(), NTSTATUS> {
        let state = access_state(create).ok_or(STATUS_ACCESS_DENIED)?.as_ptr();
        // SAFETY: a place in the request's stack location.
        let flags = unsafe { (*create.irp.location().as_ptr()).Flags };
        let is_checked = create.irp.is_from_user_mode() || flags & SL_FORCE_ACCESS_CHECK != 0;
        let mode = if is_checked { UserMode } else { KernelMode };
        // SAFETY: valid until the request is completed.
        let wanted = unsafe { (*state).OriginalDesiredAccess };
        // SAFETY: a place in the state.
        let subject = unsafe { &raw mut (*state).SubjectSecurityContext };
        let (mut granted, mut status) = (0, STATUS_ACCESS_DENIED);
        let (mut privileges, mut mapping) = (ptr::null_mut(), MAPPING);
        // SAFETY: valid for the call.
        let allowed = unsafe {
            SeAccessCheck(
                self.descriptor.as_ptr(),
                subject,
                FALSE,
                wanted | more,
                0,
                &raw mut privileges,
                &raw mut mapping,
                mode,
                &raw mut granted,
                &raw mut status,
            )
        };
        if !privileges.is_null() {
            // SAFETY: given by the call above.
            unsafe { SeFreePrivileges(privileges) };
        }
        if allowed == FALSE {
            return Err(if status.is_success() { STATUS_ACCESS_DENIED } else { status });
        }
        if wanted & MAXIMUM_ALLOWED != 0 {
            // SAFETY: the file system's to say, until the request is completed.
            unsafe { (*state).PreviouslyGrantedAccess = granted };
        }
        Ok(())
    }
}

impl Drop for SecurityDescriptor {
    /// IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        let mut descriptor = self.descriptor.as_ptr();
        // SAFETY: made by SeAssignSecurity, and used no more.
        let _freed = unsafe { SeDeassignSecurity(&raw mut descriptor) };
    }
}
