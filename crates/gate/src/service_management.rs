//! What an administrator asks of a machine's services: to make, start, stop and delete them, and which there are. On Windows
//! `sc` asks that of the service control manager.

use crate::fields::{Fields, put_text};
use crate::management::Parameter;

/// A service to make. The file's content is given, not its place, as in [`LoadDriver`](crate::LoadDriver).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateService<'a> {
    /// The service's name.
    pub name: &'a str,
    /// The file's name.
    pub file_name: &'a str,
    /// The file's content.
    pub image: &'a [u8],
    /// Load it although exports that it imports are not implemented.
    pub allow_missing: bool,
    /// SERVICE_KERNEL_DRIVER (1) or SERVICE_FILE_SYSTEM_DRIVER (2).
    pub service_type: u32,
    /// SERVICE_BOOT_START (0) … SERVICE_DISABLED (4).
    pub start_type: u32,
    /// Of a minifilter: its instance's altitude; empty for none.
    pub altitude: &'a str,
    /// Values for the service's `Parameters` key, by name.
    pub parameters: Vec<(String, Parameter)>,
}

/// A request about services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceRequest<'a> {
    /// `CreateService`.
    Create(CreateService<'a>),
    /// `StartService`.
    Start(&'a str),
    /// `ControlService` with SERVICE_CONTROL_STOP.
    Stop(&'a str),
    /// `DeleteService`.
    Delete(&'a str),
    /// `QueryServiceStatus` and `QueryServiceConfig`; of all services for an empty name.
    Query(&'a str),
}

/// A service, as a machine tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInformation {
    /// Its name.
    pub name: String,
    /// SERVICE_KERNEL_DRIVER, SERVICE_FILE_SYSTEM_DRIVER, ….
    pub service_type: u32,
    /// SERVICE_BOOT_START … SERVICE_DISABLED.
    pub start_type: u32,
    /// SERVICE_STOPPED, SERVICE_STOP_PENDING, SERVICE_RUNNING.
    pub state: u32,
    /// It goes when its driver is gone.
    pub is_deleted: bool,
    /// Where its image is.
    pub image_path: String,
}

/// What came of a request about services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceReport {
    /// The services that it is about, as they are now; one that is gone is not among them.
    pub services: Vec<ServiceInformation>,
    /// What a driver that was unloaded left behind, a clause each.
    pub left: Vec<String>,
    /// Open files and attached devices that keep a driver which was asked to go.
    pub files: u32,
}

const CREATE: u32 = 0;
const START: u32 = 1;
const STOP: u32 = 2;
const DELETE: u32 = 3;
const QUERY: u32 = 4;
const DWORD: u32 = abi::REG_DWORD;
const TEXT: u32 = abi::REG_SZ;

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 entries")
}

pub(crate) fn encode_request(request: &ServiceRequest<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (number, name) = match request {
        ServiceRequest::Create(service) => (CREATE, service.name),
        ServiceRequest::Start(name) => (START, *name),
        ServiceRequest::Stop(name) => (STOP, *name),
        ServiceRequest::Delete(name) => (DELETE, *name),
        ServiceRequest::Query(name) => (QUERY, *name),
    };
    put(&mut bytes, number);
    put_text(&mut bytes, name);
    let ServiceRequest::Create(service) = request else { return bytes };
    put_text(&mut bytes, service.file_name);
    put(&mut bytes, service.allow_missing.into());
    put(&mut bytes, service.service_type);
    put(&mut bytes, service.start_type);
    put_text(&mut bytes, service.altitude);
    put(&mut bytes, count(service.parameters.len()));
    for (name, value) in &service.parameters {
        put_text(&mut bytes, name);
        match value {
            Parameter::Dword(number) => {
                put(&mut bytes, DWORD);
                put(&mut bytes, *number);
            }
            Parameter::Text(text) => {
                put(&mut bytes, TEXT);
                put_text(&mut bytes, text);
            }
        }
    }
    bytes.extend_from_slice(service.image);
    bytes
}

/// `None` if these are no such request.
pub(crate) fn decode_request(bytes: &[u8]) -> Option<ServiceRequest<'_>> {
    let mut fields = Fields(bytes);
    let (number, name) = (fields.u32()?, fields.text()?);
    let request = match number {
        CREATE => return decode_create(name, fields).map(ServiceRequest::Create),
        START => ServiceRequest::Start(name),
        STOP => ServiceRequest::Stop(name),
        DELETE => ServiceRequest::Delete(name),
        QUERY => ServiceRequest::Query(name),
        _ => return None,
    };
    fields.is_empty().then_some(request)
}

