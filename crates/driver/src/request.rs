//! The requests of the major functions, except I/O control: what each asks, and the ways to answer it.

use core::marker::PhantomData;
use core::slice;

use abi::{
    DO_BUFFERED_IO, DO_DIRECT_IO, NTSTATUS, SL_OPEN_TARGET_DIRECTORY, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};

use crate::contexts::{self, Contexts, Field};
use crate::irp::{Answered, Irp};
use crate::locked::{self, LockedData};
use crate::pool_arc::ErasedArc;
use crate::user::{UserData, UserOutput};
use crate::{
    BufferedControl, ClientSecurity, DeviceControl, FlushBuffers, InDirectControl, LockedControl,
    NeitherControl, OtherRequest, OutDirectControl, Output, PassiveLevel, PoolArc, QueryInformation,
    QueryVolumeInformation, SetInformation, SetVolumeInformation, UnicodeStr,
};

/// How a device's reads and writes reach its buffers: [`Buffered`], [`Direct`] or [`Neither`].
pub trait Mode: sealed::Mode + 'static {
    /// What the mode is in `DEVICE_OBJECT.Flags`.
    const FLAGS: u32;
}

mod sealed {
    pub trait Mode {}
}

/// `DO_BUFFERED_IO`: NT copies between the application's memory and a system buffer.
pub enum Buffered {}

/// `DO_DIRECT_IO`: the application's memory is locked and described by an MDL.
pub enum Direct {}

/// Neither flag: the driver gets the application's address and is on its own.
pub enum Neither {}

macro_rules! modes {
    ($($mode:ident = $flags:expr;)*) => {$(
        impl sealed::Mode for $mode {}
        impl Mode for $mode {
            const FLAGS: u32 = $flags;
        }
    )*};
}

modes! {
    Buffered = DO_BUFFERED_IO;
    Direct = DO_DIRECT_IO;
    Neither = 0;
}

/// IRP_MJ_CREATE: somebody opens the device. A failure gives no handle, and no cleanup or close follows.
#[must_use = "a request is answered"]
pub struct Create {
    pub(crate) irp: Irp,
    fs_context: Option<ErasedArc>,
    fs_context2: Option<ErasedArc>,
}

impl Create {
    pub(crate) fn new(irp: Irp) -> Self {
        Self { irp, fs_context: None, fs_context2: None }
    }

