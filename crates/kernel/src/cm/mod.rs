//! The configuration manager: registry keys and values, in memory, gone with the machine.

mod information;
mod key;
mod object;
mod query_table;
mod registry;

pub use information::{Answer, key_information, value_information};
pub use key::{Key, KeyInformation, NamedValue, NewKey};
pub(crate) use object::root_object;
pub use object::{KeyBody, key_object, start_of};
pub use query_table::{open_relative, query_values, terminated};
pub use registry::{Registry, Value};
