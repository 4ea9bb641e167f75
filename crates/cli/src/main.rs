//! The `ringbridge` command.

fn main() {}
