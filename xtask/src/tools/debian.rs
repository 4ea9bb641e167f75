//! Packages from Debian, for those who may install them: root, on Debian. Everybody else gets an error that names the
//! packages and the command.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use super::{announce, capture, in_path};

/// Installs the packages, or says which to install.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if let Some(obstacle) = obstacle() {
        bail!(
            "missing Debian package(s) {names}, and {obstacle}; install them with: apt-get install {names}"
        );
    }
    refresh_lists();
    announce(&format!("apt-get install {names}"));
    capture(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("cannot install {names}"))?;
    Ok(())
}

fn obstacle() -> Option<&'static str> {
    if in_path("apt-get").is_none() || !is_debian() {
        return Some("this is no Debian system");
    }
    let user = capture(Command::new("id").arg("-u")).unwrap_or_default();
    (user.trim() != "0").then_some("only root may install them")
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key| release.lines().find_map(move |line: &str| line.strip_prefix(key));
    [value("ID="), value("ID_LIKE=")].into_iter().flatten().any(|ids| ids.contains("debian"))
}

/// Once a run. A mirror that does not answer is no failure yet: the lists at hand may do.
fn refresh_lists() {
    static REFRESHED: OnceLock<()> = OnceLock::new();
    REFRESHED.get_or_init(|| {
        announce("apt-get update");
        if let Err(error) = capture(apt_get().arg("update")) {
            announce(&format!("{error:#}"));
        }
    });
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
