//! Pool: tagged memory for drivers, with bounds checked when it is freed and usage counted by owner and tag.
//!
//! All bookkeeping lies outside of the memory that drivers can overwrite. As on NT, a block smaller than a page
//! does not cross a page boundary and a block of a page or more begins on one; such blocks end before an
//! inaccessible page. Which IRQL may use which pool is the callers' matter.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use platform::pages::{PAGE_SIZE, Protection};

use super::sharing::Sharing;
use super::space::{SystemRange, SystemSpace};
use crate::raw;

/// Who allocated a block: 0 is the kernel, others are drivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolOwner(pub u32);

/// A live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolBlock {
    /// Its first byte.
    pub address: u64,
    /// Bytes asked for.
    pub size: usize,
    /// Its tag, the first character in the lowest byte.
    pub tag: u32,
    /// Who allocated it.
    pub owner: PoolOwner,
    /// Whether it is paged pool.
    pub paged: bool,
}

/// What an owner holds under one tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagUsage {
    /// Live blocks.
    pub blocks: usize,
    /// Bytes asked for in them.
    pub bytes: usize,
    /// Of these blocks, those of paged pool.
    pub paged_blocks: usize,
    /// Of these bytes, those of paged pool.
    pub paged_bytes: usize,
}

impl TagUsage {
    fn add(&mut self, block: &PoolBlock) {
        self.blocks += 1;
        self.bytes += block.size;
        self.paged_blocks += usize::from(block.paged);
        self.paged_bytes += if block.paged { block.size } else { 0 };
    }

    fn remove(&mut self, block: &PoolBlock) {
        self.blocks -= 1;
        self.bytes -= block.size;
        self.paged_blocks -= usize::from(block.paged);
        self.paged_bytes -= if block.paged { block.size } else { 0 };
    }
}

/// Why a block could not be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// No block begins at the address, or it has been freed already: BAD_POOL_CALLER.
    NotAllocated,
    /// Bytes behind the block were overwritten: BAD_POOL_HEADER.
    Overrun(PoolBlock),
}

/// A tag's four characters, dots for those that cannot be printed.
#[must_use]
pub fn tag_name(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' })
        .collect()
}

/// Sizes of the blocks that pages are cut into, in bytes.
const CLASSES: [usize; 13] = [32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048, 4096];
/// What the bytes between a block's end and the next block hold: none of the bits that IoMarkIrpPending or
/// IoSetCompletionRoutine set, should they take what lies behind an IRP for a stack location.
const FILL: u8 = 0x1C;
/// Bytes that at least stand behind each block smaller than a page.
const MARGIN: usize = 8;
/// The largest blocks of whole pages whose pages are kept when they are freed, in bytes: those of the kernel's own, since large
/// transfers take one for each request. A driver's pages are given back, so that its use of them after that faults.
const KEPT_BLOCK: usize = 256 * 1024;
/// Bytes of pages that are kept.
const KEPT_PAGES: usize = 8 * 1024 * 1024;
/// Blocks of whole pages at a time. With the page behind it that nobody can touch each is two mappings for Linux, of which a process
/// has 65,530 (`vm.max_map_count`): whoever wants more is refused here, before the process itself has none left.
const MOST_MAPPED: usize = 20_000;
/// Pages taken from system space at once for small blocks.
const CHUNK: usize = 64 * 1024;

