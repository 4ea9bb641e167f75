//! Host and application as they really are: two processes, each of which may die at any moment.
//!
//! The tests start this very program again for the other side, with the ignored test `role` alone.
#![expect(unsafe_code, reason = "forks, and buffers in shared memory")]

#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../src/tests/fake.rs"]
mod fake;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use abi::*;
use fake::*;
use ringbridge_gate::{Client, Handle, ServerOptions, Transport};

/// The other process. It says `ready` when it is, and ends when its input does.
struct Other {
    child: Child,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Other {
    fn start(role: &str, path: &str) -> Self {
        Self::start_changed(role, path, |_| {})
    }

    fn start_changed(role: &str, path: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = role_command(role, path);
        change(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut other = Self { child, input, lines };
        other.expect("ready");
        other
    }

    /// Waits until the other process prints `word`.
    fn expect(&mut self, word: &str) {
        let found = self.lines.by_ref().any(|line| line.unwrap().ends_with(word));
        assert!(found, "the other process ended before it said {word}");
    }

    fn finish(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Already over in tests that succeed.
        let _over = self.child.kill();
        let _over = self.child.wait();
    }
}

/// This program as another process, in `role`.
fn role_command(role: &str, path: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--ignored", "--nocapture", "--test-threads=1"])
        .env("GATE_TEST_ROLE", role)
        .env("GATE_TEST_PATH", path);
    command
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

fn wait_for_end_of_input() {
    for line in std::io::stdin().lines() {
        drop(line);
    }
}

#[test]
#[ignore = "the other side of the tests below"]
fn role() {
    let path = std::env::var("GATE_TEST_PATH").expect("started by another test");
    match std::env::var("GATE_TEST_ROLE").unwrap().as_str() {
        "host" => {
            let (server, _log) = serve(&path, ServerOptions::default());
            say("ready");
            wait_for_end_of_input();
            server.stop();
        }
        "echo" => {
            let before = descriptors();
            let client = Client::connect(&path).unwrap();
            exercise(&client);
            assert_closed_on_exec(&before);
            say("ready");
            wait_for_end_of_input();
        }
        "block" => {
            let client = Arc::new(Client::connect(&path).unwrap());
            for _ in 0..3 {
                let client = Arc::clone(&client);
                thread::spawn(move || client.device_control(Handle(4), BLOCK, &[], &mut []));
            }
            say("ready");
            wait_for_end_of_input();
        }
        "view" => look_at_views(&path),
        "show and die" => {
            let client = Client::connect(&path).unwrap();
            say("ready");
            assert_eq!(client.device_control(Handle(4), SHOW, &[1], &mut []).status, STATUS_SUCCESS);
            say("shown");
            wait_for_end_of_input();
        }
        "fork" => fork_and_call(&path),
        "fork and die" => fork_and_die(&path),
        "leave handles" => {
            let client = Client::connect(&path).unwrap();
            let mut heir = client.spawn(&mut role_command("heir", &path), &[Handle(4), Handle(8)]).unwrap();
            assert!(heir.wait().unwrap().success(), "the heir failed");
            say("ready");
            wait_for_end_of_input();
        }
        "heir" => {
            let client = Client::connect(&path).unwrap();
            let grandchild = role_command("grandchild", &path).status().unwrap();
            assert!(grandchild.success(), "the grandchild failed");
            assert_eq!(client.inherited(), Ok(vec![Handle(4), Handle(8)]));
            assert_eq!(client.inherited(), Err(STATUS_NOT_FOUND), "once");
        }
        "grandchild" => {
            assert!(std::env::var_os("RINGBRIDGE_HANDLES").is_some(), "the environment is the heir's");
            let client = Client::connect(&path).unwrap();
            assert_eq!(client.inherited(), Ok(Vec::new()));
        }
        other => panic!("no role {other}"),
    }
}

fn exercise(client: &Client) {
    for size in [0, 8, 64, 1000, 100_000] {
        let input = vec![0x5A; size];
        let mut output = vec![0; size];
        let result = client.device_control(Handle(4), ECHO, &input, &mut output);
        assert_eq!((result.status, result.information), (STATUS_SUCCESS, size as u64));
        assert_eq!(output, input);
    }
    let mut buffer = client.allocate(70_000).unwrap();
    // SAFETY: the fake leaves buffers alone between calls.
    let result = client.device_control(Handle(4), ADDRESS, &[], unsafe { buffer.bytes_mut() });
    assert_eq!(result.information, buffer.address(), "an address means the same on both sides");
}

/// Sees what the host shows it, for as long as it does, and writes what it may write.
fn look_at_views(path: &str) {
    platform::fault::install().unwrap();
    let client = Client::connect(path).unwrap();
    let call = |code, input: &[u8]| client.device_control(Handle(4), code, input, &mut []);
    let word = |address| {
        let mut bytes = [0; 8];
        platform::memory::copy_from(&mut bytes, address).map(|()| u64::from_le_bytes(bytes))
    };
    // SAFETY: what is written are pages of a view, in which no Rust value lives.
    let put = |address, value: u64| unsafe { platform::memory::copy_to(address, &value.to_le_bytes()) };
    for writable in [true, false, true] {
        let shown = call(SHOW, &[u8::from(writable)]);
        assert_eq!(shown.status, STATUS_SUCCESS);
        let view = shown.information;
        assert_eq!((word(view).unwrap(), word(view + 4096).unwrap()), (10, 20));
        assert_eq!(put(view + 4096 + 8, 77).is_ok(), writable);
        assert_eq!(call(LOOK, &[]).information, if writable { 77 } else { 0 });
        assert!(word(view - 8).is_err(), "nothing beside it is shown");
        assert_eq!(call(HIDE, &[]).status, STATUS_SUCCESS);
        assert!(word(view).is_err() && word(view + 4096).is_err());
    }
    say("ready");
    wait_for_end_of_input();
}

/// What Linux says of a descriptor's flags; -1 if it is closed.
fn flags(descriptor: i32) -> i32 {
    // SAFETY: a plain question about a number.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) }
}

/// The descriptors that this process has open.
fn descriptors() -> Vec<i32> {
    let names = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let mut numbers: Vec<i32> = names.map(|name| name.to_str().unwrap().parse().unwrap()).collect();
    // Without that which listed them.
    numbers.retain(|&descriptor| flags(descriptor) != -1);
    numbers
}

/// Fails if a program that is executed now would get descriptors besides those that were open `before`, or none are new.
fn assert_closed_on_exec(before: &[i32]) {
    let mut new = descriptors();
    new.retain(|descriptor| !before.contains(descriptor));
    assert!(!new.is_empty());
    // One that is closed meanwhile has all bits set.
    assert!(new.iter().all(|&descriptor| flags(descriptor) & libc::FD_CLOEXEC != 0), "one of {new:?}");
}

/// Whether something is mapped in the page of `address`.
fn is_mapped(address: u64) -> bool {
    let page = std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap() & !0xFFF);
    // SAFETY: asks for one byte about one page.
    unsafe { libc::mincore(page, 0x1000, [0_u8].as_mut_ptr()) == 0 }
}

/// Whether this process has memory of a session open.
fn has_open_memory() -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let mut targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.any(|target| target.display().to_string().contains("memfd:"))
}

/// A child of this process calls on its parent's session, which must go on unharmed.
fn fork_and_call(path: &str) {
    let client = Client::connect(path).unwrap();
    exercise(&client);
    let buffer = client.allocate(8).unwrap();
    let data = client.data();
    assert!(is_mapped(data.start) && is_mapped(data.end) && !has_open_memory());
    // SAFETY: the child locks nothing that this process's other thread, which only waits, could hold, and leaves without
    // cleaning up.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let connected =
            client.device_control(Handle(4), ECHO, &[], &mut []).status != STATUS_DEVICE_NOT_CONNECTED;
        let shared = is_mapped(data.start) || is_mapped(data.end - 1) || !is_mapped(data.end);
        std::panic::set_hook(Box::new(|_| {}));
        let read = std::panic::catch_unwind(|| buffer.read(0, &mut [0; 8])).is_ok();
        drop(buffer);
        drop(client);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(connected) | i32::from(shared) << 1 | i32::from(read) << 2) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child was told that it is not connected, and has none of the window");
    exercise(&client);
    say("ready");
    wait_for_end_of_input();
}

