//! Registry.
/// Registry.
#[derive(Debug)]
pub struct Registry;
impl Registry {
    pub(crate) fn new() -> Self {
        Self
    }
}
