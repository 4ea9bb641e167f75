//! Requests that an application is told the end of by who completes them.

use std::sync::Mutex;

use super::*;
use crate::ps::EarlyAnswer;

/// Where an application's answer goes.
#[derive(Debug, Default)]
struct Slot {
    answers: Mutex<Vec<(abi::NTSTATUS, u64)>>,
    /// The call has returned.
    over: AtomicBool,
}

impl EarlyAnswer for Slot {
    fn answer(&self, status: abi::NTSTATUS, information: u64, output: &[&[u8]]) {
        assert!(!self.over.load(Ordering::SeqCst), "the thread may not go on before");
        assert!(output.is_empty(), "it is where the driver has written it");
        self.answers.lock().expect("not poisoned").push((status, information));
    }
}

/// A request of this method, to be answered early; its status, and whether it was.
fn early_request(kernel: &Kernel, process: &Arc<Process>, handle: u32, method: u32) -> (abi::NTSTATUS, bool) {
    let slot = Arc::new(Slot::default());
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
