//! The handful of exports that the test images import.

use loader::map::{Resolution, Resolver};
use loader::pe::ImportSymbol;
use loader::seh;
use platform::entry;
use platform::export_thunk;
use platform::landing::{self, Code, ExportFrame, Unwind, current_frame};

use super::machine::note;

/// Continues the driver with the value, or leaves the export as its error says.
pub(crate) fn finish(result: Result<u64, Unwind>) -> u64 {
    match result {
        Ok(value) => value,
        // SAFETY: the thunk's body has returned; nothing is left to drop.
        Err(unwind) => unsafe { seh::leave(unwind) },
    }
}

fn frame() -> &'static ExportFrame {
    // SAFETY: called inside an export, whose frame lives until it returns.
    unsafe { &*current_frame() }
}

pub(crate) fn region() -> entry::Region {
    entry::region().expect("inside driver code")
}

extern "sysv64" fn handler_body(record: u64, establisher: u64, context: u64, dispatcher: u64) -> u64 {
    // SAFETY: the arguments of the driver's call.
    finish(unsafe { seh::c_specific_handler(region(), record, establisher, context, dispatcher) })
}

extern "sysv64" fn raise_status_body(status: u64) -> u64 {
    let status = abi::NTSTATUS::from_bits(u32::try_from(status & 0xFFFF_FFFF).expect("masked"));
    finish(Err(seh::raise_status(status)))
}

extern "sysv64" fn raise_exception_body(record: u64) -> u64 {
    finish(Err(seh::raise_exception(frame(), record)))
}

extern "sysv64" fn unwind_body(target: u64, instruction: u64, record: u64, value: u64) -> u64 {
    finish(Err(seh::rtl_unwind(target, instruction, record, value)))
}

extern "sysv64" fn unwind_ex_body(
    target: u64,
    instruction: u64,
    record: u64,
    value: u64,
    _: u64,
    _: u64,
) -> u64 {
    finish(Err(seh::rtl_unwind_ex(target, instruction, record, value)))
}

extern "sysv64" fn call_back_body(function: u64, argument: u64) -> u64 {
    let function = usize::try_from(function).expect("an address");
    // SAFETY: the driver passed a function of its own that takes one argument.
    finish(unsafe { landing::call(region(), Code::Image, function, &[argument]) })
}

extern "sysv64" fn note_body(value: u64) -> u64 {
    note(value);
    value
}

extern "sysv64" fn capture_context_body(context: u64) -> u64 {
    // SAFETY: the driver's own buffer.
    finish(unsafe { seh::capture_context(frame(), context) }.map(|()| 0))
}

extern "sysv64" fn lookup_body(pc: u64, base: u64, _: u64) -> u64 {
    // SAFETY: the driver's own variable.
    finish(unsafe { seh::lookup_function_entry(pc, base) })
}

extern "sysv64" fn header_body(pc: u64, base: u64) -> u64 {
    // SAFETY: the driver's own variable.
    finish(unsafe { seh::pc_to_file_header(pc, base) })
}

extern "sysv64" fn back_trace_body(skip: u64, capture: u64, trace: u64, hash: u64) -> u64 {
    let [skip, capture] = [skip, capture].map(|value| u32::try_from(value & 0xFFFF_FFFF).expect("masked"));
    // SAFETY: the driver's own buffers.
    finish(unsafe { seh::capture_stack_back_trace(region(), frame(), skip, capture, trace, hash) })
}

extern "sysv64" fn virtual_unwind_body(
    handler_type: u64,
    image_base: u64,
    control_pc: u64,
    function_entry: u64,
    context: u64,
    handler_data: u64,
    establisher_frame: u64,
    _: u64,
) -> u64 {
    let handler_type = u8::try_from(handler_type & 0xFF).expect("masked");
    let arguments = seh::VirtualUnwind {
        handler_type,
        image_base,
        control_pc,
        function_entry,
        context,
        handler_data,
        establisher_frame,
    };
    // SAFETY: the driver's own variables.
    finish(unsafe { seh::virtual_unwind(&arguments) })
}

export_thunk!(fn handler, 4, handler_body);
export_thunk!(fn raise_status, 1, raise_status_body);
export_thunk!(fn raise_exception, 1, raise_exception_body);
export_thunk!(fn unwind, 4, unwind_body);
export_thunk!(fn unwind_ex, 6, unwind_ex_body);
export_thunk!(fn call_back, 2, call_back_body);
export_thunk!(fn note_thunk, 1, note_body);
export_thunk!(fn capture_context, 1, capture_context_body);
export_thunk!(fn lookup, 3, lookup_body);
export_thunk!(fn header, 2, header_body);
export_thunk!(fn back_trace, 4, back_trace_body);
export_thunk!(fn virtual_unwind, 8, virtual_unwind_body);

/// Everything above by its NT name.
pub(crate) struct Kernel;

impl Resolver for Kernel {
    fn resolve(&self, _: &str, symbol: ImportSymbol<'_>) -> Resolution {
        let ImportSymbol::Name(name) = symbol else { return Resolution::Missing };
        let function: unsafe extern "win64" fn() = match name {
            "__C_specific_handler" => handler,
            "ExRaiseStatus" => raise_status,
            "RtlRaiseException" => raise_exception,
            "RtlUnwind" => unwind,
            "RtlUnwindEx" => unwind_ex,
            "RtlCaptureContext" => capture_context,
            "RtlLookupFunctionEntry" => lookup,
            "RtlPcToFileHeader" => header,
            "RtlVirtualUnwind" => virtual_unwind,
            "RtlCaptureStackBackTrace" => back_trace,
            "CallBack" => call_back,
            "Note" => note_thunk,
            _ => return Resolution::Missing,
        };
        Resolution::Function(function as *const () as usize)
    }
}
