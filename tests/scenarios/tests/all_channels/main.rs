//! All channels at once: many applications of several threads each, which read, write, control, pend, cancel, share, stream and talk
//! at the same time, while some of them are killed in the midst and others take their place. Every byte and every answer is
//! checked, nobody waits for ever, and in the end nothing is left.
//!
//! RINGBRIDGE_APPLICATIONS and RINGBRIDGE_SECONDS say how many and how long; without them it is a short run. What fails prints the
//! seed; RINGBRIDGE_SEED makes the same choices again, though not the same interleaving.

mod channels;
mod random;
mod servers;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use host::{LoadOptions, Machine, PortUsage, SectionUsage, Server, TagUsage};
use ringbridge_scenarios::{
    AppsWitness, Beside, PATIENCE, application, say_ready, sys_path, unload_when_closed, wait_to_go_on,
};

use channels::{CHANNELS, Caller};
use random::Random;

/// Threads of each application.
const THREADS: usize = 4;
/// Blocks that the kernel may keep for requests to come: three for each packet, of which it keeps 64, and for workers.
const MOST_KEPT: usize = 3 * 64 + 128;
/// How long one exchange may take, on a machine that is busy with all the others.
const LONGEST: Duration = Duration::from_secs(180);
/// The drivers, each a `.sys` file. The pipes' file system comes by itself.
const DRIVERS: [&str; 9] =
    ["apps", "buffers", "consult", "delay", "mapping", "namedpipe", "notify", "stream", "verdict"];

const SEED: &str = "RINGBRIDGE_SEED";
const ORDINAL: &str = "RINGBRIDGE_ORDINAL";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

/// What a thread does, for whoever finds that it does it for too long.
struct Doing {
    channel: AtomicUsize,
    rounds: AtomicU64,
}

/// Ends this process, which plays the application, at once: the others go on, and the test says that it has failed.
fn give_up(seed: u64, ordinal: u64, what: &str) -> ! {
    eprintln!("application {ordinal}: {what}; {SEED}={seed}");
    std::process::exit(1);
}

