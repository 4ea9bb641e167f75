//! The sample `mapping`: what it refuses, and what is left when its applications end. What it does is in `applications.rs`.

use std::path::Path;

use app::{ControlCode, Device, FileMapping, MappingAccess, Transport};
use host::{Machine, SectionUsage};
use ringbridge_scenarios::{
    Beside, MAPPING, PATIENCE, application, failure, open, say_ready, scenario, unload_when_closed,
    wait_to_go_on,
};
use sample_mapping::{IOCTL_INVERT, IOCTL_PUBLISH, IOCTL_TAKE, IOCTL_UPPER, PIXELS_AT};

const DEVICE: &str = r"\\.\Mapping";
const NAME: &str = "RbMapping";

fn path(name: &str) -> Vec<u8> {
    format!(r"\BaseNamedObjects\{name}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn control(device: &Device<'_>, code: u32, input: &[u8]) -> Result<u32, app::Win32Error> {
    device.control(ControlCode(code), input, &mut [0; 32])
}

fn publish(device: &Device<'_>) -> Result<u32, app::Win32Error> {
    control(device, IOCTL_PUBLISH, &path(NAME))
}

fn nothing_is_left(machine: &Machine) {
    assert!(machine.bugcheck().is_none(), "{:?}", machine.bugcheck());
    assert_eq!(machine.section_usage(), SectionUsage::default());
    unload_when_closed(machine, MAPPING.name);
}

fn upper(device: &Device<'_>, handle: u64) -> abi::NTSTATUS {
    failure(control(device, IOCTL_UPPER, &handle.to_le_bytes()))
}

scenario! {
    fn what_an_application_sends_is_checked(form: Form) {
        let machine = MAPPING.machine(form);
        let process = machine.process("test");
        let device = open(&process, DEVICE);
        assert_eq!(failure(control(&device, IOCTL_INVERT, &path("RbNone"))), abi::STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(failure(control(&device, IOCTL_INVERT, b"odd")), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(failure(control(&device, IOCTL_INVERT, &[])), abi::STATUS_INVALID_PARAMETER);
        assert_eq!(failure(control(&device, IOCTL_TAKE, &[])), abi::STATUS_INVALID_DEVICE_REQUEST);
        assert_eq!(upper(&device, 0x7FF0), abi::STATUS_INVALID_HANDLE);
        assert_eq!(upper(&device, u64::MAX), abi::STATUS_OBJECT_TYPE_MISMATCH, "the current process");
        assert_eq!(upper(&device, 0xFFFF_FFFF_8000_0004), abi::STATUS_INVALID_HANDLE, "a kernel handle");
        assert_eq!(upper(&device, device.handle().0.into()), abi::STATUS_OBJECT_TYPE_MISMATCH);

        // A picture that says that it is larger than its section.
        let (mapping, _) = FileMapping::named(&process, NAME, 4096, MappingAccess::ReadWrite).expect("is made");
        let view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
        let fits = 4096 - u32::try_from(PIXELS_AT).expect("small");
        for (width, height) in [(fits + 1, 1), (u32::MAX, u32::MAX), (0x1_0000, 0x1_0000)] {
            view.store_u32(0, width).expect("writable");
            view.store_u32(4, height).expect("writable");
            let refusal = failure(control(&device, IOCTL_INVERT, &path(NAME)));
            assert_eq!(refusal, abi::STATUS_INVALID_VIEW_SIZE, "{width} by {height}");
        }
        view.store_u32(0, fits).expect("writable");
        view.store_u32(4, 1).expect("writable");
        control(&device, IOCTL_INVERT, &path(NAME)).expect("all of it");
        assert_eq!(view.load_u64(4088).expect("shown"), u64::MAX);
        // Its name is taken: what is there is not the driver's to publish.
        assert_eq!(failure(publish(&device)), abi::STATUS_DEVICE_BUSY);
        drop((view, mapping));
        // A section that nobody may write to, by a handle with every right.
        let call = gate::SystemCall::CreateSection {
            name: &[],
            desired_access: abi::SECTION_ALL_ACCESS,
            size: 4096,
            protection: abi::PAGE_READONLY,
            attributes: abi::SEC_COMMIT,
            file: None,
        };
        let reply = process.system_call(&call, &mut []);
        assert_eq!(upper(&device, reply.handle.0.into()), abi::STATUS_SECTION_PROTECTION);
        process.close(reply.handle);
        // One whose pages may be missing, on NT.
        let reserved = gate::SystemCall::CreateSection {
            name: &[],
            desired_access: abi::SECTION_ALL_ACCESS,
            size: 4096,
            protection: abi::PAGE_READWRITE,
            attributes: abi::SEC_RESERVE,
            file: None,
        };
        let reply = process.system_call(&reserved, &mut []);
        assert_eq!(upper(&device, reply.handle.0.into()), abi::STATUS_INVALID_PARAMETER);
        process.close(reply.handle);
        drop(device);
        nothing_is_left(&machine);
    }
}

scenario! {
    fn what_is_published_goes_with_its_file_and_views_stay(form: Form) {
        let machine = MAPPING.machine(form);
        let (first, second) = (machine.process("first"), machine.process("second"));
        let device = open(&first, DEVICE);
        publish(&device).expect("is made");
        assert_eq!(failure(publish(&open(&second, DEVICE))), abi::STATUS_DEVICE_BUSY, "another file's");
        let mapping = FileMapping::open(&second, NAME, MappingAccess::Read).expect("it is there");
        let view = mapping.map(MappingAccess::Read, 0, 0).expect("is shown");
        assert_eq!(machine.section_usage(), SectionUsage { segments: 1, views: 1, system_views: 1 });
        drop((device, mapping));
        let gone = FileMapping::open(&second, NAME, MappingAccess::Read).expect_err("its file is closed");
        assert_eq!(gone.code, abi::ERROR_FILE_NOT_FOUND);
        assert_eq!(view.load_u32(0).expect("shown"), 1);
        drop(view);
        nothing_is_left(&machine);
    }
}

#[test]
fn application_that_publishes_and_waits() {
    let Some(client) = application() else { return };
    let device = open(&client, DEVICE);
    publish(&device).expect("is made");
    let mapping = FileMapping::open(&client, NAME, MappingAccess::ReadWrite).expect("it is there");
    let _view = mapping.map(MappingAccess::ReadWrite, 0, 0).expect("is shown");
    say_ready();
    wait_to_go_on();
}

scenario! {
    fn nothing_is_left_of_an_application_that_is_killed(form: Form) {
        let machine = MAPPING.machine(form);
        let folder = tempfile::tempdir().expect("a folder");
        let server = machine.serve(Path::new(&folder.path().join("ringbridge.sock"))).expect("serves");
        for _ in 0..5 {
            let application = Beside::start("application_that_publishes_and_waits", server.path());
            assert_eq!(machine.section_usage(), SectionUsage { segments: 1, views: 1, system_views: 1 });
            application.kill();
            let deadline = std::time::Instant::now() + PATIENCE;
            while machine.section_usage() != SectionUsage::default() {
                assert!(std::time::Instant::now() < deadline, "{:?}", machine.section_usage());
                std::thread::yield_now();
            }
        }
        server.stop();
        nothing_is_left(&machine);
    }
}
