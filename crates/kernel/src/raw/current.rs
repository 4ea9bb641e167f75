//! Which kernel and which of its threads the running code is in.

use std::io;

use platform::entry::{self, Entrant, EntryOwner, KernelStack};

/// The pair of types that entry records of this kernel hold. Implemented once, in the crate's root: the entry
/// record keeps untyped pointers, and this trait is what gives them their types back.
pub trait Machine {
    /// The kernel.
    type Kernel: EntryOwner;
    /// Its record of a thread.
    type Thread;
}

/// While this lives, the calling thread is inside a machine.
#[must_use]
pub struct Inside<'a> {
    _inside: entry::Inside<'a>,
}

/// Lets the calling thread enter `kernel` as `thread`, whose thread object is at `thread_object`, with driver code
/// running on `stack`.
///
/// # Errors
/// When Linux gives no memory for the thread's processor region.
#[inline]
pub fn enter<'a, M: Machine>(
    kernel: &'a M::Kernel,
    thread: &'a M::Thread,
    thread_object: u64,
    stack: KernelStack,
) -> io::Result<Inside<'a>> {
    let region = entry::prepare()?;
    let entrant = Entrant {
        owner: kernel,
        kernel: std::ptr::from_ref(kernel).cast(),
        thread: std::ptr::from_ref(thread).cast(),
        thread_object: usize::try_from(thread_object).unwrap_or(0),
        stack,
    };
    Ok(Inside { _inside: region.enter(&entrant) })
}

/// Runs `body` with the kernel and thread that the calling code is in; `None` outside of every machine.
#[inline]
pub fn with_current<M: Machine, R>(body: impl FnOnce(&M::Kernel, &M::Thread) -> R) -> Option<R> {
    let region = entry::region()?;
    let kernel = region.kernel();
    if kernel.is_null() {
        return None;
    }
    // SAFETY: `enter` stored a reference to the only implementor's kernel type; its guard is alive while the
    // pointer is set, and `body` cannot keep the reference.
    let kernel = unsafe { &*kernel.cast::<M::Kernel>() };
    // SAFETY: as above, for the thread.
    let thread = unsafe { &*region.thread().cast::<M::Thread>() };
    Some(body(kernel, thread))
}
