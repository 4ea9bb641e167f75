//! Communication ports of minifilters: `FilterConnectCommunicationPort` and its kin. Functions give an HRESULT, as Windows' do.

use std::fmt;

use abi::NTSTATUS;

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::Win32Error;
use crate::overlapped::{Operation, Overlapped, Refused};
use crate::sys::{self, Handle, Transport};
use crate::wait::Waitable;

/// Bytes of FILTER_MESSAGE_HEADER, and of FILTER_REPLY_HEADER.
pub const FILTER_HEADER_SIZE: usize = 16;

/// A failed `Filter…` function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// What it returned, for example 0x8007007A.
    pub hresult: u32,
    /// The status behind it; STATUS_UNSUCCESSFUL on Windows, where the functions do not tell.
    pub status: NTSTATUS,
    /// The function.
    pub function: &'static str,
}

/// The HRESULT that the filter manager's functions make of a status: its own codes (STATUS_FLT_…) become ERROR_FLT_…, which are
/// HRESULTs; others are Win32 codes as HRESULT_FROM_WIN32 has them.
///
/// Source: `winerror.h` (ERROR_FLT_…, HRESULT_FROM_WIN32). (Confirm: no page says which way a status goes.)
#[must_use]
pub fn hresult_from_status(status: NTSTATUS) -> u32 {
    const FILTER_MANAGER: u32 = 0x1C;
    const FACILITY: u32 = 0x0FFF_0000;
    let bits = status.bits();
    if bits & FACILITY == FILTER_MANAGER << 16 && status.is_error() {
        return 0x801F_0000 | bits & 0xFFFF;
    }
    hresult_from_win32(abi::win32_from_status(status))
}

/// `HRESULT_FROM_WIN32`.
pub(crate) fn hresult_from_win32(code: u32) -> u32 {
    if code == 0 || code.cast_signed() < 0 { code } else { 0x8007_0000 | code & 0xFFFF }
}

impl FilterError {
    #[cfg(not(windows))]
    pub(crate) fn new(function: &'static str, status: NTSTATUS) -> Self {
        Self { hresult: hresult_from_status(status), status, function }
    }

    #[cfg(windows)]
    pub(crate) fn from_hresult(function: &'static str, hresult: u32) -> Self {
        Self { hresult, status: abi::STATUS_UNSUCCESSFUL, function }
    }

    fn advice(&self) -> &'static str {
        match self.hresult {
            0x8007_0002 => "no port, or service, has this name; check that the filter's driver is loaded",
            0x8007_0005 => {
                "the port's security descriptor keeps this user out: mostly only administrators may connect"
            }
            0x8007_0006 => "the filter has closed the connection, or the name is no port's",
            0x8007_007A => "the message does not fit; it is still there for a larger buffer",
            0x8007_00EA => "the reply is longer than its sender has room for, who got the front of it",
            0x8007_04D6 => "the port has as many connections as its filter allows",
            0x801F_0020 => "nobody waits for this reply: its sender has gone, or got another",
            _ => "",
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} failed with {:#010x}", self.function, self.hresult)?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(formatter, ": {advice}"),
        }
    }
}

impl std::error::Error for FilterError {}

/// The head of a message: FILTER_MESSAGE_HEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// Bytes that the sender has room for, with [`FILTER_HEADER_SIZE`]; 0 when it wants no reply.
    pub reply_length: u32,
    /// Goes back with the reply.
    pub message_id: u64,
}

impl MessageHeader {
    /// The header of a message, if there are so many bytes.
    #[must_use]
    pub fn from_bytes(message: &[u8]) -> Option<Self> {
        let (length, _) = message.split_first_chunk()?;
        let id = message.get(8..16)?.first_chunk()?;
        Some(Self { reply_length: u32::from_le_bytes(*length), message_id: u64::from_le_bytes(*id) })
    }
}

/// Makes a reply to the message with this number: FILTER_REPLY_HEADER, whose status the sender does not get, and the data.
#[must_use]
pub fn reply_to(message_id: u64, data: &[u8]) -> Vec<u8> {
    let mut reply = vec![0; FILTER_HEADER_SIZE];
    reply[8..].copy_from_slice(&message_id.to_le_bytes());
    reply.extend_from_slice(data);
    reply
}

