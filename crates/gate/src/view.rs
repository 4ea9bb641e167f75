//! Access to what the kernel shows an application: views of sections, and memory that drivers map.

use abi::NTSTATUS;
use platform::memory::{self, AccessViolation, Scalar};
use platform::pages::USER_WINDOWS;

/// A range of a user window that drivers and other processes may change, or take away, at any time. What is read is a copy; an
/// access that finds nothing, or may not write, is an error.
///
/// It does not keep what it stands for: that ends when its driver unmaps it, or its view is unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    address: u64,
    length: u64,
}

fn violation(_: AccessViolation) -> NTSTATUS {
    abi::STATUS_ACCESS_VIOLATION
}

impl View {
    /// A range of user windows, in which no Rust value lives but by a promise of who made it so; `None` for others.
    #[must_use]
    pub fn in_window(address: u64, length: u64) -> Option<Self> {
        let inside = address >= USER_WINDOWS.start as u64
            && address.checked_add(length).is_some_and(|end| end <= USER_WINDOWS.end as u64);
        inside.then_some(Self { address, length })
    }

    /// Where it starts.
    #[inline]
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills `target` from the bytes at `start`.
    ///
    /// # Errors
    /// `STATUS_ACCESS_VIOLATION` when they are not there any more.
    ///
    /// # Panics
    /// If they are not all inside.
    #[inline]
    pub fn read(&self, start: u64, target: &mut [u8]) -> Result<(), NTSTATUS> {
        let address = self.place(start, target.len() as u64);
        memory::copy_from(target, address).map_err(violation)
    }

    /// Overwrites the bytes at `start`.
    ///
    /// # Errors
    /// `STATUS_ACCESS_VIOLATION` when they are not there any more, or only to be read.
    ///
    /// # Panics
    /// As for [`Self::read`].
    #[inline]
    pub fn write(&self, start: u64, source: &[u8]) -> Result<(), NTSTATUS> {
        let address = self.place(start, source.len() as u64);
        // SAFETY: in a user window, where no Rust value lives.
        unsafe { memory::copy_to(address, source) }.map_err(violation)
    }

    /// The number at `start`, read at once; what was written before it is seen after it.
    ///
    /// # Errors
    /// As for [`Self::read`].
    ///
    /// # Panics
    /// If it is not all inside, or not at a multiple of its size.
    #[inline]
    pub fn load<T: Scalar>(&self, start: u64) -> Result<T, NTSTATUS> {
        // The load is volatile to the compiler, and x86-64 lets no later access pass it.
        T::read(self.place_of::<T>(start)).map_err(violation)
    }

    /// Overwrites the number at `start` at once; who sees it sees what was written before it.
    ///
    /// # Errors
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// As for [`Self::load`].
    #[inline]
    pub fn store<T: Scalar>(&self, start: u64, value: T) -> Result<(), NTSTATUS> {
        let address = self.place_of::<T>(start);
        // SAFETY: as in `write`. x86-64 lets it pass no earlier access.
        unsafe { T::write(address, value) }.map_err(violation)
    }

    #[inline]
    fn place(&self, start: u64, length: u64) -> u64 {
        let fits = start.checked_add(length).is_some_and(|end| end <= self.length);
        assert!(fits, "{length} bytes at {start} are outside of a view of {}", self.length);
        self.address + start
    }

    #[inline]
    fn place_of<T>(&self, start: u64) -> u64 {
        let address = self.place(start, size_of::<T>() as u64);
        assert!(address.is_multiple_of(size_of::<T>() as u64), "a number lies at a multiple of its size");
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_user_windows_are_reached_and_what_is_not_there_is_an_error() {
        platform::fault::install().unwrap();
        let local = 7_u64;
        let address = (&raw const local).addr() as u64;
        assert_eq!(View::in_window(address, 8), None);
        let windows = USER_WINDOWS;
        assert_eq!(View::in_window(windows.end as u64 - 8, 9), None);
        assert_eq!(View::in_window(u64::MAX, 9), None);
        let area = platform::pages::reserve_window(8192).unwrap();
        area.commit(0, 4096, platform::pages::Protection::ReadWrite).unwrap();
        let view = View::in_window(area.base() as u64, 8192).unwrap();
        assert_eq!(view.store(8, 0x1122_3344_5566_7788_u64), Ok(()));
        assert_eq!((view.load::<u32>(8), view.load::<u8>(15)), (Ok(0x5566_7788), Ok(0x11)));
        let mut bytes = [0; 3];
        assert_eq!((view.read(13, &mut bytes), bytes), (Ok(()), [0x33, 0x22, 0x11]));
        assert_eq!(view.write(4095, b"ab"), Err(abi::STATUS_ACCESS_VIOLATION));
        assert_eq!(view.load::<u64>(4096), Err(abi::STATUS_ACCESS_VIOLATION));
    }

    #[test]
    #[should_panic(expected = "outside of a view")]
    fn what_is_outside_is_the_callers_mistake() {
        let view = View::in_window(USER_WINDOWS.start as u64, 16).unwrap();
        let _ = view.load::<u64>(9);
    }
}
