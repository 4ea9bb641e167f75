//! Named pipes on the deterministic platform: who writes, who reads, and who ends it under both, in every order that is tried. A wake-up
//! that is lost leaves somebody waiting for ever, which the platform reports.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use abi::NTSTATUS;
use gate::{CreateFile, Handle, Memory, NamedPipe, Notice, SystemCall, Transport};
use host::{Configuration, Machine, Process, UnloadOutcome};
use platform::mock::Stranded;
use platform::{Mock, Platform};

/// Schedules of each way to end.
const RUNS: u64 = 300;
/// What is written, in messages of several lengths, some of which have no room.
const MESSAGES: [&[u8]; 5] = [b"one", b"", b"far too long for the quota", b"four", b"fifth"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    ServerCloses,
    ClientCloses,
    ServerDisconnects,
    ServerCancels,
}

/// What the threads of a run have, and tell.
struct Run {
    machine: Machine,
    /// Server and client.
    processes: [Mutex<Option<Arc<Process>>>; 2],
    handles: [Handle; 2],
    written: Mutex<Vec<usize>>,
    read: Mutex<Vec<Vec<u8>>>,
    threads: Mutex<u32>,
}

fn path() -> Vec<u16> {
    r"\??\pipe\Scheduled".encode_utf16().collect()
}

fn create(process: &Process) -> Handle {
    let pipe = NamedPipe {
        desired_access: abi::GENERIC_READ | abi::GENERIC_WRITE | abi::SYNCHRONIZE,
        share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
        create_disposition: abi::FILE_CREATE,
        pipe_type: abi::FILE_PIPE_MESSAGE_TYPE,
        maximum_instances: 1,
        inbound_quota: 8,
        outbound_quota: 8,
        default_timeout: -1,
        ..NamedPipe::default()
    };
    let reply = process
        .system_call(&SystemCall::CreateNamedPipeFile { name: &path(), pipe, descriptor: &[] }, &mut []);
    assert_eq!(reply.status, abi::STATUS_SUCCESS);
    reply.handle
}

fn open(process: &Process) -> Handle {
    let request = CreateFile {
        path: &path(),
        desired_access: abi::GENERIC_READ | abi::GENERIC_WRITE | abi::SYNCHRONIZE,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: 0,
        security_qos: None,
    };
    let (handle, _) = process.create_file(&request).expect("listens");
    let data = [abi::FILE_PIPE_MESSAGE_MODE, 0].map(u32::to_le_bytes).concat();
    let call = SystemCall::SetInformationFile { handle, class: abi::FilePipeInformation, data: &data };
    assert_eq!(process.system_call(&call, &mut []).status, abi::STATUS_SUCCESS);
    handle
}

fn disconnect(process: &Process, handle: Handle) -> NTSTATUS {
    let block = process.allocate_memory(16).expect("memory");
    let notice = Notice { io_status_block: block.address(), ..Notice::default() };
    let nothing = Memory { address: block.address(), length: 0 };
    let code = abi::FSCTL_PIPE_DISCONNECT;
    process
        .system_call(
            &SystemCall::FsControl { handle, code, input: nothing, output: nothing, notice },
            &mut [],
        )
        .status
}

impl Run {
    fn process(&self, end: usize) -> Arc<Process> {
        self.processes[end].lock().expect("no thread failed").clone().expect("it runs")
    }

    fn write(&self) {
        let process = self.process(0);
        for (number, message) in MESSAGES.iter().enumerate() {
            let written = process.write(self.handles[0], message, Some(0));
            if written.status == abi::STATUS_SUCCESS {
                assert_eq!(written.information, message.len() as u64, "a part of it");
                self.written.lock().expect("no thread failed").push(number);
            }
        }
    }

    fn read(&self) {
        let process = self.process(1);
        loop {
            let mut buffer = [0; 64];
            let read = process.read(self.handles[1], &mut buffer, Some(0));
            if read.status != abi::STATUS_SUCCESS {
                return;
            }
            let length = usize::try_from(read.information).expect("small");
            self.read.lock().expect("no thread failed").push(buffer[..length].to_vec());
        }
    }

    fn end(&self, ending: Ending) {
        let server = self.process(0);
        match ending {
            Ending::ServerCloses => assert_eq!(server.close(self.handles[0]), abi::STATUS_SUCCESS),
            Ending::ClientCloses => assert_eq!(self.process(1).close(self.handles[1]), abi::STATUS_SUCCESS),
            Ending::ServerDisconnects => {
                assert_eq!(disconnect(&server, self.handles[0]), abi::STATUS_SUCCESS);
            }
            Ending::ServerCancels => {
                let call = SystemCall::CancelIoFileEx { handle: self.handles[0], io_status_block: 0 };
                let status = server.system_call(&call, &mut []).status;
                assert!([abi::STATUS_SUCCESS, abi::STATUS_NOT_FOUND].contains(&status), "{status:?}");
            }
        }
    }

