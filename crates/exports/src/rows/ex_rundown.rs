//! Run-down protection.

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises run-down protection: nobody uses the object.
    irql(HIGH_LEVEL)
    fn ExInitializeRundownProtection(call, run_ref: u64) -> () {
        call.kernel.rundowns.initialize(run_ref)
    }

    /// Initialises it again, when the object that it protected has gone.
    irql(HIGH_LEVEL)
    fn ExReInitializeRundownProtection(call, run_ref: u64) -> () {
        call.kernel.rundowns.initialize(run_ref)
    }

    /// Lets a user in; FALSE when the object is being taken away.
    irql(DISPATCH_LEVEL)
    fn ExAcquireRundownProtection(call, run_ref: u64) -> bool {
        call.kernel.rundowns.acquire(call.kernel, run_ref, 1)
    }

    /// Lets so many users in.
    irql(DISPATCH_LEVEL)
    fn ExAcquireRundownProtectionEx(call, run_ref: u64, count: u32) -> bool {
        call.kernel.rundowns.acquire(call.kernel, run_ref, count)
    }

    /// A user is done.
    irql(DISPATCH_LEVEL)
    fn ExReleaseRundownProtection(call, run_ref: u64) -> () {
        call.kernel.rundowns.release(call.kernel, run_ref, 1)
    }

    /// So many users are done.
    irql(DISPATCH_LEVEL)
    fn ExReleaseRundownProtectionEx(call, run_ref: u64, count: u32) -> () {
        call.kernel.rundowns.release(call.kernel, run_ref, count)
    }

    /// Lets nobody in any more, and waits for the last user.
    irql(APC_LEVEL)
    fn ExWaitForRundownProtectionRelease(call, run_ref: u64) -> () {
        call.kernel.rundowns.wait(call.kernel, call.thread, run_ref)
    }

    /// Says that the object has gone: nobody is let in.
    irql(APC_LEVEL)
    fn ExRundownCompleted(call, run_ref: u64) -> () {
        call.kernel.rundowns.close(run_ref)
    }
}
