//! The memory manager: a machine's system space, pool, kernel stacks, and its copy of KUSER_SHARED_DATA.
//!
//! MDLs describe buffers of all of them and of the user space of processes, whose windows are the gate's or made here.

mod extents;
mod mdl;
mod pool;
mod segment;
#[cfg(test)]
mod session_window;
mod shared_user_data;
mod sharing;
mod space;
mod stack;
mod user_mapping;
mod user_space;

use std::sync::Arc;

use platform::Platform;
use platform::pages::PagesError;

pub use mdl::{
    MDL_TAG, MdlFault, build_for_nonpaged_pool, build_partial, describe_locked, map_to_system, pages_spanned,
    size_of_mdl, unmap_from_system,
};
pub use pool::{Pool, PoolBlock, PoolError, PoolOwner, TagUsage, tag_name};
pub(crate) use segment::LARGEST_SECTION;
pub use segment::{SectionUsage, Segment, SegmentFile, SegmentUse, SystemView};
pub use space::{SystemRange, SystemSpace};
pub use stack::{KERNEL_STACK_SIZE, Stack};
pub use user_mapping::{MapRequest, UserMapping};
pub use user_space::{GRANULARITY, SessionWindow, UserBuffer, UserSpace};

use shared_user_data::SharedUserData;

/// All memory of a machine.
#[derive(Debug)]
pub struct MemoryManager {
    /// Where images, pool and kernel stacks lie.
    pub space: SystemSpace,
    /// Pool.
    pub pool: Arc<Pool>,
    shared_user_data: SharedUserData,
    user_locks: mdl::UserLocks,
    user_mappings: user_mapping::UserMappings,
    system_views: segment::SystemViews,
    section_counts: Arc<segment::Counts>,
}

impl MemoryManager {
    pub(crate) fn new(platform: &dyn Platform, pool_limit: usize) -> Result<Self, PagesError> {
        let space = SystemSpace::new()?;
        let pool = Arc::new(Pool::new(space.clone(), pool_limit));
        let shared_user_data = SharedUserData::new(&space, platform)?;
        Ok(Self {
            space,
            pool,
            shared_user_data,
            user_locks: mdl::UserLocks::default(),
            user_mappings: user_mapping::UserMappings::default(),
            system_views: segment::SystemViews::default(),
            section_counts: Arc::default(),
        })
    }

    /// Address of the copy of KUSER_SHARED_DATA, with its times brought up to date.
    #[must_use]
    pub fn shared_user_data(&self, platform: &dyn Platform) -> usize {
        self.shared_user_data.refresh(platform)
    }
}
