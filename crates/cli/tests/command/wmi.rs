//! `wmi`: which blocks drivers offer, their data, methods and events.

use crate::run::{ringbridge, sys};

const BLOCK: &str = "52424d49-0001-0002-0304-05060708090a";

#[test]
fn blocks_data_methods_and_events_of_a_driver_are_shown() {
    let driver = sys("wmi.sys");
    let list = ringbridge(["wmi", "--driver", &driver, "--json"]).json();
    assert_eq!(list["providers"][0]["device"], r"\Device\RbWmi");
    assert_eq!(list["providers"][0]["blocks"][0]["guid"], BLOCK);
    let all = ringbridge(["wmi", BLOCK, "--driver", &driver, "--json"]).json();
    assert_eq!(all["data"].as_array().map(Vec::len), Some(2));
    let method =
        ringbridge(["wmi", BLOCK, "--method", "7", "--in-hex", "0102", "--driver", &driver, "--json"]);
    assert_eq!(method.json()["data"][0], "0201");
    let missing = ringbridge(["wmi", BLOCK, "--instance", "9", "--driver", &driver]);
    assert!(missing.failed().contains("STATUS_WMI_INSTANCE_NOT_FOUND"));
    assert!(ringbridge(["wmi"]).failed().contains("--driver FILE.sys"));
}
