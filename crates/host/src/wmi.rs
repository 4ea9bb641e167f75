//! WMI's side of the drivers that offer data blocks: who they are, and what is asked of them. On Windows its service does that.
//!
//! Source: kernel, WMI Minor IRPs; WMIREGINFO, WNODE_HEADER, WNODE_ALL_DATA, WNODE_SINGLE_INSTANCE, WNODE_METHOD_ITEM.

use abi::NTSTATUS;
use kernel::io::{self, WmiAnswer, WmiRequest};
use kernel::raw::DeviceObject;

use crate::machine::Machine;

/// Bytes of an answer at first; one that says that it needs more gets it.
const ROOM: usize = 4096;
/// Bytes that an answer may have.
const MOST: usize = 1 << 20;
const HEADER: usize = 48;
const FLAGS_AT: usize = 44;
const WNODE_FLAG_ALL_DATA: u32 = 0x1;
const WNODE_FLAG_SINGLE_INSTANCE: u32 = 0x2;
const WNODE_FLAG_SINGLE_ITEM: u32 = 0x4;
const WNODE_FLAG_FIXED_INSTANCE_SIZE: u32 = 0x10;
const WNODE_FLAG_TOO_SMALL: u32 = 0x20;
const WNODE_FLAG_METHOD_ITEM: u32 = 0x80;
const WNODE_FLAG_STATIC_INSTANCE_NAMES: u32 = 0x200;

/// A GUID as it lies in memory.
pub type Guid = [u8; 16];

/// A device that is registered with WMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WmiProvider {
    /// Address of its device object: what requests call `ProviderId`.
    pub id: u64,
    /// The device's name; empty when it has none.
    pub device: String,
    /// Its data blocks, or the status with which it refused to tell.
    pub blocks: Result<Vec<WmiBlock>, NTSTATUS>,
}

/// A data block, event or method block of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WmiBlock {
    /// Its GUID.
    pub guid: Guid,
    /// WMIREG_FLAG_*.
    pub flags: u32,
    /// How many instances there are of it.
    pub instances: u32,
}

