//! `read`, `write`, `ioctl` and `ls` with a driver loaded into the command's own process.

use crate::run::{Ran, Room, command, hello_bytes, ran, ringbridge, sys};

const DEVICE: &str = r"\\.\My_Device";

fn hello<const N: usize>(arguments: [&str; N]) -> Ran {
    ran(command(arguments).args(["--driver", &sys("hello.sys")]))
}

#[test]
fn a_read_is_a_hex_dump_the_bytes_or_an_object() {
    assert_eq!(
        hello(["read", DEVICE, "10"]).good(),
        "00000000  68 68 68 68 68 68 68 68  68 68                    |hhhhhhhhhh|\n0000000a\n"
    );
    assert_eq!(hello(["read", DEVICE, "0x10", "--raw"]).good(), "hhhhhhhhhhhhhhhh");
    let read = hello(["read", DEVICE, "3", "--json"]).json();
    assert_eq!((&read["path"], &read["length"]), (&DEVICE.into(), &3.into()));
    assert_eq!((&read["bytes"], &read["data"]), (&3.into(), &"686868".into()));
    assert_eq!(hello(["read", DEVICE, "0"]).good(), "0 bytes\n");
}

#[test]
fn a_write_tells_how_much_was_taken() {
    let room = Room::new();
    let file = room.file("bytes", &[0; 5000]);
    assert_eq!(hello(["write", DEVICE, "a line"]).good(), "6 bytes written\n");
    assert_eq!(hello(["write", DEVICE, "--hex", "00 01,0x02"]).good(), "3 bytes written\n");
    let written = hello(["write", DEVICE, "--file", &file, "--json"]).json();
    assert_eq!((&written["length"], &written["bytes"]), (&5000.into(), &5000.into()));
    assert!(hello(["write", DEVICE, "--file", "/nonexistent"]).failed().contains("/nonexistent"));
    hello(["write", DEVICE]).usage();
    hello(["write", DEVICE, "text", "--hex", "00"]).usage();
    hello(["write", DEVICE, "--hex", "0"]).usage();
}

#[test]
fn a_control_code_carries_its_input_there_and_its_output_back() {
    let room = Room::new();
    let file = room.file("bytes", b"echo");
    for input in [["--in", "echo"], ["--in-hex", "6563686f"], ["--in-file", &file]] {
        let [option, value] = input;
        for code in ["0x222000", "CTL_CODE(0x22,0x800,BUFFERED,ANY)"] {
            let done = hello(["ioctl", DEVICE, code, option, value, "--out", "16", "--raw"]);
            assert_eq!(done.good(), "echo", "{code} {option}");
        }
    }
    let object = hello(["ioctl", DEVICE, "0x222000", "--in", "echo", "--out", "2", "--json"]).json();
    assert_eq!((&object["code"], &object["length"]), (&"0x00222000".into(), &2.into()));
    assert_eq!((&object["bytes"], &object["data"]), (&2.into(), &"6563".into()));
    assert_eq!(hello(["ioctl", DEVICE, "0x222000"]).good(), "0 bytes\n");
}

#[test]
fn refusals_are_told_with_error_and_status_and_end_with_status_1() {
    let refused = hello(["ioctl", DEVICE, "0x22E004", "--in", "x", "--out", "1", "--access", "read"]);
    assert!(refused.failed().contains("5 ERROR_ACCESS_DENIED (STATUS_ACCESS_DENIED, 0xC0000022)"));
    assert_eq!(refused.text(), "");
    assert_eq!(hello(["ioctl", DEVICE, "0x22E004", "--in", "x", "--out", "1", "--raw"]).good(), "x");
    let unknown = hello(["ioctl", DEVICE, "0x222FFC"]);
    assert!(unknown.failed().contains("1 ERROR_INVALID_FUNCTION"), "{}", unknown.stderr);
    let nobody = hello(["read", r"\\.\No_Device", "1"]);
    assert!(nobody.failed().contains("2 ERROR_FILE_NOT_FOUND"), "{}", nobody.stderr);
}

