//! OBJECT_ATTRIBUTES as drivers pass them, and the objects that they name.

use std::any::TypeId;
use std::mem::offset_of;
use std::sync::Arc;

use abi::{NTSTATUS, OBJECT_ATTRIBUTES};
use kernel::ob::{self, Directory, Object, SymbolicLink, Wanted};
use kernel::{Outcome, raw, se};

use crate::Call;

/// What an OBJECT_ATTRIBUTES says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) root: u64,
    pub(crate) name: Option<Vec<u16>>,
    pub(crate) attributes: u32,
    /// Address of the security descriptor for what is created; 0 for the default. Not looked at yet.
    pub(crate) security_descriptor: u64,
    /// Address of a SECURITY_QUALITY_OF_SERVICE, or 0. Of files only: others leave what they have there.
    pub(crate) quality_of_service: u64,
}

/// `Ok(Ok)` goes on, `Ok(Err)` is the export's answer.
pub(crate) type Checked<T> = Outcome<Result<T, NTSTATUS>>;

/// Reads an OBJECT_ATTRIBUTES; none at all is one without anything.
pub(crate) fn read(call: Call<'_>, address: u64) -> Checked<Attributes> {
    if address == 0 {
        return Ok(Ok(Attributes::default()));
    }
    let field = |offset: usize| address.wrapping_add(offset as u64);
    let length: u32 = raw::read(field(offset_of!(OBJECT_ATTRIBUTES, Length)))?;
    if length as usize != size_of::<OBJECT_ATTRIBUTES>() {
        return Ok(Err(abi::STATUS_INVALID_PARAMETER));
    }
    let name = raw::read(field(offset_of!(OBJECT_ATTRIBUTES, ObjectName)))?;
    Ok(Ok(Attributes {
        root: raw::read(field(offset_of!(OBJECT_ATTRIBUTES, RootDirectory)))?,
        name: if name == 0 { None } else { Some(call.string(name)?) },
        attributes: raw::read(field(offset_of!(OBJECT_ATTRIBUTES, Attributes)))?,
        security_descriptor: raw::read(field(offset_of!(OBJECT_ATTRIBUTES, SecurityDescriptor)))?,
        quality_of_service: raw::read(field(offset_of!(OBJECT_ATTRIBUTES, SecurityQualityOfService)))?,
    }))
}

impl Attributes {
    /// The object of its root directory, with a reference.
    pub(crate) fn root(&self, call: Call<'_>) -> Result<Option<Arc<Object>>, NTSTATUS> {
        if self.root == 0 {
            return Ok(None);
        }
        let entry = ob::reference_by_handle(call.kernel, call.thread, self.root, Wanted::default())?;
        Ok(Some(entry.object))
    }

    /// The path that it names, from the namespace's root. Relative names are of object directories only.
    pub(crate) fn path(&self, call: Call<'_>) -> Result<Vec<u16>, NTSTATUS> {
        let name = self.name.clone().unwrap_or_default();
        let Some(root) = self.root(call)? else {
            return if name.is_empty() { Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD) } else { Ok(name) };
        };
        let is_directory = root.body::<Directory>().is_some();
        let mut path = root.body.full_name(&root);
        // Its names would be looked for in the root.
        let is_gone = path.is_empty() && !call.kernel.ob.is_root(&root);
        root.dereference(call.kernel);
        if !is_directory {
            return Err(abi::STATUS_NOT_IMPLEMENTED);
        }
        if is_gone {
            return Err(abi::STATUS_OBJECT_PATH_NOT_FOUND);
        }
        if name.first() == Some(&u16::from(b'\\')) {
            return Err(abi::STATUS_OBJECT_PATH_SYNTAX_BAD);
        }
        path.push(u16::from(b'\\'));
        path.extend(name);
        Ok(path)
    }

    fn is_permanent(&self) -> bool {
        self.attributes & abi::OBJ_PERMANENT != 0
    }
}

/// Writes a handle, or answers with the status.
pub(crate) fn answer(to: u64, opened: Result<u64, NTSTATUS>) -> Outcome<NTSTATUS> {
    match opened {
        Ok(handle) => raw::write(to, handle).map(|()| abi::STATUS_SUCCESS),
        Err(status) => Ok(status),
    }
}

/// Opens the object that `attributes` name, if its body is a `T`. Of symbolic links, that is the link itself.
pub(crate) fn open<T: 'static>(call: Call<'_>, to: u64, access: u32, attributes: u64) -> Outcome<NTSTATUS> {
    let attributes = match read(call, attributes)? {
        Ok(attributes) => attributes,
        Err(status) => return Ok(status),
    };
    answer(to, open_named::<T>(call, &attributes, access))
}

