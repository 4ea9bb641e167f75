//! Headers and sections, and reading a file by relative address.

use object::LittleEndian as LE;
use object::pe::{self, ImageDosHeader, ImageFileHeader, ImageOptionalHeader64, ImageSectionHeader};
use object::pod::{Pod, from_bytes, slice_from_bytes};

use super::{ImageError, MAX_IMAGE_SIZE, MAX_NAME, Machine};

pub(crate) const PAGE: u32 = 4096;
/// As the PE format's own limit on sections for the Windows loader.
const MAX_SECTIONS: usize = 96;
const DIRECTORIES: usize = 16;

/// What may be done with a section's memory, from its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionFlags {
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Not needed after initialisation.
    pub discardable: bool,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, without trailing zeroes.
    pub name: String,
    /// Relative address of its first byte.
    pub rva: u32,
    /// Bytes of memory.
    pub size: u32,
    /// File offset of its content.
    pub file_offset: u32,
    /// Bytes of content; the rest of its memory is zero.
    pub file_size: u32,
    /// Protection.
    pub flags: SectionFlags,
}

impl Section {
    /// Whether a relative address lies in it.
    #[must_use]
    pub fn contains(&self, rva: u32) -> bool {
        rva.checked_sub(self.rva).is_some_and(|offset| offset < self.size)
    }
}

/// A parsed file: headers and sections are sound, the tables are not yet read.
pub(crate) struct File<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: &'a ImageFileHeader,
    pub(crate) optional: &'a ImageOptionalHeader64,
    directories: &'a [pe::ImageDataDirectory],
    pub(crate) sections: Vec<Section>,
    /// Bytes of memory, whole pages.
    pub(crate) size: u32,
    pub(crate) header_size: u32,
}

