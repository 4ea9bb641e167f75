//! How long a file is and where in it a synchronous one reads next: `GetFileSizeEx`, `SetFilePointerEx`, `SetEndOfFile`.

use gate::SystemCall;

use crate::failure::{Failure, MISSING, checked, done, fail, set};
use crate::pointer::Pointer;
use crate::session::{ask, call};
use crate::types::{BOOL, HANDLE};

const FILE_BEGIN: u32 = 0;
const FILE_CURRENT: u32 = 1;
const FILE_END: u32 = 2;
/// INVALID_FILE_SIZE and INVALID_SET_FILE_POINTER.
const NONE: u32 = u32::MAX;

fn query<const N: usize>(file: HANDLE, class: i32) -> Result<[u8; N], Failure> {
    let mut output = [0; N];
    let handle = file.of_machine()?;
    checked(ask(&SystemCall::QueryInformationFile { handle, class }, &mut output)?.status)?;
    Ok(output)
}

fn word(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// EndOfFile of FILE_STANDARD_INFORMATION.
fn size(file: HANDLE) -> Result<i64, Failure> {
    Ok(word(&query::<24>(file, abi::FileStandardInformation)?[8..]))
}

fn change(file: HANDLE, class: i32, value: i64) -> Result<(), Failure> {
    let handle = file.of_machine()?;
    call(&SystemCall::SetInformationFile { handle, class, data: &value.to_le_bytes() })
}

/// How many bytes a file has, as its driver says.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileSizeEx(file: HANDLE, bytes: Pointer<i64>) -> BOOL {
    if bytes.is_null() {
        return done(Err(MISSING));
    }
    done(size(file).and_then(|size| bytes.write(size)))
}

/// The halves of a number of 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "these are its halves")]
fn halves(value: i64) -> (u32, u32) {
    (value.cast_unsigned() as u32, (value.cast_unsigned() >> 32) as u32)
}

/// The low half of how many bytes a file has; INVALID_FILE_SIZE (0xFFFFFFFF) when it fails, or with the last error 0.
#[unsafe(no_mangle)]
pub extern "C" fn GetFileSize(file: HANDLE, high_half: Pointer<u32>) -> u32 {
    let told = size(file).and_then(|size| {
        let (low, high) = halves(size);
        high_half.write_if_there(high)?;
        set(abi::ERROR_SUCCESS);
        Ok(low)
    });
    told.unwrap_or_else(|failure| fail(failure, NONE))
}

fn seek(file: HANDLE, distance: i64, from: u32) -> Result<i64, Failure> {
    let start = match from {
        FILE_BEGIN => 0,
        FILE_CURRENT => word(&query::<8>(file, abi::FilePositionInformation)?),
        FILE_END => size(file)?,
        _ => return Err(MISSING),
    };
    let position = start.checked_add(distance).ok_or(MISSING)?;
    if position < 0 {
        return Err(Failure(abi::ERROR_NEGATIVE_SEEK));
    }
    change(file, abi::FilePositionInformation, position)?;
    Ok(position)
}

/// Moves the place where a file is read and written next. ERROR_NEGATIVE_SEEK (131) before its beginning.
#[unsafe(no_mangle)]
pub extern "C" fn SetFilePointerEx(file: HANDLE, distance: i64, position: Pointer<i64>, from: u32) -> BOOL {
    done(seek(file, distance, from).and_then(|at| position.write_if_there(at)))
}

/// The same with halves; without a high half the low one has a sign. INVALID_SET_FILE_POINTER (0xFFFFFFFF) when it fails, or with the last
/// error 0.
#[unsafe(no_mangle)]
pub extern "C" fn SetFilePointer(file: HANDLE, low: i32, high: Pointer<i32>, from: u32) -> u32 {
    let moved = || {
        let distance = if high.is_null() {
            low.into()
        } else {
            i64::from(high.read()?) << 32 | i64::from(low.cast_unsigned())
        };
        let (low, top) = halves(seek(file, distance, from)?);
        high.write_if_there(top.cast_signed())?;
        set(abi::ERROR_SUCCESS);
        Ok(low)
    };
    moved().unwrap_or_else(|failure| fail(failure, NONE))
}

/// Ends a file where it is read and written next.
#[unsafe(no_mangle)]
pub extern "C" fn SetEndOfFile(file: HANDLE) -> BOOL {
    let cut = || {
        let position = word(&query::<8>(file, abi::FilePositionInformation)?);
        change(file, abi::FileEndOfFileInformation, position)
    };
    done(cut())
}
