//! What an administrator asks of a machine's devices: that they come, start, stop and go, and that the whole system sleeps,
//! wakes or is shut down. On Windows the Plug and Play and power managers, and the tools that ask them, stand here.

use abi::NTSTATUS;

use crate::fields::{Fields, put_text};

/// What is to happen to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAction {
    /// It is started, for the first time or after a stop.
    Start,
    /// It is stopped, if its drivers agree.
    Stop,
    /// Its drivers are asked whether it may be removed.
    QueryRemove,
    /// It is not removed after all.
    CancelRemove,
    /// It is removed, if nobody is against it.
    Remove,
    /// It is gone; nobody is asked.
    SurpriseRemove,
}

/// All of them, by their number on the wire.
const ACTIONS: [DeviceAction; 6] = [
    DeviceAction::Start,
    DeviceAction::Stop,
    DeviceAction::QueryRemove,
    DeviceAction::CancelRemove,
    DeviceAction::Remove,
    DeviceAction::SurpriseRemove,
];

/// A request about devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRequest {
    /// Which devices there are.
    List,
    /// A root-enumerated device comes; it is not started.
    Add {
        /// Service name of its function driver.
        service: String,
        /// Service names of filter drivers above it, the lowest first.
        upper_filters: Vec<String>,
        /// Service names of filter drivers below it, the lowest first.
        lower_filters: Vec<String>,
    },
    /// Something happens to a device.
    Act {
        /// Its instance path, `ROOT\NAME\0000`.
        instance: String,
        /// What.
        action: DeviceAction,
    },
    /// The system goes to a power state, `PowerSystemWorking` (1) to `PowerSystemHibernate` (5).
    Power {
        /// SYSTEM_POWER_STATE.
        state: u32,
    },
    /// The system is shut down: notifications, then the power state.
    Shutdown,
}

/// A request that a device's drivers got, and how they answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAnswer {
    /// The device's instance path.
    pub device: String,
    /// The request, `IRP_MN_START_DEVICE`.
    pub request: String,
    /// The status.
    pub status: NTSTATUS,
}

/// A device, as a machine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInformation {
    /// Instance path.
    pub instance: String,
    /// Service name of its function driver.
    pub service: String,
    /// Where it stands (`Started`, …).
    pub state: String,
    /// The drivers of its stack, each with its device, the lowest first.
    pub stack: Vec<String>,
    /// Names of its device interfaces that are enabled.
    pub interfaces: Vec<String>,
}

/// What came of a request about devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// `STATUS_SUCCESS`; `STATUS_PLUGPLAY_QUERY_VETOED`, or what drivers answered instead.
    pub status: NTSTATUS,
    /// Why it did not happen, a clause; empty when it did.
    pub reason: String,
    /// What drivers were asked, in order.
    pub answers: Vec<DeviceAnswer>,
    /// The devices that the request is about, as they are now.
    pub devices: Vec<DeviceInformation>,
    /// Service names of drivers that were unloaded because their last device has gone.
    pub unloaded: Vec<String>,
}

const LIST: u32 = 0;
const ADD: u32 = 1;
const ACT: u32 = 2;
const POWER: u32 = 3;
const SHUTDOWN: u32 = 4;

pub(crate) fn encode_request(request: &DeviceRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    match request {
        DeviceRequest::List => put(&mut bytes, LIST),
        DeviceRequest::Add { service, upper_filters, lower_filters } => {
            put(&mut bytes, ADD);
            put_text(&mut bytes, service);
            put_texts(&mut bytes, upper_filters);
            put_texts(&mut bytes, lower_filters);
        }
        DeviceRequest::Act { instance, action } => {
            put(&mut bytes, ACT);
            put_text(&mut bytes, instance);
            let number = (0..).zip(ACTIONS).find(|(_, known)| known == action);
            put(&mut bytes, number.map_or(u32::MAX, |(number, _)| number));
        }
        DeviceRequest::Power { state } => {
            put(&mut bytes, POWER);
            put(&mut bytes, *state);
        }
        DeviceRequest::Shutdown => put(&mut bytes, SHUTDOWN),
    }
    bytes
}

/// `None` if these are no such request.
pub(crate) fn decode_request(bytes: &[u8]) -> Option<DeviceRequest> {
    let mut fields = Fields(bytes);
    let request = match fields.u32()? {
        LIST => DeviceRequest::List,
        ADD => DeviceRequest::Add {
            service: fields.text()?.to_owned(),
            upper_filters: texts(&mut fields)?,
            lower_filters: texts(&mut fields)?,
        },
        ACT => DeviceRequest::Act {
            instance: fields.text()?.to_owned(),
            action: *ACTIONS.get(usize::try_from(fields.u32()?).ok()?)?,
        },
        POWER => DeviceRequest::Power { state: fields.u32()? },
        SHUTDOWN => DeviceRequest::Shutdown,
        _ => return None,
    };
    fields.is_empty().then_some(request)
}

