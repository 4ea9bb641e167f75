//! Requests of drivers by handle: on files for asynchronous I/O they return at once, and their end is told.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::ex;
use crate::io::{Control, FileRequest, Notice, Transfer};
use crate::ke::{ProcessorMode, Timeout};
use crate::mm::{PoolBlock, PoolOwner};
use crate::ob;
use crate::raw::{DispatcherHeader, Mdl};

const UNTOUCHED: u32 = 0x1234_5678;

/// A driver with a kernel handle of a device, and 64 bytes of pool that begin with a status block.
struct Driver {
    handle: u64,
    block: PoolBlock,
}

impl Driver {
    fn new(kernel: &Kernel, thread: &Thread, rig: &Rig) -> Self {
        let object = rig.process.handles.get(rig.handle).expect("is open").object;
        assert!(object.try_reference());
        let handle = ob::open_handle(kernel, thread, &object, 0, abi::OBJ_KERNEL_HANDLE).expect("room");
        let tag = u32::from_le_bytes(*b"Test");
        let block = kernel.mm.pool.allocate_zeroed(64, tag, PoolOwner::default()).expect("memory");
        raw::write(block.address, UNTOUCHED).expect("its own memory");
        Self { handle, block }
    }

    fn notice(&self) -> Notice {
        Notice { io_status_block: self.block.address, ..Notice::default() }
    }

    fn status(&self) -> u32 {
        raw::read(self.block.address).expect("its own memory")
    }

    fn control(&self, method: u32, output: (u64, u32)) -> FileRequest {
        let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, method, 3);
        FileRequest::Control(Control { handle: self.handle, code, input: (0, 0), output })
    }
}

/// The request that the driver keeps.
fn kept() -> Irp {
    Irp::at(raw::read(extension() + KEPT).expect("readable"))
}

fn is_locked(mdl: Mdl) -> bool {
    mdl.flags().expect("readable") & abi::MDL_PAGES_LOCKED.cast_unsigned() != 0
}

#[test]
fn a_pended_request_of_a_driver_returns_at_once_and_sets_its_event_in_the_end() {
    on_mock(0..1, 1, |machine| {
        let rig = rig_with(machine, 0);
        machine.inside(move |kernel, thread| {
            let driver = Driver::new(kernel, thread, &rig);
            let event = ex::event_object(kernel, abi::NotificationEvent, true).expect("memory");
            assert!(event.try_reference());
            let handle = ob::open_handle(kernel, thread, &event, 0, abi::OBJ_KERNEL_HANDLE).expect("room");
            let state = || DispatcherHeader::at(event.address).signal_state().expect("readable");
            let notice = Notice { event: handle, ..driver.notice() };
            let request = driver.control(abi::METHOD_BUFFERED, (0, 0));
            let sent = io::request_by_handle(kernel, thread, &request, notice).expect("nothing raised");
            assert_eq!((sent, state(), driver.status()), (abi::STATUS_PENDING, 0, UNTOUCHED));
            assert_eq!(kept().requestor_mode().expect("readable"), 0, "KernelMode");
            serve(kernel);
            assert_eq!((state(), driver.status()), (1, 0));
        });
    });
}

#[test]
fn what_a_drivers_direct_request_describes_is_locked_until_its_end() {
    for method in [abi::METHOD_IN_DIRECT, abi::METHOD_OUT_DIRECT] {
        on_mock(0..1, 1, move |machine| {
            let rig = rig_with(machine, 0);
            machine.inside(move |kernel, thread| {
                let driver = Driver::new(kernel, thread, &rig);
                let request = driver.control(method, (driver.block.address + 32, 8));
                let sent = io::request_by_handle(kernel, thread, &request, driver.notice());
                assert_eq!(sent.expect("nothing raised"), abi::STATUS_PENDING);
                let mdl = Mdl::at(kept().mdl().expect("readable"));
                assert_eq!(mdl.virtual_address().expect("readable"), driver.block.address + 32);
                assert!(is_locked(mdl));
                serve(kernel);
                assert!(!is_locked(mdl));
                assert_eq!(driver.status(), 0);
            });
        });
    }
}

#[test]
fn user_memory_that_a_driver_names_stays_locked_while_its_direct_request_is_pended() {
    on_mock(0..1, 1, |machine| {
        let rig = rig_with(machine, 0);
        machine.inside(move |kernel, _| {
            let process = rig.process.clone();
            let buffer = crate::mm::UserBuffer::new(&process.user_space, 64).expect("room");
            crate::ps::inside(kernel, &process, |thread| {
                let driver = Driver::new(kernel, thread, &rig);
                let request = driver.control(abi::METHOD_OUT_DIRECT, (buffer.address(), 8));
                let sent = io::request_by_handle(kernel, thread, &request, driver.notice());
                assert_eq!(sent.expect("nothing raised"), abi::STATUS_PENDING);
                assert_eq!(process.user_space.locked_pages(), 1);
                serve(kernel);
                assert_eq!(process.user_space.locked_pages(), 0);
            })
            .expect("running");
        });
    });
}

