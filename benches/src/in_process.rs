//! Rows within one process.

use anyhow::Result;
use app::{ControlCode, Device};
use host::{LoadOptions, Machine};

use crate::measure::nanoseconds;
use crate::table::Row;
use crate::{driver, floors};

/// `hello`'s echo: CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS).
const ECHO: ControlCode = ControlCode(0x0022_2000);

/// P1: a buffered control call of 64 bytes, beside a system call.
pub(crate) fn p1() -> Result<Vec<Row>> {
    let machine = Machine::new()?;
    machine.load(&driver("hello")?, LoadOptions::default())?;
    let process = machine.process("bench");
    let device = Device::open(&process, r"\\.\My_Device")?;
    let input = [0x55_u8; 64];
    let mut output = [0_u8; 64];
    device.control(ECHO, &input, &mut output)?;
    let floor = floors::system_call();
    let value = nanoseconds(|| device.control(ECHO, &input, &mut output));
    let small = nanoseconds(|| device.control(ECHO, &[], &mut []));
    Ok(vec![
        Row::new("P1", "buffered control call, 64 B, in process", value, "ns", "system call", floor).at_most(0.4),
        Row::new("P1", "the same without data", small, "ns", "system call", floor),
    ])
}
