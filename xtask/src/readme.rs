//! README.md in English and in Chinese: people translate, and this sees to it that neither goes on without the other. Both must have
//! the same headings by level, the same code, and the same pictures and rows of tables in each part.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// Compares the two.
pub(crate) fn check(root: &Path) -> Result<()> {
    let read =
        |page: &str| fs::read_to_string(root.join(page)).with_context(|| format!("cannot read {page}"));
    let (english, chinese) = (outline(&read(ENGLISH)?), outline(&read(CHINESE)?));
    if let Some(wrong) = differences(&english, &chinese) {
        bail!("{ENGLISH} and {CHINESE} differ: {wrong}");
    }
    eprintln!("docs: {ENGLISH} and {CHINESE} have the same outline");
    Ok(())
}

/// What does not depend on the language: `##`, `| |` for a row of a table, `![](file)`, and lines of code without their comments.
fn outline(page: &str) -> Vec<String> {
    let mut outline = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            in_code = !in_code;
            outline.push(trimmed.to_owned());
        } else if in_code {
            let code = trimmed.split(" // ").next().unwrap_or(trimmed);
            let code = code.split(" # ").next().unwrap_or(code).trim();
            outline.extend((!code.is_empty()).then(|| code.to_owned()));
        } else if line.starts_with('#') {
            outline.push(line.chars().take_while(|letter| *letter == '#').collect());
        } else if line.starts_with('|') {
            outline.push("| |".to_owned());
        } else if let Some((_, picture)) = line.split_once("![") {
            let file =
                picture.split_once("](").and_then(|(_, rest)| rest.split_once(')')).map(|(file, _)| file);
            outline.push(format!("![]({})", file.unwrap_or_default()));
        }
    }
    outline
}

/// The first place where they differ.
fn differences(english: &[String], chinese: &[String]) -> Option<String> {
    let longest = english.len().max(chinese.len());
    let place = (0..longest).find(|place| english.get(*place) != chinese.get(*place))?;
    let at = |outline: &[String]| outline.get(place).cloned().unwrap_or_else(|| "nothing more".to_owned());
    Some(format!(
        "{:?} is {:?} there (number {} of what must be the same)",
        at(english),
        at(chinese),
        place + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# A\n\nwords\n\n![house](h.svg)\n\n## B\n\n| a | b |\n\n```sh\nrun it   # comment\n```\n";

    #[test]
    fn pages_that_differ_in_words_only_are_the_same() {
        let other = "# 甲\n\n字\n\n![房](h.svg)\n\n## 乙\n\n| 一 | 二 |\n\n```sh\nrun it   # 注\n```\n";
        assert_eq!(differences(&outline(PAGE), &outline(other)), None);
    }

    #[test]
    fn a_heading_a_row_a_picture_or_a_line_of_code_that_only_one_has_is_told() {
        for (part, without) in [
            ("## B\n", ""),
            ("## B\n", "### B\n"),
            ("| a | b |\n", ""),
            ("h.svg", "i.svg"),
            ("run it", "run that"),
            ("run it   # comment\n", ""),
        ] {
            let other = PAGE.replace(part, without);
            assert!(differences(&outline(PAGE), &outline(&other)).is_some(), "{part:?}");
        }
    }
}
