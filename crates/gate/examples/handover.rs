//! What a hand-over to another process costs, beside a bare cache-line ping-pong and a bare futex ping-pong.
//!
//! `cargo run --release -p ringbridge-gate --example handover`. Not the project's benchmark (`cargo xtask bench`): no
//! driver runs here, a request only copies 64 bytes.
#![expect(unsafe_code, reason = "it pins threads and copies in shared memory")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use abi::{NTSTATUS, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS};
use ringbridge_gate::{
    Client, ConnectOptions, CreateFile, DirectoryEntry, Handle, IoStatus, Listener, Peer, ServerOptions,
    Service, Spin, SystemCall, SystemReply, Transport, WindowBuffer,
};
use rustix::thread::{CpuSet, futex, sched_setaffinity};

const SAMPLES: usize = 1000;

fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).expect("pinning");
}

/// The lower quartile of the nanoseconds that `action` takes, over samples so short that most of them are not preempted
/// even on a busy machine.
fn time(rounds: u32, mut action: impl FnMut()) -> f64 {
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                action();
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    if std::env::var_os("HANDOVER_ALL").is_some() {
        let at = |part: usize| samples[SAMPLES * part / 100];
        eprintln!("    {:.0} {:.0} {:.0} {:.0} {:.0}", at(5), at(25), at(50), at(75), at(95));
    }
    samples[SAMPLES / 4]
}

#[repr(align(128))]
struct Line(AtomicU32);

/// One cache line thrown to and fro by two threads.
fn line_ping_pong() -> f64 {
    let line = Arc::new(Line(AtomicU32::new(0)));
    let theirs = Arc::clone(&line);
    let partner = std::thread::spawn(move || {
        pin(1);
        loop {
            let value = theirs.0.load(Ordering::Acquire);
            if value == u32::MAX {
                return;
            }
            if value & 1 == 1 {
                theirs.0.store(value.wrapping_add(1), Ordering::Release);
            }
        }
    });
    pin(0);
    let mut value = 0_u32;
    let result = time(300, || {
        line.0.store(value + 1, Ordering::Release);
        value += 2;
        while line.0.load(Ordering::Acquire) != value {}
    });
    line.0.store(u32::MAX, Ordering::Release);
    partner.join().expect("partner");
    result
}

/// Two processes that wake each other.
fn futex_ping_pong(processor: usize) -> f64 {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, access, MapFlags::SHARED) }.expect("page");
    // SAFETY: two aligned atomics in a page that is never unmapped.
    let words: &[Line; 2] = unsafe { &*page.cast() };
    let wait = |word: &AtomicU32, old: u32| {
        while word.load(Ordering::Acquire) == old {
            let _again = futex::wait(word, futex::Flags::empty(), old, None);
        }
    };
    let ring = |word: &AtomicU32, value: u32| {
        word.store(value, Ordering::Release);
        futex::wake(word, futex::Flags::empty(), 1).expect("wake");
    };
    // SAFETY: only one thread runs here, and the child uses nothing but the page.
    let child = unsafe { libc::fork() };
    if child == 0 {
        pin(processor);
        let mut value = 0;
        while value != u32::MAX {
            wait(&words[0].0, value);
            value = words[0].0.load(Ordering::Acquire);
            ring(&words[1].0, value);
        }
        // SAFETY: ends the child without running what the parent will run.
        unsafe { libc::_exit(0) };
    }
    pin(0);
    let mut value = 0;
    let result = time(10, || {
        ring(&words[0].0, value + 1);
        wait(&words[1].0, value);
        value += 1;
    });
    ring(&words[0].0, u32::MAX);
    // SAFETY: waits for the child that was made above.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    result
}

struct Copier {
    processor: Arc<AtomicUsize>,
}

impl Service for Copier {
    fn create_file(&self, _: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        Err(STATUS_NOT_IMPLEMENTED)
    }

    fn close(&self, _: Handle) -> NTSTATUS {
        STATUS_NOT_IMPLEMENTED
    }

    fn duplicate_handle(&self, _handle: Handle, _access: u32, _options: u32) -> Result<Handle, NTSTATUS> {
        Err(abi::STATUS_NOT_IMPLEMENTED)
    }

    fn read(&self, _: Handle, _: WindowBuffer, _: Option<u64>) -> IoStatus {
        IoStatus { status: STATUS_SUCCESS, information: 0 }
    }

