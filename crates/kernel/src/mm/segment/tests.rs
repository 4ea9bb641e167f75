//! What views show, how long pages stay, and what reaches a file and when.

use std::sync::atomic::AtomicBool;

use platform::mock::Mock;

use super::super::session_window::Fake;
use super::*;

fn manager() -> MemoryManager {
    platform::fault::install().expect("handlers");
    MemoryManager::new(&Mock::new(1), 1 << 20).expect("a machine's memory")
}

fn usage(segments: usize, views: usize, system_views: usize) -> SectionUsage {
    SectionUsage { segments, views, system_views }
}

/// A file in memory, as a file system keeps it: pages behind its end are none of its own.
#[derive(Clone, Debug, Default)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes: Arc<Mutex<Vec<(u64, usize)>>>,
    refuses: Arc<AtomicBool>,
}

impl Kept {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(Mutex::new(bytes)), ..Self::default() }
    }

    fn writes(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut *self.writes.lock().expect("no panics"))
    }
}

impl SegmentFile for Kept {
    fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), NTSTATUS> {
        let bytes = self.bytes.lock().expect("no panics");
        let rest = bytes.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        Ok(())
    }

    fn write(&self, offset: u64, source: &[u8]) -> Result<(), NTSTATUS> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(abi::STATUS_DISK_FULL);
        }
        self.writes.lock().expect("no panics").push((offset, source.len()));
        let mut bytes = self.bytes.lock().expect("no panics");
        let offset = usize::try_from(offset).expect("small");
        let end = bytes.len().min(offset + source.len());
        bytes[offset..end].copy_from_slice(&source[..end - offset]);
        Ok(())
    }
}

#[test]
fn views_of_all_processes_and_of_the_system_show_the_same_pages() {
    let mm = manager();
    let segment = mm.segment(3 * PAGE).expect("memory");
    let (first, second) = (UserSpace::default(), UserSpace::default());
    let here = first.map_segment(&segment, 0, 3 * PAGE, true, 0).expect("room");
    let there = second.map_segment(&segment, 0, PAGE, false, 0).expect("room");
    let system = mm.map_in_system_space(&segment, 3 * PAGE, true, PoolOwner(7)).expect("room");
    assert_eq!(raw::read::<u64>(here).expect("shown"), 0, "zeroes at first");
    raw::write(here + 8, 5_u64).expect("writable");
    raw::write(system, 6_u64).expect("writable");
    for view in [here, there, system] {
        let both = (raw::read::<u64>(view).expect("shown"), raw::read::<u64>(view + 8).expect("shown"));
        assert_eq!(both, (6, 5));
    }
    assert!(raw::write(there, 1_u8).is_err(), "only to be read");
    assert!(raw::read::<u8>(there + PAGE).is_err(), "no more than was asked for");
    assert_eq!(mm.section_usage(), usage(1, 2, 1));
    first.unmap_all_segments();
    second.unmap_segment(there + PAGE - 1).expect("an address in it");
    assert!(raw::read::<u8>(here).is_err() && raw::read::<u8>(there).is_err());
    drop(segment);
    assert_eq!(mm.section_usage(), usage(1, 0, 1), "a view keeps the pages");
    assert_eq!(raw::read::<u64>(system + 8).expect("still shown"), 5);
    mm.unmap_in_system_space(system).expect("a view");
    assert!(raw::read::<u8>(system).is_err());
    assert_eq!(mm.section_usage(), usage(0, 0, 0));
}

#[test]
fn what_is_no_view_is_not_unmapped_and_a_process_that_has_ended_gets_none() {
    let mm = manager();
    let segment = mm.segment(2 * PAGE).expect("memory");
    let space = UserSpace::default();
    let no_view = Err(abi::STATUS_NOT_MAPPED_VIEW);
    assert_eq!(space.unmap_segment(0x2000_0000_0000), no_view);
    let view = space.map_segment(&segment, PAGE, PAGE, true, 0).expect("room");
    assert_eq!(space.unmap_segment(view + PAGE), no_view);
    assert_eq!(space.unmap_segment(view - 1), no_view);
    assert_eq!(mm.unmap_in_system_space(view), no_view);
    let too_much = Err(abi::STATUS_INVALID_VIEW_SIZE);
    assert_eq!(space.map_segment(&segment, PAGE, 2 * PAGE, true, 0), too_much);
    assert_eq!(mm.map_in_system_space(&segment, 3 * PAGE, true, PoolOwner(7)), too_much);
    // An allocation of the process's own, or what a driver maps by an MDL, is no view either.
    let own = space.allocate(PAGE).expect("room");
    assert_eq!(space.unmap_segment(own), no_view);
    space.unmap_segment(view).expect("a view");
    assert_eq!(space.unmap_segment(view), no_view);
    space.unmap_all_segments();
    assert_eq!(space.map_segment(&segment, 0, PAGE, true, 0), Err(abi::STATUS_PROCESS_IS_TERMINATING));
    assert_eq!(mm.section_usage(), usage(1, 0, 0));
}

