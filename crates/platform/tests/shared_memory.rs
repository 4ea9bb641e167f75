//! Shared memory: views show the same pages, sizes are final, and descriptors of strangers are checked.
#![expect(unsafe_code, reason = "the tests read and write the pages by address")]

extern crate ringbridge_platform as platform;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use platform::pages::{PAGE_SIZE, PagesError, Protection, Reservation, USER_WINDOWS, WINDOW_STRIDE};
use platform::shared_memory::{Mapping, SharedMemory};

fn word(view: &Mapping, offset: usize) -> &AtomicU64 {
    assert!(offset + 8 <= view.len());
    // SAFETY: inside the view, which outlives the reference.
    let place = unsafe { view.as_ptr().add(offset) };
    // SAFETY: aligned, and only ever used atomically.
    unsafe { AtomicU64::from_ptr(place.cast()) }
}

/// A memory file as a hostile peer might make one.
fn memory_file(flags: libc::c_uint, len: i64, seals: libc::c_int) -> OwnedFd {
    // SAFETY: a terminated name.
    let descriptor = unsafe { libc::memfd_create(c"peer".as_ptr(), flags | libc::MFD_CLOEXEC) };
    assert!(descriptor >= 0);
    // SAFETY: just made, and owned by nobody else.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::ftruncate(descriptor.as_raw_fd(), len) }, 0);
    if seals != 0 {
        // SAFETY: a plain system call.
        assert_eq!(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    }
    descriptor
}

const PAGE: i64 = 4096;
const FINAL: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

#[test]
fn all_views_show_the_same_pages() {
    let memory = SharedMemory::new(3 * PAGE_SIZE).expect("memory");
    let whole = memory.map_anywhere(0..memory.len(), Protection::ReadWrite).expect("a view");
    let part = memory.map_anywhere(PAGE_SIZE..2 * PAGE_SIZE, Protection::Read).expect("a view");
    assert_eq!(word(&whole, PAGE_SIZE).load(Ordering::Relaxed), 0);
    word(&whole, PAGE_SIZE).store(5, Ordering::Relaxed);
    assert_eq!(word(&part, 0).load(Ordering::Relaxed), 5);
    assert_eq!(part.len(), PAGE_SIZE);
}

#[test]
fn a_descriptor_for_reading_maps_for_reading_only() {
    let memory = SharedMemory::new(PAGE_SIZE).expect("memory");
    let sent = memory.descriptor_for_peer(false).expect("a descriptor");
    let received = SharedMemory::from_descriptor(sent).expect("sealed");
    assert_eq!(
        received.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect_err("no"),
        PagesError::AccessDenied
    );
    let theirs = received.map_anywhere(0..PAGE_SIZE, Protection::Read).expect("a view");
    let ours = memory.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect("a view");
    word(&ours, 8).store(3, Ordering::Relaxed);
    assert_eq!(word(&theirs, 8).load(Ordering::Relaxed), 3);
    let mode = mode_of(&received);
    assert_eq!(mode & 0o077, 0, "nobody else opens it anew");
}

fn mode_of(memory: &SharedMemory) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let file = File::from(memory.as_fd().try_clone_to_owned().expect("a descriptor"));
    file.metadata().expect("a file").permissions().mode()
}

#[test]
fn a_descriptor_that_went_through_another_owner_shows_the_same_pages() {
    let memory = SharedMemory::new(PAGE_SIZE).expect("memory");
    let sent = memory.as_fd().try_clone_to_owned().expect("a descriptor");
    let received = SharedMemory::from_descriptor(sent).expect("sealed");
    assert_eq!(received.len(), PAGE_SIZE);
    let clone = received.try_clone().expect("a descriptor");
    let ours = memory.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect("a view");
    let theirs = clone.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect("a view");
    word(&theirs, 8).store(9, Ordering::Relaxed);
    assert_eq!(word(&ours, 8).load(Ordering::Relaxed), 9);
}

