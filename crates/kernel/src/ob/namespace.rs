//! The namespace: directories, symbolic links, and finding objects by path or by the address of their body.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use abi::NTSTATUS;

use super::directory::{Directory, NamedObject, SymbolicLink};
use super::object::{Object, Place};
use super::types::TypeTable;
use crate::se::{base_named_objects_descriptor, default_descriptor};

/// The object manager of a machine.
pub struct ObjectManager {
    root: Arc<Object>,
    /// Objects that drivers know by address.
    by_address: RwLock<HashMap<u64, Arc<Object>>>,
    pub(super) types: TypeTable,
}

/// What a path led to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The object.
    pub object: Arc<Object>,
    /// What was left of the path, with its backslash, for types that parse; else empty.
    pub rest: Vec<u16>,
}

const SEPARATOR: u16 = b'\\' as u16;
/// As many symbolic links may follow one another.
const MAX_LINKS: usize = 32;

/// Where applications' names are.
const BASE_NAMED_OBJECTS: &str = r"\BaseNamedObjects";
/// Where the names of local RPC's ports are.
const RPC_CONTROL: &str = r"\RPC Control";

/// The directories of every NT, and its links from one to another.
const DIRECTORIES: [&str; 10] = [
    r"\Device",
    r"\Driver",
    r"\FileSystem",
    r"\GLOBAL??",
    BASE_NAMED_OBJECTS,
    RPC_CONTROL,
    r"\Callback",
    r"\KernelObjects",
    r"\ObjectTypes",
    r"\Security",
];
/// In a machine there is one session: `\??`, a session's own names before the global ones, is the global ones.
const LINKS: [(&str, &str); 6] = [
    (r"\??", r"\GLOBAL??"),
    (r"\DosDevices", r"\??"),
    (r"\GLOBAL??\Global", r"\GLOBAL??"),
    // To the root: what follows the link is a whole path.
    (r"\GLOBAL??\GLOBALROOT", ""),
    (r"\BaseNamedObjects\Global", r"\BaseNamedObjects"),
    (r"\BaseNamedObjects\Local", r"\BaseNamedObjects"),
];

impl fmt::Debug for ObjectManager {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ObjectManager").finish_non_exhaustive()
    }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

impl ObjectManager {
    pub(crate) fn new() -> Self {
        let this = Self {
            root: Object::new(0, Directory::default()),
            by_address: RwLock::new(HashMap::new()),
            types: TypeTable::default(),
        };
        for path in DIRECTORIES {
            let directory = Object::new(0, Directory::default());
            if [BASE_NAMED_OBJECTS, RPC_CONTROL].contains(&path) {
                directory.set_security(base_named_objects_descriptor());
            }
            this.insert(&wide(path), &directory, true).expect("fixed directories have distinct names");
        }
        for (path, target) in LINKS {
            let link = Object::new(0, SymbolicLink { target: wide(target) });
            this.insert(&wide(path), &link, true).expect("fixed links have distinct names");
        }
        this
    }

