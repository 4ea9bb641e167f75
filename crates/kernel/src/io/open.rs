//! `NtCreateFile`: from a path to a file object and a handle, by way of IRP_MJ_CREATE.

use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use abi::NTSTATUS;
use platform::scheduler::Lock;

use super::file::File;
use super::{Device, device, information, request};
use crate::Kernel;
use crate::mm::{PoolBlock, PoolOwner};
use crate::ob::{Found, Object};
use crate::ps::Process;
use crate::raw::{self, DispatcherHeader, FileObject, Outcome};
use crate::se::{self, QualityOfService, SecurityDescriptor, SubjectContext};

/// Tag of file objects and their names.
pub(super) const FILE_TAG: u32 = u32::from_le_bytes(*b"File");
/// Longest path, in UTF-16 units: what a UNICODE_STRING can hold.
const MAX_PATH_UNITS: usize = 32_767;

/// What `NtCreateFile` is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenRequest<'a> {
    /// NT path; with a related file, a name without a backslash in front, or none.
    pub path: &'a [u16],
    /// The open file that the name is relative to (OBJECT_ATTRIBUTES.RootDirectory).
    pub related: Option<&'a Arc<Object>>,
    /// Access mask; generic bits allowed.
    pub desired_access: u32,
    /// FILE_ATTRIBUTE_*.
    pub file_attributes: u32,
    /// FILE_SHARE_*.
    pub share_access: u32,
    /// FILE_OPEN, …
    pub create_disposition: u32,
    /// FILE_SYNCHRONOUS_IO_NONALERT, …
    pub create_options: u32,
    /// What the create request brings besides in its system buffer (`EaLength`), in its driver's own form.
    pub extended: &'a [u8],
    /// Whether the caller is an application (`UserMode`).
    pub user_mode: bool,
    /// For `NtCreateNamedPipeFile`: what the pipe is to be.
    pub named_pipe: Option<NamedPipe<'a>>,
    /// For `NtCreateMailslotFile`: what the mailslot is to be.
    pub mailslot: Option<Mailslot>,
    /// Whether rights are checked for kernel mode too (IO_FORCE_ACCESS_CHECK, OBJ_FORCE_ACCESS_CHECK).
    pub force_access_check: bool,
    /// Whether not the file but the folder that it is in is opened, for a file that gets this name (IO_OPEN_TARGET_DIRECTORY).
    pub open_target_directory: bool,
    /// How far the driver may go with the caller's token (OBJECT_ATTRIBUTES.SecurityQualityOfService).
    pub quality: QualityOfService,
}

/// What `NtCreateNamedPipeFile` is given beside what opens are.
#[derive(Clone, Copy, Debug)]
pub struct NamedPipe<'a> {
    /// FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_REJECT_REMOTE_CLIENTS.
    pub pipe_type: u32,
    /// FILE_PIPE_MESSAGE_MODE.
    pub read_mode: u32,
    /// FILE_PIPE_COMPLETE_OPERATION.
    pub completion_mode: u32,
    /// Instances that there may be of it; `u32::MAX` for any number.
    pub maximum_instances: u32,
    /// Bytes that clients may write ahead.
    pub inbound_quota: u32,
    /// Bytes that the server may write ahead.
    pub outbound_quota: u32,
    /// How long clients wait for an instance who do not say it, in units of 100 ns, below 0: relative to now.
    pub default_timeout: Option<i64>,
    /// The descriptor of the first instance; `None` for the token's default.
    pub security: Option<&'a SecurityDescriptor>,
}

/// What `NtCreateMailslotFile` is given beside what opens are.
#[derive(Clone, Copy, Debug)]
pub struct Mailslot {
    /// Bytes for messages; 0 for as many as the file system likes.
    pub quota: u32,
    /// Bytes of the longest message; 0 for any length.
    pub maximum_message_size: u32,
    /// How long reads wait for a message, in units of 100 ns, not above 0: relative to now; -1 for ever, as the Win32 function
    /// passes MAILSLOT_WAIT_FOREVER on (Confirm). `None` for the file system's default.
    pub read_timeout: Option<i64>,
}

