//! `ringbridge pnp`, `ringbridge power` and `ringbridge shutdown`: what a machine is asked about its devices, and how their
//! drivers answered.

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use gate::{DeviceAction, DeviceInformation, DeviceReport, DeviceRequest, Management};
use serde_json::{Value, json};

use crate::output::{self, Output, Tone};
use crate::target::{HostArgs, refused};

/// Devices of Plug and Play in the running host: add, start, stop, remove
///
/// A driver with an AddDevice routine makes no device itself; it is told that there is one. This adds such a device (a
/// root-enumerated one), and does with it what Windows does, request by request: each is shown with what the drivers of the
/// device's stack answered. For administrators of the host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge load lifecycle.sys
  ringbridge pnp add lifecycle                            a device for it, started
  ringbridge pnp list                                     which devices are there, and how do applications open them?
  ringbridge pnp stop 'ROOT\LIFECYCLE\0000'               as for a rebalance of resources; start goes on
  ringbridge pnp remove 'ROOT\LIFECYCLE\0000'             asks first: open files and drivers may be against it
  ringbridge pnp surprise-remove 'ROOT\LIFECYCLE\0000'    pulls the plug: nobody is asked
  ringbridge pnp list --json | jq -r '.devices[].interfaces[]'

A driver is unloaded with its last device. Exit status 1 also when drivers refuse.")]
pub(crate) struct PnpArgs {
    #[command(subcommand)]
    command: PnpCommand,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Subcommand)]
enum PnpCommand {
    /// List the devices, their stacks, and their interfaces
    List,
    /// Add a device for a loaded driver, and start it
    Add {
        /// The function driver's service name
        #[arg(value_name = "NAME")]
        service: String,
        /// A filter driver above it, loaded as well (repeatable, the lowest first)
        #[arg(long = "upper", value_name = "NAME")]
        upper_filters: Vec<String>,
        /// A filter driver below it (repeatable, the lowest first)
        #[arg(long = "lower", value_name = "NAME")]
        lower_filters: Vec<String>,
        /// Leave it as AddDevice does: not started
        #[arg(long)]
        no_start: bool,
    },
    /// IRP_MN_START_DEVICE, of a device that was added or stopped
    Start(Instance),
    /// IRP_MN_QUERY_STOP_DEVICE, and if nobody is against it IRP_MN_STOP_DEVICE
    Stop(Instance),
    /// IRP_MN_QUERY_REMOVE_DEVICE: may it be removed? Nobody opens it while that is pending
    QueryRemove(Instance),
    /// IRP_MN_CANCEL_REMOVE_DEVICE, after query-remove
    CancelRemove(Instance),
    /// IRP_MN_REMOVE_DEVICE, after asking
    Remove(Instance),
    /// IRP_MN_SURPRISE_REMOVAL, and IRP_MN_REMOVE_DEVICE when the last file is closed
    SurpriseRemove(Instance),
}

#[derive(clap::Args)]
struct Instance {
    /// The device's instance path, as `list` shows it
    #[arg(value_name = "INSTANCE")]
    instance: String,
}

/// Send the running host's devices to sleep, and wake them
///
/// Asks the drivers of every started device whether the system can sleep (IRP_MN_QUERY_POWER), tells them that it does
/// (IRP_MN_SET_POWER), and tells them when it works again. One that refuses keeps the system awake. For administrators of the
/// host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge power sleep        S3; who refuses is shown
  ringbridge power hibernate    S4
  ringbridge power resume       back to work
  ringbridge power sleep --json | jq '.answers[] | select(.request | startswith(.QUERY)) | .status'")]
