//! The channels: what each screen is called, what it answers, and what it needs.

use std::path::Path;

use anyhow::Result;

use super::{
    consult, control, fault, filter, here, life, lifecycle, named_pipe, notify, objects, requests, samples,
    shared, shelf, verdict,
};
use crate::output::Output;

/// Shows a channel, with the drivers in a folder.
type Show = fn(&Path, &mut Output) -> Result<()>;

/// A channel, and its screen.
pub(super) struct Channel {
    /// What `--channel` calls it.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The rows of docs/channels.md that it answers.
    pub(super) rows: &'static [&'static str],
    /// Files that it loads, without `.sys`.
    pub(super) drivers: &'static [&'static str],
    pub(super) show: Show,
}

/// The seed texts that rows come from: a check of `cargo xtask docs` compares them with docs/channels.txt.
const SEEDS: &[(&str, &[&str])] = &[
    ("M1", &["000", "001", "004"]),
    ("M2", &["000", "001"]),
    ("M3", &["000", "004"]),
    ("M4", &["004", "001"]),
    ("M5", &["000"]),
    ("M6", &["000"]),
    ("M7", &["000", "001"]),
    ("M8", &["002", "001"]),
    ("M9", &["002", "001"]),
    ("M10", &["003"]),
    ("M11", &["003"]),
    ("M12", &["003"]),
    ("M13", &["003", "004"]),
    ("M14", &["004"]),
    ("M15", &["004"]),
    ("M16", &["004", "001"]),
    ("M17", &["004"]),
    ("M18", &["001"]),
    ("M19", &["003"]),
    ("B8", &[]),
];

impl Channel {
    /// The seeds that its rows come from, each once, in order.
    pub(super) fn seeds(&self) -> Vec<&'static str> {
        let of = |row: &str| SEEDS.iter().find(|(id, _)| *id == row).map_or(&[][..], |(_, seeds)| seeds);
        let mut seeds: Vec<_> = self.rows.iter().flat_map(|row| of(row)).copied().collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }
}

const fn channel(
    name: &'static str,
    title: &'static str,
    rows: &'static [&'static str],
    drivers: &'static [&'static str],
    show: Show,
) -> Channel {
    Channel { name, title, rows, drivers, show }
}

/// All of them, in the order of the rows.
pub(super) const CHANNELS: &[Channel] = &[
    channel("read-write", "A driver that is read and written", &["M1"], &["hello"], here::show),
    channel("later", "Requests that are answered later", &["M2"], &["delay"], samples::delay),
    channel(
        "control",
        "Control codes: four ways for bytes to travel",
        &["M3"],
        &["buffers", "hello"],
        control::methods,
    ),
    channel(
        "buffers",
        "Three ways for reads and writes",
        &["M4"],
        &["hello", "buffers", "memory"],
        control::modes,
    ),
    channel("filter-port", "A driver that asks its application", &["M5"], &["verdict"], verdict::show),
    channel("lpc", "A driver and an application that ask each other", &["M6"], &["consult"], consult::show),
    channel("section", "A section under a name", &["M7"], &["mapping"], samples::mapping),
    channel(
        "named-pipe",
        "A driver comes to an application's pipe",
        &["M7"],
        &["namedpipe"],
        named_pipe::show,
    ),
    channel("notify", "A driver that speaks first", &["M8"], &["notify"], notify::show),
    channel("shared-memory", "Memory that driver and application share", &["M9"], &["stream"], shared::show),
    channel(
        "contexts",
        "What belongs to a name, and what to a handle",
        &["M10"],
        &["pipe"],
        objects::contexts,
    ),
    channel("pipe", "The pipe driver, between two processes", &["M11"], &["pipe"], samples::pipe),
    channel("pool", "Pool, by its tags", &["M12"], &["hello", "fail"], objects::pool),
    channel(
        "handles",
        "From the first handle to the last reference",
        &["M13"],
        &["delay", "pipe"],
        objects::handles,
    ),
    channel("majors", "Every kind of request", &["M14"], &["hello", "shelf", "lifecycle"], requests::majors),
    channel("volume", "A volume of files", &["M14"], &["shelf"], shelf::show),
    channel(
        "device",
        "A device comes, sleeps, and is pulled out",
        &["M14", "M18"],
        &["lifecycle"],
        lifecycle::show,
    ),
    channel("boost", "What a completion does for who waits", &["M15"], &["boost"], requests::boost),
    channel("names", "Names, and who may open them", &["M16"], &["hello", "vault"], objects::names),
    channel(
        "security",
        "A driver that acts for its client",
        &["M16"],
        &["steward", "vault"],
        requests::security,
    ),
    channel(
        "stack",
        "A filter above another driver's device",
        &["M15", "M17"],
        &["hello", "tap"],
        filter::show,
    ),
    channel("life", "A driver's life", &["M18"], &["hello", "pipe"], life::show),
    channel("synchronisation", "What drivers wait for", &["M19"], &["waits"], requests::synchronisation),
    channel("crash", "A driver that faults", &["B8"], &["stop", "hello"], fault::show),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_channel_and_they_come_in_the_order_of_the_rows() {
        for (row, _) in SEEDS {
            assert!(CHANNELS.iter().any(|channel| channel.rows.contains(row)), "{row}");
        }
        let place =
            |channel: &Channel| SEEDS.iter().position(|(row, _)| *row == *channel.rows.last().unwrap_or(&""));
        assert!(CHANNELS.iter().all(|channel| place(channel).is_some()));
        let mut names: Vec<_> = CHANNELS.iter().map(|channel| channel.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHANNELS.len(), "names are used once");
    }
}
