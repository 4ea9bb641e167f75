//! `ringbridge info`: what a driver's file says, and whether it would load.

use std::path::PathBuf;

use anyhow::{Context, Result};
use host::{ExportSupport, ImageFacts, Relocations, Section, find_export, inspect, read_image};
use serde_json::{Value, json};

use crate::info_view;
use crate::output::Output;

/// `IMAGE_DLLCHARACTERISTICS_GUARD_CF`.
const GUARD_CF: u16 = 0x4000;

/// Show what a driver's file says, and whether it would load
///
/// Nothing of the file is run. Imports are grouped by how far Ringbridge supports them.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ringbridge info hello.sys\n  \
    ringbridge info --json hello.sys | jq .imports.missing\n  \
    for file in *.sys; do ringbridge info --json $file | jq -r '\"\\(.loads) \\(.name)\"'; done\n\n\
    Support: full (as documented), partial (a stated part of it), missing (known by name only), unknown.\n\
    A driver that imports missing or unknown exports is refused at load; --allow-missing, where there is\n\
    that option, admits those that are missing.")]
pub(crate) struct Args {
    /// The driver's file
    #[arg(value_name = "FILE.sys")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// An import and how far it is supported.
pub(crate) struct Imported {
    pub(crate) dll: String,
    pub(crate) symbol: String,
    pub(crate) level: Level,
}

/// How far an import is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Full,
    Partial,
    Missing,
    Unknown,
}

impl Level {
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Partial, Self::Missing, Self::Unknown];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    fn of(symbol: &str) -> Self {
        match find_export(symbol).map(|row| row.support) {
            Some(ExportSupport::Full) => Self::Full,
            Some(ExportSupport::Partial) => Self::Partial,
            Some(ExportSupport::Missing) => Self::Missing,
            None => Self::Unknown,
        }
    }

    /// Whether the loader binds it without being told to.
    pub(crate) const fn binds(self) -> bool {
        matches!(self, Self::Full | Self::Partial)
    }
}

/// What is told about a file.
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) facts: ImageFacts,
    pub(crate) imports: Vec<Imported>,
}

impl Report {
    fn new(name: String, facts: ImageFacts) -> Self {
        let mut imports = Vec::with_capacity(facts.import_count());
        for dll in &facts.imports {
            for import in &dll.symbols {
                let symbol = import.symbol().to_string();
                // A symbol imported by number has no name to look up.
                let level = if symbol.starts_with("ordinal ") { Level::Unknown } else { Level::of(&symbol) };
                imports.push(Imported { dll: dll.name.clone(), symbol, level });
            }
        }
        Self { name, facts, imports }
    }

    /// The imports of one level.
    pub(crate) fn of_level(&self, level: Level) -> impl Iterator<Item = &Imported> {
        self.imports.iter().filter(move |import| import.level == level)
    }

    /// What keeps it from being loaded, in a sentence.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let missing = self.imports.iter().filter(|import| !import.level.binds()).count();
        match (missing, self.facts.entry) {
            (0, Some(_)) => None,
            (0, None) => Some("has no entry point, so there is no DriverEntry to call".to_owned()),
            (1, _) => Some("needs 1 export that is missing".to_owned()),
            (count, _) => Some(format!("needs {count} exports that are missing")),
        }
    }

    pub(crate) fn guard_cf(&self) -> bool {
        self.facts.dll_characteristics & GUARD_CF != 0
    }

    pub(crate) fn security_cookie(&self) -> bool {
        self.facts.load_config.is_some_and(|config| config.security_cookie.is_some())
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let path = args.file.display();
    let bytes = read_image(&args.file).with_context(|| format!("cannot read {path}"))?;
    let facts = inspect(&bytes).with_context(|| format!("{path} cannot be loaded"))?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let report = Report::new(name, facts);
    if args.json { output.json(as_json(&report)) } else { info_view::show(&report, output) }
}

fn as_json(report: &Report) -> Value {
    let facts = &report.facts;
    let relocations = match facts.relocations {
        Relocations::Stripped => Value::Null,
        Relocations::Count(count) => count.into(),
    };
    let of_level = |level| -> Value {
        report.of_level(level).map(|import| json!({ "dll": import.dll, "symbol": import.symbol })).collect()
    };
    json!({
        "name": report.name,
        "loads": report.obstacle().is_none(),
        "obstacle": report.obstacle(),
        "machine": "x64",
        "subsystem": facts.subsystem,
        "preferred_base": format!("{:#x}", facts.preferred_base),
        "size": facts.size,
        "entry": facts.entry,
        "time_date_stamp": facts.time_date_stamp,
        "checksum": facts.checksum,
        "linker": format!("{}.{}", facts.linker.0, facts.linker.1),
        "pdb": facts.pdb,
        "force_integrity": facts.force_integrity(),
        "guard_cf": report.guard_cf(),
        "security_cookie": report.security_cookie(),
        "relocations": relocations,
        "functions": facts.functions.map_or(0, |(_, count)| count),
        "sections": facts.sections.iter().map(section_json).collect::<Value>(),
        "exports": facts.exports.iter().map(|export| json!({
            "name": export.name,
            "ordinal": export.ordinal,
        })).collect::<Value>(),
        "imports": {
            "full": of_level(Level::Full),
            "partial": of_level(Level::Partial),
            "missing": of_level(Level::Missing),
            "unknown": of_level(Level::Unknown),
        },
    })
}

fn section_json(section: &Section) -> Value {
    json!({
        "name": section.name,
        "rva": section.rva,
        "size": section.size,
        "file_size": section.file_size,
        "protection": info_view::protection(section),
        "discardable": section.flags.discardable,
    })
}
