//! Tables and frames made by hand, for what compilers seldom emit; real images are in `tests/seh.rs`.

use abi::{CONTEXT, RUNTIME_FUNCTION, UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER};
use proptest::prelude::*;

use super::*;

const RBX: u8 = 3;
const RBP: u8 = 5;
const R12: u8 = 12;

/// Where things lie in the image of a test.
const CODE: u32 = 0x100;
const INFO: u32 = 0x400;
const PARENT: u32 = 0x600;

/// An image with one function at [`CODE`], 0x80 bytes long, and a stack.
struct Fixture {
    image: Vec<u64>,
    stack: Vec<u64>,
}

impl Fixture {
    fn new() -> Self {
        platform::entry::prepare().expect("fault handlers");
        Self { image: vec![0x9090_9090_9090_9090; 512], stack: (0..256).map(|word| 0x1000 + word).collect() }
    }

    fn put(&mut self, rva: u32, bytes: &[u8]) -> &mut Self {
        for (rva, byte) in (rva as usize..).zip(bytes) {
            let shift = 8 * (rva % 8);
            let word = &mut self.image[rva / 8];
            *word = *word & !(0xFF << shift) | u64::from(*byte) << shift;
        }
        self
    }

    /// Unwind information: flags and version, prologue size, frame register and offset, codes as (offset, op | info << 4)
    /// or operand slots.
    fn info(
        &mut self,
        rva: u32,
        version_flags: [u8; 2],
        prologue: u8,
        frame: u8,
        slots: &[[u8; 2]],
    ) -> &mut Self {
        let [version, flags] = version_flags;
        let count = u8::try_from(slots.len()).expect("few slots");
        self.put(rva, &[version | flags << 3, prologue, count, frame]);
        self.put(rva + 4, slots.as_flattened())
    }

    fn tables(&self) -> Tables {
        let start = self.image.as_ptr().expose_provenance();
        let nowhere = std::sync::Arc::new(Nowhere);
        let patches = crate::patch::Patches::new(Box::default(), nowhere);
        Tables::new("test", start..start + self.image.len() * 8, None, patches)
    }

    /// A context with RIP `offset` bytes into the function and RSP at stack word 16; word n holds 1000h + n.
    fn context(&self, offset: u32) -> CONTEXT {
        // SAFETY: CONTEXT is plain data for which all zeroes is a value.
        let mut context: CONTEXT = unsafe { std::mem::zeroed() };
        context.Rip = self.tables().base + u64::from(CODE + offset);
        context.Rsp = self.word(16);
        context
    }

    fn word(&self, index: usize) -> u64 {
        (self.stack.as_ptr().expose_provenance() + 8 * index) as u64
    }

    fn unwind(&self, context: &mut CONTEXT, kind: u8) -> Result<Frame, UnwindError> {
        let function = RUNTIME_FUNCTION { BeginAddress: CODE, EndAddress: CODE + 0x80, UnwindData: INFO };
        unwind_function(&self.tables(), function, context, kind)
    }
}

const fn slot(offset: u8, operation: u8, info: u8) -> [u8; 2] {
    [offset, operation | info << 4]
}

#[test]
fn pushes_and_allocations_are_undone_in_reverse() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 0], 8, 0, &[slot(8, 2, 3), slot(4, 0, RBX), slot(2, 0, RBP)]);
    let mut context = fixture.context(0x20);
    let frame = fixture.unwind(&mut context, UNW_FLAG_EHANDLER).expect("sound");
    assert_eq!(frame.establisher, fixture.word(16));
    // 32 bytes allocated: words 16 to 19; then RBX, RBP, the return address.
    assert_eq!((context.Rbx, context.Rbp, context.Rip), (0x1000 + 20, 0x1000 + 21, 0x1000 + 22));
    assert_eq!(context.Rsp, fixture.word(23));
}

#[test]
fn in_the_prologue_only_what_has_run_is_undone() {
    let mut fixture = Fixture::new();
    let flags = UNW_FLAG_EHANDLER;
    fixture.info(INFO, [1, flags], 8, 0, &[slot(8, 2, 3), slot(4, 0, RBX), slot(2, 0, RBP)]);
    fixture.put(INFO + 12, &[0x10, 1, 0, 0]);
    for (offset, words, handled) in [(0, 0, false), (2, 1, false), (4, 2, false), (8, 6, true)] {
        let mut context = fixture.context(offset);
        let frame = fixture.unwind(&mut context, flags).expect("sound");
        assert_eq!(context.Rsp, fixture.word(16 + words + 1), "offset {offset}");
        assert_eq!(context.Rip, 0x1000 + 16 + words as u64);
        assert_eq!(frame.handler.is_some(), handled, "a frame that is not complete has no handler");
    }
}

