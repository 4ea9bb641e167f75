//! What the dispatcher knows about a mapped image: found by address, read without locks, even in a fault.

use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::RUNTIME_FUNCTION;
use platform::images;
use platform::memory::Scalar as _;

use crate::patch::Patches;

/// An image's record. Its address is the cookie in platform's registry.
pub(crate) struct Tables {
    name: Box<str>,
    pub(crate) base: u64,
    pub(crate) size: u64,
    /// Relative address and number of entries of the function table.
    functions: Option<(u32, u32)>,
    patches: Patches,
    discarded: OnceLock<Box<[Range<u64>]>>,
    retired: AtomicBool,
}

impl Tables {
    pub(crate) fn new(
        name: &str,
        range: Range<usize>,
        functions: Option<(u32, u32)>,
        patches: Patches,
    ) -> Self {
        let (base, size) = (range.start as u64, range.len() as u64);
        Self {
            name: name.into(),
            base,
            size,
            functions,
            patches,
            discarded: OnceLock::new(),
            retired: AtomicBool::new(false),
        }
    }

    /// The image is being unmapped. Whoever still looks is a bug; it then finds nothing.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// The record of the image that holds `address`, or whose instructions the code there stands in for.
    pub(crate) fn find(address: u64) -> Option<&'static Self> {
        let range = images::find(usize::try_from(address).ok()?)?;
        // SAFETY: this crate alone registers images, with the address of a record that lives until after it is
        // unregistered; driver code of an image runs, and is dispatched for, only while the image lives.
        let tables = unsafe { ptr::with_exposed_provenance::<Self>(range.cookie).as_ref() }?;
        (!tables.retired.load(Ordering::Acquire)).then_some(tables)
    }

    /// Remembers which pages are gone since initialisation is over.
    pub(crate) fn note_discarded(&self, pages: Box<[Range<u64>]>) {
        let _the_first_counts = self.discarded.set(pages);
    }

    /// The name of the image, with what a reader of a report must know about this address in it.
    pub(crate) fn describe(&self, address: u64) -> String {
        let discarded =
            self.discarded.get().is_some_and(|pages| pages.iter().any(|page| page.contains(&address)));
        if discarded {
            format!("{}, in a section that is discarded after DriverEntry,", self.name)
        } else {
            self.name.to_string()
        }
    }

    pub(crate) fn patches(&self) -> &Patches {
        &self.patches
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.base).is_some_and(|offset| offset < self.size)
    }

    /// Whether `length` bytes at relative address `rva` lie in the image.
    pub(crate) fn holds(&self, rva: u32, length: u64) -> bool {
        u64::from(rva) + length <= self.size
    }

    /// The function that holds `address`, and the address of its entry. None for leaf functions.
    pub(crate) fn function(&self, address: u64) -> Option<(u64, RUNTIME_FUNCTION)> {
        let rva = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let (table, count) = self.functions?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (place, entry) = self.entry(table, middle)?;
            if rva < entry.BeginAddress {
                high = middle;
            } else if rva >= entry.EndAddress {
                low = middle + 1;
            } else {
                return Some((place, entry));
            }
        }
        None
    }

    fn entry(&self, table: u32, index: u32) -> Option<(u64, RUNTIME_FUNCTION)> {
        let place = self.base + u64::from(table) + u64::from(index) * size_of::<RUNTIME_FUNCTION>() as u64;
        Some((place, self.function_at(place)?))
    }

    /// A function entry somewhere in the image.
    pub(crate) fn function_at(&self, place: u64) -> Option<RUNTIME_FUNCTION> {
        Some(RUNTIME_FUNCTION {
            BeginAddress: self.read_u32(place)?,
            EndAddress: self.read_u32(place + 4)?,
            UnwindData: self.read_u32(place + 8)?,
        })
    }

    /// A longword at an address of this image; None outside of it, and where a page is not there.
    pub(crate) fn read_u32(&self, address: u64) -> Option<u32> {
        let last = address.checked_add(3)?;
        if !self.contains(address) || !self.contains(last) {
            return None;
        }
        u32::read(address).ok()
    }
}