    /// One of the threads is done. Cancelling ends no reads: then the server closes when all is written.
    fn leave(&self, ending: Ending, is_writer: bool) {
        if is_writer && ending == Ending::ServerCancels {
            assert_eq!(self.process(0).close(self.handles[0]), abi::STATUS_SUCCESS);
        }
        let left = {
            let mut threads = self.threads.lock().expect("no thread failed");
            *threads -= 1;
            *threads
        };
        if left == 0 {
            self.judge(ending);
        }
    }

    fn judge(&self, ending: Ending) {
        for end in 0..2 {
            let process = self.processes[end].lock().expect("no thread failed").take().expect("it runs");
            let _perhaps_closed = process.close(self.handles[end]);
            assert_eq!(process.open_handles(), 0);
        }
        let written = self.written.lock().expect("no thread failed");
        let read = self.read.lock().expect("no thread failed");
        let expected: Vec<&[u8]> = written.iter().map(|number| MESSAGES[*number]).collect();
        let loses = matches!(ending, Ending::ClientCloses | Ending::ServerDisconnects);
        let end = if loses { read.len().min(expected.len()) } else { expected.len() };
        assert_eq!(*read, expected[..end], "{ending:?}: of {written:?}");
        let Ok(UnloadOutcome::Unloaded(report)) = self.machine.unload("Npfs") else {
            panic!("a file is open")
        };
        assert!(report.is_clean(), "{report:?}");
    }
}

/// What a thread does.
type Body = fn(&Run, Ending);

fn start(mock: &Mock, machine: Machine, ending: Ending, judged: Arc<Mutex<bool>>) {
    let processes = ["server", "client"].map(|name| Arc::new(machine.process(name)));
    let handles = [create(&processes[0]), open(&processes[1])];
    let processes = processes.map(|process| Mutex::new(Some(process)));
    let (written, read) = (Mutex::default(), Mutex::default());
    let run = Arc::new(Run { machine, processes, handles, written, read, threads: Mutex::new(3) });
    let bodies: [(&str, Body); 3] =
        [("writer", |run, _| run.write()), ("reader", |run, _| run.read()), ("ender", Run::end)];
    for (name, body) in bodies {
        let (run, judged) = (run.clone(), judged.clone());
        let thread = move || {
            body(&run, ending);
            run.leave(ending, name == "writer");
            *judged.lock().expect("no thread failed") |= *run.threads.lock().expect("no thread failed") == 0;
        };
        mock.spawn(name, Box::new(thread)).expect("starts");
    }
}

fn run_one(seed: u64, ending: Ending) -> Vec<usize> {
    let mock = Mock::new(seed).with_stranded(Stranded::Leave).with_step_limit(1_000_000);
    let (inner, judged) = (mock.clone(), Arc::<Mutex<bool>>::default());
    let own = judged.clone();
    let root = move || {
        let machine = Machine::with(Arc::new(inner.clone()), Configuration::default()).expect("a machine");
        start(&inner, machine, ending, own);
    };
    let report = mock.run(root).unwrap_or_else(|error| panic!("{ending:?}, seed {seed}: {error}"));
    assert!(*judged.lock().expect("no thread failed"), "{ending:?}, seed {seed}: somebody waits for ever");
    report.schedule
}

fn explore(ending: Ending) {
    let schedules: BTreeSet<_> = (0..RUNS).map(|seed| run_one(seed, ending)).collect();
    println!("{ending:?}: {} different schedules", schedules.len());
    assert!(schedules.len() as u64 > RUNS / 2, "the runs hardly differ: {}", schedules.len());
}

#[test]
fn what_was_written_is_read_in_whatever_order_its_server_closes() {
    explore(Ending::ServerCloses);
}

#[test]
fn what_is_read_is_a_front_of_what_was_written_in_whatever_order_its_client_closes() {
    explore(Ending::ClientCloses);
}

#[test]
fn what_is_read_is_a_front_of_what_was_written_in_whatever_order_its_server_disconnects() {
    explore(Ending::ServerDisconnects);
}

#[test]
fn what_was_written_and_not_cancelled_is_read_in_every_order() {
    explore(Ending::ServerCancels);
}
