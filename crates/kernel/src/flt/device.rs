//! `\FileSystem\Filters\FltMgrMsg`: the device whose files are the applications' ends of connections. A file's create request brings
//! the port's name and the context; its `FsContext2` is the connection.

use std::sync::Arc;

use abi::NTSTATUS;

use super::connection::{Connection, HEADER, complete};
use super::{filter, port};
use crate::io::{self, BuiltIn, DeviceParameters, OpenRequest};
use crate::ke::Thread;
use crate::ob::{self, Directory, Object};
use crate::ps::Process;
use crate::raw::{self, DeviceObject, FileObject, IoStackLocation, Irp, Outcome};
use crate::se::{self, Ace, Acl, SecurityDescriptor, well_known};
use crate::{Kernel, Unwind};

const DRIVER: &str = "FltMgr";
const DIRECTORY: &str = r"\FileSystem\Filters";
const DEVICE: &str = r"\FileSystem\Filters\FltMgrMsg";
/// In a create request: two lengths in bytes, of the port's name and of the context, before both.
const EXTENDED_HEADER: usize = 16;

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// The address that stands for the routines of the filter manager's driver, which is made with the first filter.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub(super) fn routines(kernel: &Kernel) -> Result<u64, NTSTATUS> {
    let mut routines = kernel.flt.routines.lock(&*kernel.platform);
    if *routines != 0 {
        return Ok(*routines);
    }
    let built_in = BuiltIn { dispatch, cancel, unload: filter::unload };
    let (driver, address) = io::make_built_in(kernel, DRIVER, built_in)?;
    let directory = Object::new(0, Directory::default());
    // Whoever made one of this name before has the device in it.
    let _exists = kernel.ob.insert(&wide(DIRECTORY), &directory, true);
    directory.dereference(kernel);
    let parameters = DeviceParameters {
        name: Some(wide(DEVICE)),
        device_type: abi::FILE_DEVICE_DISK_FILE_SYSTEM,
        // The descriptor of the port decides.
        security: Some(everyone()),
        ..DeviceParameters::default()
    };
    let device = io::create_device(kernel, &driver, &parameters);
    let device = device.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)??;
    let ready = device.flags().and_then(|flags| device.set_flags(flags & !abi::DO_DEVICE_INITIALIZING));
    ready.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    *routines = address;
    Ok(address)
}

fn everyone() -> SecurityDescriptor {
    let rights = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE;
    let aces = vec![
        Ace::allow(rights, well_known::WORLD),
        Ace::allow(abi::FILE_ALL_ACCESS, well_known::LOCAL_SYSTEM),
    ];
    SecurityDescriptor::new(well_known::ADMINISTRATORS, well_known::LOCAL_SYSTEM, Acl::new(aces))
}

