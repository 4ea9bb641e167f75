//! Exceptions: records, contexts and the flags of dispatch and unwind.

use core::ffi::c_void;

use crate::*;

/// What happened, where, and its parameters.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EXCEPTION_RECORD {
    pub ExceptionCode: NTSTATUS,
    pub ExceptionFlags: u32,
    pub ExceptionRecord: *mut EXCEPTION_RECORD,
    pub ExceptionAddress: *mut c_void,
    pub NumberParameters: u32,
    pub ExceptionInformation: [usize; 15],
}

/// The record and the context of an exception, as a filter sees them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EXCEPTION_POINTERS {
    pub ExceptionRecord: *mut EXCEPTION_RECORD,
    pub ContextRecord: *mut CONTEXT,
}

/// One 128-bit register.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct M128A {
    pub Low: u64,
    pub High: i64,
}

/// x87 and SSE state as `FXSAVE` stores it.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct XSAVE_FORMAT {
    pub ControlWord: u16,
    pub StatusWord: u16,
    pub TagWord: u8,
    pub Reserved1: u8,
    pub ErrorOpcode: u16,
    pub ErrorOffset: u32,
    pub ErrorSelector: u16,
    pub Reserved2: u16,
    pub DataOffset: u32,
    pub DataSelector: u16,
    pub Reserved3: u16,
    pub MxCsr: u32,
    pub MxCsr_Mask: u32,
    pub FloatRegisters: [M128A; 8],
    pub XmmRegisters: [M128A; 16],
    pub Reserved4: [u8; 96],
}

/// Every register of a thread; `ContextFlags` says which parts hold.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct CONTEXT {
    pub P1Home: u64,
    pub P2Home: u64,
    pub P3Home: u64,
    pub P4Home: u64,
    pub P5Home: u64,
    pub P6Home: u64,
    pub ContextFlags: u32,
    pub MxCsr: u32,
    pub SegCs: u16,
    pub SegDs: u16,
    pub SegEs: u16,
    pub SegFs: u16,
    pub SegGs: u16,
    pub SegSs: u16,
    pub EFlags: u32,
    pub Dr0: u64,
    pub Dr1: u64,
    pub Dr2: u64,
    pub Dr3: u64,
    pub Dr6: u64,
    pub Dr7: u64,
    pub Rax: u64,
    pub Rcx: u64,
    pub Rdx: u64,
    pub Rbx: u64,
    pub Rsp: u64,
    pub Rbp: u64,
    pub Rsi: u64,
    pub Rdi: u64,
    pub R8: u64,
    pub R9: u64,
    pub R10: u64,
    pub R11: u64,
    pub R12: u64,
    pub R13: u64,
    pub R14: u64,
    pub R15: u64,
    pub Rip: u64,
    pub FltSave: XSAVE_FORMAT,
    pub VectorRegister: [M128A; 26],
    pub VectorControl: u64,
    pub DebugControl: u64,
    pub LastBranchToRip: u64,
    pub LastBranchFromRip: u64,
    pub LastExceptionToRip: u64,
    pub LastExceptionFromRip: u64,
}

pub const EXCEPTION_READ_FAULT: u32 = 0x0;
pub const EXCEPTION_NONCONTINUABLE: u32 = 0x1;
pub const EXCEPTION_WRITE_FAULT: u32 = 0x1;
pub const EXCEPTION_EXECUTE_FAULT: u32 = 0x8;
pub const EXCEPTION_MAXIMUM_PARAMETERS: u32 = 0xf;
pub const CONTEXT_AMD64: u32 = 0x100000;
pub const CONTEXT_CONTROL: u32 = 0x100001;
pub const CONTEXT_INTEGER: u32 = 0x100002;
pub const CONTEXT_SEGMENTS: u32 = 0x100004;
pub const CONTEXT_FLOATING_POINT: u32 = 0x100008;
pub const CONTEXT_FULL: u32 = 0x10000b;
pub const CONTEXT_DEBUG_REGISTERS: u32 = 0x100010;
pub const CONTEXT_ALL: u32 = 0x10001f;
pub const CONTEXT_XSTATE: u32 = 0x100020;
pub const CONTEXT_EXCEPTION_ACTIVE: u32 = 0x8000000;
pub const CONTEXT_SERVICE_ACTIVE: u32 = 0x10000000;
pub const CONTEXT_EXCEPTION_REQUEST: u32 = 0x40000000;
pub const CONTEXT_EXCEPTION_REPORTING: u32 = 0x80000000;

/// The processor state as `FXSAVE` stores it.
pub type XMM_SAVE_AREA32 = XSAVE_FORMAT;

