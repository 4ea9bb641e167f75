//! The executive's own objects: events by handle and by name. How an event works is `ke`'s.

mod event;

pub use event::{EventBody, event_object};
