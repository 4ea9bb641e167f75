//! Inspection of real images, and of the same images damaged: always facts or an error that says what and where.

#![expect(unsafe_code, reason = "the shared test machine enters driver code")]

extern crate ringbridge_loader as loader;

mod support;

use std::sync::{Arc, LazyLock};

use loader::map::{ImageSpace, MapError, Options, Resolution, Resolver, map};
use loader::pe::{ExportTarget, ImageError, ImportSymbol, Machine, Relocations, Section, inspect};
use platform::pages::{PagesError, Protection};
use proptest::prelude::*;
use support::{image, image_with};

static SIMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| image("simple"));
static GUARDED: LazyLock<Vec<u8>> = LazyLock::new(|| image("guarded"));
static SEH: LazyLock<Vec<u8>> = LazyLock::new(|| image("seh"));

/// Offsets from the PE signature.
mod header {
    pub(crate) const MACHINE: usize = 4;
    pub(crate) const SECTION_COUNT: usize = 6;
    pub(crate) const OPTIONAL_SIZE: usize = 20;
    pub(crate) const CHARACTERISTICS: usize = 22;
    pub(crate) const MAGIC: usize = 24;
    pub(crate) const ENTRY: usize = 24 + 16;
    pub(crate) const BASE: usize = 24 + 24;
    pub(crate) const SECTION_ALIGNMENT: usize = 24 + 32;
    pub(crate) const IMAGE_SIZE: usize = 24 + 56;
    pub(crate) const HEADER_SIZE: usize = 24 + 60;
    pub(crate) const SUBSYSTEM: usize = 24 + 68;
    pub(crate) const DLL_CHARACTERISTICS: usize = 24 + 70;
    pub(crate) const DIRECTORIES: usize = 24 + 112;
    pub(crate) const SECTIONS: usize = 24 + 112 + 16 * 8;
}

mod directory {
    pub(crate) const EXPORT: usize = 0;
    pub(crate) const IMPORT: usize = 1;
    pub(crate) const EXCEPTION: usize = 3;
    pub(crate) const RELOCATION: usize = 5;
    pub(crate) const LOAD_CONFIG: usize = 10;
}

/// A copy of an image, to be damaged.
struct Damaged(Vec<u8>, Vec<Section>);

impl Damaged {
    fn new(image: &[u8]) -> Self {
        Self(image.to_vec(), inspect(image).expect("not damaged yet").sections)
    }

    fn signature(&self) -> usize {
        self.long(0x3C) as usize
    }

    fn long(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"))
    }

