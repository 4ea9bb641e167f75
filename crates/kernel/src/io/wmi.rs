//! Windows Management Instrumentation: drivers that offer data blocks, and the IRP_MJ_SYSTEM_CONTROL requests that ask for them. Who
//! asks on Windows is WMI's service; here it is whoever runs the machine.
//!
//! Source: ddi, IoWMIRegistrationControl, IoWMIWriteEvent; kernel, WMI Minor IRPs.

use std::sync::PoisonError;

use abi::NTSTATUS;

use super::pnp::{Request, exchange};
use crate::mm::PoolOwner;
use crate::ps;
use crate::raw::{self, DeviceObject};
use crate::trace::Event;
use crate::{Kernel, Unwind};

/// Tag of the buffers of these requests.
const TAG: u32 = u32::from_le_bytes(*b"WmiB");
/// Bytes of a WNODE_HEADER, and where it has its length and its GUID.
const HEADER: u32 = 48;
const GUID_AT: u64 = 24;
const WMIREG_FLAG_CALLBACK: u64 = 0x8000_0000;

/// A request to a provider.
#[derive(Clone, Debug)]
pub struct WmiRequest {
    /// IRP_MN_QUERY_ALL_DATA and its like.
    pub minor: u8,
    /// The block's GUID as `DataPath`; `None` for IRP_MN_REGINFO(_EX), which have WMIREGISTER (0) there.
    pub guid: Option<[u8; 16]>,
    /// What the buffer holds at first. As long as it is to be.
    pub buffer: Vec<u8>,
}

/// A provider's answer.
#[derive(Clone, Debug)]
pub struct WmiAnswer {
    /// Its status.
    pub status: NTSTATUS,
    /// `IoStatus.Information`, bytes.
    pub information: u64,
    /// The buffer behind it.
    pub buffer: Vec<u8>,
}

/// `IoWMIRegistrationControl`: a device's driver answers requests for data blocks from now on, or no more. PASSIVE_LEVEL.
///
/// A change of its blocks (WMIREG_ACTION_REREGISTER, _UPDATE_GUIDS) needs no note: they are asked for when somebody wants to know.
/// (On NT registering has the driver asked at once.) WMIREG_FLAG_CALLBACK and WMIREG_ACTION_BLOCK_IRPS answer
/// STATUS_NOT_IMPLEMENTED; an unknown action, and a device that is none, STATUS_INVALID_PARAMETER.
pub fn wmi_registration_control(kernel: &Kernel, device: u64, action: u32) -> NTSTATUS {
    const REGISTER: u32 = 1;
    const DEREGISTER: u32 = 2;
    const REREGISTER: u32 = 3;
    const UPDATE_GUIDS: u32 = 4;
    const BLOCK_IRPS: u32 = 5;
    if u64::from(action) & WMIREG_FLAG_CALLBACK != 0 || action == BLOCK_IRPS {
        kernel.trace.emit(|| Event::NotImplemented { what: "IoWMIRegistrationControl with this action" });
        return abi::STATUS_NOT_IMPLEMENTED;
    }
    if kernel.ob.by_address(device).is_none_or(|object| object.body::<super::Device>().is_none()) {
        return abi::STATUS_INVALID_PARAMETER;
    }
    let mut providers = kernel.io.wmi.lock().unwrap_or_else(PoisonError::into_inner);
    match action {
        REGISTER => {
            if !providers.contains(&device) {
                providers.push(device);
            }
        }
        DEREGISTER => providers.retain(|other| *other != device),
        REREGISTER | UPDATE_GUIDS => {}
        _ => return abi::STATUS_INVALID_PARAMETER,
    }
    abi::STATUS_SUCCESS
}

/// The devices that are registered, in the order of their registration.
#[must_use]
pub fn wmi_providers(kernel: &Kernel) -> Vec<DeviceObject> {
    let mut providers = kernel.io.wmi.lock().unwrap_or_else(PoisonError::into_inner);
    // A driver that deletes its device and forgets this is one provider less.
    providers.retain(|device| {
        kernel.ob.by_address(*device).is_some_and(|object| object.body::<super::Device>().is_some())
    });
    providers.iter().map(|device| DeviceObject::at(*device)).collect()
}

/// Sends an IRP_MJ_SYSTEM_CONTROL request for `provider` to the top of its stack, and waits for its end. On the calling thread, in the
/// system process. PASSIVE_LEVEL. The request begins with STATUS_NOT_SUPPORTED.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_DEVICE_NOT_CONNECTED` when the machine stops.
pub fn wmi_request(
    kernel: &Kernel,
    provider: DeviceObject,
    request: &WmiRequest,
) -> Result<WmiAnswer, NTSTATUS> {
    const PATH: usize = 16;
    let length = u32::try_from(request.buffer.len()).map_err(|_| abi::STATUS_INVALID_PARAMETER)?;
    let size = PATH + request.buffer.len();
    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default());
    let at = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let node = at + PATH as u64;
    let system = kernel.ps.system().clone();
    let sent = ps::inside(kernel, &system, |thread| {
        raw::copy_to(at, &request.guid.unwrap_or_default())?;
        raw::copy_to(node, &request.buffer)?;
        let path = if request.guid.is_some() { at } else { 0 };
        let parameters = [provider.address(), path, length.into(), node];
        let sent = Request { major: abi::IRP_MJ_SYSTEM_CONTROL, minor: request.minor, parameters };
        let answered = exchange(kernel, thread, provider, sent)?;
        let mut buffer = vec![0; request.buffer.len()];
        raw::copy_from(&mut buffer, node)?;
        Ok::<_, Unwind>(answered.map(|(answered, _)| (answered, buffer)))
    });
    super::free_own(kernel, at);
    let answered = sent?.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)?;
    let (answered, buffer) = answered.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(WmiAnswer { status: answered.status, information: answered.information, buffer })
}

/// `IoWMIWriteEvent`: tells whoever watches of an event, with its WNODE_EVENT_ITEM. On success the buffer is WMI's, which frees it:
/// the caller of this does. IRQL <= APC_LEVEL.
///
/// # Errors
/// An access violation. `STATUS_BUFFER_OVERFLOW` for one that is longer than 4 KiB, `STATUS_INVALID_PARAMETER` for one that is shorter
/// than its header.
///
/// Source: ddi, IoWMIWriteEvent (the limit is the registry's, 1 KiB at first on older systems; Confirm).
pub fn wmi_write_event(kernel: &Kernel, node: u64) -> Result<NTSTATUS, Unwind> {
    const MOST: u32 = 4096;
    let length: u32 = raw::read(node)?;
    if length < HEADER {
        return Ok(abi::STATUS_INVALID_PARAMETER);
    }
    if length > MOST {
        return Ok(abi::STATUS_BUFFER_OVERFLOW);
    }
    let mut bytes = vec![0; length as usize];
    raw::copy_from(&mut bytes, node)?;
    let mut guid = [0; 16];
    raw::copy_from(&mut guid, node + GUID_AT)?;
    kernel.trace.emit(|| Event::WmiEvent { guid, node: bytes });
    Ok(abi::STATUS_SUCCESS)
}
