//! Structured exception handling, from the driver's side.

use loader::seh;

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// The language handler of C's __try: asks filters and runs __finally blocks.
    irql(HIGH_LEVEL)
    fn __C_specific_handler(
        call,
        exception_record: u64,
        establisher_frame: u64,
        context_record: u64,
        dispatcher_context: u64
    ) -> u64 {
        let _ = call;
        let Some(region) = platform::entry::region() else { return Ok(0) };
        // SAFETY: the arguments of a driver's call, checked there; the thread is inside this export.
        unsafe {
            seh::c_specific_handler(
                region,
                exception_record,
                establisher_frame,
                context_record,
                dispatcher_context,
            )
        }
    }

    /// Raises an exception from a record.
    irql(HIGH_LEVEL)
    fn RtlRaiseException(call, exception_record: u64) -> () {
        Err(seh::raise_exception(call.frame(), exception_record))
    }

    /// Unwinds the caller's frames to a target frame.
    irql(HIGH_LEVEL)
    fn RtlUnwind(call, target_frame: u64, target_ip: u64, exception_record: u64, return_value: u64) -> () {
        let _ = call;
        Err(seh::rtl_unwind(target_frame, target_ip, exception_record, return_value))
    }

    /// Unwinds the caller's frames to a target frame.
    irql(HIGH_LEVEL)
    fn RtlUnwindEx(
        call,
        target_frame: u64,
        target_ip: u64,
        exception_record: u64,
        return_value: u64,
        _context_record: u64,
        _history_table: u64
    ) -> () {
        let _ = call;
        Err(seh::rtl_unwind_ex(target_frame, target_ip, exception_record, return_value))
    }

    /// Stores the caller's registers.
    irql(HIGH_LEVEL)
    fn RtlCaptureContext(call, context_record: u64) -> () {
        // SAFETY: the driver's own memory, by its own word.
        unsafe { seh::capture_context(call.frame(), context_record) }
    }

    /// Finds the function table entry of an instruction.
    irql(HIGH_LEVEL)
    fn RtlLookupFunctionEntry(call, control_pc: u64, image_base: u64, _history_table: u64) -> u64 {
        let _ = call;
        // SAFETY: the driver's own memory, by its own word.
        unsafe { seh::lookup_function_entry(control_pc, image_base) }
    }

    /// Finds the image that an instruction lies in.
    irql(HIGH_LEVEL)
    fn RtlPcToFileHeader(call, pc_value: u64, base_of_image: u64) -> u64 {
        let _ = call;
        // SAFETY: the driver's own memory, by its own word.
        unsafe { seh::pc_to_file_header(pc_value, base_of_image) }
    }
}
