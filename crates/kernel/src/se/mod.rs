//! The security reference monitor: identifiers, access control lists, security descriptors, tokens, and the one access
//! check.
//!
//! Descriptors and tokens are values of the kernel's own; what drivers pass is copied before it is looked at. Where a check
//! is made, and what is kept on an object, is the rooms' matter that own the objects. Integrity levels, audit, claims and
//! conditions are not judged.

mod acl;
mod assign;
mod capture;
mod check;
mod client;
mod defaults;
mod descriptor;
mod exports_block;
mod information;
mod level;
mod sddl;
mod sid;
mod subject;
#[cfg(test)]
mod tests;
mod token;
mod token_reference;

pub use acl::{Ace, AceBody, Acl};
pub use assign::{assign, set_information, take_information};
pub use capture::{capture, read_acl, read_sid};
pub use check::{AccessRequest, Granted, access_check, map_generic};
pub use client::{ClientContext, duplicate};
pub use defaults::{
    base_named_objects_descriptor, default_descriptor, device_descriptor, named_pipe_descriptor,
};
pub use descriptor::SecurityDescriptor;
pub use exports_block::exports_block;
pub use information::{Answer, Block, query_information};
pub use level::{Level, QualityOfService};
pub use sddl::{SddlError, parse as parse_sddl, print as print_sddl};
pub use sid::{Sid, well_known};
pub use subject::{Subject, SubjectContext, check_for_caller, check_object, token_at, token_object};
pub use token::{Group, Privilege, Token};
pub use token_reference::{TokenBody, TokenKind, TokenReference};
