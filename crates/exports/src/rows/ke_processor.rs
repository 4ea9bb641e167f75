//! Processors: how many, which one, by which number. A machine has one group of at most 32 and one node.

use abi::NTSTATUS;
use kernel::raw;

use crate::row::rows;

/// ALL_PROCESSOR_GROUPS.
const ALL_GROUPS: u32 = 0xFFFF;
/// INVALID_PROCESSOR_INDEX.
const INVALID_INDEX: u32 = u32::MAX;

/// The set of this many processors, from number 0.
fn affinity(processors: u32) -> u64 {
    u64::MAX >> (64 - processors.clamp(1, 64))
}

/// The processors of a group, a USHORT.
fn count_in_group(group: u32, processors: u32) -> u32 {
    match group & 0xFFFF {
        0 | ALL_GROUPS => processors,
        _ => 0,
    }
}

/// A processor's index from its PROCESSOR_NUMBER as a word: group, number, and a byte that must be zero.
pub(super) fn index_of(number: u32, processors: u32) -> Option<u32> {
    let [group_low, group_high, number, reserved] = number.to_le_bytes();
    let valid = group_low == 0 && group_high == 0 && reserved == 0 && u32::from(number) < processors;
    valid.then_some(u32::from(number))
}

fn current() -> u32 {
    platform::entry::region().map_or(0, platform::entry::Region::processor_number)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Returns the number of the current processor.
    irql(HIGH_LEVEL)
    fn KeGetCurrentProcessorNumber(call) -> u32 {
        let _ = call;
        Ok(current())
    }

    /// Returns the index of the current processor, and stores its group and number.
    irql(HIGH_LEVEL)
    fn KeGetCurrentProcessorNumberEx(call, processor_number: u64) -> u32 {
        let _ = call;
        let number = current();
        if processor_number != 0 {
            raw::write(processor_number, number << 16)?;
        }
        Ok(number)
    }

    /// Stores a processor's group and number.
    irql(HIGH_LEVEL)
    fn KeGetProcessorNumberFromIndex(call, index: u32, processor_number: u64) -> NTSTATUS {
        if index >= call.kernel.ke.processors() {
            return Ok(abi::STATUS_INVALID_PARAMETER);
        }
        raw::write(processor_number, index << 16)?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Returns a processor's index from its group and number.
    irql(HIGH_LEVEL)
    fn KeGetProcessorIndexFromNumber(call, processor_number: u64) -> u32 {
        Ok(index_of(raw::read(processor_number)?, call.kernel.ke.processors()).unwrap_or(INVALID_INDEX))
    }

    /// Returns the number of processors, and stores their set.
    irql(HIGH_LEVEL)
    fn KeQueryActiveProcessorCount(call, active_processors: u64) -> u32 {
        let count = call.kernel.ke.processors();
        if active_processors != 0 {
            raw::write(active_processors, affinity(count))?;
        }
        Ok(count)
    }

    /// Returns the number of processors of a group, or of all.
    irql(HIGH_LEVEL) alias("KeQueryMaximumProcessorCountEx")
    fn KeQueryActiveProcessorCountEx(call, group_number: u32) -> u32 {
        Ok(count_in_group(group_number, call.kernel.ke.processors()))
    }

    /// Returns the most processors that there can be: as many as there are.
    irql(HIGH_LEVEL)
    fn KeQueryMaximumProcessorCount(call) -> u32 {
        Ok(call.kernel.ke.processors())
    }

    /// Returns the set of processors.
    irql(HIGH_LEVEL)
    fn KeQueryActiveProcessors(call) -> u64 {
        Ok(affinity(call.kernel.ke.processors()))
    }

    /// Returns the set of processors of a group.
    irql(HIGH_LEVEL)
    fn KeQueryGroupAffinity(call, group_number: u32) -> u64 {
        Ok(if group_number & 0xFFFF == 0 { affinity(call.kernel.ke.processors()) } else { 0 })
    }

    /// Returns the number of processor groups: one.
    irql(HIGH_LEVEL) alias("KeQueryMaximumGroupCount")
    fn KeQueryActiveGroupCount(call) -> u32 {
        let _ = call;
        Ok(1)
    }

    /// Returns the highest number of a node: zero.
    irql(HIGH_LEVEL) alias("KeGetCurrentNodeNumber")
    fn KeQueryHighestNodeNumber(call) -> u32 {
        let _ = call;
        Ok(0)
    }

    /// Returns the alignment in bytes that keeps shared data in cache lines of its own.
    irql(HIGH_LEVEL)
    fn KeGetRecommendedSharedDataAlignment(call) -> u32 {
        let _ = call;
        Ok(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_a_bit_for_each_processor() {
        assert_eq!(affinity(1), 1);
        assert_eq!(affinity(4), 0xF);
        assert_eq!(affinity(32), 0xFFFF_FFFF);
    }

    #[test]
    fn only_group_zero_has_processors() {
        assert_eq!(count_in_group(0, 4), 4);
        assert_eq!(count_in_group(ALL_GROUPS, 4), 4);
        assert_eq!(count_in_group(1, 4), 0);
        // What stands above the USHORT in its register says nothing.
        assert_eq!(count_in_group(0xABCD_0000, 4), 4);
    }

    #[test]
    fn a_number_is_a_processors_only_in_group_zero_and_below_the_count() {
        assert_eq!(index_of(3 << 16, 4), Some(3));
        assert_eq!(index_of(4 << 16, 4), None);
        assert_eq!(index_of(3 << 16 | 1, 4), None);
        assert_eq!(index_of(1 << 24, 4), None);
    }
}
