//! `memcpy` and its relatives for driver code: Win64 leaf functions in which a fault belongs to the caller.
//!
//! They keep RSP and all non-volatile registers as the caller had them (RDI and RSI in R10 and R11 around a string
//! operation), so that the fault handler can go back to the call as unwinding a leaf function would.

use std::arch::global_asm;

global_asm!(
    ".pushsection .text.rb_routines, \"ax\", @progbits",
    ".balign 64",
    ".globl rb_routines_start",
    ".hidden rb_routines_start",
    "rb_routines_start:",
    // memmove and memcpy: rcx destination, rdx source, r8 length; returns the destination.
    ".globl rb_memmove",
    ".hidden rb_memmove",
    "rb_memmove:",
    "mov rax, rcx",
    "cmp r8, 16",
    "jb 3f",
    "cmp r8, 32",
    "ja 2f",
    "movups xmm0, [rdx]",
    "movups xmm1, [rdx + r8 - 16]",
    "movups [rcx], xmm0",
    "movups [rcx + r8 - 16], xmm1",
    "ret",
    "2:",
    "cmp r8, 64",
    "ja 7f",
    "movups xmm0, [rdx]",
    "movups xmm1, [rdx + 16]",
    "movups xmm2, [rdx + r8 - 32]",
    "movups xmm3, [rdx + r8 - 16]",
    "movups [rcx], xmm0",
    "movups [rcx + 16], xmm1",
    "movups [rcx + r8 - 32], xmm2",
    "movups [rcx + r8 - 16], xmm3",
    "ret",
    "3:",
    "cmp r8, 8",
    "jb 4f",
    "mov r9, [rdx]",
    "mov r11, [rdx + r8 - 8]",
    "mov [rcx], r9",
    "mov [rcx + r8 - 8], r11",
    "ret",
    "4:",
    "cmp r8, 4",
    "jb 5f",
    "mov r9d, [rdx]",
    "mov r11d, [rdx + r8 - 4]",
    "mov [rcx], r9d",
    "mov [rcx + r8 - 4], r11d",
    "ret",
    "5:",
    "test r8, r8",
    "jz 6f",
    // One to three bytes: first, middle and last cover them all.
    "mov r10, r8",
    "shr r10, 1",
    "movzx r9d, byte ptr [rdx]",
    "movzx r11d, byte ptr [rdx + r8 - 1]",
    "movzx edx, byte ptr [rdx + r10]",
    "mov [rcx], r9b",
    "mov [rcx + r10], dl",
    "mov [rcx + r8 - 1], r11b",
    "6:",
    "ret",
    "7:",
    "mov r9, rcx",
    "sub r9, rdx",
    "cmp r9, r8",
    "jb 8f",
    "mov r10, rdi",
    "mov r11, rsi",
    ".globl rb_strings_start",
    ".hidden rb_strings_start",
    "rb_strings_start:",
    "mov rdi, rcx",
    "mov rsi, rdx",
    "mov rcx, r8",
    "rep movsb",
    "mov rdi, r10",
    "mov rsi, r11",
    ".globl rb_strings_end",
    ".hidden rb_strings_end",
    "rb_strings_end:",
    "ret",
    // Overlapping with the destination above the source: backwards, in 16-byte steps, then the front.
    "8:",
    "cmp r8, 16",
    "jb 9f",
    "movups xmm0, [rdx + r8 - 16]",
    "movups [rcx + r8 - 16], xmm0",
    "sub r8, 16",
    "jmp 8b",
    "9:",
    "test r8, r8",
    "jz 10f",
    "movzx r9d, byte ptr [rdx + r8 - 1]",
    "mov [rcx + r8 - 1], r9b",
    "dec r8",
    "jmp 9b",
    "10:",
    "ret",
    // memset: rcx destination, dl value, r8 length; returns the destination.
    ".globl rb_memset",
    ".hidden rb_memset",
    "rb_memset:",
    "mov rax, rcx",
    "movzx edx, dl",
    "mov r9, 0x0101010101010101",
    "imul rdx, r9",
    "cmp r8, 128",
    "ja 4f",
    "2:",
    "cmp r8, 8",
    "jb 3f",
    "mov [rcx + r8 - 8], rdx",
    "sub r8, 8",
    "jmp 2b",
    "3:",
    "test r8, r8",
    "jz 5f",
    "mov [rcx + r8 - 1], dl",
    "dec r8",
    "jmp 3b",
    "4:",
    "mov r10, rdi",
    ".globl rb_store_start",
    ".hidden rb_store_start",
    "rb_store_start:",
    "mov r9, rax",
    "mov rdi, rcx",
    "mov rcx, r8",
    "mov al, dl",
    "mov r11, rsi",
    "rep stosb",
    "mov rax, r9",
    "mov rdi, r10",
    ".globl rb_store_end",
    ".hidden rb_store_end",
    "rb_store_end:",
    "5:",
    "ret",
    // memcmp: rcx, rdx, r8 length; returns the difference of the first bytes that differ.
    ".globl rb_memcmp",
    ".hidden rb_memcmp",
    "rb_memcmp:",
    "xor r9d, r9d",
    "2:",
    "cmp r9, r8",
    "jae 3f",
    "movzx eax, byte ptr [rcx + r9]",
    "movzx r10d, byte ptr [rdx + r9]",
    "sub eax, r10d",
    "jnz 4f",
    "inc r9",
    "jmp 2b",
    "3:",
    "xor eax, eax",
    "4:",
    "ret",
    ".globl rb_routines_end",
    ".hidden rb_routines_end",
    "rb_routines_end:",
    ".popsection",
);

