//! The object manager: objects and their life, the namespace, handles.
//!
//! What an object *is* belongs to the room that registers its type; this room never names devices or files.

mod directory;
mod handle;
mod name;
mod namespace;
mod object;

pub use directory::{Directory, NamedObject, SymbolicLink};
pub use handle::{HandleEntry, HandleTable};
pub use name::{eq_ignore_case, upcase};
pub use namespace::{Found, ObjectManager};
pub use object::{Object, ObjectBody, ObjectType};
