//! What happens in a machine, for whoever watches. Costs one predictable branch when nobody does.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use abi::NTSTATUS;
use platform::entry::Stop;

use crate::mm::UserMapping;

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Driver code called an export.
    Export {
        /// Its name, as in the table of exports.
        name: &'static str,
        /// The first four arguments, as words.
        arguments: [u64; 4],
    },
    /// Driver code called an export above the highest IRQL that its documentation allows. The call went on.
    IrqlViolation {
        /// Its name, as in the table of exports.
        export: &'static str,
        /// The caller's IRQL.
        irql: u8,
        /// The highest that is allowed.
        highest: u8,
    },
    /// The I/O manager made an IRP for a request.
    IrpCreated {
        /// Its address.
        irp: u64,
        /// IRP_MJ_*.
        major: u8,
        /// Name of the device at the top of the stack, empty when it has none.
        device: String,
    },
    /// A driver's dispatch routine is called.
    IrpDispatched {
        /// Its address.
        irp: u64,
        /// IRP_MJ_*.
        major: u8,
        /// The driver's name, `\Driver\name`.
        driver: String,
    },
    /// The dispatch routine returned.
    IrpReturned {
        /// Its address.
        irp: u64,
        /// What the routine returned.
        status: NTSTATUS,
    },
    /// A driver completed the IRP (`IofCompleteRequest`).
    IrpCompleted {
        /// Its address.
        irp: u64,
        /// `IoStatus.Status`.
        status: NTSTATUS,
        /// `IoStatus.Information`.
        information: u64,
        /// The priority boost, `IO_*_INCREMENT`.
        boost: u8,
    },
    /// A driver's fast I/O routine was called.
    FastIo {
        /// The routine: `FastIoDeviceControl` and its kin.
        routine: &'static str,
        /// The driver's name, `\Driver\name`.
        driver: String,
        /// Status and information with which it has answered (or the code of the exception that it has raised); `None` when it has
        /// not, and an IRP follows.
        taken: Option<(NTSTATUS, u64)>,
    },
    /// A driver has told of a WMI event (`IoWMIWriteEvent`).
    WmiEvent {
        /// What kind of event: the GUID of its block, as it lies in memory.
        guid: [u8; 16],
        /// The WNODE_EVENT_ITEM, or WNODE_EVENT_REFERENCE.
        node: Vec<u8>,
    },
    /// A driver printed a line (`DbgPrint`), without its line end.
    DebugPrint {
        /// The text.
        text: String,
    },
    /// A driver returned from its dispatch routine without completing or pending the IRP.
    IrpForgotten {
        /// Its address.
        irp: u64,
        /// The driver's name.
        driver: String,
    },
    /// A driver returned STATUS_PENDING for an IRP that was not marked pending when it was completed: it was marked after
    /// it was given away, or not at all, or a completion routine did not pass the mark on. On NT nobody tells the caller
    /// then that its request has ended.
    IrpNotMarkedPending {
        /// Its address.
        irp: u64,
        /// The name of the topmost driver.
        driver: String,
    },
    /// A driver completed the IRP with STATUS_PENDING in it, which is no final status: whoever has sent it waits for its end, or
    /// takes it for a request that goes on.
    IrpCompletedAsPending {
        /// Its address.
        irp: u64,
        /// The driver's name.
        driver: String,
    },
    /// A driver deleted a device that is still attached to another: requests still go to it.
    DeviceDeletedAttached {
        /// Address of the device object.
        device: u64,
        /// Service name of its driver.
        driver: String,
    },
    /// A driver deleted a resource that threads own or wait for: nobody wakes those who wait.
    ResourceDeletedInUse {
        /// Address of the ERESOURCE.
        resource: u64,
        /// How many own it.
        owners: usize,
        /// How many threads wait for it.
        waiters: usize,
    },
    /// A process ended, and a driver did not complete a cancelled request of it for five minutes.
    IrpStuck {
        /// Its address.
        irp: u64,
        /// Service name of the driver that it is at.
        driver: String,
    },
    /// A driver's own IRP was completed, and no completion routine kept it. The machine stops.
    IrpNotKept {
        /// Its address.
        irp: u64,
        /// Service name of the driver that allocated it.
        driver: String,
    },
    /// Something was asked for that is not implemented; the caller got STATUS_NOT_IMPLEMENTED.
    NotImplemented {
        /// What.
        what: &'static str,
    },
    /// A process ended, and a driver had not unmapped pages that it had mapped for it. They are unmapped now.
    UserMappingLeft {
        /// What was mapped.
        mapping: UserMapping,
    },
    /// A driver freed memory that is mapped for a process. The process goes on to see what it held, until the mapping ends.
    MappedMemoryFreed {
        /// What is mapped.
        mapping: UserMapping,
    },
    /// A driver has been unloaded.
    DriverUnloaded {
        /// What it left behind.
        report: crate::io::UnloadReport,
    },
    /// A device stack has answered a Plug and Play request of the manager's.
    PnpRequest {
        /// The device's instance path, `ROOT\NAME\0000`.
        instance: String,
        /// IRP_MN_*.
        minor: u8,
        /// The answer.
        status: NTSTATUS,
    },
    /// A driver completed a Plug and Play or power request that it has to pass down.
    NotPassedDown {
        /// The device's instance path.
        instance: String,
        /// IRP_MJ_*.
        major: u8,
        /// IRP_MN_*.
        minor: u8,
        /// Service name of the driver.
        driver: String,
    },
    /// IRP_MN_REMOVE_DEVICE has been answered, and a driver has not detached its device.
    DeviceNotDetached {
        /// The device's instance path.
        instance: String,
        /// Service name of the driver.
        driver: String,
    },
    /// The machine stopped.
    Bugcheck {
        /// Stop code and parameters.
        stop: Stop,
    },
}

/// Watches a machine. Called on the thread where the event happens, inside the kernel: must not call into it.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: &Event);
}

/// The observers of a machine.
#[derive(Default)]
pub struct Trace {
    watched: AtomicBool,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Trace").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Trace {
    /// Adds an observer, for the machine's life.
    pub fn watch(&self, observer: Arc<dyn Observer>) {
        self.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
        self.watched.store(true, Ordering::Release);
    }

    /// Whether anyone watches.
    #[inline]
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Tells the observers; `event` is made only when there are any.
    #[inline]
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if self.is_watched() {
            self.tell(&event());
        }
    }

    #[cold]
    fn tell(&self, event: &Event) {
        for observer in self.observers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer.observe(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Count(AtomicUsize);

    impl Observer for Count {
        fn observe(&self, _: &Event) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_event_is_made_once_for_all_who_watch_and_not_at_all_when_nobody_does() {
        let trace = Trace::default();
        let made = AtomicUsize::new(0);
        let happen = || {
            trace.emit(|| {
                made.fetch_add(1, Ordering::Relaxed);
                Event::NotImplemented { what: "" }
            });
        };
        happen();
        assert_eq!(made.load(Ordering::Relaxed), 0);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        trace.watch(count.clone());
        trace.watch(count.clone());
        happen();
        assert_eq!((made.load(Ordering::Relaxed), count.0.load(Ordering::Relaxed)), (1, 2));
    }
}
