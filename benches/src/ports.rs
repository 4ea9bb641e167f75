//! P7: a question and its answer through a filter port and through LPC, beside a round trip through a Unix socket.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Result, anyhow};
use app::lpc::{Message, Port};
use app::{Device, SecurityQos, reply_to};
use gate::{Client, ConnectOptions, Spin};
use host::Machine;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sample_applications::{consult, verdict};

use crate::floors;
use crate::measure::{Batch, batch, beside};
use crate::table::Row;
use crate::two_processes::Host;

/// Bytes that go to and fro through the socket: about what the ports carry, with their headers.
const MESSAGE: usize = 64;
/// Questions of one batch of the filter port's.
const QUESTIONS: u32 = 300;
/// A name that is denied: whoever opens it gets no handle, and closes none.
const NAME: &str = r"\\.\Verdict\x";
/// Milliseconds that the guard may take.
const PATIENCE: u32 = 60_000;

/// Sends back what comes from standard input, a socket, until it is closed: what the other process does.
pub(crate) fn echo_socket(processor: usize) -> Result<()> {
    floors::pin(processor);
    let socket = std::io::stdin();
    let mut room = [0; MESSAGE];
    while recv(&socket, &mut room, RecvFlags::WAITALL)?.1 == MESSAGE {
        send(&socket, &room, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// The other end of a socket, in another process.
struct Echo {
    socket: Option<UnixStream>,
    process: Child,
}

impl Echo {
    fn start(processor: usize) -> Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let process = Command::new(std::env::current_exe()?)
            .args(["--echo-socket", "--processor", &processor.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Self { socket: Some(socket), process })
    }

    fn round_trip(&self) -> std::io::Result<[u8; MESSAGE]> {
        let mut room = [0x5A; MESSAGE];
        if let Some(mut socket) = self.socket.as_ref() {
            socket.write_all(&room)?;
            socket.read_exact(&mut room)?;
        }
        Ok(room)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.socket = None;
        // It has measured what it was for.
        let _ended = self.process.wait();
    }
}

/// Opens the name so many times in a machine that has `verdict`: nanoseconds of one, and whether a guard was asked each time.
pub(crate) fn ask(machine: &Machine, times: u32) -> (f64, bool) {
    let opener = machine.process("opener");
    let start = Instant::now();
    let denied = (0..times).filter(|_| Device::open(&opener, NAME).is_err()).count();
    let time = start.elapsed().as_secs_f64() * 1e9 / f64::from(times);
    (time, denied == times as usize)
}

/// Denies what the driver asks about, until its host is gone.
fn guard(client: &Client, processor: usize) -> Result<()> {
    floors::pin(processor);
    let port = verdict::guard(client, PATIENCE)?;
    let mut question = [0; 64];
    let mut got = port.get_message(&mut question);
    loop {
        got = match got {
            Ok(header) => {
                let deny = reply_to(header.message_id, &verdict::DENY.to_le_bytes());
                port.reply_and_get_message(&deny, &mut question)
            }
            // Its asker has gone.
            Err(error) if error.function == "FilterReplyMessage" => port.get_message(&mut question),
            Err(_) => return Ok(()),
        };
    }
}

/// P7.
pub(crate) fn p7() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (works, spin, processors, goal) in [
        (["LPC, parked, one processor", "filter port, parked, one processor"], Spin::Never, [0, 0], 1.0),
        (["LPC, parked, two processors", "filter port, parked, two processors"], Spin::Never, [0, 1], 1.0),
        (["LPC, both running", "filter port, both running"], Spin::Adaptive, [0, 1], 0.2),
    ] {
        let [floor, lpc, filter] = measured(spin, processors)?;
        for (work, value) in works.into_iter().zip([lpc, filter]) {
            let floor_name = "Unix socket, to and fro";
            rows.push(Row::new("P7", work, value, "ns", floor_name, floor).at_most(goal));
        }
    }
    Ok(rows)
}

/// Nanoseconds of a round trip through a socket, of a request and its reply, and of an open that the guard is asked about.
fn measured(spin: Spin, processors: [usize; 2]) -> Result<[f64; 3]> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let host = Host::start(&socket, &["verdict", "consult"], spin)?;
    let connect = || Client::connect_with(&socket, ConnectOptions { spin, ..ConnectOptions::default() });
    let (client, guards) = (connect()?, connect()?);
    let echo = Echo::start(processors[1])?;
    let port = Port::connect(&client, consult::PORT, SecurityQos::default(), None, b"");
    let port = port.map_err(|refused| anyhow!("NtConnectPort: {:?}", refused.status))?.port;
    // Capital letters of nothing: none are changed.
    let nothing = Message::new(&0_u32.to_le_bytes());
    std::thread::scope(|scope| {
        let guard = scope.spawn(|| guard(&guards, processors[0]));
        let measured = (|| -> Result<[f64; 3]> {
            floors::pin(processors[0]);
            port.request_wait_reply(&nothing)
                .map_err(|status| anyhow!("NtRequestWaitReplyPort: {status:?}"))?;
            // Until the guard is there nobody is asked, which takes much less time.
            while !host.ask(QUESTIONS)?.1 {}
            host.pin(processors[1])?;
            let questions: Batch<'_> = Box::new(|| host.ask(QUESTIONS).map_or(f64::NAN, |(time, _)| time));
            Ok(beside([batch(|| echo.round_trip()), batch(|| port.request_wait_reply(&nothing)), questions]))
        })();
        // Ends the guard.
        drop(host);
        guard.join().map_err(|_| anyhow!("the guard panicked"))??;
        measured
    })
}
