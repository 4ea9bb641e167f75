//! MDLs: `IoAllocateMdl` and its kin, `MmProbeAndLockPages`, `MmMapLockedPages…`, `MmAllocatePagesForMdl`.

use kernel::io::mdl_outcome;
use kernel::mm::{self, MapRequest, PoolOwner};
use kernel::raw::{Irp, Mdl};
use kernel::trace::Event;
use kernel::{Kernel, Outcome, Unwind, io};
use platform::pages::USER_WINDOWS;

use crate::Call;
use crate::row::rows;

const KERNEL_MODE: u8 = 0;
const READ_ACCESS: u32 = abi::IoReadAccess.cast_unsigned();
/// `IoAllocateMdl` refuses more: ddi, "up to 4 gigabytes less a page".
const LONGEST: u32 = u32::MAX - 0xFFF;

/// Maps locked pages: for the kernel where they are, for an application at `requested`, or anywhere if that is 0.
fn map(call: Call<'_>, mdl: u64, access_mode: u8, requested: u64, priority: u32) -> Outcome<u64> {
    if access_mode == KERNEL_MODE {
        return mm::map_to_system(Mdl::at(mdl));
    }
    let space = call.user_space().ok_or(Unwind::status(abi::STATUS_PROCESS_IS_TERMINATING))?;
    let driver = call.kernel.io.calling_driver().unwrap_or(0);
    let request = MapRequest {
        process: call.thread.process_id,
        owner: PoolOwner(driver),
        driver: call.kernel.io.service_name(driver),
        address: requested,
        writable: priority & abi::MdlMappingNoWrite == 0,
    };
    call.kernel.mm.map_to_user(Mdl::at(mdl), &space, request)
}

/// Tells of mappings of memory that is freed.
pub(super) fn tell_of_mappings(kernel: &Kernel, address: u64, length: u64) {
    for mapping in kernel.mm.user_mappings_over(address, length) {
        kernel.trace.emit(|| Event::MappedMemoryFreed { mapping });
    }
}

fn allocate_pages(call: Call<'_>, total_bytes: u64) -> Outcome<u64> {
    let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
    Ok(call.kernel.mm.allocate_pages_for_mdl(total_bytes, owner)?.map_or(0, Mdl::address))
}

