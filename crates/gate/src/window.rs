//! A session's window: the memory that application and host share, mapped at the same address in both.
//!
//! It holds the call slots and, behind them, the application's data. The rest of the window's address space stays
//! reserved in both processes, for what the kernel will show the application (views of sections, mapped MDLs).

use std::ops::Range;
use std::ptr;

use platform::pages::{PagesError, Protection, Reservation, WINDOW_STRIDE, reserve_window};
use platform::shared_memory::SharedMemory;

use crate::wire::{FRONT, Layout, REST, SLOT_SIZE, SLOTS_OFFSET, Slot};

/// Data area and slots of the sessions that a listener makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Threads of one application that may be inside calls at the same time without sharing a slot, plus one.
    pub slots: u32,
    /// Bytes for buffers, rounded up to pages; memory is used only when touched.
    pub data: u64,
}

impl Default for WindowSize {
    fn default() -> Self {
        Self { slots: 512, data: 1 << 30 }
    }
}

impl WindowSize {
    /// The layout for this size; `None` if it exceeds what a window can hold.
    pub(crate) fn layout(self) -> Option<Layout> {
        const PAGE: u64 = platform::pages::PAGE_SIZE as u64;
        let data_offset = SLOTS_OFFSET + u64::from(self.slots) * SLOT_SIZE;
        let len = data_offset.checked_add(self.data)?.checked_next_multiple_of(PAGE)?;
        let layout = Layout { slot_count: self.slots, data_offset, len, span: WINDOW_STRIDE as u64 };
        layout.is_sound().then_some(layout)
    }
}

/// A session's shared memory as this process has it mapped.
///
/// No descriptor stays open, and children that are forked do not get the memory (their parent's session is not theirs), so
/// none of them keeps it from being freed. The addresses stay taken in them: what is dropped there unmaps nothing else.
#[derive(Debug)]
pub struct Window {
    area: Reservation,
    layout: Layout,
}

impl Window {
    /// A new window at a free address of this process, and its memory for the peer.
    pub(crate) fn new(layout: Layout) -> Result<(Self, SharedMemory), PagesError> {
        let memory = SharedMemory::new(bytes(layout.len))?;
        let window = Self::over(reserve_window(bytes(layout.span))?, &memory, layout)?;
        Ok((window, memory))
    }

    /// A window made by another process, at the address that it has there.
    pub(crate) fn at(base: u64, memory: &SharedMemory, layout: Layout) -> Result<Self, PagesError> {
        Self::over(Reservation::at(bytes(base), bytes(layout.span))?, memory, layout)
    }

    /// The same memory once more, at another address of this process.
    #[cfg(any(test, feature = "hostile"))]
    pub(crate) fn elsewhere(memory: &SharedMemory, layout: Layout) -> Result<Self, PagesError> {
        Self::over(reserve_window(bytes(layout.span))?, memory, layout)
    }

    fn over(area: Reservation, memory: &SharedMemory, layout: Layout) -> Result<Self, PagesError> {
        let len = bytes(layout.len);
        if !layout.is_sound() || memory.len() != len {
            return Err(PagesError::OutOfRange);
        }
        area.map(0, memory, 0..len, Protection::ReadWrite)?;
        area.keep_from_children(0, len)?;
        Ok(Self { area, layout })
    }

    /// The window's first address, the same in both processes.
    pub fn base(&self) -> u64 {
        self.area.base() as u64
    }

    /// All addresses that the session keeps in both processes; those behind [`Self::data`] are free for views.
    pub fn span(&self) -> Range<u64> {
        self.base()..self.base() + self.layout.span
    }

    /// The addresses of the application's data, in which every pointer that a driver follows for it must lie.
    pub fn data(&self) -> Range<u64> {
        self.base() + self.layout.data_offset..self.base() + self.layout.len
    }

    /// The addresses behind the data, at which views are shown.
    pub(crate) fn views(&self) -> Range<u64> {
        self.base() + self.layout.len..self.span().end
    }

