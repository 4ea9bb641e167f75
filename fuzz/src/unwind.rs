//! The target `unwind`: frames of hostile images. The function table is sound (the loader refuses any other), everything
//! that its entries lead to is the input's: unwind information and its chains, handlers, the code around the instruction,
//! and the stack.
#![expect(unsafe_code, reason = "virtual unwinding takes the driver's pointers as addresses")]

use std::ptr;

use abi::{CONTEXT, UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER};
use loader::map::{Image, Options, Resolution, Resolver, map};
use loader::pe::ImportSymbol;
use loader::seh::{VirtualUnwind, lookup_function_entry, virtual_unwind};

use crate::images::space;

/// Functions of an image that are looked at.
const MAX_FUNCTIONS: u32 = 8;
/// Frames that one walk goes outwards.
const MAX_FRAMES: usize = 4;
/// Words of stack.
const STACK: usize = 512;

/// Bytes of the input that become the image's one section.
pub const MAX_INPUT: usize = 0x2000;

/// Unwinds frames of an image made of `bytes`.
///
/// # Panics
/// When the loader does, or refuses the image, whose headers and function table are sound.
pub fn run(bytes: &[u8]) {
    let file = file_around(&bytes[..bytes.len().min(MAX_INPUT)]);
    let space = space();
    match map("unwind.sys", &file, space.clone(), &Nothing, Options::default()) {
        Ok(image) => walk(&image),
        Err(error) => panic!("the headers and the function table are sound, but: {error}"),
    }
    assert_eq!(space.taken(), 0, "nothing of an image stays in memory");
}

/// Nothing is imported.
struct Nothing;

impl Resolver for Nothing {
    fn resolve(&self, _: &str, _: ImportSymbol<'_>) -> Resolution {
        Resolution::Missing
    }
}

/// Where the input lies in the image; the function table is behind it.
const SECTION: u32 = 0x1000;
const TABLE: u32 = 0x4000;
const IMAGE_SIZE: u32 = 0x5000;
const HEADERS: u32 = 0x400;
const FUNCTIONS: u32 = 8;
/// Bytes of code of each function, from the section's start on.
const FUNCTION: u32 = 0x80;

/// A driver image whose section is `content`, with a function table whose unwind data the first bytes choose.
fn file_around(content: &[u8]) -> Vec<u8> {
    let mut file = vec![0; HEADERS as usize];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3C, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    // Machine, two sections; size of the optional header; executable, and no relocations to apply: none are needed.
    put(0x44, &[0x64, 0x86, 2, 0]);
    put(0x54, &[240, 0, 0x22, 0]);
    let optional = 0x58;
    put(optional, &[0x0B, 0x02]);
    let fields: [(usize, u32); 9] = [
        (24, 0x1_0000),
        (32, 0x1000),
        (36, 0x200),
        (56, IMAGE_SIZE),
        (60, HEADERS),
        (68, 1),
        (108, 16),
        (112 + 8 * 3, TABLE),
        (112 + 8 * 3 + 4, 12 * FUNCTIONS),
    ];
    for (offset, value) in fields {
        put(optional + offset, &value.to_le_bytes());
    }
    let table_offset = HEADERS + 0x2000;
    let sections = [
        (SECTION, 0x3000_u32, HEADERS, 0x2000_u32, 0x6000_0020_u32),
        (TABLE, 0x200, table_offset, 0x200, 0x4000_0040),
    ];
    for (index, (rva, size, offset, file_size, flags)) in sections.into_iter().enumerate() {
        let header = optional + 240 + 40 * index;
        for (at, value) in [(8, size), (12, rva), (16, file_size), (20, offset), (36, flags)] {
            put(header + at, &value.to_le_bytes());
        }
    }
    file.extend_from_slice(content);
    file.resize(table_offset as usize, 0);
    for index in 0..FUNCTIONS {
        let begin = SECTION + index * FUNCTION;
        let choice = content.get(index as usize).copied().unwrap_or_default();
        // Mostly inside the input, whose unwind data then begin at a multiple of four; also just behind it.
        let unwind = SECTION + FUNCTIONS + 4 * u32::from(choice) * if index < 4 { 1 } else { 12 };
        for value in [begin, begin + FUNCTION, unwind] {
            file.extend_from_slice(&value.to_le_bytes());
        }
    }
    file.resize(table_offset as usize + 0x200, 0);
    file
}

/// Unwinds from places in functions of `image`, outwards as long as the frames are the image's.
pub(crate) fn walk(image: &Image) {
    let Some((table, count)) = image.facts().functions else { return };
    let base = image.base() as u64;
    let stack: Vec<u64> = (0..STACK as u64).map(|word| base + word * 0x21 % 0x4000).collect();
    let step = count.div_ceil(MAX_FUNCTIONS).max(1);
    // Which ones is the input's choice.
    let first = image.facts().checksum % step;
    for index in (first..count).step_by(step as usize) {
        let entry = base + u64::from(table) + 12 * u64::from(index);
        // The loader has checked that the table lies in the image.
        let Some((begin, end)) = function_at(entry) else { continue };
        for offset in [0, (end - begin) / 2, (end - begin).saturating_sub(1)] {
            let handler_type = if index % 2 == 0 { UNW_FLAG_EHANDLER } else { UNW_FLAG_UHANDLER };
            outwards(base, base + u64::from(begin + offset), entry, handler_type, &stack);
        }
    }
}

/// The addresses between which the function lies whose entry is at `entry`; none when it is padding or a section that
/// nobody may read.
fn function_at(entry: u64) -> Option<(u32, u32)> {
    let word = |at| <u32 as platform::memory::Scalar>::read(at).ok();
    let (begin, end) = (word(entry)?, word(entry + 4)?);
    (begin < end).then_some((begin, end))
}

fn outwards(base: u64, pc: u64, entry: u64, handler_type: u8, stack: &[u64]) {
    // SAFETY: CONTEXT is plain data, for which zero is a value.
    let mut context: CONTEXT = unsafe { std::mem::zeroed() };
    context.Rsp = ptr::from_ref(&stack[STACK / 4]).expose_provenance() as u64;
    (context.Rbp, context.Rbx) = (context.Rsp + 0x40, context.Rsp + 0x80);
    (context.R13, context.Rsi) = (base, u64::MAX);
    let (mut pc, mut entry) = (pc, entry);
    for _ in 0..MAX_FRAMES {
        let mut handler_data = 0_u64;
        let mut establisher = 0_u64;
        let arguments = VirtualUnwind {
            handler_type,
            image_base: base,
            control_pc: pc,
            function_entry: entry,
            context: (&raw mut context).expose_provenance() as u64,
            handler_data: (&raw mut handler_data).expose_provenance() as u64,
            establisher_frame: (&raw mut establisher).expose_provenance() as u64,
        };
        // SAFETY: the three pointers are this function's variables, which nothing else uses meanwhile.
        let Ok(_handler) = (unsafe { virtual_unwind(&arguments) }) else { return };
        pc = context.Rip;
        // SAFETY: 0 stands for no place to store the base at.
        entry = unsafe { lookup_function_entry(pc, 0) }.unwrap_or_default();
        if entry == 0 {
            return;
        }
    }
}
