//! Driver crates: one `cargo build` for Windows, then a copy of each cdylib under its driver's name.

use anyhow::{Context, Result, bail};

use super::{LINK, Report, publish, publish_symbols};
use crate::tools::{self, WINDOWS, WindowsRust};
use crate::workspace::Workspace;

/// A package that is a driver.
pub(super) struct Driver<'a> {
    /// The package's name.
    pub(super) package: &'a str,
    /// The base name of its `.sys`.
    pub(super) name: &'a str,
    cdylib: Option<&'a str>,
}

pub(super) fn drivers(workspace: &Workspace) -> Vec<Driver<'_>> {
    let driver = |package: &'_ crate::workspace::Package| package.driver.is_some();
    let packages = workspace.packages.iter().filter(|package| driver(package));
    packages
        .map(|package| Driver {
            package: &package.name,
            name: package.driver.as_deref().unwrap_or_default(),
            cdylib: package.cdylib.as_deref(),
        })
        .collect()
}

pub(super) fn build(workspace: &Workspace, drivers: &[Driver<'_>], report: &mut Report) -> Result<()> {
    let rust = match WindowsRust::find() {
        Ok(rust) => rust,
        Err(reason) => {
            report.skipped.push(format!("{} driver crate(s): {reason:#}", drivers.len()));
            return Ok(());
        }
    };
    let mut command = rust.build();
    command.args(["--release", "--lib", "--keep-going"]);
    for driver in drivers {
        command.args(["--package", driver.package]);
    }
    // One variable rules: flags from the environment would replace, not extend, those from a configuration.
    let flags = ["-Clinker-flavor=lld-link".to_owned(), "-Cpanic=abort".to_owned()].into_iter();
    let flags = flags.chain(LINK.iter().map(|argument| format!("-Clink-arg={argument}")));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"));
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER", &rust.linker.program);
    command.env_remove("RUSTFLAGS");
    tools::succeed(&mut command).context("a driver crate does not build for Windows")?;

    let built = workspace.target.join(WINDOWS).join("release");
    for driver in drivers {
        let Some(cdylib) = driver.cdylib else {
            bail!("{} is a driver without `crate-type = [\"cdylib\", \"rlib\"]`", driver.package);
        };
        publish(&built.join(format!("{cdylib}.dll")), &workspace.sys_dir(), driver.name)?;
        publish_symbols(&built, &workspace.sys_dir(), cdylib)?;
    }
    Ok(())
}
