//! `Wmi…` of WMILIB: the library that answers WMI's requests by a driver's own routines, one for each kind.
//!
//! Source: ddi, WmiSystemControl, WmiCompleteRequest, WmiFireEvent, WMILIB_CONTEXT; the callbacks' pages (DpWmi…).

use std::mem::offset_of;

use abi::{IO_STACK_LOCATION_PARAMETERS_WMI as Parameters, NTSTATUS};
use kernel::raw::{self, IoStackLocation, Irp};
use kernel::{Outcome, io};

use super::ex;
use crate::Call;
use crate::row::rows;

/// Tag of events.
const TAG: u32 = u32::from_le_bytes(*b"WmiL");

/// SYSCTL_IRP_DISPOSITION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    Processed = 0,
    NotCompleted = 1,
    NotWmi = 2,
    Forward = 3,
}

/// Offsets in a WMILIB_CONTEXT.
mod context {
    pub(super) const GUID_COUNT: u64 = 0;
    pub(super) const GUID_LIST: u64 = 8;
    pub(super) const QUERY_REG_INFO: u64 = 16;
    pub(super) const QUERY_DATA_BLOCK: u64 = 24;
    pub(super) const SET_DATA_BLOCK: u64 = 32;
    pub(super) const SET_DATA_ITEM: u64 = 40;
    pub(super) const EXECUTE_METHOD: u64 = 48;
    pub(super) const FUNCTION_CONTROL: u64 = 56;
}

/// Offsets in the WNODEs, by their kind.
mod node {
    pub(super) const SIZE: u64 = 0;
    pub(super) const GUID: u64 = 24;
    pub(super) const FLAGS: u64 = 44;
    pub(super) const HEADER: u32 = 48;
    /// Of all kinds but WNODE_ALL_DATA.
    pub(super) const INSTANCE_INDEX: u64 = 52;
    /// WNODE_ALL_DATA.
    pub(super) const ALL_DATA_OFFSET: u64 = 48;
    pub(super) const ALL_COUNT: u64 = 52;
    pub(super) const ALL_NAMES: u64 = 56;
    pub(super) const ALL_PAIRS: u64 = 60;
    /// WNODE_SINGLE_INSTANCE.
    pub(super) const SINGLE_OFFSET: u64 = 56;
    pub(super) const SINGLE_SIZE: u64 = 60;
    /// WNODE_SINGLE_ITEM and WNODE_METHOD_ITEM.
    pub(super) const ITEM_ID: u64 = 56;
    pub(super) const ITEM_OFFSET: u64 = 60;
    pub(super) const ITEM_SIZE: u64 = 64;
    pub(super) const TOO_SMALL: u32 = 0x20;
    pub(super) const SINGLE_INSTANCE: u32 = 0x2;
    pub(super) const EVENT_ITEM: u32 = 0x8;
}

const REG_FLAG_BASE_NAME: u32 = 0x4;
const REG_FLAG_PDO: u32 = 0x20;
/// Bytes of a WMIREGINFO before its blocks, and of each of these.
const REG_HEADER: u64 = 24;
const REG_GUID: u64 = 32;
/// Bytes of a WMIGUIDREGINFO.
const LISTED: u64 = 16;
/// Blocks of one provider that are looked at.
const MOST_BLOCKS: u32 = 4096;

/// A request that a driver handed to the library.
#[derive(Clone, Copy)]
struct Request {
    device: u64,
    irp: Irp,
    minor: u8,
    provider: u64,
    path: u64,
    size: u32,
    buffer: u64,
}

impl Request {
    fn of(device: u64, irp: u64) -> Outcome<(u8, Self)> {
        let irp = Irp::at(irp);
        let location = IoStackLocation::at(irp.current_stack_location()?);
        let word = |offset: usize| location.parameter(offset as u64 / 8);
        let request = Self {
            device,
            irp,
            minor: location.minor_function()?,
            provider: word(offset_of!(Parameters, ProviderId))?,
            path: word(offset_of!(Parameters, DataPath))?,
            size: u32::try_from(word(offset_of!(Parameters, BufferSize))? & 0xFFFF_FFFF).unwrap_or(0),
            buffer: word(offset_of!(Parameters, Buffer))?,
        };
        Ok((location.major_function()?, request))
    }

