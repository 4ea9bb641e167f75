// lacking.sys: imports what nobody implements. Its service's name says which of them it calls, as cases.h describes.
#include <ntddk.h>

NTKERNELAPI NTSTATUS NTAPI PsSuspendProcess(PVOID process);
NTKERNELAPI NTSTATUS NTAPI PsResumeProcess(PVOID process);

static NTSTATUS NTAPI open_or_close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

// Calls one under __try: what it raises is what the request ends with.
static NTSTATUS NTAPI read(DEVICE_OBJECT *device, IRP *irp) {
    NTSTATUS status = STATUS_SUCCESS;
    __try {
        status = PsSuspendProcess(device);
        __asm__ volatile("nop");
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

// Calls the other without.
static NTSTATUS NTAPI write(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(irp);
    return PsResumeProcess(device);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) { IoDeleteDevice(driver->DeviceObject); }

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbLacking");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    device->Flags |= DO_BUFFERED_IO;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_READ] = read;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
