// queues.sys: device queues and StartIo, remove locks, work items. The cases are described in cases.h.
#include <ntifs.h>

#define CASE_DEVICE L"RbQueues"
#include "case_driver.h"
#include "inner_device.h"

static void device_queue(struct case_context *context) {
    KDEVICE_QUEUE queue;
    KDEVICE_QUEUE_ENTRY entries[5];
    KIRQL old;
    KeInitializeDeviceQueue(&queue);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    // An idle queue only becomes busy.
    note(context, KeInsertDeviceQueue(&queue, &entries[0]));
    note(context, queue.Busy);
    static const ULONG keys[] = {0, 30, 10, 20, 10};
    for (int i = 1; i < 5; i++)
        note(context, KeInsertByKeyDeviceQueue(&queue, &entries[i], keys[i]));
    // 10 (entry 2), 10 (entry 4), 20 (entry 3), 30 (entry 1).
    note(context, (ULONG)(KeRemoveByKeyDeviceQueue(&queue, 15) - entries));
    note(context, (ULONG)(KeRemoveByKeyDeviceQueue(&queue, 99) - entries));
    note(context, KeRemoveEntryDeviceQueue(&queue, &entries[1]));
    note(context, KeRemoveEntryDeviceQueue(&queue, &entries[1]));
    note(context, (ULONG)(KeRemoveDeviceQueue(&queue) - entries));
    note(context, queue.Busy);
    note(context, KeRemoveDeviceQueue(&queue) == NULL);
    note(context, queue.Busy);
    KeLowerIrql(old);
}

static struct case_context *logging;
static BOOLEAN next_in_start_io;
static int depth;

static VOID NTAPI start_io(DEVICE_OBJECT *device, IRP *irp) {
    depth++;
    note(logging, irp->IoStatus.Information * 100 + depth * 10 + KeGetCurrentIrql());
    note(logging, device->CurrentIrp == irp && irp->CancelRoutine == NULL);
    if (next_in_start_io)
        IoStartNextPacket(device, TRUE);
    depth--;
}

static VOID NTAPI cancel_queued(DEVICE_OBJECT *device, IRP *irp) {
    note(logging, KeRemoveEntryDeviceQueue(&device->DeviceQueue, &irp->Tail.Overlay.DeviceQueueEntry));
    note(logging, 1000 + irp->CancelIrql);
    IoReleaseCancelSpinLock(irp->CancelIrql);
}

static void start_packets(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, answer);
    IRP *irps[4];
    KIRQL old;
    logging = context;
    context->device->DriverObject->DriverStartIo = start_io;
    IoSetStartIoAttributes(inner->device, context->input[0] != 0, TRUE);
    next_in_start_io = FALSE;
    for (int i = 0; i < 4; i++) {
        irps[i] = IoAllocateIrp(1, FALSE);
        IoSetNextIrpStackLocation(irps[i]);
        IoGetCurrentIrpStackLocation(irps[i])->DeviceObject = inner->device;
        irps[i]->IoStatus.Information = i + 1;
        IoStartPacket(inner->device, irps[i], NULL, cancel_queued);
    }
    note(context, KeGetCurrentIrql());
    IoCancelIrp(irps[2]);
    next_in_start_io = TRUE;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoStartNextPacket(inner->device, TRUE);
    note(context, inner->device->CurrentIrp == NULL);
    KeLowerIrql(old);
    for (int i = 0; i < 4; i++)
        IoFreeIrp(irps[i]);
    IoDeleteDevice(inner->device);
}

static IO_REMOVE_LOCK remove_lock;
static KEVENT removing;
static LONG released;

static VOID NTAPI release_later(PVOID event) {
    KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL);
    // Only acquisitions from before the removal are left.
    while (!remove_lock.Common.Removed)
        YieldProcessor();
    released = IoAcquireRemoveLock(&remove_lock, NULL) == STATUS_DELETE_PENDING ? 1 : 2;
    IoReleaseRemoveLock(&remove_lock, NULL);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void remove_lock_case(struct case_context *context) {
    IoInitializeRemoveLock(&remove_lock, 'kcoL', 0, 0);
    KeInitializeEvent(&removing, NotificationEvent, FALSE);
    released = 0;
    note(context, (ULONG)IoAcquireRemoveLock(&remove_lock, NULL));
    note(context, (ULONG)IoAcquireRemoveLock(&remove_lock, NULL));
    HANDLE thread;
    PsCreateSystemThread(&thread, 0, NULL, NULL, NULL, release_later, &removing);
    KeSetEvent(&removing, 0, FALSE);
    IoReleaseRemoveLockAndWait(&remove_lock, NULL);
    note(context, released);
    note(context, (ULONG)IoAcquireRemoveLock(&remove_lock, NULL));
    ZwClose(thread);
}

struct work {
    KEVENT done;
    struct case_context *context;
    DEVICE_OBJECT *device;
    PIO_WORKITEM item;
};

