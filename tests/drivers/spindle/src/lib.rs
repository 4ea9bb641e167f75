//! A device that takes one request at a time, for `tests/start_io.rs`: its StartIo routine writes down what comes, and answers it
//! at once or, when it was told to hold, keeps it until it is told to finish.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, METHOD_OUT_DIRECT, NTSTATUS,
    STATUS_DEVICE_NOT_READY, STATUS_INVALID_DEVICE_REQUEST,
};
use driver::{
    AddDevice, Answer, Buffered, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject,
    Packet, PassiveLevel, PhysicalDevice, Read, SpinLock, StartIo, Tag, UnicodeStr, Write, utf16,
};

driver::driver_entry!(Spindles);

const fn code(function: u32, method: u32) -> u32 {
    CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + function, method, FILE_ANY_ACCESS)
}

/// From now on requests that are started are kept, if the first byte is not 0.
pub const IOCTL_HOLD: u32 = code(0, METHOD_BUFFERED);
/// Completes the current request, STATUS_DEVICE_NOT_READY when there is none. With a byte of input the next one is chosen by that
/// key.
pub const IOCTL_FINISH: u32 = code(1, METHOD_BUFFERED);
/// Tells what was started: the first byte of each write, `r` for reads, `c` and `o` for control requests of the two methods.
pub const IOCTL_LOG: u32 = code(2, METHOD_BUFFERED);
/// One byte: whether the current request's cancellation was asked for.
pub const IOCTL_IS_CANCELLED: u32 = code(3, METHOD_BUFFERED);
/// Waits for its turn; gives the input back.
pub const IOCTL_ECHO: u32 = code(4, METHOD_BUFFERED);
/// Waits for its turn; fills the output with `o`.
pub const IOCTL_FILL: u32 = code(5, METHOD_OUT_DIRECT);

struct Spindles;

impl Driver for Spindles {
    type Device = Spindle;
    const POOL_TAG: Tag = Tag::new(*b"Spin");
    const START_IO: Option<StartIo<Spindle>> = Some(Spindle::start_io);
    const ADD_DEVICE: Option<AddDevice<Self>> = Some(Self::add_device);

    fn entry(driver: &DriverObject<Self>, _path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        let device = driver.device(Spindle::new(false)).name(utf16!(r"\Device\RbSpindle"));
        device.symbolic_link(utf16!(r"\??\RbSpindle")).create()?;
        Ok(())
    }
}

impl Spindles {
    /// One more, without a name, which keeps what it starts.
    fn add_device(driver: &DriverObject<Self>, physical: &PhysicalDevice<'_>) -> Result<(), NTSTATUS> {
        driver.device(Spindle::new(true)).attach_to(physical).create().map(drop)
    }
}

struct Spindle {
    state: SpinLock<State>,
    /// Whether the StartIo routine runs.
    at_work: AtomicBool,
}

struct State {
    current: Option<Packet<Buffered>>,
    holds: bool,
    log: [u8; 64],
    started: usize,
}

impl Dispatch for Spindle {
    type Io = Buffered;

    fn create(&self, request: Create) -> impl Answer {
        request.complete()
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        request.cancel_packets();
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    /// The first half here, the second when its turn has come.
    fn read(&self, mut request: Read) -> impl Answer {
        request.output().write(b"first ");
        request.start_packet(None)
    }

    /// By the place that is written to, if that is not 0.
    fn write(&self, request: Write) -> impl Answer {
        let key = u32::try_from(request.byte_offset()).ok().filter(|key| *key != 0);
        request.start_packet(key)
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let mut request = match request {
            DeviceControl::Buffered(request) => request,
            DeviceControl::OutDirect(request) if request.code() == IOCTL_FILL => {
                return request.start_packet(None);
            }
            request => return request.fail(STATUS_INVALID_DEVICE_REQUEST),
        };
        let first = request.input().first().copied();
        match request.code() {
            IOCTL_HOLD => self.state.with(|state| state.holds = first.is_some_and(|byte| byte != 0)),
            IOCTL_FINISH => match self.state.with(|state| state.current.take()) {
                Some(mut packet) => {
                    if let Some(key) = first {
                        packet.next_by_key(key.into());
                    }
                    finish(packet);
                }
                None => return request.fail(STATUS_DEVICE_NOT_READY),
            },
            IOCTL_LOG => {
                let (log, started) = self.state.with(|state| (state.log, state.started));
                request.output().write(&log[..started]);
            }
            IOCTL_IS_CANCELLED => {
                let is = self.state.with(|state| state.current.as_ref().is_some_and(Packet::is_cancelled));
                request.output().write(&[is.into()]);
            }
            IOCTL_ECHO => return request.start_packet(None),
            _ => return request.fail(STATUS_INVALID_DEVICE_REQUEST),
        }
        request.complete()
    }
}

impl Spindle {
    fn new(holds: bool) -> Self {
        let state = State { current: None, holds, log: [0; 64], started: 0 };
        Self { state: SpinLock::new(state), at_work: AtomicBool::new(false) }
    }

    fn start_io(&self, packet: Packet<Buffered>) {
        assert!(PassiveLevel::now().is_none(), "StartIo is called at DISPATCH_LEVEL");
        assert!(!self.at_work.swap(true, Ordering::Relaxed), "StartIo is called from within itself");
        let byte = match &packet {
            Packet::Read(_) => b'r',
            Packet::Write(write) => write.data().first().copied().unwrap_or(b'w'),
            Packet::Control(_) => b'c',
            Packet::InDirectControl(_) => b'i',
            Packet::OutDirectControl(_) => b'o',
        };
        let now = self.state.with(|state| {
            state.log[state.started] = byte;
            state.started += 1;
            if !state.holds {
                return Some(packet);
            }
            let before = state.current.replace(packet);
            assert!(before.is_none(), "two requests are current");
            None
        });
        if let Some(packet) = now {
            finish(packet);
        }
        self.at_work.store(false, Ordering::Relaxed);
    }
}

fn finish(packet: Packet<Buffered>) {
    match packet {
        Packet::Read(mut read) => {
            read.output().write(b"second");
            read.answer(|read| read.complete());
        }
        Packet::Write(write) => write.answer(|write| write.complete()),
        Packet::Control(mut control) => {
            let mut copy = [0; 8];
            let length = control.input().len().min(copy.len());
            copy[..length].copy_from_slice(&control.input()[..length]);
            control.output().write(&copy[..length]);
            control.answer(|control| control.complete());
        }
        Packet::OutDirectControl(mut control) => {
            let filled = control.output().map(|mut output| output.fill(b'o', usize::MAX));
            control.answer(|control| match filled {
                Ok(_) => control.complete(),
                Err(status) => control.fail(status),
            });
        }
        packet @ Packet::InDirectControl(_) => packet.fail(STATUS_INVALID_DEVICE_REQUEST),
    }
}
