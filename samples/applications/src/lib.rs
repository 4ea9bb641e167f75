//! Applications of the sample drivers.
//!
//! The source is the same wherever they run: in a process of its own beside a Ringbridge host, embedded in the host's process,
//! and on Windows, where `app` is Win32 itself. Each has a program in `src/bin`; what it does is a function here, so that tests can call it with
//! a transport of theirs.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use app::Transport;

pub mod boost;
pub mod buffers;
pub mod consult;
pub mod delay;
pub mod hello;
pub mod mapping;
pub mod namedpipe;
pub mod notify;
pub mod shelf;
pub mod steward;
pub mod stream;
pub mod verdict;

/// Where an application says what it does.
pub type Say<'a> = &'a mut dyn FnMut(&str);

/// An application's function.
pub type Run = fn(Arc<dyn Transport>, Say<'_>) -> Result<(), Box<dyn Error>>;

/// The `main` of an application: connects, runs it, and prints what it says.
#[must_use]
pub fn main(run: Run) -> ExitCode {
    let connected = app::connect().map_err(Box::<dyn Error>::from);
    let ended = connected.and_then(|transport| run(transport, &mut |line| println!("{line}")));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
