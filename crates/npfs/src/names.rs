//! Pipes by name: who makes instances, who connects to them.

use alloc::vec::Vec;

use driver::abi::{
    FILE_APPEND_DATA, FILE_CREATE, FILE_CREATE_PIPE_INSTANCE, FILE_CREATED, FILE_OPEN, FILE_OPENED,
    FILE_PIPE_FULL_DUPLEX, FILE_PIPE_INBOUND, FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_OUTBOUND, FILE_READ_DATA,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, NTSTATUS, STATUS_ACCESS_DENIED,
    STATUS_INSTANCE_NOT_AVAILABLE, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PIPE_NOT_AVAILABLE,
};
use driver::{Create, CreateNamedPipe, Mutex, PassiveLevel, PoolArc, SecurityDescriptor, UnicodeStr};

use crate::TAG;
use crate::instance::{End, Handle, Instance};
use crate::waits::Waits;

/// A name, in UTF-16 units. Source: Win32, CreateNamedPipe (256 with `\\.\pipe\`); NT itself has no such limit.
pub(crate) const LONGEST_NAME: usize = 32_000;
/// How long a client waits whose wait and pipe say nothing, in units of 100 ns. Source: Win32, CreateNamedPipe (nDefaultTimeOut).
const DEFAULT_TIMEOUT: i64 = -50 * 10_000;

/// What all instances of a pipe have in common.
pub(crate) struct Pipe {
    /// Tells it from all others that there ever were.
    pub(crate) id: u64,
    /// Without a backslash in front.
    pub(crate) name: Vec<u16>,
    /// FILE_PIPE_MESSAGE_TYPE, FILE_PIPE_REJECT_REMOTE_CLIENTS.
    pub(crate) pipe_type: u32,
    /// FILE_PIPE_INBOUND, FILE_PIPE_OUTBOUND, FILE_PIPE_FULL_DUPLEX.
    pub(crate) configuration: u32,
    /// `u32::MAX` for any number.
    pub(crate) maximum_instances: u32,
    default_timeout: i64,
    security: SecurityDescriptor,
}

impl Pipe {
    pub(crate) fn has_messages(&self) -> bool {
        self.pipe_type & FILE_PIPE_MESSAGE_TYPE != 0
    }
}

struct Entry {
    pipe: PoolArc<Pipe>,
    instances: Vec<PoolArc<Instance>>,
}

struct Table {
    /// In the order of their names, without regard to case.
    pipes: Vec<Entry>,
    next_id: u64,
}

impl Table {
    /// Where the pipe of this name is, or belongs.
    fn place(&self, name: &[u16]) -> Result<usize, usize> {
        let name = UnicodeStr::new(name);
        self.pipes.binary_search_by(|entry| UnicodeStr::new(&entry.pipe.name).cmp_ignore_case(&name))
    }

    fn find(&mut self, name: &[u16]) -> Option<&mut Entry> {
        let place = self.place(name).ok()?;
        self.pipes.get_mut(place)
    }
}

/// All pipes. The lock is not on the way of what is read and written.
pub(crate) struct Names {
    table: Mutex<Table>,
    waits: Waits,
}

/// Whether a file's name is that of the device, or of the folder of all pipes.
pub(crate) fn is_root(name: &[u16]) -> bool {
    name.is_empty() || name == [u16::from(b'\\')]
}

/// A pipe's name: flat, whatever backslashes are in it, but for the one in front.
fn flat(name: &[u16]) -> Result<&[u16], NTSTATUS> {
    let name = name.strip_prefix(&[u16::from(b'\\')]).unwrap_or(name);
    if name.is_empty() || name.len() > LONGEST_NAME { Err(STATUS_OBJECT_NAME_INVALID) } else { Ok(name) }
}

fn copy(name: &[u16]) -> Result<Vec<u16>, NTSTATUS> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(name.len()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    copy.extend_from_slice(name);
    Ok(copy)
}

/// Which way bytes go, as what the server lets its clients share says.
fn configuration(share_access: u32) -> Result<u32, NTSTATUS> {
    match share_access & (FILE_SHARE_READ | FILE_SHARE_WRITE) {
        FILE_SHARE_READ => Ok(FILE_PIPE_OUTBOUND),
        FILE_SHARE_WRITE => Ok(FILE_PIPE_INBOUND),
        0 => Err(STATUS_INVALID_PARAMETER),
        _ => Ok(FILE_PIPE_FULL_DUPLEX),
    }
}

