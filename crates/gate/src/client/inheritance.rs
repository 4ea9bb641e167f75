//! [`Inheritance`] over the session, and children that are started with handles.

use std::io;
use std::process::{Child, Command};

use abi::{NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, STATUS_UNSUCCESSFUL};

use super::Client;
use super::call::CopyBack;
use crate::inheritance::{Inheritance, Legacy, TICKET_LIMIT, Ticket, VARIABLE};
use crate::transport::{Handle, Transport};
use crate::wire::{Request, operation};

/// Why a child was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// One of the handles is none, or the host is gone.
    #[error("the host does not give these handles to a child: status {0:?}")]
    Handles(NTSTATUS),
    /// Linux refused.
    #[error("the child cannot be started: {0}")]
    Linux(#[from] io::Error),
}

impl Client {
    /// Starts a child for which `handles` are meant. It connects to the same host and gets them, in this order, from
    /// [`Self::inherited`]; it has no other handles of this session, and this session keeps its own. If this session ends
    /// before the child has asked, the child gets none.
    ///
    /// The heir is the process that `command` starts, whatever it executes then; processes that it starts in turn get
    /// nothing, so a shell in between has to `exec`.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing waits for a child then.
    pub fn spawn(&self, command: &mut Command, handles: &[Handle]) -> Result<Child, SpawnError> {
        let ticket = self.offer_handles(handles).map_err(SpawnError::Handles)?;
        let legacy = Legacy { ticket, parent: std::process::id() };
        let child = command.env(VARIABLE, legacy.to_string()).spawn();
        // The next child of the same command is another.
        command.env_remove(VARIABLE);
        if child.is_err() {
            for handle in self.take_handles(&ticket).unwrap_or_default() {
                // It was made a moment ago; if the host is gone, so is it.
                let _closed = self.close(handle);
            }
        }
        Ok(child?)
    }

    /// The handles that this process's parent has started it with ([`Self::spawn`]); none if it has not, or has ended. They can
    /// be asked for once.
    ///
    /// # Errors
    /// `STATUS_NOT_FOUND` when they were asked for already, or the parent's session has ended;
    /// `STATUS_INVALID_PARAMETER` when the environment is not what a parent leaves.
    pub fn inherited(&self) -> Result<Vec<Handle>, NTSTATUS> {
        let Some(legacy) = std::env::var_os(VARIABLE) else { return Ok(Vec::new()) };
        let legacy = legacy.to_str().and_then(|legacy| legacy.parse::<Legacy>().ok());
        let legacy = legacy.ok_or(STATUS_INVALID_PARAMETER)?;
        if legacy.parent != std::os::unix::process::parent_id() {
            return Ok(Vec::new());
        }
        self.take_handles(&legacy.ticket)
    }

    /// Makes a request whose answer has at most `room` bytes; its answer.
    fn ask(&self, operation: u32, input: &[u8], room: usize) -> Result<Vec<u8>, NTSTATUS> {
        let mut output = vec![0; room];
        let header = Request { operation, ..Request::default() };
        let reply = self.link.call(header, input, &mut output, CopyBack::Information)?;
        match NTSTATUS::from_bits(reply.status) {
            STATUS_SUCCESS => {}
            // No host of ours answers so; the caller must not take it for success.
            status if status.is_success() => return Err(STATUS_UNSUCCESSFUL),
            status => return Err(status),
        }
        let length = usize::try_from(reply.information).ok().filter(|&length| length <= room);
        output.truncate(length.ok_or(STATUS_UNSUCCESSFUL)?);
        Ok(output)
    }
}

impl Inheritance for Client {
    fn offer_handles(&self, handles: &[Handle]) -> Result<Ticket, NTSTATUS> {
        if handles.len() > TICKET_LIMIT {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let input: Vec<u8> = handles.iter().flat_map(|handle| handle.0.to_le_bytes()).collect();
        let ticket = self.ask(operation::OFFER_HANDLES, &input, Ticket::LENGTH)?;
        ticket.try_into().map(Ticket).map_err(|_| STATUS_UNSUCCESSFUL)
    }

    fn take_handles(&self, ticket: &Ticket) -> Result<Vec<Handle>, NTSTATUS> {
        let bytes = self.ask(operation::TAKE_HANDLES, &ticket.0, TICKET_LIMIT * 4)?;
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(STATUS_UNSUCCESSFUL);
        }
        Ok(words.iter().map(|word| Handle(u32::from_le_bytes(*word))).collect())
    }
}