    /// What was opened below the device: for `\\.\My_Device\a\b` it is `\a\b`, for `\\.\My_Device` empty.
    #[must_use]
    pub fn file_name(&self) -> UnicodeStr<'_> {
        let Some(file) = self.irp.file_object() else { return UnicodeStr::new(&[]) };
        // SAFETY: the file object outlives the request that makes it.
        let name = unsafe { &raw const (*file.as_ptr()).FileName };
        // SAFETY: as above; the name changes only if the driver changes it.
        unsafe { UnicodeStr::from_raw(name) }
    }

    /// The contexts of the open file that the name is relative to (OBJECT_ATTRIBUTES.RootDirectory); `None` for a name from the device on.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a file of another device.
    pub fn related_file(&self) -> Result<Option<Contexts<'_>>, NTSTATUS> {
        let Some(file) = self.irp.file_object() else { return Ok(None) };
        // SAFETY: the file object outlives the request that makes it.
        let related = unsafe { (*file.as_ptr()).RelatedFileObject };
        // SAFETY: null, or a file that stays open until this one is.
        unsafe { contexts::of_other_file(related, self.irp.device()) }.map_err(|_| STATUS_INVALID_PARAMETER)
    }

    /// The access that the handle is to have: `FILE_READ_DATA` and its kin.
    #[must_use]
    pub fn desired_access(&self) -> u32 {
        let parameters = self.irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_CREATE made `irp`.
        let create = unsafe { parameters.Create };
        // SAFETY: null, or valid until the request is completed.
        unsafe { create.SecurityContext.as_ref() }.map_or(0, |context| context.DesiredAccess)
    }

    /// Who opens the device, with what the open allows: to act for him now or later.
    ///
    /// # Errors
    ///
    /// STATUS_BAD_IMPERSONATION_LEVEL when he acts for a client of his own that he may not pass on;
    /// STATUS_INSUFFICIENT_RESOURCES.
    ///
    /// # Panics
    ///
    /// As for [`level`](Self::level).
    pub fn client_security(&self) -> Result<ClientSecurity, NTSTATUS> {
        let _level = self.level();
        let parameters = self.irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_CREATE made `irp`.
        let create = unsafe { parameters.Create };
        // SAFETY: this request's, which `self` has not completed.
        unsafe { ClientSecurity::of_create(create.SecurityContext) }
    }

    /// What is to happen where the name exists or does not: FILE_OPEN, FILE_CREATE, ….
    #[must_use]
    pub fn disposition(&self) -> u32 {
        self.options_word() >> 24
    }

    /// FILE_NON_DIRECTORY_FILE and its kin.
    #[must_use]
    pub fn options(&self) -> u32 {
        self.options_word() & 0x00FF_FFFF
    }

    fn options_word(&self) -> u32 {
        let parameters = self.irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_CREATE, or of one of the same beginning, made `irp`.
        unsafe { parameters.Create }.Options
    }

    /// SL_OPEN_TARGET_DIRECTORY: not the file is to be opened but the folder that it is in, or would be: another file gets its name.
    #[must_use]
    pub fn opens_target_directory(&self) -> bool {
        // SAFETY: the location of an IRP that is owned.
        unsafe { self.irp.location().as_ref() }.Flags & SL_OPEN_TARGET_DIRECTORY != 0
    }

    /// FILE_SHARE_READ and its kin.
    #[must_use]
    pub fn share_access(&self) -> u32 {
        let parameters = self.irp.parameters();
        // SAFETY: as in `options_word`.
        u32::from(unsafe { parameters.Create }.ShareAccess)
    }

    /// Keeps `context` as the file's `FsContext`, usually what all opens of one name share. Takes effect with
    /// [`complete`](Self::complete); a request that fails drops it.
    pub fn set_fs_context<T: Send + Sync + 'static>(&mut self, context: PoolArc<T>) {
        self.fs_context = Some(context.erase());
    }

    /// Keeps `context` as the file's `FsContext2`, usually what is this open's own. Otherwise as
    /// [`set_fs_context`](Self::set_fs_context).
    pub fn set_fs_context2<T: Send + Sync + 'static>(&mut self, context: PoolArc<T>) {
        self.fs_context2 = Some(context.erase());
    }

    /// Answers with STATUS_SUCCESS.
    pub fn complete(self) -> Answered {
        self.complete_as(0)
    }

    /// Answers with STATUS_SUCCESS, and what has happened: FILE_OPENED, FILE_CREATED, ….
    pub fn complete_as(self, what: usize) -> Answered {
        let file = self.irp.own_file();
        // SAFETY: the file object of this create.
        unsafe { contexts::put(file, Field::FsContext, self.fs_context) };
        // SAFETY: as above.
        unsafe { contexts::put(file, Field::FsContext2, self.fs_context2) };
        self.irp.answer(STATUS_SUCCESS, what)
    }

    /// Answers with a failure.
    ///
    /// # Panics
    ///
    /// With a status that is none: the handle would exist, without its contexts.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        assert!(!status.is_success(), "{status:?} is no failure");
        self.irp.answer(status, 0)
    }
}

/// IRP_MJ_CLEANUP: the last handle of a file object is closed, in the context of the process that closes it. Requests of
/// the file may still be under way.
#[must_use = "a request is answered"]
pub struct Cleanup {
    pub(crate) irp: Irp,
}

