//! What a panic in a driver becomes: a bug check. Every entry point that NT calls runs the author's code in [`guard`].

/// Stop code of a panic in Rust driver code (the customer bit set, then `RST`).
///
/// Parameters 1 and 2: address and length in bytes of UTF-8 text. On Windows it is the source file's name, and
/// parameters 3 and 4 are line and column; on Linux it is the panic's message, and they are 0. The whole message, and
/// on Windows its place too, goes to the debugger first.
pub const RUST_PANIC: u32 = 0xE052_5354;

/// Runs the author's code; a panic in it does not come back.
#[cfg(windows)]
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> T {
    // Panics abort there, in the panic handler, before any frame is left.
    code()
}

/// Runs the author's code; a panic in it does not come back.
#[cfg(not(windows))]
pub(crate) fn guard<T>(code: impl FnOnce() -> T) -> T {
    // Unwind safety: after a panic nobody looks at what the code left, since the machine has stopped.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).unwrap_or_else(|payload| {
        // Text behind a bug check's parameters is read by the report, after this.
        let payload = std::boxed::Box::leak(payload);
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<std::string::String>()) {
            (Some(message), _) => message,
            (None, Some(message)) => message.as_str(),
            (None, None) => "a value that is not text",
        };
        crate::println!("panic in a driver: {message}");
        // SAFETY: callable in any state.
        unsafe { crate::nt::KeBugCheckEx(RUST_PANIC, message.as_ptr().addr(), message.len(), 0, 0) }
    })
}
