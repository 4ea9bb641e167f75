//! A service that stands in for a kernel: what it is asked, it does to the buffers or writes down.
#![expect(unreachable_pub, reason = "tests/two_processes.rs includes this file too")]

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use abi::*;
use platform::pages::{PAGE_SIZE, Protection};
use platform::shared_memory::SharedMemory;
use ringbridge_gate::{
    CreateFile, DirectoryEntry, Handle, Inheritance, IoStatus, Listener, Peer, SecurityQos, Server,
};
use ringbridge_gate::{ServerOptions, Service, SystemCall, SystemReply, Ticket, Views, WindowBuffer};

const PAGE: u64 = PAGE_SIZE as u64;

/// Copies the input to the output.
pub const ECHO: u32 = 0x22_2000;
/// As ECHO, then fails; the output must not arrive.
pub const ECHO_AND_FAIL: u32 = 0x22_2004;
/// As ECHO, with STATUS_BUFFER_OVERFLOW, a warning.
pub const ECHO_AND_WARN: u32 = 0x22_2008;
/// Answers when the session ends.
pub const BLOCK: u32 = 0x22_200C;
/// Claims to have written four times the output's length.
pub const BOAST: u32 = 0x22_2010;
/// Panics.
pub const PANIC: u32 = 0x22_2014;
/// METHOD_OUT_DIRECT: adds one to each byte of the output; fails.
pub const INCREMENT: u32 = 0x22_2016;
/// METHOD_NEITHER: answers the output buffer's address as information.
pub const ADDRESS: u32 = 0x22_201B;
/// Shows two pages of new memory, the first word of each its number (10, 20), that may be written if the input's byte is 1;
/// answers where.
pub const SHOW: u32 = 0x22_2020;
/// Answers the second word of the second of these pages.
pub const LOOK: u32 = 0x22_2024;
/// Takes them away; answers a status.
pub const HIDE: u32 = 0x22_2028;

/// What happened to all sessions of a server.
#[derive(Default)]
pub struct Log {
    events: Mutex<Events>,
    changed: Condvar,
    offers: Mutex<Vec<(Ticket, Vec<Handle>)>>,
}

#[derive(Clone, Debug, Default)]
pub struct Events {
    pub opened: Vec<u32>,
    pub groups: Vec<Vec<u32>>,
    pub created: Vec<(Vec<u16>, [u32; 5])>,
    pub closed: Vec<u32>,
    pub written: Vec<(Vec<u8>, Option<u64>)>,
    pub callers: Vec<ThreadId>,
    pub blocked: usize,
    pub threads_started: usize,
    pub threads_ended: usize,
    pub turns_ended: usize,
    pub tokens_set: usize,
    pub allowed: Vec<Option<SecurityQos>>,
    pub sessions_ending: usize,
    pub sessions_ended: usize,
}

impl Log {
    pub fn note(&self, change: impl FnOnce(&mut Events)) {
        change(&mut self.events.lock().unwrap());
        self.changed.notify_all();
    }

    pub fn events(&self) -> Events {
        self.events.lock().unwrap().clone()
    }

    /// Waits for what must come; fails the test if it does not.
    pub fn wait_for(&self, what: &str, mut come: impl FnMut(&Events) -> bool) -> Events {
        let events = self.events.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (events, waited) =
            self.changed.wait_timeout_while(events, limit, |events| !come(events)).unwrap();
        assert!(!waited.timed_out(), "{what} never came: {events:?}");
        events.clone()
    }
}

/// Serves one session.
pub struct Fake {
    log: Arc<Log>,
    views: Arc<Views>,
    ending: Mutex<bool>,
    ended: Condvar,
}

