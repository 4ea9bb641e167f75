// Devices beside the one that the cases are sent to: each gives all its requests to a routine of its own. Included
// behind case_driver.h.
#pragma once

struct inner;
typedef NTSTATUS inner_routine(struct inner *inner, IRP *irp);

struct inner {
    struct extension head;
    DEVICE_OBJECT *device;
    DEVICE_OBJECT *below;
    inner_routine *routine;
    // What it has seen: requests, and how many of each kind.
    ULONG requests, creates, cleanups, closes;
    PVOID close_thread;
    ULONG number;
    IRP *kept;
};

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    struct inner *inner = (struct inner *)address;
    inner->requests++;
    return inner->routine(inner, irp);
}

static NTSTATUS NTAPI to_inner(DEVICE_OBJECT *device, IRP *irp) {
    struct inner *inner = device->DeviceExtension;
    if (!inner->head.lower)
        return complete(irp, STATUS_SUCCESS, 0);
    if (!inner->routine)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        inner->creates++;
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLEANUP:
        inner->cleanups++;
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLOSE:
        inner->close_thread = KeGetCurrentThread();
        inner->closes++;
        return complete(irp, STATUS_SUCCESS, 0);
    default:
        return lower_device(irp, (ULONG64)inner);
    }
}

static struct inner *new_inner(struct case_context *context, const WCHAR *name, inner_routine *routine) {
    DRIVER_OBJECT *driver = context->device->DriverObject;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        if (i != IRP_MJ_DEVICE_CONTROL)
            driver->MajorFunction[i] = to_inner;
    DEVICE_OBJECT *device;
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct inner), name ? &string : NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        context->result->status = status;
        return NULL;
    }
    struct inner *inner = device->DeviceExtension;
    inner->head.lower = TRUE;
    inner->head.address = (ULONG64)inner;
    inner->device = device;
    inner->routine = routine;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return inner;
}

// Completes with information 7.
static inline NTSTATUS answer(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    return complete(irp, STATUS_SUCCESS, 7);
}

// Marks it pending and keeps it.
static inline NTSTATUS keep_pending(struct inner *inner, IRP *irp) {
    IoMarkIrpPending(irp);
    inner->kept = irp;
    return STATUS_PENDING;
}

// A completion routine that keeps the IRP; its context counts.
static inline NTSTATUS NTAPI keep(DEVICE_OBJECT *device, IRP *irp, PVOID count) {
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    ++*(ULONG *)count;
    return STATUS_MORE_PROCESSING_REQUIRED;
}
