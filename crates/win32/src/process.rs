//! The program itself: its command line, its modules, its end, and what the console tells it.

use std::ffi::{CString, c_void};
use std::sync::{Mutex, Once, PoisonError};

use crate::failure::{Failure, MISSING, done, fail};
use crate::pointer::Pointer;
use crate::text::{Text, Unit};
use crate::types::{BOOL, FALSE, HANDLE};

/// Modules whose functions this library has, and the program's own: what `GetModuleHandle` answers for them.
const MODULES: [&str; 5] = ["", "kernel32.dll", "ntdll.dll", "fltlib.dll", "advapi32.dll"];
/// Where their handles begin, 64 KiB apart.
const FIRST: usize = 0x1_4000_0000;

const CTRL_C_EVENT: u32 = 0;
const CTRL_BREAK_EVENT: u32 = 1;
const CTRL_CLOSE_EVENT: u32 = 2;
/// What Linux tells of a program that CTRL+C has ended.
const ENDED_BY_CONTROL: i32 = 130;

fn module(name: Option<String>) -> Result<usize, Failure> {
    let name = name.unwrap_or_default().to_lowercase();
    let found = MODULES.iter().position(|module| {
        *module == name || module.strip_suffix(".dll").is_some_and(|short| !name.is_empty() && short == name)
    });
    found.map(|index| FIRST + (index << 16)).ok_or(Failure(abi::ERROR_MOD_NOT_FOUND))
}

/// A value that stands for the program (NULL) or for one of Windows' modules whose functions this library has. ERROR_MOD_NOT_FOUND (126).
#[unsafe(no_mangle)]
pub extern "C" fn GetModuleHandleW(name: Pointer<u16>) -> usize {
    name.text_if_there().and_then(module).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetModuleHandleA(name: Pointer<u8>) -> usize {
    name.text_if_there().and_then(module).unwrap_or_else(|failure| fail(failure, 0))
}

/// As [`GetModuleHandleW`]: no others can be loaded.
#[unsafe(no_mangle)]
pub extern "C" fn LoadLibraryW(name: Pointer<u16>) -> usize {
    name.text().and_then(|name| module(Some(name))).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, the name in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn LoadLibraryA(name: Pointer<u8>) -> usize {
    name.text().and_then(|name| module(Some(name))).unwrap_or_else(|failure| fail(failure, 0))
}

fn is_module(handle: usize) -> Result<(), Failure> {
    let known = (0..MODULES.len()).any(|index| FIRST + (index << 16) == handle);
    if known { Ok(()) } else { Err(Failure(abi::ERROR_MOD_NOT_FOUND)) }
}

/// Nothing is unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn FreeLibrary(module: usize) -> BOOL {
    done(is_module(module))
}

/// Where a function of this library is, whichever of the modules is asked. NULL, and ERROR_PROC_NOT_FOUND (127), for others.
#[unsafe(no_mangle)]
pub extern "C" fn GetProcAddress(module: usize, name: Pointer<u8>) -> Pointer<c_void> {
    let find = || {
        is_module(module)?;
        let missing = Failure(abi::ERROR_PROC_NOT_FOUND);
        // Numbers below 64 KiB are ordinals.
        let name = if name.address() < 0x1_0000 { return Err(missing) } else { name.text()? };
        let name = CString::new(name).map_err(|_| missing)?;
        // SAFETY: a name that ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        let own: extern "C" fn(usize, Pointer<u8>) -> Pointer<c_void> = GetProcAddress;
        let own: *const c_void = own as *const c_void;
        if !found.is_null() && base(found).is_some_and(|found| Some(found) == base(own)) {
            Ok(Pointer::made(found))
        } else {
            Err(missing)
        }
    };
    find().unwrap_or_else(|failure| fail(failure, Pointer::NULL))
}

/// Where the file begins that an address is in.
fn base(address: *const c_void) -> Option<usize> {
    let mut information = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: takes any address, and has a place for the answer.
    let found = unsafe { libc::dladdr(address, information.as_mut_ptr()) };
    // SAFETY: written when it was found.
    (found != 0).then(|| unsafe { information.assume_init() }.dli_fbase.addr())
}

fn own_file<T: Unit>(module: usize, target: Pointer<T>, size: u32) -> Result<u32, Failure> {
    if module != 0 {
        is_module(module)?;
    }
    let file = std::env::current_exe().map_err(|_| Failure(abi::ERROR_FILE_NOT_FOUND))?;
    let mut units = T::of(&file.to_string_lossy());
    let room = (size as usize).checked_sub(1).ok_or(Failure(abi::ERROR_INSUFFICIENT_BUFFER))?;
    let fits = units.len() <= room;
    units.truncate(room);
    for (index, unit) in units.iter().chain([&T::ZERO]).enumerate() {
        target.at(index).write(*unit)?;
    }
    crate::failure::set(if fits { abi::ERROR_SUCCESS } else { abi::ERROR_INSUFFICIENT_BUFFER });
    Ok(if fits { u32::try_from(units.len()).unwrap_or(u32::MAX) } else { size })
}

/// The program's file, as Linux calls it. What does not fit is cut: `size`, and ERROR_INSUFFICIENT_BUFFER.
#[unsafe(no_mangle)]
pub extern "C" fn GetModuleFileNameW(module: usize, target: Pointer<u16>, size: u32) -> u32 {
    own_file(module, target, size).unwrap_or_else(|failure| fail(failure, 0))
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetModuleFileNameA(module: usize, target: Pointer<u8>, size: u32) -> u32 {
    own_file(module, target, size).unwrap_or_else(|failure| fail(failure, 0))
}

/// The arguments as one string, each in quotation marks where it must be.
fn command_line() -> String {
    let bytes = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let arguments = bytes.split(|byte| *byte == 0);
    let text: Vec<String> = arguments.map(|argument| quoted(&String::from_utf8_lossy(argument))).collect();
    // Behind the last zero there is nothing.
    text[..text.len() - 1].join(" ")
}

/// As `CommandLineToArgvW` undoes it: backslashes count double before a quotation mark only.
fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '\t', '"']) {
        return argument.to_owned();
    }
    let mut text = String::from("\"");
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                text.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        text.push(character);
    }
    text.push_str(&"\\".repeat(backslashes));
    text.push('"');
    text
}

