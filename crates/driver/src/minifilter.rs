//! Minifilters, as far as their communication ports go: an application connects to a port of the driver's, and messages go both
//! ways.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use core::time::Duration;

use abi::{
    FLT_FILTER, FLT_PORT, FLT_PORT_ALL_ACCESS, FLT_REGISTRATION, FLT_REGISTRATION_VERSION, LARGE_INTEGER,
    NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, STATUS_BUFFER_OVERFLOW,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, STATUS_TIMEOUT,
};

use crate::bugcheck::guard;
use crate::driver::Driver;
use crate::nt_flt::{
    FltBuildDefaultSecurityDescriptor, FltCloseClientPort, FltCloseCommunicationPort,
    FltCreateCommunicationPort, FltFreeSecurityDescriptor, FltObjectDereference, FltObjectReference,
    FltRegisterFilter, FltSendMessage, FltUnregisterFilter,
};
use crate::time::relative;
use crate::user::{UserData, UserOutput};
use crate::{DriverObject, PassiveLevel, PoolArc, PoolBox, Tag, UnicodeStr};

/// What a port's filter does when applications connect, send and go. All methods are called at PASSIVE_LEVEL, on many threads at
/// once.
pub trait PortNotify: Sized + Send + Sync + 'static {
    /// What is kept of each connection. Its last [`PoolArc`] closes the connection, with the [`ClientPort`] in it.
    type Connection: Send + Sync + 'static;

    /// An application connects, in whose context this is called. `context` is a copy of what it has sent along, and not to be
    /// trusted.
    ///
    /// # Errors
    /// What the application is to get instead of a connection.
    fn connect(
        &self,
        level: PassiveLevel,
        client: ClientPort,
        context: &[u8],
    ) -> Result<PoolArc<Self::Connection>, NTSTATUS>;

    /// The application has closed its last handle or has ended, or the filter is being unregistered. Once for each connection. What
    /// else points to it must be dropped before long: unregistering waits for the last [`ClientPort`].
    fn disconnect(&self, level: PassiveLevel, connection: &PoolArc<Self::Connection>) {
        let (_, _) = (level, connection);
    }

    /// The application has sent a message (`FilterSendMessage`), in whose context this is called. Its buffers are its own memory.
    ///
    /// # Errors
    /// What the application gets, without any bytes.
    fn message(
        &self,
        level: PassiveLevel,
        connection: &PoolArc<Self::Connection>,
        input: &UserData<'_>,
        output: &mut UserOutput<'_>,
    ) -> Result<(), NTSTATUS> {
        let (_, _, _, _) = (level, connection, input, output);
        Err(STATUS_INVALID_DEVICE_REQUEST)
    }
}

/// Who may connect to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortAccess {
    /// The system and administrators (`FltBuildDefaultSecurityDescriptor`).
    Administrators,
}

/// A registered filter. Dropping it closes its ports, ends their connections, and waits until nobody uses it: every
/// [`ClientPort`] must have been dropped by then, or be dropped by another thread.
///
/// It has no FilterUnloadCallback, since an application's `FilterUnload` would take the driver away under open handles of its
/// devices: the driver is unloaded by stopping its service, as other drivers are, and drops this then.
pub struct Minifilter {
    inner: PoolArc<Inner>,
}

/// What handles to ports share with the filter.
struct Inner {
    filter: NonNull<FLT_FILTER>,
    /// A list of the ports that it has ever had, which their routines may still use.
    ports: AtomicPtr<Node>,
}

// SAFETY: the filter manager's functions may be called from any thread; nodes are only added, until nobody shares them any more.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

/// A port, whatever its routines are.
struct Node {
    next: *mut Node,
    /// NULL when it is closed.
    port: AtomicPtr<FLT_PORT>,
    filter: NonNull<FLT_FILTER>,
    tag: Tag,
    /// Frees it.
    free: unsafe fn(NonNull<Node>, Tag),
}

/// A port with its routines; the node is first, so that one address is both.
#[repr(C)]
struct Port<P> {
    node: Node,
    notify: P,
}

/// A connection: its address is what the filter manager has as the cookie. It is the connection's until its end is told, which is not
/// before the callback for messages has returned (Confirm).
struct Linked<P: PortNotify> {
    port: NonNull<Port<P>>,
    tag: Tag,
    connection: PoolArc<P::Connection>,
}