/// What is asked of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WmiQuery<'a> {
    /// IRP_MN_QUERY_ALL_DATA: every instance.
    AllData,
    /// IRP_MN_QUERY_SINGLE_INSTANCE.
    Instance(u32),
    /// IRP_MN_CHANGE_SINGLE_INSTANCE.
    SetInstance(u32, &'a [u8]),
    /// IRP_MN_CHANGE_SINGLE_ITEM: instance, item, its bytes.
    SetItem(u32, u32, &'a [u8]),
    /// IRP_MN_EXECUTE_METHOD: instance, method, its input.
    Method(u32, u32, &'a [u8]),
    /// IRP_MN_ENABLE_EVENTS, IRP_MN_DISABLE_EVENTS.
    Events(bool),
    /// IRP_MN_ENABLE_COLLECTION, IRP_MN_DISABLE_COLLECTION.
    Collection(bool),
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
}

fn put(bytes: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

impl Machine {
    /// The devices whose drivers have registered with WMI (`IoWMIRegistrationControl`), each asked for its blocks
    /// (IRP_MN_REGINFO_EX, and IRP_MN_REGINFO where that is refused).
    ///
    /// # Errors
    /// `STATUS_DEVICE_NOT_CONNECTED` when the machine has stopped.
    pub fn wmi_providers(&self) -> Result<Vec<WmiProvider>, NTSTATUS> {
        let mut providers = Vec::new();
        for device in io::wmi_providers(self.kernel()) {
            let blocks = match self.registration(device) {
                Err(abi::STATUS_DEVICE_NOT_CONNECTED) => return Err(abi::STATUS_DEVICE_NOT_CONNECTED),
                blocks => blocks,
            };
            let name = self.device_name(device.address());
            providers.push(WmiProvider { id: device.address(), device: name, blocks });
        }
        Ok(providers)
    }

    fn registration(&self, device: DeviceObject) -> Result<Vec<WmiBlock>, NTSTATUS> {
        let mut status = abi::STATUS_NOT_SUPPORTED;
        for minor in [abi::IRP_MN_REGINFO_EX, abi::IRP_MN_REGINFO] {
            let mut room = ROOM;
            loop {
                let request = WmiRequest { minor, guid: None, buffer: vec![0; room] };
                let answer = io::wmi_request(self.kernel(), device, &request)?;
                if answer.status.is_success() {
                    let length = usize::try_from(answer.information).unwrap_or(0).min(room);
                    return Ok(blocks(&answer.buffer[..length]));
                }
                status = answer.status;
                // The first word is what it needs.
                let needed = word(&answer.buffer, 0).unwrap_or(0);
                if status != abi::STATUS_BUFFER_TOO_SMALL || needed <= room || needed > MOST {
                    break;
                }
                room = needed;
            }
        }
        Err(status)
    }

    /// Asks the provider `id` of a block. The answer is the data of each instance for queries, the method's output, or nothing.
    ///
    /// # Errors
    /// The driver's status: STATUS_WMI_GUID_NOT_FOUND, STATUS_WMI_INSTANCE_NOT_FOUND, STATUS_NOT_SUPPORTED, …;
    /// `STATUS_INVALID_PARAMETER` when `id` is no provider; `STATUS_INVALID_BUFFER_SIZE` for an answer that is none or too long;
    /// `STATUS_DEVICE_NOT_CONNECTED`.
    pub fn wmi_query(&self, id: u64, guid: Guid, query: WmiQuery<'_>) -> Result<Vec<Vec<u8>>, NTSTATUS> {
        let provider = io::wmi_providers(self.kernel()).into_iter().find(|device| device.address() == id);
        let provider = provider.ok_or(abi::STATUS_INVALID_PARAMETER)?;
        let mut room = ROOM;
        loop {
            let (minor, buffer) = request(id, guid, query, room);
            let asked = WmiRequest { minor, guid: Some(guid), buffer };
            let answer = io::wmi_request(self.kernel(), provider, &asked)?;
            if !answer.status.is_success() {
                return Err(answer.status);
            }
            match needed(&answer) {
                Some(needed) if needed > room && needed <= MOST => room = needed,
                Some(_) => return Err(abi::STATUS_INVALID_BUFFER_SIZE),
                None => return read(&answer, query).ok_or(abi::STATUS_INVALID_BUFFER_SIZE),
            }
        }
    }
}

/// The blocks of a WMIREGINFO, as many as are whole.
fn blocks(bytes: &[u8]) -> Vec<WmiBlock> {
    const COUNT_AT: usize = 16;
    const FIRST_AT: usize = 24;
    const SIZE: usize = 32;
    let count = word(bytes, COUNT_AT).unwrap_or(0);
    let all = bytes.get(FIRST_AT..).unwrap_or_default().chunks_exact(SIZE).take(count);
    let block = |entry: &[u8]| WmiBlock {
        guid: entry[..16].try_into().expect("16 bytes"),
        flags: u32::from_le_bytes(entry[16..20].try_into().expect("four bytes")),
        instances: u32::from_le_bytes(entry[20..24].try_into().expect("four bytes")),
    };
    all.map(block).collect()
}

/// Minor function and WNODE of a query, with at least `room` bytes for the answer.
fn request(id: u64, guid: Guid, query: WmiQuery<'_>, room: usize) -> (u8, Vec<u8>) {
    let mut node = vec![0; room.max(HEADER + 24)];
    let (minor, kind) = match query {
        WmiQuery::AllData => (abi::IRP_MN_QUERY_ALL_DATA, WNODE_FLAG_ALL_DATA),
        WmiQuery::Instance(_) => (abi::IRP_MN_QUERY_SINGLE_INSTANCE, WNODE_FLAG_SINGLE_INSTANCE),
        WmiQuery::SetInstance(..) => (abi::IRP_MN_CHANGE_SINGLE_INSTANCE, WNODE_FLAG_SINGLE_INSTANCE),
        WmiQuery::SetItem(..) => (abi::IRP_MN_CHANGE_SINGLE_ITEM, WNODE_FLAG_SINGLE_ITEM),
        WmiQuery::Method(..) => (abi::IRP_MN_EXECUTE_METHOD, WNODE_FLAG_METHOD_ITEM),
        WmiQuery::Events(true) => (abi::IRP_MN_ENABLE_EVENTS, 0),
        WmiQuery::Events(false) => (abi::IRP_MN_DISABLE_EVENTS, 0),
        WmiQuery::Collection(true) => (abi::IRP_MN_ENABLE_COLLECTION, 0),
        WmiQuery::Collection(false) => (abi::IRP_MN_DISABLE_COLLECTION, 0),
    };
    // WNODE_SINGLE_INSTANCE has its index at 52, offset and size of the data behind; the others an item or method between.
    let mut place = |at: usize, index: u32, item: Option<u32>, data: &[u8]| {
        let data_at = 72;
        put(&mut node, 52, index as usize);
        let at = match item {
            Some(item) => {
                put(&mut node, at, item as usize);
                at + 4
            }
            None => at,
        };
        put(&mut node, at, data_at);
        put(&mut node, at + 4, data.len());
        let end = data_at + data.len();
        if node.len() < end {
            node.resize(end, 0);
        }
        node[data_at..end].copy_from_slice(data);
    };
    match query {
        WmiQuery::Instance(index) => place(56, index, None, &[]),
        WmiQuery::SetInstance(index, data) => place(56, index, None, data),
        WmiQuery::SetItem(index, item, data) | WmiQuery::Method(index, item, data) => {
            place(56, index, Some(item), data);
        }
        WmiQuery::AllData | WmiQuery::Events(_) | WmiQuery::Collection(_) => {}
    }
    let length = node.len();
    put(&mut node, 0, length);
    node[4..8].copy_from_slice(&id.to_le_bytes()[..4]);
    node[24..40].copy_from_slice(&guid);
    put(&mut node, FLAGS_AT, (kind | WNODE_FLAG_STATIC_INSTANCE_NAMES) as usize);
    (minor, node)
}

/// The bytes that a WNODE_TOO_SMALL asks for.
fn needed(answer: &WmiAnswer) -> Option<usize> {
    let flags = word(&answer.buffer, FLAGS_AT)?;
    if flags & WNODE_FLAG_TOO_SMALL as usize == 0 { None } else { word(&answer.buffer, HEADER) }
}

/// The data in an answer; nothing in it is taken for granted.
fn read(answer: &WmiAnswer, query: WmiQuery<'_>) -> Option<Vec<Vec<u8>>> {
    let length = usize::try_from(answer.information).ok()?;
    let bytes = answer.buffer.get(..length)?;
    let part = |at: usize, size: usize| bytes.get(at..at.checked_add(size)?).map(<[u8]>::to_vec);
    match query {
        WmiQuery::AllData => {
            let (start, count) = (word(bytes, 48)?, word(bytes, 52)?);
            let fixed = word(bytes, FLAGS_AT)? & WNODE_FLAG_FIXED_INSTANCE_SIZE as usize != 0;
            let size = word(bytes, 60)?;
            // As many as there can be, however many it says.
            (0..count.min(bytes.len()))
                .map(|index| match fixed {
                    // Each begins at a multiple of eight bytes.
                    true => part(start.checked_add(index.checked_mul(size.next_multiple_of(8))?)?, size),
                    false => part(word(bytes, 60 + index * 8)?, word(bytes, 64 + index * 8)?),
                })
                .collect()
        }
        WmiQuery::Instance(_) => Some(vec![part(word(bytes, 56)?, word(bytes, 60)?)?]),
        WmiQuery::Method(..) => Some(vec![part(word(bytes, 60)?, word(bytes, 64)?)?]),
        _ => Some(Vec::new()),
    }
}
