//! The SDK's memory, as the test driver `memory` tries it out.

use abi::STATUS_DEVICE_NOT_CONNECTED;
use host::{Machine, UnloadOutcome};
use ringbridge_scenarios::{BUFFERS, Form, MEMORY, case_code, failure, open, scenario};
use test_memory::{DIRECT, DROP_PAGED, LEAK_PAGED, LOOKASIDE, MDLS, PAGED, SEQUENCED};

const PATH: &str = r"\\.\RbMemory";

fn run_case(machine: &Machine, number: u32) {
    let process = machine.process("caller");
    let answer = open(&process, PATH).control(case_code(number), &[], &mut []).map(drop);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    answer.expect("the case passes");
}

fn case(form: Form, number: u32) {
    let machine = MEMORY.machine(form);
    run_case(&machine, number);
    unload_cleanly(&machine);
}

fn unload_cleanly(machine: &Machine) {
    let outcome = machine.unload("memory");
    let Ok(UnloadOutcome::Unloaded(report)) = outcome else {
        panic!("{outcome:?}, {:?}", machine.bugcheck())
    };
    assert!(report.is_clean(), "{report:?}");
}

scenario! {
    fn paged_boxes_are_touched_at_passive_level(form: Form) {
        case(form, PAGED);
    }
}

scenario! {
    fn a_lookaside_list_gives_blocks_again_and_stays_until_its_last_box_has_gone(form: Form) {
        case(form, LOOKASIDE);
    }
}

scenario! {
    fn a_sequenced_list_loses_and_doubles_nothing(form: Form) {
        case(form, SEQUENCED);
    }
}

scenario! {
    fn an_mdl_of_a_drivers_own_describes_its_buffer_whole_and_in_parts(form: Form) {
        case(form, MDLS);
    }
}

scenario! {
    fn a_drivers_own_requests_use_direct_methods_and_direct_reads_and_writes(form: Form) {
        let machine = MEMORY.machine(form);
        BUFFERS.load(&machine, form);
        run_case(&machine, DIRECT);
        unload_cleanly(&machine);
    }
}

scenario! {
    fn a_paged_box_that_a_dpc_drops_stops_the_machine(form: Form) {
        let machine = MEMORY.machine(form);
        let process = machine.process("caller");
        let answer = open(&process, PATH).control(case_code(DROP_PAGED), &[], &mut []);
        assert_eq!(failure(answer), STATUS_DEVICE_NOT_CONNECTED);
        assert!(machine.bugcheck().is_some());
    }
}

scenario! {
    fn a_paged_box_that_is_left_is_reported_as_paged_pool(form: Form) {
        let machine = MEMORY.machine(form);
        run_case(&machine, LEAK_PAGED);
        let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("memory") else {
            panic!("it unloads: {:?}", machine.bugcheck())
        };
        let left: Vec<_> = report.pool.iter().map(|(_, usage)| (usage.paged_blocks, usage.paged_bytes)).collect();
        assert_eq!(left, [(1, 1000)]);
    }
}
