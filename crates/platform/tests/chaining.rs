//! Faults that are none of ours go to the handler that was installed before.
#![expect(unsafe_code, reason = "installs a signal handler and faults on purpose")]

extern crate ringbridge_platform as platform;

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

static FAULTS: AtomicUsize = AtomicUsize::new(0);

const PAGE: usize = 4096;

/// The program's own handler: it makes the page accessible, as a garbage collector or a database does.
extern "C" fn handler(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    FAULTS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: Linux passes a valid siginfo_t.
    let information = unsafe { &*info };
    // SAFETY: of a fault, so it holds an address.
    let address = unsafe { information.si_addr() };
    let page = address.map_addr(|address| address & !(PAGE - 1));
    // SAFETY: the page is the test's own mapping.
    unsafe { libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_WRITE) };
}

fn install_own_handler() {
    // SAFETY: plain data for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a complete action.
    let installed = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
    assert_eq!(installed, 0);
}

fn inaccessible_page() -> *mut u8 {
    // SAFETY: a fresh anonymous mapping.
    let page = unsafe {
        libc::mmap(ptr::null_mut(), PAGE, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

#[test]
fn a_fault_outside_of_driver_code_reaches_the_handler_that_was_there_before() {
    install_own_handler();
    platform::entry::prepare().expect("a region");
    let page = inaccessible_page();
    assert!(<u64 as platform::memory::Scalar>::read(page as u64).is_err(), "guarded accesses stay ours");
    assert_eq!(FAULTS.load(Ordering::SeqCst), 0);
    // SAFETY: the handler makes the page accessible.
    unsafe { page.write_volatile(7) };
    assert_eq!(FAULTS.load(Ordering::SeqCst), 1);
    // SAFETY: accessible now.
    assert_eq!(unsafe { page.read_volatile() }, 7);
}
