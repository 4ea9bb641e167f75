//! P6: messages through a ring in memory that a driver has mapped for its application, beside a Unix socket and `memcpy`.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, anyhow};
use gate::Spin;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use sample_applications::stream::{Flow, Stream};

use crate::floors;
use crate::table::Row;
use crate::two_processes::Host;

/// Bytes of a small message.
const SMALL: usize = 64;
/// Bytes of a large one.
const LARGE: usize = 1 << 20;
/// Bytes of each ring.
const CAPACITY: u64 = 8 << 20;
/// Samples whose median counts.
const SAMPLES: usize = 9;
/// Small messages of one sample, and of one through the socket.
const MESSAGES: u32 = 1 << 20;
const SOCKET_MESSAGES: u32 = 1 << 16;
/// Large messages of one sample.
const LARGE_MESSAGES: u32 = 1 << 9;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds a message from the driver to this process.
fn through_the_ring(message: usize, batch: u64, messages: u32) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let _host = Host::start(&socket, &["stream"], Spin::Adaptive)?;
    let client = gate::Client::connect(&socket)?;
    let stream = Stream::open(&client, CAPACITY)?;
    let message = message as u64;
    let flow = Flow { bytes: u64::from(messages) * message, message, batch, checked: false };
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        stream.receive(&client, flow).map_err(|error| anyhow!("{error}"))?;
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(messages));
        stream.finish().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(median(times))
}

/// Sends messages to standard input, a socket, until it is closed: what the other process does.
pub(crate) fn send_socket(processor: usize) -> Result<()> {
    floors::pin(processor);
    let socket = std::io::stdin();
    let message = [0x5A; SMALL];
    while send(&socket, &message, SendFlags::NOSIGNAL).is_ok() {}
    Ok(())
}

/// Nanoseconds a message from another process through a socket that keeps messages apart.
fn through_a_socket([own, other]: [usize; 2]) -> Result<f64> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (ours, theirs): (OwnedFd, OwnedFd) = pair;
    let mut sender = Command::new(std::env::current_exe()?)
        .arg("--send-socket")
        .arg("--processor")
        .arg(other.to_string())
        .stdin(Stdio::from(theirs))
        .spawn()?;
    floors::pin(own);
    let mut room = [0; SMALL];
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..SOCKET_MESSAGES {
            recv(&ours, &mut room, RecvFlags::empty())?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(SOCKET_MESSAGES));
    }
    drop(ours);
    sender.wait()?;
    Ok(median(times))
}

/// Nanoseconds of one message of a socket, sent when the one before was received: both sides sleep in between.
fn one_way_through_a_socket() -> Result<f64> {
    const ROUNDS: u32 = 5_000;
    let (mut ours, mut theirs) = UnixStream::pair()?;
    let echo = std::thread::spawn(move || {
        floors::pin(1);
        let mut room = [0; SMALL];
        while theirs.read_exact(&mut room).is_ok() && theirs.write_all(&room).is_ok() {}
    });
    floors::pin(0);
    let mut room = [0; SMALL];
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            ours.write_all(&room)?;
            ours.read_exact(&mut room)?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS * 2));
    }
    drop(ours);
    let _ended = echo.join();
    Ok(median(times))
}

/// Nanoseconds of one `memcpy` of a large message, from and to places all over so many bytes.
fn memcpy(size: usize) -> f64 {
    let source = vec![0x5A_u8; size];
    // Not zeroes, whose pages would only come with the first copy.
    let mut target = vec![1_u8; size];
    let mut times = Vec::new();
    for round in 0..SAMPLES * 64 {
        let at = round % (size / LARGE) * LARGE;
        let start = Instant::now();
        target[at..at + LARGE].copy_from_slice(black_box(&source[at..at + LARGE]));
        black_box(&mut target);
        times.push(start.elapsed().as_secs_f64() * 1e9);
    }
    median(times)
}

/// P6: how many times as many messages as a Unix socket carries.
pub(crate) fn p6() -> Result<Vec<Row>> {
    let batches = through_the_ring(SMALL, 64, MESSAGES)?;
    let singles = through_the_ring(SMALL, 1, MESSAGES)?;
    let large = through_the_ring(LARGE, 1, LARGE_MESSAGES)?;
    let socket = through_a_socket([0, 1])?.min(through_a_socket([0, 0])?);
    let parked = one_way_through_a_socket()?;
    // What a processor copies that it has not in its caches, as what another one has just written; and what it has.
    let [cold, warm] = [256 * LARGE, 2 * LARGE].map(memcpy);
    let per_millisecond = |time: f64| 1e6 / time;
    let row = |work, time, floor_name, floor| {
        Row::new("P6", work, per_millisecond(time), "messages/ms", floor_name, per_millisecond(floor))
    };
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let gigabytes = |time: f64| LARGE as f64 / time;
    let large_row = |floor_name, floor| {
        let floor = gigabytes(floor);
        Row::new("P6", "ring by MDL, 1 MiB messages", gigabytes(large), "GB/s", floor_name, floor)
    };
    Ok(vec![
        row("ring by MDL, 64 B messages in batches", batches, "Unix socket, one at a time", parked)
            .at_least(150.0),
        row("ring by MDL, 64 B messages one by one", singles, "Unix socket, one at a time", parked)
            .at_least(80.0),
        row("ring by MDL, 64 B messages in batches", batches, "Unix socket, as fast as it goes", socket),
        row("ring by MDL, 64 B messages one by one", singles, "Unix socket, as fast as it goes", socket),
        large_row("one memcpy, cold", cold).at_least(0.8),
        large_row("one memcpy, warm", warm),
    ])
}
