//! Portable Executable images: map, relocate, bind, exceptions.
//!
//! - [`pe`]: what a file says about itself, checked; nothing is mapped.
//! - [`map`]: an image in memory, its imports bound through an injected [`map::Resolver`].
#![expect(unsafe_code, reason = "this room writes code into memory, walks driver stacks and runs handlers")]

pub mod map;
pub mod pe;
mod tables;
