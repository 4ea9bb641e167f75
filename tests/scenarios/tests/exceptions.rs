//! Exceptions in drivers: every case of `seh.sys` and `cpu.sys`, started by an application's control codes and answered
//! by a whole machine; from the same process and from another.

use app::Device;
use gate::Transport;
use host::UnloadOutcome;
use ringbridge_scenarios::{
    CaseResult, application, machine_with, open, run_application, run_case, unload_cleanly,
};

const ACCESS_VIOLATION: u32 = 0xC000_0005;
const MISALIGNED: u32 = 0x8000_0002;
/// In system space, where nothing is mapped.
const SYSTEM_ADDRESS: u64 = 0x6FFF_0000_1000;
const SEH: &str = r"\\.\RbSeh";
const CPU: &str = r"\\.\RbCpu";

/// Runs `body` with the device `path` of the driver `name`, which must end as it began.
fn with_driver(name: &str, path: &str, body: impl FnOnce(&Device<'_>)) {
    let machine = machine_with(name);
    let process = machine.process("caller");
    let device = open(&process, path);
    body(&device);
    drop(device);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    unload_cleanly(&machine, name);
}

fn seh(number: u32, inputs: &[u64]) -> CaseResult {
    let mut result = None;
    with_driver("seh", SEH, |device| result = Some(run_case(device, number, inputs).expect("is answered")));
    result.expect("ran")
}

fn taken(status: u32, values: &[u64], executed: u32) -> CaseResult {
    CaseResult { status, values: values.to_vec(), executed }
}

#[test]
fn probing_raises_for_addresses_that_no_application_can_have() {
    with_driver("seh", SEH, |device| {
        let probe = |number, address, length, alignment| {
            run_case(device, number, &[address, length, alignment]).expect("is answered")
        };
        for number in [0, 1] {
            assert_eq!(probe(number, SYSTEM_ADDRESS, 4, 1), taken(ACCESS_VIOLATION, &[], 1));
            assert_eq!(probe(number, u64::MAX - 2, 4, 1), taken(ACCESS_VIOLATION, &[], 1), "wraps around");
            assert_eq!(
                probe(number, 0x4FFF_FFFF_FFFE, 4, 1),
                taken(ACCESS_VIOLATION, &[], 1),
                "reaches over"
            );
            assert_eq!(probe(number, 0x31, 4, 4), taken(MISALIGNED, &[], 1));
        }
        // Only touching it tells that an address is not mapped: ProbeForWrite does, after ProbeForRead the driver.
        assert_eq!(probe(0, 0x30, 4, 1), taken(ACCESS_VIOLATION, &[], 1));
        assert_eq!(probe(1, 0x30, 4, 1), taken(ACCESS_VIOLATION, &[], 1));
        assert_eq!(probe(1, SYSTEM_ADDRESS, 0, 1), taken(0, &[], 0), "no bytes are not checked");
    });
}

#[test]
fn a_filter_sees_code_address_and_operation_of_a_fault() {
    assert_eq!(seh(2, &[0x5678]), taken(ACCESS_VIOLATION, &[0xC000_0005, 0, 2, 1, 0x5678, 1], 1));
}

#[test]
fn filters_run_before_any_finally_block_and_those_from_the_inside_out() {
    assert_eq!(seh(3, &[]), taken(ACCESS_VIOLATION, &[1, 2, 3, 4, 5, 6], 2));
}

#[test]
fn a_status_raised_through_an_export_unwinds_every_frame_of_the_driver() {
    assert_eq!(seh(4, &[0, 5]), taken(0xC000_0123, &[0, 1, 2, 3, 4, 5], 1));
    assert_eq!(seh(4, &[0xC000_0022, 0]), taken(0xC000_0022, &[0], 1));
    let all: Vec<u64> = (0..=16).collect();
    assert_eq!(seh(4, &[0xC000_0022, 16]), taken(0xC000_0022, &all, 1));
}

#[test]
fn an_exception_in_a_lower_driver_is_taken_by_the_upper_one_around_io_call_driver() {
    assert_eq!(seh(5, &[0x30]), taken(ACCESS_VIOLATION, &[1, 2, 3], 1));
}

#[test]
fn the_upper_driver_can_take_exceptions_of_the_lower_one_again_and_again() {
    with_driver("seh", SEH, |device| {
        for _ in 0..100 {
            let result = run_case(device, 5, &[0x30]).expect("is answered");
            assert_eq!(result, taken(ACCESS_VIOLATION, &[1, 2, 3], 1));
        }
    });
}

#[test]
fn a_filter_may_repair_the_cause_and_continue() {
    assert_eq!(seh(6, &[77]), taken(0, &[77], 1));
}

#[test]
fn an_exception_in_a_filter_is_taken_outside() {
    assert_eq!(seh(7, &[]), taken(ACCESS_VIOLATION, &[1], 1));
}

#[test]
fn an_exception_in_a_finally_block_takes_the_place_of_the_first() {
    let result = seh(8, &[]);
    assert_eq!((result.status, &result.values[..]), (0xC000_0301, &[1, 2][..]));
}

#[test]
fn a_continuable_exception_goes_on_behind_rtl_raise_exception() {
    assert_eq!(seh(9, &[11, 12]), taken(0xE000_1234, &[11, 12, 3], 1));
}

#[test]
fn faults_of_arithmetic_and_of_calls_are_exceptions_too() {
    assert_eq!(seh(10, &[]), taken(0xC000_0094, &[], 1));
    assert_eq!(seh(11, &[]), taken(ACCESS_VIOLATION, &[8, 0x40], 1));
    assert_eq!(seh(12, &[]), taken(0, &[u64::from(ACCESS_VIOLATION), u64::from(MISALIGNED)], 2));
}

#[test]
fn a_finally_block_knows_whether_its_block_ended() {
    let result = seh(13, &[]);
    assert_eq!((result.status, &result.values[..2], result.values.len()), (0, &[1, 0][..], 3));
}

#[test]
fn any_number_of_exceptions_leaves_the_stack_as_it_was() {
    assert_eq!(seh(14, &[100_000]), taken(0, &[100_000], 0));
}

#[test]
fn a_driver_finds_its_own_function_table_and_image() {
    assert_eq!(seh(15, &[]), taken(0, &[1, 1, 1], 0));
}

#[test]
fn a_fault_inside_of_memcpy_is_the_exception_of_its_caller() {
    assert_eq!(seh(16, &[0x30]), taken(ACCESS_VIOLATION, &[], 1));
}

#[test]
fn threads_take_their_exceptions_side_by_side() {
    let machine = machine_with("seh");
    let process = machine.process("many threads");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let process = &process;
            scope.spawn(move || {
                let device = open(process, SEH);
                for round in 0..50 {
                    let code = 0xC000_0200 + number * 50 + round;
                    let result = run_case(&device, 4, &[code, round % 9]).expect("is answered");
                    let depths: Vec<u64> = (0..=round % 9).collect();
                    assert_eq!((u64::from(result.status), result.values), (code, depths));
                    assert_eq!(run_case(&device, 14, &[20]).expect("is answered").values, [20]);
                }
            });
        }
    });
}

