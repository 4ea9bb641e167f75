// race.sys: a request that is given to a new thread before its IRP is marked pending, and its right twin. The cases are
// described in cases.h. What the first does after the thread has completed the request is wrong on purpose.
#define CASE_DEVICE L"RbRace"
#define CASE_START start_races
#define CASE_STOP end_thread
#include "case_driver.h"

static struct {
    KEVENT completed;
    PVOID thread;
    ULONG64 ended;
} race;

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS start_races(void) {
    KeInitializeEvent(&race.completed, SynchronizationEvent, FALSE);
    return STATUS_SUCCESS;
}

// Waits for the thread of the request before, if there was one.
static void end_thread(void) {
    if (!race.thread)
        return;
    KeWaitForSingleObject(race.thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(race.thread);
    race.thread = NULL;
    race.ended++;
}

static VOID NTAPI answer(PVOID context) {
    IRP *irp = context;
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
    RtlFillMemory(irp->AssociatedIrp.SystemBuffer, length, 0xA5);
    complete(irp, STATUS_SUCCESS, length);
    KeSetEvent(&race.completed, 0, FALSE);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS answer_in_thread(IRP *irp) {
    HANDLE handle;
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, answer, irp);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &race.thread, NULL);
    ZwClose(handle);
    return status;
}

static void wait_until_completed(void) {
    KeWaitForSingleObject(&race.completed, Executive, KernelMode, FALSE, NULL);
}

// The codes that are not cases. One request at a time.
static NTSTATUS other_code(IRP *irp, ULONG code) {
    if (code != RACE_MARKED_LAST && code != RACE_MARKED_FIRST)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.InputBufferLength;
    BOOLEAN certain = length >= sizeof(ULONG64) && *(ULONG64 *)irp->AssociatedIrp.SystemBuffer == 1;
    end_thread();
    KeClearEvent(&race.completed);
    if (code == RACE_MARKED_FIRST)
        IoMarkIrpPending(irp);
    NTSTATUS status = answer_in_thread(irp);
    if (!NT_SUCCESS(status)) {
        complete(irp, status, 0);
        return code == RACE_MARKED_FIRST ? STATUS_PENDING : status;
    }
    if (certain)
        wait_until_completed();
    // The IRP may be completed here, and is no longer this driver's.
    if (code == RACE_MARKED_LAST)
        IoMarkIrpPending(irp);
    return STATUS_PENDING;
}

static void ended(struct case_context *context) {
    end_thread();
    note(context, race.ended);
}

static case_routine *const cases[] = {
    [RACE_ENDED] = ended,
};
static const ULONG case_count = ARRAYSIZE(cases);
