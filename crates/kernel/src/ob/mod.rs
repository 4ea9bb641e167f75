//! Objects.
/// Objects.
#[derive(Debug)]
pub struct ObjectManager;
impl ObjectManager {
    pub(crate) fn new() -> Self {
        Self
    }
}
