//! Rows about driver code itself: what single instructions cost.

use std::time::Instant;

use anyhow::Result;
use app::{ControlCode, Device};
use host::{LoadOptions, Machine};

use crate::driver;
use crate::measure::{batch, beside};
use crate::table::Row;

/// Case `number` of `cpu` (tests/drivers/cases.h).
const fn case(number: u32) -> ControlCode {
    ControlCode(0x22 << 16 | (0x800 + number) << 2)
}

/// Length of a case's answer.
const ANSWER: usize = 216;

/// P14: instructions that fault in a process, executed again, beside a load from ordinary memory in the same loop.
pub(crate) fn p14() -> Result<Vec<Row>> {
    const ROUNDS: u32 = 100_000;
    let machine = Machine::new()?;
    machine.load(&driver("cpu")?, LoadOptions::default())?;
    let process = machine.process("bench");
    let device = Device::open(&process, r"\\.\RbCpu")?;
    let once = |number: u32, rounds: u32| {
        let mut answer = [0; ANSWER];
        device.control(case(number), &u64::from(rounds).to_le_bytes(), &mut answer).map(drop)
    };
    let first = |number: u32| -> Result<f64> {
        let start = Instant::now();
        once(number, 1)?;
        Ok(start.elapsed().as_secs_f64() * 1e9)
    };
    let [first_cr8, first_load] = [first(6)?, first(9)?];
    let times = beside([8, 6, 9].map(|number| batch(move || once(number, ROUNDS))));
    let [floor, cr8, load] = times.map(|time| time / f64::from(ROUNDS));
    let row = |work, value| Row::new("P14", work, value, "ns", "inlined load", floor);
    Ok(vec![
        row("mov reg, cr8, executed again", cr8).at_most_value(5.0),
        row("KUSER_SHARED_DATA load, executed again", load).at_most_value(5.0),
        row("the first mov reg, cr8: decoded, patched", first_cr8),
        row("the first KUSER_SHARED_DATA load", first_load),
    ])
}
