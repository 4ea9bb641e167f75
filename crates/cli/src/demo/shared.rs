//! The part about shared memory: a driver maps its pages for an application, and bytes go through a ring in them without a request.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use app::ring::Consumer;
use app::{ControlCode, Device, Event, EventKind, RingSignals, Transport, View};
use gate::Client;

use super::across::{Host, Room, stop};
use super::call;
use super::route::From;
use super::stage::Stage;
use crate::output::Output;

const STREAM: &str = r"\\.\Stream";
/// `stream`'s codes: gives the rings, starts to produce, tells what was produced.
const OPEN: ControlCode = ControlCode(0x0022_2000);
const PRODUCE: ControlCode = ControlCode(0x0022_2004);
const FINISH: ControlCode = ControlCode(0x0022_200C);
/// Bytes of the ring, and of a message.
const CAPACITY: u64 = 1 << 20;
const MESSAGE: u64 = 64 << 10;

pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["stream"])?;
    output.line("   The driver's pages in the application's address space, in this process:")?;
    stream(&stage.process(), Some(&stage), 16 << 20, output)?;
    output.line("   And from another process than the driver's:")?;
    let room = Room::new()?;
    let socket = room.path().join("gate");
    let (host, ready) = Host::start(&[&folder.join("stream.sys")], &socket)?;
    output.line(format_args!("      {ready}"))?;
    let client = Client::connect(&socket)?;
    stream(&client, None, 256 << 20, output)?;
    drop(client);
    stop(host, output)
}

/// Takes `total` bytes from the driver's ring.
fn stream(client: &dyn Transport, stage: Option<&Stage>, total: u64, output: &mut Output) -> Result<()> {
    let device = Device::open(client, STREAM)?;
    let event = || Event::new(client, EventKind::AutoReset, false);
    let [filled, drained, unused, unused_too] = [event()?, event()?, event()?, event()?];
    let [a, b, c, d] = [&filled, &drained, &unused, &unused_too].map(|event| event.handle().0.into());
    let answer = ask::<3>(&device, OPEN, &[CAPACITY, a, b, c, d])?;
    let [address, _, length] = answer;
    call(
        output,
        "DeviceIoControl(open, handles of events)",
        format_args!(
            "{length} bytes of the driver's at {address:#x} (MmMapLockedPagesSpecifyCache, UserMode)"
        ),
    )?;
    if let Some(stage) = stage {
        stage.draw_those(From::Here, "", |route| route.major == abi::IRP_MJ_DEVICE_CONTROL, output)?;
        stage.tell_calls(
            &["IoAllocateMdl", "MmBuildMdlForNonPagedPool", "MmMapLockedPagesSpecifyCache"],
            output,
        )?;
    }
    let view = View::of_driver(client, address, length)?;
    let mut consumer = Consumer::new(view).map_err(|error| anyhow!("{error:?}"))?;
    let start = Instant::now();
    device.control(PRODUCE, &bytes(&[total, MESSAGE, 1, 1]), &mut [])?;
    if let Some(stage) = stage {
        stage.skip();
    }
    let signals = RingSignals { tells: &drained, waits: &filled, timeout: Some(Duration::from_secs(10)) };
    let (mut message, mut received, mut sum) = (vec![0; 64 << 10], 0_u64, 0_u64);
    while received < total {
        let length = consumer.receive(&mut message, &signals).map_err(|error| anyhow!("{error:?}"))?;
        let (words, _) = message[..length].as_chunks::<8>();
        let add = |sum: u64, word: &[u8; 8]| (sum.rotate_left(7) ^ u64::from_le_bytes(*word)).wrapping_add(1);
        sum = words.iter().fold(sum, add);
        received += length as u64;
        consumer.give_back(&signals).map_err(|error| anyhow!("{error:?}"))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a quarter of a gigabyte")]
    let speed = received as f64 / seconds / 1e9;
    let what = format!("{} MiB read from the ring", total >> 20);
    call(output, &what, format_args!("{speed:.1} GB/s with checksums"))?;
    if let Some(stage) = stage {
        stage.draw_nothing("the bytes are in memory that both sides see", output)?;
    }
    let [sent, checksum, ..] = ask::<6>(&device, FINISH, &[])?;
    if (sent, checksum) != (received, sum) {
        bail!("what was sent and what was received differ");
    }
    call(output, "DeviceIoControl(finish)", format_args!("checksums of both sides: {sum:#018x}"))?;
    device.close()?;
    let gone = consumer.memory().load_u64(0);
    call(
        output,
        "CloseHandle; the memory, read once more",
        gone.map_or_else(|error| error.to_string(), |_| "still there".to_owned()),
    )
}

fn bytes(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn ask<const N: usize>(device: &Device<'_>, code: ControlCode, input: &[u64]) -> Result<[u64; N]> {
    let mut answer = vec![0; N * 8];
    device.control(code, &bytes(input), &mut answer)?;
    let (words, _) = answer.as_chunks::<8>();
    Ok(std::array::from_fn(|index| u64::from_le_bytes(words[index])))
}
