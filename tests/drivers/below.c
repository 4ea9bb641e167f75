// below.sys: a driver for the sample tap to attach to, with the device of the sample hello. A write says what it does with
// reads from then on: 'B' and a number n: the next n are answered STATUS_DEVICE_BUSY; 'W': the next is completed with
// STATUS_PENDING, which is wrong; 'P': they are pended; 'C': those that are pended are completed, from a DPC's IRQL. A
// read gives "abc" over and over, a control request its number of stack locations.
#include <ntddk.h>

#include "complete.h"

#define PENDED 16

static ULONG busy;
static BOOLEAN pends, is_wrong;
static IRP *pended[PENDED];
static ULONG pended_count;
static KSPIN_LOCK lock;

static NTSTATUS fill(IRP *irp) {
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length;
    for (ULONG i = 0; i < length; i++)
        ((char *)irp->AssociatedIrp.SystemBuffer)[i] = "abc"[i % 3];
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI read(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    KIRQL irql;
    KeAcquireSpinLock(&lock, &irql);
    BOOLEAN wrong = is_wrong;
    is_wrong = FALSE;
    BOOLEAN is_busy = busy > 0, is_pended = !is_busy && pends && pended_count < PENDED;
    if (is_busy)
        busy--;
    if (is_pended) {
        IoMarkIrpPending(irp);
        pended[pended_count++] = irp;
    }
    KeReleaseSpinLock(&lock, irql);
    if (wrong) {
        complete(irp, STATUS_PENDING, 0);
        return STATUS_SUCCESS;
    }
    if (is_busy)
        return complete(irp, STATUS_DEVICE_BUSY, 0);
    return is_pended ? STATUS_PENDING : fill(irp);
}

static void complete_pended(void) {
    for (;;) {
        KIRQL irql;
        KeAcquireSpinLock(&lock, &irql);
        IRP *irp = pended_count ? pended[--pended_count] : NULL;
        KeReleaseSpinLock(&lock, irql);
        if (!irp)
            return;
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        fill(irp);
        KeLowerIrql(irql);
    }
}

static NTSTATUS NTAPI write(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Write.Length;
    UCHAR *data = irp->AssociatedIrp.SystemBuffer;
    switch (length ? data[0] : 0) {
    case 'B':
        busy = length > 1 ? data[1] : 1;
        break;
    case 'W':
        is_wrong = TRUE;
        break;
    case 'P':
        pends = TRUE;
        break;
    case 'C':
        pends = FALSE;
        complete_pended();
        break;
    }
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength < 1)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    *(UCHAR *)irp->AssociatedIrp.SystemBuffer = irp->StackCount;
    return complete(irp, STATUS_SUCCESS, 1);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\My_Device");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\My_Device"), name = RTL_CONSTANT_STRING(L"\\Device\\My_Device");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    KeInitializeSpinLock(&lock);
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_READ] = read;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    device->Flags |= DO_BUFFERED_IO;
    return STATUS_SUCCESS;
}
