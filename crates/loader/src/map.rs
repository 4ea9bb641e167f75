//! An image in memory: placed, relocated, bound to its imports, protected and registered as driver code.
//!
//! Where images lie is decided by an injected [`ImageSpace`], what imports mean by an injected [`Resolver`]; what
//! the image's code then does is the caller's matter.

mod bind;
mod guard;
mod memory;
mod space;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use platform::images::{self, Registration};
use platform::pages::PagesError;
use thiserror::Error;

pub use bind::{MissingImport, Resolution, Resolver};
pub use space::{ImageSpace, ReservedSpace};

use crate::patch::Patches;
use crate::pe::{self, Export, ExportTarget, File, ImageError, ImageFacts, Relocations};
use crate::tables::Tables;
use memory::Memory;

/// What the caller decides about an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Bind imports that are only named stubs, instead of counting them as missing.
    pub allow_stubs: bool,
    /// The security cookie, for runs that must repeat; random otherwise.
    pub security_cookie: Option<u64>,
}

/// Why an image could not be mapped. Nothing of it stays in memory.
#[derive(Debug, Error)]
pub enum MapError {
    /// The file is not a sound driver image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Imports that nobody provides, all of them.
    #[error("{}", bind::list_missing(.0))]
    MissingImports(Vec<MissingImport>),
    /// The image has no relocations, and its preferred base is taken.
    #[error("the image has no relocations and can run only at {base:#x}, which is not free: {reason}")]
    FixedBase {
        /// Its preferred base.
        base: u64,
        /// Why it cannot lie there.
        reason: PagesError,
    },
    /// No memory for it.
    #[error("no memory for an image of {size} bytes: {reason}")]
    NoMemory {
        /// Bytes needed.
        size: usize,
        /// Why not.
        reason: PagesError,
    },
    /// The process holds too many images.
    #[error("the image cannot be registered: {0}")]
    Register(std::io::Error),
}

/// A mapped image. Dropping it unmaps it: nothing of its code may run any more, and no pointer to it be used.
pub struct Image {
    name: String,
    facts: ImageFacts,
    stubs: Vec<MissingImport>,
    // Dropped in this order: nothing finds the image any more, then its tables go, then its memory.
    registration: Option<Registration>,
    tables: Box<Tables>,
    memory: Memory,
}

impl fmt::Debug for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = self.range();
        write!(formatter, "Image({} at {:#x}..{:#x})", self.name, range.start, range.end)
    }
}

/// Maps a driver image.
///
/// `name` appears in reports. The image is ready to be entered when this returns; its entry has not been called.
///
/// # Errors
/// [`MapError`] says what is wrong with the file, which imports are missing, or why there is no place for it.
pub fn map(
    name: &str,
    bytes: &[u8],
    space: Arc<dyn ImageSpace>,
    resolver: &dyn Resolver,
    options: Options,
) -> Result<Image, MapError> {
    let file = File::parse(bytes)?;
    let facts = pe::facts(&file)?;
    let resolved = bind::resolve(&facts, resolver, options.allow_stubs).map_err(MapError::MissingImports)?;
    let memory = place(&facts, space)?;
    memory.write(0, &bytes[..facts.header_size as usize]);
    for section in &facts.sections {
        let start = section.file_offset as usize;
        memory.write(section.rva, &bytes[start..start + section.file_size as usize]);
    }
    relocate(&file, &facts, &memory)?;
    for (slot, address) in &resolved.slots {
        memory.write_u64(*slot, *address as u64);
    }
    guard::prepare(&facts, &memory, options.security_cookie);
    memory.protect(&facts).map_err(|reason| no_memory(&facts, reason))?;
    crate::seh::install();
    let patches = Patches::new(memory.fixed_code(&facts), memory.space());
    let tables = Box::new(Tables::new(name, memory.range(), facts.functions, patches));
    let cookie = (&raw const *tables).expose_provenance();
    let registration = images::register(memory.range(), cookie).map_err(MapError::Register)?;
    Ok(Image {
        name: name.to_owned(),
        facts,
        stubs: resolved.stubs,
        registration: Some(registration),
        tables,
        memory,
    })
}

fn no_memory(facts: &ImageFacts, reason: PagesError) -> MapError {
    MapError::NoMemory { size: facts.size as usize, reason }
}

fn place(facts: &ImageFacts, space: Arc<dyn ImageSpace>) -> Result<Memory, MapError> {
    let size = facts.size as usize;
    if facts.relocations == Relocations::Stripped {
        let base = facts.preferred_base;
        let fixed = |reason| MapError::FixedBase { base, reason };
        let place = usize::try_from(base).map_err(|_| fixed(PagesError::OutOfRange))?;
        space.allocate_at(place, size).map_err(fixed)?;
        return Ok(Memory::new(place, size, space));
    }
    let base = space.allocate(size).map_err(|reason| no_memory(facts, reason))?;
    Ok(Memory::new(base, size, space))
}

fn relocate(file: &File<'_>, facts: &ImageFacts, memory: &Memory) -> Result<(), ImageError> {
    let base = memory.range().start as u64;
    let delta = base.wrapping_sub(facts.preferred_base);
    if delta != 0 {
        pe::walk_relocations(file, |rva| {
            memory.write_u64(rva, memory.read_u64(rva).wrapping_add(delta));
        })?;
    }
    Ok(())
}

impl Image {
    /// The name given to [`map`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address of its first byte.
    #[must_use]
    pub fn base(&self) -> usize {
        self.range().start
    }

    /// All its addresses.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.memory.range()
    }

    /// What its file says.
    #[must_use]
    pub fn facts(&self) -> &ImageFacts {
        &self.facts
    }

    /// Address of DriverEntry, if it has one.
    #[must_use]
    pub fn entry(&self) -> Option<usize> {
        self.facts.entry.map(|rva| self.base() + rva as usize)
    }

    /// Address of an exported symbol; `None` also when it is forwarded to another image.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<usize> {
        self.address_of(self.facts.export(name)?)
    }

    /// Address of the symbol exported with this ordinal.
    #[must_use]
    pub fn export_by_ordinal(&self, ordinal: u32) -> Option<usize> {
        self.address_of(self.facts.exports.iter().find(|export| export.ordinal == ordinal)?)
    }

    fn address_of(&self, export: &Export) -> Option<usize> {
        match export.target {
            ExportTarget::Address(rva) => Some(self.base() + rva as usize),
            ExportTarget::Forward(_) => None,
        }
    }

    /// Imports that were bound to stubs because [`Options::allow_stubs`] was set.
    #[must_use]
    pub fn stubs(&self) -> &[MissingImport] {
        &self.stubs
    }

    /// Makes the sections that are needed for initialisation only inaccessible, as NT frees them after DriverEntry.
    /// A section that shares a page with one that stays, stays too.
    ///
    /// # Errors
    /// When Linux cannot split the mapping further.
    pub fn discard_initialisation(&self) -> Result<(), PagesError> {
        let discarded = self.memory.discard(&self.facts)?;
        self.tables.note_discarded(discarded);
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        drop(self.registration.take());
        self.tables.retire();
    }
}
