//! The executive: events, mutants, semaphores and timers by handle and by name (how they work is `ke`'s), sections, resources (`ERESOURCE`), run-down protection
//! and callback objects. Lists, lookaside lists and fast mutexes need no state of the machine and are whole in `exports`; pool is `mm`'s.

mod callback;
mod event;
mod resource;
mod rundown;
mod section;
mod synchronization;

#[cfg(test)]
mod tests;

pub use callback::{Callback, Callbacks, callback_object};
pub use event::{EventBody, EventChange, change_event, create_event, event_object, open_event};
pub use resource::{Resource, Resources, SharedPolicy};
pub use rundown::Rundowns;
pub use section::{
    Section, SectionRequest, View, map_view, map_view_in_system_space, map_view_of_section, open_section,
    section_object,
};
pub use synchronization::{
    Synchronization, SynchronizationKind, create_synchronization, open_synchronization, release_mutant,
    release_semaphore, set_timer,
};
