//! The only code that talks to Linux, and its deterministic mock.
