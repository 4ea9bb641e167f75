//! What a `.sys` needs besides NT's functions, because nobody else brings it: a heap for `alloc` out of pool, a panic
//! handler, and the few symbols that the compiler's output refers to. On Linux the process has all of these.

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::NonPagedPoolNx;

use crate::nt::{ExAllocatePoolWithTag, ExFreePoolWithTag, KeBugCheckEx};
use crate::pool::POOL_ALIGNMENT;
use crate::{RUST_PANIC, Tag};

static HEAP_TAG: AtomicU32 = AtomicU32::new(Tag::DEFAULT.value());

/// Pool for `alloc` carries this tag from here on.
pub(crate) fn set_heap_tag(tag: Tag) {
    HEAP_TAG.store(tag.value(), Ordering::Relaxed);
}

/// `alloc`'s heap: non-paged pool, so that collections can be used up to DISPATCH_LEVEL.
struct PoolHeap;

#[global_allocator]
static HEAP: PoolHeap = PoolHeap;

// SAFETY: pool blocks are exclusive, stay where they are, and are aligned as `alloc` says.
unsafe impl GlobalAlloc for PoolHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let tag = HEAP_TAG.load(Ordering::Relaxed);
        // Room to align by hand, and before it the block's own address, which freeing needs.
        let extra = if layout.align() > POOL_ALIGNMENT { layout.align() + size_of::<*mut u8>() } else { 0 };
        let Some(size) = layout.size().checked_add(extra) else { return ptr::null_mut() };
        // SAFETY: callable up to DISPATCH_LEVEL; `size` is not 0, as no layout here is.
        let block = unsafe { ExAllocatePoolWithTag(NonPagedPoolNx, size, tag) }.cast::<u8>();
        if block.is_null() || extra == 0 {
            return block;
        }
        let first = block.wrapping_add(size_of::<*mut u8>());
        let aligned = first.wrapping_add(first.align_offset(layout.align()));
        // SAFETY: `aligned` is at most `extra` into the block and at least a pointer behind its start.
        unsafe { aligned.cast::<*mut u8>().wrapping_sub(1).write_unaligned(block) };
        aligned
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let block = if layout.align() > POOL_ALIGNMENT {
            // SAFETY: `alloc` wrote it there for layouts like this one.
            unsafe { memory.cast::<*mut u8>().wrapping_sub(1).read_unaligned() }
        } else {
            memory
        };
        // SAFETY: a block of `alloc`. Tag 0 frees a block of any tag; the heap's may have changed since.
        unsafe { ExFreePoolWithTag(block.cast(), 0) };
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::println!("{info}");
    let (file, line, column) = match info.location() {
        Some(place) => (place.file(), place.line() as usize, place.column() as usize),
        None => ("", 0, 0),
    };
    // SAFETY: callable in any state.
    unsafe { KeBugCheckEx(RUST_PANIC, file.as_ptr().addr(), file.len(), line, column) }
}

// In assembly, since a `.sys` would export symbols that Rust defines.
core::arch::global_asm!(
    // Referred to by every object that touches floating point, normally from the C runtime.
    ".globl _fltused",
    ".section .rdata, \"dr\"",
    "_fltused: .long 0",
    // The handler of core's own frames, which were built to unwind. Panics do not unwind here, and other exceptions are
    // none of Rust's: ExceptionContinueSearch.
    ".globl __CxxFrameHandler3",
    ".text",
    "__CxxFrameHandler3:",
    "mov eax, 1",
    "ret",
    // Called with the size of a frame over a page in rax, before the frame is made; every register stays. Touches each
    // page on the way down, so that an overflow meets the guard page.
    ".globl __chkstk",
    "__chkstk:",
    "push rcx",
    "push rax",
    "lea rcx, [rsp + 24]",
    "2: cmp rax, 0x1000",
    "jbe 3f",
    "sub rcx, 0x1000",
    "test [rcx], rcx",
    "sub rax, 0x1000",
    "jmp 2b",
    "3: sub rcx, rax",
    "test [rcx], rcx",
    "pop rax",
    "pop rcx",
    "ret",
);

#[expect(
    dead_code,
    reason = "called by what the compiler makes of copies, fills and comparisons, by `alloc`, and for exceptions"
)]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcpy();
    fn memmove();
    fn memset();
    fn memcmp();
    fn strlen();
    fn __C_specific_handler();
}
