//! Memory that may not be there: accesses that recover from a fault instead of ending the process.
//!
//! Driver and application addresses come from code we do not trust. Each access here is one instruction (or one
//! string operation) with an entry in the fix-up table, which the fault handler reads; when nothing faults it
//! costs a register. Which addresses a caller may pass is the kernel's matter.

use std::arch::asm;

use crate::entry;

/// An access that faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessViolation {
    /// The address that could not be accessed.
    pub address: u64,
    /// 0 read, 1 write: as in an exception record's first parameter.
    pub operation: u64,
}

/// One row of the fix-up table: both are distances from the field itself.
#[repr(C)]
struct FixUp {
    instruction: i32,
    recovery: i32,
}

unsafe extern "C" {
    #[link_name = "__start_rb_fixups"]
    static FIXUPS_START: FixUp;
    #[link_name = "__stop_rb_fixups"]
    static FIXUPS_END: FixUp;
}

/// Where execution continues when the instruction at `address` faults. Async-signal-safe.
pub(crate) fn recovery(address: usize) -> Option<usize> {
    // SAFETY: no instruction; an unused row, so that the table exists in programs that guard no access.
    unsafe {
        asm!(
            "2:",
            ".pushsection rb_fixups, \"aR\", @progbits",
            ".balign 4",
            ".long 0",
            ".long 2b - .",
            ".popsection",
            options(nomem, nostack, preserves_flags)
        );
    }
    let mut row = &raw const FIXUPS_START;
    let end = &raw const FIXUPS_END;
    while row < end {
        // SAFETY: `row` lies between the section's start and end.
        let fixup = unsafe { &*row };
        let instruction =
            (&raw const fixup.instruction).addr().wrapping_add_signed(fixup.instruction as isize);
        if instruction == address {
            let base = (&raw const fixup.recovery).addr();
            return Some(base.wrapping_add_signed(fixup.recovery as isize));
        }
        row = row.wrapping_add(1);
    }
    None
}

macro_rules! guarded {
    ($access:literal, $error:ident, $($operand:tt)*) => {
        asm!(
            concat!("2: ", $access),
            "3:",
            ".pushsection .text.rb_recover, \"ax\", @progbits",
            "4: mov {failed:e}, 1",
            "jmp 3b",
            ".popsection",
            ".pushsection rb_fixups, \"aR\", @progbits",
            ".balign 4",
            ".long 2b - .",
            ".long 4b - .",
            ".popsection",
            failed = inout(reg) 0_u32 => $error,
            $($operand)*
            options(nostack, preserves_flags)
        )
    };
}

mod sealed {
    pub trait Sealed {}
}

/// Integers that can be read and written in one guarded access.
pub trait Scalar: sealed::Sealed + Copy {
    /// Reads at `address`.
    ///
    /// # Errors
    /// When the page is not readable.
    fn read(address: u64) -> Result<Self, AccessViolation>;

    /// Writes at `address`.
    ///
    /// # Errors
    /// When the page is not writable.
    ///
    /// # Safety
    /// If `address` is writable, no Rust value that anyone relies on lives there.
    unsafe fn write(address: u64, value: Self) -> Result<(), AccessViolation>;
}

macro_rules! scalar {
    ($($type:ty, $class:ident, $load:literal, $store:literal;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            #[inline]
            fn read(address: u64) -> Result<Self, AccessViolation> {
                let failed: u32;
                let value: $type;
                // SAFETY: one load; a fault continues at the recovery label with `failed` set.
                unsafe {
                    guarded!($load, failed, address = in(reg) address, value = out($class) value,);
                }
                if failed == 0 { Ok(value) } else { Err(AccessViolation { address, operation: 0 }) }
            }

            #[inline]
            unsafe fn write(address: u64, value: Self) -> Result<(), AccessViolation> {
                let failed: u32;
                // SAFETY: one store, allowed by the caller; a fault continues at the recovery label.
                unsafe {
                    guarded!($store, failed, address = in(reg) address, value = in($class) value,);
                }
                if failed == 0 { Ok(()) } else { Err(AccessViolation { address, operation: 1 }) }
            }
        }
    )*};
}

scalar! {
    u8, reg_byte, "mov {value}, byte ptr [{address}]", "mov byte ptr [{address}], {value}";
    u16, reg, "mov {value:x}, word ptr [{address}]", "mov word ptr [{address}], {value:x}";
    u32, reg, "mov {value:e}, dword ptr [{address}]", "mov dword ptr [{address}], {value:e}";
    u64, reg, "mov {value}, qword ptr [{address}]", "mov qword ptr [{address}], {value}";
}

/// Exchanges the quadword at `address`, as `InterlockedExchangePointer` does in driver code.
///
/// # Errors
/// When the page is not writable.
///
/// # Safety
/// As for [`Scalar::write`].
#[inline]
pub unsafe fn exchange(address: u64, value: u64) -> Result<u64, AccessViolation> {
    let failed: u32;
    let old: u64;
    // SAFETY: one atomic exchange, allowed by the caller; a fault continues at the recovery label.
    unsafe {
        guarded!("xchg qword ptr [{address}], {value}", failed, address = in(reg) address, value = inout(reg) value => old,);
    }
    if failed == 0 { Ok(old) } else { Err(AccessViolation { address, operation: 1 }) }
}

