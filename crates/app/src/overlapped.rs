//! Overlapped I/O: requests that go on when the call has returned. `ReadFile`, `WriteFile` and `DeviceIoControl` with an
//! OVERLAPPED, `GetOverlappedResult`, `CancelIoEx`.
//!
//! In Win32 the OVERLAPPED and the buffer must stay where they are until the request has ended. Here the request owns the
//! buffer, and with it the status block, until then.

use std::time::Duration;

use abi::NTSTATUS;

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::{Win32Error, transferred};
use crate::event::Event;
use crate::sys::{self, Cancelled, Handle, Notice, Start, Transport};
use crate::wait::{Waitable, wait_for};

/// What an OVERLAPPED is filled with: where in the file, and which event is signaled at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlapped<'a> {
    offset: u64,
    event: Option<&'a Event<'a>>,
    without_packet: bool,
    apc_routine: u64,
}

impl<'a> Overlapped<'a> {
    /// At the file's beginning, without an event: the file itself is signaled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `Offset`, `OffsetHigh`: bytes from the beginning. Not looked at for I/O control.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// `hEvent`: the event, which should be one with manual reset, is reset now and signaled at the end. Each of several
    /// requests that go on at the same time on one file should have its own.
    ///
    /// It is there until the request has ended: closed before, its handle would be waited for in vain, or be another object's.
    ///
    /// ```compile_fail,E0505
    /// # use ringbridge_app::{Buffer, Device, Event, Overlapped};
    /// # fn read(device: &Device<'_>, buffer: Buffer, event: Event<'_>) {
    /// let operation = device.read_overlapped(buffer, &Overlapped::new().event(&event)).unwrap();
    /// drop(event);
    /// operation.finish();
    /// # }
    /// ```
    #[must_use]
    pub fn event(mut self, event: &'a Event<'a>) -> Self {
        self.event = Some(event);
        self
    }

    /// Where, in bytes from the beginning.
    pub(crate) fn at(&self) -> u64 {
        self.offset
    }

    /// The end is told by a user APC of the calling thread.
    pub(crate) fn apc_routine(mut self, number: u64) -> Self {
        self.apc_routine = number;
        self
    }

    /// `hEvent` with its lowest bit set: the file's completion port is not told of this request.
    #[must_use]
    pub fn without_completion_packet(mut self) -> Self {
        self.without_packet = true;
        self
    }
}

/// A request that was refused, and its buffers.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: Win32Error,
    /// The data; of I/O control the second buffer.
    pub buffer: Buffer,
    /// The first buffer of I/O control.
    pub input: Option<Buffer>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for Refused {}

/// A request that has ended, and its buffers.
#[derive(Debug)]
pub struct Finished {
    /// Bytes transferred; or how it failed (ERROR_OPERATION_ABORTED, 995, if it was cancelled).
    pub result: Result<u32, Win32Error>,
    /// The data; of I/O control the second buffer.
    pub buffer: Buffer,
    /// The first buffer of I/O control.
    pub input: Option<Buffer>,
}

struct Buffers {
    buffer: Buffer,
    input: Option<Buffer>,
}

/// A request that was accepted: it may go on, or have ended already.
///
/// Dropping one that goes on cancels it. If its driver does not let go of it at once, its buffers are given up: nobody may use
/// memory that a driver may still write to.
pub struct Operation<'a> {
    transport: &'a dyn Transport,
    file: Handle,
    event: Option<Handle>,
    function: &'static str,
    /// There until the end.
    buffers: Option<Buffers>,
}

impl std::fmt::Debug for Operation<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status();
        formatter.debug_struct(self.function).field("status", &status).finish_non_exhaustive()
    }
}

