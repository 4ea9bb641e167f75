//! `pnp`, `power` and `shutdown`: a device's life, asked for from a shell.

use app::Device;
use gate::Client;
use rustix::process::Signal;

use crate::host::Host;
use crate::run::{Room, command, ran};

const INSTANCE: &str = r"ROOT\LIFECYCLE\0000";

#[test]
fn a_device_comes_sleeps_and_goes_and_every_answer_is_told() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("lifecycle.sys", &socket);
    let ask = |arguments: &[&str]| ran(command(arguments).args(["--socket", &socket]));
    assert!(ask(&["pnp", "list"]).good().contains("ringbridge pnp add"));
    let added = ask(&["pnp", "add", "lifecycle"]);
    assert!(added.good().contains("IRP_MN_START_DEVICE -> STATUS_SUCCESS"), "{}", added.text());
    assert!(added.text().contains(r"ROOT\LIFECYCLE\0000 is Started"), "{}", added.text());
    let listed = ask(&["pnp", "list", "--json"]).json();
    let link = listed["devices"][0]["interfaces"][0].as_str().expect("an interface").to_owned();

    let client = Client::connect(&socket).expect("connects");
    let device = Device::open(&client, &link.replacen(r"\??\", r"\\?\", 1)).expect("opens");
    let vetoed = ask(&["pnp", "remove", INSTANCE]);
    assert!(
        vetoed.failed().contains("STATUS_PLUGPLAY_QUERY_VETOED: a file is open on it"),
        "{}",
        vetoed.stderr
    );
    device.close().expect("closes");

    let slept = ask(&["power", "sleep", "--json"]).json();
    assert_eq!(slept["answers"][0]["request"], "IRP_MN_QUERY_POWER PowerSystemSleeping3");
    assert!(ask(&["power", "sleep"]).failed().contains("the system is in that state"));
    assert!(
        ask(&["power", "resume"]).good().contains("IRP_MN_SET_POWER PowerSystemWorking -> STATUS_SUCCESS")
    );
    assert!(ask(&["shutdown"]).good().contains("IRP_MN_SET_POWER PowerSystemShutdown -> STATUS_SUCCESS"));
    ask(&["power", "resume"]).good();

    let removed = ask(&["pnp", "remove", INSTANCE]);
    assert!(removed.good().contains("lifecycle unloaded with its last device"), "{}", removed.text());
    assert!(ask(&["pnp", "start", INSTANCE]).failed().contains("there is no device"));
    assert!(ask(&["pnp", "add", "lifecycle"]).failed().contains("`ringbridge load` it first"));
    host.stop(Signal::TERM).good();
}
