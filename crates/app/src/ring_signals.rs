//! `RingSignals`: how an application's end of a ring waits for the driver's.

use std::time::Duration;

use crate::error::Win32Error;
use crate::event::Event;

/// The signals of one end of a [`ring`]: an event that the other side waits for, and one that it sets.
#[derive(Debug)]
pub struct RingSignals<'a> {
    /// Set to wake the other side.
    pub tells: &'a Event<'a>,
    /// Waited for: the other side sets it.
    pub waits: &'a Event<'a>,
    /// How long the other side may take; `None` for ever.
    pub timeout: Option<Duration>,
}

/// Why an end of a ring does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalError {
    /// An event failed: among others because the machine has stopped.
    Event(Win32Error),
    /// The other side did not come in time.
    TimedOut,
}

impl std::fmt::Display for SignalError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event(error) => error.fmt(formatter),
            Self::TimedOut => formatter.write_str("the other side of the ring does not go on"),
        }
    }
}

impl std::error::Error for SignalError {}

impl ring::Signals for RingSignals<'_> {
    type Error = SignalError;

    fn tell(&self) -> Result<(), SignalError> {
        self.tells.set().map_err(SignalError::Event)
    }

    fn wait(&self) -> Result<(), SignalError> {
        match self.waits.wait(self.timeout) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignalError::TimedOut),
            Err(error) => Err(SignalError::Event(error)),
        }
    }
}
