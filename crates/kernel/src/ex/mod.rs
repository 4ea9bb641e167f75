//! The executive: events by handle and by name (how an event works is `ke`'s), and resources (`ERESOURCE`). Lists, lookaside
//! lists and fast mutexes need no state of the machine and are whole in `exports`; pool is `mm`'s.

mod event;
mod resource;

#[cfg(test)]
mod tests;

pub use event::{EventBody, EventChange, change_event, create_event, event_object, open_event};
pub use resource::{Resource, Resources, SharedPolicy};
