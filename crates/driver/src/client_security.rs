//! Clients that a driver acts for: who has opened its device or made a request, and what that user may do.

use core::marker::PhantomData;
use core::ptr;

use abi::{
    FALSE, IO_SECURITY_CONTEXT, NTSTATUS, SE_IMPERSONATION_STATE, SECURITY_CLIENT_CONTEXT,
    SECURITY_QUALITY_OF_SERVICE, STATUS_INVALID_PARAMETER, SecurityImpersonation, TRUE,
};

use crate::PassiveLevel;
use crate::nt::{
    KeGetCurrentThread, ObfDereferenceObject, PsDisableImpersonation, PsRestoreImpersonation, PsRevertToSelf,
    SeCreateClientSecurity, SeCreateClientSecurityFromSubjectContext, SeImpersonateClientEx,
};

/// What a driver keeps of a client, so that it can act with the client's rights later, in any thread.
///
/// A driver's own opens pass every check. One that opens for an application what the application names opens it as its client:
/// [`impersonate`](Self::impersonate), and then [`Target::open_checked`](crate::Target::open_checked), which asks for the check.
pub struct ClientSecurity(SECURITY_CLIENT_CONTEXT);

// SAFETY: a referenced token, which may be used in any thread.
unsafe impl Send for ClientSecurity {}
// SAFETY: as above; nothing here changes it.
unsafe impl Sync for ClientSecurity {}

/// The quality of service of who says nothing.
#[expect(clippy::cast_possible_truncation, reason = "12")]
const USUAL: SECURITY_QUALITY_OF_SERVICE = SECURITY_QUALITY_OF_SERVICE {
    Length: size_of::<SECURITY_QUALITY_OF_SERVICE>() as u32,
    ImpersonationLevel: SecurityImpersonation,
    ContextTrackingMode: TRUE,
    EffectiveOnly: FALSE,
};

/// A context for the kernel to fill.
const EMPTY: SECURITY_CLIENT_CONTEXT = {
    // SAFETY: numbers and pointers, of which all are valid as zero.
    unsafe { core::mem::zeroed() }
};

impl ClientSecurity {
    /// The thread that this is called in: in a dispatch routine the application's, or the client's that it impersonates.
    ///
    /// # Errors
    ///
    /// STATUS_BAD_IMPERSONATION_LEVEL when the thread acts for a client that it may not pass on;
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn of_current_thread(_level: PassiveLevel) -> Result<Self, NTSTATUS> {
        let (mut quality, mut context) = (USUAL, EMPTY);
        // SAFETY: callable at any IRQL.
        let thread = unsafe { KeGetCurrentThread() };
        // SAFETY: the current thread; both structures live through the call.
        let status = unsafe { SeCreateClientSecurity(thread, &raw mut quality, FALSE, &raw mut context) };
        if status.is_success() { Ok(Self(context)) } else { Err(status) }
    }

    /// Who makes a create request, with what that open allows.
    ///
    /// # Safety
    ///
    /// `context` is that of a create request which is not yet completed.
    pub(crate) unsafe fn of_create(context: *const IO_SECURITY_CONTEXT) -> Result<Self, NTSTATUS> {
        // SAFETY: null, or valid as the caller promises.
        let context = unsafe { context.as_ref() }.ok_or(STATUS_INVALID_PARAMETER)?;
        // SAFETY: null, or valid as long as the request's context.
        let mut quality = unsafe { context.SecurityQos.as_ref() }.copied().unwrap_or(USUAL);
        // SAFETY: a create request has one.
        let subject = unsafe { &raw mut (*context.AccessState).SubjectSecurityContext };
        let mut client = EMPTY;
        // SAFETY: the subject lives as long as the request, the others through the call.
        let status = unsafe {
            SeCreateClientSecurityFromSubjectContext(subject, &raw mut quality, FALSE, &raw mut client)
        };
        if status.is_success() { Ok(Self(client)) } else { Err(status) }
    }

    /// Lets the calling thread act as the client until what is returned is dropped; then it acts again for whom it did before.
    /// Drop them in the reverse order of their making.
    ///
    /// A thread that may not act as this client does so at SecurityIdentification only: then nothing can be opened.
    ///
    /// # Errors
    ///
    /// STATUS_PROCESS_IS_TERMINATING, STATUS_INSUFFICIENT_RESOURCES; the thread acts as before.
    pub fn impersonate(&self, _level: PassiveLevel) -> Result<Impersonating<'_>, NTSTATUS> {
        let client = (&raw const self.0).cast_mut();
        // SAFETY: a context that the kernel has filled, with its token; it only reads it. Without a thread it is the current.
        Impersonating::begin(|| unsafe { SeImpersonateClientEx(client, ptr::null_mut()) })
    }

    /// Lets the calling thread, an application's, act as the client until the application has it revert: what
    /// ImpersonateNamedPipeClient asks a file system for.
    ///
    /// # Errors
    ///
    /// As for [`impersonate`](Self::impersonate).
    pub fn impersonate_until_reverted(&self, _level: PassiveLevel) -> Result<(), NTSTATUS> {
        let client = (&raw const self.0).cast_mut();
        // SAFETY: as in `impersonate`.
        let status = unsafe { SeImpersonateClientEx(client, ptr::null_mut()) };
        if status.is_success() { Ok(()) } else { Err(status) }
    }
}

impl Drop for ClientSecurity {
    fn drop(&mut self) {
        // What the headers' SeDeleteClientSecurity does.
        // SAFETY: the token's reference is this one's.
        unsafe { ObfDereferenceObject(self.0.ClientToken) };
    }
}

/// The thread acts for a client; see [`ClientSecurity::impersonate`].
#[must_use = "the thread acts for its client until this is dropped"]
pub struct Impersonating<'a> {
    before: SE_IMPERSONATION_STATE,
    had_client: bool,
    /// With a raw pointer, since it is this thread's.
    client: PhantomData<(&'a ClientSecurity, *const ())>,
}

impl Impersonating<'_> {
    /// At PASSIVE_LEVEL; `act` has the thread act for a client, or fails.
    pub(crate) fn begin(act: impl FnOnce() -> NTSTATUS) -> Result<Self, NTSTATUS> {
        let mut before = SE_IMPERSONATION_STATE {
            Token: ptr::null_mut(),
            CopyOnOpen: FALSE,
            EffectiveOnly: FALSE,
            Level: 0,
        };
        // SAFETY: callable at any IRQL.
        let thread = unsafe { KeGetCurrentThread() };
        // SAFETY: the current thread; the state lives through the call.
        let had_client = unsafe { PsDisableImpersonation(thread, &raw mut before) } != FALSE;
        let guard = Self { before, had_client, client: PhantomData };
        let status = act();
        if status.is_success() { Ok(guard) } else { Err(status) }
    }
}

impl Drop for Impersonating<'_> {
    fn drop(&mut self) {
        // SAFETY: at PASSIVE_LEVEL, where it was made.
        unsafe { PsRevertToSelf() };
        if self.had_client {
            // SAFETY: callable at any IRQL.
            let thread = unsafe { KeGetCurrentThread() };
            // SAFETY: the state that the kernel has filled, used once.
            unsafe { PsRestoreImpersonation(thread, &raw mut self.before) };
        }
    }
}
