//! The system calls of tokens.

use abi::NTSTATUS;
use gate::{Handle, SystemCall, SystemReply};
use kernel::ke::Thread;
use kernel::ps;
use kernel::se::{Answer, Level, TokenKind};

use crate::process::Process;

impl Process {
    /// Does what `call` says of a token.
    pub(crate) fn token_call(
        &self,
        thread: &Thread,
        call: &SystemCall<'_>,
        output: &mut [u8],
    ) -> SystemReply {
        let (kernel, process) = (&*self.kernel, &*self.process);
        let handle = match *call {
            SystemCall::OpenThreadToken { desired_access, open_as_self } => {
                ps::open_thread_token(kernel, process, thread, desired_access, open_as_self)
            }
            SystemCall::OpenProcessToken { desired_access } => {
                ps::open_process_token(kernel, process, desired_access)
            }
            SystemCall::SetThreadToken { token } => {
                let token = token.map(|token| token.0);
                ps::set_thread_token(kernel, process, thread, token).map(|()| 0)
            }
            SystemCall::DuplicateToken { handle, desired_access, level, kind, effective_only } => {
                kind_of(kind, level).and_then(|kind| {
                    ps::duplicate_token(kernel, process, handle.0, desired_access, kind, effective_only)
                })
            }
            SystemCall::QueryInformationToken { handle, class } => {
                return answer(ps::query_token(kernel, process, handle.0, class), output);
            }
            _ => Err(abi::STATUS_NOT_IMPLEMENTED),
        };
        match handle {
            Ok(handle) => SystemReply { handle: Handle(handle), ..SystemReply::status(abi::STATUS_SUCCESS) },
            Err(status) => SystemReply::status(status),
        }
    }
}

/// Confirm: which statuses NT has for types and levels that are none.
fn kind_of(kind: i32, level: u32) -> Result<TokenKind, NTSTATUS> {
    match kind {
        abi::TokenPrimary => Ok(TokenKind::Primary),
        abi::TokenImpersonation => {
            Level::new(level).map(TokenKind::Impersonation).ok_or(abi::STATUS_BAD_IMPERSONATION_LEVEL)
        }
        _ => Err(abi::STATUS_INVALID_PARAMETER),
    }
}

fn answer(answer: Result<Answer, NTSTATUS>, output: &mut [u8]) -> SystemReply {
    let bytes = match answer {
        Ok(Answer::Word(word)) => word.to_le_bytes().to_vec(),
        Ok(Answer::Block(block)) => block.at(0),
        Err(status) => return SystemReply::status(status),
    };
    let information = bytes.len() as u64;
    let status = match output.get_mut(..bytes.len()) {
        Some(room) => {
            room.copy_from_slice(&bytes);
            abi::STATUS_SUCCESS
        }
        None => abi::STATUS_BUFFER_TOO_SMALL,
    };
    SystemReply { information, ..SystemReply::status(status) }
}
