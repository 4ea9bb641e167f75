//! Entry records: what the current thread is inside of, in a block of memory that GS points to.
//!
//! The block's non-negative offsets look like NT's KPCR to driver code; its negative offsets are ours (the table
//! in decision 1). It is made when a thread first enters a machine and lives as long as the thread.

use std::cell::Cell;
use std::io;
use std::ptr;

use abi::{CONTEXT, EXCEPTION_RECORD};

use crate::landing::{ExportFrame, Landing};

/// What platform and loader ask of the kernel that a thread is inside of.
pub trait EntryOwner: Send + Sync {
    /// An exception that no frame of driver code takes: NT's bugcheck. `code` is the stop code, with its four
    /// parameters. Makes the report and halts the machine; must not call driver code.
    fn unhandled(&self, stop: Stop, record: &EXCEPTION_RECORD, context: &CONTEXT);

    /// Sets the current IRQL, as `mov cr8, reg` does. False when the value is not an IRQL.
    fn write_cr8(&self, irql: u8) -> bool;

    /// Address of the machine's copy of KUSER_SHARED_DATA, its times brought up to date.
    fn shared_user_data(&self) -> usize;

    /// Whether the copy's times go on from now on without being asked for: then driver code may read it directly.
    fn keep_shared_user_data_current(&self) -> bool;
}

/// A bugcheck's stop code and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The stop code, for example 0x1E.
    pub code: u32,
    /// Its four parameters.
    pub parameters: [u64; 4],
}

/// Our fields, which end where GS points.
#[repr(C)]
struct Private {
    /// -78h: where patched instructions keep registers for a moment
    scratch: [u64; SCRATCH_WORDS],
    /// -58h: where an access that a fix-up recovered from faulted.
    fault_address: usize,
    /// -50h
    thread: *const (),
    /// -48h
    kernel: *const (),
    /// -40h: owner, a fat pointer
    owner: Option<*const dyn EntryOwner>,
    /// -30h: address of the first byte below the kernel stack's usable part
    stack_guard: usize,
    /// -28h
    stack_limit: usize,
    /// -20h
    stack_top: usize,
    /// -18h
    landing: *mut Landing,
    /// -10h
    frame: *mut ExportFrame,
    /// -08h
    own_address: usize,
}

/// Words that patched instructions may use; nothing keeps a value there across code of anybody else.
pub const SCRATCH_WORDS: usize = 4;
/// Where the scratch words start, counted from where GS points.
pub const SCRATCH_OFFSET: i32 = -0x78;
/// Where the IRQL stands (a byte), counted from where GS points; as in NT's KPCR.
pub const IRQL_OFFSET: i32 = 0x50;

const PAGE: usize = 4096;
/// KPCR and KPRCB pages that driver code can read.
const PROCESSOR_PAGES: usize = 3;
/// Where a stop's report is made when the kernel stack may be unusable.
const STOP_STACK_LENGTH: usize = 64 * 1024;
const BLOCK_LENGTH: usize = PAGE * (1 + PROCESSOR_PAGES) + STOP_STACK_LENGTH;
const ALTERNATE_STACK_LENGTH: usize = 64 * 1024;

const KPCR_SELF: usize = 0x18;
const KPCR_CURRENT_PRCB: usize = 0x20;
const KPCR_IRQL: usize = 0x50;
const KPCR_PRCB: usize = 0x180;
const PRCB_NUMBER: usize = KPCR_PRCB + 4;
const PRCB_CURRENT_THREAD: usize = KPCR_PRCB + 8;

const _: () = assert!(KPCR_IRQL == 0x50);
const _: () = assert!(size_of::<Private>() == 0x78);
const _: () = assert!(std::mem::offset_of!(Private, frame) == 0x78 - 0x10);
const _: () = assert!(std::mem::offset_of!(Private, landing) == 0x78 - 0x18);
const _: () = assert!(std::mem::offset_of!(Private, stack_top) == 0x78 - 0x20);
const _: () = assert!(std::mem::offset_of!(Private, stack_limit) == 0x78 - 0x28);
const _: () = assert!(std::mem::offset_of!(Private, scratch) == 0);

/// The calling thread's block. Copyable; valid on this thread only, hence neither `Send` nor `Sync`.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where GS points.
    gs: *mut u8,
}

