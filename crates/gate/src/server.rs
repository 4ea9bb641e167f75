//! The host's side: a listening socket, and a session for each application that connects.

mod early;
mod inheritance;
mod management;
mod session;
mod slot;
mod views;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abi::NTSTATUS;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, bind, listen, shutdown};

use crate::admission::Admission;
use crate::patience::Spin;
use crate::service::{Peer, Service};
use crate::socket;
use crate::window::WindowSize;
use crate::wire::Message;

pub use early::EarlyCall;
pub use views::Views;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody serves there already.
    #[error("another host is serving at {0}; stop it, or choose another socket with RINGBRIDGE_SOCKET")]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("{0} exists and is not a socket; remove it, or choose another socket with RINGBRIDGE_SOCKET")]
    NotASocket(PathBuf),
    /// Linux refused.
    #[error("cannot listen at {path}: {error}")]
    Linux {
        /// The socket's path.
        path: PathBuf,
        /// What Linux said.
        error: io::Error,
    },
}

/// How sessions are made.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// How large their windows are.
    pub window: WindowSize,
    /// Whether host threads look for the next request before they sleep.
    pub spin: Spin,
    /// How many sessions one Linux user may have at a time, those included that are being made or ended: each takes a
    /// window, threads and descriptors of the host. One more is refused with STATUS_CONNECTION_COUNT_LIMIT.
    pub sessions_per_user: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        // With four descriptors each, fewer than the 1024 that Linux gives a process by default.
        Self { window: WindowSize::default(), spin: Spin::default(), sessions_per_user: 128 }
    }
}

/// A socket with a name, on which nobody is served yet. Dropping it removes the name.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Held as long as the name is ours.
    _claim: Claim,
}

impl Listener {
    /// Makes the socket `path`, which only the calling user may connect to. What a host that died left there is
    /// replaced; the lock on a file beside it, `path` with `.lock` added, tells the living from the dead.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: impl AsRef<Path>) -> Result<Self, BindError> {
        Self::bind_for(path, Admission::Owner)
    }

    /// As [`Self::bind`], for more users than the calling one.
    ///
    /// # Errors
    /// [`BindError`]; among others when the calling user may not give the socket to the group.
    pub fn bind_for(path: impl AsRef<Path>, admission: Admission) -> Result<Self, BindError> {
        let path = path.as_ref();
        let failed = |error: io::Error| BindError::Linux { path: path.to_owned(), error };
        let claim = Claim::on(path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket(path.to_owned()));
            }
            // Somebody who does not know our lock may be listening.
            Ok(_) if socket::connect(path).is_ok() => return Err(BindError::InUse(path.to_owned())),
            Ok(_) => fs::remove_file(path).map_err(failed)?,
            Err(_) => {}
        }
        let address = socket::address(path).map_err(|error| failed(error.into()))?;
        let socket = socket::new().map_err(|error| failed(error.into()))?;
        bind(&socket, &address).map_err(|error| failed(error.into()))?;
        // Nobody can connect before `listen`, so the mode is in time.
        admission.apply(path).map_err(failed)?;
        listen(&socket, 128).map_err(|error| failed(error.into()))?;
        Ok(Self { socket, path: path.to_owned(), _claim: claim })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves every application that connects, until [`Server::stop`]. `open` is asked for each, on a thread of its
    /// own, and answers with what serves it, or with the status that the application is told.
    ///
    /// # Errors
    /// What Linux says when there is no room for a thread.
    pub fn serve<F>(self, options: ServerOptions, open: F) -> io::Result<Server>
    where
        F: Fn(&Peer) -> Result<Arc<dyn Service>, NTSTATUS> + Send + Sync + 'static,
    {
        let Some(layout) = options.window.layout() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a window cannot have this size"));
        };
        let plan = session::Plan { layout, spin: options.spin, open: Box::new(open) };
        let sessions_per_user = options.sessions_per_user;
        let shared = Arc::new(Shared { listener: self, sessions: Mutex::default(), plan, sessions_per_user });
        let accepting = Arc::clone(&shared);
        let thread = thread::Builder::new().name("gate accept".into()).spawn(move || accepting.accept())?;
        Ok(Server { shared, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Ours as long as the claim is held, which is dropped after this. If it is gone already, all is well.
        let _gone = fs::remove_file(&self.path);
    }
}

/// A locked file beside a socket, by which its host is known to live. Dropping it removes the file.
#[derive(Debug)]
struct Claim {
    name: PathBuf,
    _lock: File,
}

