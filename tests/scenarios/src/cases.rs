//! The C test drivers, as `tests/drivers/cases.h` describes them: their codes, and what they answer; and opening devices.

use abi::NTSTATUS;
use app::{ControlCode, Device, Win32Error};
use gate::{CreateFile, Handle, Transport};
use host::{LoadOptions, Machine, Process};

use crate::sys_path;

/// Opens a device, by its name below `\??\`, for requests that are made side by side: a file without
/// FILE_SYNCHRONOUS_IO_…, whose handle can be closed meanwhile.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
pub fn open_asynchronous(process: &Process, name: &str, desired_access: u32) -> Handle {
    let path: Vec<u16> = r"\??\".encode_utf16().chain(name.encode_utf16()).collect();
    let request = CreateFile {
        path: &path,
        desired_access,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options: 0,
        security_qos: None,
    };
    process.create_file(&request).expect("opens").0
}

/// The control code of a case: `CASE_CODE` of `cases.h`.
#[must_use]
pub fn case_code(number: u32) -> ControlCode {
    ControlCode(abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800 + number, abi::METHOD_BUFFERED, 0))
}

/// Input words as the drivers read them.
#[must_use]
pub fn words(inputs: &[u64]) -> Vec<u8> {
    inputs.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A `case_result`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// What the case concluded: 0, or an exception's code.
    pub status: u32,
    /// What it noted.
    pub values: Vec<u64>,
    /// How often its filters were asked.
    pub executed: u32,
}

const RESULT_LENGTH: usize = 216;
const VALUES_AT: usize = 16;
const EXECUTED_AT: usize = 208;

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Runs a case of a driver that answers with a `case_result`.
///
/// # Errors
/// The request's error.
///
/// # Panics
/// When the answer is none of this case.
pub fn run_case(device: &Device<'_>, number: u32, inputs: &[u64]) -> Result<CaseResult, Win32Error> {
    let mut answer = [0; RESULT_LENGTH];
    let bytes = device.control(case_code(number), &words(inputs), &mut answer)?;
    assert_eq!(bytes as usize, RESULT_LENGTH, "case {number}");
    assert_eq!((half(&answer, 0), half(&answer, 4)), (216, number), "size and number");
    let count = half(&answer, 12) as usize;
    let values = (0..count).map(|index| word(&answer, VALUES_AT + index * 8)).collect();
    Ok(CaseResult { status: half(&answer, 8), values, executed: half(&answer, EXECUTED_AT) })
}

/// A machine with the C test driver `name`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn machine_with(name: &str) -> Machine {
    let machine = Machine::new().expect("a machine");
    machine.load(&sys_path(name), LoadOptions::default()).expect("the driver loads");
    machine
}

/// Opens a path for reading and writing.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
pub fn open<'a>(transport: &'a dyn Transport, path: &str) -> Device<'a> {
    Device::open(transport, path).unwrap_or_else(|error| panic!("{error}"))
}

/// The status of a request that fails.
///
/// # Panics
/// When it succeeds.
pub fn failure<T: std::fmt::Debug>(result: Result<T, Win32Error>) -> NTSTATUS {
    result.expect_err("the request fails").status
}
