//! Patched instructions: sites in an image's code that have faulted once, and now jump to code that does their work.
//!
//! Decision 16 gives the scheme. A site's own bytes become `jmp rel32`; where the instruction is shorter than that, the
//! jump's last bytes are the first of the instruction behind it, which stay as they are, and the code is put where the
//! jump then leads. So nothing but the instruction itself changes, and no thread can stand inside of what is replaced.
//!
//! What the stand-in code is made of is [`cave`]'s matter; instructions that cannot be patched stay
//! [`emulate`](crate::emulate)'s.

mod cave;
mod irql;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::{CONTEXT, EXCEPTION_RECORD, STATUS_BREAKPOINT};
use iced_x86::Instruction;
use platform::code;
use platform::entry::Region;
use platform::memory::{Scalar as _, copy_from};

use crate::emulate::MAX_LENGTH;
use crate::map::ImageSpace;
use crate::tables::Tables;
use crate::unwind::register_mut;
use pages::Pages;

pub(crate) use cave::Work;

/// `jmp rel32`
const JUMP: u8 = 0xE9;
const JUMP_LENGTH: usize = 5;
const INT3: u8 = 0xCC;

/// The patched sites of one image.
pub(crate) struct Patches {
    /// Code that the image itself cannot write.
    code: Box<[Range<u64>]>,
    any: AtomicBool,
    state: Mutex<State>,
}

struct State {
    sites: BTreeMap<u64, Site>,
    /// Sites that got their own bytes back.
    restored: BTreeSet<u64>,
    /// Instructions that cannot be patched.
    refused: BTreeSet<u64>,
    pages: Pages,
}

struct Site {
    /// The instruction as the file has it.
    original: [u8; MAX_LENGTH],
    /// How many of its bytes were replaced, and by what.
    changed: usize,
    jump: [u8; JUMP_LENGTH],
}

impl Site {
    fn is_installed(&self, address: u64) -> bool {
        let mut now = [0; JUMP_LENGTH];
        copy_from(&mut now[..self.changed], address).is_ok()
            && now[..self.changed] == self.jump[..self.changed]
    }
}

