//! The Unix socket on which sessions begin and by which each side learns of the other's death.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socket_with,
};

use crate::wire::{BadMessage, MESSAGE_SIZE, Message};

/// How long a peer may take over each message of the handshake.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Who is at the other end of a socket, as Linux vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process, in this process's PID name space; 0 if it is not visible there.
    pub pid: u32,
    /// Its effective user when it connected or listened.
    pub uid: u32,
    /// Its effective group then.
    pub gid: u32,
}

impl PeerCredentials {
    /// Whether that is root, or the user of this process.
    pub fn is_root_or_own(&self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }
}

/// Why no message came.
#[derive(Debug)]
pub(crate) enum ReceiveError {
    /// The peer is gone, or silent for too long.
    Linux(Errno),
    /// The peer closed the socket.
    Closed,
    /// What came is no message of this protocol.
    Bad(BadMessage),
}

impl From<Errno> for ReceiveError {
    fn from(error: Errno) -> Self {
        Self::Linux(error)
    }
}

/// Where hosts listen if nobody says otherwise: `RINGBRIDGE_SOCKET`, else `ringbridge.sock` in `XDG_RUNTIME_DIR`, else
/// `/tmp/ringbridge-<uid>.sock`.
pub fn default_socket_path() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("RINGBRIDGE_SOCKET") {
        return path.into();
    }
    if let Some(folder) = set("XDG_RUNTIME_DIR") {
        return Path::new(&folder).join("ringbridge.sock");
    }
    format!("/tmp/ringbridge-{}.sock", rustix::process::getuid().as_raw()).into()
}

/// A new socket whose messages keep their borders.
pub(crate) fn new() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The address for `path`; Linux takes at most 107 bytes.
pub(crate) fn address(path: &Path) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(path)
}

/// A socket connected to whoever listens at `path`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = new()?;
    loop {
        match rustix::net::connect(&socket, &address(path)?) {
            Err(Errno::INTR) => {}
            Ok(()) => return Ok(socket),
            Err(error) => return Err(error),
        }
    }
}

/// Sends one message; never raises SIGPIPE.
pub(crate) fn tell(socket: impl AsFd, message: &Message) -> Result<(), Errno> {
    retry(|| send(socket.as_fd(), &message.encode(), SendFlags::NOSIGNAL)).map(drop)
}

/// Sends one message with a descriptor.
pub(crate) fn tell_with(
    socket: impl AsFd,
    message: &Message,
    descriptor: BorrowedFd<'_>,
) -> Result<(), Errno> {
    transmit(socket.as_fd(), message, Some(descriptor), SendFlags::empty())
}

/// Sends one message to a peer that may not read what it is sent, until `deadline`.
pub(crate) fn tell_until(
    socket: impl AsFd,
    message: &Message,
    descriptor: Option<BorrowedFd<'_>>,
    deadline: Instant,
) -> Result<(), Errno> {
    let socket = socket.as_fd();
    loop {
        match transmit(socket, message, descriptor, SendFlags::DONTWAIT) {
            Err(Errno::AGAIN) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || !is_ready_within(socket, PollFlags::OUT, left)? {
                    return Err(Errno::TIMEDOUT);
                }
            }
            other => return other,
        }
    }
}

fn transmit(
    socket: BorrowedFd<'_>,
    message: &Message,
    descriptor: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> Result<(), Errno> {
    let bytes = message.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        assert!(fits, "space for one descriptor");
    }
    let flags = flags | SendFlags::NOSIGNAL;
    retry(|| sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, flags)).map(drop)
}

/// Waits for one message as long as it takes. Descriptors that come with it are dropped.
pub(crate) fn hear(socket: impl AsFd) -> Result<Message, ReceiveError> {
    let mut bytes = [0; MESSAGE_SIZE];
    // With TRUNC, Linux returns the message's true length.
    let (_, length) = retry(|| recv(socket.as_fd(), &mut bytes, RecvFlags::TRUNC))?;
    decode(&bytes, length)
}

/// Waits for one message at most [`HANDSHAKE_LIMIT`]; returns the descriptor that came with it, if exactly one did.
pub(crate) fn hear_soon(socket: impl AsFd) -> Result<(Message, Option<OwnedFd>), ReceiveError> {
    if !is_ready_within(socket.as_fd(), PollFlags::IN, HANDSHAKE_LIMIT)? {
        return Err(Errno::TIMEDOUT.into());
    }
    hear_with(socket)
}

/// Waits for one message as long as it takes; returns the descriptor that came with it, if exactly one did.
pub(crate) fn hear_with(socket: impl AsFd) -> Result<(Message, Option<OwnedFd>), ReceiveError> {
    let mut bytes = [0; MESSAGE_SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::TRUNC;
    let received =
        retry(|| recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut control, flags))?;
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.next().and_then(|mut all| all.next());
    Ok((decode(&bytes, received.bytes)?, descriptor))
}

fn decode(bytes: &[u8; MESSAGE_SIZE], length: usize) -> Result<Message, ReceiveError> {
    match length {
        0 => Err(ReceiveError::Closed),
        MESSAGE_SIZE => Message::decode(bytes).map_err(ReceiveError::Bad),
        // Another version's messages may be longer, but their start says so.
        _ => Err(ReceiveError::Bad(match Message::decode(bytes) {
            Err(bad @ BadMessage::Version(_)) => bad,
            _ => BadMessage::Protocol,
        })),
    }
}

fn is_ready_within(socket: BorrowedFd<'_>, what: PollFlags, limit: Duration) -> Result<bool, Errno> {
    let limit = Timespec::try_from(limit).map_err(|_| Errno::INVAL)?;
    retry(|| poll(&mut [PollFd::from_borrowed_fd(socket, what)], Some(&limit))).map(|ready| ready != 0)
}

/// Who is at the other end.
pub(crate) fn peer(socket: impl AsFd) -> io::Result<PeerCredentials> {
    // Not rustix's: its type cannot hold the PID 0 of a peer in a name space that is not visible here.
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("twelve bytes");
    // SAFETY: the value is as long as `length` says and any bytes are valid for it.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = u32::try_from(credentials.pid).unwrap_or(0);
    Ok(PeerCredentials { pid, uid: credentials.uid, gid: credentials.gid })
}

/// Repeats what a signal interrupted.
pub(crate) fn retry<T>(mut action: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match action() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