rows! {
    dll = "ntoskrnl.exe";

    /// Allocates an MDL for a buffer, and associates it with an IRP if there is one. NULL for 4 GiB less a page and more.
    irql(DISPATCH_LEVEL)
    fn IoAllocateMdl(
        call,
        virtual_address: u64,
        length: u32,
        secondary_buffer: u8,
        _charge_quota: u8,
        irp: u64
    ) -> u64 {
        if length >= LONGEST {
            return Ok(0);
        }
        let mdl = io::allocate_mdl(call.kernel, virtual_address, length, secondary_buffer != 0, Irp::at(irp))?;
        Ok(mdl.map_or(0, Mdl::address))
    }

    /// Frees an MDL.
    irql(DISPATCH_LEVEL)
    fn IoFreeMdl(call, mdl: u64) -> () {
        io::free_mdl(call.kernel, Mdl::at(mdl))
    }

    /// Makes an MDL describe a part of the buffer that another describes.
    irql(DISPATCH_LEVEL)
    fn IoBuildPartialMdl(call, source_mdl: u64, target_mdl: u64, virtual_address: u64, length: u32) -> () {
        let built = mm::build_partial(Mdl::at(source_mdl), Mdl::at(target_mdl), virtual_address, length);
        mdl_outcome(call.kernel, built)
    }

    /// Makes an MDL describe the pages of its buffer, which is nonpaged pool or an image's.
    irql(DISPATCH_LEVEL)
    fn MmBuildMdlForNonPagedPool(call, mdl: u64) -> () {
        let _ = call;
        mm::build_for_nonpaged_pool(Mdl::at(mdl))
    }

    /// Checks that a buffer can be accessed, and locks its pages. Raises STATUS_ACCESS_VIOLATION when it cannot, also when
    /// it lies in the window of another process than the current one.
    irql(DISPATCH_LEVEL)
    fn MmProbeAndLockPages(call, mdl: u64, access_mode: u8, operation: u32) -> () {
        let user = call.user_space();
        let for_writing = operation != READ_ACCESS;
        let user_mode = access_mode != KERNEL_MODE;
        call.kernel.mm.probe_and_lock(Mdl::at(mdl), user.as_ref(), user_mode, for_writing)
    }

    /// Unlocks the pages that an MDL locks.
    irql(DISPATCH_LEVEL)
    fn MmUnlockPages(call, mdl: u64) -> () {
        mdl_outcome(call.kernel, call.kernel.mm.unlock_pages(Mdl::at(mdl)))
    }

    /// Maps the pages of an MDL. The system address is the one that they have already, which for application memory lies
    /// below MmUserProbeAddress. For UserMode (IRQL <= APC_LEVEL) they are shown to the current process, which may not write to them with
    /// MdlMappingNoWrite; pages that are not of nonpaged pool raise STATUS_NOT_IMPLEMENTED.
    irql(DISPATCH_LEVEL) support(Partial)
    fn MmMapLockedPagesSpecifyCache(
        call,
        mdl: u64,
        access_mode: u8,
        _cache_type: u32,
        requested_address: u64,
        _bug_check_on_failure: u32,
        priority: u32
    ) -> u64 {
        map(call, mdl, access_mode, requested_address, priority)
    }

    /// As MmMapLockedPagesSpecifyCache with MmCached, anywhere.
    irql(DISPATCH_LEVEL) support(Partial)
    fn MmMapLockedPages(call, mdl: u64, access_mode: u8) -> u64 {
        map(call, mdl, access_mode, 0, 0)
    }

    /// Undoes MmMapLockedPagesSpecifyCache; for UserMode in the process for which it was called, else SYSTEM_PTE_MISUSE.
    irql(DISPATCH_LEVEL)
    fn MmUnmapLockedPages(call, base_address: u64, mdl: u64) -> () {
        let mdl = Mdl::at(mdl);
        let (kernel, space) = (call.kernel, call.user_space());
        if (USER_WINDOWS.start as u64..USER_WINDOWS.end as u64).contains(&base_address)
            && mdl.virtual_address()? != base_address
        {
            return mdl_outcome(kernel, kernel.mm.unmap_from_user(mdl, base_address, space.as_ref()));
        }
        mm::unmap_from_system(mdl)
    }

    /// Returns how many bytes an MDL for a buffer has.
    irql(HIGH_LEVEL)
    fn MmSizeOfMdl(call, base: u64, length: u64) -> u64 {
        let _ = call;
        Ok(mm::size_of_mdl(base, length))
    }

    /// Allocates zeroed pages with an MDL. Addresses and their alignment are not looked at: there is no physical memory.
    irql(APC_LEVEL)
    fn MmAllocatePagesForMdl(
        call,
        _low_address: u64,
        _high_address: u64,
        _skip_bytes: u64,
        total_bytes: u64
    ) -> u64 {
        allocate_pages(call, total_bytes)
    }

    /// As MmAllocatePagesForMdl; pages are zeroed with every flag, and caching is always on.
    irql(APC_LEVEL)
    fn MmAllocatePagesForMdlEx(
        call,
        _low_address: u64,
        _high_address: u64,
        _skip_bytes: u64,
        total_bytes: u64,
        _cache_type: u32,
        _flags: u32
    ) -> u64 {
        allocate_pages(call, total_bytes)
    }

    /// Frees pages that MmAllocatePagesForMdl allocated, not the MDL.
    irql(APC_LEVEL)
    fn MmFreePagesFromMdl(call, mdl: u64) -> () {
        let pages = Mdl::at(mdl);
        tell_of_mappings(call.kernel, pages.virtual_address()?, u64::from(pages.byte_count()?));
        mdl_outcome(call.kernel, call.kernel.mm.free_pages_from_mdl(Mdl::at(mdl)))
    }
}