    /// Finds the object at `path`, following symbolic links on the way, and at its end too unless
    /// `open_link`.
    ///
    /// # Errors
    /// `STATUS_OBJECT_PATH_SYNTAX_BAD` when the path does not begin with a backslash or has an empty part,
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when its last part does not exist, `STATUS_OBJECT_PATH_NOT_FOUND` when an
    /// earlier one does not, `STATUS_OBJECT_TYPE_MISMATCH` when an earlier one is no directory.
    pub fn find(&self, path: &[u16], open_link: bool) -> Result<Found, NTSTATUS> {
        let mut path = path.to_vec();
        for _ in 0..MAX_LINKS {
            match self.walk(&path, open_link)? {
                Step::Found(found) => return Ok(found),
                Step::Link { target, rest } => {
                    path = target;
                    path.extend_from_slice(&rest);
                }
            }
        }
        Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD)
    }

    fn walk(&self, path: &[u16], open_link: bool) -> Result<Step, NTSTATUS> {
        if path.first() != Some(&SEPARATOR) {
            return Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        let mut here = self.root.clone();
        let mut rest = path;
        while !rest.is_empty() && rest != [SEPARATOR] {
            let after = &rest[1..];
            let length = after.iter().position(|unit| *unit == SEPARATOR).unwrap_or(after.len());
            let (name, remaining) = after.split_at(length);
            if name.is_empty() {
                return Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
            }
            let directory = here.body::<Directory>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
            here = directory.get(name).ok_or(if remaining.is_empty() {
                abi::STATUS_OBJECT_NAME_NOT_FOUND
            } else {
                abi::STATUS_OBJECT_PATH_NOT_FOUND
            })?;
            rest = remaining;
            if let Some(link) = here.body::<SymbolicLink>()
                && !(open_link && rest.is_empty())
            {
                return Ok(Step::Link { target: link.target.clone(), rest: rest.to_vec() });
            }
            if here.object_type().parses {
                return Ok(Step::Found(Found { object: here, rest: rest.to_vec() }));
            }
        }
        Ok(Step::Found(Found { object: here, rest: Vec::new() }))
    }

    /// Gives `object` the name `path`. The namespace takes a reference; a permanent name stays when the last handle
    /// is closed. An object without a security descriptor gets the system's default for its type.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_COLLISION`, or as for [`ObjectManager::find`] of the directory.
    pub fn insert(&self, path: &[u16], object: &Arc<Object>, permanent: bool) -> Result<(), NTSTATUS> {
        let split = path.iter().rposition(|unit| *unit == SEPARATOR);
        let split = split.ok_or(abi::STATUS_OBJECT_PATH_SYNTAX_BAD)?;
        let name = &path[split + 1..];
        if name.is_empty() {
            return Err(abi::STATUS_OBJECT_NAME_INVALID);
        }
        let parent = if split == 0 {
            self.root.clone()
        } else {
            self.find(&path[..split], false).map_err(path_not_found)?.object
        };
        let directory = parent.body::<Directory>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
        if !object.try_reference() {
            return Err(abi::STATUS_OBJECT_NAME_INVALID);
        }
        // Before anybody can find it.
        if object.security().is_none() {
            object.set_security(default_descriptor(&object.object_type()));
        }
        // Also this: who finds it and closes it at once must see whether the name goes with the last handle.
        object.set_place(Some(Place { directory: Arc::downgrade(&parent), name: name.to_vec(), permanent }));
        if !directory.insert(name, object.clone()) {
            object.set_place(None);
            // The maker holds a reference, so this is not the last one.
            object.undo_reference();
            return Err(abi::STATUS_OBJECT_NAME_COLLISION);
        }
        Ok(())
    }

    /// Takes the object's name away, and with it the namespace's reference; true when it had one. The caller drops
    /// the reference (`dereference`) when it has let go of its locks.
    pub fn remove_name(&self, object: &Object) -> bool {
        let Some(place) = object.set_place(None) else { return false };
        // The directory went before what was in it, and did not drop the reference.
        let Some(parent) = place.directory.upgrade() else { return true };
        let Some(directory) = parent.body::<Directory>() else { return false };
        let is_it = directory.get(&place.name).is_some_and(|found| std::ptr::eq(&raw const *found, object));
        is_it && directory.remove(&place.name).is_some()
    }

    /// Names and objects of the directory at `path`, in order.
    ///
    /// # Errors
    /// As for [`ObjectManager::find`]; `STATUS_OBJECT_TYPE_MISMATCH` when it is no directory.
    pub fn list(&self, path: &[u16]) -> Result<Vec<NamedObject>, NTSTATUS> {
        let found = self.find(path, false)?;
        let directory = found.object.body::<Directory>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
        Ok(directory.list())
    }

    /// Makes an object known by the address of its body.
    pub fn remember(&self, object: &Arc<Object>) {
        self.by_address
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(object.address, object.clone());
    }

    /// The object whose body is at `address`.
    #[must_use]
    pub fn by_address(&self, address: u64) -> Option<Arc<Object>> {
        self.by_address.read().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
    }

    /// The objects that drivers know by address and that the driver with this identifier made.
    #[must_use]
    pub fn made_by(&self, creator: u32) -> Vec<Arc<Object>> {
        let all = self.by_address.read().unwrap_or_else(PoisonError::into_inner);
        let made = |object: &&Arc<Object>| object.creator.load(Ordering::Relaxed) == u64::from(creator);
        all.values().filter(made).cloned().collect()
    }

    pub(super) fn forget(&self, address: u64) {
        if address != 0 {
            self.by_address.write().unwrap_or_else(PoisonError::into_inner).remove(&address);
        }
    }

    /// Whether `object` is the root directory, the only object that is in the namespace without a name.
    #[must_use]
    pub fn is_root(&self, object: &Object) -> bool {
        std::ptr::eq(&raw const *self.root, object)
    }
}

