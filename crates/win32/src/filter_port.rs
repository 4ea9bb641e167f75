//! Communication ports of minifilters (`fltuser.h`): `FilterConnectCommunicationPort` and its kin, which answer an HRESULT.

use std::ffi::c_void;

use abi::NTSTATUS;
use gate::{IoStatus, SystemCall};

use crate::device::count;
use crate::failure::{Failure, MISSING};
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::session::{ask, session};
use crate::text::Text;
use crate::types::{HANDLE, OVERLAPPED};

/// Success, or why not: a Win32 code or one of the filter manager's, with its high bit set.
pub type HRESULT = i32;

/// Why a call fails.
struct Refused(u32);

impl From<NTSTATUS> for Refused {
    fn from(status: NTSTATUS) -> Self {
        Self(app::hresult_from_status(status))
    }
}

impl From<Failure> for Refused {
    fn from(Failure(code): Failure) -> Self {
        Self(0x8007_0000 | code & 0xFFFF)
    }
}

fn told(result: Result<(), Refused>) -> HRESULT {
    result.err().map_or(0, |refused| refused.0.cast_signed())
}

/// A reply that was cut short is an error here, too.
fn ended(status: NTSTATUS) -> Result<(), Refused> {
    if status.is_success() && status != abi::STATUS_PENDING { Ok(()) } else { Err(status.into()) }
}

/// Connects to the port of a filter: `name` with its backslash, `context` for the filter's callback. `options` are 0 or
/// FLT_PORT_FLAG_SYNC_HANDLE. 0x80070002 (ERROR_FILE_NOT_FOUND) when no port has the name, E_ACCESSDENIED, 0x800704D6
/// (ERROR_CONNECTION_COUNT_LIMIT), E_INVALIDARG without a name or a place for the handle; what the filter answers. Security attributes
/// are not looked at. Source: `fltuser.h`, FilterConnectCommunicationPort.
#[unsafe(no_mangle)]
pub extern "C" fn FilterConnectCommunicationPort(
    name: Pointer<u16>,
    options: u32,
    context: Pointer<u8>,
    context_size: u16,
    _attributes: Pointer<c_void>,
    port: Pointer<HANDLE>,
) -> HRESULT {
    told(connect(name, options, context, context_size, port))
}

fn connect(
    name: Pointer<u16>,
    options: u32,
    context: Pointer<u8>,
    context_size: u16,
    port: Pointer<HANDLE>,
) -> Result<(), Refused> {
    if port.is_null() {
        return Err(MISSING.into());
    }
    // Nothing is opened whose handle nobody could learn.
    port.write(HANDLE::INVALID)?;
    let name: Vec<u16> = name.text()?.encode_utf16().collect();
    let context = context.bytes(context_size.into())?;
    let reply = ask(&SystemCall::FilterConnectCommunicationPort { name: &name, options, context }, &mut [])?;
    ended(reply.status)?;
    port.write(reply.handle.into())?;
    Ok(())
}

/// Waits for a message, which with its FILTER_MESSAGE_HEADER fills the front of the buffer. With an OVERLAPPED it begins to wait:
/// 0x800703E5 (ERROR_IO_PENDING) says that it goes on. E_INVALIDARG for less room than the header has, 0x8007007A
/// (ERROR_INSUFFICIENT_BUFFER) for a message that does not fit and stays, E_HANDLE when the filter has ended the connection. Source:
/// `fltuser.h`, FilterGetMessage.
#[unsafe(no_mangle)]
pub extern "C" fn FilterGetMessage(
    port: HANDLE,
    buffer: Pointer<u8>,
    size: u32,
    overlapped: Pointer<OVERLAPPED>,
) -> HRESULT {
    told(get(port, Span { at: buffer, length: size }, overlapped))
}

