//! A connection that ends, and the next one at its address, while somebody sends.

use std::sync::{Arc, Mutex};

use super::*;

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
