//! `pool`: owners, tags and sizes are what the driver asked for.

use serde_json::Value;

use crate::run::{ringbridge, sys};

const DEVICE: &str = r"\\.\My_Device";

/// The row of hello's tag.
fn helo(report: &Value) -> Option<&Value> {
    let tags = report["tags"].as_array().expect("a list");
    tags.iter().find(|row| row["owner"] == "hello" && row["tag"] == "Helo")
}

#[test]
fn what_a_driver_keeps_of_a_write_is_shown_under_its_tag() {
    let driver = sys("hello.sys");
    let before = ringbridge(["pool", "--driver", &driver, "--json"]).json();
    assert!(helo(&before).is_none(), "nothing was written yet: {before}");
    let text = "twelve bytes";
    let after = ringbridge(["pool", "--driver", &driver, "--open", DEVICE, "--write", text, "--json"]).json();
    let row = helo(&after).expect("hello keeps what was written last");
    assert_eq!((&row["blocks"], &row["bytes"]), (&1.into(), &text.len().into()), "{after}");
    assert_eq!(row["value"], u32::from_le_bytes(*b"Helo"));
}

#[test]
fn the_table_sums_up_what_it_shows() {
    let table = ringbridge(["pool", "--driver", &sys("hello.sys"), "--open", DEVICE]);
    let mut rows: Vec<[u64; 3]> = table.good().lines().skip(1).map(numbers).collect();
    let all = rows.pop().expect("the last line");
    for column in 0..3 {
        assert_eq!(rows.iter().map(|row| row[column]).sum::<u64>(), all[column], "{}", table.text());
    }
    assert!(all[1] > all[2], "not all is paged");
    assert!(table.text().lines().any(|line| line.starts_with("kernel  File ")), "{}", table.text());
}

/// Blocks, bytes and those that are paged, which stand last.
fn numbers(line: &str) -> [u64; 3] {
    let words: Vec<&str> = line.split_whitespace().collect();
    let last = words.last_chunk::<3>().expect("three numbers");
    last.map(|word| word.parse().expect("a number"))
}

#[test]
fn a_parameter_reaches_the_drivers_service() {
    let (hello, tap) = (sys("hello.sys"), sys("tap.sys"));
    let with = |value: &str| {
        ringbridge(["ls", r"\Device", "--driver", &hello, "--driver", &tap, "--parameter", value])
    };
    assert!(with(r"Target=\Device\My_Device").good().contains("Tap"));
    assert!(with(r"Target=\Device\Nowhere").failed().contains("STATUS_OBJECT_NAME_NOT_FOUND"));
    assert!(with("Target=7").failed().contains("STATUS_OBJECT_TYPE_MISMATCH"));
    with("Target").usage();
}

#[test]
fn without_a_driver_it_says_what_to_do() {
    assert!(ringbridge(["pool"]).failed().contains("--driver FILE.sys"));
    ringbridge(["pool", "--write", "x"]).usage();
}
