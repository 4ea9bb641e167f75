//! What this machine offers and, where something is missing, how it is installed: the Windows target of the Rust
//! compiler, a linker for `.sys` files, a C compiler with the driver headers. Every installation is announced in
//! one line; whatever cannot be installed becomes an error that names the package, so that callers can skip the part
//! that needs it and say why.
//!
//! It installs compilers and headers only. `cargo nextest`, rustfmt and clippy are used when present, never installed.

mod debian;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The target of every `.sys` file.
pub(crate) const WINDOWS: &str = "x86_64-pc-windows-msvc";

/// Debian's own compiler, by its full path: rustup's comes first in PATH where both are installed.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The cargo that runs this tool, at the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Whether cargo has the subcommand (`nextest`, `fmt`, `clippy`).
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    quiet(cargo().args([subcommand, "--version"]))
}

/// Runs a command with this process's output, and fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed; its error output belongs to the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({})\n{}", shown(command), output.status, reason.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", shown(command)))
}

/// Runs a command for its exit status alone.
fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The program and its first arguments, enough to recognise it by.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args().take(4)).map(OsStr::to_string_lossy);
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}

fn announce(text: &str) {
    eprintln!("setup: {text}");
}

/// LLVM's linker, in its `link.exe` form.
pub(crate) struct Linker {
    /// `rust-lld` or `lld-link`.
    pub(crate) program: PathBuf,
}

impl Linker {
    /// Looks beside the compilers, then in PATH, then asks Debian.
    pub(crate) fn find() -> Result<Self> {
        let beside = ["rustc", DEBIAN_RUSTC].into_iter().filter_map(rust_lld);
        let in_path = ["rust-lld", "lld-link", "lld-link-19"].into_iter().filter_map(in_path);
        let mut found = beside.chain(in_path).map(|program| Self { program });
        if let Some(linker) = found.find(Self::runs) {
            return Ok(linker);
        }
        debian::install(&["lld-19"]).context("no linker for .sys files (rust-lld or lld-link)")?;
        let program =
            self::in_path("lld-link-19").context("lld-19 is installed, but lld-link-19 is not in PATH")?;
        Ok(Self { program })
    }

    fn runs(&self) -> bool {
        quiet(self.command().arg("--version"))
    }

    /// A command that takes `link.exe`'s arguments, or `lib.exe`'s after `/lib`.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-flavor", "link"]);
        command
    }
}

/// A cargo that can build for Windows, and the linker it is to use.
pub(crate) struct WindowsRust {
    debian: bool,
    /// The linker of driver crates.
    pub(crate) linker: Linker,
}

impl WindowsRust {
    /// Makes sure that `core` for Windows is there: from rustup, else built by Debian's compiler from its source.
    pub(crate) fn find() -> Result<Self> {
        let linker = Linker::find()?;
        if windows_std_installed() {
            return Ok(Self { debian: false, linker });
        }
        match add_target(WINDOWS) {
            Ok(()) => return Ok(Self { debian: false, linker }),
            Err(refusal) => announce(&format!("{refusal:#}; using Debian's compiler instead")),
        }
        debian_rust().context("no Rust compiler here builds for Windows")?;
        Ok(Self { debian: true, linker })
    }

    /// A `cargo build` for Windows at the repository's root.
    pub(crate) fn build(&self) -> Command {
        let mut command = if self.debian { debian_build() } else { cargo() };
        if !self.debian {
            command.arg("build");
        }
        command.args(["--target", WINDOWS]);
        command
    }
}

fn debian_build() -> Command {
    let mut command = Command::new(DEBIAN_CARGO);
    command.current_dir(root());
    // Building `core` is a nightly option that a released compiler takes when told so.
    command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC_WRAPPER");
    command.args(["build", "-Zbuild-std=core,compiler_builtins"]);
    command
}

/// `rustup target add`, believed only when the compiler in use then has the target.
fn add_target(target: &str) -> Result<()> {
    if in_path("rustup").is_none() {
        bail!("rustup is absent");
    }
    announce(&format!("rustup target add {target}"));
    capture(Command::new("rustup").args(["target", "add", target])).context("rustup refused the target")?;
    if !target_installed(target) {
        bail!("rustup added the target to another toolchain than rustc's");
    }
    Ok(())
}

fn debian_rust() -> Result<()> {
    let source = Path::new("/usr/lib/rustlib/src/rust/library/core");
    let present = || Path::new(DEBIAN_RUSTC).exists() && Path::new(DEBIAN_CARGO).exists() && source.exists();
    if !present() {
        debian::install(&["rustc-web", "cargo-web", "rust-web-src"])?;
    }
    if !present() {
        bail!("Debian's packages rustc-web, cargo-web and rust-web-src left no compiler in /usr");
    }
    Ok(())
}

