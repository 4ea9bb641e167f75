//! Applications in C that know nothing of Ringbridge, compiled with each compiler that is there, against drivers in another process. The
//! programs are in `crates/win32/samples` (the applications of the seeds) and `crates/win32/tests`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use host::Server;
use ringbridge_scenarios::{
    CONSULT, DELAY, Form, HELLO, NAMEDPIPE, NOTIFY, PIPE, SHELF, SampleDriver, VERDICT, scenario, serve,
    sys_path, unload_when_closed,
};
use win32::compiling::Installation;

const COMPILERS: [&str; 3] = ["gcc", "clang", "clang-19"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/win32")
}

fn is_there(compiler: &str) -> bool {
    let there = Command::new(compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED: {compiler} is not there");
    }
    there
}

/// Compiles `source` (without `.c`) into `folder`.
fn compile(compiler: &str, source: &str, folder: &Path) -> PathBuf {
    let own = std::env::current_exe().expect("this binary");
    let installation = Installation::find(&own).expect("headers and library are built with this test");
    let program = folder.join(Path::new(source).file_name().expect("a file"));
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Werror", "-g"]).args(installation.compile_flags());
    command.arg(sources().join(source).with_extension("c")).arg("-o").arg(&program);
    let output = command.args(installation.link_flags()).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} does not compile {source}:\n{said}");
    program
}

/// Serves a machine with `driver`, which must end as it began, and hands `body` each compiler's folder and the server.
fn with_each_compiler(driver: &SampleDriver, form: Form, body: impl Fn(&str, &Path, &Server)) {
    for compiler in COMPILERS.into_iter().filter(|compiler| is_there(compiler)) {
        let machine = driver.machine(form);
        let (folder, server) = serve(&machine);
        body(compiler, folder.path(), &server);
        server.stop();
        assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
        unload_when_closed(&machine, driver.name);
        assert!(machine.user_mappings().is_empty());
        assert_eq!(machine.section_usage(), host::SectionUsage::default());
    }
}

fn command(program: &Path, server: &Server) -> Command {
    let mut command = Command::new(program);
    // It is to find the library by itself; a test runner's folders may have one of an earlier build.
    command.env_remove("LD_LIBRARY_PATH").env("RINGBRIDGE_SOCKET", server.path());
    command
}

/// Runs it; what it said. It must succeed.
fn said_by(mut command: Command) -> String {
    let output = command.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    said
}

fn is_content(driver: &SampleDriver, form: Form, source: &str, arguments: &[&str]) {
    with_each_compiler(driver, form, |compiler, folder, server| {
        let mut command = command(&compile(compiler, source, folder), server);
        command.args(arguments);
        assert_eq!(said_by(command), "content\n");
    });
}

scenario! {
    fn the_application_of_seeds_0_1_and_4_reads_writes_and_controls(form: Form) {
        with_each_compiler(&HELLO, form, |compiler, folder, server| {
            let said = said_by(command(&compile(compiler, "samples/hello", folder), server));
            let expected = "read 10: 68 68 68 68 68 68 68 68 68 68\nwrote 25\n\
                the driver has: from an application in C\necho of 4: from\n\
                echo of 25: from an application in C\n";
            assert_eq!(said, expected);
        });
    }
}

scenario! {
    fn the_application_of_seed_2_is_told_by_events_and_loses_nothing(form: Form) {
        with_each_compiler(&NOTIFY, form, |compiler, folder, server| {
            let program = compile(compiler, "samples/notify", folder);
            for (way, last) in
                [("named", "the driver's event is not ours to set: 5\n"), ("own", "")]
            {
                let mut command = command(&program, server);
                command.args([way, "1000"]);
                assert_eq!(said_by(command), format!("1000 notifications\n{last}"));
            }
        });
    }
}

