//! IRP_MJ_DEVICE_CONTROL: one request type a transfer method, since the method decides where the bytes are.

use core::slice;

use abi::{
    IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL, IRP_MN_KERNEL_CALL, IRP_MN_USER_FS_REQUEST,
    METHOD_BUFFERED, METHOD_FROM_CTL_CODE, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, NTSTATUS, STATUS_SUCCESS,
};

use crate::irp::{Answered, Irp};
use crate::locked::{self, LockedData};
use crate::user::{UserData, UserOutput};
use crate::{Contexts, OtherRequest, Output};

/// An I/O control request, by the transfer method in its code.
///
/// The application chooses the code, so a driver looks at the method that came before it looks for bytes. NT has checked
/// the code's access bits against the handle already.
#[must_use = "a request is answered"]
pub enum DeviceControl {
    /// METHOD_BUFFERED.
    Buffered(BufferedControl),
    /// METHOD_IN_DIRECT.
    InDirect(InDirectControl),
    /// METHOD_OUT_DIRECT.
    OutDirect(OutDirectControl),
    /// METHOD_NEITHER.
    Neither(NeitherControl),
}

impl DeviceControl {
    pub(crate) fn new(irp: Irp) -> Self {
        match METHOD_FROM_CTL_CODE(control_of(&irp).IoControlCode) {
            METHOD_BUFFERED => Self::Buffered(BufferedControl::resume(irp, 0)),
            METHOD_IN_DIRECT => Self::InDirect(InDirectControl::resume(irp, 0)),
            METHOD_OUT_DIRECT => Self::OutDirect(OutDirectControl::resume(irp, 0)),
            _ => {
                let control = control_of(&irp);
                Self::Neither(NeitherControl {
                    irp,
                    code: control.IoControlCode,
                    input_address: control.Type3InputBuffer.cast(),
                    input_length: control.InputBufferLength as usize,
                    output_length: control.OutputBufferLength as usize,
                    written: 0,
                })
            }
        }
    }

    /// The control code.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Buffered(request) => request.code(),
            Self::InDirect(request) => request.code(),
            Self::OutDirect(request) => request.code(),
            Self::Neither(request) => request.code(),
        }
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        match self {
            Self::Buffered(request) => request.contexts(),
            Self::InDirect(request) => request.contexts(),
            Self::OutDirect(request) => request.contexts(),
            Self::Neither(request) => request.contexts(),
        }
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        match self {
            Self::Buffered(request) => request.fail(status),
            Self::InDirect(request) => request.fail(status),
            Self::OutDirect(request) => request.fail(status),
            Self::Neither(request) => request.fail(status),
        }
    }
}

/// IRP_MJ_FILE_SYSTEM_CONTROL.
#[must_use = "a request is answered"]
pub enum FileSystemControl {
    /// A control code for the file system (IRP_MN_USER_FS_REQUEST, IRP_MN_KERNEL_CALL), with the transfer methods and checks that codes
    /// for devices have.
    Control(DeviceControl),
    /// What the I/O manager asks: IRP_MN_MOUNT_VOLUME and its kin.
    Other(OtherRequest),
}

impl FileSystemControl {
    pub(crate) fn new(irp: Irp) -> Self {
        // The parameters of both majors are the same.
        match irp.minor() {
            IRP_MN_USER_FS_REQUEST | IRP_MN_KERNEL_CALL => Self::Control(DeviceControl::new(irp)),
            _ => Self::Other(OtherRequest::new(irp)),
        }
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        match self {
            Self::Control(request) => request.fail(status),
            Self::Other(request) => request.fail(status),
        }
    }
}

/// A METHOD_BUFFERED control. One system buffer carries both directions: the input lies in it until output replaces it,
/// which borrowing keeps apart.
#[must_use = "a request is answered"]
pub struct BufferedControl {
    pub(crate) irp: Irp,
    code: u32,
    input_length: usize,
    output_length: usize,
    written: usize,
}

/// A METHOD_IN_DIRECT control: a short input in the system buffer, and the application's second buffer, locked for the
/// driver to read from.
#[must_use = "a request is answered"]
pub struct InDirectControl {
    pub(crate) irp: Irp,
    code: u32,
    input_length: usize,
    output_length: usize,
    /// Always 0.
    written: usize,
}

/// A METHOD_OUT_DIRECT control: input in the system buffer, and the application's second buffer, locked for the driver to
/// write to.
#[must_use = "a request is answered"]
pub struct OutDirectControl {
    pub(crate) irp: Irp,
    code: u32,
    input_length: usize,
    output_length: usize,
    written: usize,
}

/// A METHOD_NEITHER control: both buffers are the application's own addresses.
#[must_use = "a request is answered"]
pub struct NeitherControl {
    pub(crate) irp: Irp,
    code: u32,
    input_address: *const u8,
    input_length: usize,
    output_length: usize,
    written: usize,
}

/// What control requests of every method have, of a type with the fields `irp`, `code`, `input_length` and `output_length`.
macro_rules! control {
    ($($request:ident)*) => {$(
        impl $request {
            /// The control code.
            #[must_use]
            pub fn code(&self) -> u32 {
                self.code
            }

            /// Bytes of input; may be 0.
            #[must_use]
            pub fn input_length(&self) -> usize {
                self.input_length
            }

            /// Bytes that the second buffer has; may be 0.
            #[must_use]
            pub fn output_length(&self) -> usize {
                self.output_length
            }

            /// The contexts of the file.
            #[must_use]
            pub fn contexts(&self) -> Contexts<'_> {
                self.irp.contexts()
            }

            /// Answers with a failure and no bytes.
            pub fn fail(self, status: NTSTATUS) -> Answered {
                self.irp.answer(status, 0)
            }
        }
    )*};
}

