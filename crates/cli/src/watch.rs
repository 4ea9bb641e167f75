//! Observers: collect a machine's events, or print what its drivers print.

use std::sync::{Mutex, PoisonError};

use host::{Event, Observer};

use crate::output;

/// Keeps every event until it is taken.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// What happened since the last time.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Recorder {
    fn observe(&self, event: &Event) {
        // Export calls are many, and nobody here draws them.
        if !matches!(event, Event::Export { .. }) {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        }
    }
}

/// Prints what a kernel debugger would show, on stderr.
pub(crate) struct Console;

impl Observer for Console {
    fn observe(&self, event: &Event) {
        match event {
            Event::DebugPrint { text } => output::note(text),
            Event::NotImplemented { what } => {
                output::note(format_args!("ringbridge: not implemented: {what}"))
            }
            Event::IrpForgotten { irp, driver } => output::note(format_args!(
                "ringbridge: {driver} returned from its dispatch routine without completing or pending IRP {irp:#x}"
            )),
            Event::IrpNotMarkedPending { irp, driver } => output::note(format_args!(
                "ringbridge: {driver} returned STATUS_PENDING for IRP {irp:#x}, which was not marked pending when it was \
                 completed; on Windows its caller would wait for ever"
            )),
            Event::IrpCompletedAsPending { irp, driver } => output::note(format_args!(
                "ringbridge: {driver} completed IRP {irp:#x} with STATUS_PENDING, which is no final status"
            )),
            Event::UserMappingLeft { mapping } => output::note(format_args!(
                "ringbridge: {} did not unmap {} bytes at {:#x} from process {} before it ended; they are unmapped now",
                mapping.driver, mapping.length, mapping.address, mapping.process
            )),
            Event::MappedMemoryFreed { mapping } => output::note(format_args!(
                "ringbridge: {} bytes at {:#x} were freed while {} has them mapped at {:#x} in process {}; the process goes on to \
                 see what they held, on Windows it would see what they are used for next",
                mapping.length, mapping.system_address, mapping.driver, mapping.address, mapping.process
            )),
            Event::ResourceDeletedInUse { resource, owners, waiters } => output::note(format_args!(
                "ringbridge: the resource at {resource:#x} was deleted with {owners} owners and {waiters} threads that wait \
                 for it; those wait for ever"
            )),
            Event::FastIo { routine, driver, taken } => match taken {
                Some((status, information)) => output::note(format_args!(
                    "ringbridge: fast I/O: taken by {driver} ({routine}: {status:?}, {information} bytes), no IRP"
                )),
                None => output::note(format_args!(
                    "ringbridge: fast I/O: {driver} fell back to an IRP ({routine})"
                )),
            },
            Event::WmiEvent { node, .. } => {
                output::note(format_args!("ringbridge: a driver wrote a WMI event of {} bytes", node.len()))
            }
            Event::IrpStuck { irp, driver } => output::note(format_args!(
                "ringbridge: {driver} did not complete the cancelled IRP {irp:#x} of a process that ends; the process ends \
                 without it"
            )),
            Event::DeviceDeletedAttached { device, driver } => output::note(format_args!(
                "ringbridge: {driver} deleted the device at {device:#x}, which is still attached to another; it must call \
                 IoDetachDevice first"
            )),
            _ => {}
        }
    }
}
