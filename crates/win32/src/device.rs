//! Requests: `ReadFile`, `WriteFile`, `DeviceIoControl`.

use abi::NTSTATUS;
use gate::{Handle, IoStatus, Transport};

use crate::failure::{Failure, MISSING, done};
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::session::session;
use crate::types::{BOOL, HANDLE, OVERLAPPED};

/// Reads up to `length` bytes. Without an OVERLAPPED it returns when all is done, and `transferred` must be there; at the end of a file
/// it succeeds with 0 bytes then. With one, on a file for overlapped I/O, ERROR_IO_PENDING says that it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn ReadFile(
    file: HANDLE,
    buffer: Pointer<u8>,
    length: u32,
    transferred: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    done(transfer(file, transferred, overlapped, &Transfer::Read(Span { at: buffer, length })))
}

/// Writes `length` bytes; as [`ReadFile`].
#[unsafe(no_mangle)]
pub extern "C" fn WriteFile(
    file: HANDLE,
    buffer: Pointer<u8>,
    length: u32,
    transferred: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    done(transfer(file, transferred, overlapped, &Transfer::Write(Span { at: buffer, length })))
}

/// Sends a control code with its two buffers. `returned` must be there unless an OVERLAPPED is.
#[unsafe(no_mangle)]
pub extern "C" fn DeviceIoControl(
    device: HANDLE,
    code: u32,
    input: Pointer<u8>,
    input_length: u32,
    output: Pointer<u8>,
    output_length: u32,
    returned: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
) -> BOOL {
    let input = Span { at: input, length: input_length };
    let output = Span { at: output, length: output_length };
    done(transfer(device, returned, overlapped, &Transfer::Control(code, input, output)))
}

enum Transfer {
    Read(Span),
    Write(Span),
    Control(u32, Span, Span),
}

fn transfer(
    file: HANDLE,
    transferred: Pointer<u32>,
    overlapped: Pointer<OVERLAPPED>,
    what: &Transfer,
) -> Result<(), Failure> {
    if overlapped.is_null() && transferred.is_null() {
        return Err(MISSING);
    }
    transferred.write_if_there(0)?;
    let handle = file.of_machine()?;
    if overlapped.is_null() {
        let result = at_once(session()?, handle, what)?;
        if result.status == abi::STATUS_END_OF_FILE && matches!(what, Transfer::Read(_)) {
            return Ok(());
        }
        if !result.status.is_error() {
            transferred.write(count(result.information))?;
        }
        return ended(result.status);
    }
    let OVERLAPPED { event, .. } = overlapped.read()?;
    let offset = overlapped_offset(overlapped)?;
    let action = match *what {
        Transfer::Read(buffer) => Action::Read { buffer, offset: Some(offset) },
        Transfer::Write(buffer) => Action::Write { buffer, offset: Some(offset) },
        Transfer::Control(code, input, output) => Action::Control { code, input, output },
    };
    let told = Told { event: event.event()?, routine: None, context: overlapped.context(event) };
    let status = pending::start(handle, &action, overlapped.cast(), told);
    if status != abi::STATUS_PENDING && !status.is_error() {
        transferred.write_if_there(count(overlapped.read()?.internal_high))?;
    }
    ended(status)
}

/// Without an OVERLAPPED.
fn at_once(transport: &dyn Transport, handle: Handle, what: &Transfer) -> Result<IoStatus, Failure> {
    let bytes = |span: Span| span.at.bytes(span.length as usize);
    let room = |span: Span| span.at.room(span.length as usize);
    Ok(match *what {
        Transfer::Read(buffer) => transport.read(handle, room(buffer)?, None),
        Transfer::Write(buffer) => transport.write(handle, bytes(buffer)?, None),
        Transfer::Control(code, input, output) => control_at_once(transport, handle, code, input, output)?,
    })
}

/// A control code that has ended when this returns.
pub(crate) fn control_at_once(
    transport: &dyn Transport,
    handle: Handle,
    code: u32,
    input: Span,
    output: Span,
) -> Result<IoStatus, Failure> {
    let bytes = input.at.bytes(input.length as usize);
    let room = || output.at.room(output.length as usize);
    Ok(if overlap(input, output) {
        // One buffer for both, as many applications have it.
        let copy = bytes?.to_vec();
        transport.device_control(handle, code, &copy, room()?)
    } else {
        transport.device_control(handle, code, bytes?, room()?)
    })
}

impl Pointer<OVERLAPPED> {
    /// What a completion port is told of its request: nothing with the lowest bit of its event set.
    pub(crate) fn context(self, event: HANDLE) -> u64 {
        if event.0 & 1 == 0 { self.address() as u64 } else { 0 }
    }
}

fn overlap(first: Span, second: Span) -> bool {
    let (start, other) = (first.at.address(), second.at.address());
    start < other.saturating_add(second.length as usize)
        && other < start.saturating_add(first.length as usize)
}

/// A request that goes on is an error to Win32: ERROR_IO_PENDING.
pub(crate) fn ended(status: NTSTATUS) -> Result<(), Failure> {
    if status.is_success() && status != abi::STATUS_PENDING { Ok(()) } else { Err(status.into()) }
}

/// Win32's counts are of 32 bits.
pub(crate) fn count(information: u64) -> u32 {
    u32::try_from(information).unwrap_or(u32::MAX)
}

/// Of an OVERLAPPED's first word.
#[expect(clippy::cast_possible_truncation, reason = "a status is the low half")]
pub(crate) fn status_of(internal: u64) -> NTSTATUS {
    NTSTATUS::from_bits(internal as u32)
}

/// Bytes from the file's beginning.
pub(crate) fn overlapped_offset(overlapped: Pointer<OVERLAPPED>) -> Result<u64, Failure> {
    let OVERLAPPED { offset, offset_high, .. } = overlapped.read()?;
    Ok(u64::from(offset) | u64::from(offset_high) << 32)
}
