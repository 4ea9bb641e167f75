//! MDLs mapped for applications: `MmMapLockedPagesSpecifyCache` with UserMode, and how such mappings end.
//!
//! What is mapped is non-paged pool (by `MmBuildMdlForNonPagedPool` or `MmAllocatePagesForMdl`). Pages of applications
//! and of images are not: STATUS_NOT_IMPLEMENTED.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;
use platform::pages::PAGE_SIZE;

use super::mdl::{describes_pages, pages_spanned};
use super::sharing::Part;
use super::{MdlFault, MemoryManager, PoolOwner, UserSpace};
use crate::Unwind;
use crate::raw::{Mdl, Outcome};

const PAGE: u64 = PAGE_SIZE as u64;

/// Where a driver's pages are shown to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserMapping {
    /// The process's identifier.
    pub process: u32,
    /// Where the buffer begins there.
    pub address: u64,
    /// Where it begins in system space.
    pub system_address: u64,
    /// Its bytes. The pages that they lie on are shown whole.
    pub length: u64,
    /// The MDL that describes it.
    pub mdl: u64,
    /// The driver that mapped it.
    pub owner: PoolOwner,
    /// Its service name; empty when that is not known.
    pub driver: String,
}

/// All mappings of a machine.
#[derive(Debug, Default)]
pub(super) struct UserMappings {
    all: Mutex<Vec<Live>>,
    /// How many there are, so that who frees pool need not look.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Live {
    mapping: UserMapping,
    space: Arc<UserSpace>,
    parts: Vec<Part>,
}

impl UserMappings {
    fn lock(&self) -> MutexGuard<'_, Vec<Live>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a driver asks for besides the MDL.
#[derive(Clone, Debug)]
pub struct MapRequest {
    /// The process to map it for: the current one.
    pub process: u32,
    /// The driver that asks.
    pub owner: PoolOwner,
    /// Its service name.
    pub driver: String,
    /// Where; 0 for anywhere.
    pub address: u64,
    /// Whether the application may write there: unless MdlMappingNoWrite is asked for.
    pub writable: bool,
}

impl MemoryManager {
    /// `MmMapLockedPagesSpecifyCache` for UserMode: shows the pages of an MDL to the process with the user space `space`; returns
    /// where the MDL's buffer begins there. IRQL <= APC_LEVEL.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES; STATUS_CONFLICTING_ADDRESSES for an address that is taken, not on a page or not the process's;
    /// STATUS_INVALID_PARAMETER for an MDL that describes no locked pages; STATUS_NOT_IMPLEMENTED for pages that are not of
    /// non-paged pool. All are raised.
    ///
    /// Source: ddi, MmMapLockedPagesSpecifyCache: for UserMode it raises when it fails. (Confirm: which status for what; the page does
    /// not say.)
    pub fn map_to_user(&self, mdl: Mdl, space: &Arc<UserSpace>, request: MapRequest) -> Outcome<u64> {
        let refused = |status: NTSTATUS| Err(Unwind::status(status));
        let (start, length) = (mdl.virtual_address()?, u64::from(mdl.byte_count()?));
        if !describes_pages(mdl)? || length == 0 {
            return refused(abi::STATUS_INVALID_PARAMETER);
        }
        let block = self.pool.find(start);
        let in_block = |block: &super::PoolBlock| {
            let inside = start - block.address;
            !block.paged && length <= (block.size as u64).saturating_sub(inside)
        };
        if !block.as_ref().is_some_and(in_block) {
            return refused(abi::STATUS_NOT_IMPLEMENTED);
        }
        if !request.address.is_multiple_of(PAGE) {
            return refused(abi::STATUS_CONFLICTING_ADDRESSES);
        }
        let pages = start / PAGE * PAGE;
        let all = pages_spanned(start, length) * PAGE;
        let (Ok(first), Ok(last)) = (usize::try_from(pages), usize::try_from(pages + all)) else {
            return refused(abi::STATUS_INVALID_PARAMETER);
        };
        let sharing = &self.pool.sharing;
        let Ok(parts) = sharing.share(first..last) else {
            return refused(abi::STATUS_INSUFFICIENT_RESOURCES);
        };
        let address = match space.map_view(&parts, request.writable, request.address) {
            Ok(address) => address,
            Err(status) => {
                sharing.unshare(&parts);
                return refused(status);
            }
        };
        let address = address + start % PAGE;
        let mapping = UserMapping {
            process: request.process,
            address,
            system_address: start,
            length,
            mdl: mdl.address(),
            owner: request.owner,
            driver: request.driver,
        };
        self.user_mappings.lock().push(Live { mapping, space: Arc::clone(space), parts });
        self.user_mappings.count.fetch_add(1, Ordering::Release);
        Ok(address)
    }

