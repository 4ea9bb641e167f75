//! The screens about control codes, and about the ways in which the bytes of reads and writes travel.

use std::path::Path;

use abi::GENERIC_READ;
use anyhow::{Result, ensure};
use app::{ControlCode, Device, OpenOptions, Transport};

use super::stage::Stage;
use super::{DEVICE, ECHO_CHECKED, call, refused};
use crate::output::Output;

/// See samples/buffers: its code, the method, and where the bytes are.
const METHODS: [(ControlCode, &str, &str); 4] = [
    (ControlCode(0x0022_2000), "METHOD_BUFFERED", "copied to a system buffer and back"),
    (ControlCode(0x0022_2005), "METHOD_IN_DIRECT", "the second buffer read where it is, through an MDL"),
    (ControlCode(0x0022_200A), "METHOD_OUT_DIRECT", "the second buffer written where it is, through an MDL"),
    (ControlCode(0x0022_200F), "METHOD_NEITHER", "both read and written at the application's addresses"),
];
/// What drivers call to get at buffers.
const CALLS: [&str; 6] = [
    "MmMapLockedPagesSpecifyCache",
    "MmProbeAndLockPages",
    "MmUnlockPages",
    "IoAllocateMdl",
    "ProbeForRead",
    "ProbeForWrite",
];

/// See samples/buffers.
pub(super) fn methods(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["buffers", "hello"])?;
    let process = stage.process();
    let device = Device::open(&process, r"\\.\Buffers")?;
    stage.skip();
    output.line("   The two lowest bits of a control code say how its bytes travel:")?;
    for (code, method, way) in METHODS {
        let mut second = *b"12345678";
        // What each code wants for its first buffer: bytes to invert, a key, an offset.
        let bytes = match code.0 & 3 {
            1 => device.control(code, &[0], &mut second)?,
            2 => device.control(code, &0_u32.to_le_bytes(), &mut second)?,
            _ => device.control(code, &[!b'a'; 8], &mut second)?,
        };
        let text = String::from_utf8_lossy(&second).into_owned();
        call(output, &format!("DeviceIoControl({code:?})"), format_args!("{bytes} bytes {text:?}"))?;
        output.line(format_args!("      {method}: {way}"))?;
        stage.draw("", output)?;
    }
    refuse(&stage, &process, output)
}

/// A request that the I/O manager refuses.
fn refuse(stage: &Stage, transport: &dyn Transport, output: &mut Output) -> Result<()> {
    output.line("   And two more say what the handle must be open for:")?;
    let device = OpenOptions::new().access(GENERIC_READ).open(transport, DEVICE)?;
    stage.skip();
    let name = format!("DeviceIoControl({ECHO_CHECKED:?}) on a handle for reading only");
    refused(output, &name, device.control(ECHO_CHECKED, b"echo", &mut [0; 4]))?;
    stage.draw_nothing("this code asks for reading and writing, which is checked before the driver", output)
}

/// A device of each mode: its path, its driver, the mode, and where the bytes are.
const MODES: [(&str, &str, &str); 3] = [
    (DEVICE, "DO_BUFFERED_IO", "copied to a system buffer (and back, for a read)"),
    (r"\\.\Buffers", "DO_DIRECT_IO", "where they are, through an MDL: no copy of the I/O manager's"),
    (r"\\.\Memory", "neither flag", "at the application's addresses; this driver locks them itself"),
];

/// See samples/hello and buffers, and the test driver memory.
pub(super) fn modes(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["hello", "buffers", "memory"])?;
    let process = stage.process();
    output.line("   The device's flags say how the bytes of reads and writes travel:")?;
    for (path, flags, way) in MODES {
        let device = Device::open(&process, path)?;
        stage.skip();
        let written = device.write(b"twelve bytes")?;
        let mut buffer = [0; 12];
        let read = device.read(&mut buffer)?;
        let text = String::from_utf8_lossy(crate::transfer::front(&buffer, read)).into_owned();
        call(output, &format!("WriteFile, ReadFile({path})"), format_args!("{written} bytes; {text:?}"))?;
        output.line(format_args!("      {flags}: {way}"))?;
        stage.draw("", output)?;
        stage.tell_calls(&CALLS, output)?;
    }
    ensure!(stage.machine.bugcheck().is_none(), "the machine has stopped");
    Ok(())
}
