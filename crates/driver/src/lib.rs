//! The safe SDK for driver authors: NT's words, Rust's rules.
//!
//! One source builds twice. For Windows it becomes a `.sys` whose imports come from `ntoskrnl.exe`, without the WDK; on
//! Linux it is compiled into the process and its imports come from Ringbridge, under names of their own. There is no
//! second way into the kernel: both use the same layouts, calling convention and exports.
//!
//! A driver implements two traits. [`Driver`] has the driver's life: `entry`, `unload`. [`Dispatch`] belongs to the
//! device context, which lives in the device extension, and has one method a major function:
//!
//! ```
//! # extern crate ringbridge_driver as driver;
//! use driver::abi::NTSTATUS;
//! use driver::{Answer, Buffered, Close, Create, Dispatch, Driver, DriverObject, Read, UnicodeStr, utf16};
//!
//! driver::driver_entry!(Zeroes);
//!
//! struct Zeroes;
//!
//! impl Driver for Zeroes {
//!     type Device = Zero;
//!
//!     fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
//!         driver.device(Zero).name(utf16!(r"\Device\Zero")).symbolic_link(utf16!(r"\??\Zero")).create()?;
//!         Ok(())
//!     }
//! }
//!
//! struct Zero;
//!
//! impl Dispatch for Zero {
//!     type Io = Buffered;
//!
//!     fn create(&self, request: Create) -> impl Answer {
//!         request.complete()
//!     }
//!
//!     fn close(&self, request: Close) -> impl Answer {
//!         request.complete()
//!     }
//!
//!     fn read(&self, mut request: Read) -> impl Answer {
//!         request.output().fill(0, usize::MAX);
//!         request.complete()
//!     }
//! }
//! ```
//!
//! # Answering a request
//!
//! A request arrives by value, and only consuming it gives the [`Answered`] that a dispatch method must return. So a
//! request that is forgotten does not compile:
//!
//! ```compile_fail,E0277
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! # struct Zero;
//! impl Dispatch for Zero {
//!     type Io = Buffered;
//!     fn read(&self, request: Read) -> impl Answer {}
//! }
//! ```
//!
//! nor does one that is answered twice:
//!
//! ```compile_fail,E0382
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! # struct Zero;
//! impl Dispatch for Zero {
//!     type Io = Buffered;
//!     fn read(&self, request: Read) -> impl Answer {
//!         request.complete();
//!         request.complete()
//!     }
//! }
//! ```
//!
//! nor can a request or its answer be put aside, in the device or in another thread, since neither is `Send`:
//!
//! ```compile_fail,E0277
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! struct Hoarder {
//!     stolen: SpinLock<Option<Read>>,
//! }
//! impl Dispatch for Hoarder {
//!     type Io = Buffered;
//! }
//! ```
//!
//! What can be put aside is a request that was marked pending first. [`pend`](Read::pend) does both in this order, and
//! gives the method its answer:
//!
//! ```
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! struct Keeper {
//!     kept: SpinLock<Option<Pended<Read>>>,
//! }
//! impl Dispatch for Keeper {
//!     type Io = Buffered;
//!     fn read(&self, request: Read) -> impl Answer {
//!         request.pend(|request| drop(self.kept.with(|kept| kept.replace(request))))
//!     }
//! }
//! ```
//!
//! A [`Pended`] request is completed by the method that answers it, in whatever thread or DPC, and by being dropped (with
//! STATUS_CANCELLED) at the latest. A request that lives in its requester's context alone cannot be pended:
//!
//! ```compile_fail,E0599
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! # struct Keeper;
//! impl Dispatch for Keeper {
//!     type Io = Neither;
//!     fn read(&self, request: Read<Neither>) -> impl Answer {
//!         request.pend(|request| request.complete())
//!     }
//! }
//! ```
//!
//! The method's return completes an IRP that was not pended (`IofCompleteRequest` is the last thing that the entry point does), so no lock
//! of the driver is held then, and the device cannot go while the driver's code still uses it.
//!
//! # Panics
//!
//! A panic in a driver is a bug check of its machine, with stop code [`RUST_PANIC`]: on Windows the computer's, on
//! Linux that of the Ringbridge machine, never the end of the process.
//!
//! # Contexts
//!
//! What belongs to the device is in its context, under a [`SpinLock`] or a [`Mutex`]. What belongs to an open file is in
//! the two context fields of its file object: [`Create::set_fs_context`] takes a [`PoolArc`], usually to something that
//! several opens of one name share, [`Create::set_fs_context2`] one to what is this open's own. The file's requests see
//! both ([`Read::contexts`] and its kin) until [`Close`] takes them back. A driver that sets contexts has a `close`. A file that was
//! opened by the name of a device elsewhere, and comes with a request that its driver passes on, has none here.
//!
//! # Answering later
//!
//! Requests that wait belong into a [`CancelSafeQueue`], from which each goes exactly one way: to whoever answers it, or to
//! its cancellation, the cleanup of its file, or the end of the queue. Who answers may be a [`Thread`], a [`Timer`]'s DPC or a
//! [`WorkItem`]; dropping these waits until their code runs no more, so what the device context owns has ended before the
//! driver goes. The sample `delay` has all of them.
//!
//! A device that works on one request at a time has a [`StartIo`] routine: [`start_packet`](Read::start_packet) lets a request
//! wait in the device's own queue, and completing the current one starts the next. A direct request that other drivers
//! are to carry out in parts is [`split`](Pended::split).
//!
//! # IRQL
//!
//! What may wait takes a [`PassiveLevel`], a witness that requests, threads, work items and `entry` have, and a timer's DPC
//! does not. One wait can be for several objects ([`wait_any`], [`wait_all`]). Everything else says in its documentation
//! up to which IRQL it may be called; where nothing is said, it is DISPATCH_LEVEL.
//!
//! # Memory
//!
//! [`PoolBox`] and [`PoolArc`] are non-paged pool, [`PagedBox`] is paged. [`Lookaside`] and [`PagedLookaside`] keep blocks of
//! one type; [`SequencedList`] and [`InterlockedList`] queue boxes without allocating. A buffer gets an MDL as [`Mdl`] or
//! [`PagesMdl`]. The application's memory of neither I/O is locked by [`Read::lock`] and its kin, and the request can then be
//! pended as others. The test driver `tests/drivers/memory` has all of them.
//!
//! [`SharedPages`] are mapped for applications, which then read and write them like the driver; a [`ring`] over them carries messages
//! one way. The sample `stream` does that in both directions.
//!
//! A [`Section`] is memory that applications map with `MapViewOfFile`; a [`SystemView`] is the driver's view of it. Its name, or the
//! handle of an application's, leads to it.
//!
//! # Clients
//!
//! What a driver opens passes every check. [`Create::client_security`] keeps who has opened the device, and
//! [`Target::open_checked`] opens with that user's rights while the thread impersonates him. The sample `steward` does so.
//!
//! # Ports
//!
//! [`lpc`] has LPC ports: a [`ServerPort`](lpc::ServerPort) takes connections, a [`CommunicationPort`](lpc::CommunicationPort) is one end
//! of a connection, which belongs to the [`Thread`] that made it.
//!
//! # Filters
//!
//! A driver can put a device above another driver's ([`DriverObject::filter`]); its requests come to a [`Filter`]'s methods, and those that
//! have no method pass. Handing a request on consumes it, so nobody touches it after that:
//!
//! ```compile_fail,E0382
//! # extern crate ringbridge_driver as driver;
//! # use driver::*;
//! struct Above;
//! impl Filter for Above {
//!     fn read(&self, request: Filtered<Self, Read>) -> impl Answer {
//!         let answer = request.forward();
//!         request.length();
//!         answer
//!     }
//! }
//! ```
//!
//! A driver of Plug and Play devices has an [`AddDevice`] routine, which puts a device or a filter above a physical one.
//!
//! # What this crate leaves to others
//!
//! Layouts and status codes are `abi`'s, behaviour is the kernel's. For what has no safe form here [`nt`] has the raw calls,
//! and is `unsafe`.
#![no_std]
#![expect(unsafe_code, reason = "the room where NT's raw interface becomes a safe one")]

#[cfg(not(windows))]
extern crate std;

pub use abi;

mod associated;
mod buffer;
mod bugcheck;
mod bytes;
mod client_security;
mod contexts;
mod control;
mod csq;
mod device;
mod direct_request;
mod directory;
mod dispatch;
mod driver;
mod event;
mod fast_io;
mod fast_mutex;
mod file;
mod filter;
mod filtered;
mod filtered_kinds;
mod held_queue;
mod information;
mod irp;
mod irql;
mod kernel_stack;
mod linked;
mod lock_control;
mod locked;
mod lookaside;
pub mod lpc;
mod mdl;
mod minifilter;
mod mutex;
mod named_pipe;
mod neither;
pub mod nt;
pub mod nt_flt;
mod packet;
mod paged;
mod parameters;
mod pended;
mod physical;
mod plain;
mod plug_play;
mod pool;
mod pool_arc;
mod position;
mod print;
mod queue;
mod region;
mod remove_lock;
mod request;
mod resource;
mod section;
#[cfg(not(windows))]
mod secured;
mod security;
mod semaphore;
mod shared;
mod spin_lock;
mod stack;
mod string;
mod target;
mod thread;
pub mod time;
mod timer;
mod user;
mod volume;
mod wait;
mod wait_several;
#[cfg(windows)]
mod windows;
mod work_item;

pub use associated::Part;
pub use buffer::Output;
pub use bugcheck::RUST_PANIC;
pub use bytes::Bytes;
pub use client_security::{ClientSecurity, Impersonating};
pub use contexts::Contexts;
pub use control::{
    BufferedControl, DeviceControl, FileSystemControl, InDirectControl, NeitherControl, OutDirectControl,
};
pub use device::{Device, DeviceBuilder};
pub use direct_request::DirectRequest;
pub use directory::{
    DirectoryControl, NotifyChangeDirectory, QueryDirectory, QueryEa, QueryQuota, SetEa, SetQuota,
};
pub use dispatch::{Answer, Dispatch};
pub use driver::{Driver, DriverObject, driver_entry};
pub use event::Event;
pub use fast_io::{FastAnswer, FastAnswered, FastControl};
pub use fast_mutex::FastMutex;
pub use file::File;
pub use filter::Filter;
pub use filtered::{Completed, Filtered, Held, InHand, Returned, Upward};
pub use held_queue::HeldQueue;
pub use information::{QueryInformation, SetInformation};
pub use irp::Answered;
pub use irql::PassiveLevel;
pub use kernel_stack::{expand_stack, remaining_stack_size};
pub use linked::{InterlockedList, Linked, SequencedList, TakenEntries};
pub use lock_control::{Lock, LockControl, LockRange, Unlock, Unlocked};
pub use locked::LockedData;
pub use lookaside::{Lookaside, LookasideBox, PagedLookaside, PagedLookasideBox};
pub use mdl::{Mdl, PagesMdl, PartialMdl};
pub use minifilter::{ClientPort, Minifilter, PortAccess, PortNotify, Sent, ServerPort};
pub use mutex::{Mutex, MutexGuard};
pub use named_pipe::CreateNamedPipe;
pub use neither::LockedControl;
pub use packet::{Current, Packet, StartIo};
pub use paged::PagedBox;
pub use parameters::Parameters;
pub use pended::{Pendable, Pended};
pub use physical::{AddDevice, PhysicalDevice};
pub use plain::{FlushBuffers, OtherRequest, Shutdown};
pub use plug_play::{DeviceInterface, DeviceNotice, PlugAndPlay};
pub use pool::{PoolBox, Tag};
pub use pool_arc::PoolArc;
pub use print::Text;
pub use queue::{CancelSafeQueue, Cancelling};
pub use region::{CriticalRegion, GuardedRegion, all_apcs_disabled, apcs_disabled};
pub use remove_lock::{RemoveGuard, RemoveLock};
pub use request::{Buffered, Cleanup, Close, Create, Direct, Mode, Neither, Read, Write};
pub use resource::Resource;
pub use ring;
pub use section::{Section, SectionAccess, SystemView};
pub use security::SecurityDescriptor;
pub use semaphore::Semaphore;
pub use shared::{RingSignals, SharedPages, UserMapping};
pub use spin_lock::{QueuedSpinLock, SpinLock};
pub use stack::{FilterBuilder, FilterDevice};
pub use string::{UnicodeStr, Utf16};
pub use target::Target;
pub use thread::{Stop, Thread, Woken, current_process_id};
pub use timer::Timer;
pub use user::{UserData, UserOutput};
pub use volume::{QueryVolumeInformation, SetVolumeInformation};
pub use wait::{Interrupted, Timeout};
pub use wait_several::{
    WaitObject, WaitedAll, WaitedAny, wait_all, wait_all_for_user, wait_all_timeout, wait_any,
    wait_any_for_user, wait_any_timeout,
};
pub use work_item::WorkItem;
