//! Subjects: the token objects of processes, and the check of an object for a process.

use std::sync::Arc;

use abi::NTSTATUS;

use super::{AccessRequest, Token, TokenBody, access_check};
use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::Object;
use crate::ps::Process;

/// Tag of token objects.
const TOKEN_TAG: u32 = u32::from_le_bytes(*b"Toke");
/// Bytes of a token object, all zero: no public header describes it.
const TOKEN_SIZE: usize = 64;

/// The token object of a process, as drivers refer to it, referenced for the caller. Made when first asked for.
///
/// # Errors
/// `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_PROCESS_IS_TERMINATING` when the process has ended.
pub fn token_object(kernel: &Kernel, process: &Process) -> Result<Arc<Object>, NTSTATUS> {
    let mut slot = process.token_object();
    if slot.is_none() && !process.has_ended() {
        let block = kernel.mm.pool.allocate_zeroed(TOKEN_SIZE, TOKEN_TAG, PoolOwner::default());
        let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
        let object = Object::new(address, TokenBody { token: process.token.clone(), address });
        kernel.ob.remember(&object);
        *slot = Some(object);
    }
    match slot.as_ref() {
        Some(object) if object.try_reference() => Ok(object.clone()),
        _ => Err(abi::STATUS_PROCESS_IS_TERMINATING),
    }
}

/// The token whose object is at `address`.
#[must_use]
pub fn token_at(kernel: &Kernel, address: u64) -> Option<Arc<Token>> {
    kernel.ob.by_address(address)?.body::<TokenBody>().map(|body| body.token.clone())
}

/// What `token` gets of `object` when it asks for `desired`: the check that every open of an object makes.
///
/// Objects without a descriptor are those that nobody can open by name; whoever has got hold of one gets what it asks for.
/// No access at all may be asked for, and is granted (Confirm).
///
/// # Errors
/// As for [`access_check`].
pub fn check_object(object: &Object, token: &Token, desired: u32, user_mode: bool) -> Result<u32, NTSTATUS> {
    let object_type = object.object_type();
    let descriptor = object.security();
    let (Some(descriptor), true) = (descriptor, desired != 0) else {
        return Ok(object_type.map_access(desired));
    };
    let mapping = object_type.generic_mapping;
    let request = AccessRequest { desired, previously_granted: 0, mapping, user_mode };
    access_check(Some(&descriptor), token, &request).map(|granted| granted.access)
}
