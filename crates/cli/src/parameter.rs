//! `--parameter NAME=VALUE`: what drivers find under their service's `Parameters` key.

use std::path::Path;

use anyhow::{Result, anyhow};
use host::{Machine, Parameter};

use crate::number;

/// A value for the `Parameters` key of each driver that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedParameter {
    name: String,
    value: Parameter,
}

/// Parses `NAME=VALUE`. A number, in decimal or behind `0x`, is a REG_DWORD, anything else a REG_SZ.
///
/// # Errors
/// What is wrong, for the user.
pub(crate) fn parse(text: &str) -> Result<NamedParameter, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("{text:?} gives no value: write NAME=VALUE"));
    };
    if name.is_empty() {
        return Err(format!("{text:?} has no name: write NAME=VALUE"));
    }
    let value = number::parse(value).map_or_else(|_| Parameter::Text(value.to_owned()), Parameter::Dword);
    Ok(NamedParameter { name: name.to_owned(), value })
}

/// The parameters as a request carries them.
pub(crate) fn named(parameters: &[NamedParameter]) -> Vec<(String, Parameter)> {
    parameters.iter().map(|NamedParameter { name, value }| (name.clone(), value.clone())).collect()
}

/// Gives the parameters to the service of the driver at `path`, which is yet to be loaded.
pub(crate) fn set(machine: &Machine, path: &Path, parameters: &[NamedParameter]) -> Result<()> {
    let service = path.file_stem().unwrap_or_default().to_string_lossy();
    for NamedParameter { name, value } in parameters {
        let set = machine.set_parameter(&service, name, value);
        set.map_err(|status| anyhow!("the parameter {name} cannot be set: {status:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dwords_and_all_else_is_text() {
        let parsed = |text| parse(text).map(|NamedParameter { name, value }| (name, value));
        let named = |name: &str, value| Ok((name.to_owned(), value));
        assert_eq!(parsed("Depth=5"), named("Depth", Parameter::Dword(5)));
        assert_eq!(parsed("Depth=0xFF"), named("Depth", Parameter::Dword(255)));
        let text = |text: &str| Parameter::Text(text.to_owned());
        assert_eq!(parsed(r"Target=\Device\A=B"), named("Target", text(r"\Device\A=B")));
        assert_eq!(parsed("Empty="), named("Empty", text("")));
        assert_eq!(parsed("Big=4294967296"), named("Big", text("4294967296")));
        assert!(parse("Depth").is_err() && parse("=5").is_err());
    }
}