static VOID NTAPI work_routine(DEVICE_OBJECT *device, PVOID context) {
    struct work *work = context;
    note(work->context, device == work->device);
    note(work->context, KeGetCurrentIrql());
    note(work->context, (ULONG64)PsGetCurrentProcessId());
    IoFreeWorkItem(work->item);
    KeSetEvent(&work->done, 0, FALSE);
}

static VOID NTAPI work_routine_ex(PVOID object, PVOID context, PIO_WORKITEM item) {
    struct work *work = context;
    note(work->context, object == work->device && item == work->item);
    KeSetEvent(&work->done, 0, FALSE);
}

static VOID NTAPI ex_routine(PVOID context) {
    struct work *work = context;
    note(work->context, KeGetCurrentIrql());
    KeSetEvent(&work->done, 0, FALSE);
}

static void work_items(struct case_context *context) {
    static struct work work;
    work.context = context;
    work.device = context->device;
    KeInitializeEvent(&work.done, SynchronizationEvent, FALSE);
    KIRQL old;
    work.item = IoAllocateWorkItem(context->device);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoQueueWorkItem(work.item, work_routine, DelayedWorkQueue, &work);
    KeLowerIrql(old);
    KeWaitForSingleObject(&work.done, Executive, KernelMode, FALSE, NULL);
    work.item = ExAllocatePoolWithTag(NonPagedPoolNx, IoSizeofWorkItem(), 'kroW');
    IoInitializeWorkItem(context->device, work.item);
    for (int i = 0; i < 2; i++) {
        IoQueueWorkItemEx(work.item, work_routine_ex, CriticalWorkQueue, &work);
        KeWaitForSingleObject(&work.done, Executive, KernelMode, FALSE, NULL);
    }
    IoUninitializeWorkItem(work.item);
    ExFreePoolWithTag(work.item, 'kroW');
    static WORK_QUEUE_ITEM item;
    ExInitializeWorkItem(&item, ex_routine, &work);
    ExQueueWorkItem(&item, CriticalWorkQueue);
    KeWaitForSingleObject(&work.done, Executive, KernelMode, FALSE, NULL);
    note(context, item.List.Flink == NULL);
}

static VOID NTAPI stay_raised(PVOID context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
}

static void raised_work(struct case_context *context) {
    static WORK_QUEUE_ITEM item;
    KEVENT never;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    ExInitializeWorkItem(&item, stay_raised, NULL);
    ExQueueWorkItem(&item, DelayedWorkQueue);
    KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, NULL);
    note(context, 1);
}

static struct inner *registered[2];
static ULONG order;

static NTSTATUS shutting_down(struct inner *inner, IRP *irp) {
    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_SHUTDOWN)
        inner->number = ++order;
    return complete(irp, STATUS_SUCCESS, 0);
}

static void shutdown(struct case_context *context) {
    if (!registered[0]) {
        for (int i = 0; i < 2; i++) {
            registered[i] = new_inner(context, NULL, shutting_down);
            note(context, (ULONG)IoRegisterShutdownNotification(registered[i]->device));
        }
        struct inner *third = new_inner(context, NULL, shutting_down);
        IoRegisterShutdownNotification(third->device);
        IoUnregisterShutdownNotification(third->device);
        IoDeleteDevice(third->device);
        return;
    }
    for (int i = 0; i < 2; i++)
        note(context, registered[i]->number);
}

struct entry {
    LIST_ENTRY link;
    ULONG number;
};

static ULONG number_of(PLIST_ENTRY link) { return CONTAINING_RECORD(link, struct entry, link)->number; }

static void kernel_queue(struct case_context *context) {
    static KQUEUE queue;
    static struct entry entries[2];
    LARGE_INTEGER now = {.QuadPart = 0};
    entries[0].number = 1;
    entries[1].number = 2;
    KeInitializeQueue(&queue, 1);
    note(context, KeInsertQueue(&queue, &entries[0].link));
    note(context, KeInsertHeadQueue(&queue, &entries[1].link));
    note(context, KeReadStateQueue(&queue));
    note(context, number_of(KeRemoveQueue(&queue, KernelMode, NULL)));
    note(context, number_of(KeRemoveQueue(&queue, KernelMode, NULL)));
    note(context, (ULONG64)KeRemoveQueue(&queue, KernelMode, &now));
    KeInsertQueue(&queue, &entries[0].link);
    LIST_ENTRY *left = KeRundownQueue(&queue);
    note(context, number_of(left));
    note(context, left->Flink == left && left->Blink == left);
}

static case_routine *const cases[] = {
    [QUEUES_DEVICE_QUEUE] = device_queue,
    [QUEUES_START_IO] = start_packets,
    [QUEUES_REMOVE_LOCK] = remove_lock_case,
    [QUEUES_WORK] = work_items,
    [QUEUES_RAISED_WORK] = raised_work,
    [QUEUES_SHUTDOWN] = shutdown,
    [QUEUES_KQUEUE] = kernel_queue,
};
static const ULONG case_count = ARRAYSIZE(cases);
