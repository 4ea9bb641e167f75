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
    let mut bytes: Vec<u64> = table.good().lines().skip(1).map(last_number).collect();
    let all = bytes.pop().expect("the last line");
    assert_eq!(bytes.iter().sum::<u64>(), all, "{}", table.text());
    assert!(table.text().lines().any(|line| line.starts_with("kernel  File ")), "{}", table.text());
}

fn last_number(line: &str) -> u64 {
    line.split_whitespace().last().and_then(|word| word.parse().ok()).expect("bytes stand last")
}

#[test]
fn without_a_driver_it_says_what_to_do() {
    assert!(ringbridge(["pool"]).failed().contains("--driver FILE.sys"));
    ringbridge(["pool", "--write", "x"]).usage();
}
