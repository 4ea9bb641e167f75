//! The channels between drivers and applications: docs/channels.txt, which says what each row must show and which tests show it.
//! It is read here, compared with the tests that there are and with the demo's screens, and with what the test runner reports of a run:
//! a row that names a test which did not run and pass cannot claim to work. `page` makes docs/channels.md of it.

mod page;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::outcomes::Outcome;
use crate::workspace::Workspace;
use crate::{demo, named_tests};

pub(crate) use page::page;

const SOURCE: &str = "docs/channels.txt";
/// Where tests are whose file has no folder.
const SCENARIOS: &str = "tests/scenarios/tests";
/// Rows that the page must have.
const ROWS: u32 = 19;

/// A row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    id: String,
    seeds: Vec<String>,
    mechanism: String,
    kernel: String,
    application: String,
    samples: Vec<String>,
    screens: Vec<String>,
    /// The ways that it works in, of [`WAYS`], in their order.
    ways: Vec<(String, Held)>,
    /// What it names, and what holds that.
    parts: Vec<(String, Held)>,
}

/// The keys of the ways, and what the page calls them.
const WAYS: [(&str, &str); 4] = [
    ("sys", "driver as `.sys`"),
    ("sdk", "driver in the safe SDK, compiled in"),
    ("embedded", "application embedded"),
    ("apart", "application in another process"),
];

/// What holds a part.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    By(Vec<Test>),
    /// Nothing, for this reason.
    NotYet(String),
}

/// A test that a row names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    /// Its file, from the repository's root.
    file: String,
    name: String,
    /// Its last part, as `sys`, when one form of a scenario is meant.
    form: Option<String>,
}

impl Row {
    /// What is missing, each with the reason.
    fn missing(&self) -> impl Iterator<Item = (&str, &str)> {
        let ways = self.ways.iter().map(|(key, held)| (title(key), held));
        let all = ways.chain(self.parts.iter().map(|(words, held)| (words.as_str(), held)));
        all.filter_map(|(words, held)| match held {
            Held::NotYet(why) => Some((words, why.as_str())),
            Held::By(_) => None,
        })
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.ways.iter().chain(&self.parts).flat_map(|(_, held)| match held {
            Held::By(tests) => tests.as_slice(),
            Held::NotYet(_) => &[],
        })
    }
}

fn title(way: &str) -> &str {
    WAYS.iter().find(|(key, _)| *key == way).map_or(way, |(_, title)| title)
}

/// The rows of this repository.
pub(crate) fn rows(root: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(root.join(SOURCE)).with_context(|| format!("cannot read {SOURCE}"))?;
    parse(&text).with_context(|| SOURCE.to_owned())
}

fn parse(text: &str) -> Result<Vec<Row>> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        let Some((key, value)) = line.split_once(" = ") else {
            let (id, seeds) = line.split_once(' ').with_context(|| format!("no row and no value: {line}"))?;
            let seeds = seeds.split(',').map(|seed| seed.trim().to_owned()).collect();
            rows.push(Row { id: id.to_owned(), seeds, ..Row::default() });
            continue;
        };
        let row = rows.last_mut().with_context(|| format!("before the first row: {line}"))?;
        let list = || value.split(", ").map(str::to_owned).collect();
        match key {
            "mechanism" => value.clone_into(&mut row.mechanism),
            "kernel" => value.clone_into(&mut row.kernel),
            "application" => value.clone_into(&mut row.application),
            "sample" => row.samples = list(),
            "screen" => row.screens = list(),
            "part" => {
                let (words, by) =
                    value.split_once(" = ").with_context(|| format!("a part of nothing: {value}"))?;
                row.parts.push((words.to_owned(), held(by)?));
            }
            way if WAYS.iter().any(|(key, _)| *key == way) => row.ways.push((way.to_owned(), held(value)?)),
            _ => bail!("{}: {key} is no key", row.id),
        }
    }
    Ok(rows)
}