    fn write(&self, _: Handle, _: WindowBuffer, _: Option<u64>) -> IoStatus {
        IoStatus { status: STATUS_SUCCESS, information: 0 }
    }

    fn device_control(&self, _: Handle, _: u32, input: WindowBuffer, output: WindowBuffer) -> IoStatus {
        let mut bytes = [0; 64];
        let count = (input.length.min(output.length) as usize).min(64);
        platform::memory::copy_from(&mut bytes[..count], input.address).expect("input");
        // SAFETY: a checked buffer in the window.
        unsafe { platform::memory::copy_to(output.address, &bytes[..count]).expect("output") };
        IoStatus { status: STATUS_SUCCESS, information: count as u64 }
    }

    fn query_directory(&self, _: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        Err(STATUS_NOT_IMPLEMENTED)
    }

    fn system_call(&self, _: &SystemCall<'_>, _: &mut [u8]) -> SystemReply {
        SystemReply::status(STATUS_NOT_IMPLEMENTED)
    }

    fn thread_started(&self) {
        let processor = self.processor.load(Ordering::Relaxed);
        if processor != usize::MAX {
            pin(processor);
        }
    }

    fn session_ended(&self) {}
}

/// The application: prints how long a call takes.
fn application(path: &str, processor: &str, spin: Spin) {
    if let Ok(processor) = processor.parse() {
        pin(processor);
    }
    let client =
        Client::connect_with(path, ConnectOptions { spin, ..ConnectOptions::default() }).expect("connect");
    let input = [7; 64];
    let mut output = [0; 64];
    let rounds = if spin == Spin::Never { 10 } else { 300 };
    let small = time(rounds, || {
        let result = client.device_control(Handle(4), 0x22_2000, &input, &mut output);
        assert_eq!(result.information, 64);
    });
    assert_eq!(output, input);
    let empty = time(rounds, || {
        client.device_control(Handle(4), 0x22_2000, &[], &mut []);
    });
    println!("{small} {empty}");
}

fn across(processor: usize, spin: Spin, free: bool) -> (f64, f64) {
    let path = std::env::temp_dir().join(format!("ringbridge-handover-{}.sock", std::process::id()));
    let place = Arc::new(AtomicUsize::new(if free { usize::MAX } else { processor }));
    let open = move |_: &Peer| -> Result<Arc<dyn Service>, NTSTATUS> {
        Ok(Arc::new(Copier { processor: Arc::clone(&place) }))
    };
    let options = ServerOptions { spin, ..ServerOptions::default() };
    let server = Listener::bind(&path).expect("bind").serve(options, open).expect("serve");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([
            &*path.to_string_lossy(),
            if free { "-" } else { "0" },
            if spin == Spin::Never { "never" } else { "" },
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("application");
    server.stop();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    (numbers.next().expect("64 bytes"), numbers.next().expect("nothing"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, path, processor, spin] = &arguments[..] {
        let spin = if spin == "never" { Spin::Never } else { Spin::Adaptive };
        return application(path, processor, spin);
    }
    let all = rustix::thread::sched_getaffinity(None).expect("affinity");
    let row = |name: &str, (small, empty): (f64, f64), floor: f64| {
        println!(
            "{name:28} {small:9.0} ns (64 B) {empty:9.0} ns (empty)  floor {floor:9.0}  ratio {:.2}",
            small / floor
        );
    };
    let only = arguments.get(1).map_or("", String::as_str);
    for _ in 0..4 {
        if "running".starts_with(only) {
            let floor = line_ping_pong();
            sched_setaffinity(None, &all).expect("affinity");
            row("running, two processors", across(1, Spin::Adaptive, false), floor);
            row("running, unpinned", across(1, Spin::Adaptive, true), floor);
        }
        if "parked".starts_with(only) {
            let floor = futex_ping_pong(0);
            sched_setaffinity(None, &all).expect("affinity");
            row("parked, one processor", across(0, Spin::Never, false), floor);
            row("adaptive, one processor", across(0, Spin::Adaptive, false), floor);
            let floor = futex_ping_pong(1);
            sched_setaffinity(None, &all).expect("affinity");
            row("parked, two processors", across(1, Spin::Never, false), floor);
        }
    }
}
