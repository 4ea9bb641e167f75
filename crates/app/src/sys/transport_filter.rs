//! The filter manager's functions (`fltlib.dll`) as requests of a Ringbridge machine.

use abi::NTSTATUS;
use gate::{Handle, SystemCall, SystemReply, Transport};

use crate::filter_port::FilterError;

fn ended(function: &'static str, status: NTSTATUS) -> Result<(), FilterError> {
    // A reply that was cut short is an error here, too.
    if status.is_success() { Ok(()) } else { Err(FilterError::new(function, status)) }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

pub(crate) fn connect_filter_port(
    transport: &dyn Transport,
    name: &str,
    options: u32,
    context: &[u8],
) -> Result<Handle, FilterError> {
    let call = SystemCall::FilterConnectCommunicationPort { name: &wide(name), options, context };
    let SystemReply { status, handle, .. } = transport.system_call(&call, &mut []);
    ended("FilterConnectCommunicationPort", status).map(|()| handle)
}

pub(crate) fn filter_get_message(
    transport: &dyn Transport,
    handle: Handle,
    buffer: &mut [u8],
) -> Result<(), FilterError> {
    let result = transport.device_control(handle, abi::FILTER_PORT_GET_MESSAGE, &[], buffer);
    ended("FilterGetMessage", result.status)
}

pub(crate) fn filter_reply_message(
    transport: &dyn Transport,
    handle: Handle,
    reply: &[u8],
) -> Result<(), FilterError> {
    let result = transport.device_control(handle, abi::FILTER_PORT_REPLY_MESSAGE, reply, &mut []);
    ended("FilterReplyMessage", result.status)
}

/// `FilterReplyMessage` and then `FilterGetMessage`, in one request. `buffer` has room for a header.
pub(crate) fn filter_reply_and_get_message(
    transport: &dyn Transport,
    handle: Handle,
    reply: &[u8],
    buffer: &mut [u8],
) -> Result<(), FilterError> {
    let result = transport.device_control(handle, abi::FILTER_PORT_REPLY_AND_GET_MESSAGE, reply, buffer);
    ended("FilterGetMessage", result.status)?;
    match buffer.first_chunk() {
        // No message, but how the reply ended.
        Some(status) if result.information == size_of::<u32>() as u64 => {
            let status = NTSTATUS::from_bits(u32::from_le_bytes(*status));
            Err(FilterError::new("FilterReplyMessage", status))
        }
        _ => Ok(()),
    }
}

pub(crate) fn filter_send_message(
    transport: &dyn Transport,
    handle: Handle,
    input: &[u8],
    output: &mut [u8],
) -> Result<u32, FilterError> {
    let result = transport.device_control(handle, abi::FILTER_PORT_SEND_MESSAGE, input, output);
    let count = u32::try_from(result.information).unwrap_or(u32::MAX);
    ended("FilterSendMessage", result.status).map(|()| count)
}

pub(crate) fn filter_load(transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    let call = SystemCall::FilterLoad { name: &wide(name) };
    ended("FilterLoad", transport.system_call(&call, &mut []).status)
}

pub(crate) fn filter_unload(transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    let call = SystemCall::FilterUnload { name: &wide(name) };
    ended("FilterUnload", transport.system_call(&call, &mut []).status)
}
