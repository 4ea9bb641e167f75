//! What is behind a section: pages of their own, or a file, which its file system fills and writes by paging I/O.
//!
//! All sections of one file show the same pages, found by the file object's SectionObjectPointer: file objects of one file share
//! that. A file is read whole when its first section is made, and its changed pages are written when a view is flushed, and when
//! the last view and handle have gone; NT reads and writes single pages when it needs to. Files whose driver sets no
//! SectionObjectPointer have no sections, as on NT.

use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use abi::NTSTATUS;
use platform::pages::PAGE_SIZE;

use super::asynchronous::{Caller, Notice, Target};
use super::device;
use super::file::File;
use super::kernel_file::wait_for;
use super::operation::Operation;
use crate::Kernel;
use crate::ex::{self, SectionRequest};
use crate::mm::{LARGEST_SECTION, PoolOwner, Segment, SegmentFile, SegmentUse};
use crate::ob::{self, Name, Object};
use crate::ps::{self, Process};
use crate::raw::{self, DeviceObject};
use crate::trace::Event;

/// Tag of buffers for paging I/O.
const TAG: u32 = u32::from_le_bytes(*b"MmPg");
const IOSB_SIZE: u64 = 16;

/// The segments of files, by the address of their SECTION_OBJECT_POINTERS.
#[derive(Debug, Default)]
pub(super) struct FileSegments {
    all: Mutex<HashMap<u64, Weak<Segment>>>,
}

/// A file that a segment is filled from, with a reference to the file object.
#[derive(Debug)]
struct PagedFile {
    kernel: Weak<Kernel>,
    file: Arc<Object>,
}

impl Drop for PagedFile {
    fn drop(&mut self) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        // The last view may go with its process, when this thread is in none; the file's driver may now be told IRP_MJ_CLOSE.
        let _stopped = ps::inside(&kernel, kernel.ps.system(), |_| self.file.dereference(&kernel));
    }
}

/// Makes or finds the segment of a section, and says how many bytes of it are the section's. `file` is its file and what that was
/// opened for, if it has one; a file that is too short for a section to be written to becomes longer.
///
/// # Errors
/// What `SectionRequest::check` says. Without a file `STATUS_INVALID_PARAMETER_4` for no bytes. With one: `STATUS_ACCESS_DENIED` when it was
/// opened for less; `STATUS_INVALID_FILE_FOR_SECTION` when its driver has set no SectionObjectPointer;
/// `STATUS_MAPPED_FILE_SIZE_ZERO`; `STATUS_SECTION_TOO_BIG` for more bytes than a file has that is only read; what the driver
/// answers; `STATUS_NOT_IMPLEMENTED` for more bytes than the segment has that is in use. `STATUS_INSUFFICIENT_RESOURCES`.
///
/// Source: ddi, ZwCreateSection.
pub fn segment(
    kernel: &Kernel,
    file: Option<(&Arc<Object>, u32)>,
    request: SectionRequest,
) -> Result<(SegmentUse, u64), NTSTATUS> {
    request.check()?;
    let Some((object, granted)) = file else {
        return match request.size {
            0 => Err(abi::STATUS_INVALID_PARAMETER_4),
            // ddi: of pages of its own it has whole ones.
            size => Ok((kernel.mm.segment(size)?, size.next_multiple_of(PAGE_SIZE as u64))),
        };
    };
    let file = object.body::<File>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    let writable = request.protection == abi::PAGE_READWRITE;
    let needed = if writable { abi::FILE_READ_DATA | abi::FILE_WRITE_DATA } else { abi::FILE_READ_DATA };
    if needed & !granted != 0 {
        return Err(abi::STATUS_ACCESS_DENIED);
    }
    let pointers = file.object.section_object_pointer().map_err(|_| abi::STATUS_INVALID_FILE_FOR_SECTION)?;
    if pointers == 0 {
        return Err(abi::STATUS_INVALID_FILE_FOR_SECTION);
    }
    if !object.try_reference() {
        return Err(abi::STATUS_INVALID_HANDLE);
    }
    let this = kernel.arc().map(|kernel| Arc::downgrade(&kernel)).unwrap_or_default();
    let paged = PagedFile { kernel: this, file: Arc::clone(object) };
    let end = paged.end_of_file()?;
    let size = section_size(request.size, end, writable)?;
    let found = match kernel.io.file_segments.find(pointers, None) {
        Some(found) => found,
        None => {
            if size > end {
                paged.set_end_of_file(size)?;
            }
            let made = kernel.mm.segment_of_file(size.max(end), Box::new(paged))?;
            // Another thread may have done the same meanwhile: then its pages count.
            kernel.io.file_segments.find(pointers, Some(&made)).unwrap_or(made)
        }
    };
    if size > found.size() {
        kernel.trace.emit(|| Event::NotImplemented {
            what: "a section of a file that has grown while it was mapped",
        });
        return Err(abi::STATUS_NOT_IMPLEMENTED);
    }
    Ok((found, size))
}

/// Bytes of a section of a file that has `end`: `wanted`, or all of them.
fn section_size(wanted: u64, end: u64, writable: bool) -> Result<u64, NTSTATUS> {
    match wanted {
        0 if end == 0 => Err(abi::STATUS_MAPPED_FILE_SIZE_ZERO),
        0 => Ok(end),
        // Only what is written to makes its file longer; and none that no view could show.
        wanted if wanted > end && !writable || wanted > LARGEST_SECTION => Err(abi::STATUS_SECTION_TOO_BIG),
        wanted => Ok(wanted),
    }
}

