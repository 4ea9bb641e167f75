//! `Rtl…`: memory. Other topics are in files of their own.

use kernel::raw;
use kernel::{Outcome, Unwind};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Returns how many bytes two blocks of memory have in common from their fronts.
    irql(HIGH_LEVEL)
    fn RtlCompareMemory(call, left: u64, right: u64, length: u64) -> u64 {
        let _ = call;
        let mut same = 0;
        while same < length && raw::read::<u8>(left.wrapping_add(same))? == raw::read::<u8>(right.wrapping_add(same))? {
            same += 1;
        }
        Ok(same)
    }

    /// Fills memory with zeroes.
    irql(HIGH_LEVEL)
    fn RtlZeroMemory(call, destination: u64, length: u64) -> () {
        let _ = call;
        raw::fill(destination, 0, bytes(length)?)
    }

    /// Fills memory with a byte.
    irql(HIGH_LEVEL)
    fn RtlFillMemory(call, destination: u64, length: u64, value: u8) -> () {
        let _ = call;
        raw::fill(destination, value, bytes(length)?)
    }
}

fn bytes(length: u64) -> Outcome<usize> {
    usize::try_from(length).map_err(|_| Unwind::access_violation(1, u64::MAX))
}
