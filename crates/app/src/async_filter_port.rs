//! Messages of a filter as futures.

use crate::buffer::Buffer;
use crate::error::Win32Error;
use crate::filter_port::{FilterError, FilterPort};
use crate::overlapped::Overlapped;
use crate::reactor::{Reactor, Request};

/// Why there is no such connection.
#[derive(Debug)]
pub enum ConnectAsyncError {
    /// `FilterConnectCommunicationPort` has failed.
    Connect(FilterError),
    /// It could not be given to the reactor's completion port.
    Associate(Win32Error),
}

impl std::fmt::Display for ConnectAsyncError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(formatter),
            Self::Associate(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ConnectAsyncError {}

/// A connection to a filter's port whose messages are futures.
#[derive(Debug)]
pub struct AsyncFilterPort<'a> {
    port: FilterPort<'a>,
    reactor: &'a Reactor,
}

impl Reactor {
    /// `FilterConnectCommunicationPort`, as [`FilterPort::connect`], for asynchronous I/O.
    ///
    /// # Errors
    /// As for [`FilterPort::connect`] and [`CompletionPort::associate`](crate::CompletionPort::associate).
    pub fn connect_filter_port(
        &self,
        name: &str,
        context: &[u8],
    ) -> Result<AsyncFilterPort<'_>, ConnectAsyncError> {
        let port = FilterPort::connect(self.transport(), name, context, false);
        let port = port.map_err(ConnectAsyncError::Connect)?;
        self.associate(port.device()).map_err(ConnectAsyncError::Associate)?;
        Ok(AsyncFilterPort { port, reactor: self })
    }
}

impl<'a> AsyncFilterPort<'a> {
    /// The connection, for replies and messages to the filter, which do not wait.
    #[must_use]
    pub fn port(&self) -> &FilterPort<'a> {
        &self.port
    }

    /// `FilterGetMessage`: a message with its header in the front of `buffer`. It begins at once, and goes on whether or not it is
    /// polled. Dropping the future cancels it.
    pub fn get_message(&self, buffer: Buffer) -> Request<'_> {
        self.reactor.request(self.port.get_message_overlapped(buffer, &Overlapped::new()))
    }
}
