//! Language handlers: what they are told, and the one that C compilers rely on the kernel for.

use abi::{
    BOOLEAN, DISPATCHER_CONTEXT, EXCEPTION_DISPOSITION, EXCEPTION_EXECUTE_HANDLER, EXCEPTION_POINTERS,
    EXCEPTION_RECORD, EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWIND, ExceptionContinueExecution,
    ExceptionContinueSearch, SCOPE_TABLE_AMD64_SCOPE_RECORD as Scope,
};
use platform::entry::Region;
use platform::landing::{self, Code, Raise, Target, Unwind};

use super::address;
use crate::tables::Tables;
use crate::unwind::Handler;

pub(super) fn dispatcher_context(
    tables: &Tables,
    pc: u64,
    entry: u64,
    establisher: u64,
    handler: Handler,
) -> DISPATCHER_CONTEXT {
    DISPATCHER_CONTEXT {
        ControlPc: pc,
        ImageBase: tables.base,
        FunctionEntry: std::ptr::with_exposed_provenance_mut(address(entry)),
        EstablisherFrame: establisher,
        TargetIp: 0,
        ContextRecord: std::ptr::null_mut(),
        // SAFETY: the type is a nullable function pointer; the handler lies in the image and is only called.
        LanguageHandler: unsafe {
            std::mem::transmute::<usize, abi::EXCEPTION_ROUTINE>(address(handler.routine))
        },
        HandlerData: std::ptr::with_exposed_provenance_mut(address(handler.data)),
        HistoryTable: std::ptr::null_mut(),
        ScopeIndex: 0,
        Fill0: 0,
    }
}

/// What a handler returned in EAX.
#[expect(clippy::cast_possible_truncation, reason = "the disposition is the lower half")]
pub(super) fn disposition(value: u64) -> EXCEPTION_DISPOSITION {
    (value as u32).cast_signed()
}

/// What a handler is called with; addresses in the dispatcher's frames on the kernel stack.
struct Call<'a> {
    region: Region,
    record: u64,
    establisher: u64,
    context: u64,
    dispatcher: &'a mut DISPATCHER_CONTEXT,
}

/// `__C_specific_handler`: asks the filters, or runs the `__finally` blocks, of the scopes around an address.
///
/// Returns the disposition. A filter that takes the exception leads to `Err` with the frame as the target.
///
/// # Errors
/// How the exception goes on: taken here, or another one raised by a filter or block. An access violation when the
/// arguments are none of a dispatcher's.
///
/// # Safety
/// The arguments are those that a driver's call passed; the thread is inside an export.
pub unsafe fn c_specific_handler(
    region: Region,
    record: u64,
    establisher: u64,
    context: u64,
    dispatcher: u64,
) -> Result<u64, Unwind> {
    for (argument, size) in
        [(record, size_of::<EXCEPTION_RECORD>()), (dispatcher, size_of::<DISPATCHER_CONTEXT>())]
    {
        if !on_stack(region, argument, size) {
            return Err(Unwind::access_violation(0, argument));
        }
    }
    // SAFETY: on the calling thread's kernel stack, aligned, checked above; any bits are a value but for the routine,
    // which is not read.
    let dispatcher =
        unsafe { &mut *std::ptr::with_exposed_provenance_mut::<DISPATCHER_CONTEXT>(address(dispatcher)) };
    let mut call = Call { region, record, establisher, context, dispatcher };
    let flags = call.record().ExceptionFlags;
    if flags & EXCEPTION_UNWIND == 0 { call.ask_filters() } else { call.run_blocks(flags) }
}

fn on_stack(region: Region, argument: u64, size: usize) -> bool {
    let stack = region.stack();
    let start = address(argument);
    start.is_multiple_of(8)
        && start >= stack.limit
        && stack.top.checked_sub(size).is_some_and(|last| start <= last)
}

