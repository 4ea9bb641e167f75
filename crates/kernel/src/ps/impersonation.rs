//! Impersonation: a thread that acts for a client for a while, with the client's token beside its process's own.
//!
//! It lasts from call to call, as on NT, until the thread reverts or ends, or its process does.

use std::sync::Arc;

use abi::NTSTATUS;

use super::Process;
use crate::Kernel;
use crate::ke::Thread;
use crate::ps::ThreadBody;
use crate::se::{Level, Token, TokenKind, TokenReference};

/// Whom a thread impersonates.
#[derive(Clone, Debug)]
pub struct Impersonation {
    /// The client's token.
    pub token: TokenReference,
    /// How far it goes.
    pub level: Level,
    /// Only what is enabled in the token counts.
    pub effective_only: bool,
    /// Who opens the thread's token gets a copy.
    pub copy_on_open: bool,
}

/// How a client is to be impersonated.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImpersonationRequest {
    /// How far.
    pub level: Level,
    /// As [`Impersonation::effective_only`].
    pub effective_only: bool,
    /// As [`Impersonation::copy_on_open`].
    pub copy_on_open: bool,
}

/// Lets `thread` act for the client whose token this is, instead of whom it acted for: `PsImpersonateClient`. Any thread
/// may be told so; its own calls see it from the next check on. IRQL: PASSIVE_LEVEL.
///
/// It goes no further than an impersonation token does; nor further than SecurityIdentification where the thread's process
/// may not impersonate this client, which success does not tell: it may with SeImpersonatePrivilege, its own user, and
/// anonymous. (Confirm: published for the Win32 functions; that of one user no token with a higher integrity level is
/// impersonated; that the process of a system thread is the system's.)
///
/// # Errors
/// `STATUS_PROCESS_IS_TERMINATING` when the thread's process has ended.
///
/// Source: ntifs, PsImpersonateClient, SeImpersonateClientEx; Win32, ImpersonateLoggedOnUser.
pub fn impersonate(
    kernel: &Kernel,
    thread: &Thread,
    token: TokenReference,
    request: ImpersonationRequest,
) -> Result<(), NTSTATUS> {
    let process = kernel.ps.get(thread.process_id).ok_or(abi::STATUS_PROCESS_IS_TERMINATING)?;
    let mut level = request.level;
    if let TokenKind::Impersonation(own) = token.kind() {
        level = level.min(own);
    }
    if level.may_open() && !may_impersonate(&process.token, token.token()) {
        level = Level::Identification;
    }
    let ImpersonationRequest { effective_only, copy_on_open, .. } = request;
    thread.set_client(Some(Arc::new(Impersonation { token, level, effective_only, copy_on_open })));
    // After that, as whoever ends the process looks at its threads after saying so.
    if process.has_ended() {
        revert(thread);
        return Err(abi::STATUS_PROCESS_IS_TERMINATING);
    }
    Ok(())
}

fn may_impersonate(server: &Token, client: &Token) -> bool {
    const ANONYMOUS_SESSION: u32 = 0x3E6;
    let same = server.user == client.user
        && client.integrity <= server.integrity
        && (server.restricted.is_empty() || server.restricted == client.restricted);
    same || client.logon_session == ANONYMOUS_SESSION || server.has_privilege(abi::SE_IMPERSONATE_PRIVILEGE)
}

/// Lets `thread` act for its process again: `PsRevertToSelf`. Whom it acted for until now.
pub fn revert(thread: &Thread) -> Option<Arc<Impersonation>> {
    thread.set_client(None)?.downcast().ok()
}

/// Whom `thread` impersonates.
#[must_use]
pub fn impersonation(thread: &Thread) -> Option<Arc<Impersonation>> {
    thread.client()?.downcast().ok()
}

/// Whom the calling thread impersonates in this machine.
#[must_use]
pub fn current_impersonation(kernel: &Kernel) -> Option<Arc<Impersonation>> {
    let own = |inside: &Kernel, thread: &Thread| {
        if std::ptr::eq(inside, kernel) { impersonation(thread) } else { None }
    };
    Kernel::with_current(own).flatten()
}

