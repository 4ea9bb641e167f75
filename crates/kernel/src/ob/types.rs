//! Object types as drivers name them: the variables `IoFileObjectType`, `ExEventObjectType`, … hold addresses of type
//! objects, which stand in `\ObjectTypes`. What a type does is its room's matter; here it is an address and a name.

use std::any::Any;

use super::namespace::ObjectManager;
use super::object::{Object, ObjectBody, ObjectType};
use crate::mm::{MemoryManager, PoolOwner};

/// Tag of type objects.
const TAG: u32 = u32::from_le_bytes(*b"ObjT");
/// Bytes of a type object; its layout is not public.
const SIZE: usize = 0x100;

/// The types of every machine, by the names that their objects' bodies say.
const NAMES: [&str; 18] = [
    "Type",
    "Directory",
    "SymbolicLink",
    "Device",
    "Driver",
    "File",
    "Event",
    "Semaphore",
    "Mutant",
    "Timer",
    "Thread",
    "Process",
    "Token",
    "Key",
    "Section",
    "Port",
    "FilterConnectionPort",
    "FilterCommunicationPort",
];

/// Addresses of the type objects.
#[derive(Debug, Default)]
pub(super) struct TypeTable {
    entries: Vec<(&'static str, u64)>,
}

struct TypeBody;

impl ObjectBody for TypeBody {
    fn object_type(&self) -> ObjectType {
        let all = abi::OBJECT_TYPE_ALL_ACCESS;
        ObjectType { name: "Type", parses: false, generic_mapping: [0x2_0000, 0x2_0000, 0x2_0000, all] }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ObjectManager {
    /// Makes the type objects, once; `None` without memory.
    pub(crate) fn with_types(mut self, memory: &MemoryManager) -> Option<Self> {
        for name in NAMES {
            let block = memory.pool.allocate_zeroed(SIZE, TAG, PoolOwner::default())?;
            let object = Object::new(block.address, TypeBody);
            let path: Vec<u16> = format!(r"\ObjectTypes\{name}").encode_utf16().collect();
            self.insert(&path, &object, true).ok()?;
            self.remember(&object);
            self.types.entries.push((name, block.address));
        }
        Some(self)
    }

    /// Address of the type object of this name; 0 when there is none.
    #[must_use]
    pub fn type_address(&self, name: &str) -> u64 {
        let found = self.types.entries.iter().find(|(other, _)| *other == name);
        found.map_or(0, |(_, address)| *address)
    }

    /// Name of the type whose type object is at `address`.
    #[must_use]
    pub fn type_at(&self, address: u64) -> Option<&'static str> {
        self.types.entries.iter().find(|(_, other)| *other == address).map(|(name, _)| *name)
    }
}
