//! `Io…`: IRPs that drivers make.

use abi::NTSTATUS;
use kernel::io::{self, ControlRequest, FsdRequest, Notify};
use kernel::raw::{DeviceObject, Irp};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Allocates an IRP; returns NULL without memory. Quota is not charged.
    irql(DISPATCH_LEVEL)
    fn IoAllocateIrp(call, stack_size: u8, _charge_quota: u8) -> u64 {
        io::allocate_irp(call.kernel, stack_size).map(Irp::address)
    }

    /// Allocates an IRP that will be sent to a device; returns NULL without memory. Quota is not charged.
    irql(DISPATCH_LEVEL)
    fn IoAllocateIrpEx(call, _device_object: u64, stack_size: u8, _charge_quota: u8) -> u64 {
        io::allocate_irp(call.kernel, stack_size).map(Irp::address)
    }

    /// Makes an IRP of memory that the driver has allocated.
    irql(HIGH_LEVEL)
    fn IoInitializeIrp(call, irp: u64, packet_size: u16, stack_size: u8) -> () {
        let _no_state_of_the_machine = call;
        io::initialize_irp(Irp::at(irp), packet_size, stack_size)
    }

    /// Makes a driver's own IRP new, to be sent again.
    irql(HIGH_LEVEL)
    fn IoReuseIrp(call, irp: u64, status: u32) -> () {
        let _no_state_of_the_machine = call;
        io::reuse_irp(Irp::at(irp), NTSTATUS::from_bits(status))
    }

    /// Frees an IRP that the driver has allocated.
    irql(DISPATCH_LEVEL)
    fn IoFreeIrp(call, irp: u64) -> () {
        io::free_irp(call.kernel, Irp::at(irp))
    }

    /// Allocates an IRP that is part of a master IRP, which is completed with the last of its parts.
    irql(DISPATCH_LEVEL)
    fn IoMakeAssociatedIrp(call, irp: u64, stack_size: u8) -> u64 {
        io::make_associated_irp(call.kernel, Irp::at(irp), stack_size).map(Irp::address)
    }

    /// Builds a device control request that the I/O manager completes and frees.
    irql(PASSIVE_LEVEL)
    fn IoBuildDeviceIoControlRequest(
        call,
        io_control_code: u32,
        device_object: u64,
        input_buffer: u64,
        input_buffer_length: u32,
        output_buffer: u64,
        output_buffer_length: u32,
        internal_device_io_control: u8,
        event: u64,
        io_status_block: u64
    ) -> u64 {
        let request = ControlRequest {
            code: io_control_code,
            device: DeviceObject::at(device_object),
            input: (input_buffer, input_buffer_length),
            output: (output_buffer, output_buffer_length),
            internal: internal_device_io_control != 0,
            notify: Notify { event, iosb: io_status_block },
        };
        io::build_device_io_control_request(call.kernel, call.thread, &request).map(Irp::address)
    }

    /// Builds a read, write, flush, shutdown or Plug and Play request that the I/O manager completes and frees.
    irql(PASSIVE_LEVEL)
    fn IoBuildSynchronousFsdRequest(
        call,
        major_function: u32,
        device_object: u64,
        buffer: u64,
        length: u32,
        starting_offset: u64,
        event: u64,
        io_status_block: u64
    ) -> u64 {
        let request = FsdRequest {
            major: u8::try_from(major_function).unwrap_or(u8::MAX),
            device: DeviceObject::at(device_object),
            buffer,
            length,
            starting_offset,
            synchronous: true,
            notify: Notify { event, iosb: io_status_block },
        };
        io::build_fsd_request(call.kernel, call.thread, &request).map(Irp::address)
    }

    /// Builds a read, write, flush or shutdown request that the driver's completion routine frees, with its system buffer
    /// or its MDL.
    irql(APC_LEVEL)
    fn IoBuildAsynchronousFsdRequest(
        call,
        major_function: u32,
        device_object: u64,
        buffer: u64,
        length: u32,
        starting_offset: u64,
        io_status_block: u64
    ) -> u64 {
        let request = FsdRequest {
            major: u8::try_from(major_function).unwrap_or(u8::MAX),
            device: DeviceObject::at(device_object),
            buffer,
            length,
            starting_offset,
            synchronous: false,
            notify: Notify { event: 0, iosb: io_status_block },
        };
        io::build_fsd_request(call.kernel, call.thread, &request).map(Irp::address)
    }
}