impl OpenRequest<'_> {
    /// Whether the caller's rights decide.
    fn is_checked(&self) -> bool {
        self.user_mode || self.force_access_check
    }
}

/// Opens a device and returns the handle in `process`'s table and the create request's information.
///
/// Must run inside the machine, in the context of `process`. PASSIVE_LEVEL.
///
/// # Errors
/// The status of the path's look-up, of the access check (`STATUS_ACCESS_DENIED`, `STATUS_PRIVILEGE_NOT_HELD`), of the
/// device (`STATUS_ACCESS_DENIED` for an exclusive one that is open, `STATUS_NO_SUCH_DEVICE`), or of the driver;
/// no file object is left then, and the driver sees neither CLEANUP nor CLOSE.
///
/// Source: ddi, ZwCreateFile; kernel, IRP_MJ_CREATE.
pub fn create_file(
    kernel: &Kernel,
    process: &Process,
    request: &OpenRequest<'_>,
) -> Result<(u32, u64), NTSTATUS> {
    let (file, granted, information) = open_file(kernel, process, request)?;
    match process.handles.insert(file.clone(), granted) {
        Ok(handle) => Ok((handle, information)),
        Err(status) => {
            file.dereference(kernel);
            Err(status)
        }
    }
}

/// As [`create_file`], without a handle: the file object with its maker's reference, the rights granted, and the create
/// request's information.
///
/// An open that is relative to a file goes to that file's device; the driver finds the file in `RelatedFileObject` while it
/// handles the create request.
///
/// # Errors
/// As for [`create_file`]; `STATUS_OBJECT_TYPE_MISMATCH` when the related object is no file, `STATUS_OBJECT_PATH_SYNTAX_BAD`
/// when a relative name begins with a backslash. (Confirm: NT may leave that to the driver.)
///
/// Source: ddi, InitializeObjectAttributes; FILE_OBJECT.
pub fn open_file(
    kernel: &Kernel,
    process: &Process,
    request: &OpenRequest<'_>,
) -> Result<(Arc<Object>, u32, u64), NTSTATUS> {
    check(request)?;
    let found = find(kernel, request)?;
    let device = found.object.body::<Device>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    let granted = decide(kernel, &found, device, process, request)?;
    if !found.object.try_reference() {
        return Err(abi::STATUS_NO_SUCH_DEVICE);
    }
    if let Err(status) = device.begin_open() {
        found.object.dereference(kernel);
        return Err(status);
    }
    let file = match make_file(kernel, &found.object, device, &found.rest, request, granted) {
        Ok(file) => file,
        Err(status) => {
            device.end_open();
            found.object.dereference(kernel);
            return Err(status);
        }
    };
    // From here on the file object's deletion lets go of the device.
    match send_create(kernel, process, &file, request, granted) {
        Ok((information, granted)) => Ok((file, granted, information)),
        Err(status) => {
            file.dereference(kernel);
            Err(status)
        }
    }
}

/// The device, and what of the name is its driver's.
fn find(kernel: &Kernel, request: &OpenRequest<'_>) -> Result<Found, NTSTATUS> {
    let Some(related) = request.related else { return super::demand_start::find(kernel, request.path) };
    let file = related.body::<File>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    if request.path.first() == Some(&u16::from(b'\\')) {
        return Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
    }
    Ok(Found { object: file.device_object.clone(), rest: request.path.to_vec() })
}

