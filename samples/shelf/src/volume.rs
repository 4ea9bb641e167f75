//! The volume: its folders and files, who has them open, which ranges are locked, and which changes are to be told.

use alloc::vec::Vec;

use driver::abi::*;
use driver::{LockRange, UnicodeStr, Unlocked, time};

use crate::{CAPACITY, LONGEST_NAME, LONGEST_PATH};

/// Files and folders at most.
const MOST_NODES: usize = 512;
/// Changes that are kept for a handle which is not asking just now.
const MOST_CHANGES: usize = 64;
pub(crate) const ROOT: u64 = 1;
const BACKSLASH: u16 = 0x5C;

/// A file or a folder.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) name: Vec<u16>,
    pub(crate) is_folder: bool,
    pub(crate) data: Vec<u8>,
    pub(crate) attributes: u32,
    pub(crate) times: Times,
    pub(crate) delete_pending: bool,
    /// FILE_FULL_EA_INFORMATION, one entry behind the other.
    pub(crate) attributes_list: Vec<u8>,
    opens: Vec<Share>,
    locks: Vec<Locked>,
}

/// When what happened, in units of 100 ns since the beginning of 1601.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) creation: i64,
    pub(crate) access: i64,
    pub(crate) write: i64,
    pub(crate) change: i64,
}

/// What an open may do, and lets others do.
#[derive(Clone, Copy)]
struct Share {
    open: u64,
    /// FILE_SHARE_READ for reading, and so on.
    does: u32,
    allows: u32,
}

struct Locked {
    open: u64,
    key: u32,
    range: LockRange,
    is_exclusive: bool,
}

/// A handle that wants to be told.
struct Watch {
    open: u64,
    folder: u64,
    filter: u32,
    tree: bool,
    changes: Vec<Change>,
    lost: bool,
}

/// What has happened.
pub(crate) struct Change {
    pub(crate) action: u32,
    /// Relative to the folder that is watched.
    pub(crate) name: Vec<u16>,
}

pub(crate) struct Volume {
    nodes: Vec<Node>,
    watches: Vec<Watch>,
    pub(crate) label: Vec<u16>,
    pub(crate) made: i64,
    next: u64,
}

/// How a file is opened.
pub(crate) struct Opening {
    pub(crate) open: u64,
    pub(crate) access: u32,
    pub(crate) share: u32,
    pub(crate) disposition: u32,
    pub(crate) options: u32,
    /// Whether the folder that the file is in is opened.
    pub(crate) target: bool,
}

