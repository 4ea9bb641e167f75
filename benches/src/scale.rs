//! P10: what one of many costs. Handles, and requests that wait, by the thousand and by the hundred thousand: opened, pended,
//! cancelled, closed, and left to the end of their process. The cost of each must not depend on how many there are.
//!
//! The drivers are `apps.sys`, whose requests wait with a cancel routine of its own, and `notify.sys`, whose requests wait in a
//! cancel-safe queue for each handle.

use std::path::Path;
use std::time::Instant;

use abi::GENERIC_READ;
use anyhow::{Context, Result};
use app::{Buffer, ControlCode, Device, OpenOptions, Operation, Overlapped, Transport};
use gate::{Client, Spin};
use host::{LoadOptions, Machine};

use crate::driver;
use crate::table::Row;
use crate::two_processes::{Host, resident};

/// How many there are.
const COUNTS: [usize; 3] = [1_000, 10_000, 100_000];
/// How often that is measured; the median counts.
const ROUNDS: [usize; 3] = [9, 3, 1];

const DRIVERS: [&str; 2] = ["apps", "notify"];
const APPS: &str = r"\\.\RbApps";
const NOTIFY: &str = r"\\.\Notify";
/// Gives `apps`'s counters: the first is of CREATE, the third of CLOSE.
const COUNTERS: ControlCode = ControlCode(0x0022_2004);
/// Waits in `apps` until it is cancelled.
const PEND: ControlCode = ControlCode(0x0022_2008);
/// Waits in `notify` for a notification, of which there are none.
const NEXT: ControlCode = ControlCode(0x0022_6008);

/// What was measured for one of so many.
type Measured = Vec<(&'static str, &'static str, f64)>;

/// P10.
pub(crate) fn p10() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for place in [Place::Embedded, Place::Apart] {
        let by_count = COUNTS.iter().zip(ROUNDS).map(|(count, rounds)| median(place, *count, rounds));
        let [few, more, most] = by_count.collect::<Result<Vec<_>>>()?.try_into().ok().context("three")?;
        for ((few, more), most) in few.into_iter().zip(more).zip(most) {
            let (work, unit, least) = few;
            let work = |count| format!("{work}, {place}, {count}");
            // A thousand of what takes a kilobyte says nothing of the size of a process.
            if unit == "B" {
                rows.push(Row::new("P10", work("100,000"), most.2, unit, "at 10,000", more.2).at_most(1.5));
                continue;
            }
            rows.push(Row::new("P10", work("10,000"), more.2, unit, "at 1,000", least));
            rows.push(Row::new("P10", work("100,000"), most.2, unit, "at 1,000", least).at_most(1.5));
        }
    }
    Ok(rows)
}

/// Where the application is.
#[derive(Clone, Copy)]
enum Place {
    Embedded,
    Apart,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Embedded => "in process",
            Self::Apart => "two processes",
        })
    }
}

fn median(place: Place, count: usize, rounds: usize) -> Result<Measured> {
    // It takes a while.
    eprintln!("measuring P10, {place}, {count} …");
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.push(match place {
            Place::Embedded => embedded(count)?,
            Place::Apart => apart(count)?,
        });
    }
    let mut measured = all[0].clone();
    for (index, entry) in measured.iter_mut().enumerate() {
        let mut values: Vec<f64> = all.iter().map(|round| round[index].2).collect();
        values.sort_by(f64::total_cmp);
        entry.2 = values[rounds / 2];
    }
    Ok(measured)
}

fn embedded(count: usize) -> Result<Measured> {
    let machine = Machine::new()?;
    for name in DRIVERS {
        machine.load(&driver(name)?, LoadOptions::default())?;
    }
    let process = machine.process("bench");
    let mut measured = while_it_lives(&process, None, count)?;
    let witness = machine.process("witness");
    let process = machine.process("ends");
    left_waiting(&process, count)?;
    measured.push(("left to the end of its process", "ns", until_closed(&witness, count, || drop(process))?));
    Ok(measured)
}

fn apart(count: usize) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bench.sock");
    let host = Host::start(&socket, &DRIVERS, Spin::Adaptive)?;
    let connect = |socket: &Path| Client::connect(socket);
    let client = connect(&socket)?;
    let mut measured = while_it_lives(&client, Some(host.id()), count)?;
    drop(client);
    let (witness, client) = (connect(&socket)?, connect(&socket)?);
    left_waiting(&client, count)?;
    measured.push(("left to the end of its process", "ns", until_closed(&witness, count, || drop(client))?));
    Ok(measured)
}

/// Nanoseconds of `work`, for one of so many.
fn each<R>(count: usize, work: impl FnOnce() -> Result<R>) -> Result<(f64, R)> {
    let start = Instant::now();
    let result = work()?;
    Ok((one_of(count, start.elapsed().as_secs_f64() * 1e9), result))
}

#[expect(clippy::cast_precision_loss, reason = "a hundred thousand")]
fn one_of(count: usize, all: f64) -> f64 {
    all / count as f64
}

fn open<'a>(transport: &'a dyn Transport, path: &str) -> Result<Device<'a>> {
    Ok(OpenOptions::new().access(GENERIC_READ).overlapped(true).open(transport, path)?)
}

fn open_many<'a>(transport: &'a dyn Transport, path: &str, count: usize) -> Result<Vec<Device<'a>>> {
    (0..count).map(|_| open(transport, path)).collect()
}

