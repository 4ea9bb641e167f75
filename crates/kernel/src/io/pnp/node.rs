//! A device as the Plug and Play manager knows it, NT's `DEVNODE`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use abi::NTSTATUS;

use platform::scheduler::Lock;

use super::{lock, stack};
use crate::Kernel;
use crate::ob::Object;
use crate::raw::DeviceObject;

/// Where a device stands between its coming and its going.
///
/// Source: kernel, State Transitions for PnP Devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevNodeState {
    /// Its drivers' AddDevice routines have been called; it is not started.
    DriversAdded,
    /// It is started.
    Started,
    /// It is stopped, and will be started again or removed.
    Stopped,
    /// Its drivers have agreed to its removal (remove pending).
    QueryRemoved,
    /// It is gone from its bus, and files are still open on it.
    SurpriseRemoved,
    /// It is there and has no drivers: it could not be started.
    DriversRemoved,
    /// It is gone.
    Removed,
}

/// A device: a physical device object of the root bus, and what stands above it.
#[derive(Debug)]
pub struct DevNode {
    /// Its instance path: enumerator, device and instance, `ROOT\LIFECYCLE\0000`.
    pub instance: String,
    /// Service name of its function driver.
    pub service: String,
    /// The physical device object, at the bottom of the stack. Referenced as long as the node is known.
    pub physical: DeviceObject,
    object: Arc<Object>,
    /// Held by the one operation on this device that is under way.
    pub(in crate::io) turn: Lock<()>,
    inner: Mutex<Inner>,
    /// How many Plug and Play and power requests have reached the physical device.
    reached: AtomicU32,
}

#[derive(Debug)]
struct Inner {
    state: DevNodeState,
    /// Where it stood before its removal was asked for.
    before: DevNodeState,
    /// Whether the bus still has the device.
    present: bool,
    /// PNP_DEVICE_*, as the drivers have said last.
    pnp_state: u32,
}

impl DevNode {
    /// A node for a physical device, of which it keeps a reference.
    pub(super) fn new(
        kernel: &Kernel,
        instance: String,
        service: String,
        physical: DeviceObject,
    ) -> Result<Arc<Self>, NTSTATUS> {
        let object = kernel.ob.by_address(physical.address()).filter(|object| object.try_reference());
        let object = object.ok_or(abi::STATUS_NO_SUCH_DEVICE)?;
        let inner = Inner {
            state: DevNodeState::DriversAdded,
            before: DevNodeState::DriversAdded,
            present: true,
            pnp_state: 0,
        };
        let (turn, inner, reached) = (Lock::new(()), Mutex::new(inner), AtomicU32::new(0));
        Ok(Arc::new(Self { instance, service, physical, object, turn, inner, reached }))
    }

    /// Lets go of the physical device, of a node that is no longer known.
    pub(super) fn release(&self, kernel: &Kernel) {
        self.object.dereference(kernel);
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> DevNodeState {
        lock(&self.inner).state
    }

    pub(super) fn set_state(&self, state: DevNodeState) {
        lock(&self.inner).state = state;
    }

    /// Its drivers have agreed to its removal.
    pub(super) fn begin_removal(&self) {
        let mut inner = lock(&self.inner);
        inner.before = inner.state;
        inner.state = DevNodeState::QueryRemoved;
    }

    /// It stands where it stood before [`Self::begin_removal`].
    pub(super) fn cancel_removal(&self) {
        let mut inner = lock(&self.inner);
        if inner.state == DevNodeState::QueryRemoved {
            inner.state = inner.before;
        }
    }

    /// Whether the bus still has it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        lock(&self.inner).present
    }

    pub(super) fn leave_bus(&self) {
        lock(&self.inner).present = false;
    }

    /// PNP_DEVICE_*, as its drivers answered IRP_MN_QUERY_PNP_DEVICE_STATE last.
    #[must_use]
    pub fn pnp_state(&self) -> u32 {
        lock(&self.inner).pnp_state
    }

    pub(super) fn set_pnp_state(&self, state: u32) {
        lock(&self.inner).pnp_state = state;
    }

    pub(super) fn note_reached(&self) {
        self.reached.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn times_reached(&self) -> u32 {
        self.reached.load(Ordering::Acquire)
    }

    /// Its stack now, the physical device object first.
    #[must_use]
    pub fn stack(&self) -> Vec<DeviceObject> {
        stack(self.physical).unwrap_or_default()
    }

    /// The device part of its instance path, `ROOT\LIFECYCLE`.
    #[must_use]
    pub fn device_id(&self) -> &str {
        self.instance.rsplit_once('\\').map_or("", |(device, _)| device)
    }

    /// The last part of its instance path, `0000`.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        self.instance.rsplit_once('\\').map_or("", |(_, number)| number)
    }

    /// Path of its key in the registry.
    #[must_use]
    pub fn key_path(&self) -> String {
        format!(r"\Registry\Machine\System\CurrentControlSet\Enum\{}", self.instance)
    }
}
