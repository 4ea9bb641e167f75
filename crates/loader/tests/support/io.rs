//! As much of an I/O manager as the drivers under `tests/drivers` need: devices, one request at a time, IoCallDriver.

#![expect(clippy::multiple_unsafe_ops_per_block, reason = "an object of the driver is filled in one go")]

use std::path::Path;
use std::process::Command;

use abi::{DEVICE_OBJECT, DRIVER_OBJECT, IO_STACK_LOCATION, IRP, UNICODE_STRING};
use loader::map::{Image, Resolution, Resolver};
use loader::pe::ImportSymbol;
use loader::seh;
use platform::landing::{self, Code, Unwind};
use platform::memory::Scalar as _;
use platform::pages::USER_PROBE_ADDRESS;
use platform::{export_thunk, routines};

use super::kernel::{Kernel, finish, region};
use super::machine::{Machine, note};

/// Written by `IofCompleteRequest`.
pub(crate) const COMPLETED: u64 = 0x1234_0000;

/// Memory of zeroes that stays for the process's life, as its address.
fn zeroed(size: usize) -> u64 {
    Vec::leak(vec![0_u128; size.div_ceil(16)]).as_mut_ptr().expose_provenance() as u64
}

fn at<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"))
}

extern "sysv64" fn create_device(
    driver: u64,
    extension: u64,
    _: u64,
    kind: u64,
    _: u64,
    _: u64,
    result: u64,
) -> u64 {
    let device = at::<DEVICE_OBJECT>(zeroed(size_of::<DEVICE_OBJECT>()));
    let driver = at::<DRIVER_OBJECT>(driver);
    let extension = zeroed(usize::try_from(extension & 0xFFFF).expect("masked"));
    // SAFETY: fresh memory of the right size, and the driver's own object.
    unsafe {
        (*device).DriverObject = driver;
        (*device).NextDevice = (*driver).DeviceObject;
        (*device).DeviceExtension = at(extension);
        (*device).DeviceType = u32::try_from(kind & 0xFFFF_FFFF).expect("masked");
        (*device).StackSize = 1;
        (*driver).DeviceObject = device;
        at::<*mut DEVICE_OBJECT>(result).write(device);
    }
    0
}

extern "sysv64" fn delete_device(device: u64) -> u64 {
    let device = at::<DEVICE_OBJECT>(device);
    // SAFETY: a device made above; the driver deletes the first of its list.
    unsafe { (*(*device).DriverObject).DeviceObject = (*device).NextDevice };
    0
}

extern "sysv64" fn succeed(_: u64, _: u64) -> u64 {
    0
}

extern "sysv64" fn complete_request(_: u64, _: u64) -> u64 {
    note(COMPLETED);
    0
}

extern "sysv64" fn call_driver(device: u64, irp: u64) -> u64 {
    let irp_object = at::<IRP>(irp);
    // SAFETY: the request made by `Driver::control`, and a device made above.
    let function = unsafe {
        (*irp_object).CurrentLocation -= 1;
        let overlay = &mut (*irp_object).Tail.Overlay;
        overlay.CurrentStackLocation = overlay.CurrentStackLocation.sub(1);
        (*overlay.CurrentStackLocation).DeviceObject = at(device);
        let major = usize::from((*overlay.CurrentStackLocation).MajorFunction);
        (*(*at::<DEVICE_OBJECT>(device)).DriverObject).MajorFunction[major].map(|function| function as usize)
    };
    let function = function.expect("the driver dispatches it");
    // SAFETY: the driver's dispatch routine with its two arguments.
    finish(unsafe { landing::call(region(), Code::Image, function, &[device, irp]) })
}

extern "sysv64" fn init_unicode_string(target: u64, source: u64) -> u64 {
    let mut length = 0_u16;
    while u16::read(source + u64::from(length)).expect("a string") != 0 {
        length += 2;
    }
    let string = UNICODE_STRING { Length: length, MaximumLength: length + 2, Buffer: at(source) };
    // SAFETY: the driver's own variable.
    unsafe { at::<UNICODE_STRING>(target).write(string) };
    0
}

