//! Tokens as applications have them, by handle: `NtOpenThreadToken`, `NtOpenProcessToken`, `NtDuplicateToken`,
//! `NtQueryInformationToken`, and `NtSetInformationThread` with ThreadImpersonationToken.

use abi::NTSTATUS;

use super::{ImpersonationRequest, Process, impersonate, impersonation, revert};
use crate::Kernel;
use crate::ke::Thread;
use crate::se::{self, Answer, Level, TokenBody, TokenKind, TokenReference};

/// Opens the token that the calling thread has for a client's sake; a copy of it, unless the thread has got it by handle. The
/// copy's list is for the client, for the process, and for administrators. (Confirm: no published text has it.)
///
/// Access is checked for the client, or with `open_as_self` for the process.
///
/// # Errors
/// `STATUS_NO_TOKEN` when it impersonates nobody; `STATUS_CANT_OPEN_ANONYMOUS` at SecurityAnonymous;
/// `STATUS_BAD_IMPERSONATION_LEVEL` at SecurityIdentification without `open_as_self`; `STATUS_ACCESS_DENIED`,
/// `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: Win32, OpenThreadToken; ntifs, NtOpenThreadTokenEx.
pub fn open_thread_token(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    desired_access: u32,
    open_as_self: bool,
) -> Result<u32, NTSTATUS> {
    let client = impersonation(thread).ok_or(abi::STATUS_NO_TOKEN)?;
    if client.level == Level::Anonymous {
        return Err(abi::STATUS_CANT_OPEN_ANONYMOUS);
    }
    let kind = TokenKind::Impersonation(client.level);
    let token = if client.copy_on_open || client.token.kind() != kind {
        let copy = se::duplicate(kernel, &client.token, kind, client.effective_only)?;
        copy.admit(&process.token.user);
        copy
    } else {
        client.token.clone()
    };
    let granted = if open_as_self {
        se::check_object(token.object(), &process.token, desired_access, true)?
    } else {
        se::check_for_caller(kernel, process, token.object(), desired_access, true)?
    };
    insert(kernel, process, token, granted)
}

/// Opens the token of the calling process.
///
/// # Errors
/// `STATUS_ACCESS_DENIED`; `STATUS_BAD_IMPERSONATION_LEVEL` while the thread has a client that may be looked at only;
/// `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: Win32, OpenProcessToken.
pub fn open_process_token(kernel: &Kernel, process: &Process, desired_access: u32) -> Result<u32, NTSTATUS> {
    let token = TokenReference::of_process(kernel, process)?;
    let granted = se::check_for_caller(kernel, process, token.object(), desired_access, true)?;
    insert(kernel, process, token, granted)
}

/// Lets the calling thread act with the token of a handle, or for its process again without one.
///
/// # Errors
/// Of the handle, which needs TOKEN_IMPERSONATE; `STATUS_BAD_TOKEN_TYPE` for a primary token.
///
/// Source: Win32, SetThreadToken; [`impersonate`] says how far that goes.
pub fn set_thread_token(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    handle: Option<u32>,
) -> Result<(), NTSTATUS> {
    let Some(handle) = handle else {
        revert(thread);
        return Ok(());
    };
    let (token, _) = by_handle(kernel, process, handle, abi::TOKEN_IMPERSONATE)?;
    let TokenKind::Impersonation(level) = token.kind() else { return Err(abi::STATUS_BAD_TOKEN_TYPE) };
    impersonate(kernel, thread, token, ImpersonationRequest { level, ..ImpersonationRequest::default() })
}

/// A copy of the token of a handle, with a handle of its own: the same rights for a `desired_access` of 0.
///
/// # Errors
/// Of the handle, which needs TOKEN_DUPLICATE; `STATUS_BAD_IMPERSONATION_LEVEL` for a copy that goes further than a client's
/// token; `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: Win32, DuplicateTokenEx; ntifs, ZwDuplicateToken.
pub fn duplicate_token(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    desired_access: u32,
    kind: TokenKind,
    effective_only: bool,
) -> Result<u32, NTSTATUS> {
    let (token, own) = by_handle(kernel, process, handle, abi::TOKEN_DUPLICATE)?;
    let copy = se::duplicate(kernel, &token, kind, effective_only)?;
    let mapped = copy.object().object_type().map_access(desired_access);
    insert(kernel, process, copy, if desired_access == 0 { own } else { mapped })
}

/// What the token of a handle says of itself. Integrity levels have another form for applications, which is not implemented.
///
/// # Errors
/// Of the handle, which needs TOKEN_QUERY; `STATUS_INVALID_INFO_CLASS`, `STATUS_NOT_IMPLEMENTED`.
///
/// Source: Win32, GetTokenInformation; ntifs, ZwQueryInformationToken.
pub fn query_token(kernel: &Kernel, process: &Process, handle: u32, class: i32) -> Result<Answer, NTSTATUS> {
    let (token, _) = by_handle(kernel, process, handle, abi::TOKEN_QUERY)?;
    if class == abi::TokenIntegrityLevel {
        return Err(abi::STATUS_NOT_IMPLEMENTED);
    }
    let answer = se::query_information(token.token(), token.kind(), token.address(), class);
    answer.ok_or(abi::STATUS_INVALID_INFO_CLASS)
}

/// The token of a handle, and the handle's rights.
fn by_handle(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    access: u32,
) -> Result<(TokenReference, u32), NTSTATUS> {
    let entry = process.handles.get(handle).ok_or(abi::STATUS_INVALID_HANDLE)?;
    if entry.object.body::<TokenBody>().is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if access & !entry.granted != 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    // Closed by another thread meanwhile, perhaps as the last.
    let token = TokenReference::to(kernel, &entry.object).ok_or(abi::STATUS_INVALID_HANDLE)?;
    Ok((token, entry.granted))
}

/// Opens a handle, whose reference is the token's.
fn insert(kernel: &Kernel, process: &Process, token: TokenReference, granted: u32) -> Result<u32, NTSTATUS> {
    let object = token.into_object();
    let handle = process.handles.insert(object.clone(), granted);
    if handle.is_err() {
        object.dereference(kernel);
    }
    handle
}
