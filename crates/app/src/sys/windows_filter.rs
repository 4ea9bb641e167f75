//! The filter manager's functions themselves: `fltlib.dll`.

use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, HANDLE};
use windows_sys::Win32::Storage::InstallableFileSystems::{
    FilterConnectCommunicationPort, FilterGetMessage, FilterLoad, FilterReplyMessage, FilterSendMessage,
    FilterUnload,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::windows::{Handle, Transport};
use crate::filter_port::{FilterError, hresult_from_win32};

fn ended(function: &'static str, hresult: i32) -> Result<(), FilterError> {
    if hresult < 0 { Err(FilterError::from_hresult(function, hresult.cast_unsigned())) } else { Ok(()) }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A length as these functions take it.
fn length(function: &'static str, bytes: &[u8]) -> Result<u32, FilterError> {
    let too_long = |_| FilterError::from_hresult(function, hresult_from_win32(abi::ERROR_INVALID_PARAMETER));
    u32::try_from(bytes.len()).map_err(too_long)
}

pub(crate) fn connect_filter_port(
    _transport: &dyn Transport,
    name: &str,
    options: u32,
    context: &[u8],
) -> Result<Handle, FilterError> {
    const FUNCTION: &str = "FilterConnectCommunicationPort";
    let name = wide(name);
    let Ok(size) = u16::try_from(context.len()) else {
        return Err(FilterError::from_hresult(FUNCTION, hresult_from_win32(abi::ERROR_INVALID_PARAMETER)));
    };
    let context = if size == 0 { null() } else { context.as_ptr().cast() };
    let mut port: HANDLE = null_mut();
    // SAFETY: a name that ends with zero, `size` bytes of context, and room for the handle.
    let hresult = unsafe {
        FilterConnectCommunicationPort(name.as_ptr(), options, context, size, null(), &raw mut port)
    };
    ended(FUNCTION, hresult).map(|()| Handle::of(port))
}

pub(crate) fn filter_get_message(
    _transport: &dyn Transport,
    handle: Handle,
    buffer: &mut [u8],
) -> Result<(), FilterError> {
    const FUNCTION: &str = "FilterGetMessage";
    let size = length(FUNCTION, buffer)?;
    // SAFETY: `size` bytes, which are the call's own until it returns: without an OVERLAPPED it waits.
    let hresult = unsafe { FilterGetMessage(handle.raw(), buffer.as_mut_ptr().cast(), size, null_mut()) };
    ended(FUNCTION, hresult)
}

/// Begins to wait for a message. `Err` is a Win32 code.
///
/// # Safety
///
/// Buffer and OVERLAPPED stay until the request has ended.
pub(super) unsafe fn begin_get_message(
    file: HANDLE,
    buffer: *mut u8,
    size: u32,
    overlapped: *mut OVERLAPPED,
) -> Result<(), u32> {
    const FROM_WIN32: u32 = 0x8007_0000;
    // SAFETY: the caller's contract.
    let hresult = unsafe { FilterGetMessage(file, buffer.cast(), size, overlapped) }.cast_unsigned();
    if hresult.cast_signed() >= 0 || hresult == FROM_WIN32 | ERROR_IO_PENDING {
        Ok(())
    } else if hresult & 0xFFFF_0000 == FROM_WIN32 {
        Err(hresult & 0xFFFF)
    } else {
        Err(hresult)
    }
}

pub(crate) fn filter_reply_message(
    _transport: &dyn Transport,
    handle: Handle,
    reply: &[u8],
) -> Result<(), FilterError> {
    const FUNCTION: &str = "FilterReplyMessage";
    let size = length(FUNCTION, reply)?;
    // SAFETY: `size` bytes, which are only read.
    ended(FUNCTION, unsafe { FilterReplyMessage(handle.raw(), reply.as_ptr().cast(), size) })
}

/// `FilterReplyMessage` and then `FilterGetMessage`: Windows has no call for both.
pub(crate) fn filter_reply_and_get_message(
    transport: &dyn Transport,
    handle: Handle,
    reply: &[u8],
    buffer: &mut [u8],
) -> Result<(), FilterError> {
    filter_reply_message(transport, handle, reply)?;
    filter_get_message(transport, handle, buffer)
}

pub(crate) fn filter_send_message(
    _transport: &dyn Transport,
    handle: Handle,
    input: &[u8],
    output: &mut [u8],
) -> Result<u32, FilterError> {
    const FUNCTION: &str = "FilterSendMessage";
    let (first, second) = (length(FUNCTION, input)?, length(FUNCTION, output)?);
    let (from, to) = (input.as_ptr().cast(), output.as_mut_ptr().cast());
    let mut returned = 0;
    // SAFETY: two buffers with their lengths, and room for the count.
    let hresult = unsafe { FilterSendMessage(handle.raw(), from, first, to, second, &raw mut returned) };
    ended(FUNCTION, hresult).map(|()| returned)
}

pub(crate) fn filter_load(_transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    let name = wide(name);
    // SAFETY: a name that ends with zero.
    ended("FilterLoad", unsafe { FilterLoad(name.as_ptr()) })
}

pub(crate) fn filter_unload(_transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    let name = wide(name);
    // SAFETY: a name that ends with zero.
    ended("FilterUnload", unsafe { FilterUnload(name.as_ptr()) })
}