impl<'a> Device<'a> {
    /// `ReadFile` with an OVERLAPPED: begins to fill the front of `buffer`.
    ///
    /// The request may end within the call or later. The device must be open with
    /// [`overlapped`](crate::OpenOptions::overlapped): else it ends before the call returns.
    ///
    /// # Errors
    /// As for [`Device::read`]; nothing has begun then, and nothing is signaled.
    pub fn read_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::Read { buffer: buffer.bytes(), offset: overlapped.offset };
        self.begin(start, overlapped, Buffers { buffer, input: None })
    }

    /// `WriteFile` with an OVERLAPPED: begins to write all of `buffer`.
    ///
    /// # Errors
    /// As for [`Device::read_overlapped`].
    pub fn write_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::Write { buffer: buffer.bytes(), offset: overlapped.offset };
        self.begin(start, overlapped, Buffers { buffer, input: None })
    }

    /// `DeviceIoControl` with an OVERLAPPED.
    ///
    /// # Errors
    /// As for [`Device::control`]; nothing has begun then, and nothing is signaled.
    pub fn control_overlapped<'d>(
        &'d self,
        code: crate::ControlCode,
        input: Buffer,
        output: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::Control { code: code.0, input: input.bytes(), output: output.bytes() };
        self.begin(start, overlapped, Buffers { buffer: output, input: Some(input) })
    }

    /// ConnectNamedPipe.
    pub(crate) fn connect_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        self.begin(Start::Connect, overlapped, Buffers { buffer, input: None })
    }

    /// TransactNamedPipe.
    pub(crate) fn transact_overlapped<'d>(
        &'d self,
        input: Buffer,
        output: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::Transact { input: input.bytes(), output: output.bytes() };
        self.begin(start, overlapped, Buffers { buffer: output, input: Some(input) })
    }

    /// `FilterGetMessage` with an OVERLAPPED, on the file of a connection to a filter's port.
    pub(crate) fn get_message_overlapped<'d>(
        &'d self,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        let start = Start::GetMessage { buffer: buffer.bytes() };
        self.begin(start, overlapped, Buffers { buffer, input: None })
    }

    /// A request with one buffer, whose bytes `start` names if it needs them.
    pub(crate) fn begin_with<'d>(
        &'d self,
        start: Start,
        buffer: Buffer,
        overlapped: &Overlapped<'d>,
    ) -> Result<Operation<'d>, Refused> {
        self.begin(start, overlapped, Buffers { buffer, input: None })
    }

    fn begin<'d>(
        &'d self,
        start: Start,
        overlapped: &Overlapped<'d>,
        mut buffers: Buffers,
    ) -> Result<Operation<'d>, Refused> {
        buffers.buffer.set_pending();
        let notice = Notice {
            overlapped: buffers.buffer.overlapped(),
            event: overlapped.event.map(Event::handle),
            routine: overlapped.apc_routine,
            without_packet: overlapped.without_packet,
        };
        if let Err(error) = sys::begin(self.transport(), self.handle(), start, notice) {
            let Buffers { buffer, input } = buffers;
            return Err(Refused { error, buffer, input });
        }
        let (transport, file, event) = (self.transport(), self.handle(), notice.event);
        Ok(Operation { transport, file, event, function: start.function(), buffers: Some(buffers) })
    }

    /// `CancelIo`: cancels the requests that the calling thread has made on this device and that go on.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone.
    pub fn cancel_own(&self) -> Result<(), Win32Error> {
        sys::cancel(self.transport(), self.handle(), Cancelled::Own)
    }

    /// `CancelIoEx(hDevice, NULL)`: cancels all requests of this process on this device, also those that other threads wait
    /// for.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND (1168) when there is none.
    pub fn cancel_all(&self) -> Result<(), Win32Error> {
        sys::cancel(self.transport(), self.handle(), Cancelled::All)
    }
}

/// How soon to look again after a wait that has not told the end.
const AGAIN: Duration = Duration::from_millis(1);
/// The longest wait for a file: it may have been signaled for this request and reset by the next one meanwhile, or is never
/// signaled ([`NotificationModes`](crate::NotificationModes)).
const FILE_WAIT: Duration = Duration::from_millis(10);

