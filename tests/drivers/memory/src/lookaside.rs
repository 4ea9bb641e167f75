//! Lookaside lists, in both pools.

use driver::abi::NTSTATUS;
use driver::{Lookaside, PagedLookaside, PassiveLevel, PoolArc, SpinLock};

use crate::TAG;
use crate::pool::Counts;

pub(crate) fn both(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let list = Lookaside::new(TAG)?;
    let mut first = list.allocate([1_u8; 100])?;
    let second = list.allocate([2; 100])?;
    first[99] = 9;
    assert_eq!((first[0], first[99], second[99]), (1, 9, 2));
    let place = &raw const *second;
    drop(second);
    let again = list.allocate([3; 100])?;
    assert_eq!(&raw const *again, place, "the block that was given back last");

    // The list has gone, its blocks have not.
    drop(list);
    drop(first);
    assert_eq!(*again, [3; 100]);
    drop(again);

    // Smaller than a list's link.
    let small = Lookaside::new(TAG)?;
    let (one, two) = (small.allocate(1_u8)?, small.allocate(2_u8)?);
    assert_eq!((*one, *two), (1, 2));

    let shared = PoolArc::new(TAG, SpinLock::new(0))?;
    let counted = Lookaside::new(TAG)?;
    drop(counted.allocate(Counts(shared.clone()))?);
    assert_eq!(shared.with(|drops| *drops), 1, "given back with its value dropped");

    let paged = PagedLookaside::new(level, TAG)?;
    let mut number = paged.allocate(level, 17_u64)?;
    *number.get_mut(level) += 1;
    drop(paged);
    assert_eq!(*number.get(level), 18);
    Ok(())
}

pub(crate) fn paged_at_dispatch_level(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let number = PagedLookaside::new(level, TAG)?.allocate(level, 17_u64)?;
    SpinLock::new(0).with(|sum| *sum += *number.get(level));
    Ok(())
}
