//! The object manager: objects and their life, the namespace, handles.
//!
//! What an object *is* belongs to the room that registers its type; this room never names devices or files.

mod directory;
mod handle;
mod name;
mod named;
mod namespace;
mod object;
mod reference;
mod types;
mod wait;

pub use directory::{Directory, NamedObject, SymbolicLink};
pub use handle::{HandleAttributes, HandleEntry, HandleTable};
pub(crate) use name::folded;
pub use name::{eq_ignore_case, upcase};
pub use named::{Name, create_named, open_named, reference_own};
pub use namespace::{Found, ObjectManager};
pub use object::{Object, ObjectBody, ObjectType};
pub use reference::{
    Duplicate, KERNEL_HANDLE, Wanted, check_type, close_handle, current_process, duplicate_object, locate,
    make_temporary, open_handle, reference_by_handle,
};
pub use wait::wait_for_handles;