/// The parent dies; the child keeps every descriptor open until its input ends.
fn fork_and_die(path: &str) {
    let client = Client::connect(path).unwrap();
    exercise(&client);
    say("ready");
    // SAFETY: the child only waits.
    if unsafe { libc::fork() } == 0 {
        loop {
            // SAFETY: plain calls of Linux: reads one byte until there is none.
            let count = unsafe { libc::read(0, [0_u8].as_mut_ptr().cast(), 1) };
            if count <= 0 {
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
        }
    }
    // SAFETY: ends this process without closing anything by hand.
    unsafe { libc::_exit(0) };
}

#[test]
fn what_the_host_shows_is_seen_by_the_application_alone_with_its_rights_until_it_is_hidden() {
    let path = socket_path("views");
    let (server, _log) = serve(&path, ServerOptions::default());
    Other::start("view", &path).finish();
    server.stop();
}

#[test]
fn views_of_an_application_that_died_go_with_its_session() {
    let path = socket_path("views-of-the-dead");
    let (server, log) = serve(&path, ServerOptions::default());
    let mut other = Other::start("show and die", &path);
    other.expect("shown");
    drop(other);
    log.wait_for("the end", |events| events.sessions_ended == 1);
    server.stop();
}

#[test]
fn an_address_in_the_window_means_the_same_on_both_sides() {
    let path = socket_path("two");
    let (server, log) = serve(&path, ServerOptions::default());
    let applications: Vec<_> = (0..3).map(|_| Other::start("echo", &path)).collect();
    let mut pids: Vec<_> = applications.iter().map(|other| other.child.id()).collect();
    let mut opened = log.events().opened;
    pids.sort_unstable();
    opened.sort_unstable();
    assert_eq!(opened, pids, "the credentials are the processes' own");
    for application in applications {
        application.finish();
    }
    log.wait_for("the sessions' ends", |events| events.sessions_ended == 3);
    server.stop();
}

#[test]
fn programs_that_host_or_application_execute_get_no_descriptor_of_a_session() {
    let path = socket_path("exec");
    let before = descriptors();
    let (server, _log) = serve(&path, ServerOptions::default());
    // It looks at its own.
    let application = Other::start("echo", &path);
    assert_closed_on_exec(&before);
    application.finish();
    server.stop();
}

#[test]
fn the_groups_of_an_application_are_those_that_linux_says() {
    // SAFETY: a plain call without arguments.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: only root may choose a process's groups");
        return;
    }
    let path = socket_path("groups");
    let (server, log) = serve(&path, ServerOptions::default());
    // More than the first guess of the host holds, so that it has to ask again.
    for count in [0, 3, 64, 65, 200] {
        let groups: Vec<libc::gid_t> = (0..count).map(|number| 70_000 + number).collect();
        let theirs = groups.clone();
        let set = move || {
            // SAFETY: the list is as long as it says.
            match unsafe { libc::setgroups(theirs.len(), theirs.as_ptr()) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes one call of Linux and allocates nothing when that succeeds.
        let application = Other::start_changed("echo", &path, |command| unsafe {
            command.pre_exec(set);
        });
        assert_eq!(log.events().groups.last(), Some(&groups));
        application.finish();
    }
    server.stop();
}

#[test]
fn a_killed_application_ends_its_session_once_and_its_blocked_calls() {
    let path = socket_path("killed");
    let (server, log) = serve(&path, ServerOptions::default());
    let mut application = Other::start("block", &path);
    log.wait_for("the blocked calls", |events| events.blocked == 3);
    application.kill();
    let start = Instant::now();
    let events = log.wait_for("the session's end", |events| events.sessions_ended == 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((events.sessions_ending, events.threads_started, events.threads_ended), (1, 3, 3));
    server.stop();
    assert_eq!(log.events().sessions_ended, 1);
}

#[test]
fn an_applications_death_is_noticed_even_if_a_child_keeps_its_socket() {
    let path = socket_path("orphan");
    let (server, log) = serve(&path, ServerOptions::default());
    let application = Other::start("fork and die", &path);
    log.wait_for("the session's end", |events| events.sessions_ended == 1);
    application.finish();
    server.stop();
}

#[test]
fn a_forked_child_has_neither_session_nor_window_and_its_parent_has_both() {
    let path = socket_path("forked");
    let (server, log) = serve(&path, ServerOptions::default());
    let application = Other::start("fork", &path);
    assert_eq!(log.events().sessions_ended, 0);
    application.finish();
    server.stop();
}

#[test]
fn handles_for_a_child_are_not_for_its_children() {
    let path = socket_path("heir");
    let (server, _log) = serve(&path, ServerOptions::default());
    Other::start("leave handles", &path).finish();
    server.stop();
}

#[test]
fn a_killed_host_is_noticed_by_pending_and_later_calls_at_once() {
    const CALLS: usize = 4;
    let path = socket_path("hostkilled");
    let mut host = Other::start("host", &path);
    let client = Arc::new(Client::connect(&path).unwrap());
    let waiting = Arc::new(std::sync::Barrier::new(CALLS + 1));
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (client, waiting) = (Arc::clone(&client), Arc::clone(&waiting));
            thread::spawn(move || {
                assert_eq!(client.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_SUCCESS);
                waiting.wait();
                let status = client.device_control(Handle(4), BLOCK, &[], &mut []).status;
                (status, Instant::now())
            })
        })
        .collect();
    waiting.wait();
    host.kill();
    let killed = Instant::now();
    for call in calls {
        let (status, returned) = call.join().unwrap();
        assert_eq!(status, STATUS_DEVICE_NOT_CONNECTED);
        let late = returned.saturating_duration_since(killed);
        assert!(late < Duration::from_millis(100), "{late:?}");
    }
    assert_eq!(client.device_control(Handle(4), ECHO, &[], &mut []).status, STATUS_DEVICE_NOT_CONNECTED);
    // The dead host's socket is in the way of nobody.
    let host = Other::start("host", &path);
    exercise(&Client::connect(&path).unwrap());
    host.finish();
}
