//! A `bcryptprimitives.dll` for Wine 8, which has none, with the one function that Rust's programs import from it. Built by
//! `cargo xtask wine` into the prefix that it runs them in.
#![no_std]
#![no_main]

#[link(name = "advapi32", kind = "raw-dylib")]
unsafe extern "system" {
    /// `RtlGenRandom`, under the name that it is exported by.
    fn SystemFunction036(buffer: *mut u8, length: u32) -> u8;
}

/// Fills a buffer with random bytes; nonzero on success.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn ProcessPrng(buffer: *mut u8, length: usize) -> i32 {
    let Ok(length) = u32::try_from(length) else { return 0 };
    // SAFETY: the caller's contract.
    i32::from(unsafe { SystemFunction036(buffer, length) })
}

#[unsafe(no_mangle)]
extern "system" fn DllMainCRTStartup(_module: *mut u8, _reason: u32, _reserved: *mut u8) -> i32 {
    1
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
