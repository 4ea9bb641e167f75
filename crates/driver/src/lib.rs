//! The safe SDK for driver authors.
