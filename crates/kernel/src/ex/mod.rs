//! The executive: events by handle and by name (how an event works is `ke`'s), and resources (`ERESOURCE`). Lists, lookaside
//! lists and fast mutexes need no state of the machine and are whole in `exports`; pool is `mm`'s.

mod event;
mod resource;

#[cfg(test)]
mod tests;

pub use event::{EventBody, event_object};
pub use resource::{Resource, Resources, SharedPolicy};
