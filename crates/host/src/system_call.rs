//! The system calls of an embedded process, each handed to the kernel's room that it is about.

use abi::NTSTATUS;
use gate::{
    CompletionPacket, Handle, IoStatus, MappedView, Memory, Notice, SystemCall, SystemReply, UserApc,
};
use kernel::ex::{self, EventChange, SectionRequest};
use kernel::flt;
use kernel::io::{self, Cancelled, Control, InterfaceQuery, SecurityQuery, Transfer};
use kernel::ke::{ProcessorMode, Thread, Timeout, WaitType};
use kernel::ob::{self, Name};
use kernel::raw::DeviceObject;
use kernel::{ps, se};

use crate::process::Process;

/// Packets that one call takes at most.
const MOST_PACKETS: usize = 64;

fn opened(result: Result<(u32, bool), NTSTATUS>) -> SystemReply {
    match result {
        Ok((handle, existed)) => SystemReply {
            status: if existed { abi::STATUS_OBJECT_NAME_EXISTS } else { abi::STATUS_SUCCESS },
            handle: Handle(handle),
            information: u64::from(existed),
        },
        Err(status) => SystemReply::status(status),
    }
}

fn done(result: Result<(), NTSTATUS>) -> SystemReply {
    SystemReply::status(result.err().unwrap_or(abi::STATUS_SUCCESS))
}

/// An answer; of a machine that stops meanwhile, that it does.
fn halting<T>(outcome: kernel::Outcome<Result<T, NTSTATUS>>) -> Result<T, NTSTATUS> {
    outcome.unwrap_or(Err(abi::STATUS_DEVICE_NOT_CONNECTED))
}

fn told(information: u64) -> SystemReply {
    SystemReply { information, ..SystemReply::status(abi::STATUS_SUCCESS) }
}

pub(crate) fn ended(result: io::IoResult) -> SystemReply {
    SystemReply { information: result.information, ..SystemReply::status(result.status) }
}

fn timeout(time: Option<i64>) -> Timeout {
    time.map_or(Timeout::Never, Timeout::At)
}

pub(crate) fn notice(notice: &Notice) -> io::Notice {
    io::Notice {
        io_status_block: notice.io_status_block,
        event: notice.event.map_or(0, |event| event.0.into()),
        apc_routine: notice.apc_routine,
        apc_context: notice.apc_context,
    }
}

fn transfer(handle: Handle, buffer: Memory, offset: Option<u64>) -> Transfer {
    Transfer { handle: handle.0.into(), buffer: buffer.address, length: buffer.length, offset }
}

impl Process {
    /// Does what `call` says, in the context of the process.
    pub(crate) fn call(&self, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        ps::inside(&self.kernel, &self.process, |thread| self.dispatch(thread, call, output))
            .unwrap_or_else(SystemReply::status)
    }

