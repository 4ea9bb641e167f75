//! One side honest, the other honest, asleep or hostile.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Condvar, Mutex};
use std::vec::Vec;
use std::{thread, vec};

use proptest::prelude::*;

use super::*;

/// Memory of the test, shared by clones.
#[derive(Clone)]
struct Shared(Arc<Vec<AtomicU64>>);

impl Shared {
    fn new(bytes: usize) -> Self {
        Self(Arc::new((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect()))
    }

    fn ring(capacity: usize) -> Self {
        let memory = Self::new(bytes_for(capacity).unwrap());
        lay_out(&memory).unwrap();
        memory
    }
}

impl Memory for Shared {
    type Error = Infallible;

    fn len(&self) -> usize {
        self.0.len() * 8
    }

    fn read(&self, start: usize, target: &mut [u8]) -> Result<(), Infallible> {
        for (at, byte) in (start..).zip(target) {
            *byte = self.0[at / 8].load(Atomic::Relaxed).to_le_bytes()[at % 8];
        }
        Ok(())
    }

    fn write(&self, start: usize, source: &[u8]) -> Result<(), Infallible> {
        for (at, byte) in (start..).zip(source) {
            let mut word = self.0[at / 8].load(Atomic::Relaxed).to_le_bytes();
            word[at % 8] = *byte;
            self.0[at / 8].store(u64::from_le_bytes(word), Atomic::Relaxed);
        }
        Ok(())
    }

    fn load(&self, start: usize) -> Result<u64, Infallible> {
        Ok(self.0[start / 8].load(Atomic::Acquire))
    }

    fn store(&self, start: usize, value: u64) -> Result<(), Infallible> {
        self.0[start / 8].store(value, Atomic::Release);
        Ok(())
    }
}

fn message(number: usize, longest: usize) -> Vec<u8> {
    let length = (number * 7919) % (longest + 1);
    (0..length).map(|at| (number + at).to_le_bytes()[0]).collect()
}

#[test]
fn messages_of_every_length_come_once_in_order_and_whole() {
    let memory = Shared::ring(256);
    let (mut producer, mut consumer) =
        (Producer::new(memory.clone()).unwrap(), Consumer::new(memory).unwrap());
    let longest = producer.longest();
    assert_eq!(longest, 120);
    let mut room = [0; 120];
    let (mut sent, mut received) = (0, 0);
    while received < 10_000 {
        while sent < 10_000 && producer.put(&message(sent, longest)).unwrap() {
            sent += 1;
        }
        assert_eq!(consumer.take(&mut room), Ok(None), "not published yet");
        assert_eq!(producer.publish(), Ok(false));
        while let Some(length) = consumer.take(&mut room).unwrap() {
            assert_eq!(room[..length], message(received, longest));
            received += 1;
        }
        consumer.release().unwrap();
    }
    assert_eq!(producer.put(&[0; 121]), Err(Error::TooLong));
}

#[test]
fn room_comes_back_with_its_release_and_not_before() {
    let memory = Shared::ring(64);
    let (mut producer, mut consumer) =
        (Producer::new(memory.clone()).unwrap(), Consumer::new(memory).unwrap());
    while producer.put(b"12345678").unwrap() {}
    producer.publish().unwrap();
    let mut room = [0; 8];
    assert_eq!(consumer.take(&mut room[..7]), Err(Error::TooLong));
    assert_eq!(consumer.take(&mut room), Ok(Some(8)), "what did not fit is still there");
    assert_eq!(producer.put(b"12345678"), Ok(false));
    assert_eq!(producer.is_full_after_all(8), Ok(true));
    assert_eq!(consumer.release(), Ok(true), "the producer waits");
    assert_eq!(consumer.release(), Ok(false), "nothing more to tell");
    assert_eq!(producer.is_full_after_all(8), Ok(false));
    assert_eq!(producer.put(b"12345678"), Ok(true));
}

/// An auto-reset event.
#[derive(Default)]
struct Event(Mutex<bool>, Condvar);

impl Event {
    fn set(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut set = self.1.wait_while(self.0.lock().unwrap(), |set| !*set).unwrap();
        *set = false;
    }
}

#[derive(Clone)]
struct Edges {
    told: Arc<Event>,
    awaited: Arc<Event>,
}

impl Signals for Edges {
    type Error = Infallible;

    fn tell(&self) -> Result<(), Infallible> {
        self.told.set();
        Ok(())
    }

    fn wait(&self) -> Result<(), Infallible> {
        self.awaited.wait();
        Ok(())
    }
}

#[test]
fn two_threads_that_wait_for_each_other_lose_no_message_and_no_wake_up() {
    const MESSAGES: usize = 100_000;
    let memory = Shared::ring(128);
    let (filled, drained) = (Arc::new(Event::default()), Arc::new(Event::default()));
    let mut producer = Producer::new(memory.clone()).unwrap();
    let mut consumer = Consumer::new(memory).unwrap();
    let edges = Edges { told: filled.clone(), awaited: drained.clone() };
    let sender = thread::spawn(move || {
        for number in 0..MESSAGES {
            producer.send(&message(number, 40), &edges).unwrap();
            // Now and then one by one, else in batches.
            if number % 3 == 0 {
                producer.flush(&edges).unwrap();
            }
        }
        producer.flush(&edges).unwrap();
    });
    let edges = Edges { told: drained, awaited: filled };
    let mut room = vec![0; 40];
    for number in 0..MESSAGES {
        let length = consumer.receive(&mut room, &edges).unwrap();
        assert_eq!(room[..length], message(number, 40));
        if number % 5 == 0 {
            consumer.give_back(&edges).unwrap();
        }
    }
    sender.join().unwrap();
}

#[test]
fn what_is_no_ring_is_refused() {
    assert_eq!(lay_out(&Shared::new(DATA + 56)), Err(Error::NotARing));
    let memory = Shared::new(DATA + 1000);
    assert!(matches!(Consumer::new(memory.clone()), Err(Error::NotARing)));
    lay_out(&memory).unwrap();
    assert_eq!(memory.load(CAPACITY), Ok(512), "the largest power of two that fits");
    for capacity in [0, 32, 65, 1024, u64::MAX, 1 << 63] {
        memory.store(CAPACITY, capacity).unwrap();
        assert!(matches!(Producer::new(memory.clone()), Err(Error::NotARing)), "{capacity}");
    }
    assert_eq!([bytes_for(63), bytes_for(96), bytes_for(1 << 63)], [None, None, Some((1 << 63) + DATA)]);
}

proptest! {
    /// Whatever the other side writes, nothing is read or written outside of the ring (the memory would panic), nothing loops, and
    /// no more comes than fits.
    #[test]
    fn a_hostile_side_gets_an_error_or_nonsense(
        writes in prop::collection::vec((0_usize..40, prop_oneof![any::<u64>(), 0_u64..300]), 1..60),
    ) {
        let memory = Shared::ring(128);
        let mut producer = Producer::new(memory.clone()).unwrap();
        let mut consumer = Consumer::new(memory.clone()).unwrap();
        let mut room = [0; 64];
        for (place, value) in writes {
            memory.store(place * 8, value).unwrap();
            let _put = producer.put(&room[..(value % 60) as usize]);
            let _woken = producer.publish();
            let _full = producer.is_full_after_all(5);
            for _ in 0..20 {
                if let Ok(Some(length)) = consumer.take(&mut room) {
                    prop_assert!(length <= 64);
                }
            }
            let _woken = consumer.release();
            let _empty = consumer.is_empty_after_all();
        }
    }
}
