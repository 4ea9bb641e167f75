//! Directory entries as bytes: three texts each.

use crate::fields::{Fields, put_text};
use crate::transport::DirectoryEntry;

/// The entries in their order.
pub(crate) fn encode(entries: &[DirectoryEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        for text in [&entry.name, &entry.type_name, &entry.target] {
            put_text(&mut bytes, text);
        }
    }
    bytes
}

/// The entries, or `None` if these are not whole entries of UTF-8.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<DirectoryEntry>> {
    let mut entries = Vec::new();
    let mut fields = Fields(bytes);
    while !fields.is_empty() {
        let mut text = || fields.text().map(str::to_owned);
        entries.push(DirectoryEntry { name: text()?, type_name: text()?, target: text()? });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_wire_and_torn_ones_are_refused() {
        let entry = |name: &str, target: &str| DirectoryEntry {
            name: name.into(),
            type_name: "SymbolicLink".into(),
            target: target.into(),
        };
        let entries = vec![entry("C:", r"\Device\Disk"), entry("Ümläut", "")];
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Some(entries));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(&[255; 12]), None);
        assert_eq!(decode(&[]), Some(Vec::new()));
    }
}
