//! Compile-time proof of the layouts. No item of this module exists at run time.

use core::mem::size_of;

use crate::*;

const _: () = assert!(size_of::<IRP>() == 0xD0);
const _: () = assert!(size_of::<IO_STACK_LOCATION>() == 0x48);
const _: () = assert!(size_of::<DEVICE_OBJECT>() == 0x150);
const _: () = assert!(size_of::<DRIVER_OBJECT>() == 0x150);
const _: () = assert!(size_of::<FILE_OBJECT>() == 0xD8);
const _: () = assert!(size_of::<MDL>() == 0x30);
const _: () = assert!(size_of::<CONTEXT>() == 0x4D0);
const _: () = assert!(size_of::<KEVENT>() == 0x18);
const _: () = assert!(size_of::<KTIMER>() == 0x40);
const _: () = assert!(size_of::<KDPC>() == 0x40);
const _: () = assert!(size_of::<KAPC>() == 0x58);
const _: () = assert!(size_of::<ERESOURCE>() == 0x68);
