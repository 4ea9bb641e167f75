//! The SDK's waits for several objects, as the test driver `waits` tries them out.

use abi::STATUS_DEVICE_NOT_CONNECTED;
use host::Event;
use ringbridge_scenarios::{Form, WAITS, Watch, case_code, failure, open, scenario, unload_cleanly};
use test_waits::{
    ALL, ANY, FOR_USER, HELD, INTERRUPTED, LOCKS, MUTEXES, REGIONS, SIXTY_FOUR, TIMERS_AND_THREADS,
};

const PATH: &str = r"\\.\RbWaits";

fn case(form: Form, number: u32) {
    let machine = WAITS.machine(form);
    let process = machine.process("caller");
    let answer = open(&process, PATH).control(case_code(number), &[], &mut []).map(drop);
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    answer.expect("the case passes");
    drop(process);
    unload_cleanly(&machine, "waits");
}

scenario! {
    fn a_wait_for_any_takes_the_object_that_ends_it_and_no_other(form: Form) {
        case(form, ANY);
    }
}

scenario! {
    fn a_wait_for_all_takes_nothing_before_it_can_take_everything(form: Form) {
        case(form, ALL);
    }
}

scenario! {
    fn a_mutex_that_was_waited_for_is_in_its_guard_or_released(form: Form) {
        case(form, MUTEXES);
    }
}

scenario! {
    fn sixty_four_objects_can_be_waited_for_with_wait_blocks(form: Form) {
        case(form, SIXTY_FOUR);
    }
}

scenario! {
    fn no_count_is_lost_under_a_spin_lock_plain_or_queued_a_mutex_fast_or_not_or_a_resource(form: Form) {
        case(form, LOCKS);
    }
}

scenario! {
    fn timers_that_expire_and_threads_that_end_satisfy_waits(form: Form) {
        case(form, TIMERS_AND_THREADS);
    }
}

scenario! {
    fn regions_hold_up_apcs_nest_and_end_with_their_values(form: Form) {
        case(form, REGIONS);
    }
}

scenario! {
    fn the_end_of_the_application_ends_waits_on_its_behalf_and_takes_nothing(form: Form) {
        let machine = WAITS.machine(form);
        let watch = Watch::on(&machine);
        let process = machine.process("waits");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| open(&process, PATH).control(case_code(FOR_USER), &[], &mut []));
            let comes = |event: &Event| matches!(event, Event::IrpDispatched { major: abi::IRP_MJ_DEVICE_CONTROL, .. });
            watch.wait_for(1, comes);
            process.begin_end();
            waiting.join().expect("no panic").expect_err("its process has ended");
        });
        let other = machine.process("asks");
        let device = open(&other, PATH);
        device.control(case_code(INTERRUPTED), &[], &mut []).expect("the wait was interrupted");
        device.close().expect("closes");
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_cleanly(&machine, "waits");
    }
}

scenario! {
    fn a_wait_for_a_mutex_that_the_thread_holds_stops_the_machine(form: Form) {
        let machine = WAITS.machine(form);
        let process = machine.process("caller");
        let answer = open(&process, PATH).control(case_code(HELD), &[], &mut []);
        assert_eq!(failure(answer), STATUS_DEVICE_NOT_CONNECTED);
        let report = machine.bugcheck().expect("it stopped");
        assert_eq!(report.bugcheck.stop.code, driver::RUST_PANIC);
    }
}
