// cancel.sys: cancelling, and cancel-safe queues. The cases are described in cases.h.
#define CASE_DEVICE L"RbCancel"
#include "case_driver.h"
#include "inner_device.h"

static ULONG runs, irql_in_routine = 99, irql_behind = 99;

static VOID NTAPI cancel_routine(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    runs++;
    irql_in_routine = KeGetCurrentIrql();
    IoReleaseCancelSpinLock(irp->CancelIrql);
    irql_behind = KeGetCurrentIrql();
    complete(irp, STATUS_CANCELLED, 0);
}

// Pends with the cancel routine; a request that is cancelled already is completed here.
static NTSTATUS pend(IRP *irp) {
    IoMarkIrpPending(irp);
    IoSetCancelRoutine(irp, cancel_routine);
    if (irp->Cancel && IoSetCancelRoutine(irp, NULL))
        complete(irp, STATUS_CANCELLED, 0);
    return STATUS_PENDING;
}

static NTSTATUS pend_inner(struct inner *inner, IRP *irp) {
    inner->kept = irp;
    return pend(irp);
}

static ULONG cleanups, closes;

static NTSTATUS NTAPI cleanup_or_close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_CLEANUP)
        cleanups++;
    else
        closes++;
    return complete(irp, STATUS_SUCCESS, 0);
}

// Device control goes through here first: one of its codes pends.
static NTSTATUS NTAPI control_or_pend(DEVICE_OBJECT *device, IRP *irp) {
    struct extension *extension = device->DeviceExtension;
    ULONG code = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode;
    return !extension->lower && code == CASE_CODE(CANCEL_PEND) ? pend(irp) : control(device, irp);
}

static void counts(struct case_context *context) {
    DRIVER_OBJECT *driver = context->device->DriverObject;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control_or_pend;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = cleanup_or_close;
    note(context, runs);
    note(context, irql_in_routine);
    note(context, irql_behind);
    note(context, cleanups);
    note(context, closes);
}

static IRP *send_own(struct inner *inner, ULONG *kept) {
    IRP *irp = IoAllocateIrp(inner->device->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, keep, kept, TRUE, TRUE, TRUE);
    IoCallDriver(inner->device, irp);
    return irp;
}

static void own(struct case_context *context) {
    struct inner *inner = new_inner(context, NULL, keep_pending);
    ULONG kept = 0;
    IRP *irp = send_own(inner, &kept);
    note(context, IoCancelIrp(irp));
    note(context, irp->Cancel);
    note(context, kept);
    complete(irp, STATUS_SUCCESS, 0);
    IoReuseIrp(irp, STATUS_SUCCESS);
    note(context, irp->Cancel);
    IoFreeIrp(irp);

    inner->routine = pend_inner;
    kept = runs = 0;
    irp = send_own(inner, &kept);
    note(context, IoCancelIrp(irp));
    note(context, runs);
    note(context, irql_in_routine);
    note(context, irql_behind);
    note(context, kept);
    note(context, (ULONG)irp->IoStatus.Status);
    note(context, irp->CancelRoutine == NULL);
    note(context, IoCancelIrp(irp));
    IoFreeIrp(irp);

    // Cancelled before it is sent.
    irp = IoAllocateIrp(1, FALSE);
    note(context, IoCancelIrp(irp));
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    kept = 0;
    IoSetCompletionRoutine(irp, keep, &kept, FALSE, FALSE, TRUE);
    IoCallDriver(inner->device, irp);
    note(context, kept);
    note(context, (ULONG)irp->IoStatus.Status);
    IoFreeIrp(irp);
    IoDeleteDevice(inner->device);
}

struct queue {
    IO_CSQ csq;
    LIST_ENTRY list;
    KSPIN_LOCK lock;
    ULONG cancelled, locked_inserts;
    BOOLEAN refuse;
};

