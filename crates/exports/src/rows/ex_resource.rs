//! Resources: reader/writer locks that a thread may acquire more than once.

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::ex::{Resource, SharedPolicy};
use kernel::trace::Event;

use crate::Call;
use crate::row::rows;

pub(super) fn exclusive(call: Call<'_>, resource: u64, wait: bool) -> Outcome<bool> {
    call.kernel.ex.acquire_exclusive(call.kernel, call.thread, Resource::at(resource), wait)
}

pub(super) fn shared(call: Call<'_>, resource: u64, wait: bool, policy: SharedPolicy) -> Outcome<bool> {
    call.kernel.ex.acquire_shared(call.kernel, call.thread, Resource::at(resource), wait, policy)
}

fn release(call: Call<'_>, resource: u64, owner: u64) -> Outcome<()> {
    call.kernel.ex.release(call.kernel, Resource::at(resource), owner)
}

/// In a critical region from now on, if `acquire` succeeds.
fn in_critical_region(call: Call<'_>, acquire: impl FnOnce() -> Outcome<bool>) -> Outcome<()> {
    call.thread.enter_critical_region();
    let acquired = acquire();
    if acquired.is_err() {
        call.thread.leave_critical_region();
    }
    acquired.map(drop)
}

fn release_and_leave(call: Call<'_>, resource: u64) -> Outcome<()> {
    release(call, resource, call.thread.object())?;
    call.thread.leave_critical_region();
    call.kernel.ke.deliver_kernel_apcs(call.kernel, call.thread)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a resource that nobody owns.
    irql(DISPATCH_LEVEL) alias("ExReinitializeResourceLite")
    fn ExInitializeResourceLite(call, resource: u64) -> NTSTATUS {
        call.kernel.ex.initialize(call.kernel, Resource::at(resource))?;
        Ok(abi::STATUS_SUCCESS)
    }

    /// Forgets a resource, which nobody may own.
    irql(APC_LEVEL)
    fn ExDeleteResourceLite(call, resource: u64) -> NTSTATUS {
        let (owners, waiters) = call.kernel.ex.delete(call.kernel, Resource::at(resource))?;
        if owners + waiters > 0 {
            call.kernel.trace.emit(|| Event::ResourceDeletedInUse { resource, owners, waiters });
        }
        Ok(abi::STATUS_SUCCESS)
    }

    /// Acquires a resource exclusively; FALSE when that would mean to wait and `wait` is FALSE.
    irql(APC_LEVEL)
    fn ExAcquireResourceExclusiveLite(call, resource: u64, wait: u8) -> bool {
        exclusive(call, resource, wait != 0)
    }

    /// Acquires a resource for shared access, behind threads that wait for exclusive access.
    irql(DISPATCH_LEVEL)
    fn ExAcquireResourceSharedLite(call, resource: u64, wait: u8) -> bool {
        shared(call, resource, wait != 0, SharedPolicy::Normal)
    }

    /// Acquires a resource for shared access, before threads that wait for exclusive access.
    irql(DISPATCH_LEVEL)
    fn ExAcquireSharedStarveExclusive(call, resource: u64, wait: u8) -> bool {
        shared(call, resource, wait != 0, SharedPolicy::StarveExclusive)
    }

    /// Acquires a resource for shared access, behind threads that wait for exclusive access even if it is owned already.
    irql(APC_LEVEL)
    fn ExAcquireSharedWaitForExclusive(call, resource: u64, wait: u8) -> bool {
        shared(call, resource, wait != 0, SharedPolicy::WaitForExclusive)
    }

    /// Releases a resource that the calling thread owns.
    irql(DISPATCH_LEVEL)
    fn ExReleaseResourceLite(call, resource: u64) -> () {
        release(call, resource, call.thread.object())
    }

    /// Releases a resource that a thread, or an owner pointer, owns.
    irql(DISPATCH_LEVEL)
    fn ExReleaseResourceForThreadLite(call, resource: u64, resource_thread_id: u64) -> () {
        release(call, resource, resource_thread_id)
    }

    /// Makes an owner pointer, instead of the calling thread, the owner of a resource.
    irql(DISPATCH_LEVEL)
    fn ExSetResourceOwnerPointer(call, resource: u64, owner_pointer: u64) -> () {
        call.kernel.ex.set_owner(call.kernel, call.thread, Resource::at(resource), owner_pointer)
    }

    /// Turns exclusive into shared access.
    irql(DISPATCH_LEVEL)
    fn ExConvertExclusiveToSharedLite(call, resource: u64) -> () {
        call.kernel.ex.convert_to_shared(call.kernel, call.thread, Resource::at(resource))
    }

    /// Whether the calling thread owns a resource exclusively.
    irql(DISPATCH_LEVEL)
    fn ExIsResourceAcquiredExclusiveLite(call, resource: u64) -> bool {
        Ok(call.kernel.ex.is_acquired_exclusive(call.kernel, call.thread, Resource::at(resource)))
    }

    /// How often the calling thread has acquired a resource, in either way.
    irql(DISPATCH_LEVEL)
    fn ExIsResourceAcquiredSharedLite(call, resource: u64) -> u32 {
        Ok(call.kernel.ex.acquired(call.kernel, call.thread, Resource::at(resource)))
    }

    /// How many threads wait for exclusive access.
    irql(DISPATCH_LEVEL)
    fn ExGetExclusiveWaiterCount(call, resource: u64) -> u64 {
        Ok(call.kernel.ex.exclusive_waiters(call.kernel, Resource::at(resource)) as u64)
    }

    /// How many threads wait for shared access.
    irql(DISPATCH_LEVEL)
    fn ExGetSharedWaiterCount(call, resource: u64) -> u64 {
        Ok(call.kernel.ex.shared_waiters(call.kernel, Resource::at(resource)) as u64)
    }

    /// Enters a critical region and acquires a resource exclusively.
    irql(APC_LEVEL) alias("FltAcquireResourceExclusive")
    fn ExEnterCriticalRegionAndAcquireResourceExclusive(call, resource: u64) -> () {
        in_critical_region(call, || exclusive(call, resource, true))
    }

    /// Enters a critical region and acquires a resource for shared access.
    irql(APC_LEVEL) alias("FltAcquireResourceShared")
    fn ExEnterCriticalRegionAndAcquireResourceShared(call, resource: u64) -> () {
        in_critical_region(call, || shared(call, resource, true, SharedPolicy::Normal))
    }

    /// Releases a resource and leaves the critical region.
    irql(DISPATCH_LEVEL) alias("FltReleaseResource")
    fn ExReleaseResourceAndLeaveCriticalRegion(call, resource: u64) -> () {
        release_and_leave(call, resource)
    }
}