/// The header of a message that has come.
fn got(buffer: &[u8]) -> Result<MessageHeader, FilterError> {
    MessageHeader::from_bytes(buffer).ok_or(FilterError {
        hresult: hresult_from_win32(abi::ERROR_INVALID_PARAMETER),
        status: abi::STATUS_INVALID_PARAMETER,
        function: "FilterGetMessage",
    })
}

/// A connection to a filter's port. Closing it on drop tells the filter that the application has gone.
#[derive(Debug)]
pub struct FilterPort<'a> {
    device: Device<'a>,
}

impl<'a> FilterPort<'a> {
    /// `FilterConnectCommunicationPort`: `name` with its backslash, `context` at most 65,535 bytes for the filter's callback. Requests
    /// may go on when their calls have returned, unless `synchronous` (FLT_PORT_FLAG_SYNC_HANDLE).
    ///
    /// # Errors
    /// 0x80070002 (ERROR_FILE_NOT_FOUND) when no port has the name, E_ACCESSDENIED (0x80070005), 0x800704D6
    /// (ERROR_CONNECTION_COUNT_LIMIT), E_INVALIDARG (0x80070057) for a context that is too long; what the filter answers.
    pub fn connect(
        transport: &'a dyn Transport,
        name: &str,
        context: &[u8],
        synchronous: bool,
    ) -> Result<Self, FilterError> {
        let options = if synchronous { abi::FLT_PORT_FLAG_SYNC_HANDLE } else { 0 };
        let handle = sys::connect_filter_port(transport, name, options, context)?;
        Ok(Self { device: Device::from_handle(transport, handle) })
    }

    /// The file behind it: for events, completion ports, cancelling and a second handle.
    #[must_use]
    pub fn device(&self) -> &Device<'a> {
        &self.device
    }

    /// `FilterGetMessage`: waits for a message, which with its header fills the front of `buffer`.
    ///
    /// # Errors
    /// E_INVALIDARG (0x80070057) for less room than the header has; 0x8007007A (ERROR_INSUFFICIENT_BUFFER) for a message that does not
    /// fit: it stays; E_HANDLE (0x80070006) when the filter has ended the connection; 0x800703E3 (ERROR_OPERATION_ABORTED) when the
    /// request was cancelled.
    pub fn get_message(&self, buffer: &mut [u8]) -> Result<MessageHeader, FilterError> {
        sys::filter_get_message(self.device.transport(), self.device.handle(), buffer)?;
        got(buffer)
    }

    /// `FilterReplyMessage` and then `FilterGetMessage`, as [`Self::reply_message`] and [`Self::get_message`] do one after the other. On
    /// Linux both go to the host at once, which halves what a message costs who only answers.
    ///
    /// # Errors
    /// Those of `FilterReplyMessage`, whose name is the error's `function` then: no message has been waited for, and an error of
    /// 0x800700EA is no reason to reply again. Those of `FilterGetMessage`: the reply has been given.
    pub fn reply_and_get_message(
        &self,
        reply: &[u8],
        buffer: &mut [u8],
    ) -> Result<MessageHeader, FilterError> {
        if buffer.len() < FILTER_HEADER_SIZE {
            self.reply_message(reply)?;
            return self.get_message(buffer);
        }
        let (transport, handle) = (self.device.transport(), self.device.handle());
        sys::filter_reply_and_get_message(transport, handle, reply, buffer)?;
        got(buffer)
    }

    /// `FilterGetMessage` with an OVERLAPPED: begins to wait for a message.
    ///
    /// # Errors
    /// As for [`Self::get_message`], as Win32 codes; nothing has begun then.
    pub fn get_message_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        self.device.get_message_overlapped(buffer, overlapped)
    }

    /// `FilterReplyMessage`: see [`reply_to`].
    ///
    /// # Errors
    /// E_INVALIDARG (0x80070057) for less than a header; 0x801F0020 (ERROR_FLT_NO_WAITER_FOR_REPLY) when nobody waits for it;
    /// 0x800700EA (ERROR_MORE_DATA) when its sender got the front of it only; E_HANDLE (0x80070006).
    pub fn reply_message(&self, reply: &[u8]) -> Result<(), FilterError> {
        sys::filter_reply_message(self.device.transport(), self.device.handle(), reply)
    }

    /// `FilterSendMessage`: the filter gets `input`, and fills the front of `output`; returns how many bytes.
    ///
    /// # Errors
    /// 0x80070001 (ERROR_INVALID_FUNCTION) when the port takes no messages; E_HANDLE (0x80070006); what the filter answers.
    pub fn send_message(&self, input: &[u8], output: &mut [u8]) -> Result<u32, FilterError> {
        sys::filter_send_message(self.device.transport(), self.device.handle(), input, output)
    }

    /// `CloseHandle`.
    ///
    /// # Errors
    /// ERROR_INVALID_HANDLE (6), or that the host is gone.
    pub fn close(self) -> Result<(), Win32Error> {
        self.device.close()
    }
}