#[test]
fn cr8_is_the_irql() {
    with_driver("cpu", CPU, |device| {
        assert_eq!(run_case(device, 0, &[]).expect("is answered").values, [0, 2, 2, 0]);
        assert_eq!(run_case(device, 6, &[1000]).expect("is answered").values, [0]);
    });
}

const IRQL: &str = r"\\.\RbIrql";

#[test]
fn lowering_cr8_runs_dpcs_and_keeps_every_register() {
    with_driver("irql", IRQL, |device| {
        for round in 0..4 {
            let values = run_case(device, 0, &[]).expect("is answered").values;
            assert_eq!(values, [1, 1, 2, 0, 0, 0], "execution {round}");
        }
    });
}

#[test]
fn cr8_at_dispatch_level_excludes_other_threads_of_the_only_processor() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 2000;
    let machine = machine_with("irql");
    let process = machine.process("counting");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| run_case(&open(&process, IRQL), 1, &[ROUNDS]).expect("is answered"));
        }
    });
    assert_eq!(run_case(&open(&process, IRQL), 1, &[0]).expect("is answered").values, [THREADS * ROUNDS]);
}

#[test]
fn a_fault_in_a_dpc_that_cr8_set_off_stops_the_machine_in_the_dpc() {
    let machine = machine_with("irql");
    let process = machine.process("faults");
    let device = open(&process, IRQL);
    for _ in 0..2 {
        run_case(&device, 0, &[]).expect("is answered");
    }
    run_case(&device, 2, &[]).expect_err("the machine stops");
    let report = machine.bugcheck().expect("stopped").bugcheck;
    assert_eq!(report.stop.code, 0xD1);
    assert!(!report.stack.is_empty(), "the DPC's own frame");
    assert!(report.stack.iter().all(|frame| frame.image == "irql.sys"), "{:x?}", report.stack);
}

#[test]
fn shared_times_that_are_read_directly_go_on_and_never_run_ahead_of_what_exports_say() {
    with_driver("cpu", CPU, |device| {
        run_case(device, 7, &[10]).expect("is answered");
        let first = run_case(device, 2, &[]).expect("is answered").values;
        // Waited for, not slept for: a thread of the machine's own writes the times.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let later = run_case(device, 2, &[]).expect("is answered").values;
            assert!(later[0] >= first[0] && later[1] >= first[1] && later[4] >= first[4]);
            assert!(later[6] >= later[1], "the precise time is not behind: {later:?}");
            // Three ticks of 15.625 ms.
            if later[0] > first[0] + 500_000 && later[1] > first[1] + 400_000 && later[4] > first[4] {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "the times stand still: {later:?}");
        }
        assert_eq!(run_case(device, 7, &[5000]).expect("is answered").values, [0], "never goes backwards");
    });
}