/// Memory for so many requests: an input of no bytes and room for one notification each.
fn memory(transport: &dyn Transport, count: usize) -> Result<Vec<(Buffer, Buffer)>> {
    (0..count).map(|_| Ok((Buffer::new(transport, 0)?, Buffer::new(transport, 8)?))).collect()
}

/// Pends a request in each of these, as often as there is memory for.
fn pend<'d>(
    devices: impl Iterator<Item = &'d Device<'d>>,
    code: ControlCode,
    memory: Vec<(Buffer, Buffer)>,
) -> Result<Vec<Operation<'d>>> {
    let begin = |(device, (input, output)): (&'d Device<'d>, (Buffer, Buffer))| {
        let begun = device.control_overlapped(code, input, output, &Overlapped::new());
        let operation = begun.map_err(|refused| refused.error)?;
        anyhow::ensure!(!operation.has_completed(), "it was to wait");
        Ok(operation)
    };
    devices.zip(memory).map(begin).collect()
}

/// All have ended, as cancelled ones do; their memory.
fn finish(operations: Vec<Operation<'_>>) -> Result<Vec<(Buffer, Buffer)>> {
    let end = |operation: Operation<'_>| {
        let finished = operation.finish();
        anyhow::ensure!(finished.result.is_err_and(|error| error.code == 995), "it was not cancelled");
        Ok((finished.input.context("it had two buffers")?, finished.buffer))
    };
    operations.into_iter().map(end).collect()
}

/// `host`: whose resident memory is looked at. This process's own says little: it uses again what it had before.
fn while_it_lives(transport: &dyn Transport, host: Option<u32>, count: usize) -> Result<Measured> {
    let mut measured = Vec::new();
    let size = || host.map(resident).transpose();
    let grown = |before: Option<f64>, what: &'static str| -> Result<Option<_>> {
        let grown = size()?.zip(before).map(|(now, before)| one_of(count, (now - before) * 1024.0));
        Ok(grown.map(|each| (what, "B", each)))
    };
    let before = size()?;
    let (time, devices) = each(count, || open_many(transport, APPS, count))?;
    measured.push(("open a handle", "ns", time));
    measured.extend(grown(before, "resident in the host, a handle")?);
    let (time, ()) = each(count, || devices.into_iter().try_for_each(|device| Ok(device.close()?)))?;
    measured.push(("close a handle", "ns", time));

    let device = open(transport, APPS)?;
    let before = size()?;
    let room = memory(transport, count)?;
    let one = || std::iter::repeat_n(&device, count);
    let (time, operations) = each(count, || pend(one(), PEND, room))?;
    measured.push(("pend a request, one handle", "ns", time));
    measured.extend(grown(before, "resident in the host, a request")?);
    let (time, ()) = each(count, || Ok(device.cancel_all()?))?;
    measured.push(("cancel all of a handle", "ns", time));

    let room = finish(operations)?;
    let operations = pend(one(), PEND, room)?;
    // From the last to the first: the order in which a list from the first on is slowest.
    let cancel = || operations.iter().rev().try_for_each(|operation| Ok(operation.cancel()?));
    measured.push(("cancel one of a handle's", "ns", each(count, cancel)?.0));
    let room = finish(operations)?;

    let notify = open(transport, NOTIFY)?;
    let one = std::iter::repeat_n(&notify, count);
    let (time, operations) = each(count, || pend(one, NEXT, room))?;
    measured.push(("pend in a cancel-safe queue", "ns", time));
    measured.push(("cancel all of it", "ns", each(count, || Ok(notify.cancel_all()?))?.0));
    let room = finish(operations)?;

    let devices = open_many(transport, NOTIFY, count)?;
    let (time, operations) = each(count, || pend(devices.iter(), NEXT, room))?;
    measured.push(("pend a request, each its handle", "ns", time));
    // Its driver cancels what waits when the last handle is closed.
    let close = || {
        let closed = |device: &Device<'_>| transport.close(device.handle()).is_success();
        anyhow::ensure!(devices.iter().all(closed), "it was open");
        Ok(())
    };
    measured.push(("close a handle with a request", "ns", each(count, close)?.0));
    finish(operations)?;
    // Closed above.
    devices.into_iter().for_each(std::mem::forget);
    Ok(measured)
}

/// Opens so many handles, pends a request on each, and leaves them.
fn left_waiting(transport: &dyn Transport, count: usize) -> Result<()> {
    let devices = open_many(transport, APPS, count)?;
    let operations = pend(devices.iter(), PEND, memory(transport, count)?)?;
    operations.into_iter().for_each(std::mem::forget);
    devices.into_iter().for_each(std::mem::forget);
    Ok(())
}

/// Nanoseconds, for one of so many, from `end` until all files but the witness's are closed.
fn until_closed(witness: &dyn Transport, count: usize, end: impl FnOnce()) -> Result<f64> {
    let device = open(witness, APPS)?;
    let mut counters = [0; 64];
    let mut open_files = || -> Result<u64> {
        device.control(COUNTERS, &[], &mut counters)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| counters[at * 8 + index]));
        Ok(word(0) - word(2))
    };
    let (time, ()) = each(count, || {
        end();
        while open_files()? != 1 {
            std::thread::yield_now();
        }
        Ok(())
    })?;
    Ok(time)
}
