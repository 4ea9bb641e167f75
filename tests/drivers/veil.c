// veil.sys: a filter without a fast I/O table above the device of fastio.sys. It passes every request on.
#include <ntddk.h>

static DEVICE_OBJECT *own, *below;

static NTSTATUS NTAPI pass(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(below, irp);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    IoDetachDevice(below);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFast");
    UNREFERENCED_PARAMETER(path);
    NTSTATUS status = IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &own);
    if (!NT_SUCCESS(status))
        return status;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = pass;
    driver->DriverUnload = unload;
    status = IoAttachDevice(own, &name, &below);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(own);
        return status;
    }
    own->Flags |= below->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO);
    own->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
