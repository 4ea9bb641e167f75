//! A small volume in memory, with all that applications ask of files. The device is `\\.\Shelf`; its folders and files are
//! below it: `\\.\Shelf\folder\file`.
//!
//! Files are made, opened and overwritten as CREATE's disposition says, shared as it says, read and written at offsets, cut and
//! prolonged (FileEndOfFileInformation), and deleted, now or when their last handle is closed. Folders list their entries by a
//! pattern (IRP_MN_QUERY_DIRECTORY) and tell whoever waits for it what changes in them (IRP_MN_NOTIFY_CHANGE_DIRECTORY). The volume has
//! a label, which may be changed, and [`CAPACITY`]. Ranges of a file may be locked (IRP_MJ_LOCK_CONTROL), for a while nobody else
//! may then write there, or read; and a file has extended attributes (IRP_MJ_QUERY_EA, IRP_MJ_SET_EA).
//!
//! Files are renamed and moved (FileRenameInformation and its Ex form, of whose flags it knows FILE_RENAME_REPLACE_IF_EXISTS). What it leaves out: folders have no entries `.` and `..`, files no second name.
//!
//! # Who is told when
//!
//! All that is known of files is under one mutex; requests are completed when it is free again. A lock that has to wait is put into its
//! queue while the mutex is held, so that whoever frees the range afterwards finds it there. Changes are noted for a handle from its
//! first request to be told on, so that none is lost between two of them; where there are too many, it is told that
//! (STATUS_NOTIFY_ENUM_DIR) and has to look itself.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod ea;
mod names;
mod volume;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use driver::abi::{self, *};
use driver::{
    Answer, Answered, Buffered, CancelSafeQueue, Cleanup, Close, Contexts, Create, DirectoryControl,
    Dispatch, Driver, DriverObject, FlushBuffers, Lock, LockControl, Mutex, NotifyChangeDirectory,
    PassiveLevel, PoolArc, QueryDirectory, QueryEa, QueryInformation, QueryVolumeInformation, Read, SetEa,
    SetInformation, SetVolumeInformation, Tag, UnicodeStr, Write, utf16,
};

use volume::{Change, Opening, Times, Volume};

/// Bytes that all files may have together.
pub const CAPACITY: u64 = 1 << 20;
/// Bytes of a sector, and of an allocation unit.
pub const SECTOR: u32 = 512;
/// The volume's serial number.
pub const SERIAL: u32 = 0x5E1F_0001;
/// UTF-16 units of a name at most.
pub const LONGEST_NAME: usize = 64;
/// UTF-16 units of a path below the device at most.
const LONGEST_PATH: usize = 256;
/// UTF-16 units of a label at most.
pub const LONGEST_LABEL: usize = 32;
const FILE_SYSTEM: UnicodeStr<'static> = utf16!("SHELF");

const TAG: Tag = Tag::new(*b"Shlf");

driver::driver_entry!(ShelfDriver);

struct ShelfDriver;

impl Driver for ShelfDriver {
    type Device = Shelf;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let shelf = Shelf {
            volume: Mutex::new(TAG, Volume::new()?)?,
            locks: CancelSafeQueue::new(TAG)?,
            notices: CancelSafeQueue::new(TAG)?,
            next_open: AtomicU64::new(1),
        };
        driver
            .device(shelf)
            .device_type(FILE_DEVICE_VIRTUAL_DISK)
            .name(utf16!(r"\Device\Shelf"))
            .symbolic_link(utf16!(r"\??\Shelf"))
            .create()?;
        Ok(())
    }
}

/// The device.
struct Shelf {
    volume: Mutex<Volume>,
    /// Locks that wait for their range, by open.
    locks: CancelSafeQueue<Lock, u64>,
    /// Requests that wait for a change, by open.
    notices: CancelSafeQueue<NotifyChangeDirectory, u64>,
    next_open: AtomicU64,
}

/// An open file.
struct Open {
    id: u64,
    node: u64,
    delete_on_close: bool,
    scan: Mutex<Scan>,
}

/// How far a folder has been listed.
#[derive(Default)]
struct Scan {
    begun: bool,
    pattern: Vec<u16>,
    /// The first entry that has not been given.
    next: u64,
}

fn open_of(contexts: Contexts<'_>) -> Result<&Open, NTSTATUS> {
    contexts.fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)
}

