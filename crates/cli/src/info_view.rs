//! How `ringbridge info` looks to people.

use anyhow::Result;
use host::{Relocations, Section};

use crate::info::{Level, Report};
use crate::output::{Output, Tone};

pub(crate) fn show(report: &Report, output: &mut Output) -> Result<()> {
    headers(report, output)?;
    output.line("")?;
    sections(report, output)?;
    output.line("")?;
    imports(report, output)?;
    output.line("")?;
    verdict(report, output)
}

fn headers(report: &Report, output: &mut Output) -> Result<()> {
    let facts = &report.facts;
    let yes_no = |yes| if yes { "yes" } else { "no" };
    let entry = facts.entry.map_or_else(|| "none".to_owned(), |entry| format!("+{entry:#x}"));
    let relocations = match facts.relocations {
        Relocations::Stripped => "stripped: it can lie at its base only".to_owned(),
        Relocations::Count(count) => format!("{count}"),
    };
    output.line(output.paint(Tone::Heading, &report.name))?;
    let mut row = |name: &str, value: String| output.line(format_args!("  {name:<17}{value}"));
    row("machine", "x64".to_owned())?;
    row("subsystem", format!("{} (native)", facts.subsystem))?;
    row("preferred base", format!("{:#x}", facts.preferred_base))?;
    row("size", format!("{:#x} ({} bytes in memory)", facts.size, facts.size))?;
    row("entry", entry)?;
    row(
        "time stamp",
        format!(
            "{:#010x} ({}, unless the build is reproducible)",
            facts.time_date_stamp,
            utc(facts.time_date_stamp)
        ),
    )?;
    row("linker", format!("{}.{}", facts.linker.0, facts.linker.1))?;
    row("checksum", format!("{:#x}", facts.checksum))?;
    if let Some(pdb) = &facts.pdb {
        row("symbols", pdb.clone())?;
    }
    row("FORCE_INTEGRITY", format!("{} (signatures are not checked here)", yes_no(facts.force_integrity())))?;
    row("GUARD_CF", yes_no(report.guard_cf()).to_owned())?;
    row("security cookie", yes_no(report.security_cookie()).to_owned())?;
    row("relocations", relocations)?;
    row("unwind entries", facts.functions.map_or(0, |(_, count)| count).to_string())?;
    if !facts.exports.is_empty() {
        row("exports", facts.exports.len().to_string())?;
    }
    Ok(())
}

/// `rwx`, with dashes for what is not allowed.
pub(crate) fn protection(section: &Section) -> String {
    let flags = section.flags;
    let parts = [(flags.read, 'r'), (flags.write, 'w'), (flags.execute, 'x')];
    parts.into_iter().map(|(set, letter)| if set { letter } else { '-' }).collect()
}

fn sections(report: &Report, output: &mut Output) -> Result<()> {
    output.line(output.paint(Tone::Heading, format_args!("sections ({})", report.facts.sections.len())))?;
    for section in &report.facts.sections {
        let Section { name, rva, size, .. } = section;
        let discardable = if section.flags.discardable { "  discardable" } else { "" };
        let protection = protection(section);
        output.line(format_args!("  {name:<8}  +{rva:<#9x} {size:>#9x} bytes  {protection}{discardable}"))?;
    }
    Ok(())
}

const fn tone(level: Level) -> Tone {
    match level {
        Level::Full => Tone::Good,
        Level::Partial => Tone::Doubtful,
        Level::Missing | Level::Unknown => Tone::Bad,
    }
}

fn imports(report: &Report, output: &mut Output) -> Result<()> {
    output.line(output.paint(Tone::Heading, format_args!("imports ({})", report.imports.len())))?;
    for dll in &report.facts.imports {
        output.line(format_args!("  {}", dll.name))?;
        for level in Level::ALL {
            let symbols = report.of_level(level).filter(|import| import.dll == dll.name);
            let mut symbols: Vec<_> = symbols.map(|import| import.symbol.as_str()).collect();
            symbols.sort_unstable();
            if symbols.is_empty() {
                continue;
            }
            let title = format!("{} ({})", level.name(), symbols.len());
            let title = output.paint(tone(level), format!("{title:<13}"));
            let mut lines = wrap(&symbols, 80).into_iter();
            output.line(format_args!("    {title} {}", lines.next().unwrap_or_default()))?;
            for line in lines {
                output.line(format_args!("    {:13} {line}", ""))?;
            }
        }
    }
    Ok(())
}

/// Words in lines of about `width` characters.
fn wrap(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

fn verdict(report: &Report, output: &mut Output) -> Result<()> {
    match report.obstacle() {
        None => output.line(format_args!("{}: {}", report.name, output.paint(Tone::Good, "loads"))),
        Some(obstacle) => output.line(format_args!("{}: {}", report.name, output.paint(Tone::Bad, obstacle))),
    }
}

/// Seconds since 1970 as a date and time of day.
fn utc(seconds: u32) -> String {
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u32::from(leap(year)) {
        days -= 365 + u32::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u32::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_are_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_868_799), "2000-02-29 23:59:59 UTC");
        assert_eq!(utc(951_868_800), "2000-03-01 00:00:00 UTC");
        assert_eq!(utc(1_735_689_599), "2024-12-31 23:59:59 UTC");
        assert_eq!(utc(u32::MAX), "2106-02-07 06:28:15 UTC");
    }

    #[test]
    fn words_wrap_and_none_is_lost() {
        assert_eq!(wrap(&["aa", "bb", "cc"], 5), ["aa bb", "cc"]);
        assert_eq!(wrap(&["much too long", "b"], 5), ["much too long", "b"]);
        assert!(wrap(&[], 5).is_empty());
    }
}
