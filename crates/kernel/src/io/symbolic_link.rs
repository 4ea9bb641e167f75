//! Symbolic links made by drivers.

use std::sync::PoisonError;

use abi::NTSTATUS;

use crate::Kernel;
use crate::ob::{Object, SymbolicLink, upcase};

/// `IoCreateSymbolicLink`: `name` will stand for `target`. Permanent until deleted. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_OBJECT_NAME_COLLISION`, or a status of the name's directory.
pub fn create_symbolic_link(kernel: &Kernel, name: &[u16], target: &[u16]) -> Result<(), NTSTATUS> {
    let link = Object::new(0, SymbolicLink { target: target.to_vec() });
    kernel.ob.insert(name, &link, true)?;
    if let Some(driver) = kernel.io.calling_driver() {
        let path = link.path().unwrap_or_default();
        let mut makers = kernel.io.link_makers.write().unwrap_or_else(PoisonError::into_inner);
        makers.insert(path.encode_utf16().map(upcase).collect(), driver);
    }
    // The namespace's reference is what keeps it now.
    link.dereference(kernel);
    Ok(())
}

/// `IoDeleteSymbolicLink`. PASSIVE_LEVEL.
///
/// # Errors
/// `STATUS_OBJECT_NAME_NOT_FOUND`; `STATUS_OBJECT_TYPE_MISMATCH` when the name is no symbolic link.
pub fn delete_symbolic_link(kernel: &Kernel, name: &[u16]) -> Result<(), NTSTATUS> {
    let found = kernel.ob.find(name, true)?;
    if found.object.body::<SymbolicLink>().is_none() || !found.rest.is_empty() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    let path: Vec<u16> = found.object.path().unwrap_or_default().encode_utf16().map(upcase).collect();
    kernel.io.link_makers.write().unwrap_or_else(PoisonError::into_inner).remove(&path);
    if kernel.ob.remove_name(&found.object) {
        found.object.dereference(kernel);
    }
    Ok(())
}

/// Paths of the links that `driver` made and did not delete.
pub(super) fn left_by(kernel: &Kernel, driver: u32) -> Vec<String> {
    let makers = kernel.io.link_makers.read().unwrap_or_else(PoisonError::into_inner);
    let paths = makers.iter().filter(|(_, maker)| **maker == driver).map(|(path, _)| path);
    let mut left: Vec<String> =
        paths.filter_map(|path| kernel.ob.find(path, true).ok()?.object.path()).collect();
    left.sort();
    left
}
