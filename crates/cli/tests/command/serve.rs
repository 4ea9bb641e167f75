//! `serve`, and requests from other processes.

use std::path::Path;

use app::Device;
use gate::Client;
use rustix::process::Signal;

use crate::host::Host;
use crate::run::{Room, command, ringbridge, sys};

const DEVICE: &str = r"\\.\My_Device";

#[test]
fn other_processes_use_the_device_until_the_host_is_asked_to_stop() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let pid = host.pid();
    assert_eq!(host.ready, format!("ringbridge: serving hello on {socket} (pid {pid})\n"));

    assert_eq!(ringbridge(["read", DEVICE, "10", "--raw", "--socket", &socket]).good(), "hhhhhhhhhh");
    assert_eq!(ringbridge(["write", DEVICE, "kept", "--socket", &socket]).good(), "4 bytes written\n");
    // The host, and with it what was written, outlives each of its applications.
    let kept = ringbridge(["ioctl", DEVICE, "0x222008", "--out", "64", "--raw", "--socket", &socket]);
    assert_eq!(kept.good(), "kept");
    let listed = ringbridge(["ls", r"\Device", "--socket", &socket]);
    assert!(listed.good().contains("My_Device  Device"), "{}", listed.text());
    let refused = ringbridge(["ioctl", DEVICE, "0x22E004", "--access", "write", "--socket", &socket]);
    assert!(refused.failed().contains("5 ERROR_ACCESS_DENIED"), "{}", refused.stderr);

    let ended = host.stop(Signal::TERM);
    assert_eq!(ended.good(), "ringbridge: hello unloaded, nothing left behind\n");
    assert!(ended.stderr.starts_with("hello: loaded from "), "{}", ended.stderr);
    assert!(!Path::new(&socket).exists(), "the socket stayed");
}

#[test]
fn the_environment_names_the_socket_too() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let read = command(["read", DEVICE, "4", "--raw"]).env("RINGBRIDGE_SOCKET", &socket).output();
    assert_eq!(read.expect("ringbridge runs").stdout, b"hhhh");
    assert_eq!(host.stop(Signal::INT).good(), "ringbridge: hello unloaded, nothing left behind\n");
}

#[test]
fn large_transfers_cross_whole() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let bytes: Vec<u8> = (0..300_000_u32).map(|index| u8::try_from(index % 251).expect("small")).collect();
    let file = room.file("bytes", &bytes);
    let length = bytes.len().to_string();
    let mut echo = command(["ioctl", DEVICE, "0x222000", "--in-file", &file, "--out", &length, "--raw"]);
    let echoed = echo.args(["--socket", &socket]).output().expect("ringbridge runs");
    assert!(echoed.stdout == bytes, "{}", String::from_utf8_lossy(&echoed.stderr));
    host.stop(Signal::TERM).good();
}

#[test]
fn an_application_that_still_has_a_handle_open_keeps_nothing_from_being_unloaded() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let client = Client::connect(&socket).expect("connects");
    let device = Device::open(&client, DEVICE).expect("opens");
    assert_eq!(device.read(&mut [0; 4]).expect("reads"), 4);
    assert_eq!(host.stop(Signal::TERM).good(), "ringbridge: hello unloaded, nothing left behind\n");
    let gone = device.read(&mut [0; 4]).expect_err("the host is gone");
    assert_eq!(gone.status, abi::STATUS_DEVICE_NOT_CONNECTED);
}

#[test]
fn a_bugcheck_is_reported_and_applications_get_errors_until_the_host_is_stopped() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("stop.sys", &socket);
    let mut fault = command(["ioctl", r"\\.\RbStop", "0x222004", "--in-hex", "1000000000000000"]);
    let fault = crate::run::ran(fault.args(["--out", "216", "--socket", &socket]));
    assert!(fault.failed().contains("1167 ERROR_DEVICE_NOT_CONNECTED"), "{}", fault.stderr);
    let later = ringbridge(["read", r"\\.\RbStop", "4", "--socket", &socket]);
    assert!(later.failed().contains("STATUS_DEVICE_NOT_CONNECTED"), "{}", later.stderr);
    let ended = host.stop(Signal::TERM);
    assert!(ended.failed().contains("*** STOP 0x0000001E"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("*** STOP").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.text(), "");
}

#[test]
fn hosts_that_cannot_serve_say_why() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let second = ringbridge(["serve", &sys("hello.sys"), "--socket", &socket]);
    assert!(second.failed().contains("another host is serving"), "{}", second.stderr);
    assert_eq!(ringbridge(["read", DEVICE, "1", "--raw", "--socket", &socket]).good(), "h");
    host.stop(Signal::TERM).good();

    let no_driver = ringbridge(["serve", "/nonexistent.sys", "--socket", &socket]);
    assert!(no_driver.failed().contains("/nonexistent.sys"), "{}", no_driver.stderr);
    let file = room.file("file", b"");
    let in_the_way = ringbridge(["serve", &sys("hello.sys"), "--socket", &file]);
    assert!(in_the_way.failed().contains("is not a socket"), "{}", in_the_way.stderr);
    ringbridge(["serve"]).usage();
}

#[test]
fn without_a_host_the_message_says_how_to_start_one() {
    let room = Room::new();
    let done = ringbridge(["read", DEVICE, "1", "--socket", &room.path("nobody")]);
    assert!(done.failed().contains("ringbridge serve"), "{}", done.stderr);
    assert!(done.stderr.contains("--driver FILE.sys"), "{}", done.stderr);
}
