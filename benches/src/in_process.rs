//! Rows within one process.

use std::cell::RefCell;

use abi::FILE_READ_DATA;
use anyhow::Result;
use app::{ControlCode, Device, OpenOptions, Transport};
use host::{InputBuffer, LoadOptions, Machine};

use crate::measure::{batch, beside};
use crate::table::Row;
use crate::{driver, floors};

/// `hello`'s echo: CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS).
pub(crate) const ECHO: ControlCode = ControlCode(0x0022_2000);

/// `hello`'s echo that asks for read and write access.
const ECHO_CHECKED: ControlCode = ControlCode(0x0022_E004);

/// P1: a buffered control call of 64 bytes, beside a system call; then what its parts cost, by leaving out more and more.
pub(crate) fn p1() -> Result<Vec<Row>> {
    let machine = Machine::new()?;
    machine.load(&driver("hello")?, LoadOptions::default())?;
    let process = machine.process("bench");
    let device = Device::open(&process, r"\\.\My_Device")?;
    let reader = OpenOptions::new().access(FILE_READ_DATA).open(&process, r"\\.\My_Device")?;
    let input = [0x55_u8; 64];
    let mut output = [0_u8; 64];
    device.control(ECHO, &input, &mut output)?;
    let [floor, value, small, refused] = beside([
        floors::system_call(),
        batch(|| process.device_control(device.handle(), ECHO.0, &input, &mut output)),
        batch(|| process.device_control(device.handle(), ECHO.0, &[], &mut [])),
        batch(|| process.device_control(reader.handle(), ECHO_CHECKED.0, &[], &mut [])),
    ]);
    let part = |work, nanoseconds| Row::new("P1", work, nanoseconds, "ns", "system call", floor);
    Ok(vec![
        part("buffered control call, 64 B, in process", value).at_most(0.4),
        part("of which: copying 64 B in and out", value - small),
        part("of which: IRP, driver, completion", small - refused),
        part("of which: entering, handle, access check", refused),
    ])
}

/// Request 6 of `mdl`, METHOD_OUT_DIRECT: touches the buffer's first and last byte.
const TOUCH: ControlCode = ControlCode(0x0022_2400 | 6 << 2 | 2);

/// P4: a direct control call with 64 KiB, beside the same call with none.
pub(crate) fn p4() -> Result<Vec<Row>> {
    const LENGTH: u32 = 64 << 10;
    let machine = Machine::new()?;
    machine.load(&driver("mdl")?, LoadOptions::default())?;
    let process = machine.process("bench");
    let device = Device::open(&process, r"\\.\RbDirect")?;
    let handle = device.handle();
    let window = process.allocate(LENGTH).map_err(|status| anyhow::anyhow!("no window: {status:?}"))?;
    let window = RefCell::new(window);
    let call = |length| {
        let nothing = InputBuffer::from_slice(&[]).expect("no bytes are not too many");
        process.control_buffers(handle, TOUCH.0, nothing, window.borrow_mut().output(0..length))
    };
    anyhow::ensure!(call(LENGTH).information == u64::from(LENGTH), "the driver did not take the buffer");
    let mut heap = vec![0; LENGTH as usize];
    let [floor, value, page, copied] = beside([
        batch(|| call(0)),
        batch(|| call(LENGTH)),
        batch(|| call(1)),
        batch(|| process.device_control(handle, TOUCH.0, &[], &mut heap)),
    ]);
    let part = |work, nanoseconds| Row::new("P4", work, nanoseconds, "ns", "its own 0 B case", floor);
    Ok(vec![
        part("direct control call, 64 KiB in the window", value).at_most_more(15.0),
        part("the same with 1 B", page),
        part("the same, 64 KiB outside of the window", copied),
    ])
}
