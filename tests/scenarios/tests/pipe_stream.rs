//! Many bytes through the sample `pipe` from one application to another, each in a process of its own: all arrive, in order.
//!
//! RINGBRIDGE_PIPE_MIB says how many MiB; without it it is a short run.

use std::thread;

use abi::{FILE_READ_DATA, FILE_WRITE_DATA};
use app::{ControlCode, Device, OpenOptions};
use ringbridge_scenarios::{PIPE, application, run_application, scenario, unload_when_closed};
use sample_pipe::{IOCTL_SET_CAPACITY, IOCTL_SET_MODE, MAX_CAPACITY, Mode};

const PATH: &str = r"\\.\Example\STREAM";

fn total() -> u64 {
    let mib = std::env::var("RINGBRIDGE_PIPE_MIB").map_or(16, |mib| mib.parse().expect("a number"));
    mib << 20
}

/// Words of a sequence that does not repeat in this many (a linear congruential generator with a full period), and their sum.
struct Sequence {
    word: u64,
    sum: u64,
}

impl Sequence {
    fn new() -> Self {
        Self { word: 1, sum: 0 }
    }

    fn next(&mut self) -> [u8; 8] {
        self.word = self.word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.sum = self.sum.rotate_left(1) ^ self.word;
        self.word.to_le_bytes()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for place in bytes.chunks_exact_mut(8) {
            place.copy_from_slice(&self.next());
        }
    }
}

fn open(client: &gate::Client, access: u32) -> Device<'_> {
    let device = OpenOptions::new().access(access).open(client, PATH).expect("opens");
    let mode = (Mode::Blocking as u32).to_le_bytes();
    device.control(ControlCode(IOCTL_SET_MODE), &mode, &mut []).expect("the mode is set");
    device
}

#[test]
fn writing_application() {
    let Some(client) = application() else { return };
    let device = open(&client, FILE_WRITE_DATA);
    let capacity = device.control(ControlCode(IOCTL_SET_CAPACITY), &MAX_CAPACITY.to_le_bytes(), &mut []);
    capacity.expect("the capacity is set");
    let mut sequence = Sequence::new();
    let mut piece = vec![0; 1 << 18];
    let mut left = total();
    // Pieces of many lengths, so that they meet the ring's end everywhere.
    for length in (1..=piece.len() as u64 / 8).rev().step_by(101).cycle() {
        let length = usize::try_from((length * 8).min(left)).expect("small");
        if length == 0 {
            break;
        }
        sequence.fill(&mut piece[..length]);
        assert_eq!(device.write(&piece[..length]).expect("writes") as usize, length);
        left -= length as u64;
    }
    println!("sum of what was written: {:#018x}", sequence.sum);
}

#[test]
fn reading_application() {
    let Some(client) = application() else { return };
    let device = open(&client, FILE_READ_DATA);
    let mut sequence = Sequence::new();
    let mut expected = Vec::new();
    let mut piece = vec![0; 200_000];
    let mut left = total();
    while left > 0 {
        let length = device.read(&mut piece).expect("reads") as usize;
        while expected.len() < length {
            expected.extend_from_slice(&sequence.next());
        }
        assert!(piece[..length] == expected[..length], "with {left} bytes to come");
        expected.drain(..length);
        left -= length as u64;
    }
    assert!(expected.is_empty(), "whole words were written");
    println!("sum of what was read: {:#018x}", sequence.sum);
}

scenario! {
    fn a_stream_arrives_in_another_process_as_it_was_sent(form: Form) {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = PIPE.machine(form);
        let server = machine.serve(&folder.path().join("ringbridge.sock")).expect("serves");
        thread::scope(|scope| {
            for name in ["writing_application", "reading_application"] {
                let path = server.path();
                scope.spawn(move || run_application(name, path));
            }
        });
        server.stop();
        unload_when_closed(&machine, "pipe");
    }
}