fn probe(address: u64, length: u64, alignment: u64) -> Result<(), Unwind> {
    if length == 0 {
        return Ok(());
    }
    if !address.is_multiple_of(alignment.max(1)) {
        return Err(seh::raise_status(abi::STATUS_DATATYPE_MISALIGNMENT));
    }
    let limit = USER_PROBE_ADDRESS as u64;
    let outside = address.checked_add(length).is_none_or(|end| end > limit);
    if outside { Err(Unwind::access_violation(0, limit)) } else { Ok(()) }
}

extern "sysv64" fn probe_for_read(address: u64, length: u64, alignment: u64) -> u64 {
    finish(probe(address, length, alignment & 0xFF).map(|()| 0))
}

extern "sysv64" fn probe_for_write(address: u64, length: u64, alignment: u64) -> u64 {
    let touched = probe(address, length, alignment & 0xFF).and_then(|()| {
        let last = address + length.saturating_sub(1);
        let violation = |_| Unwind::access_violation(1, address);
        u8::read(address).and_then(|_| u8::read(last)).map_err(violation)
    });
    finish(touched.map(|_| 0))
}

extern "sysv64" fn raise_access_violation() -> u64 {
    finish(Err(seh::raise_status(abi::STATUS_ACCESS_VIOLATION)))
}

extern "sysv64" fn raise_misalignment() -> u64 {
    finish(Err(seh::raise_status(abi::STATUS_DATATYPE_MISALIGNMENT)))
}

extern "sysv64" fn system_time(target: u64) -> u64 {
    // SAFETY: the driver's own variable.
    unsafe { at::<u64>(target).write(133_000_000_000_000_000) };
    0
}

export_thunk!(fn create_device_thunk, 7, create_device);
export_thunk!(fn delete_device_thunk, 1, delete_device);
export_thunk!(fn succeed_thunk, 2, succeed);
export_thunk!(fn complete_request_thunk, 2, complete_request);
export_thunk!(fn call_driver_thunk, 2, call_driver);
export_thunk!(fn init_unicode_string_thunk, 2, init_unicode_string);
export_thunk!(fn probe_for_read_thunk, 3, probe_for_read);
export_thunk!(fn probe_for_write_thunk, 3, probe_for_write);
export_thunk!(fn raise_access_violation_thunk, 0, raise_access_violation);
export_thunk!(fn raise_misalignment_thunk, 0, raise_misalignment);
export_thunk!(fn system_time_thunk, 1, system_time);

struct Exports;

impl Resolver for Exports {
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        let ImportSymbol::Name(name) = symbol else { return Resolution::Missing };
        let function: unsafe extern "win64" fn() = match name {
            "IoCreateDevice" => create_device_thunk,
            "IoDeleteDevice" => delete_device_thunk,
            "IoCreateSymbolicLink" | "IoDeleteSymbolicLink" | "KeGetCurrentProcessorNumberEx" => {
                succeed_thunk
            }
            "IofCompleteRequest" => complete_request_thunk,
            "IofCallDriver" => call_driver_thunk,
            "RtlInitUnicodeString" => init_unicode_string_thunk,
            "ProbeForRead" => probe_for_read_thunk,
            "ProbeForWrite" => probe_for_write_thunk,
            "ExRaiseAccessViolation" => raise_access_violation_thunk,
            "ExRaiseDatatypeMisalignment" => raise_misalignment_thunk,
            "KeQuerySystemTimePrecise" => system_time_thunk,
            "memcpy" => return Resolution::Function(routines::memmove()),
            _ => return Kernel.resolve(dll, symbol),
        };
        Resolution::Function(function as *const () as usize)
    }
}

/// The `.sys` made from `tests/drivers/NAME.c`, by the repository's own tool.
fn driver_file(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO")).args(["xtask", "sys", name]).current_dir(&root).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let built =
        log.lines().find_map(|line| line.strip_prefix("sys: ")?.split(".sys").next().map(str::to_owned));
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let file = built.filter(|path| path.ends_with(name)).map_or(folder.join("sys").join(name), Into::into);
    std::fs::read(file.with_extension("sys")).expect("the tool built it")
}

/// A driver whose DriverEntry has run.
pub(crate) struct Driver {
    pub(crate) machine: Machine,
    image: Image,
    object: u64,
}

