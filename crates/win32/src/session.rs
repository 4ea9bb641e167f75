//! The way to the machine: one for the whole process, made when it is first needed.

use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use abi::NTSTATUS;
use gate::{Client, Management, SystemCall, SystemReply, Transport};

use crate::failure::{Failure, checked};

/// Who loads drivers, of a session that this library has made.
static MANAGEMENT: OnceLock<Arc<dyn Management>> = OnceLock::new();
static SESSION: OnceLock<Arc<dyn Transport>> = OnceLock::new();
/// Of whoever connects.
static CONNECTING: Mutex<()> = Mutex::new(());
static TOLD: Once = Once::new();
/// The process whose session it is; not that of a child that it forks.
static OWNER: OnceLock<u32> = OnceLock::new();

/// Makes this program's Win32 calls go to `transport`, for example a process of a machine in the same program.
///
/// # Errors
/// The transport back, when calls go to another one already.
pub fn use_transport(transport: Arc<dyn Transport>) -> Result<(), Arc<dyn Transport>> {
    SESSION.set(transport)?;
    OWNER.get_or_init(std::process::id);
    Ok(())
}

/// Whether this process is a child that was forked from the session's: nothing here is its own.
pub(crate) fn is_forked() -> bool {
    OWNER.get().is_some_and(|owner| *owner != std::process::id())
}

/// Whether requests can still end.
pub(crate) fn is_connected() -> bool {
    current().is_some_and(Transport::is_connected)
}

/// The session, if there is one already.
pub(crate) fn current() -> Option<&'static dyn Transport> {
    SESSION.get().map(|transport| &**transport)
}

/// The session. ERROR_DEVICE_NOT_CONNECTED, and once a line on stderr that says what to do, when no host is there.
pub(crate) fn session() -> Result<&'static dyn Transport, NTSTATUS> {
    if let Some(transport) = current() {
        return Ok(transport);
    }
    let connecting = CONNECTING.lock().unwrap_or_else(PoisonError::into_inner);
    if current().is_none() {
        match Client::connect(gate::default_socket_path()) {
            Ok(client) => {
                OWNER.get_or_init(std::process::id);
                let transport = Arc::new(client);
                MANAGEMENT.get_or_init(|| transport.clone());
                // Somebody else's, who was faster, is as good.
                let _whose = SESSION.set(transport);
            }
            Err(error) => {
                TOLD.call_once(|| eprintln!("ringbridge: {error}"));
                return Err(abi::STATUS_DEVICE_NOT_CONNECTED);
            }
        }
    }
    drop(connecting);
    current().ok_or(abi::STATUS_DEVICE_NOT_CONNECTED)
}

/// Who loads drivers. ERROR_NOT_SUPPORTED in a program that has its own transport.
pub(crate) fn management() -> Result<&'static dyn Management, Failure> {
    if !session()?.is_connected() {
        return Err(NTSTATUS::into(abi::STATUS_DEVICE_NOT_CONNECTED));
    }
    MANAGEMENT.get().map(|management| &**management).ok_or(Failure(abi::ERROR_NOT_SUPPORTED))
}

/// Makes a system call that says no more than whether it succeeded.
pub(crate) fn call(call: &SystemCall<'_>) -> Result<(), Failure> {
    checked(ask(call, &mut [])?.status)
}

/// Makes a system call.
pub(crate) fn ask(call: &SystemCall<'_>, output: &mut [u8]) -> Result<SystemReply, Failure> {
    Ok(session()?.system_call(call, output))
}