    fn dispatch(&self, thread: &Thread, call: &SystemCall<'_>, output: &mut [u8]) -> SystemReply {
        let (kernel, process) = (&*self.kernel, &self.process);
        match *call {
            SystemCall::Read { handle, buffer, offset, notice: ref told } => {
                let transfer = transfer(handle, buffer, offset);
                SystemReply::status(io::start_read(kernel, process, thread, &transfer, notice(told)))
            }
            SystemCall::Write { handle, buffer, offset, notice: ref told } => {
                let transfer = transfer(handle, buffer, offset);
                SystemReply::status(io::start_write(kernel, process, thread, &transfer, notice(told)))
            }
            SystemCall::DeviceControl { handle, code, input, output, notice: ref told } => {
                let pair = |memory: Memory| (memory.address, memory.length);
                let handle = handle.0.into();
                let control = Control { handle, code, input: pair(input), output: pair(output) };
                SystemReply::status(io::start_device_control(kernel, process, thread, &control, notice(told)))
            }
            SystemCall::FsControl { handle, code, input, output, notice: ref told } => {
                let pair = |memory: Memory| (memory.address, memory.length);
                let handle = handle.0.into();
                let control = Control { handle, code, input: pair(input), output: pair(output) };
                SystemReply::status(io::start_fs_control(kernel, process, thread, &control, notice(told)))
            }
            SystemCall::CreateNamedPipeFile { name, ref pipe, descriptor } => {
                self.create_named_pipe(name, pipe, descriptor)
            }
            SystemCall::QueryInformationFile { handle, class } => {
                ended(io::query_information_file(kernel, process, thread, handle.0, class, output))
            }
            SystemCall::SetInformationFile { handle, class, data } => {
                ended(io::set_information_file(kernel, process, thread, handle.0, class, data))
            }
            SystemCall::FlushBuffersFile { handle } => {
                ended(io::flush_buffers_file(kernel, process, thread, handle.0))
            }
            SystemCall::QuerySecurityObject { handle, information, buffer: Memory { address, length } } => {
                let query = SecurityQuery { handle: handle.0.into(), information, buffer: address, length };
                ended(io::query_security_object(kernel, process, thread, &query))
            }
            SystemCall::SetSecurityObject { handle, information, descriptor } => {
                ended(io::set_security_object(kernel, process, thread, handle.0, information, descriptor))
            }
            SystemCall::CreateMailslotFile { name, ref mailslot } => self.create_mailslot(name, mailslot),
            SystemCall::CancelIoFile { handle } => {
                let which = Cancelled::OfThread;
                SystemReply::status(io::cancel_io_file(kernel, process, thread, handle.0, which))
            }
            SystemCall::CancelIoFileEx { handle, io_status_block } => {
                let which = match io_status_block {
                    0 => Cancelled::All,
                    block => Cancelled::Request(block),
                };
                SystemReply::status(io::cancel_io_file(kernel, process, thread, handle.0, which))
            }
            SystemCall::GetCurrentThreadId => told(thread.id.0.into()),
            SystemCall::AwaitRequestEnd { seen } => match process.await_request_end(kernel, seen) {
                Ok(ends) => told(ends),
                Err(status) => SystemReply::status(status),
            },
            SystemCall::CancelSynchronousIoFile { thread: target } => {
                SystemReply::status(io::cancel_synchronous_io_file(kernel, process, thread, target))
            }
            SystemCall::CreateEvent { name, desired_access, event_type, initial_state } => {
                let name = Name { path: name, desired_access, open_if: true };
                opened(ex::create_event(kernel, process, name, event_type, initial_state))
            }
            SystemCall::OpenEvent { name, desired_access } => {
                let name = Name { path: name, desired_access, open_if: true };
                opened(ex::open_event(kernel, process, name).map(|handle| (handle, false)))
            }
            SystemCall::SetEvent { handle } => self.change_event(handle, EventChange::Set),
            SystemCall::ResetEvent { handle } => self.change_event(handle, EventChange::Reset),
            SystemCall::PulseEvent { handle } => self.change_event(handle, EventChange::Pulse),
            SystemCall::Wait { handles, all, alertable, timeout: time } => {
                self.wait(thread, handles, all, alertable, timeout(time))
            }
            SystemCall::Delay { alertable, interval } => {
                let mode = ProcessorMode::User;
                let delayed = kernel.ke.delay_execution_thread(kernel, thread, mode, alertable, interval);
                SystemReply::status(delayed.unwrap_or(abi::STATUS_DEVICE_NOT_CONNECTED))
            }
            SystemCall::TakeUserApc => self.take_user_apc(thread, output),
            SystemCall::CreateIoCompletion { name, desired_access, threads } => {
                let name = Name { path: name, desired_access, open_if: false };
                opened(io::create_io_completion(kernel, process, name, threads))
            }
            SystemCall::SetFileCompletion { handle, port, key } => {
                done(io::set_file_completion(kernel, process, handle.0, port.0, key))
            }
            SystemCall::SetCompletionNotificationModes { handle, flags } => {
                done(io::set_completion_notification_modes(kernel, process, handle.0, flags))
            }
            SystemCall::SetIoCompletion { handle, packet } => {
                let CompletionPacket { key, context, result: IoStatus { status, information } } = packet;
                let packet = io::CompletionPacket { key, context, status, information };
                done(io::set_io_completion(kernel, process, handle.0, &packet))
            }
            SystemCall::RemoveIoCompletion { handle, alertable, timeout: time } => {
                self.remove_io_completion(thread, handle, alertable, timeout(time), output)
            }
            SystemCall::CreateSection { name, desired_access, size, protection, attributes, file } => {
                let name = Name { path: name, desired_access, open_if: true };
                let request = SectionRequest { size, protection, attributes };
                let file = file.map_or(0, |file| file.0);
                opened(io::create_section(kernel, process, name, file, request))
            }
            SystemCall::OpenSection { name, desired_access } => {
                let name = Name { path: name, desired_access, open_if: true };
                opened(ex::open_section(kernel, process, name).map(|handle| (handle, false)))
            }
            SystemCall::MapViewOfSection { handle, view, protection } => {
                self.map_view(handle, view, protection, output)
            }
            SystemCall::Port(ref call) => self.port_call(thread, call, output, None),
            SystemCall::File(ref call) => self.file_call(thread, call, output),
            SystemCall::Synchronization(ref call) => self.synchronization_call(thread, call),
            SystemCall::UnmapViewOfSection { address } => done(process.user_space.unmap_segment(address)),
            SystemCall::GetDeviceInterface { class, index } => self.device_interface(class, index, output),
            SystemCall::OpenThreadToken { .. }
            | SystemCall::OpenProcessToken { .. }
            | SystemCall::QueryInformationToken { .. }
            | SystemCall::SetThreadToken { .. }
            | SystemCall::DuplicateToken { .. } => self.token_call(thread, call, output),
            SystemCall::FlushVirtualMemory { address, length } => {
                match process.user_space.flush_segment(address, length) {
                    Ok(bytes) => told(bytes),
                    Err(status) => SystemReply::status(status),
                }
            }
            SystemCall::FilterConnectCommunicationPort { name, options, context } => {
                let connected = flt::connect(kernel, process, name, options, context);
                opened(connected.map(|handle| (handle, false)))
            }
            SystemCall::FilterLoad { name } => {
                done(flt::filter_load(kernel, process, thread, &String::from_utf16_lossy(name)))
            }
            SystemCall::FilterUnload { name } => {
                done(flt::filter_unload(kernel, process, thread, &String::from_utf16_lossy(name)))
            }
            SystemCall::LoadDriver { key } => {
                let privileged = io::check_load_privilege(kernel, process);
                done(privileged.and_then(|()| halting(io::load_driver_by_key(kernel, thread, key))))
            }
            SystemCall::UnloadDriver { key } => {
                let privileged = io::check_load_privilege(kernel, process);
                let unload = |()| halting(io::unload_driver_by_key(kernel, thread, key)).map(drop);
                done(privileged.and_then(unload))
            }
        }
    }

