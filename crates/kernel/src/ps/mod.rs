//! Processes and threads: whose handles, whose context, and how a Linux thread becomes one of a machine's.

mod attach;
mod early_answer;
mod impersonation;
mod object;
mod process;
mod requests;
mod system_thread;
mod thread_token;

pub use attach::inside;
pub use early_answer::EarlyAnswer;
pub use impersonation::{
    Impersonation, ImpersonationRequest, current_impersonation, impersonate, impersonation, restore, revert,
    thread_at,
};
pub use object::{ProcessBody, process_object};
pub use process::{Process, Processes, SYSTEM_PROCESS_ID};
pub(crate) use requests::{RequestKey, Which};
pub use system_thread::{ThreadBody, spawn_system_thread};
pub use thread_token::{
    duplicate_token, open_process_token, open_thread_token, query_token, set_thread_token,
};