/// A server of fakes at a path of its own.
pub fn serve(path: &str, options: ServerOptions) -> (Server, Arc<Log>) {
    let log = Arc::new(Log::default());
    let theirs = Arc::clone(&log);
    let open = move |peer: &Peer| -> Result<Arc<dyn Service>, NTSTATUS> {
        theirs.note(|events| {
            events.opened.push(peer.credentials.pid);
            events.groups.push(peer.groups.clone());
        });
        let (log, views) = (Arc::clone(&theirs), Arc::clone(&peer.views));
        Ok(Arc::new(Fake { log, views, ending: Mutex::new(false), ended: Condvar::new() }))
    };
    let server = Listener::bind(path).unwrap().serve(options, open).unwrap();
    (server, log)
}

/// A path that no other test uses.
pub fn socket_path(test: &str) -> String {
    let folder = std::env::temp_dir().join("ringbridge-gate-tests");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{test}-{}.sock", std::process::id())).to_str().unwrap().to_owned()
}

fn load(buffer: WindowBuffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.length as usize];
    platform::memory::copy_from(&mut bytes, buffer.address).unwrap();
    bytes
}

fn store(buffer: WindowBuffer, bytes: &[u8]) -> u64 {
    let count = bytes.len().min(buffer.length as usize);
    // SAFETY: the gate promises that the buffer lies in the window's data, where no Rust value lives.
    unsafe { platform::memory::copy_to(buffer.address, &bytes[..count]).unwrap() };
    count as u64
}

fn done(information: u64) -> IoStatus {
    IoStatus { status: STATUS_SUCCESS, information }
}

fn word(address: u64) -> u64 {
    let mut bytes = [0; 8];
    platform::memory::copy_from(&mut bytes, address).unwrap();
    u64::from_le_bytes(bytes)
}

impl Fake {
    /// Where two pages are shown: the last ones that can be.
    fn view(&self) -> u64 {
        self.views.span().end - 2 * PAGE
    }

    fn show(&self, writable: bool) -> IoStatus {
        const BYTES: usize = PAGE_SIZE;
        let memory = SharedMemory::new(3 * BYTES).unwrap();
        let ours = memory.map_anywhere(BYTES..3 * BYTES, Protection::ReadWrite).unwrap();
        for (page, value) in [(0, 10_u64), (PAGE, 20)] {
            // SAFETY: inside the view above, which no Rust value lives in.
            unsafe { platform::memory::copy_to(ours.address() as u64 + page, &value.to_le_bytes()).unwrap() };
        }
        match self.views.map(self.view(), &memory, BYTES..3 * BYTES, writable) {
            Ok(()) => done(self.view()),
            Err(_) => IoStatus { status: STATUS_INSUFFICIENT_RESOURCES, information: 0 },
        }
    }
}

impl Service for Fake {
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        if request.path.is_empty() {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        let words = [
            request.desired_access,
            request.file_attributes,
            request.share_access,
            request.create_disposition,
            request.create_options,
        ];
        self.log.note(|events| {
            events.created.push((request.path.to_vec(), words));
            events.allowed.push(request.security_qos);
        });
        Ok((Handle(0x44), FILE_OPENED as u64))
    }

    fn close(&self, handle: Handle) -> NTSTATUS {
        self.log.note(|events| events.closed.push(handle.0));
        if handle.0 == 0x44 { STATUS_SUCCESS } else { STATUS_INVALID_HANDLE }
    }

    fn duplicate_handle(&self, _handle: Handle, _access: u32, _options: u32) -> Result<Handle, NTSTATUS> {
        Err(abi::STATUS_NOT_IMPLEMENTED)
    }