#[test]
fn a_fault_in_a_drivers_addresses_is_raised_and_reaches_no_driver() {
    on_mock(0..1, 1, |machine| {
        let rig = rig_with(machine, 0);
        machine.inside(move |kernel, thread| {
            let driver = Driver::new(kernel, thread, &rig);
            let write = |buffer| {
                let (handle, length, offset) = (driver.handle, 4, Some(0));
                FileRequest::Write(Transfer { handle, buffer, length, offset })
            };
            let nowhere = Notice { io_status_block: 0x40, ..Notice::default() };
            let good = write(driver.block.address + 32);
            assert!(io::request_by_handle(kernel, thread, &good, nowhere).is_err());
            let bad = driver.control(abi::METHOD_OUT_DIRECT, (0x40, 8));
            assert!(io::request_by_handle(kernel, thread, &bad, driver.notice()).is_err());
            let bad = driver.control(abi::METHOD_BUFFERED, (0x40, 8));
            assert!(io::request_by_handle(kernel, thread, &bad, driver.notice()).is_err());
            assert!(kept().is_null());
            assert_eq!(driver.status(), UNTOUCHED);
            assert!(!rig.process.has_requests());
        });
    });
}

/// What the APC routine has seen: how often it ran, its second argument, the thread.
struct Ran {
    times: AtomicUsize,
    block: AtomicU64,
    thread: AtomicU64,
}

extern "win64" fn apc(context: u64, block: u64, _reserved: u64) {
    Kernel::with_current(|kernel, thread| {
        assert_eq!(kernel.ke.current_irql(), abi::PASSIVE_LEVEL);
        // The event that ends the wait of the thread that this runs in.
        kernel.ke.set_event(kernel, DispatcherHeader::at(context), 0).expect("running");
        RAN.times.fetch_add(1, Ordering::SeqCst);
        RAN.block.store(block, Ordering::SeqCst);
        RAN.thread.store(thread.object(), Ordering::SeqCst);
    });
}

static RAN: Ran = Ran { times: AtomicUsize::new(0), block: AtomicU64::new(0), thread: AtomicU64::new(0) };

#[test]
fn an_apc_routine_of_a_driver_runs_in_its_thread_and_its_wait_goes_on() {
    static EXPECTED: AtomicUsize = AtomicUsize::new(0);
    on_mock(SEEDS, 1, |machine| {
        let rig = rig_with(machine, 0);
        machine.spawn("device", |kernel, _| {
            while raw::read::<u32>(extension() + COMPLETIONS).expect("readable") == 0 {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.spawn("driver", move |kernel, thread| {
            let driver = Driver::new(kernel, thread, &rig);
            let event = ex::event_object(kernel, abi::NotificationEvent, false).expect("memory");
            let apc_routine = apc as *const () as u64;
            let notice = Notice { apc_routine, apc_context: event.address, ..driver.notice() };
            let request = driver.control(abi::METHOD_BUFFERED, (0, 0));
            let sent = io::request_by_handle(kernel, thread, &request, notice);
            assert_eq!(sent.expect("nothing raised"), abi::STATUS_PENDING);
            let (mode, alertable) = (ProcessorMode::Kernel, false);
            let waited = kernel.ke.wait_for_single_object(
                kernel,
                thread,
                event.address,
                mode,
                alertable,
                Timeout::Never,
            );
            assert_eq!(waited.expect("running"), abi::STATUS_SUCCESS);
            let expected = EXPECTED.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(RAN.times.load(Ordering::SeqCst), expected);
            assert_eq!(RAN.block.load(Ordering::SeqCst), notice.io_status_block);
            assert_eq!(RAN.thread.load(Ordering::SeqCst), thread.object());
            assert_eq!(driver.status(), 0);
        });
    });
}

#[test]
fn on_a_synchronous_file_a_drivers_request_waits_for_its_end() {
    on_mock(SEEDS, 1, |machine| {
        let rig = rig(machine);
        machine.spawn("device", |kernel, _| {
            while raw::read::<u32>(extension() + COMPLETIONS).expect("readable") == 0 {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.spawn("driver", move |kernel, thread| {
            let driver = Driver::new(kernel, thread, &rig);
            let request = driver.control(abi::METHOD_BUFFERED, (0, 0));
            let sent = io::request_by_handle(kernel, thread, &request, driver.notice());
            assert_eq!(sent.expect("nothing raised"), abi::STATUS_SUCCESS);
            assert_eq!(driver.status(), 0);
        });
    });
}
