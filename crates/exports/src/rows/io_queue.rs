//! `Io…` and `Ke…`: device queues and StartIo; shutdown notifications.

use abi::NTSTATUS;
use kernel::io::{self, DeviceQueue, DeviceQueueEntry, NextPacket};
use kernel::raw::{self, DeviceObject, Irp};

use crate::row::rows;

rows! {
    dll = "ntoskrnl.exe";

    /// Initialises a device queue, empty and idle.
    irql(HIGH_LEVEL)
    fn KeInitializeDeviceQueue(call, device_queue: u64) -> () {
        let _no_state_of_the_machine = call;
        io::initialize_device_queue(DeviceQueue::at(device_queue))
    }

    /// Puts an entry at the end of a busy device queue; an idle one becomes busy, and FALSE is returned.
    irql(DISPATCH_LEVEL)
    fn KeInsertDeviceQueue(call, device_queue: u64, device_queue_entry: u64) -> bool {
        let (queue, entry) = (DeviceQueue::at(device_queue), DeviceQueueEntry::at(device_queue_entry));
        io::insert_device_queue(call.kernel, call.thread, queue, entry, None)
    }

    /// As KeInsertDeviceQueue, sorted by a key.
    irql(DISPATCH_LEVEL)
    fn KeInsertByKeyDeviceQueue(call, device_queue: u64, device_queue_entry: u64, sort_key: u32) -> bool {
        let (queue, entry) = (DeviceQueue::at(device_queue), DeviceQueueEntry::at(device_queue_entry));
        io::insert_device_queue(call.kernel, call.thread, queue, entry, Some(sort_key))
    }

    /// Takes the first entry out of a device queue; an empty one becomes idle, and NULL is returned.
    irql(DISPATCH_LEVEL)
    fn KeRemoveDeviceQueue(call, device_queue: u64) -> u64 {
        let queue = DeviceQueue::at(device_queue);
        io::remove_device_queue(call.kernel, call.thread, queue, None).map(DeviceQueueEntry::address)
    }

    /// As KeRemoveDeviceQueue; takes the first entry with a key at least as great, if there is one.
    irql(DISPATCH_LEVEL)
    fn KeRemoveByKeyDeviceQueue(call, device_queue: u64, sort_key: u32) -> u64 {
        let queue = DeviceQueue::at(device_queue);
        io::remove_device_queue(call.kernel, call.thread, queue, Some(sort_key)).map(DeviceQueueEntry::address)
    }

    /// Takes an entry out of a device queue; returns whether it was in it.
    irql(DISPATCH_LEVEL)
    fn KeRemoveEntryDeviceQueue(call, device_queue: u64, device_queue_entry: u64) -> bool {
        let (queue, entry) = (DeviceQueue::at(device_queue), DeviceQueueEntry::at(device_queue_entry));
        io::remove_entry_device_queue(call.kernel, call.thread, queue, entry)
    }

    /// Gives a request to the driver's StartIo routine, or queues it when that is busy.
    irql(DISPATCH_LEVEL)
    fn IoStartPacket(call, device_object: u64, irp: u64, key: u64, cancel_function: u64) -> () {
        let key = if key == 0 { None } else { Some(raw::read(key)?) };
        let (device, irp) = (DeviceObject::at(device_object), Irp::at(irp));
        io::start_packet(call.kernel, call.thread, device, irp, key, cancel_function)
    }

    /// Gives the next queued request to the driver's StartIo routine.
    irql(DISPATCH_LEVEL)
    fn IoStartNextPacket(call, device_object: u64, cancelable: u8) -> () {
        let next = NextPacket { cancelable: cancelable != 0, key: None };
        io::start_next_packet(call.kernel, call.thread, DeviceObject::at(device_object), next)
    }

    /// Gives the next queued request, by key, to the driver's StartIo routine.
    irql(DISPATCH_LEVEL)
    fn IoStartNextPacketByKey(call, device_object: u64, cancelable: u8, key: u32) -> () {
        let next = NextPacket { cancelable: cancelable != 0, key: Some(key) };
        io::start_next_packet(call.kernel, call.thread, DeviceObject::at(device_object), next)
    }

    /// Sets how requests come to the driver's StartIo routine.
    irql(DISPATCH_LEVEL)
    fn IoSetStartIoAttributes(call, device_object: u64, deferred_start_io: u8, non_cancelable: u8) -> () {
        let device = DeviceObject::at(device_object);
        io::set_start_io_attributes(call.kernel, device, deferred_start_io != 0, non_cancelable != 0);
        Ok(())
    }

    /// Has a device get IRP_MJ_SHUTDOWN when the machine is shut down.
    irql(PASSIVE_LEVEL)
    fn IoRegisterShutdownNotification(call, device_object: u64) -> NTSTATUS {
        let device = DeviceObject::at(device_object);
        let registered = io::register_shutdown_notification(call.kernel, device, io::Chance::First)?;
        Ok(crate::call::status_of(registered))
    }

    /// Has a device get IRP_MJ_SHUTDOWN after all those that IoRegisterShutdownNotification has named.
    irql(PASSIVE_LEVEL)
    fn IoRegisterLastChanceShutdownNotification(call, device_object: u64) -> NTSTATUS {
        let device = DeviceObject::at(device_object);
        let registered = io::register_shutdown_notification(call.kernel, device, io::Chance::Last)?;
        Ok(crate::call::status_of(registered))
    }

    /// Undoes IoRegisterShutdownNotification and IoRegisterLastChanceShutdownNotification.
    irql(PASSIVE_LEVEL)
    fn IoUnregisterShutdownNotification(call, device_object: u64) -> () {
        io::unregister_shutdown_notification(call.kernel, DeviceObject::at(device_object))
    }
}
