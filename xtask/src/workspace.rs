//! What `cargo metadata` says about this workspace, reduced to what the tool asks: where packages lie, which are
//! drivers, which package uses which. Dependencies from registries are left out; `deny.toml` judges those.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tools;

/// The package of the `ringbridge` command.
pub(crate) const CLI: &str = "ringbridge-cli";
/// The package of the measurements.
pub(crate) const BENCHES: &str = "ringbridge-benches";
/// The package of the fuzz targets.
pub(crate) const FUZZ: &str = "ringbridge-fuzz";
/// The package of the scenarios.
pub(crate) const SCENARIOS: &str = "ringbridge-scenarios";

/// The workspace: its packages and the two folders everything else is found from.
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Where cargo builds (`target`, unless CARGO_TARGET_DIR says otherwise).
    pub(crate) target: PathBuf,
    /// Every member.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
pub(crate) struct Package {
    /// The name in its manifest.
    pub(crate) name: String,
    /// Its folder, relative to the root: `crates/kernel`.
    pub(crate) folder: String,
    /// The `.sys` base name from `[package.metadata.ringbridge] driver`, for driver crates.
    pub(crate) driver: Option<String>,
    /// File stem of its cdylib, if it builds one.
    pub(crate) cdylib: Option<String>,
    /// Folders of the members it uses in its product (normal and build dependencies, every target).
    pub(crate) uses: Vec<String>,
}

impl Workspace {
    /// Asks cargo. Fails when a manifest does not parse.
    pub(crate) fn load() -> Result<Self> {
        let mut command = tools::cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let text = tools::capture(&mut command)?;
        let metadata = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
        Self::parse(&metadata).context("cargo metadata lacks a field this tool needs")
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let root = PathBuf::from(metadata["workspace_root"].as_str()?);
        let target = PathBuf::from(metadata["target_directory"].as_str()?);
        let packages = metadata["packages"].as_array()?;
        let packages =
            packages.iter().map(|package| Package::parse(package, &root)).collect::<Option<_>>()?;
        Some(Self { root, target, packages })
    }

    /// Where `.sys` files are put, and where RINGBRIDGE_SYS_DIR points.
    pub(crate) fn sys_dir(&self) -> PathBuf {
        self.target.join("sys")
    }

    /// A cargo command that finds the `.sys` files through RINGBRIDGE_SYS_DIR.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = tools::cargo();
        command.env("RINGBRIDGE_SYS_DIR", self.sys_dir());
        command
    }
}

impl Package {
    fn parse(package: &Value, root: &Path) -> Option<Self> {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let driver = package["metadata"]["ringbridge"]["driver"].as_str().map(str::to_owned);
        let has_kind = |target: &&Value| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
        };
        let cdylib = package["targets"].as_array()?.iter().find(has_kind);
        let cdylib = cdylib.and_then(|target| target["name"].as_str()).map(|name| name.replace('-', "_"));
        let product =
            package["dependencies"].as_array()?.iter().filter(|dependency| dependency["kind"] != "dev");
        let mut uses: Vec<_> = product
            .filter_map(|dependency| dependency["path"].as_str())
            .map(|path| relative(Path::new(path), root))
            .collect();
        uses.sort();
        uses.dedup();
        let name = package["name"].as_str()?.to_owned();
        Some(Self { name, folder: relative(manifest.parent()?, root), driver, cdylib, uses })
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_driver_crate_is_recognised_by_its_metadata_and_dev_dependencies_do_not_count() {
        let metadata = json!({
            "workspace_root": "/repo",
            "target_directory": "/repo/target",
            "packages": [{
                "name": "sample-hello",
                "manifest_path": "/repo/samples/hello/Cargo.toml",
                "metadata": { "ringbridge": { "driver": "hello" } },
                "targets": [{ "name": "sample_hello", "kind": ["cdylib", "rlib"] }],
                "dependencies": [
                    { "name": "ringbridge-abi", "kind": null, "path": "/repo/crates/abi" },
                    { "name": "ringbridge-driver", "kind": "build", "path": "/repo/crates/driver" },
                    { "name": "ringbridge-host", "kind": "dev", "path": "/repo/crates/host" },
                    { "name": "bitflags", "kind": null },
                ],
            }],
        });
        let workspace = Workspace::parse(&metadata).unwrap();
        let sample = &workspace.packages[0];
        assert_eq!(sample.driver.as_deref(), Some("hello"));
        assert_eq!(sample.cdylib.as_deref(), Some("sample_hello"));
        assert_eq!(sample.folder, "samples/hello");
        assert_eq!(sample.uses, ["crates/abi", "crates/driver"]);
        assert_eq!(workspace.sys_dir(), Path::new("/repo/target/sys"));
    }
}
