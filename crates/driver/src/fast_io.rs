//! Fast I/O: control requests that a device answers in a call, without an IRP.

use core::ffi::c_void;
use core::mem;
use core::ptr::NonNull;

use abi::{
    BOOLEAN, DEVICE_OBJECT, DRIVER_OBJECT, FALSE, FAST_IO_DISPATCH, FILE_OBJECT, IO_STATUS_BLOCK, NTSTATUS,
    STATUS_SUCCESS, TRUE, UserMode,
};
use sealed::IntoFastAnswered;

use crate::bugcheck::guard;
use crate::nt::ExGetPreviousMode;
use crate::{Contexts, Dispatch, UserData, UserOutput, device, irp};

/// A control request that has no IRP yet: [`Dispatch::fast_control`] answers it, or leaves it to
/// [`Dispatch::device_control`].
///
/// Both buffers are the caller's own, whatever the transfer method of the code. What is written to the output stays there also
/// when the request is declined.
#[must_use = "a request is answered or declined"]
pub struct FastControl<'a> {
    code: u32,
    input: (*const u8, usize),
    output: (*mut u8, usize),
    written: usize,
    /// Whether the caller is an application, whose addresses have to be probed.
    probe: bool,
    contexts: Contexts<'a>,
}

/// What became of a [`FastControl`].
#[must_use = "it is what `fast_control` returns"]
pub struct FastAnswered(Option<(NTSTATUS, usize)>);

/// What [`Dispatch::fast_control`] returns: a [`FastAnswered`], which only a request gives.
pub trait FastAnswer: IntoFastAnswered {}

impl<T: IntoFastAnswered> FastAnswer for T {}

pub(crate) mod sealed {
    use super::FastAnswered;

    pub trait IntoFastAnswered {
        /// Whether the method was written by the driver's author.
        const SET: bool;

        fn into_fast_answered(self) -> FastAnswered;
    }

    impl IntoFastAnswered for FastAnswered {
        const SET: bool = true;

        fn into_fast_answered(self) -> FastAnswered {
            self
        }
    }

    /// What the method returns that the author left out.
    #[expect(unreachable_pub, reason = "appears in the opaque type of a public trait's method")]
    pub struct Unset;

    impl IntoFastAnswered for Unset {
        const SET: bool = false;

        fn into_fast_answered(self) -> FastAnswered {
            unreachable!("a method that is not set is not in the driver's table")
        }
    }
}

/// The method that the author left out.
pub(crate) fn unset(_request: FastControl<'_>) -> sealed::Unset {
    sealed::Unset
}

impl<'a> FastControl<'a> {
    /// The control code. NT has checked its access bits against the handle already.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The contexts of the file; none of a file of a device below.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'a> {
        self.contexts
    }

    /// The input, at the caller's address.
    #[must_use]
    pub fn input(&self) -> UserData<'_> {
        UserData::of_caller(self.input.0, self.input.1, self.probe)
    }

    /// The bytes to give, written to the caller's address. Asked for again, it goes on where it stopped.
    pub fn output(&mut self) -> UserOutput<'_> {
        UserOutput::of_caller(self.output.0, self.output.1, &mut self.written, self.probe)
    }

    /// Answers with STATUS_SUCCESS and the bytes written to the output.
    pub fn complete(self) -> FastAnswered {
        self.complete_with(STATUS_SUCCESS)
    }

    /// Answers with `status` and the bytes written to the output, which are the caller's already, whatever the status.
    /// STATUS_PENDING is no answer: the request is declined.
    pub fn complete_with(self, status: NTSTATUS) -> FastAnswered {
        FastAnswered((status != abi::STATUS_PENDING).then_some((status, self.written)))
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> FastAnswered {
        FastAnswered((status != abi::STATUS_PENDING).then_some((status, 0)))
    }

    /// Leaves the request to an IRP, which comes next.
    pub fn decline(self) -> FastAnswered {
        FastAnswered(None)
    }
}

/// Whether `method` is the author's, told by the type that it returns. It is not called.
const fn is_set<C: 'static, A: FastAnswer>(
    _method: &impl FnOnce(&'static C, FastControl<'static>) -> A,
) -> bool {
    A::SET
}

struct Table<C>(core::marker::PhantomData<C>);

impl<C: Dispatch> Table<C> {
    const TABLE: FAST_IO_DISPATCH = {
        // SAFETY: a table of numbers and optional routines, for which zeroes are values.
        let mut table: FAST_IO_DISPATCH = unsafe { mem::zeroed() };
        table.SizeOfFastIoDispatch = SIZE;
        table.FastIoDeviceControl = Some(control::<C>);
        table
    };
}

#[expect(clippy::cast_possible_truncation, reason = "28 words")]
const SIZE: u32 = size_of::<FAST_IO_DISPATCH>() as u32;

/// Gives the driver a table if its author answers fast.
///
/// # Safety
///
/// `driver` is the driver object that is being initialised, and its devices have contexts of type `C`, but for filters, which
/// say so.
pub(crate) unsafe fn fill_table<C: Dispatch>(driver: NonNull<DRIVER_OBJECT>) {
    if is_set(&|context: &'static C, request: FastControl<'static>| context.fast_control(request)) {
        let table: &'static FAST_IO_DISPATCH = &Table::<C>::TABLE;
        // SAFETY: nobody else uses the driver object during initialisation; NT does not write to the table.
        unsafe { (*driver.as_ptr()).FastIoDispatch = core::ptr::from_ref(table).cast_mut() };
    }
}

/// `FAST_IO_DISPATCH.FastIoDeviceControl`.
unsafe extern "win64" fn control<C: Dispatch>(
    file: *mut FILE_OBJECT,
    _wait: BOOLEAN,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    code: u32,
    block: *mut IO_STATUS_BLOCK,
    device: *mut DEVICE_OBJECT,
) -> BOOLEAN {
    // SAFETY: the I/O manager calls this with a device of this driver.
    if unsafe { device::filter_of(device) }.is_some() {
        return FALSE;
    }
    // SAFETY: as above.
    let header = unsafe { device::header(device) };
    // SAFETY: the file keeps a device that is attached to none; others are asked.
    let Ok(entered) = (unsafe { header.enter(file.cast()) }) else { return FALSE };
    let answered = guard(|| {
        // SAFETY: what was entered is not deleted before it is left, and it has a context of type `C`.
        let context = unsafe { device::context::<C>(device) };
        // SAFETY: device and file object stay during the call.
        let opened = NonNull::new(file).filter(|file| unsafe { irp::is_own(device, *file) });
        // SAFETY: a file of this driver's device, which is neither created nor closed now.
        let contexts = unsafe { Contexts::new(opened) };
        // SAFETY: callable at any IRQL.
        let probe = unsafe { ExGetPreviousMode() } == UserMode;
        let request = FastControl {
            code,
            input: (input.cast_const().cast(), input_length as usize),
            output: (output.cast(), output_length as usize),
            written: 0,
            probe,
            contexts,
        };
        context.fast_control(request).into_fast_answered()
    });
    drop(entered);
    let Some((status, information)) = answered.0 else { return FALSE };
    // SAFETY: the I/O manager's own block.
    let block = unsafe { &mut *block };
    block.Status = status;
    block.Information = information;
    TRUE
}
