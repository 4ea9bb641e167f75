//! Completion ports: `CreateIoCompletionPort`, `GetQueuedCompletionStatus` and their kin.

use gate::{CompletionPacket, IoStatus, SystemCall, Transport};

use crate::apc;
use crate::device::count;
use crate::failure::{Failure, MISSING, done, fail};
use crate::overlapped::end_if_disconnected;
use crate::pending;
use crate::pointer::Pointer;
use crate::session::{ask, call, session};
use crate::types::{BOOL, FALSE, HANDLE, OVERLAPPED_ENTRY};
use crate::wait::relative;

/// Packets that one call takes at most.
const MOST: usize = 64;

/// Creates a completion port (`file` INVALID_HANDLE_VALUE), gives a file its port, or both.
#[unsafe(no_mangle)]
pub extern "C" fn CreateIoCompletionPort(file: HANDLE, port: HANDLE, key: usize, threads: u32) -> HANDLE {
    create(file, port, key, threads).unwrap_or_else(|failure| fail(failure, HANDLE::NULL))
}

fn create(file: HANDLE, port: HANDLE, key: usize, threads: u32) -> Result<HANDLE, Failure> {
    if file == HANDLE::INVALID && port != HANDLE::NULL {
        return Err(MISSING);
    }
    let made = if port == HANDLE::NULL {
        let desired_access = abi::IO_COMPLETION_ALL_ACCESS;
        let reply = ask(&SystemCall::CreateIoCompletion { name: &[], desired_access, threads }, &mut [])?;
        crate::failure::checked(reply.status)?;
        Some(reply.handle)
    } else {
        None
    };
    let port = made.map_or_else(|| port.of_machine(), Ok)?;
    if file != HANDLE::INVALID {
        let associated = file
            .of_machine()
            .and_then(|handle| call(&SystemCall::SetFileCompletion { handle, port, key: key as u64 }));
        if let Err(failure) = associated {
            if let Some(made) = made {
                let _it_was_there = session()?.close(made);
            }
            return Err(failure);
        }
    }
    Ok(port.into())
}

/// Takes a packet. FALSE with an OVERLAPPED: its request has failed, and the last error says how. FALSE without one: no packet
/// came (WAIT_TIMEOUT), or the port is closed (ERROR_ABANDONED_WAIT_0).
#[unsafe(no_mangle)]
pub extern "C" fn GetQueuedCompletionStatus(
    port: HANDLE,
    bytes: Pointer<u32>,
    key: Pointer<usize>,
    overlapped: Pointer<usize>,
    milliseconds: u32,
) -> BOOL {
    done(take_one(port, bytes, key, overlapped, milliseconds))
}

fn take_one(
    port: HANDLE,
    bytes: Pointer<u32>,
    key: Pointer<usize>,
    overlapped: Pointer<usize>,
    milliseconds: u32,
) -> Result<(), Failure> {
    if bytes.is_null() || key.is_null() || overlapped.is_null() {
        return Err(MISSING);
    }
    overlapped.write(0)?;
    let mut packet = None;
    take(port, 1, milliseconds, false, |_, taken| {
        packet = Some(taken);
        Ok(())
    })?;
    let packet = packet.ok_or(Failure(abi::WAIT_TIMEOUT))?;
    let context = address(packet.context);
    pending::settle(context);
    bytes.write(count(packet.result.information))?;
    key.write(address(packet.key))?;
    overlapped.write(context)?;
    let status = packet.result.status;
    if status.is_success() { Ok(()) } else { Err(status.into()) }
}

/// Takes up to `room` packets. WAIT_TIMEOUT when none came; WAIT_IO_COMPLETION when completion routines have run instead. How
/// each request has ended is in its OVERLAPPED.
#[unsafe(no_mangle)]
pub extern "C" fn GetQueuedCompletionStatusEx(
    port: HANDLE,
    entries: Pointer<OVERLAPPED_ENTRY>,
    room: u32,
    taken: Pointer<u32>,
    milliseconds: u32,
    alertable: BOOL,
) -> BOOL {
    if entries.is_null() || taken.is_null() || room == 0 {
        return fail(MISSING, FALSE);
    }
    done(take_many(port, entries, room, taken, milliseconds, alertable != FALSE))
}

fn take_many(
    port: HANDLE,
    entries: Pointer<OVERLAPPED_ENTRY>,
    room: u32,
    taken: Pointer<u32>,
    milliseconds: u32,
    alertable: bool,
) -> Result<(), Failure> {
    let mut number = 0;
    take(port, (room as usize).min(MOST), milliseconds, alertable, |index, packet| {
        number += 1;
        pending::settle(address(packet.context));
        entries.at(index).write(OVERLAPPED_ENTRY {
            key: address(packet.key),
            overlapped: address(packet.context),
            internal: packet.result.status.bits().into(),
            bytes: count(packet.result.information),
        })
    })?;
    taken.write(number)?;
    if number == 0 { Err(Failure(abi::WAIT_TIMEOUT)) } else { Ok(()) }
}

/// Numbers that the application gave are its own again.
fn address(word: u64) -> usize {
    usize::try_from(word).unwrap_or(0)
}

fn take(
    port: HANDLE,
    room: usize,
    milliseconds: u32,
    alertable: bool,
    mut each: impl FnMut(usize, CompletionPacket) -> Result<(), Failure>,
) -> Result<(), Failure> {
    const SIZE: usize = CompletionPacket::SIZE;
    let handle = port.of_machine()?;
    let mut bytes = [0; MOST * SIZE];
    let timeout = relative(milliseconds);
    let call = SystemCall::RemoveIoCompletion { handle, alertable, timeout };
    let transport: &dyn Transport = session()?;
    let reply = transport.system_call(&call, &mut bytes[..room * SIZE]);
    match reply.status {
        abi::STATUS_SUCCESS => {
            let count = usize::try_from(reply.information).unwrap_or(usize::MAX) / SIZE;
            let told = bytes.as_chunks().0.iter().take(count.min(room));
            told.enumerate().try_for_each(|(index, packet)| each(index, CompletionPacket::from_bytes(packet)))
        }
        abi::STATUS_TIMEOUT => Ok(()),
        abi::STATUS_USER_APC => {
            apc::run_due();
            Err(Failure(crate::wait::WAIT_IO_COMPLETION))
        }
        abi::STATUS_ABANDONED_WAIT_0 => Err(Failure(abi::ERROR_ABANDONED_WAIT_0)),
        status => {
            end_if_disconnected();
            Err(status.into())
        }
    }
}

/// Puts a packet into a port.
#[unsafe(no_mangle)]
pub extern "C" fn PostQueuedCompletionStatus(
    port: HANDLE,
    bytes: u32,
    key: usize,
    overlapped: usize,
) -> BOOL {
    let result = IoStatus { status: abi::STATUS_SUCCESS, information: bytes.into() };
    let packet = CompletionPacket { key: key as u64, context: overlapped as u64, result };
    done(port.of_machine().and_then(|handle| call(&SystemCall::SetIoCompletion { handle, packet })))
}

/// Which ends of a file's requests are not told: FILE_SKIP_*.
#[unsafe(no_mangle)]
pub extern "C" fn SetFileCompletionNotificationModes(file: HANDLE, flags: u8) -> BOOL {
    let flags = flags.into();
    done(
        file.of_machine()
            .and_then(|handle| call(&SystemCall::SetCompletionNotificationModes { handle, flags })),
    )
}
