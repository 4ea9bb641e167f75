//! One application thread's requests, served on this thread: read once, checked, done, answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{
    METHOD_NEITHER, NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_BUFFER_TOO_SMALL,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS,
    STATUS_UNSUCCESSFUL,
};

use super::early::EarlyAnswer;
use super::inheritance;
use super::management;
use super::session::Session;
use crate::bell;
use crate::directory;
use crate::patience::{Patience, processor};
use crate::security_qos::SecurityQos;
use crate::service::WindowBuffer;
use crate::system_call::{CompletionPacket, MOST_BYTES, MOST_WORDS, SystemReply, decode};
use crate::transport::{CreateFile, Handle, IoStatus};
use crate::wire::{HAS_FILE_OFFSET, PATH_LIMIT, Reply, Request, SHARED_TURN, operation};

/// Serves slot `index` until its application thread or the session ends.
pub(super) fn serve(session: &Session, index: u32) {
    session.service.thread_started();
    let lines = session.window.slot(index);
    let record = &session.slots[index as usize];
    let early = EarlyAnswer::new(&session.window, index, &record.late);
    let patience = Patience::default();
    let gone = || session.has_ended();
    let mut last = record.served.load(Ordering::Acquire);
    loop {
        let partner = lines.request.processor.load(std::sync::atomic::Ordering::Relaxed);
        let number = patience
            .look(&lines.request.bell, lines.after_request(), last, session.spin, partner)
            .or_else(|| bell::wait(&lines.request.bell, last, &lines.reply.parked, gone));
        let Some(number) = number.filter(|_| !session.has_ended()) else { break };
        last = number;
        let request = lines.request.read();
        if request.operation == operation::END {
            break;
        }
        let call = Call { session, index, number, request: &request, early: &early };
        let reply = answer(&call);
        if request.flags & SHARED_TURN != 0 {
            session.service.turn_ended();
        }
        if let Some(reply) = reply {
            lines.reply.write(&reply, processor());
            bell::ring(&lines.reply.bell, number, &lines.request.parked);
        }
    }
    session.service.thread_ended();
    // From the ring on, the slot may get another thread.
    record.served.store(last, Ordering::Release);
    record.active.store(false, Ordering::Release);
    bell::ring(&lines.reply.bell, last, &lines.request.parked);
}

/// A request in progress.
struct Call<'a> {
    session: &'a Session,
    index: u32,
    /// Its sequence number.
    number: u32,
    request: &'a Request,
    early: &'a Arc<EarlyAnswer>,
}

/// Does what a request asks for. Nothing in it has been checked yet. `None` when it has been answered already.
fn answer(call: &Call<'_>) -> Option<Reply> {
    let Call { session, index, request, .. } = *call;
    let service = &*session.service;
    let buffer = |offset, length| checked(session, index, offset, length);
    let (Some(input), Some(output)) = (
        buffer(request.input_offset, request.input_length),
        buffer(request.output_offset, request.output_length),
    ) else {
        return Some(status(STATUS_ACCESS_VIOLATION));
    };
    let handle = Handle(request.handle);
    let offset = (request.flags & HAS_FILE_OFFSET != 0).then_some(request.file_offset);
    Some(match request.operation {
        // What a thread owes its turn it owes before its answer.
        operation::DEVICE_CONTROL
            if request.code & 3 == METHOD_NEITHER && request.flags & SHARED_TURN == 0 =>
        {
            let early = call.early.open(call.number, handle, output);
            let result = service.device_control_early(handle, request.code, input, output, &early);
            return call.early.close().then(|| io(result));
        }
        operation::DEVICE_CONTROL => io(service.device_control(handle, request.code, input, output)),
        operation::READ => io(service.read(handle, output, offset)),
        operation::WRITE => io(service.write(handle, input, offset)),
        operation::CREATE => create(session, input),
        operation::CLOSE => {
            session.slots.iter().for_each(|record| record.late.wait(handle));
            status(service.close(handle))
        }
        operation::DUPLICATE => duplicate(session, request),
        operation::SYSTEM_CALL => return system_call(call, input, output),
        operation::QUERY_DIRECTORY => query_directory(session, input, output),
        operation::LOAD_DRIVER
        | operation::UNLOAD_DRIVER
        | operation::QUERY_DRIVERS
        | operation::MANAGE_DEVICES
        | operation::MANAGE_SERVICES => management::answer(session, request, input, output),
        operation::OFFER_HANDLES | operation::TAKE_HANDLES => {
            inheritance::answer(session, request, input, output)
        }
        _ => status(STATUS_NOT_IMPLEMENTED),
    })
}

