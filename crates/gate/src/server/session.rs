//! One application's session: the handshake, its slots' threads, and its end.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use abi::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::early::Late;
use super::slot;
use super::views::Views;
use crate::admission::peer_groups;
use crate::bell;
use crate::patience::Spin;
use crate::service::{Peer, Service};
use crate::socket::{self, ReceiveError, hear, hear_soon, tell, tell_with};
use crate::window::Window;
use crate::wire::{BadMessage, Layout, Message};

/// How often an application may refuse a window's address before the host gives up.
const PROPOSALS: usize = 8;

/// How often a slot whose thread could not be started is tried again, and an ending session's threads are reminded.
const AGAIN: Duration = Duration::from_millis(10);

type Open = Box<dyn Fn(&Peer) -> Result<Arc<dyn Service>, NTSTATUS> + Send + Sync>;

/// What all sessions of a server have in common.
pub(super) struct Plan {
    pub(super) layout: Layout,
    pub(super) spin: Spin,
    pub(super) open: Open,
}

/// What the threads of a session share.
pub(super) struct Session {
    pub(super) service: Arc<dyn Service>,
    pub(super) window: Arc<Window>,
    views: Arc<Views>,
    pub(super) spin: Spin,
    pub(super) slots: Box<[SlotRecord]>,
    ended: AtomicBool,
    socket: Arc<OwnedFd>,
    threads: Mutex<usize>,
    thread_ended: Condvar,
}

/// What the host remembers of a slot, where the application cannot reach it.
#[derive(Default)]
pub(super) struct SlotRecord {
    /// A thread serves it, or will.
    pub(super) active: AtomicBool,
    /// The last sequence number that was answered before its thread ended.
    pub(super) served: AtomicU32,
    /// Whether its thread is still in a call that was answered early.
    pub(super) late: Arc<Late>,
}

/// Serves whoever is at the other end of `socket`, to the end.
pub(super) fn run(plan: &Plan, socket: &Arc<OwnedFd>) {
    // An application that breaks off the handshake has told nobody its name: there is nothing to report.
    let Some(peer) = shake_hands(plan, socket) else { return };
    let process = watch_process(&peer);
    let service = match (plan.open)(&peer) {
        Ok(service) => service,
        Err(status) => return refuse(socket, status),
    };
    let slots = (0..plan.layout.slot_count).map(|_| SlotRecord::default()).collect();
    let session = Arc::new(Session {
        service,
        window: peer.window,
        views: peer.views,
        spin: plan.spin,
        slots,
        ended: AtomicBool::new(false),
        socket: Arc::clone(socket),
        threads: Mutex::new(0),
        thread_ended: Condvar::new(),
    });
    if tell(socket, &Message::Ready).is_ok() {
        session.watch(process.as_ref());
    }
    session.end();
}

/// Agrees on a window with the application.
fn shake_hands(plan: &Plan, socket: &Arc<OwnedFd>) -> Option<Peer> {
    let credentials = socket::peer(socket).ok()?;
    let groups = peer_groups(socket).ok()?;
    match hear_soon(socket) {
        Ok((Message::Hello, _)) => {}
        // The answer carries this side's version, which is all that the application needs.
        Err(ReceiveError::Bad(BadMessage::Version(_))) => {
            refuse(socket, NTSTATUS(0));
            return None;
        }
        _ => return None,
    }
    // Addresses that were refused stay taken until one is accepted, so that none is proposed twice.
    let mut refused = Vec::new();
    for _ in 0..PROPOSALS {
        let Ok((window, memory)) = Window::new(plan.layout) else {
            refuse(socket, STATUS_INSUFFICIENT_RESOURCES);
            return None;
        };
        let offer = Message::Offer { base: window.base(), layout: plan.layout };
        tell_with(socket, &offer, memory.as_fd()).ok()?;
        match hear_soon(socket) {
            Ok((Message::Accept, _)) => {
                let window = Arc::new(window);
                let views = Arc::new(Views::new(&window, socket));
                return Some(Peer { credentials, groups, window, views });
            }
            Ok((Message::Occupied, _)) => refused.push(window),
            _ => return None,
        }
    }
    refuse(socket, STATUS_INSUFFICIENT_RESOURCES);
    None
}

