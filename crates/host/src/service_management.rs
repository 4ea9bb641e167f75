//! What administrators in other processes ask of a machine's services.

use gate::{CreateService, Refusal, ServiceInformation, ServiceReport, ServiceRequest};
use kernel::io::UnloadOutcome;

use crate::machine::{LoadOptions, Machine};
use crate::report::left_behind;
use crate::services::{NewService, ServiceError, ServiceImage, ServiceStatus};

fn refused(error: ServiceError) -> Refusal {
    Refusal { status: error.status(), reason: error.to_string() }
}

fn information(ServiceStatus { key, state }: ServiceStatus) -> ServiceInformation {
    ServiceInformation {
        name: key.name,
        service_type: key.service_type,
        start_type: key.start_type,
        state,
        is_deleted: key.is_deleted,
        image_path: key.image_path,
    }
}

/// Does what is asked, and tells what came of it.
pub(crate) fn answer(machine: &Machine, request: &ServiceRequest<'_>) -> Result<ServiceReport, Refusal> {
    let mut report = ServiceReport::default();
    let name = match *request {
        ServiceRequest::Query("") => {
            report.services = machine.services().into_iter().map(information).collect();
            return Ok(report);
        }
        ServiceRequest::Query(name) => {
            machine.service(name).map_err(refused)?;
            name
        }
        ServiceRequest::Create(ref service) => {
            create(machine, service)?;
            service.name
        }
        ServiceRequest::Start(name) => {
            machine.start_service(name).map_err(refused)?;
            name
        }
        ServiceRequest::Stop(name) => {
            match machine.stop_service(name).map_err(refused)? {
                UnloadOutcome::Unloaded(unloaded) => report.left = left_behind(&unloaded),
                UnloadOutcome::Pending { files } => report.files = files,
            }
            name
        }
        ServiceRequest::Delete(name) => {
            machine.delete_service(name).map_err(refused)?;
            name
        }
    };
    // One that is gone is not told of.
    report.services = machine.service(name).ok().map(information).into_iter().collect();
    Ok(report)
}

fn create(machine: &Machine, request: &CreateService<'_>) -> Result<(), Refusal> {
    let image = ServiceImage::Bytes { file_name: request.file_name.to_owned(), bytes: request.image.into() };
    let service = NewService {
        options: LoadOptions { allow_missing: request.allow_missing },
        service_type: request.service_type,
        start_type: request.start_type,
        altitude: Some(request.altitude).filter(|altitude| !altitude.is_empty()),
        ..NewService::new(request.name, image)
    };
    machine.add_service(&service).map_err(refused)?;
    for (parameter, value) in &request.parameters {
        machine.set_parameter(request.name, parameter, value)?;
    }
    Ok(())
}