impl Minifilter {
    /// Registers the driver as a filter, in its entry. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES; what else FltRegisterFilter says.
    pub fn register<D: Driver>(driver: &DriverObject<D>) -> Result<Self, NTSTATUS> {
        #[expect(clippy::cast_possible_truncation, reason = "112")]
        const SIZE: u16 = size_of::<FLT_REGISTRATION>() as u16;
        // SAFETY: numbers and pointers, all of which may be 0.
        let mut registration: FLT_REGISTRATION = unsafe { core::mem::zeroed() };
        registration.Size = SIZE;
        registration.Version = FLT_REGISTRATION_VERSION;
        let driver = driver.as_raw();
        // SAFETY: a live driver object, of which nobody else changes the routines meanwhile.
        let unload = unsafe { (*driver).DriverUnload };
        let mut filter = ptr::null_mut();
        // SAFETY: at PASSIVE_LEVEL, as entries are; a whole registration, and room for the filter.
        let status = unsafe { FltRegisterFilter(driver, &raw const registration, &raw mut filter) };
        // Whatever the filter manager has put there: this crate's routine lets go of everything.
        // SAFETY: as above.
        unsafe { (*driver).DriverUnload = unload };
        match NonNull::new(filter).filter(|_| status.is_success()) {
            Some(filter) => {
                let inner = Inner { filter, ports: AtomicPtr::default() };
                let inner = PoolArc::new(Tag::DEFAULT, inner).inspect_err(|_| {
                    // SAFETY: registered, and used by nobody.
                    unsafe { FltUnregisterFilter(filter.as_ptr()) };
                })?;
                Ok(Self { inner })
            }
            None => Err(if status.is_success() { STATUS_INVALID_PARAMETER } else { status }),
        }
    }

    /// A port of the name `\Name`, to which at most `connections` may connect at a time. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_COLLISION, STATUS_INVALID_PARAMETER for no connections at all, STATUS_INSUFFICIENT_RESOURCES.
    pub fn create_port<P: PortNotify>(
        &self,
        _level: PassiveLevel,
        tag: Tag,
        name: UnicodeStr<'_>,
        connections: u16,
        access: PortAccess,
        notify: P,
    ) -> Result<ServerPort, NTSTATUS> {
        let PortAccess::Administrators = access;
        let filter = self.inner.filter;
        let node = Node { next: ptr::null_mut(), port: AtomicPtr::default(), filter, tag, free: free::<P> };
        let port = PoolBox::new(tag, Port { node, notify })?.leak();
        let mut descriptor = ptr::null_mut();
        // SAFETY: room for the descriptor; at PASSIVE_LEVEL.
        let built = unsafe { FltBuildDefaultSecurityDescriptor(&raw mut descriptor, FLT_PORT_ALL_ACCESS) };
        let mut made = ptr::null_mut();
        let status = if built.is_success() {
            let attributes = attributes(&name, descriptor);
            // SAFETY: a registered filter, attributes that live as long as the call, and a cookie that lives as long as the filter.
            let status = unsafe {
                FltCreateCommunicationPort(
                    filter.as_ptr(),
                    &raw mut made,
                    &raw const attributes,
                    port.as_ptr().cast(),
                    Some(connected::<P>),
                    Some(disconnected::<P>),
                    Some(message::<P>),
                    connections.into(),
                )
            };
            // SAFETY: built above, and freed once.
            unsafe { FltFreeSecurityDescriptor(descriptor) };
            status
        } else {
            built
        };
        if !status.is_success() {
            // SAFETY: leaked above under this tag, and nobody has it.
            drop(unsafe { PoolBox::from_leaked(port, tag) });
            return Err(status);
        }
        let node = port.cast::<Node>();
        // SAFETY: alive as long as the filter.
        unsafe { node.as_ref() }.port.store(made, Ordering::Release);
        self.inner.add(node);
        Ok(ServerPort { inner: self.inner.clone(), node })
    }
}