pub(crate) fn encode_report(report: &DeviceReport) -> Vec<u8> {
    let mut bytes = report.status.bits().to_le_bytes().to_vec();
    put_text(&mut bytes, &report.reason);
    put(&mut bytes, count(report.answers.len()));
    for answer in &report.answers {
        put_text(&mut bytes, &answer.device);
        put_text(&mut bytes, &answer.request);
        put(&mut bytes, answer.status.bits());
    }
    put(&mut bytes, count(report.devices.len()));
    for device in &report.devices {
        put_text(&mut bytes, &device.instance);
        put_text(&mut bytes, &device.service);
        put_text(&mut bytes, &device.state);
        put_texts(&mut bytes, &device.stack);
        put_texts(&mut bytes, &device.interfaces);
    }
    put_texts(&mut bytes, &report.unloaded);
    bytes
}

pub(crate) fn decode_report(bytes: &[u8]) -> Option<DeviceReport> {
    let mut fields = Fields(bytes);
    let status = NTSTATUS::from_bits(fields.u32()?);
    let reason = fields.text()?.to_owned();
    let mut answers = Vec::new();
    for _ in 0..fields.u32()? {
        answers.push(DeviceAnswer {
            device: fields.text()?.to_owned(),
            request: fields.text()?.to_owned(),
            status: NTSTATUS::from_bits(fields.u32()?),
        });
    }
    let mut devices = Vec::new();
    for _ in 0..fields.u32()? {
        devices.push(DeviceInformation {
            instance: fields.text()?.to_owned(),
            service: fields.text()?.to_owned(),
            state: fields.text()?.to_owned(),
            stack: texts(&mut fields)?,
            interfaces: texts(&mut fields)?,
        });
    }
    let unloaded = texts(&mut fields)?;
    fields.is_empty().then_some(DeviceReport { status, reason, answers, devices, unloaded })
}

fn put(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 entries")
}

fn put_texts(bytes: &mut Vec<u8>, texts: &[String]) {
    put(bytes, count(texts.len()));
    texts.iter().for_each(|text| put_text(bytes, text));
}

fn texts(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for _ in 0..fields.u32()? {
        texts.push(fields.text()?.to_owned());
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<DeviceRequest> {
        let instance = r"ROOT\LIFECYCLE\0000".to_owned();
        let act = |action| DeviceRequest::Act { instance: instance.clone(), action };
        let add = DeviceRequest::Add {
            service: "lifecycle".to_owned(),
            upper_filters: vec!["above".to_owned()],
            lower_filters: vec!["below".to_owned(), "lower".to_owned()],
        };
        let others = [DeviceRequest::List, add, DeviceRequest::Power { state: 4 }, DeviceRequest::Shutdown];
        ACTIONS.into_iter().map(act).chain(others).collect()
    }

    fn report() -> DeviceReport {
        DeviceReport {
            status: abi::STATUS_PLUGPLAY_QUERY_VETOED,
            reason: "2 files are open".to_owned(),
            answers: vec![DeviceAnswer {
                device: r"ROOT\LIFECYCLE\0000".to_owned(),
                request: "IRP_MN_QUERY_REMOVE_DEVICE".to_owned(),
                status: abi::STATUS_SUCCESS,
            }],
            devices: vec![DeviceInformation {
                instance: r"ROOT\LIFECYCLE\0000".to_owned(),
                service: "lifecycle".to_owned(),
                state: "Started".to_owned(),
                stack: vec!["PnpManager".to_owned(), "lifecycle".to_owned()],
                interfaces: vec![r"\??\ROOT#LIFECYCLE#0000#{0}".to_owned()],
            }],
            unloaded: vec!["lifecycle".to_owned()],
        }
    }

    #[test]
    fn requests_and_reports_survive_the_wire() {
        for request in requests() {
            assert_eq!(decode_request(&encode_request(&request)), Some(request));
        }
        assert_eq!(decode_report(&encode_report(&report())), Some(report()));
    }

    #[test]
    fn torn_requests_and_reports_are_none() {
        for request in requests() {
            let whole = encode_request(&request);
            for length in 0..whole.len() {
                assert_eq!(decode_request(&whole[..length]), None, "{request:?} {length}");
            }
            assert_eq!(decode_request(&[whole.as_slice(), &[0]].concat()), None, "{request:?} and more");
        }
        let whole = encode_report(&report());
        for length in 0..whole.len() {
            assert_eq!(decode_report(&whole[..length]), None, "{length}");
        }
        // Counts are not believed.
        assert_eq!(decode_request(&[1, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}
