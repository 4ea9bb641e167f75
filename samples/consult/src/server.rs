//! The driver's own port: one thread serves all connections.

use core::num::NonZeroUsize;

use driver::abi::{
    FILE_READ_DATA, LPC_CONNECTION_REQUEST, LPC_PORT_CLOSED, LPC_REQUEST, NTSTATUS, STATUS_SUCCESS,
};
use driver::lpc::{CommunicationPort, Message, Received, ServerPort};
use driver::{Stop, Target, utf16};

use crate::{QUESTION, TAG};

/// Bytes of data in a message: how many letters, and how many were changed.
pub(crate) const MAX_DATA: usize = 4;
/// Connections at a time; who comes then is refused.
const MOST: usize = 8;
/// Letters that are changed at a time.
const CHUNK: usize = 64;

/// The thread's life. The context of a connection is its place and one: without one comes what the driver itself sends, to
/// stop the thread.
pub(crate) fn serve(stop: &Stop<'_>, port: &ServerPort) {
    let level = stop.level();
    let mut connections: [Option<CommunicationPort<'_>>; MOST] = core::array::from_fn(|_| None);
    let mut reply: Option<Message> = None;
    while !stop.is_requested() {
        let received = match &reply {
            Some(reply) => port.reply_wait_receive(level, reply),
            None => port.receive(level),
        };
        let replied = reply.take().is_some();
        let Received { message, context } = match received {
            Ok(received) => received,
            // The client has gone meanwhile.
            Err(_) if replied => continue,
            Err(_) => return,
        };
        let place = context.checked_sub(1);
        match (message.kind(), place.and_then(|place| connections.get_mut(place))) {
            (LPC_CONNECTION_REQUEST, _) => accept(stop, port, &message, &mut connections),
            (LPC_REQUEST, Some(Some(connection))) => {
                let answer = match message.data() {
                    [] => ask_back(connection, &message),
                    [_] => may_open(stop, connection, &message).bits(),
                    length => capitals(connection, length),
                };
                reply = Some(message.reply(&answer.to_le_bytes()));
            }
            (LPC_PORT_CLOSED, Some(connection)) => *connection = None,
            _ => {}
        }
    }
}

fn accept<'s>(
    stop: &'s Stop<'_>,
    port: &ServerPort,
    request: &Message,
    connections: &mut [Option<CommunicationPort<'s>>],
) {
    let free = (1..).zip(connections).find(|(_, connection)| connection.is_none());
    let Some((context, connection)) = free else {
        let _gone = port.refuse(stop.level(), request, b"");
        return;
    };
    let Some(context) = NonZeroUsize::new(context) else { return };
    // A client that does not wait any more leaves the place free; one that goes later is told.
    *connection = port.accept(stop, request, context, None, b"").ok();
    if let Some(connection) = connection {
        let _gone = connection.complete();
    }
}

/// As [`capitals`], of as many letters as the client says when it is asked.
fn ask_back(connection: &CommunicationPort<'_>, request: &Message) -> u32 {
    match connection.request_wait_reply(&request.callback(QUESTION)) {
        Ok(answer) => capitals(connection, answer.data()),
        // It has gone; nobody gets the reply.
        Err(_) => 0,
    }
}

/// Whether the client may open the driver's device: as the client, the driver tries.
fn may_open(stop: &Stop<'_>, connection: &CommunicationPort<'_>, request: &Message) -> NTSTATUS {
    let opened = connection.impersonate_client(request).and_then(|_as_client| {
        Target::open_checked(stop.level(), TAG, utf16!(r"\Device\Consult"), FILE_READ_DATA)
    });
    opened.err().unwrap_or(STATUS_SUCCESS)
}

/// Turns letters of what the client shows into capitals. It may change them at the same time: what counts is the copy.
fn capitals(connection: &CommunicationPort<'_>, data: &[u8]) -> u32 {
    let (Some(view), Ok(length)) = (connection.other_view(), data.try_into()) else { return 0 };
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(0).min(view.len());
    let mut changed = 0;
    for start in (0..length).step_by(CHUNK) {
        let mut chunk = [0; CHUNK];
        let part = &mut chunk[..CHUNK.min(length - start)];
        if view.read(start, part).is_err() {
            break;
        }
        for letter in part.iter_mut().filter(|letter| letter.is_ascii_lowercase()) {
            letter.make_ascii_uppercase();
            changed += 1;
        }
        if view.write(start, part).is_err() {
            break;
        }
    }
    changed
}
