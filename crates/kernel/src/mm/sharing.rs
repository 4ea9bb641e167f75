//! System pages that are shown in user space: each lies in memory of its own for as long as it is, and is private again when
//! nobody is shown it any more (decision 3, `docs/decisions/0003-pages.md`). So a process sees the pages that it is shown, for
//! as long as it is shown them, and nothing of the pool around them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::pages::PagesError;
use platform::shared_memory::SharedMemory;

use super::space::SystemSpace;

/// The pages of a machine's pool that are shared now.
#[derive(Debug)]
pub(super) struct Sharing {
    space: SystemSpace,
    extents: Mutex<BTreeMap<usize, Extent>>,
    /// How many there are, so that who frees pool need not look.
    count: AtomicUsize,
}

/// Pages that moved together.
#[derive(Debug)]
struct Extent {
    length: usize,
    memory: Arc<SharedMemory>,
    /// How often a part of them is shown.
    shown: usize,
}

/// Pages to be shown: the bytes `range` of `memory`, which are those of the extent at `extent`.
#[derive(Clone, Debug)]
pub(super) struct Part {
    extent: usize,
    pub(super) memory: Arc<SharedMemory>,
    pub(super) range: Range<usize>,
}

impl Part {
    /// Of memory that is no pool.
    pub(super) fn of(memory: Arc<SharedMemory>, range: Range<usize>) -> Self {
        Self { extent: 0, memory, range }
    }
}

impl Sharing {
    pub(super) fn new(space: SystemSpace) -> Self {
        Self { space, extents: Mutex::default(), count: AtomicUsize::new(0) }
    }

    /// Shares the pages of `pages`, which are committed pool, in the order of their addresses.
    ///
    /// # Errors
    /// `NoMemory`; nothing is shared then that was not before.
    pub(super) fn share(&self, pages: Range<usize>) -> Result<Vec<Part>, PagesError> {
        let mut extents = self.extents();
        let mut parts = Vec::new();
        let mut at = pages.start;
        while at < pages.end {
            match self.share_from(&mut extents, at, pages.end) {
                Ok(part) => {
                    at += part.range.len();
                    parts.push(part);
                }
                Err(error) => {
                    self.release(&mut extents, &parts);
                    return Err(error);
                }
            }
        }
        Ok(parts)
    }

    /// Shares the pages from `at` on: the rest of the extent that `at` lies in, else those up to the next one.
    fn share_from(
        &self,
        extents: &mut BTreeMap<usize, Extent>,
        at: usize,
        end: usize,
    ) -> Result<Part, PagesError> {
        let before = extents.range_mut(..=at).next_back();
        if let Some((&start, extent)) = before.filter(|(start, extent)| at < *start + extent.length) {
            extent.shown += 1;
            let range = at - start..extent.length.min(end - start);
            return Ok(Part { extent: start, memory: Arc::clone(&extent.memory), range });
        }
        let next = extents.range(at..end).next().map_or(end, |(start, _)| *start);
        let length = next - at;
        let memory = Arc::new(self.space.move_to_descriptor(at, length)?);
        extents.insert(at, Extent { length, memory: Arc::clone(&memory), shown: 1 });
        self.count.store(extents.len(), Ordering::Release);
        Ok(Part { extent: at, memory, range: 0..length })
    }

    /// Undoes [`Self::share`].
    pub(super) fn unshare(&self, parts: &[Part]) {
        self.release(&mut self.extents(), parts);
    }

    fn release(&self, extents: &mut BTreeMap<usize, Extent>, parts: &[Part]) {
        for part in parts {
            let Some(extent) = extents.get_mut(&part.extent) else { continue };
            // The pages were given back, and others at the same place are shared now.
            if !Arc::ptr_eq(&extent.memory, &part.memory) {
                continue;
            }
            extent.shown -= 1;
            // When Linux has no memory for it, they stay shared until somebody is shown them and shown them no more.
            if extent.shown == 0 && self.space.make_private(part.extent, extent.length).is_ok() {
                extents.remove(&part.extent);
            }
        }
        self.count.store(extents.len(), Ordering::Release);
    }

