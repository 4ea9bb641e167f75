//! The `Rtl` and `Ex` routines of exceptions and unwinding, for export rows: arguments as a driver passed them.
//!
//! A pointer of the driver's that cannot be used becomes an access violation in the driver.

use std::mem::offset_of;

use abi::{
    CONTEXT, EXCEPTION_NONCONTINUABLE, EXCEPTION_RECORD, EXCEPTION_SOFTWARE_ORIGINATE, NTSTATUS,
    RUNTIME_FUNCTION, STATUS_UNWIND,
};
use platform::entry::Region;
use platform::landing::{ExportFrame, Raise, Target, Unwind};
use platform::memory::{self, AccessViolation, Scalar};

use super::context::{context_of, empty_context, empty_record};
use super::walk::walk;
use crate::tables::Tables;
use crate::unwind::{UnwindError, unwind_function};

fn violation(fault: AccessViolation) -> Unwind {
    Unwind::access_violation(fault.operation, fault.address)
}

/// Stores where a driver asked for it; a null pointer means that it did not.
///
/// # Safety
/// As for [`memory::copy_to`].
unsafe fn answer(address: u64, value: u64) -> Result<(), Unwind> {
    if address == 0 {
        return Ok(());
    }
    // SAFETY: by this function's contract.
    unsafe { u64::write(address, value) }.map_err(violation)
}

fn read_record(address: u64) -> Result<EXCEPTION_RECORD, Unwind> {
    let mut bytes = [0; size_of::<EXCEPTION_RECORD>()];
    memory::copy_from(&mut bytes, address).map_err(violation)?;
    // SAFETY: EXCEPTION_RECORD is plain data of this size, for which all bits are values.
    Ok(unsafe { std::mem::transmute::<[u8; size_of::<EXCEPTION_RECORD>()], EXCEPTION_RECORD>(bytes) })
}

fn read_context(address: u64) -> Result<CONTEXT, Unwind> {
    let mut context = empty_context();
    // SAFETY: an exclusive view of plain data as bytes; every byte written is valid.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut((&raw mut context).cast::<u8>(), size_of::<CONTEXT>()) };
    memory::copy_from(bytes, address).map_err(violation)?;
    Ok(context)
}

/// # Safety
/// As for [`memory::copy_to`].
unsafe fn write_context(address: u64, context: &CONTEXT) -> Result<(), Unwind> {
    // SAFETY: plain data without padding that matters, as bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts((&raw const *context).cast::<u8>(), size_of::<CONTEXT>()) };
    // SAFETY: by this function's contract.
    unsafe { memory::copy_to(address, bytes) }.map_err(violation)
}

/// `ExRaiseStatus`: an exception that cannot be continued, to be raised in the caller.
#[must_use]
pub fn raise_status(status: NTSTATUS) -> Unwind {
    let mut record = empty_record(status);
    record.ExceptionFlags = EXCEPTION_NONCONTINUABLE;
    Unwind::Raise(Box::new(Raise { record, target: None }))
}

/// `RtlRaiseException`: the driver's own record, to be raised in the caller. A filter may continue behind the call.
#[must_use]
pub fn raise_exception(frame: &ExportFrame, record: u64) -> Unwind {
    match read_record(record) {
        Ok(mut record) => {
            record.ExceptionFlags |= EXCEPTION_SOFTWARE_ORIGINATE;
            record.ExceptionAddress =
                std::ptr::with_exposed_provenance_mut(super::address(frame.return_address));
            Unwind::Raise(Box::new(Raise { record, target: None }))
        }
        Err(violation) => violation,
    }
}

/// `RtlUnwind`: as [`unwind_ex`].
#[must_use]
pub fn unwind(target_frame: u64, target_ip: u64, record: u64, value: u64) -> Unwind {
    unwind_ex(target_frame, target_ip, record, value)
}

/// `RtlUnwindEx`: unwinds the caller's frames to the frame at `target_frame`, which continues at `target_ip` with
/// RAX = `value`. With no record (0) the exception is STATUS_UNWIND. The context and history arguments of the NT
/// routine are only places for it to work in, and not needed.
#[must_use]
pub fn unwind_ex(target_frame: u64, target_ip: u64, record: u64, value: u64) -> Unwind {
    let record = if record == 0 { Ok(empty_record(STATUS_UNWIND)) } else { read_record(record) };
    match record {
        Ok(record) => {
            let target = Target { frame: target_frame, instruction: target_ip, value };
            Unwind::Raise(Box::new(Raise { record, target: Some(target) }))
        }
        Err(violation) => violation,
    }
}

/// `RtlCaptureContext`: the caller's registers behind the call; volatile ones are zero.
///
/// # Errors
/// An access violation when `context` is not writable.
///
/// # Safety
/// `context` is the caller's to write, or not writable.
pub unsafe fn capture_context(frame: &ExportFrame, context: u64) -> Result<(), Unwind> {
    // SAFETY: by this function's contract.
    unsafe { write_context(context, &context_of(frame)) }
}