/// `FILE: NAME, NAME; FILE: NAME`, or `not yet: REASON`.
fn held(text: &str) -> Result<Held> {
    if let Some(why) = text.strip_prefix("not yet: ") {
        return Ok(Held::NotYet(why.to_owned()));
    }
    let mut tests = Vec::new();
    for group in text.split(';') {
        let (file, names) = group.split_once(':').with_context(|| format!("no test: {group}"))?;
        let file = file.trim();
        let is_whole = ["crates/", "tests/", "xtask/", "samples/"].iter().any(|root| file.starts_with(root));
        let file = if is_whole { file.to_owned() } else { format!("{SCENARIOS}/{file}") };
        for name in names.split(',').map(str::trim) {
            let (name, form) = match name.split_once("::") {
                Some((name, form)) => (name, Some(form.to_owned())),
                None => (name, None),
            };
            tests.push(Test { file: file.clone(), name: name.to_owned(), form });
        }
    }
    Ok(Held::By(tests))
}

/// Compares the rows with themselves, with the tests that there are, with the samples, and with the demo's screens.
pub(crate) fn check(workspace: &Workspace, rows: &[Row]) -> Result<()> {
    let root = &workspace.root;
    let mut wrong = complete(rows);
    let tests = rows.iter().flat_map(|row| row.tests().map(|test| (row.id.as_str(), test)));
    let read = |file: &str| fs::read_to_string(root.join(file)).ok();
    let mut count = 0;
    for (row, test) in tests {
        count += 1;
        wrong.extend(unknown(test, &read).map(|why| format!("{row}: {why}")));
    }
    for row in rows {
        for sample in row.samples.iter().filter(|sample| !root.join("samples").join(sample).is_dir()) {
            wrong.push(format!("{}: there is no sample {sample}", row.id));
        }
    }
    wrong.extend(screens(rows, &demo::channels(workspace, &[])?));
    if !wrong.is_empty() {
        bail!("{SOURCE} does not agree with what there is:\n  {}", wrong.join("\n  "));
    }
    eprintln!("docs: {count} tests that {SOURCE} names exist");
    Ok(())
}

/// What the rows lack in themselves: every name that a row gives must be in one of its parts, and every way be told of.
fn complete(rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let expected: Vec<_> = (1..=ROWS).map(|number| format!("M{number}")).collect();
    if ids != expected {
        wrong.push(format!("the rows are {}, not {}", ids.join(" "), expected.join(" ")));
    }
    for row in rows {
        let has_application = row.application != "–";
        let expected = WAYS.iter().take(if has_application { 4 } else { 2 }).map(|(key, _)| *key);
        if !row.ways.iter().map(|(key, _)| key.as_str()).eq(expected) {
            wrong.push(format!("{}: its ways are not all there, or not in their order", row.id));
        }
        for name in named_tests::spans(&row.kernel).chain(named_tests::spans(&row.application)) {
            let holds = |(words, _): &(String, Held)| named_tests::spans(words).any(|span| span == name);
            if !row.parts.iter().any(holds) {
                wrong.push(format!("{}: no part is about `{name}`", row.id));
            }
        }
    }
    wrong
}

/// Why a test is not one.
fn unknown(test: &Test, read: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Test { file, name, form } = test;
    let Some(content) = read(file) else { return Some(format!("there is no {file}")) };
    let Some(at) = content.find(&format!("fn {name}(")) else { return Some(format!("{file} has no {name}")) };
    // What stands above it: attributes, or the macro that makes tests of it in several forms.
    let above: Vec<_> =
        content[..at].lines().rev().take_while(|line| *line != "}").take(6).map(str::trim).collect();
    let is_form = above.iter().any(|line| line.ends_with("! {") || line.ends_with("!("));
    if !is_form && !above.contains(&"#[test]") {
        return Some(format!("{name} of {file} is no test"));
    }
    (form.is_some() && !is_form).then(|| format!("{name} of {file} has no forms"))
}