#[test]
fn large_allocations_and_far_saves_take_one_or_two_slots() {
    let mut fixture = Fixture::new();
    // SAVE_NONVOL R12 at 8 * 2; SAVE_NONVOL_FAR RBX at 24; SAVE_XMM128 XMM6 at 16 * 2; SAVE_XMM128_FAR XMM15 at 48;
    // ALLOC_LARGE 8 * 10; ALLOC_LARGE 16.
    let slots = [
        slot(30, 4, R12),
        [2, 0],
        slot(26, 5, RBX),
        [24, 0],
        [0, 0],
        slot(22, 8, 6),
        [2, 0],
        slot(18, 9, 15),
        [48, 0],
        [0, 0],
        slot(14, 1, 0),
        [10, 0],
        slot(7, 1, 1),
        [16, 0],
        [0, 0],
    ];
    fixture.info(INFO, [1, 0], 30, 0, &slots);
    let mut context = fixture.context(0x30);
    fixture.unwind(&mut context, 0).expect("sound");
    assert_eq!((context.R12, context.Rbx), (0x1000 + 18, 0x1000 + 19));
    let xmm = |number: usize| context.FltSave.XmmRegisters[number];
    assert_eq!((xmm(6).Low, xmm(6).High), (0x1000 + 20, 0x1000 + 21));
    assert_eq!((xmm(15).Low, xmm(15).High), (0x1000 + 22, 0x1000 + 23));
    assert_eq!(context.Rip, 0x1000 + 16 + 12);
}

#[test]
fn a_frame_register_replaces_rsp_once_it_is_set() {
    let mut fixture = Fixture::new();
    // push rbp; sub rsp, 20h; lea rbp, [rsp + 20h]
    fixture.info(INFO, [1, 0], 10, RBP | 2 << 4, &[slot(10, 3, 0), slot(5, 2, 3), slot(1, 0, RBP)]);
    let mut context = fixture.context(0x20);
    // RSP has moved on since, as alloca does.
    context.Rbp = fixture.word(40) + 0x20;
    let frame = fixture.unwind(&mut context, 0).expect("sound");
    assert_eq!(frame.establisher, fixture.word(40));
    assert_eq!((context.Rbp, context.Rip), (0x1000 + 44, 0x1000 + 45));

    let mut context = fixture.context(5);
    context.Rbp = 0xDEAD;
    let frame = fixture.unwind(&mut context, 0).expect("sound");
    assert_eq!(frame.establisher, fixture.word(16), "not set yet");
    assert_eq!(context.Rip, 0x1000 + 21);
}

#[test]
fn chained_information_undoes_the_parents_whole_prologue_and_has_its_handler() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 4], 4, 0, &[slot(4, 0, RBX)]);
    fixture.put(INFO + 8, &[0, 2, 0, 0, 0, 3, 0, 0]);
    fixture.put(INFO + 16, &PARENT.to_le_bytes());
    fixture.info(PARENT, [1, UNW_FLAG_UHANDLER], 0x40, 0, &[slot(0x40, 2, 1), slot(2, 0, RBP)]);
    fixture.put(PARENT + 8, &[0x50, 1, 0, 0]);
    let mut context = fixture.context(0x20);
    let frame = fixture.unwind(&mut context, UNW_FLAG_UHANDLER).expect("sound");
    assert_eq!((context.Rbx, context.Rbp, context.Rip), (0x1000 + 16, 0x1000 + 19, 0x1000 + 20));
    let base = fixture.tables().base;
    let expected = Handler { routine: base + 0x150, data: base + u64::from(PARENT) + 12 };
    assert_eq!(frame.handler, Some(expected));
    let frame = fixture.unwind(&mut fixture.context(0x20), UNW_FLAG_EHANDLER).expect("sound");
    assert_eq!(frame.handler, None, "it handles unwinding only");
}

