//! A connection that ends, and the next one at its address, while somebody sends.

use std::sync::{Arc, Mutex};

use super::*;
use crate::flt::unregister_filter;

#[test]
fn a_message_never_reaches_another_connection_than_the_one_it_was_sent_to() {
    on_mock(0..200, 2, |machine| {
        let board = Board(machine.allocate(8 + CONNECTIONS * 16));
        load(machine, board);
        let process = machine.ps.create("application");
        let buffer = || UserBuffer::new(&process.user_space, 96).expect("room");
        let real = Real {
            process: process.clone(),
            board,
            senders: Vec::new(),
            handles: Vec::new(),
            receivers: vec![vec![buffer()], vec![buffer()]],
            other: buffer(),
        };
        let real = Arc::new(Mutex::new(real));
        let (first, second) = (real.clone(), real.clone());
        machine.inside(move |kernel, _| {
            first.lock().expect("no thread failed").step(kernel, &Step::Connect);
        });
        let data = (machine.allocate(8), 8);
        machine.spawn("sender", move |kernel, thread| {
            let message = Message { data, reply: None, timeout: Timeout::At(-10_000) };
            let (status, _) = send_message(kernel, thread, board.pointer(0), message).expect("running");
            // Nobody ever asks for a message of the first connection, and the second gets none.
            assert!([abi::STATUS_PORT_DISCONNECTED, abi::STATUS_TIMEOUT].contains(&status), "{status:?}");
        });
        machine.spawn("closer", move |kernel, _| {
            let mut real = second.lock().expect("no thread failed");
            real.step(kernel, &Step::CloseClient { connection: 0 });
            real.step(kernel, &Step::CloseHandle { connection: 0 });
            real.step(kernel, &Step::Connect);
            real.step(kernel, &Step::Get { connection: 1, receiver: 0, room: 64 });
        });
        machine.join();
        machine.inside(move |kernel, _| {
            let mut real = real.lock().expect("no thread failed");
            real.step(kernel, &Step::CloseClient { connection: 1 });
            real.step(kernel, &Step::CloseHandle { connection: 1 });
        });
    });
}

/// What lies where an event lay that a connection's end has freed.
const OTHERS: u8 = 0x11;

#[test]
fn unregistering_keeps_the_connections_that_it_ends() {
    on_mock(0..600, 2, |machine| {
        let board = Board(machine.allocate(8 + CONNECTIONS * 16));
        load(machine, board);
        let process = machine.ps.create("application");
        let buffer = || UserBuffer::new(&process.user_space, 96).expect("room");
        let real = Real {
            process: process.clone(),
            board,
            senders: Vec::new(),
            handles: Vec::new(),
            receivers: vec![vec![buffer()]],
            other: buffer(),
        };
        let real = Arc::new(Mutex::new(real));
        let (first, second) = (real.clone(), real.clone());
        machine.inside(move |kernel, _| {
            first.lock().expect("no thread failed").step(kernel, &Step::Connect);
        });
        let data = (machine.allocate(8), 8);
        machine.spawn("sender", move |kernel, thread| {
            // It does not wait for who ends its message, and is the last that holds the connection.
            let message = Message { data, reply: None, timeout: Timeout::At(0) };
            let (status, _) = send_message(kernel, thread, board.pointer(0), message).expect("running");
            assert!([abi::STATUS_PORT_DISCONNECTED, abi::STATUS_TIMEOUT].contains(&status), "{status:?}");
        });
        machine.spawn("unregisters", move |kernel, thread| {
            let filter = kernel.flt.filters()[0].address;
            unregister_filter(kernel, thread, filter).expect("reaches nothing that is gone");
        });
        let blocks = Arc::new(Mutex::new(Vec::new()));
        let taken = blocks.clone();
        machine.spawn("closer", move |kernel, _| {
            let mut real = second.lock().expect("no thread failed");
            real.step(kernel, &Step::CloseClient { connection: 0 });
            real.step(kernel, &Step::CloseHandle { connection: 0 });
            for _ in 0..8 {
                let size = size_of::<abi::KEVENT>();
                let owner = crate::mm::PoolOwner::default();
                let block = kernel.mm.pool.allocate_zeroed(size, 1, owner).expect("pool").address;
                raw::fill(block, OTHERS, size).expect("its own memory");
                taken.lock().expect("no thread failed").push(block);
            }
        });
        machine.join();
        machine.inside(move |_, _| {
            for block in blocks.lock().expect("no thread failed").iter() {
                let mut bytes = [0; size_of::<abi::KEVENT>()];
                raw::copy_from(&mut bytes, *block).expect("its own memory");
                assert_eq!(bytes, [OTHERS; size_of::<abi::KEVENT>()], "somebody took it for an event");
            }
        });
    });
}
