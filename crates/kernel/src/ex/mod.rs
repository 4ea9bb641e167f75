//! The executive's own locks: resources (`ERESOURCE`). Lists, lookaside lists and fast mutexes need no state of the
//! machine and are whole in `exports`; pool is `mm`'s.

mod resource;

#[cfg(test)]
mod tests;

pub use resource::{Resource, Resources, SharedPolicy};
