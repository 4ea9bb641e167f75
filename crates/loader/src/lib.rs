//! Portable Executable images: map, relocate, bind, exceptions.
