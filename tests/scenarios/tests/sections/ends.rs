//! What is left of views when their process, their section or their driver ends: nothing, or what is told.

use super::*;

#[test]
fn application_that_has_views_and_waits() {
    as_application(|transport| {
        let device = open(transport, DEVICE);
        let mapping = FileMapping::new(transport, 0x4_0000, MappingAccess::ReadWrite).expect("is made");
        let _views = [0, 0x1_0000, 0x3_0000]
            .map(|offset| mapping.map(MappingAccess::ReadWrite, offset, 0).expect("is shown"));
        let handle = create(&device, 4096);
        done(&device, MAP, &[handle, 0, 0, 0, RW]);
        done(&device, CLOSE, &[handle]);
        say_ready_with("shown");
        wait_to_go_on();
    });
}

#[test]
fn nothing_is_left_of_an_application_that_is_killed_with_views() {
    with_driver(DRIVER, |machine| {
        let (_folder, server) = serve(machine);
        for _ in 0..10 {
            let application = Beside::start("ends::application_that_has_views_and_waits", server.path());
            assert_eq!(machine.section_usage(), SectionUsage { segments: 2, views: 4, system_views: 0 });
            application.kill();
            let deadline = std::time::Instant::now() + PATIENCE;
            while machine.section_usage() != SectionUsage::default() {
                assert!(std::time::Instant::now() < deadline, "{:?}", machine.section_usage());
                std::thread::yield_now();
            }
        }
        server.stop();
    });
}

#[test]
fn application_that_maps_and_unmaps_for_ever() {
    as_application(|transport| {
        let device = open(transport, DEVICE);
        let mapping = FileMapping::new(transport, 0x4_0000, MappingAccess::ReadWrite).expect("is made");
        let handle = create(&device, 0x1_0000);
        say_ready_with("busy");
        loop {
            let views = [0, 0x1_0000].map(|offset| mapping.map(MappingAccess::ReadWrite, offset, 0));
            let (status, [base, ..]) = call(&device, MAP, &[handle, 0, 0, 0, RW], "");
            assert_eq!(status, OK);
            drop(views);
            done(&device, UNMAP, &[base]);
        }
    });
}

#[test]
fn an_application_that_is_killed_while_it_maps_and_unmaps_leaves_nothing() {
    let machine = machine_with("sections");
    let (_folder, server) = serve(&machine);
    for round in 0..20 {
        let application = Beside::start("ends::application_that_maps_and_unmaps_for_ever", server.path());
        // Killed at another moment each time.
        (0..round * 20).for_each(|_| std::thread::yield_now());
        application.kill();
        let deadline = std::time::Instant::now() + PATIENCE;
        // The driver's kernel handle is nobody's but the driver's.
        let left = SectionUsage { segments: round + 1, views: 0, system_views: 0 };
        while machine.section_usage() != left {
            assert!(std::time::Instant::now() < deadline, "{:?}", machine.section_usage());
            std::thread::yield_now();
        }
    }
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    server.stop();
}

#[test]
fn nothing_is_left_of_a_process_that_ends_with_views_and_other_views_stay() {
    with_driver(DRIVER, |machine| {
        let (ended, stays) = (machine.process("ended"), machine.process("stays"));
        let (mapping, _) = FileMapping::named(&ended, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        view.store_u32(0, 5).expect("writable");
        let other = FileMapping::open(&stays, NAME, MappingAccess::ReadWrite).expect("it is there");
        let seen = other.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        ended.end();
        assert!(view.load_u32(0).is_err(), "nothing is there any more");
        assert_eq!(seen.load_u32(0).expect("shown"), 5);
        assert_eq!(machine.section_usage(), SectionUsage { segments: 1, views: 1, system_views: 0 });
    });
}

#[test]
fn a_view_in_system_space_that_a_driver_forgets_is_told_when_it_is_unloaded() {
    let machine = machine_with("sections");
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let section = create(&device, 8192);
    let [object, ..] = done(&device, REFERENCE, &[section, ALL, 0]);
    let [address, ..] = done(&device, MAP_IN_SYSTEM, &[object, 0]);
    done(&device, DEREFERENCE, &[object]);
    done(&device, CLOSE, &[section]);
    drop(device);
    let Ok(UnloadOutcome::Unloaded(report)) = machine.unload("sections") else { panic!("unloads") };
    assert!(!report.is_clean());
    assert_eq!(report.system_views.len(), 1);
    assert_eq!((report.system_views[0].address, report.system_views[0].length), (address, 8192));
    let told = host::left_behind(&report);
    assert_eq!(told, [format!("left a view of 8192 bytes of a section in system space at {address:#x}")]);
}

#[test]
fn views_in_processes_stay_when_the_driver_that_made_them_is_unloaded() {
    let machine = machine_with("sections");
    let process = machine.process("test");
    let device = open(&process, DEVICE);
    let section = create(&device, 4096);
    let [base, ..] = done(&device, MAP, &[section, 0, 0, 0, RW]);
    done(&device, CLOSE, &[section]);
    done(&device, FILL, &[base, 4096, 6]);
    drop(device);
    unload_when_closed(&machine, "sections");
    let view = View::of_driver(&process, base, 4096).expect("it is the process's");
    assert!(bytes_of(&view) == pattern(4096, 6));
    process.end();
    assert!(view.load_u32(0).is_err());
    assert_eq!(machine.section_usage(), SectionUsage::default());
}