    fn header(mut self, offset: usize, bytes: &[u8]) -> Self {
        let at = self.signature() + offset;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A data directory's relative address and size.
    fn directory(&self, index: usize) -> (u32, u32) {
        let at = self.signature() + header::DIRECTORIES + 8 * index;
        (self.long(at), self.long(at + 4))
    }

    fn offset(&self, rva: u32) -> usize {
        let section = self.1.iter().find(|section| section.contains(rva)).expect("in a section");
        (section.file_offset + rva - section.rva) as usize
    }

    /// Changes bytes at a relative address.
    fn at(mut self, rva: u32, bytes: &[u8]) -> Self {
        let offset = self.offset(rva);
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn error(&self) -> ImageError {
        inspect(&self.0).expect_err("damaged")
    }

    /// The error's text, which has to say this.
    fn says(&self, part: &str) {
        let text = self.error().to_string();
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

fn simple() -> Damaged {
    Damaged::new(&SIMPLE)
}

#[test]
fn a_drivers_facts_are_what_the_linker_wrote() {
    let facts = inspect(&SIMPLE).expect("sound");
    assert_eq!((facts.subsystem, facts.size % 4096), (1, 0));
    assert!(facts.entry.is_some_and(|entry| facts.section_at(entry).expect("in one").flags.execute));
    let [dll] = &facts.imports[..] else { panic!("{:?}", facts.imports) };
    assert_eq!(dll.name, "ntoskrnl.exe");
    let mut symbols: Vec<_> = dll.symbols.iter().map(|import| import.symbol().to_string()).collect();
    symbols.sort();
    assert_eq!(symbols, ["Note", "SystemVariable", "ordinal 7"]);
    assert!(dll.symbols.iter().any(|import| import.symbol() == ImportSymbol::Ordinal(7)));
    let export = facts.export("Add").expect("exported");
    assert!(matches!(export.target, ExportTarget::Address(rva) if facts.section_at(rva).is_some()));
    assert!(facts.export("Nothing").is_none());
    assert!(matches!(facts.relocations, Relocations::Count(1..)));
    assert!(facts.functions.is_some_and(|(_, count)| count > 0));
    assert!(facts.pdb.as_deref().is_some_and(|path| path.ends_with("image.pdb")));
    let data = facts.sections.iter().find(|section| section.name == ".data").expect("data");
    assert!(data.flags.write && data.size > data.file_size);
    assert!(facts.load_config.is_none() && !facts.force_integrity());
    let guarded = inspect(&GUARDED).expect("sound").load_config.expect("a load configuration");
    assert!(guarded.security_cookie.is_some() && guarded.guard_check.is_some());
}

#[test]
fn force_integrity_is_a_fact_and_no_error() {
    let forced = simple().header(header::DLL_CHARACTERISTICS, &[0xE0, 1]);
    assert!(inspect(&forced.0).expect("sound").force_integrity());
}

#[test]
fn stripped_relocations_are_a_fact() {
    let facts = inspect(&image_with("simple", &["/FIXED", "/BASE:0x17000000"])).expect("sound");
    assert_eq!((facts.relocations, facts.preferred_base), (Relocations::Stripped, 0x1700_0000));
}

#[test]
fn what_is_no_image_is_refused() {
    assert!(matches!(inspect(b""), Err(ImageError::NotAnImage(_))));
    assert!(matches!(inspect(b"\x7FELF and so on"), Err(ImageError::NotAnImage(_))));
    assert!(matches!(inspect(b"MZ"), Err(ImageError::Truncated { what: "the DOS header", .. })));
    let mut dos = simple();
    let at = dos.signature();
    dos.0[at] = b'N';
    dos.says("no PE signature");
}

#[test]
fn an_image_cut_off_anywhere_is_refused() {
    for length in 0..SIMPLE.len() {
        let cut = inspect(&SIMPLE[..length]);
        // The end of the file is padding of the last section.
        let needed = simple().0.iter().rposition(|byte| *byte != 0).expect("content");
        assert!(cut.is_err() || length > needed, "{length} of {} bytes", SIMPLE.len());
    }
    let error = inspect(&SIMPLE[..0x200]).expect_err("cut off");
    assert!(error.to_string().contains("the file has 512"), "{error}");
}

#[test]
fn images_for_other_machines_are_refused_by_name() {
    for (machine, name) in
        [(0x14C_u16, "32-bit x86"), (0xAA64, "ARM64"), (0x1C4, "32-bit ARM"), (7, "0x0007")]
    {
        let other = simple().header(header::MACHINE, &machine.to_le_bytes());
        assert_eq!(other.error(), ImageError::WrongMachine(Machine(machine)));
        other.says(name);
    }
    simple().header(header::MAGIC, &[0x0B, 1]).says("64-bit");
}

#[test]
fn programs_and_object_files_are_no_drivers() {
    let program = simple().header(header::SUBSYSTEM, &[3, 0]);
    assert_eq!(program.error(), ImageError::NotADriver(3));
    simple().header(header::CHARACTERISTICS, &[0, 0]).says("object file");
}

#[test]
fn huge_sizes_are_refused() {
    let huge = simple().header(header::IMAGE_SIZE, &[0, 0, 0, 0x80]);
    assert!(matches!(
        huge.error(),
        ImageError::TooLarge { what: "the image's size", value: 0x8000_0000, .. }
    ));
    let many = simple().header(header::SECTION_COUNT, &[0xFF, 0xFF]);
    assert!(matches!(
        many.error(),
        ImageError::TooLarge { what: "the number of sections", value: 65_535, .. }
    ));
    simple().header(header::IMAGE_SIZE, &[0; 4]).says("its size is zero");
    simple().header(header::HEADER_SIZE, &[0, 0, 0, 0x10]).says("the headers");
    simple().header(header::BASE, &[1]).says("64 KiB");
    let top = simple().header(header::BASE, &[0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    top.header(header::IMAGE_SIZE, &[0, 0, 2, 0]).says("wrap around");
}

#[test]
fn nonsensical_headers_are_refused() {
    simple().header(header::SECTION_COUNT, &[0, 0]).says("no sections");
    simple().header(header::SECTION_ALIGNMENT, &[3, 0]).says("alignment");
    simple().header(header::OPTIONAL_SIZE, &[100, 0]).says("too short for its data directories");
    simple().header(header::ENTRY, &[1, 0, 0, 0]).says("no executable section");
    simple().header(header::ENTRY, &[0xFF, 0xFF, 0xFF, 0x7F]).says("no executable section");
    assert_eq!(inspect(&simple().header(header::ENTRY, &[0; 4]).0).expect("an export driver").entry, None);
}

/// Changes a field of the header of section number `index`.
fn section(index: usize, field: usize, value: u32) -> Damaged {
    simple().header(header::SECTIONS + 40 * index + field, &value.to_le_bytes())
}

#[test]
fn sections_that_overlap_or_lie_outside_are_refused_by_name() {
    const SIZE: usize = 8;
    const ADDRESS: usize = 12;
    const RAW_SIZE: usize = 16;
    const RAW_OFFSET: usize = 20;
    section(1, ADDRESS, 0x1000).says("section 2 (.rdata): it overlaps");
    section(0, ADDRESS, 0).says("section 1 (.text): it overlaps");
    section(0, ADDRESS, 0x1010).says("not aligned");
    section(0, SIZE, 0x10_0000).says("beyond the image");
    section(0, SIZE, u32::MAX).says("beyond the image");
    section(0, ADDRESS, 0xFFFF_F000).says("beyond the image");
    section(0, RAW_OFFSET, 0x10_0000).says("beyond the end of the file");
    section(0, RAW_OFFSET, u32::MAX).says("beyond the end of the file");
    let nothing = section(0, SIZE, 0).header(header::SECTIONS + RAW_SIZE, &[0; 4]);
    nothing.says("it is empty");
}

#[test]
fn directories_outside_of_the_image_are_refused() {
    for (index, what) in [
        (directory::IMPORT, "import table"),
        (directory::EXPORT, "export table"),
        (directory::RELOCATION, "relocation table"),
        (directory::EXCEPTION, "function table"),
        (directory::LOAD_CONFIG, "load configuration"),
    ] {
        let entry = header::DIRECTORIES + 8 * index;
        let outside = simple().header(entry, &[0, 0, 0, 0x70, 0x20, 1, 0, 0]);
        outside.says(what);
        outside.says("beyond the image");
        // Inside the image, but in no section: between headers and the first one.
        simple().header(entry, &[0, 8, 0, 0, 0x20, 1, 0, 0]).says("outside of the file's content");
    }
}

#[test]
fn an_import_table_that_does_not_end_is_refused() {
    let damaged = simple();
    let (rva, _) = damaged.directory(directory::IMPORT);
    let offset = damaged.offset(rva);
    let descriptor = damaged.0[offset..offset + 20].to_vec();
    // Descriptors of the same DLL up to the section's end.
    let facts = inspect(&damaged.0).expect("sound");
    let section = facts.section_at(rva).expect("in one");
    let room = (section.rva + section.file_size - rva) as usize;
    let endless: Vec<u8> = descriptor.iter().copied().cycle().take(room).collect();
    damaged.at(rva, &endless).error();
}

#[test]
fn import_names_must_be_in_the_file_terminated_and_printable() {
    let damaged = simple();
    let (rva, _) = damaged.directory(directory::IMPORT);
    let names = damaged.long(damaged.offset(rva));
    let name = damaged.long(damaged.offset(rva) + 12);
    simple().at(rva + 12, &[0xFF, 0xFF, 0, 0]).says("not terminated");
    simple().at(name, &[7]).says("not printable");
    simple().at(names, &[0, 0, 0, 0, 1, 0, 0, 0]).says("no relative address");
    simple().at(names, &[0, 0, 1, 0, 0, 0, 0, 0x80]).says("above 65535");
    simple().at(rva + 16, &[0, 0, 0, 0x10]).says("outside of the sections");
    simple().at(rva + 16, &[0x10, 0, 0, 0]).says("outside of the sections");
}

/// `count` imports by ordinal, in an image whose last section was extended to hold them.
fn with_imports(count: usize) -> Damaged {
    let mut damaged = simple();
    let facts = inspect(&damaged.0).expect("sound");
    let last = facts.sections.last().expect("sections");
    let (index, rva) = (facts.sections.len() - 1, last.rva);
    let (table, _) = damaged.directory(directory::IMPORT);
    let start = damaged.0.len();
    let names = (0..count).flat_map(|_| 0x8000_0000_0000_0001_u64.to_le_bytes()).chain([0; 8]);
    damaged.0.extend(names);
    let length = u32::try_from(damaged.0.len() - start).expect("small");
    let offset = u32::try_from(start).expect("small");
    let header = header::SECTIONS + 40 * index;
    let end = (rva + length).next_multiple_of(0x1000);
    damaged
        .at(table, &rva.to_le_bytes())
        .at(table + 16, &rva.to_le_bytes())
        .header(header + 8, &length.to_le_bytes())
        .header(header + 16, &length.to_le_bytes())
        .header(header + 20, &offset.to_le_bytes())
        .header(header::IMAGE_SIZE, &end.to_le_bytes())
        .header(header::DIRECTORIES + 8 * directory::RELOCATION, &[0; 8])
}

#[test]
fn imports_are_counted() {
    assert_eq!(inspect(&with_imports(65_535).0).expect("just enough").import_count(), 65_535);
    let many = with_imports(65_536);
    assert!(
        matches!(many.error(), ImageError::TooLarge { what: "the number of imports", .. }),
        "{}",
        many.error()
    );
}

#[test]
fn relocation_blocks_must_fit_their_table_and_the_image() {
    let (rva, _) = simple().directory(directory::RELOCATION);
    simple().at(rva + 4, &[0, 0, 0, 0]).says("block's size");
    simple().at(rva + 4, &[7, 0, 0, 0]).says("block's size");
    simple().at(rva + 4, &[0, 0, 0, 0x10]).says("block's size");
    simple().at(rva, &[0, 0xF0, 0xFF, 0xFF]).says("outside of the image");
    simple().at(rva + 8, &[0, 0x30]).says("HIGHLOW");
    simple().at(rva + 8, &[0, 0x50]).says("x64 does not have");
}

#[test]
fn export_tables_must_be_consistent() {
    let damaged = simple();
    let (rva, _) = damaged.directory(directory::EXPORT);
    let offset = damaged.offset(rva);
    let [functions, names, ordinals] = [28, 32, 36].map(|field| damaged.long(offset + field));
    simple().at(rva + 20, &[0, 0, 1, 0]).says("the number of exports");
    simple().at(rva + 24, &[0, 0, 1, 0]).says("the number of exported names");
    simple().at(rva + 24, &[0xFF, 0xFF, 0, 0]).says("outside of the file's content");
    simple().at(ordinals, &[0xFF, 0xFF]).says("ordinal beyond the table");
    simple().at(functions, &[0, 0, 0, 0x10]).says("an export lies outside");
    simple().at(names, &[0, 0, 0, 0x10]).says("not terminated");
    // An address inside the table is the name of another image's symbol.
    let dll_name = damaged.long(offset + 12);
    let forwarded = simple().at(functions, &dll_name.to_le_bytes()).at(dll_name, b"hal.F\0");
    let facts = inspect(&forwarded.0).expect("sound");
    let targets: Vec<_> = facts.exports.iter().map(|export| export.target.clone()).collect();
    assert!(targets.contains(&ExportTarget::Forward("hal.F".to_owned())), "{targets:?}");
}

#[test]
fn the_function_table_must_be_sorted() {
    let (rva, size) = Damaged::new(&SEH).directory(directory::EXCEPTION);
    Damaged::new(&SEH).at(rva, &[0xFF, 0xFF, 0, 0]).says("not in order");
    Damaged::new(&SEH).at(rva + 4, &[0, 0, 0, 0x10]).says("not in order");
    let entry = header::DIRECTORIES + 8 * directory::EXCEPTION + 4;
    Damaged::new(&SEH).header(entry, &(size - 1).to_le_bytes()).says("multiple of 12");
}

#[test]
fn load_configurations_must_point_into_the_image() {
    let (rva, _) = Damaged::new(&GUARDED).directory(directory::LOAD_CONFIG);
    Damaged::new(&GUARDED).at(rva + 0x58, &[0xFF; 8]).says("load configuration");
    Damaged::new(&GUARDED).at(rva + 0x58, &[8, 0, 0, 0, 0, 0, 0, 0]).says("outside of the image");
    // Its size decides which fields are there.
    let short = Damaged::new(&GUARDED).at(rva, &[0x40, 0, 0, 0]);
    let config = inspect(&short.0).expect("sound").load_config.expect("still there");
    assert_eq!((config.security_cookie, config.guard_check), (None, None));
}

/// Images in ordinary memory, which is enough as none of their code runs.
struct Heap;

impl ImageSpace for Heap {
    fn allocate(&self, size: usize) -> Result<usize, PagesError> {
        Ok(Vec::leak(vec![0_u64; size / 8]).as_ptr().expose_provenance())
    }

    fn allocate_at(&self, _: usize, _: usize) -> Result<(), PagesError> {
        Err(PagesError::Occupied)
    }

    fn allocate_within(&self, _: std::ops::Range<usize>, _: usize) -> Result<usize, PagesError> {
        Err(PagesError::NoMemory)
    }

    fn protect(&self, _: usize, _: usize, _: Protection) -> Result<(), PagesError> {
        Ok(())
    }

    fn release(&self, base: usize, size: usize) {
        let memory = std::ptr::with_exposed_provenance_mut::<u64>(base);
        // SAFETY: `allocate` leaked a vector of this length.
        drop(unsafe { Vec::from_raw_parts(memory, size / 8, size / 8) });
    }
}

struct Anything;

impl Resolver for Anything {
    fn resolve(&self, _: &str, _: ImportSymbol<'_>) -> Resolution {
        Resolution::Function(0x1234)
    }
}

/// Inspects and, unless it is large, maps: neither may panic, and they agree.
fn load(bytes: &[u8]) {
    const SMALL: u32 = 1 << 20;
    let inspected = inspect(bytes);
    if inspected.as_ref().is_ok_and(|facts| facts.size > SMALL) {
        return;
    }
    match (map("mutant", bytes, Arc::new(Heap), &Anything, Options::default()), inspected) {
        (Ok(image), Ok(facts)) => assert_eq!(image.facts().size, facts.size),
        (Err(MapError::FixedBase { .. }), Ok(facts)) => assert_eq!(facts.relocations, Relocations::Stripped),
        (Err(MapError::Image(error)), Err(expected)) => assert_eq!(error, expected),
        (mapped, inspected) => panic!("{mapped:?}, but {inspected:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_inspected(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        load(&bytes);
    }

    #[test]
    fn images_with_changed_bytes_are_loaded_or_refused(
        which in 0..3_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = [&*SIMPLE, &*GUARDED, &*SEH][which].clone();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        load(&bytes);
    }

    #[test]
    fn images_with_changed_tables_are_loaded_or_refused(
        which in 0..3_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), interesting()), 1..6),
    ) {
        let mut bytes = [&*SIMPLE, &*GUARDED, &*SEH][which].clone();
        let tables = table_bytes(&bytes);
        for (index, value) in changes {
            let at = *index.get(&tables) & !3;
            if let Some(word) = bytes.get_mut(at..at + 4) {
                word.copy_from_slice(&value.to_le_bytes());
            }
        }
        load(&bytes);
    }
}

/// Numbers at which checks go wrong.
fn interesting() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u32::MAX),
        Just(u32::MAX - 7),
        Just(0x8000_0000),
        Just(0x7FFF_FFFF),
        Just(0x1000),
        0..0x6000_u32,
        any::<u32>(),
    ]
}

/// File offsets of headers and of every table.
fn table_bytes(bytes: &[u8]) -> Vec<usize> {
    let image = Damaged::new(bytes);
    let headers = 0..0x300;
    let tables = (0..16).flat_map(|index| {
        let (rva, size) = image.directory(index);
        let facts = inspect(bytes).expect("sound");
        let offset = facts.section_at(rva).map(|section| (section.file_offset + rva - section.rva) as usize);
        offset.map_or(0..0, |offset| offset..offset + size as usize)
    });
    headers.chain(tables).collect()
}
