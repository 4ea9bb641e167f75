//! Device interfaces: how an application finds devices by what they can do, `CM_Get_Device_Interface_List`.

use abi::GUID;

use crate::error::Win32Error;
use crate::sys::{self, Transport};

/// `CM_Get_Device_Interface_List` with `CM_GET_DEVICE_INTERFACE_LIST_PRESENT`: the paths of the interfaces of this class that are
/// enabled, `\\?\ROOT#…`, each for [`Device::open`](crate::Device::open). Interfaces that come or go meanwhile may be missing or twice.
///
/// # Errors
/// ERROR_INSUFFICIENT_BUFFER (122) for a name that is longer than a kilobyte; what the transport fails with.
pub fn device_interfaces(transport: &dyn Transport, class: &GUID) -> Result<Vec<String>, Win32Error> {
    sys::device_interfaces(transport, class)
}
