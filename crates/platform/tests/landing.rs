//! Calls into driver code and the ways back, with small Win64 functions standing for the driver.
#![expect(unsafe_code, reason = "the functions called are raw Win64 code")]

use abi::{CONTEXT, EXCEPTION_RECORD};
extern crate ringbridge_platform as platform;

use platform::entry::{self, Entrant, EntryOwner, KernelStack, Stop};
use platform::landing::{self, Code, Unwind};
use platform::pages::{PAGE_SIZE, Protection, Reservation, SYSTEM_SPACE};
use std::sync::Mutex;

#[derive(Default)]
struct Owner {
    stops: Mutex<Vec<Stop>>,
}

impl EntryOwner for Owner {
    fn unhandled(&self, stop: Stop, _record: &EXCEPTION_RECORD, _context: &CONTEXT) {
        self.stops.lock().expect("not poisoned").push(stop);
    }
    fn write_cr8(&self, _irql: u8) -> bool {
        false
    }
    fn shared_user_data(&self) -> usize {
        0
    }
    fn keep_shared_user_data_current(&self) -> bool {
        false
    }
}

struct Stack {
    memory: Reservation,
}

impl Stack {
    fn new() -> Self {
        let memory =
            Reservation::first_free(SYSTEM_SPACE, 1 << 20, 256 * 1024, 7).expect("room for a kernel stack");
        memory.commit(16 * PAGE_SIZE, memory.len() - 16 * PAGE_SIZE, Protection::ReadWrite).expect("memory");
        Self { memory }
    }

    fn bounds(&self) -> KernelStack {
        let range = self.memory.range();
        KernelStack { top: range.end, limit: range.start + 16 * PAGE_SIZE, guard: range.start }
    }
}

fn inside<R>(owner: &Owner, body: impl FnOnce(entry::Region) -> R) -> R {
    let stack = Stack::new();
    let region = entry::prepare().expect("a region");
    let entrant = Entrant {
        owner,
        kernel: std::ptr::null(),
        thread: std::ptr::null(),
        thread_object: 0x1234_5678,
        stack: stack.bounds(),
    };
    let _inside = region.enter(&entrant);
    body(region)
}

extern "win64" fn sum(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) -> u64 {
    a + 10 * b + 100 * c + 1000 * d + 10_000 * e + 100_000 * f + 1_000_000 * g
}

extern "win64" fn stack_address() -> u64 {
    let here = 0_u8;
    (&raw const here) as u64
}

extern "win64" fn read_through(address: u64) -> u64 {
    // SAFETY: deliberately not: the test passes an address that faults.
    unsafe { (address as *const u64).read_volatile() }
}

#[expect(unconditional_recursion, reason = "the overflow is the test")]
extern "win64" fn recurse(depth: u64) -> u64 {
    let filler = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + filler[3]
}

/// Reads what driver code reads inline: KPCR self and current thread.
#[unsafe(naked)]
extern "win64" fn processor_fields() -> u64 {
    std::arch::naked_asm!("mov rax, gs:[0x18]", "mov rcx, gs:[0x188]", "add rax, rcx", "ret")
}

fn call(region: entry::Region, function: usize, arguments: &[u64]) -> Result<u64, Unwind> {
    // SAFETY: the functions above take these arguments.
    unsafe { landing::call(region, Code::Native, function, arguments) }
}

#[test]
fn arguments_reach_driver_code_in_order_and_its_result_comes_back() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let result = call(region, sum as *const () as usize, &[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(result.expect("returns"), 7_654_321);
        let result = call(region, sum as *const () as usize, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(result.expect("returns"), 7_654_321);
    });
}

#[test]
fn driver_code_runs_on_the_kernel_stack() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let stack = region.stack();
        let address = call(region, stack_address as *const () as usize, &[]).expect("returns");
        let address = usize::try_from(address).expect("64 bits");
        assert!((stack.limit..stack.top).contains(&address));
    });
}

#[test]
fn gs_shows_the_processor_and_the_current_thread() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let before = call(region, processor_fields as *const () as usize, &[]).expect("returns");
        assert_ne!(before, 0x1234_5678);
        let processor = before - 0x1234_5678;
        assert_eq!(processor % 4096, 0);
    });
}

#[test]
fn a_fault_in_compiled_in_driver_code_halts_and_lands() {
    let owner = Owner::default();
    inside(&owner, |region| {
        for _ in 0..3 {
            let result = call(region, read_through as *const () as usize, &[0x10]);
            assert!(matches!(result, Err(Unwind::Halt)), "{result:?}");
            assert!(region.landing().is_null());
        }
    });
    let stops = owner.stops.lock().expect("not poisoned");
    assert_eq!(stops.len(), 3);
    assert_eq!(stops[0].code, 0x1E);
    assert_eq!(stops[0].parameters[0], 0xC000_0005);
    assert_eq!(stops[0].parameters[3], 0x10);
}

#[test]
fn a_kernel_stack_overflow_is_a_double_fault_stop() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let result = call(region, recurse as *const () as usize, &[0]);
        assert!(matches!(result, Err(Unwind::Halt)));
        let again = call(region, sum as *const () as usize, &[1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(again.expect("the thread goes on"), 1);
    });
    let stops = owner.stops.lock().expect("not poisoned");
    assert_eq!((stops[0].code, stops[0].parameters[0]), (0x7F, 8));
}

