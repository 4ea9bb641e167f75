//! Directory entries as bytes: three strings each, every one UTF-8 after its length in 32 bits.

use crate::transport::DirectoryEntry;

/// The entries in their order.
pub(crate) fn encode(entries: &[DirectoryEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        for text in [&entry.name, &entry.type_name, &entry.target] {
            // NT's names have at most 32767 UTF-16 units; what is longer is cut by nobody but a mistaken service.
            let length = u32::try_from(text.len()).expect("a name shorter than 4 GiB");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The entries, or `None` if these are not whole entries of UTF-8.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<DirectoryEntry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let mut text = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (text, rest) = rest.split_at_checked(length)?;
            bytes = rest;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        };
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
