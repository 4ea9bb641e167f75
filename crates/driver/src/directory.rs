//! What file systems are asked beside data and information: directories and their changes, extended attributes, quotas. The bytes
//! go as the device's reads and writes do ([`Mode`]).

use core::marker::PhantomData;
use core::slice;

use abi::{
    FILE_INFORMATION_CLASS, IRP_MN_NOTIFY_CHANGE_DIRECTORY, IRP_MN_QUERY_DIRECTORY, NTSTATUS,
    SL_INDEX_SPECIFIED, SL_RESTART_SCAN, SL_RETURN_SINGLE_ENTRY, SL_WATCH_TREE, STATUS_SUCCESS,
};

use crate::irp::{self, Answered, Irp};
use crate::locked::{self, LockedData};
use crate::user::{UserData, UserOutput};
use crate::{
    Buffered, Contexts, Direct, Mode, Neither, OtherRequest, Output, PassiveLevel, Pendable, Pended,
    UnicodeStr,
};

/// IRP_MJ_DIRECTORY_CONTROL. `M` is the device's [`Dispatch::Io`](crate::Dispatch::Io).
#[must_use = "a request is answered"]
pub enum DirectoryControl<M = Buffered> {
    /// IRP_MN_QUERY_DIRECTORY.
    Query(QueryDirectory<M>),
    /// IRP_MN_NOTIFY_CHANGE_DIRECTORY.
    NotifyChange(NotifyChangeDirectory<M>),
    /// Another minor function.
    Other(OtherRequest),
}

impl<M: Mode> DirectoryControl<M> {
    pub(crate) fn new(irp: Irp) -> Self {
        match irp.minor() {
            IRP_MN_QUERY_DIRECTORY => Self::Query(QueryDirectory::resume(irp, 0)),
            IRP_MN_NOTIFY_CHANGE_DIRECTORY => Self::NotifyChange(NotifyChangeDirectory::resume(irp, 0)),
            _ => Self::Other(OtherRequest::new(irp)),
        }
    }

    /// Answers with a failure and no bytes.
    pub fn fail(self, status: NTSTATUS) -> Answered {
        match self {
            Self::Query(request) => request.fail(status),
            Self::NotifyChange(request) => request.fail(status),
            Self::Other(request) => request.fail(status),
        }
    }
}

macro_rules! queries {
    ($($(#[$doc:meta])* $request:ident($($parameters:ident).+);)*) => {$(
        $(#[$doc])*
        #[must_use = "a request is answered"]
        pub struct $request<M = Buffered> {
            pub(crate) irp: Irp,
            length: usize,
            written: usize,
            mode: PhantomData<M>,
        }

        impl<M: Mode> $request<M> {
            /// The request again, of which so many bytes of output are written.
            pub(crate) fn resume(irp: Irp, written: usize) -> Self {
                let parameters = irp.parameters();
                // SAFETY: the dispatch entry of this major and minor function made `irp`.
                let length = unsafe { parameters.$($parameters).+ } as usize;
                Self { irp, length, written, mode: PhantomData }
            }

            /// Bytes that there is room for; may be 0.
            #[must_use]
            pub fn length(&self) -> usize {
                self.length
            }

            /// The contexts of the file.
            #[must_use]
            pub fn contexts(&self) -> Contexts<'_> {
                self.irp.contexts()
            }

            /// For what may wait while this request is carried out.
            ///
            /// # Panics
            ///
            /// When a driver above has sent the request at a higher IRQL, and in a DPC that has it [pended](Pended).
            #[must_use]
            pub fn level(&self) -> PassiveLevel {
                PassiveLevel::expect("a request that waits")
            }

            fn flag(&self, flag: u8) -> bool {
                // SAFETY: the location of an IRP that is owned.
                unsafe { self.irp.location().as_ref() }.Flags & flag != 0
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

        impl $request<Buffered> {
            /// The bytes to give, [`length`](Self::length) at most. Asked for again, it goes on where it stopped.
            pub fn output(&mut self) -> Output<'_> {
                // SAFETY: a buffered query has a system buffer of `length` bytes, null for 0.
                unsafe { Output::new(self.irp.system_buffer(), self.length, &mut self.written) }
            }

            /// The file's contexts and [`output`](Self::output), side by side.
            pub fn contexts_and_output(&mut self) -> (Contexts<'_>, Output<'_>) {
                let buffer = self.irp.system_buffer();
                // SAFETY: as in `output`.
                (self.irp.contexts(), unsafe { Output::new(buffer, self.length, &mut self.written) })
            }
        }

        impl $request<Direct> {
            /// The bytes to give, [`length`](Self::length) at most, written into the application's memory at once. Asked for
            /// again, it goes on where it stopped.
            ///
            /// # Errors
            ///
            /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
            pub fn output(&mut self) -> Result<Output<'_>, NTSTATUS> {
                locked::output(&self.irp, self.length, &mut self.written)
            }
        }

        impl $request<Neither> {
            /// The bytes to give, [`length`](Self::length) at most, written to the application's address. Asked for again, it
            /// goes on where it stopped.
            pub fn output(&mut self) -> UserOutput<'_> {
                UserOutput::new(&self.irp, self.irp.user_buffer(), self.length, &mut self.written)
            }
        }
    )*};
}