struct RegionMemory {
    block: *mut libc::c_void,
    alternate_stack: *mut libc::c_void,
}

thread_local! {
    static GS: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
    static MEMORY: Cell<Option<RegionMemory>> = const { Cell::new(None) };
    static RELEASE: ReleaseAtExit = const { ReleaseAtExit };
}

struct ReleaseAtExit;

impl Drop for ReleaseAtExit {
    fn drop(&mut self) {
        GS.set(ptr::null_mut());
        let Some(memory) = MEMORY.take() else { return };
        set_gs_base(0);
        let disable = libc::stack_t {
            ss_sp: ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: ALTERNATE_STACK_LENGTH,
        };
        // SAFETY: a valid stack_t; the thread ends and takes no more signals that need it.
        unsafe { libc::sigaltstack(&raw const disable, ptr::null_mut()) };
        // SAFETY: mapped by `prepare` with this length, referenced by this thread only.
        unsafe { libc::munmap(memory.block, BLOCK_LENGTH) };
        // SAFETY: as above.
        unsafe { libc::munmap(memory.alternate_stack, ALTERNATE_STACK_LENGTH) };
    }
}

/// The calling thread's block, made on the first call: its GS base and alternate signal stack are set up, and
/// the process's fault handlers installed.
///
/// # Errors
/// When Linux gives no memory for it.
#[inline]
pub fn prepare() -> io::Result<Region> {
    let gs = GS.get();
    if gs.is_null() { prepare_thread() } else { Ok(Region { gs }) }
}

/// The calling thread's block if it has one. Async-signal-safe.
#[inline]
#[must_use]
pub fn region() -> Option<Region> {
    let gs = GS.get();
    (!gs.is_null()).then_some(Region { gs })
}

#[cold]
fn prepare_thread() -> io::Result<Region> {
    crate::fault::install()?;
    let block = map_anonymous(BLOCK_LENGTH)?;
    let alternate_stack = match map_anonymous(ALTERNATE_STACK_LENGTH) {
        Ok(stack) => stack,
        Err(error) => {
            // SAFETY: mapped just above, not yet referenced.
            unsafe { libc::munmap(block, BLOCK_LENGTH) };
            return Err(error);
        }
    };
    let stack = libc::stack_t { ss_sp: alternate_stack, ss_flags: 0, ss_size: ALTERNATE_STACK_LENGTH };
    // SAFETY: a valid stack_t over memory that stays mapped until the thread's end.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    let gs = block.cast::<u8>().wrapping_add(PAGE);
    let region = Region { gs };
    region.write_kpcr(KPCR_SELF, gs.addr() as u64);
    region.write_kpcr(KPCR_CURRENT_PRCB, (gs.addr() + KPCR_PRCB) as u64);
    let private = region.private().0;
    // SAFETY: inside the block, which nobody else knows yet.
    unsafe { (*private).own_address = gs.addr() };
    set_gs_base(gs.addr());
    MEMORY.set(Some(RegionMemory { block, alternate_stack }));
    // A destructor of another thread-local may come here after ours has run: then nobody gives the block back.
    let _ending = RELEASE.try_with(|_| ());
    GS.set(gs);
    Ok(region)
}

fn map_anonymous(length: usize) -> io::Result<*mut libc::c_void> {
    // SAFETY: a fresh anonymous mapping replaces nothing.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(address) }
}

fn set_gs_base(base: usize) {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: Linux leaves GS to the program on x86-64; nothing else in the process uses it.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
    assert_eq!(result, 0, "arch_prctl(ARCH_SET_GS) takes every canonical address");
}

/// Raw access to the private fields; each getter or setter is one unsynchronised access by the owning thread.
#[derive(Clone, Copy)]
struct PrivatePointer(*mut Private);

macro_rules! private_fields {
    ($($get:ident, $set:ident, $field:ident: $type:ty;)*) => {
        impl PrivatePointer {
            $(
                #[inline]
                fn $get(self) -> $type {
                    // SAFETY: the block is mapped while the thread lives, and only this thread uses it.
                    unsafe { (*self.0).$field }
                }
                #[inline]
                fn $set(self, value: $type) {
                    // SAFETY: as for the getter.
                    unsafe { (*self.0).$field = value }
                }
            )*
        }
    };
}

