//! The way of each IRP, put together from a machine's events and drawn: application, gate, I/O manager, filters, driver, and back.

use abi::NTSTATUS;
use host::Event;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// An application embedded in this process.
    Here,
    /// An application in the process with this number, through the gate's shared memory.
    Process(u32),
    /// The Plug and Play or power manager.
    System,
}

/// A driver that a request came to.
#[derive(Debug)]
struct Station {
    driver: String,
    /// What its dispatch routine returned.
    returned: Option<NTSTATUS>,
}

/// How a request ended.
#[derive(Debug)]
struct End {
    status: NTSTATUS,
    information: u64,
    boost: u8,
}

/// One IRP's way.
#[derive(Debug)]
pub(super) struct Route {
    irp: u64,
    /// IRP_MJ_*.
    pub(super) major: u8,
    stations: Vec<Station>,
    end: Option<End>,
}

/// The IRPs that were made among these events, in order.
pub(super) fn routes(events: &[Event]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for event in events {
        let irp = match event {
            Event::IrpCreated { irp, major, .. } => {
                routes.push(Route { irp: *irp, major: *major, stations: Vec::new(), end: None });
                continue;
            }
            Event::IrpDispatched { irp, .. }
            | Event::IrpReturned { irp, .. }
            | Event::IrpCompleted { irp, .. } => irp,
            _ => continue,
        };
        // An IRP's memory is used again for a later one.
        let Some(route) = routes.iter_mut().rev().find(|route| route.irp == *irp) else { continue };
        match event {
            Event::IrpDispatched { driver, .. } => {
                route.stations.push(Station { driver: driver.clone(), returned: None });
            }
            // The innermost call returns first.
            Event::IrpReturned { status, .. } => {
                let called = route.stations.iter_mut().rev().find(|station| station.returned.is_none());
                if let Some(station) = called {
                    station.returned = Some(*status);
                }
            }
            Event::IrpCompleted { status, information, boost, .. } => {
                route.end = Some(End { status: *status, information: *information, boost: *boost });
            }
            _ => {}
        }
    }
    routes
}

/// The characters of a drawing.
struct Pen {
    across: char,
    down: char,
    /// Corners of a box: above left, above right, below left, below right.
    corners: [char; 4],
    /// A line that leaves a box to its right.
    leaves: char,
    right: char,
    /// Where the way back begins below a box, and where it ends.
    begins: char,
    ends: char,
}

const LINES: Pen = Pen {
    across: '─',
    down: '│',
    corners: ['┌', '┐', '└', '┘'],
    leaves: '├',
    right: '▶',
    begins: '┬',
    ends: '▲',
};
const ASCII: Pen =
    Pen { across: '-', down: '|', corners: ['+'; 4], leaves: '|', right: '>', begins: '+', ends: '^' };

impl Route {
    /// Whether it is a cleanup that was answered as the I/O manager answers for drivers without a routine.
    pub(super) fn has_no_routine(&self) -> bool {
        let answered = self.end.as_ref().map(|end| end.status);
        self.major == abi::IRP_MJ_CLEANUP && answered == Some(abi::STATUS_INVALID_DEVICE_REQUEST)
    }

    /// Whether a driver of this name (`\Driver\name`) got it first.
    pub(super) fn begins_at(&self, driver: &str) -> bool {
        self.stations.first().is_some_and(|station| station.driver == driver)
    }

    /// The boost that it was completed with.
    pub(super) fn boost(&self) -> Option<u8> {
        self.end.as_ref().map(|end| end.boost)
    }

    /// What it was completed with, in words; `None` when it was not.
    fn end(&self) -> Option<String> {
        let End { status, information, boost } = self.end.as_ref()?;
        let mut text = format!("{}, information {information}", name(*status));
        if *boost != 0 {
            text += &format!(", boost {boost}");
        }
        Some(text)
    }

    /// Four lines, the boxes that the request passes, and a fifth one, its way back, once it has ended. Behind that stands what
    /// became of the result.
    pub(super) fn draw(&self, from: From, unicode: bool, became: &str) -> Vec<String> {
        let mut boxes = match from {
            From::Here => vec![["application".to_owned(), "embedded".to_owned()]],
            From::Process(pid) => vec![
                ["application".to_owned(), format!("pid {pid}")],
                ["gate".to_owned(), "shared memory".to_owned()],
            ],
            From::System => vec![["the system".to_owned(), "PnP, power".to_owned()]],
        };
        boxes.push(["I/O manager".to_owned(), major_name(self.major).to_owned()]);
        boxes.extend(self.stations.iter().map(|station| {
            let returned = station.returned.map_or_else(|| "is in it".to_owned(), name);
            [station.driver.clone(), returned]
        }));
        let mut lines = lines(&boxes, self.end().as_deref(), if unicode { &LINES } else { &ASCII });
        if let (Some(last), false) = (lines.last_mut(), became.is_empty()) {
            last.push(' ');
            last.push_str(became);
        }
        lines
    }
}

