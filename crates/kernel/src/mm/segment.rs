//! Segments: the pages behind section objects, shown in any number of views (`ZwMapViewOfSection`, `MmMapViewInSystemSpace`).
//!
//! A segment lies in memory of its own from the start, so that the views of all processes and of the system show the same pages.
//! One of a file is filled from it when it is made; pages that have changed are written back when it is flushed and with its
//! last view and handle. Who reads and writes the file is another room's matter.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hasher};
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use platform::pages::{PAGE_SIZE, Protection};
use platform::shared_memory::SharedMemory;

use super::sharing::Part;
use super::{MemoryManager, SystemRange, UserSpace};
use crate::raw;

const PAGE: u64 = PAGE_SIZE as u64;
/// Sections of more bytes are refused: no window holds a view of so many.
const LARGEST: u64 = 1 << 40;
/// Bytes that are read from a file at once, whole pages.
const CHUNK: usize = 16 * PAGE_SIZE;

/// The file that a segment is filled from.
pub trait SegmentFile: Debug + Send + Sync {
    /// Fills `bytes` from the file's bytes at `offset`, a multiple of the page size; what lies behind its end stays.
    ///
    /// # Errors
    /// What the file system answers.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), NTSTATUS>;

    /// Writes the file's bytes at `offset`.
    ///
    /// # Errors
    /// What the file system answers.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), NTSTATUS>;
}

/// The pages of a section.
#[derive(Debug)]
pub struct Segment {
    memory: Arc<SharedMemory>,
    /// Bytes of the section; its last page may have more.
    size: u64,
    file: Option<Backing>,
    /// Sections and views.
    uses: AtomicUsize,
}

/// A section's or a view's hold on a segment. With the last one, changed pages are written to the file, if there is one.
#[derive(Debug)]
pub struct SegmentUse(Arc<Segment>);

impl SegmentUse {
    /// One more use.
    #[must_use]
    pub fn of(segment: Arc<Segment>) -> Self {
        segment.uses.fetch_add(1, Ordering::AcqRel);
        Self(segment)
    }

    /// The segment, for who finds it again as long as it is used.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        &self.0
    }
}

impl Clone for SegmentUse {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.0))
    }
}

impl Deref for SegmentUse {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.0
    }
}

impl Drop for SegmentUse {
    fn drop(&mut self) {
        if self.0.uses.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody is left who could be told that the file system has refused. Who uses it again meanwhile finds the same pages.
            let _refused = self.0.flush(0..self.0.size);
        }
    }
}

#[derive(Debug)]
struct Backing {
    file: Box<dyn SegmentFile>,
    /// The segment's pages, for whoever reads and writes the file.
    pages: SystemRange,
    /// What each page held when it was last the same as the file's.
    written: Mutex<Vec<u64>>,
}

impl Segment {
    /// Zeroed pages for a section of `size` bytes.
    ///
    /// # Errors
    /// `STATUS_SECTION_TOO_BIG`; `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn of_pagefile(size: u64) -> Result<SegmentUse, NTSTATUS> {
        Ok(Self::used(Arc::new(memory(size)?), size, None))
    }

    fn used(memory: Arc<SharedMemory>, size: u64, file: Option<Backing>) -> SegmentUse {
        SegmentUse::of(Arc::new(Self { memory, size, file, uses: AtomicUsize::new(0) }))
    }

    /// Bytes of the section.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is a file's.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        self.file.is_some()
    }

    /// Writes the changed pages of `range` (bytes) to the file, if there is one. A page that changes meanwhile may be written in
    /// between, and is written again next time.
    ///
    /// # Errors
    /// What the file system answers; pages that it did not take are tried again next time.
    pub fn flush(&self, range: Range<u64>) -> Result<(), NTSTATUS> {
        let Some(Backing { file, pages, written }) = &self.file else { return Ok(()) };
        let first = range.start / PAGE * PAGE;
        let mut page = [0; PAGE_SIZE];
        for offset in (first..range.end.min(self.size)).step_by(PAGE_SIZE) {
            raw::copy_from(&mut page, pages.base() as u64 + offset)
                .map_err(|_| abi::STATUS_ACCESS_VIOLATION)?;
            let now = digest(&page);
            let index = usize::try_from(offset / PAGE).unwrap_or(usize::MAX);
            // Not locked while the file system works: it may come back here.
            let before = |change: Option<u64>| {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = written.get_mut(index)?;
                Some(change.map_or(*slot, |now| std::mem::replace(slot, now)))
            };
            if before(None).is_some_and(|before| before != now) {
                file.write(offset, &page[..bytes_of_page(self.size, offset)])?;
                before(Some(now));
            }
        }
        Ok(())
    }

    fn part(&self, offset: u64, length: u64) -> Option<Part> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        (end <= self.memory.len()).then(|| Part::of(Arc::clone(&self.memory), start..end))
    }
}

fn memory(size: u64) -> Result<SharedMemory, NTSTATUS> {
    if size > LARGEST {
        return Err(abi::STATUS_SECTION_TOO_BIG);
    }
    let bytes = usize::try_from(size.next_multiple_of(PAGE)).map_err(|_| abi::STATUS_SECTION_TOO_BIG)?;
    SharedMemory::new(bytes).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)
}

/// Bytes of the file in the page at `offset`.
fn bytes_of_page(size: u64, offset: u64) -> usize {
    usize::try_from((size - offset).min(PAGE)).unwrap_or(PAGE_SIZE)
}

fn digest(page: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(page);
    hasher.finish()
}

/// The views of segments in one process.
#[derive(Debug, Default)]
pub(super) struct Views {
    all: Mutex<BTreeMap<u64, View>>,
}

