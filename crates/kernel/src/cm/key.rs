//! Keys and values. Names are compared without regard to case; paths are NT's (`\Registry\Machine\…`).

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use abi::NTSTATUS;

use crate::ob::upcase;

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
        Self { kind: 4, data: value.to_le_bytes().to_vec() }
    }

    /// A REG_SZ.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::text(1, text)
    }

    /// A REG_EXPAND_SZ.
    #[must_use]
    pub fn expand_string(text: &str) -> Self {
        Self::text(2, text)
    }

    fn text(kind: u32, text: &str) -> Self {
        Self { kind, data: text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() }
    }
}

#[derive(Debug, Default)]
struct Key {
    values: BTreeMap<Vec<u16>, (String, Value)>,
}

/// A machine's registry.
#[derive(Debug)]
pub struct Registry {
    /// By whole path, folded, without a backslash at the end.
    keys: RwLock<BTreeMap<Vec<u16>, Key>>,
}

fn folded(text: &str) -> Vec<u16> {
    text.trim_end_matches('\\').encode_utf16().map(upcase).collect()
}

impl Registry {
    pub(crate) fn new() -> Self {
        let this = Self { keys: RwLock::default() };
        this.create_key(r"\Registry\Machine\System\CurrentControlSet\Services");
        this
    }

    /// Makes the key at `path`, and those above it, if they do not exist.
    pub fn create_key(&self, path: &str) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let path = path.trim_end_matches('\\');
        let ends = path.match_indices('\\').map(|(index, _)| index).filter(|index| *index > 0);
        for end in ends.chain([path.len()]) {
            keys.entry(folded(&path[..end])).or_default();
        }
    }

    /// Whether there is a key at `path`.
    #[must_use]
    pub fn has_key(&self, path: &str) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).contains_key(&folded(path))
    }

    /// Sets a value of an existing key.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such key.
    pub fn set_value(&self, path: &str, name: &str, value: Value) -> Result<(), NTSTATUS> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get_mut(&folded(path)).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        key.values.insert(folded(name), (name.to_owned(), value));
        Ok(())
    }

    /// A value of a key.
    ///
    /// # Errors
    /// `STATUS_OBJECT_NAME_NOT_FOUND` when there is no such key or value.
    pub fn value(&self, path: &str, name: &str) -> Result<Value, NTSTATUS> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&folded(path)).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        let (_, value) = key.values.get(&folded(name)).ok_or(abi::STATUS_OBJECT_NAME_NOT_FOUND)?;
        Ok(value.clone())
    }

    /// Removes a key and all below it. Nothing happens when there is none.
    pub fn delete_key(&self, path: &str) {
        let path = folded(path);
        let below = |key: &Vec<u16>| {
            key.strip_prefix(path.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest[0] == u16::from(b'\\'))
        };
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|key, _| !below(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = r"\Registry\Machine\System\CurrentControlSet\Services\hello";

    #[test]
    fn keys_and_values_are_found_without_regard_to_case() {
        let registry = Registry::new();
        registry.create_key(SERVICE);
        registry.set_value(SERVICE, "Start", Value::dword(3)).expect("the key exists");
        let shouted = SERVICE.to_uppercase();
        assert_eq!(registry.value(&shouted, "START"), Ok(Value::dword(3)));
        assert_eq!(registry.value(SERVICE, "Stop"), Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
    }

    #[test]
    fn deleting_a_key_spares_its_neighbours() {
        let registry = Registry::new();
        registry.create_key(&format!("{SERVICE}\\Parameters"));
        registry.create_key(&format!("{SERVICE}2"));
        registry.delete_key(SERVICE);
        assert!(!registry.has_key(SERVICE));
        assert!(!registry.has_key(&format!("{SERVICE}\\Parameters")));
        assert!(registry.has_key(&format!("{SERVICE}2")));
    }
}
