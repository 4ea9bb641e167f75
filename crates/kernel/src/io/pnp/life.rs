//! What happens to a device from its start to its removal: which requests its stack gets, in which order, and what
//! follows from the answers.
//!
//! Source: kernel, State Transitions for PnP Devices, Understanding When Remove IRPs Are Issued, Stopping a Device to
//! Rebalance Resources; the pages of the minor function codes.

use std::sync::Arc;

use abi::NTSTATUS;

use super::send::{self, Answered, Request};
use super::{DevNode, DevNodeState, HALTED, TAG, add, for_each_device, interface, stack};
use crate::io::work_item::queue_task;
use crate::io::{Device, Driver, attach, driver};
use crate::ke::Thread;
use crate::mm::PoolOwner;
use crate::raw::{self, DeviceObject, Outcome};
use crate::trace::Event;
use crate::{Kernel, Unwind, ps};

/// What is to happen to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PnpAction {
    /// It is started, for the first time or after it was stopped. If that fails its drivers get IRP_MN_REMOVE_DEVICE.
    Start,
    /// Its drivers are asked whether it can be stopped, and if they agree it is, as for a rebalance of resources.
    Stop,
    /// Its drivers are asked whether it can be removed. Nobody opens it while that is pending.
    QueryRemove,
    /// What has been asked for does not happen.
    CancelRemove,
    /// It is removed, after its drivers were asked if it is started.
    Remove,
    /// It is gone from its bus; nobody was asked. Its drivers get IRP_MN_REMOVE_DEVICE when the last file is closed.
    SurpriseRemove,
}

/// Who was against a removal or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veto {
    /// A driver answered the query with this error.
    Driver(NTSTATUS),
    /// So many files are open on the stack's devices (`PNP_VetoOutstandingOpen`).
    OutstandingOpen(u32),
}

/// A request and the stack's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PnpAnswer {
    /// IRP_MN_*.
    pub minor: u8,
    /// The status.
    pub status: NTSTATUS,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PnpReport {
    /// `STATUS_SUCCESS`; `STATUS_PLUGPLAY_QUERY_VETOED`; the drivers' error where the device could not be started.
    pub status: NTSTATUS,
    /// What its drivers were asked and answered, in order.
    pub answers: Vec<PnpAnswer>,
    /// Who was against it.
    pub veto: Option<Veto>,
    /// Where it stands now.
    pub state: DevNodeState,
    /// Service names of the drivers that were unloaded because this was their last device.
    pub unloaded: Vec<String>,
}

/// The name of a minor function code of IRP_MJ_PNP.
#[must_use]
pub fn pnp_minor_name(minor: u8) -> &'static str {
    match minor {
        abi::IRP_MN_START_DEVICE => "IRP_MN_START_DEVICE",
        abi::IRP_MN_QUERY_REMOVE_DEVICE => "IRP_MN_QUERY_REMOVE_DEVICE",
        abi::IRP_MN_REMOVE_DEVICE => "IRP_MN_REMOVE_DEVICE",
        abi::IRP_MN_CANCEL_REMOVE_DEVICE => "IRP_MN_CANCEL_REMOVE_DEVICE",
        abi::IRP_MN_STOP_DEVICE => "IRP_MN_STOP_DEVICE",
        abi::IRP_MN_QUERY_STOP_DEVICE => "IRP_MN_QUERY_STOP_DEVICE",
        abi::IRP_MN_CANCEL_STOP_DEVICE => "IRP_MN_CANCEL_STOP_DEVICE",
        abi::IRP_MN_QUERY_DEVICE_RELATIONS => "IRP_MN_QUERY_DEVICE_RELATIONS",
        abi::IRP_MN_QUERY_CAPABILITIES => "IRP_MN_QUERY_CAPABILITIES",
        abi::IRP_MN_FILTER_RESOURCE_REQUIREMENTS => "IRP_MN_FILTER_RESOURCE_REQUIREMENTS",
        abi::IRP_MN_EJECT => "IRP_MN_EJECT",
        abi::IRP_MN_QUERY_PNP_DEVICE_STATE => "IRP_MN_QUERY_PNP_DEVICE_STATE",
        abi::IRP_MN_SURPRISE_REMOVAL => "IRP_MN_SURPRISE_REMOVAL",
        _ => "IRP_MJ_PNP",
    }
}

