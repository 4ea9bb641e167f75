//! The sample `delay`: reads answered later by a thread, a timer or a work item; cancelled; cleaned up; and unloaded
//! under.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use abi::{NTSTATUS, STATUS_CANCELLED, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use app::{ControlCode, Device};
use gate::{Handle, Transport};
use host::{Event, UnloadOutcome};
use ringbridge_scenarios::{
    DELAY, Watch, application, failure, is_pended, open, open_asynchronous, run_application, scenario,
    unload_cleanly,
};
use sample_delay::{IOCTL_QUERY, IOCTL_SET, Way};

const PATH: &str = r"\\.\Delay";
/// As good as for ever.
const HOUR: u32 = 3_600_000;

fn setting(way: Way, milliseconds: u32) -> Vec<u8> {
    [way as u32, milliseconds].map(u32::to_le_bytes).concat()
}

fn set(transport: &dyn Transport, handle: Handle, way: Way, milliseconds: u32) {
    let set = transport.device_control(handle, IOCTL_SET, &setting(way, milliseconds), &mut []);
    assert_eq!(set.status, STATUS_SUCCESS);
}

/// The reads that each way has answered, and those that wait.
fn query(device: &Device<'_>) -> [u32; 4] {
    let mut answer = [0; 16];
    assert_eq!(device.control(ControlCode(IOCTL_QUERY), &[], &mut answer), Ok(16));
    let (numbers, _) = answer.as_chunks();
    std::array::from_fn(|index| u32::from_le_bytes(numbers[index]))
}

/// Reads by every way, with several delays; returns how many reads there were by each.
fn reads_every_way(transport: &dyn Transport) -> u32 {
    let device = open(transport, PATH);
    let delays = [0, 1, 25];
    for way in Way::ALL {
        for delay in delays {
            set(transport, device.handle(), way, delay);
            let mut buffer = [b'.'; 300];
            let start = Instant::now();
            assert_eq!(device.read(&mut buffer[..299]), Ok(299), "{way:?}, {delay} ms");
            assert!(start.elapsed() >= Duration::from_millis(delay.into()), "{way:?} answers too early");
            assert!(buffer[..299].iter().all(|byte| *byte == way.letter()), "{way:?}");
            assert_eq!(buffer[299], b'.');
        }
    }
    assert_eq!(failure(device.control(ControlCode(IOCTL_SET), &[3; 8], &mut [])), STATUS_INVALID_PARAMETER);
    assert_eq!(failure(device.control(ControlCode(IOCTL_SET), &[0; 7], &mut [])), STATUS_INVALID_PARAMETER);
    u32::try_from(delays.len()).expect("few")
}

scenario! {
    fn every_way_answers_when_it_is_time_and_not_before(form: Form) {
        let machine = DELAY.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let count = reads_every_way(&process);
        let device = open(&process, PATH);
        assert_eq!(query(&device), [count, count, count, 0]);
        device.close().expect("closes");
        unload_cleanly(&machine, "delay");
        let events = watch.events();
        let pended = events.iter().filter(|event| is_pended(event)).count();
        assert_eq!(pended, 3 * count as usize, "each read returned STATUS_PENDING");
        let boosted = |event: &&Event| matches!(event, Event::IrpCompleted { boost: 2, .. });
        assert_eq!(events.iter().filter(boosted).count(), pended, "IO_SERIAL_INCREMENT");
    }
}

scenario! {
    fn reads_of_many_threads_are_each_answered_once(form: Form) {
        const THREADS: u32 = 6;
        const READS: u32 = 40;
        let machine = DELAY.machine(form);
        let process = machine.process("crowd");
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                let process = &process;
                scope.spawn(move || {
                    let device = open(process, PATH);
                    let way = Way::ALL[number as usize % 3];
                    for round in 0..READS {
                        set(process, device.handle(), way, (round * 7 + number) % 3);
                        let mut buffer = [0; 16];
                        assert_eq!(device.read(&mut buffer), Ok(16));
                        assert_eq!(buffer, [way.letter(); 16]);
                    }
                });
            }
        });
        let device = open(&process, PATH);
        let each = THREADS / 3 * READS;
        assert_eq!(query(&device), [each, each, each, 0]);
        device.close().expect("closes");
        unload_cleanly(&machine, "delay");
    }
}

