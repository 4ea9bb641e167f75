//! Keys: a tree of names without regard to case, each with values. Whoever holds a key may meet that it was deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use abi::NTSTATUS;

use super::Value;
use crate::ob::{eq_ignore_case, folded};

const SEPARATOR: u16 = b'\\' as u16;
/// UTF-16 units of the longest name of a key, and of a value.
const LONGEST_KEY: usize = 255;
const LONGEST_VALUE: usize = 16_383;
/// Keys below one another.
const DEEPEST: usize = 512;
/// Bytes of the longest value.
const LARGEST: usize = 1 << 24;

/// A registry key.
#[derive(Debug)]
pub struct Key {
    parent: Weak<Self>,
    name: Vec<u16>,
    volatile: bool,
    depth: usize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    subkeys: BTreeMap<Vec<u16>, Arc<Key>>,
    /// In the order of their making.
    values: Vec<NamedValue>,
    class: Vec<u16>,
    last_write: i64,
    deleted: bool,
}

/// A value and its name as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    /// Its name; empty for the key's unnamed value.
    pub name: Vec<u16>,
    /// What it holds.
    pub value: Value,
}

/// What a query of a key tells. Lengths in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyInformation {
    /// The key's own name.
    pub name: Vec<u16>,
    /// Its class.
    pub class: Vec<u16>,
    /// When it was last changed, in NT's time.
    pub last_write: i64,
    /// How many keys are below it.
    pub subkeys: u32,
    /// Length of the longest name among them, and of the longest class.
    pub longest_subkey: u32,
    /// As above.
    pub longest_class: u32,
    /// How many values it has.
    pub values: u32,
    /// Length of the longest name among them.
    pub longest_value_name: u32,
    /// Length of the longest data among them.
    pub longest_value_data: u32,
}

/// How a key is made.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Its class.
    pub class: Vec<u16>,
    /// REG_OPTION_VOLATILE.
    pub volatile: bool,
    /// The time.
    pub now: i64,
}

