//! Text for the debugger, by `DbgPrint`: formatted on the stack, never allocated, and never taken for a format string.

use core::fmt::{self, Write};

use crate::nt::DbgPrint;

/// `DbgPrint` sends at most 512 bytes a call; longer text goes in several.
const PIECE: usize = 256;
/// Bytes of the longest UTF-8 character.
const LONGEST_CHARACTER: usize = 4;

/// A piece of text on its way to the debugger. [`print!`](crate::print) and [`println!`](crate::println) write to one.
pub struct Text {
    bytes: [u8; PIECE],
    length: usize,
}

impl Text {
    /// Formats and sends. IRQL: any at which the arguments can be formatted.
    pub fn send(arguments: fmt::Arguments<'_>) {
        let mut text = Self { bytes: [0; PIECE], length: 0 };
        // Only an argument's own formatting can fail; what came before it is sent.
        let _ = text.write_fmt(arguments);
        text.flush();
    }

    fn flush(&mut self) {
        if self.length > 0 {
            self.bytes[self.length] = 0;
            // SAFETY: the format is constant and asks for one string, which ends in 0.
            unsafe { DbgPrint(c"%s".as_ptr(), self.bytes.as_ptr()) };
            self.length = 0;
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.length + LONGEST_CHARACTER >= PIECE {
                self.flush();
            }
            // A 0 would end the text early.
            let character = if character == '\0' { char::REPLACEMENT_CHARACTER } else { character };
            self.length += character.encode_utf8(&mut self.bytes[self.length..PIECE - 1]).len();
        }
        Ok(())
    }
}

/// Prints to the debugger, with `format!`'s syntax. The text is UTF-8.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::Text::send(::core::format_args!($($argument)*)) };
}

/// [`print!`](crate::print), and a new line.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}
