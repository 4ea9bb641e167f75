//! Impersonation: `SeCreateClientSecurity` and its kin, `PsImpersonateClient` and its kin.

use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, SE_IMPERSONATION_STATE, SECURITY_CLIENT_CONTEXT};
use kernel::ke::Thread;
use kernel::ob::{self, Wanted};
use kernel::ps::{self, Impersonation, ImpersonationRequest, ProcessBody};
use kernel::se::{ClientContext, Level, QualityOfService, SubjectContext, TokenKind, TokenReference};
use kernel::{Outcome, Unwind, raw};

use super::se::{referenced, release};
use crate::Call;
use crate::call::status_of;
use crate::row::rows;

/// The address of a field of a structure at `$address`.
macro_rules! field {
    ($type:ident, $address:expr, $($field:tt)+) => {
        $address.wrapping_add(offset_of!($type, $($field)+) as u64)
    };
}

/// Runs `body` with the thread whose object is at `address`. What is none has faulted.
fn with_thread<R>(call: Call<'_>, address: u64, body: impl FnOnce(&Thread) -> R) -> Outcome<R> {
    if address == call.thread.object() {
        return Ok(body(call.thread));
    }
    let thread = ps::thread_at(call.kernel, address).ok_or(Unwind::access_violation(0, address))?;
    Ok(body(&thread))
}

fn level(value: u32) -> Result<Level, NTSTATUS> {
    Level::new(value).ok_or(abi::STATUS_BAD_IMPERSONATION_LEVEL)
}

fn write_context(context: u64, client: ClientContext) -> Outcome<()> {
    client.quality.write(field!(SECURITY_CLIENT_CONTEXT, context, SecurityQos))?;
    raw::write(field!(SECURITY_CLIENT_CONTEXT, context, ClientToken), client.token.address())?;
    let flags = [client.direct, client.direct_effective_only, client.remote].map(u8::from);
    raw::copy_to(field!(SECURITY_CLIENT_CONTEXT, context, DirectlyAccessClientToken), &flags)?;
    // Tokens never change: the identifier says all.
    let identifier = client.token.address();
    raw::write(field!(SECURITY_CLIENT_CONTEXT, context, ClientTokenControl.TokenId), identifier)?;
    let session = u64::from(client.token.token().logon_session);
    raw::write(field!(SECURITY_CLIENT_CONTEXT, context, ClientTokenControl.AuthenticationId), session)?;
    raw::write(field!(SECURITY_CLIENT_CONTEXT, context, ClientTokenControl.ModifiedId), identifier)?;
    raw::copy_to(field!(SECURITY_CLIENT_CONTEXT, context, ClientTokenControl.TokenSource), &[0; 16])?;
    // The driver drops it: SeDeleteClientSecurity.
    let _with_a_reference = client.token.into_address();
    Ok(())
}

fn answer_context(context: u64, client: Result<ClientContext, NTSTATUS>) -> Outcome<NTSTATUS> {
    match client {
        Ok(client) => write_context(context, client).map(|()| abi::STATUS_SUCCESS),
        Err(status) => Ok(status),
    }
}

/// What a driver has kept of a client.
fn read_context(call: Call<'_>, context: u64) -> Outcome<Result<ClientContext, NTSTATUS>> {
    let quality = match QualityOfService::read(field!(SECURITY_CLIENT_CONTEXT, context, SecurityQos))? {
        Ok(quality) => quality,
        Err(status) => return Ok(Err(status)),
    };
    let token = referenced(call, raw::read(field!(SECURITY_CLIENT_CONTEXT, context, ClientToken))?)?;
    let flag = |address: u64| raw::read::<u8>(address).map(|flag| flag != 0);
    Ok(Ok(ClientContext {
        token,
        quality,
        direct: flag(field!(SECURITY_CLIENT_CONTEXT, context, DirectlyAccessClientToken))?,
        direct_effective_only: flag(field!(SECURITY_CLIENT_CONTEXT, context, DirectAccessEffectiveOnly))?,
        remote: flag(field!(SECURITY_CLIENT_CONTEXT, context, ServerIsRemote))?,
    }))
}

fn impersonate_client(call: Call<'_>, context: u64, server_thread: u64) -> Outcome<NTSTATUS> {
    let client = match read_context(call, context)? {
        Ok(client) => client,
        Err(status) => return Ok(status),
    };
    let server = if server_thread == 0 { call.thread.object() } else { server_thread };
    with_thread(call, server, |server| status_of(client.impersonate(call.kernel, server)))
}

