//! Requests that an application is told the end of by who completes them.

use std::sync::Mutex;

use super::*;
use crate::ps::EarlyAnswer;
use crate::raw::DispatcherHeader;

/// Where an application's answer goes.
#[derive(Debug, Default)]
struct Slot {
    answers: Mutex<Vec<(abi::NTSTATUS, u64)>>,
    /// The file's event, if the application makes its next request on it at once.
    next: Option<DispatcherHeader>,
    /// The call has returned.
    over: AtomicBool,
}

impl EarlyAnswer for Slot {
    fn answer(&self, status: abi::NTSTATUS, information: u64, output: &[&[u8]]) {
        assert!(!self.over.load(Ordering::SeqCst), "the thread may not go on before");
        assert!(output.is_empty(), "it is where the driver has written it");
        if let Some(event) = self.next {
            assert_ne!(event.signal_state().expect("readable"), 0, "the request's end is the file's");
            let cleared = Kernel::with_current(|kernel, _| kernel.ke.clear_event(kernel, event));
            cleared.expect("inside").expect("writable");
        }
        self.answers.lock().expect("not poisoned").push((status, information));
    }
}

/// A request of this method, to be answered early; its status, and whether it was.
fn early_request(kernel: &Kernel, process: &Arc<Process>, handle: u32, method: u32) -> (abi::NTSTATUS, bool) {
    early_request_to(kernel, process, handle, method, Slot::default())
}

fn early_request_to(
    kernel: &Kernel,
    process: &Arc<Process>,
    handle: u32,
    method: u32,
    slot: Slot,
) -> (abi::NTSTATUS, bool) {
    let slot = Arc::new(slot);
    let early: Arc<dyn EarlyAnswer> = slot.clone();
    let control = DeviceControl {
        handle,
        code: abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800, method, 0),
        input: InputBuffer::from_slice(&[]).expect("short"),
        output: OutputBuffer::from_slice(&mut []).expect("short"),
    };
    let result = crate::ps::inside(kernel, process, |thread| {
        io::device_control_early(kernel, process, thread, control, Some(&early))
    });
    slot.over.store(true, Ordering::SeqCst);
    let result = result.expect("running");
    let answers = slot.answers.lock().expect("not poisoned");
    assert!(answers.iter().all(|answer| *answer == (result.status, result.information)), "{answers:?}");
    assert!(answers.len() < 2, "{answers:?}");
    (result.status, !answers.is_empty())
}

#[test]
fn a_request_that_is_cancelled_and_completed_at_once_is_told_once_as_it_ended() {
    static EARLY: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    on_mock(SEEDS, 2, |machine| {
        let rig = rig(machine);
        let done = Arc::new(AtomicBool::new(false));
        let (process, handle, ended) = (rig.process.clone(), rig.handle, done.clone());
        machine.spawn("application", move |kernel, _| {
            for _ in 0..3 {
                let (status, early) = early_request(kernel, &process, handle, abi::METHOD_NEITHER);
                assert!([abi::STATUS_CANCELLED, abi::STATUS_SUCCESS].contains(&status), "{status:?}");
                EARLY[usize::from(status == abi::STATUS_SUCCESS)].fetch_add(early.into(), Ordering::Relaxed);
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
    assert!(EARLY.iter().all(|count| count.load(Ordering::Relaxed) > 0), "{EARLY:?}");
}

#[test]
fn a_request_whose_data_is_still_to_be_copied_is_not_told_early() {
    on_mock(0..50, 2, |machine| {
        let rig = rig(machine);
        let done = Arc::new(AtomicBool::new(false));
        let (process, handle, ended) = (rig.process.clone(), rig.handle, done.clone());
        machine.spawn("application", move |kernel, _| {
            for method in [abi::METHOD_BUFFERED, abi::METHOD_IN_DIRECT, abi::METHOD_OUT_DIRECT] {
                let told = early_request(kernel, &process, handle, method);
                assert_eq!(told, (abi::STATUS_SUCCESS, false));
            }
            ended.store(true, Ordering::SeqCst);
        });
        machine.spawn("device", move |kernel, _| {
            while !done.load(Ordering::SeqCst) {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.join();
    });
}

#[test]
fn a_file_is_not_signaled_again_behind_an_early_answer_when_its_next_request_is_under_way() {
    static EARLY: AtomicUsize = AtomicUsize::new(0);
    on_mock(0..100, 2, |machine| {
        let rig = rig_with(machine, 0);
        let done = Arc::new(AtomicBool::new(false));
        let ended = done.clone();
        machine.spawn("application", move |kernel, _| {
            let event = rig.file.event();
            let slot = Slot { next: Some(event), ..Slot::default() };
            let told = early_request_to(kernel, &rig.process, rig.handle, abi::METHOD_NEITHER, slot);
            assert_eq!(told.0, abi::STATUS_SUCCESS);
            assert_eq!(event.signal_state().expect("readable") == 0, told.1);
            EARLY.fetch_add(told.1.into(), Ordering::Relaxed);
            ended.store(true, Ordering::SeqCst);
        });
        machine.spawn("device", move |kernel, _| {
            while !done.load(Ordering::SeqCst) {
                serve(kernel);
                kernel.platform.relax(0);
            }
        });
        machine.join();
    });
    assert!(EARLY.load(Ordering::Relaxed) > 0);
}
