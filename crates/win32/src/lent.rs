//! Memory that a request to a port gives its server, which the kernel copies from and to. An application's own is its heap; so it has a
//! stand-in in the session's window from the request to its reply, through callbacks.

use std::cell::RefCell;

use abi::NTSTATUS;
use gate::SharedMemory;

use crate::lpc::Sent;
use crate::memory;
use crate::native::NO_ACCESS;
use crate::pointer::Pointer;
use crate::session::session;

/// Bytes of a PORT_DATA_INFORMATION before its entries, and of an entry.
const HEAD: usize = 8;
const ENTRY: usize = 16;

struct Lent {
    memory: Box<dyn SharedMemory>,
    home: Pointer<u8>,
    length: usize,
}

thread_local! {
    /// Of the calling thread's request: a thread waits for one reply at a time.
    static LENT: RefCell<Vec<Lent>> = const { RefCell::new(Vec::new()) };
}

/// Gives what a message gives its server a stand-in where it needs one, and has the message say so. What is wrong in it is the
/// kernel's to say.
pub(crate) fn lend(sent: &mut Sent) -> Result<(), NTSTATUS> {
    let start = sent.data_info();
    let Some(entries) = sent.bytes_mut().get_mut(start..).filter(|_| start != 0) else { return Ok(()) };
    let Some((head, entries)) = entries.split_at_mut_checked(HEAD) else { return Ok(()) };
    let half = |bytes: &[u8]| u32::from_le_bytes(std::array::from_fn(|index| bytes[index])) as usize;
    let count = half(head);
    let (entries, _) = entries.as_chunks_mut::<ENTRY>();
    for entry in entries.iter_mut().take(count) {
        let address = u64::from_le_bytes(std::array::from_fn(|index| entry[index]));
        let address = usize::try_from(address).map_err(|_| NO_ACCESS)?;
        let length = half(&entry[8..]);
        if length == 0 || memory::is_in_window(address, length) {
            continue;
        }
        let home: Pointer<u8> = Pointer::at_address(address);
        let source = home.bytes(length).map_err(|_| NO_ACCESS)?;
        let room = u32::try_from(length).ok().and_then(|length| length.checked_next_multiple_of(4096));
        let room = room.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?;
        let mut memory = session()?.allocate_memory(room)?;
        memory.write(0, source);
        entry[..8].copy_from_slice(&memory.address().to_le_bytes());
        LENT.with_borrow_mut(|lent| lent.push(Lent { memory, home, length }));
    }
    Ok(())
}

/// The request is over. What the server has written comes home if there is a reply.
pub(crate) fn end(replied: bool) {
    for Lent { memory, home, length } in LENT.take() {
        if replied && let Ok(room) = home.room(length) {
            memory.read(0, room);
        }
    }
}
