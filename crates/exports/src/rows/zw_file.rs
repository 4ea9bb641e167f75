//! `Zw…File`: drivers as openers of devices.

use std::mem::offset_of;
use std::sync::Arc;

use abi::NTSTATUS;
use kernel::Outcome;
use kernel::io::{self, Control, FileRequest, Mailslot, NamedPipe, Notice, OpenRequest, Transfer};
use kernel::ob::{self, Object};
use kernel::raw;
use kernel::se::{self, QualityOfService};

use crate::Call;
use crate::attributes::{self, Attributes};
use crate::row::rows;

/// How ZwCreateFile opens, beside access and name.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    force_access_check: bool,
    named_pipe: Option<NamedPipe<'a>>,
    mailslot: Option<Mailslot>,
    quality: QualityOfService,
    /// FILE_FULL_EA_INFORMATION.
    attributes: &'a [u8],
}

/// A copy of the extended attributes that a file is opened with. The status: STATUS_EA_LIST_INCONSISTENT.
fn extended_attributes(address: u64, length: u32) -> Outcome<Result<Vec<u8>, NTSTATUS>> {
    if address == 0 || length == 0 {
        return Ok(Ok(Vec::new()));
    }
    let mut list = vec![0; length as usize];
    raw::copy_from(&mut list, address)?;
    Ok(io::check_ea_list(&list).map(|()| list).map_err(|(status, _)| status))
}

/// Opens what the attributes name: from the namespace's root, a directory, or an open file.
fn open(
    call: Call<'_>,
    attributes: &Attributes,
    access: u32,
    how: How<'_>,
) -> Result<(Arc<Object>, u32, u64), NTSTATUS> {
    let root = attributes.root(call)?;
    let related = root.as_ref().filter(|root| root.body::<io::File>().is_some());
    let path = if related.is_some() {
        Ok(attributes.name.clone().unwrap_or_default())
    } else {
        attributes.path(call)
    };
    let opened = path.and_then(|path| {
        let request = OpenRequest {
            path: &path,
            related,
            desired_access: access,
            file_attributes: how.file_attributes,
            share_access: how.share,
            create_disposition: how.disposition,
            create_options: how.options,
            extended: how.attributes,
            user_mode: false,
            named_pipe: how.named_pipe,
            mailslot: how.mailslot,
            force_access_check: how.force_access_check
                || attributes.attributes & abi::OBJ_FORCE_ACCESS_CHECK != 0,
            open_target_directory: false,
            quality: how.quality,
        };
        let process = ob::current_process(call.kernel, call.thread)?;
        io::open_file(call.kernel, &process, &request)
    });
    if let Some(root) = root {
        root.dereference(call.kernel);
    }
    opened
}

fn create(call: Call<'_>, to: u64, access: u32, address: u64, iosb: u64, how: How<'_>) -> Outcome<NTSTATUS> {
    let attributes = match attributes::read(call, address)? {
        Ok(attributes) => attributes,
        Err(status) => return Ok(status),
    };
    let security = if how.named_pipe.is_some() && attributes.security_descriptor != 0 {
        match se::capture(attributes.security_descriptor)? {
            Ok(descriptor) => Some(descriptor),
            Err(status) => return Ok(status),
        }
    } else {
        None
    };
    let named_pipe = how.named_pipe.map(|pipe| NamedPipe { security: security.as_ref(), ..pipe });
    let quality = match attributes.quality_of_service {
        0 => QualityOfService::default(),
        address => match QualityOfService::read(address)? {
            Ok(quality) => quality,
            Err(status) => return Ok(status),
        },
    };
    let (file, granted, information) =
        match open(call, &attributes, access, How { quality, named_pipe, ..how }) {
            Ok(opened) => opened,
            Err(status) => return Ok(status),
        };
    match ob::open_handle(call.kernel, call.thread, &file, granted, attributes.attributes) {
        Ok(handle) => {
            raw::write(iosb, u64::from(abi::STATUS_SUCCESS.bits()))?;
            raw::write(iosb.wrapping_add(8), information)?;
            raw::write(to, handle)?;
            Ok(abi::STATUS_SUCCESS)
        }
        Err(status) => Ok(status),
    }
}

