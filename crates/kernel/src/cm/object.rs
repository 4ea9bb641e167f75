//! Key objects: what a handle to a key stands for, and opening keys by name.

use std::any::Any;
use std::sync::Arc;

use abi::NTSTATUS;

use super::key::Key;
use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};

/// Tag and bytes of a key object's body.
const TAG: u32 = u32::from_le_bytes(*b"Key ");
const BODY_SIZE: usize = 32;

/// An open key.
#[derive(Debug)]
pub struct KeyBody {
    /// The key.
    pub key: Arc<Key>,
}

/// GENERIC_READ, _WRITE, _EXECUTE and _ALL of keys.
const GENERIC_MAPPING: [u32; 4] = [abi::KEY_READ, abi::KEY_WRITE, abi::KEY_EXECUTE, abi::KEY_ALL_ACCESS];

impl ObjectBody for KeyBody {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "Key", parses: true, generic_mapping: GENERIC_MAPPING }
    }

    fn full_name(&self, _object: &Object) -> Vec<u16> {
        self.key.path()
    }

    fn delete(&self, kernel: &Kernel, object: &Object) {
        if object.address != 0 {
            // What a driver did to it is reported with its own blocks.
            let _freed_by_driver = kernel.mm.pool.free(object.address);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Where a key's name begins: the key, and what is left of the name.
///
/// # Errors
/// `STATUS_OBJECT_PATH_SYNTAX_BAD` for a path that does not begin with a backslash, `STATUS_OBJECT_TYPE_MISMATCH` when it
/// leads out of the registry, `STATUS_OBJECT_NAME_NOT_FOUND`.
pub fn start_of(
    kernel: &Kernel,
    root: Option<&Object>,
    name: &[u16],
) -> Result<(Arc<Key>, Vec<u16>), NTSTATUS> {
    if let Some(root) = root {
        if name.first() == Some(&u16::from(b'\\')) {
            return Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        let body = root.body::<KeyBody>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
        return Ok((body.key.clone(), name.to_vec()));
    }
    let found = kernel.ob.find(name, false)?;
    let body = found.object.body::<KeyBody>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    Ok((body.key.clone(), found.rest))
}

/// A key object, with its maker's reference. Its body in driver memory is empty: it has an address to be named by.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn key_object(kernel: &Kernel, key: Arc<Key>) -> Result<Arc<Object>, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(BODY_SIZE, TAG, PoolOwner::default());
    let object = Object::new(block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address, KeyBody { key });
    kernel.ob.remember(&object);
    Ok(object)
}

/// The object that stands for the registry's root in the namespace, which no handle refers to.
pub(crate) fn root_object(key: Arc<Key>) -> Arc<Object> {
    Object::new(0, KeyBody { key })
}
