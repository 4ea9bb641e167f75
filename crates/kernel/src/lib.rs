//! The NT kernel.