pub(crate) struct PowerArgs {
    /// Where to
    state: PowerState,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum PowerState {
    /// PowerSystemSleeping1
    S1,
    /// PowerSystemSleeping2
    S2,
    /// PowerSystemSleeping3
    #[value(alias = "s3")]
    Sleep,
    /// PowerSystemHibernate
    #[value(alias = "s4")]
    Hibernate,
    /// PowerSystemWorking
    #[value(alias = "s0", alias = "wake")]
    Resume,
}

/// Shut the running host's machine down, as far as drivers see it
///
/// Sends IRP_MJ_SHUTDOWN to the devices that asked for it (IoRegisterShutdownNotification; the last to ask first, then those
/// that asked for the last chance), and takes the power of all others. The host goes on, and so can the machine
/// (`ringbridge power resume`). For administrators of the host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge shutdown
  ringbridge shutdown --json | jq '.answers'
  ringbridge power resume       devices work again")]
pub(crate) struct ShutdownArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn pnp(args: &PnpArgs, output: &mut Output) -> Result<()> {
    let client = args.host.connect()?;
    let ask = |request: &DeviceRequest, what: &str| {
        client.manage_devices(request).map_err(|refusal| refused(what, &refusal))
    };
    let act = |instance: &str, action| {
        let instance = instance.to_owned();
        ask(&DeviceRequest::Act { instance, action }, "that does not happen")
    };
    let (report, what) = match &args.command {
        PnpCommand::List => {
            let report = ask(&DeviceRequest::List, "the devices cannot be listed")?;
            return list(&report, args.json, output);
        }
        PnpCommand::Add { service, upper_filters, lower_filters, no_start } => {
            let request = DeviceRequest::Add {
                service: service.clone(),
                upper_filters: upper_filters.clone(),
                lower_filters: lower_filters.clone(),
            };
            let added = ask(&request, &format!("no device is added for {service}"))?;
            match added.devices.first() {
                Some(device) if !no_start => (act(&device.instance, DeviceAction::Start)?, "started"),
                _ => (added, "added"),
            }
        }
        PnpCommand::Start(device) => (act(&device.instance, DeviceAction::Start)?, "started"),
        PnpCommand::Stop(device) => (act(&device.instance, DeviceAction::Stop)?, "stopped"),
        PnpCommand::QueryRemove(device) => {
            (act(&device.instance, DeviceAction::QueryRemove)?, "may be removed")
        }
        PnpCommand::CancelRemove(device) => {
            (act(&device.instance, DeviceAction::CancelRemove)?, "not removed")
        }
        PnpCommand::Remove(device) => (act(&device.instance, DeviceAction::Remove)?, "removed"),
        PnpCommand::SurpriseRemove(device) => (act(&device.instance, DeviceAction::SurpriseRemove)?, "gone"),
    };
    tell(&report, what, args.json, output)
}

pub(crate) fn power(args: &PowerArgs, output: &mut Output) -> Result<()> {
    let (state, what) = match args.state {
        PowerState::S1 => (abi::PowerSystemSleeping1, "the system sleeps"),
        PowerState::S2 => (abi::PowerSystemSleeping2, "the system sleeps"),
        PowerState::Sleep => (abi::PowerSystemSleeping3, "the system sleeps"),
        PowerState::Hibernate => (abi::PowerSystemHibernate, "the system hibernates"),
        PowerState::Resume => (abi::PowerSystemWorking, "the system works"),
    };
    let request = DeviceRequest::Power { state: state.cast_unsigned() };
    let report = args.host.connect()?.manage_devices(&request);
    let report = report.map_err(|refusal| refused("the system stays as it is", &refusal))?;
    tell(&report, what, args.json, output)
}

pub(crate) fn shutdown(args: &ShutdownArgs, output: &mut Output) -> Result<()> {
    let report = args.host.connect()?.manage_devices(&DeviceRequest::Shutdown);
    let report = report.map_err(|refusal| refused("the system is not shut down", &refusal))?;
    tell(&report, "the system is shut down", args.json, output)
}

fn list(report: &DeviceReport, json: bool, output: &mut Output) -> Result<()> {
    if json {
        return output.json(json!({ "devices": devices(report) }));
    }
    if report.devices.is_empty() {
        return output.line("there is no device; `ringbridge pnp add NAME` adds one for a loaded driver");
    }
    for DeviceInformation { instance, state, stack, interfaces, .. } in &report.devices {
        let instance = output.paint(Tone::Good, instance).to_string();
        output.line(format_args!("{instance}  {state}"))?;
        for device in stack.iter().rev() {
            output.line(format_args!("    {device}"))?;
        }
        for interface in interfaces {
            // As applications write it.
            let path = interface.replacen(r"\??\", r"\\?\", 1);
            output.line(format_args!("    interface {path}"))?;
        }
    }
    Ok(())
}

fn devices(report: &DeviceReport) -> Value {
    let devices = report.devices.iter().map(|device| {
        json!({
            "instance": device.instance, "service": device.service, "state": device.state,
            "stack": device.stack, "interfaces": device.interfaces,
        })
    });
    devices.collect()
}

/// What was asked and answered, and what came of it; an error when it did not happen.
fn tell(report: &DeviceReport, what: &str, json: bool, output: &mut Output) -> Result<()> {
    if json {
        let answers = report.answers.iter().map(|answer| {
            json!({ "device": answer.device, "request": answer.request, "status": status(answer.status) })
        });
        output.json(json!({
            "done": report.status.is_success(), "status": status(report.status), "reason": report.reason,
            "answers": answers.collect::<Value>(), "devices": devices(report), "unloaded": report.unloaded,
        }))?;
    } else {
        for answer in &report.answers {
            let tone = if answer.status.is_success() { Tone::Good } else { Tone::Doubtful };
            let answered = output.paint(tone, status(answer.status)).to_string();
            let arrow = output.arrow();
            output.line(format_args!("{}  {} {arrow} {answered}", answer.device, answer.request))?;
        }
        for device in &report.devices {
            output.line(format_args!("{} is {}", device.instance, device.state))?;
        }
        for driver in &report.unloaded {
            output.line(format_args!("{driver} unloaded with its last device"))?;
        }
    }
    if !report.status.is_success() {
        bail!("{}: {}", status(report.status), report.reason);
    }
    if !json {
        output::note(format_args!("ringbridge: {what}"));
    }
    Ok(())
}

fn status(status: abi::NTSTATUS) -> String {
    abi::status_name(status).map_or_else(|| format!("{status:?}"), ToOwned::to_owned)
}