enum Step {
    Found(Found),
    Link { target: Vec<u16>, rest: Vec<u16> },
}

fn path_not_found(status: NTSTATUS) -> NTSTATUS {
    if status == abi::STATUS_OBJECT_NAME_NOT_FOUND { abi::STATUS_OBJECT_PATH_NOT_FOUND } else { status }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(manager: &ObjectManager, path: &str, target: &str) -> Result<(), NTSTATUS> {
        manager.insert(&wide(path), &Object::new(0, SymbolicLink { target: wide(target) }), true)
    }

    fn find(manager: &ObjectManager, path: &str) -> Result<String, NTSTATUS> {
        Ok(manager.find(&wide(path), false)?.object.path().unwrap_or_default())
    }

    #[test]
    fn names_are_found_without_regard_to_case_and_through_links() {
        let manager = ObjectManager::new();
        link(&manager, r"\GLOBAL??\Named", r"\BaseNamedObjects").expect("a free name");
        for path in [
            r"\??\named",
            r"\DosDevices\NAMED",
            r"\GLOBAL??\Global\Named",
            r"\basenamedobjects",
            r"\??\GlobalRoot\BaseNamedObjects",
        ] {
            assert_eq!(find(&manager, path).as_deref(), Ok(r"\BaseNamedObjects"), "{path}");
        }
    }

    #[test]
    fn a_missing_last_part_and_a_missing_directory_have_different_statuses() {
        let manager = ObjectManager::new();
        assert_eq!(find(&manager, r"\Device\None"), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
        assert_eq!(find(&manager, r"\None\None"), Err(abi::STATUS_OBJECT_PATH_NOT_FOUND));
        assert_eq!(find(&manager, r"Device"), Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
        assert_eq!(find(&manager, r"\Device\\x"), Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
        assert_eq!(find(&manager, ""), Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
    }

    #[test]
    fn a_name_is_given_once_and_links_in_a_circle_end() {
        let manager = ObjectManager::new();
        link(&manager, r"\??\A", r"\??\B").expect("a free name");
        assert_eq!(link(&manager, r"\DosDevices\a", r"\??\B"), Err(abi::STATUS_OBJECT_NAME_COLLISION));
        link(&manager, r"\??\B", r"\??\A").expect("a free name");
        assert_eq!(find(&manager, r"\??\A"), Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD));
    }

    #[test]
    fn a_name_in_a_directory_that_is_gone_still_holds_its_reference() {
        let manager = ObjectManager::new();
        let directory = Object::new(0, Directory::default());
        manager.insert(&wide(r"\Made"), &directory, false).expect("a free name");
        let object = Object::new(0, Directory::default());
        manager.insert(&wide(r"\Made\Inside"), &object, false).expect("a free name");
        assert!(manager.remove_name(&directory));
        drop(directory);
        assert_eq!(object.references(), 2);
        assert!(manager.remove_name(&object), "the caller drops the name's reference");
        assert!(!manager.remove_name(&object), "once");
    }

    #[test]
    fn a_path_may_be_longer_than_a_stack_is_deep() {
        const DEPTH: usize = 10_000;
        let manager = ObjectManager::new();
        let mut nested = Vec::with_capacity(DEPTH);
        let mut above = manager.root.clone();
        for _ in 0..DEPTH {
            let below = Object::new(0, Directory::default());
            let name = wide("d");
            assert!(above.body::<Directory>().expect("a directory").insert(&name, below.clone()));
            below.set_place(Some(Place { directory: Arc::downgrade(&above), name, permanent: true }));
            above = below.clone();
            nested.push(below);
        }
        // On as much stack as a driver's thread has.
        let ask = std::thread::Builder::new().stack_size(crate::mm::KERNEL_STACK_SIZE);
        let path = ask.spawn(move || above.path()).expect("a thread").join().expect("no overflow");
        assert_eq!(path.map(|path| path.len()), Some(2 * DEPTH));
        // From the deepest up, each alone.
        while let Some(object) = nested.pop() {
            manager.remove_name(&object);
        }
    }

    #[test]
    fn a_link_can_be_opened_itself() {
        let manager = ObjectManager::new();
        let found = manager.find(&wide(r"\DosDevices"), true).expect("exists");
        assert_eq!(found.object.body::<SymbolicLink>().expect("a link").target, wide(r"\??"));
    }
}