    fn create_named_pipe(&self, name: &[u16], pipe: &gate::NamedPipe, descriptor: &[u8]) -> SystemReply {
        // From another process no longer ones arrive.
        if descriptor.len() > SystemCall::MOST_DESCRIPTOR {
            return SystemReply::status(abi::STATUS_INVALID_PARAMETER);
        }
        let security = if descriptor.is_empty() {
            Some(se::named_pipe_descriptor(&self.process.token))
        } else {
            se::SecurityDescriptor::from_bytes(descriptor)
        };
        let Some(security) = security else {
            return SystemReply::status(abi::STATUS_INVALID_SECURITY_DESCR);
        };
        let request = io::OpenRequest {
            path: name,
            desired_access: pipe.desired_access,
            share_access: pipe.share_access,
            create_disposition: pipe.create_disposition,
            create_options: pipe.create_options,
            user_mode: true,
            named_pipe: Some(io::NamedPipe {
                pipe_type: pipe.pipe_type,
                read_mode: pipe.read_mode,
                completion_mode: pipe.completion_mode,
                maximum_instances: pipe.maximum_instances,
                inbound_quota: pipe.inbound_quota,
                outbound_quota: pipe.outbound_quota,
                default_timeout: Some(pipe.default_timeout),
                security: Some(&security),
            }),
            ..io::OpenRequest::default()
        };
        match io::create_file(&self.kernel, &self.process, &request) {
            Ok((handle, information)) => {
                SystemReply { status: abi::STATUS_SUCCESS, handle: Handle(handle), information }
            }
            Err(status) => SystemReply::status(status),
        }
    }

    fn create_mailslot(&self, name: &[u16], mailslot: &gate::Mailslot) -> SystemReply {
        let request = io::OpenRequest {
            path: name,
            desired_access: mailslot.desired_access,
            share_access: abi::FILE_SHARE_READ | abi::FILE_SHARE_WRITE,
            create_disposition: abi::FILE_CREATE,
            create_options: mailslot.create_options,
            user_mode: true,
            mailslot: Some(io::Mailslot {
                quota: mailslot.quota,
                maximum_message_size: mailslot.maximum_message_size,
                read_timeout: Some(mailslot.read_timeout),
            }),
            ..io::OpenRequest::default()
        };
        match io::create_file(&self.kernel, &self.process, &request) {
            Ok((handle, information)) => {
                SystemReply { status: abi::STATUS_SUCCESS, handle: Handle(handle), information }
            }
            Err(status) => SystemReply::status(status),
        }
    }

