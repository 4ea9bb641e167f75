//! SECURITY_ATTRIBUTES: the security descriptor that an application gives what it makes, absolute or self-relative, as the bytes that
//! travel. What it says is the machine's to judge.

use crate::failure::Failure;
use crate::pointer::Pointer;

/// What functions that make objects are given. 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(clippy::upper_case_acronyms, non_camel_case_types, reason = "Win32's name")]
pub struct SECURITY_ATTRIBUTES {
    /// Its own bytes; nobody looks at them here.
    pub length: u32,
    /// A SECURITY_DESCRIPTOR; NULL for the default one.
    pub descriptor: Pointer<u8>,
    /// Handles are not inherited here.
    pub inherit: i32,
}

const _: () = assert!(size_of::<SECURITY_ATTRIBUTES>() == 24);

/// Bytes of a self-relative descriptor's header, and where the offsets in it and an absolute one's addresses begin. Both have the owner,
/// the group, the SACL and the DACL, in this order.
const RELATIVE: usize = 20;
const OFFSETS: usize = 4;
const ADDRESSES: usize = 8;

/// Bytes of a SID or a list, by what stands at its front.
fn length(part: Pointer<u8>, is_list: bool) -> Result<usize, Failure> {
    if is_list {
        return Ok(part.at(2).cast::<u16>().read()?.into());
    }
    Ok(8 + 4 * usize::from(part.at(1).read()?))
}

/// The attributes' descriptor in its self-relative form; empty when there is none. ERROR_INVALID_SECURITY_DESCR (1338) for what is of
/// another revision, ERROR_NOACCESS (998) for pointers to what cannot be read.
pub(crate) fn descriptor(attributes: Pointer<SECURITY_ATTRIBUTES>) -> Result<Vec<u8>, Failure> {
    if attributes.is_null() {
        return Ok(Vec::new());
    }
    let source = attributes.read()?.descriptor;
    if source.is_null() {
        return Ok(Vec::new());
    }
    if source.read()? != abi::SECURITY_DESCRIPTOR_REVISION {
        return Err(Failure(abi::ERROR_INVALID_SECURITY_DESCR));
    }
    let control = source.at(2).cast::<u16>().read()?;
    let mut bytes = vec![0; RELATIVE];
    bytes[0] = abi::SECURITY_DESCRIPTOR_REVISION;
    bytes[2..OFFSETS].copy_from_slice(&(control | abi::SE_SELF_RELATIVE).to_le_bytes());
    for index in 0..4 {
        let part = if control & abi::SE_SELF_RELATIVE == 0 {
            source.at(ADDRESSES).cast::<Pointer<u8>>().at(index).read()?
        } else {
            match source.at(OFFSETS).cast::<u32>().at(index).read()? {
                0 => Pointer::NULL,
                offset => source.at(offset as usize),
            }
        };
        // A list that the control word does not tell of is none, whatever its place says.
        let present = [0, 0, abi::SE_SACL_PRESENT, abi::SE_DACL_PRESENT][index];
        if part.is_null() || control & present != present {
            continue;
        }
        let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let slot = OFFSETS + index * 4;
        bytes[slot..slot + 4].copy_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(part.bytes(length(part, index >= 2)?)?);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everyone, S-1-1-0.
    const EVERYONE: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    /// A list of one entry, which lets everyone do anything.
    const LIST: [u8; 28] =
        [2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0xFF, 1, 0x1F, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    fn given(descriptor: &mut [u64]) -> Result<Vec<u8>, Failure> {
        let descriptor = Pointer::made(descriptor.as_mut_ptr()).cast();
        let mut attributes = SECURITY_ATTRIBUTES { length: 24, descriptor, inherit: 0 };
        super::descriptor(Pointer::made(&raw mut attributes))
    }

    fn words(bytes: &[u8]) -> Vec<u64> {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        bytes.chunks(8).map(word).collect()
    }

    #[test]
    fn an_absolute_descriptor_travels_as_the_self_relative_one_of_the_same_parts() {
        let (mut owner, mut list) = (EVERYONE, LIST);
        let control = u64::from(abi::SE_DACL_PRESENT) << 16 | 1;
        let absolute = [
            control,
            owner.as_mut_ptr().expose_provenance() as u64,
            0,
            // No list of this kind is told of.
            list.as_mut_ptr().expose_provenance() as u64,
            list.as_mut_ptr().expose_provenance() as u64,
        ];
        let bytes = given(&mut absolute.clone()).expect("valid");
        let mut expected = vec![1, 0, 4, 0x80, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0];
        expected.extend(EVERYONE);
        expected.extend(LIST);
        assert_eq!(bytes, expected);
        assert_eq!(given(&mut words(&bytes)), Ok(expected), "and that one as it is");
    }

    #[test]
    fn no_descriptor_is_the_default_one_and_another_revision_is_none() {
        assert_eq!(descriptor(Pointer::NULL), Ok(Vec::new()));
        let mut attributes = SECURITY_ATTRIBUTES { length: 24, descriptor: Pointer::NULL, inherit: 0 };
        assert_eq!(descriptor(Pointer::made(&raw mut attributes)), Ok(Vec::new()));
        assert_eq!(given(&mut [2, 0, 0, 0, 0]), Err(Failure(abi::ERROR_INVALID_SECURITY_DESCR)));
        assert_eq!(given(&mut [1, 8, 0, 0, 0]), Err(Failure(abi::ERROR_NOACCESS)), "an owner at 8");
    }
}
