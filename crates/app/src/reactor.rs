//! Overlapped I/O as futures: a [`Reactor`] listens at a completion port, and wakes whoever awaits a request when it has
//! ended. It works under any executor.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::completion_port::CompletionPort;
use crate::control_code::ControlCode;
use crate::device::{Device, OpenOptions};
use crate::error::Win32Error;
use crate::overlapped::{Finished, Operation, Overlapped, Refused};
use crate::sys::{self, Handle, Transport};

/// The key of the packet that stops the reactor's thread; devices have 0.
const STOP: u64 = u64::MAX;
/// Packets that the thread takes at once.
const PACKETS: usize = 64;
/// How soon to try again what memory was missing for.
const AGAIN: Duration = Duration::from_millis(1);

/// A completion port and the thread that listens at it. Dropping it stops the thread.
pub struct Reactor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    transport: Arc<dyn Transport>,
    port: Handle,
    /// By the id of the request that is awaited.
    wakers: Mutex<HashMap<u64, Waker>>,
    /// The thread has ended: the port tells nothing any more.
    deaf: AtomicBool,
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reactor").field("port", &self.shared.port).finish_non_exhaustive()
    }
}

impl Shared {
    fn wakers(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes `waker` at the end of this request. The one before is dropped outside of the lock: with it a task may go that
    /// has requests here.
    fn listen_for(&self, id: u64, waker: Waker) {
        let before = self.wakers().insert(id, waker);
        drop(before);
    }

    fn forget(&self, id: u64) {
        let waker = self.wakers().remove(&id);
        drop(waker);
    }

    fn listen(&self) {
        let port = CompletionPort::from_handle(&*self.transport, self.port);
        let mut stopped = false;
        while !stopped {
            // The port is closed, or the machine has stopped: those who await learn it when they look.
            let Ok(packets) = port.get_many(PACKETS, None) else { break };
            for packet in packets {
                stopped |= packet.key == STOP;
                let waker = self.wakers().remove(&packet.overlapped);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
        self.deaf.store(true, Ordering::SeqCst);
        let all = std::mem::take(&mut *self.wakers());
        all.into_values().for_each(Waker::wake);
    }
}

impl Reactor {
    /// Starts to listen.
    ///
    /// # Errors
    /// ERROR_NO_SYSTEM_RESOURCES (1450), also when there can be no thread; that the machine has stopped or the host is gone.
    pub fn new(transport: Arc<dyn Transport>) -> Result<Self, Win32Error> {
        let port = CompletionPort::new(&*transport, 1)?.into_handle();
        let shared =
            Arc::new(Shared { transport, port, wakers: Mutex::default(), deaf: AtomicBool::new(false) });
        let listener = shared.clone();
        let started =
            std::thread::Builder::new().name("completion port".to_owned()).spawn(move || listener.listen());
        match started {
            Ok(thread) => Ok(Self { shared, thread: Some(thread) }),
            Err(_) => {
                drop(CompletionPort::from_handle(&*shared.transport, port));
                Err(Win32Error::new("CreateThread", "", abi::STATUS_INSUFFICIENT_RESOURCES))
            }
        }
    }

    /// Where its devices are.
    #[must_use]
    pub fn transport(&self) -> &dyn Transport {
        &*self.shared.transport
    }

    /// Opens a device whose requests are futures.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`] and [`CompletionPort::associate`].
    pub fn open(&self, options: &OpenOptions, path: &str) -> Result<AsyncDevice<'_>, Win32Error> {
        let device = options.overlapped(true).open(self.transport(), path)?;
        self.adopt(device)
    }

    /// Makes requests of a device futures that is open for overlapped I/O, by this reactor's [`transport`](Self::transport).
    ///
    /// # Errors
    /// As for [`CompletionPort::associate`].
    pub fn adopt<'a>(&'a self, device: Device<'a>) -> Result<AsyncDevice<'a>, Win32Error> {
        self.associate(&device).map(|()| AsyncDevice { device, reactor: self })
    }

    /// Lets the ends of a file's requests be told here.
    pub(crate) fn associate(&self, device: &Device<'_>) -> Result<(), Win32Error> {
        let port = CompletionPort::from_handle(self.transport(), self.shared.port);
        let associated = port.associate(device, 0);
        // It stays the thread's.
        let _kept = port.into_handle();
        associated
    }

    /// The future of a request that has begun, or was refused.
    pub(crate) fn request<'d>(&'d self, begun: Result<Operation<'d>, Refused>) -> Request<'d> {
        let state = match begun {
            Ok(operation) => State::GoesOn(operation),
            Err(Refused { error, buffer, input }) => {
                State::Ended(Box::new(Finished { result: Err(error), buffer, input }))
            }
        };
        Request { shared: &self.shared, state }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        let port = CompletionPort::from_handle(&*self.shared.transport, self.shared.port);
        let told = || port.post(STOP, 0, 0).is_ok() || self.shared.deaf.load(Ordering::SeqCst);
        // A port whose machine has stopped has told its listener so; one without memory for the packet is asked again.
        while !told() && sys::is_connected(&*self.shared.transport) {
            std::thread::sleep(AGAIN);
        }
        let _thread_closes_it = port.into_handle();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// A device whose requests are futures.
#[derive(Debug)]
pub struct AsyncDevice<'a> {
    device: Device<'a>,
    reactor: &'a Reactor,
}

impl<'a> AsyncDevice<'a> {
    /// The device, open for overlapped I/O.
    #[must_use]
    pub fn device(&self) -> &Device<'a> {
        &self.device
    }

    /// `ReadFile` at `offset` bytes into the front of `buffer`. It begins at once, and goes on whether or not it is polled.
    /// Dropping the future cancels it.
    pub fn read(&self, buffer: Buffer, offset: u64) -> Request<'_> {
        self.begin(self.device.read_overlapped(buffer, &Overlapped::new().offset(offset)))
    }

    /// `WriteFile` of all of `buffer` at `offset` bytes; as [`Self::read`].
    pub fn write(&self, buffer: Buffer, offset: u64) -> Request<'_> {
        self.begin(self.device.write_overlapped(buffer, &Overlapped::new().offset(offset)))
    }

