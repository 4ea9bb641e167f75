//! Pointers of the application.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;

/// Below it nothing is ever mapped, on Windows as here.
const LOWEST: usize = 0x1_0000;
/// Above it no memory of an application is.
const HIGHEST: usize = 1 << 47;

/// An application's pointer, NULL or to what its function's page asks for. It comes from the application alone (but for
/// [`Pointer::NULL`]), which answers for it as a program in C does for every pointer: that is what lets the methods here be safe.
#[repr(transparent)]
#[derive(Debug)]
pub struct Pointer<T>(*mut T);

impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Pointer<T> {}

// SAFETY: an address; that its memory may be used from other threads is the application's promise, who gives it to requests
// that end in any thread.
unsafe impl<T> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Pointer<T> {}

const NO_ACCESS: Failure = Failure(abi::ERROR_NOACCESS);

impl<T> Pointer<T> {
    /// Points to nothing.
    pub const NULL: Self = Self(std::ptr::null_mut());

    /// Of memory that this library has made for the application.
    pub(crate) const fn made(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// Of a word that the application gave.
    pub(crate) fn at_address(address: usize) -> Self {
        Self(std::ptr::with_exposed_provenance_mut(address))
    }

    /// Whether it is NULL.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    pub(crate) fn raw(self) -> *mut T {
        self.0
    }

    pub(crate) fn cast<U>(self) -> Pointer<U> {
        Pointer(self.0.cast())
    }

    /// The element `index` places on.
    pub(crate) fn at(self, index: usize) -> Self {
        Self(self.0.wrapping_add(index))
    }

    /// Whether `count` elements may be there.
    fn check(self, count: usize) -> Result<(), Failure> {
        let end = count.checked_mul(size_of::<T>()).and_then(|bytes| self.address().checked_add(bytes));
        match end {
            Some(end) if self.address() >= LOWEST && end <= HIGHEST => Ok(()),
            _ => Err(NO_ACCESS),
        }
    }
}

impl<T: Copy> Pointer<T> {
    /// What it points to. ERROR_NOACCESS where nothing can be.
    pub(crate) fn read(self) -> Result<T, Failure> {
        self.check(1)?;
        // SAFETY: the application's, as its function asks for; see the type.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// ERROR_NOACCESS where nothing can be.
    pub(crate) fn write(self, value: T) -> Result<(), Failure> {
        self.check(1)?;
        // SAFETY: the application's, as its function asks for; see the type.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// As [`Self::write`], and nothing for NULL.
    pub(crate) fn write_if_there(self, value: T) -> Result<(), Failure> {
        if self.is_null() { Ok(()) } else { self.write(value) }
    }
}

impl Pointer<u8> {
    /// `length` bytes, of which nobody writes any while the slice lives, or the application has what it asked for.
    pub(crate) fn bytes<'a>(self, length: usize) -> Result<&'a [u8], Failure> {
        if length == 0 {
            return Ok(&[]);
        }
        self.check(length)?;
        // SAFETY: the application's for the length of the call that uses it; see the type.
        Ok(unsafe { std::slice::from_raw_parts(self.0, length) })
    }

    /// `length` bytes for an answer.
    pub(crate) fn room<'a>(self, length: usize) -> Result<&'a mut [u8], Failure> {
        if length == 0 {
            return Ok(&mut []);
        }
        self.check(length)?;
        // SAFETY: the application's for the length of the call that uses it; see the type.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.0, length) })
    }
}

impl Pointer<u64> {
    /// The word, and with it all that was written before it.
    pub(crate) fn load(self) -> Result<u64, Failure> {
        Ok(self.atomic()?.load(Ordering::Acquire))
    }

    /// Writes the word, after all that was written before.
    pub(crate) fn store(self, value: u64) -> Result<(), Failure> {
        self.atomic()?.store(value, Ordering::Release);
        Ok(())
    }

    fn atomic<'a>(self) -> Result<&'a AtomicU64, Failure> {
        self.check(1)?;
        if !self.0.is_aligned() {
            // STATUS_DATATYPE_MISALIGNMENT's.
            return Err(NO_ACCESS);
        }
        // SAFETY: the application's OVERLAPPED or status block, there until its request has ended; see the type.
        Ok(unsafe { AtomicU64::from_ptr(self.0) })
    }
}
