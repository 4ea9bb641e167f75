// wdm.sys: what a driver of Plug and Play devices does before its first device is started. As cases.h describes.
#include <ntddk.h>

#include "cases.h"
#include "complete.h"

struct extension {
    DEVICE_OBJECT *physical, *lower;
};

static DEVICE_OBJECT *control_device;
static struct wdm_record record;
static ULONG refuse;
static CHAR first_client, second_client;

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *physical) {
    DEVICE_OBJECT *device;
    record.add_calls++;
    record.add_irql = KeGetCurrentIrql();
    record.physical_flags = physical->Flags;
    record.physical_stack_size = (unsigned char)physical->StackSize;
    if (refuse)
        return STATUS_NO_SUCH_DEVICE;
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct extension), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    struct extension *extension = device->DeviceExtension;
    extension->physical = physical;
    extension->lower = IoAttachDeviceToDeviceStack(device, physical);
    record.lower_is_physical = extension->lower == physical;
    record.stack_size = (unsigned char)device->StackSize;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI again(DRIVER_OBJECT *driver, PVOID context, ULONG count) {
    record.again_calls++;
    record.again_count = count;
    record.again_context = (unsigned int)(ULONG_PTR)context;
    if (count == 1)
        IoRegisterDriverReinitialization(driver, again, (PVOID)77);
}

// Detaches and deletes what AddDevice has made, as a driver does when its device is removed.
static void remove_devices(DRIVER_OBJECT *driver) {
    DEVICE_OBJECT *device = driver->DeviceObject;
    while (device) {
        DEVICE_OBJECT *next = device->NextDevice;
        if (device != control_device) {
            IoDetachDevice(((struct extension *)device->DeviceExtension)->lower);
            IoDeleteDevice(device);
        }
        device = next;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (device != control_device)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    switch (location->Parameters.DeviceIoControl.IoControlCode) {
    case WDM_RECORD:
        if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof record)
            return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
        RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, &record, sizeof record);
        return complete(irp, STATUS_SUCCESS, sizeof record);
    case WDM_REFUSE:
        refuse = 1;
        return complete(irp, STATUS_SUCCESS, 0);
    case WDM_REMOVE:
        remove_devices(device->DriverObject);
        return complete(irp, STATUS_SUCCESS, 0);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbWdm");
    remove_devices(driver);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(control_device);
}

static void hang_extensions(DRIVER_OBJECT *driver) {
    PVOID first = NULL, second = NULL, third = NULL;
    record.first_status = (unsigned int)IoAllocateDriverObjectExtension(driver, &first_client, 100, &first);
    record.second_status = (unsigned int)IoAllocateDriverObjectExtension(driver, &second_client, 100, &second);
    record.third_status = (unsigned int)IoAllocateDriverObjectExtension(driver, &first_client, 100, &third);
    record.found = first && second && first != second && IoGetDriverObjectExtension(driver, &first_client) == first &&
                   IoGetDriverObjectExtension(driver, &second_client) == second &&
                   !IoGetDriverObjectExtension(driver, &record);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbWdm");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbWdm");
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &control_device);
    if (!NT_SUCCESS(status))
        return status;
    IoCreateSymbolicLink(&link, &name);
    driver->DriverExtension->AddDevice = add_device;
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    hang_extensions(driver);
    IoRegisterDriverReinitialization(driver, again, (PVOID)76);
    record.again_calls_at_entry = record.again_calls;
    return STATUS_SUCCESS;
}