#[derive(Debug)]
struct View {
    length: u64,
    offset: u64,
    segment: SegmentUse,
}

impl Views {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, View>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(all: &BTreeMap<u64, View>, address: u64) -> Option<(u64, &View)> {
    let (&start, view) = all.range(..=address).next_back()?;
    (address - start < view.length).then_some((start, view))
}

impl UserSpace {
    /// Shows `length` bytes of a segment from `offset` on, both multiples of the page size, at `wanted` unless that is 0; returns where.
    ///
    /// # Errors
    /// `STATUS_INVALID_VIEW_SIZE` for what is not all in the segment; `STATUS_CONFLICTING_ADDRESSES`; `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn map_segment(
        &self,
        segment: &SegmentUse,
        offset: u64,
        length: u64,
        writable: bool,
        wanted: u64,
    ) -> Result<u64, NTSTATUS> {
        let part = segment.part(offset, length).ok_or(abi::STATUS_INVALID_VIEW_SIZE)?;
        let address = self.map_view(&[part], writable, wanted)?;
        self.views.lock().insert(address, View { length, offset, segment: segment.clone() });
        Ok(address)
    }

    /// Ends the view that `address` lies in.
    ///
    /// # Errors
    /// `STATUS_NOT_MAPPED_VIEW` when there is none.
    pub fn unmap_segment(&self, address: u64) -> Result<(), NTSTATUS> {
        let mut all = self.views.lock();
        let (start, _) = find(&all, address).ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
        let view = all.remove(&start);
        drop(all);
        self.give_back(start);
        // Its file may be written now, under no lock.
        drop(view);
        Ok(())
    }

    /// Writes what has changed of the view that `address` lies in, `length` bytes from there on, or up to its end for 0; returns
    /// how many bytes those are.
    ///
    /// # Errors
    /// `STATUS_NOT_MAPPED_VIEW`; what the file system answers.
    pub fn flush_segment(&self, address: u64, length: u64) -> Result<u64, NTSTATUS> {
        let (segment, range) = {
            let all = self.views.lock();
            let (start, view) = find(&all, address).ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
            let left = view.length - (address - start);
            let from = view.offset + (address - start);
            let length = if length == 0 { left } else { length.min(left) };
            (view.segment.clone(), from..from + length)
        };
        segment.flush(range.clone())?;
        Ok(range.end - range.start)
    }

    /// Ends all views, for a process that has ended.
    pub(crate) fn unmap_all_segments(&self) {
        let views = std::mem::take(&mut *self.views.lock());
        for start in views.keys() {
            self.give_back(*start);
        }
    }
}

/// Views in system space.
#[derive(Debug, Default)]
pub(super) struct SystemViews {
    all: Mutex<BTreeMap<u64, (SystemRange, SegmentUse)>>,
}

impl MemoryManager {
    /// The first `size` bytes of a file, in a segment.
    ///
    /// # Errors
    /// As for [`Segment::of_pagefile`]; what the file system answers to reading.
    pub fn segment_of_file(&self, size: u64, file: Box<dyn SegmentFile>) -> Result<SegmentUse, NTSTATUS> {
        const REFUSED: NTSTATUS = abi::STATUS_INSUFFICIENT_RESOURCES;
        let memory = Arc::new(memory(size)?);
        let pages = self.space.allocate(memory.len()).map_err(|_| REFUSED)?;
        pages.map(&memory, 0..memory.len(), Protection::ReadWrite).map_err(|_| REFUSED)?;
        let mut written = Vec::with_capacity(memory.len() / PAGE_SIZE);
        let mut chunk = vec![0; CHUNK];
        for offset in (0..size).step_by(CHUNK) {
            let count = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
            chunk.fill(0);
            file.read(offset, &mut chunk[..count])?;
            let whole = count.next_multiple_of(PAGE_SIZE);
            raw::copy_to(pages.base() as u64 + offset, &chunk[..whole]).map_err(|_| REFUSED)?;
            written.extend(chunk[..whole].chunks(PAGE_SIZE).map(digest));
        }
        let file = Some(Backing { file, pages, written: Mutex::new(written) });
        Ok(Segment::used(memory, size, file))
    }

    /// `MmMapViewInSystemSpace`: shows the first `length` bytes of a segment, a multiple of the page size; returns where.
    ///
    /// # Errors
    /// `STATUS_INVALID_VIEW_SIZE`; `STATUS_NO_MEMORY`.
    pub fn map_in_system_space(
        &self,
        segment: &SegmentUse,
        length: u64,
        writable: bool,
    ) -> Result<u64, NTSTATUS> {
        let part = segment.part(0, length).ok_or(abi::STATUS_INVALID_VIEW_SIZE)?;
        let range = self.space.allocate(part.range.len()).map_err(|_| abi::STATUS_NO_MEMORY)?;
        let protection = if writable { Protection::ReadWrite } else { Protection::Read };
        range.map(&part.memory, part.range, protection).map_err(|_| abi::STATUS_NO_MEMORY)?;
        let address = range.base() as u64;
        let mut all = self.system_views.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address, (range, segment.clone()));
        Ok(address)
    }

    /// `MmUnmapViewInSystemSpace`.
    ///
    /// # Errors
    /// `STATUS_NOT_MAPPED_VIEW` when no view begins there.
    pub fn unmap_in_system_space(&self, address: u64) -> Result<(), NTSTATUS> {
        let mut all = self.system_views.all.lock().unwrap_or_else(PoisonError::into_inner);
        let view = all.remove(&address).ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
        drop(all);
        drop(view);
        Ok(())
    }
}