/// Where rows and the demo's screens disagree.
fn screens(rows: &[Row], channels: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(text).collect() };
    let mut wrong = Vec::new();
    for row in rows {
        let answering = channels.iter().filter(|channel| list(&channel["rows"]).contains(&row.id));
        let mut names: Vec<_> = answering.clone().map(|channel| text(&channel["name"])).collect();
        let mut said = row.screens.clone();
        names.sort();
        said.sort();
        if names != said || names.is_empty() {
            wrong.push(format!(
                "{}: its screens are [{}], the demo has [{}]",
                row.id,
                said.join(", "),
                names.join(", ")
            ));
        }
        for channel in answering {
            let seeds = list(&channel["seeds"]);
            if let Some(seed) = row.seeds.iter().find(|seed| !seeds.contains(seed)) {
                wrong.push(format!(
                    "{}: seed {seed} is not among those of the screen {}",
                    row.id,
                    text(&channel["name"])
                ));
            }
        }
    }
    wrong
}

/// What a run of the tests does not show of what the rows claim: a line for each test that did not run and pass.
pub(crate) fn unproved(workspace: &Workspace, rows: &[Row], outcomes: &[Outcome]) -> Vec<String> {
    let packages = workspace.packages.iter().map(|package| (package.folder.as_str(), package.name.as_str()));
    let packages: Vec<_> = packages.collect();
    let mut lines = Vec::new();
    for row in rows {
        for test in row.tests() {
            if let Some(why) = not_passed(test, &packages, outcomes) {
                let form = test.form.as_ref().map(|form| format!("::{form}")).unwrap_or_default();
                lines.push(format!("{}: {} {}{form} {why}", row.id, test.file, test.name));
            }
        }
    }
    lines.sort();
    lines.dedup();
    lines
}

fn not_passed(test: &Test, packages: &[(&str, &str)], outcomes: &[Outcome]) -> Option<&'static str> {
    let mut found = outcomes.iter().filter(|outcome| is_of(test, packages, outcome)).peekable();
    if found.peek().is_none() {
        return Some("did not run");
    }
    found.any(|outcome| !outcome.passed).then_some("failed")
}