/// What a language handler answers to the dispatcher.
pub type EXCEPTION_DISPOSITION = i32;
pub const ExceptionContinueExecution: EXCEPTION_DISPOSITION = 0;
pub const ExceptionContinueSearch: EXCEPTION_DISPOSITION = 1;
pub const ExceptionNestedException: EXCEPTION_DISPOSITION = 2;
pub const ExceptionCollidedUnwind: EXCEPTION_DISPOSITION = 3;

/// A language handler, named by a function's unwind information.
pub type EXCEPTION_ROUTINE = Option<
    unsafe extern "win64" fn(
        *mut EXCEPTION_RECORD,
        u64,
        *mut CONTEXT,
        *mut DISPATCHER_CONTEXT,
    ) -> EXCEPTION_DISPOSITION,
>;
/// A filter expression of `__except`: exception pointers and the frame of the guarded function.
pub type EXCEPTION_FILTER = Option<unsafe extern "win64" fn(*mut EXCEPTION_POINTERS, u64) -> i32>;
/// The body of `__finally`: whether it runs in an unwind, and the frame of the guarded function.
pub type TERMINATION_HANDLER = Option<unsafe extern "win64" fn(BOOLEAN, u64)>;

/// What the dispatcher tells a language handler about the frame that it visits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DISPATCHER_CONTEXT {
    pub ControlPc: u64,
    pub ImageBase: u64,
    pub FunctionEntry: *mut RUNTIME_FUNCTION,
    pub EstablisherFrame: u64,
    pub TargetIp: u64,
    pub ContextRecord: *mut CONTEXT,
    pub LanguageHandler: EXCEPTION_ROUTINE,
    pub HandlerData: *mut c_void,
    pub HistoryTable: *mut UNWIND_HISTORY_TABLE,
    pub ScopeIndex: u32,
    pub Fill0: u32,
}

/// One entry of an image's function table; addresses are relative to the image base.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RUNTIME_FUNCTION {
    pub BeginAddress: u32,
    pub EndAddress: u32,
    pub UnwindData: u32,
}

/// A function that an unwind has visited.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UNWIND_HISTORY_TABLE_ENTRY {
    pub ImageBase: u64,
    pub FunctionEntry: *mut RUNTIME_FUNCTION,
}

/// The search cache of one dispatch or unwind.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UNWIND_HISTORY_TABLE {
    pub Count: u32,
    pub LocalHint: u8,
    pub GlobalHint: u8,
    pub Search: u8,
    pub Once: u8,
    pub LowAddress: u64,
    pub HighAddress: u64,
    pub Entry: [UNWIND_HISTORY_TABLE_ENTRY; UNWIND_HISTORY_TABLE_SIZE],
}
pub const UNWIND_HISTORY_TABLE_SIZE: usize = 12;

/// Head of the scope table of `__C_specific_handler`; `Count` records follow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SCOPE_TABLE_AMD64 {
    pub Count: u32,
    pub ScopeRecord: [SCOPE_TABLE_AMD64_SCOPE_RECORD; 1],
}

/// One guarded scope; addresses are relative to the image base, `HandlerAddress` 1 is `EXCEPTION_EXECUTE_HANDLER`,
/// `JumpTarget` 0 marks a `__finally`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SCOPE_TABLE_AMD64_SCOPE_RECORD {
    pub BeginAddress: u32,
    pub EndAddress: u32,
    pub HandlerAddress: u32,
    pub JumpTarget: u32,
}

// Values of an exception filter.
pub const EXCEPTION_EXECUTE_HANDLER: i32 = 1;
pub const EXCEPTION_CONTINUE_SEARCH: i32 = 0;
pub const EXCEPTION_CONTINUE_EXECUTION: i32 = -1;

// `EXCEPTION_RECORD::ExceptionFlags`.
pub const EXCEPTION_UNWINDING: u32 = 0x2;
pub const EXCEPTION_EXIT_UNWIND: u32 = 0x4;
pub const EXCEPTION_STACK_INVALID: u32 = 0x8;
pub const EXCEPTION_NESTED_CALL: u32 = 0x10;
pub const EXCEPTION_TARGET_UNWIND: u32 = 0x20;
pub const EXCEPTION_COLLIDED_UNWIND: u32 = 0x40;
pub const EXCEPTION_UNWIND: u32 = 0x66;
pub const EXCEPTION_SOFTWARE_ORIGINATE: u32 = 0x80;

// Flags of `UNWIND_INFO`.
pub const UNW_FLAG_NHANDLER: u8 = 0x0;
pub const UNW_FLAG_EHANDLER: u8 = 0x1;
pub const UNW_FLAG_UHANDLER: u8 = 0x2;
pub const UNW_FLAG_CHAININFO: u8 = 0x4;