impl Operation<'_> {
    /// What completion packets call it by ([`CompletionPacket::overlapped`](crate::CompletionPacket::overlapped)): a number
    /// that no other request has that goes on.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.buffers.as_ref().map_or(0, |buffers| buffers.buffer.overlapped())
    }

    fn status(&self) -> NTSTATUS {
        self.buffers.as_ref().map_or(abi::STATUS_SUCCESS, |buffers| buffers.buffer.status())
    }

    /// `HasOverlappedIoCompleted`: looks without a system call.
    #[must_use]
    pub fn has_completed(&self) -> bool {
        self.status() != abi::STATUS_PENDING
    }

    /// `CancelIoEx`: asks its driver to end it. It ends as the driver says, mostly with ERROR_OPERATION_ABORTED.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND (1168) when it has ended already.
    pub fn cancel(&self) -> Result<(), Win32Error> {
        sys::cancel(self.transport, self.file, Cancelled::One(self.id()))
    }

    /// Waits for its end: true when it comes in time; `None` waits for ever.
    ///
    /// Without an event of its own it waits for the file, which other requests signal too, and looks from time to time.
    ///
    /// # Errors
    /// That the machine has stopped or the host is gone: no end will be told. ERROR_ACCESS_DENIED (5) for an event without
    /// SYNCHRONIZE.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Win32Error> {
        let started = std::time::Instant::now();
        let left = || timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        while !self.has_completed() {
            let signaled = match self.event {
                Some(event) => wait_for(self.transport, event, left())?,
                None => {
                    let time = left().map_or(FILE_WAIT, |left| left.min(FILE_WAIT));
                    wait_for(self.transport, self.file, Some(time))?
                }
            };
            if self.has_completed() {
                break;
            }
            if left().is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            if signaled {
                // For another request: looking again at once would only spin.
                sys::sleep(self.transport, false, Some(AGAIN))?;
            }
        }
        Ok(true)
    }

    /// `GetOverlappedResult(…, TRUE)`: waits for its end, and gives the result and the buffers. A machine that stops meanwhile, or a
    /// host that dies, is an end too: ERROR_DEVICE_NOT_CONNECTED (1167). An event that cannot be waited for is none: then
    /// it looks from time to time.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        loop {
            match self.wait(None) {
                Ok(_) => return self.take_finished(),
                // A driver may still write to the buffers.
                Err(_) if sys::is_connected(self.transport) => {
                    let _shorter_at_worst = sys::sleep(self.transport, false, Some(AGAIN));
                }
                Err(error) => return Finished { result: Err(error), ..self.take_finished() },
            }
        }
    }

    /// Something may look at its buffers even after its end: they are given up.
    pub(crate) fn abandon(mut self) {
        if sys::is_connected(self.transport) {
            std::mem::forget(self.buffers.take());
        }
    }

    /// Nobody will tell its end any more. While the machine runs it is cancelled, and its end is waited for.
    pub(crate) fn give_up(mut self) -> Finished {
        if sys::is_connected(self.transport) {
            let _has_ended_meanwhile = self.cancel();
            return self.finish();
        }
        let error = Win32Error::new(self.function, "", abi::STATUS_DEVICE_NOT_CONNECTED);
        Finished { result: Err(error), ..self.take_finished() }
    }

    fn take_finished(&mut self) -> Finished {
        let buffers = self.buffers.take().expect("an operation has its buffers until its end");
        self.end(buffers)
    }

    /// `GetOverlappedResult(…, FALSE)`: the result and the buffers if it has ended, else itself (ERROR_IO_INCOMPLETE).
    ///
    /// # Errors
    /// Itself, still going on.
    pub fn try_finish(mut self) -> Result<Finished, Self> {
        match self.buffers.take_if(|buffers| buffers.buffer.status() != abi::STATUS_PENDING) {
            Some(buffers) => Ok(self.end(buffers)),
            None => Err(self),
        }
    }

    fn end(&self, buffers: Buffers) -> Finished {
        let Buffers { buffer, input } = buffers;
        let result = transferred(self.function, buffer.status(), buffer.information());
        Finished { result, buffer, input }
    }
}

impl Waitable for Operation<'_> {
    fn wait_handle(&self) -> Handle {
        self.event.unwrap_or(self.file)
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let goes_on = |buffers: &Buffers| buffers.buffer.status() == abi::STATUS_PENDING;
        if self.buffers.as_ref().is_some_and(goes_on) {
            let _has_ended_meanwhile = self.cancel();
        }
        if let Some(buffers) = self.buffers.take_if(|buffers| goes_on(buffers))
            && sys::is_connected(self.transport)
        {
            std::mem::forget(buffers);
        }
    }
}
