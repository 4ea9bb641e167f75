//! The I/O system's objects and strings, field by field. Meaning and rules are `io`'s.

use std::mem::offset_of;

use super::{Outcome, copy_from, raw_object, read, write};

raw_object! {
    /// An I/O request packet.
    Irp: abi::IRP {
        object_type, set_object_type: u16 = Type;
        size, set_size: u16 = Size;
        mdl, set_mdl: u64 = MdlAddress;
        flags, set_flags: u32 = Flags;
        system_buffer, set_system_buffer: u64 = AssociatedIrp;
        status, set_status: u32 = IoStatus.Status;
        information, set_information: u64 = IoStatus.Information;
        requestor_mode, set_requestor_mode: u8 = RequestorMode;
        pending_returned, set_pending_returned: u8 = PendingReturned;
        stack_count, set_stack_count: u8 = StackCount;
        current_location, set_current_location: u8 = CurrentLocation;
        cancel, set_cancel: u8 = Cancel;
        allocation_flags, set_allocation_flags: u8 = AllocationFlags;
        cancel_irql, set_cancel_irql: u8 = CancelIrql;
        user_iosb, set_user_iosb: u64 = UserIosb;
        user_event, set_user_event: u64 = UserEvent;
        cancel_routine, set_cancel_routine: u64 = CancelRoutine;
        user_buffer, set_user_buffer: u64 = UserBuffer;
        thread, set_thread: u64 = Tail.Overlay.Thread;
        auxiliary_buffer, set_auxiliary_buffer: u64 = Tail.Overlay.AuxiliaryBuffer;
        current_stack_location, set_current_stack_location: u64 = Tail.Overlay.CurrentStackLocation;
        original_file_object, set_original_file_object: u64 = Tail.Overlay.OriginalFileObject;
        list_forward, set_list_forward: u64 = Tail.Overlay.ListEntry.Flink;
    }
}

raw_object! {
    /// A memory descriptor list.
    Mdl: abi::MDL {
        next, set_next: u64 = Next;
        size, set_size: u16 = Size;
        flags, set_flags: u16 = MdlFlags;
        process, set_process: u64 = Process;
        mapped_system_va, set_mapped_system_va: u64 = MappedSystemVa;
        start_va, set_start_va: u64 = StartVa;
        byte_count, set_byte_count: u32 = ByteCount;
        byte_offset, set_byte_offset: u32 = ByteOffset;
    }
}

impl Mdl {
    /// Where the buffer that it describes starts, `MmGetMdlVirtualAddress`.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn virtual_address(self) -> Outcome<u64> {
        Ok(self.start_va()?.wrapping_add(u64::from(self.byte_offset()?)))
    }
}

raw_object! {
    /// One driver's part of an IRP.
    IoStackLocation: abi::IO_STACK_LOCATION {
        major_function, set_major_function: u8 = MajorFunction;
        minor_function, set_minor_function: u8 = MinorFunction;
        flags, set_flags: u8 = Flags;
        control, set_control: u8 = Control;
        device_object, set_device_object: u64 = DeviceObject;
        file_object, set_file_object: u64 = FileObject;
        completion_routine, set_completion_routine: u64 = CompletionRoutine;
        context, set_context: u64 = Context;
    }
}

impl IoStackLocation {
    /// Offset in bytes of `Parameters`, four words of eight bytes.
    const PARAMETERS: u64 = offset_of!(abi::IO_STACK_LOCATION, Parameters) as u64;

    /// Reads word `index` (0 to 3) of `Parameters`.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn parameter(self, index: u64) -> Outcome<u64> {
        read(self.address().wrapping_add(Self::PARAMETERS + index * 8))
    }

    /// Writes word `index` (0 to 3) of `Parameters`.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    #[inline]
    pub fn set_parameter(self, index: u64, value: u64) -> Outcome<()> {
        write(self.address().wrapping_add(Self::PARAMETERS + index * 8), value)
    }
}

