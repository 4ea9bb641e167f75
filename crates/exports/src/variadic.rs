//! Rows with variable arguments.

use kernel::{Outcome, raw};

use crate::Call;

/// The variable arguments of a call: consecutive 8-byte slots on the driver's stack (Win64's `va_list`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    next: u64,
}

impl Arguments {
    /// Those behind the `fixed` first arguments of the running call of a variadic row.
    pub(crate) fn of(call: &Call<'_>, fixed: u64) -> Self {
        Self { next: call.frame().rsp + fixed * 8 }
    }

    /// Those of a `va_list` that the driver passes.
    pub(crate) fn list(address: u64) -> Self {
        Self { next: address }
    }

    /// The next one.
    ///
    /// # Errors
    /// An access violation.
    pub(crate) fn next(&mut self) -> Outcome<u64> {
        let word = raw::read(self.next)?;
        self.next = self.next.wrapping_add(8);
        Ok(word)
    }
}

/// Declares variadic rows: as [`rows!`](crate::row::rows), where the body takes the variable arguments from
/// `Arguments::of(&call, FIXED)`.
macro_rules! variadic_rows {
    (dll = $dll:literal; $(
        $(#[doc = $doc:literal])+
        irql($irql:ident) $(support($support:ident))? $(alias($($alias:literal),+))?
        fn $name:ident($call:ident, $($argument:ident: $type:ty),+; ...) -> $answer:ty $body:block
    )*) => {
        $(
            #[allow(non_snake_case, reason = "named after the export")]
            mod $name {
                #[allow(unused_imports, reason = "what rows of this file have in common")]
                use super::*;

                extern "sysv64" fn body($($argument: u64),+) -> u64 {
                    $crate::call::enter(&ROW, &[$($argument),+], |$call| {
                        $(let $argument = <$type as $crate::row::Argument>::from_word($argument);)+
                        let run = || -> kernel::Outcome<$answer> { $body };
                        run().map($crate::row::Answer::into_word)
                    })
                }

                platform::export_thunk!(fn fixed, $crate::row::count!($($argument)+), body);
                platform::variadic_thunk! {
                    /// The entry thunk: what driver code calls.
                    #[unsafe(export_name = concat!("ringbridge_nt_", stringify!($name)))]
                    pub(super) fn thunk, fixed
                }

                pub(super) const ROW: $crate::Row = $crate::Row {
                    name: stringify!($name),
                    aliases: &[$($($alias),+)?],
                    dll: $dll,
                    signature: concat!("(", stringify!($($argument: $type),+), ", ...) -> ", stringify!($answer)),
                    irql: abi::$irql,
                    support: $crate::row::support!($($support)?),
                    doc: concat!($($doc),+),
                    address: $crate::Address::Function(thunk),
                };
            }
        )*

        /// The variadic rows of this file.
        pub(crate) const VARIADIC_ROWS: &[$crate::Row] = &[$($name::ROW),*];
    };
}

pub(crate) use variadic_rows;
