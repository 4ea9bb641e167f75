//! Guarded reads and writes of driver memory, and the declaration of raw objects.

use platform::landing::Unwind;
use platform::memory::{self, AccessViolation, Scalar};
use platform::pages::{SYSTEM_SPACE, USER_PROBE_ADDRESS};

use super::Outcome;

#[cold]
#[inline(never)]
pub(super) fn raised(violation: AccessViolation) -> Unwind {
    Unwind::access_violation(violation.operation, violation.address)
}

/// Whether all of a range lies where driver and application memory lies: below `MmUserProbeAddress` (windows, and
/// images that had to stay at a low base) or in system space.
#[inline]
#[must_use]
pub fn is_driver_memory(address: u64, length: usize) -> bool {
    const SYSTEM: u64 = SYSTEM_SPACE.start as u64;
    const SYSTEM_LENGTH: u64 = (SYSTEM_SPACE.end - SYSTEM_SPACE.start) as u64;
    const APPLICATIONS: u64 = USER_PROBE_ADDRESS as u64;
    let length = length as u64;
    // One comparison for what is by far the most frequent.
    let in_system_space = length <= SYSTEM_LENGTH && address.wrapping_sub(SYSTEM) <= SYSTEM_LENGTH - length;
    in_system_space || address.checked_add(length).is_some_and(|end| end <= APPLICATIONS)
}

#[inline]
fn writable(address: u64, length: usize) -> Outcome<()> {
    if is_driver_memory(address, length) { Ok(()) } else { writable_by_native(address) }
}

/// Drivers compiled into this process keep their statics and heap where the process keeps its own.
#[cold]
#[inline(never)]
fn writable_by_native(address: u64) -> Outcome<()> {
    if super::driver_code::is_inside_native() { Ok(()) } else { Err(Unwind::access_violation(1, address)) }
}

/// Reads a scalar.
///
/// # Errors
/// An access violation to raise in the driver.
#[inline]
pub fn read<T: Scalar>(address: u64) -> Outcome<T> {
    T::read(address).map_err(raised)
}

/// Writes a scalar to driver memory.
///
/// # Errors
/// An access violation to raise in the driver, also for addresses that are not driver memory.
#[inline]
pub fn write<T: Scalar>(address: u64, value: T) -> Outcome<()> {
    writable(address, size_of::<T>())?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { T::write(address, value) }.map_err(raised)
}

/// Exchanges a pointer atomically, as `InterlockedExchangePointer` in driver code does.
///
/// # Errors
/// As for [`write`](fn@write).
#[inline]
pub fn exchange(address: u64, value: u64) -> Outcome<u64> {
    writable(address, 8)?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { memory::exchange(address, value) }.map_err(raised)
}

/// Adds to a longword atomically; returns what stood there before.
///
/// # Errors
/// As for [`write`](fn@write).
#[inline]
pub fn fetch_add(address: u64, value: u32) -> Outcome<u32> {
    writable(address, 4)?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { memory::fetch_add(address, value) }.map_err(raised)
}

/// Fills `destination` from driver memory.
///
/// # Errors
/// As for [`read`].
#[inline]
pub fn copy_from(destination: &mut [u8], source: u64) -> Outcome<()> {
    memory::copy_from(destination, source).map_err(raised)
}

/// Copies `source` into driver memory.
///
/// # Errors
/// As for [`write`](fn@write); bytes before the fault have been written.
#[inline]
pub fn copy_to(destination: u64, source: &[u8]) -> Outcome<()> {
    writable(destination, source.len())?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { memory::copy_to(destination, source) }.map_err(raised)
}

/// Copies between two places of driver memory, forwards.
///
/// # Errors
/// As for [`write`](fn@write).
#[inline]
pub fn copy_within(destination: u64, source: u64, length: usize) -> Outcome<()> {
    writable(destination, length)?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { memory::copy(destination, source, length) }.map_err(raised)
}

/// Fills `length` bytes of driver memory.
///
/// # Errors
/// As for [`write`](fn@write).
#[inline]
pub fn fill(destination: u64, value: u8, length: usize) -> Outcome<()> {
    writable(destination, length)?;
    // SAFETY: driver memory holds no Rust values.
    unsafe { memory::fill(destination, value, length) }.map_err(raised)
}

