//! Win32 device paths, turned into NT paths as `RtlDosPathNameToNtPathName` does for devices.

/// The NT path of a Win32 device path, in UTF-16: `\\.\Name` and `\\?\Name` become `\??\Name`. A path that begins with one
/// backslash is an NT path already; any other name is taken as a device's. In the `\\.\` form slashes count as
/// backslashes.
///
/// Source: "Naming Files, Paths, and Namespaces", Win32 device namespaces.
#[must_use]
pub fn nt_path(path: &str) -> Vec<u16> {
    let literal = path.strip_prefix(r"\\?\").map(str::to_owned);
    let device = path.strip_prefix(r"\\.\").or_else(|| path.strip_prefix("//./"));
    let name = literal.or_else(|| device.map(|name| name.replace('/', r"\")));
    let nt = match name {
        Some(name) => format!(r"\??\{name}"),
        None if path.starts_with('\\') => path.to_owned(),
        None => format!(r"\??\{path}"),
    };
    nt.encode_utf16().collect()
}

/// The NT path of a named kernel object (an event, …), in UTF-16: `Name`, `Local\Name` and `Global\Name` are in
/// `\BaseNamedObjects`.
///
/// Source: Win32, Kernel Object Namespaces.
#[must_use]
pub fn object_path(name: &str) -> Vec<u16> {
    format!(r"\BaseNamedObjects\{name}").encode_utf16().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nt(path: &str) -> String {
        String::from_utf16_lossy(&nt_path(path))
    }

    #[test]
    fn win32_device_paths_become_nt_paths() {
        assert_eq!(nt(r"\\.\My_Device"), r"\??\My_Device");
        assert_eq!(nt(r"\\?\My_Device"), r"\??\My_Device");
        assert_eq!(nt(r"\\.\Example/sub/HELLO"), r"\??\Example\sub\HELLO");
        assert_eq!(nt(r"\\?\Example/sub"), r"\??\Example/sub");
        assert_eq!(nt("//./My_Device"), r"\??\My_Device");
        assert_eq!(nt(r"\Device\My_Device"), r"\Device\My_Device");
        assert_eq!(nt("My_Device"), r"\??\My_Device");
    }
}
