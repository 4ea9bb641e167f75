//! P5: bytes through the pipe driver from one application to another, beside `pipe(2)`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use app::{ControlCode, Device, OpenOptions};
use gate::Spin;

use crate::floors;
use crate::table::Row;
use crate::two_processes::Host;

const PATH: &str = r"\\.\Example\BENCH";
const SET_CAPACITY: ControlCode = ControlCode(0x0022_A000);
const SET_MODE: ControlCode = ControlCode(0x0022_2004);
const BLOCKING: u32 = 1;
const CAPACITY: u32 = 1 << 20;
/// Bytes of one write.
const PIECE: usize = 64 << 10;
/// Bytes of one sample.
const SAMPLE: usize = 64 << 20;
/// Samples whose median counts.
const SAMPLES: usize = 9;

/// Where the two sides run.
const PLACES: [[usize; 2]; 2] = [[0, 1], [0, 0]];

fn open(client: &gate::Client) -> Result<Device<'_>> {
    let device = OpenOptions::new().open(client, PATH)?;
    device.control(SET_CAPACITY, &CAPACITY.to_le_bytes(), &mut [])?;
    device.control(SET_MODE, &BLOCKING.to_le_bytes(), &mut [])?;
    Ok(device)
}

/// Reads all samples, telling each on standard output: what the other application does.
pub(crate) fn read_pipe(socket: &Path, processor: usize) -> Result<()> {
    let client = gate::Client::connect(socket)?;
    let device = open(&client)?;
    floors::pin(processor);
    let mut buffer = client.allocate(PIECE).map_err(|status| anyhow::anyhow!("no window: {status:?}"))?;
    drain(|| {
        let result = client.read_in_place(device.handle(), &mut buffer, None);
        anyhow::ensure!(result.status.is_success(), "{:?}", result.status);
        Ok(usize::try_from(result.information)?)
    })
}

/// The same from standard input.
pub(crate) fn read_linux_pipe(processor: usize) -> Result<()> {
    floors::pin(processor);
    let mut buffer = vec![0; PIECE];
    let mut input = std::io::stdin().lock();
    drain(|| Ok(input.read(&mut buffer)?))
}

fn drain(mut read: impl FnMut() -> Result<usize>) -> Result<()> {
    println!("ready");
    for _ in 0..SAMPLES {
        let mut left = SAMPLE;
        while left > 0 {
            left -= read()?;
        }
        println!("sample");
    }
    Ok(())
}

/// Bytes a nanosecond (GB/s) of the median sample.
fn stream(mut reader: Child, mut write: impl FnMut(&[u8]) -> Result<usize>) -> Result<f64> {
    let output = reader.stdout.take().context("its output is a pipe")?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
    let mut next = || lines.next().context("the reader ended")?.map_err(anyhow::Error::from);
    next()?;
    let data = vec![0x5A; PIECE];
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let mut left = SAMPLE;
        while left > 0 {
            left -= write(&data)?;
        }
        next()?;
        times.push(start.elapsed().as_secs_f64() * 1e9);
    }
    reader.wait()?;
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = SAMPLE as f64;
    Ok(bytes / times[SAMPLES / 2])
}

fn reader(arguments: &[&str], socket: Option<&Path>, processor: usize, input: Stdio) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    if let Some(socket) = socket {
        command.arg(socket);
    }
    command.arg("--processor").arg(processor.to_string());
    Ok(command.stdin(input).stdout(Stdio::piped()).spawn()?)
}

fn through_the_driver([own, other]: [usize; 2]) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let _host = Host::start(&socket, &["pipe"], Spin::Adaptive)?;
    let client = gate::Client::connect(&socket)?;
    let device = open(&client)?;
    let reader = reader(&["--read-pipe"], Some(&socket), other, Stdio::null())?;
    floors::pin(own);
    let mut buffer = client.allocate(PIECE).map_err(|status| anyhow::anyhow!("no window: {status:?}"))?;
    stream(reader, |data| {
        buffer.write(0, data);
        let result = client.write_in_place(device.handle(), &buffer, None);
        anyhow::ensure!(result.status.is_success(), "{:?}", result.status);
        Ok(usize::try_from(result.information)?)
    })
}

fn through_linux([own, other]: [usize; 2], tuned: bool) -> Result<f64> {
    let (read, write) = rustix::pipe::pipe()?;
    if tuned {
        rustix::pipe::fcntl_setpipe_size(&write, CAPACITY as usize)?;
    }
    let reader = reader(&["--read-linux-pipe"], None, other, Stdio::from(read))?;
    floors::pin(own);
    let mut write = std::fs::File::from(write);
    stream(reader, |data| Ok(write.write(data)?))
}

/// P5: 64 KiB writes from one application to another, each at the placement that suits it best.
pub(crate) fn p5() -> Result<Vec<Row>> {
    let best = |measure: &dyn Fn([usize; 2]) -> Result<f64>| -> Result<f64> {
        let mut best = 0.0_f64;
        for place in PLACES {
            best = best.max(measure(place)?);
        }
        Ok(best)
    };
    let value = best(&through_the_driver)?;
    let plain = best(&|place| through_linux(place, false))?;
    let tuned = best(&|place| through_linux(place, true))?;
    let row = |work, floor_name, floor| Row::new("P5", work, value, "GB/s", floor_name, floor);
    Ok(vec![
        row("pipe driver, 64 KiB writes, two processes", "pipe(2)", plain).at_least(5.0),
        row("the same", "pipe(2), 1 MiB", tuned).at_least(2.0),
    ])
}
