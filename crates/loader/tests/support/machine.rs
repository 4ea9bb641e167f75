//! A machine as small as the tests need: a place for images, one kernel stack, and a record of what was reported.

use std::cell::RefCell;
use std::ptr;
use std::sync::{Arc, Mutex};

use abi::{CONTEXT, EXCEPTION_RECORD};
use loader::map::{Image, Options, ReservedSpace, Resolution, Resolver, map};
use loader::pe::ImportSymbol;
use loader::seh::{StackFrame, stack_walk};
use platform::entry::{self, Entrant, EntryOwner, KernelStack, Region, Stop};
use platform::landing::{self, Code, Unwind};
use platform::pages::{Protection, Reservation, SYSTEM_SLAB, SYSTEM_SPACE};

/// What the machine was told when it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) stop: Stop,
    pub(crate) exception: u32,
    pub(crate) rip: u64,
    pub(crate) frames: Vec<StackFrame>,
}

pub(crate) struct Machine {
    reservation: Arc<Reservation>,
    space: Arc<ReservedSpace>,
    stack: KernelStack,
    pub(crate) reports: Mutex<Vec<Report>>,
    pub(crate) irql: Mutex<u8>,
    pub(crate) shared: Box<[u64; 512]>,
}

const IMAGES: usize = 64 << 20;
const STACK: usize = 256 << 10;

impl Machine {
    pub(crate) fn new() -> Self {
        let seed = usize::try_from(std::process::id()).expect("a small number");
        let slab = 256 << 20;
        let reservation =
            Reservation::first_free(SYSTEM_SPACE, SYSTEM_SLAB, slab, seed).expect("system space");
        let guard = 2 * IMAGES;
        reservation.commit(guard + 0x4000, STACK, Protection::ReadWrite).expect("a stack");
        let limit = reservation.base() + guard + 0x4000;
        let stack = KernelStack { top: limit + STACK, limit, guard: reservation.base() + guard };
        let reservation = Arc::new(reservation);
        let space = Arc::new(ReservedSpace::new(Arc::clone(&reservation), 0..IMAGES));
        let mut shared = Box::new([0; 512]);
        for (index, word) in shared.iter_mut().enumerate() {
            *word = 0x8080_8080_8000_0000 + 8 * index as u64;
        }
        Self { reservation, space, stack, reports: Mutex::default(), irql: Mutex::new(0), shared }
    }

    pub(crate) fn space(&self) -> Arc<ReservedSpace> {
        Arc::clone(&self.space)
    }

    /// How many ranges were taken elsewhere than where images lie.
    pub(crate) fn outside_pages(&self) -> usize {
        self.space.fixed_ranges()
    }

    pub(crate) fn load(&self, name: &str, bytes: &[u8], resolver: &dyn Resolver) -> Image {
        map(name, bytes, self.space(), resolver, Options::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs `inside` with the thread inside this machine.
    pub(crate) fn enter<T>(&self, inside: impl FnOnce(Region) -> T) -> T {
        let region = entry::prepare().expect("a region");
        let entrant = Entrant {
            owner: self,
            kernel: ptr::null(),
            thread: ptr::null(),
            thread_object: 0x1234_5678,
            stack: self.stack,
        };
        let _inside = region.enter(&entrant);
        region.set_irql(*self.irql.lock().expect("not poisoned"));
        inside(region)
    }

    /// Calls an exported function of an image.
    pub(crate) fn call(&self, image: &Image, function: &str, arguments: &[u64]) -> Result<u64, Unwind> {
        let address = image.export(function).unwrap_or_else(|| panic!("{image:?} exports no {function}"));
        self.enter(|region| {
            // SAFETY: the thread is inside the machine, and the function is driver code.
            unsafe { landing::call(region, Code::Image, address, arguments) }
        })
    }

    pub(crate) fn value(&self, image: &Image, function: &str, arguments: &[u64]) -> u64 {
        self.call(image, function, arguments).unwrap_or_else(|unwind| panic!("{function}: {unwind:?}"))
    }
}

impl EntryOwner for Machine {
    fn unhandled(&self, stop: Stop, record: &EXCEPTION_RECORD, context: &CONTEXT) {
        let region = entry::region().expect("driver code stopped");
        let frames = stack_walk(region, context);
        let report = Report { stop, exception: record.ExceptionCode.bits(), rip: context.Rip, frames };
        self.reports.lock().expect("not poisoned").push(report);
    }

    fn write_cr8(&self, irql: u8) -> bool {
        *self.irql.lock().expect("not poisoned") = irql;
        entry::region().expect("driver code asks").set_irql(irql);
        irql < 16
    }

    fn shared_user_data(&self) -> usize {
        self.shared.as_ptr().expose_provenance()
    }

    fn keep_shared_user_data_current(&self) -> bool {
        true
    }
}

/// A resolver that is a table.
pub(crate) struct Table(pub(crate) &'static [(&'static str, Resolution)]);

impl Resolver for Table {
    fn resolve(&self, dll: &str, symbol: ImportSymbol<'_>) -> Resolution {
        assert!(dll.eq_ignore_ascii_case("ntoskrnl.exe"), "{dll}");
        let wanted = symbol.to_string();
        self.0.iter().find(|(name, _)| *name == wanted).map_or(Resolution::Missing, |(_, found)| *found)
    }
}

thread_local! {
    static NOTES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Records a value; driver code calls it through its `Note` import.
pub(crate) fn note(value: u64) {
    NOTES.with_borrow_mut(|notes| notes.push(value));
}

/// What was recorded on this thread since the last call.
pub(crate) fn take_notes() -> Vec<u64> {
    NOTES.take()
}
