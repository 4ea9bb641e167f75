//! What a filter sees of a request by its kind: lengths, places, codes and bytes.

use abi::*;

use crate::bytes::Bytes;
use crate::filtered::{Filtered, InHand};
use crate::irp::Answered;
use crate::locked;
use crate::{DeviceControl, OtherRequest, Read, Write};

impl<F, M> InHand<F, M> {
    /// The bytes of a read or write, in whatever way the device has them.
    fn transferred(&self, length: usize) -> Result<Bytes<'_>, NTSTATUS> {
        let flags = self.device_flags();
        let address = if flags & DO_BUFFERED_IO != 0 {
            self.irp.system_buffer()
        } else if flags & DO_DIRECT_IO != 0 {
            locked::bytes(&self.irp, length)?
        } else {
            return Err(STATUS_NOT_SUPPORTED);
        };
        // SAFETY: NT made the system buffer or the MDL for the whole transfer, of which this is the front.
        Ok(unsafe { Bytes::new(address, length) })
    }
}

impl<F> InHand<F, Read> {
    /// Bytes asked for.
    #[must_use]
    pub fn length(&self) -> usize {
        // SAFETY: a read's parameters.
        unsafe { self.parameters().Read.Length as usize }
    }

    /// Where to read, in bytes from the start.
    #[must_use]
    pub fn byte_offset(&self) -> i64 {
        // SAFETY: a read's parameters.
        unsafe { self.parameters().Read.ByteOffset }
    }

    /// Asks the driver below for another place.
    pub fn set_byte_offset(&self, offset: i64) {
        let mut parameters = self.parameters();
        parameters.Read.ByteOffset = offset;
        self.changed.set(Some(parameters));
    }

    /// Asks the driver below for no more than `length` bytes.
    pub fn limit_length(&self, length: u32) {
        let mut parameters = self.parameters();
        // SAFETY: a read's parameters.
        let asked = unsafe { parameters.Read.Length };
        parameters.Read.Length = asked.min(length);
        self.changed.set(Some(parameters));
    }

    /// The bytes that were read, once the request has come back; none before, and none after an error.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_SUPPORTED when the device has neither DO_BUFFERED_IO nor DO_DIRECT_IO: then the bytes are the requester's, at
    /// an address of its own. STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn data(&self) -> Result<Bytes<'_>, NTSTATUS> {
        let shown = self.completed && !self.status().is_error();
        // SAFETY: a read's parameters, as they came.
        let asked = unsafe { self.irp.parameters().Read.Length as usize };
        self.transferred(if shown { self.information().min(asked) } else { 0 })
    }
}

impl<F> InHand<F, Write> {
    /// Bytes offered.
    #[must_use]
    pub fn length(&self) -> usize {
        // SAFETY: a write's parameters.
        unsafe { self.parameters().Write.Length as usize }
    }

    /// Where to write, in bytes from the start.
    #[must_use]
    pub fn byte_offset(&self) -> i64 {
        // SAFETY: a write's parameters.
        unsafe { self.parameters().Write.ByteOffset }
    }

    /// Has the driver below write to another place.
    pub fn set_byte_offset(&self, offset: i64) {
        let mut parameters = self.parameters();
        parameters.Write.ByteOffset = offset;
        self.changed.set(Some(parameters));
    }

    /// Fills the front of `target` with the bytes offered from `offset` on; returns how many these were.
    ///
    /// # Errors
    ///
    /// As for a read's `data`.
    pub fn copy_data(&self, offset: usize, target: &mut [u8]) -> Result<usize, NTSTATUS> {
        // SAFETY: a write's parameters, as they came.
        let length = unsafe { self.irp.parameters().Write.Length as usize };
        Ok(self.transferred(length)?.read(offset, target))
    }

    /// Replaces each byte offered by what `change` makes of it. Only a buffered device's: locked memory is the application's
    /// own.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_SUPPORTED for other devices.
    pub fn change_data(&self, change: impl FnMut(u8) -> u8) -> Result<(), NTSTATUS> {
        if self.device_flags() & DO_BUFFERED_IO == 0 {
            return Err(STATUS_NOT_SUPPORTED);
        }
        // SAFETY: a write's parameters, as they came.
        let length = unsafe { self.irp.parameters().Write.Length as usize };
        self.transferred(length)?.change(change);
        Ok(())
    }
}

