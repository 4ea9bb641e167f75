//! Paged pool, by boxes.

use driver::abi::NTSTATUS;
use driver::{FastMutex, PagedBox, PassiveLevel, PoolArc, PoolBox, SpinLock};

use crate::TAG;

pub(crate) fn paged(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let mut number = PagedBox::new(level, TAG, 17_u64)?;
    *number.get_mut(level) += 1;
    assert_eq!(*number.get(level), 18);
    assert_eq!(number.into_inner(level), 18);
    let mut bytes = PagedBox::zeroed(level, TAG, 5000)?;
    assert!(bytes.get(level).iter().all(|byte| *byte == 0));
    bytes.get_mut(level)[4999] = 7;
    let copy = PagedBox::copy_of(level, TAG, bytes.get(level))?;
    assert_eq!(copy.get(level)[4998..], [0, 7]);
    assert!(PagedBox::<[u8]>::copy_of(level, TAG, &[])?.get(level).is_empty());

    // The value is dropped with its box, once.
    let shared = PoolArc::new(TAG, SpinLock::new(0))?;
    let counts = PagedBox::new(level, TAG, Counts(shared.clone()))?;
    assert_eq!(shared.with(|drops| *drops), 0);
    drop(counts);
    assert_eq!(shared.with(|drops| *drops), 1);

    // APC_LEVEL will do.
    let mutex = FastMutex::new(TAG, copy)?;
    mutex.with(level, |copy| copy.get_mut(level)[0] = 1);
    assert_eq!(mutex.with(level, |copy| copy.get(level)[0]), 1);
    Ok(())
}

pub(crate) struct Counts(pub(crate) PoolArc<SpinLock<u32>>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.with(|drops| *drops += 1);
    }
}

pub(crate) fn paged_at_dispatch_level(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let number = PagedBox::new(level, TAG, 17_u64)?;
    let sum = PoolBox::new(TAG, SpinLock::new(0))?;
    sum.with(|sum| *sum += *number.get(level));
    Ok(())
}

pub(crate) fn paged_dropped_at_dispatch_level(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let kept = SpinLock::new(Some(PagedBox::new(level, TAG, 17_u64)?));
    kept.with(|kept| drop(kept.take()));
    Ok(())
}

pub(crate) fn leak(level: PassiveLevel) -> Result<(), NTSTATUS> {
    core::mem::forget(PagedBox::zeroed(level, TAG, 5000)?);
    core::mem::forget(PoolBox::zeroed(TAG, 100)?);
    Ok(())
}
