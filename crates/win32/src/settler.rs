//! The thread that brings requests home for applications that call nothing while they wait, but look at their OVERLAPPED.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use gate::SystemCall;

use crate::pending;
use crate::session;

static STARTED: Once = Once::new();
static RUNS: AtomicBool = AtomicBool::new(false);

/// A request goes on: from now on its end is looked after.
pub(crate) fn needed() {
    STARTED.call_once(|| {
        let thread = std::thread::Builder::new().name("ringbridge".to_owned()).stack_size(1 << 16);
        // Without it, only who calls nothing at all is not told.
        RUNS.store(thread.spawn(settle).is_ok(), Ordering::Release);
    });
}

/// Whether it is there.
pub(crate) fn runs() -> bool {
    RUNS.load(Ordering::Acquire)
}

fn settle() {
    let mut seen = 0;
    while let Some(transport) = session::current() {
        let reply = transport.system_call(&SystemCall::AwaitRequestEnd { seen }, &mut []);
        if !reply.status.is_success() {
            return pending::lose_all();
        }
        seen = reply.information;
        pending::settle_all();
    }
}
