//! `ringbridge service`: drivers by their services' names, as `sc` has them.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::{Subcommand, ValueEnum};
use gate::{Client, CreateService, Management, Refusal, ServiceInformation, ServiceReport, ServiceRequest};
use serde_json::{Value, json};

use crate::output::{self, Output, Tone};
use crate::parameter::{self, NamedParameter};
use crate::target::{HostArgs, refused};
use crate::transfer;

/// Services of the running host: create, start, stop, query, delete
///
/// A service is a driver that the host knows by name, loaded or not. Applications start one with StartService, minifilters with
/// FilterLoad, drivers with ZwLoadDriver. Whatever was loaded is a service from then on. For administrators of the host.
#[derive(clap::Args)]
#[command(after_help = r"Examples:
  ringbridge service create verdict.sys                      known as verdict, and not started
  ringbridge service create verdict.sys --type filesys --altitude 370030
  ringbridge service start verdict
  ringbridge service query                                   which are there, and which run?
  ringbridge service stop verdict
  ringbridge service delete verdict                          when it runs, as soon as it has stopped
  ringbridge service query --json | jq -r '.services[] | [.name, .state] | @tsv'

`ringbridge serve --service FILE.sys` starts a host that knows a service.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: ServiceCommand,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Subcommand)]
enum ServiceCommand {
    /// Make a service; its driver's file is read here and its content sent
    Create(Create),
    /// Load a service's driver
    Start(Name),
    /// Unload a service's driver: now, or when its last file is closed
    Stop(Name),
    /// Tell of one service, or of all
    Query {
        /// The service's name
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Remove a service: now, or when its driver is gone
    Delete(Name),
}

#[derive(clap::Args)]
struct Name {
    /// The service's name
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(clap::Args)]
struct Create {
    /// The driver's file
    #[arg(value_name = "FILE.sys")]
    file: PathBuf,
    /// The service's name [default: the file's without its ending]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What kind of driver it is
    #[arg(long = "type", value_name = "TYPE", default_value = "kernel")]
    service_type: ServiceType,
    /// When Windows would start it; nothing is started by itself here
    #[arg(long, value_name = "START", default_value = "demand")]
    start: StartType,
    /// The altitude of a minifilter's instance
    #[arg(long, value_name = "ALTITUDE")]
    altitude: Option<String>,
    /// Load it although exports that it imports are missing; a call of one raises STATUS_NOT_IMPLEMENTED
    #[arg(long)]
    allow_missing: bool,
    /// A value under the service's Parameters key: a number is a REG_DWORD, other text a REG_SZ (repeatable)
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter::parse)]
    parameters: Vec<NamedParameter>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ServiceType {
    /// SERVICE_KERNEL_DRIVER
    Kernel,
    /// SERVICE_FILE_SYSTEM_DRIVER, which minifilters are
    Filesys,
}

#[derive(Clone, Copy, ValueEnum)]
enum StartType {
    /// SERVICE_BOOT_START
    Boot,
    /// SERVICE_SYSTEM_START
    System,
    /// SERVICE_AUTO_START
    Auto,
    /// SERVICE_DEMAND_START
    Demand,
    /// SERVICE_DISABLED: it cannot be started
    Disabled,
}

