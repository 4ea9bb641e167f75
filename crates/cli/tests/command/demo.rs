//! `demo`: the tour, whole, one screen alone, and with screens missing.

use crate::run::{Room, command, ran, ringbridge, sys, sys_dir};

/// Every channel: its name, and something that only its screen says.
const SCREENS: &[(&str, &str)] = &[
    ("read-write", "ReadFile(10 bytes) -> 10 bytes"),
    ("later", "ReadFile in a process that is killed -> STATUS_CANCELLED"),
    ("control", "METHOD_OUT_DIRECT: the second buffer written where it is"),
    ("buffers", "WriteFile, ReadFile(\\\\.\\Memory) -> 12 bytes; \"twelve bytes\""),
    ("filter-port", "FilterReplyMessage(deny) -> the open failed with 5"),
    ("lpc", "NtRequestWaitReplyPort -> 36000 letters changed"),
    ("section", "OpenFileMapping(Global\\Greeting), MapViewOfFile -> \"made by the driver\""),
    ("named-pipe", "ReadFile -> \"stressed\""),
    ("notify", "1000 notifications in order"),
    ("shared-memory", "256 MiB read from the ring"),
    ("contexts", "the second handle sees -> 6 bytes inside, 2 opens"),
    ("pipe", "\"from a process of its own\""),
    ("pool", "hello holds 28 bytes of pool in 1 block with tag 'Helo'"),
    ("handles", "no IRP is made: the file has another handle"),
    ("majors", "0x0c IRP_MJ_DIRECTORY_CONTROL        \\Driver\\shelf 1"),
    ("volume", "ReadDirectoryChangesW -> action 1: news"),
    ("device", "removal cancelled, asked to sleep, powered down, powered up, gone"),
    ("boost", "IO_SOUND_INCREMENT          8"),
    ("names", "SymbolicLink -> \\Device\\My_Device"),
    ("security", "for a user the driver opens \\Device\\RbVault as its client -> STATUS_ACCESS_DENIED"),
    ("stack", "ReadFile(5 bytes) -> \"HHHHH\", through both"),
    ("life", "ringbridge: hello unloaded, nothing left behind"),
    ("synchronisation", "sixty-four objects in one wait"),
    ("crash", "*** STOP 0x0000001E KMODE_EXCEPTION_NOT_HANDLED"),
];

#[test]
fn the_tour_shows_every_channel_in_the_order_of_the_rows_with_its_number_row_and_seeds() {
    sys("hello.sys");
    sys("stop.sys");
    let mut demo = command(["demo", "--sys-dir"]);
    let done = ran(demo.arg(sys_dir()));
    let text = done.good();
    let mut rest = text;
    for (number, (name, says)) in (1..).zip(SCREENS) {
        let heading = format!(": --channel {name}\n");
        let at = rest.find(&heading).unwrap_or_else(|| panic!("{name} is missing or late in:\n{text}"));
        assert!(rest[..at].contains(&format!("{number}  ")), "{name}'s number:\n{rest}");
        rest = &rest[at + heading.len()..];
        let screen = rest.split(": --channel ").next().unwrap_or(rest);
        assert!(screen.contains(says), "{name}: {says} is missing in:\n{screen}");
        assert!(screen.contains("| I/O manager"), "{name} draws no IRP's route:\n{screen}");
    }
    assert!(text.contains("   M1, seed 000, 001, 004: --channel read-write\n"), "{text}");
    for rule in [
        r"| embedded    |-->| IRP_MJ_READ |-->| STATUS_SUCCESS |",
        r"-->| shared memory |-->| IRP_MJ_READ |-->| STATUS_SUCCESS |",
        r"| \Driver\tap    |   | \Driver\hello  |",
        "error 5 ERROR_ACCESS_DENIED",
        "4 bytes: 68686868",
    ] {
        assert!(text.contains(rule), "{rule} is missing in:\n{text}");
    }
    assert!(text.is_ascii(), "the locale is C");
    assert!(!text.contains('\x1b'), "this is no terminal");
    assert!(!text.contains("skipped"), "{text}");
}

#[test]
fn one_channel_is_shown_alone_under_its_number_and_a_name_nearly_right_is_suggested() {
    sys("pipe.sys");
    let mut demo = command(["demo", "--channel", "pipe", "--sys-dir"]);
    let done = ran(demo.arg(sys_dir()));
    assert!(done.good().starts_with("12  The pipe driver"), "{}", done.text());
    assert_eq!(done.text().matches(": --channel ").count(), 1, "{}", done.text());
    let wrong = ringbridge(["demo", "--channel", "shared-memroy"]);
    assert!(wrong.usage().contains("'shared-memory'"), "{}", wrong.stderr);
}

#[test]
fn the_list_names_every_channel_with_its_rows_and_seeds_and_each_row_has_one() {
    let list = ringbridge(["demo", "--list"]);
    let names: Vec<_> = list.good().lines().filter_map(|line| line.split_whitespace().next()).collect();
    let screens: Vec<_> = SCREENS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, screens);
    assert!(list.text().contains("later            M2        000 001"), "{}", list.text());
    let json = ringbridge(["demo", "--list", "--json", "--channel", "stack"]).json();
    assert_eq!(json["channels"][0]["rows"], serde_json::json!(["M15", "M17"]));
    assert_eq!(json["channels"][0]["drivers"], serde_json::json!(["hello", "tap"]));
    assert_eq!(json["channels"].as_array().map(Vec::len), Some(1));
    let all = ringbridge(["demo", "--list", "--json"]).json();
    let channels = all["channels"].as_array().expect("an array");
    let has = |row: &str| {
        channels
            .iter()
            .any(|channel| channel["rows"].as_array().is_some_and(|rows| rows.contains(&row.into())))
    };
    for row in 1..=19 {
        assert!(has(&format!("M{row}")), "M{row}");
    }
}

#[test]
fn a_terminal_with_utf_8_gets_boxes() {
    sys("hello.sys");
    let mut demo = command(["demo", "--channel", "read-write", "--sys-dir"]);
    let done = ran(demo.arg(sys_dir()).env("LC_ALL", "C.UTF-8"));
    let line = r"│ embedded    ├──▶│ IRP_MJ_CREATE ├──▶│ STATUS_SUCCESS │";
    assert!(done.good().contains(line), "{}", done.text());
}

#[test]
fn screens_whose_driver_is_missing_are_skipped_with_the_reason_or_are_an_error_when_asked_for() {
    let room = Room::new();
    let hello = std::fs::read(sys("hello.sys")).expect("reads");
    room.file("hello.sys", &hello);
    let done = ringbridge(["demo", "--sys-dir", &room.path("")]);
    assert_eq!(done.good().matches("skipped:").count(), SCREENS.len() - 2, "{}", done.text());
    assert!(done.text().contains("stop.sys does not exist; `cargo xtask sys` builds it"), "{}", done.text());
    let alone = ringbridge(["demo", "--channel", "crash", "--sys-dir", &room.path("")]);
    assert!(alone.failed().contains("crash cannot be shown: "), "{}", alone.stderr);
    let nothing = ringbridge(["demo", "--sys-dir", "/nonexistent"]);
    assert!(nothing.failed().contains("nothing could be shown"), "{}", nothing.stderr);
    assert_eq!(nothing.text().matches("skipped:").count(), SCREENS.len(), "{}", nothing.text());
}
