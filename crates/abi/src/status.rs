//! `NTSTATUS`: severity, bits and names. The codes themselves are in the sibling modules.

use core::fmt;

/// What a kernel call answers. Bits 31 and 30 are the severity: 0 success, 1 information, 2 warning, 3 error.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NTSTATUS(pub i32);

impl NTSTATUS {
    /// The status whose bits are written in documentation, such as `0xC0000010`.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits.cast_signed())
    }

    /// The bits as documentation writes them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// `NT_SUCCESS`: success or information; a warning is not one.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }

    /// `NT_INFORMATION`: 0x40000000 to 0x7FFFFFFF.
    #[must_use]
    pub const fn is_information(self) -> bool {
        self.bits() >> 30 == 1
    }

    /// `NT_WARNING`: 0x80000000 to 0xBFFFFFFF.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        self.bits() >> 30 == 2
    }

    /// `NT_ERROR`: 0xC0000000 to 0xFFFFFFFF.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.bits() >> 30 == 3
    }
}

impl fmt::Debug for NTSTATUS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010X}", self.bits())
    }
}
