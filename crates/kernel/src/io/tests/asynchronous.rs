//! Requests that go on when their call has returned: how their end is told, and that it is told once.

use super::*;
use crate::io::{Control, Notice, Transfer};
use crate::ke::UserApc;
use crate::mm::UserBuffer;
use crate::raw::{DispatcherHeader, Mdl};

/// Status of a block that nobody has written.
const UNTOUCHED: u32 = 0x1234_5678;

/// An application with a file for asynchronous I/O, and room for what it lends.
struct Application {
    rig: Rig,
    buffer: UserBuffer,
}

impl Application {
    fn new(machine: &Machine) -> Self {
        let rig = rig_with(machine, 0);
        let buffer = UserBuffer::new(&rig.process.user_space, 64).expect("room");
        let this = Self { rig, buffer };
        this.forget();
        this
    }

    /// Makes the status block untouched again.
    fn forget(&self) {
        raw::write(self.buffer.address(), UNTOUCHED).expect("its own memory");
        raw::write(self.buffer.address() + 8, 99_u64).expect("its own memory");
    }

    fn block(&self) -> (u32, u64) {
        let status = raw::read(self.buffer.address()).expect("its own memory");
        (status, raw::read(self.buffer.address() + 8).expect("its own memory"))
    }

    fn notice(&self) -> Notice {
        Notice { io_status_block: self.buffer.address(), ..Notice::default() }
    }

    fn file_event(&self) -> DispatcherHeader {
        self.rig.file.event()
    }

    fn is_signaled(&self) -> bool {
        self.file_event().signal_state().expect("readable") != 0
    }

    /// Sends a control request, which the driver keeps.
    fn start(&self, kernel: &Kernel, thread: &Thread, notice: Notice) -> abi::NTSTATUS {
        let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, abi::METHOD_BUFFERED, 0);
        let control = Control { handle: u64::from(self.rig.handle), code, input: (0, 0), output: (0, 0) };
        io::start_device_control(kernel, &self.rig.process, thread, &control, notice)
    }

    /// Sends a write, which the driver answers at once.
    fn write(&self, kernel: &Kernel, thread: &Thread, answer: abi::NTSTATUS) -> abi::NTSTATUS {
        let offset = Some(u64::from(answer.bits()));
        let buffer = self.buffer.address() + 32;
        let transfer = Transfer { handle: u64::from(self.rig.handle), buffer, length: 4, offset };
        io::start_write(kernel, &self.rig.process, thread, &transfer, self.notice())
    }

    /// Waits for the file, as an application does without an event.
    fn wait(&self, kernel: &Kernel, thread: &Thread) {
        let event = self.file_event().address();
        let mode = ProcessorMode::Kernel;
        kernel
            .ke
            .wait_for_single_object(kernel, thread, event, mode, false, Timeout::Never)
            .expect("running");
    }
}

const SUCCESS: u32 = abi::STATUS_SUCCESS.bits();

#[test]
fn a_pended_request_returns_at_once_and_its_end_writes_the_block_and_signals_the_file() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            assert!(application.is_signaled(), "nothing is under way");
            let notice = application.notice();
            assert_eq!(application.start(kernel, thread, notice), abi::STATUS_PENDING);
            assert!(!application.is_signaled());
            assert_eq!(application.block(), (UNTOUCHED, 99));
            serve(kernel);
            assert!(application.is_signaled());
            assert_eq!(application.block(), (SUCCESS, 0));
            assert!(!application.rig.process.has_requests());
        });
    });
}

