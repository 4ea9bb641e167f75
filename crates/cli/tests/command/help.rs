//! Help texts: what a newcomer reads first.

use crate::run::ringbridge;

const COMMANDS: [&str; 19] = [
    "info", "exports", "read", "write", "ioctl", "ls", "pool", "serve", "load", "unload", "list", "service",
    "pnp", "power", "shutdown", "wmi", "code", "status", "demo",
];

#[test]
fn the_help_names_every_subcommand_and_gives_examples() {
    let help = ringbridge(["--help"]);
    for name in COMMANDS {
        assert!(help.good().lines().any(|line| line.starts_with(&format!("  {name} "))), "{name}");
    }
    assert!(help.text().contains("Examples:\n"));
    assert!(help.text().contains("Exit status: 0 done, 1 the request failed, 2"));
}

#[test]
fn the_help_of_every_subcommand_gives_examples_that_begin_with_its_name() {
    for name in COMMANDS {
        let help = ringbridge([name, "--help"]);
        assert!(help.good().contains(&format!("ringbridge {name}")), "{name}:\n{}", help.text());
        assert!(help.text().contains("Examples:\n"), "{name}");
    }
}

#[test]
fn what_is_not_understood_ends_with_status_2_and_points_to_the_help() {
    assert!(ringbridge([]).usage().contains("Usage: ringbridge"));
    assert!(ringbridge(["raed"]).usage().contains("'read'"));
    assert!(ringbridge(["read", "--fast"]).usage().contains("--help"));
}