#[test]
fn the_size_is_final_and_no_seal_can_follow() {
    let memory = SharedMemory::new(2 * PAGE_SIZE).expect("memory");
    let descriptor = memory.as_fd().as_raw_fd();
    for len in [0, PAGE, 3 * PAGE] {
        // SAFETY: a plain system call.
        assert_eq!(unsafe { libc::ftruncate(descriptor, len) }, -1);
    }
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::fcntl(descriptor, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) }, -1);
    // SAFETY: a plain system call.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

#[test]
fn descriptors_that_could_hurt_us_are_refused() {
    let sealing = libc::MFD_ALLOW_SEALING;
    let refused = |descriptor: OwnedFd| SharedMemory::from_descriptor(descriptor).expect_err("refused");

    let good = memory_file(sealing, PAGE, FINAL);
    assert_eq!(SharedMemory::from_descriptor(good).expect("sealed").len(), PAGE_SIZE);
    for seals in [0, libc::F_SEAL_SHRINK, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW, FINAL | libc::F_SEAL_WRITE]
    {
        assert_eq!(refused(memory_file(sealing, PAGE, seals)), PagesError::NotSealed, "{seals:#x}");
    }
    let future = memory_file(sealing, PAGE, FINAL | libc::F_SEAL_FUTURE_WRITE);
    assert_eq!(refused(future), PagesError::NotSealed);
    assert_eq!(refused(memory_file(0, PAGE, 0)), PagesError::NotSealed);
    assert_eq!(refused(memory_file(sealing, 0, FINAL)), PagesError::OutOfRange);
    assert_eq!(refused(memory_file(sealing, PAGE + 1, FINAL)), PagesError::Misaligned);
    assert_eq!(refused(memory_file(sealing, 1 << 50, FINAL)), PagesError::OutOfRange);

    let executable = File::open("/proc/self/exe").expect("a file");
    assert_eq!(refused(executable.into()), PagesError::NotSealed);
    let (reader, _writer) = pipe().expect("a pipe");
    assert_eq!(refused(reader.into()), PagesError::NotSealed);
    let directory = File::open("/").expect("a directory");
    assert_eq!(refused(directory.into()), PagesError::NotSealed);
}

#[test]
fn a_pool_of_huge_pages_is_refused() {
    // SAFETY: a terminated name.
    let descriptor = unsafe {
        libc::memfd_create(c"peer".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_HUGETLB)
    };
    if descriptor < 0 {
        // Kernels without huge pages cannot be attacked with them.
        return;
    }
    // SAFETY: just made, and owned by nobody else.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::ftruncate(descriptor.as_raw_fd(), 2 << 20) }, 0);
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_ADD_SEALS, FINAL) }, 0);
    let error = SharedMemory::from_descriptor(descriptor).expect_err("not ordinary memory");
    assert_eq!(error, PagesError::NotSealed);
}

#[test]
fn a_descriptor_open_for_reading_gives_no_writable_view() {
    let memory = SharedMemory::new(PAGE_SIZE).expect("memory");
    let path = format!("/proc/self/fd/{}", memory.as_fd().as_raw_fd());
    let file = OpenOptions::new().read(true).open(path).expect("the same file");
    let weak = SharedMemory::from_descriptor(file.into()).expect("sealed");
    let error = weak.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect_err("read only");
    assert_eq!(error, PagesError::AccessDenied);
    weak.map_anywhere(0..PAGE_SIZE, Protection::Read).expect("a view");
    let taken = USER_WINDOWS.start + 77 * WINDOW_STRIDE;
    let error = weak.map_at(taken, 0..PAGE_SIZE, Protection::ReadWrite).expect_err("read only");
    assert_eq!(error, PagesError::AccessDenied);
    // The failed attempt left nothing there.
    memory.map_at(taken, 0..PAGE_SIZE, Protection::ReadWrite).expect("free");
}

#[test]
fn a_view_at_an_address_replaces_nothing_and_goes_when_dropped() {
    let memory = SharedMemory::new(2 * PAGE_SIZE).expect("memory");
    let address = USER_WINDOWS.start + 78 * WINDOW_STRIDE;
    let view = memory.map_at(address, 0..2 * PAGE_SIZE, Protection::ReadWrite).expect("a view");
    assert_eq!(view.address(), address);
    let again = memory.map_at(address + PAGE_SIZE, 0..PAGE_SIZE, Protection::Read);
    assert_eq!(again.expect_err("mapped already"), PagesError::Occupied);
    drop(view);
    Reservation::at(address, 2 * PAGE_SIZE).expect("free again");
}

