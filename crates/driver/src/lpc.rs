//! LPC ports: short messages between drivers and applications, and sections that both ends see for long ones.
//!
//! A [`ServerPort`] has a name and takes connections; an application connects to it with `NtConnectPort`. Or the application has the
//! port, and the driver connects. Handles of connections belong to the process that they are made in, for NT has no kernel handles for
//! them: so a [`CommunicationPort`] is made in a [`Thread`](crate::Thread) of the driver's, which runs in the system process, and does
//! not leave it.
//!
//! NT's waits for messages are not ended by anything but a message, or the end of the other side. A thread that is to stop is sent one:
//! [`ServerPort::send`].
//!
//! Microsoft does not document these calls, and not every Windows exports all of them to drivers; a driver that needs one which is not
//! there does not load.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::num::NonZeroUsize;
use core::ptr;

use abi::{
    HANDLE, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PORT_MESSAGE, PORT_VIEW,
    REMOTE_PORT_VIEW, SECURITY_QUALITY_OF_SERVICE, SecurityIdentification,
};

use crate::nt::{
    ZwAcceptConnectPort, ZwClose, ZwCompleteConnectPort, ZwConnectPort, ZwCreatePort,
    ZwImpersonateClientOfPort, ZwReplyPort, ZwReplyWaitReceivePort, ZwReplyWaitReplyPort, ZwRequestPort,
    ZwRequestWaitReplyPort,
};
use crate::user::copy;
use crate::{Impersonating, PassiveLevel, Section, Stop, UnicodeStr};

const LENGTH: usize = abi::PORT_MAXIMUM_MESSAGE_LENGTH;
const HEADER: usize = size_of::<PORT_MESSAGE>();
/// Bytes of data in the longest message.
pub const MAX_DATA: usize = LENGTH - HEADER;

/// A message: PORT_MESSAGE and its data.
#[derive(Clone)]
#[repr(C, align(8))]
pub struct Message {
    bytes: [u8; LENGTH],
}

impl Message {
    /// One to be sent, with the first [`MAX_DATA`] bytes of these data.
    #[must_use]
    pub fn new(data: &[u8]) -> Self {
        let mut this = Self { bytes: [0; LENGTH] };
        this.set_data(data);
        this
    }

    /// The reply to this message, with the first [`MAX_DATA`] bytes of these data.
    #[must_use]
    pub fn reply(&self, data: &[u8]) -> Self {
        let mut this = self.clone();
        this.set_data(data);
        this
    }

    /// A callback: a request to whoever waits for the reply to this message, with the first [`MAX_DATA`] bytes of these data. It is sent
    /// by [`CommunicationPort::request_wait_reply`] at the end that this message came to, and answered by
    /// [`CommunicationPort::reply_wait_reply`].
    #[must_use]
    pub fn callback(&self, data: &[u8]) -> Self {
        let mut this = self.reply(data);
        this.set_half(4, abi::LPC_REQUEST.into());
        this
    }

    fn set_data(&mut self, data: &[u8]) {
        let length = data.len().min(MAX_DATA);
        self.bytes[HEADER..][..length].copy_from_slice(&data[..length]);
        self.set_half(0, length);
        self.set_half(2, length + HEADER);
        self.set_half(6, 0);
    }

    fn set_half(&mut self, at: usize, value: usize) {
        let value = u16::try_from(value).unwrap_or(0);
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// LPC_REQUEST, LPC_REPLY, LPC_DATAGRAM, LPC_CONNECTION_REQUEST, LPC_PORT_CLOSED, …
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.half(4) & !abi::LPC_KERNELMODE_MESSAGE
    }

    /// The process that has sent it, as the kernel vouches for.
    #[must_use]
    pub fn process_id(&self) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|index| self.bytes[8 + index]))
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes[HEADER..][..usize::from(self.half(0)).min(MAX_DATA)]
    }

    fn as_raw(&mut self) -> *mut PORT_MESSAGE {
        self.bytes.as_mut_ptr().cast()
    }
}

