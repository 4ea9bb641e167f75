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
use super::{MemoryManager, PoolOwner, SystemRange, UserSpace};
use crate::raw;

const PAGE: u64 = PAGE_SIZE as u64;
/// Sections of more bytes are refused: no window holds a view of so many.
pub(crate) const LARGEST_SECTION: u64 = 1 << 40;
/// Bytes that are read from a file at once, whole pages.
const CHUNK: usize = 16 * PAGE_SIZE;

/// The file that a segment is filled from. It is asked for whole pages, the last of which may reach beyond its end, and which
/// begin at multiples of the page size.
pub trait SegmentFile: Debug + Send + Sync {
    /// Fills `bytes` from the file's bytes at `offset`; what lies behind its end is zero.
    ///
    /// # Errors
    /// What the file system answers.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), NTSTATUS>;

    /// Writes the file's bytes at `offset`, but none behind its end.
    ///
    /// # Errors
    /// What the file system answers.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), NTSTATUS>;
}

/// What of sections there is in a machine now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionUsage {
    /// Segments: pages that a section or a view still uses.
    pub segments: usize,
    /// Views in processes.
    pub views: usize,
    /// Views in system space.
    pub system_views: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    segments: AtomicUsize,
    views: AtomicUsize,
}

/// The pages of a section, or of all sections of a file.
#[derive(Debug)]
pub struct Segment {
    memory: Arc<SharedMemory>,
    /// Bytes; its last page may have more.
    size: u64,
    file: Option<Backing>,
    /// Sections and views.
    uses: AtomicUsize,
    counts: Arc<Counts>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.counts.segments.fetch_sub(1, Ordering::AcqRel);
    }
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
    /// Bytes that sections show of it at most.
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
                file.write(offset, &page)?;
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
    if size > LARGEST_SECTION {
        return Err(abi::STATUS_SECTION_TOO_BIG);
    }
    let bytes = usize::try_from(size.next_multiple_of(PAGE)).map_err(|_| abi::STATUS_SECTION_TOO_BIG)?;
    SharedMemory::new(bytes).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)
}

fn digest(page: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(page);
    hasher.finish()
}

/// The views of segments in one process, by address; `None` when the process has ended.
#[derive(Debug)]
pub(super) struct Views {
    all: Mutex<Option<BTreeMap<u64, View>>>,
}

impl Default for Views {
    fn default() -> Self {
        Self { all: Mutex::new(Some(BTreeMap::new())) }
    }
}

#[derive(Debug)]
struct View {
    length: u64,
    offset: u64,
    segment: SegmentUse,
}

impl Drop for View {
    fn drop(&mut self) {
        self.segment.counts.views.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Views {
    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<u64, View>>> {
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
    /// `STATUS_INVALID_VIEW_SIZE` for what is not all in the segment; `STATUS_CONFLICTING_ADDRESSES`;
    /// `STATUS_PROCESS_IS_TERMINATING`; `STATUS_INSUFFICIENT_RESOURCES`.
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
        segment.counts.views.fetch_add(1, Ordering::AcqRel);
        let view = View { length, offset, segment: segment.clone() };
        if let Some(all) = self.views.lock().as_mut() {
            all.insert(address, view);
            return Ok(address);
        }
        self.give_back(address);
        Err(abi::STATUS_PROCESS_IS_TERMINATING)
    }

    /// Ends the view that `address` lies in.
    ///
    /// # Errors
    /// `STATUS_NOT_MAPPED_VIEW` when there is none.
    pub fn unmap_segment(&self, address: u64) -> Result<(), NTSTATUS> {
        let (start, view) = {
            let mut all = self.views.lock();
            let all = all.as_mut().ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
            let (start, _) = find(all, address).ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
            (start, all.remove(&start))
        };
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
            let found = all.as_ref().and_then(|all| find(all, address));
            let (start, view) = found.ok_or(abi::STATUS_NOT_MAPPED_VIEW)?;
            let left = view.length - (address - start);
            let from = view.offset + (address - start);
            let length = if length == 0 { left } else { length.min(left) };
            (view.segment.clone(), from..from + length)
        };
        segment.flush(range.clone())?;
        Ok(range.end - range.start)
    }

    /// Ends all views, for a process that has ended; it gets no more.
    pub(crate) fn unmap_all_segments(&self) {
        let views = self.views.lock().take().unwrap_or_default();
        for start in views.keys() {
            self.give_back(*start);
        }
    }
}

/// Where a section is shown in system space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemView {
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub length: u64,
    /// The driver that mapped it.
    pub owner: PoolOwner,
}

/// Views in system space, by address.
#[derive(Debug, Default)]
pub(super) struct SystemViews {
    all: Mutex<BTreeMap<u64, LiveSystemView>>,
}