queries! {
    /// IRP_MN_QUERY_DIRECTORY: the entries of a directory, one behind the other, each at a multiple of eight bytes.
    ///
    /// A driver answers STATUS_NO_SUCH_FILE when no name at all is what was asked for, STATUS_NO_MORE_FILES when all such entries have been
    /// given, STATUS_BUFFER_OVERFLOW when the first one's name does not fit.
    QueryDirectory(QueryDirectory.Length);

    /// IRP_MN_NOTIFY_CHANGE_DIRECTORY: FILE_NOTIFY_INFORMATION of what has changed in a directory, once something has.
    ///
    /// A driver answers STATUS_NOTIFY_ENUM_DIR, without bytes, when there is no room for what has changed.
    NotifyChangeDirectory(NotifyDirectory.Length);

    /// IRP_MJ_QUERY_EA: FILE_FULL_EA_INFORMATION of a file.
    QueryEa(QueryEa.Length);

    /// IRP_MJ_QUERY_QUOTA: FILE_QUOTA_INFORMATION of a volume.
    QueryQuota(QueryQuota.Length);
}

impl<M: Mode> QueryDirectory<M> {
    /// FileBothDirectoryInformation and its kin.
    #[must_use]
    pub fn class(&self) -> FILE_INFORMATION_CLASS {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query a directory.
        unsafe { parameters.QueryDirectory }.FileInformationClass
    }

    /// Which names are wanted, with wildcards; the first request of a file decides. `None` for all.
    #[must_use]
    pub fn pattern(&self) -> Option<UnicodeStr<'_>> {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query a directory.
        let name = unsafe { parameters.QueryDirectory }.FileName;
        // SAFETY: null, or valid until the request is completed.
        (!name.is_null()).then(|| unsafe { UnicodeStr::from_raw(name) })
    }

    /// SL_RESTART_SCAN: from the first entry on.
    #[must_use]
    pub fn restart_scan(&self) -> bool {
        self.flag(SL_RESTART_SCAN)
    }

    /// SL_RETURN_SINGLE_ENTRY: one entry, whatever there is room for.
    #[must_use]
    pub fn single_entry(&self) -> bool {
        self.flag(SL_RETURN_SINGLE_ENTRY)
    }

    /// SL_INDEX_SPECIFIED: where to begin.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query a directory.
        let index = unsafe { parameters.QueryDirectory }.FileIndex;
        self.flag(SL_INDEX_SPECIFIED).then_some(index)
    }
}

impl<M: Mode> NotifyChangeDirectory<M> {
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// FILE_NOTIFY_CHANGE_*: which changes are told.
    #[must_use]
    pub fn filter(&self) -> u32 {
        let parameters = self.irp.parameters();
        // SAFETY: a request to be notified.
        unsafe { parameters.NotifyDirectory }.CompletionFilter
    }

    /// SL_WATCH_TREE: whether changes in directories below are told too.
    #[must_use]
    pub fn watch_tree(&self) -> bool {
        self.flag(SL_WATCH_TREE)
    }
}

impl<M: Mode> QueryEa<M> {
    pub(crate) fn new(irp: Irp) -> Self {
        Self::resume(irp, 0)
    }

    /// FILE_GET_EA_INFORMATION: which attributes are asked for, a list that NT has checked; none for all.
    #[must_use]
    pub fn list(&self) -> &[u8] {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query extended attributes.
        let query = unsafe { parameters.QueryEa };
        captured(query.EaList.cast(), query.EaListLength)
    }

    /// SL_INDEX_SPECIFIED: which is the first, from 1.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query extended attributes.
        let index = unsafe { parameters.QueryEa }.EaIndex;
        self.flag(SL_INDEX_SPECIFIED).then_some(index)
    }

    /// SL_RESTART_SCAN: from the first attribute on.
    #[must_use]
    pub fn restart_scan(&self) -> bool {
        self.flag(SL_RESTART_SCAN)
    }

    /// SL_RETURN_SINGLE_ENTRY: one attribute.
    #[must_use]
    pub fn single_entry(&self) -> bool {
        self.flag(SL_RETURN_SINGLE_ENTRY)
    }
}

