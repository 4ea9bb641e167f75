//! Test images: C files under `tests/images`, compiled to drivers when a test first needs them.

#![allow(dead_code, reason = "every test program uses its own part of this")]

pub(crate) mod io;
pub(crate) mod kernel;
pub(crate) mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

/// The linker that comes with the compiler, in its `link.exe` form.
fn linker() -> Command {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc runs");
    let sysroot = String::from_utf8(output.stdout).expect("a path");
    let program = Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    let mut command = Command::new(program);
    command.args(["-flavor", "link"]);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (clang-19 is needed)"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The driver made from `tests/images/NAME.c`.
pub(crate) fn image(name: &str) -> Vec<u8> {
    image_with(name, &[])
}

/// As [`image`], with further arguments for the linker.
pub(crate) fn image_with(name: &str, link: &[&str]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for images");
    let object = folder.join("image.obj");
    let driver = folder.join("image.sys");
    let library = folder.join("kernel.lib");
    run(Command::new("clang-19")
        .args(["--target=x86_64-pc-windows-msvc", "-fasync-exceptions", "-O1", "-Wall", "-Wextra", "-c"])
        .args(["-g", "-gcodeview", "-ffreestanding", "-fasynchronous-unwind-tables"])
        .arg(sources().join(format!("{name}.c")))
        .arg("-o")
        .arg(&object));
    let definition = sources().join("kernel.def");
    run(linker()
        .args(["/lib", "/machine:x64"])
        .arg(format!("/def:{}", definition.display()))
        .arg(format!("/out:{}", library.display())));
    run(linker()
        .args(["/SUBSYSTEM:NATIVE", "/DRIVER", "/NODEFAULTLIB", "/ENTRY:DriverEntry", "/DEBUG"])
        .args(link)
        .arg(format!("/OUT:{}", driver.display()))
        .arg(&object)
        .arg(&library));
    let bytes = fs::read(&driver).expect("the linker wrote an image");
    fs::remove_dir_all(&folder).expect("the folder is ours");
    bytes
}
