//! Cancelling against completing, under many interleavings, with a driver compiled into the test.

mod asynchronous;
mod early;
mod file_life;
mod kernel_file;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Cancelled, DeviceControl, DeviceParameters, DriverImage, IoResult, OpenRequest};
use crate::ke::tests::{Machine, SEEDS, on_hurried_mock, on_mock, relative};
use crate::ke::{ProcessorMode, Thread, Timeout};
use crate::ps::Process;
use crate::raw::{DeviceObject, DriverObject, FileObject, InputBuffer, IoStackLocation, Irp, OutputBuffer};
use crate::{Kernel, io, raw};

/// The driver's device extension: the request that it keeps, and how often it has completed one.
const KEPT: u64 = 0;
const COMPLETIONS: u64 = 8;
/// 1: the driver does not let go of cancelled requests.
const STUBBORN: u64 = 16;
/// The offset of the last write.
const OFFSET: u64 = 24;
/// Address of the event that CLEANUP waits for, in user mode, for ten milliseconds; 0 for none. And how the wait ended.
const AWAITED: u64 = 32;
const WAIT_STATUS: u64 = 40;
/// The last CREATE, CLEANUP and CLOSE requests, a byte each: the major function plus one.
const LIFE: u64 = 48;

fn extension() -> u64 {
    Kernel::with_current(|kernel, _| {
        let driver = kernel.io.driver("test").expect("is loaded");
        let device = DeviceObject::at(driver.object.device_object().expect("readable"));
        device.device_extension().expect("readable")
    })
    .expect("inside")
}

fn complete(kernel: &Kernel, irp: Irp, status: abi::NTSTATUS) {
    raw::fetch_add(extension() + COMPLETIONS, 1).expect("writable");
    irp.set_status(status.bits()).expect("writable");
    irp.set_information(0).expect("writable");
    io::complete_request(kernel, irp, 0).expect("once");
}

extern "win64" fn driver_entry(object: u64, _path: u64) -> u32 {
    Kernel::with_current(|kernel, _| {
        let driver = kernel.io.driver_at(object).expect("is being loaded");
        let name = r"\Device\Test".encode_utf16().collect();
        let parameters =
            DeviceParameters { extension_size: 64, name: Some(name), ..DeviceParameters::default() };
        io::create_device(kernel, &driver, &parameters).expect("writable").expect("is new");
        let object = DriverObject::at(object);
        for (major, routine) in [
            (abi::IRP_MJ_CREATE, succeed as *const () as u64),
            (abi::IRP_MJ_CLEANUP, clean_up as *const () as u64),
            (abi::IRP_MJ_CLOSE, succeed as *const () as u64),
            (abi::IRP_MJ_DEVICE_CONTROL, pend as *const () as u64),
            (abi::IRP_MJ_WRITE, answer as *const () as u64),
        ] {
            object.set_major_function(major, routine).expect("writable");
        }
    });
    0
}

extern "win64" fn succeed(_device: u64, irp: u64) -> u32 {
    Kernel::with_current(|kernel, _| {
        let location = IoStackLocation::at(Irp::at(irp).current_stack_location().expect("readable"));
        let major = u64::from(location.major_function().expect("readable"));
        let before: u64 = raw::read(extension() + LIFE).expect("readable");
        raw::write(extension() + LIFE, before << 8 | (major + 1)).expect("writable");
        Irp::at(irp).set_status(0).expect("writable");
        io::complete_request(kernel, Irp::at(irp), 0).expect("once");
    });
    0
}

extern "win64" fn clean_up(device: u64, irp: u64) -> u32 {
    Kernel::with_current(|kernel, thread| {
        let event = raw::read(extension() + AWAITED).expect("readable");
        if event != 0 {
            let (mode, timeout) = (ProcessorMode::User, relative(10));
            let waited = kernel.ke.wait_for_single_object(kernel, thread, event, mode, false, timeout);
            raw::write(extension() + WAIT_STATUS, waited.expect("no exception").bits()).expect("writable");
        }
    });
    succeed(device, irp)
}