scenario! {
    fn the_application_of_seed_0_answers_its_minifilter_in_three_ways(form: Form) {
        with_each_compiler(&VERDICT, form, |compiler, folder, server| {
            let program = compile(compiler, "samples/verdict", folder);
            // The driver goes on counting.
            for (way, allowed, denied, last) in
                [("wait", 2, 1, "\\last: opened\n"), ("event", 5, 2, ""), ("port", 7, 3, "")]
            {
                let mut command = command(&program, server);
                command.arg(way);
                let expected = format!(
                    "no such port: 80070002\n\\letter.txt: opened\n\\letter.exe: 5\n\\another.txt: opened\n\
                     allowed {allowed}, denied {denied}, unanswered 0\n{last}the guard ends: 00000000\n"
                );
                assert_eq!(said_by(command), expected, "{way}");
            }
        });
    }
}

scenario! {
    fn the_application_of_seed_0_consults_a_driver_and_is_consulted_through_lpc(form: Form) {
        with_each_compiler(&CONSULT, form, |compiler, folder, server| {
            let said = said_by(command(&compile(compiler, "samples/consult", folder), server));
            let bytes = sample_consult::LINE.len() * sample_consult::LINES;
            let expected = format!(
                "the driver asked and was told {bytes} bytes, 600 words, 100 lines\n\
                 the driver changed 20 letters: WHAT IS SHOWN IS NOT SENT\n"
            );
            assert_eq!(said, expected);
        });
    }
}

scenario! {
    fn the_application_of_seed_0_serves_pipes_that_a_driver_opens(form: Form) {
        with_each_compiler(&NAMEDPIPE, form, |compiler, folder, server| {
            let said = said_by(command(&compile(compiler, "samples/namedpipe", folder), server));
            let expected = "the driver connects: the driver is here\nwas it a car comes back as rac a ti saw\n\
                or a cat i saw comes back as was i tac a ro\n\
                the driver connects: the driver is here\nno bound comes back as NO BOUND\n";
            assert_eq!(said, expected);
        });
    }
}

/// A program that is given lines and answers each with one.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    fn start(program: &Path, server: &Server, argument: &str) -> Self {
        let mut command = command(program, server);
        command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let input = child.stdin.take().expect("is piped");
        let output = BufReader::new(child.stdout.take().expect("is piped"));
        Self { child, input, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks");
        line.trim_end().to_owned()
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("it ends").success());
    }
}

scenario! {
    fn the_two_applications_of_seed_3_meet_in_the_driver(form: Form) {
        with_each_compiler(&PIPE, form, |compiler, folder, server| {
            let writer = compile(compiler, "samples/pipe_writer", folder);
            let reader = compile(compiler, "samples/pipe_reader", folder);
            let mut reader = Talk::start(&reader, server, "hello");
            assert_eq!(reader.hear(), r"open: \\.\Example\hello");
            let mut writer = Talk::start(&writer, server, "HELLO");
            for line in ["one", "two and more"] {
                writer.say(line);
                assert_eq!(writer.hear(), format!("wrote {}", line.len() + 1));
                reader.say("");
                assert_eq!(reader.hear(), format!("read {}: {line}", line.len() + 1));
                assert_eq!(reader.hear(), "", "the line's end that was written");
            }
            writer.end();
            reader.end();
        });
    }
}

scenario! {
    fn requests_that_go_on_are_told_by_events_ports_routines_and_their_memory(form: Form) {
        is_content(&DELAY, form, "tests/overlapped", &[]);
    }
}

scenario! {
    fn threads_begin_await_and_cancel_requests_on_one_file(form: Form) {
        is_content(&DELAY, form, "tests/stress", &[]);
    }
}

scenario! {
    fn what_no_application_should_do_is_a_last_error(form: Form) {
        is_content(&HELLO, form, "tests/hostile", &[]);
    }
}

scenario! {
    fn nts_own_calls_answer_statuses(form: Form) {
        is_content(&DELAY, form, "tests/native", &[]);
    }
}

scenario! {
    fn mutexes_semaphores_and_timers_are_the_machines_and_locks_the_programs(form: Form) {
        is_content(&HELLO, form, "tests/sync", &[]);
    }
}

scenario! {
    fn pipes_between_two_threads_of_an_application_do_what_their_pages_say(form: Form) {
        is_content(&HELLO, form, "tests/pipes", &[]);
    }
}

