//! Local procedure call: ports by which processes and drivers send each other short messages, in pairs of request and reply or
//! alone, and show each other sections for long data.
//!
//! A *connection port* has a name and takes connections; accepting one makes two *communication ports*, the server's and the
//! client's. All ports that come from one connection port share a `channel` with one lock. Names and handles are `ob`'s, views
//! `ex`'s and `mm`'s; where messages come from and go to is known to `exports` (drivers' memory) and `host` (applications').
//!
//! - `message`: a message while it is the kernel's. `waiting`: a thread that waits for one. `waitable`: a port as a dispatcher object.
//! - `channel`: what the lock guards, and handing messages over. `port`: the objects, and their end.
//! - `connect`: connecting, listening, accepting. `impersonate`: who the client is. `transfer`: requests, replies, datagrams, callbacks. `view`: sections.
//!   `request_data`: memory that a request gives its server. `termination`: who hears of a thread's end.
//!
//! NT's ports of this kind are not documented by Microsoft. What is said of them here is what the literature on the native API has
//! in common; where it says nothing, or differs, "(Confirm: …)" stands.

mod channel;
mod connect;
mod impersonate;
mod message;
mod port;
mod request_data;
mod termination;
mod transfer;
mod view;
mod waitable;
mod waiting;

#[cfg(test)]
mod tests;

pub use connect::{
    Accept, Accepted, Connect, ConnectOutcome, Connected, accept, complete, connect, listen, set_context,
};
pub use impersonate::impersonate_client;
pub use message::{ClientId, HEADER, Header, MAX_DATA, Message};
pub use port::{Limits, Port, PortUsage, Ports, create_port, create_waitable_port};
pub use request_data::{Copied, ServerBuffer, copy_request_data};
pub use termination::{process_ended, register_thread_terminate_port, thread_ended};
pub use transfer::{
    Caller, Received, receive, receive_early, reply, reply_wait_receive, reply_wait_receive_early,
    reply_wait_reply, request, request_wait_reply, request_wait_reply_early,
};
pub use view::{ClientView, GivenView, RemoteView};
