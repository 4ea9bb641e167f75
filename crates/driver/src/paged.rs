//! Paged pool with an owner. Touching it above APC_LEVEL is a bug check when the page is not there, that is on other machines
//! than the author's; so every look asks for the witness of PASSIVE_LEVEL.

use abi::{NTSTATUS, PagedPool};

use crate::lookaside::expect_paged_memory;
use crate::pool::PoolBox;
use crate::{PassiveLevel, Tag};

/// A value, or a slice, in paged pool. It may be moved at any IRQL; dropping it above APC_LEVEL panics: a bug check.
///
/// A DPC has no witness, so it cannot look:
///
/// ```compile_fail,E0277
/// # extern crate ringbridge_driver as driver;
/// # use driver::*;
/// # fn start(tag: Tag, paged: PagedBox<u32>, level: PassiveLevel) {
/// let timer = Timer::new(tag, move |_timer| drop(*paged.get(level)));
/// # }
/// ```
pub struct PagedBox<T: ?Sized>(PoolBox<T>);

impl<T> PagedBox<T> {
    /// Moves `value` into paged pool. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(_level: PassiveLevel, tag: Tag, value: T) -> Result<Self, NTSTATUS> {
        PoolBox::new_in(PagedPool, tag, value).map(Self)
    }
}

impl PagedBox<[u8]> {
    /// `length` bytes of 0; none take no block. Fails with STATUS_INSUFFICIENT_RESOURCES.
    pub fn zeroed(_level: PassiveLevel, tag: Tag, length: usize) -> Result<Self, NTSTATUS> {
        PoolBox::zeroed_in(PagedPool, tag, length).map(Self)
    }
}

impl<T: ?Sized> PagedBox<T> {
    /// The value.
    #[must_use]
    pub fn get(&self, _level: PassiveLevel) -> &T {
        &self.0
    }

    /// The value, to change it.
    #[must_use]
    pub fn get_mut(&mut self, _level: PassiveLevel) -> &mut T {
        &mut self.0
    }
}

impl<T: ?Sized> Drop for PagedBox<T> {
    fn drop(&mut self) {
        expect_paged_memory();
    }
}
