//! I/O control codes, taken apart and put together (`CTL_CODE`).

use std::fmt;

/// How a control code's buffers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One system buffer for both.
    Buffered,
    /// The second buffer by MDL, read by the driver.
    InDirect,
    /// The second buffer by MDL, written by the driver.
    OutDirect,
    /// The application's own addresses.
    Neither,
}

/// The access that a control code asks of the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// FILE_ANY_ACCESS.
    Any,
    /// FILE_READ_ACCESS.
    Read,
    /// FILE_WRITE_ACCESS.
    Write,
    /// Both.
    ReadWrite,
}

/// A control code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlCode(pub u32);

impl ControlCode {
    /// `CTL_CODE(device_type, function, method, access)`.
    #[must_use]
    pub const fn new(device_type: u16, function: u16, method: Method, access: Access) -> Self {
        Self(
            (device_type as u32) << 16
                | (access as u32) << 14
                | (function as u32 & 0xFFF) << 2
                | method as u32,
        )
    }

    /// Bits 16 to 31: FILE_DEVICE_*; bit 15 of it is set for vendors' own types.
    #[must_use]
    pub const fn device_type(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Bits 2 to 13; from 0x800 on they are vendors' own.
    #[must_use]
    pub const fn function(self) -> u16 {
        (self.0 >> 2 & 0xFFF) as u16
    }

    /// Bits 0 and 1.
    #[must_use]
    pub const fn method(self) -> Method {
        match self.0 & 3 {
            0 => Method::Buffered,
            1 => Method::InDirect,
            2 => Method::OutDirect,
            _ => Method::Neither,
        }
    }

    /// Bits 14 and 15.
    #[must_use]
    pub const fn access(self) -> Access {
        match self.0 >> 14 & 3 {
            0 => Access::Any,
            1 => Access::Read,
            2 => Access::Write,
            _ => Access::ReadWrite,
        }
    }
}

impl fmt::Debug for ControlCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_put_together_as_ctl_code_does() {
        let code = ControlCode::new(0x9C40, 0x903, Method::Buffered, Access::Any);
        assert_eq!(code.0, 0x9C40_240C);
        let code = ControlCode(0x9C40_240F);
        assert_eq!((code.device_type(), code.function()), (0x9C40, 0x903));
        assert_eq!((code.method(), code.access()), (Method::Neither, Access::Any));
        let code = ControlCode::new(0x22, 0x801, Method::OutDirect, Access::ReadWrite);
        assert_eq!(code.0, abi::CTL_CODE(0x22, 0x801, abi::METHOD_OUT_DIRECT, 3));
    }
}