/// [`create`] by a Zw routine: whoever is asked finds kernel mode as the previous mode.
fn zw_create(
    call: Call<'_>,
    to: u64,
    access: u32,
    address: u64,
    iosb: u64,
    how: How<'_>,
) -> Outcome<NTSTATUS> {
    call.thread.called_by_kernel(|| create(call, to, access, address, iosb, how))
}

/// The NAMED_PIPE_CREATE_PARAMETERS at `address`.
fn named_pipe<'a>(address: u64) -> Outcome<NamedPipe<'a>> {
    type Layout = abi::NAMED_PIPE_CREATE_PARAMETERS;
    let at = |offset: usize| address.wrapping_add(offset as u64);
    let timeout: u64 = raw::read(at(offset_of!(Layout, DefaultTimeout)))?;
    let specified: u8 = raw::read(at(offset_of!(Layout, TimeoutSpecified)))?;
    Ok(NamedPipe {
        pipe_type: raw::read(at(offset_of!(Layout, NamedPipeType)))?,
        read_mode: raw::read(at(offset_of!(Layout, ReadMode)))?,
        completion_mode: raw::read(at(offset_of!(Layout, CompletionMode)))?,
        maximum_instances: raw::read(at(offset_of!(Layout, MaximumInstances)))?,
        inbound_quota: raw::read(at(offset_of!(Layout, InboundQuota)))?,
        outbound_quota: raw::read(at(offset_of!(Layout, OutboundQuota)))?,
        default_timeout: (specified != 0).then_some(timeout.cast_signed()),
        security: None,
    })
}

/// The MAILSLOT_CREATE_PARAMETERS at `address`.
fn mailslot(address: u64) -> Outcome<Mailslot> {
    type Layout = abi::MAILSLOT_CREATE_PARAMETERS;
    let at = |offset: usize| address.wrapping_add(offset as u64);
    let timeout: u64 = raw::read(at(offset_of!(Layout, ReadTimeout)))?;
    let specified: u8 = raw::read(at(offset_of!(Layout, TimeoutSpecified)))?;
    Ok(Mailslot {
        quota: raw::read(at(offset_of!(Layout, MailslotQuota)))?,
        maximum_message_size: raw::read(at(offset_of!(Layout, MaximumMessageSize)))?,
        read_timeout: (specified != 0).then_some(timeout.cast_signed()),
    })
}

/// An offset as the caller gave it.
fn offset_at(address: u64) -> Outcome<Option<u64>> {
    if address == 0 { Ok(None) } else { raw::read(address).map(Some) }
}

fn request(call: Call<'_>, request: &FileRequest, notice: Notice) -> Outcome<NTSTATUS> {
    call.thread.called_by_kernel(|| io::request_by_handle(call.kernel, call.thread, request, notice))
}

