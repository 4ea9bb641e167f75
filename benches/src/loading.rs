//! P11: loading a driver, its DriverEntry and its unloading, beside a shared object of the same source.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use host::{LoadOptions, Machine};

use crate::driver;
use crate::measure::{batch, beside};
use crate::table::Row;

pub(crate) fn p11() -> Result<Vec<Row>> {
    let floor = dlopen()?;
    let path = driver("load")?;
    let bytes = std::fs::read(&path)?;
    let machine = Machine::new()?;
    let unload =
        || machine.unload("load").map_err(|status| anyhow::anyhow!("it does not unload: {status:?}"));
    let once = || -> Result<()> {
        machine.load(&path, LoadOptions::default())?;
        unload().map(drop)
    };
    once()?;
    let [value, from_memory, read, inspect] = beside([
        batch(|| once().expect("as the first time")),
        batch(|| {
            machine
                .load_image("load", "load.sys", &bytes, LoadOptions::default())
                .expect("as the first time");
            unload()
        }),
        batch(|| std::fs::read(&path)),
        batch(|| loader::pe::inspect(&bytes)),
    ]);
    let row = |work, value| Row::new("P11", work, value, "ns", "dlopen, entry, dlclose", floor);
    Ok(vec![
        row("load, DriverEntry, unload", value).at_most(3.0),
        row("the same from bytes in memory", from_memory),
        row("of which: reading the file", read),
        row("of which: checking the image", inspect),
    ])
}

/// The same source as a shared object: nanoseconds of loading it, its entry and unload routine, and closing it.
fn dlopen() -> Result<f64> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir()?;
    let (object, program) = (folder.path().join("load.so"), folder.path().join("dlopen"));
    let driver = sources.join("../tests/drivers/load.c");
    compile(&["-O2", "-fPIC", "-shared", "-fvisibility=hidden"], &driver, &object)?;
    compile(&["-O2", "-rdynamic"], &sources.join("native/dlopen.c"), &program)?;
    let output = Command::new(&program).arg(&object).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().context("the time of dlopen is a number")
}

fn compile(arguments: &[&str], source: &Path, target: &Path) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(arguments).arg(source).arg("-o").arg(target).arg("-ldl");
    let output = command.output().context("P11 compares with code compiled by cc")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
