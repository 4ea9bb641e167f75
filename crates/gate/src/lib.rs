//! The gate: how an application reaches a kernel ([`Transport`]), and that trait's two-process form.
//!
//! **Handshake.** A host [binds](Listener::bind) a Unix socket that only its user may connect to,
//! or those whom it [admits](Admission). For each application
//! that [connects](Client::connect) it makes a memory file of final size and proposes an address for it; both sides
//! map it there (the application may find the address occupied, then another is proposed). From then on the socket
//! carries one message for each slot that comes into use, and each side's death to the other.
//!
//! **Slots.** Each thread of the application owns a call slot, and a thread of the host serves that slot alone. A
//! request is one cache line that the application writes, an answer one that the host writes; each ends with a bell
//! (`bell`): a sequence number on which the other side looks for a while (`patience`) and then sleeps. While both sides
//! run, no call enters Linux; nothing on the way is shared with other slots. Threads beyond the slots take turns on
//! one that they share, so one of them that blocks delays the others: a session has 512 unless told otherwise.
//!
//! **Data** of up to some KiB lies in the slot, a cache line of it beside each of the two lines. More is copied
//! through the window's data area, or used where it lies if it is there already ([`Client::allocate`]). What the data
//! area cannot hold is refused with `STATUS_INSUFFICIENT_RESOURCES`, never cut. A buffered output is copied back as
//! far as `Information` says, and not at all after an error; the outputs of the other three methods are copied there
//! and back whole, because the driver works on them directly. Bytes of a *read* that a driver counts but does not
//! write are undefined, unless the buffer lies in the window.
//!
//! **Distrust.** The other side may write anything at any time. Each word is read once and then checked; buffers must
//! lie in the calling slot's inline data or in the data area; a host that answers what was not asked is left. What
//! must not be forged (who is served, which numbers were answered, whether the session lives) is never kept in shared
//! memory.
//!
//! **Death.** Linux closes the socket of a process that dies; a thread on each side waits for that (the host also for
//! the process itself, for a child may hold the socket open) and wakes whoever waits for the other side. The host then
//! tells the service, which cancels what is in progress, and, after the last thread has ended, that all is over.
//!
//! **Waiting** is this room's own: it waits for another process, which no kernel's scheduler rules over.
#![expect(unsafe_code, reason = "this room shares memory with other processes")]
#![allow(unexpected_cfgs, reason = "`--cfg loom` turns the models of `bell` on")]

mod admission;
mod bell;
mod client;
mod device_management;
mod directory;
mod fields;
mod futex;
#[cfg(any(test, feature = "hostile"))]
pub mod hostile;
mod inheritance;
mod management;
mod patience;
mod security_qos;
mod server;
mod service;
mod service_management;
mod socket;
mod system_call;
mod transport;
mod view;
mod window;
mod wire;

#[cfg(test)]
extern crate self as ringbridge_gate;
#[cfg(test)]
mod tests;

pub use admission::{Admission, group_id};
pub use client::{Buffer, Client, ConnectError, ConnectOptions, SpawnError};
pub use device_management::{DeviceAction, DeviceAnswer, DeviceInformation, DeviceReport, DeviceRequest};
pub use inheritance::{Inheritance, NoTicket, TICKET_LIMIT, Ticket};
pub use management::{DriverInformation, DriverUnload, LoadDriver, Management, Parameter, Refusal};
pub use patience::Spin;
pub use security_qos::SecurityQos;
pub use server::{BindError, EarlyCall, Listener, Server, ServerOptions, Views};
pub use service::{Peer, Service, WindowBuffer};
pub use service_management::{CreateService, ServiceInformation, ServiceReport, ServiceRequest};
pub use socket::{PeerCredentials, default_socket_path};
pub use system_call::file::{FileCall, LockedRange};
pub use system_call::port::{PORT_OUTPUT, PortCall, PortConnected, PortView, PortViews};
pub use system_call::synchronization::{Synchronization, SynchronizationCall, SynchronizationKind};
pub use system_call::{
    CompletionPacket, Mailslot, MappedView, Memory, NamedPipe, Notice, SystemCall, SystemReply, UserApc,
};
pub use transport::{CreateFile, DirectoryEntry, Handle, IoStatus, SharedMemory, Transport};
pub use view::View;
pub use window::{Window, WindowSize};
