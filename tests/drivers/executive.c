// executive.sys: run-down protection and callback objects. The cases are described in cases.h.
#define CASE_DEVICE L"RbExecutive"
#include "case_driver.h"

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

NTSYSAPI VOID NTAPI ObMakeTemporaryObject(PVOID object);

static EX_RUNDOWN_REF reference;

static VOID NTAPI wait_for_release(PVOID context) {
    UNREFERENCED_PARAMETER(context);
    ExWaitForRundownProtectionRelease(&reference);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void rundown(struct case_context *context) {
    HANDLE handle;
    PVOID thread;
    LARGE_INTEGER soon = {.QuadPart = -200000};
    ExInitializeRundownProtection(&reference);
    note(context, ExAcquireRundownProtection(&reference));
    note(context, ExAcquireRundownProtection(&reference));
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, wait_for_release, NULL);
    ObReferenceObjectByHandle(handle, 0, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    note(context, KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &soon) == STATUS_TIMEOUT);
    note(context, ExAcquireRundownProtection(&reference));
    ExReleaseRundownProtection(&reference);
    ExReleaseRundownProtection(&reference);
    note(context, KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    ObDereferenceObject(thread);
    note(context, ExAcquireRundownProtection(&reference));
    ExRundownCompleted(&reference);
    ExReInitializeRundownProtection(&reference);
    note(context, ExAcquireRundownProtection(&reference));
}

static struct {
    ULONG calls, irql;
    PVOID first, second;
} called;

static VOID NTAPI callback(PVOID context, PVOID first, PVOID second) {
    if (context != &called)
        return;
    called.calls++;
    called.irql = KeGetCurrentIrql();
    called.first = first;
    called.second = second;
}

static NTSTATUS create(PCALLBACK_OBJECT *object, const WCHAR *text, BOOLEAN make) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, text);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT, NULL, NULL);
    return ExCreateCallback(object, &attributes, make, FALSE);
}

static void callbacks(struct case_context *context) {
    PCALLBACK_OBJECT object = NULL, again = NULL, power = NULL;
    KIRQL irql;
    RtlZeroMemory(&called, sizeof called);
    note(context, (ULONG)create(&again, L"\\Callback\\RbTest", FALSE));
    note(context, (ULONG)create(&object, L"\\Callback\\RbTest", TRUE));
    note(context, (ULONG)create(&again, L"\\Callback\\rbtest", FALSE));
    note(context, again == object);
    PVOID registration = ExRegisterCallback(object, callback, &called);
    note(context, registration && !ExRegisterCallback(object, callback, &called));
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ExNotifyCallback(object, (PVOID)11, (PVOID)12);
    KeLowerIrql(irql);
    note(context, called.calls);
    note(context, (ULONG_PTR)called.first * 100 + (ULONG_PTR)called.second);
    note(context, called.irql);
    ExUnregisterCallback(registration);
    ExNotifyCallback(object, NULL, NULL);
    note(context, called.calls);
    note(context, (ULONG)create(&power, L"\\Callback\\PowerState", FALSE));
    ObDereferenceObject(power);
    ObDereferenceObject(again);
    ObMakeTemporaryObject(object);
    ObDereferenceObject(object);
    note(context, (ULONG)create(&again, L"\\Callback\\RbTest", FALSE));
}

NTSYSAPI CCHAR NTAPI ExGetPreviousMode(void);

static void mode_here(struct case_context *context) { note(context, (UCHAR)ExGetPreviousMode()); }

static VOID NTAPI mode_in_thread(PVOID context) {
    mode_here(context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void mode(struct case_context *context) {
    HANDLE file, handle;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\" CASE_DEVICE);
    IO_STATUS_BLOCK block;
    struct case_result result;
    PVOID thread;
    mode_here(context);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ZwOpenFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &block, 0, FILE_SYNCHRONOUS_IO_NONALERT);
    ZwDeviceIoControlFile(file, NULL, NULL, NULL, &block, CASE_CODE(EXECUTIVE_MODE_HERE), NULL, 0, &result, sizeof result);
    note(context, result.count == 1 ? result.values[0] : 99);
    ZwClose(file);
    mode_here(context);
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, mode_in_thread, context);
    ObReferenceObjectByHandle(handle, 0, NULL, KernelMode, &thread, NULL);
    ZwClose(handle);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
}

NTSYSAPI KIRQL NTAPI ExAcquireSpinLockShared(LONG *lock);
NTSYSAPI LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(LONG *lock);
NTSYSAPI VOID NTAPI ExReleaseSpinLockExclusive(LONG *lock, KIRQL irql);

static void spin_lock(struct case_context *context) {
    LONG lock = 0;
    KIRQL old = ExAcquireSpinLockShared(&lock);
    note(context, old);
    note(context, KeGetCurrentIrql());
    note(context, !!ExTryConvertSharedSpinLockExclusive(&lock));
    ExReleaseSpinLockExclusive(&lock, old);
    note(context, KeGetCurrentIrql());
}

static case_routine *const cases[] = {
    [EXECUTIVE_MODE_HERE] = mode_here,
    [EXECUTIVE_MODE] = mode,
    [EXECUTIVE_SPIN_LOCK] = spin_lock,
    [EXECUTIVE_RUNDOWN] = rundown,
    [EXECUTIVE_CALLBACK] = callbacks,
};
static const ULONG case_count = ARRAYSIZE(cases);
