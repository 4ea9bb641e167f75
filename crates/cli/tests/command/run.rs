//! How the tests run the command, and what they look at.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// What a run printed, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The command, with an environment that does not depend on who runs the tests.
pub(crate) fn command<I, S>(arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbridge"));
    command.args(arguments).env_remove("RINGBRIDGE_SOCKET").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn ringbridge<const N: usize>(arguments: [&str; N]) -> Ran {
    ran(&mut command(arguments))
}

/// Runs a command to its end. Whatever it was asked, it must not panic.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let done = command.output().expect("ringbridge starts");
    let stderr = String::from_utf8(done.stderr).expect("stderr is text");
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ran { code: done.status.code(), stdout: done.stdout, stderr }
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is text")
    }

    /// Stdout of a run that succeeded.
    #[track_caller]
    pub(crate) fn good(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.text(), self.stderr);
        self.text()
    }

    /// Stderr of a run that failed.
    #[track_caller]
    pub(crate) fn failed(&self) -> &str {
        assert_eq!(self.code, Some(1), "{}{}", self.text(), self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        &self.stderr
    }

    /// Stderr of a run that was not understood.
    #[track_caller]
    pub(crate) fn usage(&self) -> &str {
        assert_eq!(self.code, Some(2), "{}{}", self.text(), self.stderr);
        &self.stderr
    }

    /// The one JSON object of a run that succeeded; it has the version that scripts check.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(self.good()).expect("one JSON value");
        assert_eq!(value["version"], 1, "{value}");
        value
    }
}

/// The folder of the built drivers.
pub(crate) fn sys_dir() -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/sys"));
    std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(default, PathBuf::from)
}

/// A built driver's path.
pub(crate) fn sys(name: &str) -> String {
    let path = sys_dir().join(name);
    assert!(path.exists(), "{} is missing: build it with `cargo xtask sys`", path.display());
    path.into_os_string().into_string().expect("the path is text")
}

/// A folder of one test's own, short enough for sockets, removed with it.
pub(crate) struct Room(PathBuf);

impl Room {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rb-cli-{}-{number}", process::id()));
        fs::create_dir(&path).expect("a folder for the test");
        Self(path)
    }

    /// Lets every user look into it.
    pub(crate) fn open_to_all(&self) {
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755)).expect("is ours");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("the path is text")
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("the file is written");
        path
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// The bytes of hello.sys.
pub(crate) fn hello_bytes() -> Vec<u8> {
    fs::read(Path::new(&sys("hello.sys"))).expect("hello.sys can be read")
}