static VOID NTAPI csq_insert(IO_CSQ *csq, IRP *irp) {
    struct queue *queue = CONTAINING_RECORD(csq, struct queue, csq);
    queue->locked_inserts += KeGetCurrentIrql() == DISPATCH_LEVEL;
    InsertTailList(&queue->list, &irp->Tail.Overlay.ListEntry);
}

static NTSTATUS NTAPI csq_insert_ex(IO_CSQ *csq, IRP *irp, PVOID insert_context) {
    struct queue *queue = CONTAINING_RECORD(csq, struct queue, csq);
    if (queue->refuse)
        return (NTSTATUS)(ULONG_PTR)insert_context;
    csq_insert(csq, irp);
    return STATUS_SUCCESS;
}

static VOID NTAPI csq_remove(IO_CSQ *csq, IRP *irp) {
    UNREFERENCED_PARAMETER(csq);
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

// A peek context is the IRP that is wanted.
static IRP *NTAPI csq_peek(IO_CSQ *csq, IRP *irp, PVOID wanted) {
    struct queue *queue = CONTAINING_RECORD(csq, struct queue, csq);
    LIST_ENTRY *entry = irp ? irp->Tail.Overlay.ListEntry.Flink : queue->list.Flink;
    for (; entry != &queue->list; entry = entry->Flink) {
        IRP *next = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (!wanted || next == wanted)
            return next;
    }
    return NULL;
}

static VOID NTAPI csq_acquire(IO_CSQ *csq, KIRQL *irql) {
    KeAcquireSpinLock(&CONTAINING_RECORD(csq, struct queue, csq)->lock, irql);
}

static VOID NTAPI csq_release(IO_CSQ *csq, KIRQL irql) {
    KeReleaseSpinLock(&CONTAINING_RECORD(csq, struct queue, csq)->lock, irql);
}

static VOID NTAPI csq_complete(IO_CSQ *csq, IRP *irp) {
    CONTAINING_RECORD(csq, struct queue, csq)->cancelled++;
    complete(irp, STATUS_CANCELLED, 0);
}

static struct queue queue;
static IO_CSQ_IRP_CONTEXT *tie;
static NTSTATUS inserted;

static NTSTATUS enqueue(struct inner *inner, IRP *irp) {
    inner->kept = irp;
    IoCsqInsertIrp(&queue.csq, irp, tie);
    return STATUS_PENDING;
}

static NTSTATUS enqueue_ex(struct inner *inner, IRP *irp) {
    inner->kept = irp;
    inserted = IoCsqInsertIrpEx(&queue.csq, irp, tie, (PVOID)(ULONG_PTR)(ULONG)STATUS_DEVICE_BUSY);
    if (NT_SUCCESS(inserted))
        return STATUS_PENDING;
    // Neither pending nor queued: it ends here.
    return complete(irp, inserted, 0);
}

static void prepare_queue(void) {
    RtlZeroMemory(&queue, sizeof queue);
    InitializeListHead(&queue.list);
    KeInitializeSpinLock(&queue.lock);
    tie = NULL;
}

static void queue_case(struct case_context *context) {
    prepare_queue();
    struct inner *inner = new_inner(context, NULL, enqueue);
    context->result->status =
        (ULONG)IoCsqInitialize(&queue.csq, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release, csq_complete);
    ULONG kept = 0;
    IRP *irps[4];
    for (int i = 0; i < 4; i++)
        irps[i] = send_own(inner, &kept);
    note(context, queue.locked_inserts);
    // In order, or the one that is asked for; its pending mark was set.
    note(context, IoCsqRemoveNextIrp(&queue.csq, NULL) == irps[0]);
    note(context, IoCsqRemoveNextIrp(&queue.csq, irps[2]) == irps[2]);
    note(context, !!(IoGetCurrentIrpStackLocation(irps[0])->Control & SL_PENDING_RETURNED));
    note(context, irps[0]->CancelRoutine == NULL);
    note(context, IoCancelIrp(irps[0]));
    // In the queue: cancelling takes it out and completes it.
    note(context, IoCancelIrp(irps[1]));
    note(context, queue.cancelled);
    note(context, kept);
    note(context, (ULONG)irps[1]->IoStatus.Status);
    note(context, IoCsqRemoveNextIrp(&queue.csq, NULL) == irps[3]);
    note(context, IoCsqRemoveNextIrp(&queue.csq, NULL) == NULL);
    complete(irps[0], STATUS_SUCCESS, 0);
    complete(irps[2], STATUS_SUCCESS, 0);
    complete(irps[3], STATUS_SUCCESS, 0);

    // With a context: that very IRP, once.
    IO_CSQ_IRP_CONTEXT first, second;
    tie = &first;
    IoReuseIrp(irps[0], STATUS_SUCCESS);
    IoFreeIrp(irps[0]);
    irps[0] = send_own(inner, &kept);
    tie = &second;
    IoFreeIrp(irps[1]);
    irps[1] = send_own(inner, &kept);
    note(context, IoCsqRemoveIrp(&queue.csq, &second) == irps[1]);
    note(context, IoCsqRemoveIrp(&queue.csq, &second) == NULL);
    note(context, IoCancelIrp(irps[0]));
    note(context, IoCsqRemoveIrp(&queue.csq, &first) == NULL);
    complete(irps[1], STATUS_SUCCESS, 0);

    // Cancelled before it is queued: completed instead.
    tie = NULL;
    ULONG before = queue.cancelled;
    IoFreeIrp(irps[0]);
    irps[0] = IoAllocateIrp(1, FALSE);
    IoCancelIrp(irps[0]);
    IoGetNextIrpStackLocation(irps[0])->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(irps[0], keep, &kept, TRUE, TRUE, TRUE);
    IoCallDriver(inner->device, irps[0]);
    note(context, queue.cancelled - before);
    note(context, IsListEmpty(&queue.list));
    for (int i = 0; i < 4; i++)
        IoFreeIrp(irps[i]);
    IoDeleteDevice(inner->device);
}

static void queue_ex(struct case_context *context) {
    prepare_queue();
    struct inner *inner = new_inner(context, NULL, enqueue_ex);
    context->result->status = (ULONG)IoCsqInitializeEx(
        &queue.csq, csq_insert_ex, csq_remove, csq_peek, csq_acquire, csq_release, csq_complete);
    ULONG kept = 0;
    IRP *irp = send_own(inner, &kept);
    note(context, (ULONG)inserted);
    note(context, IoCsqRemoveNextIrp(&queue.csq, NULL) == irp);
    complete(irp, STATUS_SUCCESS, 0);
    IoFreeIrp(irp);
    queue.refuse = TRUE;
    irp = send_own(inner, &kept);
    note(context, (ULONG)inserted);
    note(context, irp->PendingReturned);
    note(context, IsListEmpty(&queue.list));
    note(context, irp->CancelRoutine == NULL);
    note(context, kept);
    IoFreeIrp(irp);
    IoDeleteDevice(inner->device);
}

static void completed(struct case_context *context) {
    IRP *irp = IoAllocateIrp(1, FALSE);
    irp->CurrentLocation = irp->StackCount + 2;
    IoSetCancelRoutine(irp, cancel_routine);
    IoCancelIrp(irp);
    note(context, 1);
}

static void spin_lock(struct case_context *context) {
    KIRQL irql = 99;
    IoAcquireCancelSpinLock(&irql);
    note(context, irql);
    note(context, KeGetCurrentIrql());
    IoReleaseCancelSpinLock(irql);
    note(context, KeGetCurrentIrql());
}

static case_routine *const cases[] = {
    [CANCEL_OWN] = own,
    [CANCEL_PEND] = counts,
    [CANCEL_QUEUE] = queue_case,
    [CANCEL_QUEUE_EX] = queue_ex,
    [CANCEL_COUNTS] = counts,
    [CANCEL_COMPLETED] = completed,
    [CANCEL_SPIN_LOCK] = spin_lock,
};
static const ULONG case_count = ARRAYSIZE(cases);
