//! A machine's registry: the root of its keys, and access by path for the machine itself.

use std::sync::Arc;

use abi::NTSTATUS;

use super::key::{Key, NewKey};

/// A registry value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// REG_SZ 1, REG_EXPAND_SZ 2, REG_BINARY 3, REG_DWORD 4, …
    pub kind: u32,
    /// Its bytes; strings are UTF-16 with their terminator.
    pub data: Vec<u8>,
}

impl Value {
    /// A REG_DWORD.
    #[must_use]
    pub fn dword(value: u32) -> Self {
        Self { kind: abi::REG_DWORD, data: value.to_le_bytes().to_vec() }
    }

    /// A REG_SZ.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::text(abi::REG_SZ, text)
    }

    /// A REG_EXPAND_SZ.
    #[must_use]
    pub fn expand_string(text: &str) -> Self {
        Self::text(abi::REG_EXPAND_SZ, text)
    }

    /// A REG_MULTI_SZ.
    #[must_use]
    pub fn multi_string(texts: &[&str]) -> Self {
        let units = texts.iter().flat_map(|text| text.encode_utf16().chain([0])).chain([0]);
        Self { kind: abi::REG_MULTI_SZ, data: units.flat_map(u16::to_le_bytes).collect() }
    }

    /// The strings of a REG_MULTI_SZ or REG_SZ; none of other values.
    #[must_use]
    pub fn strings(&self) -> Vec<String> {
        if !matches!(self.kind, abi::REG_MULTI_SZ | abi::REG_SZ) {
            return Vec::new();
        }
        let units: Vec<u16> =
            self.data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let texts = units.split(|unit| *unit == 0).filter(|text| !text.is_empty());
        texts.map(String::from_utf16_lossy).collect()
    }

    fn text(kind: u32, text: &str) -> Self {
        Self { kind, data: text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() }
    }
}

/// A machine's registry.
#[derive(Debug)]
pub struct Registry {
    root: Arc<Key>,
}

/// Keys that every machine has.
const KEYS: [&str; 8] = [
    r"Machine\Hardware\DeviceMap",
    r"Machine\Hardware\Description\System",
    r"Machine\Software\Microsoft\Windows NT\CurrentVersion",
    r"Machine\System\CurrentControlSet\Control\Class",
    r"Machine\System\CurrentControlSet\Enum",
    r"Machine\System\CurrentControlSet\Services",
    r"Machine\System\Setup",
    r"User\.Default",
];

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

impl Registry {
    pub(crate) fn new() -> Self {
        let this = Self { root: Key::root(&wide("REGISTRY")) };
        for path in KEYS {
            this.create_below_root(&wide(path)).expect("fixed keys have sound names");
        }
        this
    }

    /// The key `\Registry`.
    #[must_use]
    pub fn root(&self) -> &Arc<Key> {
        &self.root
    }

    /// What of a path stands behind `\Registry`.
    fn below_root(path: &str) -> Result<Vec<u16>, NTSTATUS> {
        const ROOT: usize = r"\Registry".len();
        let (root, rest) = path.split_at_checked(ROOT).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        let is_root = root.eq_ignore_ascii_case(r"\Registry") && (rest.is_empty() || rest.starts_with('\\'));
        if is_root { Ok(wide(rest)) } else { Err(abi::STATUS_OBJECT_NAME_NOT_FOUND) }
    }

    fn create_below_root(&self, path: &[u16]) -> Result<Arc<Key>, NTSTATUS> {
        const SEPARATOR: u16 = b'\\' as u16;
        let mut key = self.root.clone();
        for part in path.split(|unit| *unit == SEPARATOR).filter(|part| !part.is_empty()) {
            key = key.create(part, &NewKey::default())?.0;
        }
        Ok(key)
    }

    /// The key at an NT path.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND`, `STATUS_OBJECT_NAME_INVALID`.
    pub fn key(&self, path: &str) -> Result<Arc<Key>, NTSTATUS> {
        self.root.open(&Self::below_root(path)?)
    }

