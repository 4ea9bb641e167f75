//! File system control requests, as the functions of named pipes are made of.

use gate::IoStatus;

use crate::failure::Failure;
use crate::overlapped;
use crate::pending::{self, Action, Span, Told};
use crate::pointer::Pointer;
use crate::types::{HANDLE, INFINITE, OVERLAPPED};

/// Makes a request and waits for its end, also on a file for overlapped I/O. Data comes into `output`; warnings, which bring data, are
/// results.
pub(crate) fn at_once(file: HANDLE, code: u32, input: Span, output: Span) -> Result<IoStatus, Failure> {
    to_the_end(file, &Action::FsControl { code, input, output })
}

/// The same with any request.
pub(crate) fn to_the_end(file: HANDLE, action: &Action) -> Result<IoStatus, Failure> {
    let handle = file.of_machine()?;
    // Not on the stack: were the end never to come, its block must stay.
    let block = Box::leak(Box::new(OVERLAPPED {
        internal: 0,
        internal_high: 0,
        offset: 0,
        offset_high: 0,
        event: HANDLE::NULL,
    }));
    let home: Pointer<OVERLAPPED> = Pointer::made(&raw mut *block);
    let told = Told { event: None, routine: None, context: 0 };
    let mut status = pending::start(handle, action, home.cast(), told);
    if status == abi::STATUS_PENDING {
        let mut transferred = 0;
        let place = Pointer::made(&raw mut transferred);
        // How it has ended is in the block.
        let _outcome = overlapped::result(file, home, place, INFINITE, false);
        status = crate::device::status_of(home.read()?.internal);
        if status == abi::STATUS_PENDING {
            return Err(abi::STATUS_UNSUCCESSFUL.into());
        }
    }
    let information = home.read()?.internal_high;
    // SAFETY: leaked above; the request has ended, and its stand-in has come home or was never made.
    drop(unsafe { Box::from_raw(home.raw()) });
    if status.is_error() { Err(status.into()) } else { Ok(IoStatus { status, information }) }
}

/// The same with bytes of this library's.
pub(crate) fn with_bytes(
    file: HANDLE,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<IoStatus, Failure> {
    let span = |address: *mut u8, length: usize| {
        let length = u32::try_from(length).map_err(|_| Failure(abi::ERROR_INVALID_PARAMETER))?;
        Ok::<_, Failure>(Span { at: Pointer::made(address), length })
    };
    let input = span(input.as_ptr().cast_mut(), input.len())?;
    at_once(file, code, input, span(output.as_mut_ptr(), output.len())?)
}
