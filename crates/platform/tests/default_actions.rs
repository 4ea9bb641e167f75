//! Signals that are none of ours, in a process that had no handlers: Linux's own actions apply.
//!
//! Each case is a forked child, so nothing else in this program may install the handlers.
#![expect(unsafe_code, reason = "forks, faults on purpose and installs actions")]

extern crate ringbridge_platform as platform;

use std::arch::asm;

/// What Linux says of a child that sets `action` for `signal`, gets the handlers and then runs `body`. It may take five seconds.
fn end_of_child(signal: libc::c_int, action: libc::sighandler_t, body: fn()) -> libc::c_int {
    // SAFETY: the child makes calls of Linux only, allocates nothing and leaves without cleaning up.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets an action that is none of a function's.
        unsafe { libc::signal(signal, action) };
        // SAFETY: a call without memory.
        unsafe { libc::alarm(5) };
        let prepared = platform::entry::prepare();
        body();
        // SAFETY: ends the child.
        unsafe { libc::_exit(if prepared.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

fn illegal_instruction() {
    // SAFETY: raises SIGILL, which is the test.
    unsafe { asm!("ud2") };
}

fn breakpoint() {
    // SAFETY: raises SIGTRAP, which is the test.
    unsafe { asm!("int3") };
}

fn send_trap() {
    let child = std::process::id().cast_signed();
    // SAFETY: a call without memory.
    unsafe { libc::kill(child, libc::SIGTRAP) };
}

#[track_caller]
fn assert_ended_by(status: libc::c_int, signal: libc::c_int) {
    assert!(libc::WIFSIGNALED(status), "it went on: status {status:#x}");
    assert_eq!(libc::WTERMSIG(status), signal);
}

#[test]
fn a_fault_ends_the_process_also_where_its_signal_is_ignored() {
    assert_ended_by(end_of_child(libc::SIGILL, libc::SIG_IGN, illegal_instruction), libc::SIGILL);
    assert_ended_by(end_of_child(libc::SIGTRAP, libc::SIG_IGN, breakpoint), libc::SIGTRAP);
}

#[test]
fn a_fault_ends_the_process_where_nobody_handles_its_signal() {
    assert_ended_by(end_of_child(libc::SIGILL, libc::SIG_DFL, illegal_instruction), libc::SIGILL);
    assert_ended_by(end_of_child(libc::SIGTRAP, libc::SIG_DFL, breakpoint), libc::SIGTRAP);
}

#[test]
fn a_signal_that_was_sent_ends_the_process_unless_it_is_ignored() {
    assert_ended_by(end_of_child(libc::SIGTRAP, libc::SIG_DFL, send_trap), libc::SIGTRAP);
    assert_eq!(end_of_child(libc::SIGTRAP, libc::SIG_IGN, send_trap), 0);
}