scenario! {
    fn reads_of_a_process_that_ends_are_cancelled_and_no_others(form: Form) {
        let machine = DELAY.machine(form);
        let watch = Watch::on(&machine);
        let (process, other) = (machine.process("short-lived"), machine.process("other"));
        std::thread::scope(|scope| {
            let readers = Way::ALL.map(|way| {
                // Its handle is closed by the process's end.
                let device = ManuallyDrop::new(open(&process, PATH));
                let handle = device.handle();
                set(&process, handle, way, HOUR);
                let process = &process;
                scope.spawn(move || process.read(handle, &mut [0; 4], None))
            });
            let patient = Way::ALL.map(|way| {
                let device = open(&other, PATH);
                set(&other, device.handle(), way, 300);
                scope.spawn(move || {
                    let mut buffer = [0];
                    assert_eq!(device.read(&mut buffer), Ok(1));
                    assert_eq!(buffer, [way.letter()]);
                })
            });
            watch.wait_for(6, is_pended);
            process.end();
            for reader in readers {
                let ended = reader.join().expect("no panic");
                assert_eq!((ended.status, ended.information), (STATUS_CANCELLED, 0));
            }
            for reader in patient {
                reader.join().expect("answered");
            }
        });
        let device = open(&other, PATH);
        assert_eq!(query(&device), [1, 1, 1, 0]);
        device.close().expect("closes");
        // The timers are set for the cancelled reads still.
        unload_cleanly(&machine, "delay");
    }
}

scenario! {
    fn cleanup_cancels_the_requests_of_its_file_and_no_others(form: Form) {
        let machine = DELAY.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        let witness = open(&process, PATH);
        std::thread::scope(|scope| {
            let read = |way| {
                let handle = open_asynchronous(&process, "Delay", abi::FILE_READ_DATA);
                set(&process, handle, way, HOUR);
                let wait = || {
                    let process = &process;
                    scope.spawn(move || process.read(handle, &mut [0; 4], Some(0)))
                };
                (handle, [wait(), wait()])
            };
            let (closed, kept) = (Way::ALL.map(read), Way::ALL.map(read));
            watch.wait_for(12, is_pended);
            assert_eq!(query(&witness), [0, 0, 0, 12]);
            let mut waiting = 12;
            for (handle, readers) in closed.into_iter().chain(kept) {
                assert_eq!(process.close(handle), STATUS_SUCCESS);
                for reader in readers {
                    let ended = reader.join().expect("no panic");
                    assert_eq!((ended.status, ended.information), (STATUS_CANCELLED, 0));
                }
                waiting -= 2;
                assert_eq!(query(&witness), [0, 0, 0, waiting]);
            }
        });
        witness.close().expect("closes");
        unload_cleanly(&machine, "delay");
    }
}

scenario! {
    fn a_driver_that_is_asked_to_unload_goes_when_its_last_request_has_ended(form: Form) {
        let machine = DELAY.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("application");
        std::thread::scope(|scope| {
            let readers: Vec<_> = Way::ALL.iter().flat_map(|way| [(*way, 40), (*way, HOUR)]).map(|(way, delay)| {
                let device = ManuallyDrop::new(open(&process, PATH));
                let handle = device.handle();
                set(&process, handle, way, delay);
                let process = &process;
                scope.spawn(move || (delay, process.read(handle, &mut [0; 4], None).status))
            }).collect();
            watch.wait_for(6, is_pended);
            assert_eq!(machine.unload("delay"), Ok(UnloadOutcome::Pending { files: 6 }));
            let answered = |event: &Event| matches!(event, Event::IrpCompleted { boost: 2, .. });
            watch.wait_for(3, answered);
            process.end();
            for reader in readers {
                let (delay, status) = reader.join().expect("no panic");
                let expected: NTSTATUS = if delay == HOUR { STATUS_CANCELLED } else { STATUS_SUCCESS };
                assert_eq!(status, expected);
            }
        });
        let unloaded = |event: &Event| matches!(event, Event::DriverUnloaded { report } if report.is_clean());
        watch.wait_for(1, unloaded);
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}

#[test]
fn application_of_delay() {
    let Some(client) = application() else { return };
    reads_every_way(&client);
}

#[test]
fn application_that_dies_waiting() {
    let Some(client) = application() else { return };
    let client: &'static gate::Client = Box::leak(Box::new(client));
    let pended: Vec<_> = Way::ALL
        .into_iter()
        .map(|way| {
            let device = ManuallyDrop::new(open(client, PATH));
            set(client, device.handle(), way, HOUR);
            let handle = device.handle();
            std::thread::spawn(move || client.read(handle, &mut [0; 4], None))
        })
        .collect();
    let witness = open(client, PATH);
    while query(&witness)[3] < 3 {
        std::thread::yield_now();
    }
    assert!(pended.iter().all(|thread| !thread.is_finished()));
    std::mem::forget((pended, witness));
    // The process ends, and nobody has closed anything.
}

scenario! {
    fn another_process_gets_the_same_answers_and_leaves_nothing_when_it_dies_waiting(form: Form) {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = DELAY.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("application_of_delay", server.path());
        run_application("application_that_dies_waiting", server.path());
        server.stop();
        unload_cleanly(&machine, "delay");
    }
}