    fn change_event(&self, handle: Handle, change: EventChange) -> SystemReply {
        match ex::change_event(&self.kernel, &self.process, handle.0, change) {
            Ok(before) => told(u64::from(before != 0)),
            Err(status) => SystemReply::status(status),
        }
    }

    fn wait(
        &self,
        thread: &Thread,
        handles: &[Handle],
        all: bool,
        alertable: bool,
        timeout: Timeout,
    ) -> SystemReply {
        const MOST: usize = abi::MAXIMUM_WAIT_OBJECTS as usize + 1;
        let mut values = [0; MOST];
        let count = handles.len().min(MOST);
        for (value, handle) in values.iter_mut().zip(handles) {
            *value = handle.0;
        }
        let kind = if all { WaitType::All } else { WaitType::Any };
        let (kernel, process, values) = (&*self.kernel, &*self.process, &values[..count]);
        SystemReply::status(ob::wait_for_handles(kernel, process, thread, values, kind, alertable, timeout))
    }

    fn map_view(&self, section: Handle, view: MappedView, protection: u32, output: &mut [u8]) -> SystemReply {
        let Some(room) = output.first_chunk_mut() else {
            return SystemReply::status(abi::STATUS_BUFFER_TOO_SMALL);
        };
        let asked = ex::View { base: view.base, offset: view.offset, size: view.size };
        match ex::map_view_of_section(&self.kernel, &self.process, section.0, asked, protection) {
            Ok(ex::View { base, offset, size }) => {
                *room = MappedView { base, offset, size }.to_bytes();
                told(MappedView::SIZE as u64)
            }
            Err(status) => SystemReply::status(status),
        }
    }

    fn device_interface(&self, class: [u8; 16], index: u32, output: &mut [u8]) -> SystemReply {
        let query = InterfaceQuery { class, physical: DeviceObject::at(0), include_inactive: false };
        let names = io::get_device_interfaces(&self.kernel, &query);
        let Some(name) = names.get(index as usize) else {
            return SystemReply::status(abi::STATUS_NO_MORE_ENTRIES);
        };
        let Some(room) = output.get_mut(..name.len() * 2) else {
            return SystemReply::status(abi::STATUS_BUFFER_TOO_SMALL);
        };
        for (place, unit) in room.chunks_exact_mut(2).zip(name) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        told(room.len() as u64)
    }

    fn take_user_apc(&self, thread: &Thread, output: &mut [u8]) -> SystemReply {
        let Some(room) = output.first_chunk_mut() else {
            return SystemReply::status(abi::STATUS_BUFFER_TOO_SMALL);
        };
        let Some(apc) = self.kernel.ke.take_user_apc(&self.kernel, thread) else {
            return SystemReply::status(abi::STATUS_NO_MORE_ENTRIES);
        };
        *room = UserApc { routine: apc.routine, arguments: apc.arguments }.to_bytes();
        told(UserApc::SIZE as u64)
    }

    fn remove_io_completion(
        &self,
        thread: &Thread,
        port: Handle,
        alertable: bool,
        timeout: Timeout,
        output: &mut [u8],
    ) -> SystemReply {
        let none = io::CompletionPacket { key: 0, context: 0, status: abi::STATUS_SUCCESS, information: 0 };
        let mut packets = [none; MOST_PACKETS];
        let (rooms, _) = output.as_chunks_mut::<{ CompletionPacket::SIZE }>();
        let packets = &mut packets[..rooms.len().min(MOST_PACKETS)];
        let (kernel, process) = (&*self.kernel, &*self.process);
        match io::remove_io_completion(kernel, process, thread, port.0, packets, alertable, timeout) {
            Ok(count) => {
                for (room, packet) in rooms.iter_mut().zip(&packets[..count]) {
                    let io::CompletionPacket { key, context, status, information } = *packet;
                    let result = IoStatus { status, information };
                    *room = CompletionPacket { key, context, result }.to_bytes();
                }
                told((count * CompletionPacket::SIZE) as u64)
            }
            Err(status) => SystemReply::status(status),
        }
    }
}