#[test]
fn application_on_all_channels() {
    let Some(client) = application() else { return };
    let (seed, ordinal) = (number(SEED, 0), number(ORDINAL, 0));
    let doing: [Doing; THREADS] =
        std::array::from_fn(|_| Doing { channel: AtomicUsize::new(0), rounds: AtomicU64::new(0) });
    let (client, doing, stop, done) = (&client, &doing, &AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for (index, own) in doing.iter().enumerate() {
            scope.spawn(move || {
                let mut random = Random::new(seed, ordinal, index as u64);
                let mut channel = random.index(CHANNELS.len());
                let mut caller = Caller { transport: client, ordinal, thread: index as u64, random };
                while !stop.load(Ordering::Relaxed) {
                    own.channel.store(channel, Ordering::Relaxed);
                    let (name, exchange) = CHANNELS[channel];
                    if let Err(error) = exchange(&mut caller) {
                        give_up(seed, ordinal, &format!("thread {index}, {name}: {error}"));
                    }
                    own.rounds.fetch_add(1, Ordering::Relaxed);
                    channel = caller.random.index(CHANNELS.len());
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        scope.spawn(move || watch(doing, done, seed, ordinal));
        say_ready();
        wait_to_go_on();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Sees to it that no thread is in one exchange for too long.
fn watch(doing: &[Doing; THREADS], done: &AtomicUsize, seed: u64, ordinal: u64) {
    let mut seen = [0; THREADS].map(|rounds: u64| (rounds, Instant::now()));
    while done.load(Ordering::Relaxed) < THREADS {
        thread::sleep(Duration::from_millis(50));
        for (doing, (rounds, since)) in doing.iter().zip(&mut seen) {
            let now = doing.rounds.load(Ordering::Relaxed);
            if now != *rounds {
                (*rounds, *since) = (now, Instant::now());
            } else if since.elapsed() > LONGEST && done.load(Ordering::Relaxed) == 0 {
                let (name, _) = CHANNELS[doing.channel.load(Ordering::Relaxed)];
                give_up(seed, ordinal, &format!("{name} hangs after {now} rounds"));
            }
        }
    }
}

/// Serves the others: it is not killed.
#[test]
fn application_that_serves() {
    let Some(client) = application() else { return };
    servers::serve(&client, say_ready, wait_to_go_on);
}

fn start(server: &Server, seed: u64, ordinal: u64) -> Beside {
    let variables = [(SEED, seed.to_string()), (ORDINAL, ordinal.to_string())];
    Beside::start_with("application_on_all_channels", server.path(), &variables)
}

/// What the kernel has of pool, by tag, but for what it keeps for requests to come: packets, and the threads and tokens of its
/// workers, which are counted apart.
fn pool(machine: &Machine) -> (Vec<(u32, TagUsage)>, usize) {
    const KEPT: [&[u8; 4]; 5] = [b"Irp ", b"IoSB", b"IoMd", b"Thre", b"Toke"];
    let kept = KEPT.map(|tag| u32::from_le_bytes(*tag));
    // What a driver leaves is in the report of its unloading.
    let own =
        machine.pool_usage().into_iter().filter(|(owner, _, usage)| owner == "kernel" && usage.blocks > 0);
    let (kept, mut others): (Vec<_>, Vec<_>) =
        own.map(|(_, tag, usage)| (tag, usage)).partition(|(tag, _)| kept.contains(tag));
    others.sort_by_key(|(tag, _)| *tag);
    (others, kept.iter().map(|(_, usage)| usage.blocks).sum())
}

#[test]
fn all_channels_at_once_with_deaths_in_the_midst_lose_no_byte_and_leave_nothing() {
    let (count, seconds) = (number("RINGBRIDGE_APPLICATIONS", 3), number("RINGBRIDGE_SECONDS", 3));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = number(SEED, now);
    eprintln!("{SEED}={seed}");
    let machine = Machine::new().expect("a machine");
    for name in DRIVERS {
        machine.load(&sys_path(name), LoadOptions::default()).expect("loads");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let witness_process = machine.process("witness");
    let witness = AppsWitness::new(&witness_process);

    // What is started when it is first asked for has started now.
    Beside::start("application_that_serves", server.path()).finish();
    wait_for_sessions(&server);
    let idle = Left::of(&machine);

    let servers = Beside::start("application_that_serves", server.path());
    let mut applications: Vec<_> = (0..count).map(|ordinal| start(&server, seed, ordinal)).collect();
    let mut random = Random::new(seed, u64::MAX, 0);
    let (started, mut ordinal) = (Instant::now(), count);
    while started.elapsed() < Duration::from_secs(seconds) {
        // Any moment: chance is what is tested here, no condition is waited for.
        thread::sleep(Duration::from_millis(random.below(400)));
        let index = random.index(applications.len());
        let mut killed = std::mem::replace(&mut applications[index], start(&server, seed, ordinal));
        assert!(!killed.has_ended(), "an application has failed");
        killed.kill();
        ordinal += 1;
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
    applications.into_iter().for_each(Beside::finish);
    servers.finish();
    eprintln!("{ordinal} applications, {} of them killed", ordinal - count);

    let counts = witness.wait_until_alone();
    assert_eq!(counts.wrong, 0);
    wait_for_sessions(&server);
    nothing_is_left(&machine, &idle);
    let kept = pool(&machine).1;
    assert!(kept < MOST_KEPT, "{kept} blocks are kept for requests to come");
    server.stop();
    drop(witness);
    drop(witness_process);
    for name in DRIVERS {
        unload_when_closed(&machine, name);
    }
}

fn wait_for_sessions(server: &Server) {
    let start = Instant::now();
    while server.sessions() != 0 {
        assert!(start.elapsed() < PATIENCE, "{} sessions stay", server.sessions());
        thread::yield_now();
    }
}

/// What a machine has that applications could have left.
#[derive(Debug, PartialEq)]
struct Left {
    pool: Vec<(u32, TagUsage)>,
    ports: PortUsage,
    sections: SectionUsage,
    mappings: usize,
}

impl Left {
    fn of(machine: &Machine) -> Self {
        Self {
            pool: pool(machine).0,
            ports: machine.port_usage(),
            sections: machine.section_usage(),
            mappings: machine.user_mappings().len(),
        }
    }
}

fn nothing_is_left(machine: &Machine, idle: &Left) {
    let start = Instant::now();
    while Left::of(machine) != *idle {
        assert!(start.elapsed() < PATIENCE, "left: {:#?}, idle: {idle:#?}", Left::of(machine));
        thread::yield_now();
    }
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}
