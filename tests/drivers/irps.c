// irps.sys: IRPs that a driver makes. The cases are described in cases.h.
#define CASE_DEVICE L"RbIrps"
#include "case_driver.h"
#include "inner_device.h"

static void own(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    ULONG kept = 0;
    IRP *irp = IoAllocateIrp(inner->device->StackSize, FALSE);
    note(context, irp->Type == IO_TYPE_IRP && irp->Size == IoSizeOfIrp(1));
    note(context, irp->StackCount);
    note(context, irp->CurrentLocation);
    for (int i = 0; i < 2; i++) {
        IO_STACK_LOCATION *location = IoGetNextIrpStackLocation(irp);
        location->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
        IoSetCompletionRoutine(irp, keep, &kept, TRUE, TRUE, TRUE);
        note(context, (ULONG)IoCallDriver(inner->device, irp));
        note(context, kept);
        note(context, irp->IoStatus.Information);
        IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
        note(context, (ULONG)irp->IoStatus.Status == (ULONG)STATUS_UNSUCCESSFUL && irp->CurrentLocation == 2);
    }
    IoFreeIrp(irp);
    // In memory of the driver's own.
    irp = ExAllocatePoolWithTag(NonPagedPoolNx, IoSizeOfIrp(3), 'Irps');
    IoInitializeIrp(irp, IoSizeOfIrp(3), 3);
    note(context, irp->CurrentLocation);
    note(context, IoGetNextIrpStackLocation(irp) == (IO_STACK_LOCATION *)(irp + 1) + 2);
    ExFreePoolWithTag(irp, 'Irps');
    IoDeleteDevice(inner->device);
}

static struct inner *part_device;
static ULONG master_completed;
static struct case_context *part_context;

static NTSTATUS split(struct inner *inner, IRP *master) {
    UNREFERENCED_PARAMETER(inner);
    LONG count = (LONG)part_context->input[0];
    IRP *parts[8];
    IoMarkIrpPending(master);
    master->IoStatus.Status = STATUS_SUCCESS;
    master->IoStatus.Information = 42;
    master->AssociatedIrp.IrpCount = count;
    for (LONG i = 0; i < count; i++) {
        parts[i] = IoMakeAssociatedIrp(master, part_device->device->StackSize);
        IoGetNextIrpStackLocation(parts[i])->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    }
    for (LONG i = 0; i < count; i++) {
        IoCallDriver(part_device->device, parts[i]);
        note(part_context, master_completed);
    }
    return STATUS_PENDING;
}

static void associated(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, split);
    part_device = new_inner(context, NULL, answer);
    part_context = context;
    master_completed = 0;
    IRP *master = IoAllocateIrp(1, FALSE);
    IoGetNextIrpStackLocation(master)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(master, keep, &master_completed, TRUE, TRUE, TRUE);
    context->result->status = (ULONG)IoCallDriver(inner->device, master);
    note(context, master->IoStatus.Information);
    IoFreeIrp(master);
    IoDeleteDevice(inner->device);
    IoDeleteDevice(part_device->device);
}

static KTIMER timer;
static KDPC dpc;
static IRP *later;
static NTSTATUS later_status;

static void fill(IRP *irp, NTSTATUS status) {
    RtlFillMemory(irp->AssociatedIrp.SystemBuffer, 16, 0x5A);
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 4;
    IoCompleteRequest(irp, IO_SOUND_INCREMENT);
}

static VOID NTAPI complete_later(KDPC *unused, PVOID context, PVOID first, PVOID second) {
    UNREFERENCED_PARAMETER(unused);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(first);
    UNREFERENCED_PARAMETER(second);
    fill(later, later_status);
}

static ULONG way;

static NTSTATUS control_below(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    later_status = way >= 2 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
    if (way & 1) {
        LARGE_INTEGER due = {.QuadPart = -10000};
        IoMarkIrpPending(irp);
        later = irp;
        KeInitializeDpc(&dpc, complete_later, NULL);
        KeInitializeTimer(&timer);
        KeSetTimer(&timer, due, &dpc);
        return STATUS_PENDING;
    }
    fill(irp, later_status);
    return later_status;
}

static void control_request(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, control_below);
    way = (ULONG)context->input[0];
    KEVENT event;
    IO_STATUS_BLOCK iosb = {.Information = 99};
    iosb.Status = 0x1234;
    UCHAR output[16] = {0}, input[8] = {1, 2, 3};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildDeviceIoControlRequest(CASE_CODE(50), inner->device, input, sizeof input, output, sizeof output, TRUE, &event, &iosb);
    NTSTATUS status = IoCallDriver(inner->device, irp);
    note(context, (ULONG)status);
    if (status == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    note(context, (ULONG)KeReadStateEvent(&event));
    note(context, (ULONG)iosb.Status);
    note(context, iosb.Information);
    note(context, output[0]);
    note(context, output[4]);
    KeFlushQueuedDpcs();
    IoDeleteDevice(inner->device);
}

