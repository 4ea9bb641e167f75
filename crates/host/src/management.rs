//! What administrators in other processes ask of a machine's drivers. Who is one is the server's to say.

use abi::NTSTATUS;
use gate::{
    DeviceReport, DeviceRequest, DriverInformation, DriverUnload, LoadDriver, Management, Refusal,
    ServiceReport, ServiceRequest,
};
use kernel::io::UnloadOutcome;

use crate::device_management;
use crate::machine::{LoadOptions, Machine};
use crate::report::left_behind;
use crate::service_management;

/// A machine, as one that can be managed.
pub(crate) struct Drivers(pub(crate) Machine);

fn refused(status: NTSTATUS, reason: impl Into<String>) -> Refusal {
    Refusal { status, reason: reason.into() }
}

impl Management for Drivers {
    fn load_driver(&self, request: &LoadDriver<'_>) -> Result<(), Refusal> {
        let LoadDriver { name, file_name, image, allow_missing, ref parameters } = *request;
        if name.is_empty() || name.contains(['\\', '/']) {
            return Err(refused(
                abi::STATUS_OBJECT_NAME_INVALID,
                format!("{name:?} cannot be a service's name: it is empty, or names a folder"),
            ));
        }
        for (parameter, value) in parameters {
            self.0.set_parameter(name, parameter, value).map_err(|status| {
                refused(status, format!("the parameter {parameter} cannot be set: {status:?}"))
            })?;
        }
        let loaded = self.0.load_image(name, file_name, image, LoadOptions { allow_missing });
        loaded.map_err(|error| refused(error.status(), error.to_string()))
    }

    fn unload_driver(&self, name: &str) -> Result<DriverUnload, Refusal> {
        match self.0.unload(name) {
            Ok(UnloadOutcome::Unloaded(report)) => Ok(DriverUnload::Unloaded { left: left_behind(&report) }),
            Ok(UnloadOutcome::Pending { files }) => Ok(DriverUnload::Pending { files }),
            Err(status) => Err(refused(status, self.why_not(name, status))),
        }
    }

    fn manage_devices(&self, request: &DeviceRequest) -> Result<DeviceReport, Refusal> {
        device_management::answer(&self.0, request)
    }

    fn manage_services(&self, request: &ServiceRequest<'_>) -> Result<ServiceReport, Refusal> {
        service_management::answer(&self.0, request)
    }

    fn drivers(&self) -> Result<Vec<DriverInformation>, Refusal> {
        Ok(self.0.drivers())
    }
}

impl Drivers {
    /// Why a driver cannot be unloaded, and what can be done.
    fn why_not(&self, name: &str, status: NTSTATUS) -> String {
        match status {
            abi::STATUS_OBJECT_NAME_NOT_FOUND => {
                let loaded: Vec<_> = self.0.drivers().into_iter().map(|driver| driver.name).collect();
                match loaded.as_slice() {
                    [] => format!("no driver named {name} is loaded, nor any other"),
                    loaded => format!("no driver named {name} is loaded; there are: {}", loaded.join(", ")),
                }
            }
            abi::STATUS_INVALID_DEVICE_REQUEST => format!(
                "{name} has no unload routine and stays until the host ends, or it was asked already and goes when its \
                 last file is closed"
            ),
            abi::STATUS_DEVICE_NOT_CONNECTED => {
                "the machine has stopped; see the host's bugcheck report".to_owned()
            }
            _ => String::new(),
        }
    }
}
