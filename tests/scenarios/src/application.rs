//! A test's binary, started again as an application in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Set in the environment of the process that plays the application.
const SOCKET: &str = "RINGBRIDGE_SCENARIO_SOCKET";

/// Runs the test `name` of this binary as an application of the host at `socket`.
///
/// # Panics
/// When it fails.
pub fn run_application(name: &str, socket: &Path) {
    run(application_command(&this_binary(), name, socket));
}

/// As [`run_application`], with variables in its environment.
///
/// # Panics
/// When it fails.
pub fn run_application_with(name: &str, socket: &Path, variables: &[(&str, &str)]) {
    let mut command = application_command(&this_binary(), name, socket);
    command.envs(variables.iter().copied());
    run(command);
}

fn this_binary() -> PathBuf {
    std::env::current_exe().expect("this binary")
}

fn application_command(binary: &Path, name: &str, socket: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["--exact", name, "--nocapture"]).env(SOCKET, socket);
    command
}

fn run(mut command: Command) {
    let output = command.output().expect("starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the application failed:\n{text}");
    assert!(text.contains("1 passed"), "the application did not run:\n{text}");
}

/// The client of the process that plays the application; `None` in the test run itself.
///
/// # Panics
/// When the host cannot be reached.
#[must_use]
pub fn application() -> Option<gate::Client> {
    Some(gate::Client::connect(application_socket()?).expect("connects"))
}

/// The host's socket in the process that plays the application; `None` in the test run itself.
#[must_use]
pub fn application_socket() -> Option<PathBuf> {
    std::env::var_os(SOCKET).map(PathBuf::from)
}

/// A folder that every user can look into, with this test's binary in it, so that other users can run it. It is removed
/// when this is dropped.
#[derive(Debug)]
pub struct PublicFolder(tempfile::TempDir);

impl PublicFolder {
    /// `None`, said on stderr, where this process may not become another user: only root may.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn for_other_users() -> Option<Self> {
        let own = fs::metadata("/proc/self").expect("/proc is mounted").uid();
        if own != 0 {
            eprintln!("SKIPPED: applications of other users can be run by root only, this is uid {own}");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
        fs::copy(this_binary(), folder.path().join("application")).expect("room for this binary");
        Some(Self(folder))
    }

    /// A path inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As [`run_application`], as a user of this number, in a group of this number and no other.
    ///
    /// # Panics
    /// When it fails.
    pub fn run_as(&self, uid: u32, gid: u32, name: &str, socket: &Path) {
        let mut command = application_command(&self.path("application"), name, socket);
        run({
            // The standard library drops all other groups when root sets a user.
            command.uid(uid).gid(gid).current_dir("/");
            command
        });
    }
}

/// An application that runs beside the test, which tells it to go on, or kills it.
#[derive(Debug)]
pub struct Beside {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    said: Option<String>,
}

impl Beside {
    /// Starts the test `name` of this binary as an application and waits until it says `ready` by [`say_ready`].
    ///
    /// # Panics
    /// When it ends before.
    #[must_use]
    pub fn start(name: &str, socket: &Path) -> Self {
        Self::start_with(name, socket, &[])
    }

    /// As [`Self::start`], with variables in its environment.
    ///
    /// # Panics
    /// When it ends before.
    #[must_use]
    pub fn start_with(name: &str, socket: &Path, variables: &[(&str, String)]) -> Self {
        let mut command = application_command(&this_binary(), name, socket);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let mut beside = Self { child, input, lines, said: None };
        beside.said = beside.wait_for("ready").split_once(' ').map(|(said, _)| said.to_owned());
        beside
    }

    /// What it told by [`say_ready_with`].
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Waits until it prints a line that ends with `word`; that line.
    ///
    /// # Panics
    /// When it ends before.
    pub fn wait_for(&mut self, word: &str) -> String {
        let said = self.lines.by_ref().map(|line| line.expect("text")).find(|line| line.ends_with(word));
        said.unwrap_or_else(|| panic!("the application ended before it said {word}"))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// When Linux does not tell.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// When Linux refuses.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Lets it go on behind [`wait_to_go_on`], and waits for its end.
    ///
    /// # Panics
    /// When it fails.
    pub fn finish(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("it ends").success(), "the application failed");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Tells the test that started this application as [`Beside`] that it is ready.
pub fn say_ready() {
    println!("ready");
}

/// The same, and one word more.
pub fn say_ready_with(word: &str) {
    // On a line of its own: the test runner may have begun one.
    println!("\n{word} ready");
}

/// Waits until the test that started this application as [`Beside`] has no more to say.
pub fn wait_to_go_on() {
    std::io::stdin().lines().for_each(drop);
}
