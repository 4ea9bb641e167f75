//! The power manager: the system goes to sleep and wakes, and drivers bring their devices to power states of their own.
//!
//! Every started device's stack gets the system's requests. What a device does about them is its power policy owner's:
//! the driver that asks for device power requests ([`request_power_irp`]).
//!
//! Source: kernel, Handling System Power State Requests, Handling IRP_MN_QUERY_POWER for System Power States; ddi,
//! PoRequestPowerIrp, PoSetPowerState.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use abi::{NTSTATUS, SYSTEM_POWER_STATE};
use platform::scheduler::Lock;

use super::irp::{self, Kind, PowerCompletion};
use super::pnp::{self, DevNode, DevNodeState, Request};
use super::work_item::queue_task;
use super::{Device, attach, dispatch, driver, request};
use crate::ke::Thread;
use crate::raw::{self, DeviceObject, IoStackLocation, Irp, Outcome};
use crate::{Kernel, ps};

/// State of the power manager.
#[derive(Debug)]
pub(super) struct PowerManager {
    /// The system's power state.
    state: AtomicI32,
    /// Held by the one transition that is under way.
    transition: Lock<()>,
}

impl Default for PowerManager {
    fn default() -> Self {
        Self { state: AtomicI32::new(abi::PowerSystemWorking), transition: Lock::new(()) }
    }
}

/// A request of the power manager's and a stack's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerAnswer {
    /// The device's instance path.
    pub instance: String,
    /// IRP_MN_QUERY_POWER or IRP_MN_SET_POWER.
    pub minor: u8,
    /// The system power state of the request.
    pub state: SYSTEM_POWER_STATE,
    /// The answer.
    pub status: NTSTATUS,
}

/// What came of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerReport {
    /// `STATUS_SUCCESS`, or the answer of the device that was against it.
    pub status: NTSTATUS,
    /// What the stacks were asked and answered, in order.
    pub answers: Vec<PowerAnswer>,
    /// The system power state now.
    pub state: SYSTEM_POWER_STATE,
}

/// Brings the system to a power state: asks every started device (not before it is shut down), the newest first, and
/// when none is against it, tells them. One that is against it ends that: those that were asked are told that the system goes
/// on working. On the way back to work nobody is asked, and the oldest is told first. On the calling thread, in the system
/// process. PASSIVE_LEVEL.
///
/// (Confirm: the order among devices that no bus has. The public pages order parents and children alone.)
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for what is no state, or the state that the system is in; `STATUS_INVALID_DEVICE_STATE` from one
/// sleeping state to another; `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
pub fn set_system_power(kernel: &Kernel, state: SYSTEM_POWER_STATE) -> Result<PowerReport, NTSTATUS> {
    if !(abi::PowerSystemWorking..abi::PowerSystemMaximum).contains(&state) {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let system = kernel.ps.system().clone();
    let done = ps::inside(kernel, &system, |thread| {
        let _transition = kernel.io.power.transition.lock(&*kernel.platform);
        let before = kernel.io.power.state.load(Ordering::Acquire);
        if before == state {
            return Ok(Err(abi::STATUS_INVALID_PARAMETER));
        }
        if before != abi::PowerSystemWorking && state != abi::PowerSystemWorking {
            return Ok(Err(abi::STATUS_INVALID_DEVICE_STATE));
        }
        Transition { kernel, thread, answers: Vec::new() }.go(state).map(Ok)
    })?;
    done.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)?
}

struct Transition<'a> {
    kernel: &'a Kernel,
    thread: &'a Thread,
    answers: Vec<PowerAnswer>,
}

impl Transition<'_> {
    fn go(mut self, state: SYSTEM_POWER_STATE) -> Outcome<PowerReport> {
        let mut nodes = self.kernel.io.device_nodes();
        let sleeps = state != abi::PowerSystemWorking;
        if sleeps {
            nodes.reverse();
        }
        if sleeps && state != abi::PowerSystemShutdown {
            for index in 0..nodes.len() {
                let status = self.send(&nodes[index], abi::IRP_MN_QUERY_POWER, state)?;
                let Some(status) = status.filter(|status| !status.is_success()) else { continue };
                for asked in nodes[..=index].iter().rev() {
                    self.send(asked, abi::IRP_MN_SET_POWER, abi::PowerSystemWorking)?;
                }
                return Ok(self.report(status));
            }
        }
        self.kernel.io.power.state.store(state, Ordering::Release);
        for node in &nodes {
            self.send(node, abi::IRP_MN_SET_POWER, state)?;
        }
        Ok(self.report(abi::STATUS_SUCCESS))
    }

    fn report(self, status: NTSTATUS) -> PowerReport {
        let state = self.kernel.io.power.state.load(Ordering::Acquire);
        PowerReport { status, answers: self.answers, state }
    }

    /// The answer of a device that is started; others are asked nothing. Nothing else happens to the device meanwhile.
    fn send(
        &mut self,
        node: &Arc<DevNode>,
        minor: u8,
        state: SYSTEM_POWER_STATE,
    ) -> Outcome<Option<NTSTATUS>> {
        let _turn = node.turn.lock(&*self.kernel.platform);
        if node.state() != DevNodeState::Started {
            return Ok(None);
        }
        let word = |number: i32| u64::from(number.cast_unsigned());
        let parameters = [0, word(abi::SystemPowerState), word(state), word(action_of(state))];
        let request = Request { major: abi::IRP_MJ_POWER, minor, parameters };
        let status = pnp::send(self.kernel, self.thread, node, request)?.status;
        self.answers.push(PowerAnswer { instance: node.instance.clone(), minor, state, status });
        Ok(Some(status))
    }
}