/// Adds to the longword at `address` atomically and returns what stood there before.
///
/// # Errors
/// When the page is not writable.
///
/// # Safety
/// As for [`Scalar::write`].
#[inline]
pub unsafe fn fetch_add(address: u64, value: u32) -> Result<u32, AccessViolation> {
    let failed: u32;
    let old: u32;
    // SAFETY: one atomic addition, allowed by the caller; a fault continues at the recovery label.
    unsafe {
        asm!(
            "2: lock xadd dword ptr [{address}], {value:e}",
            "3:",
            ".pushsection .text.rb_recover, \"ax\", @progbits",
            "4: mov {failed:e}, 1",
            "jmp 3b",
            ".popsection",
            ".pushsection rb_fixups, \"aR\", @progbits",
            ".balign 4",
            ".long 2b - .",
            ".long 4b - .",
            ".popsection",
            failed = inout(reg) 0_u32 => failed,
            address = in(reg) address,
            value = inout(reg) value => old,
            options(nostack)
        );
    }
    if failed == 0 { Ok(old) } else { Err(AccessViolation { address, operation: 1 }) }
}

/// Copies `source` to `destination`.
///
/// # Errors
/// When a page of the destination is not writable; bytes before it may have been written.
///
/// # Safety
/// Whatever of the destination is writable holds no Rust value that anyone relies on.
#[inline]
pub unsafe fn copy_to(destination: u64, source: &[u8]) -> Result<(), AccessViolation> {
    // SAFETY: the source is a slice, so it cannot overlap; the destination is the caller's promise.
    unsafe { copy_apart(destination, source.as_ptr() as u64, source.len()) }
}

/// Fills `destination` from the memory at `source`.
///
/// # Errors
/// When a page of the source is not readable; the front of `destination` may have been overwritten.
#[inline]
pub fn copy_from(destination: &mut [u8], source: u64) -> Result<(), AccessViolation> {
    // SAFETY: the destination is an exclusive slice of plain bytes.
    unsafe { copy_apart(destination.as_mut_ptr() as u64, source, destination.len()) }
}

/// From this many bytes on, a string operation is at least as fast as a loop of 16-byte moves.
const LONG: usize = 512;

/// Copies `length` bytes between ranges that do not overlap.
///
/// # Errors
/// At a byte that could not be read or written; some of the others may have been copied.
///
/// # Safety
/// As for [`copy_to`].
#[inline]
pub unsafe fn copy_apart(destination: u64, source: u64, length: usize) -> Result<(), AccessViolation> {
    // Each call below: by this function's contract; inner ranges lie inside the two given.
    match length {
        0 => Ok(()),
        1 => {
            // SAFETY: see above.
            unsafe { copy_scalars::<u8>(destination, source, 1) }
        }
        2..4 => {
            // SAFETY: see above.
            unsafe { copy_scalars::<u16>(destination, source, length) }
        }
        4..8 => {
            // SAFETY: see above.
            unsafe { copy_scalars::<u32>(destination, source, length) }
        }
        8..16 => {
            // SAFETY: see above.
            unsafe { copy_scalars::<u64>(destination, source, length) }
        }
        16..LONG => {
            // SAFETY: see above.
            unsafe { copy_vectors(destination, source, length) }
        }
        _ => {
            // SAFETY: see above.
            unsafe { copy(destination, source, length) }
        }
    }
}

/// Copies one or two scalars' worth of bytes: the first and the last, which may be the same or overlap.
#[inline]
unsafe fn copy_scalars<T: Scalar>(
    destination: u64,
    source: u64,
    length: usize,
) -> Result<(), AccessViolation> {
    let last = (length - size_of::<T>()) as u64;
    let (first_value, last_value) = (T::read(source)?, T::read(source.wrapping_add(last))?);
    // SAFETY: by `copy_apart`'s contract.
    unsafe { T::write(destination, first_value) }?;
    // SAFETY: by `copy_apart`'s contract.
    unsafe { T::write(destination.wrapping_add(last), last_value) }
}

