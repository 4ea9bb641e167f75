//! `demo`: the tour, whole and with parts missing.

use crate::run::{Room, command, ran, ringbridge, sys, sys_dir};

#[test]
fn the_tour_shows_all_its_parts() {
    sys("hello.sys");
    sys("stop.sys");
    let mut demo = command(["demo", "--sys-dir"]);
    let done = ran(demo.arg(sys_dir()));
    let text = done.good();
    for part in [
        r"\??\My_Device        SymbolicLink -> \Device\My_Device",
        r"IRP_MJ_READ created -> \Driver\hello -> completed STATUS_SUCCESS, information 10 -> 10 bytes copied out",
        "error 5 ERROR_ACCESS_DENIED",
        r"IRP_MJ_WRITE created -> \Driver\tap -> pending -> \Driver\hello -> completed STATUS_SUCCESS, information 4",
        "1000 notifications in order",
        "DriverUnload -> no device, no link and no pool left behind",
        "ringbridge: serving hello on ",
        "[@@@@%%%%###****++++===----::::..]",
        "OpenFileMapping(Global\\Greeting), MapViewOfFile -> \"made by the driver\"",
        "with checksums, and no request for any of it",
        "|from another pro|",
        "IRP_MN_QUERY_REMOVE_DEVICE -> STATUS_SUCCESS",
        "removal cancelled, asked to sleep, powered down, powered up, gone",
        "ringbridge: hello unloaded, nothing left behind",
        "*** STOP 0x0000001E KMODE_EXCEPTION_NOT_HANDLED",
        "4 bytes: 68686868",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.is_ascii(), "the locale is C");
    assert!(!text.contains("skipped"), "{text}");
}

#[test]
fn a_terminal_with_utf_8_gets_arrows() {
    let mut demo = command(["demo", "--sys-dir"]);
    let done = ran(demo.arg(sys_dir()).env("LC_ALL", "C.UTF-8"));
    assert!(done.good().contains(r"IRP_MJ_CREATE created → \Driver\hello → completed"), "{}", done.text());
}

#[test]
fn parts_whose_driver_is_missing_are_skipped_with_the_reason() {
    let room = Room::new();
    let hello = std::fs::read(sys("hello.sys")).expect("reads");
    room.file("hello.sys", &hello);
    let done = ringbridge(["demo", "--sys-dir", &room.path("")]);
    assert_eq!(done.good().matches("skipped:").count(), 13, "{}", done.text());
    assert!(done.text().contains("stop.sys does not exist; `cargo xtask sys` builds it"), "{}", done.text());
    let nothing = ringbridge(["demo", "--sys-dir", "/nonexistent"]);
    assert!(nothing.failed().contains("nothing could be shown"), "{}", nothing.stderr);
    assert_eq!(nothing.text().matches("skipped:").count(), 15, "{}", nothing.text());
}