/// Touches every page of driver memory from `address` on, for reading or for writing, and changes nothing.
///
/// # Errors
/// As for [`write`](fn@write).
pub fn touch(address: u64, length: u64, for_writing: bool) -> Outcome<()> {
    const PAGE: u64 = platform::pages::PAGE_SIZE as u64;
    let Some(last) = length.checked_sub(1) else { return Ok(()) };
    let operation = u64::from(for_writing);
    let last = address.checked_add(last).ok_or(Unwind::access_violation(operation, address))?;
    writable(address, usize::try_from(length).unwrap_or(usize::MAX))?;
    for page in (address / PAGE..=last / PAGE).map(|number| number * PAGE) {
        if for_writing {
            fetch_add(page, 0)?;
        } else {
            read::<u8>(page)?;
        }
    }
    Ok(())
}

/// Copies UTF-16 `source` into driver memory.
///
/// # Errors
/// As for [`write`](fn@write).
pub fn copy_wide(destination: u64, source: &[u16]) -> Outcome<()> {
    for (unit, index) in source.iter().zip(0_u64..) {
        write(destination.wrapping_add(index * 2), *unit)?;
    }
    Ok(())
}

/// Declares a raw object: a `Copy` address of an `abi` structure with a getter and a setter for each field.
///
/// Getters return `Outcome<T>`, setters `Outcome<()>`; both fail with an access violation.
macro_rules! raw_object {
    ($(#[$attribute:meta])* $name:ident: $layout:ty {
        $($get:ident, $set:ident: $type:ty = $($field:ident).+;)*
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Size of the structure in bytes.
            pub const SIZE: usize = size_of::<$layout>();

            /// The object at `address`, which need not be valid: accesses check.
            #[inline]
            #[must_use]
            pub const fn at(address: u64) -> Self {
                Self(address)
            }

            /// Where it is.
            #[inline]
            #[must_use]
            pub const fn address(self) -> u64 {
                self.0
            }

            /// Whether the pointer is NULL.
            #[inline]
            #[must_use]
            pub const fn is_null(self) -> bool {
                self.0 == 0
            }

            $(
                #[doc = concat!("Reads `", stringify!($($field).+), "`.")]
                ///
                /// # Errors
                /// An access violation to raise in the driver.
                #[inline]
                pub fn $get(self) -> $crate::raw::Outcome<$type> {
                    const OFFSET: usize = ::core::mem::offset_of!($layout, $($field).+);
                    $crate::raw::read(self.0.wrapping_add(OFFSET as u64))
                }

                #[doc = concat!("Writes `", stringify!($($field).+), "`.")]
                ///
                /// # Errors
                /// An access violation to raise in the driver.
                #[inline]
                pub fn $set(self, value: $type) -> $crate::raw::Outcome<()> {
                    const OFFSET: usize = ::core::mem::offset_of!($layout, $($field).+);
                    $crate::raw::write(self.0.wrapping_add(OFFSET as u64), value)
                }
            )*
        }
    };
}

pub(crate) use raw_object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_write_does_not_reach_the_process_heap_or_stack() {
        platform::fault::install().expect("handlers");
        let heap = Box::new([7_u8; 64]);
        let stack = [7_u8; 64];
        for address in [heap.as_ptr() as u64, stack.as_ptr() as u64] {
            assert!(write(address, 9_u64).is_err());
            assert!(copy_to(address, &[9; 64]).is_err());
            assert!(fill(address, 9, 64).is_err());
            assert!(exchange(address, 9).is_err());
            assert!(fetch_add(address, 9).is_err());
            assert!(copy_within(address, address, 64).is_err());
        }
        assert!(heap.iter().chain(&stack).all(|byte| *byte == 7));
    }

    #[test]
    fn driver_memory_ends_where_the_address_map_says() {
        let system = SYSTEM_SPACE.start as u64..SYSTEM_SPACE.end as u64;
        assert!(is_driver_memory(system.start, 8) && is_driver_memory(system.end - 8, 8));
        assert!(!is_driver_memory(system.start - 1, 8) && !is_driver_memory(system.end - 7, 8));
        assert!(is_driver_memory(USER_PROBE_ADDRESS as u64 - 8, 8));
        assert!(!is_driver_memory(USER_PROBE_ADDRESS as u64 - 7, 8));
        assert!(!is_driver_memory(u64::MAX - 3, 8) && !is_driver_memory(0, usize::MAX));
    }
}
