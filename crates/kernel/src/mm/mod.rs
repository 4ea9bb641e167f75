//! The memory manager: a machine's system space, pool, kernel stacks, and its copy of KUSER_SHARED_DATA.
//!
//! User windows and mappings of shared pages are `host`'s and later rooms'.

mod pool;
mod shared_user_data;
mod space;
mod stack;

use std::sync::Arc;

use platform::Platform;
use platform::pages::PagesError;

pub use pool::{Pool, PoolBlock, PoolError, PoolOwner, TagUsage, tag_name};
pub use space::{SystemRange, SystemSpace};
pub use stack::{KERNEL_STACK_SIZE, Stack};

use shared_user_data::SharedUserData;

/// All memory of a machine.
#[derive(Debug)]
pub struct MemoryManager {
    /// Where images, pool and kernel stacks lie.
    pub space: SystemSpace,
    /// Pool.
    pub pool: Arc<Pool>,
    shared_user_data: SharedUserData,
}

impl MemoryManager {
    pub(crate) fn new(platform: &dyn Platform, pool_limit: usize) -> Result<Self, PagesError> {
        let space = SystemSpace::new()?;
        let pool = Arc::new(Pool::new(space.clone(), pool_limit));
        let shared_user_data = SharedUserData::new(&space, platform)?;
        Ok(Self { space, pool, shared_user_data })
    }

    /// Address of the copy of KUSER_SHARED_DATA, with its times brought up to date.
    #[must_use]
    pub fn shared_user_data(&self, platform: &dyn Platform) -> usize {
        self.shared_user_data.refresh(platform)
    }
}
