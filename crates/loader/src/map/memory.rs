//! The pages of one image, and the only writes to them.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use platform::pages::{PagesError, Protection};

use super::ImageSpace;
use crate::pe::{ImageFacts, PAGE, SectionFlags};

/// An image's pages; writable until [`Memory::protect`], given back when dropped.
pub(super) struct Memory {
    base: usize,
    size: usize,
    space: Arc<dyn ImageSpace>,
}

impl Memory {
    /// Takes over what `space` allocated.
    pub(super) fn new(base: usize, size: usize, space: Arc<dyn ImageSpace>) -> Self {
        Self { base, size, space }
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.base..self.base + self.size
    }

    pub(super) fn space(&self) -> Arc<dyn ImageSpace> {
        Arc::clone(&self.space)
    }

    /// The code on pages that cannot be written.
    pub(super) fn fixed_code(&self, facts: &ImageFacts) -> Box<[Range<u64>]> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (index, flags) in self.page_flags(facts).into_iter().enumerate() {
            if !flags.execute || flags.write {
                continue;
            }
            let start = (self.base + index * PAGE as usize) as u64;
            let end = start + u64::from(PAGE);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges.into()
    }

    fn at(&self, rva: u32, length: usize) -> *mut u8 {
        let offset = rva as usize;
        assert!(offset <= self.size && length <= self.size - offset, "inspection bounds every write");
        ptr::with_exposed_provenance_mut(self.base + offset)
    }

    pub(super) fn write(&self, rva: u32, bytes: &[u8]) {
        let target = self.at(rva, bytes.len());
        // SAFETY: inside the allocation, which is writable and which nothing else uses yet.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    pub(super) fn read_u64(&self, rva: u32) -> u64 {
        let source = self.at(rva, 8).cast::<u64>();
        // SAFETY: inside the allocation.
        unsafe { source.read_unaligned() }
    }

    pub(super) fn write_u64(&self, rva: u32, value: u64) {
        self.write(rva, &value.to_le_bytes());
    }

    /// Gives every page what its sections ask for; headers are read-only.
    pub(super) fn protect(&self, facts: &ImageFacts) -> Result<(), PagesError> {
        let mut pages = self.page_flags(facts).into_iter().map(protection).enumerate().peekable();
        while let Some((first, wanted)) = pages.next() {
            let mut count = 1;
            while pages.next_if(|(_, next)| *next == wanted).is_some() {
                count += 1;
            }
            let page = PAGE as usize;
            self.space.protect(self.base + first * page, count * page, wanted)?;
        }
        Ok(())
    }

    /// Pages that small alignments let sections share get the union of what they ask for.
    fn page_flags(&self, facts: &ImageFacts) -> Vec<SectionFlags> {
        let mut pages = vec![SectionFlags::default(); self.size / PAGE as usize];
        for page in &mut pages[..facts.header_size.div_ceil(PAGE) as usize] {
            page.read = true;
        }
        for section in &facts.sections {
            let end = (section.rva + section.size).div_ceil(PAGE);
            for page in &mut pages[(section.rva / PAGE) as usize..end as usize] {
                page.read |= section.flags.read;
                page.write |= section.flags.write;
                page.execute |= section.flags.execute;
            }
        }
        pages
    }

    /// Returns what cannot be accessed any more.
    pub(super) fn discard(&self, facts: &ImageFacts) -> Result<Box<[Range<u64>]>, PagesError> {
        let mut discarded = Vec::new();
        for section in facts.sections.iter().filter(|section| section.flags.discardable) {
            let keeps = |rva: u32| {
                let page = rva / PAGE;
                facts.sections.iter().any(|other| {
                    let last = other.rva + other.size - 1;
                    !other.flags.discardable && (other.rva / PAGE..=last / PAGE).contains(&page)
                }) || page < facts.header_size.div_ceil(PAGE)
            };
            let last = section.rva + section.size - 1;
            for page in (section.rva / PAGE..=last / PAGE).filter(|page| !keeps(page * PAGE)) {
                let address = self.base + (page * PAGE) as usize;
                self.space.protect(address, PAGE as usize, Protection::NoAccess)?;
                discarded.push(address as u64..address as u64 + u64::from(PAGE));
            }
        }
        Ok(discarded.into())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.space.release(self.base, self.size);
    }
}

fn protection(flags: SectionFlags) -> Protection {
    match flags {
        SectionFlags { write: true, execute: true, .. } => Protection::ReadWriteExecute,
        SectionFlags { write: true, .. } => Protection::ReadWrite,
        SectionFlags { execute: true, .. } => Protection::ReadExecute,
        SectionFlags { read: true, .. } => Protection::Read,
        SectionFlags { .. } => Protection::NoAccess,
    }
}