impl Inner {
    fn add(&self, node: NonNull<Node>) {
        let mut first = self.ports.load(Ordering::Acquire);
        loop {
            // SAFETY: not in the list yet: nobody else looks at its link.
            unsafe { (*node.as_ptr()).next = first };
            match self.ports.compare_exchange_weak(first, node.as_ptr(), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = NonNull<Node>> {
        let mut here = self.ports.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            let node = NonNull::new(here)?;
            // SAFETY: nodes live as long as this; the next one is read before the caller may free this one.
            here = unsafe { node.as_ref() }.next;
            Some(node)
        })
    }
}

impl Node {
    fn close(&self) {
        let port = self.port.swap(ptr::null_mut(), Ordering::AcqRel);
        if !port.is_null() {
            // SAFETY: a port that is closed once; who drops handles and filters does so at PASSIVE_LEVEL.
            unsafe { FltCloseCommunicationPort(port) };
        }
    }
}

impl Drop for Minifilter {
    fn drop(&mut self) {
        for node in self.inner.nodes() {
            // SAFETY: alive as long as the filter.
            unsafe { node.as_ref() }.close();
        }
        // SAFETY: registered, and unregistered once.
        unsafe { FltUnregisterFilter(self.inner.filter.as_ptr()) };
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for node in self.nodes() {
            // SAFETY: alive until this.
            let Node { free, tag, .. } = unsafe { node.as_ref() };
            let (free, tag) = (*free, *tag);
            // SAFETY: the filter is unregistered, and no handle is left: nobody uses it any more.
            unsafe { free(node, tag) };
        }
    }
}

/// # Safety
///
/// `node` begins a `Port<P>` that was leaked under this tag, and nobody uses.
unsafe fn free<P>(node: NonNull<Node>, tag: Tag) {
    // SAFETY: the caller's contract.
    drop(unsafe { PoolBox::from_leaked(node.cast::<Port<P>>(), tag) });
}

/// A port. Dropping it closes it: nobody can connect any more, and connections stay. IRQL: PASSIVE_LEVEL.
pub struct ServerPort {
    inner: PoolArc<Inner>,
    node: NonNull<Node>,
}

// SAFETY: the node's only part that changes is atomic.
unsafe impl Send for ServerPort {}
// SAFETY: as above.
unsafe impl Sync for ServerPort {}

impl Drop for ServerPort {
    fn drop(&mut self) {
        let _kept = &self.inner;
        // SAFETY: alive as long as `inner`.
        unsafe { self.node.as_ref() }.close();
    }
}

fn attributes(name: &UnicodeStr<'_>, descriptor: *mut c_void) -> OBJECT_ATTRIBUTES {
    #[expect(clippy::cast_possible_truncation, reason = "48")]
    const LENGTH: u32 = size_of::<OBJECT_ATTRIBUTES>() as u32;
    OBJECT_ATTRIBUTES {
        Length: LENGTH,
        RootDirectory: ptr::null_mut(),
        ObjectName: name.as_raw().cast_mut(),
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
        SecurityDescriptor: descriptor.cast(),
        SecurityQualityOfService: ptr::null_mut(),
    }
}

/// How sending a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was taken; without a reply, 0 bytes.
    Replied {
        /// Bytes of the reply, which are in the front of its room.
        length: usize,
    },
    /// The reply was longer than its room, which it fills.
    Overflow,
    /// Nobody took it, or replied, in time.
    TimedOut,
}

/// A connection, as the driver has it. Dropping it closes it. IRQL: PASSIVE_LEVEL.
pub struct ClientPort {
    filter: NonNull<FLT_FILTER>,
    /// Where the filter manager looks for it.
    port: PoolBox<AtomicPtr<FLT_PORT>>,
}

// SAFETY: the filter manager's functions may be called from any thread, and agree on the pointer among themselves.
unsafe impl Send for ClientPort {}
// SAFETY: as above.
unsafe impl Sync for ClientPort {}

impl ClientPort {
    fn new(filter: NonNull<FLT_FILTER>, port: *mut FLT_PORT, tag: Tag) -> Result<Self, NTSTATUS> {
        let port = PoolBox::new(tag, AtomicPtr::new(port))?;
        // So that the filter outlives this.
        // SAFETY: a registered filter, whose routine runs.
        let status = unsafe { FltObjectReference(filter.as_ptr().cast()) };
        if status.is_success() { Ok(Self { filter, port }) } else { Err(status) }
    }

