//! Handles for a child: a process that is started gets none of its parent's session, but the parent can say which handles it
//! shall have. They wait in the host until the child, in a session of its own, shows the ticket that stands for them.

use std::fmt;
use std::io;
use std::str::FromStr;

use abi::NTSTATUS;

use crate::transport::Handle;

/// Where [`Client::spawn`](crate::Client::spawn) leaves the ticket for the child: a [`Legacy`].
pub(crate) const VARIABLE: &str = "RINGBRIDGE_HANDLES";

/// A ticket and whose children it is for. A child's own children have the same environment, unless it cleans up, but
/// another parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) ticket: Ticket,
    /// The process that started the heir. While its session goes on, no other process has its number.
    pub(crate) parent: u32,
}

impl fmt::Display for Legacy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.ticket, self.parent)
    }
}

impl FromStr for Legacy {
    type Err = NoTicket;

    fn from_str(text: &str) -> Result<Self, NoTicket> {
        let (ticket, parent) = text.split_once(':').ok_or(NoTicket)?;
        Ok(Self { ticket: ticket.parse()?, parent: parent.parse().map_err(|_| NoTicket)? })
    }
}

/// The most handles that one ticket stands for.
pub const TICKET_LIMIT: usize = 1024;

/// Stands for handles that wait for somebody. Whoever knows it gets them, once; nobody guesses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) [u8; Self::LENGTH]);

impl Ticket {
    pub(crate) const LENGTH: usize = 32;

    /// One that never was.
    ///
    /// # Errors
    /// What Linux says when it has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; Self::LENGTH];
        // SAFETY: the buffer is as long as it says; so short a request is answered whole.
        let length = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        match usize::try_from(length) {
            Ok(Self::LENGTH) => Ok(Self(bytes)),
            Ok(_) => Err(io::ErrorKind::Interrupted.into()),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

impl fmt::Debug for Ticket {
    /// Without the number, which must not get into logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ticket").finish_non_exhaustive()
    }
}

/// Hexadecimal digits, for an environment or a pipe between two processes.
impl fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A text that is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no ticket: it has {} hexadecimal digits", Ticket::LENGTH * 2)]
pub struct NoTicket;

impl FromStr for Ticket {
    type Err = NoTicket;

    fn from_str(text: &str) -> Result<Self, NoTicket> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Self::LENGTH || !rest.is_empty() {
            return Err(NoTicket);
        }
        let mut bytes = [0; Self::LENGTH];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let digit =
                |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(high).ok_or(NoTicket)? << 4 | digit(low).ok_or(NoTicket)?;
        }
        Ok(Self(bytes))
    }
}

/// How handles pass from one session of a host to another.
pub trait Inheritance: Send + Sync {
    /// Duplicates `handles` of the calling session, with the same access, for whoever shows the ticket. They stay open until
    /// they are taken, or until the session that offered them ends.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE` for one of them; `STATUS_INVALID_PARAMETER` for more than [`TICKET_LIMIT`];
    /// `STATUS_QUOTA_EXCEEDED` for too many offers that nobody has taken.
    fn offer_handles(&self, handles: &[Handle]) -> Result<Ticket, NTSTATUS>;

    /// The handles that a ticket stands for, as the calling session's own, in the order in which they were offered. The ticket
    /// is void then.
    ///
    /// # Errors
    /// `STATUS_NOT_FOUND` for a ticket that is void, or never was.
    fn take_handles(&self, ticket: &Ticket) -> Result<Vec<Handle>, NTSTATUS>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_as_text_and_is_no_other() {
        let (one, other) = (Ticket::random().expect("a number"), Ticket::random().expect("a number"));
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!(!format!("{one:?}").contains(&one.to_string()[..8]));
        for text in ["", "0", &one.to_string()[1..], &format!("{one}0"), &"é".repeat(32), &"+1".repeat(32)] {
            assert_eq!(text.parse::<Ticket>(), Err(NoTicket), "{text}");
        }
        let legacy = Legacy { ticket: one, parent: 7 };
        assert_eq!(legacy.to_string().parse(), Ok(legacy));
        for text in [one.to_string(), format!("{one}:"), format!("{one}:-1"), ":7".to_owned()] {
            assert_eq!(text.parse::<Legacy>(), Err(NoTicket), "{text}");
        }
    }
}
