//! From a filter's device to the methods of [`Filter`]: one for each major function, and what the author does not write
//! passes.
//!
//! What a method can do with a request is `filtered`'s, and `stack` attaches the device.

use core::ptr::NonNull;

use abi::*;

use crate::bugcheck::guard;
use crate::dispatch::sealed::IntoAnswered;
use crate::filtered::Filtered;
use crate::irp::{Answered, Irp};
use crate::stack::{self, FilterExtension};
use crate::{
    Answer, Cleanup, Close, Create, DeviceControl, FlushBuffers, OtherRequest, Read, Shutdown, Write,
};

macro_rules! filter {
    ($($(#[$doc:meta])* $major:ident => $method:ident($request:ident);)*) => {
        /// What a filter does with the requests that come to its device, on their way to the device below. `Self` is the
        /// filter's context; requests come in on many threads at once.
        ///
        /// Each major function has a method, and one that is not written hands its request down
        /// ([`Filtered::forward`]). This includes IRP_MJ_PNP and IRP_MJ_POWER: since Windows Vista power requests go down by
        /// `IoCallDriver` like all others, and `PoStartNextPowerIrp` is not needed.
        ///
        /// The file of a request belongs to the driver whose device was opened, and so do its contexts: a filter does not
        /// see them. Methods are called at PASSIVE_LEVEL in the requesting thread, unless a driver above says otherwise.
        pub trait Filter: Sized + Send + Sync + 'static {
            $(
                $(#[$doc])*
                fn $method(&self, request: Filtered<Self, $request>) -> impl Answer {
                    request.forward()
                }
            )*

            /// The device is detached, and requests that this filter holds ([`Held`](crate::Held)) are to be let go: those
            /// that are on their way in other drivers, or held, are waited for after this. IRQL: PASSIVE_LEVEL.
            fn detaching(&self) {}
        }

        fn answer<F: Filter>(context: &F, extension: NonNull<FilterExtension<F>>, major: u8, irp: Irp) -> Answered {
            match major {
                $($major => context.$method(Filtered::new(irp, extension)).into_answered(),)*
                // NT has no more today.
                _ => Filtered::<F, OtherRequest>::new(irp, extension).forward(),
            }
        }
    };
}

filter! {
    /// IRP_MJ_CREATE: a file is to be opened.
    IRP_MJ_CREATE => create(Create);
    /// IRP_MJ_CREATE_NAMED_PIPE.
    IRP_MJ_CREATE_NAMED_PIPE => create_named_pipe(OtherRequest);
    /// IRP_MJ_CLOSE: the last reference to a file is gone.
    IRP_MJ_CLOSE => close(Close);
    /// IRP_MJ_READ.
    IRP_MJ_READ => read(Read);
    /// IRP_MJ_WRITE.
    IRP_MJ_WRITE => write(Write);
    /// IRP_MJ_QUERY_INFORMATION.
    IRP_MJ_QUERY_INFORMATION => query_information(OtherRequest);
    /// IRP_MJ_SET_INFORMATION.
    IRP_MJ_SET_INFORMATION => set_information(OtherRequest);
    /// IRP_MJ_QUERY_EA.
    IRP_MJ_QUERY_EA => query_ea(OtherRequest);
    /// IRP_MJ_SET_EA.
    IRP_MJ_SET_EA => set_ea(OtherRequest);
    /// IRP_MJ_FLUSH_BUFFERS.
    IRP_MJ_FLUSH_BUFFERS => flush_buffers(FlushBuffers);
    /// IRP_MJ_QUERY_VOLUME_INFORMATION.
    IRP_MJ_QUERY_VOLUME_INFORMATION => query_volume_information(OtherRequest);
    /// IRP_MJ_SET_VOLUME_INFORMATION.
    IRP_MJ_SET_VOLUME_INFORMATION => set_volume_information(OtherRequest);
    /// IRP_MJ_DIRECTORY_CONTROL.
    IRP_MJ_DIRECTORY_CONTROL => directory_control(OtherRequest);
    /// IRP_MJ_FILE_SYSTEM_CONTROL.
    IRP_MJ_FILE_SYSTEM_CONTROL => file_system_control(OtherRequest);
    /// IRP_MJ_DEVICE_CONTROL.
    IRP_MJ_DEVICE_CONTROL => device_control(DeviceControl);
    /// IRP_MJ_INTERNAL_DEVICE_CONTROL: a control request that a driver made.
    IRP_MJ_INTERNAL_DEVICE_CONTROL => internal_device_control(DeviceControl);
    /// IRP_MJ_SHUTDOWN.
    IRP_MJ_SHUTDOWN => shutdown(Shutdown);
    /// IRP_MJ_LOCK_CONTROL.
    IRP_MJ_LOCK_CONTROL => lock_control(OtherRequest);
    /// IRP_MJ_CLEANUP: the last handle to a file is closed.
    IRP_MJ_CLEANUP => cleanup(Cleanup);
    /// IRP_MJ_CREATE_MAILSLOT.
    IRP_MJ_CREATE_MAILSLOT => create_mailslot(OtherRequest);
    /// IRP_MJ_QUERY_SECURITY.
    IRP_MJ_QUERY_SECURITY => query_security(OtherRequest);
    /// IRP_MJ_SET_SECURITY.
    IRP_MJ_SET_SECURITY => set_security(OtherRequest);
    /// IRP_MJ_POWER.
    IRP_MJ_POWER => power(OtherRequest);
    /// IRP_MJ_SYSTEM_CONTROL.
    IRP_MJ_SYSTEM_CONTROL => system_control(OtherRequest);
    /// IRP_MJ_DEVICE_CHANGE.
    IRP_MJ_DEVICE_CHANGE => device_change(OtherRequest);
    /// IRP_MJ_QUERY_QUOTA.
    IRP_MJ_QUERY_QUOTA => query_quota(OtherRequest);
    /// IRP_MJ_SET_QUOTA.
    IRP_MJ_SET_QUOTA => set_quota(OtherRequest);
    /// IRP_MJ_PNP.
    IRP_MJ_PNP => pnp(OtherRequest);
}

/// `Vtable::dispatch`.
///
/// # Safety
///
/// `device` is a filter's device with a context of type `F`, and `irp` is dispatched to it.
pub(crate) unsafe fn dispatch<F: Filter>(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: NT dispatches no null IRP.
    let raw = unsafe { NonNull::new_unchecked(irp) };
    // Looked at before the request is given away.
    // SAFETY: the IRP is this driver's.
    let is_removal = unsafe { crate::dispatch::is_removal(raw) };
    // SAFETY: the caller's contract.
    let extension = unsafe { stack::extension::<F>(device) };
    // SAFETY: the device stays while it is in the stack, and then until its lock is free.
    let filter = unsafe { extension.as_ref() };
    // SAFETY: initialised before the device was attached.
    if let Err(status) = unsafe { filter.lock().acquire(irp.cast()) } {
        // Detached meanwhile: whoever sent this looked at the stack before.
        // SAFETY: the IRP is this driver's.
        let refused = unsafe { Irp::new(raw) }.answer(status, 0);
        // SAFETY: nothing else uses it.
        return unsafe { refused.carry_out() };
    }
    let answered = guard(|| {
        // SAFETY: the caller's contract.
        let request = unsafe { Irp::new(raw) };
        let answered = answer(&filter.context, extension, request.major(), request);
        assert!(answered.is_for(raw), "a filter's method returned the answer of another request");
        answered
    });
    let (comes_back, is_held) = (answered.comes_back(), answered.is_pended());
    // SAFETY: the author's code has returned, and with it all that borrowed the request.
    let status = unsafe { answered.carry_out() };
    if !comes_back {
        // SAFETY: acquired above.
        unsafe { filter.lock().release(irp.cast()) };
    }
    if is_held {
        // SAFETY: `Filtered::hold` has kept the context for the method, which has returned.
        unsafe { filter.method_has_returned(irp) };
    }
    // One that is held comes to its end elsewhere: the device goes with its driver then.
    if is_removal && !is_held {
        // SAFETY: a device that requests come to is not null.
        let device = unsafe { NonNull::new_unchecked(device) };
        // Waits for what is still to come back here, this request included.
        // SAFETY: a filter's device that was attached; nothing more comes to it.
        unsafe { stack::delete::<F>(device) };
    }
    status
}
