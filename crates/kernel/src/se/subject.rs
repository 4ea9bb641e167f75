//! Subjects: who the running code acts for, and the check of an object for it.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, SECURITY_SUBJECT_CONTEXT};

use super::{AccessRequest, Level, Token, TokenBody, TokenReference, access_check};
use crate::Kernel;
use crate::ob::Object;
use crate::ps::{self, Process};
use crate::raw::{self, Outcome};

/// The token object of a process, as drivers refer to it, referenced for the caller. Made when first asked for.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_PROCESS_IS_TERMINATING` when the process has ended.
pub fn token_object(kernel: &Kernel, process: &Process) -> Result<Arc<Object>, NTSTATUS> {
    TokenReference::of_process(kernel, process).map(TokenReference::into_object)
}

/// The token whose object is at `address`.
#[must_use]
pub fn token_at(kernel: &Kernel, address: u64) -> Option<Arc<Token>> {
    kernel.ob.by_address(address)?.body::<TokenBody>().map(|body| body.token.clone())
}

/// Who asks for something: a process, and the client that the asking thread impersonates.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The process's token.
    pub primary: Arc<Token>,
    /// The client's, and how far it goes.
    pub client: Option<(Arc<Token>, Level)>,
}

impl Subject {
    /// The calling thread, working in the context of `process`.
    #[must_use]
    pub fn current(kernel: &Kernel, process: &Process) -> Self {
        let client = ps::current_impersonation(kernel);
        Self {
            primary: process.token.clone(),
            client: client.map(|client| (client.token.token().clone(), client.level)),
        }
    }

    /// The token that says who it is: the client's, however far it goes, else the process's. What is created belongs to it.
    #[must_use]
    pub fn token(&self) -> &Arc<Token> {
        self.client.as_ref().map_or(&self.primary, |(token, _)| token)
    }

    /// The token that decides what may be opened.
    ///
    /// # Errors
    /// `STATUS_BAD_IMPERSONATION_LEVEL` for a client that may be looked at only.
    ///
    /// Source: Win32, "Impersonation Levels"; ddi, SeAccessCheck.
    pub fn effective(&self) -> Result<&Token, NTSTATUS> {
        match &self.client {
            Some((_, level)) if !level.may_open() => Err(abi::STATUS_BAD_IMPERSONATION_LEVEL),
            Some((token, _)) => Ok(token),
            None => Ok(&self.primary),
        }
    }
}

/// The tokens of a subject with their objects (SECURITY_SUBJECT_CONTEXT).
#[derive(Clone, Debug)]
pub struct SubjectContext {
    /// The process's token.
    pub primary: TokenReference,
    /// The client's, how far it goes, and whether only what is enabled in it counts.
    pub client: Option<(TokenReference, Level, bool)>,
}

impl SubjectContext {
    /// Of the calling thread, working in the context of `process`: `SeCaptureSubjectContext`.
    ///
    /// # Errors
    /// As for [`TokenReference::of_process`].
    pub fn current(kernel: &Kernel, process: &Process) -> Result<Self, NTSTATUS> {
        let client = ps::current_impersonation(kernel);
        Self::new(kernel, process, client.as_deref())
    }

    /// Writes a SECURITY_SUBJECT_CONTEXT. The tokens are referenced by this still.
    ///
    /// # Errors
    /// An access violation.
    pub fn write(&self, address: u64, process_id: u32) -> Outcome<()> {
        let (client, level) = match &self.client {
            Some((token, level, _)) => (token.address(), level.value()),
            None => (0, 0_u32),
        };
        raw::write(address.wrapping_add(offset_of!(SECURITY_SUBJECT_CONTEXT, ClientToken) as u64), client)?;
        raw::write(
            address.wrapping_add(offset_of!(SECURITY_SUBJECT_CONTEXT, ImpersonationLevel) as u64),
            level,
        )?;
        let primary = self.primary.address();
        raw::write(address.wrapping_add(offset_of!(SECURITY_SUBJECT_CONTEXT, PrimaryToken) as u64), primary)?;
        let audit = address.wrapping_add(offset_of!(SECURITY_SUBJECT_CONTEXT, ProcessAuditId) as u64);
        raw::write(audit, u64::from(process_id))
    }

    /// Leaves the references to a driver, which drops them (`SeReleaseSubjectContext`).
    pub fn leave(self) {
        let _with_a_reference = self.primary.into_address();
        let _with_a_reference = self.client.map(|(token, ..)| token.into_address());
    }

    pub(super) fn new(
        kernel: &Kernel,
        process: &Process,
        client: Option<&ps::Impersonation>,
    ) -> Result<Self, NTSTATUS> {
        let primary = TokenReference::of_process(kernel, process)?;
        let client = client.map(|client| (client.token.clone(), client.level, client.effective_only));
        Ok(Self { primary, client })
    }
}

/// What `token` gets of `object` when it asks for `desired`: the check that every open of an object makes.
///
/// Objects without a descriptor are those that nobody can open by name; whoever has got hold of one gets what it asks for.
/// No access at all may be asked for, and is granted (Confirm).
///
/// # Errors
/// As for [`access_check`].
pub fn check_object(object: &Object, token: &Token, desired: u32, user_mode: bool) -> Result<u32, NTSTATUS> {
    let object_type = object.object_type();
    let descriptor = object.security();
    let (Some(descriptor), true) = (descriptor, desired != 0) else {
        return Ok(object_type.map_access(desired));
    };
    let mapping = object_type.generic_mapping;
    let request = AccessRequest { desired, previously_granted: 0, mapping, user_mode };
    access_check(Some(&descriptor), token, &request).map(|granted| granted.access)
}

/// [`check_object`] for the calling thread, with its client's rights when it impersonates one.
///
/// # Errors
/// As for [`access_check`]; `STATUS_BAD_IMPERSONATION_LEVEL` in user mode for a client that may be looked at only.
pub fn check_for_caller(
    kernel: &Kernel,
    process: &Process,
    object: &Object,
    desired: u32,
    user_mode: bool,
) -> Result<u32, NTSTATUS> {
    if !user_mode {
        return check_object(object, &process.token, desired, false);
    }
    let subject = Subject::current(kernel, process);
    check_object(object, subject.effective()?, desired, true)
}
