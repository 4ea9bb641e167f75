//! The reads that wait for one way of answering, each until its time.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use driver::abi::{IO_SERIAL_INCREMENT, NTSTATUS};
use driver::{Answered, CancelSafeQueue, Cleanup, Read, SpinLock, Tag, Timer, time};

pub(crate) struct Waiting {
    /// Each with the interrupt time when it is due.
    reads: CancelSafeQueue<Read, Duration>,
    /// One at a time looks what is due next and sets the timer to it, so that the last to look is the last to set.
    arming: SpinLock<()>,
    answered: AtomicU32,
    letter: u8,
}

impl Waiting {
    pub(crate) fn new(tag: Tag, letter: u8) -> Result<Self, NTSTATUS> {
        let reads = CancelSafeQueue::new(tag)?;
        Ok(Self { reads, arming: SpinLock::new(()), answered: AtomicU32::new(0), letter })
    }

    pub(crate) fn pend(&self, read: Read, due: Duration) -> Answered {
        self.reads.pend(read, due)
    }

    pub(crate) fn cancel_file(&self, cleanup: &Cleanup) {
        self.reads.cancel_file(cleanup);
    }

    /// Answers the reads that are due, and says when the next is. IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn answer_due(&self) -> Option<Duration> {
        loop {
            let now = time::interrupt_time();
            let mut next = None;
            let due = self.reads.remove_next_if(|due| {
                if *due > now {
                    next = earlier(next, *due);
                }
                *due <= now
            });
            let Some((mut read, _due)) = due else { return next };
            let length = read.length();
            read.output().fill(self.letter, length);
            self.answered.fetch_add(1, Ordering::Relaxed);
            read.answer(|read| read.complete().with_priority_boost(IO_SERIAL_INCREMENT));
        }
    }

    /// Sets `timer` to the next read that is due later than `after`, if there is one. IRQL: up to DISPATCH_LEVEL.
    pub(crate) fn arm(&self, timer: &Timer, after: Duration) {
        self.arming.with(|()| {
            let mut next = None;
            self.reads.for_each(|due| {
                if *due > after {
                    next = earlier(next, *due);
                }
            });
            if let Some(due) = next {
                timer.set(due.saturating_sub(time::interrupt_time()));
            }
        });
    }

    /// Reads answered so far.
    pub(crate) fn answered(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Reads that wait now.
    pub(crate) fn count(&self) -> u32 {
        let mut count = 0;
        self.reads.for_each(|_due| count += 1);
        count
    }
}

fn earlier(first: Option<Duration>, second: Duration) -> Option<Duration> {
    Some(first.map_or(second, |first| first.min(second)))
}