/// What the handle will be granted. The device's descriptor decides about the device itself, and about names below it
/// and opens relative to its files where the device asks for that (FILE_DEVICE_SECURE_OPEN, read at each open, since drivers
/// set it late); all other names are the driver's to judge, and their opens get what they ask for. Traversing directories is not checked: every
/// token but the anonymous one has SeChangeNotifyPrivilege.
///
/// Source: "Controlling Device Namespace Access"; kernel, "Securing Device Objects".
fn decide(
    kernel: &Kernel,
    found: &Found,
    device: &Device,
    process: &Process,
    request: &OpenRequest<'_>,
) -> Result<u32, NTSTATUS> {
    let object_type = found.object.object_type();
    let characteristics = device.object.characteristics().map_err(|_| abi::STATUS_NO_SUCH_DEVICE)?;
    let is_below = !found.rest.is_empty() || request.related.is_some();
    if is_below && characteristics & abi::FILE_DEVICE_SECURE_OPEN == 0 {
        return Ok(object_type.map_access(request.desired_access));
    }
    se::check_for_caller(kernel, process, &found.object, request.desired_access, request.is_checked())
}

fn check(request: &OpenRequest<'_>) -> Result<(), NTSTATUS> {
    if request.path.len() > MAX_PATH_UNITS {
        return Err(abi::STATUS_OBJECT_NAME_INVALID);
    }
    let synchronous = abi::FILE_SYNCHRONOUS_IO_ALERT | abi::FILE_SYNCHRONOUS_IO_NONALERT;
    let both = request.create_options & synchronous == synchronous;
    let needs_synchronize =
        request.create_options & synchronous != 0 && request.desired_access & may_synchronize() == 0;
    if both || needs_synchronize || request.create_disposition > abi::FILE_MAXIMUM_DISPOSITION {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    if let Some(pipe) = &request.named_pipe {
        check_named_pipe(request, pipe)?;
    }
    Ok(())
}

/// Source: Win32, CreateNamedPipe (modes, nMaxInstances, nDefaultTimeOut).
fn check_named_pipe(request: &OpenRequest<'_>, pipe: &NamedPipe<'_>) -> Result<(), NTSTATUS> {
    const SHARED: u32 = abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE;
    let sound = matches!(request.create_disposition, abi::FILE_OPEN | abi::FILE_CREATE | abi::FILE_OPEN_IF)
        && request.share_access & !SHARED == 0
        && request.share_access & SHARED != 0
        && pipe.pipe_type & !abi::FILE_PIPE_TYPE_VALID_MASK == 0
        && pipe.read_mode <= abi::FILE_PIPE_MESSAGE_MODE
        && pipe.completion_mode <= abi::FILE_PIPE_COMPLETE_OPERATION
        && (pipe.pipe_type & abi::FILE_PIPE_MESSAGE_TYPE != 0
            || pipe.read_mode == abi::FILE_PIPE_BYTE_STREAM_MODE)
        && pipe.maximum_instances != 0
        && pipe.default_timeout.is_none_or(|timeout| timeout < 0);
    if sound { Ok(()) } else { Err(abi::STATUS_INVALID_PARAMETER) }
}

/// Rights that include SYNCHRONIZE, which synchronous files need.
fn may_synchronize() -> u32 {
    abi::SYNCHRONIZE
        | abi::GENERIC_READ
        | abi::GENERIC_WRITE
        | abi::GENERIC_EXECUTE
        | abi::GENERIC_ALL
        | abi::MAXIMUM_ALLOWED
}

fn allocate(kernel: &Kernel, size: usize) -> Result<PoolBlock, NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(size, FILE_TAG, PoolOwner::default());
    block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)
}

fn make_file(
    kernel: &Kernel,
    device_object: &Arc<Object>,
    device: &Device,
    rest: &[u16],
    request: &OpenRequest<'_>,
    granted: u32,
) -> Result<Arc<Object>, NTSTATUS> {
    let name = if rest.is_empty() { None } else { Some(allocate(kernel, rest.len() * 2)?) };
    let block = match allocate(kernel, FileObject::SIZE) {
        Ok(block) => block,
        Err(status) => {
            let _certainly_live = name.map(|name| kernel.mm.pool.free(name.address));
            return Err(status);
        }
    };
    let object = FileObject::at(block.address);
    let options = abi::FILE_SYNCHRONOUS_IO_ALERT | abi::FILE_SYNCHRONOUS_IO_NONALERT;
    let synchronous = request.create_options & options != 0;
    let written = initialize(object, device, name, rest, request, granted);
    // The memory is the kernel's own and was committed just now.
    written.map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let file = Object::new(
        object.address(),
        File {
            object,
            device: device.object,
            device_object: device_object.clone(),
            synchronous,
            lock: Lock::new(()),
            name,
            completion: OnceLock::new(),
            skips: AtomicU32::new(0),
            relative_to: request.related.map(|related| below_device(related)).unwrap_or_default(),
            created: AtomicBool::new(false),
            cleaned_up: AtomicBool::new(false),
        },
    );
    kernel.ob.remember(&file);
    Ok(file)
}

