//! `code`, `status` and `exports`: the decoders and the table.

use std::process::Stdio;

use crate::run::{command, ringbridge};

#[test]
fn a_control_code_is_taken_apart() {
    let done = ringbridge(["code", "0x9C40240F"]);
    for part in ["0x9c40", "0x903", "METHOD_NEITHER", "FILE_ANY_ACCESS", "vendor's own"] {
        assert!(done.good().contains(part), "{part} is missing in:\n{}", done.text());
    }
    let code =
        ringbridge(["code", "--json", "CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, BUFFERED, READ|WRITE)"]).json();
    assert_eq!(code["code"], "0x0022E004");
    assert_eq!(code["value"], 0x0022_E004);
    assert_eq!(code["device_type_name"], "FILE_DEVICE_UNKNOWN");
    assert_eq!(code["function"], 0x801);
    assert_eq!(
        (&code["device_type_is_vendors"], &code["function_is_vendors"]),
        (&false.into(), &true.into())
    );
    assert_eq!(code["method"], "METHOD_BUFFERED");
    assert_eq!(code["access"], "FILE_READ_ACCESS | FILE_WRITE_ACCESS");
}

#[test]
fn what_is_no_control_code_is_a_usage_error() {
    for text in ["", "x", "0x1FFFFFFFF", "CTL_CODE(1,2,3)", "CTL_CODE(0x22, 0x1000, BUFFERED, ANY)"] {
        ringbridge(["code", text]).usage();
    }
}

#[test]
fn a_status_is_explained_by_number_and_by_name() {
    for text in ["0xC0000010", "STATUS_INVALID_DEVICE_REQUEST", "-1073741808", "3221225488"] {
        let status = ringbridge(["status", "--json", text]).json();
        assert_eq!(status["kind"], "ntstatus", "{text}");
        assert_eq!(status["status"], "0xC0000010");
        assert_eq!(status["name"], "STATUS_INVALID_DEVICE_REQUEST");
        assert_eq!((&status["severity"], &status["nt_success"]), (&"error".into(), &false.into()));
        assert_eq!(status["facility"], 0);
        assert_eq!(
            (&status["win32"]["error"], &status["win32"]["name"]),
            (&1.into(), &"ERROR_INVALID_FUNCTION".into())
        );
    }
    let warning = ringbridge(["status", "0x80000005"]);
    assert!(warning.good().contains("STATUS_BUFFER_OVERFLOW"), "{}", warning.text());
    assert!(warning.text().contains("warning (NT_SUCCESS is false)"));
    assert!(ringbridge(["status", "STATUS_TIMEOUT"]).good().contains("NT_SUCCESS is true"));
}

#[test]
fn a_win32_error_is_explained_with_the_statuses_that_become_it() {
    for text in ["5", "ERROR_ACCESS_DENIED", "error_access_denied"] {
        let error = ringbridge(["status", "--json", text]).json();
        assert_eq!((&error["kind"], &error["value"]), (&"win32".into(), &5.into()), "{text}");
        let statuses = error["statuses"].as_array().expect("a list");
        assert!(statuses.iter().any(|status| status["name"] == "STATUS_ACCESS_DENIED"), "{error}");
        assert!(statuses.iter().all(|status| status["name"] != "STATUS_INVALID_HANDLE"), "{error}");
    }
}

#[test]
fn what_has_no_name_is_still_decoded_and_unknown_names_are_an_error() {
    let unknown = ringbridge(["status", "--json", "0xE0001234"]).json();
    assert_eq!((&unknown["name"], &unknown["customer"]), (&serde_json::Value::Null, &true.into()));
    assert!(ringbridge(["status", "STATUS_NO_SUCH_NAME"]).failed().contains("STATUS_NO_SUCH_NAME"));
    for text in ["", "0x", "1_0_z", "0x123456789"] {
        ringbridge(["status", text]).usage();
    }
}

#[test]
fn the_table_of_exports_is_the_documentation_page_and_one_object() {
    let page = ringbridge(["exports", "--markdown"]);
    assert!(page.good().starts_with("# Exports\n"), "{}", page.text());
    let table = ringbridge(["exports", "--json"]).json();
    let rows = table["exports"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["name"] == "IoDeleteDevice").expect("it is there");
    assert_eq!((&row["dll"], &row["support"]), (&"ntoskrnl.exe".into(), &"full".into()));
    let device = ringbridge(["exports", "IoDeleteDevice"]);
    assert!(device.good().starts_with("Full (1)\n"), "{}", device.text());
    ringbridge(["exports", "--json", "--markdown"]).usage();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command(["exports", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ringbridge starts");
    // Closed before much can have been written: the page is larger than what a pipe holds.
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert_eq!(done.status.code(), Some(0));
}
