// threads.sys: system threads, and requests that they complete. The cases are described in cases.h.
#define CASE_DEVICE L"RbThreads"
#define CASE_START start_worker
#define CASE_STOP stop_worker
#include "case_driver.h"

NTKERNELAPI BOOLEAN NTAPI PsIsSystemThread(PETHREAD thread);

static struct {
    KSEMAPHORE requests;
    KSPIN_LOCK lock;
    LIST_ENTRY list;
    PVOID thread;
    KEVENT started;
    KSEMAPHORE completed;
    volatile LONG pended;
} worker;

static NTSTATUS start(PKSTART_ROUTINE routine, PVOID context) {
    HANDLE handle;
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context);
    if (NT_SUCCESS(status))
        ZwClose(handle);
    return status;
}

static NTSTATUS wait(PVOID object) { return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL); }

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

// Completes requests with the complement of their input, until one is NULL.
static VOID NTAPI work(PVOID context) {
    UNREFERENCED_PARAMETER(context);
    worker.thread = KeGetCurrentThread();
    ObReferenceObject(worker.thread);
    KeSetEvent(&worker.started, 0, FALSE);
    for (;;) {
        wait(&worker.requests);
        LIST_ENTRY *entry = ExInterlockedRemoveHeadList(&worker.list, &worker.lock);
        if (!entry)
            PsTerminateSystemThread(STATUS_SUCCESS);
        IRP *irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
        ULONG length = location->Parameters.DeviceIoControl.OutputBufferLength;
        BOOLEAN tell = location->Parameters.DeviceIoControl.IoControlCode == THREADS_PEND_AND_WAIT;
        UCHAR *bytes = irp->AssociatedIrp.SystemBuffer;
        for (ULONG i = 0; i < length; i++)
            bytes[i] = ~bytes[i];
        complete(irp, STATUS_SUCCESS, length);
        if (tell)
            KeReleaseSemaphore(&worker.completed, 0, 1, FALSE);
    }
}

static NTSTATUS start_worker(void) {
    KeInitializeSemaphore(&worker.requests, 0, MAXLONG);
    KeInitializeSpinLock(&worker.lock);
    InitializeListHead(&worker.list);
    KeInitializeEvent(&worker.started, NotificationEvent, FALSE);
    KeInitializeSemaphore(&worker.completed, 0, MAXLONG);
    NTSTATUS status = start(work, NULL);
    return NT_SUCCESS(status) ? wait(&worker.started) : status;
}

static void stop_worker(void) {
    KeReleaseSemaphore(&worker.requests, 0, 1, FALSE);
    wait(worker.thread);
    ObDereferenceObject(worker.thread);
}

// The codes that are not cases.
static NTSTATUS other_code(IRP *irp, ULONG code) {
    if (code != THREADS_PEND && code != THREADS_PEND_AND_WAIT)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    IoMarkIrpPending(irp);
    ExInterlockedInsertTailList(&worker.list, &irp->Tail.Overlay.ListEntry, &worker.lock);
    KeReleaseSemaphore(&worker.requests, 0, 1, FALSE);
    if (code == THREADS_PEND_AND_WAIT)
        wait(&worker.completed);
    return STATUS_PENDING;
}

struct child {
    KEVENT done;
    KSEMAPHORE all;
    struct case_context *context;
    PVOID thread;
    ULONG64 rounds;
    volatile LONG64 sum;          // under the lock
    volatile LONG64 sum_by_mutex; // under the mutex
    KSPIN_LOCK lock;
    KMUTEX mutex;
};

static VOID NTAPI report(PVOID pointer) {
    struct child *child = pointer;
    child->thread = KeGetCurrentThread();
    ObReferenceObject(child->thread);
    note(child->context, KeGetCurrentIrql());
    note(child->context, (ULONG64)PsGetCurrentProcessId());
    note(child->context, PsIsSystemThread((PETHREAD)KeGetCurrentThread()));
    KeSetEvent(&child->done, 0, FALSE);
}

static void event(struct case_context *context) {
    struct child child = {.context = context};
    KeInitializeEvent(&child.done, NotificationEvent, FALSE);
    context->result->status = start(report, &child);
    if (!NT_SUCCESS(context->result->status))
        return;
    note(context, wait(&child.done));
    note(context, wait(child.thread));
    note(context, wait(child.thread));
    note(context, child.thread != KeGetCurrentThread());
    note(context, PsIsSystemThread((PETHREAD)KeGetCurrentThread()));
    ObDereferenceObject(child.thread);
}

static DECLSPEC_NOINLINE void end_inside(struct child *child) {
    __try {
        PsTerminateSystemThread((NTSTATUS)child->rounds);
        APART;
        note(child->context, 90);
    } __finally {
        note(child->context, 91);
    }
}

static VOID NTAPI end_early(PVOID pointer) {
    struct child *child = pointer;
    child->thread = KeGetCurrentThread();
    ObReferenceObject(child->thread);
    KeSetEvent(&child->done, 0, FALSE);
    end_inside(child);
    note(child->context, 92);
}

