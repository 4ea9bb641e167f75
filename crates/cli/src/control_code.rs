//! Control codes as people write them: a number, or `CTL_CODE(type, function, method, access)` as in a header.

use app::{Access, ControlCode, Method};

use crate::{device_names, number};

/// A control code.
///
/// # Errors
/// What is wrong, for the user.
pub(crate) fn parse(text: &str) -> Result<ControlCode, String> {
    let text = text.trim();
    let Some(arguments) = text.strip_prefix("CTL_CODE") else {
        return number::parse(text).map(ControlCode);
    };
    let inner = arguments.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let parts: Vec<_> = inner.map(|inner| inner.split(',').map(str::trim).collect()).unwrap_or_default();
    let [device_type, function, method, access] = parts[..] else {
        return Err("CTL_CODE takes four arguments: CTL_CODE(type, function, method, access), for example \
                    CTL_CODE(0x22, 0x800, BUFFERED, ANY)"
            .to_owned());
    };
    let device_type = device_names::by_name(device_type).map_or_else(|| number::parse(device_type), Ok)?;
    let device_type = u16::try_from(device_type).map_err(|_| "a device type has 16 bits".to_owned())?;
    let function = u16::try_from(number::parse(function)?).ok().filter(|function| *function <= 0xFFF);
    let function = function.ok_or("a function has 12 bits: 0 to 0xFFF")?;
    Ok(ControlCode::new(device_type, function, parse_method(method)?, parse_access(access)?))
}

fn parse_method(text: &str) -> Result<Method, String> {
    match text.to_ascii_uppercase().trim_start_matches("METHOD_") {
        "BUFFERED" | "0" => Ok(Method::Buffered),
        "IN_DIRECT" | "1" => Ok(Method::InDirect),
        "OUT_DIRECT" | "2" => Ok(Method::OutDirect),
        "NEITHER" | "3" => Ok(Method::Neither),
        _ => Err(format!("{text:?} is no method; there are BUFFERED, IN_DIRECT, OUT_DIRECT and NEITHER")),
    }
}

fn parse_access(text: &str) -> Result<Access, String> {
    let words = text.to_ascii_uppercase();
    let word = |word: &str| {
        let word = word.trim().trim_start_matches("FILE_");
        word.strip_suffix("_ACCESS").or_else(|| word.strip_suffix("_DATA")).unwrap_or(word).to_owned()
    };
    let mut bits = 0;
    for part in words.split('|') {
        bits |= match word(part).as_str() {
            "ANY" | "SPECIAL" | "0" => 0,
            "READ" | "1" => 1,
            "WRITE" | "2" => 2,
            "READ_WRITE" | "3" => 3,
            _ => return Err(format!("{text:?} is no access; there are ANY, READ, WRITE and READ|WRITE")),
        };
    }
    Ok(match bits {
        0 => Access::Any,
        1 => Access::Read,
        2 => Access::Write,
        _ => Access::ReadWrite,
    })
}

/// The header's name of a method.
pub(crate) const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Buffered => "METHOD_BUFFERED",
        Method::InDirect => "METHOD_IN_DIRECT",
        Method::OutDirect => "METHOD_OUT_DIRECT",
        Method::Neither => "METHOD_NEITHER",
    }
}

/// The header's name of an access.
pub(crate) const fn access_name(access: Access) -> &'static str {
    match access {
        Access::Any => "FILE_ANY_ACCESS",
        Access::Read => "FILE_READ_ACCESS",
        Access::Write => "FILE_WRITE_ACCESS",
        Access::ReadWrite => "FILE_READ_ACCESS | FILE_WRITE_ACCESS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_number_or_what_a_header_says() {
        for text in [
            "0x222000",
            "2236416",
            "CTL_CODE(0x22,0x800,BUFFERED,ANY)",
            "CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)",
            "CTL_CODE(unknown, 2048, 0, 0)",
        ] {
            assert_eq!(parse(text), Ok(ControlCode(0x0022_2000)), "{text}");
        }
        let both = parse("CTL_CODE(0x9C40, 0x903, NEITHER, FILE_READ_ACCESS | FILE_WRITE_DATA)");
        assert_eq!(both, Ok(ControlCode(0x9C40_E40F)));
        for text in [
            "",
            "CTL_CODE",
            "CTL_CODE(1,2,3)",
            "CTL_CODE(0x10000,0,0,0)",
            "CTL_CODE(0x22,0x1000,0,0)",
            "CTL_CODE(0x22,0x800,SLOW,ANY)",
            "CTL_CODE(0x22,0x800,BUFFERED,ALL)",
            "222GGG",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