#[test]
fn a_machine_frame_holds_rip_and_rsp() {
    for (info, skipped) in [(0, 0), (1, 1)] {
        let mut fixture = Fixture::new();
        fixture.info(INFO, [1, 0], 1, 0, &[slot(1, 2, 0), slot(0, 10, info)]);
        fixture.stack[17 + skipped + 3] = 0x7777;
        let mut context = fixture.context(0x20);
        fixture.unwind(&mut context, 0).expect("sound");
        assert_eq!((context.Rip, context.Rsp), (0x1000 + 17 + skipped as u64, 0x7777));
    }
}

#[test]
fn an_epilogue_is_finished_from_wherever_it_stands() {
    // add rsp, 20h; pop rbx; pop r12; ret
    let code = [0x48, 0x83, 0xC4, 0x20, 0x5B, 0x41, 0x5C, 0xC3];
    for (at, rbx, r12, rip) in [(0, 20, 21, 22), (4, 16, 17, 18), (5, 0, 16, 17), (7, 0, 0, 16)] {
        let mut fixture = Fixture::new();
        let flags = UNW_FLAG_EHANDLER;
        fixture.info(INFO, [1, flags], 6, 0, &[slot(6, 2, 3), slot(2, 0, RBX), slot(1, 0, R12)]);
        fixture.put(INFO + 12, &[0x10, 1, 0, 0]);
        fixture.put(CODE + 0x40, &code);
        let mut context = fixture.context(0x40 + at);
        let frame = fixture.unwind(&mut context, flags).expect("sound");
        let value = |word: u64| if word == 0 { 0 } else { 0x1000 + word };
        assert_eq!((context.Rbx, context.R12, context.Rip), (value(rbx), value(r12), value(rip)), "at {at}");
        assert_eq!(frame.handler, None);
    }
}

#[test]
fn epilogues_end_with_any_return_or_a_jump_out_of_the_function() {
    let cases: [(&[u8], bool); 9] = [
        (&[0xC3], true),
        (&[0xF3, 0xC3], true),
        (&[0xC2, 8, 0], true),
        (&[0xE9, 0, 1, 0, 0], true),
        (&[0xE9, 0, 0, 0, 0], false),
        (&[0xEB, 0x70], true),
        (&[0xEB, 0xF0], false),
        (&[0xFF, 0x25, 0, 0, 0, 0], true),
        (&[0x48, 0xFF, 0xE0], true),
    ];
    for (code, is_epilogue) in cases {
        let mut fixture = Fixture::new();
        fixture.info(INFO, [1, 0], 4, 0, &[slot(4, 2, 3)]);
        fixture.put(CODE + 0x40, code);
        let mut context = fixture.context(0x40);
        fixture.unwind(&mut context, 0).expect("sound");
        let word = if is_epilogue { 16 } else { 20 };
        assert_eq!(context.Rip, 0x1000 + word, "{code:02X?}");
    }
}

#[test]
fn an_epilogue_may_start_from_the_frame_register() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 0], 10, RBP, &[slot(10, 3, 0), slot(5, 2, 3), slot(1, 0, RBP)]);
    // lea rsp, [rbp + 20h]; pop rbp; ret
    fixture.put(CODE + 0x40, &[0x48, 0x8D, 0x65, 0x20, 0x5D, 0xC3]);
    let mut context = fixture.context(0x40);
    context.Rbp = fixture.word(30);
    fixture.unwind(&mut context, 0).expect("sound");
    assert_eq!((context.Rbp, context.Rip), (0x1000 + 34, 0x1000 + 35));
}

#[test]
fn version_2_lists_its_epilogues() {
    // The function ends with an epilogue of 2 bytes; another starts 40h bytes before the end.
    let mut fixture = Fixture::new();
    let codes = [slot(2, 6, 1), slot(0x40, 6, 0), slot(4, 2, 3), slot(1, 0, RBX)];
    fixture.info(INFO, [2, 0], 4, 0, &codes);
    let epilogue = [0x5B, 0xC3];
    fixture.put(CODE + 0x40, &epilogue).put(CODE + 0x7E, &epilogue).put(CODE + 0x60, &epilogue);
    for (offset, rbx) in [(0x40, 16), (0x7E, 16), (0x60, 20), (0x30, 20)] {
        let mut context = fixture.context(offset);
        fixture.unwind(&mut context, 0).expect("sound");
        assert_eq!((context.Rbx, context.Rip), (0x1000 + rbx, 0x1001 + rbx), "{offset:#x}");
    }
}

