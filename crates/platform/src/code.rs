//! Instructions that are replaced while other threads may be executing them.
//!
//! No mapping is ever writable and executable at once: Linux writes through its own mapping of the memory
//! (`/proc/self/mem`), and the pages keep their protection. What is written, and whether a place may be changed at all,
//! is the caller's matter.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// A breakpoint: what threads meet while the rest of an instruction is exchanged.
const INT3: u8 = 0xCC;

/// Writes `bytes` at `address`, whatever the protection of the pages there. Nobody may be executing them.
///
/// # Errors
/// When nothing is mapped there, or this system does not let a process write to its own read-only memory.
pub fn write(address: usize, bytes: &[u8]) -> io::Result<()> {
    own_memory()?.write_all_at(bytes, address as u64)
}

/// Opened each time: a descriptor kept across a fork would write to the parent.
fn own_memory() -> io::Result<File> {
    OpenOptions::new().write(true).open("/proc/self/mem")
}

/// Replaces the instruction at `address` by `bytes`, its length at most. Other threads may execute it meanwhile: each
/// of them executes the old instruction, the new one, or a breakpoint, which the caller answers by executing the place
/// again when this has returned. No thread may be inside the instruction, behind its first byte.
///
/// The order is that of "Handling Self- and Cross-Modifying Code" in Intel's manual (volume 3), with a breakpoint in
/// place of a rendezvous: first byte a breakpoint; all processors serialise; the rest; all serialise; the first byte;
/// all serialise.
///
/// # Errors
/// As for [`write()`], and when Linux cannot make the process's other threads serialise. Nothing has changed then.
pub fn replace(address: usize, bytes: &[u8]) -> io::Result<()> {
    let [first, rest @ ..] = bytes else { return Ok(()) };
    // All that can run out, descriptors among it, is at hand before anything changes.
    let memory = own_memory()?;
    let write = |at: usize, bytes: &[u8]| memory.write_all_at(bytes, at as u64);
    serialise()?;
    write(address, &[INT3])?;
    // What has worked a moment ago on the same page works again.
    let again = "the page was writable and the process registered";
    serialise().expect(again);
    if !rest.is_empty() {
        write(address + 1, rest).expect(again);
        serialise().expect(again);
    }
    write(address, &[*first]).expect(again);
    serialise().expect(again);
    Ok(())
}

/// Makes every running thread of the process execute a serialising instruction before this returns; the others do
/// before they run again.
fn serialise() -> io::Result<()> {
    const REGISTER: libc::c_int = 1 << 6;
    const EXPEDITED_SYNC_CORE: libc::c_int = 1 << 5;
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    if !*REGISTERED.get_or_init(|| membarrier(REGISTER).is_ok()) {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    membarrier(EXPEDITED_SYNC_CORE)
}

fn membarrier(command: libc::c_int) -> io::Result<()> {
    // SAFETY: touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