/// A message, and the connection that it came by.
pub struct Received {
    /// It.
    pub message: Message,
    /// What [`ServerPort::accept`] gave the connection. Nothing for connection requests, on a client's port, and for what the driver
    /// itself has sent by [`ServerPort::send`], which no client can.
    pub context: usize,
}

fn done(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if status == abi::STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

/// # Safety
///
/// A port's handle of the current process, or a kernel handle.
unsafe fn receive(handle: HANDLE, reply: Option<&Message>) -> Result<Received, NTSTATUS> {
    let mut reply = reply.cloned();
    let reply = reply.as_mut().map_or(ptr::null_mut(), Message::as_raw);
    let mut message = Message { bytes: [0; LENGTH] };
    let mut context = ptr::null_mut();
    // SAFETY: the caller's contract; the reply is as long as it says, and no message is longer than `message`.
    done(unsafe { ZwReplyWaitReceivePort(handle, &raw mut context, reply, message.as_raw()) })?;
    Ok(Received { message, context: context.addr() })
}

/// # Safety
///
/// As for [`receive`].
unsafe fn send(handle: HANDLE, data: &[u8]) -> Result<(), NTSTATUS> {
    let mut message = Message::new(data);
    // SAFETY: the caller's contract; the message is as long as it says.
    done(unsafe { ZwRequestPort(handle, message.as_raw()) })
}

/// # Safety
///
/// As for [`receive`].
unsafe fn reply(handle: HANDLE, reply: &Message) -> Result<(), NTSTATUS> {
    let mut reply = reply.clone();
    // SAFETY: the caller's contract; the reply is as long as it says.
    done(unsafe { ZwReplyPort(handle, reply.as_raw()) })
}

/// A port that takes connections. It can be used in any thread, and in the context of any process.
pub struct ServerPort {
    /// A kernel handle.
    handle: HANDLE,
}

// SAFETY: kernel handles may be used in any thread.
unsafe impl Send for ServerPort {}
// SAFETY: as above.
unsafe impl Sync for ServerPort {}

#[expect(clippy::cast_possible_truncation, reason = "small structures")]
const fn length_of<T>() -> u32 {
    size_of::<T>() as u32
}

impl ServerPort {
    /// `ZwCreatePort`. Bytes of connection information and of data in a message, each at most [`MAX_DATA`]. Who may connect is what the
    /// system's default list says: administrators.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_PARAMETER_3, _4 for longer messages; what NT says of the name.
    pub fn create(
        _level: PassiveLevel,
        name: UnicodeStr<'_>,
        max_info: usize,
        max_data: usize,
    ) -> Result<Self, NTSTATUS> {
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: length_of::<OBJECT_ATTRIBUTES>(),
            RootDirectory: ptr::null_mut(),
            ObjectName: name.as_raw().cast_mut(),
            Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
            SecurityDescriptor: ptr::null_mut(),
            SecurityQualityOfService: ptr::null_mut(),
        };
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let max_message = length(max_data.saturating_add(HEADER));
        let mut handle = ptr::null_mut();
        // SAFETY: valid for the call, which does not change the name.
        done(unsafe {
            ZwCreatePort(&raw mut handle, &raw mut attributes, length(max_info), max_message, 0)
        })?;
        Ok(Self { handle })
    }

    /// Waits for a message of any connection, or a connection request.
    ///
    /// # Errors
    ///
    /// What NT says.
    pub fn receive(&self, _level: PassiveLevel) -> Result<Received, NTSTATUS> {
        // SAFETY: a kernel handle.
        unsafe { receive(self.handle, None) }
    }

    /// Replies as [`reply`](Self::reply) does, then waits for a message.
    ///
    /// # Errors
    ///
    /// As for [`reply`](Self::reply), without waiting then.
    pub fn reply_wait_receive(&self, _level: PassiveLevel, reply: &Message) -> Result<Received, NTSTATUS> {
        // SAFETY: a kernel handle.
        unsafe { receive(self.handle, Some(reply)) }
    }

    /// Sends a reply made by [`Message::reply`].
    ///
    /// # Errors
    ///
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID when nobody waits for it.
    pub fn reply(&self, _level: PassiveLevel, message: &Message) -> Result<(), NTSTATUS> {
        // SAFETY: a kernel handle.
        unsafe { reply(self.handle, message) }
    }

    /// Sends the port's own receivers a datagram, which comes without a context: how the driver tells its thread to stop.
    ///
    /// # Errors
    ///
    /// STATUS_NO_MEMORY when too much waits already.
    pub fn send(&self, _level: PassiveLevel, data: &[u8]) -> Result<(), NTSTATUS> {
        // SAFETY: a kernel handle.
        unsafe { send(self.handle, data) }
    }

    /// Accepts a connection request. `context` comes with all messages of the connection; `shown` is shown to the client; `info` is for
    /// it. It goes on with [`CommunicationPort::complete`].
    ///
    /// # Errors
    ///
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID when the client waits no longer; what mapping views meets.
    pub fn accept<'s>(
        &self,
        _stop: &'s Stop<'_>,
        request: &Message,
        context: NonZeroUsize,
        shown: Option<&Section>,
        info: &[u8],
    ) -> Result<CommunicationPort<'s>, NTSTATUS> {
        let mut answer = request.reply(info);
        let mut own = shown.map(port_view);
        let mut other = remote_view();
        let mut handle = ptr::null_mut();
        let own_pointer = own.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: valid for the call, which is made in the system process.
        done(unsafe {
            ZwAcceptConnectPort(
                &raw mut handle,
                ptr::without_provenance_mut(context.get()),
                answer.as_raw(),
                1,
                own_pointer,
                &raw mut other,
            )
        })?;
        Ok(CommunicationPort::new(handle, own.as_ref(), &other, 0))
    }

    /// Refuses a connection request.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn refuse(&self, _level: PassiveLevel, request: &Message, info: &[u8]) -> Result<(), NTSTATUS> {
        let mut answer = request.reply(info);
        let mut handle = ptr::null_mut();
        let (none, nothing) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: valid for the call.
        done(unsafe {
            ZwAcceptConnectPort(&raw mut handle, none, answer.as_raw(), 0, ptr::null_mut(), nothing)
        })
    }
}