/// A machine's pool.
#[derive(Debug)]
pub struct Pool {
    space: SystemSpace,
    pub(super) sharing: Sharing,
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<u64, Live>,
    usage: HashMap<(PoolOwner, u32), TagUsage>,
    free: [Vec<u64>; CLASSES.len()],
    pages: Vec<u64>,
    chunks: Vec<SystemRange>,
    /// Committed pages, each with its guard page, and how many bytes are committed.
    kept: Vec<(usize, SystemRange)>,
    kept_bytes: usize,
    /// Blocks of whole pages, and those that are kept.
    mapped: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Live {
    block: PoolBlock,
    home: Home,
}

#[derive(Debug)]
enum Home {
    /// Index into [`CLASSES`].
    Class(usize),
    Pages(SystemRange),
}

impl Pool {
    pub(super) fn new(space: SystemSpace, limit: usize) -> Self {
        Self { sharing: Sharing::new(space.clone()), space, limit, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocates `size` bytes (zero counts as one). The content is what was there before; fresh pages are zero.
    ///
    /// Returns `None` when the machine's pool limit or memory is exhausted.
    pub fn allocate(&self, size: usize, tag: u32, owner: PoolOwner, paged: bool) -> Option<PoolBlock> {
        let size = size.max(1);
        let mut inner = self.lock();
        if size > self.limit - inner.bytes.min(self.limit) {
            return None;
        }
        let (address, home) =
            if size < PAGE_SIZE { self.cut(&mut inner, size)? } else { self.map(&mut inner, size)? };
        let block = PoolBlock { address, size, tag, owner, paged };
        inner.bytes += size;
        inner.usage.entry((owner, tag)).or_default().add(&block);
        inner.blocks.insert(address, Live { block, home });
        drop(inner);
        fill_margin(&block);
        Some(block)
    }

    /// Allocates and zeroes.
    pub fn allocate_zeroed(&self, size: usize, tag: u32, owner: PoolOwner) -> Option<PoolBlock> {
        let block = self.allocate(size, tag, owner, false)?;
        // The pages of larger ones are always fresh.
        if block.size <= KEPT_BLOCK {
            raw::fill(block.address, 0, block.size).ok()?;
        }
        Some(block)
    }

    /// Frees the block that begins at `address`.
    ///
    /// # Errors
    /// See [`PoolError`]; an overrun block is kept as it is, for the report.
    pub fn free(&self, address: u64) -> Result<PoolBlock, PoolError> {
        let mut inner = self.lock();
        let live = inner.blocks.get(&address).ok_or(PoolError::NotAllocated)?;
        let block = live.block;
        if !margin_is_intact(&block) {
            return Err(PoolError::Overrun(block));
        }
        let Some(live) = inner.blocks.remove(&address) else { return Err(PoolError::NotAllocated) };
        inner.bytes -= block.size;
        if let Some(usage) = inner.usage.get_mut(&(block.owner, block.tag)) {
            usage.remove(&block);
            if usage.blocks == 0 {
                inner.usage.remove(&(block.owner, block.tag));
            }
        }
        match live.home {
            Home::Class(class) => inner.free[class].push(address),
            Home::Pages(range) => {
                let committed = block.size.next_multiple_of(PAGE_SIZE);
                let shown = self.sharing.forget(range.range());
                let is_own = block.owner == PoolOwner::default() && committed <= KEPT_BLOCK && !shown;
                if is_own && inner.kept_bytes + committed <= KEPT_PAGES {
                    inner.kept_bytes += committed;
                    inner.kept.push((committed, range));
                } else {
                    inner.mapped -= 1;
                    drop(inner);
                    drop(range);
                }
            }
        }
        Ok(block)
    }

    /// The live block that `address` lies in.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<PoolBlock> {
        let inner = self.lock();
        let (_, live) = inner.blocks.range(..=address).next_back()?;
        (address - live.block.address < live.block.size as u64).then_some(live.block)
    }

    /// What is allocated now, by owner and tag, in order.
    #[must_use]
    pub fn usage(&self) -> Vec<(PoolOwner, u32, TagUsage)> {
        let inner = self.lock();
        let mut rows: Vec<_> =
            inner.usage.iter().map(|((owner, tag), usage)| (*owner, *tag, *usage)).collect();
        rows.sort_by_key(|(owner, tag, _)| (*owner, tag.to_le_bytes()));
        rows
    }

    fn cut(&self, inner: &mut Inner, size: usize) -> Option<(u64, Home)> {
        let class = CLASSES.iter().position(|length| size + MARGIN <= *length).unwrap_or(CLASSES.len() - 1);
        if inner.free[class].is_empty() {
            let page = match inner.pages.pop() {
                Some(page) => page,
                None => self.grow(inner)?,
            };
            let length = CLASSES[class];
            // From the highest down, so that addresses are handed out upwards.
            inner.free[class]
                .extend((0..PAGE_SIZE / length).rev().map(|index| page + (index * length) as u64));
        }
        Some((inner.free[class].pop()?, Home::Class(class)))
    }

    fn grow(&self, inner: &mut Inner) -> Option<u64> {
        let chunk = self.space.allocate(CHUNK).ok()?;
        chunk.commit(0, CHUNK, Protection::ReadWrite).ok()?;
        inner.pages.extend(chunk.range().step_by(PAGE_SIZE).rev().map(|page| page as u64));
        inner.chunks.push(chunk);
        inner.pages.pop()
    }

    fn map(&self, inner: &mut Inner, size: usize) -> Option<(u64, Home)> {
        let committed = size.checked_next_multiple_of(PAGE_SIZE)?;
        // The last one that was freed is the one that is still in the processor's caches.
        if let Some(index) = inner.kept.iter().rposition(|(bytes, _)| *bytes == committed) {
            let (bytes, range) = inner.kept.remove(index);
            inner.kept_bytes -= bytes;
            return Some((range.base() as u64, Home::Pages(range)));
        }
        if inner.mapped >= MOST_MAPPED {
            return None;
        }
        let range = self.space.allocate(committed.checked_add(PAGE_SIZE)?).ok()?;
        range.commit(0, committed, Protection::ReadWrite).ok()?;
        inner.mapped += 1;
        Some((range.base() as u64, Home::Pages(range)))
    }
}

/// Bytes between the block's end and the next thing, at most [`MARGIN`].
fn margin(block: &PoolBlock) -> (u64, usize) {
    let end = block.address + block.size as u64;
    let length = if block.size < PAGE_SIZE {
        MARGIN.min(PAGE_SIZE - usize::try_from(end % PAGE_SIZE as u64).unwrap_or(0))
    } else {
        usize::try_from(end.next_multiple_of(PAGE_SIZE as u64) - end).unwrap_or(0).min(MARGIN)
    };
    (end, length)
}

fn fill_margin(block: &PoolBlock) {
    let (end, length) = margin(block);
    raw::fill(end, FILL, length).expect("a block's margin is committed");
}

fn margin_is_intact(block: &PoolBlock) -> bool {
    let (end, length) = margin(block);
    let mut bytes = [FILL; MARGIN];
    raw::copy_from(&mut bytes[..length], end).is_ok() && bytes.iter().all(|byte| *byte == FILL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: u32 = u32::from_le_bytes(*b"Test");
    const OWNER: PoolOwner = PoolOwner(7);

    fn pool() -> Pool {
        platform::fault::install().expect("handlers");
        Pool::new(SystemSpace::new().expect("a slab"), 1 << 24)
    }

    #[test]
    fn a_block_below_a_page_does_not_cross_a_page_and_larger_ones_begin_on_one() {
        let pool = pool();
        for size in [1, 24, 25, 100, 500, 1352, 2040, 2041, 4095, 4096, 4097, 100_000] {
            for _ in 0..5 {
                let block = pool.allocate(size, TAG, OWNER, false).expect("memory");
                let page = PAGE_SIZE as u64;
                if size < PAGE_SIZE {
                    assert_eq!(block.address / page, (block.address + size as u64 - 1) / page, "size {size}");
                    assert_eq!(block.address % 16, 0);
                } else {
                    assert_eq!(block.address % page, 0, "size {size}");
                }
                raw::fill(block.address, 0x55, size).expect("writable");
            }
        }
    }

    #[test]
    fn a_block_is_freed_once() {
        let pool = pool();
        let block = pool.allocate(100, TAG, OWNER, false).expect("memory");
        assert_eq!(pool.free(block.address + 16), Err(PoolError::NotAllocated));
        assert_eq!(pool.free(block.address), Ok(block));
        assert_eq!(pool.free(block.address), Err(PoolError::NotAllocated));
    }

    #[test]
    fn writing_behind_a_block_is_found_when_it_is_freed() {
        let pool = pool();
        for size in [1, 24, 2048, 4095, 5000] {
            let block = pool.allocate(size, TAG, OWNER, false).expect("memory");
            raw::write(block.address + size as u64, 0_u8).expect("inside the page");
            assert_eq!(pool.free(block.address), Err(PoolError::Overrun(block)), "size {size}");
        }
    }

    #[test]
    fn behind_a_block_of_whole_pages_nothing_is_mapped() {
        let pool = pool();
        let block = pool.allocate(2 * PAGE_SIZE, TAG, OWNER, false).expect("memory");
        assert!(raw::write(block.address + block.size as u64, 0_u8).is_err());
    }

    #[test]
    fn usage_is_counted_by_owner_and_tag() {
        let pool = pool();
        let first = pool.allocate(100, TAG, OWNER, false).expect("memory");
        let second = pool.allocate(5000, TAG, OWNER, true).expect("memory");
        let expected = TagUsage { blocks: 2, bytes: 5100, paged_blocks: 1, paged_bytes: 5000 };
        assert_eq!(pool.usage(), vec![(OWNER, TAG, expected)]);
        pool.free(first.address).expect("live");
        pool.free(second.address).expect("live");
        assert_eq!(pool.usage(), vec![]);
    }

    #[test]
    fn the_limit_is_an_error_and_not_the_end() {
        let pool = pool();
        assert!(pool.allocate(1 << 25, TAG, OWNER, false).is_none());
        assert!(pool.allocate(usize::MAX, TAG, OWNER, false).is_none());
        let block = pool.allocate(1 << 23, TAG, OWNER, false).expect("below the limit");
        assert!(pool.allocate(1 << 24, TAG, OWNER, false).is_none());
        pool.free(block.address).expect("live");
    }

    #[test]
    fn blocks_of_pages_run_out_before_the_mappings_of_the_process_do() {
        platform::fault::install().expect("handlers");
        let pool = Pool::new(SystemSpace::new().expect("a slab"), 1 << 40);
        let blocks: Vec<_> =
            std::iter::from_fn(|| pool.allocate(PAGE_SIZE, TAG, OWNER, false)).take(1 << 17).collect();
        assert_eq!(blocks.len(), MOST_MAPPED);
        std::thread::spawn(|| ()).join().expect("a thread finds room for its stack");
        assert!(pool.allocate(100, TAG, OWNER, false).is_some(), "small ones share pages");
        pool.free(blocks[7].address).expect("live");
        assert!(pool.allocate(PAGE_SIZE, TAG, OWNER, false).is_some());
        assert!(pool.allocate(PAGE_SIZE, TAG, OWNER, false).is_none());
    }

    #[test]
    fn an_address_inside_a_block_finds_it() {
        let pool = pool();
        let block = pool.allocate(100, TAG, OWNER, false).expect("memory");
        assert_eq!(pool.find(block.address + 99), Some(block));
        assert_eq!(pool.find(block.address + 100), None);
    }
}
