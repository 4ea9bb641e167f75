//! WMI requests to a driver that offers data (`tests/drivers/wmi.c`): what the tool asks, and what it is told.

use abi::NTSTATUS;
use host::{Event, Machine, WmiBlock, WmiGuid, WmiQuery};
use ringbridge_scenarios::{Watch, machine_with, unload_cleanly};

const GUID: WmiGuid = [0x49, 0x4D, 0x42, 0x52, 1, 0, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10];
const METHOD: u32 = 7;

fn provider(machine: &Machine) -> u64 {
    machine.wmi_providers().expect("tells")[0].id
}

fn ask(machine: &Machine, query: WmiQuery<'_>) -> Result<Vec<Vec<u8>>, NTSTATUS> {
    machine.wmi_query(provider(machine), GUID, query)
}

#[test]
fn a_registered_device_tells_its_blocks_and_is_forgotten_when_it_deregisters() {
    let machine = machine_with("wmi");
    let providers = machine.wmi_providers().expect("tells");
    assert_eq!(providers.len(), 1);
    assert_eq!(providers[0].device, r"\Device\RbWmi");
    assert_eq!(providers[0].blocks, Ok(vec![WmiBlock { guid: GUID, flags: 0x20, instances: 2 }]));
    unload_cleanly(&machine, "wmi");
    assert_eq!(machine.wmi_providers(), Ok(Vec::new()));
    assert_eq!(
        machine.wmi_query(providers[0].id, GUID, WmiQuery::AllData),
        Err(abi::STATUS_INVALID_PARAMETER)
    );
}

#[test]
fn instances_are_asked_for_and_changed_whole_and_item_by_item() {
    let machine = machine_with("wmi");
    assert_eq!(ask(&machine, WmiQuery::AllData), Ok(vec![vec![0; 12]; 2]));
    assert_eq!(ask(&machine, WmiQuery::SetInstance(1, b"abcdefghijkl")), Ok(Vec::new()));
    assert_eq!(ask(&machine, WmiQuery::SetItem(1, 2, b"ITEM")), Ok(Vec::new()));
    assert_eq!(ask(&machine, WmiQuery::Instance(1)), Ok(vec![b"abcdefghITEM".to_vec()]));
    assert_eq!(ask(&machine, WmiQuery::AllData), Ok(vec![vec![0; 12], b"abcdefghITEM".to_vec()]));
    assert_eq!(ask(&machine, WmiQuery::Instance(2)), Err(abi::STATUS_WMI_INSTANCE_NOT_FOUND));
    assert_eq!(ask(&machine, WmiQuery::SetInstance(0, b"short")), Err(abi::STATUS_WMI_SET_FAILURE));
    assert_eq!(ask(&machine, WmiQuery::SetItem(0, 3, b"none")), Err(abi::STATUS_WMI_ITEMID_NOT_FOUND));
    let other = machine.wmi_query(provider(&machine), [9; 16], WmiQuery::AllData);
    assert_eq!(other, Err(abi::STATUS_WMI_GUID_NOT_FOUND));
}

