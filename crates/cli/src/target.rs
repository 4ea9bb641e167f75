//! Where requests go: a machine in this process with the drivers that were named, or a host in another process.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use app::Transport;
use gate::{Client, Refusal};
use host::{LoadOptions, Machine, Process, UnloadOutcome, UnloadReport};

use crate::output;
use crate::parameter::{self, NamedParameter};
use crate::watch::Console;

/// Where requests go.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// Load this driver into this process for the request, and unload it afterwards (repeatable, in order)
    #[arg(long = "driver", value_name = "FILE.sys", conflicts_with = "socket")]
    drivers: Vec<PathBuf>,
    /// Load drivers although exports that they import are missing; a call of one raises STATUS_NOT_IMPLEMENTED
    #[arg(long, requires = "drivers")]
    allow_missing: bool,
    /// A value under the Parameters key of each driver's service: a number is a REG_DWORD, other text a REG_SZ (repeatable)
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "drivers", value_parser = parameter::parse)]
    parameters: Vec<NamedParameter>,
    /// Show on stderr what drivers print (DbgPrint)
    #[arg(short, long, requires = "drivers")]
    verbose: bool,
    /// Socket of the host to ask, when no driver is named [default: RINGBRIDGE_SOCKET, else ringbridge.sock in
    /// XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A running host, for commands that need one.
#[derive(clap::Args)]
pub(crate) struct HostArgs {
    /// Socket of the host to ask [default: RINGBRIDGE_SOCKET, else ringbridge.sock in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
}

impl HostArgs {
    /// Connects to the host.
    pub(crate) fn connect(&self) -> Result<Client> {
        Ok(Client::connect(self.socket.clone().unwrap_or_else(gate::default_socket_path))?)
    }
}

/// Tells in the command's words why a host refused to do something with its drivers.
pub(crate) fn refused(what: &str, refusal: &Refusal) -> anyhow::Error {
    let known = abi::status_name(refusal.status).unwrap_or("a status without a name");
    let status = format!("{known}, {:?}", refusal.status);
    let reason = match (refusal.status, refusal.reason.as_str()) {
        (abi::STATUS_PRIVILEGE_NOT_HELD, "") => {
            "only administrators of the host may: root, the user who started it, and the members of the group that \
             `ringbridge serve --administrators` names"
        }
        (abi::STATUS_DEVICE_NOT_CONNECTED, "") => "the host has ended",
        (abi::STATUS_INSUFFICIENT_RESOURCES, "") => "it is too large to be sent to the host",
        (_, "") => "see the host's messages",
        (_, reason) => reason,
    };
    anyhow!("{what} ({status}): {reason}")
}

/// A way into a kernel. [`Target::finish`] ends it.
pub(crate) enum Target {
    /// In this process.
    Here {
        /// Ends before the machine does.
        process: Process,
        /// The machine.
        machine: Machine,
        /// Loaded drivers, in order.
        drivers: Vec<String>,
    },
    /// In a host.
    Host(Client),
}

impl TargetArgs {
    /// Whether requests go to drivers in this process.
    pub(crate) fn names_drivers(&self) -> bool {
        !self.drivers.is_empty()
    }

    /// Starts a machine and loads the drivers, or connects to the host.
    pub(crate) fn open(&self) -> Result<Target> {
        if self.drivers.is_empty() {
            let socket = self.socket.clone().unwrap_or_else(gate::default_socket_path);
            let client = Client::connect(&socket)
                .context("no driver is named (--driver FILE.sys), and no host can be asked")?;
            return Ok(Target::Host(client));
        }
        let machine = Machine::new().context("no machine can be started")?;
        if self.verbose {
            machine.watch(Arc::new(Console));
        }
        let mut target =
            Target::Here { process: machine.process("ringbridge"), machine, drivers: Vec::new() };
        if let Err(error) = self.load(&mut target) {
            // The drivers before it still deserve their unload routines, and a bugcheck its report.
            return Err(match target.finish() {
                Ok(()) => error,
                Err(also) => error.context(also),
            });
        }
        Ok(target)
    }

    fn load(&self, target: &mut Target) -> Result<()> {
        let Target::Here { machine, drivers, .. } = target else { return Ok(()) };
        let options = LoadOptions { allow_missing: self.allow_missing };
        for path in &self.drivers {
            parameter::set(machine, path, &self.parameters)?;
            let name = load(machine, path, options)?;
            drivers.push(name);
        }
        Ok(())
    }
}