/// Does something with the device `instance`, when those who came before have done. On the calling thread, in the system
/// process. PASSIVE_LEVEL. Drivers whose last device this was are unloaded, if they can be.
///
/// # Errors
/// `STATUS_NO_SUCH_DEVICE`; `STATUS_INVALID_DEVICE_STATE` when the device does not stand where this can happen;
/// `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
pub fn operate(kernel: &Kernel, instance: &str, action: PnpAction) -> Result<PnpReport, NTSTATUS> {
    let node = kernel.io.pnp.node(instance).ok_or(abi::STATUS_NO_SUCH_DEVICE)?;
    on_turn(kernel, &node, |operation| operation.act(action))
}

fn on_turn(
    kernel: &Kernel,
    node: &Arc<DevNode>,
    act: impl FnOnce(&mut Operation<'_>) -> Outcome<Result<NTSTATUS, NTSTATUS>>,
) -> Result<PnpReport, NTSTATUS> {
    let system = kernel.ps.system().clone();
    let (acted, ended) = ps::inside(kernel, &system, |thread| {
        let mut operation =
            Operation { kernel, thread, node, answers: Vec::new(), veto: None, drivers: Vec::new() };
        let _turn = node.turn.lock(&*kernel.platform);
        let acted = act(&mut operation);
        let Operation { answers, veto, drivers, .. } = operation;
        (acted, (answers, veto, drivers))
    })?;
    let status = acted.map_err(|_| HALTED)??;
    let (answers, veto, drivers) = ended;
    let unloaded = unload_idle(kernel, &drivers);
    if kernel.is_halted() {
        return Err(HALTED);
    }
    Ok(PnpReport { status, answers, veto, state: node.state(), unloaded })
}

/// Unloads drivers of Plug and Play devices that have no devices any more.
fn unload_idle(kernel: &Kernel, drivers: &[Arc<Driver>]) -> Vec<String> {
    let root_bus = kernel.io.pnp.root_bus.lock(&*kernel.platform).clone();
    let mut unloaded = Vec::new();
    for driver in drivers {
        let idle = driver.devices().is_ok_and(|devices| devices.is_empty());
        let is_own =
            root_bus.as_ref().is_some_and(|bus| Arc::ptr_eq(bus, driver)) || unloaded.contains(&driver.name);
        if idle && !is_own && driver::unload_driver(kernel, &driver.name).is_ok() {
            unloaded.push(driver.name.clone());
        }
    }
    unloaded
}

/// One action on one device, under way.
struct Operation<'a> {
    kernel: &'a Kernel,
    thread: &'a Thread,
    node: &'a Arc<DevNode>,
    answers: Vec<PnpAnswer>,
    veto: Option<Veto>,
    /// Of the stack that was removed.
    drivers: Vec<Arc<Driver>>,
}

/// The status of an action, or why it cannot be.
type Acted = Outcome<Result<NTSTATUS, NTSTATUS>>;

const WRONG_STATE: Acted = Ok(Err(abi::STATUS_INVALID_DEVICE_STATE));
const DONE: Acted = Ok(Ok(abi::STATUS_SUCCESS));

