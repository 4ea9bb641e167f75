//! The machine's copy of KUSER_SHARED_DATA: what driver code reads at 0xFFFFF780_00000000, an address that no Linux
//! process can map. The loader redirects the reads; here the values are kept.

use std::mem::offset_of;
use std::sync::{Mutex, PoisonError};

use abi::KUSER_SHARED_DATA;
use platform::Platform;
use platform::pages::{PAGE_SIZE, PagesError, Protection};

use super::space::{SystemRange, SystemSpace};
use crate::raw;

/// 100 ns units in a tick of 15.625 ms, NT's usual clock interrupt.
const TICK: u64 = 156_250;

/// The version that the machine says it is: Windows 10, 22H2.
const VERSION: (u32, u32, u32) = (10, 0, 19045);

#[derive(Debug)]
pub(super) struct SharedUserData {
    page: SystemRange,
    /// Held while times are written: two writers at once could let them go back.
    writing: Mutex<()>,
}

impl SharedUserData {
    pub(super) fn new(space: &SystemSpace, platform: &dyn Platform) -> Result<Self, PagesError> {
        let page = space.allocate(PAGE_SIZE)?;
        page.commit(0, PAGE_SIZE, Protection::ReadWrite)?;
        let this = Self { page, writing: Mutex::new(()) };
        let (major, minor, build) = VERSION;
        this.set(offset_of!(KUSER_SHARED_DATA, NtMajorVersion), major);
        this.set(offset_of!(KUSER_SHARED_DATA, NtMinorVersion), minor);
        this.set(offset_of!(KUSER_SHARED_DATA, NtBuildNumber), build);
        this.set(offset_of!(KUSER_SHARED_DATA, NtProductType), 1_u32);
        this.set(offset_of!(KUSER_SHARED_DATA, ProductTypeIsValid), 1_u8);
        // Milliseconds a tick, as a fixed-point number with 24 fractional bits.
        this.set(offset_of!(KUSER_SHARED_DATA, TickCountMultiplier), 0x0FA0_0000_u32);
        for feature in processor_features() {
            this.set(offset_of!(KUSER_SHARED_DATA, ProcessorFeatures) + feature, 1_u8);
        }
        let root: Vec<u16> = "C:\\Windows".encode_utf16().collect();
        let root_at = this.address(offset_of!(KUSER_SHARED_DATA, NtSystemRoot));
        raw::copy_wide(root_at, &root).expect("a committed page of our own");
        this.refresh(platform);
        Ok(this)
    }

    /// Brings the times up to date and returns the page's address.
    pub(super) fn refresh(&self, platform: &dyn Platform) -> usize {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let interrupt = platform.interrupt_time();
        self.set_time(offset_of!(KUSER_SHARED_DATA, InterruptTime), interrupt);
        self.set_time(offset_of!(KUSER_SHARED_DATA, SystemTime), platform.system_time());
        self.set_time(offset_of!(KUSER_SHARED_DATA, TickCount), interrupt / TICK);
        self.page.base()
    }

    fn address(&self, offset: usize) -> u64 {
        (self.page.base() + offset) as u64
    }

    fn set<T: platform::memory::Scalar>(&self, offset: usize, value: T) {
        raw::write(self.address(offset), value).expect("a committed page of our own");
    }

    /// Writes a KSYSTEM_TIME in the order that makes torn reads visible: High2Time, then LowPart and High1Time in one,
    /// as 64-bit drivers read them.
    fn set_time(&self, offset: usize, time: u64) {
        let high = (time >> 32) as u32;
        self.set(offset + 8, high);
        self.set(offset, time);
    }
}

/// PF_* of this processor: what every x64 has, and what drivers ask for before they use it.
fn processor_features() -> impl Iterator<Item = usize> {
    let always = [
        abi::PF_COMPARE_EXCHANGE_DOUBLE,
        abi::PF_MMX_INSTRUCTIONS_AVAILABLE,
        abi::PF_XMMI_INSTRUCTIONS_AVAILABLE,
        abi::PF_RDTSC_INSTRUCTION_AVAILABLE,
        abi::PF_PAE_ENABLED,
        abi::PF_XMMI64_INSTRUCTIONS_AVAILABLE,
        abi::PF_NX_ENABLED,
    ];
    let perhaps = [
        (abi::PF_SSE3_INSTRUCTIONS_AVAILABLE, std::arch::is_x86_feature_detected!("sse3")),
        (abi::PF_COMPARE_EXCHANGE128, std::arch::is_x86_feature_detected!("cmpxchg16b")),
        (abi::PF_XSAVE_ENABLED, std::arch::is_x86_feature_detected!("xsave")),
    ];
    always.into_iter().chain(perhaps.into_iter().filter_map(|(feature, has)| has.then_some(feature)))
}