/// Answers at once with the status that the write's offset is, if it can be one.
extern "win64" fn answer(_device: u64, irp: u64) -> u32 {
    let irp = Irp::at(irp);
    let location = IoStackLocation::at(irp.current_stack_location().expect("readable"));
    let offset = location.parameter(2).expect("readable");
    raw::write(extension() + OFFSET, offset).expect("writable");
    let status = u32::try_from(offset).unwrap_or(0);
    Kernel::with_current(|kernel, _| complete(kernel, irp, abi::NTSTATUS::from_bits(status)));
    status
}

extern "win64" fn pend(_device: u64, irp: u64) -> u32 {
    Kernel::with_current(|kernel, _| {
        let irp = Irp::at(irp);
        let location = IoStackLocation::at(irp.current_stack_location().expect("readable"));
        location.set_control(abi::SL_PENDING_RETURNED).expect("writable");
        if raw::read::<u64>(extension() + STUBBORN).expect("readable") == 0 {
            io::set_cancel_routine(irp, cancel as *const () as u64).expect("writable");
        }
        raw::exchange(extension() + KEPT, irp.address()).expect("writable");
        kernel.platform.preemption_point();
        let cancelled = irp.cancel().expect("readable") != 0;
        if cancelled && io::set_cancel_routine(irp, 0).expect("writable") != 0 {
            raw::exchange(extension() + KEPT, 0).expect("writable");
            complete(kernel, irp, abi::STATUS_CANCELLED);
        }
    });
    abi::STATUS_PENDING.bits()
}

extern "win64" fn cancel(_device: u64, irp: u64) {
    Kernel::with_current(|kernel, thread| {
        let irp = Irp::at(irp);
        let irql = irp.cancel_irql().expect("readable");
        io::release_cancel_spin_lock(kernel, thread, irql).expect("held");
        kernel.platform.preemption_point();
        complete(kernel, irp, abi::STATUS_CANCELLED);
    });
}

/// What the driver's interrupt would do: completes the request that it keeps, unless somebody cancels it.
fn serve(kernel: &Kernel) {
    let irp = Irp::at(raw::exchange(extension() + KEPT, 0).expect("writable"));
    if irp.is_null() {
        return;
    }
    kernel.platform.preemption_point();
    if io::set_cancel_routine(irp, 0).expect("writable") != 0 {
        complete(kernel, irp, abi::STATUS_SUCCESS);
    }
}

struct Rig {
    process: Arc<Process>,
    handle: u32,
    file: FileObject,
}

/// Loads the driver and opens its device for synchronous I/O.
fn rig(machine: &Machine) -> Rig {
    rig_with(machine, abi::FILE_SYNCHRONOUS_IO_NONALERT)
}

/// Loads the driver and opens its device with these create options.
fn rig_with(machine: &Machine, create_options: u32) -> Rig {
    let image = DriverImage {
        entry: driver_entry as *const () as u64,
        range: 0..0,
        file_name: "test.sys".to_owned(),
        keep: Box::new(()),
    };
    machine.inside(move |kernel, _| {
        io::load_driver(kernel, "test", image).expect("loads");
        let process = kernel.ps.create("application");
        let access = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE;
        let handle = open(kernel, &process, access, create_options);
        let object = process.handles.get(handle).expect("is open").object;
        Rig { process, handle, file: FileObject::at(object.address) }
    })
}

/// Opens the driver's device.
fn open(kernel: &Kernel, process: &Process, access: u32, create_options: u32) -> u32 {
    let path: Vec<u16> = r"\Device\Test".encode_utf16().collect();
    let request = OpenRequest {
        path: &path,
        desired_access: access,
        file_attributes: 0,
        share_access: 0,
        create_disposition: abi::FILE_OPEN,
        create_options,
        user_mode: true,
        ..OpenRequest::default()
    };
    io::create_file(kernel, process, &request).expect("opens").0
}

