//! What administrators ask of a machine's devices, in the kernel's words and back.

use abi::NTSTATUS;
use gate::{DeviceAction, DeviceAnswer, DeviceInformation, DeviceReport, DeviceRequest, Refusal};
use kernel::io::{self, AddDevice, AddDeviceError, DevNode, PnpAction, PnpReport, PowerReport, Veto};
use kernel::raw::DriverObject;

use crate::error::status_text;
use crate::machine::Machine;

pub(crate) fn answer(machine: &Machine, request: &DeviceRequest) -> Result<DeviceReport, Refusal> {
    let kernel = machine.kernel();
    match request {
        DeviceRequest::List => Ok(DeviceReport {
            devices: kernel.io.device_nodes().iter().map(|node| describe(machine, node)).collect(),
            ..done(abi::STATUS_SUCCESS)
        }),
        DeviceRequest::Add { service, upper_filters, lower_filters } => {
            let (upper, lower) = (names(upper_filters), names(lower_filters));
            let wanted = AddDevice { service, upper_filters: &upper, lower_filters: &lower };
            let node = io::add_device(kernel, &wanted).map_err(|error| not_added(service, error))?;
            Ok(DeviceReport { devices: vec![describe(machine, &node)], ..done(abi::STATUS_SUCCESS) })
        }
        DeviceRequest::Act { instance, action } => {
            let report = io::operate(kernel, instance, action_of(*action));
            let report = report.map_err(|status| not_possible(machine, instance, status))?;
            Ok(acted(machine, instance, report))
        }
        DeviceRequest::Power { state } => {
            let state = i32::try_from(*state).unwrap_or(-1);
            // Shutting down is more than a power state.
            if state == abi::PowerSystemShutdown {
                return Err(abi::STATUS_INVALID_PARAMETER.into());
            }
            let report = io::set_system_power(kernel, state).map_err(not_that_state)?;
            Ok(powered(report))
        }
        DeviceRequest::Shutdown => {
            io::shut_down(kernel)?;
            let report = io::set_system_power(kernel, abi::PowerSystemShutdown).map_err(not_that_state)?;
            Ok(powered(report))
        }
    }
}

fn done(status: NTSTATUS) -> DeviceReport {
    DeviceReport {
        status,
        reason: String::new(),
        answers: Vec::new(),
        devices: Vec::new(),
        unloaded: Vec::new(),
    }
}

fn names(services: &[String]) -> Vec<&str> {
    services.iter().map(String::as_str).collect()
}

fn action_of(action: DeviceAction) -> PnpAction {
    match action {
        DeviceAction::Start => PnpAction::Start,
        DeviceAction::Stop => PnpAction::Stop,
        DeviceAction::QueryRemove => PnpAction::QueryRemove,
        DeviceAction::CancelRemove => PnpAction::CancelRemove,
        DeviceAction::Remove => PnpAction::Remove,
        DeviceAction::SurpriseRemove => PnpAction::SurpriseRemove,
    }
}

fn describe(machine: &Machine, node: &DevNode) -> DeviceInformation {
    let kernel = machine.kernel();
    let stack = node.stack().into_iter().map(|device| {
        let driver = device.driver_object().map(DriverObject::at).ok();
        let driver = driver.and_then(|driver| kernel.io.driver_at(driver.address()));
        let driver = driver.map(|driver| driver.name.clone()).unwrap_or_default();
        format!("{driver} {}", machine.device_name(device.address()))
    });
    let interfaces = io::device_interfaces(kernel, node.physical).into_iter();
    DeviceInformation {
        instance: node.instance.clone(),
        service: node.service.clone(),
        state: format!("{:?}", node.state()),
        stack: stack.collect(),
        interfaces: interfaces.filter_map(|(name, enabled)| enabled.then_some(name)).collect(),
    }
}

