//! Ports that hear of a thread's end: `NtRegisterThreadTerminatePort`, and LPC_CLIENT_DIED.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::NTSTATUS;

use super::channel::State;
use super::message::{ClientId, Message};
use super::port::Port;
use super::transfer::Caller;
use super::waiting::Wakes;
use crate::Kernel;
use crate::ke::Thread;
use crate::ob::Object;
use crate::ps::Process;

/// Ports that one thread registers, at most. (Confirm: NT has the process's pool quota in their place.)
const MOST: usize = 64;

/// When a thread began, in units of 100 ns since 1601, and the ports that hear of its end, with a reference each.
#[derive(Debug)]
pub(super) struct Registered {
    created: u64,
    ports: Vec<Arc<Object>>,
}

/// By process and thread.
pub(super) type Registrations = BTreeMap<(u32, u32), Registered>;

/// `NtRegisterThreadTerminatePort`: has the other side of `port`, a port object, hear of the calling thread's end by LPC_CLIENT_DIED. A
/// port that is registered twice hears of it twice. IRQL: PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_OBJECT_TYPE_MISMATCH`; `STATUS_INSUFFICIENT_RESOURCES` when the thread has too many; `STATUS_PROCESS_IS_TERMINATING`.
pub fn register_thread_terminate_port(
    kernel: &Kernel,
    caller: &Caller<'_>,
    port: &Arc<Object>,
) -> Result<(), NTSTATUS> {
    if port.body::<Port>().is_none() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    let mut all = kernel.lpc.registrations();
    // Under the lock: whoever ends the process looks here after saying so.
    if caller.process.is_terminating() {
        return Err(abi::STATUS_PROCESS_IS_TERMINATING);
    }
    let key = (caller.process.id, caller.thread.id.0);
    let registered =
        all.entry(key).or_insert_with(|| Registered { created: caller.thread.created(), ports: Vec::new() });
    if registered.ports.len() >= MOST || !port.try_reference() {
        return Err(abi::STATUS_INSUFFICIENT_RESOURCES);
    }
    registered.ports.push(port.clone());
    Ok(())
}

/// A thread of an application ends: the ports that it has registered hear of it. IRQL: PASSIVE_LEVEL.
pub fn thread_ended(kernel: &Kernel, thread: &Thread) {
    let key = (thread.process_id, thread.id.0);
    let ended = kernel.lpc.registrations().remove_entry(&key);
    ended.into_iter().for_each(|ended| tell(kernel, ended));
}

/// All threads of a process that is terminating end: as [`thread_ended`] for each of them. Before its handles are closed, for who has no
/// port any more cannot be heard of by it. IRQL: PASSIVE_LEVEL.
pub fn process_ended(kernel: &Kernel, process: &Process) {
    loop {
        let ended = {
            let mut all = kernel.lpc.registrations();
            let first = all.range((process.id, 0)..=(process.id, u32::MAX)).next().map(|(key, _)| *key);
            first.and_then(|key| all.remove_entry(&key))
        };
        let Some(ended) = ended else { return };
        tell(kernel, ended);
    }
}

/// The message has the thread's ClientId and, as data, when it began. (Confirm: CLIENT_DIED_MSG.) The ports that registered last hear of it
/// first. (Confirm: that.)
fn tell(kernel: &Kernel, ((process, thread), ended): ((u32, u32), Registered)) {
    let client = ClientId { process: process.into(), thread: thread.into() };
    for object in ended.ports.iter().rev() {
        if let Some(port) = object.body::<Port>() {
            let mut message = Message::empty();
            message.set_data(&ended.created.to_le_bytes());
            message.header.kind = abi::LPC_CLIENT_DIED;
            message.header.client = client;
            message.header.id = kernel.lpc.next_message();
            message.connection = port.end.connection();
            let mut wakes = Wakes::default();
            {
                let state: &mut State = &mut port.channel.lock(kernel);
                let sent = state
                    .check_connected(port.end)
                    .and_then(|()| state.send(port.end.other_side(), &mut message, false, &mut wakes));
                // Nobody is there to be told, or will not listen.
                let _nobody = sent;
            }
            wakes.wake(kernel);
            message.recycle();
        }
        object.dereference(kernel);
    }
}
