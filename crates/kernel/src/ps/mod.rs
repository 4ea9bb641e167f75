//! Processes.
/// Processes.
#[derive(Debug)]
pub struct Processes;
impl Processes {
    pub(crate) fn new() -> Self {
        Self
    }
}
