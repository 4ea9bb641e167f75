//! [`Management`] of the host's machine.

use abi::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};

use super::Client;
use super::call::CopyBack;
use crate::device_management::{DeviceReport, DeviceRequest, decode_report, encode_request};
use crate::management::{
    DriverInformation, DriverUnload, LoadDriver, Management, Refusal, decode_drivers, decode_unload,
    encode_load,
};
use crate::service_management::{self, ServiceReport, ServiceRequest};
use crate::wire::{Request, operation};

/// Room for an answer, in bytes; only the list of drivers is asked for again when there is not enough.
const ROOM: usize = 64 << 10;

/// The same for a report about devices.
const DEVICE_ROOM: usize = 256 << 10;

impl Client {
    /// Makes a request about drivers; its answer's bytes.
    fn manage(&self, operation: u32, input: &[u8], room: usize) -> Result<Vec<u8>, Answer> {
        let mut output = vec![0; room];
        let header = Request { operation, ..Request::default() };
        // The reason comes with an error.
        let reply = self.link.call(header, input, &mut output, CopyBack::Everything);
        let reply = reply.map_err(|status| Answer::Refused(status.into()))?;
        let status = NTSTATUS::from_bits(reply.status);
        if status == STATUS_BUFFER_TOO_SMALL {
            return Err(Answer::NeedsRoom(reply.information));
        }
        // A length that is none is no host's of ours.
        let length = usize::try_from(reply.information).ok().filter(|&length| length <= room);
        output.truncate(length.ok_or(Answer::Refused(STATUS_UNSUCCESSFUL.into()))?);
        match status {
            STATUS_SUCCESS => Ok(output),
            status if status.is_success() => Err(Answer::Refused(STATUS_UNSUCCESSFUL.into())),
            status => {
                let reason = String::from_utf8_lossy(&output).into_owned();
                Err(Answer::Refused(Refusal { status, reason }))
            }
        }
    }
}

/// What came instead of bytes.
enum Answer {
    Refused(Refusal),
    NeedsRoom(u64),
}

impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Refused(refusal) => refusal,
            Answer::NeedsRoom(_) => STATUS_INSUFFICIENT_RESOURCES.into(),
        }
    }
}

impl Management for Client {
    fn load_driver(&self, request: &LoadDriver<'_>) -> Result<(), Refusal> {
        self.manage(operation::LOAD_DRIVER, &encode_load(request), ROOM)?;
        Ok(())
    }

    fn unload_driver(&self, name: &str) -> Result<DriverUnload, Refusal> {
        let bytes = self.manage(operation::UNLOAD_DRIVER, name.as_bytes(), ROOM)?;
        decode_unload(&bytes).ok_or(STATUS_UNSUCCESSFUL.into())
    }

    fn manage_devices(&self, request: &DeviceRequest) -> Result<DeviceReport, Refusal> {
        // Asked once: most requests do something.
        let bytes = self.manage(operation::MANAGE_DEVICES, &encode_request(request), DEVICE_ROOM)?;
        decode_report(&bytes).ok_or(STATUS_UNSUCCESSFUL.into())
    }

    fn manage_services(&self, request: &ServiceRequest<'_>) -> Result<ServiceReport, Refusal> {
        let input = service_management::encode_request(request);
        // Asked once, as above.
        let bytes = self.manage(operation::MANAGE_SERVICES, &input, DEVICE_ROOM)?;
        service_management::decode_report(&bytes).ok_or(STATUS_UNSUCCESSFUL.into())
    }

    fn drivers(&self) -> Result<Vec<DriverInformation>, Refusal> {
        const ATTEMPTS: usize = 8;
        let mut room = ROOM;
        // Between two attempts drivers may be loaded, but not for ever.
        for _ in 0..ATTEMPTS {
            match self.manage(operation::QUERY_DRIVERS, &[], room) {
                Ok(bytes) => return decode_drivers(&bytes).ok_or(STATUS_UNSUCCESSFUL.into()),
                Err(Answer::NeedsRoom(length))
                    if length > room as u64 && length <= self.link.window.layout().len =>
                {
                    room = usize::try_from(length).unwrap_or(room).next_multiple_of(4096);
                }
                Err(answer) => return Err(answer.into()),
            }
        }
        Err(STATUS_INSUFFICIENT_RESOURCES.into())
    }
}