/// The address of an application's buffer, if it may use it from this slot.
fn checked(session: &Session, index: u32, offset: u64, length: u32) -> Option<WindowBuffer> {
    if length == 0 {
        return Some(WindowBuffer { address: 0, length: 0 });
    }
    session.window.check(index, offset, length).map(|address| WindowBuffer { address, length })
}

pub(super) fn status(status: NTSTATUS) -> Reply {
    Reply { status: status.bits(), ..Reply::default() }
}

fn io(result: IoStatus) -> Reply {
    Reply { status: result.status.bits(), information: result.information, handle: 0 }
}

/// An error's reply: a service that calls a success an error gets it turned into one.
pub(super) fn refused(reason: NTSTATUS) -> Reply {
    status(if reason.is_success() { STATUS_UNSUCCESSFUL } else { reason })
}

fn create(session: &Session, input: WindowBuffer) -> Reply {
    let bytes = copy_in(input, INPUT_LIMIT);
    let Some((words, path)) = bytes.split_at_checked(crate::wire::CREATE_WORDS * 4) else {
        return status(STATUS_INVALID_PARAMETER);
    };
    let Some(path) = utf16(path) else { return status(STATUS_INVALID_PARAMETER) };
    let word = |index: usize| words.as_chunks::<4>().0.get(index).map_or(0, |word| u32::from_le_bytes(*word));
    let Ok(security_qos) = SecurityQos::from_flags(word(5)) else { return status(STATUS_INVALID_PARAMETER) };
    let request = CreateFile {
        path: &path,
        desired_access: word(0),
        file_attributes: word(1),
        share_access: word(2),
        create_disposition: word(3),
        create_options: word(4),
        security_qos,
    };
    match session.service.create_file(&request) {
        Ok((handle, information)) => Reply { status: STATUS_SUCCESS.bits(), handle: handle.0, information },
        Err(reason) => refused(reason),
    }
}

fn duplicate(session: &Session, request: &Request) -> Reply {
    // Unknown options are the kernel's to judge, but there are no more than 32 bits of them.
    let Ok(options) = u32::try_from(request.file_offset) else { return status(STATUS_INVALID_PARAMETER) };
    match session.service.duplicate_handle(Handle(request.handle), request.code, options) {
        Ok(handle) => Reply { status: STATUS_SUCCESS.bits(), handle: handle.0, information: 0 },
        Err(reason) => refused(reason),
    }
}

/// The longest output of a system call.
pub(super) const OUTPUT_LIMIT: usize = 64 * CompletionPacket::SIZE;

fn system_call(call: &Call<'_>, input: WindowBuffer, output: WindowBuffer) -> Option<Reply> {
    let Call { session, request, .. } = *call;
    let handle = Handle(request.handle);
    let early = (request.flags & SHARED_TURN == 0).then(|| call.early.open(call.number, handle, output));
    let mut room = [0; OUTPUT_LIMIT];
    let room = &mut room[..(output.length as usize).min(OUTPUT_LIMIT)];
    let answered = with_input(input, |bytes| {
        decode(request.code, handle, bytes, |call| {
            if request.flags & SHARED_TURN != 0 && call.impersonates() {
                return SystemReply::status(STATUS_INSUFFICIENT_RESOURCES);
            }
            match &early {
                Some(early) => session.service.system_call_early(call, room, early),
                None => session.service.system_call(call, room),
            }
        })
    });
    // The application may have seen its answer, and its buffers be in use again.
    if early.is_some() && !call.early.close() {
        return None;
    }
    Some(match answered {
        Ok(SystemReply { status, handle, information }) => {
            let length = usize::try_from(information).unwrap_or(usize::MAX).min(room.len());
            if !status.is_error() {
                copy_out(&room[..length], output);
            }
            Reply { status: status.bits(), handle: handle.0, information }
        }
        Err(reason) => status(reason),
    })
}