impl<M: Mode> QueryQuota<M> {
    pub(crate) fn new(irp: Irp) -> Self {
        Self::resume(irp, 0)
    }

    /// FILE_GET_QUOTA_INFORMATION: who is asked about, a list that NT has checked; none for all.
    #[must_use]
    pub fn sids(&self) -> &[u8] {
        let parameters = self.irp.parameters();
        // SAFETY: a request to query quotas.
        let query = unsafe { parameters.QueryQuota };
        captured(query.SidList.cast(), query.SidListLength)
    }

    /// SL_RESTART_SCAN: from the first entry on.
    #[must_use]
    pub fn restart_scan(&self) -> bool {
        self.flag(SL_RESTART_SCAN)
    }

    /// SL_RETURN_SINGLE_ENTRY: one entry.
    #[must_use]
    pub fn single_entry(&self) -> bool {
        self.flag(SL_RETURN_SINGLE_ENTRY)
    }
}

/// What NT has captured for a request.
fn captured<'a>(list: *const u8, length: u32) -> &'a [u8] {
    if list.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: NT's copy of the list, which stays until the request is completed.
    unsafe { slice::from_raw_parts(list, length as usize) }
}

macro_rules! changes {
    ($($(#[$doc:meta])* $request:ident($($parameters:ident).+);)*) => {$(
        $(#[$doc])*
        #[must_use = "a request is answered"]
        pub struct $request<M = Buffered> {
            irp: Irp,
            length: usize,
            mode: PhantomData<M>,
        }

        impl<M: Mode> $request<M> {
            pub(crate) fn new(irp: Irp) -> Self {
                let parameters = irp.parameters();
                // SAFETY: the dispatch entry of this major function made `irp`.
                let length = unsafe { parameters.$($parameters).+ } as usize;
                Self { irp, length, mode: PhantomData }
            }

            /// The contexts of the file.
            #[must_use]
            pub fn contexts(&self) -> Contexts<'_> {
                self.irp.contexts()
            }

            /// For what may wait while this request is carried out.
            ///
            /// # Panics
            ///
            /// When a driver above has sent the request at a higher IRQL.
            #[must_use]
            pub fn level(&self) -> PassiveLevel {
                PassiveLevel::expect("a request that waits")
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

        impl $request<Buffered> {
            /// The list, which NT has checked.
            #[must_use]
            pub fn data(&self) -> &[u8] {
                captured(self.irp.system_buffer(), u32::try_from(self.length).unwrap_or(0))
            }
        }

        impl $request<Direct> {
            /// The list, in the application's memory, which nobody has checked.
            ///
            /// # Errors
            ///
            /// STATUS_INSUFFICIENT_RESOURCES when the memory cannot be mapped.
            pub fn data(&self) -> Result<LockedData<'_>, NTSTATUS> {
                locked::data(&self.irp, self.length)
            }
        }

        impl $request<Neither> {
            /// The list, at the application's address, which nobody has checked.
            #[must_use]
            pub fn data(&self) -> UserData<'_> {
                UserData::new(&self.irp, self.irp.user_buffer(), self.length)
            }
        }
    )*};
}

changes! {
    /// IRP_MJ_SET_EA: FILE_FULL_EA_INFORMATION of a file.
    SetEa(SetEa.Length);

    /// IRP_MJ_SET_QUOTA: FILE_QUOTA_INFORMATION of a volume.
    SetQuota(SetQuota.Length);
}

macro_rules! pendable {
    ($($request:ty;)*) => {$(
        impl Pendable for $request {}

        impl $request {
            /// Answers later, as [`Read::pend`](crate::Read::pend).
            pub fn pend(self, hand_over: impl FnOnce(Pended<Self>)) -> Answered {
                let answered = irp::pend(&self.irp);
                hand_over(Pended::new(self));
                answered
            }
        }

        impl Pended<$request> {
            /// Completes the request, as the request's own method of this name says.
            pub fn complete(self) {
                self.answer(|request| request.complete());
            }

            /// Completes the request, as the request's own method of this name says.
            pub fn complete_with(self, status: NTSTATUS) {
                self.answer(|request| request.complete_with(status));
            }
        }
    )*};
}

pendable! {
    NotifyChangeDirectory<Buffered>;
    NotifyChangeDirectory<Direct>;
}
