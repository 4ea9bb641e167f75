//! MDLs of the driver's own.

use driver::abi::{NTSTATUS, STATUS_INVALID_PARAMETER};
use driver::{Mdl, PagesMdl, PassiveLevel, PoolBox};

use crate::TAG;

const PAGE: usize = 4096;

pub(crate) fn own(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let mut mdl = Mdl::new(PoolBox::zeroed(TAG, 10_000)?)?;
    assert_eq!(mdl.byte_count(), 10_000);
    assert_eq!(mdl.byte_offset(), mdl.bytes().as_ptr().addr() % PAGE);
    mdl.bytes_mut()[4999..5002].copy_from_slice(&[1, 2, 3]);
    {
        let part = mdl.partial(5000..9000)?;
        assert_eq!(part.byte_count(), 4000);
        assert_eq!(part.byte_offset(), (mdl.byte_offset() + 5000) % PAGE);
        assert_eq!(part.bytes()?[..3], [2, 3, 0]);
        let whole = mdl.partial(0..10_000)?;
        assert_eq!(whole.bytes()?[4999..5002], [1, 2, 3]);
    }
    assert_eq!(mdl.partial(3..3).err(), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(mdl.partial(9000..10_001).err(), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(mdl.into_buffer()[5001], 3);
    assert_eq!(Mdl::new(PoolBox::default()).err(), Some(STATUS_INVALID_PARAMETER));

    let mut pages = PagesMdl::zeroed(level, 3 * PAGE)?;
    assert_eq!(pages.byte_count(), 3 * PAGE);
    assert!(pages.bytes().iter().all(|byte| *byte == 0));
    pages.bytes_mut()[3 * PAGE - 1] = 7;
    assert_eq!(pages.bytes()[3 * PAGE - 2..], [0, 7]);
    assert_eq!(PagesMdl::zeroed(level, 0).err(), Some(STATUS_INVALID_PARAMETER));
    Ok(())
}