impl Drop for ServerPort {
    /// Connections go on; who waits to be accepted is refused. IRQL: PASSIVE_LEVEL.
    fn drop(&mut self) {
        // SAFETY: the port's own handle, closed once.
        let _closed = unsafe { ZwClose(self.handle) };
    }
}

fn port_view(section: &Section) -> PORT_VIEW {
    PORT_VIEW {
        Length: length_of::<PORT_VIEW>(),
        SectionHandle: section.as_raw_handle(),
        SectionOffset: 0,
        ViewSize: 0,
        ViewBase: ptr::null_mut(),
        ViewRemoteBase: ptr::null_mut(),
    }
}

fn remote_view() -> REMOTE_PORT_VIEW {
    REMOTE_PORT_VIEW { Length: length_of::<REMOTE_PORT_VIEW>(), ViewSize: 0, ViewBase: ptr::null_mut() }
}

/// One end of a connection. It belongs to the thread that made it; dropping it ends the connection, and its views.
pub struct CommunicationPort<'s> {
    handle: HANDLE,
    own: Option<PortView>,
    other: Option<PortView>,
    max_data: usize,
    /// Not `Send`, and not longer than the thread's run.
    thread: PhantomData<(*mut (), &'s ())>,
}

impl<'s> CommunicationPort<'s> {
    fn new(handle: HANDLE, own: Option<&PORT_VIEW>, other: &REMOTE_PORT_VIEW, max_data: usize) -> Self {
        Self {
            handle,
            own: own.and_then(|view| PortView::new(view.ViewBase, view.ViewSize)),
            other: PortView::new(other.ViewBase, other.ViewSize),
            max_data,
            thread: PhantomData,
        }
    }

