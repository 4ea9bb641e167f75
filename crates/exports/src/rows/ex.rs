//! `Ex…` and `Probe…`: pool, raising, checking application buffers.

use kernel::mm::{PoolError, PoolOwner};
use kernel::{Kernel, Outcome, Unwind, raw};
use platform::pages::{PAGE_SIZE, USER_PROBE_ADDRESS, USER_WINDOWS};

use super::mm_mdl::tell_of_mappings;
use crate::Call;
use crate::row::rows;

/// PagedPool and its variants have this bit of POOL_TYPE.
const PAGED: u32 = 1;
/// POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.
const FAIL_INSTEAD_OF_RAISE: u32 = 8;
/// POOL_RAISE_IF_ALLOCATION_FAILURE.
const RAISE: u32 = 16;
/// POOL_FLAG_UNINITIALIZED, POOL_FLAG_RAISE_ON_FAILURE, POOL_FLAG_PAGED.
const FLAG_UNINITIALIZED: u64 = 0x2;
const FLAG_RAISE: u64 = 0x20;
const FLAG_PAGED: u64 = 0x100;
/// The tag of `ExAllocatePool`, which takes none.
const NO_TAG: u32 = u32::from_le_bytes(*b"None");

/// Stops the machine when pool of this kind cannot be allocated (`what` 8) or freed (9) at the present IRQL: paged pool up to
/// APC_LEVEL, nonpaged pool up to DISPATCH_LEVEL. `which` are the bytes, or the address.
///
/// Source: ddi, ExAllocatePoolWithTag and ExFreePoolWithTag; bug check 0xC2.
fn check_irql(kernel: &Kernel, what: u64, paged: bool, which: u64) -> Outcome<()> {
    let irql = kernel.ke.current_irql();
    let highest = if paged { abi::APC_LEVEL } else { abi::DISPATCH_LEVEL };
    if irql <= highest {
        return Ok(());
    }
    kernel.bug_check(abi::BAD_POOL_CALLER, [what, u64::from(irql), u64::from(paged), which]);
    Err(Unwind::Halt)
}

pub(super) fn allocate(call: Call<'_>, size: u64, tag: u32, paged: bool, raise: bool) -> Outcome<u64> {
    const ALLOCATED_AT_BAD_IRQL: u64 = 0x8;
    check_irql(call.kernel, ALLOCATED_AT_BAD_IRQL, paged, size)?;
    let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match call.kernel.mm.pool.allocate(size, tag, owner, paged) {
        Some(block) => Ok(block.address),
        None if raise => Err(Unwind::status(abi::STATUS_INSUFFICIENT_RESOURCES)),
        None => Ok(0),
    }
}

/// Frees a block; what a driver does wrong is a bugcheck. `tag` 0 is not compared.
pub(super) fn free(kernel: &Kernel, address: u64, tag: u32) -> Outcome<()> {
    const ALREADY_FREED: u64 = 0x7;
    const FREED_AT_BAD_IRQL: u64 = 0x9;
    const WRONG_TAG: u64 = 0xA;
    const OVERRUN: u64 = 0x20;
    const NOT_THE_CALLERS: u64 = 0x46;
    /// PROTECTED_POOL, which drivers put into tags.
    const PROTECTED: u32 = 0x8000_0000;
    let held = kernel.mm.pool.find(address).filter(|block| block.address == address);
    let stop = |code, parameters| {
        kernel.bug_check(code, parameters);
        Err(Unwind::Halt)
    };
    if let Some(block) = held {
        check_irql(kernel, FREED_AT_BAD_IRQL, block.paged, address)?;
    }
    if let Some(block) = held
        && tag != 0
        && (tag ^ block.tag) & !PROTECTED != 0
    {
        return stop(abi::BAD_POOL_CALLER, [WRONG_TAG, address, u64::from(block.tag), u64::from(tag)]);
    }
    if held.is_some_and(|block| kernel::io::owns_pool(kernel, &block)) {
        return stop(abi::BAD_POOL_CALLER, [NOT_THE_CALLERS, address, 0, 0]);
    }
    if let Some(block) = held {
        tell_of_mappings(kernel, address, block.size as u64);
    }
    match kernel.mm.pool.free(address) {
        Ok(_) => Ok(()),
        Err(PoolError::NotAllocated) => stop(abi::BAD_POOL_CALLER, [ALREADY_FREED, 0, 0, address]),
        Err(PoolError::Overrun(block)) => {
            stop(abi::BAD_POOL_HEADER, [OVERRUN, address, address + block.size as u64, u64::from(block.tag)])
        }
    }
}

