//! From `DRIVER_OBJECT.MajorFunction` to the methods of [`Dispatch`].

use core::ptr::NonNull;

use abi::*;
use sealed::{IntoAnswered, Unset};

use crate::bugcheck::guard;
use crate::irp::{Answered, Irp};
use crate::{
    Cleanup, Close, Create, CreateNamedPipe, DeviceControl, DirectoryControl, FastAnswer, FastControl,
    FileSystemControl, FlushBuffers, LockControl, Mode, OtherRequest, QueryEa, QueryInformation, QueryQuota,
    QueryVolumeInformation, Read, SetEa, SetInformation, SetQuota, SetVolumeInformation, Shutdown, Write,
    device, fast_io,
};

macro_rules! more_majors {
    ($($(#[$doc:meta])* $method:ident($request:ty);)*) => {$(
        $(#[$doc])*
        fn $method(&self, request: $request) -> impl Answer {
            unset(request)
        }
    )*};
}

/// The requests that a device serves. `Self` is the device's context, kept in its extension; requests come in on many
/// threads at once.
///
/// A method that is not written leaves NT's own routine in the driver's table, which answers
/// STATUS_INVALID_DEVICE_REQUEST. In a [driver of Plug and Play devices](crate::AddDevice) so does this crate, except that
/// Plug and Play, power and system control go down to the device below ([`OtherRequest::forward`]); see
/// [`PlugAndPlay`](crate::PlugAndPlay). When IRP_MN_REMOVE_DEVICE has been answered, by whichever method, the device is detached
/// and deleted. All methods are called at PASSIVE_LEVEL in the requesting thread, unless a driver
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

    /// FastIoDeviceControl: a control request before there is an IRP for it. What is [declined](FastControl::decline), and all
    /// when there is a filter above, comes as [`device_control`](Self::device_control). The call may come in any process and
    /// thread, and from a driver at an IRQL up to APC_LEVEL; applications' come at PASSIVE_LEVEL.
    ///
    /// A driver whose devices do not write this has no fast I/O table.
    fn fast_control(&self, request: FastControl<'_>) -> impl FastAnswer {
        fast_io::unset(request)
    }

    more_majors! {
        /// IRP_MJ_INTERNAL_DEVICE_CONTROL: a control request that a driver made.
        internal_device_control(DeviceControl);
        /// IRP_MJ_FLUSH_BUFFERS.
        flush_buffers(FlushBuffers);
        /// IRP_MJ_SHUTDOWN.
        shutdown(Shutdown);
        /// IRP_MJ_CREATE_NAMED_PIPE.
        create_named_pipe(CreateNamedPipe);
        /// IRP_MJ_QUERY_INFORMATION.
        query_information(QueryInformation);
        /// IRP_MJ_SET_INFORMATION.
        set_information(SetInformation);
        /// IRP_MJ_QUERY_EA.
        query_ea(QueryEa<Self::Io>);
        /// IRP_MJ_SET_EA.
        set_ea(SetEa<Self::Io>);
        /// IRP_MJ_QUERY_VOLUME_INFORMATION.
        query_volume_information(QueryVolumeInformation);
        /// IRP_MJ_SET_VOLUME_INFORMATION.
        set_volume_information(SetVolumeInformation);
        /// IRP_MJ_DIRECTORY_CONTROL.
        directory_control(DirectoryControl<Self::Io>);
        /// IRP_MJ_FILE_SYSTEM_CONTROL.
        file_system_control(FileSystemControl);
        /// IRP_MJ_LOCK_CONTROL.
        lock_control(LockControl);
        /// IRP_MJ_CREATE_MAILSLOT.
        create_mailslot(OtherRequest);
        /// IRP_MJ_QUERY_SECURITY.
        query_security(OtherRequest);
        /// IRP_MJ_SET_SECURITY.
        set_security(OtherRequest);
        /// IRP_MJ_POWER.
        power(OtherRequest);
        /// IRP_MJ_SYSTEM_CONTROL.
        system_control(OtherRequest);
        /// IRP_MJ_DEVICE_CHANGE.
        device_change(OtherRequest);
        /// IRP_MJ_QUERY_QUOTA.
        query_quota(QueryQuota<Self::Io>);
        /// IRP_MJ_SET_QUOTA.
        set_quota(SetQuota<Self::Io>);
        /// IRP_MJ_PNP.
        pnp(OtherRequest);
    }
}

/// What a dispatch method returns: an [`Answered`], which only a request gives.
pub trait Answer: IntoAnswered {}

impl<T: IntoAnswered> Answer for T {}

pub(crate) mod sealed {
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
        /// The author's routine for a major function, if there is one.
        fn routine<C: Dispatch>(major: u8) -> DRIVER_DISPATCH {
            match major {
                $($major if is_set(&|context: &'static C, request: $request| context.$method(request)) => {
                    Some(entry::$method::<C>)
                })*
                _ => None,
            }
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
    IRP_MJ_INTERNAL_DEVICE_CONTROL => internal_device_control(DeviceControl);
    IRP_MJ_FLUSH_BUFFERS => flush_buffers(FlushBuffers);
    IRP_MJ_SHUTDOWN => shutdown(Shutdown);
    IRP_MJ_CREATE_NAMED_PIPE => create_named_pipe(CreateNamedPipe);
    IRP_MJ_QUERY_INFORMATION => query_information(QueryInformation);
    IRP_MJ_SET_INFORMATION => set_information(SetInformation);
    IRP_MJ_QUERY_EA => query_ea(QueryEa<C::Io>);
    IRP_MJ_SET_EA => set_ea(SetEa<C::Io>);
    IRP_MJ_QUERY_VOLUME_INFORMATION => query_volume_information(QueryVolumeInformation);
    IRP_MJ_SET_VOLUME_INFORMATION => set_volume_information(SetVolumeInformation);
    IRP_MJ_DIRECTORY_CONTROL => directory_control(DirectoryControl<C::Io>);
    IRP_MJ_FILE_SYSTEM_CONTROL => file_system_control(FileSystemControl);
    IRP_MJ_LOCK_CONTROL => lock_control(LockControl);
    IRP_MJ_CREATE_MAILSLOT => create_mailslot(OtherRequest);
    IRP_MJ_QUERY_SECURITY => query_security(OtherRequest);
    IRP_MJ_SET_SECURITY => set_security(OtherRequest);
    IRP_MJ_POWER => power(OtherRequest);
    IRP_MJ_SYSTEM_CONTROL => system_control(OtherRequest);
    IRP_MJ_DEVICE_CHANGE => device_change(OtherRequest);
    IRP_MJ_QUERY_QUOTA => query_quota(QueryQuota<C::Io>);
    IRP_MJ_SET_QUOTA => set_quota(SetQuota<C::Io>);
    IRP_MJ_PNP => pnp(OtherRequest);
}

/// Puts the author's methods into the driver's table; other entries stay NT's.
///
/// # Safety
///
/// `driver` is the driver object that is being initialised, and its devices have contexts of type `C`.
pub(crate) unsafe fn fill_table<C: Dispatch>(driver: NonNull<DRIVER_OBJECT>) {
    for major in 0..=IRP_MJ_MAXIMUM_FUNCTION {
        if let Some(entry) = routine::<C>(major) {
            // SAFETY: nobody else uses the table during initialisation.
            unsafe { (*driver.as_ptr()).MajorFunction[usize::from(major)] = Some(entry) };
        }
    }
}

/// Fills the whole table of a driver whose devices are in stacks: these get requests of every major function.
///
/// # Safety
///
/// As [`fill_table`]; its filters' devices say so in their extensions.
pub(crate) unsafe fn fill_stack_table<C: Dispatch>(driver: NonNull<DRIVER_OBJECT>) {
    for major in 0..=IRP_MJ_MAXIMUM_FUNCTION {
        // SAFETY: as in `fill_table`.
        unsafe { (*driver.as_ptr()).MajorFunction[usize::from(major)] = Some(by_device::<C>) };
    }
}

/// The routine of every major function in a driver whose devices are in stacks.
unsafe extern "win64" fn by_device<C: Dispatch>(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager calls this with a device of this driver.
    if let Some(filter) = unsafe { device::filter_of(device) } {
        // SAFETY: the device's own routine, with an IRP for it.
        return unsafe { (filter.dispatch)(device, irp) };
    }
    // SAFETY: NT dispatches no null IRP.
    let raw = unsafe { NonNull::new_unchecked(irp) };
    // SAFETY: dispatched to this driver.
    let request = unsafe { Irp::new(raw) };
    match routine::<C>(request.major()) {
        // SAFETY: the entry of this major function, and a device with a context of type `C`.
        Some(entry) => unsafe { entry(device, irp) },
        None => {
            let answer = |_context: &C, irp: Irp| match irp.major() {
                IRP_MJ_PNP | IRP_MJ_POWER | IRP_MJ_SYSTEM_CONTROL => OtherRequest::new(irp).forward(),
                _ => irp.answer(STATUS_INVALID_DEVICE_REQUEST, 0),
            };
            // SAFETY: a device with a context of type `C`, and an IRP for it.
            unsafe { dispatch(device, irp, answer) }
        }
    }
}

/// Whether this is IRP_MN_REMOVE_DEVICE, which a device does not outlive.
///
/// # Safety
///
/// The IRP is dispatched to this driver, which still has it.
pub(crate) unsafe fn is_removal(irp: NonNull<IRP>) -> bool {
    // SAFETY: the caller's contract.
    let request = unsafe { Irp::new(irp) };
    request.major() == IRP_MJ_PNP && request.minor() == IRP_MN_REMOVE_DEVICE
}

/// # Safety
///
/// `device` has a context of type `C`, and `irp` is dispatched to it, for the major function that `answer` expects.
unsafe fn dispatch<C>(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    answer: impl FnOnce(&C, Irp) -> Answered,
) -> NTSTATUS {
    // SAFETY: the caller's contract.
    let header = unsafe { device::header(device) };
    // SAFETY: the request keeps the device, or is refused.
    let entered = match unsafe { header.enter(irp.cast()) } {
        Ok(entered) => entered,
        Err(status) => {
            // Detached meanwhile: whoever sent this looked at the stack before.
            // SAFETY: NT dispatches no null IRP.
            let raw = unsafe { NonNull::new_unchecked(irp) };
            // SAFETY: the IRP is this driver's.
            let refused = unsafe { Irp::new(raw) }.answer(status, 0);
            // SAFETY: nothing else uses it.
            return unsafe { refused.carry_out() };
        }
    };
    // Looked at before the request is given away.
    // SAFETY: NT dispatches no null IRP.
    let raw = unsafe { NonNull::new_unchecked(irp) };
    // SAFETY: the IRP is this driver's.
    let is_removal = unsafe { is_removal(raw) };
    let answered = guard(|| {
        // SAFETY: NT dispatches no null IRP.
        let irp = unsafe { NonNull::new_unchecked(irp) };
        // SAFETY: the caller's contract; the file object's reference, or the device's lock, keeps the device until the
        // method has returned.
        let context = unsafe { device::context::<C>(device) };
        // SAFETY: the caller's contract.
        let answered = answer(context, unsafe { Irp::new(irp) });
        assert!(answered.is_for(irp), "a dispatch method returned the answer of another request");
        answered
    });
    if is_removal && header.lower().is_some() {
        drop(entered);
        // SAFETY: an attached device of this driver's, which the request keeps until it has come back.
        return unsafe { remove::<C>(device, answered) };
    }
    // SAFETY: the author's code has returned, and with it all that borrowed the request.
    let status = unsafe { answered.carry_out() };
    drop(entered);
    status
}

/// The end of IRP_MN_REMOVE_DEVICE: nobody else is at the device any more, then the drivers below learn of it, and then the
/// device is detached and deleted. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// `device` has a context of type `C` and is attached; `answered` is for a request that was dispatched to it, and no method
/// of its author's is running for that.
///
/// Source: kernel, Handling an IRP_MN_REMOVE_DEVICE Request; Using Remove Locks.
unsafe fn remove<C>(device: *mut DEVICE_OBJECT, answered: Answered) -> NTSTATUS {
    // SAFETY: a device that requests come to is not null.
    let device = unsafe { NonNull::new_unchecked(device) };
    // SAFETY: the caller's contract.
    unsafe { device::drain(device) };
    // SAFETY: the author's code has returned.
    let status = unsafe { answered.carry_out() };
    // SAFETY: drained, so that nothing uses its context.
    unsafe { device::delete_any::<C>(device) };
    status
}