impl Names {
    pub(crate) fn new() -> Result<Self, NTSTATUS> {
        let table = Mutex::new(TAG, Table { pipes: Vec::new(), next_id: 1 })?;
        Ok(Self { table, waits: Waits::new()? })
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Makes an instance, of a new pipe if there is none of the name; also FILE_CREATED or FILE_OPENED.
    pub(crate) fn create(&self, request: &CreateNamedPipe) -> Result<(Handle, usize), NTSTATUS> {
        let level = request.level();
        let name = flat(request.file_name().units())?;
        let (parameters, disposition) = (request.parameters(), request.disposition());
        let configuration = configuration(request.share_access())?;
        let mut table = self.table.lock(level);
        let place = table.place(name);
        if let Some(entry) = place.ok().and_then(|place| table.pipes.get_mut(place)) {
            let pipe = &entry.pipe;
            // FILE_FLAG_FIRST_PIPE_INSTANCE is FILE_CREATE.
            if disposition == FILE_CREATE {
                return Err(STATUS_ACCESS_DENIED);
            }
            pipe.security.check(level, request, FILE_CREATE_PIPE_INSTANCE)?;
            let same = pipe.pipe_type & FILE_PIPE_MESSAGE_TYPE
                == parameters.NamedPipeType & FILE_PIPE_MESSAGE_TYPE
                && pipe.configuration == configuration
                && pipe.maximum_instances == parameters.MaximumInstances;
            if !same {
                return Err(STATUS_ACCESS_DENIED);
            }
            if entry.instances.len() >= pipe.maximum_instances as usize {
                return Err(STATUS_INSTANCE_NOT_AVAILABLE);
            }
            let instance = Instance::new(pipe.clone(), parameters)?;
            add(&mut entry.instances, instance.clone())?;
            return Ok((Handle::of_server(instance), FILE_OPENED));
        }
        if disposition == FILE_OPEN {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        let timeout =
            if parameters.TimeoutSpecified == 0 { DEFAULT_TIMEOUT } else { parameters.DefaultTimeout };
        let pipe = PoolArc::new(
            TAG,
            Pipe {
                id: table.next_id,
                name: copy(name)?,
                pipe_type: parameters.NamedPipeType,
                configuration,
                maximum_instances: parameters.MaximumInstances,
                default_timeout: timeout,
                security: SecurityDescriptor::assign(level, request)?,
            },
        )?;
        let instance = Instance::new(pipe.clone(), parameters)?;
        let mut instances = Vec::new();
        add(&mut instances, instance.clone())?;
        table.pipes.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        table.pipes.insert(place.unwrap_or_else(|place| place), Entry { pipe, instances });
        table.next_id += 1;
        Ok((Handle::of_server(instance), FILE_CREATED))
    }

    /// Connects to an instance that listens.
    pub(crate) fn open(&self, request: &Create) -> Result<Handle, NTSTATUS> {
        let level = request.level();
        let name = flat(request.file_name().units())?;
        // (Confirm: the status of a disposition that would make what only CreateNamedPipe makes.)
        if request.disposition() == FILE_CREATE {
            return Err(STATUS_ACCESS_DENIED);
        }
        let client = PoolArc::new(TAG, request.client_security()?)?;
        let mut table = self.table.lock(level);
        let entry = table.find(name).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
        entry.pipe.security.check(level, request, 0)?;
        let access = request.desired_access();
        let reads = access & FILE_READ_DATA != 0;
        let writes = access & (FILE_WRITE_DATA | FILE_APPEND_DATA) != 0;
        match entry.pipe.configuration {
            FILE_PIPE_INBOUND if reads => return Err(STATUS_ACCESS_DENIED),
            FILE_PIPE_OUTBOUND if writes => return Err(STATUS_ACCESS_DENIED),
            _ => {}
        }
        let mut connected = entry.instances.iter().filter_map(|instance| {
            let epoch = instance.connect_client(level, &client)?;
            Some(Handle { end: End::Client, epoch, instance: instance.clone() })
        });
        connected.next().ok_or(STATUS_PIPE_NOT_AVAILABLE)
    }

    /// The server of an instance is gone: nobody finds the instance any more, nor its pipe if it was the last.
    pub(crate) fn remove(&self, level: PassiveLevel, instance: &PoolArc<Instance>) {
        let mut table = self.table.lock(level);
        let id = instance.pipe.id;
        let Some(index) =
            table.place(&instance.pipe.name).ok().filter(|index| table.pipes[*index].pipe.id == id)
        else {
            return;
        };
        let instances = &mut table.pipes[index].instances;
        if let Some(place) = instances.iter().position(|other| other.is_same(instance)) {
            drop(instances.remove(place));
        }
        if !instances.is_empty() {
            return;
        }
        let gone = table.pipes.remove(index);
        drop(table);
        drop(gone);
        // (Confirm: that who waits learns of it at once. WaitNamedPipe's page says so of a pipe that is not there when it is called.)
        self.waits.wake(id, Some(STATUS_OBJECT_NAME_NOT_FOUND));
    }

    /// Instances of a pipe.
    pub(crate) fn instances(&self, level: PassiveLevel, pipe: &Pipe) -> u32 {
        let mut table = self.table.lock(level);
        table.find(&pipe.name).map_or(0, |entry| u32::try_from(entry.instances.len()).unwrap_or(u32::MAX))
    }

    /// The pipe of this name: its identifier, how long one waits for it who does not say, and whether an instance listens.
    pub(crate) fn look(&self, level: PassiveLevel, name: &[u16]) -> Result<(u64, i64, bool), NTSTATUS> {
        let name = flat(name)?;
        let mut table = self.table.lock(level);
        let entry = table.find(name).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
        let listens = entry.instances.iter().any(|instance| instance.listens(level));
        Ok((entry.pipe.id, entry.pipe.default_timeout, listens))
    }
}

fn add<T>(list: &mut Vec<T>, value: T) -> Result<(), NTSTATUS> {
    list.try_reserve(1).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
    list.push(value);
    Ok(())
}
