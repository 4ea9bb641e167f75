//! The application: makes the calls of an input.

use host::{CreateFile, Handle, InputBuffer, OutputBuffer, Process, Transport, WindowBuffer};

use super::calls::{Buffer, Call, File};

/// Bytes that the application has in its window.
const WINDOW: u32 = 0x3000;

pub(super) struct Application<'a> {
    process: &'a Process,
    window: WindowBuffer,
    opened: Vec<Handle>,
}

/// Where a request's bytes are.
enum Memory {
    Heap(Vec<u8>),
    Window { address: u64, length: u32 },
}

impl Memory {
    /// `None` when no request can be made with it: the transport of another process refuses it as the gate does.
    fn input(&self) -> Option<InputBuffer<'_>> {
        match self {
            Self::Heap(bytes) => InputBuffer::from_slice(bytes),
            Self::Window { address, length } => InputBuffer::in_window(*address, *length),
        }
    }

    fn output(&mut self) -> Option<OutputBuffer<'_>> {
        match self {
            Self::Heap(bytes) => OutputBuffer::from_slice(bytes),
            Self::Window { address, length } => OutputBuffer::in_window(*address, *length),
        }
    }
}

impl<'a> Application<'a> {
    pub(super) fn new(process: &'a Process) -> Self {
        let window = process.allocate(WINDOW).expect("a window of a few pages");
        Self { process, window, opened: Vec::new() }
    }

    fn handle(&self, file: File) -> Handle {
        match file {
            File::Opened(back) => {
                let count = self.opened.len();
                let index = count.checked_sub(1 + usize::from(back) % count.max(1));
                index.map_or(Handle(0), |index| self.opened[index])
            }
            File::Number(number) => Handle(number),
        }
    }

    fn memory(&self, buffer: &Buffer<'_>) -> Memory {
        let start = self.window.address();
        match *buffer {
            Buffer::None => Memory::Heap(Vec::new()),
            Buffer::Bytes(bytes) => Memory::Heap(bytes.to_vec()),
            Buffer::Zeroes(count) => Memory::Heap(vec![0; usize::from(count)]),
            Buffer::Number(number) => Memory::Heap(number.to_le_bytes().to_vec()),
            Buffer::Window { at, length } => {
                let at = u32::from(at) % WINDOW;
                let length = u32::from(length).min(WINDOW - at);
                Memory::Window { address: start + u64::from(at), length }
            }
            Buffer::Near { distance, length } => {
                Memory::Window { address: start.wrapping_add_signed(distance.into()), length }
            }
            Buffer::Address { address, length } => Memory::Window { address, length },
        }
    }

    /// Makes one call. Whether it succeeds is the input's matter; that it answers, and how it ends, is judged afterwards.
    pub(super) fn make(&mut self, call: &Call<'_>) {
        match call {
            Call::Open { name, access, share, disposition, options } => {
                let path = name.units();
                let request = CreateFile {
                    path: &path,
                    desired_access: access.mask(),
                    file_attributes: 0,
                    share_access: u32::from(*share),
                    create_disposition: u32::from(*disposition),
                    create_options: options.unwrap_or(abi::FILE_SYNCHRONOUS_IO_NONALERT),
                    security_qos: None,
                };
                if let Ok((handle, _)) = self.process.create_file(&request) {
                    self.opened.push(handle);
                }
            }
            Call::Close { file } => {
                let handle = self.handle(*file);
                self.process.close(handle);
                self.opened.retain(|opened| *opened != handle);
            }
            Call::Read { file, buffer, offset } => {
                let mut memory = self.memory(buffer);
                let Some(output) = memory.output() else { return };
                let length = output.len();
                let done = self.process.read_buffer(self.handle(*file), output, *offset);
                assert!(
                    done.status.is_error() || done.information <= u64::from(length),
                    "the samples never give more than was asked for"
                );
            }
            Call::Write { file, buffer, offset } => {
                let memory = self.memory(buffer);
                let Some(input) = memory.input() else { return };
                self.process.write_buffer(self.handle(*file), input, *offset);
            }
            Call::Control { file, code, input, output } => {
                let input = self.memory(input);
                let mut output = self.memory(output);
                let (Some(input), Some(output)) = (input.input(), output.output()) else { return };
                self.process.control_buffers(self.handle(*file), code.number(), input, output);
            }
            Call::List { name } => _ = self.process.query_directory(&name.units()),
            Call::Fill { at, bytes } => {
                let at = u32::from(*at) % WINDOW;
                let count = bytes.len().min((WINDOW - at) as usize);
                self.window.write(at, &bytes[..count]);
            }
        }
    }
}
