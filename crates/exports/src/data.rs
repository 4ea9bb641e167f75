//! Data exports: variables whose address drivers import. Each machine has its own.

use abi::NTSTATUS;
use kernel::mm::{PoolBlock, PoolOwner};
use kernel::{Kernel, raw};

use crate::{Address, Row, Support};

/// A machine's variables: slots of 16 bytes in its system space.
#[derive(Debug)]
pub struct DataExports {
    block: PoolBlock,
}

const SLOT: usize = 16;

struct Variable {
    row: Row,
    value: fn(&Kernel) -> u64,
}

macro_rules! variables {
    ($($(#[doc = $doc:literal])+ static $name:ident: $type:ty = |$kernel:ident| $value:expr;)*) => {
        const VARIABLES: &[Variable] = &[$(Variable {
            row: Row {
                name: stringify!($name),
                aliases: &[],
                dll: "ntoskrnl.exe",
                signature: stringify!($type),
                irql: abi::HIGH_LEVEL,
                support: Support::Full,
                doc: concat!($($doc),+),
                address: Address::Data(0),
            },
            value: |$kernel| $value,
        }),*];
    };
}

variables! {
    /// The first address that is not an application's.
    static MmUserProbeAddress: u64 = |_kernel| platform::pages::USER_PROBE_ADDRESS as u64;
    /// The last address that can be an application's.
    static MmHighestUserAddress: u64 = |_kernel| platform::pages::USER_PROBE_ADDRESS as u64 - 1;
    /// The first address of system space.
    static MmSystemRangeStart: u64 = |kernel| kernel.mm.space.range().start as u64;
    /// The number of processors, in its low byte.
    static KeNumberProcessors: i8 = |kernel| u64::from(kernel.ke.processors());
    /// The build number, with 0xF0000000 for a free build.
    static NtBuildNumber: u32 = |_kernel| 0xF000_4A65;
    /// Whether a kernel debugger is enabled: no.
    static KdDebuggerEnabled: u8 = |_kernel| 0;
    /// Whether no kernel debugger is present: true.
    static KdDebuggerNotPresent: u8 = |_kernel| 1;
    /// Whether the system started in safe mode: no.
    static InitSafeBootMode: u32 = |_kernel| 0;
    /// Address of a structure with the numbers of privileges and the well-known SIDs.
    static SeExports: u64 = |kernel| kernel::se::exports_block(kernel).unwrap_or(0);
    /// The type of file objects.
    static IoFileObjectType: u64 = |kernel| kernel.ob.type_address("File");
    /// The type of device objects.
    static IoDeviceObjectType: u64 = |kernel| kernel.ob.type_address("Device");
    /// The type of driver objects.
    static IoDriverObjectType: u64 = |kernel| kernel.ob.type_address("Driver");
    /// The type of event objects.
    static ExEventObjectType: u64 = |kernel| kernel.ob.type_address("Event");
    /// The type of section objects.
    static MmSectionObjectType: u64 = |kernel| kernel.ob.type_address("Section");
    /// The type of semaphore objects.
    static ExSemaphoreObjectType: u64 = |kernel| kernel.ob.type_address("Semaphore");
    /// The type of thread objects.
    static PsThreadType: u64 = |kernel| kernel.ob.type_address("Thread");
    /// The type of process objects.
    static PsProcessType: u64 = |kernel| kernel.ob.type_address("Process");
    /// The type of access tokens.
    static SeTokenObjectType: u64 = |kernel| kernel.ob.type_address("Token");
    /// The type of ports.
    static LpcPortObjectType: u64 = |kernel| kernel.ob.type_address("Port");
    /// The type of registry keys.
    static CmKeyObjectType: u64 = |kernel| kernel.ob.type_address("Key");
    /// The system process.
    static PsInitialSystemProcess: u64 = |kernel| {
        let system = kernel::ps::process_object(kernel, kernel.ps.system());
        system.map_or(0, |object| object.address)
    };
}

/// The rows of the data exports.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    VARIABLES
        .iter()
        .enumerate()
        .map(|(index, variable)| Row { address: Address::Data(index), ..variable.row })
}

impl DataExports {
    /// Makes a machine's variables.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(kernel: &Kernel) -> Result<Self, NTSTATUS> {
        const TAG: u32 = u32::from_le_bytes(*b"Data");
        let block = kernel.mm.pool.allocate_zeroed(VARIABLES.len() * SLOT, TAG, PoolOwner::default());
        let this = Self { block: block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)? };
        for (index, variable) in VARIABLES.iter().enumerate() {
            raw::write(this.address(index), (variable.value)(kernel))
                .map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
        }
        kernel.set_variables(this.block.address);
        Ok(this)
    }

    /// Address of the variable with this index.
    #[must_use]
    pub fn address(&self, index: usize) -> u64 {
        address_in(self.block.address, index)
    }
}

fn address_in(block: u64, index: usize) -> u64 {
    block + (index * SLOT) as u64
}

/// Address of the machine's variable with this index; `None` in a machine without variables.
pub(crate) fn address_of(kernel: &Kernel, index: usize) -> Option<u64> {
    Some(address_in(kernel.variables()?, index))
}