#[test]
fn whoever_awaits_an_end_is_told_of_each_when_its_block_is_written_in_every_schedule() {
    on_mock(0..100, 2, |machine| {
        let application = Application::new(machine);
        let (process, block) = (application.rig.process.clone(), application.buffer.address());
        machine.spawn("listener", move |kernel, _| {
            let mut seen = 0;
            while seen < 2 {
                let told = process.await_request_end(kernel, seen).expect("running");
                assert!(told > seen, "{told} {seen}");
                assert_eq!(raw::read::<u32>(block).expect("its own memory"), SUCCESS);
                seen = told;
            }
            assert_eq!(
                process.await_request_end(kernel, 1),
                Ok(2),
                "whoever has not seen it is told at once"
            );
        });
        machine.spawn("device", |kernel, _| {
            while raw::read::<u32>(extension() + COMPLETIONS).expect("readable") < 2 {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.spawn("application", move |kernel, thread| {
            for _ in 0..2 {
                assert_eq!(application.start(kernel, thread, application.notice()), abi::STATUS_PENDING);
                application.wait(kernel, thread);
            }
            // The listener looks at its memory.
            std::mem::forget(application);
        });
    });
}

#[test]
fn whoever_awaits_an_end_is_let_go_when_the_process_ends() {
    on_mock(0..100, 2, |machine| {
        let process = rig(machine).process;
        let ending = process.clone();
        machine.spawn("listener", move |kernel, _| {
            let told = process.await_request_end(kernel, 0);
            assert_eq!(told, Err(abi::STATUS_PROCESS_IS_TERMINATING));
        });
        machine.spawn("end", move |kernel, _| io::end_process(kernel, &ending));
    });
}

#[test]
fn an_error_at_once_is_told_by_the_returned_status_alone() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            let refused = abi::STATUS_INVALID_PARAMETER;
            assert_eq!(application.write(kernel, thread, refused), refused);
            assert_eq!(application.block(), (UNTOUCHED, 99));
            assert!(!application.is_signaled(), "cleared in the beginning, and not signaled by an error");
        });
    });
}

#[test]
fn a_success_or_warning_at_once_writes_the_block_and_signals_the_file() {
    for status in [abi::STATUS_SUCCESS, abi::STATUS_BUFFER_OVERFLOW] {
        on_mock(0..1, 1, move |machine| {
            let application = Application::new(machine);
            machine.inside(move |kernel, thread| {
                assert_eq!(application.write(kernel, thread, status), status);
                assert_eq!(application.block(), (status.bits(), 0));
                assert!(application.is_signaled());
            });
        });
    }
}

#[test]
fn a_user_apc_is_queued_to_the_thread_with_its_context_and_the_block() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            let notice = Notice { apc_routine: 0x10, apc_context: 0x20, ..application.notice() };
            assert_eq!(application.start(kernel, thread, notice), abi::STATUS_PENDING);
            assert_eq!(kernel.ke.take_user_apc(kernel, thread), None);
            serve(kernel);
            let arguments = [0x20, notice.io_status_block, 0];
            assert_eq!(kernel.ke.take_user_apc(kernel, thread), Some(UserApc { routine: 0x10, arguments }));
        });
    });
}

#[test]
fn addresses_outside_of_the_process_are_access_violations_and_reach_no_driver() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            let (process, handle) = (&application.rig.process, u64::from(application.rig.handle));
            let good = application.buffer.address();
            let foreign = raw::read::<u64>(extension()).map(|_| extension()).expect("pool");
            // In the process's window, where nothing has been allocated.
            let nothing = good + 0x10_0000;
            let wrong =
                [(foreign, good), (nothing, good), (good, foreign), (good, nothing), (good, 0), (0x40, good)];
            for (buffer, block) in wrong {
                let transfer = Transfer { handle, buffer, length: 4, offset: Some(0) };
                let notice = Notice { io_status_block: block, ..Notice::default() };
                let status = io::start_write(kernel, process, thread, &transfer, notice);
                assert_eq!(status, abi::STATUS_ACCESS_VIOLATION, "{buffer:#x} {block:#x}");
            }
            assert_eq!(raw::read::<u32>(extension() + COMPLETIONS).expect("readable"), 0);
        });
    });
}

