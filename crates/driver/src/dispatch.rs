//! From `DRIVER_OBJECT.MajorFunction` to the methods of [`Dispatch`].

use core::ptr::NonNull;

use abi::{
    DEVICE_OBJECT, DRIVER_DISPATCH, DRIVER_OBJECT, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE,
    IRP_MJ_DEVICE_CONTROL, IRP_MJ_READ, IRP_MJ_WRITE, NTSTATUS,
};
use sealed::{IntoAnswered, Unset};

use crate::bugcheck::guard;
use crate::irp::{Answered, Irp};
use crate::{Cleanup, Close, Create, DeviceControl, Mode, Read, Write, device};

/// The requests that a device serves. `Self` is the device's context, kept in its extension; requests come in on many
/// threads at once.
///
/// A method that is not written leaves NT's own routine in the driver's table, which answers
/// STATUS_INVALID_DEVICE_REQUEST. All methods are called at PASSIVE_LEVEL in the requesting thread, unless a driver
/// above says otherwise.
pub trait Dispatch: Sized + Send + Sync + 'static {
    /// How reads and writes reach their buffers: [`Buffered`](crate::Buffered), [`Direct`](crate::Direct) or
    /// [`Neither`](crate::Neither).
    type Io: Mode;

    /// IRP_MJ_CREATE: a handle is to be opened.
    fn create(&self, request: Create) -> impl Answer {
        unset(request)
    }

    /// IRP_MJ_CLEANUP: the last handle to a file object is closed.
    fn cleanup(&self, request: Cleanup) -> impl Answer {
        unset(request)
    }

    /// IRP_MJ_CLOSE: the last reference to a file object is gone.
    fn close(&self, request: Close) -> impl Answer {
        unset(request)
    }

    /// IRP_MJ_READ.
    fn read(&self, request: Read<Self::Io>) -> impl Answer {
        unset(request)
    }

    /// IRP_MJ_WRITE.
    fn write(&self, request: Write<Self::Io>) -> impl Answer {
        unset(request)
    }

    /// IRP_MJ_DEVICE_CONTROL.
    fn device_control(&self, request: DeviceControl) -> impl Answer {
        unset(request)
    }
}

/// What a dispatch method returns: an [`Answered`], which only a request gives.
pub trait Answer: IntoAnswered {}

impl<T: IntoAnswered> Answer for T {}

mod sealed {
    use crate::Answered;

    pub trait IntoAnswered {
        /// Whether the method was written by the driver's author.
        const SET: bool;

        fn into_answered(self) -> Answered;
    }

    impl IntoAnswered for Answered {
        const SET: bool = true;

        fn into_answered(self) -> Answered {
            self
        }
    }

    /// What the methods return that the author left out.
    #[expect(unreachable_pub, reason = "appears in the opaque types of a public trait's methods")]
    pub struct Unset;

    impl IntoAnswered for Unset {
        const SET: bool = false;

        fn into_answered(self) -> Answered {
            unreachable!("methods that are not set are not in the driver's table")
        }
    }
}

fn unset<R>(_request: R) -> Unset {
    Unset
}

/// Whether `method` is the author's, told by the type that it returns. It is not called.
const fn is_set<C: 'static, R, A: Answer>(_method: &impl FnOnce(&'static C, R) -> A) -> bool {
    A::SET
}

macro_rules! majors {
    ($($major:ident => $method:ident($request:ty);)*) => {
        /// Puts the author's methods into the driver's table; other entries stay NT's.
        ///
        /// # Safety
        ///
        /// `driver` is the driver object that is being initialised, and its devices have contexts of type `C`.
        pub(crate) unsafe fn fill_table<C: Dispatch>(driver: NonNull<DRIVER_OBJECT>) {
            let set = |major: u8, entry: DRIVER_DISPATCH| {
                // SAFETY: nobody else uses the table during initialisation.
                unsafe { (*driver.as_ptr()).MajorFunction[usize::from(major)] = entry };
            };
            $(
                if is_set(&|context: &'static C, request: $request| context.$method(request)) {
                    set($major, Some(entry::$method::<C>));
                }
            )*
        }

        /// The routines in the table.
        mod entry {
            use super::*;

            $(
                pub(super) unsafe extern "win64" fn $method<C: Dispatch>(
                    device: *mut DEVICE_OBJECT,
                    irp: *mut IRP,
                ) -> NTSTATUS {
                    let answer = |context: &C, irp| context.$method(<$request>::new(irp)).into_answered();
                    // SAFETY: the I/O manager calls this with a device of this driver and an IRP of this major function.
                    unsafe { dispatch(device, irp, answer) }
                }
            )*
        }
    };
}

majors! {
    IRP_MJ_CREATE => create(Create);
    IRP_MJ_CLEANUP => cleanup(Cleanup);
    IRP_MJ_CLOSE => close(Close);
    IRP_MJ_READ => read(Read<C::Io>);
    IRP_MJ_WRITE => write(Write<C::Io>);
    IRP_MJ_DEVICE_CONTROL => device_control(DeviceControl);
}

/// # Safety
///
/// `device` has a context of type `C`, and `irp` is dispatched to it, for the major function that `answer` expects.
unsafe fn dispatch<C>(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    answer: impl FnOnce(&C, Irp) -> Answered,
) -> NTSTATUS {
    let answered = guard(|| {
        // SAFETY: NT dispatches no null IRP.
        let irp = unsafe { NonNull::new_unchecked(irp) };
        // SAFETY: the caller's contract; the file object's reference keeps the device until the method has returned.
        let context = unsafe { device::context::<C>(device) };
        // SAFETY: the caller's contract.
        let answered = answer(context, unsafe { Irp::new(irp) });
        assert!(answered.is_for(irp), "a dispatch method returned the answer of another request");
        answered
    });
    // SAFETY: the author's code has returned, and with it all that borrowed the request.
    unsafe { answered.carry_out() }
}