fn acted(machine: &Machine, instance: &str, report: PnpReport) -> DeviceReport {
    let answers = report.answers.iter().map(|answer| DeviceAnswer {
        device: instance.to_owned(),
        request: io::pnp_minor_name(answer.minor).to_owned(),
        status: answer.status,
    });
    let reason = match report.veto {
        Some(Veto::Driver(status)) => format!("a driver is against it and answered {}", status_text(status)),
        Some(Veto::OutstandingOpen(1)) => "a file is open on it".to_owned(),
        Some(Veto::OutstandingOpen(count)) => format!("{count} files are open on it"),
        None if report.status.is_success() => String::new(),
        None => {
            format!("its drivers answered {}; they were told that it is removed", status_text(report.status))
        }
    };
    let nodes = machine.kernel().io.device_nodes();
    let node = nodes.iter().find(|node| node.instance.eq_ignore_ascii_case(instance));
    DeviceReport {
        status: report.status,
        reason,
        answers: answers.collect(),
        devices: node.map(|node| describe(machine, node)).into_iter().collect(),
        unloaded: report.unloaded,
    }
}

fn powered(report: PowerReport) -> DeviceReport {
    let answers = report.answers.into_iter().map(|answer| {
        let request =
            if answer.minor == abi::IRP_MN_QUERY_POWER { "IRP_MN_QUERY_POWER" } else { "IRP_MN_SET_POWER" };
        DeviceAnswer {
            device: answer.instance,
            request: format!("{request} {}", state_name(answer.state)),
            status: answer.status,
        }
    });
    let reason = if report.status.is_success() {
        String::new()
    } else {
        format!("a driver is against it and answered {}", status_text(report.status))
    };
    DeviceReport { answers: answers.collect(), reason, ..done(report.status) }
}

fn state_name(state: i32) -> &'static str {
    match state {
        abi::PowerSystemWorking => "PowerSystemWorking",
        abi::PowerSystemSleeping1 => "PowerSystemSleeping1",
        abi::PowerSystemSleeping2 => "PowerSystemSleeping2",
        abi::PowerSystemSleeping3 => "PowerSystemSleeping3",
        abi::PowerSystemHibernate => "PowerSystemHibernate",
        abi::PowerSystemShutdown => "PowerSystemShutdown",
        _ => "a state without a name",
    }
}

fn refused(status: NTSTATUS, reason: impl Into<String>) -> Refusal {
    Refusal { status, reason: reason.into() }
}

fn not_added(service: &str, error: AddDeviceError) -> Refusal {
    match error {
        AddDeviceError::Status(status @ abi::STATUS_OBJECT_NAME_NOT_FOUND) => refused(
            status,
            format!("{service}, or a filter of it, is not loaded: `ringbridge load` it first"),
        ),
        AddDeviceError::Status(status @ abi::STATUS_INVALID_DEVICE_REQUEST) => refused(
            status,
            format!("{service}, or a filter of it, has no AddDevice: it makes its devices itself"),
        ),
        AddDeviceError::Status(status) => status.into(),
        AddDeviceError::AddDevice(status) => {
            refused(status, format!("AddDevice answered {}; the device is gone again", status_text(status)))
        }
        AddDeviceError::Halted => refused(
            abi::STATUS_DEVICE_NOT_CONNECTED,
            "the machine has stopped; see the host's bugcheck report",
        ),
    }
}

fn not_possible(machine: &Machine, instance: &str, status: NTSTATUS) -> Refusal {
    let nodes = machine.kernel().io.device_nodes();
    match status {
        abi::STATUS_NO_SUCH_DEVICE => {
            let known: Vec<_> = nodes.iter().map(|node| node.instance.as_str()).collect();
            match known.as_slice() {
                [] => refused(status, format!("there is no device {instance}, nor any other")),
                known => {
                    refused(status, format!("there is no device {instance}; there are: {}", known.join(", ")))
                }
            }
        }
        abi::STATUS_INVALID_DEVICE_STATE => {
            let node = nodes.iter().find(|node| node.instance.eq_ignore_ascii_case(instance));
            let state = node.map(|node| format!("{:?}", node.state())).unwrap_or_default();
            refused(status, format!("{instance} is {state}, from where that cannot happen"))
        }
        status => status.into(),
    }
}

fn not_that_state(status: NTSTATUS) -> Refusal {
    match status {
        abi::STATUS_INVALID_PARAMETER => {
            refused(status, "the system is in that state, or there is none such")
        }
        abi::STATUS_INVALID_DEVICE_STATE => refused(status, "the system sleeps: it has to wake first"),
        status => status.into(),
    }
}