/// What `ProbeForRead` and `ProbeForWrite` check before they touch memory. False for no bytes: nothing is checked then.
///
/// Other processes' windows are mapped here too, which on NT would fault behind the probe: they fail in it.
fn probe(call: Call<'_>, operation: u64, address: u64, length: u64, alignment: u32) -> Outcome<bool> {
    if length == 0 {
        return Ok(false);
    }
    if alignment > 1 && address & u64::from(alignment - 1) != 0 {
        return Err(Unwind::status(abi::STATUS_DATATYPE_MISALIGNMENT));
    }
    let end = match address.checked_add(length) {
        Some(end) if end <= USER_PROBE_ADDRESS as u64 => end,
        _ => return Err(Unwind::access_violation(0, USER_PROBE_ADDRESS as u64)),
    };
    let is_window = end > USER_WINDOWS.start as u64;
    if is_window && !call.user_space().is_some_and(|space| space.contains(address, length)) {
        return Err(Unwind::access_violation(operation, address));
    }
    Ok(true)
}

/// What ExAllocatePool2 and ExAllocatePool3 do.
fn allocate_by_flags(call: Call<'_>, flags: u64, size: u64, tag: u32) -> Outcome<u64> {
    if tag == 0 || size == 0 {
        if flags & FLAG_RAISE != 0 {
            return Err(Unwind::status(abi::STATUS_INVALID_PARAMETER));
        }
        return Ok(0);
    }
    let address = allocate(call, size, tag, flags & FLAG_PAGED != 0, flags & FLAG_RAISE != 0)?;
    if address != 0 && flags & FLAG_UNINITIALIZED == 0 {
        raw::fill(address, 0, usize::try_from(size).unwrap_or(0))?;
    }
    Ok(address)
}