/// Loads one driver; the error names its file.
pub(crate) fn load(machine: &Machine, path: &std::path::Path, options: LoadOptions) -> Result<String> {
    let loaded = machine.load(path, options);
    loaded.with_context(|| format!("{} is not loaded", path.display()))
}

impl Target {
    /// The requests.
    pub(crate) fn transport(&self) -> &dyn Transport {
        match self {
            Self::Here { process, .. } => process,
            Self::Host(client) => client,
        }
    }

    /// Runs `request`, then unloads the drivers whatever came of it.
    pub(crate) fn with<T>(self, request: impl FnOnce(&dyn Transport) -> Result<T>) -> Result<T> {
        let done = request(self.transport());
        match (done, self.finish()) {
            (done, Ok(())) => done,
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(also)) => Err(error.context(also)),
        }
    }

    /// Unloads the drivers, last first. What they leave behind is told on stderr; a bugcheck is the error.
    pub(crate) fn finish(self) -> Result<()> {
        let Self::Here { process, machine, drivers } = self else { return Ok(()) };
        drop(process);
        unload_all(&machine, &drivers, |report| {
            for line in left_behind(report) {
                output::note(line);
            }
        })?;
        if let Some(report) = machine.bugcheck() {
            output::note(report);
            bail!("a driver stopped the machine; its report is above");
        }
        Ok(())
    }
}

/// Unloads drivers, last first, and hands their reports on.
///
/// # Errors
/// That a driver cannot be unloaded. A machine that has stopped unloads nothing, which is no further failure.
pub(crate) fn unload_all(
    machine: &Machine,
    drivers: &[String],
    mut told: impl FnMut(&UnloadReport),
) -> Result<()> {
    for name in drivers.iter().rev() {
        match machine.unload(name) {
            Ok(UnloadOutcome::Unloaded(report)) => told(&report),
            Ok(UnloadOutcome::Pending { files }) => {
                output::note(format_args!("ringbridge: {name} stays: {files} of its files are open still"))
            }
            Err(_) if machine.bugcheck().is_some() => break,
            Err(abi::STATUS_INVALID_DEVICE_REQUEST) => {
                output::note(format_args!(
                    "ringbridge: {name} has no unload routine, so it was not unloaded"
                ));
            }
            Err(status) => {
                let known = abi::status_name(status).unwrap_or("a status without a name");
                bail!("{name} cannot be unloaded: {known} ({status:?})");
            }
        }
    }
    Ok(())
}

/// Sentences about what a driver left; none when it left nothing.
pub(crate) fn left_behind(report: &UnloadReport) -> Vec<String> {
    host::left_behind(report).iter().map(|clause| format!("ringbridge: {} {clause}", report.driver)).collect()
}

#[cfg(test)]
mod tests {
    use host::TagUsage;

    use super::*;

    #[test]
    fn everything_that_a_driver_left_is_told() {
        let tag = u32::from_le_bytes(*b"Helo");
        let mut report = UnloadReport {
            driver: "hello".to_owned(),
            pool: Vec::new(),
            devices: Vec::new(),
            symbolic_links: Vec::new(),
            user_mappings: Vec::new(),
            system_views: Vec::new(),
            objects: Vec::new(),
        };
        assert!(left_behind(&report).is_empty());
        report.pool = [(1, 21), (2, 64)]
            .map(|(blocks, bytes)| (tag, TagUsage { blocks, bytes, ..TagUsage::default() }))
            .to_vec();
        report.devices.push(r"\Device\My_Device".to_owned());
        report.symbolic_links.push(r"\??\My_Device".to_owned());
        let (address, owner) = (0x8000_0000, host::PoolOwner(1));
        report.system_views.push(host::SystemView { address, length: 8192, owner });
        assert_eq!(
            left_behind(&report),
            [
                r"ringbridge: hello left the device \Device\My_Device",
                r"ringbridge: hello left the symbolic link \??\My_Device",
                "ringbridge: hello left 21 bytes of pool in 1 block with tag 'Helo'",
                "ringbridge: hello left 64 bytes of pool in 2 blocks with tag 'Helo'",
                "ringbridge: hello left a view of 8192 bytes of a section in system space at 0x80000000",
            ]
        );
    }
}
