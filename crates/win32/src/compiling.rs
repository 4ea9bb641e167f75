//! What a compiler is told, so that a Windows application becomes a program for Linux.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the headers and the library are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The headers.
    pub include: PathBuf,
    /// The folder of `libringbridge_win32.so`.
    pub library: PathBuf,
}

/// The library's file.
const LIBRARY: &str = "libringbridge_win32.so";

impl Installation {
    /// What the variables RINGBRIDGE_INCLUDE and RINGBRIDGE_LIB say; else what lies where an installed program has it (`../include/ringbridge`,
    /// `../lib` beside `program`), or a built one (beside it, and the sources).
    ///
    /// # Errors
    /// A sentence, when there is neither.
    pub fn find(program: &Path) -> Result<Self, String> {
        let folder = program.parent().unwrap_or(Path::new("."));
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
        let includes =
            set("RINGBRIDGE_INCLUDE").into_iter().chain([folder.join("../include/ringbridge"), sources]);
        let include = first(includes, "windows.h").ok_or(
            "the headers are not found: set RINGBRIDGE_INCLUDE to the folder of windows.h (crates/win32/include in the sources)",
        )?;
        let libraries = set("RINGBRIDGE_LIB").into_iter();
        let libraries = libraries.chain(["", "deps", "../lib"].map(|name| folder.join(name)));
        let library = first(libraries, LIBRARY).ok_or_else(|| {
            format!("{LIBRARY} is not found: build it with `cargo build -p ringbridge-win32`, or set RINGBRIDGE_LIB to its folder")
        })?;
        Ok(Self { include, library })
    }

    /// What stands before the sources.
    #[must_use]
    pub fn compile_flags(&self) -> Vec<OsString> {
        vec!["-fshort-wchar".into(), "-I".into(), self.include.clone().into()]
    }

    /// What stands behind them, where a program is made.
    #[must_use]
    pub fn link_flags(&self) -> Vec<OsString> {
        let mut path = OsString::from("-Wl,-rpath,");
        path.push(&self.library);
        vec!["-L".into(), self.library.clone().into(), "-lringbridge_win32".into(), "-pthread".into(), path]
    }
}

fn first(mut folders: impl Iterator<Item = PathBuf>, file: &str) -> Option<PathBuf> {
    let found = folders.find(|folder| folder.join(file).exists())?;
    found.canonicalize().ok()
}
