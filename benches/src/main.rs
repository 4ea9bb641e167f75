//! What things cost, each beside the bare mechanism measured in the same run. Judges nobody: the exit status is 0
//! whether or not goals are met.
#![forbid(unsafe_code)]

mod driver_code;
mod floors;
mod in_process;
mod loading;
mod measure;
mod ports;
mod rings;
mod scale;
mod streams;
mod table;
mod threads;
mod two_processes;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use table::Row;

/// Measures rows of docs/performance.md beside their floors.
#[derive(Parser)]
struct Arguments {
    /// Rows to measure, for example P1; all when none is named.
    rows: Vec<String>,
    /// One JSON object a row.
    #[arg(long)]
    json: bool,
    /// Serve the drivers that are named, at this socket.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
    /// Serve without looking for requests before sleeping.
    #[arg(long, hide = true)]
    park: bool,
    /// Read what P5 writes, from the host at this socket.
    #[arg(long, hide = true)]
    read_pipe: Option<PathBuf>,
    /// Read what P5 writes, from standard input.
    #[arg(long, hide = true)]
    read_linux_pipe: bool,
    /// Send messages to the socket on standard input.
    #[arg(long, hide = true)]
    send_socket: bool,
    /// Send back what comes from the socket on standard input.
    #[arg(long, hide = true)]
    echo_socket: bool,
    /// Where to read.
    #[arg(long, hide = true, default_value_t = 0)]
    processor: usize,
}

/// Where driver files are.
fn driver(name: &str) -> Result<PathBuf> {
    let folder =
        std::env::var_os("RINGBRIDGE_SYS_DIR").map_or_else(|| PathBuf::from("target/sys"), PathBuf::from);
    let path = folder.join(format!("{name}.sys"));
    path.exists()
        .then_some(path.clone())
        .with_context(|| format!("{} is missing: `cargo xtask bench` builds it", path.display()))
}

type Measure = fn() -> Result<Vec<Row>>;

/// All rows, by id.
const ROWS: &[(&str, Measure)] = &[
    ("P1", in_process::p1),
    ("P2", two_processes::p2),
    ("P3", two_processes::p3),
    ("P4", in_process::p4),
    ("P5", streams::p5),
    ("P6", rings::p6),
    ("P7", ports::p7),
    ("P8", threads::p8),
    ("P9", threads::p9),
    ("P10", scale::p10),
    ("P11", loading::p11),
    ("P13", two_processes::p13),
    ("P14", driver_code::p14),
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(socket) = &arguments.serve {
        let spin = if arguments.park { gate::Spin::Never } else { gate::Spin::Adaptive };
        return two_processes::serve(socket, &arguments.rows, spin);
    }
    if arguments.send_socket {
        return rings::send_socket(arguments.processor);
    }
    if arguments.echo_socket {
        return ports::echo_socket(arguments.processor);
    }
    if let Some(socket) = &arguments.read_pipe {
        return streams::read_pipe(socket, arguments.processor);
    }
    if arguments.read_linux_pipe {
        return streams::read_linux_pipe(arguments.processor);
    }
    let wanted =
        |id: &str| arguments.rows.is_empty() || arguments.rows.iter().any(|row| row.eq_ignore_ascii_case(id));
    for name in &arguments.rows {
        let known = ROWS.iter().any(|(id, _)| name.eq_ignore_ascii_case(id));
        let all: Vec<_> = ROWS.iter().map(|(id, _)| *id).collect();
        anyhow::ensure!(known, "there is no row {name}; there are {}", all.join(", "));
    }
    let mut rows = Vec::new();
    for (id, measure) in ROWS.iter().filter(|(id, _)| wanted(id)) {
        if !arguments.json {
            eprintln!("measuring {id} …");
        }
        rows.extend(measure()?);
    }
    table::print(&rows, arguments.json)
}
