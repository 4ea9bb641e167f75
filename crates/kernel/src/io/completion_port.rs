//! I/O completion ports: queues of packets that tell which requests of which files have ended.
//!
//! A packet lies in pool as an entry of the port's `KQUEUE`, so that a port lets no more of its threads run at a time than it
//! says. Packets are used again: a request in the steady state allocates none.
//!
//! Source: Win32, I/O Completion Ports; CreateIoCompletionPort; GetQueuedCompletionStatusEx; ddi, FILE_COMPLETION_INFORMATION.

use std::any::Any;
use std::mem::offset_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::NTSTATUS;

use super::file::File;
use crate::Kernel;
use crate::ke::{Kqueue, ProcessorMode, QueueEnd, Removed, Thread, Timeout};
use crate::mm::PoolOwner;
use crate::ob::{self, Name, Object, ObjectBody, ObjectType};
use crate::ps::Process;
use crate::raw::{self, CompletionEntry, Outcome};

/// Tag of ports and their packets.
pub(super) const TAG: u32 = u32::from_le_bytes(*b"IoCo");
const TYPE_NAME: &str = "IoCompletion";
/// Packets that a port keeps for the next requests.
const KEPT: usize = 64;

/// What tells of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionPacket {
    /// The key that the file has at the port.
    pub key: u64,
    /// What the request was given to be known by: Win32 uses the address of the OVERLAPPED.
    pub context: u64,
    /// How the request ended.
    pub status: NTSTATUS,
    /// For transfers the number of bytes.
    pub information: u64,
}

/// What a port keeps.
#[derive(Debug)]
pub(super) struct Port {
    queue: Kqueue,
    spare: Mutex<Vec<CompletionEntry>>,
}

impl ObjectBody for Port {
    fn object_type(&self) -> ObjectType {
        ObjectType {
            name: TYPE_NAME,
            parses: false,
            generic_mapping: [0x2_0001, 0x2_0002, 0x12_0000, abi::IO_COMPLETION_ALL_ACCESS],
        }
    }

    fn close(&self, kernel: &Kernel, _process: &Process, _object: &Arc<Object>, last_in_system: bool) {
        if last_in_system {
            // Threads that wait for a packet go on with STATUS_ABANDONED.
            self.run_down(kernel);
        }
    }

    fn delete(&self, kernel: &Kernel, _object: &Object) {
        self.run_down(kernel);
        let spare = std::mem::take(&mut *self.spare());
        for address in spare.into_iter().map(CompletionEntry::address).chain([self.queue.address()]) {
            super::free_own(kernel, address);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Port {
    fn spare(&self) -> MutexGuard<'_, Vec<CompletionEntry>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_down(&self, kernel: &Kernel) {
        // Memory of the kernel's own; a driver that scribbled over it loses the packets.
        let Ok(first) = kernel.ke.rundown_queue(kernel, self.queue) else { return };
        let mut next = first;
        while next != 0 {
            let entry = CompletionEntry::at(next);
            next = raw::read(next).unwrap_or(0);
            self.recycle(kernel, entry);
            if next == first {
                break;
            }
        }
    }

    /// A packet to come.
    pub(super) fn reserve(&self, kernel: &Kernel) -> Result<CompletionEntry, NTSTATUS> {
        if let Some(entry) = self.spare().pop() {
            return Ok(entry);
        }
        let block = kernel.mm.pool.allocate_zeroed(CompletionEntry::SIZE, TAG, PoolOwner::default());
        block.map(|block| CompletionEntry::at(block.address)).ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)
    }

    /// A packet that does not come, or has been taken.
    pub(super) fn recycle(&self, kernel: &Kernel, entry: CompletionEntry) {
        let mut spare = self.spare();
        if spare.len() < KEPT {
            spare.push(entry);
        } else {
            drop(spare);
            super::free_own(kernel, entry.address());
        }
    }

    /// Queues a packet in the memory that was reserved for it.
    pub(super) fn post(
        &self,
        kernel: &Kernel,
        entry: CompletionEntry,
        packet: &CompletionPacket,
    ) -> Outcome<()> {
        entry.set_key(packet.key)?;
        entry.set_context(packet.context)?;
        entry.set_information(packet.information)?;
        entry.set_status(packet.status.bits())?;
        kernel.ke.insert_queue(kernel, self.queue, entry.address(), QueueEnd::Tail).map(drop)
    }

    fn take(
        &self,
        kernel: &Kernel,
        thread: &Thread,
        alertable: bool,
        timeout: Timeout,
    ) -> Outcome<Result<CompletionPacket, NTSTATUS>> {
        let mode = ProcessorMode::User;
        let entry = match kernel.ke.remove_queue(kernel, thread, self.queue, mode, alertable, timeout)? {
            Removed::Entry(address) => CompletionEntry::at(address),
            Removed::Status(status) => return Ok(Err(status)),
        };
        let packet = CompletionPacket {
            key: entry.key()?,
            context: entry.context()?,
            status: NTSTATUS::from_bits(entry.status()?),
            information: entry.information()?,
        };
        self.recycle(kernel, entry);
        Ok(Ok(packet))
    }
}

/// Which port a file's requests tell of their end.
#[derive(Debug)]
pub(super) struct Association {
    /// Referenced as long as the file is.
    port: Arc<Object>,
    key: u64,
    /// Address of the IO_COMPLETION_CONTEXT that the file object shows.
    shown: u64,
}

/// A packet that one request has reserved.
#[derive(Debug)]
pub(super) struct Reservation {
    port: Arc<Object>,
    key: u64,
    entry: CompletionEntry,
}

impl Association {
    /// Reserves the packet of a request that begins.
    pub(super) fn reserve(&self, kernel: &Kernel) -> Result<Reservation, NTSTATUS> {
        let port = self.port.body::<Port>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
        let entry = port.reserve(kernel)?;
        if !self.port.try_reference() {
            port.recycle(kernel, entry);
            return Err(abi::STATUS_INVALID_HANDLE);
        }
        Ok(Reservation { port: self.port.clone(), key: self.key, entry })
    }