/// Boxes with arrows between them, and a line with the words `back` from below the last to below the first.
fn lines(boxes: &[[String; 2]], back: Option<&str>, pen: &Pen) -> Vec<String> {
    let width = |text: &str| text.chars().count();
    let line = |length: usize| pen.across.to_string().repeat(length);
    let widths: Vec<_> = boxes.iter().map(|[first, second]| width(first).max(width(second)) + 2).collect();
    let last = boxes.len() - 1;
    // Columns of the middles of the first and the last box, were all gaps three wide.
    let all: usize = widths.iter().map(|width| width + 2).sum::<usize>() + 3 * last;
    let (begin, end) = (1 + widths[0] / 2, all - 1 - widths[last].div_ceil(2));
    let room = end.saturating_sub(begin + 1);
    let missing = back.map_or(0, |back| width(back) + 4).saturating_sub(room);
    let gap = |place: usize| if place == last { 3 + missing } else { 3 };
    let mut drawn = vec![String::new(); 4];
    for (place, ([first, second], width)) in boxes.iter().zip(&widths).enumerate() {
        if place > 0 {
            let gap = gap(place);
            for line in [0, 1, 3] {
                drawn[line] += &" ".repeat(gap);
            }
            drawn[2] += &line(gap - 1);
            drawn[2].push(pen.right);
        }
        let [above_left, above_right, below_left, below_right] = pen.corners;
        let half = width / 2;
        let below = match place {
            _ if back.is_none() => line(*width),
            0 => format!("{}{}{}", line(half), pen.ends, line(width - half - 1)),
            _ if place == last => {
                format!("{}{}{}", line(half), pen.begins, line(width - half - 1))
            }
            _ => line(*width),
        };
        let side = if place == last { pen.down } else { pen.leaves };
        drawn[0] += &format!("{above_left}{}{above_right}", line(*width));
        drawn[1] += &format!("{0} {first:<1$} {0}", pen.down, width - 2);
        drawn[2] += &format!("{} {second:<1$} {side}", pen.down, width - 2);
        drawn[3] += &format!("{below_left}{below}{below_right}");
    }
    let Some(back) = back else { return drawn };
    // Measured, as rounding may be one off.
    let place = |wanted: char| drawn[3].chars().position(|found| found == wanted).unwrap_or(0);
    let start = place(pen.ends);
    let stop = drawn[3].chars().count() - 1 - (widths[last] - widths[last] / 2);
    let rest = stop.saturating_sub(start + 1).saturating_sub(width(back) + 2);
    let [.., below_left, below_right] = pen.corners;
    drawn.push(format!(
        "{}{below_left}{} {back} {}{below_right}",
        " ".repeat(start),
        line(rest / 2),
        line(rest - rest / 2)
    ));
    drawn
}

/// A status by its name.
pub(super) fn name(status: NTSTATUS) -> String {
    abi::status_name(status).map_or_else(|| format!("{status:?}"), str::to_owned)
}

macro_rules! name_of {
    ($major:expr; $($name:ident)*) => {
        match $major {
            $(abi::$name => stringify!($name),)*
            _ => "IRP",
        }
    };
}