impl Cleanup {
    pub(crate) fn new(irp: Irp) -> Self {
        Self { irp }
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// Answers with STATUS_SUCCESS.
    pub fn complete(self) -> Answered {
        self.irp.answer(STATUS_SUCCESS, 0)
    }

    /// Answers with a failure.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}

/// IRP_MJ_CLOSE: the last reference to a file object is gone, in any context, at PASSIVE_LEVEL. Contexts that are not
/// taken are dropped with the answer.
#[must_use = "a request is answered"]
pub struct Close {
    irp: Irp,
}

impl Close {
    pub(crate) fn new(irp: Irp) -> Self {
        Self { irp }
    }

    /// The contexts of the file, for the last time.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// Takes the file's `FsContext`, if there is one and it is a `T`.
    pub fn take_fs_context<T: 'static>(&mut self) -> Option<PoolArc<T>> {
        // SAFETY: the file object of this close, which is borrowed exclusively.
        unsafe { contexts::take_typed(self.irp.own_file(), Field::FsContext) }
    }

    /// Takes the file's `FsContext2`, if there is one and it is a `T`.
    pub fn take_fs_context2<T: 'static>(&mut self) -> Option<PoolArc<T>> {
        // SAFETY: as above.
        unsafe { contexts::take_typed(self.irp.own_file(), Field::FsContext2) }
    }

    /// Answers with STATUS_SUCCESS.
    pub fn complete(self) -> Answered {
        self.answer(STATUS_SUCCESS)
    }

    /// Answers with a failure. The file is closed all the same.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.answer(status)
    }

    fn answer(self, status: NTSTATUS) -> Answered {
        for field in [Field::FsContext2, Field::FsContext] {
            // SAFETY: the file object of this close, from which nothing can be borrowed any more.
            drop(unsafe { contexts::take(self.irp.own_file(), field) });
        }
        self.irp.answer(status, 0)
    }
}

/// IRP_MJ_READ. `M` is the device's [`Dispatch::Io`](crate::Dispatch::Io).
#[must_use = "a request is answered"]
pub struct Read<M = Buffered> {
    pub(crate) irp: Irp,
    length: usize,
    byte_offset: i64,
    key: u32,
    written: usize,
    mode: PhantomData<M>,
}

impl<M: Mode> Read<M> {
    pub(crate) fn new(irp: Irp) -> Self {
        Self::resume(irp, 0)
    }

    /// The request again, of which so many bytes of output are written.
    pub(crate) fn resume(irp: Irp, written: usize) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_READ made `irp`.
        let read = unsafe { parameters.Read };
        let (length, byte_offset, key) = (read.Length as usize, read.ByteOffset, read.Key);
        Self { irp, length, byte_offset, key, written, mode: PhantomData }
    }

    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Bytes asked for; may be 0.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// Where to read, in bytes from the start, if the device has such a thing as a position.
    #[must_use]
    pub fn byte_offset(&self) -> i64 {
        self.byte_offset
    }

    /// The caller's key to a locked range.
    #[must_use]
    pub fn key(&self) -> u32 {
        self.key
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

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}

impl Read<Buffered> {
    /// The bytes to give, [`length`](Self::length) at most. Asked for again, it goes on where it stopped.
    pub fn output(&mut self) -> Output<'_> {
        // SAFETY: a buffered read has a system buffer of `length` bytes, null for 0.
        unsafe { Output::new(self.irp.system_buffer(), self.length, &mut self.written) }
    }

    /// The file's contexts and [`output`](Self::output), side by side.
    pub fn contexts_and_output(&mut self) -> (Contexts<'_>, Output<'_>) {
        let buffer = self.irp.system_buffer();
        // SAFETY: as in `output`.
        (self.irp.contexts(), unsafe { Output::new(buffer, self.length, &mut self.written) })
    }
}

impl Read<Direct> {
    /// The bytes to give, [`length`](Self::length) at most, written into the application's memory at once. Asked for again,
    /// it goes on where it stopped.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn output(&mut self) -> Result<Output<'_>, NTSTATUS> {
        locked::output(&self.irp, self.length, &mut self.written)
    }
}

impl Read<Neither> {
    /// The bytes to give, [`length`](Self::length) at most, written to the application's address. Asked for again, it goes
    /// on where it stopped.
    pub fn output(&mut self) -> UserOutput<'_> {
        UserOutput::new(&self.irp, self.irp.user_buffer(), self.length, &mut self.written)
    }
}