private_fields! {
    fault_address, set_fault_address, fault_address: usize;
    thread, set_thread, thread: *const ();
    kernel, set_kernel, kernel: *const ();
    owner, set_owner, owner: Option<*const dyn EntryOwner>;
    stack_guard, set_stack_guard, stack_guard: usize;
    stack_limit, set_stack_limit, stack_limit: usize;
    stack_top, set_stack_top, stack_top: usize;
    landing, set_landing, landing: *mut Landing;
    frame, set_frame, frame: *mut ExportFrame;
}

/// A kernel stack: driver code runs on it. Addresses in bytes; it grows from `top` down to `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelStack {
    /// Address after the highest usable byte; a multiple of 16.
    pub top: usize,
    /// Lowest usable byte.
    pub limit: usize,
    /// Lowest byte of the guard pages below `limit`.
    pub guard: usize,
}

/// Who the thread enters, for [`Region::enter`].
#[derive(Clone, Copy)]
pub struct Entrant<'a> {
    /// The kernel, as platform and loader see it.
    pub owner: &'a dyn EntryOwner,
    /// The kernel, as exports see it: whatever [`Region::kernel`] should return.
    pub kernel: *const (),
    /// The kernel's own record of the thread: whatever [`Region::thread`] should return.
    pub thread: *const (),
    /// Address of the thread object that `gs:[188h]` shows to driver code.
    pub thread_object: usize,
    /// The stack that driver code is to run on.
    pub stack: KernelStack,
}

/// While this lives, the thread is inside a machine; dropping it restores what it was inside of before.
#[must_use]
pub struct Inside<'a> {
    region: Region,
    before: Before,
    entrant: std::marker::PhantomData<&'a dyn EntryOwner>,
}

struct Before {
    owner: Option<*const dyn EntryOwner>,
    kernel: *const (),
    thread: *const (),
    stack_top: usize,
    stack_limit: usize,
    stack_guard: usize,
    landing: *mut Landing,
    frame: *mut ExportFrame,
    irql: u8,
    thread_object: u64,
}

impl Region {
    #[inline]
    fn private(self) -> PrivatePointer {
        PrivatePointer(self.gs.wrapping_sub(size_of::<Private>()).cast())
    }

    fn write_kpcr(self, offset: usize, value: u64) {
        // SAFETY: all offsets used here lie inside the block's KPCR pages and are aligned.
        unsafe { self.gs.wrapping_add(offset).cast::<u64>().write(value) }
    }

    fn read_kpcr(self, offset: usize) -> u64 {
        // SAFETY: as for `write_kpcr`.
        unsafe { self.gs.wrapping_add(offset).cast::<u64>().read() }
    }

