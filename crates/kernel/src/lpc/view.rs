//! Sections that the two ends of a connection show each other, for data that is too long for messages. A view lasts as long as the
//! port of the end in whose process it is.

use std::sync::{Arc, Weak};

use abi::NTSTATUS;

use crate::ex::{self, Section, View};
use crate::ob::Object;
use crate::ps::Process;

/// What an end shows the other: PORT_VIEW before the call.
#[derive(Clone, Debug)]
pub struct GivenView {
    /// The section, which the caller keeps referenced.
    pub section: Arc<Object>,
    /// What its handle may.
    pub granted: u32,
    /// Bytes, rounded down to 64 KiB.
    pub offset: u64,
    /// Bytes, rounded up to pages; 0 for all up to the section's end.
    pub size: u64,
}

/// Where it is then: PORT_VIEW after the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientView {
    /// Offset in the section, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// In the process that gave it.
    pub base: u64,
    /// In the other end's.
    pub remote_base: u64,
}

/// The other end's view, in one's own process: REMOTE_PORT_VIEW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteView {
    /// Bytes.
    pub size: u64,
    /// Where it begins.
    pub base: u64,
}

/// A view in a process. Dropping it unmaps it; never under a lock, as its file may be written then.
#[derive(Debug)]
pub(super) struct Mapped {
    process: Weak<Process>,
    pub(super) base: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(process) = self.process.upgrade() {
            // The process has ended, or has unmapped it itself.
            let _gone = process.user_space.unmap_segment(self.base);
        }
    }
}

/// Shows a part of a section to a process, to be read and written.
///
/// # Errors
/// `STATUS_INVALID_HANDLE` for what is no section; as for [`ex::map_view`].
pub(super) fn map(given: &GivenView, process: &Arc<Process>) -> Result<Mapped, NTSTATUS> {
    let section = given.section.body::<Section>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    let asked = View { base: 0, offset: given.offset, size: given.size };
    let View { base, offset, size } =
        ex::map_view(section, given.granted, process, asked, abi::PAGE_READWRITE)?;
    Ok(Mapped { process: Arc::downgrade(process), base, offset, size })
}
