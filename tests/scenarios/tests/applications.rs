//! The sample drivers' applications, embedded and in a process of their own, with what they say.

use std::sync::Arc;

use app::Transport;
use ringbridge_scenarios::{
    BUFFERS, CONSULT, DELAY, Form, HELLO, MAPPING, NAMEDPIPE, NOTIFY, STEWARD, SampleDriver, VERDICT,
    application, run_application, scenario, unload_when_closed,
};
use sample_applications::{
    Run, buffers, consult, delay, hello, mapping, namedpipe, notify, steward, verdict,
};

const HELLO_SAYS: [&str; 4] = [
    "read 10 bytes: [68, 68, 68, 68, 68, 68, 68, 68, 68, 68]",
    "wrote 13 bytes",
    "controlled: echo",
    "closed",
];
const BUFFERS_SAYS: [&str; 7] = [
    "direct: wrote 23 bytes, read \"every way carries bytes\"",
    "buffered: \"every way carries bytes\"",
    "buffered, with room for five: 5 bytes",
    "neither: \"every way carries bytes\"",
    "neither, with room for five: 5 bytes",
    "in direct: 23 bytes, out direct: \"WAY\\0CARRIES\\0BYTES\"",
    "without a key: Some(87)",
];
const NAMEDPIPE_SAYS: [&str; 4] = [
    "the driver connects: \"the driver is here\"",
    "\"was it a car\" comes back as \"rac a ti saw\"",
    "\"or a cat i saw\" comes back as \"was i tac a ro\"",
    "and in bytes: \"the driver is here\", \"NO BOUNDARIES\"",
];
const DELAY_SAYS: [&str; 5] = [
    "three reads side by side, awaited by events: 300 bytes",
    "a read of an hour, ended in time: false, cancelled: 995",
    "the port told of reads of [2, 3, 1] bytes",
    "completion routines got 30 bytes",
    "two futures brought 9 bytes",
];
const STEWARD_SAYS: [&str; 6] = [
    "a user of its own: true",
    "opened for Anonymous: STATUS_BAD_IMPERSONATION_LEVEL",
    "opened for Identification: STATUS_BAD_IMPERSONATION_LEVEL",
    "opened for Impersonation: STATUS_SUCCESS",
    "lowered to Some(Identification): 1346",
    "reverted: STATUS_SUCCESS",
];
const MAPPING_SAYS: [&str; 6] = [
    "drawn     [ ...::---===+++***###%%@]",
    "inverted  [@%%###***+++===---::... ], 1 time",
    "by handle: SEEN BY BOTH",
    "a handle that only reads: 5",
    "made by the driver, counted to 2",
    "the driver reads: and answered",
];

const NOTIFY_SAYS: [&str; 4] = [
    "10000 notifications by an event that the driver named",
    "10000 notifications by an event whose handle the driver got",
    "10000 notifications by requests that waited in the driver",
    "one wait for all three: 10000, 10000 and 10000 notifications",
];

const CONSULT_SAYS: [&str; 4] = [
    "the driver asked about bytes, words and lines, and was told [2800, 600, 100]",
    "left without an answer, it goes on: 6",
    "asked again: [2800, 600, 100]",
    "the driver changed 23000 letters: LARGER THAN A MESSAGE MAY BE:",
];

const VERDICT_SAYS: [&str; 7] = [
    "without a guard: opened",
    r"\letter.txt: opened",
    r"\letter.exe: 5",
    r"\deep\down\LETTER.EXE: 5",
    "side by side: 80 of 100",
    "allowed 81, denied 22, unanswered 0, unguarded 1",
    "the guard is gone: opened",
];

fn says(run: Run, transport: Arc<dyn Transport>, expected: &[&str]) {
    let mut said = Vec::new();
    run(transport, &mut |line| said.push(line.to_owned())).expect("succeeds");
    assert_eq!(said, expected);
}

fn in_both_places(driver: SampleDriver, form: Form, name: &str, run: Run, says: &[&str]) {
    let machine = driver.machine(form);
    self::says(run, Arc::new(machine.process("embedded")), says);
    let folder = tempfile::tempdir().expect("a folder");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application(name, server.path());
    server.stop();
    unload_when_closed(&machine, driver.name);
}

#[test]
fn hello_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(hello::run, Arc::new(client), &HELLO_SAYS);
    }
}

#[test]
fn buffers_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(buffers::run, Arc::new(client), &BUFFERS_SAYS);
    }
}

#[test]
fn delay_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(delay::run, Arc::new(client), &DELAY_SAYS);
    }
}