/// Runs `body` with a private copy of a buffer's bytes, which is on the stack if they are few.
fn with_input<R>(buffer: WindowBuffer, body: impl FnOnce(&[u8]) -> R) -> R {
    // A message of a port is among the few.
    let mut few = [0; 576];
    match few.get_mut(..buffer.length as usize) {
        Some(few) => {
            fill(few, buffer);
            body(few)
        }
        None => body(&copy_in(buffer, SYSTEM_CALL_LIMIT)),
    }
}

fn query_directory(session: &Session, input: WindowBuffer, output: WindowBuffer) -> Reply {
    let Some(path) = utf16(&copy_in(input, INPUT_LIMIT)) else { return status(STATUS_INVALID_PARAMETER) };
    let entries = match session.service.query_directory(&path) {
        Ok(entries) => entries,
        Err(reason) => return refused(reason),
    };
    let bytes = directory::encode(&entries);
    let information = bytes.len() as u64;
    if information > u64::from(output.length) {
        return Reply { status: STATUS_BUFFER_TOO_SMALL.bits(), information, handle: 0 };
    }
    copy_out(&bytes, output);
    Reply { status: STATUS_SUCCESS.bits(), information, handle: 0 }
}

/// UTF-16 of a path that may travel; `None` for odd lengths and paths that are too long.
fn utf16(bytes: &[u8]) -> Option<Vec<u16>> {
    let (units, rest) = bytes.as_chunks::<2>();
    (rest.is_empty() && units.len() <= PATH_LIMIT)
        .then(|| units.iter().map(|unit| u16::from_le_bytes(*unit)).collect())
}

/// The longest system call, and a byte more, which it is refused for.
const SYSTEM_CALL_LIMIT: usize = MOST_WORDS * 8 + PATH_LIMIT * 2 + MOST_BYTES + 1;

/// The longest input with a path, and enough more to see that one is too long.
const INPUT_LIMIT: usize = crate::wire::CREATE_WORDS * 4 + PATH_LIMIT * 2 + 2;

/// A private copy of a buffer's bytes, of the first `limit` at most.
pub(super) fn copy_in(buffer: WindowBuffer, limit: usize) -> Vec<u8> {
    let mut bytes = vec![0; (buffer.length as usize).min(limit)];
    fill(&mut bytes, buffer);
    bytes
}

/// Fills `bytes` from the front of a buffer, which is at least as long.
fn fill(bytes: &mut [u8], buffer: WindowBuffer) {
    assert!(bytes.len() <= buffer.length as usize);
    if !bytes.is_empty() {
        let source = std::ptr::with_exposed_provenance::<u8>(address(buffer));
        // SAFETY: `checked` found the range in the window, which is mapped as long as the session lives; the copy is
        // of bytes, for which whatever the application writes meanwhile is valid.
        unsafe { std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
    }
}

/// Fills the front of a buffer, which is at least as long as `bytes`.
pub(super) fn copy_out(bytes: &[u8], buffer: WindowBuffer) {
    assert!(bytes.len() <= buffer.length as usize);
    if !bytes.is_empty() {
        let target = std::ptr::with_exposed_provenance_mut::<u8>(address(buffer));
        // SAFETY: as in `copy_in`; no Rust value lives in the window's data.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }
}

#[expect(clippy::cast_possible_truncation, reason = "x86-64 has 64-bit addresses")]
fn address(buffer: WindowBuffer) -> usize {
    buffer.address as usize
}
