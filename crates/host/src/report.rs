//! What people read when something went wrong: bugchecks, and what drivers leave behind.

use std::fmt;

use kernel::Bugcheck;
use kernel::io::UnloadReport;
use kernel::mm::{SystemView, UserMapping, tag_name};

use crate::error::status_text;

/// A machine's end, readable.
#[derive(Clone)]
pub struct BugcheckReport {
    /// What the kernel knows.
    pub bugcheck: Bugcheck,
}

impl fmt::Debug for BugcheckReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for BugcheckReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bugcheck = &self.bugcheck;
        let stop = bugcheck.stop;
        let name = abi::bugcheck_name(stop.code).unwrap_or("a stop code of the driver's own");
        let [first, second, third, fourth] = stop.parameters;
        writeln!(formatter, "*** STOP {:#010X} {name}", stop.code)?;
        writeln!(formatter, "    ({first:#018X}, {second:#018X}, {third:#018X}, {fourth:#018X})")?;
        if let Some(exception) = &bugcheck.exception {
            write!(formatter, "exception  {} at {:#x}", status_text(exception.status), exception.address)?;
            if exception.status == abi::STATUS_ACCESS_VIOLATION
                && let [operation, address, ..] = exception.parameters[..]
            {
                let verb = match operation {
                    0 => "reading",
                    1 => "writing",
                    _ => "executing",
                };
                write!(formatter, ", {verb} {address:#x}")?;
            }
            writeln!(formatter)?;
        }
        writeln!(formatter, "IRQL       {}", bugcheck.irql)?;
        if bugcheck.irp != 0 {
            writeln!(formatter, "IRP        {:#x}", bugcheck.irp)?;
        }
        if let Some(context) = &bugcheck.context {
            registers(formatter, context)?;
        }
        if !bugcheck.stack.is_empty() {
            writeln!(formatter, "stack")?;
        }
        for frame in &bugcheck.stack {
            if frame.image.is_empty() {
                writeln!(formatter, "  {:#x}", frame.address)?;
            } else {
                writeln!(formatter, "  {}+{:#x}", frame.image, frame.offset)?;
            }
        }
        Ok(())
    }
}

fn registers(formatter: &mut fmt::Formatter<'_>, context: &abi::CONTEXT) -> fmt::Result {
    let all = [
        ("rax", context.Rax),
        ("rbx", context.Rbx),
        ("rcx", context.Rcx),
        ("rdx", context.Rdx),
        ("rsi", context.Rsi),
        ("rdi", context.Rdi),
        ("rsp", context.Rsp),
        ("rbp", context.Rbp),
        ("r8", context.R8),
        ("r9", context.R9),
        ("r10", context.R10),
        ("r11", context.R11),
        ("r12", context.R12),
        ("r13", context.R13),
        ("r14", context.R14),
        ("r15", context.R15),
        ("rip", context.Rip),
    ];
    writeln!(formatter, "registers")?;
    for row in all.chunks(4) {
        for (name, value) in row {
            write!(formatter, "  {name:>3} {value:016x}")?;
        }
        writeln!(formatter)?;
    }
    Ok(())
}

/// What a driver left behind, a clause for each thing: `left the device …`.
#[must_use]
pub fn left_behind(report: &UnloadReport) -> Vec<String> {
    let devices = report.devices.iter().map(|device| format!("left the device {device}"));
    let links = report.symbolic_links.iter().map(|link| format!("left the symbolic link {link}"));
    let pool = report.pool.iter().map(|(tag, usage)| {
        let (bytes, tag) = (usage.bytes, tag_name(*tag));
        let blocks =
            if usage.blocks == 1 { "1 block".to_owned() } else { format!("{} blocks", usage.blocks) };
        format!("left {bytes} bytes of pool in {blocks} with tag '{tag}'")
    });
    let mappings = report.user_mappings.iter().map(|mapping| {
        let UserMapping { length, process, address, .. } = mapping;
        format!("left {length} bytes mapped at {address:#x} in process {process}")
    });
    let views = report.system_views.iter().map(|view| {
        let SystemView { address, length, .. } = view;
        format!("left a view of {length} bytes of a section in system space at {address:#x}")
    });
    let objects = report.objects.iter().map(|object| format!("left the object {object}"));
    devices.chain(links).chain(pool).chain(mappings).chain(views).chain(objects).collect()
}