    /// Sends a message. With room for a reply it waits for one, else until somebody has taken it; both within `timeout`, for ever
    /// without one. A thread of an application's that ends does not wait on.
    ///
    /// # Errors
    /// STATUS_PORT_DISCONNECTED; STATUS_THREAD_IS_TERMINATING; STATUS_INSUFFICIENT_RESOURCES; STATUS_INVALID_PARAMETER for more than 4 GiB.
    pub fn send(
        &self,
        _level: PassiveLevel,
        data: &[u8],
        reply: Option<&mut [u8]>,
        timeout: Option<Duration>,
    ) -> Result<Sent, NTSTATUS> {
        let length = u32::try_from(data.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
        let room = reply.as_ref().map_or(0, |reply| reply.len());
        let mut replied = u32::try_from(room).map_err(|_| STATUS_INVALID_PARAMETER)?;
        let (to, count) = match reply {
            Some(reply) => (reply.as_mut_ptr().cast(), &raw mut replied),
            None => (ptr::null_mut(), ptr::null_mut()),
        };
        let timeout: Option<LARGE_INTEGER> = timeout.map(relative);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the filter is referenced; the pointer's place lives as long as this, and the buffers as long as the call.
        let status = unsafe {
            FltSendMessage(
                self.filter.as_ptr(),
                self.port.as_ptr(),
                data.as_ptr().cast(),
                length,
                to,
                count,
                timeout,
            )
        };
        match status {
            STATUS_TIMEOUT => Ok(Sent::TimedOut),
            STATUS_BUFFER_OVERFLOW => Ok(Sent::Overflow),
            status if status.is_success() => {
                let length = if to.is_null() { 0 } else { (replied as usize).min(room) };
                Ok(Sent::Replied { length })
            }
            status => Err(status),
        }
    }

    /// Ends the connection before this is dropped: what waits at it ends with STATUS_PORT_DISCONNECTED. IRQL: PASSIVE_LEVEL.
    pub fn close(&self, _level: PassiveLevel) {
        // SAFETY: as in `send`; nothing happens when it is closed.
        unsafe { FltCloseClientPort(self.filter.as_ptr(), self.port.as_ptr()) };
    }
}

impl Drop for ClientPort {
    fn drop(&mut self) {
        // SAFETY: as in `send`.
        unsafe { FltCloseClientPort(self.filter.as_ptr(), self.port.as_ptr()) };
        // SAFETY: referenced once, when this was made.
        unsafe { FltObjectDereference(self.filter.as_ptr().cast()) };
    }
}

/// Of the routines below.
fn level() -> PassiveLevel {
    // SAFETY: the filter manager calls them at PASSIVE_LEVEL.
    unsafe { PassiveLevel::assume() }
}

unsafe extern "win64" fn connected<P: PortNotify>(
    client: *mut FLT_PORT,
    port: *mut c_void,
    context: *mut c_void,
    length: u32,
    cookie: *mut *mut c_void,
) -> NTSTATUS {
    guard(|| {
        // SAFETY: the cookie of the port, which lives as long as the filter.
        let port = unsafe { NonNull::new_unchecked(port.cast::<Port<P>>()) };
        // SAFETY: as above.
        let Port { node, notify } = unsafe { port.as_ref() };
        let context = if context.is_null() || length == 0 {
            &[][..]
        } else {
            // SAFETY: the filter manager's copy, during this call.
            unsafe { core::slice::from_raw_parts(context.cast::<u8>(), length as usize) }
        };
        let tag = node.tag;
        // Before the connection is asked for, so that nothing can fail behind it.
        let linked = PoolBox::new(tag, MaybeUninit::<Linked<P>>::uninit());
        let connected = linked.and_then(|linked| {
            let client = ClientPort::new(node.filter, client, tag)?;
            notify.connect(level(), client, context).map(|connection| (linked, connection))
        });
        match connected {
            Ok((linked, connection)) => {
                let place = linked.leak().cast::<Linked<P>>();
                // SAFETY: memory for it, which nobody else has.
                unsafe { place.as_ptr().write(Linked { port, tag, connection }) };
                // SAFETY: room for the cookie.
                unsafe { *cookie = place.as_ptr().cast() };
                STATUS_SUCCESS
            }
            // A success code here would be a connection that nobody has.
            Err(status) if status.is_success() => STATUS_INVALID_PARAMETER,
            Err(status) => status,
        }
    })
}

unsafe extern "win64" fn disconnected<P: PortNotify>(cookie: *mut c_void) {
    guard(|| {
        // SAFETY: the cookie of a connection, once, after which it is not used any more.
        let linked = unsafe { NonNull::new_unchecked(cookie.cast::<Linked<P>>()) };
        // SAFETY: as above.
        let tag = unsafe { linked.as_ref() }.tag;
        // SAFETY: leaked under this tag, and written then.
        let Linked { port, connection, .. } = unsafe { PoolBox::from_leaked(linked, tag) }.into_inner();
        // SAFETY: lives as long as the filter.
        unsafe { port.as_ref() }.notify.disconnect(level(), &connection);
    });
}

unsafe extern "win64" fn message<P: PortNotify>(
    cookie: *mut c_void,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    returned: *mut u32,
) -> NTSTATUS {
    guard(|| {
        // SAFETY: the cookie of a connection.
        let Linked { port, connection, .. } = unsafe { &*cookie.cast::<Linked<P>>() };
        let mut written = 0;
        // SAFETY: the application's buffers, during this call.
        let input = unsafe { UserData::of_application(input.cast(), input_length as usize) };
        // SAFETY: as above.
        let mut output =
            unsafe { UserOutput::of_application(output.cast(), output_length as usize, &mut written) };
        // SAFETY: lives as long as the filter.
        let done = unsafe { port.as_ref() }.notify.message(level(), connection, &input, &mut output);
        match done {
            Ok(()) => {
                // SAFETY: room for the count, which is at most the buffer's length.
                unsafe { *returned = u32::try_from(written).unwrap_or(u32::MAX) };
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    })
}
