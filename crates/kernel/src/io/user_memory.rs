//! Where a request's buffers lie for a driver that meets them in place: where they are, if that is in the process's
//! window, else in a part of the window that they are copied to and from.
//!
//! Each thread keeps the part that it used last, so that a request maps nothing.

use std::cell::Cell;
use std::sync::{Arc, Weak};

use abi::NTSTATUS;

use crate::mm::UserSpace;
use crate::raw::{InputBuffer, OutputBuffer};

/// Bytes that a thread keeps at most.
const KEPT: u64 = 1 << 20;
/// Bytes that it takes at least.
const LEAST: u64 = 1 << 16;
const PAGE: u64 = platform::pages::PAGE_SIZE as u64;

thread_local! {
    static LAST: Cell<Option<Area>> = const { Cell::new(None) };
}

/// A part of a process's window.
#[derive(Debug)]
struct Area {
    /// Weak, so that a thread does not keep the window of a process that is gone.
    space: Weak<UserSpace>,
    address: u64,
    length: u64,
}

impl Drop for Area {
    fn drop(&mut self) {
        if let Some(space) = self.space.upgrade() {
            space.give_back(self.address);
        }
    }
}

/// The buffers of a request, as a driver meets them.
#[derive(Debug)]
pub(super) struct Lent {
    /// Where the first buffer is; 0 when it has no bytes.
    pub(super) input: u64,
    /// Where the second buffer is; 0 when it has no bytes.
    pub(super) output: u64,
    /// What they were copied to, and whether the second buffer was.
    area: Option<(Area, bool)>,
}

/// Where a buffer can stay; `None` when it has to be copied.
#[inline]
fn in_place(space: &UserSpace, address: u64, length: u32, in_window: bool) -> Result<Option<u64>, NTSTATUS> {
    if length == 0 {
        Ok(Some(0))
    } else if space.contains(address, u64::from(length)) {
        Ok(Some(address))
    } else if in_window {
        Err(abi::STATUS_ACCESS_VIOLATION)
    } else {
        Ok(None)
    }
}

impl Lent {
    /// Lends the buffers that are given.
    ///
    /// # Errors
    /// `STATUS_ACCESS_VIOLATION` for a buffer in another process's window, `STATUS_INSUFFICIENT_RESOURCES`.
    #[inline]
    pub(super) fn new(
        space: &Arc<UserSpace>,
        input: Option<&InputBuffer<'_>>,
        output: Option<&OutputBuffer<'_>>,
    ) -> Result<Self, NTSTATUS> {
        let from = match input {
            Some(buffer) => in_place(space, buffer.address(), buffer.len(), buffer.is_in_window())?,
            None => Some(0),
        };
        let to = match output {
            Some(buffer) => in_place(space, buffer.address(), buffer.len(), buffer.is_in_window())?,
            None => Some(0),
        };
        match (from, to) {
            (Some(input), Some(output)) => Ok(Self { input, output, area: None }),
            (from, to) => {
                stage(space, input.filter(|_| from.is_none()), output.filter(|_| to.is_none()), from, to)
            }
        }
    }

    /// Takes the buffers back: all of the second one, whatever the request's status, since the driver has written to the
    /// application's memory itself. With `reuse` false a driver may still know them: nobody gets their place again.
    #[inline]
    pub(super) fn take_back(self, space: &UserSpace, output: Option<&mut OutputBuffer<'_>>, reuse: bool) {
        if let Some((area, copied)) = self.area {
            unstage(space, area, output.filter(|_| copied).map(|buffer| (self.output, buffer)), reuse);
        }
    }
}

/// Copies buffers into the window, at the same place in a page as they have, and both on pages of their own.
#[cold]
fn stage(
    space: &Arc<UserSpace>,
    input: Option<&InputBuffer<'_>>,
    output: Option<&OutputBuffer<'_>>,
    from: Option<u64>,
    to: Option<u64>,
) -> Result<Lent, NTSTATUS> {
    let pages = |address: u64, length: u32| (address % PAGE + u64::from(length)).next_multiple_of(PAGE);
    let input_pages = input.map_or(0, |buffer| pages(buffer.address(), buffer.len()));
    let output_pages = output.map_or(0, |buffer| pages(buffer.address(), buffer.len()));
    let area = take_area(space, input_pages + output_pages)?;
    let mut lent = Lent { input: from.unwrap_or(0), output: to.unwrap_or(0), area: None };
    if let Some(buffer) = input {
        lent.input = area.address + buffer.address() % PAGE;
        buffer.copy_to(lent.input).map_err(|_| abi::STATUS_INVALID_USER_BUFFER)?;
    }
    if let Some(buffer) = output {
        lent.output = area.address + input_pages + buffer.address() % PAGE;
        buffer.copy_to(lent.output).map_err(|_| abi::STATUS_INVALID_USER_BUFFER)?;
    }
    lent.area = Some((area, output.is_some()));
    Ok(lent)
}

fn take_area(space: &Arc<UserSpace>, length: u64) -> Result<Area, NTSTATUS> {
    if let Some(last) = LAST.take()
        && last.length >= length
        && std::ptr::eq(last.space.as_ptr(), Arc::as_ptr(space))
    {
        return Ok(last);
    }
    let length = if length <= KEPT { length.max(LEAST).next_power_of_two() } else { length };
    Ok(Area { space: Arc::downgrade(space), address: space.allocate(length)?, length })
}

#[cold]
fn unstage(space: &UserSpace, area: Area, output: Option<(u64, &mut OutputBuffer<'_>)>, reuse: bool) {
    if let Some((address, buffer)) = output {
        // The application lent it for the request's time, and the window is mapped: both are there.
        let _copied = buffer.fill_from(address, buffer.len());
    }
    if !reuse {
        // Not given back, on purpose.
        std::mem::forget(area);
    } else if area.length <= KEPT && space.locked_pages() == 0 {
        LAST.set(Some(area));
    }
    // Else given back here; pages that a driver has locked stay until it unlocks them.
}