/// The service's name that a driver's file stands for.
pub(crate) fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn number_of_start(start: StartType) -> u32 {
    match start {
        StartType::Boot => abi::SERVICE_BOOT_START,
        StartType::System => abi::SERVICE_SYSTEM_START,
        StartType::Auto => abi::SERVICE_AUTO_START,
        StartType::Demand => abi::SERVICE_DEMAND_START,
        StartType::Disabled => abi::SERVICE_DISABLED,
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let client = args.host.connect()?;
    let (report, name, verb) = match &args.command {
        ServiceCommand::Create(create) => {
            let name = create.name.clone().unwrap_or_else(|| name_of(&create.file));
            (self::create(&client, create, &name)?, name, "created")
        }
        ServiceCommand::Start(Name { name }) => {
            let what = format!("{name} is not started");
            (ask(&client, &ServiceRequest::Start(name), &what)?, name.clone(), "started")
        }
        ServiceCommand::Stop(Name { name }) => {
            let what = format!("{name} is not stopped");
            (ask(&client, &ServiceRequest::Stop(name), &what)?, name.clone(), "stopped")
        }
        ServiceCommand::Delete(Name { name }) => {
            let what = format!("{name} is not deleted");
            (ask(&client, &ServiceRequest::Delete(name), &what)?, name.clone(), "deleted")
        }
        ServiceCommand::Query { name } => {
            let request = ServiceRequest::Query(name.as_deref().unwrap_or_default());
            let report = ask(&client, &request, "the services cannot be told of")?;
            return query(&report, args.json, output);
        }
    };
    if args.json {
        return output.json(json!({
            "name": name, "services": services(&report), "left": report.left, "files": report.files,
        }));
    }
    tell(&report, &name, verb, output)
}

fn create(client: &Client, create: &Create, name: &str) -> Result<ServiceReport> {
    let image = transfer::file(&create.file)?;
    let request = ServiceRequest::Create(CreateService {
        name,
        file_name: &create.file.file_name().unwrap_or_default().to_string_lossy(),
        image: &image,
        allow_missing: create.allow_missing,
        service_type: match create.service_type {
            ServiceType::Kernel => abi::SERVICE_KERNEL_DRIVER,
            ServiceType::Filesys => abi::SERVICE_FILE_SYSTEM_DRIVER,
        },
        start_type: number_of_start(create.start),
        altitude: create.altitude.as_deref().unwrap_or_default(),
        parameters: parameter::named(&create.parameters),
    });
    ask(client, &request, &format!("{name} is not created"))
}

/// Asks the host; the service control manager's refusals are told as Win32 errors.
fn ask(client: &Client, request: &ServiceRequest<'_>, what: &str) -> Result<ServiceReport> {
    const NTWIN32: u32 = 0xC007;
    client.manage_services(request).map_err(|refusal| {
        let Refusal { status, reason } = &refusal;
        if status.bits() >> 16 != NTWIN32 {
            return refused(what, &refusal);
        }
        let code = abi::win32_from_status(*status);
        let known = abi::win32_name(code).unwrap_or("an error without a name");
        anyhow!("{what} ({code} {known}): {reason}")
    })
}

/// What became of the service.
fn tell(report: &ServiceReport, name: &str, verb: &str, output: &mut Output) -> Result<()> {
    let is_deleted = report.services.first().is_some_and(|service| service.is_deleted);
    let later = match (report.files, verb) {
        (0, "deleted") if is_deleted => " when its driver is gone".to_owned(),
        (0, _) => String::new(),
        (files, _) => format!(" when its open files and attached devices ({files}) are gone"),
    };
    let will_be = if later.is_empty() { "" } else { "will be " };
    let end = match (verb, report.left.is_empty()) {
        ("stopped", true) if later.is_empty() => ", nothing left behind",
        ("stopped", false) => ", but left something behind",
        _ => "",
    };
    output.line(format_args!("{name} {will_be}{verb}{later}{end}"))?;
    for clause in &report.left {
        output::note(format_args!("ringbridge: {name} {clause}"));
    }
    Ok(())
}

fn state(state: u32) -> &'static str {
    match state {
        abi::SERVICE_STOPPED => "STOPPED",
        abi::SERVICE_STOP_PENDING => "STOP_PENDING",
        abi::SERVICE_RUNNING => "RUNNING",
        _ => "UNKNOWN",
    }
}

fn start(start: u32) -> &'static str {
    match start {
        abi::SERVICE_BOOT_START => "BOOT_START",
        abi::SERVICE_SYSTEM_START => "SYSTEM_START",
        abi::SERVICE_AUTO_START => "AUTO_START",
        abi::SERVICE_DEMAND_START => "DEMAND_START",
        abi::SERVICE_DISABLED => "DISABLED",
        _ => "UNKNOWN",
    }
}

fn kind(service_type: u32) -> &'static str {
    match service_type {
        abi::SERVICE_KERNEL_DRIVER => "KERNEL_DRIVER",
        abi::SERVICE_FILE_SYSTEM_DRIVER => "FILE_SYSTEM_DRIVER",
        abi::SERVICE_RECOGNIZER_DRIVER => "RECOGNIZER_DRIVER",
        _ => "UNKNOWN",
    }
}

fn services(report: &ServiceReport) -> Value {
    let services = report.services.iter().map(|service| {
        json!({
            "name": service.name, "state": state(service.state), "type": kind(service.service_type),
            "start": start(service.start_type), "image_path": service.image_path,
            "deleted": service.is_deleted,
        })
    });
    services.collect()
}

fn query(report: &ServiceReport, json: bool, output: &mut Output) -> Result<()> {
    if json {
        return output.json(json!({ "services": services(report) }));
    }
    if report.services.is_empty() {
        return output.line("there is no service; make one with `ringbridge service create FILE.sys`");
    }
    let width = report.services.iter().map(|service| service.name.chars().count()).max().unwrap_or(0);
    for service in &report.services {
        let ServiceInformation { name, service_type, start_type, state: now, image_path, .. } = service;
        let tone = if *now == abi::SERVICE_RUNNING { Tone::Good } else { Tone::Quiet };
        let now = output.paint(tone, format!("{:<12}", state(*now))).to_string();
        let (kind, start) = (kind(*service_type), start(*start_type));
        output.line(format_args!("{name:<width$}  {now}  {kind:<18}  {start:<12}  {image_path}"))?;
    }
    Ok(())
}