unsafe extern "C" {
    static rb_routines_start: u8;
    static rb_routines_end: u8;
    static rb_strings_start: u8;
    static rb_strings_end: u8;
    static rb_store_start: u8;
    static rb_store_end: u8;
    fn rb_memmove();
    fn rb_memset();
    fn rb_memcmp();
}

/// Address of `memcpy` and `memmove`: RCX destination, RDX source, R8 length in bytes; may overlap.
#[must_use]
pub fn memmove() -> usize {
    rb_memmove as *const () as usize
}

/// Address of `memset`: RCX destination, DL value, R8 length in bytes.
#[must_use]
pub fn memset() -> usize {
    rb_memset as *const () as usize
}

/// Address of `memcmp`: RCX, RDX, R8 length in bytes; negative, zero or positive in EAX.
#[must_use]
pub fn memcmp() -> usize {
    rb_memcmp as *const () as usize
}

/// Whether `address` lies in one of these routines. Async-signal-safe.
pub(crate) fn contains(address: usize) -> bool {
    (addr(&raw const rb_routines_start)..addr(&raw const rb_routines_end)).contains(&address)
}

/// Whether at `address` the caller's RDI and RSI are in R10 and R11. Async-signal-safe.
pub(crate) fn saved_registers(address: usize) -> bool {
    (addr(&raw const rb_strings_start)..addr(&raw const rb_strings_end)).contains(&address)
        || (addr(&raw const rb_store_start)..addr(&raw const rb_store_end)).contains(&address)
}

fn addr(symbol: *const u8) -> usize {
    symbol.addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Move = unsafe extern "win64" fn(*mut u8, *const u8, usize) -> *mut u8;
    type Set = unsafe extern "win64" fn(*mut u8, i32, usize) -> *mut u8;
    type Compare = unsafe extern "win64" fn(*const u8, *const u8, usize) -> i32;

    #[test]
    fn memmove_moves_every_length_in_both_directions() {
        // SAFETY: the routine has this signature.
        let move_bytes: Move = unsafe { std::mem::transmute(memmove()) };
        for length in 0..200 {
            for (from, to) in [(0, 300), (300, 0), (8, 20), (20, 8), (8, 9), (9, 8), (8, 8)] {
                let mut bytes: Vec<u8> = (0..600).map(|index| (index * 7 % 251) as u8).collect();
                let mut expected = bytes.clone();
                expected.copy_within(from..from + length, to);
                let base = bytes.as_mut_ptr();
                // SAFETY: both ranges lie inside `bytes`.
                let result = unsafe { move_bytes(base.wrapping_add(to), base.wrapping_add(from), length) };
                assert_eq!(result, base.wrapping_add(to));
                assert_eq!(bytes, expected, "length {length} from {from} to {to}");
            }
        }
    }

    #[test]
    fn memset_sets_exactly_its_range() {
        // SAFETY: the routine has this signature.
        let set_bytes: Set = unsafe { std::mem::transmute(memset()) };
        for length in 0..300 {
            let mut bytes = vec![1_u8; 400];
            // SAFETY: the range lies inside `bytes`.
            unsafe { set_bytes(bytes.as_mut_ptr().wrapping_add(50), 0x168, length) };
            let mut expected = vec![1_u8; 400];
            expected[50..50 + length].fill(0x68);
            assert_eq!(bytes, expected, "length {length}");
        }
    }

    #[test]
    fn memcmp_orders_by_the_first_difference() {
        // SAFETY: the routine has this signature.
        let compare: Compare = unsafe { std::mem::transmute(memcmp()) };
        // SAFETY: three bytes each.
        let order = |a: &[u8; 3], b: &[u8; 3]| unsafe { compare(a.as_ptr(), b.as_ptr(), 3) }.signum();
        assert_eq!(order(b"abc", b"abc"), 0);
        assert_eq!(order(b"abd", b"abc"), 1);
        assert_eq!(order(b"a\x01c", b"a\xFFc"), -1);
    }
}