/// Whether rustup has put the Windows target's libraries, `std` among them, beside the compiler.
pub(crate) fn windows_std_installed() -> bool {
    target_installed(WINDOWS)
}

fn target_installed(target: &str) -> bool {
    sysroot("rustc").is_some_and(|sysroot| sysroot.join("lib/rustlib").join(target).join("lib").is_dir())
}

fn sysroot(rustc: &str) -> Option<PathBuf> {
    let text = capture(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root())).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn rust_lld(rustc: &str) -> Option<PathBuf> {
    let version = capture(Command::new(rustc).arg("-vV").current_dir(root())).ok()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let program = sysroot(rustc)?.join("lib/rustlib").join(host).join("bin/rust-lld");
    program.exists().then_some(program)
}

/// What builds programs for Windows: its Rust target, and mingw's linker.
pub(crate) struct WindowsGnu {
    /// The target's name.
    pub(crate) triple: &'static str,
}

impl WindowsGnu {
    /// Looks for both; installs what is missing, from rustup and from Debian.
    pub(crate) fn find() -> Result<Self> {
        let triple = "x86_64-pc-windows-gnu";
        if !target_installed(triple) {
            add_target(triple).context("no Rust target for Windows programs")?;
        }
        if in_path("x86_64-w64-mingw32-gcc").is_none() {
            debian::install(&["gcc-mingw-w64-x86-64"])?;
        }
        Ok(Self { triple })
    }
}

/// Wine, without a display.
pub(crate) struct Wine {
    /// Runs Windows programs.
    pub(crate) program: PathBuf,
    /// Ends a prefix's processes.
    pub(crate) server: PathBuf,
}

impl Wine {
    /// Looks for it; installs it from Debian.
    pub(crate) fn find() -> Result<Self> {
        if let Some(wine) = Self::installed() {
            return Ok(wine);
        }
        debian::install(&["wine64"])?;
        Self::installed()
            .context("wine64 is installed, but there is no wine64 and wineserver64 in its folder")
    }

    fn installed() -> Option<Self> {
        // Debian keeps them off PATH, behind a script that wants the package `wine`.
        let find = |name| {
            in_path(name).or_else(|| Some(Path::new("/usr/lib/wine").join(name)).filter(|path| path.exists()))
        };
        Some(Self { program: find("wine64")?, server: find("wineserver64").or_else(|| find("wineserver"))? })
    }
}

/// A C compiler for Windows drivers, and the folders of mingw's headers.
pub(crate) struct WindowsC {
    clang: PathBuf,
    headers: PathBuf,
    /// The linker of C drivers.
    pub(crate) linker: Linker,
}

impl WindowsC {
    /// Looks for clang and mingw's headers; on Debian installs what is missing.
    pub(crate) fn find() -> Result<Self> {
        let mut missing = Vec::new();
        if clang().is_none() {
            missing.push("clang-19");
        }
        if headers().is_none() {
            missing.push("mingw-w64-x86-64-dev");
        }
        if !missing.is_empty() {
            debian::install(&missing)?;
        }
        let clang = clang().context("clang-19 is installed but does not run")?;
        let headers = headers().context("mingw-w64-x86-64-dev is installed but has no ddk/ntddk.h")?;
        Ok(Self { clang, headers, linker: Linker::find()? })
    }

    /// A compiler command with everything that driver code needs; the caller adds input and output.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.clang);
        command.arg(format!("--target={WINDOWS}"));
        // mingw's headers compile for this target only when clang looks like the compiler they were written for.
        command.args(["-U_MSC_VER", "-fgnuc-version=4.2.1"]);
        // Else a `__try` around plain loads and stores is dropped.
        command.arg("-fasync-exceptions");
        // clang's own <mm3dnow.h>, which <intrin.h> includes, warns about itself.
        command.args(["-std=c17", "-O2", "-g", "-gcodeview", "-Wall", "-Wextra", "-Wno-#warnings", "-c"]);
        command.arg("-isystem").arg(&self.headers);
        command.arg("-isystem").arg(self.headers.join("ddk"));
        command
    }
}

fn clang() -> Option<PathBuf> {
    ["clang-19", "clang"].into_iter().filter_map(in_path).find(|program| {
        let major = capture(Command::new(program).arg("-dumpversion")).unwrap_or_default();
        major.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 19)
    })
}

fn headers() -> Option<PathBuf> {
    let folders = ["/usr/x86_64-w64-mingw32/include", "/usr/x86_64-w64-mingw32/sys-root/mingw/include"];
    folders.into_iter().map(PathBuf::from).find(|folder| folder.join("ddk/ntddk.h").exists())
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