/// Sends a direct control request for `buffer`, which the driver keeps; where its MDL says that the data is.
fn start_direct(application: &Application, kernel: &Kernel, thread: &Thread, buffer: &UserBuffer) -> u64 {
    let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, abi::METHOD_OUT_DIRECT, 0);
    let handle = u64::from(application.rig.handle);
    let control = Control { handle, code, input: (0, 0), output: (buffer.address(), buffer.len()) };
    let notice = application.notice();
    let started = io::start_device_control(kernel, &application.rig.process, thread, &control, notice);
    assert_eq!(started, abi::STATUS_PENDING);
    let kept = Irp::at(raw::read(extension() + KEPT).expect("readable"));
    Mdl::at(kept.mdl().expect("readable")).mapped_system_va().expect("readable")
}

#[test]
fn pages_of_a_pended_direct_request_stay_when_the_application_gives_them_back() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            let space = &application.rig.process.user_space;
            let buffer = UserBuffer::new(space, 8192).expect("room");
            let data = start_direct(&application, kernel, thread, &buffer);
            assert_eq!(space.locked_pages(), 2);
            drop(buffer);
            let other = UserBuffer::new(space, 8192).expect("room");
            raw::fill(data, 0x5A, 8192).expect("what the driver was given is still there");
            for offset in [0, 4096, 8191] {
                assert_eq!(raw::read::<u8>(other.address() + offset).expect("its own"), 0, "not another's");
            }
            serve(kernel);
            assert_eq!((application.block().0, space.locked_pages()), (SUCCESS, 0));
            assert!(raw::read::<u8>(data).is_err(), "and goes with the request");
            assert_eq!(kernel.bugcheck().map(|stop| stop.stop.code), None);
        });
    });
}

#[test]
fn pages_of_a_direct_request_that_is_cancelled_or_refused_are_unlocked() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine);
        machine.inside(move |kernel, thread| {
            let process = application.rig.process.clone();
            let buffer = UserBuffer::new(&process.user_space, 64).expect("room");
            start_direct(&application, kernel, thread, &buffer);
            let handle = application.rig.handle;
            let cancelled = io::cancel_io_file(kernel, &process, thread, handle, io::Cancelled::All);
            assert_eq!(cancelled, abi::STATUS_SUCCESS);
            assert_eq!(application.block().0, abi::STATUS_CANCELLED.bits());
            assert_eq!(process.user_space.locked_pages(), 0);
            io::end_process(kernel, &process);
            let code = abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, abi::METHOD_IN_DIRECT, 0);
            let (handle, output) = (u64::from(application.rig.handle), (buffer.address(), buffer.len()));
            let control = Control { handle, code, input: (0, 0), output };
            let started = io::start_device_control(kernel, &process, thread, &control, application.notice());
            assert_eq!(started, abi::STATUS_CANCELLED, "its process ends");
            assert_eq!(process.user_space.locked_pages(), 0);
        });
    });
}

