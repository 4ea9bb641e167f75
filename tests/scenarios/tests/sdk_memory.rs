//! The driver SDK's memory: paged pool, lookaside lists, interlocked lists, MDLs, and requests of a driver's own by every
//! method, in the test driver `memory`.

use abi::{STATUS_ACCESS_VIOLATION, STATUS_DEVICE_NOT_CONNECTED};
use app::ControlCode;
use host::{InputBuffer, UnloadOutcome, tag_name};
use ringbridge_scenarios::{BUFFERS, Form, MEMORY, failure, open, scenario, unload_cleanly};
use test_memory::{Case, IOCTL_INVERT_LOCKED};

/// Runs a case that must succeed, and unloads: nothing may be left.
fn holds(form: Form, case: Case) {
    let machine = MEMORY.machine(form);
    let process = machine.process("application");
    let device = open(&process, r"\\.\Memory");
    let tried = device.control(ControlCode(case.code()), &[], &mut []);
    assert!(tried.is_ok(), "{case:?}: {tried:?} {:?}", machine.bugcheck());
    device.close().expect("closes");
    unload_cleanly(&machine, "memory");
}

/// Runs a case that must stop the machine.
fn stops(form: Form, case: Case) {
    let machine = MEMORY.machine(form);
    let process = machine.process("application");
    let device = open(&process, r"\\.\Memory");
    let tried = device.control(ControlCode(case.code()), &[], &mut []);
    assert_eq!(failure(tried), STATUS_DEVICE_NOT_CONNECTED);
    assert_eq!(machine.bugcheck().map(|report| report.bugcheck.stop.code), Some(driver::RUST_PANIC));
}

scenario! {
    fn paged_pool_is_used_up_to_apc_level_and_freed_with_its_box(form: Form) {
        holds(form, Case::Paged);
    }
}

scenario! {
    fn paged_pool_is_not_looked_at_at_dispatch_level(form: Form) {
        stops(form, Case::PagedAtDispatchLevel);
    }
}

scenario! {
    fn paged_pool_is_not_freed_at_dispatch_level(form: Form) {
        stops(form, Case::PagedDroppedAtDispatchLevel);
    }
}

scenario! {
    fn what_a_driver_leaks_is_told_by_its_tag_when_it_is_unloaded(form: Form) {
        let machine = MEMORY.machine(form);
        let process = machine.process("application");
        let device = open(&process, r"\\.\Memory");
        device.control(ControlCode(Case::Leak.code()), &[], &mut []).expect("leaks");
        device.close().expect("closes");
        let UnloadOutcome::Unloaded(report) = machine.unload("memory").expect("unloads") else {
            panic!("no file is open")
        };
        assert!(!report.is_clean());
        let [(tag, usage)] = report.pool[..] else { panic!("{:?}", report.pool) };
        assert_eq!(tag_name(tag), "Memo");
        assert_eq!((usage.blocks, usage.bytes), (2, 5100));
        assert_eq!((usage.paged_blocks, usage.paged_bytes), (1, 5000));
    }
}

scenario! {
    fn a_lookaside_list_takes_its_blocks_back_and_stays_until_the_last_is_there(form: Form) {
        holds(form, Case::Lookaside);
    }
}

scenario! {
    fn a_block_of_a_paged_lookaside_list_is_not_looked_at_at_dispatch_level(form: Form) {
        stops(form, Case::PagedLookasideAtDispatchLevel);
    }
}

scenario! {
    fn a_sequenced_list_gives_what_came_last_and_drops_what_is_left(form: Form) {
        holds(form, Case::SequencedList);
    }
}

scenario! {
    fn an_interlocked_list_takes_entries_at_both_ends(form: Form) {
        holds(form, Case::InterlockedList);
    }
}

scenario! {
    fn no_entry_is_lost_between_threads_that_push_and_pop(form: Form) {
        holds(form, Case::ListsBetweenThreads);
    }
}

scenario! {
    fn mdls_describe_pool_a_part_of_it_and_pages(form: Form) {
        holds(form, Case::Mdls);
    }
}

/// With the driver that the requests go to; that one must be clean too.
fn holds_above_buffers(form: Form, case: Case) {
    let machine = BUFFERS.machine(form);
    MEMORY.load(&machine, form);
    let process = machine.process("application");
    let device = open(&process, r"\\.\Memory");
    let tried = device.control(ControlCode(case.code()), &[], &mut []);
    assert!(tried.is_ok(), "{case:?}: {tried:?} {:?}", machine.bugcheck());
    device.close().expect("closes");
    for name in ["memory", "buffers"] {
        unload_cleanly(&machine, name);
    }
}

scenario! {
    fn a_drivers_control_requests_reach_another_driver_by_every_method(form: Form) {
        holds_above_buffers(form, Case::Controls);
    }
}

scenario! {
    fn a_drivers_reads_and_writes_of_a_direct_device_lock_its_buffers_and_let_them_go(form: Form) {
        holds_above_buffers(form, Case::Requests);
    }
}

scenario! {
    fn neither_requests_whose_buffers_are_locked_are_answered_by_another_thread(form: Form) {
        let machine = MEMORY.machine(form);
        let process = machine.process("application");
        let device = open(&process, r"\\.\Memory");
        let sent: Vec<u8> = (0..5000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut got = vec![0; 6000];
        assert_eq!(device.write(&sent), Ok(5000), "{:?}", machine.bugcheck());
        assert_eq!(device.read(&mut got), Ok(5000), "{:?}", machine.bugcheck());
        assert_eq!(got[..5000], sent);
        assert!(got[5000..].iter().all(|byte| *byte == 0));
        // Nothing to lock.
        assert_eq!(device.read(&mut []), Ok(0));
        let inverted: Vec<u8> = sent.iter().map(|byte| !byte).collect();
        for (input, output) in [(&sent[..], 100), (&sent[..7], 100), (&sent[..0], 8), (&sent[..], 0)] {
            let mut answer = vec![0; output];
            let expected = input.len().min(output);
            let got = device.control(ControlCode(IOCTL_INVERT_LOCKED), input, &mut answer);
            assert_eq!(got.map(|bytes| bytes as usize), Ok(expected), "{:?}", machine.bugcheck());
            assert_eq!(answer[..expected], inverted[..expected]);
        }
        device.close().expect("closes");
        unload_cleanly(&machine, "memory");
        // Pages that were left locked would stop the machine here.
        drop(process);
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    }
}

/// Compiled into the process there is no handler, and the machine stops.
#[test]
fn locking_where_nothing_is_fails_the_request_of_a_sys_file_with_an_access_violation_and_locks_nothing() {
    let machine = MEMORY.machine(Form::Sys);
    let process = machine.process("application");
    let device = open(&process, r"\\.\Memory");
    let mut window = process.allocate(4096).expect("room");
    let nowhere = window.address() + (1 << 30);
    let status = process
        .control_buffers(
            device.handle(),
            IOCTL_INVERT_LOCKED,
            InputBuffer::in_window(nowhere, 100).expect("a window"),
            window.output(0..100),
        )
        .status;
    assert_eq!(status, STATUS_ACCESS_VIOLATION);
    device.close().expect("closes");
    drop(window);
    drop(process);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
}
