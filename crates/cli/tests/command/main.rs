//! The real `ringbridge` binary, run as people run it.
#![forbid(unsafe_code)]

mod codes;
mod demo;
mod help;
mod info;
mod pool;
mod requests;
mod run;
mod serve;
