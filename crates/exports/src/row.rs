//! `Row`: the declaration of one export, and the macro that makes everything else from it.

/// How much of an export there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// It does what the documentation says.
    Full,
    /// It does a stated part; the rest answers STATUS_NOT_IMPLEMENTED.
    Partial,
    /// Named only. A driver that imports it is refused unless told otherwise; a call raises STATUS_NOT_IMPLEMENTED.
    Missing,
}

impl Support {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Missing => "missing",
        }
    }
}

/// Where an export is.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// A function's entry thunk.
    Function(unsafe extern "win64" fn()),
    /// A function in the platform's routines.
    Routine(fn() -> usize),
    /// A variable of each machine: its index among the data exports.
    Data(usize),
}

/// One export.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Other names that it is imported under.
    pub aliases: &'static [&'static str],
    /// The module that documents it; drivers may import it from others as well.
    pub dll: &'static str,
    /// Arguments and result, as declared.
    pub signature: &'static str,
    /// Highest IRQL at which it may be called.
    pub irql: u8,
    /// How much of it there is.
    pub support: Support,
    /// What it does, in a line.
    pub doc: &'static str,
    /// Where it is.
    pub address: Address,
}

/// A value that driver code passes in a register or on the stack.
pub(crate) trait Argument {
    fn from_word(word: u64) -> Self;
}

/// A value that driver code gets back in RAX.
pub(crate) trait Answer {
    fn into_word(self) -> u64;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "only the low part is passed")]
            #[inline]
            fn from_word(word: u64) -> Self {
                word as Self
            }
        }

        impl Answer for $type {
            #[allow(clippy::cast_sign_loss, clippy::cast_lossless, reason = "sign extension, as compilers do")]
            #[inline]
            fn into_word(self) -> u64 {
                self as u64
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i32, i64);

impl Answer for () {
    #[inline]
    fn into_word(self) -> u64 {
        0
    }
}

impl Answer for abi::NTSTATUS {
    #[inline]
    fn into_word(self) -> u64 {
        u64::from(self.bits())
    }
}

impl Answer for bool {
    #[inline]
    fn into_word(self) -> u64 {
        u64::from(self)
    }
}

/// Counts the words that it is given.
macro_rules! count {
    () => { 0 };
    ($head:ident $($tail:ident)*) => { 1 + $crate::row::count!($($tail)*) };
}

/// Declares rows: for each, documentation, highest IRQL, and the body, a block that ends with an `Outcome`.
///
/// ```text
/// rows! {
///     dll = "ntoskrnl.exe";
///
///     /// Creates a device object for use by a driver.
///     irql(APC_LEVEL) alias("Name")
///     fn IoCreateDevice(call, driver: u64, extension_size: u32) -> NTSTATUS { … }
/// }
/// ```
///
/// `support(Partial)` behind `irql` marks a row whose documentation says what it leaves out.
macro_rules! rows {
    (dll = $dll:literal; $(
        $(#[doc = $doc:literal])+
        irql($irql:ident) $(support($support:ident))? $(alias($($alias:literal),+))?
        fn $name:ident($call:ident $(, $argument:ident: $type:ty)*) -> $answer:ty $body:block
    )*) => {
        $(
            #[allow(non_snake_case, reason = "named after the export")]
            mod $name {
                #[allow(unused_imports, reason = "what rows of this file have in common")]
                use super::*;

                #[allow(clippy::too_many_arguments, reason = "as many as the export has")]
                extern "sysv64" fn body($($argument: u64),*) -> u64 {
                    $crate::call::enter(&ROW, &[$($argument),*], |$call| {
                        $(let $argument = <$type as $crate::row::Argument>::from_word($argument);)*
                        let run = || -> kernel::Outcome<$answer> { $body };
                        run().map($crate::row::Answer::into_word)
                    })
                }

                platform::export_thunk! {
                    /// The entry thunk: what driver code calls.
                    #[unsafe(export_name = concat!("ringbridge_nt_", stringify!($name)))]
                    pub(super) fn thunk, $crate::row::count!($($argument)*), body
                }

                pub(super) const ROW: $crate::Row = $crate::Row {
                    name: stringify!($name),
                    aliases: &[$($($alias),+)?],
                    dll: $dll,
                    signature: concat!("(", stringify!($($argument: $type),*), ") -> ", stringify!($answer)),
                    irql: abi::$irql,
                    support: $crate::row::support!($($support)?),
                    doc: concat!($($doc),+),
                    address: $crate::Address::Function(thunk),
                };
            }
        )*

        /// The rows of this file.
        pub(crate) const ROWS: &[$crate::Row] = &[$($name::ROW),*];
    };
}

/// The support level that a row's mark stands for.
macro_rules! support {
    () => {
        $crate::Support::Full
    };
    ($support:ident) => {
        $crate::Support::$support
    };
}

pub(crate) use {count, rows, support};