/// Puts back what [`revert`] has taken away, without another check: `PsRestoreImpersonation`.
pub fn restore(thread: &Thread, impersonation: Arc<Impersonation>) {
    thread.set_client(Some(impersonation));
}

/// The thread whose object is at `address`, of any process; `None` when there is none, or it has ended for good.
#[must_use]
pub fn thread_at(kernel: &Kernel, address: u64) -> Option<Arc<Thread>> {
    if let Some(object) = kernel.ob.by_address(address) {
        return object.body::<ThreadBody>().map(|body| body.thread.clone());
    }
    let threads = kernel.ps.all().into_iter().flat_map(|process| process.threads());
    threads.into_iter().find(|thread| thread.object() == address)
}

impl Process {
    /// Its threads act for nobody any more: it has ended.
    pub(super) fn revert_threads(&self) {
        for thread in self.threads() {
            revert(&thread);
        }
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::tests::{on_linux, on_mock};
    use crate::ps::inside;
    use crate::se::{self, ClientContext, QualityOfService};

    pub(super) fn token_objects(kernel: &Kernel) -> usize {
        let tokens = kernel.mm.pool.usage().into_iter().filter(|(_, tag, _)| tag.to_le_bytes() == *b"Toke");
        tokens.map(|(_, _, usage)| usage.blocks).sum()
    }

    #[test]
    fn impersonation_ends_with_its_thread_and_its_process_and_leaves_no_token() {
        on_linux(1, |machine| {
            let kernel: &Kernel = machine;
            let before = token_objects(kernel);
            let (client, server) = (kernel.ps.create("client"), kernel.ps.create("server"));
            let quality = QualityOfService { dynamic_tracking: false, ..QualityOfService::default() };
            let context = |thread: &Thread| ClientContext::of_thread(kernel, thread, quality, false);
            let context = inside(kernel, &client, context).expect("running").expect("pool");
            kernel.ps.terminate(kernel, &client).expect("running");
            let object = context.token.object().clone();
            let act = |thread: &Thread| context.impersonate(kernel, thread).expect("may");
            std::thread::scope(|scope| {
                let ended = scope.spawn(|| inside(kernel, &server, act).expect("running"));
                ended.join().expect("does not panic");
            });
            assert_eq!(object.references(), 1, "the ended thread's is gone");
            inside(kernel, &server, act).expect("running");
            assert_eq!(object.references(), 2);
            kernel.ps.terminate(kernel, &server).expect("running");
            assert_eq!(object.references(), 1, "the thread that acted for it goes on, its process does not");
            let late = inside(kernel, &server, |thread| context.impersonate(kernel, thread));
            assert_eq!(late.expect("running"), Err(abi::STATUS_PROCESS_IS_TERMINATING));
            drop(context);
            assert_eq!(token_objects(kernel), before);
        });
    }

    #[test]
    fn what_a_thread_creates_while_it_impersonates_belongs_to_the_client() {
        on_mock(0..1, 1, |machine| {
            let kernel: &Kernel = machine;
            let server = kernel.ps.create("server");
            let client = kernel.ps.create_as("client", Token::user());
            inside(kernel, &server, |thread| {
                let token = TokenReference::of_process(kernel, &client).expect("pool");
                impersonate(kernel, thread, token, ImpersonationRequest::default()).expect("may");
                let subject = se::Subject::current(kernel, &server);
                assert_eq!(subject.token().user, client.token.user);
                assert_eq!(subject.primary.user, server.token.user);
                assert!(revert(thread).is_some() && revert(thread).is_none());
                assert_eq!(se::Subject::current(kernel, &server).token().user, server.token.user);
            })
            .expect("running");
            for process in [client, server] {
                kernel.ps.terminate(kernel, &process).expect("running");
            }
        });
    }
}
