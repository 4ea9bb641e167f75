//! Fault capture: from a signal to whoever knows what the faulting instruction was.
//!
//! The handler decides only *whose* fault it is (decision 1 gives the order); dispatching exceptions in driver
//! code is `loader`'s, reports are the owner's. Handlers that were installed before ours are called for every
//! fault that is not ours.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use abi::{CONTEXT, EXCEPTION_RECORD, NTSTATUS};

use crate::entry::{self, Region, Stop};
use crate::landing::{self, Code};
use crate::memory::Scalar as _;
use crate::{images, memory, pages, routines};

/// Continues a thread whose instruction faulted in an image: on its kernel stack, outside the signal frame.
pub type Dispatcher = unsafe extern "sysv64" fn(context: *mut CONTEXT, record: *mut EXCEPTION_RECORD) -> !;

static DISPATCHER: AtomicUsize = AtomicUsize::new(0);

/// Sets who dispatches exceptions in images, for the whole process. Setting it again replaces it.
pub fn set_dispatcher(dispatcher: Dispatcher) {
    DISPATCHER.store(dispatcher as usize, Ordering::Release);
}

const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// The actions that were installed before ours. Written once, before the handler that reads them is installed.
struct Previous(UnsafeCell<[MaybeUninit<libc::sigaction>; SIGNALS.len()]>);