/// A file's name below its device, whatever it was opened relative to.
fn below_device(object: &Object) -> Vec<u16> {
    let Some(file) = object.body::<File>() else { return Vec::new() };
    file.name_below_device()
}

fn initialize(
    object: FileObject,
    device: &Device,
    name: Option<PoolBlock>,
    rest: &[u16],
    request: &OpenRequest<'_>,
    granted: u32,
) -> Outcome<()> {
    const NOTIFICATION_EVENT: u8 = 0;
    const EVENT_WORDS: u8 = 6;
    object.set_object_type(abi::IO_TYPE_FILE.cast_unsigned())?;
    object.set_size(u16::try_from(FileObject::SIZE).unwrap_or(0))?;
    object.set_device_object(device.object.address())?;
    object.set_flags(information::flags_of(request.create_options))?;
    object.set_related_file_object(request.related.map_or(0, |related| related.address))?;
    object.set_read_access(u8::from(granted & (abi::FILE_READ_DATA | abi::FILE_EXECUTE) != 0))?;
    object.set_write_access(u8::from(granted & (abi::FILE_WRITE_DATA | abi::FILE_APPEND_DATA) != 0))?;
    object.set_delete_access(u8::from(granted & abi::DELETE != 0))?;
    if let Some(name) = name {
        raw::copy_wide(name.address, rest)?;
        let length = u16::try_from(rest.len() * 2).unwrap_or(u16::MAX);
        object.file_name().set(length, length, name.address)?;
    }
    device::synchronization_event(object.lock(), true)?;
    let event = object.event();
    event.set_object_type(NOTIFICATION_EVENT)?;
    event.set_size(EVENT_WORDS)?;
    self_linked(event)
}

fn self_linked(header: DispatcherHeader) -> Outcome<()> {
    let list = header.address() + offset_of!(abi::DISPATCHER_HEADER, WaitListHead) as u64;
    header.set_wait_list_forward(list)?;
    header.set_wait_list_backward(list)
}

fn send_create(
    kernel: &Kernel,
    process: &Process,
    object: &Arc<Object>,
    request: &OpenRequest<'_>,
    granted: u32,
) -> Result<(u64, u32), NTSTATUS> {
    let file = object.body::<File>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
    let context = SecurityContext::new(kernel, process, request, granted)?;
    let options = (request.create_disposition << 24) | (request.create_options & 0x00FF_FFFF);
    let force = if request.force_access_check { abi::SL_FORCE_ACCESS_CHECK } else { 0 }
        | if request.open_target_directory { abi::SL_OPEN_TARGET_DIRECTORY } else { 0 };
    let word = u64::from(request.file_attributes & 0xFFFF) | (u64::from(request.share_access & 0xFFFF) << 16);
    let extended = match extended_buffer(kernel, request.extended) {
        Ok(extended) => extended,
        Err(status) => {
            context.free(kernel);
            return Err(status);
        }
    };
    let (major, fourth) = match context.created {
        0 => (abi::IRP_MJ_CREATE, request.extended.len() as u64),
        parameters if request.named_pipe.is_some() => (abi::IRP_MJ_CREATE_NAMED_PIPE, parameters),
        parameters => (abi::IRP_MJ_CREATE_MAILSLOT, parameters),
    };
    let parameters = [context.address, u64::from(options), word, fourth];
    let result = request::send_plain(kernel, file, request.user_mode, |irp, location| {
        location.set_major_function(major)?;
        location.set_flags(force)?;
        irp.set_flags(abi::IRP_CREATE_OPERATION | abi::IRP_SYNCHRONOUS_API)?;
        irp.set_system_buffer(extended.map_or(0, |block| block.address))?;
        for (index, parameter) in (0..).zip(parameters) {
            location.set_parameter(index, parameter)?;
        }
        Ok(())
    });
    let granted = context.granted(request.desired_access, granted);
    context.free(kernel);
    if let Some(block) = extended {
        super::free_own(kernel, block.address);
    }
    // It means something in create requests alone, and nothing keeps that file.
    let _freed_by_driver = file.object.set_related_file_object(0);
    // The create request may end with a warning or information; only errors leave no handle.
    if !result.status.is_success() {
        return Err(result.status);
    }
    file.created.store(true, Ordering::Release);
    // Confirm: that a file is signaled once it is open, as its first request has ended. No published text says so.
    kernel.ke.set_event(kernel, file.object.event(), 0).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok((result.information, granted))
}

