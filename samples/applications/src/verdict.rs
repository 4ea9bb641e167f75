//! The application of `verdict`: a guard that the driver asks who may be opened, and somebody who opens.

use std::error::Error;
use std::sync::Arc;
use std::thread;

use app::{
    Buffer, Device, Event, EventKind, FILTER_HEADER_SIZE, FilterPort, MessageHeader, Overlapped, Transport,
    Waited, reply_to, wait_any,
};

use crate::Say;

/// The driver's port.
pub const PORT: &str = r"\Verdict";
/// The answer that lets a name be opened.
pub const ALLOW: u32 = 1;
/// The answer that does not.
pub const DENY: u32 = 2;
/// Bytes of the longest question.
pub const LONGEST: usize = 1024;

const PATH: &str = r"\\.\Verdict";
/// Threads that answer.
const GUARDS: usize = 2;
/// Opens side by side.
const OPENERS: usize = 4;
/// Opens of each.
const OPENS: usize = 25;

/// Guards names, opens some, and stops guarding.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let transport = &*transport;
    say(&format!("without a guard: {}", opens(transport, r"\letter.exe")));
    let port = guard(transport, 5_000)?;
    let stop = Event::new(transport, EventKind::ManualReset, false)?;
    thread::scope(|scope| {
        for _ in 0..GUARDS {
            scope.spawn(|| answer_until(transport, &port, &stop, decide));
        }
        for name in [r"\letter.txt", r"\letter.exe", r"\deep\down\LETTER.EXE"] {
            say(&format!("{name}: {}", opens(transport, name)));
        }
        let openers: Vec<_> = (0..OPENERS)
            .map(|opener| {
                scope.spawn(move || {
                    let ending = |number: usize| if number.is_multiple_of(5) { "exe" } else { "txt" };
                    let name = |number: usize| format!(r"\{opener}-{number}.{}", ending(number));
                    (0..OPENS).filter(|number| Device::open(transport, &path(&name(*number))).is_ok()).count()
                })
            })
            .collect();
        let opened: usize = openers.into_iter().map(|opener| opener.join().unwrap_or(0)).sum();
        say(&format!("side by side: {opened} of {}", OPENERS * OPENS));
        stop.set()
    })?;
    let [allowed, denied, unanswered, unguarded] = counts(&port)?;
    say(&format!("allowed {allowed}, denied {denied}, unanswered {unanswered}, unguarded {unguarded}"));
    drop(port);
    say(&format!("the guard is gone: {}", opens(transport, r"\letter.exe")));
    Ok(())
}

fn path(name: &str) -> String {
    format!("{PATH}{name}")
}

/// What comes of opening a name.
#[must_use]
pub fn opens(transport: &dyn Transport, name: &str) -> String {
    match Device::open(transport, &path(name)) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.code.to_string(),
    }
}

/// Becomes the guard, which answers within so many milliseconds.
///
/// # Errors
/// What connecting fails with.
pub fn guard(transport: &dyn Transport, milliseconds: u32) -> Result<FilterPort<'_>, app::FilterError> {
    FilterPort::connect(transport, PORT, &milliseconds.to_le_bytes(), false)
}

/// No programs.
#[must_use]
pub fn decide(name: &str) -> u32 {
    if name.to_ascii_lowercase().ends_with(".exe") { DENY } else { ALLOW }
}

/// Answers questions until `stop` is set, or the driver ends the connection.
pub fn answer_until(
    transport: &dyn Transport,
    port: &FilterPort<'_>,
    stop: &Event<'_>,
    decide: impl Fn(&str) -> u32,
) {
    let room = u32::try_from(FILTER_HEADER_SIZE + LONGEST).unwrap_or(u32::MAX);
    let Ok(came) = Event::new(transport, EventKind::ManualReset, false) else { return };
    let Ok(mut buffer) = Buffer::new(transport, room) else { return };
    loop {
        let Ok(question) = port.get_message_overlapped(buffer, &Overlapped::new().event(&came)) else {
            return;
        };
        // The question first: one that has come is answered.
        match wait_any(transport, &[&came, stop], None) {
            Ok(Waited::Signaled(0)) => {}
            // It is cancelled.
            _ => return,
        }
        let finished = question.finish();
        let Ok(length) = finished.result else { return };
        let message = finished.buffer.to_vec(length);
        let Some(header) = MessageHeader::from_bytes(&message) else { return };
        let units: Vec<u16> = message[FILTER_HEADER_SIZE..]
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let verdict = decide(&String::from_utf16_lossy(&units));
        // It may be too late: the driver has decided by itself then.
        let _late = port.reply_message(&reply_to(header.message_id, &verdict.to_le_bytes()));
        buffer = finished.buffer;
    }
}

/// What the driver has counted: allowed, denied, unanswered, unguarded.
///
/// # Errors
/// What the message fails with.
pub fn counts(port: &FilterPort<'_>) -> Result<[u64; 4], app::FilterError> {
    let mut bytes = [0; 32];
    port.send_message(&[], &mut bytes)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|index| u64::from_le_bytes(words[index])))
}