pub(super) fn major_name(major: u8) -> &'static str {
    name_of! { major;
        IRP_MJ_CREATE IRP_MJ_CREATE_NAMED_PIPE IRP_MJ_CLOSE IRP_MJ_READ IRP_MJ_WRITE IRP_MJ_QUERY_INFORMATION
        IRP_MJ_SET_INFORMATION IRP_MJ_QUERY_EA IRP_MJ_SET_EA IRP_MJ_FLUSH_BUFFERS IRP_MJ_QUERY_VOLUME_INFORMATION
        IRP_MJ_SET_VOLUME_INFORMATION IRP_MJ_DIRECTORY_CONTROL IRP_MJ_FILE_SYSTEM_CONTROL IRP_MJ_DEVICE_CONTROL
        IRP_MJ_INTERNAL_DEVICE_CONTROL IRP_MJ_SHUTDOWN IRP_MJ_LOCK_CONTROL IRP_MJ_CLEANUP IRP_MJ_CREATE_MAILSLOT
        IRP_MJ_QUERY_SECURITY IRP_MJ_SET_SECURITY IRP_MJ_POWER IRP_MJ_SYSTEM_CONTROL IRP_MJ_DEVICE_CHANGE
        IRP_MJ_QUERY_QUOTA IRP_MJ_SET_QUOTA IRP_MJ_PNP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatched(irp: u64, driver: &str) -> Event {
        Event::IrpDispatched { irp, major: abi::IRP_MJ_READ, driver: format!(r"\Driver\{driver}") }
    }

    fn made(irp: u64, major: u8) -> Event {
        Event::IrpCreated { irp, major, device: String::new() }
    }

    #[test]
    fn a_route_is_drawn_even_when_memory_is_used_again() {
        let status = abi::STATUS_SUCCESS;
        let mut events = Vec::new();
        for (major, information) in [(abi::IRP_MJ_READ, 10), (abi::IRP_MJ_CLOSE, 0)] {
            events.push(made(1, major));
            events.push(dispatched(1, "hello"));
            events.push(Event::IrpCompleted { irp: 1, status, information, boost: 0 });
            events.push(Event::IrpReturned { irp: 1, status });
        }
        let drawn: Vec<_> =
            routes(&events).iter().map(|route| route.draw(From::Here, false, "(copied)")).collect();
        assert_eq!(
            drawn[0],
            [
                r"+-------------+   +-------------+   +----------------+",
                r"| application |   | I/O manager |   | \Driver\hello  |",
                r"| embedded    |-->| IRP_MJ_READ |-->| STATUS_SUCCESS |",
                r"+------^------+   +-------------+   +--------+-------+",
                r"       +-- STATUS_SUCCESS, information 10 ---+ (copied)",
            ]
            .map(|line| line.to_owned())
        );
        assert!(drawn[1][2].contains("IRP_MJ_CLOSE"), "{:#?}", drawn[1]);
        assert_eq!(drawn.len(), 2);
    }

    #[test]
    fn every_driver_shows_what_its_own_routine_returned() {
        let pending = abi::STATUS_PENDING;
        let events = [
            made(7, abi::IRP_MJ_WRITE),
            dispatched(7, "tap"),
            dispatched(7, "hello"),
            Event::IrpReturned { irp: 7, status: abi::STATUS_SUCCESS },
            Event::IrpReturned { irp: 7, status: pending },
            Event::IrpCompleted { irp: 7, status: abi::STATUS_SUCCESS, information: 4, boost: 2 },
        ];
        let drawn = routes(&events)[0].draw(From::Process(42), true, "");
        assert_eq!(
            drawn,
            [
                r"┌─────────────┐   ┌───────────────┐   ┌──────────────┐   ┌────────────────┐   ┌────────────────┐",
                r"│ application │   │ gate          │   │ I/O manager  │   │ \Driver\tap    │   │ \Driver\hello  │",
                r"│ pid 42      ├──▶│ shared memory ├──▶│ IRP_MJ_WRITE ├──▶│ STATUS_PENDING ├──▶│ STATUS_SUCCESS │",
                r"└──────▲──────┘   └───────────────┘   └──────────────┘   └────────────────┘   └────────┬───────┘",
                r"       └─────────────────── STATUS_SUCCESS, information 4, boost 2 ────────────────────┘",
            ]
        );
    }

    #[test]
    fn the_way_back_makes_room_for_its_words_and_ends_below_the_boxes() {
        for status in [abi::STATUS_SUCCESS, abi::STATUS_OBJECT_PATH_SYNTAX_BAD] {
            let ended = Event::IrpCompleted { irp: 1, status, information: 0x1234_5678, boost: 8 };
            let route = &routes(&[made(1, abi::IRP_MJ_PNP), ended])[0];
            let drawn = route.draw(From::Here, false, "");
            let column = |line: &str, wanted: char| line.chars().position(|found| found == wanted);
            assert_eq!(column(&drawn[3], '^'), column(&drawn[4], '+'), "{drawn:#?}");
            let back = drawn[4].chars().count() - 1;
            assert_eq!(drawn[3].chars().nth(back), Some('+'), "{drawn:#?}");
            assert_ne!(drawn[3].chars().nth(back - 1), Some(' '), "in the middle of a box: {drawn:#?}");
        }
    }

    #[test]
    fn a_request_that_has_not_ended_has_no_way_back() {
        let drawn =
            routes(&[made(1, abi::IRP_MJ_READ), dispatched(1, "stop")])[0].draw(From::Here, false, "");
        assert_eq!(drawn.len(), 4, "{drawn:#?}");
        assert!(drawn[2].contains("is in it") && !drawn[3].contains('^'), "{drawn:#?}");
    }
}