    /// `MmUnmapLockedPages` of an address that [`Self::map_to_user`] returned, in the process of the user space `space`.
    ///
    /// # Errors
    /// Stop DAh (SYSTEM_PTE_MISUSE) with the MDL and the address, for an address at which this MDL is not mapped in this process.
    /// (Confirm: which stop it is on NT, where what another process has at that address would go.)
    pub fn unmap_from_user(
        &self,
        mdl: Mdl,
        address: u64,
        space: Option<&Arc<UserSpace>>,
    ) -> Result<(), MdlFault> {
        let is_it = |live: &Live| {
            live.mapping.mdl == mdl.address()
                && live.mapping.address / PAGE == address / PAGE
                && space.is_some_and(|space| Arc::ptr_eq(space, &live.space))
        };
        let found = {
            let mut all = self.user_mappings.lock();
            all.iter().position(is_it).map(|index| all.swap_remove(index))
        };
        let Some(live) = found else {
            return Err(MdlFault::Stop(abi::SYSTEM_PTE_MISUSE, [mdl.address(), address, 0, 0]));
        };
        self.end_mapping(&live);
        Ok(())
    }

    fn end_mapping(&self, live: &Live) {
        self.user_mappings.count.fetch_sub(1, Ordering::Release);
        live.space.give_back(live.mapping.address / PAGE * PAGE);
        self.pool.sharing.unshare(&live.parts);
    }

    /// Ends what is still mapped for a process that has ended; returns it.
    pub(crate) fn unmap_all_of(&self, space: &Arc<UserSpace>) -> Vec<UserMapping> {
        let left: Vec<Live> = {
            let mut all = self.user_mappings.lock();
            all.extract_if(.., |live| Arc::ptr_eq(&live.space, space)).collect()
        };
        for live in &left {
            self.end_mapping(live);
        }
        left.into_iter().map(|live| live.mapping).collect()
    }

    /// What is mapped now of the `length` bytes of system space from `address` on.
    #[must_use]
    pub fn user_mappings_over(&self, address: u64, length: u64) -> Vec<UserMapping> {
        let end = address.saturating_add(length);
        let over = |mapping: &UserMapping| {
            mapping.system_address < end && address < mapping.system_address + mapping.length
        };
        self.select_mappings(over)
    }

    /// What is mapped now.
    #[must_use]
    pub fn user_mappings(&self) -> Vec<UserMapping> {
        self.select_mappings(|_| true)
    }

    /// What a driver has mapped and not unmapped.
    #[must_use]
    pub fn user_mappings_of(&self, driver: PoolOwner) -> Vec<UserMapping> {
        self.select_mappings(|mapping| mapping.owner == driver)
    }

    fn select_mappings(&self, is_meant: impl Fn(&UserMapping) -> bool) -> Vec<UserMapping> {
        if self.user_mappings.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let all = self.user_mappings.lock();
        all.iter().map(|live| &live.mapping).filter(|mapping| is_meant(mapping)).cloned().collect()
    }
}