/// `struct case_result` of `tests/drivers/cases.h`.
#[derive(Debug)]
pub(crate) struct CaseResult {
    pub(crate) status: u32,
    pub(crate) values: Vec<u64>,
    /// The first slot of the values, in use or not.
    pub(crate) first_value: u64,
}

const RESULT: u32 = 216;

impl Driver {
    pub(crate) fn load(name: &str) -> Self {
        let machine = Machine::new();
        let image = machine.load(name, &driver_file(name), &Exports);
        let object = zeroed(size_of::<DRIVER_OBJECT>());
        let entry = image.entry().expect("an entry");
        let status = machine.enter(|region| {
            // SAFETY: DriverEntry with a driver object and no registry path, which it does not use.
            unsafe { landing::call(region, Code::Image, entry, &[object, 0]) }
        });
        assert_eq!(status.expect("it returns") & 0xFFFF_FFFF, 0);
        Self { machine, image, object }
    }

    /// Runs one case. The buffer is the system's, so it survives a stop.
    pub(crate) fn case(&self, number: u32, inputs: &[u64]) -> (Result<u64, Unwind>, CaseResult) {
        const DEVICE_CONTROL: u8 = 14;
        let buffer = zeroed(RESULT as usize);
        let irp = zeroed(size_of::<IRP>() + 2 * size_of::<IO_STACK_LOCATION>());
        let location = at::<IO_STACK_LOCATION>(irp)
            .cast::<u8>()
            .wrapping_add(size_of::<IRP>())
            .cast::<IO_STACK_LOCATION>();
        let object = at::<DRIVER_OBJECT>(self.object);
        // SAFETY: zeroed memory of the right sizes; the driver's object, which its entry has filled.
        let (device, function) = unsafe {
            for (index, input) in inputs.iter().enumerate() {
                at::<u64>(buffer).add(index).write(*input);
            }
            (*at::<IRP>(irp)).AssociatedIrp.SystemBuffer = at(buffer);
            (*at::<IRP>(irp)).StackCount = 2;
            (*at::<IRP>(irp)).CurrentLocation = 2;
            let current = location.add(1);
            (*at::<IRP>(irp)).Tail.Overlay.CurrentStackLocation = current;
            (*current).MajorFunction = DEVICE_CONTROL;
            (*current).DeviceObject = (*object).DeviceObject;
            let parameters = &mut (*current).Parameters.DeviceIoControl;
            parameters.OutputBufferLength = RESULT;
            parameters.InputBufferLength = u32::try_from(8 * inputs.len()).expect("few");
            parameters.IoControlCode = 0x22_2000 + 4 * number;
            let function =
                (*object).MajorFunction[usize::from(DEVICE_CONTROL)].map(|function| function as usize);
            ((*object).DeviceObject.expose_provenance() as u64, function.expect("it dispatches"))
        };
        let outcome = self.machine.enter(|region| {
            // SAFETY: the driver's dispatch routine with its two arguments.
            unsafe { landing::call(region, Code::Image, function, &[device, irp]) }
        });
        let word = |offset: u64| u32::read(buffer + offset).expect("ours");
        assert_eq!((word(0), word(4)), (RESULT, number));
        let values = (0..u64::from(word(12))).map(|index| u64::read(buffer + 16 + 8 * index).expect("ours"));
        let first_value = u64::read(buffer + 16).expect("ours");
        (outcome, CaseResult { status: word(8), values: values.collect(), first_value })
    }

    /// Runs the driver's unload routine, which has to delete its devices.
    pub(crate) fn unload(&self) {
        // SAFETY: the driver's own object.
        let unload = unsafe { (*at::<DRIVER_OBJECT>(self.object)).DriverUnload }.expect("it can be unloaded");
        self.machine.enter(|region| {
            // SAFETY: the driver's unload routine with its argument.
            let unloaded = unsafe { landing::call(region, Code::Image, unload as usize, &[self.object]) };
            unloaded.expect("it returns");
        });
        // SAFETY: as above.
        assert!(unsafe { (*at::<DRIVER_OBJECT>(self.object)).DeviceObject }.is_null());
        assert!(self.image.range().contains(&(unload as usize)));
    }
}