// SAFETY: written under `INSTALLED`'s lock before the handler can run, only read afterwards.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new([const { MaybeUninit::uninit() }; SIGNALS.len()]));
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Installs the handlers, once for the process.
///
/// # Errors
/// When Linux refuses a handler.
pub fn install() -> io::Result<()> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    for (index, signal) in SIGNALS.iter().enumerate() {
        // SAFETY: sigaction is plain data for which zero is a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: the slot is written before the handler for this signal exists; see `Previous`.
        let previous = unsafe { PREVIOUS.0.get().cast::<libc::sigaction>().add(index) };
        // SAFETY: both pointers are valid for the call. The old action is read first, so that the handler,
        // which may run as soon as it is installed, finds it.
        if unsafe { libc::sigaction(*signal, ptr::null(), previous) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a complete action.
        if unsafe { libc::sigaction(*signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    *installed = true;
    Ok(())
}

/// Where the faulting instruction's registers are, and what it did.
struct Fault<'a> {
    signal: libc::c_int,
    code: libc::c_int,
    address: usize,
    machine: &'a mut libc::mcontext_t,
}

const SI_KERNEL: libc::c_int = 0x80;

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: Linux passes a valid siginfo_t.
    let information = unsafe { &*info };
    // SAFETY: Linux passes a valid ucontext_t, which only this invocation uses.
    let machine = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
    let asynchronous = information.si_code <= 0;
    // SAFETY: for these signals the union holds an address.
    let address = unsafe { information.si_addr() }.addr();
    let mut fault = Fault { signal, code: information.si_code, address, machine };
    if asynchronous || !take(&mut fault) {
        chain(signal, info, context);
    }
}

/// True when execution can go on, perhaps elsewhere.
fn take(fault: &mut Fault<'_>) -> bool {
    let rip = fault.register(libc::REG_RIP);
    if fault.signal == libc::SIGSEGV && pages::is_moving(fault.address) {
        pages::wait_until_moved(fault.address);
        return true;
    }
    let region = entry::region();
    if let Some(recovery) = memory::recovery(rip) {
        if let Some(region) = region {
            region.set_fault_address(fault.effective_address());
        }
        fault.set_register(libc::REG_RIP, recovery);
        return true;
    }
    let Some(region) = region else { return false };
    if region.landing().is_null() {
        return false;
    }
    let stack = region.stack();
    if (stack.guard..stack.limit).contains(&fault.address) {
        fault.go_to_stop(region, double_fault_stop(fault.address));
        return true;
    }
    if routines::contains(rip) && !fault.return_from_leaf() {
        fault.go_to_stop(region, double_fault_stop(fault.register(libc::REG_RSP)));
        return true;
    }
    if images::find(fault.register(libc::REG_RIP)).is_some() || fault.is_bad_jump(region) {
        return fault.go_to_dispatcher(region);
    }
    // SAFETY: non-null landings of the calling thread are live.
    let landing = unsafe { &*region.landing() };
    // An export that the driver has called is ours again: its faults are not the driver's.
    let native = landing.code == Code::Native && region.frame() == landing.frame;
    // What lies here is driver code or nothing, never the process's own.
    let outside_of_process = rip < pages::USER_PROBE_ADDRESS || pages::SYSTEM_SPACE.contains(&rip);
    if native || outside_of_process {
        let stop = fault.stop_without_dispatch(native);
        fault.go_to_stop(region, stop);
    }
    native || outside_of_process
}

const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
const DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS: u32 = 0xCE;
const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7F;
const DOUBLE_FAULT: u64 = 8;

fn double_fault_stop(address: usize) -> Stop {
    Stop { code: UNEXPECTED_KERNEL_MODE_TRAP, parameters: [DOUBLE_FAULT, address as u64, 0, 0] }
}

impl Fault<'_> {
    fn register(&self, index: libc::c_int) -> usize {
        #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "registers are 64 bits")]
        let value = self.machine.gregs[index as usize] as usize;
        value
    }

    fn set_register(&mut self, index: libc::c_int, value: usize) {
        #[expect(clippy::cast_possible_wrap, reason = "registers are 64 bits")]
        let value = value as i64;
        #[expect(clippy::cast_sign_loss, reason = "libc's register indices are not negative")]
        let index = index as usize;
        self.machine.gregs[index] = value;
    }

    /// The accessed address; for addresses that are not canonical Linux reports none.
    fn effective_address(&self) -> usize {
        if self.signal == libc::SIGSEGV && self.code == SI_KERNEL { usize::MAX } else { self.address }
    }

    /// One of our leaf routines faulted: go back to its caller, as unwinding a leaf function would. False when the driver
    /// has come there without a stack.
    fn return_from_leaf(&mut self) -> bool {
        let rsp = self.register(libc::REG_RSP);
        let Ok(return_address) = u64::read(rsp as u64) else { return false };
        if routines::saved_registers(self.register(libc::REG_RIP)) {
            self.set_register(libc::REG_RDI, self.register(libc::REG_R10));
            self.set_register(libc::REG_RSI, self.register(libc::REG_R11));
        }
        self.set_register(libc::REG_RSP, rsp.wrapping_add(8));
        #[expect(clippy::cast_possible_truncation, reason = "x86-64 has 64-bit addresses")]
        self.set_register(libc::REG_RIP, return_address as usize);
        true
    }

    /// Driver code jumped or called to somewhere that cannot be executed: the caller's address is on the stack.
    fn is_bad_jump(&self, region: Region) -> bool {
        let rip = self.register(libc::REG_RIP);
        let rsp = self.register(libc::REG_RSP);
        let stack = region.stack();
        self.signal == libc::SIGSEGV
            && self.address == rip
            && (stack.limit..stack.top - 8).contains(&rsp)
            // SAFETY: inside the kernel stack, which is readable.
            && images::find(unsafe { (rsp as *const usize).read_unaligned() }).is_some()
    }

    /// The stop for a fault in code whose frames cannot be searched: compiled in, or no image (any more).
    fn stop_without_dispatch(&self, native: bool) -> Stop {
        let rip = self.register(libc::REG_RIP);
        let record = self.exception_record();
        let [first, second, ..] = record.ExceptionInformation;
        if !native && pages::SYSTEM_SPACE.contains(&rip) {
            let parameters = [second as u64, first as u64, rip as u64, 0];
            return Stop { code: DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, parameters };
        }
        let status = u64::from(record.ExceptionCode.bits());
        let parameters = [status, rip as u64, first as u64, second as u64];
        Stop { code: KMODE_EXCEPTION_NOT_HANDLED, parameters }
    }

    fn exception_record(&self) -> EXCEPTION_RECORD {
        let (status, parameters) = self.exception();
        // SAFETY: EXCEPTION_RECORD is plain data for which all zeroes is a value.
        let mut record: EXCEPTION_RECORD = unsafe { std::mem::zeroed() };
        record.ExceptionCode = status;
        record.ExceptionAddress = ptr::with_exposed_provenance_mut(self.register(libc::REG_RIP));
        if let Some(parameters) = parameters {
            record.NumberParameters = 2;
            record.ExceptionInformation[0] = parameters[0];
            record.ExceptionInformation[1] = parameters[1];
        }
        record
    }

    fn exception(&self) -> (NTSTATUS, Option<[usize; 2]>) {
        const INTEGER_DIVIDE: libc::c_int = 1;
        match self.signal {
            libc::SIGILL => (abi::STATUS_ILLEGAL_INSTRUCTION, None),
            libc::SIGTRAP if self.code == libc::TRAP_TRACE => (abi::STATUS_SINGLE_STEP, None),
            libc::SIGTRAP => (abi::STATUS_BREAKPOINT, None),
            libc::SIGFPE if self.code == INTEGER_DIVIDE => (abi::STATUS_INTEGER_DIVIDE_BY_ZERO, None),
            libc::SIGFPE => (abi::STATUS_FLOAT_INVALID_OPERATION, None),
            libc::SIGBUS => (abi::STATUS_IN_PAGE_ERROR, Some([self.operation(), self.address])),
            _ => (abi::STATUS_ACCESS_VIOLATION, Some([self.operation(), self.effective_address()])),
        }
    }

    /// 0 read, 1 write, 8 execute, from the processor's page-fault error code.
    fn operation(&self) -> usize {
        const WRITE: usize = 2;
        const FETCH: usize = 16;
        let error = self.register(libc::REG_ERR);
        if error & FETCH != 0 { 8 } else { usize::from(error & WRITE != 0) }
    }

    fn context(&self) -> CONTEXT {
        const CONTEXT_FULL_AND_SEGMENTS: u32 = 0x0010_000F;
        // SAFETY: CONTEXT is plain data for which all zeroes is a value.
        let mut context: CONTEXT = unsafe { std::mem::zeroed() };
        context.ContextFlags = CONTEXT_FULL_AND_SEGMENTS;
        context.SegCs = 0x10;
        context.SegSs = 0x18;
        #[expect(clippy::cast_possible_truncation, reason = "the upper half of RFLAGS is reserved")]
        let flags = self.register(libc::REG_EFL) as u32;
        context.EFlags = flags;
        let fields: [(&mut u64, libc::c_int); 17] = [
            (&mut context.Rax, libc::REG_RAX),
            (&mut context.Rcx, libc::REG_RCX),
            (&mut context.Rdx, libc::REG_RDX),
            (&mut context.Rbx, libc::REG_RBX),
            (&mut context.Rsp, libc::REG_RSP),
            (&mut context.Rbp, libc::REG_RBP),
            (&mut context.Rsi, libc::REG_RSI),
            (&mut context.Rdi, libc::REG_RDI),
            (&mut context.R8, libc::REG_R8),
            (&mut context.R9, libc::REG_R9),
            (&mut context.R10, libc::REG_R10),
            (&mut context.R11, libc::REG_R11),
            (&mut context.R12, libc::REG_R12),
            (&mut context.R13, libc::REG_R13),
            (&mut context.R14, libc::REG_R14),
            (&mut context.R15, libc::REG_R15),
            (&mut context.Rip, libc::REG_RIP),
        ];
        for (field, index) in fields {
            *field = self.register(index) as u64;
        }
        let saved = self.machine.fpregs;
        if !saved.is_null() {
            let target = (&raw mut context).cast::<u8>().wrapping_add(FLOAT_SAVE_OFFSET);
            // SAFETY: both areas are 512 bytes in FXSAVE format; Linux's precedes any extended state.
            unsafe { ptr::copy_nonoverlapping(saved.cast::<u8>(), target, FLOAT_SAVE_LENGTH) };
            let mxcsr = target.wrapping_add(24).cast::<u32>();
            // SAFETY: inside the FXSAVE area.
            context.MxCsr = unsafe { mxcsr.read_unaligned() };
        }
        context
    }

    /// Lets the thread go on in the dispatcher. False when there is none.
    fn go_to_dispatcher(&mut self, region: Region) -> bool {
        let dispatcher = DISPATCHER.load(Ordering::Acquire);
        if dispatcher == 0 {
            return false;
        }
        let stack = region.stack();
        let needed = size_of::<CONTEXT>() + size_of::<EXCEPTION_RECORD>() + DISPATCHER_RESERVE;
        let rsp = self.register(libc::REG_RSP);
        if !(stack.limit + needed..=stack.top).contains(&rsp) {
            self.go_to_stop(region, double_fault_stop(rsp));
            return true;
        }
        let context_at = (rsp - size_of::<CONTEXT>()) & !63;
        let record_at = (context_at - size_of::<EXCEPTION_RECORD>()) & !15;
        let context = self.context();
        // SAFETY: below the driver's RSP (Win64 has no red zone), inside the kernel stack, checked above.
        unsafe { (context_at as *mut CONTEXT).write(context) };
        // SAFETY: as above.
        unsafe { (record_at as *mut EXCEPTION_RECORD).write(self.exception_record()) };
        self.set_register(libc::REG_RDI, context_at);
        self.set_register(libc::REG_RSI, record_at);
        self.enter(dispatcher, record_at);
        true
    }

    /// Ends the thread's stay in driver code: the owner is told, then the thread lands.
    fn go_to_stop(&mut self, region: Region, stop: Stop) {
        let context = self.context();
        let record = self.exception_record();
        let slot = stop_slot(region);
        // SAFETY: the slot lies on this thread's stop stack, which is free: a thread stops once at a time.
        unsafe { slot.write(StopArguments { stop, record, context }) };
        self.set_register(libc::REG_RDI, slot.addr());
        self.enter(stop_trampoline as *const () as usize, slot.addr());
    }

    /// Continues at `function` as if it had just been called, with `stack` as its frame's end.
    fn enter(&mut self, function: usize, stack: usize) {
        const DIRECTION_AND_TRAP_FLAGS: usize = 0x500;
        self.set_register(libc::REG_RSP, (stack & !15) - 8);
        self.set_register(libc::REG_RIP, function);
        self.set_register(libc::REG_EFL, self.register(libc::REG_EFL) & !DIRECTION_AND_TRAP_FLAGS);
    }
}