    /// `DeviceIoControl`; as [`Self::read`].
    pub fn control(&self, code: ControlCode, input: Buffer, output: Buffer) -> Request<'_> {
        self.begin(self.device.control_overlapped(code, input, output, &Overlapped::new()))
    }

    /// `ConnectNamedPipe`, of a server's end that [`Reactor::adopt`] has; as [`Self::read`].
    pub fn connect(&self, buffer: Buffer) -> Request<'_> {
        self.begin(self.device.connect_overlapped(buffer, &Overlapped::new()))
    }

    /// `TransactNamedPipe`; as [`Self::read`].
    pub fn transact(&self, input: Buffer, output: Buffer) -> Request<'_> {
        self.begin(self.device.transact_overlapped(input, output, &Overlapped::new()))
    }

    fn begin<'d>(&'d self, begun: Result<Operation<'d>, Refused>) -> Request<'d> {
        self.reactor.request(begun)
    }
}

/// A request that has begun: a future of its end.
#[must_use = "dropping it cancels the request"]
pub struct Request<'a> {
    shared: &'a Shared,
    state: State<'a>,
}

enum State<'a> {
    GoesOn(Operation<'a>),
    Ended(Box<Finished>),
    Told,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.state {
            State::GoesOn(operation) => operation.fmt(formatter),
            State::Ended(finished) => finished.fmt(formatter),
            State::Told => formatter.write_str("Request"),
        }
    }
}

impl Future for Request<'_> {
    type Output = Finished;

    /// # Panics
    /// When it is polled after it was ready, as futures do.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Finished> {
        match std::mem::replace(&mut self.state, State::Told) {
            State::GoesOn(operation) => {
                let operation = match operation.try_finish() {
                    Ok(finished) => return Poll::Ready(finished),
                    Err(operation) => operation,
                };
                let id = operation.id();
                self.shared.listen_for(id, context.waker().clone());
                // The end is written before it is told: whoever missed the one sees the other.
                let deaf = self.shared.deaf.load(Ordering::SeqCst);
                let operation = match operation.try_finish() {
                    Ok(finished) => {
                        self.shared.forget(id);
                        return Poll::Ready(finished);
                    }
                    Err(operation) => operation,
                };
                if deaf {
                    self.shared.forget(id);
                    return Poll::Ready(operation.give_up());
                }
                self.state = State::GoesOn(operation);
                Poll::Pending
            }
            State::Ended(finished) => Poll::Ready(*finished),
            State::Told => panic!("a request was polled after its end"),
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if let State::GoesOn(operation) = &self.state {
            self.shared.forget(operation.id());
        }
    }
}