fn bytes_of(name: &[u16]) -> u32 {
    u32::try_from(name.len() * 2).unwrap_or(u32::MAX)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Key {
    pub(super) fn root(name: &[u16]) -> Arc<Self> {
        Arc::new(Self {
            parent: Weak::new(),
            name: name.to_vec(),
            volatile: false,
            depth: 0,
            state: RwLock::default(),
        })
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, State>, NTSTATUS> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.deleted { Err(abi::STATUS_KEY_DELETED) } else { Ok(state) }
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, State>, NTSTATUS> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.deleted { Err(abi::STATUS_KEY_DELETED) } else { Ok(state) }
    }

    /// The key's full path.
    #[must_use]
    pub fn path(&self) -> Vec<u16> {
        let mut path = self.parent.upgrade().map(|parent| parent.path()).unwrap_or_default();
        path.push(SEPARATOR);
        path.extend_from_slice(&self.name);
        path
    }

    /// The key at `path` below this one; an empty path is the key itself, a backslash at its end does not count.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`; `STATUS_OBJECT_NAME_INVALID` for an empty or too long part; `STATUS_KEY_DELETED`.
    pub fn open(self: &Arc<Self>, path: &[u16]) -> Result<Arc<Self>, NTSTATUS> {
        drop(self.read()?);
        parts(path).try_fold(self.clone(), |key, part| {
            let part = part?;
            let below = key.read()?.subkeys.get(&folded(part)).cloned();
            below.ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)
        })
    }

    /// Opens the key at `path`, or makes it: all but its last part must be there. True when it was made.
    ///
    /// # Errors
    /// As for [`Self::open`]; `STATUS_CHILD_MUST_BE_VOLATILE` for a lasting key below a volatile one.
    pub fn create(self: &Arc<Self>, path: &[u16], new: &NewKey) -> Result<(Arc<Self>, bool), NTSTATUS> {
        drop(self.read()?);
        let all: Vec<&[u16]> = parts(path).collect::<Result<_, _>>()?;
        let Some((last, before)) = all.split_last() else { return Ok((self.clone(), false)) };
        let mut parent = self.clone();
        for part in before {
            let below = parent.read()?.subkeys.get(&folded(part)).cloned();
            parent = below.ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        }
        let mut state = parent.write()?;
        if let Some(there) = state.subkeys.get(&folded(last)) {
            return Ok((there.clone(), false));
        }
        if parent.volatile && !new.volatile {
            return Err(abi::STATUS_CHILD_MUST_BE_VOLATILE);
        }
        if parent.depth >= DEEPEST {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        let key = Arc::new(Self {
            parent: Arc::downgrade(&parent),
            name: last.to_vec(),
            volatile: new.volatile,
            depth: parent.depth + 1,
            state: RwLock::new(State { class: new.class.clone(), last_write: new.now, ..State::default() }),
        });
        state.subkeys.insert(folded(last), key.clone());
        state.last_write = new.now;
        Ok((key, true))
    }

    /// Takes the key away; whoever holds it meets `STATUS_KEY_DELETED` from then on.
    ///
    /// # Errors
    /// `STATUS_CANNOT_DELETE` while there are keys below it, and for the root; `STATUS_KEY_DELETED`.
    pub fn delete(&self, now: i64) -> Result<(), NTSTATUS> {
        // A key that was deleted may have outlived the one above it.
        drop(self.read()?);
        let parent = self.parent.upgrade().ok_or(abi::STATUS_CANNOT_DELETE)?;
        let mut above = parent.write()?;
        let mut state = self.write()?;
        if !state.subkeys.is_empty() {
            return Err(abi::STATUS_CANNOT_DELETE);
        }
        state.deleted = true;
        above.subkeys.remove(&folded(&self.name));
        above.last_write = now;
        Ok(())
    }

    /// Takes the key and all below it away.
    pub fn delete_tree(&self, now: i64) {
        let below: Vec<_> =
            self.read().map(|state| state.subkeys.values().cloned().collect()).unwrap_or_default();
        for key in below {
            key.delete_tree(now);
        }
        // A key made below it meanwhile keeps it.
        let _kept = self.delete(now);
    }

    /// The value of this name.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`, `STATUS_KEY_DELETED`.
    pub fn value(&self, name: &[u16]) -> Result<NamedValue, NTSTATUS> {
        let state = self.read()?;
        let found = state.values.iter().find(|value| eq_ignore_case(&value.name, name));
        found.cloned().ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)
    }

    /// The value with this index, in no particular order.
    ///
    /// # Errors
    /// `STATUS_NO_MORE_ENTRIES`, `STATUS_KEY_DELETED`.
    pub fn value_at(&self, index: u32) -> Result<NamedValue, NTSTATUS> {
        let state = self.read()?;
        let found = usize::try_from(index).ok().and_then(|index| state.values.get(index));
        found.cloned().ok_or(abi::STATUS_NO_MORE_ENTRIES)
    }

    /// All values now; none of a key that is gone.
    #[must_use]
    pub fn all_values(&self) -> Vec<NamedValue> {
        self.read().map(|state| state.values.clone()).unwrap_or_default()
    }

    /// Makes or replaces a value.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a name that is too long, `STATUS_INSUFFICIENT_RESOURCES` for data that is,
    /// `STATUS_KEY_DELETED`.
    pub fn set_value(&self, name: &[u16], value: Value, now: i64) -> Result<(), NTSTATUS> {
        if name.len() > LONGEST_VALUE {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        if value.data.len() > LARGEST {
            return Err(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut state = self.write()?;
        state.last_write = now;
        match state.values.iter_mut().find(|value| eq_ignore_case(&value.name, name)) {
            Some(there) => there.value = value,
            None => state.values.push(NamedValue { name: name.to_vec(), value }),
        }
        Ok(())
    }

    /// Takes a value away.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`, `STATUS_KEY_DELETED`.
    pub fn delete_value(&self, name: &[u16], now: i64) -> Result<(), NTSTATUS> {
        let mut state = self.write()?;
        let at = state.values.iter().position(|value| eq_ignore_case(&value.name, name));
        state.values.remove(at.ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?);
        state.last_write = now;
        Ok(())
    }

    /// The key below this one with this index, in no particular order.
    ///
    /// # Errors
    /// `STATUS_NO_MORE_ENTRIES`, `STATUS_KEY_DELETED`.
    pub fn subkey_at(&self, index: u32) -> Result<Arc<Self>, NTSTATUS> {
        let state = self.read()?;
        let found = usize::try_from(index).ok().and_then(|index| state.subkeys.values().nth(index));
        found.cloned().ok_or(abi::STATUS_NO_MORE_ENTRIES)
    }

    /// What a query tells.
    ///
    /// # Errors
    /// `STATUS_KEY_DELETED`.
    pub fn information(&self) -> Result<KeyInformation, NTSTATUS> {
        let state = self.read()?;
        let longest = |lengths: &mut dyn Iterator<Item = u32>| lengths.max().unwrap_or(0);
        let class_of = |key: &Arc<Self>| key.read().map_or(0, |state| bytes_of(&state.class));
        Ok(KeyInformation {
            name: self.name.clone(),
            class: state.class.clone(),
            last_write: state.last_write,
            subkeys: small(state.subkeys.len()),
            longest_subkey: longest(&mut state.subkeys.values().map(|key| bytes_of(&key.name))),
            longest_class: longest(&mut state.subkeys.values().map(class_of)),
            values: small(state.values.len()),
            longest_value_name: longest(&mut state.values.iter().map(|value| bytes_of(&value.name))),
            longest_value_data: longest(&mut state.values.iter().map(|value| small(value.value.data.len()))),
        })
    }
}

/// The parts of a path between backslashes.
fn parts(path: &[u16]) -> impl Iterator<Item = Result<&[u16], NTSTATUS>> {
    let path = path.strip_prefix(&[SEPARATOR]).unwrap_or(path);
    let path = path.strip_suffix(&[SEPARATOR]).unwrap_or(path);
    let count = if path.is_empty() { 0 } else { usize::MAX };
    path.split(|unit| *unit == SEPARATOR).take(count).map(|part| {
        let sound = !part.is_empty() && part.len() <= LONGEST_KEY;
        if sound { Ok(part) } else { Err(abi::STATUS_OBJECT_NAME_INVALID) }
    })
}