raw_object! {
    /// A device object.
    DeviceObject: abi::DEVICE_OBJECT {
        object_type, set_object_type: u16 = Type;
        size, set_size: u16 = Size;
        reference_count, set_reference_count: u32 = ReferenceCount;
        driver_object, set_driver_object: u64 = DriverObject;
        next_device, set_next_device: u64 = NextDevice;
        attached_device, set_attached_device: u64 = AttachedDevice;
        current_irp, set_current_irp: u64 = CurrentIrp;
        flags, set_flags: u32 = Flags;
        characteristics, set_characteristics: u32 = Characteristics;
        device_extension, set_device_extension: u64 = DeviceExtension;
        device_type, set_device_type: u32 = DeviceType;
        stack_size, set_stack_size: u8 = StackSize;
        alignment_requirement, set_alignment_requirement: u32 = AlignmentRequirement;
        security_descriptor, set_security_descriptor: u64 = SecurityDescriptor;
        device_object_extension, set_device_object_extension: u64 = DeviceObjectExtension;
    }
}

raw_object! {
    /// A driver object.
    DriverObject: abi::DRIVER_OBJECT {
        object_type, set_object_type: u16 = Type;
        size, set_size: u16 = Size;
        device_object, set_device_object: u64 = DeviceObject;
        flags, set_flags: u32 = Flags;
        driver_start, set_driver_start: u64 = DriverStart;
        driver_size, set_driver_size: u32 = DriverSize;
        driver_extension, set_driver_extension: u64 = DriverExtension;
        hardware_database, set_hardware_database: u64 = HardwareDatabase;
        fast_io_dispatch, set_fast_io_dispatch: u64 = FastIoDispatch;
        driver_init, set_driver_init: u64 = DriverInit;
        driver_start_io, set_driver_start_io: u64 = DriverStartIo;
        driver_unload, set_driver_unload: u64 = DriverUnload;
    }
}

impl DriverObject {
    /// Where `DriverName` is.
    #[must_use]
    pub fn driver_name(self) -> UnicodeString {
        UnicodeString::at(self.address().wrapping_add(offset_of!(abi::DRIVER_OBJECT, DriverName) as u64))
    }

    /// Reads the dispatch routine of `major` (0 to 27).
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    #[inline]
    pub fn major_function(self, major: u8) -> Outcome<u64> {
        read(self.major_function_address(major))
    }

    /// Writes the dispatch routine of `major` (0 to 27).
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn set_major_function(self, major: u8, routine: u64) -> Outcome<()> {
        write(self.major_function_address(major), routine)
    }

    #[inline]
    fn major_function_address(self, major: u8) -> u64 {
        let table = offset_of!(abi::DRIVER_OBJECT, MajorFunction) as u64;
        self.address().wrapping_add(table + u64::from(major) * 8)
    }
}

raw_object! {
    /// A driver object's extension.
    DriverExtension: abi::DRIVER_EXTENSION {
        driver_object, set_driver_object: u64 = DriverObject;
        add_device, set_add_device: u64 = AddDevice;
    }
}

impl DriverExtension {
    /// Where `ServiceKeyName` is.
    #[must_use]
    pub fn service_key_name(self) -> UnicodeString {
        let offset = offset_of!(abi::DRIVER_EXTENSION, ServiceKeyName) as u64;
        UnicodeString::at(self.address().wrapping_add(offset))
    }
}