impl Dispatch for Shelf {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        match self.open(&request) {
            Ok((open, what)) => {
                request.set_fs_context2(open);
                request.complete_as(what)
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        let level = request.level();
        if let Ok(open) = open_of(request.contexts()) {
            self.notices.cancel_file(&request);
            self.locks.cancel_file(&request);
            self.volume.lock(level).close(open.node, open.id, open.delete_on_close);
            self.after_a_change(level);
            self.grant_locks(level);
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn read(&self, mut request: Read) -> impl Answer {
        let (level, offset, key, length) =
            (request.level(), request.byte_offset(), request.key(), request.length());
        let read = {
            let (contexts, mut output) = request.contexts_and_output();
            open_of(contexts).and_then(|open| {
                let volume = self.volume.lock(level);
                let bytes = volume.read(open.node, open.id, key, offset, length)?;
                Ok(output.write(bytes))
            })
        };
        match read {
            Ok(count) => {
                request.set_current_byte_offset(offset.saturating_add(count as i64));
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn write(&self, request: Write) -> impl Answer {
        let level = request.level();
        let written = open_of(request.contexts()).and_then(|open| {
            let mut volume = self.volume.lock(level);
            volume.write(open.node, open.id, request.key(), request.byte_offset(), request.data())
        });
        match written {
            Ok(end) => {
                request.set_current_byte_offset(end);
                self.after_a_change(level);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn flush_buffers(&self, request: FlushBuffers) -> impl Answer {
        request.complete()
    }

    fn query_information(&self, mut request: QueryInformation) -> impl Answer {
        let (level, class) = (request.level(), request.class());
        let told = open_of(request.contexts()).and_then(|open| {
            let volume = self.volume.lock(level);
            answer::file(&volume, open.node, class)
        });
        match told {
            Ok(told) => {
                let status = told.give(request.output());
                request.complete_with(status)
            }
            Err(status) => request.fail(status),
        }
    }

    fn set_information(&self, request: SetInformation) -> impl Answer {
        match self.change(&request) {
            Ok(()) => {
                self.after_a_change(request.level());
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn query_volume_information(&self, mut request: QueryVolumeInformation) -> impl Answer {
        let told = answer::volume(&self.volume.lock(request.level()), request.class());
        match told {
            Ok(told) => {
                let status = told.give(request.output());
                request.complete_with(status)
            }
            Err(status) => request.fail(status),
        }
    }

    fn set_volume_information(&self, request: SetVolumeInformation) -> impl Answer {
        match self.set_label(&request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }

    fn directory_control(&self, request: DirectoryControl) -> impl Answer {
        match request {
            DirectoryControl::Query(request) => self.list(request),
            DirectoryControl::NotifyChange(request) => self.watch(request),
            DirectoryControl::Other(request) => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn lock_control(&self, request: LockControl) -> impl Answer {
        match request {
            LockControl::Lock(request) => self.lock(request),
            LockControl::Unlock(request) => {
                let level = request.level();
                let unlocked = open_of(request.contexts())
                    .and_then(|open| self.volume.lock(level).unlock(open.node, open.id, request.which()));
                self.grant_locks(level);
                match unlocked {
                    Ok(()) => request.complete(),
                    Err(status) => request.fail(status),
                }
            }
            LockControl::Other(request) => request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn query_ea(&self, mut request: QueryEa) -> impl Answer {
        let (level, single) = (request.level(), request.single_entry());
        // The request's own copy of the list cannot be looked at while its output is written.
        let mut asked = Vec::new();
        if asked.try_reserve_exact(request.list().len()).is_err() {
            return request.fail(STATUS_INSUFFICIENT_RESOURCES);
        }
        asked.extend_from_slice(request.list());
        let given = {
            let (contexts, output) = request.contexts_and_output();
            open_of(contexts).and_then(|open| {
                let volume = self.volume.lock(level);
                Ok(ea::give(&volume.node(open.node)?.attributes_list, &asked, single, output))
            })
        };
        match given {
            Ok(status) => request.complete_with(status),
            Err(status) => request.fail(status),
        }
    }

    fn set_ea(&self, request: SetEa) -> impl Answer {
        let level = request.level();
        let changed = open_of(request.contexts()).and_then(|open| {
            let mut volume = self.volume.lock(level);
            let list = ea::merged(&volume.node(open.node)?.attributes_list, request.data())?;
            volume.set_attributes_list(open.node, list)
        });
        match changed {
            Ok(()) => {
                self.after_a_change(level);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }
}

impl Shelf {
    fn open(&self, request: &Create) -> Result<(PoolArc<Open>, usize), NTSTATUS> {
        let (level, id) = (request.level(), self.next_open.fetch_add(1, Ordering::Relaxed));
        let how = Opening {
            open: id,
            access: request.desired_access(),
            share: request.share_access(),
            disposition: request.disposition(),
            options: request.options(),
            target: request.opens_target_directory(),
        };
        let scan = Mutex::new(TAG, Scan::default())?;
        let from =
            request.related_file()?.map(|related| open_of(related).map(|open| open.node)).transpose()?;
        let (node, what) = self.volume.lock(level).open(from, request.file_name().units(), &how)?;
        self.after_a_change(level);
        let delete_on_close = how.options & FILE_DELETE_ON_CLOSE != 0;
        let made = PoolArc::new(TAG, Open { id, node, delete_on_close, scan });
        if made.is_err() {
            self.volume.lock(level).close(node, id, what == FILE_CREATED);
        }
        Ok((made?, what))
    }

    fn change(&self, request: &SetInformation) -> Result<(), NTSTATUS> {
        let open = open_of(request.contexts())?;
        let long = |at: usize| {
            let bytes = request.data().get(at..).and_then(|rest| rest.first_chunk());
            bytes.map(|bytes| i64::from_le_bytes(*bytes)).ok_or(STATUS_INFO_LENGTH_MISMATCH)
        };
        let mut volume = self.volume.lock(request.level());
        match request.class() {
            abi::FileBasicInformation => {
                let times =
                    Times { creation: long(0)?, access: long(8)?, write: long(16)?, change: long(24)? };
                let attributes = request.data().get(32..).and_then(|rest| rest.first_chunk());
                let attributes = attributes.map_or(0, |bytes| u32::from_le_bytes(*bytes));
                volume.set_basic(open.node, times, attributes)
            }
            abi::FileRenameInformation | abi::FileRenameInformationEx => {
                let folder = request.target_directory()?.map(|target| open_of(target).map(|open| open.node));
                let folder = folder.transpose()?;
                let mut name = request.new_name()?;
                if folder.is_some() {
                    // The path to the folder is the I/O manager's.
                    name = name.rsplit(|unit| *unit == [b'\\', 0]).next().unwrap_or(name);
                }
                volume.rename(open.node, folder, name, request.replace_if_exists())
            }
            abi::FileDispositionInformation => {
                volume.set_delete(open.node, request.data().first().is_some_and(|delete| *delete != 0))
            }
            abi::FileEndOfFileInformation => {
                let end = u64::try_from(long(0)?).map_err(|_| STATUS_INVALID_PARAMETER)?;
                volume.set_end(open.node, end)
            }
            // Memory is taken when bytes come.
            abi::FileAllocationInformation => {
                let size = u64::try_from(long(0)?).map_err(|_| STATUS_INVALID_PARAMETER)?;
                let now = volume.node(open.node)?.data.len() as u64;
                if size < now { volume.set_end(open.node, size) } else { Ok(()) }
            }
            _ => Err(STATUS_INVALID_PARAMETER),
        }
    }

    /// Source: Win32, SetVolumeLabel.
    fn set_label(&self, request: &SetVolumeInformation) -> Result<(), NTSTATUS> {
        if request.class() != abi::FileFsLabelInformation {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let length = request.data().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        let text = request.data().get(4..).and_then(|rest| rest.get(..length));
        let (units, odd) = text.ok_or(STATUS_INVALID_PARAMETER)?.as_chunks::<2>();
        if !odd.is_empty() || units.len() > LONGEST_LABEL {
            return Err(STATUS_INVALID_VOLUME_LABEL);
        }
        let mut label = Vec::new();
        label.try_reserve_exact(units.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        label.extend(units.iter().map(|unit| u16::from_le_bytes(*unit)));
        self.volume.lock(request.level()).label = label;
        Ok(())
    }

    fn list(&self, mut request: QueryDirectory) -> Answered {
        match self.list_entries(&mut request) {
            Ok(status) => request.complete_with(status),
            Err(status) => request.fail(status),
        }
    }

    fn list_entries(&self, request: &mut QueryDirectory) -> Result<NTSTATUS, NTSTATUS> {
        let (level, class, single, restart) =
            (request.level(), request.class(), request.single_entry(), request.restart_scan());
        let name_at = answer::name_at(class).ok_or(STATUS_INVALID_INFO_CLASS)?;
        let mut pattern = Vec::new();
        if let Some(asked) = request.pattern() {
            let units = asked.units();
            pattern.try_reserve_exact(units.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
            pattern.extend_from_slice(units);
        }
        let (contexts, mut output) = request.contexts_and_output();
        let open = open_of(contexts)?;
        let mut scan = open.scan.lock(level);
        let is_first = !scan.begun;
        if is_first {
            *scan = Scan { begun: true, pattern, next: 0 };
        } else if restart {
            scan.next = 0;
        }
        let volume = self.volume.lock(level);
        if !volume.node(open.node)?.is_folder {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let length = |node: &volume::Node| name_at + node.name.len() * 2;
        let mut previous: Option<&volume::Node> = None;
        for node in volume.entries(open.node, scan.next) {
            if !names::fits(&scan.pattern, &node.name) {
                continue;
            }
            let room = previous.map_or(0, |previous| length(previous).next_multiple_of(8));
            if output.written() + room + length(node) > output.capacity() {
                if previous.is_none() {
                    return Ok(answer::entry(node, class, name_at, 0).give(output));
                }
                break;
            }
            if let Some(previous) = previous {
                let before = output.written();
                answer::entry(previous, class, name_at, room).append(&mut output);
                output.fill(0, room - (output.written() - before));
            }
            scan.next = node.id + 1;
            previous = Some(node);
            if single {
                break;
            }
        }
        match previous {
            Some(last) => {
                answer::entry(last, class, name_at, 0).append(&mut output);
                Ok(STATUS_SUCCESS)
            }
            None if is_first => Err(STATUS_NO_SUCH_FILE),
            None => Ok(STATUS_NO_MORE_FILES),
        }
    }

    fn watch(&self, request: NotifyChangeDirectory) -> Answered {
        let level = request.level();
        let watched = open_of(request.contexts()).and_then(|open| {
            let mut volume = self.volume.lock(level);
            volume.watch(open.id, open.node, request.filter(), request.watch_tree())?;
            Ok(open.id)
        });
        match watched {
            Ok(open) => {
                let answered = self.notices.pend(request, open);
                // Something may have changed since the last one.
                self.tell(level, open);
                answered
            }
            Err(status) => request.fail(status),
        }
    }

    /// Tells whoever waits for a change that there is one.
    fn after_a_change(&self, level: PassiveLevel) {
        let mut after = 0;
        loop {
            let next = self.volume.lock(level).next_told(after);
            let Some(open) = next else { return };
            self.tell(level, open);
            after = open;
        }
    }

    /// Completes a waiting request of an open that something is to be told. Whoever else does this at the same time puts its request
    /// back before it looks for changes again, so that neither a request nor a change stays alone.
    fn tell(&self, level: PassiveLevel, open: u64) {
        loop {
            let Some((mut request, _)) = self.notices.remove_next_if(|waiting| *waiting == open) else {
                return;
            };
            let changes = self.volume.lock(level).take_changes(open);
            let Some(changes) = changes else {
                self.notices.insert_first(request, open);
                if self.volume.lock(level).next_told(open - 1) != Some(open) {
                    return;
                }
                continue;
            };
            match write_changes(&changes, request.output()) {
                Ok(()) => request.complete(),
                // Without a byte: whoever asks looks at the folder.
                Err(status) => request.complete_with(status),
            }
        }
    }

    fn lock(&self, request: Lock) -> Answered {
        let level = request.level();
        let Ok((id, node)) = open_of(request.contexts()).map(|open| (open.id, open.node)) else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        let mut volume = self.volume.lock(level);
        match volume.lock(node, id, request.key(), request.range(), request.is_exclusive()) {
            Ok(()) => request.complete(),
            // While the mutex is held: whoever unlocks after this finds it in the queue.
            Err(STATUS_LOCK_NOT_GRANTED) if !request.fails_immediately() => self.locks.pend(request, id),
            Err(status) => request.fail(status),
        }
    }

    /// Gives waiting locks what is free now, in their order.
    fn grant_locks(&self, level: PassiveLevel) {
        let mut waiting = 0_usize;
        self.locks.for_each(|_| waiting += 1);
        for _ in 0..waiting {
            let Some((request, id)) = self.locks.remove_next() else { return };
            let mut volume = self.volume.lock(level);
            let granted = open_of(request.contexts()).and_then(|open| {
                volume.lock(open.node, id, request.key(), request.range(), request.is_exclusive())
            });
            match granted {
                Err(STATUS_LOCK_NOT_GRANTED) => self.locks.insert(request, id),
                Ok(()) => {
                    drop(volume);
                    request.complete();
                }
                Err(status) => {
                    drop(volume);
                    request.fail(status);
                }
            }
        }
    }
}

/// FILE_NOTIFY_INFORMATION of all changes; none, when there were too many or they do not fit.
fn write_changes(changes: &[Change], mut output: driver::Output<'_>) -> Result<(), NTSTATUS> {
    const NAME: usize = core::mem::offset_of!(FILE_NOTIFY_INFORMATION, FileName);
    let room = |change: &Change| NAME + change.name.len() * 2;
    let needed: usize = changes.iter().map(|change| room(change).next_multiple_of(4)).sum();
    if changes.is_empty() || needed > output.capacity() {
        return Err(STATUS_NOTIFY_ENUM_DIR);
    }
    for (index, change) in changes.iter().enumerate() {
        let padded = room(change).next_multiple_of(4);
        let next = if index + 1 == changes.len() { 0 } else { padded };
        let length = change.name.len() * 2;
        for word in [next, change.action as usize, length] {
            output.write(&u32::try_from(word).unwrap_or(0).to_le_bytes());
        }
        for unit in &change.name {
            output.write(&unit.to_le_bytes());
        }
        output.fill(0, padded - room(change));
    }
    Ok(())
}