/// Whether an outcome is this test's, or one of its forms'.
fn is_of(test: &Test, packages: &[(&str, &str)], outcome: &Outcome) -> bool {
    let inside = packages.iter().filter_map(|(folder, name)| {
        let rest = test.file.strip_prefix(folder)?.strip_prefix('/')?;
        Some((folder.len(), *name, rest))
    });
    let Some((_, package, rest)) = inside.max() else { return false };
    if outcome.package != package {
        return false;
    }
    // `tests/x.rs` and what is under `tests/x` are the binary x; sources belong to any of the package's.
    let binary = rest.strip_prefix("tests/").and_then(|rest| rest.split(['/', '.']).next());
    if binary.is_some_and(|binary| binary != outcome.binary) {
        return false;
    }
    let path: Vec<_> = outcome.name.split("::").collect();
    match (path.as_slice(), &test.form) {
        ([.., name, form], Some(wanted)) => name == &test.name && form == wanted,
        ([.., name], None) if *name == test.name => true,
        ([.., name, _], None) => *name == test.name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "# Words.\n\nM1  000, 001\nmechanism = reads\nkernel = `Read` and\n  `Write`\napplication = –\n\
        sample = hello\nscreen = read\nsys = a.rs: first_test_of_it::sys\nsdk = crates/k/src/b.rs: one_of_these;\n  \
        c/d.rs: two_of_these, three_of_these\npart = `Read`, `Write` = a.rs: first_test_of_it\n\
        part = the rest = not yet: nobody wrote it\n";

    fn test(file: &str, name: &str, form: Option<&str>) -> Test {
        Test { file: file.to_owned(), name: name.to_owned(), form: form.map(str::to_owned) }
    }

    fn row() -> Row {
        parse(TEXT).expect("it is one").remove(0)
    }

    #[test]
    fn a_row_is_read_with_its_ways_its_parts_and_what_is_missing() {
        let row = row();
        assert_eq!(
            (row.id.as_str(), row.seeds.as_slice()),
            ("M1", &["000".to_owned(), "001".to_owned()][..])
        );
        assert_eq!(row.kernel, "`Read` and `Write`");
        let sdk = [
            test("crates/k/src/b.rs", "one_of_these", None),
            test("tests/scenarios/tests/c/d.rs", "two_of_these", None),
            test("tests/scenarios/tests/c/d.rs", "three_of_these", None),
        ];
        assert_eq!(row.ways[1], ("sdk".to_owned(), Held::By(sdk.to_vec())));
        assert_eq!(row.missing().collect::<Vec<_>>(), [("the rest", "nobody wrote it")]);
        assert_eq!(row.tests().count(), 5);
    }

    #[test]
    fn a_name_of_the_row_that_no_part_is_about_and_a_way_that_is_not_told_of_are_wrong() {
        let mut rows = vec![row()];
        assert_eq!(complete(&rows).len(), 1, "the other rows: {:?}", complete(&rows));
        rows[0].kernel += " and `Else`";
        rows[0].ways.pop();
        let wrong = complete(&rows);
        assert!(wrong.contains(&"M1: no part is about `Else`".to_owned()), "{wrong:?}");
        assert!(wrong.iter().any(|line| line.contains("its ways")), "{wrong:?}");
    }

    #[test]
    fn a_test_that_does_not_exist_or_has_no_such_form_is_wrong() {
        let read = |file: &str| {
            (file == "a.rs")
                .then(|| "#[test]\nfn plain_test_here() {\n}\n\nfn no_test_here() {\n}\nscenario! {\n    fn one_of_both(form: Form) {\n    }\n}\n\nrule!(fn short_one_here(), x);".to_owned())
        };
        assert_eq!(unknown(&test("a.rs", "plain_test_here", None), &read), None);
        assert_eq!(unknown(&test("a.rs", "one_of_both", Some("sys")), &read), None);
        assert_eq!(unknown(&test("a.rs", "short_one_here", Some("native")), &read), None);
        for wrong in [
            test("b.rs", "plain_test_here", None),
            test("a.rs", "plain_test", None),
            test("a.rs", "no_test_here", None),
            test("a.rs", "plain_test_here", Some("sys")),
        ] {
            assert!(unknown(&wrong, &read).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn a_row_whose_screen_the_demo_does_not_have_or_has_for_other_seeds_is_wrong() {
        let channel = |seeds: Value| json!({"name": "read", "rows": ["M1"], "seeds": seeds});
        assert!(screens(&[row()], &[channel(json!(["000", "001"]))]).is_empty());
        assert_eq!(screens(&[row()], &[channel(json!(["000"]))]).len(), 1);
        assert_eq!(screens(&[row()], &[]).len(), 1);
    }

    #[test]
    fn a_test_is_proved_by_every_form_that_ran_and_passed_and_by_nothing_of_another_file() {
        let packages =
            [("crates/k", "kernel"), ("tests/scenarios", "scenarios"), ("crates/k/inner", "inner")];
        let outcome = |package: &str, binary: &str, name: &str, passed: bool| Outcome {
            package: package.to_owned(),
            binary: binary.to_owned(),
            name: name.to_owned(),
            passed,
        };
        let outcomes = [
            outcome("scenarios", "a", "first_test::native", true),
            outcome("scenarios", "a", "first_test::sys", false),
            outcome("scenarios", "ports", "ends::plain_one", true),
            outcome("kernel", "kernel", "io::tests::inside", true),
            outcome("inner", "inner", "tests::deeper", true),
        ];
        let judged = |file: &str, name: &str, form| not_passed(&test(file, name, form), &packages, &outcomes);
        assert_eq!(judged("tests/scenarios/tests/a.rs", "first_test", Some("native")), None);
        assert_eq!(judged("tests/scenarios/tests/a.rs", "first_test", Some("sys")), Some("failed"));
        assert_eq!(judged("tests/scenarios/tests/a.rs", "first_test", None), Some("failed"));
        assert_eq!(judged("tests/scenarios/tests/b.rs", "first_test", None), Some("did not run"));
        assert_eq!(judged("tests/scenarios/tests/ports/ends.rs", "plain_one", None), None);
        assert_eq!(judged("crates/k/src/io/tests.rs", "inside", None), None);
        assert_eq!(judged("crates/k/inner/src/lib.rs", "deeper", None), None);
        assert_eq!(judged("crates/k/src/lib.rs", "deeper", None), Some("did not run"));
        assert_eq!(judged("tests/scenarios/tests/a.rs", "first_test", Some("other")), Some("did not run"));
    }
}
