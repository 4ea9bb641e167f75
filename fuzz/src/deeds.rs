//! What an input means to a target: a list of deeds.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};

/// The deeds that `bytes` are, at most so many. With RINGBRIDGE_FUZZ_SHOW set, prints them.
pub(crate) fn read<'a, T: Arbitrary<'a> + Debug>(bytes: &'a [u8], most: usize) -> Vec<T> {
    let mut rest = Unstructured::new(bytes);
    let mut deeds = Vec::new();
    while deeds.len() < most && !rest.is_empty() {
        let Ok(deed) = rest.arbitrary::<T>() else { break };
        deeds.push(deed);
    }
    if std::env::var_os("RINGBRIDGE_FUZZ_SHOW").is_some() {
        deeds.iter().for_each(|deed| eprintln!("{deed:x?}"));
    }
    deeds
}