#[test]
fn initialisation_code_is_gone_when_driver_entry_has_returned() {
    let machine = machine_with("init");
    let process = machine.process("init");
    let device = open(&process, r"\\.\RbInit");
    assert_eq!(run_case(&device, 0, &[]).expect("is answered").values, [42], "it ran while DriverEntry did");
    run_case(&device, 1, &[1]).expect_err("the machine stops");
    let report = machine.bugcheck().expect("stopped");
    let address = report.bugcheck.context.as_ref().expect("registers").Rip;
    assert_eq!((report.bugcheck.stop.code, report.bugcheck.stop.parameters[0]), (0x50, address));
    assert!(report.to_string().contains("discarded after DriverEntry"), "{report}");
}

#[test]
fn gs_leads_to_the_processor_block_and_the_current_thread() {
    with_driver("cpu", CPU, |device| {
        let first = run_case(device, 1, &[]).expect("is answered").values;
        assert_eq!(first[0], first[1], "gs:[188h] is KeGetCurrentThread()");
        assert_ne!((first[0], first[2]), (0, 0));
        assert_eq!((first[3], first[4]), (0, 0), "the processor's number, both ways");
        assert_eq!(run_case(device, 1, &[]).expect("is answered").values, first, "the same thread");
    });
}

#[test]
fn every_thread_is_a_thread_object_of_its_own() {
    let machine = machine_with("cpu");
    let process = machine.process("two threads");
    let thread = || run_case(&open(&process, CPU), 1, &[]).expect("is answered").values[0];
    let mine = thread();
    let other = std::thread::scope(|scope| scope.spawn(thread).join().expect("answered"));
    assert_ne!(mine, other);
}

#[test]
fn kuser_shared_data_is_read_at_its_fixed_address() {
    const YEAR_2024: u64 = 133_485_408_000_000_000;
    const SECOND: u64 = 10_000_000;
    with_driver("cpu", CPU, |device| {
        let first = run_case(device, 2, &[]).expect("is answered").values;
        let later = run_case(device, 2, &[]).expect("is answered").values;
        let [interrupt_time, system_time, major, minor, ticks, sse2, precise] = first[..] else {
            panic!("{first:?}")
        };
        assert_eq!((major, minor, sse2), (10, 0, 1));
        assert!(system_time > YEAR_2024 && precise.abs_diff(system_time) < SECOND, "{first:?}");
        assert!(later[0] >= interrupt_time && later[1] >= system_time && later[4] >= ticks, "{later:?}");
        assert_eq!(run_case(device, 7, &[5000]).expect("is answered").values, [0], "never goes backwards");
    });
}

#[test]
fn breakpoints_and_assertions_are_exceptions_when_no_debugger_is_there() {
    with_driver("cpu", CPU, |device| {
        assert_eq!(run_case(device, 3, &[]).expect("is answered"), taken(0x8000_0003, &[1], 1));
        assert_eq!(run_case(device, 4, &[]).expect("is answered"), taken(0xC000_0420, &[1], 1));
    });
}

#[test]
fn instructions_that_need_the_real_machine_are_privileged_instruction_exceptions() {
    with_driver("cpu", CPU, |device| {
        for instruction in 0..8 {
            let result = run_case(device, 5, &[instruction]).expect("is answered");
            assert_eq!(result, taken(0xC000_0096, &[1], 1), "instruction {instruction}");
        }
    });
}

#[test]
fn a_buffer_too_small_for_the_answer_runs_no_case() {
    with_driver("seh", SEH, |device| {
        let error = device.control(ringbridge_scenarios::case_code(14), &[], &mut [0; 215]);
        assert_eq!(error.expect_err("is refused").status, abi::STATUS_BUFFER_TOO_SMALL);
    });
}

fn ask_both(transport: &dyn Transport) {
    let device = open(transport, SEH);
    assert_eq!(run_case(&device, 3, &[]), Ok(taken(ACCESS_VIOLATION, &[1, 2, 3, 4, 5, 6], 2)));
    assert_eq!(run_case(&device, 5, &[0x30]), Ok(taken(ACCESS_VIOLATION, &[1, 2, 3], 1)));
    assert_eq!(run_case(&device, 6, &[77]), Ok(taken(0, &[77], 1)));
    assert_eq!(run_case(&device, 14, &[1000]), Ok(taken(0, &[1000], 0)));
    assert_eq!(run_case(&device, 16, &[0x30]), Ok(taken(ACCESS_VIOLATION, &[], 1)));
    let device = open(transport, CPU);
    assert_eq!(run_case(&device, 0, &[]), Ok(taken(0, &[0, 2, 2, 0], 0)));
    assert_eq!(run_case(&device, 4, &[]), Ok(taken(0xC000_0420, &[1], 1)));
    assert_eq!(run_case(&device, 5, &[4]), Ok(taken(0xC000_0096, &[1], 1)));
}

#[test]
fn application_of_exceptions() {
    let Some(client) = application() else { return };
    ask_both(&client);
}

#[test]
fn requests_from_another_process_take_their_exceptions_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("seh");
    machine.load(&ringbridge_scenarios::sys_path("cpu"), host::LoadOptions::default()).expect("loads");
    ask_both(&machine.process("the same process"));
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application("application_of_exceptions", server.path());
    server.stop();
    for name in ["seh", "cpu"] {
        assert!(matches!(machine.unload(name), Ok(UnloadOutcome::Unloaded(report)) if report.is_clean()));
    }
}