impl Patches {
    /// For an image with this code, whose stand-ins lie in `space`.
    pub(crate) fn new(code: Box<[Range<u64>]>, space: Arc<dyn ImageSpace>) -> Self {
        let state = State {
            sites: BTreeMap::new(),
            restored: BTreeSet::new(),
            refused: BTreeSet::new(),
            pages: Pages::new(space),
        };
        Self { code, any: AtomicBool::new(false), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the image's own bytes back into what was read from `address` on.
    pub(crate) fn show_original(&self, address: u64, window: &mut [u8]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let end = address.saturating_add(window.len() as u64);
        for (start, site) in self.state().sites.range(address.saturating_sub(JUMP_LENGTH as u64)..end) {
            for (place, byte) in (*start..).zip(&site.original[..site.changed]) {
                let offset = place.checked_sub(address).and_then(|offset| usize::try_from(offset).ok());
                if let Some(shown) = offset.and_then(|offset| window.get_mut(offset)) {
                    *shown = *byte;
                }
            }
        }
    }

    /// Whether a fault was that of an instruction that has been patched since, or of the breakpoint that stood there
    /// meanwhile: the context then stands on the site, to be executed again.
    fn is_outdated(&self, context: &mut CONTEXT, record: &EXCEPTION_RECORD) -> bool {
        const EXECUTE: usize = 8;
        if !self.any.load(Ordering::Acquire) || record.ExceptionInformation[0] == EXECUTE {
            return false;
        }
        let breakpoint = record.ExceptionCode == STATUS_BREAKPOINT;
        let place = context.Rip.wrapping_sub(u64::from(breakpoint));
        let state = self.state();
        let site = state.sites.get(&place);
        let outdated = if breakpoint {
            let known = site.is_some() || state.restored.contains(&place);
            known && u8::read(place).is_ok_and(|now| now != INT3)
        } else {
            site.is_some_and(|site| site.is_installed(place))
        };
        if outdated {
            context.Rip = place;
        }
        outdated
    }

    fn may_change(&self, site: u64, length: usize) -> bool {
        let end = site + length as u64;
        self.code.iter().any(|part| part.start <= site && end <= part.end)
    }
}

/// As [`Patches::is_outdated`], for the image at the context's RIP.
pub(crate) fn is_outdated(context: &mut CONTEXT, record: &EXCEPTION_RECORD) -> bool {
    // A breakpoint at an image's last byte leaves RIP behind the image.
    let place = context.Rip.wrapping_sub(u64::from(record.ExceptionCode == STATUS_BREAKPOINT));
    Tables::find(place).is_some_and(|tables| tables.patches().is_outdated(context, record))
}

/// Moves a context that stands in a site's stand-in code back to the site, with the registers that it had there. True
/// if it stood in one.
pub(crate) fn leave(region: Region, context: &mut CONTEXT, record: &mut EXCEPTION_RECORD) -> bool {
    let Some(tables) = Tables::find(context.Rip).filter(|tables| !tables.contains(context.Rip)) else {
        return false;
    };
    let Some(fault) = tables.patches().state().pages.fault_at(context.Rip) else { return false };
    if let Some(number) = fault.scratch {
        *register_mut(context, number) = region.scratch()[cave::SCRATCH_REGISTER];
    }
    context.Rip = fault.site;
    record.ExceptionAddress =
        std::ptr::with_exposed_provenance_mut(usize::try_from(fault.site).unwrap_or_default());
    true
}

/// Patches the instruction, which is at `bytes`, if that is possible; once tried in vain, it is left alone.
pub(crate) fn install(instruction: &Instruction, bytes: &[u8; MAX_LENGTH], work: Work) {
    let site = instruction.ip();
    let Some(tables) = Tables::find(site).filter(|tables| tables.contains(site)) else { return };
    let patches = tables.patches();
    let mut state = patches.state();
    if state.sites.contains_key(&site) || state.refused.contains(&site) {
        return;
    }
    // Set first: whoever meets the breakpoint looks.
    patches.any.store(true, Ordering::Release);
    if patch(patches, &mut state, tables, instruction, bytes, work).is_none() {
        state.refused.insert(site);
    }
}

fn patch(
    patches: &Patches,
    state: &mut State,
    tables: &'static Tables,
    instruction: &Instruction,
    bytes: &[u8; MAX_LENGTH],
    work: Work,
) -> Option<()> {
    let site = instruction.ip();
    let length = instruction.len();
    if !patches.may_change(site, length.max(JUMP_LENGTH)) {
        return None;
    }
    let end = site + length.min(JUMP_LENGTH) as u64;
    let overlap = |(start, other): (&u64, &Site)| *start > site || start + other.changed as u64 > site;
    if state.sites.range(before(site)..end).any(overlap) {
        return None;
    }
    let mut jump = [JUMP, 0, 0, 0, 0];
    let changed = length.min(JUMP_LENGTH);
    copy_from(&mut jump[changed..], site + changed as u64).ok()?;
    let window = reach(site, &jump, changed)?;
    let place = state.pages.take(&window, tables)?;
    let made = cave::make(instruction, bytes, work, place)?;
    code::write(usize::try_from(place).ok()?, &made.bytes).ok()?;
    let distance = i32::try_from(place.wrapping_sub(site + JUMP_LENGTH as u64).cast_signed()).ok()?;
    jump[1..].copy_from_slice(&distance.to_le_bytes());
    restore_before(state, site)?;
    state.pages.add_fault(place + made.fault as u64, pages::Fault { site, scratch: made.scratch });
    state.sites.insert(site, Site { original: *bytes, changed, jump });
    if code::replace(usize::try_from(site).ok()?, &jump[..changed]).is_err() {
        state.sites.remove(&site);
        return None;
    }
    Some(())
}

/// The first address at which a site's jump can reach into `site`.
fn before(site: u64) -> u64 {
    site.saturating_sub(JUMP_LENGTH as u64 - 1)
}

/// Gives the sites their own bytes back whose jumps end in the bytes at `site`, which change now. They fault once more,
/// and are patched with what stands there then.
///
/// `None` when Linux does not let one be written, for want of a descriptor: it and those behind it stay as they are.
fn restore_before(state: &mut State, site: u64) -> Option<()> {
    while let Some((&start, other)) = state.sites.range(before(site)..site).next_back() {
        let (original, changed) = (other.original, other.changed);
        // Its own bytes are the end of another's jump, perhaps.
        restore_before(state, start)?;
        state.restored.insert(start);
        code::replace(usize::try_from(start).ok()?, &original[..changed]).ok()?;
        state.sites.remove(&start);
    }
    Some(())
}

/// Where a jump at `site` can lead whose bytes from `changed` on are given.
fn reach(site: u64, jump: &[u8; JUMP_LENGTH], changed: usize) -> Option<Range<u64>> {
    const FARTHEST: u64 = 1 << 31;
    /// Jumps back reach as far from the end of the code.
    const MARGIN: u64 = 1 << 16;
    let behind = site + JUMP_LENGTH as u64;
    if changed == JUMP_LENGTH {
        return Some(behind.checked_sub(FARTHEST - MARGIN)?..behind.checked_add(FARTHEST - MARGIN)?);
    }
    let mut distance = [0; 4];
    distance[changed - 1..].copy_from_slice(&jump[changed..]);
    let lowest = behind.checked_add_signed(i64::from(i32::from_le_bytes(distance)))?;
    let window = lowest..lowest.checked_add(1 << (8 * (changed - 1)))?;
    // The way back is as long, counted from another end.
    let farthest = site.abs_diff(window.start).max(site.abs_diff(window.end));
    (farthest < FARTHEST - MARGIN).then_some(window)
}
