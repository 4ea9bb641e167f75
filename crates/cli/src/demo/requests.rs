//! The screens about the kinds of requests, what completes them, who they are made for, and what drivers wait for.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use app::{
    ControlCode, Device, Disposition, FindFiles, LockOptions, NamedPipe, NamedPipeOptions, OpenOptions,
    disk_free_space,
};
use host::{DeviceAction, DeviceRequest, Event};

use super::route::{From, major_name, name, routes};
use super::stage::Stage;
use super::{DEVICE, call};
use crate::output::{Output, Tone};

/// See samples/hello and lifecycle; named pipes are a driver too.
pub(super) fn majors(folder: &Path, output: &mut Output) -> Result<()> {
    const NAME: &str = r"\\.\pipe\Majors";
    let stage = Stage::new(folder, &["hello", "shelf", "lifecycle"])?;
    let process = stage.process();
    output.line("   What an application calls, and what a driver gets. A device that is a file:")?;
    let server = NamedPipeOptions::new().messages(true).create(&process, NAME)?;
    call(output, &format!("CreateNamedPipe({NAME})"), format_args!("handle {:#x}", server.handle().0))?;
    // The file system of pipes has just come.
    let mut events = stage.events.take();
    let client = NamedPipe::open(&process, NAME)?;
    client.write(b"a message")?;
    events.append(&mut stage.events.take());
    server.read(&mut [0; 16])?;
    events.append(&mut stage.events.take());
    let mut seen = |what: &str, major: u8, output: &mut Output| -> Result<()> {
        call(output, what, major_name(major))?;
        let mut new = stage.events.take();
        super::stage::draw(&new, From::Here, "", |route| route.major == major, output)?;
        events.append(&mut new);
        Ok(())
    };
    client.flush()?;
    seen("FlushFileBuffers", abi::IRP_MJ_FLUSH_BUFFERS, output)?;
    client.set_state(true, false)?;
    seen("SetNamedPipeHandleState", abi::IRP_MJ_SET_INFORMATION, output)?;
    client.state()?;
    seen("GetNamedPipeHandleState", abi::IRP_MJ_QUERY_INFORMATION, output)?;
    client.peek(&mut [0; 4])?;
    seen("PeekNamedPipe", abi::IRP_MJ_FILE_SYSTEM_CONTROL, output)?;
    client.close()?;
    server.close()?;
    output.line("   A volume:")?;
    disk_free_space(&process, r"\\.\Shelf\")?;
    seen("GetDiskFreeSpaceEx", abi::IRP_MJ_QUERY_VOLUME_INFORMATION, output)?;
    let new = OpenOptions::new().disposition(Disposition::CreateNew);
    let file = new.open(&process, r"\\.\Shelf\file")?;
    FindFiles::new(&process, r"\\.\Shelf\*")?.next().transpose()?;
    seen("FindFirstFile", abi::IRP_MJ_DIRECTORY_CONTROL, output)?;
    file.lock(0, 1, LockOptions { exclusive: true, fail_immediately: true })?;
    seen("LockFileEx", abi::IRP_MJ_LOCK_CONTROL, output)?;
    file.close()?;
    let device = Device::open(&process, DEVICE)?;
    device.control(super::ECHO, b"echo", &mut [0; 4])?;
    device.close()?;
    let add = DeviceRequest::Add {
        service: "lifecycle".to_owned(),
        upper_filters: Vec::new(),
        lower_filters: Vec::new(),
    };
    stage.machine.manage_devices(&add)?;
    let instance = super::lifecycle::INSTANCE.to_owned();
    stage.machine.manage_devices(&DeviceRequest::Act { instance, action: DeviceAction::Start })?;
    for state in [abi::PowerSystemSleeping3, abi::PowerSystemWorking] {
        stage.machine.manage_devices(&DeviceRequest::Power { state: state.cast_unsigned() })?;
    }
    events.append(&mut stage.events.take());
    count(&events, output)
}

/// Every major function that a driver got among these events, and those that none got.
fn count(events: &[Event], output: &mut Output) -> Result<()> {
    let mut counted = BTreeMap::<u8, BTreeMap<&str, u32>>::new();
    for event in events {
        if let Event::IrpDispatched { major, driver, .. } = event {
            *counted.entry(*major).or_default().entry(driver.as_str()).or_default() += 1;
        }
    }
    output.line(
        "   All that drivers got, with CREATE, CLEANUP and CLOSE, a device that starts, and a sleep:",
    )?;
    for (major, drivers) in &counted {
        let drivers: Vec<_> = drivers.iter().map(|(driver, count)| format!("{driver} {count}")).collect();
        output.line(format_args!(
            "      {:#04x} {:<31} {}",
            major,
            major_name(*major),
            drivers.join(", ")
        ))?;
    }
    let others = usize::from(abi::IRP_MJ_MAXIMUM_FUNCTION) + 1 - counted.len();
    output.line(format_args!("      nothing here causes the {others} others; docs/majors.md says what does"))
}

/// See samples/boost: the code, and the kinds in its order, each by the middle of its name.
const COMPLETE: ControlCode = ControlCode(0x0022_2000);
const KINDS: [&str; 12] = [
    "NO",
    "CD_ROM",
    "DISK",
    "PARALLEL",
    "VIDEO",
    "MAILSLOT",
    "NAMED_PIPE",
    "NETWORK",
    "SERIAL",
    "KEYBOARD",
    "MOUSE",
    "SOUND",
];

/// See samples/boost.
pub(super) fn boost(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["boost"])?;
    let process = stage.process();
    let device = Device::open(&process, r"\\.\Boost")?;
    output.line(
        "   A completion raises the priority of who waits, by what its driver says. As the trace has it:",
    )?;
    stage.skip();
    for (place, kind) in (0_u8..).zip(KINDS) {
        device.control(COMPLETE, &[place], &mut [0])?;
        let events = stage.events.take();
        let boosts: Vec<_> = routes(&events).iter().filter_map(super::route::Route::boost).collect();
        ensure!(boosts.len() == 1, "{} completions were seen", boosts.len());
        output.line(format_args!("      IO_{:<24} {}", format!("{kind}_INCREMENT"), boosts[0]))?;
        if kind == "SOUND" {
            super::stage::draw(&events, From::Here, "", |_| true, output)?;
        }
    }
    output.line("   Completion routines and STATUS_MORE_PROCESSING_REQUIRED: `demo --channel stack`.")
}