static void held_up(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, keep_pending);
    KEVENT event;
    IO_STATUS_BLOCK iosb;
    LARGE_INTEGER soon = {.QuadPart = -10000};
    KIRQL irql = PASSIVE_LEVEL;
    iosb.Status = 0x1234;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildDeviceIoControlRequest(CASE_CODE(50), inner->device, NULL, 0, NULL, 0, TRUE, &event, &iosb);
    IoCallDriver(inner->device, irp);
    if (context->input[0] == 0)
        KeRaiseIrql(APC_LEVEL, &irql);
    else if (context->input[0] == 1)
        KeEnterGuardedRegion();
    else
        KeEnterCriticalRegion();
    complete(inner->kept, STATUS_SUCCESS, 0);
    note(context, (ULONG)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon));
    note(context, (ULONG)KeReadStateEvent(&event));
    note(context, (ULONG)iosb.Status);
    if (context->input[0] == 0)
        KeLowerIrql(irql);
    else if (context->input[0] == 1)
        KeLeaveGuardedRegion();
    else
        KeLeaveCriticalRegion();
    note(context, (ULONG)KeReadStateEvent(&event));
    note(context, (ULONG)iosb.Status);
    IoDeleteDevice(inner->device);
}

static struct { ULONG sum, own_buffer, locked; LONG64 offset; } seen;
static UCHAR *transfer_buffer;

static NTSTATUS transfer(struct inner *inner, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    UCHAR *buffer = inner->device->Flags & DO_BUFFERED_IO ? irp->AssociatedIrp.SystemBuffer : irp->UserBuffer;
    if (irp->MdlAddress)
        buffer = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    seen.locked = irp->MdlAddress && irp->MdlAddress->MdlFlags & MDL_PAGES_LOCKED;
    ULONG length = location->Parameters.Read.Length;
    seen.own_buffer = buffer == transfer_buffer;
    seen.offset = location->Parameters.Read.ByteOffset.QuadPart;
    seen.sum = 0;
    for (ULONG i = 0; i < length; i++)
        if (location->MajorFunction == IRP_MJ_READ)
            buffer[i] = (UCHAR)i;
        else
            seen.sum += buffer[i];
    return complete(irp, STATUS_SUCCESS, length);
}

static void synchronous(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, transfer);
    inner->device->Flags |= (ULONG)context->input[0];
    UCHAR buffer[10];
    transfer_buffer = buffer;
    RtlFillMemory(buffer, sizeof buffer, 3);
    LARGE_INTEGER offset = {.QuadPart = 0x123456789};
    ULONG majors[] = {IRP_MJ_WRITE, IRP_MJ_READ};
    for (int i = 0; i < 2; i++) {
        KEVENT event;
        IO_STATUS_BLOCK iosb = {0};
        KeInitializeEvent(&event, SynchronizationEvent, FALSE);
        IRP *irp = IoBuildSynchronousFsdRequest(majors[i], inner->device, buffer, sizeof buffer, &offset, &event, &iosb);
        NTSTATUS status = IoCallDriver(inner->device, irp);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        note(context, (ULONG)status);
        note(context, iosb.Information);
        note(context, seen.sum);
        note(context, seen.own_buffer);
        note(context, seen.locked);
        note(context, seen.offset == offset.QuadPart);
    }
    note(context, buffer[9]);
    KEVENT event;
    IO_STATUS_BLOCK iosb = {0};
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    IRP *irp = IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, inner->device, NULL, 0, NULL, &event, &iosb);
    note(context, IoGetNextIrpStackLocation(irp)->MajorFunction);
    IoCallDriver(inner->device, irp);
    IoDeleteDevice(inner->device);
}

