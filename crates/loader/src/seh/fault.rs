//! Faults of instructions in images: emulated, reported at once where NT would, or dispatched.

use abi::{CONTEXT, EXCEPTION_RECORD, STATUS_ACCESS_VIOLATION};
use platform::entry::{Region, Stop};
use platform::landing;
use platform::memory::Scalar as _;
use platform::pages::USER_PROBE_ADDRESS;

use super::{current, dispatch, resume};
use crate::emulate::{self, Emulated};
use crate::patch;
use crate::tables::Tables;

const DISPATCH_LEVEL: u8 = 2;
const WRITE: u64 = 1;
const EXECUTE: u64 = 8;

/// Makes this crate the process's dispatcher of faults in images. Mapping an image does it.
pub fn install() {
    platform::fault::set_dispatcher(on_fault);
}

unsafe extern "sysv64" fn on_fault(context: *mut CONTEXT, record: *mut EXCEPTION_RECORD) -> ! {
    let region = current();
    // SAFETY: platform passes exclusive pointers to what it wrote on this thread's kernel stack.
    let context = unsafe { &mut *context };
    // SAFETY: as above.
    let record = unsafe { &mut *record };
    let in_stand_in = patch::leave(region, context, record);
    if !in_stand_in && patch::is_outdated(context, record) {
        // SAFETY: the context is the faulting driver code's, to execute the same place again.
        unsafe { resume(region, context) }
    }
    let stop = match emulate::instruction(region, context, record) {
        // SAFETY: the context is the faulting driver code's, one instruction further.
        Emulated::Done => unsafe { resume(region, context) },
        Emulated::Stop(stop) => Some(stop),
        Emulated::Exception => memory_stop(region, record),
    };
    match stop {
        // SAFETY: the fault came from driver code; nothing of Rust's lies between it and its landing.
        Some(stop) => unsafe { landing::stop(region, stop, record, context) },
        // SAFETY: as above.
        None => unsafe { dispatch(region, record, context) },
    }
}

/// Faults that NT stops for without asking any handler: at raised IRQL, and at system addresses. Their parameters are
/// those of "Bug Check Code Reference".
fn memory_stop(region: Region, record: &EXCEPTION_RECORD) -> Option<Stop> {
    const IRQL_NOT_LESS_OR_EQUAL: u32 = 0xD1;
    const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
    const WRITE_TO_READONLY: u32 = 0xBE;
    const EXECUTE_OF_NOEXECUTE: u32 = 0xFC;
    let [operation, address, ..] = record.ExceptionInformation;
    // Addresses that are not canonical are reported as all ones, and raise a catchable violation.
    if record.ExceptionCode != STATUS_ACCESS_VIOLATION || address == usize::MAX {
        return None;
    }
    let (operation, address) = (operation as u64, address as u64);
    let place = record.ExceptionAddress.addr() as u64;
    let stop = |code, parameters| Some(Stop { code, parameters });
    if region.irql() >= DISPATCH_LEVEL {
        let irql = u64::from(region.irql());
        return stop(IRQL_NOT_LESS_OR_EQUAL, [address, irql, operation, place]);
    }
    if address < USER_PROBE_ADDRESS as u64 {
        return None;
    }
    let mapped = u8::read(address).is_ok();
    match operation {
        WRITE if mapped && Tables::find(address).is_some() => {
            stop(WRITE_TO_READONLY, [address, 0, place, 0xA])
        }
        EXECUTE if mapped => stop(EXECUTE_OF_NOEXECUTE, [address, 0, place, 2]),
        // Here writes are 2 and executions 10h.
        WRITE => stop(PAGE_FAULT_IN_NONPAGED_AREA, [address, 2, place, 0]),
        EXECUTE => stop(PAGE_FAULT_IN_NONPAGED_AREA, [address, 0x10, place, 0]),
        _ => stop(PAGE_FAULT_IN_NONPAGED_AREA, [address, 0, place, 0]),
    }
}