/// `RtlLookupFunctionEntry`: address of the function's entry and, at `image_base`, the image's base; 0 for leaf
/// functions and outside of images.
///
/// # Errors
/// An access violation when `image_base` is not writable.
///
/// # Safety
/// `image_base` is the caller's to write, or not writable.
pub unsafe fn lookup_function_entry(pc: u64, image_base: u64) -> Result<u64, Unwind> {
    let tables = Tables::find(pc);
    // SAFETY: by this function's contract.
    unsafe { answer(image_base, tables.map_or(0, |tables| tables.base))? };
    Ok(tables.and_then(|tables| tables.function(pc)).map_or(0, |(entry, _)| entry))
}

/// `RtlPcToFileHeader`: base of the image that holds `pc`, or 0; also stored at `image_base`.
///
/// # Errors
/// An access violation when `image_base` is not writable.
///
/// # Safety
/// `image_base` is the caller's to write, or not writable.
pub unsafe fn pc_to_file_header(pc: u64, image_base: u64) -> Result<u64, Unwind> {
    let base = Tables::find(pc).map_or(0, |tables| tables.base);
    // SAFETY: by this function's contract.
    unsafe { answer(image_base, base)? };
    Ok(base)
}

/// Arguments of [`virtual_unwind`], named as the routine's documentation names them; addresses in the driver.
#[derive(Clone, Copy, Debug)]
pub struct VirtualUnwind {
    /// `UNW_FLAG_*`: which handler is wanted.
    pub handler_type: u8,
    /// The image's base.
    pub image_base: u64,
    /// The instruction.
    pub control_pc: u64,
    /// The function's entry.
    pub function_entry: u64,
    /// The frame's registers; replaced by its caller's.
    pub context: u64,
    /// Receives the handler's data.
    pub handler_data: u64,
    /// Receives the frame's fixed address.
    pub establisher_frame: u64,
}

/// `RtlVirtualUnwind`: address of the function's handler, or 0. Its last argument, places of saved registers, is not
/// filled.
///
/// # Errors
/// An access violation when a pointer cannot be used; STATUS_BAD_FUNCTION_TABLE when the tables are malformed,
/// STATUS_BAD_STACK when the stack is.
///
/// # Safety
/// The pointers are the caller's to write, or not writable.
pub unsafe fn virtual_unwind(arguments: &VirtualUnwind) -> Result<u64, Unwind> {
    let mut context = read_context(arguments.context)?;
    context.Rip = arguments.control_pc;
    let malformed = || Unwind::status(abi::STATUS_BAD_FUNCTION_TABLE);
    let tables = Tables::find(arguments.image_base).ok_or_else(malformed)?;
    let function = tables.function_at(arguments.function_entry).ok_or_else(malformed)?;
    let frame = unwind_function(tables, function, &mut context, arguments.handler_type).map_err(|error| {
        Unwind::status(match error {
            UnwindError::Table(_) => abi::STATUS_BAD_FUNCTION_TABLE,
            UnwindError::Stack(_) | UnwindError::StackPointer(_) => abi::STATUS_BAD_STACK,
        })
    })?;
    // SAFETY: by this function's contract.
    unsafe { write_context(arguments.context, &context)? };
    // SAFETY: by this function's contract.
    unsafe { answer(arguments.establisher_frame, frame.establisher)? };
    let Some(handler) = frame.handler else { return Ok(0) };
    // SAFETY: by this function's contract.
    unsafe { answer(arguments.handler_data, handler.data)? };
    Ok(handler.routine)
}

/// `RtlCaptureStackBackTrace`: stores up to `capture` return addresses of the calling driver frames at `trace`, without
/// the innermost `skip`, and their sum at `hash`. Returns how many.
///
/// # Errors
/// An access violation when a pointer cannot be used.
///
/// # Safety
/// The pointers are the caller's to write, or not writable.
pub unsafe fn capture_stack_back_trace(
    region: Region,
    frame: &ExportFrame,
    skip: u32,
    capture: u32,
    trace: u64,
    hash: u64,
) -> Result<u64, Unwind> {
    let mut seen = 0_u32;
    let mut stored = 0_u64;
    let mut sum = 0_u64;
    let mut fault = None;
    walk(region, &context_of(frame), |address| {
        seen += 1;
        if seen <= skip || fault.is_some() || stored >= u64::from(capture) {
            return seen <= skip;
        }
        // SAFETY: by this function's contract.
        match unsafe { u64::write(trace.wrapping_add(8 * stored), address) } {
            Ok(()) => {
                stored += 1;
                sum = sum.wrapping_add(address);
            }
            Err(violation) => fault = Some(violation),
        }
        fault.is_none() && stored < u64::from(capture)
    });
    if let Some(fault) = fault {
        return Err(violation(fault));
    }
    if hash != 0 {
        #[expect(clippy::cast_possible_truncation, reason = "the hash is the sum's lower half")]
        let sum = sum as u32;
        // SAFETY: by this function's contract.
        unsafe { u32::write(hash, sum) }.map_err(violation)?;
    }
    Ok(stored)
}

const _: () = assert!(size_of::<RUNTIME_FUNCTION>() == 12 && offset_of!(CONTEXT, Rip) == 0xF8);