fn read<'a, T: Pod>(bytes: &'a [u8], offset: u64, what: &'static str) -> Result<&'a T, ImageError> {
    let tail = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    from_bytes(tail).map(|(value, _)| value).map_err(|()| ImageError::Truncated {
        what,
        offset,
        needed: size_of::<T>() as u64,
        length: bytes.len() as u64,
    })
}

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.starts_with(b"MZ") {
            return Err(ImageError::NotAnImage("it does not begin with MZ"));
        }
        let dos: &ImageDosHeader = read(bytes, 0, "the DOS header")?;
        let nt = u64::from(dos.e_lfanew.get(LE));
        let signature: &[u8; 4] = read(bytes, nt, "the PE signature")?;
        if signature != b"PE\0\0" {
            return Err(ImageError::NotAnImage("it has no PE signature (a DOS or 16-bit program?)"));
        }
        let header: &ImageFileHeader = read(bytes, nt + 4, "the file header")?;
        let machine = header.machine.get(LE);
        if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
            return Err(ImageError::WrongMachine(Machine(machine)));
        }
        if header.characteristics.get(LE) & pe::IMAGE_FILE_EXECUTABLE_IMAGE == 0 {
            return Err(ImageError::NotAnImage("it is an object file, or its linking failed"));
        }
        let optional_at = nt + 4 + size_of::<ImageFileHeader>() as u64;
        let optional: &ImageOptionalHeader64 = read(bytes, optional_at, "the optional header")?;
        if optional.magic.get(LE) != pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC {
            return Err(ImageError::NotAnImage("its optional header is not that of a 64-bit image"));
        }
        let optional_size = u64::from(header.size_of_optional_header.get(LE));
        let directories = directories(bytes, optional, optional_at, optional_size)?;
        let mut file = Self {
            bytes,
            header,
            optional,
            directories,
            sections: Vec::new(),
            size: image_size(optional)?,
            header_size: optional.size_of_headers.get(LE),
        };
        file.check_optional()?;
        file.read_sections(optional_at + optional_size)?;
        Ok(file)
    }

    fn check_optional(&self) -> Result<(), ImageError> {
        let subsystem = self.optional.subsystem.get(LE);
        if subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
            return Err(ImageError::NotADriver(subsystem));
        }
        let alignment = self.section_alignment();
        let file_alignment = self.optional.file_alignment.get(LE);
        if !alignment.is_power_of_two() || !file_alignment.is_power_of_two() || alignment < file_alignment {
            return Err(ImageError::NotAnImage(
                "its section or file alignment is not a sensible power of two",
            ));
        }
        if !self.preferred_base().is_multiple_of(0x1_0000) {
            return Err(ImageError::NotAnImage("its base is not a multiple of 64 KiB"));
        }
        if self.preferred_base().checked_add(u64::from(self.size)).is_none() {
            return Err(ImageError::NotAnImage("it would wrap around the end of memory"));
        }
        if self.header_size > self.size {
            return Err(ImageError::malformed(
                "the headers",
                self.header_size,
                "they are larger than the image",
            ));
        }
        if u64::from(self.header_size) > self.bytes.len() as u64 {
            return Err(ImageError::Truncated {
                what: "the headers",
                offset: 0,
                needed: u64::from(self.header_size),
                length: self.bytes.len() as u64,
            });
        }
        Ok(())
    }

    fn read_sections(&mut self, table_at: u64) -> Result<(), ImageError> {
        let count = usize::from(self.header.number_of_sections.get(LE));
        if count == 0 {
            return Err(ImageError::NotAnImage("it has no sections"));
        }
        if count > MAX_SECTIONS {
            let (value, limit) = (count as u64, MAX_SECTIONS as u64);
            return Err(ImageError::TooLarge { what: "the number of sections", value, limit });
        }
        let tail = usize::try_from(table_at).ok().and_then(|offset| self.bytes.get(offset..));
        let (headers, _) =
            slice_from_bytes::<ImageSectionHeader>(tail.unwrap_or_default(), count).map_err(|()| {
                ImageError::Truncated {
                    what: "the section table",
                    offset: table_at,
                    needed: (count * size_of::<ImageSectionHeader>()) as u64,
                    length: self.bytes.len() as u64,
                }
            })?;
        let mut end = self.header_size;
        for (index, header) in headers.iter().enumerate() {
            let section = self.section(header);
            let (start, limit) = (section.rva, self.aligned_end(&section));
            let why = self.section_fault(&section, end, limit);
            if let Some(why) = why {
                return Err(ImageError::Section { number: index + 1, name: section.name, why });
            }
            end = limit.unwrap_or(start);
            self.sections.push(section);
        }
        Ok(())
    }

    fn section(&self, header: &ImageSectionHeader) -> Section {
        let length = header.name.iter().position(|byte| *byte == 0).unwrap_or(header.name.len());
        let raw_size = header.size_of_raw_data.get(LE);
        let size = match header.virtual_size.get(LE) {
            0 => raw_size,
            size => size,
        };
        let bits = header.characteristics.get(LE);
        let has = |bit| bits & bit != 0;
        Section {
            name: String::from_utf8_lossy(&header.name[..length]).into_owned(),
            rva: header.virtual_address.get(LE),
            size,
            file_offset: header.pointer_to_raw_data.get(LE),
            file_size: raw_size.min(size),
            flags: SectionFlags {
                read: has(pe::IMAGE_SCN_MEM_READ),
                write: has(pe::IMAGE_SCN_MEM_WRITE),
                execute: has(pe::IMAGE_SCN_MEM_EXECUTE),
                discardable: has(pe::IMAGE_SCN_MEM_DISCARDABLE),
            },
        }
    }

    fn aligned_end(&self, section: &Section) -> Option<u32> {
        section.rva.checked_add(section.size)?.checked_next_multiple_of(self.section_alignment())
    }

    fn section_fault(&self, section: &Section, before: u32, end: Option<u32>) -> Option<&'static str> {
        let last = section.rva.checked_add(section.size);
        if section.size == 0 {
            Some("it is empty")
        } else if !section.rva.is_multiple_of(self.section_alignment()) {
            Some("its address is not aligned")
        } else if section.rva < before {
            Some("it overlaps what lies before it, or sections are not in order")
        } else if end.is_none() || last.is_none_or(|last| last > self.size) {
            Some("it reaches beyond the image's size")
        } else if u64::from(section.file_offset) + u64::from(section.file_size) > self.bytes.len() as u64 {
            Some("its content reaches beyond the end of the file")
        } else {
            None
        }
    }

    pub(crate) fn preferred_base(&self) -> u64 {
        self.optional.image_base.get(LE)
    }

    pub(crate) fn section_alignment(&self) -> u32 {
        self.optional.section_alignment.get(LE)
    }

    /// A data directory's range, if the image has one; it lies inside the image.
    pub(crate) fn directory(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Option<(u32, u32)>, ImageError> {
        let Some(entry) = self.directories.get(index) else { return Ok(None) };
        let (rva, size) = (entry.virtual_address.get(LE), entry.size.get(LE));
        if rva == 0 || size == 0 {
            return Ok(None);
        }
        if !self.holds(rva, u64::from(size)) {
            return Err(ImageError::malformed(what, rva, "it reaches beyond the image"));
        }
        Ok(Some((rva, size)))
    }

    /// Whether the image's memory holds `length` bytes at `rva`.
    pub(crate) fn holds(&self, rva: u32, length: u64) -> bool {
        u64::from(rva) + length <= u64::from(self.size)
    }

    /// The file's bytes from `rva` to the end of what contains it; zero-filled memory is not part of it.
    pub(crate) fn tail(&self, rva: u32) -> Option<&'a [u8]> {
        if rva < self.header_size {
            return self.bytes.get(rva as usize..self.header_size as usize);
        }
        let section = self.sections.iter().find(|section| section.contains(rva))?;
        let offset = rva - section.rva;
        let length = section.file_size.checked_sub(offset)? as usize;
        let start = section.file_offset as usize + offset as usize;
        self.bytes.get(start..start + length)
    }

    /// `length` bytes at `rva`.
    pub(crate) fn at(&self, rva: u32, length: u32, what: &'static str) -> Result<&'a [u8], ImageError> {
        self.tail(rva)
            .and_then(|tail| tail.get(..length as usize))
            .ok_or_else(|| ImageError::malformed(what, rva, "it lies outside of the file's content"))
    }

    /// A structure at `rva`.
    pub(crate) fn read<T: Pod>(&self, rva: u32, what: &'static str) -> Result<&'a T, ImageError> {
        let tail = self.tail(rva).unwrap_or_default();
        from_bytes(tail)
            .map(|(value, _)| value)
            .map_err(|()| ImageError::malformed(what, rva, "it lies outside of the file's content"))
    }

    /// A zero-terminated name at `rva`.
    pub(crate) fn name(&self, rva: u32, what: &'static str) -> Result<&'a str, ImageError> {
        let tail = self.tail(rva).unwrap_or_default();
        let window = &tail[..tail.len().min(MAX_NAME + 1)];
        let length = window.iter().position(|byte| *byte == 0);
        let length = length
            .ok_or_else(|| ImageError::malformed(what, rva, "a name is not terminated, or too long"))?;
        let name = std::str::from_utf8(&window[..length]).ok();
        name.filter(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        })
        .ok_or_else(|| ImageError::malformed(what, rva, "a name is empty or not printable"))
    }
}

fn image_size(optional: &ImageOptionalHeader64) -> Result<u32, ImageError> {
    let size = optional.size_of_image.get(LE);
    if size > MAX_IMAGE_SIZE {
        let (value, limit) = (u64::from(size), u64::from(MAX_IMAGE_SIZE));
        return Err(ImageError::TooLarge { what: "the image's size", value, limit });
    }
    if size == 0 {
        return Err(ImageError::NotAnImage("its size is zero"));
    }
    Ok(size.next_multiple_of(PAGE))
}

fn directories<'a>(
    bytes: &'a [u8],
    optional: &ImageOptionalHeader64,
    optional_at: u64,
    optional_size: u64,
) -> Result<&'a [pe::ImageDataDirectory], ImageError> {
    let fixed = size_of::<ImageOptionalHeader64>() as u64;
    let room = optional_size.saturating_sub(fixed) / size_of::<pe::ImageDataDirectory>() as u64;
    let stated = optional.number_of_rva_and_sizes.get(LE) as usize;
    let count = stated.min(DIRECTORIES);
    if optional_size < fixed || room < count as u64 {
        return Err(ImageError::NotAnImage("its optional header is too short for its data directories"));
    }
    let start = optional_at + fixed;
    let tail = usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    let truncated = ImageError::Truncated {
        what: "the data directories",
        offset: start,
        needed: (count * size_of::<pe::ImageDataDirectory>()) as u64,
        length: bytes.len() as u64,
    };
    slice_from_bytes(tail, count).map(|(directories, _)| directories).map_err(|()| truncated)
}