scenario! {
    fn lpc_ports_between_two_threads_of_an_application_lend_memory_and_call_back(form: Form) {
        is_content(&HELLO, form, "tests/lpc", &[]);
    }
}

scenario! {
    fn files_folders_and_volumes_are_what_their_pages_say(form: Form) {
        is_content(&SHELF, form, "tests/files", &[]);
    }
}

scenario! {
    fn wrong_arguments_of_filter_ports_are_results(form: Form) {
        is_content(&VERDICT, form, "tests/filter", &[]);
    }
}

#[test]
fn messages_of_the_system_and_of_the_application_have_inserts() {
    is_content(&HELLO, Form::Native, "tests/messages", &[]);
}

#[test]
fn a_mutex_whose_owner_is_killed_is_abandoned() {
    with_each_compiler(&HELLO, Form::Native, |compiler, folder, server| {
        let program = compile(compiler, "tests/sync", folder);
        let mut owner = Talk::start(&program, server, "own");
        assert_eq!(owner.hear(), "ready");
        let mut waiting = Talk::start(&program, server, "wait");
        assert_eq!(waiting.hear(), "ready");
        owner.child.kill().expect("it runs");
        owner.child.wait().expect("it ends");
        assert_eq!(waiting.hear(), "content");
        waiting.end();
    });
}

#[test]
fn an_application_loads_its_own_driver_by_services() {
    with_each_compiler(&VERDICT, Form::Native, |compiler, programs, server| {
        let mut command = command(&compile(compiler, "tests/service", programs), server);
        command.arg(sys_path("hello"));
        assert_eq!(said_by(command), "content\n");
    });
}

scenario! {
    fn a_killed_application_leaves_nothing(form: Form) {
        with_each_compiler(&DELAY, form, |compiler, folder, server| {
            let mut talk = Talk::start(&compile(compiler, "tests/ends", folder), server, "kill");
            assert_eq!(talk.hear(), "ready");
            talk.child.kill().expect("it runs");
            talk.child.wait().expect("it ends");
        });
    }
}

scenario! {
    fn a_host_that_ends_ends_every_request_and_wait(form: Form) {
        for compiler in COMPILERS.into_iter().filter(|compiler| is_there(compiler)) {
            let machine = DELAY.machine(form);
            let (folder, server) = serve(&machine);
            let mut talk = Talk::start(&compile(compiler, "tests/ends", folder.path()), &server, "host");
            assert_eq!(talk.hear(), "ready");
            server.stop();
            assert_eq!(talk.hear(), "content");
            talk.end();
            unload_when_closed(&machine, DELAY.name);
        }
    }
}

#[test]
fn a_forked_child_is_refused_and_its_parent_goes_on() {
    is_content(&DELAY, Form::Native, "tests/ends", &["fork"]);
}

#[test]
fn text_is_printed_as_on_windows_and_arguments_come_in_utf_16() {
    is_content(&HELLO, Form::Native, "tests/text", &["ä€"]);
}

#[test]
fn without_a_host_the_last_error_says_so_and_a_line_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for compiler in COMPILERS.into_iter().filter(|compiler| is_there(compiler)).take(1) {
        let mut command = Command::new(compile(compiler, "samples/hello", folder.path()));
        let output = command.env("RINGBRIDGE_SOCKET", folder.path().join("nobody")).output().expect("starts");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "the device does not open: 1167\n");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(complained.contains("ringbridge serve"), "{complained}");
    }
}

#[test]
fn the_same_sources_compile_for_windows() {
    let compiler = "x86_64-w64-mingw32-gcc";
    if !is_there(compiler) {
        return;
    }
    for folder in ["samples", "tests"] {
        for entry in std::fs::read_dir(sources().join(folder)).expect("is there") {
            let path = entry.expect("is read").path();
            if path.extension().is_some_and(|extension| extension == "c") {
                // What Windows' headers have comes from them.
                let mut command = Command::new(compiler);
                command.args(["-fsyntax-only", "-idirafter"]).arg(sources().join("include")).arg(&path);
                let output = command.output().expect("starts");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}:\n{said}", path.display());
            }
        }
    }
}