static NTSTATUS NTAPI free_request(DEVICE_OBJECT *device, IRP *irp, PVOID context) {
    UNREFERENCED_PARAMETER(device);
    note(context, irp->AssociatedIrp.SystemBuffer && irp->Flags & IRP_BUFFERED_IO && irp->Flags & IRP_DEALLOCATE_BUFFER);
    note(context, (ULONG)irp->IoStatus.Status);
    note(context, irp->IoStatus.Information);
    if (irp->AssociatedIrp.SystemBuffer && irp->Flags & IRP_DEALLOCATE_BUFFER)
        ExFreePool(irp->AssociatedIrp.SystemBuffer);
    while (irp->MdlAddress) {
        MDL *next = irp->MdlAddress->Next;
        MmUnlockPages(irp->MdlAddress);
        IoFreeMdl(irp->MdlAddress);
        irp->MdlAddress = next;
    }
    IoFreeIrp(irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void asynchronous(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, transfer);
    inner->device->Flags |= (ULONG)context->input[0];
    UCHAR buffer[10] = {0};
    LARGE_INTEGER offset = {0};
    IO_STATUS_BLOCK iosb;
    IRP *irp = IoBuildAsynchronousFsdRequest(IRP_MJ_WRITE, inner->device, buffer, sizeof buffer, &offset, &iosb);
    IoSetCompletionRoutine(irp, free_request, context, TRUE, TRUE, TRUE);
    context->result->status = (ULONG)IoCallDriver(inner->device, irp);
    IoDeleteDevice(inner->device);
}

static NTSTATUS direct_below(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    UCHAR *data = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    ULONG length = location->Parameters.DeviceIoControl.OutputBufferLength;
    UCHAR first = *(UCHAR *)irp->AssociatedIrp.SystemBuffer;
    ULONG method = location->Parameters.DeviceIoControl.IoControlCode & 3;
    seen.own_buffer = data == transfer_buffer;
    seen.locked = !!(irp->MdlAddress->MdlFlags & MDL_PAGES_LOCKED) + 10 * !!(irp->MdlAddress->MdlFlags & MDL_WRITE_OPERATION);
    seen.sum = 0;
    for (ULONG i = 0; i < length; i++)
        if (method == METHOD_OUT_DIRECT)
            data[i] = (UCHAR)(first + i);
        else
            seen.sum += data[i];
    return complete(irp, STATUS_SUCCESS, length);
}

static void direct(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, direct_below);
    ULONG methods[] = {METHOD_IN_DIRECT, METHOD_OUT_DIRECT};
    UCHAR buffer[10], input = 7;
    transfer_buffer = buffer;
    RtlFillMemory(buffer, sizeof buffer, 3);
    for (int i = 0; i < 2; i++) {
        KEVENT event;
        IO_STATUS_BLOCK iosb = {0};
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        ULONG code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x850, methods[i], FILE_ANY_ACCESS);
        IRP *irp = IoBuildDeviceIoControlRequest(code, inner->device, &input, 1, buffer, sizeof buffer, TRUE, &event, &iosb);
        note(context, (ULONG)IoCallDriver(inner->device, irp));
        note(context, iosb.Information);
        note(context, seen.sum);
        note(context, seen.own_buffer);
        note(context, seen.locked);
    }
    note(context, buffer[9]);
    IoDeleteDevice(inner->device);
}

static void unbuildable(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    KEVENT event;
    IO_STATUS_BLOCK iosb;
    // Nothing lies there: the address belongs to no process and no pool.
    UCHAR *nothing = (UCHAR *)0x40;
    ULONG code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x850, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    note(context, !IoBuildDeviceIoControlRequest(code, inner->device, NULL, 0, nothing, 4, FALSE, &event, &iosb));
    inner->device->Flags |= DO_DIRECT_IO;
    note(context, !IoBuildSynchronousFsdRequest(IRP_MJ_READ, inner->device, nothing, 4, NULL, &event, &iosb));
    note(context, !IoAllocateIrp(127, FALSE));
    IoDeleteDevice(inner->device);
}

static void not_kept(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    IRP *irp = IoAllocateIrp(1, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoCallDriver(inner->device, irp);
    note(context, 1);
}

static void free_threaded(struct case_context *context) {
    IoFreeIrp(IoBuildDeviceIoControlRequest(CASE_CODE(50), context->device, NULL, 0, NULL, 0, TRUE, NULL, NULL));
    note(context, 1);
}

static void free_twice(struct case_context *context) {
    IRP *irp = IoAllocateIrp(1, FALSE);
    IoFreeIrp(irp);
    IoFreeIrp(irp);
    note(context, 1);
}

static NTSTATUS NTAPI mark_and_keep(DEVICE_OBJECT *device, IRP *irp, PVOID count) {
    IoMarkIrpPending(irp);
    return keep(device, irp, count);
}

static void mark_own(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    ULONG kept = 0;
    IRP *irp = IoAllocateIrp(inner->device->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, mark_and_keep, &kept, TRUE, TRUE, TRUE);
    IoCallDriver(inner->device, irp);
    IoFreeIrp(irp);
    note(context, kept);
}

static void leak(struct case_context *context) { note(context, IoAllocateIrp(2, FALSE) != NULL); }

static void complete_again(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    KEVENT event;
    IO_STATUS_BLOCK iosb = {0};
    ULONG kept = 0;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildDeviceIoControlRequest(CASE_CODE(50), inner->device, NULL, 0, NULL, 0, TRUE, &event, &iosb);
    IoSetCompletionRoutine(irp, keep, &kept, TRUE, TRUE, TRUE);
    IoCallDriver(inner->device, irp);
    note(context, kept);
    note(context, (ULONG)KeReadStateEvent(&event));
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    note(context, kept);
    note(context, (ULONG)KeReadStateEvent(&event));
    note(context, iosb.Information);
    IoDeleteDevice(inner->device);
}

static case_routine *const cases[] = {
    [IRPS_OWN] = own,
    [IRPS_ASSOCIATED] = associated,
    [IRPS_CONTROL] = control_request,
    [IRPS_SYNCHRONOUS] = synchronous,
    [IRPS_ASYNCHRONOUS] = asynchronous,
    [IRPS_DIRECT] = direct,
    [IRPS_HELD_UP] = held_up,
    [IRPS_UNBUILDABLE] = unbuildable,
    [IRPS_NOT_KEPT] = not_kept,
    [IRPS_FREE_THREADED] = free_threaded,
    [IRPS_LEAK] = leak,
    [IRPS_COMPLETE_LATER] = complete_again,
    [IRPS_FREE_TWICE] = free_twice,
    [IRPS_MARK_OWN] = mark_own,
};
static const ULONG case_count = ARRAYSIZE(cases);
