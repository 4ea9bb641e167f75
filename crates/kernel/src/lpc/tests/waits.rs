//! Threads that wait for a port as for any dispatcher object, while others put messages into its queue and take them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::world::{message, waitable_port, with_port};
use crate::ke::tests::on_mock;
use crate::ke::{Timeout, WaitType};
use crate::lpc::{self, Header, PortUsage};
use crate::ob;

/// Datagrams from each of two senders.
const SENT: usize = 6;

#[test]
fn who_waits_for_a_port_finds_every_message_that_is_sent_while_others_receive() {
    on_mock(0..300, 2, |machine| {
        let port = machine.inside(|kernel, _| waitable_port(kernel));
        let taken = Arc::new(AtomicUsize::new(0));
        for sender in ["first", "second"] {
            machine.spawn(sender, move |kernel, thread| {
                for _ in 0..SENT {
                    with_port(kernel, thread, port, |caller, port| {
                        lpc::request(kernel, caller, port, message(Header::default(), 1))
                    })
                    .expect("there is room");
                }
            });
        }
        for receiver in ["one", "other"] {
            let taken = taken.clone();
            machine.spawn(receiver, move |kernel, thread| {
                while taken.load(Ordering::SeqCst) < 2 * SENT {
                    let process = kernel.ps.system();
                    // Were a message forgotten, nobody would go on before this is over.
                    let soon = Timeout::At(-10_000_000);
                    let kind = WaitType::Any;
                    let waited = ob::wait_for_handles(kernel, process, thread, &[port], kind, false, soon);
                    let received = with_port(kernel, thread, port, |caller, port| {
                        lpc::receive(kernel, caller, port, Timeout::At(0))
                    });
                    match (waited, received) {
                        (abi::STATUS_SUCCESS, Ok(received)) => {
                            received.message.recycle();
                            taken.fetch_add(1, Ordering::SeqCst);
                        }
                        // The other was faster.
                        (abi::STATUS_SUCCESS, Err(abi::STATUS_TIMEOUT)) => {}
                        (abi::STATUS_TIMEOUT, Err(abi::STATUS_TIMEOUT)) => {
                            assert_eq!(taken.load(Ordering::SeqCst), 2 * SENT, "one is forgotten");
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        machine.join();
        machine.inside(move |kernel, thread| {
            let (process, kind, now) = (kernel.ps.system(), WaitType::Any, Timeout::At(0));
            let waited = ob::wait_for_handles(kernel, process, thread, &[port], kind, false, now);
            assert_eq!(waited, abi::STATUS_TIMEOUT, "nothing is left");
            process.handles.close(kernel, process, port).expect("is open");
            assert_eq!(kernel.lpc.usage(), PortUsage::default());
        });
    });
}
