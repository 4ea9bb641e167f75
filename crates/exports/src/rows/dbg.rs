//! `DbgPrint` and its kin: formatted text for whoever watches the machine.
//!
//! What component and level would hide on NT is shown here: nobody has to set a registry value to see it.

use abi::NTSTATUS;
use kernel::trace::Event;
use kernel::{Kernel, Outcome, raw};

use crate::format::{Text, format};
use crate::row::rows;
use crate::variadic::{Arguments, variadic_rows};
use crate::{Call, code_page};

/// Bytes that one call transmits, as documented for DbgPrint.
const LIMIT: usize = 512;

fn print(call: Call<'_>, prefix: u64, template: u64, arguments: &mut Arguments) -> Outcome<NTSTATUS> {
    let mut bytes = prefix_bytes(prefix)?;
    let text = format(Text::Narrow, template, arguments, LIMIT - bytes.len())?;
    bytes.extend(text.bytes());
    emit(call.kernel, &bytes);
    Ok(if text.refused { abi::STATUS_INVALID_PARAMETER } else { abi::STATUS_SUCCESS })
}

fn prefix_bytes(prefix: u64) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    if prefix != 0 {
        while bytes.len() < LIMIT {
            match raw::read::<u8>(prefix.wrapping_add(bytes.len() as u64))? {
                0 => break,
                byte => bytes.push(byte),
            }
        }
    }
    Ok(bytes)
}

/// One event for each line.
fn emit(kernel: &Kernel, bytes: &[u8]) {
    if !kernel.trace.is_watched() {
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        kernel.trace.emit(|| Event::DebugPrint { text: code_page::to_text(line) });
        rest = end.map_or(&[], |end| &rest[end + 1..]);
    }
}

variadic_rows! {
    dll = "ntoskrnl.exe";

    /// Prints formatted text, at most 512 bytes of it.
    irql(HIGH_LEVEL)
    fn DbgPrint(call, template: u64; ...) -> NTSTATUS {
        print(call, 0, template, &mut Arguments::of(&call, 1))
    }

    /// Prints formatted text, at most 512 bytes of it, for a component at a level; neither hides anything.
    irql(HIGH_LEVEL)
    fn DbgPrintEx(call, _component: u32, _level: u32, template: u64; ...) -> NTSTATUS {
        print(call, 0, template, &mut Arguments::of(&call, 3))
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// As DbgPrintEx, with the arguments in a list.
    irql(HIGH_LEVEL)
    fn vDbgPrintEx(call, _component: u32, _level: u32, template: u64, arguments: u64) -> NTSTATUS {
        print(call, 0, template, &mut Arguments::list(arguments))
    }

    /// As vDbgPrintEx, with a text before it.
    irql(HIGH_LEVEL)
    fn vDbgPrintExWithPrefix(
        call,
        prefix: u64,
        _component: u32,
        _level: u32,
        template: u64,
        arguments: u64
    ) -> NTSTATUS {
        print(call, prefix, template, &mut Arguments::list(arguments))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kernel::Configuration;
    use kernel::trace::Observer;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Observer for Lines {
        fn observe(&self, event: &Event) {
            if let Event::DebugPrint { text } = event {
                self.0.lock().expect("unpoisoned").push(text.clone());
            }
        }
    }

    fn lines(text: &[u8]) -> Vec<String> {
        let kernel =
            Kernel::new(Arc::new(platform::Linux::new()), Configuration::default()).expect("a machine");
        let lines = Arc::new(Lines::default());
        kernel.trace.watch(lines.clone());
        emit(&kernel, text);
        lines.0.lock().expect("unpoisoned").clone()
    }

    #[test]
    fn each_line_is_an_event_without_its_end() {
        assert_eq!(lines(b"one\ntwo\r\nthree"), ["one", "two", "three"]);
        assert_eq!(lines(b"\n"), [""]);
        assert_eq!(lines(b""), Vec::<String>::new());
    }

    #[test]
    fn a_prefix_ends_at_its_zero_or_the_limit() {
        assert_eq!(prefix_bytes(0).expect("no prefix"), b"");
        assert_eq!(prefix_bytes(c"disk: ".as_ptr() as u64).expect("readable"), b"disk: ");
        let long = vec![b'x'; 2 * LIMIT];
        assert_eq!(prefix_bytes(long.as_ptr() as u64).expect("readable").len(), LIMIT);
    }
}
