//! A file's current position, which its driver moves.

use abi::FO_SYNCHRONOUS_IO;

use crate::irp::Irp;
use crate::{Mode, Read, Write};

/// Nobody else has a request with this file at the same time: requests of a synchronous file come one by one.
fn set(irp: &Irp, position: i64) {
    let Some(file) = irp.own_file() else { return };
    // SAFETY: a file object that the request keeps.
    if unsafe { (*file.as_ptr()).Flags } & FO_SYNCHRONOUS_IO != 0 {
        // SAFETY: as above.
        unsafe { (*file.as_ptr()).CurrentByteOffset = position };
    }
}

impl<M: Mode> Read<M> {
    /// `FileObject->CurrentByteOffset`: where the next request without an offset begins, in bytes. A driver of files that have a position moves
    /// it behind what it has read; only files for synchronous I/O keep one.
    ///
    /// Source: kernel, IRP_MJ_READ; FILE_OBJECT.
    pub fn set_current_byte_offset(&self, position: i64) {
        set(&self.irp, position);
    }
}

impl<M: Mode> Write<M> {
    /// As [`Read::set_current_byte_offset`], behind what was written.
    pub fn set_current_byte_offset(&self, position: i64) {
        set(&self.irp, position);
    }
}
