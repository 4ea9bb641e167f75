//! `load`, `unload` and `list`, and who may.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use app::Device;
use gate::Client;
use rustix::process::Signal;

use crate::host::Host;
use crate::run::{Ran, Room, command, hello_bytes, ran, ringbridge, sys};

const DEVICE: &str = r"\\.\My_Device";

fn names(socket: &str) -> Vec<String> {
    let listed = ringbridge(["list", "--json", "--socket", socket]).json();
    let drivers = listed["drivers"].as_array().expect("a list").iter();
    drivers.map(|driver| driver["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn drivers_come_and_go_while_the_host_runs() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    assert_eq!(names(&socket), ["hello"]);
    let loaded = ringbridge(["load", &sys("pipe.sys"), &sys("buffers.sys"), "--socket", &socket]);
    assert_eq!(loaded.good(), "pipe loaded\nbuffers loaded\n");
    assert_eq!(names(&socket), ["hello", "pipe", "buffers"]);
    let listed = ringbridge(["list", "--socket", &socket]);
    let line = listed.good().lines().next().expect("a line");
    assert!(line.starts_with("hello    0x") && line.ends_with(r"  \Device\My_Device"), "{line}");

    assert_eq!(ringbridge(["read", DEVICE, "2", "--raw", "--socket", &socket]).good(), "hh");
    let unloaded = ringbridge(["unload", "buffers", "hello", "--socket", &socket]);
    assert_eq!(
        unloaded.good(),
        "buffers unloaded, nothing left behind\nhello unloaded, nothing left behind\n"
    );
    assert_eq!(names(&socket), ["pipe"]);
    let gone = ringbridge(["read", DEVICE, "2", "--socket", &socket]);
    assert!(gone.failed().contains("2 ERROR_FILE_NOT_FOUND"), "{}", gone.stderr);
    let again = ringbridge(["load", &sys("hello.sys"), "--json", "--socket", &socket]).json();
    assert_eq!(again["drivers"][0]["name"], "hello");
    assert_eq!(names(&socket), ["pipe", "hello"]);

    // What was loaded later is unloaded at the end like the rest, last first.
    let ended = host.stop(Signal::TERM);
    assert_eq!(
        ended.good(),
        "ringbridge: hello unloaded, nothing left behind\nringbridge: pipe unloaded, nothing left behind\n"
    );
}

#[test]
fn a_driver_with_an_open_file_is_unloaded_when_that_is_closed() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let client = Client::connect(&socket).expect("connects");
    let device = Device::open(&client, DEVICE).expect("opens");
    let pending = ringbridge(["unload", "hello", "--json", "--socket", &socket]).json();
    assert_eq!(
        (&pending["drivers"][0]["unloaded"], &pending["drivers"][0]["files"]),
        (&false.into(), &1.into())
    );
    let twice = ringbridge(["unload", "hello", "--socket", &socket]);
    assert!(twice.failed().contains("goes when its last file is closed"), "{}", twice.stderr);
    assert_eq!(device.read(&mut [0; 4]).expect("the handle is as it was"), 4);
    device.close().expect("closes");
    assert_eq!(names(&socket), [""; 0]);
    let none = ringbridge(["list", "--socket", &socket]);
    assert_eq!(none.good(), "no driver is loaded; load one with `ringbridge load FILE.sys`\n");
    assert_eq!(host.stop(Signal::TERM).good(), "");
}

#[test]
fn what_a_driver_of_a_host_leaks_is_told_by_its_tag_when_it_is_unloaded() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("memory.sys", &socket);
    // The test driver's case that forgets its pool: function 0x80B.
    let leaks = ringbridge(["ioctl", r"\\.\Memory", "0x22202C", "--socket", &socket]);
    leaks.good();
    let unloaded = ringbridge(["unload", "memory", "--json", "--socket", &socket]).json();
    let left = unloaded["drivers"][0]["left"].to_string();
    assert!(left.contains("5100 bytes of pool in 2 blocks with tag 'Memo'"), "{unloaded}");
    assert_eq!(host.stop(Signal::TERM).good(), "");
}

#[test]
fn a_parameter_reaches_the_driver_that_is_loaded() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let nowhere =
        ringbridge(["load", &sys("tap.sys"), "--parameter", r"Target=\Device\None", "--socket", &socket]);
    assert!(nowhere.failed().contains("DriverEntry failed with"), "{}", nowhere.stderr);
    let parameter = r"Target=\Device\My_Device";
    let loaded = ringbridge(["load", &sys("tap.sys"), "--parameter", parameter, "--socket", &socket]);
    assert_eq!(loaded.good(), "tap loaded\n");
    assert_eq!(ringbridge(["read", DEVICE, "2", "--raw", "--socket", &socket]).good().len(), 2);
    host.stop(Signal::TERM).good();
}