impl Operation<'_> {
    fn act(&mut self, action: PnpAction) -> Acted {
        use DevNodeState::{
            DriversAdded, DriversRemoved, QueryRemoved, Removed, Started, Stopped, SurpriseRemoved,
        };
        match (action, self.node.state()) {
            (_, Removed) => Ok(Err(abi::STATUS_NO_SUCH_DEVICE)),
            (PnpAction::Start, DriversAdded | Stopped) => self.start(),
            (PnpAction::Stop, Started) => self.stop(),
            (PnpAction::QueryRemove, Started | Stopped) => self.query_remove(),
            (PnpAction::CancelRemove, QueryRemoved) => {
                self.cancel_remove()?;
                DONE
            }
            (PnpAction::Remove, Started | Stopped) => match self.query_remove()? {
                Ok(abi::STATUS_SUCCESS) => self.leave(),
                refused => Ok(refused),
            },
            (PnpAction::Remove, DriversAdded) => self.remove_unstarted(),
            (PnpAction::SurpriseRemove, DriversAdded) => {
                self.node.leave_bus();
                self.refuse_opens(true);
                self.node.set_state(SurpriseRemoved);
                self.finish_surprise_removal()
            }
            (PnpAction::Remove, QueryRemoved | DriversRemoved)
            | (PnpAction::SurpriseRemove, DriversRemoved) => self.leave(),
            (PnpAction::SurpriseRemove, Started | Stopped | QueryRemoved) => {
                self.node.leave_bus();
                self.surprise_remove()
            }
            (
                PnpAction::Start
                | PnpAction::Stop
                | PnpAction::QueryRemove
                | PnpAction::CancelRemove
                | PnpAction::Remove
                | PnpAction::SurpriseRemove,
                DriversAdded | Started | Stopped | QueryRemoved | SurpriseRemoved | DriversRemoved,
            ) => WRONG_STATE,
        }
    }

    fn ask(&mut self, minor: u8, parameters: [u64; 4]) -> Outcome<Answered> {
        let request = Request { major: abi::IRP_MJ_PNP, minor, parameters };
        let answered = send::send(self.kernel, self.thread, self.node, request)?;
        self.answers.push(PnpAnswer { minor, status: answered.status });
        let instance = || self.node.instance.clone();
        let status = answered.status;
        self.kernel.trace.emit(|| Event::PnpRequest { instance: instance(), minor, status });
        Ok(answered)
    }

    /// A request without parameters.
    fn inform(&mut self, minor: u8) -> Outcome<NTSTATUS> {
        Ok(self.ask(minor, [0; 4])?.status)
    }

    /// A device without resources: both lists are NULL.
    fn start(&mut self) -> Acted {
        if self.node.state() == DevNodeState::DriversAdded {
            let filtered = self.ask(abi::IRP_MN_FILTER_RESOURCE_REQUIREMENTS, [0; 4])?;
            // Resources are not given out: a list that a driver has made goes again.
            self.free(filtered.information);
        }
        let status = self.inform(abi::IRP_MN_START_DEVICE)?;
        if !status.is_success() {
            self.remove_drivers()?;
            return Ok(Ok(status));
        }
        self.node.set_state(DevNodeState::Started);
        self.query_capabilities()?;
        let asked = self.ask(abi::IRP_MN_QUERY_PNP_DEVICE_STATE, [0; 4])?;
        if asked.status.is_success() {
            self.node.set_pnp_state(low_half(asked.information));
        }
        self.query_bus_relations()?;
        DONE
    }

    fn query_capabilities(&mut self) -> Outcome<()> {
        const ANY: u32 = u32::MAX;
        let size = size_of::<abi::DEVICE_CAPABILITIES>();
        let Some(block) = self.kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default()) else {
            return Ok(());
        };
        // Size and version; what no bus has said is all ones.
        let at = |offset: usize| block.address + offset as u64;
        raw::write(at(0), u16::try_from(size).unwrap_or(0))?;
        raw::write(at(2), 1_u16)?;
        raw::write(at(std::mem::offset_of!(abi::DEVICE_CAPABILITIES, Address)), ANY)?;
        raw::write(at(std::mem::offset_of!(abi::DEVICE_CAPABILITIES, UINumber)), ANY)?;
        self.ask(abi::IRP_MN_QUERY_CAPABILITIES, [block.address, 0, 0, 0])?;
        self.free(block.address);
        Ok(())
    }

    /// Children have no nodes: their references and the list are released.
    fn query_bus_relations(&mut self) -> Outcome<()> {
        let which = u64::from(abi::BusRelations.cast_unsigned());
        let answered = self.ask(abi::IRP_MN_QUERY_DEVICE_RELATIONS, [which, 0, 0, 0])?;
        let list = answered.information;
        if list == 0 || !answered.status.is_success() {
            return Ok(());
        }
        let count: u32 = raw::read(list)?;
        let objects = list + std::mem::offset_of!(abi::DEVICE_RELATIONS, Objects) as u64;
        for index in 0..u64::from(count.min(1 << 16)) {
            let child: u64 = raw::read(objects + index * 8)?;
            if let Some(object) = self.kernel.ob.by_address(child) {
                object.dereference(self.kernel);
            }
        }
        if count > 0 {
            self.kernel
                .trace
                .emit(|| Event::NotImplemented { what: "devices that a function driver enumerates" });
        }
        self.free(list);
        Ok(())
    }

    /// Frees what a driver has answered in pool; a driver that named something else keeps its mistake.
    fn free(&self, address: u64) {
        if address != 0 {
            let _not_pool = self.kernel.mm.pool.free(address);
        }
    }

    fn stop(&mut self) -> Acted {
        let status = self.inform(abi::IRP_MN_QUERY_STOP_DEVICE)?;
        if !status.is_success() {
            self.inform(abi::IRP_MN_CANCEL_STOP_DEVICE)?;
            return self.vetoed(Veto::Driver(status));
        }
        self.inform(abi::IRP_MN_STOP_DEVICE)?;
        self.node.set_state(DevNodeState::Stopped);
        DONE
    }

    fn vetoed(&mut self, veto: Veto) -> Acted {
        self.veto = Some(veto);
        Ok(Ok(abi::STATUS_PLUGPLAY_QUERY_VETOED))
    }

    /// (Confirm: that the manager itself looks for open files when all drivers have agreed, and that nobody opens the device
    /// between the question and its end. The public pages say that open handles veto, not when.)
    fn query_remove(&mut self) -> Acted {
        self.refuse_opens(true);
        let status = self.inform(abi::IRP_MN_QUERY_REMOVE_DEVICE)?;
        let opens = self.opens();
        let veto = if !status.is_success() {
            Some(Veto::Driver(status))
        } else {
            (opens > 0).then_some(Veto::OutstandingOpen(opens))
        };
        if let Some(veto) = veto {
            self.cancel_remove()?;
            return self.vetoed(veto);
        }
        self.node.begin_removal();
        DONE
    }

    /// What was never started has nothing to ask for; whoever has it open is against it all the same.
    fn remove_unstarted(&mut self) -> Acted {
        self.refuse_opens(true);
        match self.opens() {
            0 => self.leave(),
            opens => {
                self.refuse_opens(false);
                self.vetoed(Veto::OutstandingOpen(opens))
            }
        }
    }

    /// Back to where it was.
    fn cancel_remove(&mut self) -> Outcome<()> {
        self.inform(abi::IRP_MN_CANCEL_REMOVE_DEVICE)?;
        self.refuse_opens(false);
        self.node.cancel_removal();
        Ok(())
    }

    fn refuse_opens(&self, refuse: bool) {
        for_each_device(self.kernel, self.node.physical, |device| device.refuse_opens(refuse));
    }

    fn opens(&self) -> u32 {
        let mut opens = 0;
        for_each_device(self.kernel, self.node.physical, |device| opens += device.opens().cast_unsigned());
        opens
    }

    fn surprise_remove(&mut self) -> Acted {
        self.refuse_opens(true);
        self.inform(abi::IRP_MN_SURPRISE_REMOVAL)?;
        interface::disable_all(self.kernel, self.node.physical);
        self.node.set_state(DevNodeState::SurpriseRemoved);
        self.finish_surprise_removal()
    }

    /// The drivers get IRP_MN_REMOVE_DEVICE once no file is open.
    fn finish_surprise_removal(&mut self) -> Acted {
        if self.node.state() == DevNodeState::SurpriseRemoved && self.opens() == 0 {
            self.remove_drivers()?;
        }
        DONE
    }

    /// The device leaves: the machine does not have it any more.
    fn leave(&mut self) -> Acted {
        self.node.leave_bus();
        self.refuse_opens(true);
        self.remove_drivers()?;
        self.kernel.cm.delete_key(&self.node.key_path());
        DONE
    }

    /// IRP_MN_REMOVE_DEVICE, and what is left of the node after it.
    fn remove_drivers(&mut self) -> Outcome<()> {
        let (kernel, node) = (self.kernel, self.node);
        self.drivers.extend(send::drivers(kernel, &stack(node.physical)?));
        self.refuse_opens(true);
        self.inform(abi::IRP_MN_REMOVE_DEVICE)?;
        interface::disable_all(kernel, node.physical);
        for device in stack(node.physical)?.into_iter().skip(1) {
            let driver = send::drivers(kernel, &[device]).first().map(|driver| driver.name.clone());
            let driver = driver.unwrap_or_default();
            let instance = || node.instance.clone();
            kernel.trace.emit(|| Event::DeviceNotDetached { instance: instance(), driver });
        }
        if node.is_present() {
            node.set_state(DevNodeState::DriversRemoved);
            return Ok(());
        }
        node.set_state(DevNodeState::Removed);
        interface::forget_all(kernel, node.physical);
        add::forget(kernel, node);
        node.release(kernel);
        Ok(())
    }

    /// The drivers say how the device is; one that has gone or failed is removed.
    fn query_state(&mut self) -> Acted {
        if self.node.state() != DevNodeState::Started {
            return DONE;
        }
        let asked = self.ask(abi::IRP_MN_QUERY_PNP_DEVICE_STATE, [0; 4])?;
        if !asked.status.is_success() {
            return DONE;
        }
        let state = low_half(asked.information);
        self.node.set_pnp_state(state);
        if state & abi::PNP_DEVICE_REMOVED != 0 {
            self.node.leave_bus();
        }
        if state & (abi::PNP_DEVICE_REMOVED | abi::PNP_DEVICE_FAILED) != 0 {
            return self.surprise_remove();
        }
        DONE
    }

    fn eject(&mut self) -> Acted {
        if self.node.state() == DevNodeState::Started {
            let asked = self.query_remove()?;
            if asked != Ok(abi::STATUS_SUCCESS) {
                return Ok(asked);
            }
        }
        if self.node.state() != DevNodeState::QueryRemoved {
            return WRONG_STATE;
        }
        self.remove_drivers()?;
        if self.inform(abi::IRP_MN_EJECT)?.is_success() {
            return self.leave();
        }
        DONE
    }
}

