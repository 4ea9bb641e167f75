//! Requests that offer handles and take them.

use abi::{STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use super::session::Session;
use super::slot::{copy_in, copy_out, refused, status};
use crate::inheritance::{TICKET_LIMIT, Ticket};
use crate::service::WindowBuffer;
use crate::transport::Handle;
use crate::wire::{Reply, Request, operation};

/// Bytes of the longest list of handles.
const LIST_LIMIT: usize = TICKET_LIMIT * 4;

pub(super) fn answer(
    session: &Session,
    request: &Request,
    input: WindowBuffer,
    output: WindowBuffer,
) -> Reply {
    let inheritance = match session.service.inheritance() {
        Ok(inheritance) => inheritance,
        Err(reason) => return refused(reason),
    };
    let given = copy_in(input, LIST_LIMIT + 1);
    // Before anything happens: a ticket is void once it was shown.
    let room = if request.operation == operation::OFFER_HANDLES { Ticket::LENGTH } else { LIST_LIMIT };
    if (output.length as usize) < room {
        return Reply { information: room as u64, ..status(STATUS_BUFFER_TOO_SMALL) };
    }
    let answered = if request.operation == operation::OFFER_HANDLES {
        let (words, rest) = given.as_chunks::<4>();
        if !rest.is_empty() || words.len() > TICKET_LIMIT {
            return status(STATUS_INVALID_PARAMETER);
        }
        let handles: Vec<_> = words.iter().map(|word| Handle(u32::from_le_bytes(*word))).collect();
        inheritance.offer_handles(&handles).map(|ticket| ticket.0.to_vec())
    } else {
        let Ok(ticket) = given.try_into().map(Ticket) else { return status(STATUS_INVALID_PARAMETER) };
        let taken = inheritance.take_handles(&ticket);
        taken.map(|handles| handles.iter().flat_map(|handle| handle.0.to_le_bytes()).collect())
    };
    match answered {
        Ok(bytes) => {
            copy_out(&bytes, output);
            Reply { information: bytes.len() as u64, ..status(STATUS_SUCCESS) }
        }
        Err(reason) => refused(reason),
    }
}