    fn read(&self, _handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus {
        let start = offset.unwrap_or(1);
        let bytes: Vec<u8> = (0..u64::from(buffer.length)).map(|at| (start + at).to_le_bytes()[0]).collect();
        done(store(buffer, &bytes))
    }

    fn write(&self, _handle: Handle, buffer: WindowBuffer, offset: Option<u64>) -> IoStatus {
        let bytes = load(buffer);
        self.log.note(|events| events.written.push((bytes, offset)));
        done(u64::from(buffer.length))
    }

    fn device_control(
        &self,
        _handle: Handle,
        code: u32,
        input: WindowBuffer,
        output: WindowBuffer,
    ) -> IoStatus {
        let echo = |status| IoStatus { status, information: store(output, &load(input)) };
        match code {
            ECHO => {
                self.log.note(|events| events.callers.push(thread::current().id()));
                echo(STATUS_SUCCESS)
            }
            ECHO_AND_FAIL => echo(STATUS_UNSUCCESSFUL),
            ECHO_AND_WARN => echo(STATUS_BUFFER_OVERFLOW),
            BLOCK => {
                self.log.note(|events| events.blocked += 1);
                let ending = self.ending.lock().unwrap();
                drop(self.ended.wait_while(ending, |ending| !*ending).unwrap());
                IoStatus { status: STATUS_CANCELLED, information: 0 }
            }
            BOAST => {
                store(output, &vec![7; output.length as usize]);
                done(u64::from(output.length) * 4)
            }
            PANIC => panic!("asked to"),
            INCREMENT => {
                let bytes: Vec<u8> = load(output).iter().map(|byte| byte.wrapping_add(1)).collect();
                store(output, &bytes);
                IoStatus { status: STATUS_UNSUCCESSFUL, information: 0 }
            }
            ADDRESS => done(output.address),
            SHOW => self.show(load(input) == [1]),
            LOOK => done(word(self.view() + PAGE + 8)),
            HIDE => {
                let hidden = self.views.unmap(self.view(), 2 * PAGE);
                IoStatus { status: hidden.map_or(STATUS_UNSUCCESSFUL, |()| STATUS_SUCCESS), information: 0 }
            }
            _ => IoStatus { status: STATUS_INVALID_DEVICE_REQUEST, information: 0 },
        }
    }

    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        match *call {
            SystemCall::SetEvent { handle } => SystemReply { status: STATUS_SUCCESS, handle, information: 7 },
            SystemCall::RemoveIoCompletion { .. } => {
                output.fill(0x5A);
                let information = output.len() as u64;
                SystemReply { information, ..SystemReply::status(STATUS_SUCCESS) }
            }
            SystemCall::SetThreadToken { .. } => {
                self.log.note(|events| events.tokens_set += 1);
                SystemReply::status(STATUS_SUCCESS)
            }
            _ => SystemReply::status(STATUS_NOT_IMPLEMENTED),
        }
    }

    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        let path = String::from_utf16(path).map_err(|_| STATUS_OBJECT_NAME_INVALID)?;
        let count: usize = path.parse().map_err(|_| STATUS_OBJECT_NAME_NOT_FOUND)?;
        let entry = |at| DirectoryEntry {
            name: format!("Entry{at}"),
            type_name: "SymbolicLink".into(),
            target: format!(r"\Device\{at}"),
        };
        Ok((0..count).map(entry).collect())
    }

    fn inheritance(&self) -> Result<&dyn Inheritance, NTSTATUS> {
        Ok(self)
    }

    fn thread_started(&self) {
        self.log.note(|events| events.threads_started += 1);
    }

    fn turn_ended(&self) {
        self.log.note(|events| events.turns_ended += 1);
    }

    fn thread_ended(&self) {
        self.log.note(|events| events.threads_ended += 1);
    }

    fn session_ending(&self) {
        *self.ending.lock().unwrap() = true;
        self.ended.notify_all();
        self.log.note(|events| events.sessions_ending += 1);
    }

    fn session_ended(&self) {
        self.log.note(|events| events.sessions_ended += 1);
    }
}

impl Inheritance for Fake {
    fn offer_handles(&self, handles: &[Handle]) -> Result<Ticket, NTSTATUS> {
        let ticket = Ticket::random().unwrap();
        self.log.offers.lock().unwrap().push((ticket, handles.to_vec()));
        Ok(ticket)
    }

    fn take_handles(&self, ticket: &Ticket) -> Result<Vec<Handle>, NTSTATUS> {
        let mut offers = self.log.offers.lock().unwrap();
        let place = offers.iter().position(|(offered, _)| offered == ticket).ok_or(STATUS_NOT_FOUND)?;
        Ok(offers.swap_remove(place).1)
    }
}
