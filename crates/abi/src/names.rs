//! Tables of codes and their names: how the generated files declare them and how they are searched.

/// The name of a code in a table that is sorted by code.
pub(crate) fn name_in(names: &'static [(u32, &'static str)], code: u32) -> Option<&'static str> {
    let index = names.binary_search_by_key(&code, |&(key, _)| key).ok()?;
    names.get(index).map(|&(_, name)| name)
}

/// Declares codes of a type, and `NAMES` to find them in; the codes must ascend.
macro_rules! codes {
    ($type:ty, $make:expr; $($name:ident = $bits:literal;)*) => {
        $(pub const $name: $type = $make($bits);)*
        pub(crate) const NAMES: &[(u32, &str)] = &[$(($bits, stringify!($name)),)*];
    };
}

/// Declares further names of codes.
macro_rules! code_aliases {
    ($type:ty, $make:expr; $($name:ident = $bits:literal;)*) => {
        $(pub const $name: $type = $make($bits);)*
        #[allow(dead_code, reason = "of stop codes nobody lists them")]
        pub(crate) const ALIASES: &[(u32, &str)] = &[$(($bits, stringify!($name)),)*];
    };
}
