//! Object directories and symbolic links: the two types that the namespace itself is made of.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::name::folded;
use super::object::{Object, ObjectBody, ObjectType};

const STANDARD: u32 = abi::STANDARD_RIGHTS_REQUIRED;

/// A name in upper case.
type FoldedName = Vec<u16>;
/// An object and its name as it was given.
pub type NamedObject = (Vec<u16>, Arc<Object>);

/// A directory: names without regard to case, objects in the order of their names.
#[derive(Debug, Default)]
pub struct Directory {
    entries: RwLock<BTreeMap<FoldedName, NamedObject>>,
}

/// A symbolic link to another place in the namespace.
#[derive(Debug)]
pub struct SymbolicLink {
    /// The path that it stands for.
    pub target: Vec<u16>,
}

impl ObjectBody for Directory {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "Directory",
            parses: false,
            generic_mapping: [0x2_0003, 0x2_000C, 0x2_0003, STANDARD | 0xF],
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ObjectBody for SymbolicLink {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: "SymbolicLink",
            parses: false,
            generic_mapping: [0x2_0001, 0x2_0000, 0x2_0001, STANDARD | 1],
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Directory {
    pub(super) fn get(&self, name: &[u16]) -> Option<Arc<Object>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&folded(name)).map(|(_, object)| object.clone())
    }

    /// False when the name is taken.
    pub(super) fn insert(&self, name: &[u16], object: Arc<Object>) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match entries.entry(folded(name)) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert((name.to_vec(), object));
                true
            }
        }
    }

    pub(super) fn remove(&self, name: &[u16]) -> Option<Arc<Object>> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&folded(name)).map(|(_, object)| object)
    }

    /// Its objects, in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<NamedObject> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().cloned().collect()
    }
}