fn open_named<T: 'static>(call: Call<'_>, attributes: &Attributes, access: u32) -> Result<u64, NTSTATUS> {
    let link = TypeId::of::<T>() == TypeId::of::<SymbolicLink>();
    let found = call.kernel.ob.find(&attributes.path(call)?, link)?;
    if found.object.body::<T>().is_none() || !found.rest.is_empty() {
        return Err(abi::STATUS_OBJECT_TYPE_MISMATCH);
    }
    if !found.object.try_reference() {
        return Err(abi::STATUS_OBJECT_NAME_NOT_FOUND);
    }
    match granted(call, &found.object, attributes, access) {
        Ok(granted) => {
            ob::open_handle(call.kernel, call.thread, &found.object, granted, attributes.attributes)
        }
        Err(status) => {
            found.object.dereference(call.kernel);
            Err(status)
        }
    }
}

/// What a driver gets of an object that it opens: what it asks for, whatever the object's list says, unless it wants the
/// check for the process that it works for, or the client that it impersonates (OBJ_FORCE_ACCESS_CHECK). Source: ddi, OBJECT_ATTRIBUTES.
fn granted(call: Call<'_>, object: &Object, attributes: &Attributes, access: u32) -> Result<u32, NTSTATUS> {
    if attributes.attributes & abi::OBJ_FORCE_ACCESS_CHECK == 0 {
        return Ok(object.object_type().map_access(access));
    }
    let process = ob::current_process(call.kernel, call.thread)?;
    se::check_for_caller(call.kernel, &process, object, access, true)
}

/// Gives a fresh object the descriptor that `attributes` name, as the system process's token assigns it. Without one it gets
/// the default of its type, with its name ([`kernel::ob::ObjectManager::insert`]): for events the token's
/// default list, by which administrators may look and wait, and applications else have no rights. Sections have theirs already.
///
/// (Confirm: "DACL for a New Object" takes the default list from the creator's token. Here that is always the system's,
/// also when a driver makes the object in an application's request: drivers report that an application may wait for an
/// event which its driver made in IRP_MJ_CREATE, but not set it, which no list of the application's own token says.)
fn assign_security(call: Call<'_>, attributes: &Attributes, object: &Object) -> Checked<()> {
    if attributes.security_descriptor == 0 {
        return Ok(Ok(()));
    }
    let explicit = match se::capture(attributes.security_descriptor)? {
        Ok(explicit) => explicit,
        Err(status) => return Ok(Err(status)),
    };
    let is_container = object.body::<Directory>().is_some();
    let mapping = object.object_type().generic_mapping;
    let assigned = se::assign(None, Some(&explicit), is_container, &call.kernel.ps.system().token, &mapping);
    Ok(assigned.map(|descriptor| object.set_security(descriptor)))
}

/// Gives a fresh object its descriptor, its name, if `attributes` have one, and a handle; with OBJ_OPENIF opens the one that
/// has the name (STATUS_OBJECT_NAME_EXISTS). The maker's reference is taken over.
pub(crate) fn create<T: 'static>(
    call: Call<'_>,
    to: u64,
    access: u32,
    attributes: &Attributes,
    object: &Arc<Object>,
) -> Outcome<NTSTATUS> {
    let assigned = assign_security(call, attributes, object);
    if !matches!(assigned, Ok(Ok(()))) {
        object.dereference(call.kernel);
    }
    if let Err(status) = assigned? {
        return Ok(status);
    }
    if attributes.name.is_some() {
        let named = attributes
            .path(call)
            .and_then(|path| call.kernel.ob.insert(&path, object, attributes.is_permanent()));
        if let Err(status) = named {
            object.dereference(call.kernel);
            if status == abi::STATUS_OBJECT_NAME_COLLISION && attributes.attributes & abi::OBJ_OPENIF != 0 {
                let opened = answer(to, open_named::<T>(call, attributes, access))?;
                return Ok(if opened.is_success() { abi::STATUS_OBJECT_NAME_EXISTS } else { opened });
            }
            return Ok(status);
        }
    }
    let granted = object.object_type().map_access(access);
    let opened = ob::open_handle(call.kernel, call.thread, object, granted, attributes.attributes);
    if opened.is_err() {
        // Without a handle nothing would ever take its name away.
        ob::make_temporary(call.kernel, object);
    }
    answer(to, opened)
}