    fn read(&self, at: u64) -> Outcome<u32> {
        raw::read(self.buffer.wrapping_add(at))
    }

    fn write(&self, at: u64, value: u32) -> Outcome<()> {
        raw::write(self.buffer.wrapping_add(at), value)
    }

    /// Sets how it ends; the driver completes it.
    fn end(&self, status: NTSTATUS, information: u32) -> Outcome<(NTSTATUS, Disposition)> {
        self.irp.set_status(status.bits())?;
        self.irp.set_information(information.into())?;
        Ok((status, Disposition::NotCompleted))
    }
}

/// Index, instances and flags of the block that a request names.
fn block_of(library: u64, path: u64) -> Outcome<Option<(u32, u32)>> {
    let mut wanted = [0; 16];
    raw::copy_from(&mut wanted, path)?;
    let count: u32 = raw::read(library + context::GUID_COUNT)?;
    let list: u64 = raw::read(library + context::GUID_LIST)?;
    for index in 0..count.min(MOST_BLOCKS) {
        let entry = list.wrapping_add(u64::from(index) * LISTED);
        let mut guid = [0; 16];
        raw::copy_from(&mut guid, raw::read(entry)?)?;
        if guid == wanted {
            return Ok(Some((index, raw::read(entry + 8)?)));
        }
    }
    Ok(None)
}

