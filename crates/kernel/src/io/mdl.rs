//! The MDLs of an IRP: what drivers add to it, and what goes when the request has ended.

use crate::mm::{MDL_TAG, MdlFault, PoolOwner};
use crate::raw::{Irp, Mdl, Outcome};
use crate::{Kernel, Unwind};

/// MDLs that an IRP's chain is followed for. A driver can make it a circle.
const LONGEST_CHAIN: usize = 0x1_0000;

/// Stops the machine or raises, as the fault of a service of MDLs says.
///
/// # Errors
/// What is raised in the driver; [`Unwind::Halt`] after a bugcheck.
pub fn mdl_outcome<T>(kernel: &Kernel, result: Result<T, MdlFault>) -> Outcome<T> {
    result.map_err(|fault| match fault {
        MdlFault::Raise(unwind) => unwind,
        MdlFault::Stop(code, parameters) => {
            kernel.bug_check(code, parameters);
            Unwind::Halt
        }
    })
}

/// `IoAllocateMdl`: an MDL for the buffer, put at the end of `irp`'s chain (`secondary`) or in the chain's place, when
/// there is an IRP. `None` when there is no memory. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// An access violation.
///
/// Source: ddi, IoAllocateMdl.
pub fn allocate_mdl(
    kernel: &Kernel,
    address: u64,
    length: u32,
    secondary: bool,
    irp: Irp,
) -> Outcome<Option<Mdl>> {
    let owner = PoolOwner(kernel.io.calling_driver().unwrap_or(0));
    let Some(mdl) = kernel.mm.allocate_mdl(address, length, owner)? else { return Ok(None) };
    if irp.is_null() {
        return Ok(Some(mdl));
    }
    let mut last = Mdl::at(if secondary { irp.mdl()? } else { 0 });
    if last.is_null() {
        irp.set_mdl(mdl.address())?;
        return Ok(Some(mdl));
    }
    for _ in 0..LONGEST_CHAIN {
        let next = Mdl::at(last.next()?);
        if next.is_null() {
            last.set_next(mdl.address())?;
            return Ok(Some(mdl));
        }
        last = next;
    }
    Err(Unwind::status(abi::STATUS_INVALID_PARAMETER))
}

/// `IoFreeMdl`. IRQL <= DISPATCH_LEVEL.
///
/// # Errors
/// [`Unwind::Halt`] after bugcheck 0xC2 (BAD_POOL_CALLER) for what `IoAllocateMdl` did not make, or was freed already.
pub fn free_mdl(kernel: &Kernel, mdl: Mdl) -> Outcome<()> {
    const ALREADY_FREED: u64 = 0x7;
    if kernel.mm.free_mdl(mdl) {
        return Ok(());
    }
    let parameters = [ALREADY_FREED, 0, u64::from(MDL_TAG), mdl.address()];
    kernel.bug_check(abi::BAD_POOL_CALLER, parameters);
    Err(Unwind::Halt)
}

/// After an IRP was completed: unlocks and frees the MDLs of its chain. `own`, the request's MDL, belongs to its packet,
/// and its pages are the requestor's to keep.
///
/// # Errors
/// As for [`free_mdl`]; an access violation when the chain leads nowhere.
///
/// Source: ddi, IoAllocateMdl, remarks: "the I/O manager frees the MDL when the driver completes the IRP".
#[inline]
pub(super) fn release(kernel: &Kernel, irp: Irp, own: Mdl) -> Outcome<()> {
    let first = Mdl::at(irp.mdl()?);
    if first.is_null() || first == own && first.next()? == 0 {
        return Ok(());
    }
    release_chain(kernel, first, own)
}

#[cold]
fn release_chain(kernel: &Kernel, first: Mdl, own: Mdl) -> Outcome<()> {
    let mut mdl = first;
    // A circle ends at the first that has been freed.
    while !mdl.is_null() {
        let next = Mdl::at(mdl.next()?);
        if mdl == own {
            mdl.set_next(0)?;
        } else {
            if mdl.flags()? & abi::MDL_PAGES_LOCKED.cast_unsigned() != 0 {
                mdl_outcome(kernel, kernel.mm.unlock_pages(mdl))?;
            }
            free_mdl(kernel, mdl)?;
        }
        mdl = next;
    }
    Ok(())
}