/// `ShutdownType` of a system power request.
fn action_of(state: SYSTEM_POWER_STATE) -> abi::POWER_ACTION {
    match state {
        abi::PowerSystemHibernate => abi::PowerActionHibernate,
        abi::PowerSystemShutdown => abi::PowerActionShutdownOff,
        abi::PowerSystemWorking => abi::PowerActionNone,
        _ => abi::PowerActionSleep,
    }
}

/// What `PoRequestPowerIrp` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PowerRequest {
    /// A device of the stack that the request is for.
    pub device: DeviceObject,
    /// IRP_MN_SET_POWER, IRP_MN_QUERY_POWER or IRP_MN_WAIT_WAKE.
    pub minor: u8,
    /// The device power state; the system's for IRP_MN_WAIT_WAKE.
    pub state: i32,
    /// Address of the completion function and its context; 0 for none.
    pub completion: (u64, u64),
    /// Where the IRP's address goes; 0 for nowhere.
    pub irp: u64,
}

/// `PoRequestPowerIrp`: sends a power request to the top of the device's stack; at its end the completion function is
/// called. `STATUS_PENDING` when it has been sent. IRQL <= DISPATCH_LEVEL; above PASSIVE_LEVEL a system worker thread sends
/// it.
///
/// Requests for one device are not held back until the one before has ended, as NT does for set-power requests.
///
/// # Errors
/// `Ok` with `STATUS_INVALID_PARAMETER_2` for another minor function, `STATUS_NO_SUCH_DEVICE`,
/// `STATUS_INSUFFICIENT_RESOURCES`; `Err` for an access violation.
pub fn request_power_irp(kernel: &Kernel, wanted: &PowerRequest) -> Outcome<NTSTATUS> {
    let is_wake = wanted.minor == abi::IRP_MN_WAIT_WAKE;
    if !is_wake && !matches!(wanted.minor, abi::IRP_MN_SET_POWER | abi::IRP_MN_QUERY_POWER) {
        return Ok(abi::STATUS_INVALID_PARAMETER_2);
    }
    let top = attach::attached_device_reference(kernel, wanted.device)?;
    let Some(object) = kernel.ob.by_address(top.address()) else { return Ok(abi::STATUS_NO_SUCH_DEVICE) };
    let (function, context) = wanted.completion;
    let completion = PowerCompletion {
        function,
        device: wanted.device.address(),
        minor: wanted.minor,
        state: wanted.state,
        context,
        driver: kernel.io.calling_driver().unwrap_or(0),
    };
    // The power manager's to free, whatever the driver does after its end.
    let made = irp::allocate_for(kernel, 0, top.stack_size()?.max(1), Kind::Power(completion), 0, None)?;
    let Some(irp) = made else {
        object.dereference(kernel);
        return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
    };
    irp.set_status(abi::STATUS_NOT_SUPPORTED.bits())?;
    let next = irp.current_stack_location()?.wrapping_sub(IoStackLocation::SIZE as u64);
    let location = IoStackLocation::at(next);
    location.set_major_function(abi::IRP_MJ_POWER)?;
    location.set_minor_function(wanted.minor)?;
    let state = u64::from(wanted.state.cast_unsigned());
    if is_wake {
        location.set_parameter(0, state)?;
    } else {
        location.set_parameter(1, u64::from(abi::DevicePowerState.cast_unsigned()))?;
        location.set_parameter(2, state)?;
    }
    if wanted.irp != 0 {
        raw::write(wanted.irp, irp.address())?;
    }
    kernel.trace.emit(|| request::created(kernel, irp, top));
    let send = move |kernel: &Kernel| {
        let sent = dispatch::call_driver(kernel, top, irp);
        object.dereference(kernel);
        sent.map(drop)
    };
    if kernel.ke.current_irql() == abi::PASSIVE_LEVEL {
        send(kernel)?;
    } else {
        queue_task(kernel, Box::new(move |kernel, _| send(kernel)))?;
    }
    Ok(abi::STATUS_PENDING)
}

/// The end of a request that a driver asked for: its completion function sees the IRP's own status block.
pub(super) fn end_request(kernel: &Kernel, irp: Irp, completion: PowerCompletion) -> Outcome<()> {
    if completion.function == 0 {
        return Ok(());
    }
    let status_block = irp.address() + offset_of!(abi::IRP, IoStatus) as u64;
    let arguments = [
        completion.device,
        u64::from(completion.minor),
        u64::from(completion.state.cast_unsigned()),
        completion.context,
        status_block,
    ];
    // Whoever waits for this may unload the driver before the function has returned.
    let owner = kernel.io.drivers().into_iter().find(|driver| driver.id == completion.driver);
    if let Some(driver) = &owner {
        driver::hold_image(driver);
    }
    let call = || kernel.ke.call(kernel, completion.function, &arguments);
    let called = dispatch::as_owner(completion.driver, call);
    if let Some(driver) = &owner {
        driver::release_image(driver);
    }
    called.map(drop)
}

/// `PoSetPowerState`: notes a device's power state, of `kind` SystemPowerState or DevicePowerState, and returns the one
/// before; 0 (unspecified) at first. (Confirm: that first value.) IRQL <= DISPATCH_LEVEL.
///
/// Source: ddi, PoSetPowerState.
#[must_use]
pub fn set_power_state(
    kernel: &Kernel,
    device: DeviceObject,
    kind: abi::POWER_STATE_TYPE,
    state: i32,
) -> i32 {
    let object = kernel.ob.by_address(device.address());
    let Some(device) = object.as_ref().and_then(|object| object.body::<Device>()) else { return 0 };
    let states = &device.power_states;
    let cell = if kind == abi::SystemPowerState { &states[0] } else { &states[1] };
    cell.swap(state, Ordering::AcqRel)
}