impl Claim {
    fn on(path: &Path) -> Result<Self, BindError> {
        let failed = |error: io::Error| BindError::Linux { path: path.to_owned(), error };
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let name = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        loop {
            let lock = options.open(&name).map_err(failed)?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(BindError::InUse(path.to_owned())),
                Err(error) => return Err(failed(error.into())),
            }
            // Whoever held it may have removed it since it was opened; then its lock means nothing any more.
            let held = lock.metadata().map_err(failed)?.ino();
            if fs::symlink_metadata(&name).is_ok_and(|named| named.ino() == held) {
                return Ok(Self { name, _lock: lock });
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is locked, so that nobody else's is removed. If it is gone already, all is well.
        let _gone = fs::remove_file(&self.name);
    }
}

/// A listener that serves. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The socket's path.
    pub fn path(&self) -> &Path {
        self.shared.listener.path()
    }

    /// How many applications are connected, those whose session is being made or ended included.
    pub fn sessions(&self) -> usize {
        self.shared.sessions().running.len()
    }

    /// Accepts nobody any more, ends all sessions and waits until their last thread has ended. Requests in progress
    /// end when their service lets them: see [`Service::session_ending`].
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut sessions = self.shared.sessions();
        sessions.stopping = true;
        let running = std::mem::take(&mut sessions.running);
        drop(sessions);
        // Both fail only for sockets that are down already.
        let _down = shutdown(&self.shared.listener.socket, Shutdown::Both);
        for session in running.values() {
            let _down = shutdown(&*session.socket, Shutdown::Both);
        }
        let threads = running.into_values().filter_map(|session| session.thread);
        for thread in threads.chain([thread]) {
            // A panic has been reported on its thread; the rest still has to end.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

struct Shared {
    listener: Listener,
    sessions: Mutex<Sessions>,
    plan: session::Plan,
    sessions_per_user: usize,
}

#[derive(Default)]
struct Sessions {
    stopping: bool,
    last: u64,
    running: HashMap<u64, Running>,
}

struct Running {
    socket: Arc<OwnedFd>,
    user: u32,
    thread: Option<JoinHandle<()>>,
}

/// Refuses somebody without waiting for him. What he has said must be read before the socket is closed: he would lose the answer
/// otherwise.
fn turn_away(socket: &OwnedFd) {
    const FEW: usize = 8;
    let status = abi::STATUS_CONNECTION_COUNT_LIMIT.bits();
    // He may have gone, or not listen; there is nothing else to tell him.
    let _unheard = socket::tell(socket, &Message::Refused { status });
    let _down = shutdown(socket, Shutdown::Both);
    // Nothing comes any more, so that this does not block.
    let _said = (0..FEW).take_while(|_| socket::hear(socket).is_ok()).count();
}

impl Shared {
    fn accept(self: Arc<Self>) {
        loop {
            match accept_with(&self.listener.socket, SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    if self.start(socket).is_none() {
                        return;
                    }
                }
                Err(_) if self.sessions().stopping => return,
                // Out of descriptors or memory: whoever waits in the queue gets its turn when some are free again.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    thread::sleep(Duration::from_millis(100));
                }
                Err(_) => {}
            }
        }
    }

    /// Starts a session's thread, or drops the connection when there is no room. `None` when the server stops.
    fn start(self: &Arc<Self>, socket: OwnedFd) -> Option<()> {
        // Who has gone already needs no session.
        let Ok(peer) = socket::peer(&socket) else { return Some(()) };
        let user = peer.uid;
        let socket = Arc::new(socket);
        let mut sessions = self.sessions();
        if sessions.stopping {
            return None;
        }
        let own = sessions.running.values().filter(|running| running.user == user).count();
        if own >= self.sessions_per_user {
            drop(sessions);
            turn_away(&socket);
            return Some(());
        }
        sessions.last += 1;
        let number = sessions.last;
        let (shared, theirs) = (Arc::clone(self), Arc::clone(&socket));
        // The new thread takes the same mutex at its end, so its entry is there by then.
        let thread = thread::Builder::new().name("gate session".into()).spawn(move || {
            // The service may panic when it is asked for a session or told of its end.
            if catch_unwind(AssertUnwindSafe(|| session::run(&shared.plan, &theirs))).is_err() {
                let _down = shutdown(&*theirs, Shutdown::Both);
            }
            shared.sessions().running.remove(&number);
        });
        if let Ok(thread) = thread {
            sessions.running.insert(number, Running { socket, user, thread: Some(thread) });
        }
        Some(())
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