/// Asks the driver who it is, and writes a WMIREGINFO with the names behind the blocks.
fn register(call: Call<'_>, library: u64, request: &Request) -> Outcome<(NTSTATUS, Disposition)> {
    // Its scratch: flags, a string for the base name, a pointer to the registry path, a string for the resource, a device.
    let scratch = ex::allocate(call, 64, TAG, false, false)?;
    if scratch == 0 {
        return request.end(abi::STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    raw::fill(scratch, 0, 64)?;
    let (name, path, resource, pdo) = (scratch + 8, scratch + 24, scratch + 32, scratch + 48);
    let routine: u64 = raw::read(library + context::QUERY_REG_INFO)?;
    let arguments = [request.device, scratch, name, path, resource, pdo];
    let asked = call.kernel.ke.call(call.kernel, routine, &arguments)?;
    let status = NTSTATUS::from_bits(u32::try_from(asked & 0xFFFF_FFFF).unwrap_or(0));
    if status.is_error() {
        ex::free(call.kernel, scratch, 0)?;
        return request.end(status, 0);
    }
    let flags: u32 = raw::read(scratch)?;
    let path: u64 = raw::read(path)?;
    let pdo: u64 = raw::read(pdo)?;
    let text = |address: u64| -> Outcome<Vec<u16>> {
        if address == 0 { Ok(Vec::new()) } else { call.string(address) }
    };
    let names = [
        text(path)?,
        text(resource)?,
        if flags & REG_FLAG_BASE_NAME != 0 { text(name)? } else { Vec::new() },
    ];
    ex::free(call.kernel, scratch, 0)?;
    let count = raw::read::<u32>(library + context::GUID_COUNT)?.min(MOST_BLOCKS);
    let bytes = registration(library, count, flags, pdo, &names)?;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > request.size {
        if request.size >= 4 {
            request.write(node::SIZE, length)?;
        }
        return request.end(abi::STATUS_BUFFER_TOO_SMALL, 4);
    }
    raw::copy_to(request.buffer, &bytes)?;
    request.end(abi::STATUS_SUCCESS, length)
}

fn registration(library: u64, count: u32, flags: u32, pdo: u64, names: &[Vec<u16>; 3]) -> Outcome<Vec<u8>> {
    let list: u64 = raw::read(library + context::GUID_LIST)?;
    let mut bytes = vec![0; usize::try_from(REG_HEADER + u64::from(count) * REG_GUID).unwrap_or(0)];
    // Each a counted string: its length in bytes, then its characters.
    let mut at = [0_u32; 3];
    for (place, name) in at.iter_mut().zip(names).filter(|(_, name)| !name.is_empty()) {
        *place = u32::try_from(bytes.len()).unwrap_or(0);
        bytes.extend(u16::try_from(name.len() * 2).unwrap_or(0).to_le_bytes());
        bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    }
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(8, &at[0].to_le_bytes());
    put(12, &at[1].to_le_bytes());
    put(16, &count.to_le_bytes());
    for index in 0..count {
        let entry = list.wrapping_add(u64::from(index) * LISTED);
        let offset = usize::try_from(REG_HEADER + u64::from(index) * REG_GUID).unwrap_or(0);
        let mut guid = [0; 16];
        raw::copy_from(&mut guid, raw::read(entry)?)?;
        put(offset, &guid);
        let own: u32 = raw::read(entry + 12)?;
        put(offset + 16, &(own | flags).to_le_bytes());
        put(offset + 20, &raw::read::<u32>(entry + 8)?.to_le_bytes());
        let info = if flags & REG_FLAG_PDO != 0 { pdo } else { at[2].into() };
        put(offset + 24, &info.to_le_bytes());
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Calls one of the driver's routines, which completes the request; without one it ends with `missing`.
fn hand_over(
    call: Call<'_>,
    request: &Request,
    routine: u64,
    missing: NTSTATUS,
    arguments: &[u64],
) -> Outcome<(NTSTATUS, Disposition)> {
    if routine == 0 {
        return request.end(missing, 0);
    }
    let mut all = vec![request.device, request.irp.address()];
    all.extend(arguments);
    let returned = call.kernel.ke.call(call.kernel, routine, &all)?;
    let status = NTSTATUS::from_bits(u32::try_from(returned & 0xFFFF_FFFF).unwrap_or(0));
    Ok((status, Disposition::Processed))
}

/// Asks for data: all instances, or one. The lengths come where the answer keeps them.
fn query(
    call: Call<'_>,
    library: u64,
    request: &Request,
    (index, instances): (u32, u32),
) -> Outcome<(NTSTATUS, Disposition)> {
    let routine: u64 = raw::read(library + context::QUERY_DATA_BLOCK)?;
    let all = request.minor == abi::IRP_MN_QUERY_ALL_DATA;
    let (first, count, lengths, offset) = if all {
        let pairs = u32::try_from(node::ALL_PAIRS).unwrap_or(0).saturating_add(instances.saturating_mul(8));
        (0, instances, node::ALL_PAIRS, pairs.checked_next_multiple_of(8).unwrap_or(u32::MAX))
    } else {
        (request.read(node::INSTANCE_INDEX)?, 1, node::SINGLE_SIZE, request.read(node::SINGLE_OFFSET)?)
    };
    if first >= instances && !all {
        return request.end(abi::STATUS_WMI_INSTANCE_NOT_FOUND, 0);
    }
    let room = request.size.saturating_sub(offset);
    // Without room for the lengths the driver is asked how much it needs.
    let (lengths, data) =
        if room == 0 { (0, 0) } else { (request.buffer + lengths, request.buffer + u64::from(offset)) };
    if all && u64::from(request.size) >= node::ALL_PAIRS {
        request.write(node::ALL_DATA_OFFSET, offset)?;
        request.write(node::ALL_COUNT, instances)?;
        request.write(node::ALL_NAMES, 0)?;
    }
    let arguments = [index.into(), first.into(), count.into(), lengths, room.into(), data];
    hand_over(call, request, routine, abi::STATUS_WMI_NOT_SUPPORTED, &arguments)
}

fn answer(call: Call<'_>, library: u64, request: &Request) -> Outcome<(NTSTATUS, Disposition)> {
    if matches!(request.minor, abi::IRP_MN_REGINFO | abi::IRP_MN_REGINFO_EX) {
        return register(call, library, request);
    }
    let Some(block) = block_of(library, request.path)? else {
        return request.end(abi::STATUS_WMI_GUID_NOT_FOUND, 0);
    };
    let routine = |at: u64| raw::read::<u64>(library + at);
    let index = u64::from(block.0);
    match request.minor {
        abi::IRP_MN_QUERY_ALL_DATA | abi::IRP_MN_QUERY_SINGLE_INSTANCE => {
            query(call, library, request, block)
        }
        abi::IRP_MN_ENABLE_EVENTS
        | abi::IRP_MN_DISABLE_EVENTS
        | abi::IRP_MN_ENABLE_COLLECTION
        | abi::IRP_MN_DISABLE_COLLECTION => {
            let blocks = request.minor >= abi::IRP_MN_ENABLE_COLLECTION;
            let enable = matches!(request.minor, abi::IRP_MN_ENABLE_EVENTS | abi::IRP_MN_ENABLE_COLLECTION);
            let arguments = [index, blocks.into(), enable.into()];
            hand_over(call, request, routine(context::FUNCTION_CONTROL)?, abi::STATUS_SUCCESS, &arguments)
        }
        minor => {
            let instance = request.read(node::INSTANCE_INDEX)?;
            if instance >= block.1 {
                return request.end(abi::STATUS_WMI_INSTANCE_NOT_FOUND, 0);
            }
            let whole = minor == abi::IRP_MN_CHANGE_SINGLE_INSTANCE;
            let (offset, size) = if whole {
                (node::SINGLE_OFFSET, node::SINGLE_SIZE)
            } else {
                (node::ITEM_OFFSET, node::ITEM_SIZE)
            };
            let (offset, size) = (request.read(offset)?, request.read(size)?);
            let data = request.buffer + u64::from(offset);
            let room = u64::from(request.size.saturating_sub(offset));
            let (instance, size) = (u64::from(instance), u64::from(size));
            if whole {
                let arguments = [index, instance, size, data];
                return hand_over(
                    call,
                    request,
                    routine(context::SET_DATA_BLOCK)?,
                    abi::STATUS_WMI_READ_ONLY,
                    &arguments,
                );
            }
            let item = u64::from(request.read(node::ITEM_ID)?);
            if minor == abi::IRP_MN_CHANGE_SINGLE_ITEM {
                let arguments = [index, instance, item, size, data];
                hand_over(
                    call,
                    request,
                    routine(context::SET_DATA_ITEM)?,
                    abi::STATUS_WMI_READ_ONLY,
                    &arguments,
                )
            } else {
                let arguments = [index, instance, item, size, room, data];
                let missing = abi::STATUS_INVALID_DEVICE_REQUEST;
                hand_over(call, request, routine(context::EXECUTE_METHOD)?, missing, &arguments)
            }
        }
    }
}

/// The WNODE of a request that has been carried out, of which the driver has used `used` bytes for data: how long it is.
fn finish(request: &Request, status: NTSTATUS, used: u32) -> Outcome<(NTSTATUS, u32)> {
    let all = request.minor == abi::IRP_MN_QUERY_ALL_DATA;
    let offset = match request.minor {
        abi::IRP_MN_QUERY_ALL_DATA => request.read(node::ALL_DATA_OFFSET)?,
        abi::IRP_MN_QUERY_SINGLE_INSTANCE => request.read(node::SINGLE_OFFSET)?,
        abi::IRP_MN_EXECUTE_METHOD => request.read(node::ITEM_OFFSET)?,
        _ => return Ok((status, 0)),
    };
    if status == abi::STATUS_BUFFER_TOO_SMALL {
        // WNODE_TOO_SMALL: the request succeeds, and says what it needs.
        let needed = offset.max(node::HEADER + 24).saturating_add(used);
        request.write(node::SIZE, node::HEADER + 4)?;
        request.write(node::FLAGS, request.read(node::FLAGS)? | node::TOO_SMALL)?;
        request.write(u64::from(node::HEADER), needed)?;
        return Ok((abi::STATUS_SUCCESS, node::HEADER + 4));
    }
    if status.is_error() {
        return Ok((status, 0));
    }
    let length = offset.saturating_add(used);
    if all {
        // The driver's lengths become pairs of offset and length, from the last on, since they lie in the same place.
        let count = request.read(node::ALL_COUNT)?.min(request.size / 8);
        let mut lengths = Vec::new();
        for index in 0..u64::from(count) {
            lengths.push(request.read(node::ALL_PAIRS + index * 4)?);
        }
        let mut at = offset;
        for (index, length) in (0..).zip(lengths) {
            request.write(node::ALL_PAIRS + index * 8, at)?;
            request.write(node::ALL_PAIRS + index * 8 + 4, length)?;
            at = at.saturating_add(length).checked_next_multiple_of(8).unwrap_or(u32::MAX);
        }
    } else if request.minor == abi::IRP_MN_QUERY_SINGLE_INSTANCE {
        request.write(node::SINGLE_SIZE, used)?;
    } else {
        request.write(node::ITEM_SIZE, used)?;
    }
    request.write(node::SIZE, length)?;
    Ok((abi::STATUS_SUCCESS, length))
}

rows! {
    dll = "wmilib.sys";

    /// Answers a WMI request by the driver's routines, or says whose it is: forwarded, to be completed by the driver, or completed.
    irql(PASSIVE_LEVEL)
    fn WmiSystemControl(call, wmi_lib_info: u64, device_object: u64, irp: u64, irp_disposition: u64) -> NTSTATUS {
        let (major, request) = Request::of(device_object, irp)?;
        let is_wmi = major == abi::IRP_MJ_SYSTEM_CONTROL
            && matches!(request.minor, abi::IRP_MN_QUERY_ALL_DATA..=abi::IRP_MN_EXECUTE_METHOD | abi::IRP_MN_REGINFO_EX);
        let (status, disposition) = if !is_wmi {
            (NTSTATUS::from_bits(request.irp.status()?), Disposition::NotWmi)
        } else if request.provider != device_object {
            (NTSTATUS::from_bits(request.irp.status()?), Disposition::Forward)
        } else {
            // Written first: a routine may complete the request, and with it end what the caller looks at.
            raw::write(irp_disposition, Disposition::Processed as u32)?;
            answer(call, wmi_lib_info, &request)?
        };
        raw::write(irp_disposition, disposition as u32)?;
        Ok(status)
    }

    /// Completes a WMI request, with what the driver's routine has put into its buffer.
    irql(DISPATCH_LEVEL)
    fn WmiCompleteRequest(
        call,
        device_object: u64,
        irp: u64,
        status: u32,
        buffer_used: u32,
        priority_boost: u8
    ) -> NTSTATUS {
        let (_, request) = Request::of(device_object, irp)?;
        let (status, information) = finish(&request, NTSTATUS::from_bits(status), buffer_used)?;
        request.end(status, information)?;
        io::complete_request(call.kernel, request.irp, priority_boost)?;
        Ok(status)
    }

    /// Tells of an event of one of the driver's blocks. Its data, in pool, is freed (Confirm: that, and that it stays when there is no memory for the event).
    irql(APC_LEVEL)
    fn WmiFireEvent(
        call,
        device_object: u64,
        guid: u64,
        instance_index: u32,
        event_data_size: u32,
        event_data: u64
    ) -> NTSTATUS {
        const DATA: u32 = 64;
        let Some(size) = event_data_size.checked_add(DATA) else { return Ok(abi::STATUS_INVALID_PARAMETER) };
        let event = ex::allocate(call, size.into(), TAG, false, false)?;
        if event == 0 {
            return Ok(abi::STATUS_INSUFFICIENT_RESOURCES);
        }
        raw::fill(event, 0, DATA as usize)?;
        raw::write(event, size)?;
        raw::write(event + 4, u32::try_from(device_object & 0xFFFF_FFFF).unwrap_or(0))?;
        raw::copy_within(event + node::GUID, guid, 16)?;
        raw::write(event + node::FLAGS, node::SINGLE_INSTANCE | node::EVENT_ITEM)?;
        raw::write(event + node::INSTANCE_INDEX, instance_index)?;
        raw::write(event + node::SINGLE_OFFSET, DATA)?;
        raw::write(event + node::SINGLE_SIZE, event_data_size)?;
        if event_data != 0 {
            raw::copy_within(event + u64::from(DATA), event_data, event_data_size as usize)?;
            ex::free(call.kernel, event_data, 0)?;
        }
        let status = io::wmi_write_event(call.kernel, event)?;
        ex::free(call.kernel, event, 0)?;
        Ok(status)
    }
}
