//! Mutations that know where an image's tables are, so that most of what is tried gets past the headers.

use crate::random::Random;

/// The engine's own mutation: changes the first `size` bytes to at most `max` and returns how many they are then.
type Ordinary = fn(&mut [u8], usize, usize) -> usize;

const DIRECTORY_COUNT: usize = 16;
const SECTION_HEADER: usize = 40;

/// Changes the image in the first `size` bytes of `data`; returns its new size, at most `max`.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32, ordinary: Ordinary) -> usize {
    let mut random = Random::new(seed);
    let Some(layout) = Layout::of(&data[..size]).filter(|_| size <= max && !random.chance(3)) else {
        return ordinary(data, size, max);
    };
    for _ in 0..=random.below(3) {
        let file = &mut data[..size];
        let (place, width) = layout.field(&mut random, file);
        let Some(field) = file.get_mut(place..place + width) else { continue };
        let old = field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let new = layout.value(&mut random, old).to_le_bytes();
        field.copy_from_slice(&new[..width]);
    }
    size
}

/// What a file's headers say, believed as they are.
struct Layout {
    /// Offset of the PE signature.
    signature: usize,
    /// Offset of the section headers.
    table: usize,
    /// Relative address, bytes of memory, file offset, bytes in the file.
    sections: Vec<[u32; 4]>,
    /// Relative address and size.
    directories: Vec<[u32; 2]>,
    image_size: u32,
    file_size: u32,
}

fn long(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

impl Layout {
    fn of(file: &[u8]) -> Option<Self> {
        let signature = long(file, 0x3C)? as usize;
        let count = (long(file, signature.checked_add(4)?)? >> 16) as usize;
        let optional = long(file, signature + 20)? as usize & 0xFFFF;
        let table = signature + 24 + optional;
        let section = |index: usize| {
            let at = table + index * SECTION_HEADER;
            Some([long(file, at + 12)?, long(file, at + 8)?, long(file, at + 20)?, long(file, at + 16)?])
        };
        let directory = |index: usize| {
            let at = signature + 24 + 112 + index * 8;
            Some([long(file, at)?, long(file, at + 4)?])
        };
        Some(Self {
            signature,
            table,
            sections: (0..count.min(96)).map_while(section).collect(),
            directories: (0..DIRECTORY_COUNT).map_while(directory).collect(),
            image_size: long(file, signature + 24 + 56)?,
            file_size: u32::try_from(file.len()).ok()?,
        })
    }

    fn offset(&self, rva: u32) -> Option<usize> {
        let [start, _, offset, _] =
            self.sections.iter().rev().find(|[start, size, ..]| rva.wrapping_sub(*start) < *size)?;
        Some(rva.wrapping_sub(*start) as usize + *offset as usize)
    }

    /// A place that means something, and its width in bytes.
    fn field(&self, random: &mut Random, file: &[u8]) -> (usize, usize) {
        const FIXED: usize = 24 + 112;
        match random.below(10) {
            0 => (self.signature + 2 * random.below(FIXED / 2), random.pick(&[2, 4])),
            1 => (self.signature + FIXED + 4 * random.below(2 * DIRECTORY_COUNT), 4),
            2 => {
                let header = self.table + SECTION_HEADER * random.below(self.sections.len());
                (header + random.pick(&[8, 12, 16, 20, 36]), 4)
            }
            3 => (random.below(file.len()), 1),
            _ => self.in_a_table(random, file),
        }
    }

    /// A place in what a data directory names, or in what an entry of it points to.
    fn in_a_table(&self, random: &mut Random, file: &[u8]) -> (usize, usize) {
        let tables: Vec<_> = self.directories.iter().filter(|[rva, size]| *rva != 0 && *size != 0).collect();
        if tables.is_empty() {
            return (random.below(file.len()), 4);
        }
        let [rva, size] = *random.pick(&tables);
        let place = |rva| self.offset(rva).unwrap_or(0);
        let inside = place(rva) + 4 * random.below(size.min(1 << 20) as usize / 4);
        let width = random.pick(&[1, 2, 4, 4, 4, 8]);
        // Tables of tables: import lookup tables, names, unwind information.
        match long(file, inside).and_then(|rva| self.offset(rva)).filter(|_| random.chance(2)) {
            Some(target) => (target + random.pick(&[0, 0, 1, 2, 3, 4, 6, 8, 12, 16, 20]), width),
            None => (inside, width),
        }
    }

    /// A value that such fields have in files which go wrong.
    fn value(&self, random: &mut Random, old: u64) -> u64 {
        let small = u64::try_from(random.below(17)).unwrap_or_default();
        let near = |value: u32| u64::from(value).wrapping_add(small).wrapping_sub(8);
        match random.below(9) {
            0 => 0,
            1 => u64::MAX - small,
            2 => near(self.image_size),
            3 => near(self.file_size),
            4 => old.wrapping_add(small).wrapping_sub(8),
            5 => 1 << random.below(64),
            6 => match self.sections.len() {
                0 => random.next(),
                count => near(self.sections[random.below(count)][random.below(4)]),
            },
            7 => match self.directories.len() {
                0 => random.next(),
                count => near(self.directories[random.below(count)][random.below(2)]),
            },
            _ => random.next() >> random.below(64),
        }
    }
}