rows! {
    dll = "ntoskrnl.exe";

    /// Allocates pool with a tag; the content is not initialised.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePoolWithTag(call, pool_type: u32, number_of_bytes: u64, tag: u32) -> u64 {
        allocate(call, number_of_bytes, tag, pool_type & PAGED != 0, pool_type & RAISE != 0)
    }

    /// Allocates pool without a tag of its own.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePool(call, pool_type: u32, number_of_bytes: u64) -> u64 {
        allocate(call, number_of_bytes, NO_TAG, pool_type & PAGED != 0, pool_type & RAISE != 0)
    }

    /// Allocates pool; zeroed unless POOL_FLAG_UNINITIALIZED is given.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePool2(call, flags: u64, number_of_bytes: u64, tag: u32) -> u64 {
        allocate_by_flags(call, flags, number_of_bytes, tag)
    }

    /// As ExAllocatePool2. Extended parameters are not implemented: with any, it answers NULL or raises.
    irql(DISPATCH_LEVEL) support(Partial)
    fn ExAllocatePool3(
        call,
        flags: u64,
        number_of_bytes: u64,
        tag: u32,
        _extended_parameters: u64,
        extended_parameters_count: u32
    ) -> u64 {
        match extended_parameters_count {
            0 => allocate_by_flags(call, flags, number_of_bytes, tag),
            _ if flags & FLAG_RAISE != 0 => Err(Unwind::status(abi::STATUS_NOT_IMPLEMENTED)),
            _ => Ok(0),
        }
    }

    /// Allocates pool with a tag; the priority says how hard to try, which makes no difference.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePoolWithTagPriority(call, pool_type: u32, number_of_bytes: u64, tag: u32, _priority: u32) -> u64 {
        allocate(call, number_of_bytes, tag, pool_type & PAGED != 0, pool_type & RAISE != 0)
    }

    /// Allocates pool with a tag, or raises. There are no quotas.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePoolWithQuotaTag(call, pool_type: u32, number_of_bytes: u64, tag: u32) -> u64 {
        let raise = pool_type & FAIL_INSTEAD_OF_RAISE == 0;
        allocate(call, number_of_bytes, tag, pool_type & PAGED != 0, raise)
    }

    /// Allocates pool without a tag of its own, or raises. There are no quotas.
    irql(DISPATCH_LEVEL)
    fn ExAllocatePoolWithQuota(call, pool_type: u32, number_of_bytes: u64) -> u64 {
        let raise = pool_type & FAIL_INSTEAD_OF_RAISE == 0;
        allocate(call, number_of_bytes, NO_TAG, pool_type & PAGED != 0, raise)
    }

    /// Frees pool; bugchecks when the tag is not the block's.
    irql(DISPATCH_LEVEL)
    fn ExFreePoolWithTag(call, address: u64, tag: u32) -> () {
        free(call.kernel, address, tag)
    }

    /// Frees pool.
    irql(DISPATCH_LEVEL)
    fn ExFreePool(call, address: u64) -> () {
        free(call.kernel, address, 0)
    }

    /// Raises an exception with a status in the caller.
    irql(HIGH_LEVEL)
    fn ExRaiseStatus(call, status: u32) -> () {
        let _ = call;
        Err(loader::seh::raise_status(abi::NTSTATUS::from_bits(status)))
    }

    /// Raises STATUS_ACCESS_VIOLATION in the caller.
    irql(HIGH_LEVEL)
    fn ExRaiseAccessViolation(call) -> () {
        let _ = call;
        Err(loader::seh::raise_status(abi::STATUS_ACCESS_VIOLATION))
    }

    /// Raises STATUS_DATATYPE_MISALIGNMENT in the caller.
    irql(HIGH_LEVEL)
    fn ExRaiseDatatypeMisalignment(call) -> () {
        let _ = call;
        Err(loader::seh::raise_status(abi::STATUS_DATATYPE_MISALIGNMENT))
    }

    /// Checks that a buffer lies in the application's part of the address space and is aligned.
    irql(APC_LEVEL)
    fn ProbeForRead(call, address: u64, length: u64, alignment: u32) -> () {
        probe(call, 0, address, length, alignment).map(drop)
    }

    /// As ProbeForRead, and that every page of the buffer can be written.
    irql(APC_LEVEL)
    fn ProbeForWrite(call, address: u64, length: u64, alignment: u32) -> () {
        if probe(call, 1, address, length, alignment)? {
            let last = address + length - 1;
            let page = PAGE_SIZE as u64;
            let mut at = address;
            while at <= last {
                raw::write(at, raw::read::<u8>(at)?)?;
                at = (at / page + 1) * page;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kernel::{ex, ps, se};

    use super::*;
    use crate::rows::scratch::Scratch;

    #[test]
    fn an_object_of_the_kernels_that_a_driver_frees_as_pool_stops_the_machine_and_stays() {
        type Make = fn(&Kernel) -> u64;
        let makers: [Make; 5] = [
            |kernel| {
                let process = kernel.ps.create("application");
                ps::process_object(kernel, &process).expect("pool").address
            },
            |kernel| {
                // An application's thread has no handle, and ends with this test's thread.
                let process = kernel.ps.create("application");
                ps::inside(kernel, &process, kernel::ke::Thread::object).expect("running")
            },
            |kernel| {
                let process = kernel.ps.create("application");
                se::TokenReference::of_process(kernel, &process).expect("pool").into_address()
            },
            |kernel| ex::event_object(kernel, abi::NotificationEvent, false).expect("pool").address,
            |kernel| kernel.ob.type_address("Event"),
        ];
        for (number, make) in makers.into_iter().enumerate() {
            let scratch = Scratch::new();
            let kernel = &*scratch.kernel;
            free(kernel, scratch.bytes(32), 0).expect("a block of its own");
            let object = make(kernel);
            assert!(matches!(free(kernel, object, 0), Err(Unwind::Halt)), "{number}");
            let stop = kernel.bugcheck().expect("stopped").stop;
            assert_eq!((stop.code, stop.parameters[1]), (abi::BAD_POOL_CALLER, object), "{number}");
            assert!(kernel.mm.pool.find(object).is_some(), "{number}");
        }
    }
}
