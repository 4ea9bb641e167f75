//! Virtual processors: who may run at DISPATCH_LEVEL.
//!
//! A processor is taken with one compare-and-swap when one is free and nobody waits; otherwise threads park and are
//! handed processors in the order of their arrival. What a processor's owner owes it (its DPCs) is `irql`'s matter.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::Parked;

use super::wait_list::Wakes;
use super::waiter::Waiter;
use crate::Kernel;

/// The most processors that a machine has.
pub const MAXIMUM_PROCESSORS: u32 = 32;

/// Stands for no processor.
pub(super) const NO_PROCESSOR: u32 = u32::MAX;

const FREE: u64 = u32::MAX as u64;
const ONE_WAITER: u64 = 1 << 32;

#[derive(Debug)]
pub(super) struct Processors {
    count: u32,
    /// Low half: a bit for each free processor. High half: threads in the queue, changed under its lock only. At
    /// least one half is zero.
    word: AtomicU64,
    queue: Mutex<VecDeque<Arc<Waiter>>>,
}

impl Processors {
    pub(super) fn new(count: u32) -> Self {
        let word = AtomicU64::new(FREE >> (MAXIMUM_PROCESSORS - count));
        Self { count, word, queue: Mutex::default() }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Takes a processor for the calling thread, `preferred` if it is free. None when the machine has stopped.
    pub(super) fn acquire(&self, kernel: &Kernel, waiter: &Arc<Waiter>, preferred: u32) -> Option<u32> {
        kernel.platform.preemption_point();
        match self.try_take(preferred) {
            Some(number) => Some(number),
            None => self.wait(kernel, waiter, preferred),
        }
    }

    /// Takes this processor if it is free.
    pub(super) fn try_acquire(&self, number: u32) -> bool {
        let bit = 1 << number;
        self.word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| (word & bit != 0).then_some(word & !bit))
            .is_ok()
    }

    /// Whether nobody owns this processor.
    pub(super) fn is_free(&self, number: u32) -> bool {
        self.word.load(Ordering::SeqCst) >> number & 1 == 1
    }

    fn try_take(&self, preferred: u32) -> Option<u32> {
        let mut word = self.word.load(Ordering::SeqCst);
        while word & FREE != 0 {
            let number = if word >> preferred & 1 == 1 { preferred } else { word.trailing_zeros() };
            let taken = word & !(1 << number);
            match self.word.compare_exchange_weak(word, taken, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some(number),
                Err(found) => word = found,
            }
        }
        None
    }

    #[cold]
    fn wait(&self, kernel: &Kernel, waiter: &Arc<Waiter>, preferred: u32) -> Option<u32> {
        waiter.granted.store(NO_PROCESSOR, Ordering::Relaxed);
        {
            let mut queue = self.queue();
            let queued = |word: u64| (word & FREE == 0).then_some(word + ONE_WAITER);
            while self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, queued).is_err() {
                if let Some(number) = self.try_take(preferred) {
                    return Some(number);
                }
            }
            queue.push_back(waiter.clone());
        }
        loop {
            if kernel.is_halted() {
                self.leave_queue(waiter);
            }
            match waiter.granted.load(Ordering::Acquire) {
                NO_PROCESSOR if kernel.is_halted() => return None,
                NO_PROCESSOR => {
                    let look = kernel.ke.next_dpc_look(kernel);
                    if kernel.platform.park(&waiter.parker, look) == Parked::TimedOut {
                        kernel.ke.look_for_stuck_dpcs(kernel);
                    }
                }
                number => return Some(number),
            }
        }
    }

    fn leave_queue(&self, waiter: &Arc<Waiter>) {
        let mut queue = self.queue();
        if let Some(place) = queue.iter().position(|queued| Arc::ptr_eq(queued, waiter)) {
            queue.remove(place);
            self.word.fetch_sub(ONE_WAITER, Ordering::SeqCst);
        }
    }

    /// Gives a processor back, or to the thread that has waited longest.
    pub(super) fn release(&self, kernel: &Kernel, number: u32) {
        let freed = |word: u64| (word < ONE_WAITER).then_some(word | 1 << number);
        while self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, freed).is_err() {
            let next = {
                let mut queue = self.queue();
                let next = queue.pop_front();
                if let Some(waiter) = &next {
                    self.word.fetch_sub(ONE_WAITER, Ordering::SeqCst);
                    waiter.granted.store(number, Ordering::Release);
                }
                next
            };
            if let Some(waiter) = next {
                kernel.platform.unpark(&waiter.parker);
                return;
            }
        }
    }

    /// Wakes the threads in the queue, for a machine that has stopped.
    pub(super) fn wake_all(&self, kernel: &Kernel) {
        let mut wakes = Wakes::default();
        for waiter in self.queue().iter() {
            wakes.push(waiter.clone());
        }
        wakes.wake(kernel);
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Waiter>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
