//! `Process`: a process of a machine that runs in the machine's own Linux process. Its requests are plain calls.

use std::sync::Arc;

use abi::NTSTATUS;
use gate::{
    CreateFile, DirectoryEntry, Handle, IoStatus, SecurityQos, SharedMemory, SystemCall, SystemReply,
    Transport, View,
};
use kernel::Kernel;
use kernel::io::{self, DeviceControl, IoResult, OpenRequest};
use kernel::lpc;
use kernel::mm::SessionWindow;
use kernel::ob::{Duplicate, SymbolicLink};
use kernel::ps::{self, EarlyAnswer};
use kernel::raw::{InputBuffer, OutputBuffer};
use kernel::se::{Level, QualityOfService, Token};

use crate::window_buffer::WindowBuffer;

/// A process embedded in the machine's Linux process. Dropping it ends it: its handles are closed.
#[derive(Debug)]
pub struct Process {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) process: Arc<ps::Process>,
}

fn failed(status: NTSTATUS) -> IoStatus {
    IoStatus { status, information: 0 }
}

fn ended(outcome: Result<IoResult, NTSTATUS>) -> IoStatus {
    match outcome {
        Ok(IoResult { status, information }) => IoStatus { status, information },
        Err(status) => failed(status),
    }
}

impl Process {
    pub(crate) fn new(kernel: Arc<Kernel>, name: &str, token: Token) -> Self {
        let process = kernel.ps.create_as(name, token);
        Self { kernel, process }
    }

    /// A process that lives in another Linux process, which shares `window` with this one.
    pub(crate) fn in_window(
        kernel: Arc<Kernel>,
        name: &str,
        token: Token,
        window: Box<dyn SessionWindow>,
    ) -> Self {
        let process = kernel.ps.create_in_window(name, token, window);
        Self { kernel, process }
    }

    /// Zeroed memory of `length` bytes in the process's window: requests with it copy nothing in direct and neither I/O,
    /// and a driver may follow pointers into it. Other memory is copied to a window and back.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn allocate(&self, length: u32) -> Result<WindowBuffer, NTSTATUS> {
        WindowBuffer::new(&self.process.user_space, length)
    }

    /// A process of the same machine with the same token, which only keeps handles.
    pub(crate) fn keeper(&self, name: &str) -> Self {
        Self::new(self.kernel.clone(), name, (*self.process.token).clone())
    }

    /// Its identifier in the machine.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// Handles that it has open.
    #[must_use]
    pub fn open_handles(&self) -> usize {
        self.process.handles.values().len()
    }

    /// `NtDuplicateObject`: another handle to the same object, in `target`, a process of the same machine.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`; `STATUS_ACCESS_DENIED` for more rights than the handle has; `STATUS_INVALID_PARAMETER` for a
    /// process of another machine.
    pub fn duplicate_into(
        &self,
        handle: Handle,
        target: &Self,
        access: u32,
        options: u32,
    ) -> Result<Handle, NTSTATUS> {
        if !Arc::ptr_eq(&self.kernel, &target.kernel) {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        let request = Duplicate { access, attributes: 0, options };
        let duplicate = |_: &_| {
            kernel::ob::duplicate_object(
                &self.kernel,
                &self.process,
                handle.0,
                Some(&target.process),
                request,
            )
        };
        let made = ps::inside(&self.kernel, &self.process, duplicate)??;
        u32::try_from(made).map(Handle).map_err(|_| abi::STATUS_UNSUCCESSFUL)
    }

    /// `NtReadFile` into a buffer of the process's.
    pub fn read_buffer(&self, handle: Handle, buffer: OutputBuffer<'_>, offset: Option<u64>) -> IoStatus {
        let request = |thread: &_| io::read(&self.kernel, &self.process, thread, handle.0, buffer, offset);
        ended(ps::inside(&self.kernel, &self.process, request))
    }

    /// `NtWriteFile` from a buffer of the process's.
    pub fn write_buffer(&self, handle: Handle, data: InputBuffer<'_>, offset: Option<u64>) -> IoStatus {
        let request = |thread: &_| io::write(&self.kernel, &self.process, thread, handle.0, data, offset);
        ended(ps::inside(&self.kernel, &self.process, request))
    }

    /// `NtDeviceIoControlFile` with buffers of the process's.
    #[inline]
    pub fn control_buffers(
        &self,
        handle: Handle,
        code: u32,
        input: InputBuffer<'_>,
        output: OutputBuffer<'_>,
    ) -> IoStatus {
        self.control_buffers_early(handle, code, input, output, None)
    }

    /// As [`Self::control_buffers`]; see [`io::device_control_early`].
    #[inline]
    pub(crate) fn control_buffers_early(
        &self,
        handle: Handle,
        code: u32,
        input: InputBuffer<'_>,
        output: OutputBuffer<'_>,
        early: Option<&Arc<dyn EarlyAnswer>>,
    ) -> IoStatus {
        let control = DeviceControl { handle: handle.0, code, input, output };
        let (kernel, process) = (&self.kernel, &self.process);
        let request = |thread: &_| io::device_control_early(kernel, process, thread, control, early);
        ended(ps::inside(kernel, process, request))
    }
}

pub(crate) fn quality(qos: SecurityQos) -> Result<QualityOfService, NTSTATUS> {
    let SecurityQos { level, dynamic_tracking, effective_only } = qos;
    let level = Level::new(level).ok_or(abi::STATUS_BAD_IMPERSONATION_LEVEL)?;
    Ok(QualityOfService { level, dynamic_tracking, effective_only })
}