    /// Connects to the port of this name (`ZwConnectPort`), showing it all of `shown`, and waits for its answer. The server learns who
    /// connects, and cannot act in the system's name (SecurityIdentification).
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND; STATUS_PORT_CONNECTION_REFUSED, also when the listener goes without an answer; what mapping views
    /// meets.
    pub fn connect(
        _stop: &'s Stop<'_>,
        name: UnicodeStr<'_>,
        shown: Option<&Section>,
        info: &[u8],
    ) -> Result<Self, NTSTATUS> {
        let mut qos = SECURITY_QUALITY_OF_SERVICE {
            Length: length_of::<SECURITY_QUALITY_OF_SERVICE>(),
            ImpersonationLevel: SecurityIdentification,
            ContextTrackingMode: 0,
            EffectiveOnly: 1,
        };
        let mut own = shown.map(port_view);
        let mut other = remote_view();
        let mut information = [0; MAX_DATA];
        let length = info.len().min(MAX_DATA);
        information[..length].copy_from_slice(&info[..length]);
        let mut length = u32::try_from(length).unwrap_or(0);
        let (mut handle, mut max_message) = (ptr::null_mut(), 0_u32);
        // SAFETY: valid for the call, which is made in the system process.
        done(unsafe {
            ZwConnectPort(
                &raw mut handle,
                name.as_raw(),
                &raw mut qos,
                own.as_mut().map_or(ptr::null_mut(), ptr::from_mut),
                &raw mut other,
                &raw mut max_message,
                information.as_mut_ptr().cast(),
                &raw mut length,
            )
        })?;
        let max_data = usize::try_from(max_message).unwrap_or(0).saturating_sub(HEADER);
        Ok(Self::new(handle, own.as_ref(), &other, max_data))
    }

    /// Lets the client of an accepted connection go on.
    ///
    /// # Errors
    ///
    /// STATUS_PORT_DISCONNECTED when it waits no longer; STATUS_INVALID_PORT_HANDLE at the client's end.
    pub fn complete(&self) -> Result<(), NTSTATUS> {
        // SAFETY: a handle of this process.
        done(unsafe { ZwCompleteConnectPort(self.handle) })
    }

    /// Bytes of data in a message, at most, at the client's end.
    #[must_use]
    pub fn max_data(&self) -> usize {
        self.max_data
    }

    /// What this end shows the other.
    #[must_use]
    pub fn own_view(&self) -> Option<&PortView> {
        self.own.as_ref()
    }

    /// What the other end shows.
    #[must_use]
    pub fn other_view(&self) -> Option<&PortView> {
        self.other.as_ref()
    }

    /// Sends data that nobody replies to.
    ///
    /// # Errors
    ///
    /// STATUS_PORT_DISCONNECTED, STATUS_PORT_MESSAGE_TOO_LONG, STATUS_NO_MEMORY.
    pub fn send(&self, data: &[u8]) -> Result<(), NTSTATUS> {
        // SAFETY: a handle of this process.
        unsafe { send(self.handle, data) }
    }

    /// Sends a message and waits for the reply, or a callback (LPC_REQUEST).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); STATUS_PORT_DISCONNECTED also when the other end goes without a reply.
    pub fn request_wait_reply(&self, message: &Message) -> Result<Message, NTSTATUS> {
        let mut message = message.clone();
        let mut reply = Message { bytes: [0; LENGTH] };
        // SAFETY: a handle of this process; the message is as long as it says, and no reply is longer than `reply`.
        done(unsafe { ZwRequestWaitReplyPort(self.handle, message.as_raw(), reply.as_raw()) })?;
        Ok(reply)
    }

