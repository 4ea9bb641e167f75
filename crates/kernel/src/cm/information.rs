//! What queries of keys and values answer, byte by byte.

use abi::NTSTATUS;

use super::key::{Key, NamedValue};

/// An answer: its bytes, and how many of them at least must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Up to where its parts are fixed: a shorter buffer gets nothing.
    pub fixed: usize,
}

impl Answer {
    fn words(words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { fixed: bytes.len(), bytes }
    }

    fn timed(time: i64, words: &[u32]) -> Self {
        let mut bytes = time.to_le_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        Self { fixed: bytes.len(), bytes }
    }

    fn with(mut self, more: &[u8]) -> Self {
        self.bytes.extend_from_slice(more);
        self
    }

    fn aligned(mut self, to: usize) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self
    }

    /// How much of it a buffer of `length` bytes gets, and the query's status: nothing and `STATUS_BUFFER_TOO_SMALL` when
    /// the fixed part does not fit, as much as fits and `STATUS_BUFFER_OVERFLOW` when the rest does not.
    #[must_use]
    pub fn fit(&self, length: u32) -> (&[u8], NTSTATUS) {
        let length = length as usize;
        if length < self.fixed {
            return (&[], abi::STATUS_BUFFER_TOO_SMALL);
        }
        match self.bytes.get(..length) {
            Some(part) if part.len() < self.bytes.len() => (part, abi::STATUS_BUFFER_OVERFLOW),
            _ => (&self.bytes, abi::STATUS_SUCCESS),
        }
    }
}

fn wide_bytes(text: &[u16]) -> Vec<u8> {
    text.iter().copied().flat_map(u16::to_le_bytes).collect()
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// `ZwQueryKey` and `ZwEnumerateKey`.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a class that there is not, `STATUS_NOT_IMPLEMENTED` for those that describe
/// virtualization and the like; `STATUS_KEY_DELETED`.
///
/// Source: ddi, ZwQueryKey; KEY_BASIC_INFORMATION and its like.
pub fn key_information(key: &Key, class: i32) -> Result<Answer, NTSTATUS> {
    const NO_CLASS: u32 = u32::MAX;
    let about = key.information()?;
    let (name, own_class) = (wide_bytes(&about.name), wide_bytes(&about.class));
    let class_at = |fixed: u32| if own_class.is_empty() { NO_CLASS } else { fixed };
    let time = about.last_write;
    Ok(match class {
        abi::KeyBasicInformation => Answer::timed(time, &[0, size(&name)]).with(&name),
        abi::KeyNodeInformation => {
            const NAME_AT: u32 = 24;
            let at = class_at((NAME_AT + size(&name)).next_multiple_of(4));
            let answer = Answer::timed(time, &[0, at, size(&own_class), size(&name)]).with(&name);
            if own_class.is_empty() { answer } else { answer.aligned(4).with(&own_class) }
        }
        abi::KeyFullInformation => {
            const CLASS_AT: u32 = 44;
            let words = [
                0,
                class_at(CLASS_AT),
                size(&own_class),
                about.subkeys,
                about.longest_subkey,
                about.longest_class,
                about.values,
                about.longest_value_name,
                about.longest_value_data,
            ];
            Answer::timed(time, &words).with(&own_class)
        }
        abi::KeyNameInformation => {
            let path = wide_bytes(&key.path());
            Answer::words(&[size(&path)]).with(&path)
        }
        abi::KeyCachedInformation..abi::MaxKeyInfoClass => return Err(abi::STATUS_NOT_IMPLEMENTED),
        _ => return Err(abi::STATUS_INVALID_PARAMETER),
    })
}

/// `ZwQueryValueKey` and `ZwEnumerateValueKey`.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a class that there is not.
///
/// Source: ddi, ZwQueryValueKey; KEY_VALUE_BASIC_INFORMATION and its like.
pub fn value_information(value: &NamedValue, class: i32) -> Result<Answer, NTSTATUS> {
    let name = wide_bytes(&value.name);
    let (kind, data) = (value.value.kind, &value.value.data);
    Ok(match class {
        abi::KeyValueBasicInformation => Answer::words(&[0, kind, size(&name)]).with(&name),
        abi::KeyValueFullInformation | abi::KeyValueFullInformationAlign64 => {
            const NAME_AT: u32 = 20;
            let to = if class == abi::KeyValueFullInformation { 4 } else { 8 };
            let at = (NAME_AT + size(&name)).next_multiple_of(to);
            let answer = Answer::words(&[0, kind, at, size(data), size(&name)]).with(&name);
            if data.is_empty() { answer } else { answer.aligned(to as usize).with(data) }
        }
        abi::KeyValuePartialInformation => Answer::words(&[0, kind, size(data)]).with(data),
        abi::KeyValuePartialInformationAlign64 => Answer::words(&[kind, size(data)]).with(data),
        abi::KeyValueLayerInformation => return Err(abi::STATUS_NOT_IMPLEMENTED),
        _ => return Err(abi::STATUS_INVALID_PARAMETER),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cm::Value;

    #[test]
    fn a_buffer_without_room_for_the_fixed_part_gets_nothing_and_one_for_less_than_all_gets_that() {
        let value = NamedValue { name: vec![u16::from(b'V')], value: Value::dword(0x0403_0201) };
        let answer = value_information(&value, abi::KeyValuePartialInformation).expect("a class");
        assert_eq!(answer.fit(11), (&[][..], abi::STATUS_BUFFER_TOO_SMALL));
        let (part, status) = answer.fit(14);
        assert_eq!((part.len(), part[12], part[13], status), (14, 1, 2, abi::STATUS_BUFFER_OVERFLOW));
        let (all, status) = answer.fit(100);
        assert_eq!(
            (all, status),
            (&[0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4][..], abi::STATUS_SUCCESS)
        );
    }

    #[test]
    fn the_data_of_a_full_answer_stands_aligned_behind_the_name() {
        let value = NamedValue { name: vec![u16::from(b'V')], value: Value::dword(7) };
        let offset = |class| {
            let bytes = value_information(&value, class).expect("a class").bytes;
            (u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")), bytes.len())
        };
        assert_eq!(offset(abi::KeyValueFullInformation), (24, 28));
        assert_eq!(offset(abi::KeyValueFullInformationAlign64), (24, 28));
    }
}
