//! What an input can ask for.

use arbitrary::Arbitrary;

/// A call of an application's.
#[derive(Arbitrary, Debug)]
pub(super) enum Call<'a> {
    Open {
        name: Name<'a>,
        access: Access,
        share: u8,
        disposition: u8,
        options: Option<u32>,
    },
    Close {
        file: File,
    },
    Read {
        file: File,
        buffer: Buffer<'a>,
        offset: Option<u64>,
    },
    Write {
        file: File,
        buffer: Buffer<'a>,
        offset: Option<u64>,
    },
    Control {
        file: File,
        code: Code,
        input: Buffer<'a>,
        output: Buffer<'a>,
    },
    List {
        name: Name<'a>,
    },
    /// Puts bytes into the window.
    Fill {
        at: u16,
        bytes: &'a [u8],
    },
}

/// A name in the object namespace.
#[derive(Arbitrary, Debug)]
pub(super) enum Name<'a> {
    /// One of the devices.
    Device(u8),
    /// A pipe, by one of few names so that opens meet.
    Pipe(u8),
    /// A device's name with more behind it.
    Trailing(u8, &'a [u8]),
    /// Anything, as UTF-16.
    Units(Vec<u16>),
}

const DEVICES: [&str; 10] = [
    r"\??\My_Device",
    r"\??\Buffers",
    r"\??\Example",
    r"\Device\My_Device",
    r"\DosDevices\Buffers",
    r"\GLOBAL??\my_device",
    r"\Device",
    r"\",
    r"\Driver\pipe",
    "",
];

impl Name<'_> {
    pub(super) fn units(&self) -> Vec<u16> {
        let device = |index: u8| DEVICES[usize::from(index) % DEVICES.len()];
        match self {
            Self::Device(index) => device(*index).encode_utf16().collect(),
            Self::Pipe(name) => format!(r"\??\Example\{}", ["a", "A", "b", "HELLO"][usize::from(*name % 4)])
                .encode_utf16()
                .collect(),
            Self::Trailing(index, more) => {
                device(*index).encode_utf16().chain(more.iter().map(|byte| u16::from(*byte))).collect()
            }
            Self::Units(units) => units.clone(),
        }
    }
}

/// What a file is opened for.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Access {
    Read,
    Write,
    ReadWrite,
    Mask(u32),
}

impl Access {
    pub(super) const fn mask(self) -> u32 {
        match self {
            Self::Read => abi::GENERIC_READ,
            Self::Write => abi::GENERIC_WRITE,
            Self::ReadWrite => abi::GENERIC_READ | abi::GENERIC_WRITE,
            Self::Mask(mask) => mask,
        }
    }
}

/// Which handle.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum File {
    /// One that was opened, counted from the last.
    Opened(u8),
    Number(u32),
}

/// A control code.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Code {
    /// One that the samples know.
    Known(u8),
    /// One near them.
    Near {
        function: u8,
        low: u8,
    },
    Number(u32),
}

impl Code {
    pub(super) fn number(self) -> u32 {
        // The samples' functions begin at 0x800, for FILE_DEVICE_UNKNOWN.
        let code = |function: u8, method: u32, access: u32| {
            abi::CTL_CODE(abi::FILE_DEVICE_UNKNOWN, 0x800 + u32::from(function), method, access)
        };
        match self {
            Self::Known(index) => match index % 8 {
                0 => code(0, abi::METHOD_BUFFERED, abi::FILE_ANY_ACCESS),
                1 => code(1, abi::METHOD_BUFFERED, abi::FILE_READ_ACCESS | abi::FILE_WRITE_ACCESS),
                2 => code(2, abi::METHOD_BUFFERED, abi::FILE_ANY_ACCESS),
                3 => code(0, abi::METHOD_BUFFERED, abi::FILE_WRITE_ACCESS),
                4 => code(1, abi::METHOD_BUFFERED, abi::FILE_ANY_ACCESS),
                5 => code(1, abi::METHOD_IN_DIRECT, abi::FILE_ANY_ACCESS),
                6 => code(2, abi::METHOD_OUT_DIRECT, abi::FILE_ANY_ACCESS),
                _ => code(3, abi::METHOD_NEITHER, abi::FILE_ANY_ACCESS),
            },
            Self::Near { function, low } => code(function % 8, u32::from(low & 3), u32::from(low >> 2 & 3)),
            Self::Number(number) => number,
        }
    }
}

/// A buffer of a request.
#[derive(Arbitrary, Debug)]
pub(super) enum Buffer<'a> {
    None,
    /// Memory of the application's that is not in its window; as output, as long.
    Bytes(&'a [u8]),
    /// So many zeroes, not in the window either.
    Zeroes(u16),
    /// A small number, as the samples' codes take them.
    Number(u32),
    /// A part of what the application has in its window.
    Window {
        at: u16,
        length: u16,
    },
    /// Anything in or near the window, whether it is there or not.
    Near {
        distance: i32,
        length: u32,
    },
    /// Anything.
    Address {
        address: u64,
        length: u32,
    },
}
