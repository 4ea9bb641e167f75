//! I/O completion ports: `CreateIoCompletionPort`, `GetQueuedCompletionStatus(Ex)`, `PostQueuedCompletionStatus`.

use std::time::Duration;

use gate::{Handle, IoStatus, SystemCall, Transport};

use crate::device::{Device, finish};
use crate::error::Win32Error;
use crate::overlapped::finished;
use crate::wait::relative;

/// Packets that one call takes at most.
const MOST_PACKETS: usize = 64;

/// A completion port. Dropping it closes its handle.
pub struct CompletionPort<'a> {
    transport: &'a dyn Transport,
    handle: Handle,
}

impl std::fmt::Debug for CompletionPort<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CompletionPort").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// What a port tells of one request that has ended, or what an application has posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionPacket {
    /// `lpCompletionKey`: the device's.
    pub key: u64,
    /// `lpOverlapped`: the request's [`id`](crate::Operation::id).
    pub overlapped: u64,
    /// Bytes transferred, or how the request failed.
    pub result: Result<u32, Win32Error>,
}

/// Which ends of requests are not told, since the caller knows them already (`SetFileCompletionNotificationModes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationModes {
    /// FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: no packet for a request that succeeds within its call.
    pub skip_packet_on_success: bool,
    /// FILE_SKIP_SET_EVENT_ON_HANDLE: the device itself is not signaled.
    pub skip_signaling_the_device: bool,
}

impl<'a> CompletionPort<'a> {
    /// `CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, …)`: a port of which `threads` threads run at a time; 0 for as many
    /// as the machine has processors.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450).
    pub fn new(transport: &'a dyn Transport, threads: u32) -> Result<Self, Win32Error> {
        let call = SystemCall::CreateIoCompletion {
            name: &[],
            desired_access: abi::IO_COMPLETION_ALL_ACCESS,
            threads,
        };
        let reply = transport.system_call(&call, &mut []);
        finished("CreateIoCompletionPort", reply.status)?;
        Ok(Self { transport, handle: reply.handle })
    }

    pub(crate) fn from_handle(transport: &'a dyn Transport, handle: Handle) -> Self {
        Self { transport, handle }
    }

    /// The handle stays open.
    pub(crate) fn into_handle(self) -> Handle {
        let handle = self.handle;
        std::mem::forget(self);
        handle
    }

    /// `CreateIoCompletionPort(hDevice, hPort, key, …)`: the port is told of the end of each overlapped request of the
    /// device, for as long as that is open.
    ///
    /// # Errors
    /// ERROR_INVALID_PARAMETER (87) when the device has a port, or is not open for overlapped I/O.
    pub fn associate(&self, device: &Device<'_>, key: u64) -> Result<(), Win32Error> {
        let call = SystemCall::SetFileCompletion { handle: device.handle(), port: self.handle, key };
        finished("CreateIoCompletionPort", self.transport.system_call(&call, &mut []).status)
    }

    /// `PostQueuedCompletionStatus`: queues a packet of one's own.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450); that the machine has stopped or the host is gone.
    pub fn post(&self, key: u64, overlapped: u64, bytes: u32) -> Result<(), Win32Error> {
        let result = IoStatus { status: abi::STATUS_SUCCESS, information: bytes.into() };
        let packet = gate::CompletionPacket { key, context: overlapped, result };
        let call = SystemCall::SetIoCompletion { handle: self.handle, packet };
        finished("PostQueuedCompletionStatus", self.transport.system_call(&call, &mut []).status)
    }

    /// `GetQueuedCompletionStatus`: the next packet, `None` when none comes in time. No timeout waits for ever.
    ///
    /// # Errors
    /// ERROR_ABANDONED_WAIT_0 (735) when the port is closed meanwhile; that the machine has stopped or the host is gone.
    pub fn get(&self, timeout: Option<Duration>) -> Result<Option<CompletionPacket>, Win32Error> {
        let mut room = [0; gate::CompletionPacket::SIZE];
        let count = self.take("GetQueuedCompletionStatus", &mut room, timeout)?;
        Ok((count == 1).then(|| packet(&room)))
    }

    /// `GetQueuedCompletionStatusEx`: waits for a packet, and takes those that are there, at most `most` (and 64); none when none
    /// comes in time.
    ///
    /// # Errors
    /// As for [`Self::get`]; ERROR_INVALID_PARAMETER (87) when `most` is 0.
    pub fn get_many(
        &self,
        most: usize,
        timeout: Option<Duration>,
    ) -> Result<Vec<CompletionPacket>, Win32Error> {
        let mut room = [0; MOST_PACKETS * gate::CompletionPacket::SIZE];
        let room = &mut room[..most.min(MOST_PACKETS) * gate::CompletionPacket::SIZE];
        let count = self.take("GetQueuedCompletionStatusEx", room, timeout)?;
        Ok(room.as_chunks().0.iter().take(count).map(packet).collect())
    }

    fn take(
        &self,
        function: &'static str,
        room: &mut [u8],
        timeout: Option<Duration>,
    ) -> Result<usize, Win32Error> {
        let timeout = relative(timeout);
        let call = SystemCall::RemoveIoCompletion { handle: self.handle, alertable: false, timeout };
        let reply = self.transport.system_call(&call, room);
        match reply.status {
            abi::STATUS_SUCCESS => {
                let count = usize::try_from(reply.information).unwrap_or(0) / gate::CompletionPacket::SIZE;
                Ok(count.min(room.len() / gate::CompletionPacket::SIZE))
            }
            abi::STATUS_TIMEOUT | abi::STATUS_USER_APC => Ok(0),
            abi::STATUS_ABANDONED_WAIT_0 => {
                let mut error = Win32Error::new(function, "", reply.status);
                error.code = abi::ERROR_ABANDONED_WAIT_0;
                Err(error)
            }
            status => Err(Win32Error::new(function, "", status)),
        }
    }
}

fn packet(bytes: &[u8; gate::CompletionPacket::SIZE]) -> CompletionPacket {
    let gate::CompletionPacket { key, context, result } = gate::CompletionPacket::from_bytes(bytes);
    CompletionPacket { key, overlapped: context, result: finish("GetQueuedCompletionStatus", result) }
}

impl Device<'_> {
    /// `SetFileCompletionNotificationModes`; what is set stays so.
    ///
    /// # Errors
    /// ERROR_INVALID_PARAMETER (87) when the device is not open for overlapped I/O.
    pub fn set_notification_modes(&self, modes: NotificationModes) -> Result<(), Win32Error> {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(modes.skip_packet_on_success, abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
            | flag(modes.skip_signaling_the_device, abi::FILE_SKIP_SET_EVENT_ON_HANDLE);
        let call = SystemCall::SetCompletionNotificationModes { handle: self.handle(), flags };
        finished("SetFileCompletionNotificationModes", self.transport().system_call(&call, &mut []).status)
    }
}

impl Drop for CompletionPort<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = self.transport.close(self.handle);
    }
}