impl FileSegments {
    /// The segment of a file that is used now; else that is `new`, if it is given.
    fn find(&self, pointers: u64, new: Option<&SegmentUse>) -> Option<SegmentUse> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, segment| segment.strong_count() != 0);
        if let Some(segment) = all.get(&pointers).and_then(Weak::upgrade) {
            return Some(SegmentUse::of(segment));
        }
        let new = new?;
        all.insert(pointers, Arc::downgrade(new.segment()));
        Some(new.clone())
    }
}

/// `NtCreateSection`: a handle of `process` to a new section, or to the one that has the name (then true). `file` is a handle of the
/// process, 0 for none. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`segment`] and [`ob::create_named`]; `STATUS_INVALID_HANDLE`, `STATUS_OBJECT_TYPE_MISMATCH` for the file.
pub fn create_section(
    kernel: &Kernel,
    process: &Process,
    name: Name<'_>,
    file: u32,
    request: SectionRequest,
) -> Result<(u32, bool), NTSTATUS> {
    let made = if file == 0 {
        segment(kernel, None, request)
    } else {
        let entry = process.handles.get(file).ok_or(abi::STATUS_INVALID_HANDLE)?;
        segment(kernel, Some((&entry.object, entry.granted)), request)
    };
    let (segment, size) = made?;
    let object = ex::section_object(kernel, segment, size, request)?;
    ob::create_named(kernel, process, &object, name)
}

impl PagedFile {
    fn set_end_of_file(&self, end: u64) -> Result<(), NTSTATUS> {
        let (bytes, class) = (end.to_le_bytes(), abi::FileEndOfFileInformation);
        let set = |data, _| Operation::information(abi::IRP_MJ_SET_INFORMATION, class, data);
        self.ask(&bytes, &mut [], set).map(drop)
    }

    fn end_of_file(&self) -> Result<u64, NTSTATUS> {
        let mut answer = [0; size_of::<abi::FILE_STANDARD_INFORMATION>()];
        let class = abi::FileStandardInformation;
        self.ask(&[], &mut answer, |data, _| {
            Operation::information(abi::IRP_MJ_QUERY_INFORMATION, class, data)
        })?;
        let at = offset_of!(abi::FILE_STANDARD_INFORMATION, EndOfFile);
        let end = answer[at..].first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
        u64::try_from(end).map_err(|_| abi::STATUS_INVALID_FILE_FOR_SECTION)
    }

    /// Asks the file's driver, in the system process; returns the request's information. `input` goes along, and `output` is filled
    /// from the front; one of them is empty.
    fn ask(
        &self,
        input: &[u8],
        output: &mut [u8],
        operation: impl FnOnce((u64, u32), u32) -> Operation,
    ) -> Result<u64, NTSTATUS> {
        let kernel = self.kernel.upgrade().ok_or(abi::STATUS_DEVICE_NOT_CONNECTED)?;
        let length = input.len().max(output.len());
        let room = kernel.mm.pool.allocate_zeroed(length + 16, TAG, PoolOwner::default());
        let room = room.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
        let data =
            (room.address + IOSB_SIZE, u32::try_from(length).map_err(|_| abi::STATUS_INVALID_PARAMETER)?);
        let answered = raw::copy_to(data.0, input).map_err(|_| abi::STATUS_ACCESS_VIOLATION).and_then(|()| {
            self.wait(&kernel, room.address, |flags| operation(data, flags))?;
            let information: u64 = raw::read(room.address + 8).map_err(|_| abi::STATUS_ACCESS_VIOLATION)?;
            raw::copy_from(output, data.0).map_err(|_| abi::STATUS_ACCESS_VIOLATION)?;
            Ok(information)
        });
        // A request that a stopped machine has given up may still write there.
        if !kernel.is_halted() {
            super::free_own(&kernel, room.address);
        }
        answered
    }

    fn wait(
        &self,
        kernel: &Kernel,
        io_status_block: u64,
        operation: impl FnOnce(u32) -> Operation,
    ) -> Result<(), NTSTATUS> {
        let system = kernel.ps.system().clone();
        let notice = Notice { io_status_block, ..Notice::default() };
        let ended = ps::inside(kernel, &system, |thread| {
            let caller = Caller { kernel, process: &system, thread, user_mode: false };
            // The segment's own reference is not the request's.
            if !self.file.try_reference() {
                return Ok(abi::STATUS_FILE_CLOSED);
            }
            wait_for(caller, Target::File(Arc::clone(&self.file)), notice, &[], |file, _| {
                let flags = device::top_of_stack(file.device).and_then(DeviceObject::flags);
                Ok(operation(flags.map_err(|_| abi::STATUS_NO_SUCH_DEVICE)?))
            })
        })?;
        let status = ended.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)?;
        if status.is_error() { Err(status) } else { Ok(()) }
    }
}

impl SegmentFile for PagedFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), NTSTATUS> {
        let read = |data, flags| Operation::transfer(abi::IRP_MJ_READ, flags, offset, data).for_paging();
        match self.ask(&[], bytes, read) {
            Ok(_) | Err(abi::STATUS_END_OF_FILE) => Ok(()),
            Err(status) => Err(status),
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), NTSTATUS> {
        let write = |data, flags| Operation::transfer(abi::IRP_MJ_WRITE, flags, offset, data).for_paging();
        self.ask(bytes, &mut [], write).map(drop)
    }
}
