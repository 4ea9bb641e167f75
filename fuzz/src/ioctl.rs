//! The target `ioctl`: what an application can ask of a machine with drivers. The input is a list of calls (open, close,
//! read, write, control, list, with buffers anywhere); the drivers are the samples' `.sys` files. Whatever is asked, every
//! call is answered, the machine stays up, and when the application has ended, handles and pool are as before it began.

mod application;
mod calls;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use host::{Configuration, CreateFile, Handle, LoadOptions, Machine, Process, TagUsage, Transport};

use crate::impatience::{Impatient, as_the_application};
use application::Application;
use calls::Call;

use crate::deeds;

/// Calls of one input.
const MAX_CALLS: usize = 64;
/// Bytes of pool that the machine has: few, so that running out of it is tried too.
const POOL: usize = 32 << 20;
/// The samples.
const DRIVERS: [&str; 3] = ["hello", "pipe", "buffers"];
/// Devices that keep what was written to them last.
const KEEPERS: [&str; 2] = [r"\??\My_Device", r"\??\Buffers"];

/// Pool in use: owner, tag, how much.
type Usage = Vec<(String, u32, TagUsage)>;

struct Fixture {
    machine: Machine,
    /// Has handles to [`KEEPERS`], and outlives all applications.
    keeper: Process,
    kept: Vec<Handle>,
    /// The application that runs now.
    current: Arc<Mutex<Option<Arc<Process>>>>,
}

/// Where the drivers are; RINGBRIDGE_SYS_DIR, else the workspace's `target/sys`.
fn sys_dir() -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sys"));
    std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from)
}

impl Fixture {
    fn new() -> Self {
        let configuration = Configuration { pool_limit: POOL, ..Configuration::default() };
        let (platform, waiting) = Impatient::new();
        let machine = Machine::with(Arc::new(platform), configuration).expect("a machine");
        for name in DRIVERS {
            let path = sys_dir().join(format!("{name}.sys"));
            let loaded = machine.load(&path, LoadOptions::default());
            loaded.unwrap_or_else(|error| {
                panic!("{} (`cargo xtask sys` builds it): {error}", path.display());
            });
        }
        let keeper = machine.process("keeper");
        let kept = KEEPERS.map(|path| open_for_writing(&keeper, path)).to_vec();
        let current = Arc::new(Mutex::new(None::<Arc<Process>>));
        let applications = Arc::clone(&current);
        let end_it = move |()| {
            let current = applications.lock().unwrap_or_else(PoisonError::into_inner);
            current.iter().for_each(|process| process.begin_end());
        };
        let end_those_that_wait = move || waiting.iter().for_each(end_it);
        std::thread::Builder::new().name("ends-waiting".into()).spawn(end_those_that_wait).expect("a thread");
        let fixture = Self { machine, keeper, kept, current };
        // From now on this thread keeps what threads keep: packets, and the thread object of its last process.
        fixture.forget_writes();
        fixture.application(&[]);
        fixture
    }

    /// Has the drivers that keep what was written last keep nothing.
    fn forget_writes(&self) {
        for handle in &self.kept {
            let forgotten = self.keeper.write(*handle, b"", None);
            assert_eq!(forgotten.status, abi::STATUS_SUCCESS, "an empty write is accepted");
        }
    }

    fn set_current(&self, process: Option<&Arc<Process>>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = process.cloned();
    }

    fn usage(&self) -> Usage {
        let mut usage = self.machine.pool_usage();
        usage.retain(|(.., usage)| usage.blocks > 0);
        usage.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        usage
    }

    fn run(&self, calls: &[Call<'_>]) {
        let before = self.usage();
        self.application(calls);
        self.forget_writes();
        assert_eq!(self.usage(), before, "what was allocated for an application goes with it");
    }

    /// An application that makes these calls, from its beginning to its end.
    fn application(&self, calls: &[Call<'_>]) {
        let process = Arc::new(self.machine.process("fuzz"));
        self.set_current(Some(&process));
        let mut application = Application::new(&process);
        as_the_application(|| calls.iter().for_each(|call| application.make(call)));
        drop(application);
        self.set_current(None);
        process.end();
        if let Some(report) = self.machine.bugcheck() {
            panic!("an application stopped the machine: {report}");
        }
        assert_eq!(process.open_handles(), 0, "a process that has ended has no handles");
    }
}

fn open_for_writing(process: &Process, path: &str) -> Handle {
    let path: Vec<u16> = path.encode_utf16().collect();
    let request = CreateFile {
        path: &path,
        desired_access: abi::GENERIC_WRITE,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
        security_qos: None,
    };
    process.create_file(&request).expect("the device opens").0
}

/// Makes the calls that `bytes` are. With RINGBRIDGE_FUZZ_SHOW set, prints them first.
///
/// # Panics
/// When the machine stops, or something of the application stays behind.
pub fn run(bytes: &[u8]) {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let calls: Vec<Call<'_>> = deeds::read(bytes, MAX_CALLS);
    let fixture = FIXTURE.get_or_init(|| Mutex::new(Fixture::new()));
    fixture.lock().unwrap_or_else(PoisonError::into_inner).run(&calls);
}