#[test]
fn malformed_information_is_an_error() {
    type Case<'a> = ([u8; 2], u8, &'a [[u8; 2]]);
    let malformed: [Case<'_>; 7] = [
        ([3, 0], 0, &[]),
        ([0, 0], 0, &[]),
        ([1, 0], 0, &[slot(1, 6, 0)]),
        ([1, 0], 0, &[slot(1, 11, 0)]),
        ([1, 0], 0, &[slot(1, 1, 2)]),
        // The operand is missing.
        ([1, 0], 0, &[slot(1, 1, 0)]),
        // The frame register is set, but there is none.
        ([1, 0], 0, &[slot(1, 3, 0)]),
    ];
    for (version_flags, frame, slots) in malformed {
        let mut fixture = Fixture::new();
        fixture.info(INFO, version_flags, 4, frame, slots);
        let outcome = fixture.unwind(&mut fixture.context(0x20), 0);
        assert!(matches!(outcome, Err(UnwindError::Table(_))), "{slots:?}: {outcome:?}");
    }
}

#[test]
fn a_chain_that_leads_to_itself_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 4], 0, 0, &[]);
    fixture.put(INFO + 4, &[0; 8]).put(INFO + 12, &INFO.to_le_bytes());
    let outcome = fixture.unwind(&mut fixture.context(0x20), 0);
    assert!(matches!(outcome, Err(UnwindError::Table(_))), "{outcome:?}");
}

#[test]
fn a_handler_outside_of_the_image_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 1], 0, 0, &[]).put(INFO + 4, &[0, 0, 1, 0]);
    let outcome = fixture.unwind(&mut fixture.context(0x20), UNW_FLAG_EHANDLER);
    assert!(matches!(outcome, Err(UnwindError::Table(_))), "{outcome:?}");
}

#[test]
fn a_stack_that_is_not_there_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.info(INFO, [1, 0], 1, 0, &[slot(1, 0, RBX)]);
    let mut context = fixture.context(0x20);
    context.Rsp = 0x10;
    assert_eq!(fixture.unwind(&mut context, 0).err(), Some(UnwindError::Stack(0x10)));
}

proptest! {
    #[test]
    fn no_table_or_context_makes_unwinding_fail_otherwise_than_by_an_error(
        info in proptest::collection::vec(any::<u8>(), 0..600),
        code in proptest::collection::vec(any::<u8>(), 0..128),
        version in 1..=2_u8,
        registers in proptest::array::uniform8(any::<u64>()),
        offset in 0..0x80_u32,
        data in 0..0x1100_u32,
    ) {
        let mut fixture = Fixture::new();
        let length = info.len().min(4096 - INFO as usize);
        fixture.put(INFO, &info[..length]).put(CODE, &code);
        let first = info.first().copied().unwrap_or_default();
        fixture.put(INFO, &[first & !7 | version]);
        let mut context = fixture.context(offset);
        context.Rbp = registers[0];
        context.Rbx = registers[1];
        context.R12 = registers[2];
        if registers[3] % 4 == 0 {
            context.Rsp = registers[4];
        }
        let unwind_data = if registers[5] % 2 == 0 { INFO } else { data };
        let function = RUNTIME_FUNCTION { BeginAddress: CODE, EndAddress: CODE + 0x80, UnwindData: unwind_data };
        let outcome = unwind_function(&fixture.tables(), function, &mut context, 3);
        if let Ok(Frame { handler: Some(handler), .. }) = outcome {
            prop_assert!(fixture.tables().contains(handler.routine));
        }
    }
}

/// Nothing here is patched.
struct Nowhere;

impl crate::map::ImageSpace for Nowhere {
    fn allocate(&self, _: usize) -> Result<usize, platform::pages::PagesError> {
        Err(platform::pages::PagesError::NoMemory)
    }

    fn allocate_at(&self, _: usize, _: usize) -> Result<(), platform::pages::PagesError> {
        Err(platform::pages::PagesError::NoMemory)
    }

    fn allocate_within(
        &self,
        _: std::ops::Range<usize>,
        _: usize,
    ) -> Result<usize, platform::pages::PagesError> {
        Err(platform::pages::PagesError::NoMemory)
    }

    fn protect(
        &self,
        _: usize,
        _: usize,
        _: platform::pages::Protection,
    ) -> Result<(), platform::pages::PagesError> {
        Ok(())
    }

    fn release(&self, _: usize, _: usize) {}
}