    /// Makes a key and all above it, unless they exist.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` for what is no registry path, `STATUS_OBJECT_NAME_INVALID` for a part that is too
    /// long.
    pub fn create_key(&self, path: &str) -> Result<Arc<Key>, NTSTATUS> {
        self.create_below_root(&Self::below_root(path)?)
    }

    /// Whether there is a key at `path`.
    #[must_use]
    pub fn has_key(&self, path: &str) -> bool {
        self.key(path).is_ok()
    }

    /// Sets a value of an existing key.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such key; as for [`Key::set_value`].
    pub fn set_value(&self, path: &str, name: &str, value: Value) -> Result<(), NTSTATUS> {
        self.key(path)?.set_value(&wide(name), value, 0)
    }

    /// A value of a key.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such key or value.
    pub fn value(&self, path: &str, name: &str) -> Result<Value, NTSTATUS> {
        Ok(self.key(path)?.value(&wide(name))?.value)
    }

    /// Removes a key and all below it. Nothing happens when there is none.
    pub fn delete_key(&self, path: &str) {
        if let Ok(key) = self.key(path) {
            key.delete_tree(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = r"\Registry\Machine\System\CurrentControlSet\Services\hello";

    #[test]
    fn keys_and_values_are_found_without_regard_to_case() {
        let registry = Registry::new();
        registry.create_key(SERVICE).expect("a sound path");
        registry.set_value(SERVICE, "Start", Value::dword(3)).expect("the key exists");
        let shouted = SERVICE.to_uppercase();
        assert_eq!(registry.value(&shouted, "START"), Ok(Value::dword(3)));
        assert_eq!(registry.value(SERVICE, "Stop"), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    }

    #[test]
    fn deleting_a_key_spares_its_neighbours() {
        let registry = Registry::new();
        registry.create_key(&format!("{SERVICE}\\Parameters")).expect("a sound path");
        registry.create_key(&format!("{SERVICE}2")).expect("a sound path");
        registry.delete_key(SERVICE);
        assert!(!registry.has_key(SERVICE));
        assert!(!registry.has_key(&format!("{SERVICE}\\Parameters")));
        assert!(registry.has_key(&format!("{SERVICE}2")));
    }

    #[test]
    fn a_key_with_keys_below_it_cannot_be_deleted_and_a_deleted_one_answers_so() {
        let registry = Registry::new();
        let above = registry.create_key(SERVICE).expect("a sound path");
        let (below, made) = above.create(&wide("Parameters"), &NewKey::default()).expect("is made");
        assert!(made);
        assert_eq!(above.delete(0), Err(abi::STATUS_CANNOT_DELETE));
        assert_eq!(below.delete(0), Ok(()));
        assert_eq!(below.value(&wide("x")), Err(abi::STATUS_KEY_DELETED));
        assert_eq!(above.delete(0), Ok(()));
        assert!(!registry.has_key(SERVICE));
        drop(above);
        assert_eq!(below.delete(0), Err(abi::STATUS_KEY_DELETED));
        assert_eq!(registry.root().delete(0), Err(abi::STATUS_CANNOT_DELETE));
    }

    #[test]
    fn only_the_last_part_is_made_and_a_lasting_key_not_below_a_volatile_one() {
        let registry = Registry::new();
        let key = registry.create_key(SERVICE).expect("a sound path");
        let missing = key.create(&wide(r"A\B"), &NewKey::default()).err();
        assert_eq!(missing, Some(abi::STATUS_OBJECT_NAME_NOT_FOUND));
        let volatile = NewKey { volatile: true, ..NewKey::default() };
        key.create(&wide("A"), &volatile).expect("is made");
        let lasting = key.create(&wide(r"A\B"), &NewKey::default()).err();
        assert_eq!(lasting, Some(abi::STATUS_CHILD_MUST_BE_VOLATILE));
        assert!(key.create(&wide(r"A\B"), &volatile).expect("is made").1);
    }
}
