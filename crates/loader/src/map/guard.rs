//! The security cookie, and the pointers of control-flow guard.

use std::hash::{BuildHasher, RandomState};

use super::Memory;
use crate::pe::ImageFacts;

/// What linkers put into the cookie; entry code takes it, and 0, for "not seeded".
const DEFAULT_COOKIE: u64 = 0x2B99_2DDF_A232;
/// Cookies on x64 have no bits above these.
const COOKIE_BITS: u64 = 0xFFFF_FFFF_FFFF;

pub(super) fn prepare(facts: &ImageFacts, memory: &Memory, cookie: Option<u64>) {
    let Some(config) = facts.load_config else { return };
    if let Some(rva) = config.security_cookie {
        memory.write_u64(rva, cookie.map_or_else(random_cookie, seedable));
    }
    // Images bring functions of their own that check nothing, and their pointers start there. Only a pointer that
    // leads out of the image's code is replaced.
    let no_checks = [
        (config.guard_check, guard_check as *const () as u64),
        (config.guard_dispatch, guard_dispatch as *const () as u64),
    ];
    for (slot, own) in no_checks {
        if let Some(slot) = slot.filter(|slot| !leads_to_code(facts, memory, memory.read_u64(*slot))) {
            memory.write_u64(slot, own);
        }
    }
}

fn leads_to_code(facts: &ImageFacts, memory: &Memory, address: u64) -> bool {
    let rva = address.checked_sub(memory.range().start as u64).and_then(|rva| u32::try_from(rva).ok());
    rva.and_then(|rva| facts.section_at(rva)).is_some_and(|section| section.flags.execute)
}

fn seedable(cookie: u64) -> u64 {
    match cookie & COOKIE_BITS {
        0 | DEFAULT_COOKIE => DEFAULT_COOKIE + 1,
        cookie => cookie,
    }
}

fn random_cookie() -> u64 {
    seedable(RandomState::new().hash_one(DEFAULT_COOKIE))
}

/// The target's address is in RCX; every register survives.
#[unsafe(naked)]
unsafe extern "win64" fn guard_check() {
    std::arch::naked_asm!("ret")
}

/// The target's address is in RAX.
#[unsafe(naked)]
unsafe extern "win64" fn guard_dispatch() {
    std::arch::naked_asm!("jmp rax")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_never_one_that_entry_code_rejects() {
        assert_ne!(seedable(0), 0);
        assert_ne!(seedable(DEFAULT_COOKIE), DEFAULT_COOKIE);
        assert_ne!(seedable(0xABCD << 48), 0);
        assert_eq!(seedable(0x1234), 0x1234);
    }

    #[test]
    fn random_cookies_differ_and_fit_48_bits() {
        let cookies = [random_cookie(), random_cookie(), random_cookie()];
        assert!(cookies[0] != cookies[1] || cookies[1] != cookies[2]);
        assert!(cookies.iter().all(|cookie| cookie & !COOKIE_BITS == 0));
    }
}
