//! Rows of requests that other threads answer, and of several applications at once.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use abi::GENERIC_READ;
use anyhow::Result;
use app::{ControlCode, Device, OpenOptions};
use host::{LoadOptions, Machine, Process};

use crate::in_process::ECHO;
use crate::measure::{batch, beside};
use crate::table::Row;
use crate::{driver, floors};

/// `delay`'s code that says how reads are answered.
const SET: ControlCode = ControlCode(0x0022_2000);
/// Way and milliseconds: by a system thread, at once.
const BY_THREAD_AT_ONCE: [u8; 8] = [0; 8];

/// P8: a read that a system thread answers, beside waking another thread and being woken by it.
pub(crate) fn p8() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (work, floor_name, processors) in [
        ("pended read, answered by a system thread", "futex ping-pong, two", [0, 1]),
        ("the same on one processor", "futex ping-pong, one", [0, 0]),
    ] {
        let machine = Machine::new()?;
        // The system thread begins where its maker runs.
        floors::pin(processors[1]);
        machine.load(&driver("delay")?, LoadOptions::default())?;
        let process = machine.process("bench");
        let device = OpenOptions::new().access(GENERIC_READ).open(&process, r"\\.\Delay")?;
        device.control(SET, &BY_THREAD_AT_ONCE, &mut [])?;
        floors::pin(processors[0]);
        let mut buffer = [0; 16];
        device.read(&mut buffer)?;
        let [floor, value] =
            beside([floors::futex_ping_pong(processors), batch(|| device.read(&mut buffer))]);
        rows.push(Row::new("P8", work, value, "ns", floor_name, floor).at_most(1.3));
    }
    Ok(rows)
}

/// How often a microsecond `work` is done by so many threads together, each on a processor of its own.
fn rate(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    const TIME: Duration = Duration::from_millis(300);
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (stop, total, work) = (&stop, &total, &work);
            scope.spawn(move || {
                floors::pin(number);
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    work(number);
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
        std::thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
    });
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = total.load(Ordering::Relaxed) as f64;
    count / TIME.as_secs_f64() / 1e6
}

fn calls(devices: &[Device<'_>]) -> f64 {
    rate(devices.len(), |number| {
        let _echoed = devices[number].control(ECHO, &[1; 64], &mut [0; 64]);
    })
}

/// Arithmetic of about a call's length, which shares nothing but the processors.
fn arithmetic(_number: usize) {
    let mut word = black_box(1_u64);
    for _ in 0..100 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7);
    }
    black_box(word);
}

/// P9: two embedded applications on two devices, beside one.
pub(crate) fn p9() -> Result<Vec<Row>> {
    const ROUNDS: usize = 9;
    let machine = Machine::new()?;
    machine.load(&driver("hello")?, LoadOptions::default())?;
    let other = Machine::new()?;
    other.load(&driver("hello")?, LoadOptions::default())?;
    let processes: [Process; 2] = [machine.process("first"), machine.process("second")];
    let apart: [Process; 2] = [machine.process("third"), other.process("alone")];
    let open = |process| Device::open(process, r"\\.\My_Device");
    let together = [open(&processes[0])?, open(&processes[1])?];
    let separate = [open(&apart[0])?, open(&apart[1])?];
    let mut rates: [Vec<f64>; 5] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        rates[0].push(calls(&together[..1]));
        rates[1].push(calls(&together));
        rates[2].push(calls(&separate));
        rates[3].push(rate(1, arithmetic));
        rates[4].push(rate(2, arithmetic));
    }
    let [one, two, two_apart, alone, pair] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    });
    let row = |work, value| Row::new("P9", work, value, "calls/µs", "one application", one);
    Ok(vec![
        row("two applications, two handles, one machine", two).at_least(1.9),
        row("two applications of two machines", two_apart),
        Row::new("P9", "arithmetic in two threads", pair, "times/µs", "in one thread", alone),
    ])
}