#[test]
fn a_method_gives_its_output_also_when_its_input_is_longer_than_a_buffer_at_first() {
    let machine = machine_with("wmi");
    assert_eq!(ask(&machine, WmiQuery::Method(0, METHOD, b"hello")), Ok(vec![b"olleh".to_vec()]));
    let long: Vec<u8> = (0..10_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let reversed: Vec<u8> = long.iter().rev().copied().collect();
    assert_eq!(ask(&machine, WmiQuery::Method(0, METHOD, &long)), Ok(vec![reversed]));
    assert_eq!(ask(&machine, WmiQuery::Method(0, 8, b"")), Err(abi::STATUS_WMI_ITEMID_NOT_FOUND));
}

#[test]
fn an_event_reaches_who_watches_and_its_buffer_is_freed() {
    let machine = machine_with("wmi");
    let watch = Watch::on(&machine);
    assert_eq!(ask(&machine, WmiQuery::Events(true)), Ok(Vec::new()));
    let events = watch.events();
    let node = events.iter().find_map(|event| match event {
        Event::WmiEvent { guid, node } if *guid == GUID => Some(node),
        _ => None,
    });
    assert_eq!(node.expect("an event")[60..], *b"ping");
    assert_eq!(ask(&machine, WmiQuery::Events(false)), Ok(Vec::new()));
    assert_eq!(ask(&machine, WmiQuery::Collection(true)), Ok(Vec::new()));
    assert_eq!(ask(&machine, WmiQuery::Collection(true)), Err(abi::STATUS_WMI_ALREADY_DISABLED));
    // It would be told as left behind.
    unload_cleanly(&machine, "wmi");
}

// ---- by WMILIB -----------------------------------------------------------------------------------------------------------

const LIBRARY: &str = "wmi_library";

#[test]
fn the_library_tells_of_the_blocks_in_a_drivers_list() {
    let machine = machine_with(LIBRARY);
    let providers = machine.wmi_providers().expect("tells");
    let blocks = providers[0].blocks.as_ref().expect("it does");
    // WMIREG_FLAG_INSTANCE_BASENAME, which the driver's routine has asked for.
    assert_eq!(blocks[0], WmiBlock { guid: GUID, flags: 4, instances: 3 });
    assert_eq!((blocks.len(), blocks[1].instances), (2, 1));
    unload_cleanly(&machine, LIBRARY);
}

#[test]
fn the_library_brings_data_of_different_lengths_and_changes_it() {
    let machine = machine_with(LIBRARY);
    let lengths = [3, 16, 8];
    assert_eq!(ask(&machine, WmiQuery::AllData), Ok(lengths.map(|length| vec![0; length]).to_vec()));
    assert_eq!(ask(&machine, WmiQuery::SetInstance(1, b"sixteen bytes ok")), Ok(Vec::new()));
    assert_eq!(ask(&machine, WmiQuery::Instance(1)), Ok(vec![b"sixteen bytes ok".to_vec()]));
    assert_eq!(ask(&machine, WmiQuery::AllData).expect("data")[1], b"sixteen bytes ok");
    assert_eq!(ask(&machine, WmiQuery::SetInstance(0, b"wrong")), Err(abi::STATUS_WMI_SET_FAILURE));
    assert_eq!(ask(&machine, WmiQuery::Instance(3)), Err(abi::STATUS_WMI_INSTANCE_NOT_FOUND));
    assert_eq!(ask(&machine, WmiQuery::SetItem(0, 0, b"x")), Err(abi::STATUS_WMI_READ_ONLY), "no routine");
    let other = machine.wmi_query(provider(&machine), [9; 16], WmiQuery::AllData);
    assert_eq!(other, Err(abi::STATUS_WMI_GUID_NOT_FOUND));
}

#[test]
fn the_library_asks_for_a_longer_buffer_when_a_method_needs_it() {
    let machine = machine_with(LIBRARY);
    assert_eq!(ask(&machine, WmiQuery::Method(0, 1, b"abc")), Ok(vec![b"abcbcd".to_vec()]));
    let long = vec![7; 3000];
    let mut expected = long.clone();
    expected.extend(vec![9; 3000]);
    assert_eq!(ask(&machine, WmiQuery::Method(0, 2, &long)), Ok(vec![expected]));
}

#[test]
fn an_event_that_the_library_fires_has_its_data_and_frees_it() {
    let machine = machine_with(LIBRARY);
    let watch = Watch::on(&machine);
    assert_eq!(ask(&machine, WmiQuery::Events(true)), Ok(Vec::new()));
    let events = watch.events();
    let fired = events.iter().find_map(|event| match event {
        Event::WmiEvent { guid, node } if *guid == GUID => Some(node),
        _ => None,
    });
    assert_eq!(fired.expect("an event")[64..], *b"fire");
    unload_cleanly(&machine, LIBRARY);
}
