//! Memory that driver and application share, whoever makes it. The device is `\\.\Mapping`.
//!
//! - [`IOCTL_INVERT`]: the application has made a named section and drawn a picture in it; the driver opens it by its name
//!   (`ZwOpenSection`), and inverts the picture where it is.
//! - [`IOCTL_UPPER`]: the application's section has no name. It sends the handle (`ObReferenceObjectByHandle`), and the driver turns
//!   small letters into capitals.
//! - [`IOCTL_PUBLISH`]: the driver makes the section (`ZwCreateSection`), and the application opens it by the name that it has
//!   asked for. The driver keeps its view as long as the file is open, counts in it, and [`IOCTL_TAKE`] tells what the application has
//!   answered there.
//!
//! In each case both sides have the same pages: no byte of what is shared travels in a request.
//!
//! A name in the input is NT's, in UTF-16: `\BaseNamedObjects\Picture` is what the application calls `Global\Picture`.
//!
//! # What is shared is not trusted
//!
//! The other side may change the bytes while the driver looks at them. [`SystemView`] only gives copies, so a width is read once,
//! checked, and used; and the sections that the SDK hands out are such that touching them cannot fault, or writing to one that
//! is only to be read stop the machine.
#![cfg_attr(windows, no_std)]
#![forbid(unsafe_code)]

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_DEVICE_BUSY, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_INVALID_VIEW_SIZE,
};
use driver::{
    Answer, Buffered, BufferedControl, Cleanup, Close, Create, DeviceControl, Dispatch, Driver, DriverObject,
    Mutex, PassiveLevel, PoolArc, Section, SectionAccess, SystemView, Tag, UnicodeStr, utf16,
};

const fn code(function: u32) -> u32 {
    CTL_CODE(FILE_DEVICE_UNKNOWN, function, METHOD_BUFFERED, FILE_ANY_ACCESS)
}

/// Inverts the picture in the section whose name is the input.
pub const IOCTL_INVERT: u32 = code(0x800);
/// Turns small letters into capitals in the section whose handle is the input, eight bytes.
pub const IOCTL_UPPER: u32 = code(0x801);
/// Makes a section of [`PUBLISHED`] bytes with the name that is the input, or counts one more when this file has it already.
pub const IOCTL_PUBLISH: u32 = code(0x802);
/// Gives what the application has written at [`ANSWER_AT`] of the section that this file has published.
pub const IOCTL_TAKE: u32 = code(0x803);

/// In a picture: its width and height, four bytes each, then how often it has been inverted; its pixels are from [`PIXELS_AT`] on, a byte
/// each.
pub const TIMES_AT: usize = 8;
/// Where a picture's pixels begin.
pub const PIXELS_AT: usize = 16;
/// Bytes of what the driver publishes: a counter of four bytes, then a greeting.
pub const PUBLISHED: u64 = 4096;
/// Where the greeting is.
pub const GREETING_AT: usize = 16;
/// The greeting.
pub const GREETING: &[u8] = b"made by the driver";
/// Where the application answers.
pub const ANSWER_AT: usize = 2048;
/// Bytes of its answer.
pub const ANSWER_LENGTH: usize = 32;

const TAG: Tag = Tag::new(*b"Mapg");

driver::driver_entry!(MappingDriver);

struct MappingDriver;

impl Driver for MappingDriver {
    type Device = Mapping;

    const POOL_TAG: Tag = TAG;

    fn entry(driver: &DriverObject<Self>, _registry_path: UnicodeStr<'_>) -> Result<(), NTSTATUS> {
        driver
            .device(Mapping)
            .name(utf16!(r"\Device\Mapping"))
            .symbolic_link(utf16!(r"\??\Mapping"))
            .create()?;
        Ok(())
    }
}

/// The device.
struct Mapping;

/// What a file has published. The section is kept for its name's sake.
struct Published {
    view: SystemView,
    _section: Section,
}

/// An open file.
struct Open {
    published: Mutex<Option<Published>>,
}

impl Dispatch for Mapping {
    type Io = Buffered;

    fn create(&self, mut request: Create) -> impl Answer {
        let open = Mutex::new(TAG, None).and_then(|published| PoolArc::new(TAG, Open { published }));
        match open {
            Ok(open) => {
                request.set_fs_context2(open);
                request.complete()
            }
            Err(status) => request.fail(status),
        }
    }