/// PNP_DEVICE_STATE stands in the lower half of `Information`.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low_half(word: u64) -> u32 {
    word as u32
}

/// A file is gone: a device that was only waiting for that is removed, by a system worker thread.
pub(in crate::io) fn file_closed(kernel: &Kernel, device: &Device) {
    if !device.is_refusing_opens() || device.opens() > 0 {
        return;
    }
    let base = attach::base_device_reference(kernel, device.object);
    let Some(object) = kernel.ob.by_address(base.address()) else { return };
    let node = kernel.io.pnp.node_of(base);
    object.dereference(kernel);
    let Some(node) = node.filter(|node| node.state() == DevNodeState::SurpriseRemoved) else { return };
    later(kernel, node, |operation| operation.finish_surprise_removal());
}

/// `IoInvalidateDeviceState`: the drivers of `physical` are asked how the device is, later. IRQL <= DISPATCH_LEVEL.
///
/// Source: ddi, IoInvalidateDeviceState.
pub fn invalidate_device_state(kernel: &Kernel, physical: DeviceObject) {
    if let Some(node) = kernel.io.pnp.node_of(physical) {
        later(kernel, node, |operation| operation.query_state());
    }
}

/// `IoInvalidateDeviceRelations` of the bus relations: the drivers of `physical` are asked for the device's children, later.
/// IRQL <= DISPATCH_LEVEL.
///
/// Source: ddi, IoInvalidateDeviceRelations.
pub fn invalidate_bus_relations(kernel: &Kernel, physical: DeviceObject) {
    if let Some(node) = kernel.io.pnp.node_of(physical) {
        later(kernel, node, |operation| {
            if operation.node.state() == DevNodeState::Started {
                operation.query_bus_relations()?;
            }
            DONE
        });
    }
}

/// `IoRequestDeviceEject`: the device is removed, if nobody is against it, and ejected, later. IRQL <= DISPATCH_LEVEL.
///
/// Source: ddi, IoRequestDeviceEject.
pub fn request_device_eject(kernel: &Kernel, physical: DeviceObject) {
    if let Some(node) = kernel.io.pnp.node_of(physical) {
        later(kernel, node, |operation| operation.eject());
    }
}

fn later(
    kernel: &Kernel,
    node: Arc<DevNode>,
    act: impl FnOnce(&mut Operation<'_>) -> Acted + Send + 'static,
) {
    let task = move |kernel: &Kernel, _: &Thread| {
        // Nobody waits for the answer; the observers see the requests.
        let _answered = on_turn(kernel, &node, act);
        if kernel.is_halted() { Err(Unwind::Halt) } else { Ok(()) }
    };
    // Without a thread it does not happen; the device stays as it is until it is asked for again.
    let _no_thread = queue_task(kernel, Box::new(task));
}