#[test]
fn lengths_and_codes_that_make_no_sense_are_usage_errors() {
    hello(["read", DEVICE, "ten"]).usage();
    hello(["read", DEVICE, "-1"]).usage();
    hello(["read", DEVICE, "0xFFFFFFFF"]).usage();
    hello(["read", DEVICE, "4", "--raw", "--json"]).usage();
    hello(["ioctl", DEVICE, "0x222000", "--in", "a", "--in-hex", "00"]).usage();
    hello(["ioctl", DEVICE, "0x222000", "--access", "some"]).usage();
    hello(["read", DEVICE, "4", "--socket", "/tmp/x"]).usage();
}

#[test]
fn drivers_that_do_not_load_are_named_with_the_reason() {
    let room = Room::new();
    let cut = room.file("cut.sys", &hello_bytes()[..4000]);
    let refused = ringbridge(["read", DEVICE, "1", "--driver", &cut]);
    assert!(
        refused.failed().contains("cut.sys is not loaded: the image cannot be loaded"),
        "{}",
        refused.stderr
    );
    let twice =
        ringbridge(["read", DEVICE, "1", "--driver", &sys("hello.sys"), "--driver", &sys("hello.sys")]);
    assert!(twice.failed().contains("loaded already"), "{}", twice.stderr);
    assert!(
        ringbridge(["read", DEVICE, "1", "--driver", "/nonexistent.sys"])
            .failed()
            .contains("/nonexistent.sys")
    );
}

#[test]
fn what_drivers_print_is_shown_on_request_and_apart_from_the_data() {
    let quiet = hello(["read", DEVICE, "1", "--raw"]);
    assert_eq!((quiet.good(), quiet.stderr.as_str()), ("h", ""));
    let verbose = hello(["read", DEVICE, "1", "--raw", "--verbose"]);
    assert_eq!(verbose.good(), "h");
    assert!(verbose.stderr.starts_with("hello: loaded from "), "{}", verbose.stderr);
}

#[test]
fn a_bugcheck_is_a_report_and_status_1() {
    let mut read_null = command(["ioctl", r"\\.\RbStop", "0x222004", "--in-hex", "1000000000000000"]);
    let done = ran(read_null.args(["--out", "216", "--driver", &sys("stop.sys")]));
    assert!(done.failed().contains("*** STOP 0x0000001E KMODE_EXCEPTION_NOT_HANDLED"), "{}", done.stderr);
    assert!(done.stderr.contains("stop.sys+0x"), "{}", done.stderr);
    assert!(done.stderr.contains("error: a driver stopped the machine"), "{}", done.stderr);
    assert_eq!(done.text(), "");
}

#[test]
fn the_namespace_is_listed_with_types_and_targets() {
    let listed = hello(["ls", r"\??"]);
    let link = ["My_Device", "SymbolicLink", "->", r"\Device\My_Device"];
    let is_link = |line: &str| line.split_whitespace().eq(link);
    assert!(listed.good().lines().any(is_link), "{}", listed.text());
    let all = hello(["ls", "--recursive", "--json"]).json();
    let objects = all["objects"].as_array().expect("a list");
    for (path, type_name) in
        [(r"\Device\My_Device", "Device"), (r"\Driver\hello", "Driver"), (r"\Device", "Directory")]
    {
        let found = objects.iter().find(|object| object["path"] == path).expect("it is listed");
        assert_eq!(found["type"], type_name, "{path}");
    }
    let flat = hello(["ls", "--json"]).json();
    let paths = flat["objects"].as_array().expect("a list").iter();
    assert!(paths.clone().any(|object| object["path"] == r"\Device"));
    assert!(paths.clone().all(|object| object["path"] != r"\Device\My_Device"));
    assert!(hello(["ls", r"\Nowhere"]).failed().contains("there is no such directory"));
    assert!(hello(["ls", r"\Device\My_Device"]).failed().contains("not a directory"));
    assert!(hello(["ls", "Device"]).failed().contains("backslash"));
}