    /// Enters a machine: from now on exports find `entrant`, and landings use its stack.
    #[inline]
    pub fn enter<'a>(self, entrant: &Entrant<'a>) -> Inside<'a> {
        let private = self.private();
        let before = Before {
            owner: private.owner(),
            kernel: private.kernel(),
            thread: private.thread(),
            stack_top: private.stack_top(),
            stack_limit: private.stack_limit(),
            stack_guard: private.stack_guard(),
            landing: private.landing(),
            frame: private.frame(),
            irql: self.irql(),
            thread_object: self.read_kpcr(PRCB_CURRENT_THREAD),
        };
        let owner: *const (dyn EntryOwner + 'a) = entrant.owner;
        // SAFETY: only the lifetime changes; the guard returned carries it, and clears the field when dropped.
        let owner: *const (dyn EntryOwner + 'static) = unsafe { std::mem::transmute(owner) };
        private.set_owner(Some(owner));
        private.set_kernel(entrant.kernel);
        private.set_thread(entrant.thread);
        private.set_stack_top(entrant.stack.top);
        private.set_stack_limit(entrant.stack.limit);
        private.set_stack_guard(entrant.stack.guard);
        private.set_landing(ptr::null_mut());
        private.set_frame(ptr::null_mut());
        self.write_kpcr(PRCB_CURRENT_THREAD, entrant.thread_object as u64);
        self.set_irql(0);
        Inside { region: self, before, entrant: std::marker::PhantomData }
    }

    /// What [`Entrant::kernel`] was; null outside of every machine.
    #[inline]
    #[must_use]
    pub fn kernel(self) -> *const () {
        self.private().kernel()
    }

    /// What [`Entrant::thread`] was; null outside of every machine.
    #[inline]
    #[must_use]
    pub fn thread(self) -> *const () {
        self.private().thread()
    }

    /// The owner of the machine that the thread is inside of.
    #[must_use]
    pub fn owner(self) -> Option<&'static dyn EntryOwner> {
        // SAFETY: set while an `Inside` guard borrows the owner; callers run under that guard (driver code and
        // the exports it calls), and do not keep the reference.
        self.private().owner().map(|owner| unsafe { &*owner })
    }

    /// The thread's IRQL as driver code sees it at `gs:[50h]`.
    #[inline]
    #[must_use]
    pub fn irql(self) -> u8 {
        // SAFETY: inside the KPCR page.
        unsafe { self.gs.wrapping_add(KPCR_IRQL).read() }
    }

    /// Sets what [`Region::irql`] returns. What it means to hold an IRQL is the kernel's matter.
    #[inline]
    pub fn set_irql(self, irql: u8) {
        // SAFETY: inside the KPCR page.
        unsafe { self.gs.wrapping_add(KPCR_IRQL).write(irql) }
    }

    /// Sets the processor number that driver code sees at `gs:[184h]`.
    #[inline]
    pub fn set_processor_number(self, number: u32) {
        // SAFETY: inside the KPCR pages, four-aligned.
        unsafe { self.gs.wrapping_add(PRCB_NUMBER).cast::<u32>().write(number) }
    }

    /// The processor number at `gs:[184h]`.
    #[inline]
    #[must_use]
    pub fn processor_number(self) -> u32 {
        // SAFETY: inside the KPCR pages, four-aligned.
        unsafe { self.gs.wrapping_add(PRCB_NUMBER).cast::<u32>().read() }
    }

    /// The kernel stack of the machine that the thread is inside of.
    #[inline]
    #[must_use]
    pub fn stack(self) -> KernelStack {
        let private = self.private();
        KernelStack { top: private.stack_top(), limit: private.stack_limit(), guard: private.stack_guard() }
    }

    /// The innermost landing; null when no driver code is on the stack.
    #[inline]
    #[must_use]
    pub fn landing(self) -> *mut Landing {
        self.private().landing()
    }

    #[inline]
    pub(crate) fn set_landing(self, landing: *mut Landing) {
        self.private().set_landing(landing);
    }

    /// The innermost export frame; null when driver code has called no export.
    #[inline]
    #[must_use]
    pub fn frame(self) -> *mut ExportFrame {
        self.private().frame()
    }

    /// Replaces the innermost export frame. For the exception dispatcher, which continues driver code in other
    /// frames, or calls handlers on behalf of the frame that raised.
    #[inline]
    pub fn set_frame(self, frame: *mut ExportFrame) {
        self.private().set_frame(frame);
    }

    /// What patched instructions have put aside.
    #[must_use]
    pub fn scratch(self) -> [u64; SCRATCH_WORDS] {
        let private = self.private().0;
        // SAFETY: the block is mapped while the thread lives, and only this thread uses it.
        unsafe { (*private).scratch }
    }

    /// Lowest address and length in bytes of the stack on which stops are reported.
    pub(crate) fn stop_stack(self) -> (usize, usize) {
        (self.gs.addr() + PAGE * PROCESSOR_PAGES, STOP_STACK_LENGTH)
    }

    pub(crate) fn fault_address(self) -> usize {
        self.private().fault_address()
    }

    pub(crate) fn set_fault_address(self, address: usize) {
        self.private().set_fault_address(address);
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        let private = self.region.private();
        private.set_owner(self.before.owner);
        private.set_kernel(self.before.kernel);
        private.set_thread(self.before.thread);
        private.set_stack_top(self.before.stack_top);
        private.set_stack_limit(self.before.stack_limit);
        private.set_stack_guard(self.before.stack_guard);
        private.set_landing(self.before.landing);
        private.set_frame(self.before.frame);
        self.region.set_irql(self.before.irql);
        self.region.write_kpcr(PRCB_CURRENT_THREAD, self.before.thread_object);
    }
}