#[derive(Debug)]
struct LiveSystemView {
    // Taken out of system space before its file is written.
    range: SystemRange,
    owner: PoolOwner,
    _segment: SegmentUse,
}

impl SystemViews {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, LiveSystemView>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryManager {
    /// Zeroed pages for a section of `size` bytes.
    ///
    /// # Errors
    /// `STATUS_SECTION_TOO_BIG`; `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn segment(&self, size: u64) -> Result<SegmentUse, NTSTATUS> {
        Ok(self.used_segment(Arc::new(memory(size)?), size, None))
    }

    /// The first `size` bytes of a file, in a segment.
    ///
    /// # Errors
    /// As for [`Self::segment`]; what the file system answers to reading.
    pub fn segment_of_file(&self, size: u64, file: Box<dyn SegmentFile>) -> Result<SegmentUse, NTSTATUS> {
        const REFUSED: NTSTATUS = abi::STATUS_INSUFFICIENT_RESOURCES;
        let memory = Arc::new(memory(size)?);
        let pages = self.space.allocate(memory.len()).map_err(|_| REFUSED)?;
        pages.map(&memory, 0..memory.len(), Protection::ReadWrite).map_err(|_| REFUSED)?;
        let mut written = Vec::with_capacity(memory.len() / PAGE_SIZE);
        let mut chunk = vec![0; CHUNK];
        for offset in (0..memory.len()).step_by(CHUNK) {
            let chunk = &mut chunk[..CHUNK.min(memory.len() - offset)];
            chunk.fill(0);
            file.read(offset as u64, chunk)?;
            raw::copy_to((pages.base() + offset) as u64, chunk).map_err(|_| REFUSED)?;
            written.extend(chunk.chunks(PAGE_SIZE).map(digest));
        }
        let file = Some(Backing { file, pages, written: Mutex::new(written) });
        Ok(self.used_segment(memory, size, file))
    }

    fn used_segment(&self, memory: Arc<SharedMemory>, size: u64, file: Option<Backing>) -> SegmentUse {
        let counts = Arc::clone(&self.section_counts);
        counts.segments.fetch_add(1, Ordering::AcqRel);
        SegmentUse::of(Arc::new(Segment { memory, size, file, uses: AtomicUsize::new(0), counts }))
    }

    /// `MmMapViewInSystemSpace` of a driver: shows the first `length` bytes of a segment, a multiple of the page size; returns
    /// where.
    ///
    /// # Errors
    /// `STATUS_INVALID_VIEW_SIZE`; `STATUS_NO_MEMORY`.
    pub fn map_in_system_space(
        &self,
        segment: &SegmentUse,
        length: u64,
        writable: bool,
        owner: PoolOwner,
    ) -> Result<u64, NTSTATUS> {
        let part = segment.part(0, length).ok_or(abi::STATUS_INVALID_VIEW_SIZE)?;
        let range = self.space.allocate(part.range.len()).map_err(|_| abi::STATUS_NO_MEMORY)?;
        let protection = if writable { Protection::ReadWrite } else { Protection::Read };
        range.map(&part.memory, part.range, protection).map_err(|_| abi::STATUS_NO_MEMORY)?;
        let address = range.base() as u64;
        let view = LiveSystemView { range, owner, _segment: segment.clone() };
        self.system_views.lock().insert(address, view);
        Ok(address)
    }

    /// `MmUnmapViewInSystemSpace`.
    ///
    /// # Errors
    /// `STATUS_NOT_MAPPED_VIEW` when no view begins there.
    pub fn unmap_in_system_space(&self, address: u64) -> Result<(), NTSTATUS> {
        // Its file may be written when it is dropped, under no lock.
        let view = self.system_views.lock().remove(&address);
        view.map(drop).ok_or(abi::STATUS_NOT_MAPPED_VIEW)
    }

    /// Views in system space that a driver has mapped and not unmapped.
    #[must_use]
    pub fn system_views_of(&self, driver: PoolOwner) -> Vec<SystemView> {
        let all = self.system_views.lock();
        let own = all.iter().filter(|(_, view)| view.owner == driver);
        own.map(|(&address, view)| SystemView { address, length: view.range.len() as u64, owner: driver })
            .collect()
    }

    /// What of sections there is now.
    #[must_use]
    pub fn section_usage(&self) -> SectionUsage {
        SectionUsage {
            segments: self.section_counts.segments.load(Ordering::Acquire),
            views: self.section_counts.views.load(Ordering::Acquire),
            system_views: self.system_views.lock().len(),
        }
    }
}

#[cfg(test)]
mod tests;
