//! Application buffers: where a request's data comes from and goes to.
//!
//! An embedded application lends slices; one in another process names a range of its window, which is mapped at the
//! same address here and may change under our feet. Both are copied by guarded access only.

use std::marker::PhantomData;

use platform::memory;
use platform::pages::USER_WINDOWS;

use super::Outcome;
use super::fields::raised;

/// A buffer that a request takes data from.
#[derive(Clone, Copy, Debug)]
pub struct InputBuffer<'a> {
    address: u64,
    length: u32,
    in_window: bool,
    lifetime: PhantomData<&'a [u8]>,
}

/// A buffer that a request puts data into.
#[derive(Debug)]
pub struct OutputBuffer<'a> {
    address: u64,
    length: u32,
    in_window: bool,
    lifetime: PhantomData<&'a mut [u8]>,
}

fn window_range(address: u64, length: u32) -> bool {
    address >= USER_WINDOWS.start as u64
        && address.checked_add(u64::from(length)).is_some_and(|end| end <= USER_WINDOWS.end as u64)
}

/// What both buffers say of themselves.
macro_rules! lent_memory {
    ($($buffer:ident),+) => {$(
        impl $buffer<'_> {
            /// A range of user windows; `None` when it is not inside them. Whose window it is, the session checks.
            #[inline]
            #[must_use]
            pub fn in_window(address: u64, length: u32) -> Option<Self> {
                window_range(address, length).then_some(Self {
                    address,
                    length,
                    in_window: true,
                    lifetime: PhantomData,
                })
            }

            /// Where it starts.
            #[inline]
            #[must_use]
            pub fn address(&self) -> u64 {
                self.address
            }

            /// Whether its owner says that it lies in a user window, rather than lending a slice.
            #[inline]
            #[must_use]
            pub fn is_in_window(&self) -> bool {
                self.in_window
            }

            /// Length in bytes.
            #[inline]
            #[must_use]
            pub fn len(&self) -> u32 {
                self.length
            }

            /// Whether its length is zero.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.length == 0
            }
        }
    )+};
}

lent_memory!(InputBuffer, OutputBuffer);

impl<'a> InputBuffer<'a> {
    /// Borrows a slice; `None` when it is longer than a request can be (4 GiB).
    #[inline]
    #[must_use]
    pub fn from_slice(slice: &'a [u8]) -> Option<Self> {
        let length = u32::try_from(slice.len()).ok()?;
        Some(Self { address: slice.as_ptr() as u64, length, in_window: false, lifetime: PhantomData })
    }

    /// Copies all of it to driver memory.
    ///
    /// # Errors
    /// An access violation.
    #[inline]
    pub fn copy_to(&self, destination: u64) -> Outcome<()> {
        copy_in(destination, self.address, self.length)
    }
}

/// Copies an application's buffer to driver memory.
#[inline]
fn copy_in(destination: u64, source: u64, length: u32) -> Outcome<()> {
    let length = length as usize;
    if !super::is_driver_memory(destination, length) {
        return Err(super::Unwind::access_violation(1, destination));
    }
    // SAFETY: driver memory holds no Rust values; application buffers do not overlap pool.
    unsafe { memory::copy_apart(destination, source, length) }.map_err(raised)
}

impl<'a> OutputBuffer<'a> {
    /// Borrows a slice; `None` when it is longer than a request can be (4 GiB).
    #[inline]
    #[must_use]
    pub fn from_slice(slice: &'a mut [u8]) -> Option<Self> {
        let length = u32::try_from(slice.len()).ok()?;
        Some(Self { address: slice.as_mut_ptr() as u64, length, in_window: false, lifetime: PhantomData })
    }

    /// Copies what it holds now to driver memory.
    ///
    /// # Errors
    /// An access violation.
    pub fn copy_to(&self, destination: u64) -> Outcome<()> {
        copy_in(destination, self.address, self.length)
    }

    /// Copies `length` bytes, at most its own length, from driver memory to its front.
    ///
    /// # Errors
    /// An access violation.
    #[inline]
    pub fn fill_from(&mut self, source: u64, length: u32) -> Outcome<()> {
        let length = length.min(self.length) as usize;
        // SAFETY: `address` is an exclusively borrowed slice or lies in user windows, which hold no Rust values.
        unsafe { memory::copy_apart(self.address, source, length) }.map_err(raised)
    }
}