impl Waitable for FilterPort<'_> {
    fn wait_handle(&self) -> Handle {
        self.device.wait_handle()
    }
}

/// `FilterLoad`: loads the service's driver.
///
/// # Errors
/// 0x80070522 (ERROR_PRIVILEGE_NOT_HELD) for who may not load drivers; 0x80070420 (ERROR_SERVICE_ALREADY_RUNNING);
/// 0x80070002 (ERROR_FILE_NOT_FOUND) when there is no such service, or no image of it; 0x800700C1 (ERROR_BAD_EXE_FORMAT); what the
/// driver's entry returned.
///
/// Source: FilterLoad. (Confirm: the last.)
pub fn filter_load(transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    sys::filter_load(transport, name)
}

/// `FilterUnload`: asks the filter, which may refuse, and unloads its driver.
///
/// # Errors
/// 0x80070522 (ERROR_PRIVILEGE_NOT_HELD); 0x801F0013 (ERROR_FLT_FILTER_NOT_FOUND); 0x801F0010 (ERROR_FLT_DO_NOT_DETACH), or what
/// else the filter answers.
pub fn filter_unload(transport: &dyn Transport, name: &str) -> Result<(), FilterError> {
    sys::filter_unload(transport, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_managers_statuses_are_hresults_of_their_own() {
        for (status, hresult) in [
            (abi::STATUS_FLT_NO_WAITER_FOR_REPLY, 0x801F_0020),
            (abi::STATUS_FLT_DO_NOT_DETACH, 0x801F_0010),
            (abi::STATUS_BUFFER_TOO_SMALL, 0x8007_007A),
            (abi::STATUS_INVALID_PARAMETER, 0x8007_0057),
            (abi::STATUS_BUFFER_OVERFLOW, 0x8007_00EA),
            (abi::STATUS_PORT_DISCONNECTED, 0x8007_0006),
            (abi::STATUS_CONNECTION_COUNT_LIMIT, 0x8007_04D6),
            (abi::STATUS_OBJECT_NAME_NOT_FOUND, 0x8007_0002),
            (abi::STATUS_CANCELLED, 0x8007_03E3),
        ] {
            assert_eq!(hresult_from_status(status), hresult, "{status:?}");
        }
    }

    #[test]
    fn a_header_is_read_as_fltuser_h_has_it() {
        let mut message = [0_u8; 20];
        message[..4].copy_from_slice(&40_u32.to_le_bytes());
        message[8..16].copy_from_slice(&0x1_0000_0002_u64.to_le_bytes());
        let header = MessageHeader { reply_length: 40, message_id: 0x1_0000_0002 };
        assert_eq!(MessageHeader::from_bytes(&message), Some(header));
        assert_eq!(MessageHeader::from_bytes(&message[..15]), None);
        assert_eq!(reply_to(0x1_0000_0002, &[7])[8..], [2, 0, 0, 0, 1, 0, 0, 0, 7]);
    }
}
