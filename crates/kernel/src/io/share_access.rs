//! Share access: how drivers keep the opens of one file from disturbing each other. The I/O manager only does their sums;
//! the structure is the driver's, and so is its lock. PASSIVE_LEVEL.
//!
//! Opens that ask for none of reading, writing and deleting do not count. Source: ddi, IoCheckShareAccess and its kin.

use abi::NTSTATUS;

use crate::raw::{FileObject, Outcome, ShareAccess};

/// What an open does (read, write, delete), and what it lets others do.
struct Open {
    does: [bool; 3],
    shares: [bool; 3],
}

impl Open {
    fn asked(desired: u32, share: u32) -> Self {
        let does = [
            desired & (abi::FILE_READ_DATA | abi::FILE_EXECUTE) != 0,
            desired & (abi::FILE_WRITE_DATA | abi::FILE_APPEND_DATA) != 0,
            desired & abi::DELETE != 0,
        ];
        let shares = [abi::FILE_SHARE_READ, abi::FILE_SHARE_WRITE, abi::FILE_SHARE_DELETE];
        Self { does, shares: shares.map(|bit| share & bit != 0) }
    }

    fn of(file: FileObject) -> Outcome<Self> {
        let does = [file.read_access()?, file.write_access()?, file.delete_access()?];
        let shares = [file.shared_read()?, file.shared_write()?, file.shared_delete()?];
        Ok(Self { does: does.map(|byte| byte != 0), shares: shares.map(|byte| byte != 0) })
    }

    fn counts(&self) -> bool {
        self.does.contains(&true)
    }

    fn write(&self, file: FileObject) -> Outcome<()> {
        let [read, write, delete] = self.does.map(u8::from);
        file.set_read_access(read)?;
        file.set_write_access(write)?;
        file.set_delete_access(delete)?;
        if !self.counts() {
            return Ok(());
        }
        let [read, write, delete] = self.shares.map(u8::from);
        file.set_shared_read(read)?;
        file.set_shared_write(write)?;
        file.set_shared_delete(delete)
    }
}

/// A `SHARE_ACCESS`, read.
struct Counts {
    opens: u32,
    doing: [u32; 3],
    sharing: [u32; 3],
}

impl Counts {
    fn read(share: ShareAccess) -> Outcome<Self> {
        Ok(Self {
            opens: share.open_count()?,
            doing: [share.readers()?, share.writers()?, share.deleters()?],
            sharing: [share.shared_read()?, share.shared_write()?, share.shared_delete()?],
        })
    }

    fn write(&self, share: ShareAccess) -> Outcome<()> {
        share.set_open_count(self.opens)?;
        let [readers, writers, deleters] = self.doing;
        share.set_readers(readers)?;
        share.set_writers(writers)?;
        share.set_deleters(deleters)?;
        let [read, write, delete] = self.sharing;
        share.set_shared_read(read)?;
        share.set_shared_write(write)?;
        share.set_shared_delete(delete)
    }

    fn change(&mut self, open: &Open, by: u32) {
        self.opens = self.opens.wrapping_add(by);
        let doing = self.doing.iter_mut().zip(open.does);
        for (count, _) in doing.chain(self.sharing.iter_mut().zip(open.shares)).filter(|(_, counts)| *counts)
        {
            *count = count.wrapping_add(by);
        }
    }

    /// Whether every other open lets this one do what it does, and this one lets them.
    fn admits(&self, open: &Open) -> bool {
        (0..3).all(|right| {
            let they_let = !open.does[right] || self.sharing[right] >= self.opens;
            they_let && (open.shares[right] || self.doing[right] == 0)
        })
    }
}

/// `IoSetShareAccess`: the first open of a file.
///
/// # Errors
/// An access violation.
pub fn set_share_access(desired: u32, share: u32, file: FileObject, counts: ShareAccess) -> Outcome<()> {
    let open = Open::asked(desired, share);
    open.write(file)?;
    let mut sums = Counts { opens: 0, doing: [0; 3], sharing: [0; 3] };
    if open.counts() {
        sums.change(&open, 1);
    }
    sums.write(counts)
}

/// `IoCheckShareAccess`: whether a further open fits those that there are; counts it too when `update` is set. The file
/// object gets its access fields in any case.
///
/// # Errors
/// `Ok(Err(STATUS_SHARING_VIOLATION))`; `Err` for an access violation.
pub fn check_share_access(
    desired: u32,
    share: u32,
    file: FileObject,
    counts: ShareAccess,
    update: bool,
) -> Outcome<Result<(), NTSTATUS>> {
    let open = Open::asked(desired, share);
    open.write(file)?;
    if !open.counts() {
        return Ok(Ok(()));
    }
    let mut sums = Counts::read(counts)?;
    if !sums.admits(&open) {
        return Ok(Err(abi::STATUS_SHARING_VIOLATION));
    }
    if update {
        sums.change(&open, 1);
        sums.write(counts)?;
    }
    Ok(Ok(()))
}

/// `IoUpdateShareAccess`: counts an open that was checked before.
///
/// # Errors
/// An access violation.
pub fn update_share_access(file: FileObject, counts: ShareAccess) -> Outcome<()> {
    count(file, counts, 1)
}

/// `IoRemoveShareAccess`: takes an open out of the sums, in IRP_MJ_CLEANUP.
///
/// # Errors
/// An access violation.
pub fn remove_share_access(file: FileObject, counts: ShareAccess) -> Outcome<()> {
    count(file, counts, u32::MAX)
}

fn count(file: FileObject, counts: ShareAccess, by: u32) -> Outcome<()> {
    let open = Open::of(file)?;
    if !open.counts() {
        return Ok(());
    }
    let mut sums = Counts::read(counts)?;
    sums.change(&open, by);
    sums.write(counts)
}