rows! {
    dll = "ntoskrnl.exe";

    /// Opens a device, also relative to an open file, with extended attributes.
    irql(PASSIVE_LEVEL) alias("NtCreateFile")
    fn ZwCreateFile(
        call,
        file_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        io_status_block: u64,
        _allocation_size: u64,
        file_attributes: u32,
        share_access: u32,
        create_disposition: u32,
        create_options: u32,
        ea_buffer: u64,
        ea_length: u32
    ) -> NTSTATUS {
        let attributes = match extended_attributes(ea_buffer, ea_length)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        let how = How {
            attributes: &attributes,
            file_attributes,
            share: share_access,
            disposition: create_disposition,
            options: create_options,
            ..How::default()
        };
        zw_create(call, file_handle, desired_access, object_attributes, io_status_block, how)
    }

    /// As ZwCreateFile, with the I/O manager's own options: checks of access, or none of parameters, named pipes, and mailslots. Paging files and folders of targets are not implemented.
    irql(PASSIVE_LEVEL) support(Partial)
    fn IoCreateFile(
        call,
        file_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        io_status_block: u64,
        _allocation_size: u64,
        file_attributes: u32,
        share_access: u32,
        disposition: u32,
        create_options: u32,
        ea_buffer: u64,
        ea_length: u32,
        create_file_type: i32,
        internal_parameters: u64,
        options: u32
    ) -> NTSTATUS {
        let known = abi::IO_FORCE_ACCESS_CHECK | abi::IO_NO_PARAMETER_CHECKING;
        let (named_pipe, mailslot) = match create_file_type {
            abi::CreateFileTypeNone => (None, None),
            // (Confirm: which status is for a pipe or mailslot without its parameters.)
            abi::CreateFileTypeNamedPipe | abi::CreateFileTypeMailslot if internal_parameters == 0 => {
                return Ok(abi::STATUS_INVALID_PARAMETER);
            }
            abi::CreateFileTypeNamedPipe => (Some(named_pipe(internal_parameters)?), None),
            abi::CreateFileTypeMailslot => (None, Some(mailslot(internal_parameters)?)),
            _ => return Ok(abi::STATUS_NOT_IMPLEMENTED),
        };
        if options & !known != 0 {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        let attributes = match extended_attributes(ea_buffer, ea_length)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        let force_access_check = options & abi::IO_FORCE_ACCESS_CHECK != 0;
        let how = How {
            file_attributes,
            share: share_access,
            disposition,
            options: create_options,
            force_access_check,
            named_pipe,
            attributes: &attributes,
            mailslot,
            ..How::default()
        };
        create(call, file_handle, desired_access, object_attributes, io_status_block, how)
    }

    /// Opens a device that exists, also relative to an open file.
    irql(PASSIVE_LEVEL) alias("NtOpenFile")
    fn ZwOpenFile(
        call,
        file_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        io_status_block: u64,
        share_access: u32,
        open_options: u32
    ) -> NTSTATUS {
        let how = How {
            share: share_access,
            disposition: abi::FILE_OPEN,
            options: open_options,
            ..How::default()
        };
        zw_create(call, file_handle, desired_access, object_attributes, io_status_block, how)
    }

    /// Reads from a file; on one for asynchronous I/O, without waiting for the end. An APC routine runs in the calling thread.
    irql(PASSIVE_LEVEL) alias("NtReadFile")
    fn ZwReadFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32,
        byte_offset: u64,
        _key: u64
    ) -> NTSTATUS {
        let transfer = Transfer { handle: file_handle, buffer, length, offset: offset_at(byte_offset)? };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, &FileRequest::Read(transfer), notice)
    }

    /// Writes to a file; on one for asynchronous I/O, without waiting for the end; as ZwReadFile.
    irql(PASSIVE_LEVEL) alias("NtWriteFile")
    fn ZwWriteFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        buffer: u64,
        length: u32,
        byte_offset: u64,
        _key: u64
    ) -> NTSTATUS {
        let transfer = Transfer { handle: file_handle, buffer, length, offset: offset_at(byte_offset)? };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, &FileRequest::Write(transfer), notice)
    }

    /// Sends a control code; as ZwReadFile.
    irql(PASSIVE_LEVEL) alias("NtDeviceIoControlFile")
    fn ZwDeviceIoControlFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        io_control_code: u32,
        input_buffer: u64,
        input_length: u32,
        output_buffer: u64,
        output_length: u32
    ) -> NTSTATUS {
        let control = Control {
            handle: file_handle,
            code: io_control_code,
            input: (input_buffer, input_length),
            output: (output_buffer, output_length),
        };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, &FileRequest::Control(control), notice)
    }

    /// Sends a file system control code; as ZwReadFile.
    irql(PASSIVE_LEVEL) alias("NtFsControlFile")
    fn ZwFsControlFile(
        call,
        file_handle: u64,
        event: u64,
        apc_routine: u64,
        apc_context: u64,
        io_status_block: u64,
        fs_control_code: u32,
        input_buffer: u64,
        input_length: u32,
        output_buffer: u64,
        output_length: u32
    ) -> NTSTATUS {
        let control = Control {
            handle: file_handle,
            code: fs_control_code,
            input: (input_buffer, input_length),
            output: (output_buffer, output_length),
        };
        let notice = Notice { io_status_block, event, apc_routine, apc_context };
        request(call, &FileRequest::FsControl(control), notice)
    }

    /// Asks a file's driver to write what it keeps, and waits for the end of that.
    irql(PASSIVE_LEVEL)
    fn ZwFlushBuffersFile(call, file_handle: u64, io_status_block: u64) -> NTSTATUS {
        let notice = Notice { io_status_block, ..Notice::default() };
        request(call, &FileRequest::Flush(file_handle), notice)
    }
}
