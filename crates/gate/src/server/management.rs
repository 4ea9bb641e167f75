//! Requests about drivers: who may make them, and their answers as bytes.

use abi::{NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use super::session::Session;
use super::slot::{copy_in, copy_out, refused, status};
use crate::device_management::{decode_request, encode_report};
use crate::management::{Management, Refusal, decode_load, encode_drivers, encode_unload};
use crate::service::WindowBuffer;
use crate::service_management;
use crate::wire::{PATH_LIMIT, Reply, Request, operation};

/// The answer to a request about drivers. Whoever may not make one is told so before anything of it is looked at.
pub(super) fn answer(
    session: &Session,
    request: &Request,
    input: WindowBuffer,
    output: WindowBuffer,
) -> Reply {
    let management = match session.service.management() {
        Ok(management) => management,
        Err(reason) => return refused(reason),
    };
    let answered = match request.operation {
        operation::LOAD_DRIVER => load(management, input),
        operation::UNLOAD_DRIVER => unload(management, input, output),
        operation::MANAGE_DEVICES => devices(management, input),
        operation::MANAGE_SERVICES => services(management, input),
        _ => management.drivers().map(|drivers| encode_drivers(&drivers)),
    };
    match answered {
        Ok(bytes) => give(STATUS_SUCCESS, &bytes, output),
        Err(refusal) => {
            let status = NTSTATUS::from_bits(refused(refusal.status).status);
            give(status, cut(&refusal.reason, output.length as usize).as_bytes(), output)
        }
    }
}

fn load(management: &dyn Management, input: WindowBuffer) -> Result<Vec<u8>, Refusal> {
    // As long as the data area at most, of which an administrator may have a copy made.
    let bytes = copy_in(input, input.length as usize);
    let request = decode_load(&bytes).ok_or(Refusal::from(STATUS_INVALID_PARAMETER))?;
    management.load_driver(&request).map(|()| Vec::new())
}

fn unload(
    management: &dyn Management,
    input: WindowBuffer,
    output: WindowBuffer,
) -> Result<Vec<u8>, Refusal> {
    let name = String::from_utf8(copy_in(input, PATH_LIMIT + 1)).ok();
    let name = name.filter(|name| name.len() <= PATH_LIMIT);
    let name = name.ok_or(Refusal::from(STATUS_INVALID_PARAMETER))?;
    management.unload_driver(&name).map(|outcome| encode_unload(&outcome, output.length as usize))
}

fn devices(management: &dyn Management, input: WindowBuffer) -> Result<Vec<u8>, Refusal> {
    let bytes = copy_in(input, input.length as usize);
    let request = decode_request(&bytes).ok_or(Refusal::from(STATUS_INVALID_PARAMETER))?;
    management.manage_devices(&request).map(|report| encode_report(&report))
}

fn services(management: &dyn Management, input: WindowBuffer) -> Result<Vec<u8>, Refusal> {
    // As for `load`.
    let bytes = copy_in(input, input.length as usize);
    let request = service_management::decode_request(&bytes);
    let request = request.ok_or(Refusal::from(STATUS_INVALID_PARAMETER))?;
    management.manage_services(&request).map(|report| service_management::encode_report(&report))
}

/// Bytes in the output, and how many there are; when they do not fit, only how many.
fn give(result: NTSTATUS, bytes: &[u8], output: WindowBuffer) -> Reply {
    let information = bytes.len() as u64;
    if information > u64::from(output.length) {
        return Reply { information, ..status(STATUS_BUFFER_TOO_SMALL) };
    }
    copy_out(bytes, output);
    Reply { information, ..status(result) }
}

/// As much of a text's front as fits.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