/// `FilterConnectCommunicationPort` of an application: a handle of `process` to a connection with the port of this name. Must run
/// inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for other options than FLT_PORT_FLAG_SYNC_HANDLE, and for a context of more than 65,535 bytes;
/// what the look-up of the name says; `STATUS_OBJECT_TYPE_MISMATCH` for what is no port; `STATUS_ACCESS_DENIED` when its descriptor does
/// not give the caller FLT_PORT_CONNECT; `STATUS_CONNECTION_COUNT_LIMIT`; what the filter answers.
///
/// Source: FilterConnectCommunicationPort.
pub fn connect(
    kernel: &Kernel,
    process: &Process,
    name: &[u16],
    options: u32,
    context: &[u8],
) -> Result<u32, NTSTATUS> {
    let most = usize::from(u16::MAX);
    if options & !abi::FLT_PORT_FLAG_SYNC_HANDLE != 0 || context.len() > most || name.len() * 2 > most {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let mut extended = Vec::with_capacity(EXTENDED_HEADER + name.len() * 2 + context.len());
    for length in [name.len() * 2, context.len()] {
        extended.extend_from_slice(&(length as u64).to_le_bytes());
    }
    // First, for the filter gets it in place, and it may want it aligned.
    extended.extend_from_slice(context);
    extended.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    let synchronous = options & abi::FLT_PORT_FLAG_SYNC_HANDLE != 0;
    // A port is looked for only once there was a filter.
    if *kernel.flt.routines.lock(&*kernel.platform) == 0 {
        return Err(kernel.ob.find(name, false).err().unwrap_or(abi::STATUS_OBJECT_TYPE_MISMATCH));
    }
    let path = wide(DEVICE);
    let request = OpenRequest {
        path: &path,
        desired_access: abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE,
        create_disposition: abi::FILE_OPEN,
        create_options: if synchronous { abi::FILE_SYNCHRONOUS_IO_NONALERT } else { 0 },
        extended: &extended,
        user_mode: true,
        ..OpenRequest::default()
    };
    io::create_file(kernel, process, &request).map(|(handle, _)| handle)
}

/// The dispatch routine of every major function.
fn dispatch(kernel: &Kernel, _device: DeviceObject, irp: Irp) -> Outcome<NTSTATUS> {
    let location = IoStackLocation::at(irp.current_stack_location()?);
    match location.major_function()? {
        abi::IRP_MJ_CREATE => {
            let status = create(kernel, irp, location)?.err().unwrap_or(abi::STATUS_SUCCESS);
            complete(kernel, irp, status, abi::FILE_OPENED as u64)
        }
        abi::IRP_MJ_CLEANUP => {
            if let Some(object) = connection_of(kernel, location)?
                && let Some(connection) = object.body::<Connection>()
            {
                // (Confirm: with which status requests end whose handle is closed.)
                connection.disconnect(kernel, abi::STATUS_CANCELLED)?;
                connection.client_closed(kernel)?;
            }
            complete(kernel, irp, abi::STATUS_SUCCESS, 0)
        }
        abi::IRP_MJ_CLOSE => {
            if let Some(object) = connection_of(kernel, location)? {
                object.dereference(kernel);
            }
            complete(kernel, irp, abi::STATUS_SUCCESS, 0)
        }
        abi::IRP_MJ_DEVICE_CONTROL => control(kernel, irp, location),
        _ => complete(kernel, irp, abi::STATUS_INVALID_DEVICE_REQUEST, 0),
    }
}

/// The cancel routine of requests for a message.
fn cancel(kernel: &Kernel, thread: &Thread, irp: Irp) -> Outcome<()> {
    io::release_cancel_spin_lock(kernel, thread, irp.cancel_irql()?)?;
    let location = IoStackLocation::at(irp.current_stack_location()?);
    if let Some(object) = connection_of(kernel, location)?
        && let Some(connection) = object.body::<Connection>()
    {
        connection.forget(irp);
    }
    complete(kernel, irp, abi::STATUS_CANCELLED, 0).map(drop)
}

/// The connection whose file a request is on. The file keeps it.
fn connection_of(kernel: &Kernel, location: IoStackLocation) -> Outcome<Option<Arc<Object>>> {
    let file = FileObject::at(location.file_object()?);
    Ok(kernel.ob.by_address(file.fs_context2()?))
}

/// Connects a file that is being opened.
fn create(kernel: &Kernel, irp: Irp, location: IoStackLocation) -> Outcome<Result<(), NTSTATUS>> {
    let file = FileObject::at(location.file_object()?);
    let (extended, length) = (irp.system_buffer()?, location.parameter(3)? & u64::from(u32::MAX));
    if extended == 0 || length < EXTENDED_HEADER as u64 {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    }
    let (name_length, context_length): (u64, u64) = (raw::read(extended)?, raw::read(extended + 8)?);
    let (most, rest) = (u64::from(u16::MAX), length - EXTENDED_HEADER as u64);
    let (Ok(context_length), true) = (
        u32::try_from(context_length),
        name_length <= most && context_length <= most && name_length + context_length == rest,
    ) else {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    };
    let context = extended + EXTENDED_HEADER as u64;
    let mut bytes = vec![0; usize::try_from(name_length).unwrap_or(0)];
    raw::copy_from(&mut bytes, context + u64::from(context_length))?;
    let name: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let user_mode = irp.requestor_mode()? != 0;
    let current = |_: &Kernel, thread: &Thread| ob::current_process(kernel, thread);
    let found =
        Kernel::with_current(current).unwrap_or(Err(abi::STATUS_INVALID_DEVICE_STATE)).and_then(|process| {
            let found = kernel.ob.find(&name, false)?;
            if found.object.body::<port::ServerPort>().is_none() || !found.rest.is_empty() {
                return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
            }
            se::check_for_caller(kernel, &process, &found.object, abi::FLT_PORT_CONNECT, user_mode)?;
            Ok(found.object)
        });
    let port = match found {
        Ok(port) => port,
        Err(status) => return Ok(Err(status)),
    };
    let connected = port::connect(kernel, &port, (context, context_length))?;
    match connected {
        Ok(connection) => file.set_fs_context2(connection.address).map(Ok),
        Err(status) => Ok(Err(status)),
    }
}

fn control(kernel: &Kernel, irp: Irp, location: IoStackLocation) -> Outcome<NTSTATUS> {
    let low = |word: u64| io::low_half(word);
    let output = (irp.user_buffer()?, low(location.parameter(0)?));
    let input = (location.parameter(3)?, low(location.parameter(1)?));
    let code = low(location.parameter(2)?);
    let Some(object) = connection_of(kernel, location)? else {
        return complete(kernel, irp, abi::STATUS_INVALID_DEVICE_REQUEST, 0);
    };
    let Some(connection) = object.body::<Connection>() else {
        return complete(kernel, irp, abi::STATUS_INVALID_DEVICE_REQUEST, 0);
    };
    match code {
        abi::FILTER_PORT_GET_MESSAGE => {
            let cancel = routines(kernel).map_err(Unwind::status)?;
            connection.get(kernel, irp, location, output, cancel)
        }
        abi::FILTER_PORT_REPLY_MESSAGE => {
            let status = connection.reply(kernel, input)?;
            complete(kernel, irp, status, 0)
        }
        abi::FILTER_PORT_REPLY_AND_GET_MESSAGE => {
            if output.1 < HEADER {
                return complete(kernel, irp, abi::STATUS_INVALID_PARAMETER, 0);
            }
            let status = connection.reply(kernel, input)?;
            if status == abi::STATUS_SUCCESS {
                let cancel = routines(kernel).map_err(Unwind::status)?;
                return connection.get(kernel, irp, location, output, cancel);
            }
            let status = status.bits().to_le_bytes();
            match raw::copy_to(output.0, &status) {
                Ok(()) => complete(kernel, irp, abi::STATUS_SUCCESS, status.len() as u64),
                Err(_) => complete(kernel, irp, abi::STATUS_ACCESS_VIOLATION, 0),
            }
        }
        abi::FILTER_PORT_SEND_MESSAGE => {
            // The low half of the IRP's own word, where the filter can write and nobody else looks meanwhile.
            let returned = irp.address() + std::mem::offset_of!(abi::IRP, IoStatus.Information) as u64;
            irp.set_information(0)?;
            let status = match connection.message(kernel, input, output, returned)? {
                // Nothing is pended here: a filter that says so has answered nothing.
                abi::STATUS_PENDING => abi::STATUS_UNSUCCESSFUL,
                status => status,
            };
            let count = low(irp.information()?).min(output.1);
            complete(kernel, irp, status, if status.is_error() { 0 } else { count.into() })
        }
        _ => complete(kernel, irp, abi::STATUS_INVALID_DEVICE_REQUEST, 0),
    }
}
