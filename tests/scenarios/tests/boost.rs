//! The sample `boost` with its application: every completion's priority boost is in the trace.

use std::sync::Arc;

use app::{Device, Transport};
use host::Event;
use ringbridge_scenarios::{
    BOOST, Watch, application, failure, open, run_application, scenario, serve, unload_when_closed,
};
use sample_applications::boost::{self, IOCTL_COMPLETE, KINDS};

const PATH: &str = r"\\.\Boost";

/// What wdm.h and ntddk.h give them.
const VALUES: [u8; 12] = [0, 1, 1, 1, 1, 2, 2, 2, 2, 6, 6, 8];

/// The boosts of the control requests that were completed.
fn boosts(watch: &Watch) -> Vec<u8> {
    let mut control = None;
    let mut boosts = Vec::new();
    for event in watch.events() {
        match event {
            Event::IrpCreated { irp, major, .. } => {
                control = (major == abi::IRP_MJ_DEVICE_CONTROL).then_some(irp);
            }
            Event::IrpCompleted { irp, boost, .. } if control == Some(irp) => boosts.push(boost),
            _ => {}
        }
    }
    boosts
}

scenario! {
    fn every_boost_that_nt_names_is_in_the_trace(form: Form) {
        let machine = BOOST.machine(form);
        let watch = Watch::on(&machine);
        let mut said = Vec::new();
        boost::run(Arc::new(machine.process("embedded")), &mut |line| said.push(line.to_owned()))
            .expect("succeeds");
        assert_eq!(boosts(&watch), VALUES);
        let expected: Vec<_> =
            KINDS.iter().zip(VALUES).map(|(kind, value)| format!("IO_{kind}_INCREMENT: {value}")).collect();
        assert_eq!(said, expected);
    }
}

#[test]
fn application_that_is_boosted() {
    if let Some(client) = application() {
        boost::run(Arc::new(client), &mut |_| {}).expect("succeeds");
    }
}

scenario! {
    fn the_boosts_of_another_process_are_in_the_trace(form: Form) {
        let machine = BOOST.machine(form);
        let watch = Watch::on(&machine);
        let (_folder, server) = serve(&machine);
        run_application("application_that_is_boosted", server.path());
        server.stop();
        assert_eq!(boosts(&watch), VALUES);
        unload_when_closed(&machine, "boost");
    }
}

fn refused(device: &Device<'_>, input: &[u8]) -> abi::NTSTATUS {
    failure(device.control(IOCTL_COMPLETE, input, &mut [0]))
}

#[test]
fn the_application_uses_its_drivers_code() {
    assert_eq!(IOCTL_COMPLETE.0, sample_boost::IOCTL_COMPLETE);
}

scenario! {
    fn a_kind_that_there_is_not_is_refused_without_a_boost(form: Form) {
        let machine = BOOST.machine(form);
        let process = machine.process("embedded");
        let transport: &dyn Transport = &process;
        let device = open(transport, PATH);
        let watch = Watch::on(&machine);
        for input in [&[12][..], &[255], &[], &[1, 1]] {
            assert_eq!(refused(&device, input), abi::STATUS_INVALID_PARAMETER, "{input:?}");
        }
        assert_eq!(boosts(&watch), [0; 4]);
    }
}