/// See samples/steward: opens a device as its client, or as itself.
const OPEN: ControlCode = ControlCode(0x0022_2000);
const OPEN_AS_DRIVER: ControlCode = ControlCode(0x0022_2004);

/// See samples/steward and vault.
pub(super) fn security(folder: &Path, output: &mut Output) -> Result<()> {
    const WANTED: &str = r"\Device\RbVault";
    let stage = Stage::new(folder, &["steward", "vault"])?;
    let wanted: Vec<u8> = WANTED.encode_utf16().flat_map(u16::to_le_bytes).collect();
    output.line(
        "   steward.sys opens for its clients what they name. vault's device lets only administrators write:",
    )?;
    for (who, token) in [("a user", host::Token::user()), ("an administrator", host::Token::administrator())]
    {
        let process = stage.machine.process_as("client", token);
        let device = OpenOptions::new().open(&process, r"\\.\Steward")?;
        for (code, how) in [(OPEN, "as its client"), (OPEN_AS_DRIVER, "as itself")] {
            let mut answer = [0; 4];
            stage.skip();
            device.control(code, &wanted, &mut answer)?;
            let status = abi::NTSTATUS::from_bits(u32::from_le_bytes(answer));
            let tone = if status.is_success() { Tone::Good } else { Tone::Bad };
            let what = format!("for {who} the driver opens {WANTED} {how}");
            call(output, &what, output.paint(tone, name(status)))?;
            let control = |route: &super::route::Route| route.begins_at(r"\Driver\steward");
            stage.draw_those(From::Here, "", control, output)?;
            stage.tell_calls(
                &[
                    "SeCreateClientSecurity",
                    "SeImpersonateClientEx",
                    "ZwCreateFile",
                    "ZwOpenFile",
                    "PsRevertToSelf",
                ],
                output,
            )?;
        }
    }
    output.line("   The last of the user's is the mistake that impersonation exists for.")
}

/// The test driver waits: its cases, in words.
const CASES: [(u32, &str); 7] = [
    (0, "a wait for any of several takes the one that ends it"),
    (1, "a wait for all takes nothing before it can take everything"),
    (2, "mutexes that were waited for are owned, or released"),
    (3, "sixty-four objects in one wait"),
    (4, "timers that expire, threads that end"),
    (8, "critical and guarded regions hold up APCs"),
    (9, "four threads count under every kind of lock, and lose nothing"),
];
/// What it calls.
const CALLS: [&str; 26] = [
    "KeInitializeEvent",
    "KeSetEvent",
    "KeResetEvent",
    "KeReadStateEvent",
    "KeInitializeSemaphore",
    "KeReleaseSemaphore",
    "KeInitializeMutex",
    "KeReleaseMutex",
    "KeInitializeTimerEx",
    "KeSetTimer",
    "KeSetTimerEx",
    "KeInitializeDpc",
    "KeWaitForSingleObject",
    "KeWaitForMultipleObjects",
    "PsCreateSystemThread",
    "KeEnterCriticalRegion",
    "KeLeaveCriticalRegion",
    "KeEnterGuardedRegion",
    "KeLeaveGuardedRegion",
    "KeAcquireSpinLockRaiseToDpc",
    "KeAcquireInStackQueuedSpinLock",
    "ExAcquireFastMutex",
    "ExAcquireResourceExclusiveLite",
    "ExAcquireResourceSharedLite",
    "ExReleaseFastMutex",
    "ExReleaseResourceLite",
];

/// The test driver waits.
pub(super) fn synchronisation(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["waits"])?;
    let process = stage.process();
    let device = Device::open(&process, r"\\.\RbWaits")?;
    output.line(
        "   waits.sys, a test driver, checks what NT's waits do; one that is wrong would stop the machine:",
    )?;
    stage.skip();
    for (case, words) in CASES {
        device.control(ControlCode(0x0022_2000 + (case << 2)), &[], &mut [])?;
        call(output, &format!("DeviceIoControl(case {case})"), words)?;
        stage.draw("", output)?;
        stage.tell_calls(&CALLS, output)?;
    }
    ensure!(stage.machine.bugcheck().is_none(), "the machine has stopped");
    Ok(())
}