impl<F: 'static> Filtered<F, Read> {
    /// Answers with STATUS_SUCCESS and as many of `bytes` as were asked for: the driver below does not learn of the request.
    ///
    /// # Errors
    ///
    /// As for `data`; the request is answered with the error.
    pub fn complete_with_bytes(self, bytes: &[u8]) -> Answered {
        // SAFETY: a read's parameters, as they came.
        let length = unsafe { self.irp.parameters().Read.Length as usize };
        match self.transferred(length).map(|target| target.write(0, bytes)) {
            Ok(count) => self.answer(STATUS_SUCCESS, count),
            Err(status) => self.fail(status),
        }
    }
}

impl<F: 'static> Filtered<F, Write> {
    /// Answers with STATUS_SUCCESS as if all bytes were written: the driver below does not learn of the request.
    pub fn complete_as_written(self) -> Answered {
        let length = self.length();
        self.answer(STATUS_SUCCESS, length)
    }
}

impl<F> InHand<F, DeviceControl> {
    fn control(&self) -> IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL {
        // SAFETY: a control request's parameters.
        unsafe { self.parameters().DeviceIoControl }
    }

    /// The control code.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.control().IoControlCode
    }

    /// Bytes of input.
    #[must_use]
    pub fn input_length(&self) -> usize {
        self.control().InputBufferLength as usize
    }

    /// Bytes that the output may have.
    #[must_use]
    pub fn output_length(&self) -> usize {
        self.control().OutputBufferLength as usize
    }

    /// Asks the driver below for another code, of the same transfer method: false, and nothing, if it is not.
    pub fn set_code(&self, code: u32) -> bool {
        let fits = METHOD_FROM_CTL_CODE(code) == METHOD_FROM_CTL_CODE(self.code());
        if fits {
            let mut parameters = self.parameters();
            parameters.DeviceIoControl.IoControlCode = code;
            self.changed.set(Some(parameters));
        }
        fits
    }

    /// Fills the front of `target` with the input from `offset` on; returns how many bytes these were. None once the request
    /// has come back, since output may lie there.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_SUPPORTED for METHOD_NEITHER.
    pub fn copy_input(&self, offset: usize, target: &mut [u8]) -> Result<usize, NTSTATUS> {
        if METHOD_FROM_CTL_CODE(self.code()) == METHOD_NEITHER {
            return Err(STATUS_NOT_SUPPORTED);
        }
        let length = if self.completed { 0 } else { self.input_length() };
        // SAFETY: NT made the system buffer for the input.
        Ok(unsafe { Bytes::new(self.irp.system_buffer(), length) }.read(offset, target))
    }

    /// The output, once the request has come back; none before, and none after an error.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_SUPPORTED for METHOD_IN_DIRECT, which has none, and METHOD_NEITHER. STATUS_INSUFFICIENT_RESOURCES when the
    /// memory cannot be mapped.
    pub fn output(&self) -> Result<Bytes<'_>, NTSTATUS> {
        // SAFETY: a control request's parameters, as they came.
        let control = unsafe { self.irp.parameters().DeviceIoControl };
        let shown = self.completed && !self.status().is_error();
        let length = if shown { self.information().min(control.OutputBufferLength as usize) } else { 0 };
        let address = match METHOD_FROM_CTL_CODE(control.IoControlCode) {
            METHOD_BUFFERED => self.irp.system_buffer(),
            METHOD_OUT_DIRECT => locked::bytes(&self.irp, length)?,
            _ => return Err(STATUS_NOT_SUPPORTED),
        };
        // SAFETY: NT made the system buffer or the MDL for the whole output, of which this is the front.
        Ok(unsafe { Bytes::new(address, length) })
    }
}

impl<F> InHand<F, OtherRequest> {
    /// One of the four words of `Parameters`, by its number from 0; 0 beyond.
    #[must_use]
    pub fn argument(&self, number: usize) -> usize {
        self.irp.argument(number)
    }
}
