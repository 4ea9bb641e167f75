//! The kernel's way to an application that waits in a call: the gate's.

use std::sync::Arc;

use abi::NTSTATUS;
use gate::EarlyCall;
use kernel::ps::EarlyAnswer;

#[derive(Debug)]
struct Early(EarlyCall);

impl EarlyAnswer for Early {
    fn answer(&self, status: NTSTATUS, information: u64, output: &[&[u8]]) {
        self.0.answer(status, information, output);
    }
}

/// The same, for the kernel.
pub(crate) fn early_answer(call: &EarlyCall) -> Arc<dyn EarlyAnswer> {
    Arc::new(Early(call.clone()))
}
