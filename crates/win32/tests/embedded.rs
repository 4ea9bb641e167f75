//! Win32 over a machine in the same program, without a socket: what a program does that embeds one. (A program has one session, so this file
//! has one test.)
#![cfg(not(windows))]
#![expect(unsafe_code, reason = "calls with pointers, as applications in C do")]

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use host::Machine;
use ringbridge_win32 as win32;
use win32::HANDLE;

#[allow(clashing_extern_declarations, reason = "as C declares them: pointers are pointers")]
unsafe extern "C" {
    fn CreateFileA(
        name: *const u8,
        access: u32,
        share: u32,
        attributes: *const c_void,
        disposition: u32,
        flags: u32,
        template: HANDLE,
    ) -> HANDLE;
    fn ReadFile(
        file: HANDLE,
        buffer: *mut u8,
        length: u32,
        read: *mut u32,
        overlapped: *mut win32::OVERLAPPED,
    ) -> i32;
    fn CreatePipe(read: *mut HANDLE, write: *mut HANDLE, attributes: *const c_void, size: u32) -> i32;
    fn WriteFile(
        file: HANDLE,
        buffer: *const u8,
        length: u32,
        written: *mut u32,
        overlapped: *mut win32::OVERLAPPED,
    ) -> i32;
    fn OpenSCManagerA(machine: *const u8, database: *const u8, access: u32) -> usize;
    fn CreateMutexA(attributes: *const c_void, owned: i32, name: *const u8) -> HANDLE;
}

const OPEN_EXISTING: u32 = 3;
const NAME: &CStr = c"\\\\.\\My_Device";

fn reads_the_driver() {
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let device = unsafe {
        let (name, none) = (NAME.as_ptr().cast(), std::ptr::null());
        CreateFileA(name, abi::GENERIC_READ, 0, none, OPEN_EXISTING, 0, HANDLE::NULL)
    };
    assert_ne!(device, HANDLE::INVALID, "{}", win32::GetLastError());
    let (mut bytes, mut count) = ([0; 4], 0);
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let read = unsafe { ReadFile(device, bytes.as_mut_ptr(), 4, &raw mut count, std::ptr::null_mut()) };
    assert_eq!((read, count, &bytes), (1, 4, b"hhhh"));
    assert_eq!(win32::CloseHandle(device), 1);
    assert_eq!((win32::CloseHandle(device), win32::GetLastError()), (0, abi::ERROR_INVALID_HANDLE));
}

fn pipes_go_through_the_machine() {
    let (mut reader, mut writer) = (HANDLE::NULL, HANDLE::NULL);
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let made = unsafe { CreatePipe(&raw mut reader, &raw mut writer, std::ptr::null(), 0) };
    assert_eq!(made, 1, "{}", win32::GetLastError());
    let (mut bytes, mut count) = ([0; 8], 0);
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let written = unsafe { WriteFile(writer, b"through".as_ptr(), 7, &raw mut count, std::ptr::null_mut()) };
    assert_eq!((written, count), (1, 7));
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let read = unsafe { ReadFile(reader, bytes.as_mut_ptr(), 8, &raw mut count, std::ptr::null_mut()) };
    assert_eq!((read, count, &bytes[..7]), (1, 7, b"through".as_slice()));
    assert_eq!((win32::CloseHandle(reader), win32::CloseHandle(writer)), (1, 1));
}

fn waits_take_its_objects() {
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let mutex = unsafe { CreateMutexA(std::ptr::null(), 1, std::ptr::null()) };
    assert_ne!(mutex, HANDLE::NULL, "{}", win32::GetLastError());
    assert_eq!(win32::WaitForSingleObject(mutex, 0), 0, "it is its owner's");
    assert_eq!((win32::ReleaseMutex(mutex), win32::ReleaseMutex(mutex)), (1, 1));
    assert_eq!((win32::ReleaseMutex(mutex), win32::GetLastError()), (0, abi::ERROR_NOT_OWNER));
    assert_eq!(win32::CloseHandle(mutex), 1);
}

#[test]
fn a_program_that_embeds_a_machine_calls_it_by_win32() {
    let machine = Machine::new().expect("a machine");
    machine.load_native("hello", sample_hello::DRIVER_ENTRY).expect("loads");
    assert!(win32::use_transport(Arc::new(machine.process("embedded"))).is_ok());
    assert!(win32::use_transport(Arc::new(machine.process("second"))).is_err(), "a program has one session");
    reads_the_driver();
    pipes_go_through_the_machine();
    waits_take_its_objects();
    // Who embeds a machine loads its drivers itself.
    // SAFETY: the strings end with a zero, and every other pointer is NULL or to a place of its kind.
    let manager = unsafe { OpenSCManagerA(std::ptr::null(), std::ptr::null(), 1) };
    assert_eq!((manager, win32::GetLastError()), (0, abi::ERROR_NOT_SUPPORTED));
    assert!(machine.bugcheck().is_none());
}
