//! What an asynchronous request asks of a driver, and how its IRP says so: which bytes go through a system buffer, which
//! an MDL describes, which addresses the driver gets as they are.
//!
//! Source: kernel, Methods for Accessing Data Buffers; Buffer Descriptions for I/O Control Codes.

use super::entry_lists::Entries;
use super::packet::{InFlight, Needs};
use super::request::{buffered_flags, direction_flags, set_control};
use super::unbuffered::describe;
use crate::mm;
use crate::raw::{IoStackLocation, Irp, Outcome};

/// Address and length in bytes of a part of the caller's memory.
pub(super) type Bytes = (u64, u32);

const NO_BYTES: Bytes = (0, 0);

/// How a device wants the data of reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BufferMode {
    Buffered,
    Direct,
    Neither,
}

impl BufferMode {
    fn of(device_flags: u32) -> Self {
        if device_flags & abi::DO_BUFFERED_IO != 0 {
            Self::Buffered
        } else if device_flags & abi::DO_DIRECT_IO != 0 {
            Self::Direct
        } else {
            Self::Neither
        }
    }
}

/// A request, apart from its file and from how its end is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    kind: Kind,
    mode: BufferMode,
    /// IRP_PAGING_IO and its like.
    extra_flags: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Transfer {
        major: u8,
        position: u64,
        data: Bytes,
    },
    Control {
        major: u8,
        code: u32,
        input: Bytes,
        output: Bytes,
    },
    /// With what Parameters.SetFile says besides.
    Information {
        major: u8,
        class: i32,
        data: Bytes,
        target: (u64, u64),
    },
    Security {
        major: u8,
        information: u32,
        descriptor: Bytes,
    },
    Flush,
    FileSystem {
        parts: Parts,
        data: Bytes,
    },
}

/// Which way the data of a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The driver fills it.
    ToCaller,
    /// The driver reads it; a list of such entries, if that can be looked at here.
    ToDriver(Option<Entries>),
}

/// What a request of a file system says in its first driver's stack location.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) major: u8,
    pub(super) minor: u8,
    /// SL_*.
    pub(super) flags: u8,
    pub(super) flow: Flow,
    pub(super) parameters: [u64; 4],
    /// Address of what was captured for it in pool, which goes with it; 0 for nothing.
    pub(super) auxiliary: u64,
}

/// Whether a request with this major function changes what it names.
fn is_change(major: u8) -> bool {
    major == abi::IRP_MJ_SET_INFORMATION || major == abi::IRP_MJ_SET_VOLUME_INFORMATION
}

impl Operation {
    /// A read or write (`major`) at `position`, to a device with these flags.
    pub(super) fn transfer(major: u8, device_flags: u32, position: u64, data: Bytes) -> Self {
        let mode = BufferMode::of(device_flags);
        Self { kind: Kind::Transfer { major, position, data }, mode, extra_flags: 0 }
    }

    /// The same, as the memory manager reads and writes the pages of a section's file: by an MDL, however the device wants the data of
    /// others. (Confirm: no public text says so of a device with DO_BUFFERED_IO.)
    pub(super) fn for_paging(self) -> Self {
        Self { mode: BufferMode::Direct, extra_flags: abi::IRP_PAGING_IO | abi::IRP_NOCACHE, ..self }
    }

    /// A control request (`major`: IRP_MJ_DEVICE_CONTROL, or IRP_MJ_FILE_SYSTEM_CONTROL).
    pub(super) fn control(major: u8, code: u32, input: Bytes, output: Bytes) -> Self {
        let mode = match code & 3 {
            abi::METHOD_BUFFERED => BufferMode::Buffered,
            abi::METHOD_NEITHER => BufferMode::Neither,
            _ => BufferMode::Direct,
        };
        Self { kind: Kind::Control { major, code, input, output }, mode, extra_flags: 0 }
    }

    /// IRP_MJ_FLUSH_BUFFERS.
    pub(super) fn flush() -> Self {
        Self { kind: Kind::Flush, mode: BufferMode::Neither, extra_flags: 0 }
    }

