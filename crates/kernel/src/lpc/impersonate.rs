//! A server that acts as its client.

use abi::NTSTATUS;

use super::channel::{End, Side};
use super::connect::no_such_request;
use super::message::Header;
use super::port::Port;
use super::transfer::Caller;
use crate::Kernel;
use crate::se::ClientContext;

/// `NtImpersonateClientOfPort`: the calling thread acts as the client whose request `message` names by its ClientId, MessageId and
/// CallbackId, until it reverts. The request must be received and not replied to. How far it goes is what the client has said when it
/// connected; with dynamic tracking it acts as who the client's thread is now. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PORT_HANDLE` for a port that is not the server's end of a connection; `STATUS_REPLY_MESSAGE_MISMATCH`,
/// `STATUS_INVALID_CID` for another message; `STATUS_BAD_IMPERSONATION_LEVEL` when the client acts for somebody whom it may not pass
/// on; `STATUS_INSUFFICIENT_RESOURCES`.
pub fn impersonate_client(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Port,
    message: &Header,
) -> Result<(), NTSTATUS> {
    let End::Server(index) = port.end else { return Err(abi::STATUS_INVALID_PORT_HANDLE) };
    let key = (message.id, message.callback());
    let found = {
        let mut state = port.channel.lock(kernel);
        let asks = state.exchanges.get(&key).is_some_and(|exchange| {
            let ours = exchange.replier == Side::Server && exchange.connection == Some(index);
            ours && exchange.received && exchange.client == message.client
        });
        state.connection(index).filter(|_| asks).and_then(|connection| connection.identity.clone())
    };
    let Some(identity) = found else { return Err(no_such_request(kernel, message.client)) };
    now(kernel, message, identity)?.impersonate(kernel, caller.thread)
}

/// With dynamic tracking, who the client's thread is now. A driver's thread is who it was, the system.
fn now(kernel: &Kernel, message: &Header, identity: ClientContext) -> Result<ClientContext, NTSTATUS> {
    if !identity.quality.dynamic_tracking {
        return Ok(identity);
    }
    let number = |value: u64| u32::try_from(value).ok();
    let process = number(message.client.process).and_then(|id| kernel.ps.get(id));
    let thread = process.zip(number(message.client.thread)).and_then(|(process, id)| process.thread(id));
    match thread {
        Some(thread) => ClientContext::of_thread(kernel, &thread, identity.quality, false),
        None => Ok(identity),
    }
}