fn refuse(socket: &Arc<OwnedFd>, status: NTSTATUS) {
    // If it does not arrive, the closed socket says as much.
    let _unheard = tell(socket, &Message::Refused { status: status.bits() });
}

/// A descriptor that becomes readable when the application's process ends, even if a child that it forked still holds
/// the socket.
fn watch_process(peer: &Peer) -> Option<OwnedFd> {
    let pid = i32::try_from(peer.credentials.pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

impl Session {
    /// Whether the session is over; a thread that finds it so returns.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Starts threads for slots as the application asks, until it is gone.
    fn watch(self: &Arc<Self>, process: Option<&OwnedFd>) {
        let mut waiting = Vec::new();
        loop {
            let limit = (!waiting.is_empty()).then_some(AGAIN);
            match self.next_event(process, limit) {
                Ok(true) => match hear(&*self.socket) {
                    Ok(Message::Activate { slot }) => match self.slots.get(slot as usize) {
                        Some(record) if !record.active.swap(true, Ordering::AcqRel) => waiting.push(slot),
                        // Active already, or no slot at all: no application of ours asks for that.
                        _ => return,
                    },
                    Ok(Message::Answer { number, done }) => self.views.answer(number, done),
                    _ => return,
                },
                Ok(false) => {}
                Err(_) => return,
            }
            // Linux may have no room for a thread now; the application's thread waits in line.
            waiting.retain(|&slot| !self.start(slot));
        }
    }

    /// Waits until the socket has something to say (true) or `limit` is over (false).
    fn next_event(&self, process: Option<&OwnedFd>, limit: Option<Duration>) -> Result<bool, Errno> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut ready = [
            PollFd::new(&*self.socket, PollFlags::IN),
            PollFd::new(process.unwrap_or(&*self.socket), PollFlags::IN),
        ];
        socket::retry(|| poll(&mut ready, limit.as_ref()))?;
        if process.is_some() && !ready[1].revents().is_empty() {
            return Err(Errno::PIPE);
        }
        Ok(!ready[0].revents().is_empty())
    }

    /// Starts the thread that serves `slot`; false if Linux has no room for it.
    fn start(self: &Arc<Self>, slot: u32) -> bool {
        *self.threads() += 1;
        let session = Arc::clone(self);
        let body = move || {
            // A panic ends this session, not the host; the application learns of it like of a dead host.
            if catch_unwind(AssertUnwindSafe(|| slot::serve(&session, slot))).is_err() {
                let _down = shutdown(&*session.socket, Shutdown::Both);
                // Others of the session may wait for it.
                session.slots[slot as usize].late.end();
            }
            session.leave();
        };
        let started = thread::Builder::new().name(format!("gate slot {slot}")).spawn(body).is_ok();
        if !started {
            *self.threads() -= 1;
        }
        started
    }

    fn leave(&self) {
        *self.threads() -= 1;
        self.thread_ended.notify_all();
    }

    /// Ends all threads and tells the service.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // The application, if it lives, must know that nobody answers any more.
        let _down = shutdown(&*self.socket, Shutdown::Both);
        self.views.end();
        self.service.session_ending();
        let mut threads = self.threads();
        while *threads != 0 {
            for (index, record) in (0..).zip(&self.slots) {
                if record.active.load(Ordering::Acquire) {
                    bell::poison(&self.window.slot(index).request.bell);
                }
            }
            let waited = self.thread_ended.wait_timeout(threads, AGAIN);
            threads = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(threads);
        self.service.session_ended();
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, usize> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
