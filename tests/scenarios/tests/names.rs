//! A device by each of its names, from a path of Win32's to one of NT's.

use app::Device;
use gate::{CreateFile, Transport};
use host::Event;
use ringbridge_scenarios::{HELLO, Watch, application, run_application, scenario, serve, unload_when_closed};

/// Paths as applications give them to CreateFile.
const WIN32: [&str; 5] = [
    r"\\.\My_Device",
    r"\\?\My_Device",
    r"\\.\my_DEVICE",
    r"\\.\GLOBALROOT\Device\My_Device",
    r"\\.\My_Device\sub\path",
];
/// Names in the object namespace.
const NT: [&str; 5] = [
    r"\Device\My_Device",
    r"\??\My_Device",
    r"\DosDevices\My_Device",
    r"\GLOBAL??\My_Device",
    r"\DosDevices\Global\My_Device",
];

fn opens_by_every_name(transport: &dyn Transport) {
    let reads = |device: Device<'_>, path: &str| {
        let mut buffer = [0; 4];
        assert_eq!(device.read(&mut buffer).expect("reads"), 4, "{path}");
        assert_eq!(buffer, [0x68; 4], "{path}");
    };
    for path in WIN32 {
        reads(Device::open(transport, path).unwrap_or_else(|error| panic!("{path}: {error}")), path);
    }
    for path in NT {
        let wide: Vec<u16> = path.encode_utf16().collect();
        let request = CreateFile {
            path: &wide,
            desired_access: abi::GENERIC_READ | abi::SYNCHRONIZE,
            file_attributes: 0,
            share_access: 0,
            create_disposition: abi::FILE_OPEN,
            create_options: abi::FILE_SYNCHRONOUS_IO_NONALERT,
            security_qos: None,
        };
        let (handle, _) =
            transport.create_file(&request).unwrap_or_else(|status| panic!("{path}: {status:?}"));
        assert_eq!(transport.close(handle), abi::STATUS_SUCCESS, "{path}");
    }
}

scenario! {
    fn a_device_is_opened_by_each_of_its_names(form: Form) {
        let machine = HELLO.machine(form);
        let watch = Watch::on(&machine);
        opens_by_every_name(&machine.process("embedded"));
        let created = |event: &&Event| {
            matches!(event, Event::IrpCreated { major: abi::IRP_MJ_CREATE, device, .. } if device == r"\Device\My_Device")
        };
        let opened = watch.events().iter().filter(created).count();
        assert_eq!(opened, WIN32.len() + NT.len(), "the device is the same");
    }
}

#[test]
fn application_that_knows_every_name() {
    if let Some(client) = application() {
        opens_by_every_name(&client);
    }
}

scenario! {
    fn another_process_opens_it_by_each_of_its_names(form: Form) {
        let machine = HELLO.machine(form);
        let (_folder, server) = serve(&machine);
        run_application("application_that_knows_every_name", server.path());
        server.stop();
        unload_when_closed(&machine, "hello");
    }
}
