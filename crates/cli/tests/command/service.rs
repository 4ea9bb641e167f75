//! `service`, and hosts that know a driver which somebody else starts.

use app::{filter_load, stop_service};
use gate::Client;
use rustix::process::Signal;

use crate::host::Host;
use crate::run::{Room, ringbridge, sys};

fn states(socket: &str) -> Vec<(String, String)> {
    let queried = ringbridge(["service", "query", "--json", "--socket", socket]).json();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let services = queried["services"].as_array().expect("a list").iter();
    services.map(|service| (text(&service["name"]), text(&service["state"]))).collect()
}

#[test]
fn a_service_is_created_started_stopped_and_deleted() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    let service = |verb: &str, subject: &str| ringbridge(["service", verb, subject, "--socket", &socket]);
    let state =
        |name: &str| states(&socket).into_iter().find(|(known, _)| known == name).map(|(_, state)| state);
    assert_eq!(state("hello").as_deref(), Some("RUNNING"), "what is loaded is one");
    assert_eq!(service("create", &sys("pipe.sys")).good(), "pipe created\n");
    assert_eq!(state("pipe").as_deref(), Some("STOPPED"));
    let twice = service("create", &sys("pipe.sys"));
    assert!(twice.failed().contains("1073 ERROR_SERVICE_EXISTS"), "{}", twice.stderr);
    assert_eq!(service("start", "pipe").good(), "pipe started\n");
    let twice = service("start", "pipe");
    assert!(twice.failed().contains("1056 ERROR_SERVICE_ALREADY_RUNNING"), "{}", twice.stderr);
    assert_eq!(service("stop", "pipe").good(), "pipe stopped, nothing left behind\n");
    let twice = service("stop", "pipe");
    assert!(twice.failed().contains("1062 ERROR_SERVICE_NOT_ACTIVE"), "{}", twice.stderr);
    assert_eq!(service("start", "pipe").good(), "pipe started\n", "its bytes are kept");
    assert_eq!(service("delete", "pipe").good(), "pipe will be deleted when its driver is gone\n");
    assert_eq!(service("stop", "pipe").good(), "pipe stopped, nothing left behind\n");
    let gone = service("query", "pipe");
    assert!(gone.failed().contains("1060 ERROR_SERVICE_DOES_NOT_EXIST"), "{}", gone.stderr);
    let line = service("query", "hello");
    assert!(line.good().starts_with("hello  RUNNING       KERNEL_DRIVER"), "{}", line.text());
    assert!(line.good().trim_end().ends_with(r"\SystemRoot\System32\drivers\hello.sys"), "{}", line.text());
    let stopped = ringbridge(["service", "stop", "hello", "--json", "--socket", &socket]).json();
    assert_eq!((&stopped["services"][0]["state"], &stopped["files"]), (&"STOPPED".into(), &0.into()));
    assert_eq!(service("delete", "hello").good(), "hello deleted\n");
    ringbridge(["service"]).usage();
    ringbridge(["service", "create"]).usage();
    host.stop(Signal::TERM).good();
}

#[test]
fn an_application_starts_a_driver_that_the_host_only_knows() {
    let room = Room::new();
    let socket = room.path("gate");
    // The first driver of the helper is one that is loaded.
    let host = Host::start_with("hello.sys", &socket, &["--service", &sys("verdict.sys")]);
    assert!(host.ready.contains("hello, verdict (not started)"), "{}", host.ready);
    let client = Client::connect(&socket).expect("connects");
    filter_load(&client, "verdict").expect("loads");
    assert!(states(&socket).contains(&("verdict".to_owned(), "RUNNING".to_owned())));
    stop_service(&client, "verdict").expect("stops");
    assert!(states(&socket).contains(&("verdict".to_owned(), "STOPPED".to_owned())));
    filter_load(&client, "verdict").expect("loads again");
    drop(client);
    let ended = host.stop(Signal::TERM);
    assert!(ended.good().contains("verdict unloaded, nothing left behind"), "{}", ended.text());
}