#[test]
fn a_view_in_a_reservation_is_replaced_by_decommit() {
    let memory = SharedMemory::new(2 * PAGE_SIZE).expect("memory");
    let outside = memory.map_anywhere(0..2 * PAGE_SIZE, Protection::ReadWrite).expect("a view");
    let window = Reservation::at(USER_WINDOWS.start + 79 * WINDOW_STRIDE, 4 * PAGE_SIZE).expect("free");
    window.map(PAGE_SIZE, &memory, PAGE_SIZE..2 * PAGE_SIZE, Protection::ReadWrite).expect("a view");
    let address = std::ptr::with_exposed_provenance_mut(window.base() + PAGE_SIZE);
    // SAFETY: mapped by the line above.
    let inside = unsafe { AtomicU64::from_ptr(address) };
    inside.store(4, Ordering::Relaxed);
    assert_eq!(word(&outside, PAGE_SIZE).load(Ordering::Relaxed), 4);
    window.decommit(PAGE_SIZE, PAGE_SIZE).expect("mapped");
    window.commit(PAGE_SIZE, PAGE_SIZE, Protection::ReadWrite).expect("memory");
    assert_eq!(inside.load(Ordering::Relaxed), 0);
    assert_eq!(word(&outside, PAGE_SIZE).load(Ordering::Relaxed), 4);
}

#[test]
fn parts_outside_of_the_memory_are_refused() {
    let memory = SharedMemory::new(2 * PAGE_SIZE).expect("memory");
    let window = Reservation::at(USER_WINDOWS.start + 80 * WINDOW_STRIDE, 4 * PAGE_SIZE).expect("free");
    let read = Protection::Read;
    let outside = [0..3 * PAGE_SIZE, PAGE_SIZE..PAGE_SIZE, 2 * PAGE_SIZE..3 * PAGE_SIZE];
    for part in outside {
        assert_eq!(memory.map_anywhere(part.clone(), read).expect_err("outside"), PagesError::OutOfRange);
        assert_eq!(window.map(0, &memory, part, read), Err(PagesError::OutOfRange));
    }
    #[expect(clippy::reversed_empty_ranges, reason = "the test is about such a range")]
    let reversed = memory.map_anywhere(PAGE_SIZE..0, read);
    assert_eq!(reversed.expect_err("reversed"), PagesError::OutOfRange);
    assert_eq!(memory.map_anywhere(0..100, read).expect_err("odd"), PagesError::Misaligned);
    let beyond = window.map(3 * PAGE_SIZE, &memory, 0..2 * PAGE_SIZE, read);
    assert_eq!(beyond, Err(PagesError::OutOfRange));
    assert_eq!(SharedMemory::new(0).expect_err("empty"), PagesError::OutOfRange);
    assert_eq!(SharedMemory::new(100).expect_err("odd"), PagesError::Misaligned);
}

/// Two processes: the child gets the descriptor by inheritance, as it would over a socket.
#[test]
fn another_process_sees_what_this_one_writes() {
    let memory = SharedMemory::new(PAGE_SIZE).expect("memory");
    let view = memory.map_anywhere(0..PAGE_SIZE, Protection::ReadWrite).expect("a view");
    let (mut reader, mut writer) = pipe().expect("a pipe");
    // SAFETY: the child uses only what exists before the fork, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let mut byte = [0];
        let told = reader.read(&mut byte).is_ok();
        let seen = memory
            .map_anywhere(0..PAGE_SIZE, Protection::Read)
            .is_ok_and(|own| word(&own, 16).load(Ordering::Acquire) == 123);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!(told && seen))) };
    }
    word(&view, 16).store(123, Ordering::Release);
    writer.write_all(&[1]).expect("the child reads");
    let mut status = 0;
    // SAFETY: the child that was just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}