static void terminate(struct case_context *context) {
    struct child child = {.context = context, .rounds = context->input[0]};
    KeInitializeEvent(&child.done, NotificationEvent, FALSE);
    context->result->status = start(end_early, &child);
    if (!NT_SUCCESS(context->result->status))
        return;
    wait(&child.done);
    note(context, wait(child.thread));
    ObDereferenceObject(child.thread);
}

static void terminate_other(struct case_context *context) {
    context->result->status = PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI take_exceptions(PVOID pointer) {
    struct child *child = pointer;
    for (ULONG64 i = 0; i < child->rounds; i++) {
        __try {
            *(volatile ULONG *)0x30 = 1;
        } __except (TAKE) {
            child->sum++;
        }
    }
    KeSetEvent(&child->done, 0, FALSE);
}

static void exceptions(struct case_context *context) {
    struct child child = {.context = context, .rounds = context->input[0]};
    KeInitializeEvent(&child.done, NotificationEvent, FALSE);
    context->result->status = start(take_exceptions, &child);
    if (!NT_SUCCESS(context->result->status))
        return;
    wait(&child.done);
    note(context, child.sum);
}

static VOID NTAPI fault(PVOID pointer) { *(volatile ULONG *)pointer = 1; }

static void fault_in_thread(struct case_context *context) {
    KEVENT never;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    start(fault, (PVOID)context->input[0]);
    wait(&never);
}

static VOID NTAPI count_up(PVOID pointer) {
    struct child *child = pointer;
    for (ULONG64 i = 0; i < child->rounds; i++) {
        KIRQL old;
        KeAcquireSpinLock(&child->lock, &old);
        child->sum = child->sum + 1;
        KeReleaseSpinLock(&child->lock, old);
        wait(&child->mutex);
        child->sum_by_mutex = child->sum_by_mutex + 1;
        KeReleaseMutex(&child->mutex, FALSE);
    }
    KeReleaseSemaphore(&child->all, 0, 1, FALSE);
}

static void locks(struct case_context *context) {
    struct child child = {.context = context, .rounds = context->input[1]};
    KeInitializeSpinLock(&child.lock);
    KeInitializeMutex(&child.mutex, 0);
    KeInitializeSemaphore(&child.all, 0, MAXLONG);
    ULONG64 started = 0;
    while (started < context->input[0] && NT_SUCCESS(start(count_up, &child)))
        started++;
    for (ULONG64 i = 0; i < started; i++)
        wait(&child.all);
    note(context, started);
    note(context, child.sum);
    note(context, child.sum_by_mutex);
}

static void time_out(struct case_context *context) {
    KEVENT never;
    LARGE_INTEGER timeout = {.QuadPart = -(LONG64)context->input[0]};
    KeInitializeEvent(&never, SynchronizationEvent, FALSE);
    ULONG64 before = KeQueryInterruptTime();
    context->result->status = KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &timeout);
    note(context, KeQueryInterruptTime() - before);
}

// Runs on and on, also when the driver is gone.
static VOID NTAPI run_on(PVOID pointer) {
    UNREFERENCED_PARAMETER(pointer);
    LARGE_INTEGER moment = {.QuadPart = -10000};
    for (;;)
        KeDelayExecutionThread(KernelMode, FALSE, &moment);
}

static void orphan(struct case_context *context) { context->result->status = start(run_on, NULL); }

static VOID NTAPI say_who(PVOID pointer) {
    struct child *child = pointer;
    child->thread = KeGetCurrentThread();
}

static void handle(struct case_context *context) {
    struct child child = {.context = context};
    OBJECT_ATTRIBUTES attributes;
    HANDLE handle;
    PVOID object = NULL, none = NULL;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    context->result->status =
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, say_who, &child);
    if (!NT_SUCCESS(context->result->status))
        return;
    note(context, (LONG_PTR)handle < 0);
    note(context, (ULONG)ObReferenceObjectByHandle(handle, 0, NULL, UserMode, &none, NULL));
    note(context, (ULONG)ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &object, NULL));
    wait(object);
    note(context, object == child.thread);
    note(context, (ULONG)ZwClose(handle));
    note(context, (ULONG)ObReferenceObjectByHandle(handle, 0, NULL, KernelMode, &none, NULL));
    ObDereferenceObject(object);
}

static case_routine *const cases[] = {
    [THREADS_EVENT] = event,
    [THREADS_TERMINATE] = terminate,
    [THREADS_TERMINATE_OTHER] = terminate_other,
    [THREADS_EXCEPTIONS] = exceptions,
    [THREADS_FAULT] = fault_in_thread,
    [THREADS_LOCKS] = locks,
    [THREADS_TIME_OUT] = time_out,
    [THREADS_ORPHAN] = orphan,
    [THREADS_HANDLE] = handle,
};
static const ULONG case_count = ARRAYSIZE(cases);