fn request(kernel: &Kernel, thread: &Thread, process: &Process, handle: u32) -> IoResult {
    let control = DeviceControl {
        handle,
        code: abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, abi::METHOD_BUFFERED, 0),
        input: InputBuffer::from_slice(&[]).expect("short"),
        output: OutputBuffer::from_slice(&mut []).expect("short"),
    };
    io::device_control(kernel, process, thread, control)
}

/// A thread of the application's makes a request.
fn request_of(kernel: &Kernel, process: &Arc<Process>, handle: u32) -> IoResult {
    let requested = crate::ps::inside(kernel, process, |thread| request(kernel, thread, process, handle));
    requested.expect("running")
}

fn completions(machine: &Machine) -> u32 {
    machine.inside(|_, _| raw::read(extension() + COMPLETIONS).expect("readable"))
}

#[test]
fn a_request_that_is_cancelled_and_completed_at_once_is_completed_once() {
    static CANCELLED: AtomicUsize = AtomicUsize::new(0);
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    on_mock(SEEDS, 2, |machine| {
        let rig = rig(machine);
        let done = Arc::new(AtomicBool::new(false));
        let (process, handle, ended) = (rig.process.clone(), rig.handle, done.clone());
        machine.spawn("application", move |kernel, _| {
            for _ in 0..3 {
                match request_of(kernel, &process, handle).status {
                    abi::STATUS_CANCELLED => CANCELLED.fetch_add(1, Ordering::Relaxed),
                    abi::STATUS_SUCCESS => SERVED.fetch_add(1, Ordering::Relaxed),
                    other => panic!("{other:?}"),
                };
            }
            ended.store(true, Ordering::SeqCst);
        });
        let (process, ended) = (rig.process, done.clone());
        machine.spawn("canceller", move |kernel, thread| {
            while !ended.load(Ordering::SeqCst) {
                io::cancel_io_file(kernel, &process, thread, handle, Cancelled::All);
                kernel.platform.relax(0);
            }
        });
        let ended = done;
        machine.spawn("device", move |kernel, _| {
            while !ended.load(Ordering::SeqCst) {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.join();
        assert_eq!(completions(machine), 3);
        assert!(machine.stop_code().is_none());
    });
    assert!(CANCELLED.load(Ordering::Relaxed) > 0, "no interleaving let the cancellers win");
    assert!(SERVED.load(Ordering::Relaxed) > 0, "no interleaving let the device win");
}

#[test]
fn cancel_io_leaves_the_requests_of_other_threads_and_cancel_io_ex_takes_them() {
    on_mock(SEEDS, 1, |machine| {
        let rig = rig(machine);
        let (process, handle) = (rig.process.clone(), rig.handle);
        machine.spawn("application", move |kernel, _| {
            assert_eq!(request_of(kernel, &process, handle).status, abi::STATUS_CANCELLED);
        });
        let process = rig.process;
        machine.spawn("canceller", move |kernel, thread| {
            let cancel = |which| io::cancel_io_file(kernel, &process, thread, handle, which);
            loop {
                assert_eq!(cancel(Cancelled::OfThread), abi::STATUS_SUCCESS, "though it has none");
                assert_eq!(raw::read::<u32>(extension() + COMPLETIONS).expect("readable"), 0);
                match cancel(Cancelled::All) {
                    abi::STATUS_SUCCESS => break,
                    other => assert_eq!(other, abi::STATUS_NOT_FOUND, "it does not wait yet"),
                }
                kernel.platform.relax(0);
            }
        });
    });
}

#[test]
fn a_process_that_ends_while_its_thread_comes_to_wait_has_the_request_cancelled() {
    on_mock(SEEDS, 2, |machine| {
        let rig = rig(machine);
        let (process, handle) = (rig.process.clone(), rig.handle);
        machine.spawn("application", move |kernel, _| {
            let status = request_of(kernel, &process, handle).status;
            // The handle may have been closed before the request began.
            assert!([abi::STATUS_CANCELLED, abi::STATUS_INVALID_HANDLE].contains(&status), "{status:?}");
        });
        let process = rig.process;
        machine.spawn("end", move |kernel, _| {
            io::end_process(kernel, &process);
            kernel.ps.terminate(kernel, &process).expect("running");
            assert!(process.handles.values().is_empty());
        });
    });
}

#[test]
fn a_request_waited_for_on_an_asynchronous_file_is_cancelled_though_its_process_is_gone_by_then() {
    static CANCELLED: AtomicUsize = AtomicUsize::new(0);
    on_mock(SEEDS, 2, |machine| {
        // Closing its handles does not wait for the request, as the file has no lock.
        let rig = rig_with(machine, 0);
        let (process, handle) = (rig.process.clone(), rig.handle);
        machine.spawn("application", move |kernel, _| match request_of(kernel, &process, handle).status {
            abi::STATUS_CANCELLED => drop(CANCELLED.fetch_add(1, Ordering::Relaxed)),
            other => assert_eq!(other, abi::STATUS_INVALID_HANDLE, "closed before the request began"),
        });
        let process = rig.process;
        machine.spawn("end", move |kernel, _| {
            io::end_process(kernel, &process);
            kernel.ps.terminate(kernel, &process).expect("running");
        });
    });
    assert!(CANCELLED.load(Ordering::Relaxed) > 0, "no interleaving let the request begin");
}

#[test]
fn a_thread_that_enters_a_process_as_it_ends_does_not_wait_in_user_mode_and_cleanup_does() {
    on_mock(SEEDS, 1, |machine| {
        let rig = rig(machine);
        let event = machine.event(abi::SynchronizationEvent, false).address();
        machine.inside(move |_, _| raw::write(extension() + AWAITED, event).expect("writable"));
        let process = rig.process.clone();
        machine.spawn("application", move |kernel, _| {
            let (mode, never) = (ProcessorMode::User, Timeout::Never);
            let wait =
                |thread: &Thread| kernel.ke.wait_for_single_object(kernel, thread, event, mode, false, never);
            let ended = crate::ps::inside(kernel, &process, wait).expect("running");
            assert_eq!(ended.expect("no exception"), abi::STATUS_USER_APC);
        });
        let process = rig.process;
        machine.spawn("end", move |kernel, _| {
            io::end_process(kernel, &process);
            kernel.ps.terminate(kernel, &process).expect("running");
        });
        machine.join();
        let status = machine.inside(|_, _| raw::read::<u32>(extension() + WAIT_STATUS).expect("readable"));
        assert_eq!(status, abi::STATUS_TIMEOUT.bits());
    });
}

#[test]
fn a_thread_gives_up_a_request_that_its_driver_does_not_complete_within_five_minutes() {
    on_hurried_mock(0..20, 1, |machine| {
        let rig = rig(machine);
        machine.inside(|_, _| raw::write(extension() + STUBBORN, 1_u64).expect("writable"));
        let (process, handle) = (rig.process.clone(), rig.handle);
        machine.spawn("application", move |kernel, _| {
            let status = request_of(kernel, &process, handle).status;
            assert!([abi::STATUS_CANCELLED, abi::STATUS_INVALID_HANDLE].contains(&status), "{status:?}");
        });
        let process = rig.process;
        machine.spawn("end", move |kernel, _| {
            io::end_process(kernel, &process);
            kernel.ps.terminate(kernel, &process).expect("running");
        });
        machine.join();
        // A late completion is that of a request that is known, not of somebody else's.
        machine.inside(|kernel, _| {
            let irp = Irp::at(raw::read(extension() + KEPT).expect("readable"));
            if !irp.is_null() {
                assert!(kernel.platform.interrupt_time() >= io::CANCEL_PATIENCE);
                complete(kernel, irp, abi::STATUS_SUCCESS);
            }
        });
        assert!(machine.stop_code().is_none());
    });
}

#[test]
fn who_may_only_append_writes_at_the_end_of_the_file_and_a_file_pointer_is_where_one_is_kept() {
    const CURRENT: u64 = u64::MAX - 1;
    const END: u64 = u64::MAX;
    on_mock(0..1, 1, |machine| {
        let rig = rig(machine);
        machine.inside(move |kernel, thread| {
            let process = &rig.process;
            let buffer = crate::mm::UserBuffer::new(&process.user_space, 64).expect("room");
            let synchronous = abi::FILE_SYNCHRONOUS_IO_NONALERT;
            let (all, append) =
                (abi::FILE_WRITE_DATA | abi::SYNCHRONIZE, abi::FILE_APPEND_DATA | abi::SYNCHRONIZE);
            for (access, options, offset, seen) in [
                (all, 0, Some(0), Ok(0)),
                (all, 0, Some(END), Ok(END)),
                (all, 0, Some(CURRENT), Err(abi::STATUS_INVALID_PARAMETER)),
                (all, 0, None, Err(abi::STATUS_INVALID_PARAMETER)),
                (all, synchronous, Some(CURRENT), Ok(0)),
                (append, 0, Some(0), Ok(END)),
                (append, 0, None, Ok(END)),
                (append, synchronous, Some(0), Ok(END)),
                (abi::FILE_READ_DATA, 0, Some(0), Err(abi::STATUS_ACCESS_DENIED)),
            ] {
                let handle = open(kernel, process, access, options);
                let waited = || {
                    let data = InputBuffer::from_slice(&[1]).expect("short");
                    io::write(kernel, process, thread, handle, data, offset).status
                };
                let started = || {
                    let (handle, block) = (u64::from(handle), buffer.address());
                    let transfer = io::Transfer { handle, buffer: block + 32, length: 1, offset };
                    let notice = io::Notice { io_status_block: block, ..io::Notice::default() };
                    io::start_write(kernel, process, thread, &transfer, notice)
                };
                for send in [&waited as &dyn Fn() -> abi::NTSTATUS, &started] {
                    raw::write(extension() + OFFSET, 77_u64).expect("writable");
                    let status = send();
                    let sent = raw::read(extension() + OFFSET).expect("readable");
                    let (expected, offset) =
                        seen.map_or_else(|status| (status, 77), |at| (abi::STATUS_SUCCESS, at));
                    assert_eq!((status, sent), (expected, offset), "{access:#x} {options:#x}");
                }
                process.handles.close(kernel, process, handle).expect("is open");
            }
        });
    });
}

/// Behind a queue in pool: the one IRP in it, its lock, and how many IRPs it has completed as cancelled.
const QUEUED: u64 = 64;
const QUEUE_LOCK: u64 = 72;
const CANCELED: u64 = 80;

extern "win64" fn csq_insert(csq: u64, irp: u64) {
    raw::write(csq + QUEUED, irp).expect("writable");
}

extern "win64" fn csq_remove(csq: u64, _irp: u64) {
    raw::write(csq + QUEUED, 0_u64).expect("writable");
}

extern "win64" fn csq_peek(csq: u64, after: u64, _context: u64) -> u64 {
    if after == 0 { raw::read(csq + QUEUED).expect("readable") } else { 0 }
}

extern "win64" fn csq_acquire(csq: u64, irql: u64) {
    Kernel::with_current(|kernel, thread| {
        let old =
            kernel.ke.acquire_spin_lock_raise_to_dpc(kernel, thread, csq + QUEUE_LOCK).expect("running");
        raw::write(irql, old).expect("writable");
    });
}

extern "win64" fn csq_release(csq: u64, irql: u8) {
    Kernel::with_current(|kernel, thread| {
        kernel.ke.release_spin_lock(kernel, thread, csq + QUEUE_LOCK, irql).expect("held");
    });
}

extern "win64" fn csq_complete(csq: u64, _irp: u64) {
    raw::fetch_add(csq + CANCELED, 1).expect("writable");
}

#[test]
fn an_irp_in_a_cancel_safe_queue_is_either_taken_or_cancelled() {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    static LOST: AtomicUsize = AtomicUsize::new(0);
    on_mock(SEEDS, 2, |machine| {
        let csq = io::IoCsq::at(machine.allocate(96));
        let routines = [
            csq_insert as *const () as u64,
            csq_remove as *const () as u64,
            csq_peek as *const () as u64,
            csq_acquire as *const () as u64,
            csq_release as *const () as u64,
            csq_complete as *const () as u64,
        ];
        io::csq_initialize(csq, routines, false).expect("writable");
        // As its driver sees an IRP: with its own location current.
        let irp = io::allocate_irp(machine, 1).expect("writable");
        irp.set_current_location(1).expect("writable");
        let top = irp.current_stack_location().expect("readable");
        irp.set_current_stack_location(top - IoStackLocation::SIZE as u64).expect("writable");
        machine.spawn("dispatch", move |kernel, thread| {
            let none = io::IoCsqIrpContext::at(0);
            io::csq_insert_irp(kernel, thread, csq, irp, none, 0).expect("running");
        });
        machine.spawn("canceller", move |kernel, thread| {
            io::cancel_irp(kernel, thread, irp).expect("running");
        });
        machine.spawn("device", move |kernel, thread| {
            let canceled = || raw::read::<u32>(csq.address() + CANCELED).expect("readable");
            while canceled() == 0 {
                let taken = io::csq_remove_next_irp(kernel, thread, csq, 0).expect("running");
                if !taken.is_null() {
                    assert_eq!(taken, irp);
                    TAKEN.fetch_add(1, Ordering::Relaxed);
                    raw::fetch_add(csq.address() + CANCELED, 0x100).expect("writable");
                }
                kernel.platform.relax(0);
            }
        });
        machine.join();
        let ends = raw::read::<u32>(csq.address() + CANCELED).expect("readable");
        assert!(ends == 1 || ends == 0x100, "one end, not {ends:#x}");
        LOST.fetch_add(usize::from(ends == 1), Ordering::Relaxed);
        assert!(machine.stop_code().is_none());
    });
    assert!(TAKEN.load(Ordering::Relaxed) > 0, "no interleaving let the device win");
    assert!(LOST.load(Ordering::Relaxed) > 0, "no interleaving let the canceller win");
}

#[test]
fn freeing_as_a_work_item_what_is_none_stops_the_machine_and_frees_nothing() {
    on_mock(0..1, 1, |machine| {
        let item = io::allocate_work_item(machine, 0).expect("writable");
        io::free_work_item(machine, item).expect("is one");
        // The address of an IRP, which has a pool block of its own.
        let irp = io::allocate_irp(machine, 1).expect("writable");
        let freed = io::free_work_item(machine, io::IoWorkItem::at(irp.address()));
        assert!(crate::ke::tests::is_halt(&freed));
        assert_eq!(machine.stop_code(), Some(abi::BAD_POOL_CALLER));
        assert!(machine.mm.pool.find(irp.address()).is_some());
    });
}

#[test]
fn removal_ends_when_the_last_holder_of_the_lock_has_let_go() {
    on_mock(SEEDS, 2, |machine| {
        let lock = io::IoRemoveLock::at(machine.allocate(64));
        let inside = machine.allocate(8);
        io::initialize_remove_lock(machine, lock).expect("writable");
        for _ in 0..3 {
            machine.spawn("holder", move |kernel, _| {
                if io::acquire_remove_lock(kernel, lock).expect("writable") == abi::STATUS_SUCCESS {
                    raw::fetch_add(inside, 1).expect("writable");
                    kernel.platform.preemption_point();
                    raw::fetch_add(inside, u32::MAX).expect("writable");
                    io::release_remove_lock(kernel, lock).expect("writable");
                }
            });
        }
        machine.spawn("remover", move |kernel, thread| {
            let acquired = io::acquire_remove_lock(kernel, lock).expect("writable");
            assert_eq!(acquired, abi::STATUS_SUCCESS, "nobody else removes");
            io::release_remove_lock_and_wait(kernel, thread, lock).expect("running");
            assert_eq!(raw::read::<u32>(inside).expect("readable"), 0);
            let late = io::acquire_remove_lock(kernel, lock).expect("writable");
            assert_eq!(late, abi::STATUS_DELETE_PENDING);
        });
    });
}
