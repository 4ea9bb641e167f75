//! I/O.
/// I/O.
#[derive(Debug)]
pub struct IoManager;
impl IoManager {
    pub(crate) fn new() -> Self {
        Self
    }
}
/// The IRP.
pub fn current_irp() -> u64 {
    0
}