#[test]
fn consult_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(consult::run, Arc::new(client), &CONSULT_SAYS);
    }
}

#[test]
fn notify_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(notify::run, Arc::new(client), &NOTIFY_SAYS);
    }
}

#[test]
fn steward_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(steward::run, Arc::new(client), &STEWARD_SAYS);
    }
}

#[test]
fn mapping_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(mapping::run, Arc::new(client), &MAPPING_SAYS);
    }
}

#[test]
fn verdict_in_a_process_of_its_own() {
    if let Some(client) = application() {
        // Another application has been before.
        let mut says = VERDICT_SAYS;
        says[5] = "allowed 162, denied 44, unanswered 0, unguarded 3";
        self::says(verdict::run, Arc::new(client), &says);
    }
}

scenario! {
    fn verdict_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(VERDICT, form, "verdict_in_a_process_of_its_own", verdict::run, &VERDICT_SAYS);
    }
}

#[test]
fn namedpipe_in_a_process_of_its_own() {
    if let Some(client) = application() {
        says(namedpipe::run, Arc::new(client), &NAMEDPIPE_SAYS);
    }
}

scenario! {
    fn namedpipe_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(NAMEDPIPE, form, "namedpipe_in_a_process_of_its_own", namedpipe::run, &NAMEDPIPE_SAYS);
    }
}

scenario! {
    fn hello_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(HELLO, form, "hello_in_a_process_of_its_own", hello::run, &HELLO_SAYS);
    }
}

scenario! {
    fn buffers_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(BUFFERS, form, "buffers_in_a_process_of_its_own", buffers::run, &BUFFERS_SAYS);
    }
}

scenario! {
    fn delay_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(DELAY, form, "delay_in_a_process_of_its_own", delay::run, &DELAY_SAYS);
    }
}

scenario! {
    fn consult_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(CONSULT, form, "consult_in_a_process_of_its_own", consult::run, &CONSULT_SAYS);
    }
}

scenario! {
    fn notify_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(NOTIFY, form, "notify_in_a_process_of_its_own", notify::run, &NOTIFY_SAYS);
    }
}

scenario! {
    fn steward_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(STEWARD, form, "steward_in_a_process_of_its_own", steward::run, &STEWARD_SAYS);
    }
}

scenario! {
    fn mapping_says_the_same_wherever_it_runs(form: Form) {
        in_both_places(MAPPING, form, "mapping_in_a_process_of_its_own", mapping::run, &MAPPING_SAYS);
    }
}

#[test]
fn applications_use_their_drivers_codes() {
    assert_eq!(hello::IOCTL_ECHO.0, sample_hello::IOCTL_ECHO);
    assert_eq!(buffers::IOCTL_INVERT_BUFFERED.0, sample_buffers::IOCTL_INVERT_BUFFERED);
    assert_eq!(buffers::IOCTL_STORE.0, sample_buffers::IOCTL_STORE);
    assert_eq!(buffers::IOCTL_LOAD.0, sample_buffers::IOCTL_LOAD);
    assert_eq!(buffers::IOCTL_INVERT_NEITHER.0, sample_buffers::IOCTL_INVERT_NEITHER);
    assert_eq!(delay::IOCTL_SET.0, sample_delay::IOCTL_SET);
    let codes = [notify::IOCTL_NAME, notify::IOCTL_START, notify::IOCTL_NEXT].map(|code| code.0);
    assert_eq!(codes, [sample_notify::IOCTL_NAME, sample_notify::IOCTL_START, sample_notify::IOCTL_NEXT]);
    assert_eq!(consult::IOCTL_CONSULT.0, sample_consult::IOCTL_CONSULT);
    assert_eq!(consult::PORT, sample_consult::PORT);
    assert_eq!((verdict::ALLOW, verdict::DENY), (sample_verdict::ALLOW, sample_verdict::DENY));
    assert_eq!(verdict::LONGEST, sample_verdict::LONGEST * 2);
    assert_eq!(mapping::IOCTL_INVERT.0, sample_mapping::IOCTL_INVERT);
    assert_eq!(mapping::IOCTL_UPPER.0, sample_mapping::IOCTL_UPPER);
    assert_eq!(mapping::IOCTL_PUBLISH.0, sample_mapping::IOCTL_PUBLISH);
    assert_eq!(mapping::IOCTL_TAKE.0, sample_mapping::IOCTL_TAKE);
    assert_eq!(namedpipe::IOCTL_TALK.0, sample_namedpipe::IOCTL_TALK);
    assert_eq!(namedpipe::IOCTL_QUERY.0, sample_namedpipe::IOCTL_QUERY);
}