    fn cleanup(&self, request: Cleanup) -> impl Answer {
        // Now and not with the file: who else has a handle to the section goes on with it.
        let level = request.level();
        if let Some(open) = request.contexts().fs_context2::<Open>() {
            drop(open.published.lock(level).take());
        }
        request.complete()
    }

    fn close(&self, request: Close) -> impl Answer {
        request.complete()
    }

    fn device_control(&self, request: DeviceControl) -> impl Answer {
        let DeviceControl::Buffered(mut request) = request else {
            return request.fail(STATUS_INVALID_DEVICE_REQUEST);
        };
        match control(&mut request) {
            Ok(()) => request.complete(),
            Err(status) => request.fail(status),
        }
    }
}

fn control(request: &mut BufferedControl) -> Result<(), NTSTATUS> {
    let level = request.level();
    match request.code() {
        IOCTL_INVERT => with_name(request.input(), |name| {
            let section = Section::open(level, name, SectionAccess::ReadWrite)?;
            invert(&section.map(level, 0)?)
        }),
        IOCTL_UPPER => {
            let handle = request.input().try_into().map_err(|_| STATUS_INVALID_PARAMETER)?;
            let handle = u64::from_le_bytes(handle);
            let view = Section::of_application(level, handle, SectionAccess::ReadWrite)?.map(level, 0)?;
            view.change(0, view.len(), |byte| byte.to_ascii_uppercase());
            Ok(())
        }
        IOCTL_PUBLISH => {
            let open: &Open = request.contexts().fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
            let mut published = open.published.lock(level);
            let published = match &mut *published {
                Some(published) => published,
                none => none.insert(with_name(request.input(), |name| publish(level, name))?),
            };
            let count = published.view.load_u32(0).unwrap_or_default();
            published.view.store_u32(0, count.wrapping_add(1)).ok_or(STATUS_INVALID_VIEW_SIZE)
        }
        IOCTL_TAKE => {
            if request.output_length() < ANSWER_LENGTH {
                return Err(STATUS_BUFFER_TOO_SMALL);
            }
            let mut answer = [0; ANSWER_LENGTH];
            {
                let open: &Open = request.contexts().fs_context2().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
                let published = open.published.lock(level);
                published.as_ref().ok_or(STATUS_INVALID_DEVICE_REQUEST)?.view.read(ANSWER_AT, &mut answer);
            }
            request.output().write(&answer);
            Ok(())
        }
        _ => Err(STATUS_INVALID_DEVICE_REQUEST),
    }
}

/// The longest name, in UTF-16 units.
const LONGEST: usize = 128;

fn with_name<R>(
    bytes: &[u8],
    code: impl FnOnce(UnicodeStr<'_>) -> Result<R, NTSTATUS>,
) -> Result<R, NTSTATUS> {
    let (pairs, rest) = bytes.as_chunks();
    if !rest.is_empty() || pairs.is_empty() || pairs.len() > LONGEST {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let mut units = [0; LONGEST];
    for (unit, pair) in units.iter_mut().zip(pairs) {
        *unit = u16::from_le_bytes(*pair);
    }
    code(UnicodeStr::new(&units[..pairs.len()]))
}

/// The picture's size is read once: the application may change it at any time.
fn invert(view: &SystemView) -> Result<(), NTSTATUS> {
    let number = |at: usize| view.load_u32(at).and_then(|number| usize::try_from(number).ok());
    let (width, height) = number(0).zip(number(4)).ok_or(STATUS_INVALID_VIEW_SIZE)?;
    let pixels = width.checked_mul(height).ok_or(STATUS_INVALID_VIEW_SIZE)?;
    if pixels > view.len() - PIXELS_AT {
        return Err(STATUS_INVALID_VIEW_SIZE);
    }
    view.change(PIXELS_AT, pixels, |pixel| !pixel);
    // Whoever sees this number sees the pixels.
    let times = view.load_u32(TIMES_AT).unwrap_or_default();
    view.store_u32(TIMES_AT, times.wrapping_add(1)).ok_or(STATUS_INVALID_VIEW_SIZE)
}

fn publish(level: PassiveLevel, name: UnicodeStr<'_>) -> Result<Published, NTSTATUS> {
    let (section, existed) = Section::create(level, Some(name), PUBLISHED, SectionAccess::ReadWrite)?;
    if existed {
        // Somebody else's: what it holds, and who may change it, is not this driver's to say.
        return Err(STATUS_DEVICE_BUSY);
    }
    let view = section.map(level, 0)?;
    view.write(GREETING_AT, GREETING);
    Ok(Published { view, _section: section })
}