    /// Sends the answer to a callback, made by [`Message::reply`], and waits on, as
    /// [`request_wait_reply`](Self::request_wait_reply) does.
    ///
    /// # Errors
    ///
    /// As for [`ServerPort::reply`] and [`request_wait_reply`](Self::request_wait_reply).
    pub fn reply_wait_reply(&self, reply: &Message) -> Result<Message, NTSTATUS> {
        let mut message = reply.clone();
        // SAFETY: a handle of this process; the reply is as long as it says, and what comes is not longer than a message.
        done(unsafe { ZwReplyWaitReplyPort(self.handle, message.as_raw()) })?;
        Ok(message)
    }

    /// At the server's end: lets the thread act as the client whose request this is, as far as that allowed when it connected, until
    /// what is returned is dropped; then it acts again for whom it did before. The request is received, and not replied to yet.
    ///
    /// # Errors
    ///
    /// STATUS_REPLY_MESSAGE_MISMATCH or STATUS_INVALID_CID for another message, or when its client waits no longer;
    /// STATUS_INVALID_PORT_HANDLE at the client's end; STATUS_BAD_IMPERSONATION_LEVEL when the client acts for somebody whom it may
    /// not pass on. The thread acts as before.
    pub fn impersonate_client(&self, request: &Message) -> Result<Impersonating<'_>, NTSTATUS> {
        let mut request = request.clone();
        // SAFETY: a handle of this process; the message is as long as it says. A port of the thread's own is at PASSIVE_LEVEL.
        Impersonating::begin(|| unsafe { ZwImpersonateClientOfPort(self.handle, request.as_raw()) })
    }

    /// Waits for a message; at the server's end, for one of any connection.
    ///
    /// # Errors
    ///
    /// STATUS_PORT_DISCONNECTED when the server's end is closed.
    pub fn receive(&self) -> Result<Received, NTSTATUS> {
        // SAFETY: a handle of this process.
        unsafe { receive(self.handle, None) }
    }

    /// Sends a reply made by [`Message::reply`].
    ///
    /// # Errors
    ///
    /// As for [`ServerPort::reply`].
    pub fn reply(&self, message: &Message) -> Result<(), NTSTATUS> {
        // SAFETY: a handle of this process.
        unsafe { reply(self.handle, message) }
    }
}

impl Drop for CommunicationPort<'_> {
    fn drop(&mut self) {
        // SAFETY: the port's own handle, closed once, in the process that it belongs to.
        let _closed = unsafe { ZwClose(self.handle) };
    }
}

/// A section as one end of a connection sees it. The other end may change it at any time, and what section it is was the other end's
/// choice: so this gives copies, and each may fail.
pub struct PortView {
    base: *mut u8,
    length: usize,
}

impl PortView {
    fn new(base: *mut c_void, length: usize) -> Option<Self> {
        (!base.is_null() && length != 0).then(|| Self { base: base.cast(), length })
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills the front of `target` with the bytes from `offset` on, as many as there are; returns how many these were.
    ///
    /// # Errors
    ///
    /// What reading the memory raises, a file's that cannot be read for one.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> Result<usize, NTSTATUS> {
        let count = target.len().min(self.length.saturating_sub(offset));
        if count != 0 {
            let source = self.base.wrapping_add(offset);
            // SAFETY: `target` has `count` bytes; the source is mapped as long as the port is open, to which this is bound, and in this
            // process.
            unsafe { copy::from_user(target.as_mut_ptr(), source, count, false) }?;
        }
        Ok(count)
    }

    /// Replaces the bytes from `offset` on with those of `source`, as many as there are; returns how many these were.
    ///
    /// # Errors
    ///
    /// What writing the memory raises.
    pub fn write(&self, offset: usize, source: &[u8]) -> Result<usize, NTSTATUS> {
        let count = source.len().min(self.length.saturating_sub(offset));
        if count != 0 {
            let target = self.base.wrapping_add(offset);
            // SAFETY: as for `read`; no reference to the view's bytes exists.
            unsafe { copy::to_user(target, source.as_ptr(), count, false) }?;
        }
        Ok(count)
    }
}