raw_object! {
    /// A file object: an open of a device.
    FileObject: abi::FILE_OBJECT {
        object_type, set_object_type: u16 = Type;
        size, set_size: u16 = Size;
        device_object, set_device_object: u64 = DeviceObject;
        fs_context, set_fs_context: u64 = FsContext;
        fs_context2, set_fs_context2: u64 = FsContext2;
        section_object_pointer, set_section_object_pointer: u64 = SectionObjectPointer;
        private_cache_map, set_private_cache_map: u64 = PrivateCacheMap;
        related_file_object, set_related_file_object: u64 = RelatedFileObject;
        final_status, set_final_status: u32 = FinalStatus;
        read_access, set_read_access: u8 = ReadAccess;
        write_access, set_write_access: u8 = WriteAccess;
        lock_operation, set_lock_operation: u8 = LockOperation;
        delete_access, set_delete_access: u8 = DeleteAccess;
        shared_read, set_shared_read: u8 = SharedRead;
        shared_write, set_shared_write: u8 = SharedWrite;
        shared_delete, set_shared_delete: u8 = SharedDelete;
        flags, set_flags: u32 = Flags;
        current_byte_offset, set_current_byte_offset: u64 = CurrentByteOffset;
        completion_context, set_completion_context: u64 = CompletionContext;
    }
}

impl FileObject {
    /// Where `FileName` is.
    #[must_use]
    pub fn file_name(self) -> UnicodeString {
        UnicodeString::at(self.address().wrapping_add(offset_of!(abi::FILE_OBJECT, FileName) as u64))
    }

    /// Where its `Lock`, a synchronization event, is.
    #[must_use]
    pub fn lock(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address().wrapping_add(offset_of!(abi::FILE_OBJECT, Lock) as u64))
    }

    /// Where its `Event`, a notification event, is.
    #[must_use]
    pub fn event(self) -> DispatcherHeader {
        DispatcherHeader::at(self.address().wrapping_add(offset_of!(abi::FILE_OBJECT, Event) as u64))
    }
}

raw_object! {
    /// How often a file is open, and for what. A driver's own, as its locking is.
    ShareAccess: abi::SHARE_ACCESS {
        open_count, set_open_count: u32 = OpenCount;
        readers, set_readers: u32 = Readers;
        writers, set_writers: u32 = Writers;
        deleters, set_deleters: u32 = Deleters;
        shared_read, set_shared_read: u32 = SharedRead;
        shared_write, set_shared_write: u32 = SharedWrite;
        shared_delete, set_shared_delete: u32 = SharedDelete;
    }
}

raw_object! {
    /// The head of every object that can be waited for.
    DispatcherHeader: abi::DISPATCHER_HEADER {
        object_type, set_object_type: u8 = Type;
        size, set_size: u8 = Size;
        signal_state, set_signal_state: u32 = SignalState;
        wait_list_forward, set_wait_list_forward: u64 = WaitListHead.Flink;
        wait_list_backward, set_wait_list_backward: u64 = WaitListHead.Blink;
    }
}

raw_object! {
    /// A counted string of UTF-16; lengths in bytes.
    UnicodeString: abi::UNICODE_STRING {
        length, set_length: u16 = Length;
        maximum_length, set_maximum_length: u16 = MaximumLength;
        buffer, set_buffer: u64 = Buffer;
    }
}

impl UnicodeString {
    /// Reads the characters. An odd last byte is dropped, as NT's own routines do.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn to_wide(self) -> Outcome<Vec<u16>> {
        let length = usize::from(self.length()?);
        let mut bytes = vec![0; length & !1];
        copy_from(&mut bytes, self.buffer()?)?;
        Ok(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
    }

    /// Sets all three fields.
    ///
    /// # Errors
    /// An access violation to raise in the driver.
    pub fn set(self, length: u16, maximum_length: u16, buffer: u64) -> Outcome<()> {
        self.set_length(length)?;
        self.set_maximum_length(maximum_length)?;
        self.set_buffer(buffer)
    }
}

/// A packet of a completion port as it lies in pool: an entry of the port's queue.
#[repr(C)]
struct CompletionEntryLayout {
    link: abi::LIST_ENTRY,
    key: u64,
    context: u64,
    information: u64,
    status: u32,
}

raw_object! {
    /// A packet of a completion port.
    CompletionEntry: CompletionEntryLayout {
        key, set_key: u64 = key;
        context, set_context: u64 = context;
        information, set_information: u64 = information;
        status, set_status: u32 = status;
    }
}