    /// The file goes.
    pub(super) fn release(&self, kernel: &Kernel) {
        super::free_own(kernel, self.shown);
        self.port.dereference(kernel);
    }
}

impl Reservation {
    /// The request has ended: its packet is queued.
    pub(super) fn post(
        self,
        kernel: &Kernel,
        context: u64,
        status: NTSTATUS,
        information: u64,
    ) -> Outcome<()> {
        let packet = CompletionPacket { key: self.key, context, status, information };
        let posted = match self.port.body::<Port>() {
            Some(port) => port.post(kernel, self.entry, &packet),
            None => Ok(()),
        };
        self.port.dereference(kernel);
        posted
    }

    /// Nobody is to be told.
    pub(super) fn release(self, kernel: &Kernel) {
        if let Some(port) = self.port.body::<Port>() {
            port.recycle(kernel, self.entry);
        }
        self.port.dereference(kernel);
    }
}

/// `NtCreateIoCompletion`: a handle of `process` to a new port for `threads` at a time, 0 for the number of processors.
/// PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`; as for [`ob::create_named`].
pub fn create_io_completion(
    kernel: &Kernel,
    process: &Process,
    name: Name<'_>,
    threads: u32,
) -> Result<(u32, bool), NTSTATUS> {
    let block = kernel.mm.pool.allocate_zeroed(Kqueue::SIZE, TAG, PoolOwner::default());
    let queue = Kqueue::at(block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address);
    kernel.ke.initialize_queue(queue, threads).map_err(|_| abi::STATUS_INSUFFICIENT_RESOURCES)?;
    let object = Object::new(queue.address(), Port { queue, spare: Mutex::default() });
    kernel.ob.remember(&object);
    ob::create_named(kernel, process, &object, name)
}

/// `NtSetInformationFile` with FileCompletionInformation: the end of each request of `file` that is given a context is told to
/// `port`, with `key`. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a synchronous file, or one that has a port; as for [`ob::reference_own`] of both handles;
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn set_file_completion(
    kernel: &Kernel,
    process: &Process,
    file: u32,
    port: u32,
    key: u64,
) -> Result<(), NTSTATUS> {
    let port = ob::reference_own(process, port, Some(TYPE_NAME), abi::IO_COMPLETION_MODIFY_STATE)?;
    let result = with_file(kernel, process, file, |file| associate(kernel, file, &port, key));
    if result.is_err() {
        port.dereference(kernel);
    }
    result
}

fn associate(kernel: &Kernel, file: &File, port: &Arc<Object>, key: u64) -> Result<(), NTSTATUS> {
    if file.synchronous || file.completion.get().is_some() {
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    let size = size_of::<abi::IO_COMPLETION_CONTEXT>();
    let block = kernel.mm.pool.allocate_zeroed(size, TAG, PoolOwner::default());
    let shown = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
    let show = || {
        raw::write(shown + offset_of!(abi::IO_COMPLETION_CONTEXT, Port) as u64, port.address)?;
        raw::write(shown + offset_of!(abi::IO_COMPLETION_CONTEXT, Key) as u64, key)?;
        file.object.set_completion_context(shown)
    };
    let association = Association { port: port.clone(), key, shown };
    if file.completion.set(association).is_err() {
        super::free_own(kernel, shown);
        return Err(abi::STATUS_INVALID_PARAMETER);
    }
    show().map_err(|_| abi::STATUS_ACCESS_VIOLATION)
}

/// `NtSetInformationFile` with FileIoCompletionNotificationInformation: sets FILE_SKIP_COMPLETION_PORT_ON_SUCCESS and
/// FILE_SKIP_SET_EVENT_ON_HANDLE, which stay set. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for other flags and for synchronous files; as for [`ob::reference_own`].
///
/// Source: Win32, SetFileCompletionNotificationModes.
pub fn set_completion_notification_modes(
    kernel: &Kernel,
    process: &Process,
    file: u32,
    flags: u32,
) -> Result<(), NTSTATUS> {
    const KNOWN: u32 = abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS
        | abi::FILE_SKIP_SET_EVENT_ON_HANDLE
        | abi::FILE_SKIP_SET_USER_EVENT_ON_FAST_IO;
    let shown = [
        (abi::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, abi::FO_SKIP_COMPLETION_PORT),
        (abi::FILE_SKIP_SET_EVENT_ON_HANDLE, abi::FO_SKIP_SET_EVENT),
        (abi::FILE_SKIP_SET_USER_EVENT_ON_FAST_IO, abi::FO_SKIP_SET_FAST_IO),
    ];
    with_file(kernel, process, file, |file| {
        if flags & !KNOWN != 0 || file.synchronous {
            return Err(abi::STATUS_INVALID_PARAMETER);
        }
        file.skips.fetch_or(flags, std::sync::atomic::Ordering::Relaxed);
        let shown = shown.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |all, (_, bit)| all | bit);
        let own = file.object.flags().and_then(|own| file.object.set_flags(own | shown));
        own.map_err(|_| abi::STATUS_ACCESS_VIOLATION)
    })
}

fn with_file(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    body: impl FnOnce(&File) -> Result<(), NTSTATUS>,
) -> Result<(), NTSTATUS> {
    let object = ob::reference_own(process, handle, None, 0)?;
    let result = object.body::<File>().map_or(Err(abi::STATUS_OBJECT_TYPE_MISMATCH), body);
    object.dereference(kernel);
    result
}

fn with_port<R>(
    kernel: &Kernel,
    process: &Process,
    handle: u32,
    body: impl FnOnce(&Port) -> Result<R, NTSTATUS>,
) -> Result<R, NTSTATUS> {
    let object = ob::reference_own(process, handle, Some(TYPE_NAME), abi::IO_COMPLETION_MODIFY_STATE)?;
    let result = object.body::<Port>().map_or(Err(abi::STATUS_OBJECT_TYPE_MISMATCH), body);
    object.dereference(kernel);
    result
}

/// `NtSetIoCompletion`: queues a packet of the application's own. PASSIVE_LEVEL.
///
/// # Errors
/// As for [`ob::reference_own`], which asks for IO_COMPLETION_MODIFY_STATE; `STATUS_INSUFFICIENT_RESOURCES`.
pub fn set_io_completion(
    kernel: &Kernel,
    process: &Process,
    port: u32,
    packet: &CompletionPacket,
) -> Result<(), NTSTATUS> {
    with_port(kernel, process, port, |port| {
        let entry = port.reserve(kernel)?;
        port.post(kernel, entry, packet).map_err(|_| abi::STATUS_ACCESS_VIOLATION)
    })
}

/// `NtRemoveIoCompletionEx`: waits for a packet, in user mode, and takes it and those behind it, as many as `packets` has
/// room for; returns how many. The thread belongs to the port from now on. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_TIMEOUT`, `STATUS_USER_APC` and `STATUS_ALERTED` (which are success codes) when no packet came;
/// `STATUS_ABANDONED_WAIT_0` when the last handle of the port was closed meanwhile; `STATUS_INVALID_PARAMETER` for no room at all;
/// as for [`ob::reference_own`]; `STATUS_DEVICE_NOT_CONNECTED` when the machine stops.
pub fn remove_io_completion(
    kernel: &Kernel,
    process: &Process,
    thread: &Thread,
    port: u32,
    packets: &mut [CompletionPacket],
    alertable: bool,
    timeout: Timeout,
) -> Result<usize, NTSTATUS> {
    with_port(kernel, process, port, |port| {
        let mut count = 0;
        for slot in packets.iter_mut() {
            let timeout = if count == 0 { timeout } else { Timeout::At(0) };
            let taken = port.take(kernel, thread, alertable && count == 0, timeout);
            match taken.map_err(|_| abi::STATUS_DEVICE_NOT_CONNECTED)? {
                Ok(packet) => *slot = packet,
                Err(status) if count == 0 => return Err(status),
                Err(_) => break,
            }
            count += 1;
        }
        if count == 0 { Err(abi::STATUS_INVALID_PARAMETER) } else { Ok(count) }
    })
}