fn get(port: HANDLE, buffer: Span, overlapped: Pointer<OVERLAPPED>) -> Result<(), Refused> {
    let handle = port.of_machine()?;
    let code = abi::FILTER_PORT_GET_MESSAGE;
    if overlapped.is_null() {
        let room = buffer.at.room(buffer.length as usize)?;
        return ended(session()?.device_control(handle, code, &[], room).status);
    }
    let event = overlapped.read()?.event;
    let told = Told { event: event.event()?, routine: None, context: overlapped.context(event) };
    let action = Action::Control { code, input: Span::NONE, output: buffer };
    ended(pending::start(handle, &action, overlapped.cast(), told))
}

/// Answers a message: a FILTER_REPLY_HEADER with its MessageId, and the data. 0x801F0020 (ERROR_FLT_NO_WAITER_FOR_REPLY) when
/// nobody waits for it, 0x800700EA (ERROR_MORE_DATA) when its sender has room for the front of it only, E_INVALIDARG for less
/// than a header, E_HANDLE. Source: `fltuser.h`, FilterReplyMessage.
#[unsafe(no_mangle)]
pub extern "C" fn FilterReplyMessage(port: HANDLE, reply: Pointer<u8>, size: u32) -> HRESULT {
    told(send(port, abi::FILTER_PORT_REPLY_MESSAGE, Span { at: reply, length: size }, Span::NONE).map(drop))
}

/// Sends the filter a message; its answer fills the front of `output`, and `returned`, which must be there, says how many bytes.
/// 0x80070001 (ERROR_INVALID_FUNCTION) when the port takes no messages, E_HANDLE; what the filter answers. Source: `fltuser.h`,
/// FilterSendMessage.
#[unsafe(no_mangle)]
pub extern "C" fn FilterSendMessage(
    port: HANDLE,
    input: Pointer<u8>,
    input_size: u32,
    output: Pointer<u8>,
    output_size: u32,
    returned: Pointer<u32>,
) -> HRESULT {
    let (input, output) = (Span { at: input, length: input_size }, Span { at: output, length: output_size });
    let sent = || {
        if returned.is_null() {
            return Err(MISSING.into());
        }
        returned.write(0)?;
        let result = send(port, abi::FILTER_PORT_SEND_MESSAGE, input, output)?;
        Ok(returned.write(count(result.information))?)
    };
    told(sent())
}

fn send(port: HANDLE, code: u32, input: Span, output: Span) -> Result<IoStatus, Refused> {
    let handle = port.of_machine()?;
    let result = crate::device::control_at_once(session()?, handle, code, input, output)?;
    ended(result.status)?;
    Ok(result)
}

/// Loads the service's driver. 0x80070522 (ERROR_PRIVILEGE_NOT_HELD), 0x80070420 (ERROR_SERVICE_ALREADY_RUNNING), 0x80070002
/// (ERROR_FILE_NOT_FOUND). Source: `fltuser.h`, FilterLoad.
#[unsafe(no_mangle)]
pub extern "C" fn FilterLoad(name: Pointer<u16>) -> HRESULT {
    told(service(name, |name| SystemCall::FilterLoad { name }))
}

/// Asks the filter, which may refuse, and unloads its driver. 0x80070522 (ERROR_PRIVILEGE_NOT_HELD), 0x801F0013
/// (ERROR_FLT_FILTER_NOT_FOUND), 0x801F0010 (ERROR_FLT_DO_NOT_DETACH) or what else the filter answers. Source: `fltuser.h`, FilterUnload.
#[unsafe(no_mangle)]
pub extern "C" fn FilterUnload(name: Pointer<u16>) -> HRESULT {
    told(service(name, |name| SystemCall::FilterUnload { name }))
}

fn service(name: Pointer<u16>, call: impl Fn(&[u16]) -> SystemCall<'_>) -> Result<(), Refused> {
    let name: Vec<u16> = name.text()?.encode_utf16().collect();
    ended(ask(&call(&name), &mut [])?.status)
}