pub(crate) use control;

control! { BufferedControl InDirectControl OutDirectControl NeitherControl }

/// What those have that can be answered later, with `written` besides.
macro_rules! resumable {
    ($($request:ident)*) => {$(
        impl $request {
            /// The request again, of which so many bytes of output are written.
            pub(crate) fn resume(irp: Irp, written: usize) -> Self {
                let control = $crate::control::control_of(&irp);
                Self {
                    irp,
                    code: control.IoControlCode,
                    input_length: control.InputBufferLength as usize,
                    output_length: control.OutputBufferLength as usize,
                    written,
                }
            }

            pub(crate) fn written(&self) -> usize {
                self.written
            }
        }
    )*};
}

pub(crate) use resumable;

resumable! { BufferedControl InDirectControl OutDirectControl }

impl BufferedControl {
    /// The input, while no output has been written over it.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        input(&self.irp, self.input_length)
    }

    /// The input, to be changed in place for [`complete_in_place`](Self::complete_in_place).
    pub fn input_mut(&mut self) -> &mut [u8] {
        let buffer = self.irp.system_buffer();
        if self.input_length == 0 || buffer.is_null() {
            return &mut [];
        }
        // SAFETY: the system buffer holds the input, and the request borrows it exclusively.
        unsafe { slice::from_raw_parts_mut(buffer, self.input_length) }
    }

    /// The bytes to give, written over the input. Asked for again, it goes on where it stopped.
    pub fn output(&mut self) -> Output<'_> {
        // SAFETY: the system buffer has room for the longer of input and output, and is null only if both are 0.
        unsafe { Output::new(self.irp.system_buffer(), self.output_length, &mut self.written) }
    }

    /// The file's contexts and [`output`](Self::output), side by side.
    pub fn contexts_and_output(&mut self) -> (Contexts<'_>, Output<'_>) {
        let buffer = self.irp.system_buffer();
        // SAFETY: as in `output`.
        (self.irp.contexts(), unsafe { Output::new(buffer, self.output_length, &mut self.written) })
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> Answered {
        self.complete_with(STATUS_SUCCESS)
    }

    /// Answers with `status` and the bytes written to the output. NT copies them for success and for warnings such as
    /// STATUS_BUFFER_OVERFLOW, not for errors.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, self.written)
    }

    /// Answers with STATUS_SUCCESS and the buffer as it stands: as much of the input as the output has room for, without
    /// copying it.
    pub fn complete_in_place(self) -> Answered {
        let length = self.input_length.min(self.output_length);
        self.irp.answer(STATUS_SUCCESS, length)
    }
}

impl InDirectControl {
    /// The input.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        input(&self.irp, self.input_length)
    }

    /// The second buffer, [`output_length`](Self::output_length) bytes of the application's memory.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn data(&self) -> Result<LockedData<'_>, NTSTATUS> {
        locked::data(&self.irp, self.output_length)
    }

    /// Answers with STATUS_SUCCESS and as many bytes as the second buffer has: all were taken.
    pub fn complete(self) -> Answered {
        let length = self.output_length;
        self.irp.answer(STATUS_SUCCESS, length)
    }
}

impl OutDirectControl {
    /// The input.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        input(&self.irp, self.input_length)
    }

    /// The bytes to give, written into the application's memory at once. Asked for again, it goes on where it stopped.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn output(&mut self) -> Result<Output<'_>, NTSTATUS> {
        locked::output(&self.irp, self.output_length, &mut self.written)
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> Answered {
        self.complete_with(STATUS_SUCCESS)
    }

    /// Answers with `status` and the bytes written to the output, which are in the application's memory already, whatever
    /// the status.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, self.written)
    }
}

impl NeitherControl {
    pub(crate) fn input_address(&self) -> *const u8 {
        self.input_address
    }

    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// The input, at the application's address.
    #[must_use]
    pub fn input(&self) -> UserData<'_> {
        UserData::new(&self.irp, self.input_address, self.input_length)
    }

    /// The bytes to give, written to the application's address. Asked for again, it goes on where it stopped.
    pub fn output(&mut self) -> UserOutput<'_> {
        UserOutput::new(&self.irp, self.irp.user_buffer(), self.output_length, &mut self.written)
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> Answered {
        self.complete_with(STATUS_SUCCESS)
    }

    /// Answers with `status` and the bytes written to the output, which are in the application's memory already, whatever
    /// the status.
    pub fn complete_with(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, self.written)
    }
}

/// The parameters of a control request.
pub(crate) fn control_of(irp: &Irp) -> IO_STACK_LOCATION_PARAMETERS_DEVICE_IO_CONTROL {
    let parameters = irp.parameters();
    // SAFETY: the dispatch entry of IRP_MJ_DEVICE_CONTROL made `irp`.
    unsafe { parameters.DeviceIoControl }
}

fn input(irp: &Irp, length: usize) -> &[u8] {
    let buffer = irp.system_buffer();
    if length == 0 || buffer.is_null() {
        return &[];
    }
    // SAFETY: the system buffer holds the input, NT filled it and nobody else changes it.
    unsafe { slice::from_raw_parts(buffer, length) }
}
