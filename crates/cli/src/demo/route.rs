//! The way of each IRP, put together from events and drawn as a line.

use abi::NTSTATUS;
use host::Event;

/// One IRP's way.
pub(super) struct Route {
    irp: u64,
    /// IRP_MJ_*.
    pub(super) major: u8,
    status: Option<NTSTATUS>,
    stations: Vec<String>,
}

/// The IRPs that were made among these events, in order.
pub(super) fn routes(events: &[Event]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for event in events {
        if let Event::IrpCreated { irp, major, .. } = event {
            let stations = vec![format!("{} created", major_name(*major))];
            routes.push(Route { irp: *irp, major: *major, status: None, stations });
            continue;
        }
        let (irp, station) = match event {
            Event::IrpDispatched { irp, driver, .. } => (irp, driver.clone()),
            Event::IrpCompleted { irp, status, information, .. } => {
                let name = abi::status_name(*status).map_or_else(|| format!("{status:?}"), str::to_owned);
                (irp, format!("completed {name}, information {information}"))
            }
            Event::IrpReturned { irp, status: abi::STATUS_PENDING } => (irp, "pending".to_owned()),
            _ => continue,
        };
        // An IRP's memory is used again for a later one.
        if let Some(route) = routes.iter_mut().rev().find(|route| route.irp == *irp) {
            route.stations.push(station);
            if let Event::IrpCompleted { status, .. } = event {
                route.status = Some(*status);
            }
        }
    }
    routes
}

impl Route {
    /// Whether it is a cleanup that was answered as the I/O manager answers for drivers without a routine.
    pub(super) fn has_no_routine(&self) -> bool {
        self.major == abi::IRP_MJ_CLEANUP && self.status == Some(abi::STATUS_INVALID_DEVICE_REQUEST)
    }

    /// The stations, and what became of the result.
    pub(super) fn draw(&self, arrow: &str, end: &str) -> String {
        let mut stations = self.stations.clone();
        if !end.is_empty() {
            stations.push(end.to_owned());
        }
        stations.join(&format!(" {arrow} "))
    }
}

macro_rules! name_of {
    ($major:expr; $($name:ident)*) => {
        match $major {
            $(abi::$name => stringify!($name),)*
            _ => "IRP",
        }
    };
}

fn major_name(major: u8) -> &'static str {
    name_of! { major;
        IRP_MJ_CREATE IRP_MJ_CREATE_NAMED_PIPE IRP_MJ_CLOSE IRP_MJ_READ IRP_MJ_WRITE IRP_MJ_QUERY_INFORMATION
        IRP_MJ_SET_INFORMATION IRP_MJ_FLUSH_BUFFERS IRP_MJ_QUERY_VOLUME_INFORMATION IRP_MJ_FILE_SYSTEM_CONTROL
        IRP_MJ_DEVICE_CONTROL IRP_MJ_INTERNAL_DEVICE_CONTROL IRP_MJ_SHUTDOWN IRP_MJ_CLEANUP IRP_MJ_POWER
        IRP_MJ_SYSTEM_CONTROL IRP_MJ_PNP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_drawn_even_when_memory_is_used_again() {
        let status = abi::STATUS_SUCCESS;
        let mut events = Vec::new();
        for (major, information) in [(abi::IRP_MJ_READ, 10), (abi::IRP_MJ_CLOSE, 0)] {
            events.push(Event::IrpCreated { irp: 1, major, device: String::new() });
            events.push(Event::IrpDispatched { irp: 1, major, driver: r"\Driver\hello".to_owned() });
            events.push(Event::IrpCompleted { irp: 1, status, information, boost: 0 });
            events.push(Event::IrpReturned { irp: 1, status });
        }
        let drawn: Vec<_> = routes(&events).iter().map(|route| route.draw("->", "copied")).collect();
        assert_eq!(
            drawn,
            [
                r"IRP_MJ_READ created -> \Driver\hello -> completed STATUS_SUCCESS, information 10 -> copied",
                r"IRP_MJ_CLOSE created -> \Driver\hello -> completed STATUS_SUCCESS, information 0 -> copied",
            ]
        );
    }
}