fn flag(fields: &mut Fields<'_>) -> Option<bool> {
    match fields.u32()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn decode_create<'a>(name: &'a str, mut fields: Fields<'a>) -> Option<CreateService<'a>> {
    let (file_name, allow_missing) = (fields.text()?, flag(&mut fields)?);
    let (service_type, start_type, altitude) = (fields.u32()?, fields.u32()?, fields.text()?);
    let mut parameters = Vec::new();
    for _ in 0..fields.u32()? {
        let name = fields.text()?.to_owned();
        let value = match fields.u32()? {
            DWORD => Parameter::Dword(fields.u32()?),
            TEXT => Parameter::Text(fields.text()?.to_owned()),
            _ => return None,
        };
        parameters.push((name, value));
    }
    let image = fields.0;
    Some(CreateService {
        name,
        file_name,
        image,
        allow_missing,
        service_type,
        start_type,
        altitude,
        parameters,
    })
}

pub(crate) fn encode_report(report: &ServiceReport) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, report.files);
    put(&mut bytes, count(report.left.len()));
    report.left.iter().for_each(|clause| put_text(&mut bytes, clause));
    put(&mut bytes, count(report.services.len()));
    for service in &report.services {
        put_text(&mut bytes, &service.name);
        put(&mut bytes, service.service_type);
        put(&mut bytes, service.start_type);
        put(&mut bytes, service.state);
        put(&mut bytes, service.is_deleted.into());
        put_text(&mut bytes, &service.image_path);
    }
    bytes
}

pub(crate) fn decode_report(bytes: &[u8]) -> Option<ServiceReport> {
    let mut fields = Fields(bytes);
    let mut report = ServiceReport { files: fields.u32()?, ..ServiceReport::default() };
    for _ in 0..fields.u32()? {
        report.left.push(fields.text()?.to_owned());
    }
    for _ in 0..fields.u32()? {
        report.services.push(ServiceInformation {
            name: fields.text()?.to_owned(),
            service_type: fields.u32()?,
            start_type: fields.u32()?,
            state: fields.u32()?,
            is_deleted: flag(&mut fields)?,
            image_path: fields.text()?.to_owned(),
        });
    }
    fields.is_empty().then_some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> CreateService<'static> {
        CreateService {
            name: "verdict",
            file_name: "verdict.sys",
            image: b"MZ and the rest",
            allow_missing: true,
            service_type: 2,
            start_type: 3,
            altitude: "370030",
            parameters: vec![
                ("Depth".to_owned(), Parameter::Dword(7)),
                ("Target".to_owned(), Parameter::Text(r"\Device\Ümläut".to_owned())),
            ],
        }
    }

    fn report() -> ServiceReport {
        ServiceReport {
            services: vec![ServiceInformation {
                name: "verdict".to_owned(),
                service_type: 2,
                start_type: 3,
                state: 4,
                is_deleted: true,
                image_path: r"\SystemRoot\System32\drivers\verdict.sys".to_owned(),
            }],
            left: vec!["left one thing".to_owned(), "left another".to_owned()],
            files: 2,
        }
    }

    #[test]
    fn requests_about_services_survive_the_wire() {
        let named =
            [ServiceRequest::Start, ServiceRequest::Stop, ServiceRequest::Delete, ServiceRequest::Query];
        let mut requests: Vec<_> = named.into_iter().map(|request| request("vérdict")).collect();
        requests.push(ServiceRequest::Query(""));
        requests.push(ServiceRequest::Create(create()));
        for request in requests {
            assert_eq!(decode_request(&encode_request(&request)), Some(request));
        }
        assert_eq!(decode_report(&encode_report(&report())), Some(report()));
        let nothing = ServiceReport::default();
        assert_eq!(decode_report(&encode_report(&nothing)), Some(nothing));
    }

    #[test]
    fn torn_requests_about_services_are_none() {
        let whole = encode_request(&ServiceRequest::Create(create()));
        for length in 0..whole.len() - create().image.len() {
            assert_eq!(decode_request(&whole[..length]), None, "{length}");
        }
        let short = encode_request(&ServiceRequest::Stop("a"));
        assert_eq!(decode_request(&[short.as_slice(), &[0]].concat()), None, "and more");
        assert_eq!(decode_request(&[9, 0, 0, 0, 0, 0, 0, 0]), None);
        let whole = encode_report(&report());
        for length in 0..whole.len() {
            assert_eq!(decode_report(&whole[..length]), None, "{length}");
        }
        assert_eq!(decode_report(&[whole.as_slice(), &[0]].concat()), None, "and more");
        // Counts are not believed.
        assert_eq!(decode_report(&[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}
