//! The handshake, as the application sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use abi::NTSTATUS;
use platform::pages::PagesError;
use platform::shared_memory::SharedMemory;
use rustix::io::Errno;

use super::ConnectOptions;
use super::life::Life;
use super::threads::Link;
use crate::socket::{self, ReceiveError, hear_soon, hear_with, tell};
use crate::window::Window;
use crate::wire::{BadMessage, Layout, Message, VERSION};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error(
        "no host is serving at {0}; start one with `ringbridge serve`, or set RINGBRIDGE_SOCKET to its socket"
    )]
    NoHost(PathBuf),
    /// The socket belongs to somebody else.
    #[error(
        "no permission to connect to {0}; run as the user who started the host, or have the host admit you (`ringbridge serve --group`)"
    )]
    AccessDenied(PathBuf),
    /// Whoever listens there is neither this user nor root nor named by [`ConnectOptions::host_user`], and would see all
    /// that is sent.
    #[error(
        "{path} is served by user {uid}, whom this process does not trust; set RINGBRIDGE_SOCKET to your own host's socket, or RINGBRIDGE_HOST_UID={uid} if that user may see all that is sent"
    )]
    Untrusted {
        /// The socket's path.
        path: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// Host and application are of different releases.
    #[error(
        "the host speaks version {host} of the protocol, this application version {own}; use the same release of Ringbridge for both"
    )]
    Version {
        /// The host's version.
        host: u32,
        /// This application's.
        own: u32,
    },
    /// The host refused the session.
    #[error("the host refused the session with status {0:?}; see the host's messages")]
    Refused(NTSTATUS),
    /// What answered is no host.
    #[error("what listens at {0} does not answer as a Ringbridge host")]
    NotAHost(PathBuf),
    /// The host's window does not fit into this process.
    #[error("the session's window cannot be mapped: {0}; see `ulimit -v`")]
    Window(PagesError),
    /// Linux refused something else.
    #[error("cannot connect to {path}: {error}")]
    Linux {
        /// The socket's path.
        path: PathBuf,
        /// What Linux said.
        error: io::Error,
    },
}

/// Connects and starts the thread that notices the host's end.
pub(super) fn connect(
    path: &Path,
    options: ConnectOptions,
    place: impl Fn(u64, &SharedMemory, Layout) -> Result<Window, PagesError>,
) -> Result<(Arc<Link>, JoinHandle<()>), ConnectError> {
    let failed = |error: io::Error| ConnectError::Linux { path: path.to_owned(), error };
    let socket = socket::connect(path).map_err(|error| match error {
        Errno::NOENT | Errno::CONNREFUSED => ConnectError::NoHost(path.to_owned()),
        Errno::ACCESS | Errno::PERM => ConnectError::AccessDenied(path.to_owned()),
        Errno::PROTOTYPE => ConnectError::NotAHost(path.to_owned()),
        error => failed(error.into()),
    })?;
    let host = socket::peer(&socket).map_err(failed)?;
    if !host.is_root_or_own() && options.host_user != Some(host.uid) {
        return Err(ConnectError::Untrusted { path: path.to_owned(), uid: host.uid });
    }
    let life = Life::new().map_err(|error| failed(error.into()))?;
    let window = shake_hands(path, &socket, place)?;
    let link = Arc::new(Link::new(life, socket, window, options.spin));
    let watched = Arc::clone(&link);
    let watcher = thread::Builder::new().name("gate watcher".into()).stack_size(64 << 10);
    let watcher = watcher.spawn(move || {
        while let Ok((order, descriptor)) = hear_with(&watched.socket)
            && watched.carry_out(order, descriptor)
        {}
        // Whatever else comes is the host's end.
        watched.end_for_all();
    });
    Ok((link, watcher.map_err(failed)?))
}

fn shake_hands(
    path: &Path,
    socket: &OwnedFd,
    place: impl Fn(u64, &SharedMemory, Layout) -> Result<Window, PagesError>,
) -> Result<Window, ConnectError> {
    let broken = |error: ReceiveError| broken(path, error);
    let lost = |error: Errno| broken(ReceiveError::Linux(error));
    if let Err(error) = tell(socket, &Message::Hello) {
        // A host that has no room may have said so already.
        return match hear_soon(socket) {
            Ok((Message::Refused { status }, _)) => Err(ConnectError::Refused(NTSTATUS::from_bits(status))),
            _ => Err(lost(error)),
        };
    }
    let window = loop {
        let (message, descriptor) = hear_soon(socket).map_err(broken)?;
        let (base, layout, descriptor) = match (message, descriptor) {
            (Message::Offer { base, layout }, Some(descriptor)) => (base, layout, descriptor),
            (Message::Refused { status }, _) => {
                return Err(ConnectError::Refused(NTSTATUS::from_bits(status)));
            }
            _ => return Err(ConnectError::NotAHost(path.to_owned())),
        };
        match check(base, layout, descriptor).and_then(|memory| place(base, &memory, layout)) {
            Err(PagesError::Occupied) => tell(socket, &Message::Occupied).map_err(lost)?,
            Err(error) => return Err(ConnectError::Window(error)),
            Ok(window) => break window,
        }
    };
    tell(socket, &Message::Accept).map_err(lost)?;
    match hear_soon(socket).map_err(broken)? {
        (Message::Ready, _) => Ok(window),
        (Message::Refused { status }, _) => Err(ConnectError::Refused(NTSTATUS::from_bits(status))),
        _ => Err(ConnectError::NotAHost(path.to_owned())),
    }
}

/// The memory of an offered window, if all that the host says about it holds.
fn check(base: u64, layout: Layout, descriptor: OwnedFd) -> Result<SharedMemory, PagesError> {
    let memory = SharedMemory::from_descriptor(descriptor)?;
    let windows = platform::pages::USER_WINDOWS;
    let inside = layout.is_sound()
        && base >= windows.start as u64
        && base.checked_add(layout.span).is_some_and(|end| end <= windows.end as u64);
    if inside { Ok(memory) } else { Err(PagesError::OutOfRange) }
}

fn broken(path: &Path, error: ReceiveError) -> ConnectError {
    match error {
        ReceiveError::Bad(BadMessage::Version(host)) => ConnectError::Version { host, own: VERSION },
        ReceiveError::Bad(BadMessage::Protocol) | ReceiveError::Closed => {
            ConnectError::NotAHost(path.to_owned())
        }
        // It hung up before it had read what this side said, or says nothing.
        ReceiveError::Linux(Errno::CONNRESET | Errno::PIPE | Errno::TIMEDOUT) => {
            ConnectError::NotAHost(path.to_owned())
        }
        ReceiveError::Linux(error) => ConnectError::Linux { path: path.to_owned(), error: error.into() },
    }
}
