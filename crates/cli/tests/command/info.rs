//! `info`: facts of sound files, reasons for others.

use crate::run::{Ran, Room, hello_bytes, ringbridge, sys};

fn info(content: &[u8]) -> Ran {
    let room = Room::new();
    ringbridge(["info", &room.file("candidate.sys", content)])
}

/// Where the PE headers begin, by the DOS header's last field.
fn headers(image: &[u8]) -> usize {
    let field = image[0x3C..0x40].try_into().expect("four bytes");
    usize::try_from(u32::from_le_bytes(field)).expect("fits")
}

#[test]
fn a_driver_is_described_and_judged() {
    let done = ringbridge(["info", &sys("hello.sys")]);
    let text = done.good();
    for part in ["x64", "1 (native)", "sections (5)", ".text", "r-x", "ntoskrnl.exe", "IoCreateDevice"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(text.ends_with("hello.sys: loads\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "colour in a pipe");
}

#[test]
fn the_json_object_says_the_same() {
    let facts = ringbridge(["info", "--json", &sys("hello.sys")]).json();
    assert_eq!(facts["name"], "hello.sys");
    assert_eq!(facts["loads"], true);
    assert_eq!(facts["obstacle"], serde_json::Value::Null);
    assert_eq!(facts["machine"], "x64");
    let sections = facts["sections"].as_array().expect("a list");
    assert!(sections.iter().any(|section| section["name"] == ".text" && section["protection"] == "r-x"));
    let full = facts["imports"]["full"].as_array().expect("a list");
    assert!(
        full.iter().any(|import| import["symbol"] == "IoDeleteDevice" && import["dll"] == "ntoskrnl.exe")
    );
    assert_eq!(facts["imports"]["unknown"].as_array().map(Vec::len), Some(0));
}

#[test]
fn an_import_that_nobody_has_is_named_and_the_loader_agrees() {
    let mut image = hello_bytes();
    let name = b"DbgPrint\0";
    let at = image.windows(name.len()).position(|window| window == name).expect("hello imports it");
    image[at..at + 8].copy_from_slice(b"DbgPrinX");
    let room = Room::new();
    let path = room.file("changed.sys", &image);
    let done = ringbridge(["info", &path]);
    let text = done.good();
    assert!(text.contains("unknown (1)   DbgPrinX"), "{text}");
    assert!(text.ends_with("changed.sys: needs 1 export that is missing\n"), "{text}");
    let facts = ringbridge(["info", "--json", &path]).json();
    assert_eq!(
        (&facts["loads"], &facts["imports"]["unknown"][0]["symbol"]),
        (&false.into(), &"DbgPrinX".into())
    );
    let loaded = ringbridge(["read", r"\\.\My_Device", "1", "--driver", &path]);
    assert!(loaded.failed().contains("ntoskrnl.exe!DbgPrinX"), "{}", loaded.stderr);
}

#[test]
fn files_that_are_no_drivers_are_refused_with_the_reason() {
    let elf = std::fs::read("/proc/self/exe").expect("this test is a program");
    assert!(info(&elf).failed().contains("not a Windows image"), "an ELF program");
    assert!(info(b"").failed().contains("not a Windows image"), "an empty file");
    assert!(info(b"MZ").failed().contains("cut off"), "two letters");

    let hello = hello_bytes();
    let at = headers(&hello);
    let mut x86 = hello.clone();
    x86[at + 4..at + 6].copy_from_slice(&[0x4C, 0x01]);
    assert!(info(&x86).failed().contains("32-bit x86"));
    let mut program = hello.clone();
    program[at + 0x5C..at + 0x5E].copy_from_slice(&[3, 0]);
    assert!(info(&program).failed().contains("not a driver: its subsystem is 3"));
    assert!(info(&hello[..hello.len() / 2]).failed().contains("candidate.sys cannot be loaded"));
}

#[test]
fn no_cut_through_a_file_is_taken_for_a_driver_or_ends_in_a_panic() {
    let hello = hello_bytes();
    // The file ends with its last section: no byte of it is spare but padding.
    for length in (0..hello.len() - 512).step_by(379) {
        info(&hello[..length]).failed();
    }
}

#[test]
fn a_file_without_an_end_is_not_read() {
    let done = ringbridge(["info", "/dev/null"]);
    assert!(done.failed().contains("cannot read /dev/null: it is not a regular file"), "{}", done.stderr);
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let done = ringbridge(["info", "/nonexistent/nothing.sys"]);
    assert!(done.failed().contains("cannot read /nonexistent/nothing.sys"), "{}", done.stderr);
    ringbridge(["info"]).usage();
}