impl Call<'_> {
    fn record(&self) -> EXCEPTION_RECORD {
        // SAFETY: on the thread's kernel stack and aligned, checked at the entry.
        unsafe { *std::ptr::with_exposed_provenance::<EXCEPTION_RECORD>(address(self.record)) }
    }

    /// The relative address of an instruction in the function's image.
    fn relative(&self, instruction: u64) -> u64 {
        instruction.wrapping_sub(self.dispatcher.ImageBase)
    }

    /// The scope of this number; None behind the last, and where the table cannot be read.
    fn scope(&self, index: u32) -> Option<Scope> {
        let table = self.dispatcher.HandlerData.expose_provenance() as u64;
        let image = Tables::find(self.dispatcher.ImageBase)?;
        if index >= image.read_u32(table)? {
            return None;
        }
        let entry = table + 4 + u64::from(index) * size_of::<Scope>() as u64;
        Some(Scope {
            BeginAddress: image.read_u32(entry)?,
            EndAddress: image.read_u32(entry + 4)?,
            HandlerAddress: image.read_u32(entry + 8)?,
            JumpTarget: image.read_u32(entry + 12)?,
        })
    }

    fn call(&self, routine: u32, arguments: [u64; 2]) -> Result<u64, Unwind> {
        let routine = self.dispatcher.ImageBase + u64::from(routine);
        // SAFETY: the thread is inside a machine, and the scope table of the function's image names this routine.
        unsafe { landing::call(self.region, Code::Image, address(routine), &arguments) }
    }

    fn ask_filters(&mut self) -> Result<u64, Unwind> {
        let pc = self.relative(self.dispatcher.ControlPc);
        let mut index = self.dispatcher.ScopeIndex;
        while let Some(scope) = self.scope(index) {
            if holds(&scope, pc) && scope.JumpTarget != 0 {
                let value = self.filter(&scope)?;
                if value < 0 {
                    return Ok(u64::from(ExceptionContinueExecution.cast_unsigned()));
                }
                if value > 0 {
                    return Err(self.take(&scope));
                }
            }
            index += 1;
        }
        Ok(u64::from(ExceptionContinueSearch.cast_unsigned()))
    }

    fn filter(&self, scope: &Scope) -> Result<i32, Unwind> {
        // `__except (EXCEPTION_EXECUTE_HANDLER)` needs no code.
        if scope.HandlerAddress == EXCEPTION_EXECUTE_HANDLER.cast_unsigned() {
            return Ok(EXCEPTION_EXECUTE_HANDLER);
        }
        let mut pointers = EXCEPTION_POINTERS {
            ExceptionRecord: std::ptr::with_exposed_provenance_mut(address(self.record)),
            ContextRecord: std::ptr::with_exposed_provenance_mut(address(self.context)),
        };
        let pointers = (&raw mut pointers).expose_provenance() as u64;
        self.call(scope.HandlerAddress, [pointers, self.establisher]).map(disposition)
    }

    fn take(&self, scope: &Scope) -> Unwind {
        let record = self.record();
        let target = Target {
            frame: self.establisher,
            instruction: self.dispatcher.ImageBase + u64::from(scope.JumpTarget),
            value: u64::from(record.ExceptionCode.bits()),
        };
        Unwind::Raise(Box::new(Raise { record, target: Some(target) }))
    }

    fn run_blocks(&mut self, flags: u32) -> Result<u64, Unwind> {
        const ABNORMAL: BOOLEAN = 1;
        let pc = self.relative(self.dispatcher.ControlPc);
        let target = self.relative(self.dispatcher.TargetIp);
        let in_target_frame = flags & EXCEPTION_TARGET_UNWIND != 0;
        let mut index = self.dispatcher.ScopeIndex;
        while let Some(scope) = self.scope(index) {
            index += 1;
            if !holds(&scope, pc) {
                continue;
            }
            // Execution goes on inside this scope, or in its `__except` block: outer scopes are not left.
            if in_target_frame && (holds(&scope, target) || target == u64::from(scope.JumpTarget)) {
                break;
            }
            if scope.JumpTarget == 0 {
                // Should the block raise, the next unwind of this frame begins behind it.
                self.dispatcher.ScopeIndex = index;
                self.call(scope.HandlerAddress, [u64::from(ABNORMAL), self.establisher])?;
            }
        }
        Ok(u64::from(ExceptionContinueSearch.cast_unsigned()))
    }
}

fn holds(scope: &Scope, instruction: u64) -> bool {
    (u64::from(scope.BeginAddress)..u64::from(scope.EndAddress)).contains(&instruction)
}
