//! The real `ringbridge` binary, run as people run it.
#![forbid(unsafe_code)]

mod codes;
mod demo;
mod devices;
mod help;
mod host;
mod info;
mod manage;
mod pool;
mod requests;
mod run;
mod serve;
mod service;
mod shells;
mod wmi;
