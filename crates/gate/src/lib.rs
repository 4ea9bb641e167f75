//! The gate: how an application reaches a kernel ([`Transport`]), and that trait's two-process form.

mod transport;

pub use transport::{CreateFile, DirectoryEntry, Handle, IoStatus, Transport};
