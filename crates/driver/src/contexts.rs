//! The contexts of an open file: `FsContext` and `FsContext2` of the file object, with types.
//!
//! A driver sets them in `create`, requests of the file see them by reference, and `close` takes them back. Nobody else
//! writes these fields: they belong to the driver whose device was opened. Which files these are is `irp`'s.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use abi::{DEVICE_OBJECT, FILE_OBJECT};

use crate::PoolArc;
use crate::irp::is_own;
use crate::pool_arc::ErasedArc;

/// The contexts of the file that a request is for.
#[derive(Clone, Copy)]
pub struct Contexts<'a> {
    file: Option<NonNull<FILE_OBJECT>>,
    request: PhantomData<&'a FILE_OBJECT>,
}

impl<'a> Contexts<'a> {
    /// # Safety
    ///
    /// `file` is the file object of a request to this driver's device, opened by it, and its contexts stay as they are during
    /// `'a`.
    pub(crate) unsafe fn new(file: Option<NonNull<FILE_OBJECT>>) -> Self {
        Self { file, request: PhantomData }
    }

    /// The context that [`Create::set_fs_context`](crate::Create::set_fs_context) set; none if it was not set, or is no `T`.
    #[must_use]
    pub fn fs_context<T: 'static>(self) -> Option<&'a T> {
        self.value(Field::FsContext)
    }

    /// The context that [`Create::set_fs_context2`](crate::Create::set_fs_context2) set; none if it was not set, or is no
    /// `T`.
    #[must_use]
    pub fn fs_context2<T: 'static>(self) -> Option<&'a T> {
        self.value(Field::FsContext2)
    }

    fn value<T: 'static>(self, which: Field) -> Option<&'a T> {
        let place = field(self.file?, which);
        // SAFETY: a field of a live file object, which nobody changes meanwhile.
        let context = unsafe { *place };
        // SAFETY: only `put` writes the field, and the file object holds a count.
        unsafe { ErasedArc::value(context) }
    }
}

/// A file of another device.
pub(crate) struct Foreign;

/// The contexts of a file that a request names besides its own; `None` for a null pointer.
///
/// # Errors
/// [`Foreign`] for a file whose contexts are another driver's.
///
/// # Safety
///
/// `file` is null, or a file object that stays open during `'a`; `device` is this driver's.
pub(crate) unsafe fn of_other_file<'a>(
    file: *mut FILE_OBJECT,
    device: *mut DEVICE_OBJECT,
) -> Result<Option<Contexts<'a>>, Foreign> {
    let Some(file) = NonNull::new(file) else { return Ok(None) };
    // SAFETY: the caller's contract.
    if !unsafe { is_own(device, file) } {
        return Err(Foreign);
    }
    // SAFETY: a file of this driver's.
    Ok(Some(unsafe { Contexts::new(Some(file)) }))
}

/// Which of the two.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    FsContext,
    FsContext2,
}

fn field(file: NonNull<FILE_OBJECT>, which: Field) -> *mut *mut c_void {
    let file = file.as_ptr();
    match which {
        // SAFETY: a place in a file object.
        Field::FsContext => unsafe { &raw mut (*file).FsContext },
        // SAFETY: as above.
        Field::FsContext2 => unsafe { &raw mut (*file).FsContext2 },
    }
}

/// Puts a context into the file object; without one it is dropped.
///
/// # Safety
///
/// `file` is the file object of a create request to this driver's device, opened by it.
pub(crate) unsafe fn put(file: Option<NonNull<FILE_OBJECT>>, which: Field, context: Option<ErasedArc>) {
    if let (Some(file), Some(context)) = (file, context) {
        // SAFETY: the field is the driver's, and nobody else looks before the create is completed.
        unsafe { *field(file, which) = context.into_raw() };
    }
}

/// Takes a context out of the file object.
///
/// # Safety
///
/// `file` is the file object of a close request to this driver's device, opened by it, and nothing borrows from the context.
pub(crate) unsafe fn take(file: Option<NonNull<FILE_OBJECT>>, which: Field) -> Option<ErasedArc> {
    let place = field(file?, which);
    // SAFETY: the close request is the last that sees the file object.
    let raw = unsafe { ptr::replace(place, ptr::null_mut()) };
    // SAFETY: only `put` writes the field.
    unsafe { ErasedArc::from_raw(raw) }
}

/// Takes a context out of the file object if it is a `T`.
///
/// # Safety
///
/// As [`take`].
pub(crate) unsafe fn take_typed<T: 'static>(
    file: Option<NonNull<FILE_OBJECT>>,
    which: Field,
) -> Option<PoolArc<T>> {
    // SAFETY: the caller's contract.
    let context = unsafe { take(file, which) }?;
    match context.downcast() {
        Ok(context) => Some(context),
        Err(other) => {
            // SAFETY: where it was, until the close request is answered.
            unsafe { put(file, which, Some(other)) };
            None
        }
    }
}
