//! Two shells talk through the pipe of the sample, as two programs do in the third of the articles that the samples
//! follow: one sends what is typed, the other reads when Enter is pressed. Both keep the pipe open meanwhile, since it goes
//! with its last open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::process::Signal;

use crate::host::Host;
use crate::run::{Room, command, ringbridge, sys};

/// A command that somebody types into.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start<const N: usize>(arguments: [&str; N]) -> Self {
        let mut command = command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ringbridge starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.input.as_ref().expect("it is open"), "{line}").expect("it listens");
    }

    /// The next line that it prints.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks");
        line.trim_end().to_owned()
    }

    /// Ctrl+D; it must end well.
    fn ends(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

#[test]
fn two_shells_talk_through_a_pipe_of_the_host() {
    let room = Room::new();
    let socket = room.path("gate");
    let host = Host::start("hello.sys", &socket);
    assert_eq!(ringbridge(["load", &sys("pipe.sys"), "--socket", &socket]).good(), "pipe loaded\n");

    let (hello, temp) = (r"\\.\Example\HELLO", r"\\.\Example\Temp");
    let mut writer = Shell::start(["write", hello, "--lines", "--socket", &socket]);
    let mut reader = Shell::start(["read", r"\\.\Example\hello", "64", "--on-enter", "--socket", &socket]);
    let mut other = Shell::start(["read", temp, "64", "--on-enter", "--socket", &socket]);
    // That they have opened their pipes shows in their first answers.
    reader.types("");
    assert_eq!(reader.says(), "0 bytes");
    other.types("");
    assert_eq!(other.says(), "0 bytes");

    writer.types("Hello World");
    assert_eq!(writer.says(), "11 bytes written");
    writer.types(", twice");
    assert_eq!(writer.says(), "7 bytes written");
    reader.types("");
    assert_eq!(
        reader.says(),
        "00000000  48 65 6c 6c 6f 20 57 6f  72 6c 64 2c 20 74 77 69  |Hello World, twi|"
    );
    assert_eq!(reader.says(), "00000010  63 65                                             |ce|");
    assert_eq!(reader.says(), "00000012");
    other.types("");
    assert_eq!(other.says(), "0 bytes", "pipes of other names do not mix");
    reader.types("");
    assert_eq!(reader.says(), "0 bytes");

    // A pipe lives as long as somebody has it open.
    writer.types("kept");
    assert_eq!(writer.says(), "4 bytes written");
    writer.ends();
    reader.types("");
    assert!(reader.says().ends_with("|kept|"));
    assert_eq!(reader.says(), "00000004");
    reader.ends();
    other.ends();
    assert_eq!(
        ringbridge(["unload", "pipe", "--socket", &socket]).good(),
        "pipe unloaded, nothing left behind\n"
    );
    host.stop(Signal::TERM).good();
}
