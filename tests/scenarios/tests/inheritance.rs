//! What a child gets of its parent's handles: none, but for those that it was started with. Parent and child are processes
//! of their own.

use std::process::{Command, Stdio};

use abi::{
    STATUS_ACCESS_DENIED, STATUS_INVALID_HANDLE, STATUS_NOT_FOUND, STATUS_QUOTA_EXCEEDED, STATUS_SUCCESS,
};
use app::OpenOptions;
use gate::{Client, Handle, Inheritance, Ticket, Transport};
use ringbridge_scenarios::{
    APPS, AppsWitness, Beside, PIPE, application, apps_nothing, machine_with, open, run_application,
    say_ready, scenario, unload_cleanly, wait_to_go_on,
};

const HELLO: &str = r"\\.\Example\HELLO";

/// The test `name` of this binary, as a child of this application.
fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", name, "--nocapture"]).stdout(Stdio::null());
    command
}

fn run_child(client: &Client, name: &str, handles: &[Handle]) {
    let mut child = client.spawn(&mut child(name), handles).expect("starts");
    assert!(child.wait().expect("ends").success(), "the child failed");
}

#[test]
fn child_with_two_ends_of_a_pipe() {
    let Some(client) = application() else { return };
    let [writer, reader] = client.inherited().expect("it was started with handles")[..] else {
        panic!("two")
    };
    // Its own opens are of the same pipe; its parent's handles work with the access that they had.
    let mut bytes = [0; 16];
    let read = client.read(reader, &mut bytes, None);
    assert_eq!((read.status, &bytes[..11]), (STATUS_SUCCESS, &b"from parent"[..]));
    assert_eq!(client.write(reader, b"no", None).status, STATUS_ACCESS_DENIED);
    assert_eq!(client.read(writer, &mut bytes, None).status, STATUS_ACCESS_DENIED);
    assert_eq!(client.write(writer, b"from child", None).information, 10);
    assert_eq!(client.inherited(), Err(STATUS_NOT_FOUND), "once");
}

#[test]
fn child_with_nothing() {
    let Some(client) = application() else { return };
    assert_eq!(client.inherited(), Ok(Vec::new()));
    // The parent's handles have these values.
    for value in (4..=64).step_by(4) {
        assert_eq!(client.read(Handle(value), &mut [0; 4], None).status, STATUS_INVALID_HANDLE);
    }
}

/// Descriptors of shared memory that a process has open.
fn shared_memories(descriptors: impl Iterator<Item = String>) -> usize {
    descriptors.filter(|target| target.contains("memfd:")).count()
}

#[test]
fn application_that_executes_a_program() {
    let Some(_client) = application() else { return };
    let own = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").filter_map(Result::ok);
    let own = own.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    assert_eq!(shared_memories(own.map(|target| target.display().to_string())), 0, "the window needs none");
    let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().expect("ls runs");
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert!(listed.lines().count() > 3, "{listed}");
    assert_eq!(shared_memories(listed.lines().map(str::to_owned)), 0, "{listed}");
}

#[test]
fn the_window_is_closed_in_programs_that_an_application_executes() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application("application_that_executes_a_program", server.path());
    server.stop();
}

#[test]
fn parent_of_children() {
    let Some(client) = application() else { return };
    let writer = OpenOptions::new().access(abi::GENERIC_WRITE).open(&client, HELLO).expect("opens");
    let reader = OpenOptions::new().access(abi::GENERIC_READ).open(&client, HELLO).expect("opens");
    assert_eq!(writer.write(b"from parent").expect("writes"), 11);
    run_child(&client, "child_with_two_ends_of_a_pipe", &[writer.handle(), reader.handle()]);
    let mut bytes = [0; 16];
    assert_eq!(reader.read(&mut bytes).expect("the parent's handles are as they were"), 10);
    assert_eq!(&bytes[..10], b"from child");
    let mut plain = child("child_with_nothing");
    assert!(plain.status().expect("starts").success(), "a child that is just started gets nothing");

    let none = client.offer_handles(&[reader.handle(), Handle(0x7770)]);
    assert_eq!(none, Err(STATUS_INVALID_HANDLE));
    let unknown = Ticket::random().expect("a number");
    assert_eq!(client.take_handles(&unknown), Err(STATUS_NOT_FOUND));
    let absent = client.spawn(&mut Command::new("/nonexistent"), &[reader.handle()]);
    assert!(matches!(absent, Err(gate::SpawnError::Linux(_))));
}

scenario! {
    fn a_child_gets_the_handles_that_it_was_started_with_and_no_others(form: Form) {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = PIPE.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        run_application("parent_of_children", server.path());
        server.stop();
        unload_cleanly(&machine, "pipe");
    }
}

#[test]
fn child_that_keeps_a_handle() {
    let Some(client) = application() else { return };
    let [handle] = client.inherited().expect("it was started with a handle")[..] else { panic!("one") };
    wait_to_go_on();
    let mut sleeping = [0; 8];
    let asked = client.device_control(handle, apps_nothing().0, &[], &mut sleeping);
    assert_eq!(asked.status, STATUS_SUCCESS, "its parent has closed its own");
    // It ends with the handle open.
    std::mem::forget(client);
}

#[test]
fn parent_that_closes_its_handle_first() {
    let Some(client) = application() else { return };
    let witness = AppsWitness::new(&client);
    let device = open(&client, APPS);
    let mut command = child("child_that_keeps_a_handle");
    let mut child = client.spawn(command.stdin(Stdio::piped()), &[device.handle()]).expect("starts");
    device.close().expect("closes");
    let counts = witness.counts();
    assert_eq!((counts.creates, counts.cleanups, counts.closes), (2, 0, 0), "one file, still open");
    drop(child.stdin.take());
    assert!(child.wait().expect("ends").success(), "the child failed");
    let counts = witness.wait_until_alone();
    assert_eq!((counts.creates, counts.cleanups, counts.closes), (2, 1, 1), "with the child's end, once");
}

#[test]
fn cleanup_comes_when_the_childs_handle_is_closed_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    run_application("parent_that_closes_its_handle_first", server.path());
    server.stop();
}

#[test]
fn parent_whose_children_never_come() {
    let Some(client) = application() else { return };
    let device = open(&client, APPS);
    let offers = (0..).map_while(|_| client.offer_handles(&[device.handle(); 3]).ok()).count();
    assert!(offers >= 16, "{offers} offers are too few");
    assert_eq!(client.offer_handles(&[device.handle()]), Err(STATUS_QUOTA_EXCEEDED));
    device.close().expect("closes");
    say_ready();
    wait_to_go_on();
}

#[test]
fn handles_that_nobody_takes_go_with_the_parent() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = machine_with("apps");
    let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
    let process = machine.process("witness");
    let witness = AppsWitness::new(&process);
    let parent = Beside::start("parent_whose_children_never_come", server.path());
    let counts = witness.counts();
    assert_eq!((counts.creates, counts.cleanups), (2, 0), "the offers keep the file open");
    parent.kill();
    let counts = witness.wait_until_alone();
    assert_eq!((counts.creates, counts.cleanups, counts.closes), (2, 1, 1));
    server.stop();
}