    /// Shows pages of other memory at `place`, an offset into the window.
    ///
    /// # Errors
    /// `OutOfRange` unless all of it lies in [`Self::views`]; what Linux says.
    pub(crate) fn show(
        &self,
        place: u64,
        memory: &SharedMemory,
        part: Range<usize>,
        protection: Protection,
    ) -> Result<(), PagesError> {
        self.check_view(place, part.len() as u64)?;
        self.area.map(bytes(place), memory, part, protection)
    }

    /// Keeps what is shown there out of children that this process forks.
    ///
    /// # Errors
    /// As for [`Self::show`].
    pub(crate) fn keep_view_from_children(&self, place: u64, length: u64) -> Result<(), PagesError> {
        self.check_view(place, length)?;
        self.area.keep_from_children(bytes(place), bytes(length))
    }

    /// Undoes [`Self::show`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn hide(&self, place: u64, length: u64) -> Result<(), PagesError> {
        self.check_view(place, length)?;
        self.area.decommit(bytes(place), bytes(length))
    }

    fn check_view(&self, place: u64, length: u64) -> Result<(), PagesError> {
        let end = place.checked_add(length).ok_or(PagesError::OutOfRange)?;
        let inside = place >= self.layout.len && end <= self.layout.span;
        inside.then_some(()).ok_or(PagesError::OutOfRange)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The lines of slot `index`.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        assert!(index < self.layout.slot_count);
        let slot = self.pointer(slot_offset(index)).cast::<Slot>();
        // SAFETY: mapped as long as `self`, aligned, and made of atomics, which the peer may change at any time.
        unsafe { &*slot }
    }

    /// The pointer for a place in the window; valid to access while it lies below `layout().len`.
    #[inline]
    pub(crate) fn pointer(&self, offset: u64) -> *mut u8 {
        ptr::with_exposed_provenance_mut(bytes(self.base() + offset))
    }

    /// The address of `length` bytes at `offset`, if slot `index` may use them: its own inline data or the data area.
    #[inline]
    pub(crate) fn check(&self, index: u32, offset: u64, length: u32) -> Option<u64> {
        let end = offset.checked_add(u64::from(length))?;
        let slot = slot_offset(index);
        let within = |start: u64, stop: u64| offset >= start && end <= stop;
        let allowed = within(slot + FRONT.start, slot + FRONT.end)
            || within(slot + REST.start, slot + REST.end)
            || within(self.layout.data_offset, self.layout.len);
        allowed.then(|| self.base() + offset)
    }

    /// Where in the data area a slice of this process lies, if all of it does.
    #[inline]
    pub(crate) fn offset_of(&self, data: &[u8]) -> Option<u64> {
        let start = data.as_ptr().addr() as u64;
        let area = self.data();
        let end = start.checked_add(data.len() as u64)?;
        (start >= area.start && end <= area.end && !data.is_empty()).then(|| start - self.base())
    }
}

/// Where slot `index` lies.
#[inline]
pub(crate) fn slot_offset(index: u32) -> u64 {
    SLOTS_OFFSET + u64::from(index) * SLOT_SIZE
}

#[expect(clippy::cast_possible_truncation, reason = "x86-64 has 64-bit addresses")]
const fn bytes(value: u64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_may_use_its_inline_data_and_the_data_area_only() {
        let layout = WindowSize { slots: 4, data: 0x10_000 }.layout().unwrap();
        let (window, _memory) = Window::new(layout).unwrap();
        let slot = slot_offset(1);
        let ok = |offset, length| window.check(1, offset, length).is_some();
        assert!(ok(slot + FRONT.start, 64) && !ok(slot + FRONT.start, 65));
        assert!(ok(slot + REST.start, 0x1F40) && !ok(slot + REST.start, 0x1F41));
        assert!(!ok(slot, 4) && !ok(slot + 0x80, 4), "the lines themselves");
        assert!(!ok(slot_offset(2) + REST.start, 4) && !ok(slot_offset(0) + REST.start, 4));
        assert!(ok(layout.data_offset, 0x10_000) && !ok(layout.data_offset, 0x10_001));
        assert!(!ok(layout.data_offset - 1, 2) && !ok(0, 1));
        assert!(!ok(u64::MAX, 2) && !ok(u64::MAX - 1, u32::MAX));
        assert_eq!(window.check(1, layout.data_offset, 1), Some(window.data().start));
    }
}
