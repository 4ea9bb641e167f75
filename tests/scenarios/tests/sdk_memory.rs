//! The driver SDK's memory: paged pool, lookaside lists, interlocked lists, MDLs, and requests of a driver's own by every
//! method, in the sample `memory`.

use abi::STATUS_DEVICE_NOT_CONNECTED;
use app::ControlCode;
use host::UnloadOutcome;
use ringbridge_scenarios::{Form, MEMORY, failure, open, scenario};
use sample_memory::Case;

/// Runs a case that must succeed, and unloads: nothing may be left.
fn holds(form: Form, case: Case) {
    let machine = MEMORY.machine(form);
    let process = machine.process("application");
    let device = open(&process, r"\\.\Memory");
    let tried = device.control(ControlCode(case.code()), &[], &mut []);
    assert!(tried.is_ok(), "{case:?}: {tried:?} {:?}", machine.bugcheck());
    device.close().expect("closes");
    let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("memory") else { panic!("no file is open") };
    assert!(report.is_clean(), "{report:?}");
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
