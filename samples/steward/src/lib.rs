//! A driver that opens for its clients what they name.
//!
//! An application opens `\\.\Steward` and names a device (its NT path, in UTF-16); the answer is the status of opening that for
//! writing, four bytes. [`IOCTL_OPEN`] opens with the rights of who has opened `\\.\Steward`, as far as that open
//! allows: anybody else who has got hold of the handle, too, gets no more. [`IOCTL_OPEN_AS_DRIVER`] opens with the driver's own rights, which pass
//! every check: the mistake that impersonation exists for, as it makes of every client an administrator.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_WRITE_DATA, METHOD_BUFFERED, NTSTATUS,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use driver::{
    Answer, Buffered, BufferedControl, ClientSecurity, Close, Create, DeviceControl, Dispatch, Driver,
    DriverObject, PoolArc, Tag, Target, UnicodeStr, utf16,
};

/// Opens a device as the client.
pub const IOCTL_OPEN: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
/// Opens a device as the driver.
pub const IOCTL_OPEN_AS_DRIVER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);

const TAG: Tag = Tag::new(*b"Stew");
/// The longest name, in UTF-16 units.
const LONGEST: usize = 128;

driver::driver_entry!(StewardDriver);

struct StewardDriver;

impl Driver for StewardDriver {
    type Device = Steward;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(Steward)
            .name(utf16!(r"\Device\Steward"))
            .symbolic_link(utf16!(r"\??\Steward"))
            .sddl(utf16!("D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GRGW;;;BU)"))
            .create()?;
        Ok(())
    }
}

/// The device.
struct Steward;

/// An open file: for whom.
struct Open {
    client: ClientSecurity,
}

impl Dispatch for Steward {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        let open = request.client_security().and_then(|client| PoolArc::new(TAG, Open { client }));
        match open {
            Ok(open) => {
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match control(&request) {
            Ok(status) => {
                request.output().write(&status.bits().to_le_bytes());
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }
}

/// How opening what the input names ends.
fn control(request: &BufferedControl) -> Result<NTSTATUS, NTSTATUS> {
    let level = request.level();
    if request.output_length() < size_of::<NTSTATUS>() {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    let mut units = [0; LONGEST];
    let name = name(request.input(), &mut units)?;
    let opened = match request.code() {
        IOCTL_OPEN => {
            let open: &Open = request.contexts().fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
            let _as_client = open.client.impersonate(level)?;
            Target::open_checked(level, TAG, name, FILE_WRITE_DATA)
        }
        IOCTL_OPEN_AS_DRIVER => Target::open(TAG, name, FILE_WRITE_DATA),
        _ => return Err(STATUS_INVALID_DEVICE_REQUEST),
    };
    Ok(opened.err().unwrap_or(STATUS_SUCCESS))
}

fn name<'a>(bytes: &[u8], units: &'a mut [u16; LONGEST]) -> Result<UnicodeStr<'a>, NTSTATUS> {
    let (pairs, rest) = bytes.as_chunks();
    if !rest.is_empty() || pairs.is_empty() || pairs.len() > LONGEST {
        return Err(STATUS_INVALID_PARAMETER);
    }
    for (unit, pair) in units.iter_mut().zip(pairs) {
        *unit = u16::from_le_bytes(*pair);
    }
    Ok(UnicodeStr::new(&units[..pairs.len()]))
}
