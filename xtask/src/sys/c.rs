//! C test drivers: each `tests/drivers/NAME.c` becomes `NAME.sys`. Every `.def` there becomes an import library of
//! the module it names, so a driver that needs another export adds one line to `ntoskrnl.def`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, thread};

use anyhow::{Context, Result, bail};

use super::{LINK, Report, publish, publish_symbols};
use crate::tools::{self, WindowsC};
use crate::workspace::Workspace;

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/drivers")
}

/// The sources, sorted; none when the folder is absent.
pub(super) fn sources(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    with_ending(&folder(workspace), "c")
}

/// The base name of the `.sys` that a source becomes.
pub(super) fn name(source: &Path) -> String {
    source.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(super) fn build(workspace: &Workspace, sources: &[PathBuf], report: &mut Report) -> Result<()> {
    let stale: Vec<_> = sources.iter().filter(|source| !is_current(workspace, source)).collect();
    eprintln!("sys: {} C drivers, {} to build", sources.len(), stale.len());
    if stale.is_empty() {
        return Ok(());
    }
    let compiler = match WindowsC::find() {
        Ok(compiler) => compiler,
        Err(reason) => {
            report.skipped.push(format!("{} C test driver(s): {reason:#}", stale.len()));
            return Ok(());
        }
    };
    let work = work(workspace);
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let libraries = import_libraries(workspace, &compiler, &work)?;
    let lanes = thread::available_parallelism().map_or(1, usize::from).min(stale.len());
    let build_lane = |lane: usize| -> Vec<anyhow::Error> {
        let mine = stale.iter().skip(lane).step_by(lanes);
        mine.filter_map(|source| build_one(workspace, &compiler, &work, &libraries, source).err()).collect()
    };
    let errors: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|lane| scope.spawn(move || build_lane(lane))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane returns its errors")).collect()
    });
    for error in &errors {
        eprintln!("error: {error:#}");
    }
    if !errors.is_empty() {
        bail!("{} of {} C drivers do not build", errors.len(), stale.len());
    }
    Ok(())
}

fn build_one(
    workspace: &Workspace,
    compiler: &WindowsC,
    work: &Path,
    libraries: &[PathBuf],
    source: &Path,
) -> Result<()> {
    let name = name(source);
    let object = work.join(format!("{name}.obj"));
    let image = work.join(format!("{name}.sys"));
    tools::succeed(compiler.command().arg(source).arg("-o").arg(&object))
        .with_context(|| format!("{name}.c does not compile"))?;
    let mut link = compiler.linker.command();
    link.args(LINK).args(["/DEBUG", "/PDBALTPATH:%_PDB%", "/NOIMPLIB"]);
    link.arg(format!("/OUT:{}", image.display())).arg(&object).args(libraries);
    tools::succeed(&mut link).with_context(|| {
        format!("{name}.c does not link (is an export missing in tests/drivers/ntoskrnl.def?)")
    })?;
    publish_symbols(work, &workspace.sys_dir(), &name)?;
    publish(&image, &workspace.sys_dir(), &name)
}

fn import_libraries(workspace: &Workspace, compiler: &WindowsC, work: &Path) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for definition in with_ending(&folder(workspace), "def")? {
        let library = work.join(format!("{}.lib", name(&definition)));
        let mut make = compiler.linker.command();
        make.args(["/lib", "/machine:x64"]);
        make.arg(format!("/def:{}", definition.display())).arg(format!("/out:{}", library.display()));
        tools::succeed(&mut make)
            .with_context(|| format!("no import library from {}", definition.display()))?;
        libraries.push(library);
    }
    Ok(libraries)
}

/// Where objects, import libraries and images are made.
fn work(workspace: &Workspace) -> PathBuf {
    workspace.target.join("sys-build")
}

/// Whether the `.sys` is newer than everything it is made from, this tool included.
fn is_current(workspace: &Workspace, source: &Path) -> bool {
    let file = format!("{}.sys", name(source));
    // Its copy in the `sys` folder keeps an older date when the image came out the same.
    let Some(built) = modified(&work(workspace).join(&file)) else { return false };
    if !workspace.sys_dir().join(&file).exists() {
        return false;
    }
    let mut inputs = vec![source.to_owned()];
    for ending in ["h", "def"] {
        inputs.extend(with_ending(&folder(workspace), ending).unwrap_or_default());
    }
    inputs.extend(env::current_exe());
    inputs.iter().all(|input| modified(input).is_some_and(|time| time < built))
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn with_ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let context = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let file = entry.with_context(context)?.path();
        if file.extension().is_some_and(|extension| extension == ending) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
