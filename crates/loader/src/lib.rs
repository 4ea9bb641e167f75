//! Portable Executable images: map, relocate, bind, exceptions.
//!
//! - [`pe`]: what a file says about itself, checked; nothing is mapped.
//! - [`map`]: an image in memory, its imports bound through an injected [`map::Resolver`].
//! - [`seh`]: exceptions in the code of images, from wherever they start to whoever takes them.
#![expect(unsafe_code, reason = "this room writes code into memory, walks driver stacks and runs handlers")]

mod emulate;
pub mod map;
mod patch;
pub mod pe;
pub mod seh;
mod tables;
mod unwind;
