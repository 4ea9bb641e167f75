//! Starting and stopping services as requests of a Ringbridge machine: `NtLoadDriver` and `NtUnloadDriver`.

use abi::NTSTATUS;
use gate::{SystemCall, Transport};

use crate::error::Win32Error;

fn key_of(name: &str) -> Vec<u16> {
    format!(r"\Registry\Machine\System\CurrentControlSet\Services\{name}").encode_utf16().collect()
}

fn ended(function: &'static str, name: &str, status: NTSTATUS) -> Result<(), Win32Error> {
    if status.is_error() { Err(Win32Error::new(function, name, status)) } else { Ok(()) }
}

pub(crate) fn start(transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    let call = SystemCall::LoadDriver { key: &key_of(name) };
    ended("StartService", name, transport.system_call(&call, &mut []).status)
}

pub(crate) fn stop(transport: &dyn Transport, name: &str) -> Result<(), Win32Error> {
    let call = SystemCall::UnloadDriver { key: &key_of(name) };
    ended("ControlService", name, transport.system_call(&call, &mut []).status)
}
