//! Where imports lead that are no export of the machine's own: to images that are loaded for them, or were loaded as
//! drivers.
//!
//! A file that an image imports from is looked for among those loaded, then beside the image. It is loaded first, with
//! what it imports from itself, and stays as long as an image that needs it (decision 25). Calling its routines is `kernel::io`'s.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kernel::Kernel;
use kernel::io::{self, Library, LibraryError, LibraryImage};
use loader::map::{self, Image, Options};
use loader::pe;
use platform::scheduler::Lock;

use crate::error::LoadError;
use crate::machine::{KeptImage, Machine, read_image};
use crate::resolver::ExportResolver;

/// Images that others import from may need others, so deep at most.
const DEEPEST: usize = 16;

/// A loaded export driver; the last that needs it unloads it.
pub(crate) struct Loaded {
    /// Weak: what keeps it is kept by the kernel.
    kernel: Weak<Kernel>,
    library: Arc<Library>,
    image: Arc<Image>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // A machine that is switched off does not ask its drivers to unload either.
        if let Some(kernel) = self.kernel.upgrade() {
            io::unload_library(&kernel, &self.library);
        }
    }
}

/// An image that another imports from.
pub(crate) struct Provider {
    /// As the importing image spells it.
    pub(crate) dll: String,
    pub(crate) image: Arc<Image>,
    /// Keeps an export driver loaded.
    _library: Option<Arc<Loaded>>,
}

/// The images of a machine that others can import from.
pub(crate) struct Libraries {
    known: Mutex<Known>,
    /// Held while an image is loaded for another, so that it is loaded once.
    loading: Lock<()>,
}

/// By file name, in lower case.
#[derive(Default)]
struct Known {
    libraries: HashMap<String, Weak<Loaded>>,
    drivers: HashMap<String, Weak<Image>>,
    /// Export drivers without DllUnload, which stay.
    staying: Vec<Arc<Loaded>>,
}

impl Libraries {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), loading: Lock::new(()) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others import from a driver's image.
    pub(crate) fn add_driver(&self, file_name: &str, image: &Arc<Image>) {
        self.known().drivers.insert(file_name.to_lowercase(), Arc::downgrade(image));
    }

    /// Whether a file of this name is loaded as an export driver.
    pub(crate) fn has_library(&self, file_name: &str) -> bool {
        let key = file_name.to_lowercase();
        self.known().libraries.get(&key).is_some_and(|loaded| loaded.strong_count() > 0)
    }

    fn find(&self, dll: &str) -> Option<Provider> {
        let key = dll.to_lowercase();
        let known = self.known();
        if let Some(loaded) = known.libraries.get(&key).and_then(Weak::upgrade) {
            let image = loaded.image.clone();
            return Some(Provider { dll: dll.to_owned(), image, _library: Some(loaded) });
        }
        let image = known.drivers.get(&key).and_then(Weak::upgrade)?;
        Some(Provider { dll: dll.to_owned(), image, _library: None })
    }

    fn add(&self, dll: &str, loaded: &Arc<Loaded>) {
        let mut known = self.known();
        known.libraries.insert(dll.to_lowercase(), Arc::downgrade(loaded));
        if !loaded.library.can_unload() {
            known.staying.push(loaded.clone());
        }
    }
}

/// A file that is being loaded because of another, and so on outwards.
#[derive(Clone, Copy)]
struct Chain<'a> {
    file_name: &'a str,
    outer: Option<&'a Chain<'a>>,
}

impl Chain<'_> {
    fn has(&self, file_name: &str) -> bool {
        self.file_name.eq_ignore_ascii_case(file_name) || self.outer.is_some_and(|outer| outer.has(file_name))
    }

    fn depth(&self) -> usize {
        1 + self.outer.map_or(0, Chain::depth)
    }
}

/// The file in `folder` with this name, without regard to case.
fn file_beside(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut named = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|file| file.eq_ignore_ascii_case(name)));
    named.next().map(|entry| entry.path())
}

impl Machine {
    /// The images that `bytes` imports from, loaded now if need be and if they lie in `folder`. A module that is neither
    /// loaded nor there is none: what is imported from it may still be an export of the machine's own.
    ///
    /// # Errors
    /// What is wrong with `bytes`, or with an image that it needs.
    pub(crate) fn providers(
        &self,
        file_name: &str,
        bytes: &[u8],
        folder: Option<&Path>,
        options: Options,
    ) -> Result<Vec<Provider>, LoadError> {
        let _once = self.libraries.loading.lock(&*self.kernel.platform);
        self.providers_of(bytes, folder, options, &Chain { file_name, outer: None })
    }

    fn providers_of(
        &self,
        bytes: &[u8],
        folder: Option<&Path>,
        options: Options,
        chain: &Chain<'_>,
    ) -> Result<Vec<Provider>, LoadError> {
        let image = |error| LoadError::Image(map::MapError::Image(error));
        let facts = pe::inspect(bytes).map_err(image)?;
        let mut providers: Vec<Provider> = Vec::new();
        for import in &facts.imports {
            let dll = import.name.as_str();
            let again = providers.iter().any(|provider| provider.dll.eq_ignore_ascii_case(dll));
            if again || exports::is_module(dll) {
                continue;
            }
            if let Some(provider) = self.libraries.find(dll) {
                providers.push(provider);
            } else if let Some(path) = folder.and_then(|folder| file_beside(folder, dll)) {
                let wrong = |reason| LoadError::Library { file: dll.to_owned(), reason: Box::new(reason) };
                let loaded = self.load_library(dll, &path, options, chain).map_err(wrong)?;
                let image = loaded.image.clone();
                providers.push(Provider { dll: dll.to_owned(), image, _library: Some(loaded) });
            }
        }
        Ok(providers)
    }

    fn load_library(
        &self,
        dll: &str,
        path: &Path,
        options: Options,
        chain: &Chain<'_>,
    ) -> Result<Arc<Loaded>, LoadError> {
        if chain.has(dll) || chain.depth() == DEEPEST {
            return Err(LoadError::Circle);
        }
        let read = |reason| LoadError::Read { path: path.display().to_string(), reason };
        let bytes = read_image(path).map_err(read)?;
        let chain = Chain { file_name: dll, outer: Some(chain) };
        let providers = self.providers_of(&bytes, path.parent(), options, &chain)?;
        let resolver = ExportResolver { data: &self.data, providers: &providers };
        let image = Arc::new(map::map(dll, &bytes, self.images.clone(), &resolver, options)?);
        let routine = |name: &str| image.export(name).map_or(0, |address| address as u64);
        let range = image.range();
        let loaded = io::load_library(
            &self.kernel,
            LibraryImage {
                initialize: routine("DllInitialize"),
                unload: routine("DllUnload"),
                range: range.start as u64..range.end as u64,
                file_name: dll.to_owned(),
                keep: Box::new(KeptImage { _image: image.clone(), _providers: providers }),
            },
        );
        let library = loaded.map_err(|error| match error {
            LibraryError::Status(status) => LoadError::Machine(status),
            LibraryError::Initialize(status, left) => LoadError::DllInitialize { status, left },
            LibraryError::Halted => LoadError::Halted,
        })?;
        // As for drivers.
        let _stays = image.discard_initialisation();
        let loaded = Arc::new(Loaded { kernel: Arc::downgrade(&self.kernel), library, image });
        self.libraries.add(dll, &loaded);
        Ok(loaded)
    }
}