    /// IRP_MJ_QUERY_SECURITY, or IRP_MJ_SET_SECURITY (`major`): the driver writes to the descriptor's place itself, or reads a copy
    /// that is kept for it.
    pub(super) fn security(major: u8, information: u32, descriptor: Bytes) -> Self {
        Self {
            kind: Kind::Security { major, information, descriptor },
            mode: BufferMode::Neither,
            extra_flags: 0,
        }
    }

    /// A query, or a change, of what a file or volume is (`major`: IRP_MJ_QUERY_INFORMATION and its like).
    pub(super) fn information(major: u8, class: i32, data: Bytes) -> Self {
        Self {
            kind: Kind::Information { major, class, data, target: (0, 0) },
            mode: BufferMode::Buffered,
            extra_flags: 0,
        }
    }

    /// A change, with FileObject and ReplaceIfExists of Parameters.SetFile.
    pub(super) fn with_target(mut self, parameters: (u64, u64)) -> Self {
        if let Kind::Information { target, .. } = &mut self.kind {
            *target = parameters;
        }
        self
    }

    /// A request of a file system, to a device with these flags. It owns what the parts have captured.
    pub(super) fn file_system(parts: Parts, device_flags: u32, data: Bytes) -> Self {
        Self { kind: Kind::FileSystem { parts, data }, mode: BufferMode::of(device_flags), extra_flags: 0 }
    }

    /// Address of what was captured for it; 0 for nothing.
    pub(super) fn auxiliary(&self) -> u64 {
        match self.kind {
            Kind::FileSystem { parts, .. } => parts.auxiliary,
            _ => 0,
        }
    }