#[test]
fn what_cannot_be_loaded_or_unloaded_is_refused_with_what_to_do() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let refused = |done: Ran, status: &str, reason: &str| {
        assert!(done.failed().contains(status) && done.stderr.contains(reason), "{}", done.stderr);
    };
    let twice = ringbridge(["load", &sys("hello.sys"), "--socket", &socket]);
    refused(twice, "STATUS_IMAGE_ALREADY_LOADED", "is loaded already; unload it first");
    let cut = room.file("cut.sys", &hello_bytes()[..4000]);
    refused(
        ringbridge(["load", &cut, "--socket", &socket]),
        "STATUS_INVALID_IMAGE_FORMAT",
        "cannot be loaded",
    );
    let lacking = ringbridge(["load", &sys("lacking.sys"), "--socket", &socket]);
    refused(lacking, "STATUS_DRIVER_ENTRYPOINT_NOT_FOUND", "cannot be resolved");
    // What was done before is told all the same.
    let half = ringbridge(["load", &sys("pipe.sys"), &sys("hello.sys"), "--json", "--socket", &socket]);
    assert!(half.failed().contains("hello.sys is not loaded"), "{}", half.stderr);
    assert!(half.text().contains(r#""name": "pipe""#), "{}", half.text());
    let half = ringbridge(["unload", "pipe", "pipe", "--json", "--socket", &socket]);
    assert!(half.failed().contains("pipe is not unloaded"), "{}", half.stderr);
    assert!(half.text().contains(r#""unloaded": true"#), "{}", half.text());
    let unknown = ringbridge(["unload", "hallo", "--socket", &socket]);
    refused(unknown, "STATUS_OBJECT_NAME_NOT_FOUND", "there are: hello");
    let absent = ringbridge(["load", "/nonexistent.sys", "--socket", &socket]);
    assert!(absent.failed().contains("/nonexistent.sys"), "{}", absent.stderr);
    for arguments in [["list", "--socket"], ["load", "--socket"], ["unload", "--socket"]] {
        ringbridge(arguments).usage();
    }
    ringbridge(["load"]).usage();
    ringbridge(["unload"]).usage();
    let nobody = ringbridge(["list", "--socket", &room.path("nobody")]);
    assert!(nobody.failed().contains("ringbridge serve"), "{}", nobody.stderr);
    assert_eq!(names(&socket), ["hello"]);
    host.stop(Signal::TERM).good();
}

/// The command, run by another user, in a group.
fn as_other(binary: &str, gid: u32, arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary);
    ran(command.args(arguments).env("LC_ALL", "C").current_dir("/").uid(65534).gid(gid))
}

#[test]
fn only_administrators_of_the_host_manage_its_drivers() {
    let own = fs::metadata("/proc/self").expect("/proc is mounted").uid();
    if own != 0 {
        eprintln!("SKIPPED: only root can run the command as another user, this is uid {own}");
        return;
    }
    let room = Room::new();
    room.open_to_all();
    let binary = room.path("ringbridge");
    fs::copy(env!("CARGO_BIN_EXE_ringbridge"), &binary).expect("room for the command");
    let socket = room.path("gate");
    let pipe = room.file("pipe.sys", &fs::read(sys("pipe.sys")).expect("built"));
    fs::set_permissions(&pipe, fs::Permissions::from_mode(0o644)).expect("is ours");
    let host = Host::start_with("hello.sys", &socket, &["--everyone", "--administrators", "61001"]);
    for arguments in [vec!["list"], vec!["load", &pipe], vec!["unload", "hello"]] {
        let arguments = [arguments, vec!["--socket", &socket]].concat();
        let refused = as_other(&binary, 65534, &arguments);
        assert!(refused.failed().contains("STATUS_PRIVILEGE_NOT_HELD"), "{}", refused.stderr);
        assert!(refused.stderr.contains("only administrators of the host may"), "{}", refused.stderr);
    }
    assert_eq!(names(&socket), ["hello"]);
    // Devices are another matter.
    assert_eq!(as_other(&binary, 65534, &["read", DEVICE, "2", "--raw", "--socket", &socket]).good(), "hh");
    assert_eq!(as_other(&binary, 61001, &["load", &pipe, "--socket", &socket]).good(), "pipe loaded\n");
    assert_eq!(names(&socket), ["hello", "pipe"]);
    host.stop(Signal::TERM).good();

    // The group of administrators alone is admitted, and nobody else.
    let host = Host::start_with("hello.sys", &socket, &["--administrators", "61001"]);
    let away = as_other(&binary, 65534, &["list", "--socket", &socket]);
    assert!(away.failed().contains("no permission to connect"), "{}", away.stderr);
    as_other(&binary, 61001, &["list", "--socket", &socket]).good();
    host.stop(Signal::TERM).good();

    let unknown = ran(&mut command(["serve", &sys("hello.sys"), "--group", "no such group"]));
    assert!(unknown.usage().contains("there is no such group"), "{}", unknown.stderr);
}