const FLOAT_SAVE_OFFSET: usize = 0x100;
const FLOAT_SAVE_LENGTH: usize = 512;
/// Stack that the dispatcher itself needs to search for handlers.
const DISPATCHER_RESERVE: usize = 16 * 1024;

struct StopArguments {
    stop: Stop,
    record: EXCEPTION_RECORD,
    context: CONTEXT,
}

/// A place for a stop's arguments, and stack below it, that does not depend on the kernel stack's state.
fn stop_slot(region: Region) -> *mut StopArguments {
    let (bottom, length) = region.stop_stack();
    let top = bottom + length - size_of::<StopArguments>();
    ptr::with_exposed_provenance_mut(top & !63)
}

unsafe extern "sysv64" fn stop_trampoline(arguments: *mut StopArguments) -> ! {
    // SAFETY: written by `go_to_stop` for this thread, which came straight here.
    let arguments = unsafe { arguments.read() };
    let region = entry::region().expect("the thread was inside a landing");
    // SAFETY: the fault was in driver code, so nothing of Rust's stands between it and the landing.
    unsafe { landing::stop(region, arguments.stop, &arguments.record, &arguments.context) }
}

/// Does what would have happened without us.
fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(index) = SIGNALS.iter().position(|candidate| *candidate == signal) else { return };
    // SAFETY: the slot was filled before this handler was installed for the signal.
    let previous = unsafe { PREVIOUS.0.get().cast::<libc::sigaction>().wrapping_add(index).read() };
    // SAFETY: as in `handler`.
    let asynchronous = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if asynchronous => {}
        // Linux lets no program ignore its own faults: the default action applies to them.
        libc::SIG_DFL | libc::SIG_IGN => {
            let default = libc::sigaction { sa_sigaction: libc::SIG_DFL, ..previous };
            // SAFETY: a complete action.
            unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
            // A fault's instruction is executed again now. What came by `kill` does not come again by itself, and a
            // breakpoint is behind the instruction pointer.
            if asynchronous || signal == libc::SIGTRAP {
                // SAFETY: async-signal-safe; the signal is not blocked, so it ends the process here.
                unsafe { libc::raise(signal) };
            }
        }
        address if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            type Action = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: a handler that was installed with SA_SIGINFO has this type.
            let action: Action = unsafe { std::mem::transmute(address) };
            action(signal, info, context);
        }
        address => {
            // SAFETY: a handler that was installed without SA_SIGINFO has this type.
            let action: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(address) };
            action(signal);
        }
    }
}

