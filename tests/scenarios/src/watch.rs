//! An observer that keeps what a machine says, and lets a test wait for something to happen.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use host::{Event, Machine, Observer, UnloadOutcome};

/// What was observed so far.
#[derive(Default)]
pub struct Watch {
    events: Mutex<Vec<Event>>,
    more: Condvar,
}

/// How long a test waits for what must happen: as good as for ever, yet a test that fails ends.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a driver has pended a request.
#[must_use]
pub fn is_pended(event: &Event) -> bool {
    matches!(event, Event::IrpReturned { status: abi::STATUS_PENDING, .. })
}

impl Observer for Watch {
    fn observe(&self, event: &Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        self.more.notify_all();
    }
}

impl Watch {
    /// Watches `machine` from now on.
    #[must_use]
    pub fn on(machine: &Machine) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        machine.watch(watch.clone());
        watch
    }

    /// Everything so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` events are `wanted`.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for(&self, count: usize, wanted: impl Fn(&Event) -> bool) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |events: &mut Vec<Event>| events.iter().filter(|event| wanted(event)).count() < count;
        let (events, waited) =
            self.more.wait_timeout_while(events, PATIENCE, missing).unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "it did not happen: {events:#?}");
    }
}

/// Unloads a driver that nothing keeps.
///
/// # Panics
/// When something keeps it, or it leaves anything behind.
pub fn unload_cleanly(machine: &Machine, name: &str) {
    let outcome = machine.unload(name);
    let Ok(UnloadOutcome::Unloaded(report)) = outcome else {
        panic!("{name}: {outcome:?}, {:?}", machine.bugcheck())
    };
    assert!(report.is_clean(), "{name}: {report:?}");
}

/// Unloads a driver whose files have been closed. The end of a request may hold the file a moment longer than its application.
///
/// # Panics
/// When it does not unload, or leaves anything behind.
pub fn unload_when_closed(machine: &Machine, name: &str) {
    let watch = Watch::on(machine);
    let outcome = machine.unload(name).expect("unloads");
    let mut reports = Vec::new();
    if let UnloadOutcome::Pending { .. } = outcome {
        let is_its =
            |event: &Event| matches!(event, Event::DriverUnloaded { report } if report.driver == name);
        watch.wait_for(1, is_its);
        for event in watch.events() {
            if let Event::DriverUnloaded { report } = event
                && report.driver == name
            {
                reports.push(report);
            }
        }
    } else if let UnloadOutcome::Unloaded(report) = outcome {
        reports.push(report);
    }
    assert!(reports.len() == 1 && reports[0].is_clean(), "{reports:?}");
}
