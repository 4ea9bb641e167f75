// apps.sys (\\.\RbApps): what several applications do at once, and what is left when one of them dies. Its codes are
// described in cases.h.
#include <ntddk.h>

#include "cases.h"
#include "complete.h"

#define TAG 'sppA'

// A file's own record: FsContext.
struct file {
    LONG pended;
    LONG cleanups;
    LONG closes;
};

static struct apps_counts counts;

static struct file *file_of(IRP *irp) {
    return IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext;
}

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    struct file *file = ExAllocatePoolWithTag(NonPagedPool, sizeof *file, TAG);
    if (!file)
        return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    RtlZeroMemory(file, sizeof *file);
    IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext = file;
    InterlockedIncrement64(&counts.creates);
    return complete(irp, STATUS_SUCCESS, FILE_OPENED);
}

static NTSTATUS NTAPI cleanup(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    struct file *file = file_of(irp);
    if (InterlockedIncrement(&file->cleanups) != 1)
        InterlockedIncrement64(&counts.wrong);
    InterlockedIncrement64(&counts.cleanups);
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    struct file *file = file_of(irp);
    // CLOSE comes once, behind CLEANUP, and when no request of the file is left.
    if (file->cleanups != 1 || file->closes++ || file->pended)
        InterlockedIncrement64(&counts.wrong);
    InterlockedIncrement64(&counts.closes);
    ExFreePoolWithTag(file, TAG);
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS cancelled(IRP *irp) {
    InterlockedIncrement64(&counts.cancelled);
    return complete(irp, STATUS_CANCELLED, 0);
}

static VOID NTAPI cancel(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IoReleaseCancelSpinLock(irp->CancelIrql);
    InterlockedDecrement(&file_of(irp)->pended);
    InterlockedDecrement64(&counts.pending);
    cancelled(irp);
}

static NTSTATUS pend(IRP *irp) {
    KIRQL irql;
    IoAcquireCancelSpinLock(&irql);
    if (irp->Cancel) {
        IoReleaseCancelSpinLock(irql);
        return cancelled(irp);
    }
    IoMarkIrpPending(irp);
    InterlockedIncrement(&file_of(irp)->pended);
    InterlockedIncrement64(&counts.pending);
    IoSetCancelRoutine(irp, cancel);
    IoReleaseCancelSpinLock(irql);
    return STATUS_PENDING;
}

static NTSTATUS give(IRP *irp, const void *data, ULONG length) {
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength < length)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, data, length);
    return complete(irp, STATUS_SUCCESS, length);
}

// In the dispatch routine itself, as many drivers do that talk to slow hardware.
static NTSTATUS sleep(IRP *irp) {
    LARGE_INTEGER moment;
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.InputBufferLength < sizeof(ULONG64))
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    moment.QuadPart = -10000 * (LONG64)*(ULONG64 *)irp->AssociatedIrp.SystemBuffer;
    InterlockedIncrement64(&counts.sleeping);
    KeDelayExecutionThread(KernelMode, FALSE, &moment);
    InterlockedDecrement64(&counts.sleeping);
    return complete(irp, STATUS_SUCCESS, 0);
}

// Does as its input says to the bytes at the pointer that is embedded in it.
static NTSTATUS follow(IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct apps_follow given;
    __try {
        if (location->Parameters.DeviceIoControl.InputBufferLength < sizeof given)
            ExRaiseStatus(STATUS_INVALID_PARAMETER);
        ProbeForRead(location->Parameters.DeviceIoControl.Type3InputBuffer, sizeof given, 1);
        RtlCopyMemory(&given, location->Parameters.DeviceIoControl.Type3InputBuffer, sizeof given);
        UCHAR *bytes = (UCHAR *)given.address;
        if (given.how == APPS_BY_LOCK) {
            MDL *mdl = IoAllocateMdl(bytes, (ULONG)given.length, FALSE, FALSE, NULL);
            if (!mdl)
                ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
            __try {
                MmProbeAndLockPages(mdl, UserMode, IoModifyAccess);
            } __except (EXCEPTION_EXECUTE_HANDLER) {
                IoFreeMdl(mdl);
                return complete(irp, GetExceptionCode(), 0);
            }
            UCHAR *mapped = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
            for (ULONG64 i = 0; mapped && i < given.length; i++)
                mapped[i] ^= 0xFF;
            MmUnlockPages(mdl);
            IoFreeMdl(mdl);
        } else {
            ProbeForWrite(bytes, given.length, 1);
            for (ULONG64 i = 0; i < given.length; i++)
                bytes[i] ^= 0xFF;
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return complete(irp, GetExceptionCode(), 0);
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    LONG64 sleeping;
    switch (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode) {
    case APPS_NOTHING:
        sleeping = counts.sleeping;
        return give(irp, &sleeping, sizeof sleeping);
    case APPS_COUNTS:
        return give(irp, &counts, sizeof counts);
    case APPS_PEND:
        return pend(irp);
    case APPS_SLEEP:
        return sleep(irp);
    case APPS_STOP:
        KeBugCheckEx(0xE0000004, 1, 2, 3, 4);
    case APPS_FOLLOW:
        return follow(irp);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbApps");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbApps"), link = RTL_CONSTANT_STRING(L"\\??\\RbApps");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup;
    driver->MajorFunction[IRP_MJ_CLOSE] = close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
