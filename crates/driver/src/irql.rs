//! The IRQL as a witness: what may wait asks for a [`PassiveLevel`], and code that runs at DISPATCH_LEVEL has none.

use core::marker::PhantomData;

use abi::PASSIVE_LEVEL;

use crate::nt::KeGetCurrentIrql;

/// Says that the code that has it runs at PASSIVE_LEVEL, or began there, and may wait.
///
/// Requests, system threads, work items and the driver object give one. It does not leave its thread, so a timer's DPC
/// cannot bring one along, and a wait in a DPC does not compile:
///
/// ```compile_fail,E0277
/// # extern crate ringbridge_driver as driver;
/// # use driver::*;
/// # fn start(tag: Tag, event: Event, level: PassiveLevel) {
/// let timer = Timer::new(tag, move |_timer| event.wait(level));
/// # }
/// ```
///
/// What it does not see is a spin lock: code inside [`SpinLock::with`](crate::SpinLock::with) is at DISPATCH_LEVEL and can
/// still reach the witness around it. There NT's own check remains, a bug check.
#[derive(Clone, Copy)]
pub struct PassiveLevel {
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl PassiveLevel {
    /// If it is so. IRQL: any.
    #[must_use]
    pub fn now() -> Option<Self> {
        // SAFETY: callable at any IRQL.
        let irql = unsafe { KeGetCurrentIrql() };
        // SAFETY: as just seen.
        (irql == PASSIVE_LEVEL).then(|| unsafe { Self::assume() })
    }

    /// # Panics
    ///
    /// Above PASSIVE_LEVEL.
    pub(crate) fn expect(what: &str) -> Self {
        Self::now().unwrap_or_else(|| panic!("{what} above PASSIVE_LEVEL"))
    }

    /// # Safety
    ///
    /// The thread is at PASSIVE_LEVEL, and the code that gets the witness is to run there.
    pub(crate) unsafe fn assume() -> Self {
        Self { thread: PhantomData }
    }
}
