//! The filter: what it does with the requests for the device below.

use core::sync::atomic::Ordering;

use driver::abi::{STATUS_ACCESS_DENIED, STATUS_DEVICE_BUSY};
use driver::{
    Answer, Close, Completed, Create, DeviceControl, Filter, Filtered, PoolArc, Read, Upward, Write,
};

use crate::{Mode, REFUSED, RETRIES, Shared, count};

/// The filter's context.
pub(crate) struct Above {
    pub(crate) shared: PoolArc<Shared>,
}

impl Filter for Above {
    fn create(&self, request: Filtered<Self, Create>) -> impl Answer {
        count(&self.shared.counters.creates);
        request.forward()
    }

    fn close(&self, request: Filtered<Self, Close>) -> impl Answer {
        count(&self.shared.counters.closes);
        request.forward()
    }

    fn read(&self, request: Filtered<Self, Read>) -> impl Answer {
        count(&self.shared.counters.reads);
        request.forward_and_take(0, Self::read_came_back)
    }

    fn write(&self, request: Filtered<Self, Write>) -> impl Answer {
        count(&self.shared.counters.writes);
        let mut first = [0];
        match request.copy_data(0, &mut first) {
            Ok(1..) if first[0] == REFUSED => {
                count(&self.shared.counters.refused);
                request.fail(STATUS_ACCESS_DENIED)
            }
            _ if self.shared.is(Mode::HoldWrites) => {
                count(&self.shared.counters.held);
                request.hold(|held| self.shared.writes.push(held))
            }
            _ => request.forward(),
        }
    }

    fn device_control(&self, request: Filtered<Self, DeviceControl>) -> impl Answer {
        count(&self.shared.counters.controls);
        request.forward()
    }

    fn detaching(&self) {
        self.shared.writes.close();
        self.shared.reads.close();
    }
}

impl Above {
    /// A read on its way up, which has been sent down again `times` before.
    fn read_came_back(&self, read: Completed<Self, Read>, times: usize) -> Upward {
        if read.status() == STATUS_DEVICE_BUSY && times < RETRIES && !read.is_cancelled() {
            count(&self.shared.counters.sent_again);
            return read.send_again(times + 1);
        }
        if let Ok(bytes) = read.data() {
            bytes.change(|byte| byte.to_ascii_uppercase());
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.shared.counters.bytes_read.fetch_add(length, Ordering::Relaxed);
        }
        if self.shared.is(Mode::HoldReads) {
            count(&self.shared.counters.held);
            return read.hold(|held| self.shared.reads.push(held));
        }
        read.pass_up()
    }
}
