//! I/O completion ports: `CreateIoCompletionPort`, `GetQueuedCompletionStatus(Ex)`, `PostQueuedCompletionStatus`.

use std::time::Duration;

use crate::device::Device;
use crate::error::{Win32Error, transferred};
use crate::sys::{self, Handle, MOST_PACKETS, Packet, Transport};

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
        sys::create_port(transport, threads).map(|handle| Self { transport, handle })
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
        sys::associate(self.transport, self.handle, device.handle(), key)
    }

    /// `PostQueuedCompletionStatus`: queues a packet of one's own.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450); that the machine has stopped or the host is gone.
    pub fn post(&self, key: u64, overlapped: u64, bytes: u32) -> Result<(), Win32Error> {
        sys::post(self.transport, self.handle, key, overlapped, bytes)
    }

    /// `GetQueuedCompletionStatus`: the next packet, `None` when none comes in time. No timeout waits for ever.
    ///
    /// # Errors
    /// ERROR_ABANDONED_WAIT_0 (735) when the port is closed meanwhile; that the machine has stopped or the host is gone.
    pub fn get(&self, timeout: Option<Duration>) -> Result<Option<CompletionPacket>, Win32Error> {
        let mut packets = [NONE];
        let count = sys::take_packets(self.transport, self.handle, &mut packets, timeout)?;
        Ok(packets.iter().take(count).map(told).next())
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
        let mut packets = [NONE; MOST_PACKETS];
        let packets = &mut packets[..most.min(MOST_PACKETS)];
        let count = sys::take_packets(self.transport, self.handle, packets, timeout)?;
        Ok(packets.iter().take(count).map(told).collect())
    }
}

const NONE: Packet = Packet { key: 0, overlapped: 0, status: abi::STATUS_SUCCESS, bytes: 0 };

fn told(packet: &Packet) -> CompletionPacket {
    let Packet { key, overlapped, status, bytes } = *packet;
    CompletionPacket { key, overlapped, result: transferred("GetQueuedCompletionStatus", status, bytes) }
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
        sys::set_notification_modes(self.transport(), self.handle(), flags)
    }
}

impl Drop for CompletionPort<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = sys::close(self.transport, self.handle);
    }
}