    /// The pages of a block in `pages` are given back. True if some of them were shared: who is shown them keeps
    /// seeing what they hold now, so that nobody else must get them.
    pub(super) fn forget(&self, pages: Range<usize>) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut extents = self.extents();
        let gone: Vec<_> = extents.range(pages).map(|(start, _)| *start).collect();
        for start in &gone {
            extents.remove(start);
        }
        self.count.store(extents.len(), Ordering::Release);
        !gone.is_empty()
    }

    fn extents(&self) -> MutexGuard<'_, BTreeMap<usize, Extent>> {
        self.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use platform::pages::{PAGE_SIZE, Protection};

    use super::*;
    use crate::raw;

    fn pages(count: usize) -> (Sharing, super::super::SystemRange) {
        platform::fault::install().expect("handlers");
        let space = SystemSpace::new().expect("a slab");
        let range = space.allocate(count * PAGE_SIZE).expect("room");
        range.commit(0, count * PAGE_SIZE, Protection::ReadWrite).expect("memory");
        (Sharing::new(space), range)
    }

    fn at(range: &super::super::SystemRange, page: usize) -> usize {
        range.base() + page * PAGE_SIZE
    }

    #[test]
    fn ranges_that_overlap_share_the_same_pages_and_each_page_is_private_again_with_its_last_use() {
        let (sharing, range) = pages(6);
        raw::write(at(&range, 3) as u64, 33_u64).expect("committed");
        let middle = sharing.share(at(&range, 2)..at(&range, 4)).expect("memory");
        assert_eq!(middle.len(), 1);
        let all = sharing.share(range.range()).expect("memory");
        let ranges: Vec<_> = all.iter().map(|part| part.range.clone()).collect();
        assert_eq!(ranges, [0..2 * PAGE_SIZE, 0..2 * PAGE_SIZE, 0..2 * PAGE_SIZE]);
        assert!(Arc::ptr_eq(&all[1].memory, &middle[0].memory));
        let tail = sharing.share(at(&range, 3)..at(&range, 4)).expect("memory");
        assert_eq!(tail[0].range, PAGE_SIZE..2 * PAGE_SIZE);

        let view = tail[0].memory.map_anywhere(0..2 * PAGE_SIZE, Protection::ReadWrite).expect("a view");
        assert_eq!(raw::read::<u64>(view.address() as u64 + 4096).expect("mapped"), 33);
        sharing.unshare(&middle);
        sharing.unshare(&all);
        raw::write(at(&range, 3) as u64, 34_u64).expect("committed");
        assert_eq!(raw::read::<u64>(view.address() as u64 + 4096).expect("mapped"), 34, "still shown");
        sharing.unshare(&tail);
        raw::write(at(&range, 3) as u64, 35_u64).expect("committed");
        assert_eq!(raw::read::<u64>(view.address() as u64 + 4096).expect("mapped"), 34);
        assert_eq!(sharing.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn pages_that_were_given_back_while_they_were_shown_are_not_those_that_come_after_them() {
        let (sharing, range) = pages(2);
        let old = sharing.share(range.range()).expect("memory");
        assert!(sharing.forget(range.range()) && !sharing.forget(range.range()));
        let (start, space) = (range.base(), sharing.space.clone());
        drop(range);
        let range = space.allocate(2 * PAGE_SIZE).expect("room");
        assert_eq!(range.base(), start);
        range.commit(0, 2 * PAGE_SIZE, Protection::ReadWrite).expect("memory");
        let new = sharing.share(range.range()).expect("memory");
        sharing.unshare(&old);
        let view = new[0].memory.map_anywhere(0..PAGE_SIZE, Protection::Read).expect("a view");
        raw::write(start as u64, 5_u64).expect("committed");
        assert_eq!(raw::read::<u64>(view.address() as u64).expect("mapped"), 5, "the new ones stay shared");
        sharing.unshare(&new);
    }
}