#[test]
fn a_view_that_cannot_be_shown_leaves_nothing() {
    let mm = manager();
    let segment = mm.segment(PAGE).expect("memory");
    let space = UserSpace::in_window(Box::new(Fake::default()));
    let first = space.map_segment(&segment, 0, PAGE, true, 0).expect("room");
    let _second = space.map_segment(&segment, 0, PAGE, true, 0).expect("room");
    assert_eq!(space.map_segment(&segment, 0, PAGE, true, 0), Err(abi::STATUS_INSUFFICIENT_RESOURCES));
    assert_eq!(space.map_segment(&segment, 0, PAGE, true, first), Err(abi::STATUS_CONFLICTING_ADDRESSES));
    assert_eq!(mm.section_usage(), usage(1, 2, 0));
}

#[test]
fn sections_that_no_window_holds_are_too_big() {
    let mm = manager();
    for size in [LARGEST_SECTION + 1, u64::MAX] {
        assert_eq!(mm.segment(size).map(drop), Err(abi::STATUS_SECTION_TOO_BIG));
    }
    // What is not touched takes no memory.
    assert!(mm.segment(1 << 36).is_ok());
}

#[test]
fn a_file_is_written_page_by_page_where_it_has_changed_when_it_is_flushed() {
    let mm = manager();
    let file = Kept::of(vec![7; 40 * PAGE_SIZE + 10]);
    let segment = mm.segment_of_file(40 * PAGE + 10, Box::new(file.clone())).expect("is read");
    let space = UserSpace::default();
    let view = space.map_segment(&segment, 16 * PAGE, 25 * PAGE, true, 0).expect("room");
    assert_eq!(raw::read::<u8>(view + 24 * PAGE + 9).expect("shown"), 7, "its last byte");
    assert_eq!(raw::read::<u8>(view + 24 * PAGE + 10).expect("shown"), 0, "and behind its end");
    assert_eq!(space.flush_segment(view, 0).expect("nothing to do"), 25 * PAGE);
    assert_eq!(file.writes(), []);
    for at in [PAGE, 5 * PAGE + 7, 24 * PAGE + 9] {
        raw::write(view + at, 9_u8).expect("writable");
    }
    assert_eq!(space.flush_segment(view + PAGE + 100, 4 * PAGE).expect("is written"), 4 * PAGE);
    assert_eq!(file.writes(), [(17 * PAGE, PAGE_SIZE), (21 * PAGE, PAGE_SIZE)], "whole pages");
    assert_eq!(space.flush_segment(view, 0).expect("is written"), 25 * PAGE);
    assert_eq!(file.writes(), [(40 * PAGE, PAGE_SIZE)], "what has not changed since is not written again");
    assert_eq!(space.flush_segment(0x1000, 0), Err(abi::STATUS_NOT_MAPPED_VIEW));
    let bytes = file.bytes.lock().expect("no panics");
    assert_eq!((bytes.len(), bytes[40 * PAGE_SIZE + 9]), (40 * PAGE_SIZE + 10, 9));
}

#[test]
fn a_file_is_written_with_its_last_use_and_a_page_that_was_refused_is_tried_again() {
    let mm = manager();
    let file = Kept::of(vec![1; PAGE_SIZE]);
    let segment = mm.segment_of_file(PAGE, Box::new(file.clone())).expect("is read");
    let space = UserSpace::default();
    let view = space.map_segment(&segment, 0, PAGE, true, 0).expect("room");
    raw::write(view, 2_u8).expect("writable");
    file.refuses.store(true, Ordering::Relaxed);
    assert_eq!(space.flush_segment(view, 0), Err(abi::STATUS_DISK_FULL));
    file.refuses.store(false, Ordering::Relaxed);
    drop(segment);
    assert_eq!(file.writes(), [], "a view uses it");
    space.unmap_all_segments();
    assert_eq!(file.writes(), [(0, PAGE_SIZE)]);
    assert_eq!(file.bytes.lock().expect("no panics")[0], 2);
    assert_eq!(mm.section_usage(), usage(0, 0, 0));
}