/// The subject of a SECURITY_SUBJECT_CONTEXT, with references of its own.
fn subject_context(call: Call<'_>, context: u64) -> Outcome<Result<SubjectContext, NTSTATUS>> {
    use abi::SECURITY_SUBJECT_CONTEXT;
    let primary = referenced(call, raw::read(field!(SECURITY_SUBJECT_CONTEXT, context, PrimaryToken))?)?;
    let client: u64 = raw::read(field!(SECURITY_SUBJECT_CONTEXT, context, ClientToken))?;
    if client == 0 {
        return Ok(Ok(SubjectContext { primary, client: None }));
    }
    let token = referenced(call, client)?;
    let value = raw::read(field!(SECURITY_SUBJECT_CONTEXT, context, ImpersonationLevel))?;
    Ok(level(value).map(|level| SubjectContext { primary, client: Some((token, level, false)) }))
}

/// Writes what a thread impersonates; the reference is the driver's.
fn write_state(state: u64, client: Option<Arc<Impersonation>>) -> Outcome<()> {
    let (address, flags, level) = client.map_or((0, [0; 2], 0), |client| {
        let flags = [client.copy_on_open, client.effective_only].map(u8::from);
        (client.token.clone().into_address(), flags, client.level.value())
    });
    raw::write(field!(SE_IMPERSONATION_STATE, state, Token), address)?;
    raw::copy_to(field!(SE_IMPERSONATION_STATE, state, CopyOnOpen), &flags)?;
    raw::write(field!(SE_IMPERSONATION_STATE, state, Level), level)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Keeps who a thread is, so that it can be impersonated later.
    irql(PASSIVE_LEVEL)
    fn SeCreateClientSecurity(
        call,
        client_thread: u64,
        client_security_qos: u64,
        remote_session: u8,
        client_context: u64
    ) -> NTSTATUS {
        let quality = match QualityOfService::read(client_security_qos)? {
            Ok(quality) => quality,
            Err(status) => return Ok(status),
        };
        let client = with_thread(call, client_thread, |client| {
            ClientContext::of_thread(call.kernel, client, quality, remote_session != 0)
        })?;
        answer_context(client_context, client)
    }

    /// As SeCreateClientSecurity, of a subject that was captured.
    irql(PASSIVE_LEVEL)
    fn SeCreateClientSecurityFromSubjectContext(
        call,
        subject_context: u64,
        client_security_qos: u64,
        server_is_remote: u8,
        client_context: u64
    ) -> NTSTATUS {
        let quality = match QualityOfService::read(client_security_qos)? {
            Ok(quality) => quality,
            Err(status) => return Ok(status),
        };
        let client = self::subject_context(call, subject_context)?.and_then(|subject| {
            ClientContext::of_subject(call.kernel, &subject, quality, server_is_remote != 0)
        });
        answer_context(client_context, client)
    }

    /// Lets go of what SeCreateClientSecurity has kept; in the headers a macro.
    irql(PASSIVE_LEVEL)
    fn SeDeleteClientSecurity(call, client_context: u64) -> () {
        let token = raw::read(field!(SECURITY_CLIENT_CONTEXT, client_context, ClientToken))?;
        if token == 0 { Ok(()) } else { release(call, token) }
    }

    /// Lets a thread, by default the current one, act as a client. That it could not is not told.
    irql(PASSIVE_LEVEL)
    fn SeImpersonateClient(call, client_context: u64, server_thread: u64) -> () {
        impersonate_client(call, client_context, server_thread).map(|_untold| ())
    }

    /// Lets a thread, by default the current one, act as a client.
    irql(PASSIVE_LEVEL)
    fn SeImpersonateClientEx(call, client_context: u64, server_thread: u64) -> NTSTATUS {
        impersonate_client(call, client_context, server_thread)
    }

    /// Lets a thread act with another's token, or, without one, for its process again.
    irql(PASSIVE_LEVEL)
    fn PsImpersonateClient(
        call,
        thread: u64,
        token: u64,
        copy_on_open: u8,
        effective_only: u8,
        impersonation_level: u32
    ) -> NTSTATUS {
        if token == 0 {
            return with_thread(call, thread, |thread| {
                ps::revert(thread);
                abi::STATUS_SUCCESS
            });
        }
        let token = referenced(call, token)?;
        let level = match level(impersonation_level) {
            Ok(level) => level,
            Err(status) => return Ok(status),
        };
        let request = ImpersonationRequest {
            level,
            effective_only: effective_only != 0,
            copy_on_open: copy_on_open != 0,
        };
        with_thread(call, thread, |thread| status_of(ps::impersonate(call.kernel, thread, token, request)))
    }

    /// Lets a thread act with the token of a handle of the current process, or, without one, for its process again.
    irql(PASSIVE_LEVEL)
    fn PsAssignImpersonationToken(call, thread: u64, token: u64) -> NTSTATUS {
        if token == 0 {
            return with_thread(call, thread, |thread| {
                ps::revert(thread);
                abi::STATUS_SUCCESS
            });
        }
        let wanted = Wanted { access: abi::TOKEN_IMPERSONATE, ..Wanted::default() };
        let object = match ob::reference_by_handle(call.kernel, call.thread, token, wanted) {
            Ok(entry) => entry.object,
            Err(status) => return Ok(status),
        };
        let token = TokenReference::to(call.kernel, &object);
        object.dereference(call.kernel);
        let Some(token) = token else { return Ok(abi::STATUS_OBJECT_TYPE_MISMATCH) };
        let TokenKind::Impersonation(level) = token.kind() else { return Ok(abi::STATUS_BAD_TOKEN_TYPE) };
        let request = ImpersonationRequest { level, ..ImpersonationRequest::default() };
        with_thread(call, thread, |thread| status_of(ps::impersonate(call.kernel, thread, token, request)))
    }

    /// Lets the current thread act for its process again.
    irql(PASSIVE_LEVEL)
    fn PsRevertToSelf(call) -> () {
        ps::revert(call.thread);
        Ok(())
    }

    /// References the token that a thread impersonates; NULL when it impersonates none.
    irql(PASSIVE_LEVEL)
    fn PsReferenceImpersonationToken(
        call,
        thread: u64,
        copy_on_open: u64,
        effective_only: u64,
        impersonation_level: u64
    ) -> u64 {
        let Some(client) = with_thread(call, thread, ps::impersonation)? else { return Ok(0) };
        raw::write(copy_on_open, u8::from(client.copy_on_open))?;
        raw::write(effective_only, u8::from(client.effective_only))?;
        raw::write(impersonation_level, client.level.value())?;
        Ok(client.token.clone().into_address())
    }

    /// References the token of a process.
    irql(PASSIVE_LEVEL)
    fn PsReferencePrimaryToken(call, process: u64) -> u64 {
        let object = call.kernel.ob.by_address(process);
        let body = object.as_ref().and_then(|object| object.body::<ProcessBody>());
        let process = body.ok_or(Unwind::access_violation(0, process))?.process();
        let token = process.ok_or(abi::STATUS_PROCESS_IS_TERMINATING).and_then(|process| {
            TokenReference::of_process(call.kernel, &process)
        });
        token.map(TokenReference::into_address).map_err(Unwind::status)
    }

    /// Whether a thread impersonates.
    irql(PASSIVE_LEVEL)
    fn PsIsThreadImpersonating(call, thread: u64) -> u8 {
        with_thread(call, thread, |thread| u8::from(ps::impersonation(thread).is_some()))
    }

    /// Lets a thread act for its process again, and keeps whom it impersonated. FALSE when it impersonated nobody.
    irql(PASSIVE_LEVEL)
    fn PsDisableImpersonation(call, thread: u64, impersonation_state: u64) -> u8 {
        // Before anything is taken away, so that a bad address changes nothing.
        write_state(impersonation_state, None)?;
        let client = with_thread(call, thread, ps::revert)?;
        let impersonated = client.is_some();
        write_state(impersonation_state, client)?;
        Ok(u8::from(impersonated))
    }

    /// Ends what PsDisableImpersonation began.
    irql(PASSIVE_LEVEL)
    fn PsRestoreImpersonation(call, thread: u64, impersonation_state: u64) -> () {
        let address: u64 = raw::read(field!(SE_IMPERSONATION_STATE, impersonation_state, Token))?;
        if address == 0 {
            return Ok(());
        }
        let token = referenced(call, address)?;
        let flag = |address: u64| raw::read::<u8>(address).map(|flag| flag != 0);
        let copy_on_open = flag(field!(SE_IMPERSONATION_STATE, impersonation_state, CopyOnOpen))?;
        let effective_only = flag(field!(SE_IMPERSONATION_STATE, impersonation_state, EffectiveOnly))?;
        let value = raw::read(field!(SE_IMPERSONATION_STATE, impersonation_state, Level))?;
        let level = level(value).map_err(Unwind::status)?;
        let client = Arc::new(Impersonation { token, level, effective_only, copy_on_open });
        with_thread(call, thread, |thread| ps::restore(thread, client))?;
        release(call, address)
    }
}
