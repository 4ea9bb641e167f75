//! The thread that brings requests home for applications that call nothing while they wait, but look at their OVERLAPPED.

use std::sync::Once;

use gate::{SystemCall, Transport};

use crate::pending;
use crate::session;

static STARTED: Once = Once::new();

/// A request goes on: from now on its end is looked after.
pub(crate) fn needed(_transport: &dyn Transport) {
    STARTED.call_once(|| {
        // Without it, only who calls nothing at all is not told.
        let _thread =
            std::thread::Builder::new().name("ringbridge".to_owned()).stack_size(1 << 16).spawn(settle);
    });
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
