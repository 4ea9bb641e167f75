//! Which requests of a process are under way: those that its threads wait for, and those that go on by themselves. What cancels
//! some of them finds these without a look at those of other processes, or of other files.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A request, in the order in which requests are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKey {
    /// Address of the file object.
    pub(crate) file: u64,
    /// Address of the caller's IO_STATUS_BLOCK; 0 for a request that a thread waits for.
    pub(crate) io_status_block: u64,
    /// Address of the IRP.
    pub(crate) irp: u64,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    /// Those on the file object at this address.
    OfFile(u64),
    /// That on the file object at the first address with the IO_STATUS_BLOCK at the second.
    One(u64, u64),
}

#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<BTreeSet<RequestKey>>);

impl Requests {
    pub(super) fn add(&self, key: RequestKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    pub(super) fn remove(&self, key: RequestKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// The addresses of their IRPs. Any of them may have ended when this returns.
    pub(super) fn irps(&self, which: Which) -> Vec<u64> {
        let key = |file, io_status_block, irp| RequestKey { file, io_status_block, irp };
        let range = match which {
            Which::All => key(0, 0, 0)..=key(u64::MAX, u64::MAX, u64::MAX),
            Which::OfFile(file) => key(file, 0, 0)..=key(file, u64::MAX, u64::MAX),
            Which::One(file, block) => key(file, block, 0)..=key(file, block, u64::MAX),
        };
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        requests.range(range).map(|request| request.irp).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_by_their_process_file_and_status_block() {
        let requests = Requests::default();
        let key = |file, io_status_block, irp| RequestKey { file, io_status_block, irp };
        for one in [key(1, 0, 10), key(1, 5, 11), key(1, 5, 12), key(1, 6, 13), key(2, 5, 14)] {
            requests.add(one);
        }
        assert_eq!(requests.irps(Which::All), [10, 11, 12, 13, 14]);
        assert_eq!(requests.irps(Which::OfFile(1)), [10, 11, 12, 13]);
        assert_eq!(requests.irps(Which::One(1, 5)), [11, 12], "a status block that two were given");
        requests.remove(key(1, 5, 11));
        assert_eq!(requests.irps(Which::One(1, 5)), [12]);
        assert_eq!(requests.irps(Which::One(2, 6)), [] as [u64; 0]);
    }
}