const PREVIOUSLY_GRANTED: u64 = offset_of!(abi::ACCESS_STATE, PreviouslyGrantedAccess) as u64;

impl NamedPipe<'_> {
    /// Writes the NAMED_PIPE_CREATE_PARAMETERS to `address`.
    fn write(&self, address: u64) -> Outcome<()> {
        type Layout = abi::NAMED_PIPE_CREATE_PARAMETERS;
        let words = [
            (offset_of!(Layout, NamedPipeType), self.pipe_type),
            (offset_of!(Layout, ReadMode), self.read_mode),
            (offset_of!(Layout, CompletionMode), self.completion_mode),
            (offset_of!(Layout, MaximumInstances), self.maximum_instances),
            (offset_of!(Layout, InboundQuota), self.inbound_quota),
            (offset_of!(Layout, OutboundQuota), self.outbound_quota),
        ];
        for (offset, word) in words {
            raw::write(address + offset as u64, word)?;
        }
        let timeout = self.default_timeout.unwrap_or(0).cast_unsigned();
        raw::write(address + offset_of!(Layout, DefaultTimeout) as u64, timeout)?;
        let specified = u8::from(self.default_timeout.is_some());
        raw::write(address + offset_of!(Layout, TimeoutSpecified) as u64, specified)
    }
}

impl Mailslot {
    /// Writes the MAILSLOT_CREATE_PARAMETERS to `address`, where a named pipe's, which are longer, have room.
    fn write(&self, address: u64) -> Outcome<()> {
        type Layout = abi::MAILSLOT_CREATE_PARAMETERS;
        raw::write(address + offset_of!(Layout, MailslotQuota) as u64, self.quota)?;
        raw::write(address + offset_of!(Layout, MaximumMessageSize) as u64, self.maximum_message_size)?;
        let timeout = self.read_timeout.unwrap_or(0).cast_unsigned();
        raw::write(address + offset_of!(Layout, ReadTimeout) as u64, timeout)?;
        let specified = u8::from(self.read_timeout.is_some());
        raw::write(address + offset_of!(Layout, TimeoutSpecified) as u64, specified)
    }
}

/// A create request's system buffer; none for no bytes.
fn extended_buffer(kernel: &Kernel, bytes: &[u8]) -> Result<Option<PoolBlock>, NTSTATUS> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let block = allocate(kernel, bytes.len())?;
    // The memory is the kernel's own and was committed just now.
    raw::copy_to(block.address, bytes).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    Ok(Some(block))
}

/// The IO_SECURITY_CONTEXT, ACCESS_STATE and SECURITY_QUALITY_OF_SERVICE of a create request, and the references that keep the
/// tokens in them valid.
struct SecurityContext {
    address: u64,
    /// Address of the NAMED_PIPE_CREATE_PARAMETERS or MAILSLOT_CREATE_PARAMETERS; 0 for a create of another kind.
    created: u64,
    subject: SubjectContext,
}