fn copy<T: Copy>(values: &[T]) -> Result<Vec<T>, NTSTATUS> {
    let mut copied = Vec::new();
    copied.try_reserve_exact(values.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    copied.extend_from_slice(values);
    Ok(copied)
}

fn push<T>(to: &mut Vec<T>, value: T) -> Result<(), NTSTATUS> {
    to.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    to.push(value);
    Ok(())
}

fn same(name: &[u16], other: &[u16]) -> bool {
    name.len() == other.len() && UnicodeStr::new(name).eq_ignore_case(&UnicodeStr::new(other))
}

fn is_name(name: &[u16]) -> bool {
    const FORBIDDEN: [u8; 9] = *b"*?<>\"|:/\\";
    let forbidden = |unit: &u16| *unit < 0x20 || FORBIDDEN.iter().any(|sign| u16::from(*sign) == *unit);
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.iter().any(forbidden)
}

impl Node {
    fn new(id: u64, parent: u64, name: &[u16], is_folder: bool) -> Result<Self, NTSTATUS> {
        let now = time::system_time();
        Ok(Self {
            id,
            parent,
            name: copy(name)?,
            is_folder,
            data: Vec::new(),
            attributes: if is_folder { FILE_ATTRIBUTE_DIRECTORY } else { FILE_ATTRIBUTE_ARCHIVE },
            times: Times { creation: now, access: now, write: now, change: now },
            delete_pending: false,
            attributes_list: Vec::new(),
            opens: Vec::new(),
            locks: Vec::new(),
        })
    }

    /// Source: ddi, IoCheckShareAccess.
    fn check_share(&self, does: u32, allows: u32) -> Result<(), NTSTATUS> {
        let fits = |other: &Share| does & !other.allows == 0 && other.does & !allows == 0;
        if self.opens.iter().all(|other| does == 0 || other.does == 0 || fits(other)) {
            Ok(())
        } else {
            Err(STATUS_SHARING_VIOLATION)
        }
    }

    fn touch(&mut self) {
        let now = time::system_time();
        self.times.write = now;
        self.times.change = now;
    }
}

impl Volume {
    pub(crate) fn new() -> Result<Self, NTSTATUS> {
        let mut nodes = Vec::new();
        push(&mut nodes, Node::new(ROOT, 0, &[], true)?)?;
        let made = time::system_time();
        Ok(Self { nodes, watches: Vec::new(), label: Vec::new(), made, next: ROOT + 1 })
    }

    pub(crate) fn node(&self, id: u64) -> Result<&Node, NTSTATUS> {
        self.nodes.iter().find(|node| node.id == id).ok_or(STATUS_FILE_CLOSED)
    }

    fn node_mut(&mut self, id: u64) -> Result<&mut Node, NTSTATUS> {
        self.nodes.iter_mut().find(|node| node.id == id).ok_or(STATUS_FILE_CLOSED)
    }

    fn child(&self, folder: u64, name: &[u16]) -> Option<u64> {
        let is_it = |node: &&Node| node.parent == folder && same(&node.name, name);
        self.nodes.iter().find(is_it).map(|node| node.id)
    }

    /// The entries of a folder from this one on.
    pub(crate) fn entries(&self, folder: u64, from: u64) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.parent == folder && node.id >= from)
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.nodes.iter().map(|node| node.data.len() as u64).sum()
    }

    /// The name of a file below the volume, with a backslash in front; units that are written to `room`.
    pub(crate) fn path<'a>(&self, id: u64, room: &'a mut [u16; LONGEST_PATH]) -> &'a [u16] {
        let mut start = room.len();
        let mut at = id;
        while at != ROOT
            && let Ok(node) = self.node(at)
            && let Some(begin) = start.checked_sub(node.name.len() + 1)
        {
            room[begin] = BACKSLASH;
            room[begin + 1..start].copy_from_slice(&node.name);
            start = begin;
            at = node.parent;
        }
        if start == room.len() {
            start -= 1;
            room[start] = BACKSLASH;
        }
        &room[start..]
    }

    /// Opens the file of this name, from the root or another folder, or makes it: the file, and what was done, FILE_OPENED and its kin.
    pub(crate) fn open(
        &mut self,
        from: Option<u64>,
        path: &[u16],
        how: &Opening,
    ) -> Result<(u64, usize), NTSTATUS> {
        // The device itself is the volume, which is neither.
        let is_volume = path.is_empty() && from.is_none();
        let from = from.unwrap_or(ROOT);
        let path = path.strip_prefix(&[BACKSLASH]).unwrap_or(path);
        let path = path.strip_suffix(&[BACKSLASH]).unwrap_or(path);
        if path.len() >= LONGEST_PATH {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let does = if how.access & (FILE_READ_DATA | FILE_EXECUTE) != 0 { FILE_SHARE_READ } else { 0 }
            | if how.access & (FILE_WRITE_DATA | FILE_APPEND_DATA) != 0 { FILE_SHARE_WRITE } else { 0 }
            | if how.access & DELETE != 0 { FILE_SHARE_DELETE } else { 0 };
        let share = Share { open: how.open, does, allows: how.share };
        let (mut folder, mut name) = (from, &[][..]);
        if !path.is_empty() {
            let mut parts = path.split(|unit| *unit == BACKSLASH).peekable();
            while let Some(part) = parts.next() {
                if !is_name(part) {
                    return Err(STATUS_OBJECT_NAME_INVALID);
                }
                if !self.node(folder)?.is_folder {
                    return Err(STATUS_OBJECT_PATH_NOT_FOUND);
                }
                if parts.peek().is_none() {
                    name = part;
                    break;
                }
                folder = self.child(folder, part).ok_or(STATUS_OBJECT_PATH_NOT_FOUND)?;
            }
        }
        if how.target {
            if name.is_empty() {
                return Err(STATUS_OBJECT_NAME_INVALID);
            }
            let what = if self.child(folder, name).is_some() { FILE_EXISTS } else { FILE_DOES_NOT_EXIST };
            self.open_existing(folder, share, true, how)?;
            return Ok((folder, what));
        }
        let existing = if name.is_empty() { Some(from) } else { self.child(folder, name) };
        match existing {
            Some(id) => self.open_existing(id, share, is_volume, how).map(|what| (id, what)),
            None => self.make(folder, name, share, how).map(|id| (id, FILE_CREATED)),
        }
    }

    fn open_existing(
        &mut self,
        id: u64,
        share: Share,
        is_volume: bool,
        how: &Opening,
    ) -> Result<usize, NTSTATUS> {
        let node = self.node_mut(id)?;
        let overwrites = matches!(how.disposition, FILE_SUPERSEDE | FILE_OVERWRITE | FILE_OVERWRITE_IF);
        if node.delete_pending {
            return Err(STATUS_DELETE_PENDING);
        }
        if how.disposition == FILE_CREATE {
            return Err(STATUS_OBJECT_NAME_COLLISION);
        }
        if how.options & FILE_DIRECTORY_FILE != 0 && !node.is_folder {
            return Err(STATUS_NOT_A_DIRECTORY);
        }
        if node.is_folder && !is_volume && (how.options & FILE_NON_DIRECTORY_FILE != 0 || overwrites) {
            return Err(STATUS_FILE_IS_A_DIRECTORY);
        }
        if how.options & FILE_DELETE_ON_CLOSE != 0 && id == ROOT {
            return Err(STATUS_CANNOT_DELETE);
        }
        node.check_share(share.does, share.allows)?;
        push(&mut node.opens, share)?;
        if !overwrites || node.is_folder {
            return Ok(FILE_OPENED);
        }
        node.data = Vec::new();
        node.touch();
        self.report(id, FILE_ACTION_MODIFIED, FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE);
        Ok(if how.disposition == FILE_SUPERSEDE { FILE_SUPERSEDED } else { FILE_OVERWRITTEN })
    }

    fn make(&mut self, folder: u64, name: &[u16], share: Share, how: &Opening) -> Result<u64, NTSTATUS> {
        if matches!(how.disposition, FILE_OPEN | FILE_OVERWRITE) {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        if self.node(folder)?.delete_pending {
            return Err(STATUS_DELETE_PENDING);
        }
        if self.nodes.len() >= MOST_NODES {
            return Err(STATUS_DISK_FULL);
        }
        let id = self.next;
        let mut node = Node::new(id, folder, name, how.options & FILE_DIRECTORY_FILE != 0)?;
        push(&mut node.opens, share)?;
        push(&mut self.nodes, node)?;
        self.next += 1;
        self.report(id, FILE_ACTION_ADDED, self.name_filter(id));
        Ok(id)
    }

    fn name_filter(&self, id: u64) -> u32 {
        let is_folder = self.node(id).is_ok_and(|node| node.is_folder);
        if is_folder { FILE_NOTIFY_CHANGE_DIR_NAME } else { FILE_NOTIFY_CHANGE_FILE_NAME }
    }

    /// The last handle of an open is closed. The file goes with the last one of all, if that was asked for.
    pub(crate) fn close(&mut self, id: u64, open: u64, delete: bool) {
        self.watches.retain(|watch| watch.open != open);
        let is_empty = self.entries(id, 0).next().is_none();
        let Ok(node) = self.node_mut(id) else { return };
        node.opens.retain(|other| other.open != open);
        node.locks.retain(|lock| lock.open != open);
        node.delete_pending |= delete && is_empty;
        if node.delete_pending && node.opens.is_empty() {
            self.report(id, FILE_ACTION_REMOVED, self.name_filter(id));
            self.nodes.retain(|node| node.id != id);
        }
    }

    /// Gives a file this name, in `folder`, or in its own.
    pub(crate) fn rename(
        &mut self,
        id: u64,
        folder: Option<u64>,
        name: &[[u8; 2]],
        replace: bool,
    ) -> Result<(), NTSTATUS> {
        if name.len() > LONGEST_NAME {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        let mut units = Vec::new();
        units.try_reserve_exact(name.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        units.extend(name.iter().map(|unit| u16::from_le_bytes(*unit)));
        let name = units;
        let folder = folder.map_or_else(|| self.node(id).map(|node| node.parent), Ok)?;
        if id == ROOT || !is_name(&name) {
            return Err(STATUS_OBJECT_NAME_INVALID);
        }
        if self.node(id)?.delete_pending || self.node(folder)?.delete_pending {
            return Err(STATUS_DELETE_PENDING);
        }
        // A folder does not go into itself, or below.
        let mut above = folder;
        while above != ROOT {
            if above == id {
                return Err(STATUS_ACCESS_DENIED);
            }
            above = self.node(above)?.parent;
        }
        if let Some(other) = self.child(folder, &name).filter(|other| *other != id) {
            let there = self.node(other)?;
            if !replace {
                return Err(STATUS_OBJECT_NAME_COLLISION);
            }
            if there.is_folder || !there.opens.is_empty() {
                return Err(STATUS_ACCESS_DENIED);
            }
            self.report(other, FILE_ACTION_REMOVED, self.name_filter(other));
            self.nodes.retain(|node| node.id != other);
        }
        self.report(id, FILE_ACTION_RENAMED_OLD_NAME, self.name_filter(id));
        let node = self.node_mut(id)?;
        node.name = name;
        node.parent = folder;
        self.report(id, FILE_ACTION_RENAMED_NEW_NAME, self.name_filter(id));
        Ok(())
    }

    pub(crate) fn set_delete(&mut self, id: u64, delete: bool) -> Result<(), NTSTATUS> {
        if delete && id == ROOT {
            return Err(STATUS_CANNOT_DELETE);
        }
        if delete && self.entries(id, 0).next().is_some() {
            return Err(STATUS_DIRECTORY_NOT_EMPTY);
        }
        self.node_mut(id)?.delete_pending = delete;
        Ok(())
    }

    /// FILE_BASIC_INFORMATION: what is 0 stays as it is.
    pub(crate) fn set_basic(&mut self, id: u64, times: Times, attributes: u32) -> Result<(), NTSTATUS> {
        let node = self.node_mut(id)?;
        let changed = |now: i64, new: i64| if new > 0 { new } else { now };
        node.times = Times {
            creation: changed(node.times.creation, times.creation),
            access: changed(node.times.access, times.access),
            write: changed(node.times.write, times.write),
            change: changed(time::system_time(), times.change),
        };
        if attributes != 0 {
            let kept = FILE_ATTRIBUTE_DIRECTORY;
            node.attributes = (attributes & !(kept | FILE_ATTRIBUTE_NORMAL)) | (node.attributes & kept);
        }
        self.report(id, FILE_ACTION_MODIFIED, FILE_NOTIFY_CHANGE_ATTRIBUTES);
        Ok(())
    }

    pub(crate) fn set_end(&mut self, id: u64, end: u64) -> Result<(), NTSTATUS> {
        let left = CAPACITY - self.used();
        let node = self.node_mut(id)?;
        if node.is_folder {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let length = node.data.len();
        let end = usize::try_from(end).map_err(|_| STATUS_DISK_FULL)?;
        let more = end.saturating_sub(length);
        if more as u64 > left {
            return Err(STATUS_DISK_FULL);
        }
        node.data.try_reserve(more).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        node.data.resize(end, 0);
        node.touch();
        self.report(id, FILE_ACTION_MODIFIED, FILE_NOTIFY_CHANGE_SIZE);
        Ok(())
    }

    /// Writes at `offset`, at the end for -1; where what was written ends.
    pub(crate) fn write(
        &mut self,
        id: u64,
        open: u64,
        key: u32,
        offset: i64,
        data: &[u8],
    ) -> Result<i64, NTSTATUS> {
        let left = CAPACITY - self.used();
        let node = self.node_mut(id)?;
        if node.is_folder {
            return Err(STATUS_INVALID_DEVICE_REQUEST);
        }
        let start = if offset == -1 {
            node.data.len()
        } else {
            usize::try_from(offset).map_err(|_| STATUS_INVALID_PARAMETER)?
        };
        let end = start.checked_add(data.len()).ok_or(STATUS_DISK_FULL)?;
        let more = end.saturating_sub(node.data.len());
        if more as u64 > left {
            return Err(STATUS_DISK_FULL);
        }
        let range = LockRange { offset: start as i64, length: data.len() as i64 };
        if node.locks.iter().any(|lock| lock.keeps_out(open, key, range, true)) {
            return Err(STATUS_FILE_LOCK_CONFLICT);
        }
        if data.is_empty() {
            return Ok(start as i64);
        }
        node.data.try_reserve(more).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        if end > node.data.len() {
            node.data.resize(end, 0);
        }
        node.data[start..end].copy_from_slice(data);
        node.touch();
        self.report(id, FILE_ACTION_MODIFIED, FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_SIZE);
        Ok(end as i64)
    }

    /// The bytes from `offset` on, `length` at most.
    pub(crate) fn read(
        &self,
        id: u64,
        open: u64,
        key: u32,
        offset: i64,
        length: usize,
    ) -> Result<&[u8], NTSTATUS> {
        let node = self.node(id)?;
        if node.is_folder {
            return Err(STATUS_INVALID_DEVICE_REQUEST);
        }
        let start = usize::try_from(offset).map_err(|_| STATUS_INVALID_PARAMETER)?;
        let range = LockRange { offset, length: length as i64 };
        if node.locks.iter().any(|lock| lock.keeps_out(open, key, range, false)) {
            return Err(STATUS_FILE_LOCK_CONFLICT);
        }
        match node.data.get(start..) {
            Some(rest) if !rest.is_empty() || length == 0 => Ok(&rest[..rest.len().min(length)]),
            _ if length == 0 => Ok(&[]),
            _ => Err(STATUS_END_OF_FILE),
        }
    }

    /// Locks a range, unless another has it.
    pub(crate) fn lock(
        &mut self,
        id: u64,
        open: u64,
        key: u32,
        range: LockRange,
        is_exclusive: bool,
    ) -> Result<(), NTSTATUS> {
        if range.offset < 0 || range.length < 0 || range.offset.checked_add(range.length).is_none() {
            return Err(STATUS_INVALID_LOCK_RANGE);
        }
        let node = self.node_mut(id)?;
        if node.is_folder {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // A lock of one's own is in the way too, unless both are shared.
        let is_in_the_way = |lock: &Locked| (is_exclusive || lock.is_exclusive) && lock.overlaps(range);
        if node.locks.iter().any(is_in_the_way) {
            return Err(STATUS_LOCK_NOT_GRANTED);
        }
        push(&mut node.locks, Locked { open, key, range, is_exclusive })
    }

    pub(crate) fn unlock(&mut self, id: u64, open: u64, which: Unlocked) -> Result<(), NTSTATUS> {
        let locks = &mut self.node_mut(id)?.locks;
        match which {
            Unlocked::Single { range, key } => {
                let is_it = |lock: &Locked| lock.open == open && lock.key == key && lock.range == range;
                let at = locks.iter().position(is_it).ok_or(STATUS_RANGE_NOT_LOCKED)?;
                locks.remove(at);
            }
            Unlocked::All => locks.retain(|lock| lock.open != open),
            Unlocked::AllByKey(key) => locks.retain(|lock| lock.open != open || lock.key != key),
        }
        Ok(())
    }

    pub(crate) fn set_attributes_list(&mut self, id: u64, list: Vec<u8>) -> Result<(), NTSTATUS> {
        self.node_mut(id)?.attributes_list = list;
        self.report(id, FILE_ACTION_MODIFIED, FILE_NOTIFY_CHANGE_EA);
        Ok(())
    }

    /// The handle wants to be told from now on, if it has not said so before.
    pub(crate) fn watch(&mut self, open: u64, folder: u64, filter: u32, tree: bool) -> Result<(), NTSTATUS> {
        if !self.node(folder)?.is_folder {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if self.watches.iter().any(|watch| watch.open == open) {
            return Ok(());
        }
        push(&mut self.watches, Watch { open, folder, filter, tree, changes: Vec::new(), lost: false })
    }

    /// What has changed for a handle since it was told last; none of them, but true, when there was too much.
    pub(crate) fn take_changes(&mut self, open: u64) -> Option<Vec<Change>> {
        let watch = self.watches.iter_mut().find(|watch| watch.open == open)?;
        if watch.changes.is_empty() && !watch.lost {
            return None;
        }
        watch.lost = false;
        Some(core::mem::take(&mut watch.changes))
    }

    /// A handle that has something to be told.
    pub(crate) fn next_told(&self, after: u64) -> Option<u64> {
        let told = self.watches.iter().filter(|watch| watch.lost || !watch.changes.is_empty());
        told.map(|watch| watch.open).filter(|open| *open > after).min()
    }

    /// Notes a change of a file for whoever watches.
    fn report(&mut self, id: u64, action: u32, what: u32) {
        let mut watches = core::mem::take(&mut self.watches);
        for watch in watches.iter_mut().filter(|watch| watch.filter & what != 0) {
            let mut room = [0; LONGEST_PATH];
            let Some(name) = self.name_below(id, watch, &mut room) else { continue };
            let noted = if watch.changes.len() < MOST_CHANGES {
                copy(name).and_then(|name| push(&mut watch.changes, Change { action, name }))
            } else {
                Err(STATUS_NOTIFY_ENUM_DIR)
            };
            if noted.is_err() {
                watch.changes = Vec::new();
                watch.lost = true;
            }
        }
        self.watches = watches;
    }

    fn name_below<'a>(&self, id: u64, watch: &Watch, room: &'a mut [u16; LONGEST_PATH]) -> Option<&'a [u16]> {
        let mut at = self.node(id).ok()?.parent;
        let mut depth = 1;
        while at != watch.folder {
            at = self.node(at).ok()?.parent;
            depth += 1;
        }
        if depth > 1 && !watch.tree {
            return None;
        }
        let path = self.path(id, room);
        let begins = path.iter().enumerate().rev().filter(|(_, unit)| **unit == BACKSLASH);
        let start = begins.map(|(at, _)| at + 1).nth(depth - 1)?;
        Some(&path[start..])
    }
}

impl Locked {
    fn overlaps(&self, range: LockRange) -> bool {
        let end = |range: LockRange| range.offset.saturating_add(range.length);
        range.offset < end(self.range) && self.range.offset < end(range)
    }

    /// Whether somebody may not read or write there.
    fn keeps_out(&self, open: u64, key: u32, range: LockRange, writes: bool) -> bool {
        let own = self.open == open && self.key == key;
        self.overlaps(range) && !(own && self.is_exclusive) && (self.is_exclusive || writes)
    }
}