/// Loads every register from `context` and continues at its RIP. Eight words below its RSP are overwritten.
///
/// # Safety
/// The context is one in which the thread may continue: driver code of its innermost landing. No Rust frame that
/// is left behind has anything to drop.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn restore(context: *const CONTEXT) -> ! {
    std::arch::naked_asm!(
        "fxrstor64 [rdi + 0x100]",
        "mov rax, [rdi + 0x98]",
        "sub rax, 32",
        "mov rcx, [rdi + 0xF8]",
        "mov [rax + 24], rcx",
        "mov rcx, [rdi + 0x78]",
        "mov [rax + 16], rcx",
        "mov rcx, [rdi + 0xB0]",
        "mov [rax + 8], rcx",
        "mov ecx, [rdi + 0x44]",
        "mov [rax], rcx",
        "mov rcx, [rdi + 0x80]",
        "mov rdx, [rdi + 0x88]",
        "mov rbx, [rdi + 0x90]",
        "mov rbp, [rdi + 0xA0]",
        "mov rsi, [rdi + 0xA8]",
        "mov r8, [rdi + 0xB8]",
        "mov r9, [rdi + 0xC0]",
        "mov r10, [rdi + 0xC8]",
        "mov r11, [rdi + 0xD0]",
        "mov r12, [rdi + 0xD8]",
        "mov r13, [rdi + 0xE0]",
        "mov r14, [rdi + 0xE8]",
        "mov r15, [rdi + 0xF0]",
        "mov rsp, rax",
        "popfq",
        "pop rdi",
        "pop rax",
        "ret",
    )
}