impl SecurityContext {
    const STATE: usize = size_of::<abi::IO_SECURITY_CONTEXT>().next_multiple_of(16);
    const QUALITY: usize = Self::STATE + size_of::<abi::ACCESS_STATE>();
    const PIPE: usize = (Self::QUALITY + size_of::<abi::SECURITY_QUALITY_OF_SERVICE>()).next_multiple_of(16);
    /// Behind it is the descriptor that a named pipe is given.
    const SIZE: usize = (Self::PIPE + size_of::<abi::NAMED_PIPE_CREATE_PARAMETERS>()).next_multiple_of(16);

    fn new(
        kernel: &Kernel,
        process: &Process,
        request: &OpenRequest<'_>,
        granted: u32,
    ) -> Result<Self, NTSTATUS> {
        let explicit = request.named_pipe.and_then(|pipe| pipe.security);
        let explicit = match explicit {
            Some(descriptor) => descriptor.to_bytes().ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?,
            None => Vec::new(),
        };
        let subject = SubjectContext::current(kernel, process)?;
        let address = allocate(kernel, Self::SIZE + explicit.len())?.address;
        let is_plain = request.named_pipe.is_none() && request.mailslot.is_none();
        let created = if is_plain { 0 } else { address + Self::PIPE as u64 };
        let this = Self { address, created, subject };
        match this.write(process, request, granted, &explicit) {
            Ok(()) => Ok(this),
            Err(_) => {
                this.free(kernel);
                Err(abi::STATUS_INSUFFICIENT_RESOURCES)
            }
        }
    }

    fn write(
        &self,
        process: &Process,
        request: &OpenRequest<'_>,
        granted: u32,
        explicit: &[u8],
    ) -> Outcome<()> {
        const SUBJECT: usize = offset_of!(abi::ACCESS_STATE, SubjectSecurityContext);
        let wanted = se::map_generic(request.desired_access, &super::file::GENERIC_MAPPING);
        let (context, state, quality) =
            (self.address, self.address + Self::STATE as u64, self.address + Self::QUALITY as u64);
        raw::write(context + offset_of!(abi::IO_SECURITY_CONTEXT, SecurityQos) as u64, quality)?;
        raw::write(context + offset_of!(abi::IO_SECURITY_CONTEXT, AccessState) as u64, state)?;
        raw::write(context + offset_of!(abi::IO_SECURITY_CONTEXT, DesiredAccess) as u64, granted)?;
        let options = request.create_options;
        raw::write(context + offset_of!(abi::IO_SECURITY_CONTEXT, FullCreateOptions) as u64, options)?;
        raw::write(state + PREVIOUSLY_GRANTED, granted)?;
        raw::write(state + offset_of!(abi::ACCESS_STATE, OriginalDesiredAccess) as u64, wanted)?;
        self.subject.write(state + SUBJECT as u64, process.id)?;
        if !explicit.is_empty() {
            let at = self.address + Self::SIZE as u64;
            raw::copy_to(at, explicit)?;
            raw::write(state + offset_of!(abi::ACCESS_STATE, SecurityDescriptor) as u64, at)?;
        }
        if let Some(pipe) = &request.named_pipe {
            pipe.write(self.created)?;
        } else if let Some(mailslot) = &request.mailslot {
            mailslot.write(self.created)?;
        }
        request.quality.write(quality)
    }

    /// What the open is granted once its driver has answered. Where everything was asked for that there is (MAXIMUM_ALLOWED), a
    /// driver that judges its own names says so in `PreviouslyGrantedAccess`.
    fn granted(&self, desired: u32, granted: u32) -> u32 {
        if desired & abi::MAXIMUM_ALLOWED == 0 {
            return granted;
        }
        raw::read(self.address + Self::STATE as u64 + PREVIOUSLY_GRANTED).unwrap_or(granted)
    }

    fn free(self, kernel: &Kernel) {
        super::free_own(kernel, self.address);
    }
}
