//! What objects have whose maker says nothing: the system's own lists.

use super::{Ace, Acl, SecurityDescriptor, Token, assign, well_known};
use crate::ob::ObjectType;

/// What a device has that is created without a descriptor (`IoCreateDevice`): Everyone may open it for reading and
/// writing, the system and administrators may do anything, restricted code may read. That is why drivers are told to use
/// `IoCreateDeviceSecure`.
///
/// Confirm: the documentation says that the default depends on the type and characteristics of the device, and does not
/// list them; here all types have the same. Storage and file system devices are more open or closed on NT.
#[must_use]
pub fn device_descriptor() -> SecurityDescriptor {
    let everyone = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_WRITE | abi::FILE_GENERIC_EXECUTE;
    let restricted = abi::FILE_GENERIC_READ | abi::FILE_GENERIC_EXECUTE;
    of_the_system(vec![
        Ace::allow(everyone, well_known::WORLD),
        Ace::allow(abi::FILE_ALL_ACCESS, well_known::LOCAL_SYSTEM),
        Ace::allow(abi::FILE_ALL_ACCESS, well_known::ADMINISTRATORS),
        Ace::allow(restricted, well_known::RESTRICTED),
    ])
}

/// What `\BaseNamedObjects` and `\RPC Control` have: everyone may look for names there and put new ones. (Confirm: that the lists of both
/// are the same; that everyone may put names into the second is well known.)
#[must_use]
pub fn base_named_objects_descriptor() -> SecurityDescriptor {
    let names = abi::DIRECTORY_QUERY | abi::DIRECTORY_TRAVERSE | abi::DIRECTORY_CREATE_OBJECT;
    of_the_system(vec![
        Ace::allow(names | abi::READ_CONTROL, well_known::WORLD),
        Ace::allow(abi::DIRECTORY_ALL_ACCESS, well_known::LOCAL_SYSTEM),
        Ace::allow(abi::DIRECTORY_ALL_ACCESS, well_known::ADMINISTRATORS),
        Ace::allow(abi::DIRECTORY_TRAVERSE, well_known::RESTRICTED),
    ])
}

/// What a named pipe has whose maker gives none: the system, administrators and its owner may do anything, everyone and the anonymous
/// user may read.
///
/// Source: Win32, CreateNamedPipe (lpSecurityAttributes); "Named Pipe Security and Access Rights".
#[must_use]
pub fn named_pipe_descriptor(token: &Token) -> SecurityDescriptor {
    let aces = vec![
        Ace::allow(abi::FILE_ALL_ACCESS, well_known::LOCAL_SYSTEM),
        Ace::allow(abi::FILE_ALL_ACCESS, well_known::ADMINISTRATORS),
        Ace::allow(abi::FILE_ALL_ACCESS, token.owner),
        Ace::allow(abi::FILE_GENERIC_READ, well_known::WORLD),
        Ace::allow(abi::FILE_GENERIC_READ, well_known::ANONYMOUS),
    ];
    SecurityDescriptor::new(token.owner, token.primary_group, Acl::new(aces))
}

fn of_the_system(aces: Vec<Ace>) -> SecurityDescriptor {
    SecurityDescriptor::new(well_known::ADMINISTRATORS, well_known::LOCAL_SYSTEM, Acl::new(aces))
}

/// What a named object of the system's has when it was given none: directories and symbolic links can be looked into by
/// everyone and changed by the system and administrators, devices are as [`device_descriptor`] says, others have the
/// system's default list. Confirm: the lists of the namespace's fixed directories differ from each other on NT.
#[must_use]
pub fn default_descriptor(object_type: &ObjectType) -> SecurityDescriptor {
    let [read, _, execute, all] = object_type.generic_mapping;
    match object_type.name {
        "Device" => device_descriptor(),
        "Directory" | "SymbolicLink" => of_the_system(vec![
            Ace::allow(read | execute, well_known::WORLD),
            Ace::allow(all, well_known::LOCAL_SYSTEM),
            Ace::allow(all, well_known::ADMINISTRATORS),
            Ace::allow(read | execute, well_known::RESTRICTED),
        ]),
        _ => {
            let system = Token::local_system();
            // The system may own what it creates.
            assign(None, None, false, &system, &object_type.generic_mapping).unwrap_or_default()
        }
    }
}