/// Copies at least 16 bytes in steps of 16; the last step overlaps the one before it.
#[inline]
unsafe fn copy_vectors(destination: u64, source: u64, length: usize) -> Result<(), AccessViolation> {
    let failed: u32;
    // SAFETY: loads and stores inside the two ranges; faults continue at the recovery label with `failed` set.
    unsafe {
        asm!(
            "2: movups {value}, xmmword ptr [{source} + {index}]",
            "3: movups xmmword ptr [{destination} + {index}], {value}",
            "add {index}, 16",
            "cmp {index}, {last}",
            "jb 2b",
            "mov {index}, {last}",
            "4: movups {value}, xmmword ptr [{source} + {index}]",
            "5: movups xmmword ptr [{destination} + {index}], {value}",
            "6:",
            ".pushsection .text.rb_recover, \"ax\", @progbits",
            "7: mov {failed:e}, 1",
            "jmp 6b",
            ".popsection",
            ".pushsection rb_fixups, \"aR\", @progbits",
            ".balign 4",
            ".long 2b - .",
            ".long 7b - .",
            ".long 3b - .",
            ".long 7b - .",
            ".long 4b - .",
            ".long 7b - .",
            ".long 5b - .",
            ".long 7b - .",
            ".popsection",
            value = out(xmm_reg) _,
            source = in(reg) source,
            destination = in(reg) destination,
            index = inout(reg) 0_usize => _,
            last = in(reg) length - 16,
            failed = inout(reg) 0_u32 => failed,
            options(nostack)
        );
    }
    if failed == 0 { Ok(()) } else { Err(bulk_violation(destination, length)) }
}

/// Copies `length` bytes forwards.
///
/// # Errors
/// At the first byte that could not be read or written.
///
/// # Safety
/// As for [`copy_to`].
#[inline]
pub unsafe fn copy(destination: u64, source: u64, length: usize) -> Result<(), AccessViolation> {
    let failed: u32;
    // SAFETY: one string operation, allowed by the caller; a fault continues at the recovery label.
    unsafe {
        guarded!(
            "rep movsb",
            failed,
            inout("rcx") length => _,
            inout("rdi") destination => _,
            inout("rsi") source => _,
        );
    }
    if failed == 0 { Ok(()) } else { Err(bulk_violation(destination, length)) }
}

/// Fills `length` bytes at `destination`.
///
/// # Errors
/// When a page is not writable; bytes before it have been written.
///
/// # Safety
/// As for [`copy_to`].
#[inline]
pub unsafe fn fill(destination: u64, value: u8, length: usize) -> Result<(), AccessViolation> {
    let failed: u32;
    // SAFETY: one string operation, allowed by the caller; a fault continues at the recovery label.
    unsafe {
        guarded!(
            "rep stosb",
            failed,
            inout("rcx") length => _,
            inout("rdi") destination => _,
            in("al") value,
        );
    }
    if failed == 0 { Ok(()) } else { Err(bulk_violation(destination, length)) }
}

#[cold]
fn bulk_violation(destination: u64, length: usize) -> AccessViolation {
    let address = entry::region().map_or(0, entry::Region::fault_address) as u64;
    let written = (destination..destination.wrapping_add(length as u64)).contains(&address);
    AccessViolation { address, operation: u64::from(written) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Below mmap_min_addr: never mapped.
    const NOWHERE: u64 = 0x10;

    #[test]
    fn an_access_to_mapped_memory_succeeds() {
        entry::prepare().expect("a region");
        let mut word = 7_u64;
        let address = (&raw mut word) as u64;
        assert_eq!(u64::read(address), Ok(7));
        // SAFETY: `word` is ours.
        let written = unsafe { u8::write(address, 9) };
        assert_eq!(written, Ok(()));
        // SAFETY: `word` is ours.
        let old = unsafe { exchange(address, 11) };
        assert_eq!(old, Ok(9));
        assert_eq!(u64::read(address), Ok(11));
    }

    #[test]
    fn a_fault_becomes_an_error_that_names_the_address() {
        entry::prepare().expect("a region");
        assert_eq!(u32::read(NOWHERE), Err(AccessViolation { address: NOWHERE, operation: 0 }));
        // SAFETY: nothing is mapped there.
        let written = unsafe { u16::write(NOWHERE, 1) };
        assert_eq!(written, Err(AccessViolation { address: NOWHERE, operation: 1 }));
        let mut buffer = [0; 32];
        assert_eq!(copy_from(&mut buffer, NOWHERE), Err(AccessViolation { address: NOWHERE, operation: 0 }));
        // SAFETY: nothing is mapped there.
        let copied = unsafe { copy_to(NOWHERE, &buffer) };
        assert_eq!(copied, Err(AccessViolation { address: NOWHERE, operation: 1 }));
    }

    #[test]
    fn every_length_is_copied_exactly() {
        let source: Vec<u8> = (0..1100).map(|index| (index % 251) as u8).collect();
        for length in (0..600).chain([1023, 1024, 1025]) {
            let mut target = vec![0xEE; length + 32];
            let address = target.as_mut_ptr() as u64 + 16;
            // SAFETY: inside `target`.
            let copied = unsafe { copy_to(address, &source[..length]) };
            assert_eq!(copied, Ok(()));
            assert_eq!(target[16..16 + length], source[..length], "length {length}");
            assert!(target[..16].iter().chain(&target[16 + length..]).all(|byte| *byte == 0xEE));
        }
    }

    #[test]
    fn an_address_that_is_not_canonical_is_an_error() {
        entry::prepare().expect("a region");
        assert!(u64::read(0x8000_0000_0000_0000).is_err());
        assert!(u64::read(0xFFFF_8000_0000_0000).is_err());
    }
}
