//! Driver stacks for bugcheck reports: the loader walks them, the kernel keeps them.

use abi::CONTEXT;
use kernel::{StackFrame, StackWalker};
use loader::seh;

/// Walks with the loader's unwinder.
pub(crate) struct LoaderWalker;

impl StackWalker for LoaderWalker {
    fn walk(&self, context: Option<&CONTEXT>) -> Vec<StackFrame> {
        let Some(region) = platform::entry::region() else { return Vec::new() };
        let frames =
            context.map_or_else(|| seh::call_stack(region), |context| seh::stack_walk(region, context));
        frames.into_iter().map(frame).collect()
    }
}

fn frame(frame: seh::StackFrame) -> StackFrame {
    let (image, _base, offset) = frame.image.unwrap_or_default();
    StackFrame { address: frame.address, image, offset }
}
