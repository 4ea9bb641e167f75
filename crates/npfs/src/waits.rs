//! Who waits until an instance of a pipe listens (FSCTL_PIPE_WAIT), and for how long.

use core::time::Duration;

use driver::abi::{NTSTATUS, STATUS_IO_TIMEOUT};
use driver::{Answered, BufferedControl, CancelSafeQueue, PoolArc, SpinLock, Timer, time};

use crate::TAG;

/// A wait: for which pipe, and until when in units of 100 ns of the interrupt time.
#[derive(Clone, Copy)]
struct Wait {
    pipe: u64,
    deadline: u64,
}

/// All waits of the machine, and the timer for the next of them that ends.
pub(crate) struct Waits {
    queue: PoolArc<Queue>,
    timer: Timer,
}

struct Queue {
    waits: CancelSafeQueue<BufferedControl, Wait>,
    /// Held while the timer is set: who looks last for the next end sets it last.
    setting: SpinLock<()>,
}

fn now() -> u64 {
    u64::try_from(time::interrupt_time().as_nanos() / 100).unwrap_or(u64::MAX)
}

impl Queue {
    /// Ends what has waited for its time, and sets the timer for the next.
    fn expire(&self, timer: &Timer) {
        loop {
            let now = now();
            match self.waits.remove_next_if(|wait| wait.deadline <= now) {
                Some((request, _)) => request.fail(STATUS_IO_TIMEOUT),
                None => break,
            }
        }
        self.setting.with(|()| {
            let mut next = u64::MAX;
            self.waits.for_each(|wait| next = next.min(wait.deadline));
            if next != u64::MAX {
                timer.set(Duration::from_nanos(next.saturating_sub(now()).saturating_mul(100)));
            }
        });
    }
}

impl Waits {
    pub(crate) fn new() -> Result<Self, NTSTATUS> {
        let setting = SpinLock::new(());
        let queue = PoolArc::new(TAG, Queue { waits: CancelSafeQueue::new(TAG)?, setting })?;
        let of_timer = queue.clone();
        let timer = Timer::new(TAG, move |timer| of_timer.expire(timer))?;
        Ok(Self { queue, timer })
    }

    /// Waits for the pipe with this identifier; `timeout` as in LARGE_INTEGER, the smallest of all numbers for ever. Then whoever asks
    /// looks once more whether one listens: one that has come before this waits finds nobody to wake.
    pub(crate) fn wait(&self, request: BufferedControl, pipe: u64, timeout: i64) -> Answered {
        let deadline = match timeout {
            i64::MIN => u64::MAX,
            relative if relative < 0 => now().saturating_add(relative.unsigned_abs()),
            // An absolute time, which nobody has a use for here, counts as one that has passed.
            _ => 0,
        };
        let answered = self.queue.waits.pend(request, Wait { pipe, deadline });
        self.queue.expire(&self.timer);
        answered
    }

    /// Ends the waits for a pipe: one listens, or (`failure`) it is gone.
    pub(crate) fn wake(&self, pipe: u64, failure: Option<NTSTATUS>) {
        while let Some((request, _)) = self.queue.waits.remove_next_if(|wait| wait.pipe == pipe) {
            match failure {
                Some(status) => request.fail(status),
                None => request.complete(),
            }
        }
    }
}