/// IRP_MJ_WRITE. `M` is the device's [`Dispatch::Io`](crate::Dispatch::Io).
#[must_use = "a request is answered"]
pub struct Write<M = Buffered> {
    pub(crate) irp: Irp,
    length: usize,
    byte_offset: i64,
    key: u32,
    mode: PhantomData<M>,
}

impl<M: Mode> Write<M> {
    pub(crate) fn new(irp: Irp) -> Self {
        Self::resume(irp, 0)
    }

    /// The request again. It has no output.
    pub(crate) fn resume(irp: Irp, _written: usize) -> Self {
        let parameters = irp.parameters();
        // SAFETY: the dispatch entry of IRP_MJ_WRITE made `irp`.
        let write = unsafe { parameters.Write };
        let (length, byte_offset, key) = (write.Length as usize, write.ByteOffset, write.Key);
        Self { irp, length, byte_offset, key, mode: PhantomData }
    }

    #[expect(clippy::unused_self, reason = "as requests that have an output")]
    pub(crate) fn written(&self) -> usize {
        0
    }

    /// Bytes offered; may be 0.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The contexts of the file.
    #[must_use]
    pub fn contexts(&self) -> Contexts<'_> {
        self.irp.contexts()
    }

    /// Where to write, in bytes from the start, if the device has such a thing as a position.
    #[must_use]
    pub fn byte_offset(&self) -> i64 {
        self.byte_offset
    }

    /// The caller's key to a locked range.
    #[must_use]
    pub fn key(&self) -> u32 {
        self.key
    }

    /// Answers with STATUS_SUCCESS: all bytes were taken.
    pub fn complete(self) -> Answered {
        let length = self.length;
        self.irp.answer(STATUS_SUCCESS, length)
    }

    /// Answers with STATUS_SUCCESS: the first `taken` bytes were.
    ///
    /// # Panics
    ///
    /// With more than were offered.
    pub fn complete_partly(self, taken: usize) -> Answered {
        assert!(taken <= self.length, "a write of {} bytes cannot take {taken}", self.length);
        self.irp.answer(STATUS_SUCCESS, taken)
    }

    /// Answers with a failure; nothing was taken.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        self.irp.answer(status, 0)
    }
}

impl Write<Buffered> {
    /// The bytes offered.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let buffer = self.irp.system_buffer();
        if self.length == 0 || buffer.is_null() {
            return &[];
        }
        // SAFETY: a buffered write has a system buffer of `length` bytes, which NT filled and nobody else changes.
        unsafe { slice::from_raw_parts(buffer, self.length) }
    }
}

impl Write<Direct> {
    /// The bytes offered, in the application's memory.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
    pub fn data(&self) -> Result<LockedData<'_>, NTSTATUS> {
        locked::data(&self.irp, self.length)
    }
}

impl Write<Neither> {
    /// The bytes offered, at the application's address.
    #[must_use]
    pub fn data(&self) -> UserData<'_> {
        UserData::new(&self.irp, self.irp.user_buffer(), self.length)
    }
}

macro_rules! levels {
    ($([$($generics:tt)*] $request:ty;)*) => {$(
        impl<$($generics)*> $request {
            /// For what may wait while this request is carried out.
            ///
            /// # Panics
            ///
            /// When a driver above has sent the request at a higher IRQL, and in a DPC that has it
            /// [pended](crate::Pended).
            #[must_use]
            pub fn level(&self) -> PassiveLevel {
                PassiveLevel::expect("a request that waits")
            }
        }
    )*};
}

levels! {
    [] Create;
    [] Cleanup;
    [] Close;
    [M] Read<M>;
    [M] Write<M>;
    [] DeviceControl;
    [] BufferedControl;
    [] InDirectControl;
    [] OutDirectControl;
    [] NeitherControl;
    [] LockedControl;
    [] OtherRequest;
    [] QueryInformation;
    [] SetInformation;
    [] QueryVolumeInformation;
    [] SetVolumeInformation;
    [] FlushBuffers;
}