/// The program's command line.
#[unsafe(no_mangle)]
pub extern "C" fn GetCommandLineW() -> *const u16 {
    static LINE: std::sync::OnceLock<Vec<u16>> = std::sync::OnceLock::new();
    LINE.get_or_init(|| command_line().encode_utf16().chain([0]).collect()).as_ptr()
}

/// The same, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn GetCommandLineA() -> *const u8 {
    static LINE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    LINE.get_or_init(|| command_line().bytes().chain([0]).collect()).as_ptr()
}

/// Ends the program. Linux keeps the low eight bits of the code.
#[unsafe(no_mangle)]
pub extern "C" fn ExitProcess(code: u32) {
    std::process::exit(code.cast_signed())
}

/// Ends the program itself, at once; ERROR_ACCESS_DENIED for other processes, of which there are no handles.
#[unsafe(no_mangle)]
pub extern "C" fn TerminateProcess(process: HANDLE, code: u32) -> BOOL {
    if process == HANDLE::INVALID {
        // SAFETY: does not come back.
        unsafe { libc::_exit(code.cast_signed()) };
    }
    fail(Failure(abi::ERROR_ACCESS_DENIED), FALSE)
}

/// What is asked, the last first, when somebody presses CTRL+C: TRUE from one ends it.
type Handler = extern "C" fn(u32) -> BOOL;

#[derive(Default)]
struct Console {
    handlers: Vec<Handler>,
    ignores_control_c: bool,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);
static LISTENING: Once = Once::new();

fn console<R>(body: impl FnOnce(&mut Console) -> R) -> R {
    body(CONSOLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Adds or takes away what is called, in a thread of its own, for CTRL_C_EVENT (SIGINT), CTRL_BREAK_EVENT (SIGQUIT) and CTRL_CLOSE_EVENT (SIGHUP,
/// SIGTERM). NULL with TRUE has CTRL+C ignored. Unless one answers TRUE the program ends. ERROR_INVALID_PARAMETER for one that was not added.
///
/// Threads that are made before the first call still take these signals as Linux does: it should come first.
#[unsafe(no_mangle)]
pub extern "C" fn SetConsoleCtrlHandler(handler: Option<Handler>, add: BOOL) -> BOOL {
    LISTENING.call_once(listen);
    done(console(|console| {
        let Some(handler) = handler else {
            console.ignores_control_c = add != FALSE;
            return Ok(());
        };
        if add != FALSE {
            console.handlers.push(handler);
            return Ok(());
        }
        let found = console.handlers.iter().rposition(|other| std::ptr::fn_addr_eq(*other, handler));
        console.handlers.remove(found.ok_or(MISSING)?);
        Ok(())
    }))
}

/// The write end of a pipe that the handler of signals tells of them by.
static TOLD: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(-1);

extern "C" fn tell(signal: i32) {
    let byte = u8::try_from(signal).unwrap_or(0);
    let pipe = TOLD.load(std::sync::atomic::Ordering::Relaxed);
    // SAFETY: one byte; a handler of signals may write.
    unsafe { libc::write(pipe, (&raw const byte).cast(), 1) };
}

fn listen() {
    use std::io::Read;
    let Ok((mut reader, writer)) = std::io::pipe() else { return };
    TOLD.store(std::os::fd::IntoRawFd::into_raw_fd(writer), std::sync::atomic::Ordering::Relaxed);
    let listener = move || {
        let mut byte = [0];
        while reader.read_exact(&mut byte).is_ok() {
            happened(byte[0].into());
        }
    };
    if std::thread::Builder::new().name("ringbridge-console".to_owned()).spawn(listener).is_err() {
        return;
    }
    let handler: extern "C" fn(i32) = tell;
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: all zeroes is a `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: a handler that only writes.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

fn happened(signal: i32) {
    let event = match signal {
        libc::SIGINT => CTRL_C_EVENT,
        libc::SIGQUIT => CTRL_BREAK_EVENT,
        _ => CTRL_CLOSE_EVENT,
    };
    let (handlers, ignores) = console(|console| (console.handlers.clone(), console.ignores_control_c));
    if event == CTRL_C_EVENT && ignores {
        return;
    }
    // Not under the lock: they may add others.
    if !handlers.iter().rev().any(|handler| handler(event) != FALSE) {
        std::process::exit(ENDED_BY_CONTROL);
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn arguments_are_quoted_where_they_must_be() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted(r"C:\dir\"), r"C:\dir\");
        assert_eq!(quoted("two words"), r#""two words""#);
        assert_eq!(quoted(r#"say "x""#), r#""say \"x\"""#);
        assert_eq!(quoted(r"two words\"), r#""two words\\""#);
        assert_eq!(quoted(""), r#""""#);
    }
}