#[test]
fn on_a_synchronous_file_the_call_waits_for_the_end() {
    on_mock(SEEDS, 1, |machine| {
        let rig = rig(machine);
        let buffer = UserBuffer::new(&rig.process.user_space, 64).expect("room");
        machine.spawn("device", |kernel, _| {
            while raw::read::<u32>(extension() + COMPLETIONS).expect("readable") == 0 {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.spawn("application", move |kernel, thread| {
            let application = Application { rig, buffer };
            application.forget();
            let notice = application.notice();
            assert_eq!(application.start(kernel, thread, notice), abi::STATUS_SUCCESS);
            assert_eq!(application.block(), (SUCCESS, 0));
        });
    });
}

#[test]
fn the_end_is_told_once_whether_the_request_is_completed_or_cancelled() {
    static CANCELLED: AtomicUsize = AtomicUsize::new(0);
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    on_mock(SEEDS, 2, |machine| {
        let application = Application::new(machine);
        let done = Arc::new(AtomicBool::new(false));
        let (process, handle, ended) =
            (application.rig.process.clone(), application.rig.handle, done.clone());
        machine.spawn("canceller", move |kernel, thread| {
            while !ended.load(Ordering::SeqCst) {
                io::cancel_io_file(kernel, &process, thread, handle, io::Cancelled::All);
                kernel.platform.relax(0);
            }
        });
        let ended = done.clone();
        machine.spawn("device", move |kernel, _| {
            while !ended.load(Ordering::SeqCst) {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.spawn("application", move |kernel, thread| {
            for _ in 0..3 {
                application.forget();
                let notice = Notice { apc_routine: 1, ..application.notice() };
                assert_eq!(application.start(kernel, thread, notice), abi::STATUS_PENDING);
                application.wait(kernel, thread);
                match application.block().0 {
                    SUCCESS => SERVED.fetch_add(1, Ordering::Relaxed),
                    other if other == abi::STATUS_CANCELLED.bits() => {
                        CANCELLED.fetch_add(1, Ordering::Relaxed)
                    }
                    other => panic!("{other:#x}"),
                };
            }
            done.store(true, Ordering::SeqCst);
        });
        machine.join();
        assert_eq!(completions(machine), 3);
        assert!(machine.stop_code().is_none());
    });
    assert!(CANCELLED.load(Ordering::Relaxed) > 0, "no interleaving let the cancellers win");
    assert!(SERVED.load(Ordering::Relaxed) > 0, "no interleaving let the device win");
}

#[test]
fn a_process_that_ends_has_its_requests_cancelled_before_its_handles_are_closed() {
    on_mock(SEEDS, 2, |machine| {
        let application = Arc::new(Application::new(machine));
        let process = application.rig.process.clone();
        let file = process.handles.get(application.rig.handle).expect("is open").object;
        let own = application.clone();
        machine.spawn("application", move |kernel, _| {
            let process = &own.rig.process;
            let started =
                crate::ps::inside(kernel, process, |thread| own.start(kernel, thread, own.notice()));
            let started = started.expect("running");
            let refused = [abi::STATUS_CANCELLED, abi::STATUS_INVALID_HANDLE].contains(&started);
            assert!(refused || started == abi::STATUS_PENDING, "{started:?}");
        });
        machine.spawn("end", move |kernel, _| {
            io::end_process(kernel, &process);
            kernel.ps.terminate(kernel, &process).expect("running");
        });
        machine.join();
        assert!(!application.rig.process.has_requests());
        assert!(machine.stop_code().is_none());
        // The request's own reference goes on a system thread if it was the last.
        machine.inside(move |kernel, _| {
            while file.references() > 0 {
                kernel.platform.relax(u32::MAX);
            }
        });
        let expected = if application.block().0 == UNTOUCHED { 0 } else { 1 };
        assert_eq!(completions(machine), expected);
    });
}

#[test]
fn threads_that_end_a_process_at_once_all_wait_for_its_requests() {
    on_mock(SEEDS, 2, |machine| {
        let application = Arc::new(Application::new(machine));
        let own = application.clone();
        machine.inside(move |kernel, thread| {
            raw::write(extension() + STUBBORN, 1_u64).expect("writable");
            assert_eq!(own.start(kernel, thread, own.notice()), abi::STATUS_PENDING);
        });
        for name in ["end", "stop"] {
            let process = application.rig.process.clone();
            machine.spawn(name, move |kernel, _| {
                io::end_process(kernel, &process);
                assert!(!process.has_requests());
            });
        }
        machine.spawn("device", |kernel, _| {
            kernel.platform.relax(u32::MAX);
            let irp = Irp::at(raw::exchange(extension() + KEPT, 0).expect("writable"));
            complete(kernel, irp, abi::STATUS_SUCCESS);
        });
        machine.join();
        assert_eq!(completions(machine), 1);
        assert!(machine.stop_code().is_none());
    });
}