impl Transport for Process {
    fn create_file(&self, request: &CreateFile<'_>) -> Result<(Handle, u64), NTSTATUS> {
        let request = OpenRequest {
            path: request.path,
            desired_access: request.desired_access,
            file_attributes: request.file_attributes,
            share_access: request.share_access,
            create_disposition: request.create_disposition,
            create_options: request.create_options,
            user_mode: true,
            quality: request.security_qos.map_or(Ok(QualityOfService::default()), quality)?,
            ..OpenRequest::default()
        };
        let open = |_: &_| io::create_file(&self.kernel, &self.process, &request);
        let (handle, information) = ps::inside(&self.kernel, &self.process, open)??;
        Ok((Handle(handle), information))
    }

    fn close(&self, handle: Handle) -> NTSTATUS {
        let close = |_: &_| self.process.handles.close(&self.kernel, &self.process, handle.0);
        let closed = ps::inside(&self.kernel, &self.process, close);
        closed.and_then(|result| result).err().unwrap_or(abi::STATUS_SUCCESS)
    }

    fn duplicate_handle(&self, handle: Handle, access: u32, options: u32) -> Result<Handle, NTSTATUS> {
        self.duplicate_into(handle, self, access, options)
    }

    fn read(&self, handle: Handle, buffer: &mut [u8], offset: Option<u64>) -> IoStatus {
        match OutputBuffer::from_slice(buffer) {
            Some(buffer) => self.read_buffer(handle, buffer, offset),
            None => failed(abi::STATUS_INVALID_BUFFER_SIZE),
        }
    }

    fn write(&self, handle: Handle, data: &[u8], offset: Option<u64>) -> IoStatus {
        match InputBuffer::from_slice(data) {
            Some(data) => self.write_buffer(handle, data, offset),
            None => failed(abi::STATUS_INVALID_BUFFER_SIZE),
        }
    }

    #[inline]
    fn device_control(&self, handle: Handle, code: u32, input: &[u8], output: &mut [u8]) -> IoStatus {
        match (InputBuffer::from_slice(input), OutputBuffer::from_slice(output)) {
            (Some(input), Some(output)) => self.control_buffers(handle, code, input, output),
            _ => failed(abi::STATUS_INVALID_BUFFER_SIZE),
        }
    }

    fn query_directory(&self, path: &[u16]) -> Result<Vec<DirectoryEntry>, NTSTATUS> {
        let listed = ps::inside(&self.kernel, &self.process, |_| self.kernel.ob.list(path))??;
        let entry = |(name, object): (Vec<u16>, Arc<kernel::ob::Object>)| DirectoryEntry {
            name: String::from_utf16_lossy(&name),
            type_name: object.object_type().name.to_owned(),
            target: object
                .body::<SymbolicLink>()
                .map(|link| String::from_utf16_lossy(&link.target))
                .unwrap_or_default(),
        };
        Ok(listed.into_iter().map(entry).collect())
    }

    fn system_call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        self.call(call, output)
    }

    fn allocate_memory(&self, length: u32) -> Result<Box<dyn SharedMemory>, NTSTATUS> {
        self.allocate(length).map(|buffer| Box::new(buffer) as Box<dyn SharedMemory>)
    }

    fn view(&self, address: u64, length: u64) -> Result<View, NTSTATUS> {
        let shown = self.process.user_space.has_pages(address, length, false);
        View::in_window(address, length).filter(|_| shown).ok_or(abi::STATUS_ACCESS_VIOLATION)
    }

    fn is_connected(&self) -> bool {
        !self.kernel.is_halted()
    }
}

impl Process {
    /// Says that the process will end: requests that its threads wait for are cancelled, and those that they come to
    /// wait for.
    pub fn begin_end(&self) {
        io::end_process(&self.kernel, &self.process);
    }

    /// The calling thread acts for the process again, whomever a driver or it itself has it act for: `RevertToSelf`.
    pub fn revert_to_self(&self) {
        let revert = |thread: &_| ps::revert(thread);
        // On a machine that has stopped nobody acts for anybody.
        let _stopped = ps::inside(&self.kernel, &self.process, revert);
    }

    /// Says that the calling thread ends: its requests that go on are cancelled, but for those on files that tell a completion port, and
    /// the LPC ports that it has registered hear of it; of threads that do not say so they hear when the process ends. The mutants that it
    /// owns are abandoned.
    /// Applications in processes of their own need not say so.
    pub fn end_thread(&self) {
        let end = |thread: &_| {
            io::end_thread(&self.kernel, &self.process, thread);
            lpc::thread_ended(&self.kernel, thread);
            self.kernel.ke.abandon_mutants(&self.kernel, thread);
        };
        // A machine that has stopped has nothing left to cancel.
        let _stopped = ps::inside(&self.kernel, &self.process, end);
        self.revert_to_self();
    }

    /// Ends the process: as [`Process::begin_end`], then its handles are closed. Later requests find none. Ending it
    /// again does nothing.
    pub fn end(&self) {
        self.begin_end();
        lpc::process_ended(&self.kernel, &self.process);
        // A machine that has stopped has nothing left to close.
        let _stopped = self.kernel.ps.terminate(&self.kernel, &self.process);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
