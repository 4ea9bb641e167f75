//! What all dispatcher objects share: the header, when a thread may stop waiting for one, and what that takes from it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{MutantObject, NTSTATUS};

use super::Kmutant;
use super::dispatcher::State;
use super::wait::WaitType;
use super::wait_list::{Wakes, finish};
use super::waiter::Waiter;
use crate::Unwind;
use crate::raw::{self, DispatcherHeader, Outcome};

/// Offset of `WaitListHead` in the header.
const WAIT_LIST_HEAD: u64 = std::mem::offset_of!(abi::DISPATCHER_HEADER, WaitListHead) as u64;

/// Makes a dispatcher header: its type (`EventNotificationObject`, `ThreadObject`, …), the object's size in bytes, its
/// state, and an empty wait list. Any address so prepared can be waited for; for types that this room does not know,
/// a state above zero lets every waiter go on and is not changed by that.
///
/// # Errors
/// An access violation to raise in the driver.
pub fn initialize_header(header: DispatcherHeader, object_type: u8, size: usize, state: i32) -> Outcome<()> {
    let longwords = u8::try_from(size / 4).unwrap_or(u8::MAX);
    raw::write(header.address(), u32::from_le_bytes([object_type, 0, longwords, 0]))?;
    header.set_signal_state(state.cast_unsigned())?;
    let head = header.address().wrapping_add(WAIT_LIST_HEAD);
    header.set_wait_list_forward(head)?;
    header.set_wait_list_backward(head)
}

/// The signal state as the signed number that it is.
pub(super) fn state_of(header: DispatcherHeader) -> Outcome<i32> {
    Ok(header.signal_state()?.cast_signed())
}

/// Sets the signal state and returns the old one.
pub(super) fn replace_state(header: DispatcherHeader, state: i32) -> Outcome<i32> {
    let old = state_of(header)?;
    header.set_signal_state(state.cast_unsigned())?;
    Ok(old)
}

/// Whether `waiter` could go on if it waited for nothing but `object`.
pub(super) fn is_signaled(object: u64, waiter: &Waiter) -> Outcome<bool> {
    let header = DispatcherHeader::at(object);
    if state_of(header)? > 0 {
        return Ok(true);
    }
    Ok(header.object_type()? == MutantObject && Kmutant::at(object).owner_thread()? == waiter.thread)
}

/// Takes from a signaled object what ending a wait takes. True when the object is a mutant that was abandoned.
pub(super) fn acquire(object: u64, waiter: &Waiter) -> Outcome<bool> {
    let header = DispatcherHeader::at(object);
    match header.object_type()? {
        abi::EventSynchronizationObject | abi::TimerSynchronizationObject => {
            header.set_signal_state(0)?;
            Ok(false)
        }
        abi::SemaphoreObject => {
            header.set_signal_state(header.signal_state()?.wrapping_sub(1))?;
            Ok(false)
        }
        abi::MutantObject => acquire_mutant(Kmutant::at(object), waiter),
        _ => Ok(false),
    }
}

/// # Errors
/// `STATUS_MUTANT_LIMIT_EXCEEDED` for a mutant that its owner cannot acquire once more.
fn check_limit(object: u64) -> Outcome<()> {
    let header = DispatcherHeader::at(object);
    if state_of(header)? == i32::MIN && header.object_type()? == MutantObject {
        return Err(Unwind::status(abi::STATUS_MUTANT_LIMIT_EXCEEDED));
    }
    Ok(())
}

fn acquire_mutant(mutant: Kmutant, waiter: &Waiter) -> Outcome<bool> {
    check_limit(mutant.address())?;
    let state = state_of(mutant.header())?;
    mutant.header().set_signal_state((state - 1).cast_unsigned())?;
    if state != 1 {
        return Ok(false);
    }
    mutant.set_owner_thread(waiter.thread)?;
    waiter.kernel_apc_disable.fetch_sub(i32::from(mutant.apc_disable()?), Ordering::Relaxed);
    waiter.state().mutants.push(mutant.address());
    let abandoned = mutant.abandoned()? != 0;
    if abandoned {
        mutant.set_abandoned(0)?;
    }
    Ok(abandoned)
}

/// Takes the objects of a wait if it is satisfied, and says with which status.
///
/// Status: `STATUS_WAIT_0` or `STATUS_ABANDONED_WAIT_0` plus the index of the object, for all objects plus zero.
pub(super) fn try_acquire(objects: &[u64], kind: WaitType, waiter: &Waiter) -> Outcome<Option<NTSTATUS>> {
    match kind {
        WaitType::Any => {
            for (index, object) in (0_u32..).zip(objects) {
                if is_signaled(*object, waiter)? {
                    return Ok(Some(satisfied(acquire(*object, waiter)?, index)));
                }
            }
            Ok(None)
        }
        WaitType::All => {
            for object in objects {
                if !is_signaled(*object, waiter)? {
                    return Ok(None);
                }
            }
            // Before any is taken: who is refused one has none of the others either.
            objects.iter().try_for_each(|object| check_limit(*object))?;
            let mut abandoned = false;
            for object in objects {
                abandoned |= acquire(*object, waiter)?;
            }
            Ok(Some(satisfied(abandoned, 0)))
        }
    }
}

fn satisfied(abandoned: bool, index: u32) -> NTSTATUS {
    let first = if abandoned { abi::STATUS_ABANDONED } else { abi::STATUS_SUCCESS };
    NTSTATUS::from_bits(first.bits() + index)
}

/// Ends the waits that `object`, whose state has just risen, satisfies, in the order of their arrival.
pub(super) fn release_waiters(state: &mut State, object: u64, wakes: &mut Wakes) -> Outcome<()> {
    let mut next = state.waits.first(object);
    while let Some(block) = next {
        next = state.waits.next_thread(block);
        let Some((waiter, key)) = state.waits.waiter(block) else { break };
        let waiter = Arc::clone(waiter);
        if !is_signaled(object, &waiter)? {
            break;
        }
        let kind = waiter.state().kind;
        let status = match kind {
            WaitType::Any => Some(satisfied(acquire(object, &waiter)?, key)),
            WaitType::All => {
                let objects = std::mem::take(&mut waiter.state().objects);
                // An object that can no longer be read keeps its own waiter only.
                let status = try_acquire(&objects, WaitType::All, &waiter).unwrap_or(None);
                waiter.state().objects = objects;
                status
            }
        };
        if let Some(status) = status {
            finish(&mut state.waits, &waiter, status, wakes);
        }
    }
    Ok(())
}
