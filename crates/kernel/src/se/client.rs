//! Clients as servers keep them: `SeCreateClientSecurity`, `SeImpersonateClientEx`.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{Level, QualityOfService, SubjectContext, TokenKind, TokenReference};
use crate::Kernel;
use crate::ke::Thread;
use crate::ob;
use crate::ps::{self, ImpersonationRequest};

/// What a server keeps of a client, to impersonate it later (SECURITY_CLIENT_CONTEXT). Dropping it lets go of the token
/// (`SeDeleteClientSecurity`).
#[derive(Clone, Debug)]
pub struct ClientContext {
    /// The client's token itself with dynamic tracking, else a copy of what it was.
    pub token: TokenReference,
    /// What the client allows.
    pub quality: QualityOfService,
    /// Whether `token` is the client's own (DirectlyAccessClientToken).
    pub direct: bool,
    /// Whether of the client's own token only what is enabled counts (DirectAccessEffectiveOnly).
    pub direct_effective_only: bool,
    /// Whether the server is on another system (ServerIsRemote).
    pub remote: bool,
}

impl ClientContext {
    /// Of the client that `thread` is: of whom it impersonates, else of its process.
    ///
    /// # Errors
    /// `STATUS_BAD_IMPERSONATION_LEVEL` where the thread impersonates a client that it may not pass on: one at less than
    /// SecurityImpersonation, at less than SecurityDelegation for a remote server, or at less than `quality` asks for.
    /// `STATUS_PROCESS_IS_TERMINATING`, `STATUS_INSUFFICIENT_RESOURCES`.
    ///
    /// Source: ddi, SeCreateClientSecurity.
    pub fn of_thread(
        kernel: &Kernel,
        thread: &Thread,
        quality: QualityOfService,
        remote: bool,
    ) -> Result<Self, NTSTATUS> {
        let process = ob::current_process(kernel, thread)?;
        let client = ps::impersonation(thread);
        let subject = SubjectContext::new(kernel, &process, client.as_deref())?;
        Self::of_subject(kernel, &subject, quality, remote)
    }

    /// Of a subject that was captured.
    ///
    /// # Errors
    /// As for [`Self::of_thread`].
    ///
    /// Source: ddi, SeCreateClientSecurityFromSubjectContext.
    pub fn of_subject(
        kernel: &Kernel,
        subject: &SubjectContext,
        quality: QualityOfService,
        remote: bool,
    ) -> Result<Self, NTSTATUS> {
        let (own, only_enabled) = match &subject.client {
            Some((_, level, _)) if !may_pass_on(*level, quality.level, remote) => {
                return Err(abi::STATUS_BAD_IMPERSONATION_LEVEL);
            }
            Some((token, _, only_enabled)) => (token, *only_enabled),
            None => (&subject.primary, false),
        };
        let effective_only = quality.effective_only || only_enabled;
        let token = if quality.dynamic_tracking {
            own.clone()
        } else {
            duplicate(kernel, own, TokenKind::Impersonation(quality.level), effective_only)?
        };
        Ok(Self {
            token,
            quality,
            direct: quality.dynamic_tracking,
            direct_effective_only: quality.dynamic_tracking && effective_only,
            remote,
        })
    }

    /// Lets `server` act as the client: `SeImpersonateClientEx`.
    ///
    /// # Errors
    /// As for [`ps::impersonate`].
    pub fn impersonate(&self, kernel: &Kernel, server: &Thread) -> Result<(), NTSTATUS> {
        let request = ImpersonationRequest {
            level: self.quality.level,
            effective_only: if self.direct {
                self.direct_effective_only
            } else {
                self.quality.effective_only
            },
            // Whoever opens it must not get hold of the client's own, nor of what other threads have. (Confirm.)
            copy_on_open: true,
        };
        ps::impersonate(kernel, server, self.token.clone(), request)
    }
}

/// Whether a server that impersonates a client at `level` may be a client at `asked` itself.
fn may_pass_on(level: Level, asked: Level, remote: bool) -> bool {
    level.may_open() && asked <= level && (!remote || level == Level::Delegation)
}

/// A copy of a token, in an object of its own.
///
/// # Errors
/// `STATUS_BAD_IMPERSONATION_LEVEL` for a copy that goes further than a client's token; `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: ntifs, ZwDuplicateToken; Win32, DuplicateTokenEx.
pub fn duplicate(
    kernel: &Kernel,
    token: &TokenReference,
    kind: TokenKind,
    effective_only: bool,
) -> Result<TokenReference, NTSTATUS> {
    let allowed = match (token.kind(), kind) {
        (TokenKind::Primary, _) => true,
        (TokenKind::Impersonation(own), TokenKind::Impersonation(asked)) => asked <= own,
        (TokenKind::Impersonation(own), TokenKind::Primary) => own.may_open(),
    };
    if !allowed {
        return Err(abi::STATUS_BAD_IMPERSONATION_LEVEL);
    }
    let value = if effective_only { Arc::new(token.token().effective_only()) } else { token.token().clone() };
    TokenReference::new(kernel, value, kind)
}