/// Jumps to the routine at RCX without a stack.
#[unsafe(naked)]
extern "win64" fn jump_without_stack(_routine: u64) -> u64 {
    std::arch::naked_asm!("mov rax, rcx", "mov ecx, 16", "mov edx, 16", "mov r8d, 8", "mov esp, 9", "jmp rax")
}

#[test]
fn a_fault_in_a_routine_that_was_entered_without_a_stack_is_a_double_fault_stop() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let routine = platform::routines::memmove() as u64;
        let result = call(region, jump_without_stack as *const () as usize, &[routine]);
        assert!(matches!(result, Err(Unwind::Halt)));
    });
    let stops = owner.stops.lock().expect("not poisoned");
    assert_eq!((stops[0].code, stops[0].parameters), (0x7F, [8, 9, 0, 0]));
}

mod thunks {
    super::platform::export_thunk!(pub(super) fn two, 2, super::two_body);
    super::platform::export_thunk!(pub(super) fn nine, 9, super::nine_body);
    super::platform::export_thunk!(fn fixed, 2, super::variadic_body);
    super::platform::variadic_thunk!(pub(super) fn variadic, fixed);
}

extern "sysv64" fn two_body(a: u64, b: u64) -> u64 {
    a * 100 + b
}

extern "sysv64" fn nine_body(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64, i: u64) -> u64 {
    [a, b, c, d, e, f, g, h, i].iter().fold(0, |sum, digit| sum * 10 + digit)
}

extern "sysv64" fn variadic_body(_format: u64, _first: u64) -> u64 {
    let frame = landing::current_frame();
    // SAFETY: the thunk has just linked its frame.
    let list = unsafe { (*frame).rsp } + 8;
    // SAFETY: the caller passed six variable arguments.
    let arguments = unsafe { std::slice::from_raw_parts(list as *const u64, 6) };
    arguments.iter().fold(0, |sum, digit| sum * 10 + digit)
}

/// Calls its first argument as an export with the numbers after it, and checks that non-volatile registers survive.
extern "win64" fn call_two(export: extern "win64" fn(u64, u64) -> u64) -> u64 {
    export(7, 8) + 1
}

extern "win64" fn call_nine(
    export: extern "win64" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64,
) -> u64 {
    export(1, 2, 3, 4, 5, 6, 7, 8, 9)
}

extern "win64" fn call_variadic(export: extern "win64" fn(u64, u64, u64, u64, u64, u64, u64) -> u64) -> u64 {
    export(0, 1, 2, 3, 4, 5, 6)
}

#[test]
fn exports_receive_register_stack_and_variable_arguments() {
    let owner = Owner::default();
    inside(&owner, |region| {
        let two = thunks::two as *const () as u64;
        assert_eq!(call(region, call_two as *const () as usize, &[two]).expect("returns"), 709);
        let nine = thunks::nine as *const () as u64;
        assert_eq!(call(region, call_nine as *const () as usize, &[nine]).expect("returns"), 123_456_789);
        let variadic = thunks::variadic as *const () as u64;
        assert_eq!(call(region, call_variadic as *const () as usize, &[variadic]).expect("returns"), 123_456);
        assert!(region.frame().is_null());
    });
}

mod guilt {
    super::platform::export_thunk!(pub(super) fn faulting_export, 0, super::faulting_body);
}

extern "sysv64" fn faulting_body() -> u64 {
    read_through(0x10)
}

extern "win64" fn call_faulting(export: extern "win64" fn() -> u64) -> u64 {
    export()
}

/// A fault of ours must end the process, visibly: run in a child, which is this test again.
#[test]
fn a_fault_in_an_export_is_not_blamed_on_the_compiled_in_driver_that_called_it() {
    const CHILD: &str = "RINGBRIDGE_FAULT_IN_EXPORT";
    if std::env::var_os(CHILD).is_some() {
        let owner = Owner::default();
        inside(&owner, |region| {
            let export = guilt::faulting_export as *const () as u64;
            let _never_returns = call(region, call_faulting as *const () as usize, &[export]);
        });
        std::process::exit(7);
    }
    let name = "a_fault_in_an_export_is_not_blamed_on_the_compiled_in_driver_that_called_it";
    let status = std::process::Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", name])
        .env(CHILD, "1")
        .status()
        .expect("starts");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGSEGV), "{status}");
}

/// Enters the platform when its thread ends.
struct EntersAtItsEnd;

impl Drop for EntersAtItsEnd {
    fn drop(&mut self) {
        entry::prepare().expect("a region");
        assert!(entry::region().is_some());
    }
}

#[test]
fn a_thread_may_enter_once_more_while_its_thread_locals_are_dropped() {
    thread_local! {
        static LAST: EntersAtItsEnd = const { EntersAtItsEnd };
    }
    let thread = std::thread::spawn(|| {
        // Dropped after the platform's own, which comes later.
        LAST.with(|_| ());
        entry::prepare().expect("a region");
    });
    thread.join().expect("ends");
}