    /// What its system buffer holds a list of that has to be looked at.
    pub(super) fn list(&self) -> Option<(Entries, u32)> {
        match (self.kind, self.mode) {
            (Kind::FileSystem { parts, data }, BufferMode::Buffered) if data.1 > 0 => match parts.flow {
                Flow::ToDriver(Some(entries)) => Some((entries, data.1)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Code and buffers of a control request of devices.
    pub(super) fn as_control(&self) -> Option<(u32, Bytes, Bytes)> {
        match self.kind {
            Kind::Control { major: abi::IRP_MJ_DEVICE_CONTROL, code, input, output } => {
                Some((code, input, output))
            }
            _ => None,
        }
    }

    /// Major function, position and buffer of a read or write that is no paging request.
    pub(super) fn as_transfer(&self) -> Option<(u8, u64, Bytes)> {
        match self.kind {
            Kind::Transfer { major, position, data } if self.extra_flags == 0 => {
                Some((major, position, data))
            }
            _ => None,
        }
    }

    /// What its packet must have.
    pub(super) fn needs(&self) -> Needs {
        let (copied_in, copied_out) = (self.copied_in().1, self.copied_out().1);
        let (address, length) = self.described().unwrap_or(NO_BYTES);
        let pages = mm::pages_spanned(address, u64::from(length));
        Needs { buffer: copied_in.max(copied_out), pages: if length == 0 { 0 } else { pages } }
    }

    /// What the system buffer holds in the beginning.
    pub(super) fn copied_in(&self) -> Bytes {
        match (self.kind, self.mode) {
            (Kind::Control { input, .. }, BufferMode::Buffered | BufferMode::Direct) => input,
            (Kind::Transfer { major: abi::IRP_MJ_WRITE, data, .. }, BufferMode::Buffered) => data,
            // A query of everything finds there what the I/O manager has answered of it.
            (Kind::Information { data, .. }, _) => data,
            (Kind::FileSystem { parts, data }, BufferMode::Buffered) if parts.flow != Flow::ToCaller => data,
            _ => NO_BYTES,
        }
    }

    /// Where what the system buffer holds in the end goes.
    pub(super) fn copied_out(&self) -> Bytes {
        match (self.kind, self.mode) {
            (Kind::Control { output, .. }, BufferMode::Buffered) => output,
            (Kind::Transfer { major: abi::IRP_MJ_READ, data, .. }, BufferMode::Buffered) => data,
            (Kind::Information { major, data, .. }, _) if !is_change(major) => data,
            (Kind::FileSystem { parts, data }, BufferMode::Buffered) if parts.flow == Flow::ToCaller => data,
            _ => NO_BYTES,
        }
    }

    /// What its MDL describes.
    fn described(&self) -> Option<Bytes> {
        match (self.kind, self.mode) {
            (Kind::Control { output, .. }, BufferMode::Direct) => Some(output),
            (Kind::Transfer { data, .. } | Kind::FileSystem { data, .. }, BufferMode::Direct) => Some(data),
            _ => None,
        }
    }

    /// Whether the driver writes to what the MDL describes.
    pub(super) fn is_for_writing(&self) -> bool {
        match self.kind {
            Kind::Transfer { major, .. } => major == abi::IRP_MJ_READ,
            Kind::Control { code, .. } => code & 3 == abi::METHOD_OUT_DIRECT,
            Kind::FileSystem { parts, .. } => parts.flow == Flow::ToCaller,
            Kind::Flush | Kind::Information { .. } | Kind::Security { .. } => false,
        }
    }

    /// Fills the packet's MDL, if it has one.
    pub(super) fn describe(&self, request: &InFlight) -> Outcome<()> {
        match self.described() {
            Some((address, length)) => describe(request.irp, request, address, length, self.is_for_writing()),
            None => Ok(()),
        }
    }

    /// Sets what is particular to it in the IRP, besides its MDL, and in the first driver's stack location.
    pub(super) fn fill(&self, irp: Irp, location: IoStackLocation, request: &InFlight) -> Outcome<()> {
        let mut flags = if self.mode == BufferMode::Buffered || request.buffer != 0 {
            buffered_flags(request.buffer)
        } else {
            0
        };
        match self.kind {
            Kind::Transfer { major, position, data: (address, length) } => {
                location.set_major_function(major)?;
                location.set_parameter(0, u64::from(length))?;
                location.set_parameter(2, position)?;
                flags |= direction_flags(major);
                if self.mode == BufferMode::Neither {
                    irp.set_user_buffer(address)?;
                }
            }
            Kind::Control { major, code, input, output } => {
                set_control(location, code, input.1, output.1)?;
                // The parameters of both are the same; IRP_MN_USER_FS_REQUEST is 0.
                location.set_major_function(major)?;
                if self.copied_out().1 > 0 {
                    flags |= abi::IRP_INPUT_OPERATION;
                }
                if self.mode == BufferMode::Neither {
                    location.set_parameter(3, input.0)?;
                    irp.set_user_buffer(output.0)?;
                }
            }
            Kind::Information { major, class, data: (_, length), target } => {
                location.set_major_function(major)?;
                location.set_parameter(0, u64::from(length))?;
                location.set_parameter(1, u64::from(class.cast_unsigned()))?;
                if is_change(major) {
                    location.set_parameter(2, target.0)?;
                    location.set_parameter(3, target.1)?;
                } else {
                    flags |= abi::IRP_INPUT_OPERATION;
                }
            }
            Kind::Security { major, information, descriptor: (address, length) } => {
                location.set_major_function(major)?;
                location.set_parameter(0, u64::from(information))?;
                if major == abi::IRP_MJ_SET_SECURITY {
                    location.set_parameter(1, address)?;
                } else {
                    location.set_parameter(1, u64::from(length))?;
                    irp.set_user_buffer(address)?;
                }
            }
            Kind::Flush => location.set_major_function(abi::IRP_MJ_FLUSH_BUFFERS)?,
            Kind::FileSystem { parts, data } => {
                location.set_major_function(parts.major)?;
                location.set_minor_function(parts.minor)?;
                location.set_flags(parts.flags)?;
                for (index, parameter) in (0..).zip(parts.parameters) {
                    location.set_parameter(index, parameter)?;
                }
                irp.set_auxiliary_buffer(parts.auxiliary)?;
                if parts.flow == Flow::ToCaller {
                    flags |= abi::IRP_INPUT_OPERATION;
                }
                if self.mode == BufferMode::Neither {
                    irp.set_user_buffer(data.0)?;
                }
            }
        }
        irp.set_flags(flags | self.extra_flags)?;
        irp.set_system_buffer(request.buffer)
    }
}
