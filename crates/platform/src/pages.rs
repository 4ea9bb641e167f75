//! Pages: reserved, committed and moved, at the addresses of decision 2 (`docs/decisions/0002-address-map.md`).
//!
//! This room hands out addresses, never references: what lies at them is checked by whoever reads it. What the
//! pages mean (pool, images, windows) is the kernel's and the loader's business.

mod moving;
mod reservation;

use std::fmt;
use std::ops::Range;

use rustix::io::Errno;
use rustix::mm::{MprotectFlags, ProtFlags};

pub use moving::{is_moving, wait_until_moved};
pub(crate) use reservation::reserve;
pub use reservation::{Reservation, reserve_system_slab, reserve_window};

/// The size of a page, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Where user windows lie: below `MmUserProbeAddress`, at the same address in host and application.
pub const USER_WINDOWS: Range<usize> = 0x2000_0000_0000..0x5000_0000_0000;

/// Windows start at multiples of this and are at most this long.
pub const WINDOW_STRIDE: usize = 16 << 30;

/// `MmUserProbeAddress`: the first address that no user buffer may reach.
pub const USER_PROBE_ADDRESS: usize = USER_WINDOWS.end;

/// Where images, pool and kernel stacks lie.
pub const SYSTEM_SPACE: Range<usize> = 0x6000_0000_0000..0x6800_0000_0000;

/// The size of one machine's part of system space; slabs start at multiples of it.
pub const SYSTEM_SLAB: usize = 64 << 30;

/// The end of what a process can map.
pub(crate) const ADDRESS_LIMIT: usize = 1 << 47;

/// What code may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// Every access faults.
    NoAccess,
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and executing.
    ReadExecute,
    /// Everything (sections of old images ask for it).
    ReadWriteExecute,
}

impl Protection {
    pub(crate) fn map_flags(self) -> ProtFlags {
        match self {
            Self::NoAccess => ProtFlags::empty(),
            Self::Read => ProtFlags::READ,
            Self::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
            Self::ReadExecute => ProtFlags::READ | ProtFlags::EXEC,
            Self::ReadWriteExecute => ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC,
        }
    }

    pub(crate) fn protect_flags(self) -> MprotectFlags {
        MprotectFlags::from_bits_truncate(self.map_flags().bits())
    }
}

/// Why a request for pages was refused. Nothing has changed then, unless a variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagesError {
    /// Linux has no memory, no address space under the process's limits, or no room for another mapping.
    NoMemory,
    /// Something else is mapped in the range.
    Occupied,
    /// The range is empty, wraps, or does not lie inside what it should lie in.
    OutOfRange,
    /// Address, offset or length is not a multiple of the page size.
    Misaligned,
    /// The range holds pages that are shared already: they cannot move again.
    Shared,
    /// The range holds the calling thread's own stack, which cannot be read-only while this thread runs on it.
    OwnStack,
    /// The descriptor is not a memory file sealed against shrinking, growing and further seals.
    NotSealed,
    /// The descriptor does not let its pages be mapped with the protection asked for.
    AccessDenied,
    /// Linux's own error number, for what none of the above says.
    Linux(i32),
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "no memory, address space or mappings left",
            Self::Occupied => "something else is mapped there",
            Self::OutOfRange => "the range is empty or lies outside its bounds",
            Self::Misaligned => "address or length is not a multiple of the page size",
            Self::Shared => "the pages are shared already",
            Self::OwnStack => "the range holds the calling thread's stack",
            Self::NotSealed => "the descriptor is no memory file with sealed size",
            Self::AccessDenied => "the descriptor does not allow this protection",
            Self::Linux(number) => return write!(f, "Linux error {number}"),
        })
    }
}

impl std::error::Error for PagesError {}

impl From<Errno> for PagesError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOMEM | Errno::NOSPC | Errno::MFILE | Errno::NFILE => Self::NoMemory,
            Errno::EXIST => Self::Occupied,
            Errno::ACCESS => Self::AccessDenied,
            other => Self::Linux(other.raw_os_error()),
        }
    }
}

/// Whether `start..start+len` is a sound, non-empty range of whole pages that ends at or below `end`.
pub(crate) fn check_range(start: usize, len: usize, end: usize) -> Result<(), PagesError> {
    if !start.is_multiple_of(PAGE_SIZE) || !len.is_multiple_of(PAGE_SIZE) {
        return Err(PagesError::Misaligned);
    }
    match start.checked_add(len) {
        Some(stop) if len != 0 && stop <= end => Ok(()),
        _ => Err(PagesError::OutOfRange),
    }
}
