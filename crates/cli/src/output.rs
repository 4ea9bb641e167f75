//! What the command prints: text for people, JSON for programs, and reasons on stderr.
//!
//! Nothing here panics when a reader goes away: a write that fails becomes an [`Unwritten`] error, which `main` judges.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use anyhow::Result;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Map, Value};

/// Version of the JSON objects; it grows when a field changes its meaning or goes.
const JSON_VERSION: u64 = 1;

/// A write to stdout failed.
#[derive(Debug)]
pub(crate) struct Unwritten(pub(crate) io::Error);

impl Display for Unwritten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot write the output: {}", self.0)
    }
}

impl std::error::Error for Unwritten {}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Heading,
    Good,
    Bad,
    Doubtful,
    Quiet,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

/// Text in a tone. Padding applies to the text, not to the escape sequences around it.
pub(crate) struct Painted<T> {
    text: T,
    style: Style,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.style.fmt(formatter)?;
        self.text.fmt(formatter)?;
        write!(formatter, "{:#}", self.style)
    }
}

/// Stdout, and what it can show.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    colour: bool,
    unicode: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { out: BufWriter::new(io::stdout()), colour: colour_for(&io::stdout()), unicode: unicode() }
    }

    /// Text in a tone, where the terminal has colours.
    pub(crate) fn paint<T: Display>(&self, tone: Tone, text: T) -> Painted<T> {
        Painted { text, style: if self.colour { tone.style() } else { Style::new() } }
    }

    /// An arrow, in what the terminal's encoding has.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// Whether the terminal's encoding has more than ASCII.
    pub(crate) fn unicode(&self) -> bool {
        self.unicode
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<()> {
        writeln!(self.out, "{line}").map_err(|error| Unwritten(error).into())
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Unwritten(error).into())
    }

    /// Prints an object as JSON, with the `version` that all of them have.
    pub(crate) fn json(&mut self, fields: Value) -> Result<()> {
        let mut object = Map::new();
        object.insert("version".to_owned(), JSON_VERSION.into());
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        self.line(format_args!("{:#}", Value::Object(object)))
    }

    /// Prints the drivers that something was done with as JSON, if that is wanted, also when not all was `done`.
    pub(crate) fn drivers(&mut self, json: bool, drivers: Vec<Value>, done: Result<()>) -> Result<()> {
        let printed = if json && (done.is_ok() || !drivers.is_empty()) {
            self.json(serde_json::json!({ "drivers": drivers }))
        } else {
            Ok(())
        };
        done.and(printed)
    }

    /// Hands everything over to whoever reads.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|error| Unwritten(error).into())
    }
}

/// Whether a stream shows colours: a terminal that can, unless the user does not want them (NO_COLOR).
fn colour_for(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    stream.is_terminal() && !refused && !dumb
}

/// Whether the user's locale is UTF-8.
fn unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}

/// Prints the reason of a failure on stderr.
pub(crate) fn failed(error: &anyhow::Error) {
    let style = if colour_for(&io::stderr()) { Tone::Bad.style() } else { Style::new() };
    note(format_args!("{} {error:#}", Painted { text: "error:", style }));
}

/// Prints a line on stderr, for people who watch.
pub(crate) fn note(line: impl Display) {
    // Whoever closed stderr does not want to know.
    let _unread = writeln!(io::stderr(), "{line}");
}
