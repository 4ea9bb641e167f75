//! What patched `mov cr8, register` instructions run: the IRQL is set, with the kernel's help where it crosses
//! DISPATCH_LEVEL, and every register, flag and SSE register is as before.
//!
//! While the kernel works, an export frame stands for the site: a DPC that runs now finds the driver's frames outside of
//! it as if the site had called an export. The upper halves of AVX registers are not kept, as no call keeps them.

use platform::entry;

/// DISPATCH_LEVEL
const DISPATCH: u8 = 2;
/// HIGH_LEVEL, the largest value that can be written.
const HIGHEST: u64 = 15;
/// Stack that the kernel needs to run a DPC of reasonable depth.
const RESERVE: i32 = 16 * 1024;

/// Runs on the driver's stack, with every register as the kernel may use it.
extern "sysv64" fn set(irql: u64) {
    let irql = u8::try_from(irql).unwrap_or(u8::MAX);
    let owner = entry::region().and_then(entry::Region::owner);
    let written = owner.is_some_and(|owner| owner.write_cr8(irql));
    debug_assert!(written, "values that are no IRQL do not come here");
}

/// Jumped to by stand-in code. RAX: address of its record {site, next, the instruction itself}; scratch words: 0 the
/// driver's RAX, 1 the value. Everything else is the driver's.
///
/// # Safety
/// For stand-in code alone.
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn write() {
    std::arch::naked_asm!(
        "mov gs:[-0x68], rcx",
        "mov gs:[-0x60], rdx",
        "mov rdx, rax",
        "lahf",
        "seto al",
        "mov rcx, gs:[-0x70]",
        "cmp rcx, {highest}",
        "ja 3f",
        "cmp cl, gs:[0x50]",
        "je 2f",
        "cmp cl, {dispatch}",
        "jb 4f",
        "cmp byte ptr gs:[0x50], {dispatch}",
        "jb 4f",
        // Above DISPATCH_LEVEL before and after: the processor stays ours.
        "mov gs:[0x50], cl",
        "2:",
        "mov rcx, [rdx + 8]",
        "5:",
        "mov gs:[-0x70], rcx",
        "add al, 0x7f",
        "sahf",
        "mov rdx, gs:[-0x60]",
        "mov rcx, gs:[-0x68]",
        "mov rax, gs:[-0x78]",
        "jmp qword ptr gs:[-0x70]",
        // Not an IRQL, or no stack to work on: the instruction faults, and is the emulator's.
        "3:",
        "mov rcx, [rdx + 16]",
        "jmp 5b",
        "4:",
        "lea rcx, [rsp - {reserve}]",
        "cmp rcx, gs:[-0x28]",
        "jb 3b",
        "cmp rsp, gs:[-0x20]",
        "ja 3b",
        "add al, 0x7f",
        "sahf",
        "pushfq",
        "push qword ptr gs:[-0x78]",
        "push qword ptr gs:[-0x68]",
        "push qword ptr gs:[-0x60]",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push rbx",
        "push rbp",
        "push rsi",
        "push rdi",
        "mov rbp, rsp",
        "sub rsp, 352",
        "and rsp, -16",
        // The export frame, then XMM0 to XMM5.
        "movaps [rsp], xmm6",
        "movaps [rsp + 16], xmm7",
        "movaps [rsp + 32], xmm8",
        "movaps [rsp + 48], xmm9",
        "movaps [rsp + 64], xmm10",
        "movaps [rsp + 80], xmm11",
        "movaps [rsp + 96], xmm12",
        "movaps [rsp + 112], xmm13",
        "movaps [rsp + 128], xmm14",
        "movaps [rsp + 144], xmm15",
        "mov [rsp + 160], rbx",
        "mov rcx, [rbp + 16]",
        "mov [rsp + 168], rcx",
        "mov [rsp + 176], rsi",
        "mov [rsp + 184], rdi",
        "mov [rsp + 192], r12",
        "mov [rsp + 200], r13",
        "mov [rsp + 208], r14",
        "mov [rsp + 216], r15",
        "mov rcx, gs:[-0x10]",
        "mov [rsp + 224], rcx",
        "mov rcx, gs:[-0x18]",
        "mov [rsp + 232], rcx",
        "mov rcx, [rdx]",
        "mov [rsp + 240], rcx",
        "lea rcx, [rbp + 96]",
        "mov [rsp + 248], rcx",
        "movaps [rsp + 256], xmm0",
        "movaps [rsp + 272], xmm1",
        "movaps [rsp + 288], xmm2",
        "movaps [rsp + 304], xmm3",
        "movaps [rsp + 320], xmm4",
        "movaps [rsp + 336], xmm5",
        "mov gs:[-0x10], rsp",
        "mov rbx, rdx",
        "mov rdi, gs:[-0x70]",
        "cld",
        "call {set}",
        "mov rcx, [rsp + 224]",
        "mov gs:[-0x10], rcx",
        "mov rcx, [rbx + 8]",
        "mov gs:[-0x70], rcx",
        "movaps xmm6, [rsp]",
        "movaps xmm7, [rsp + 16]",
        "movaps xmm8, [rsp + 32]",
        "movaps xmm9, [rsp + 48]",
        "movaps xmm10, [rsp + 64]",
        "movaps xmm11, [rsp + 80]",
        "movaps xmm12, [rsp + 96]",
        "movaps xmm13, [rsp + 112]",
        "movaps xmm14, [rsp + 128]",
        "movaps xmm15, [rsp + 144]",
        "movaps xmm0, [rsp + 256]",
        "movaps xmm1, [rsp + 272]",
        "movaps xmm2, [rsp + 288]",
        "movaps xmm3, [rsp + 304]",
        "movaps xmm4, [rsp + 320]",
        "movaps xmm5, [rsp + 336]",
        "mov rsp, rbp",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rbx",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "popfq",
        "jmp qword ptr gs:[-0x70]",
        highest = const HIGHEST,
        dispatch = const DISPATCH,
        reserve = const RESERVE,
        set = sym set,
    )
}
