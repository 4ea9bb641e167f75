// resources.sys: ERESOURCE, by one thread and by two. The cases are described in cases.h.
#define CASE_DEVICE L"RbResources"
#include "case_driver.h"

NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE handle, BOOLEAN alertable, LARGE_INTEGER *timeout);

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static ERESOURCE resource;

// What another thread is to try, without waiting; what it gets it releases at once.
enum attempt { EXCLUSIVE, SHARED, STARVE, BEHIND, OWNERS_RELEASE };

struct other {
    enum attempt attempt;
    ERESOURCE_THREAD owner;
    BOOLEAN got;
};

static BOOLEAN try_it(enum attempt attempt) {
    switch (attempt) {
    case EXCLUSIVE:
        return ExAcquireResourceExclusiveLite(&resource, FALSE);
    case SHARED:
        return ExAcquireResourceSharedLite(&resource, FALSE);
    case STARVE:
        return ExAcquireSharedStarveExclusive(&resource, FALSE);
    default:
        return ExAcquireSharedWaitForExclusive(&resource, FALSE);
    }
}

static VOID NTAPI other_thread(PVOID context) {
    struct other *other = context;
    KeEnterCriticalRegion();
    if (other->attempt == OWNERS_RELEASE) {
        ExReleaseResourceForThreadLite(&resource, other->owner);
        other->got = TRUE;
    } else {
        other->got = try_it(other->attempt);
        if (other->got)
            ExReleaseResourceLite(&resource);
    }
    KeLeaveCriticalRegion();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static BOOLEAN waiter_got;

static VOID NTAPI waiting_thread(PVOID context) {
    UNREFERENCED_PARAMETER(context);
    KeEnterCriticalRegion();
    waiter_got = ExAcquireResourceExclusiveLite(&resource, TRUE);
    ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static HANDLE start(PKSTART_ROUTINE routine, PVOID context) {
    HANDLE handle = NULL;
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context);
    return handle;
}

static void join(HANDLE handle) {
    ZwWaitForSingleObject(handle, FALSE, NULL);
    ZwClose(handle);
}

static ULONG elsewhere(enum attempt attempt) {
    struct other other = {.attempt = attempt};
    join(start(other_thread, &other));
    return other.got;
}

static void note_state(struct case_context *context) {
    note(context, ExIsResourceAcquiredExclusiveLite(&resource));
    note(context, ExIsResourceAcquiredSharedLite(&resource));
}

static void alone(struct case_context *context) {
    ExInitializeResourceLite(&resource);
    KeEnterCriticalRegion();
    note_state(context);
    note(context, ExAcquireResourceExclusiveLite(&resource, TRUE));
    note(context, ExAcquireResourceExclusiveLite(&resource, FALSE));
    note(context, ExAcquireResourceSharedLite(&resource, FALSE));
    note_state(context);
    note(context, elsewhere(EXCLUSIVE));
    note(context, elsewhere(SHARED));
    note(context, elsewhere(STARVE));
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
    ExConvertExclusiveToSharedLite(&resource);
    note_state(context);
    note(context, elsewhere(SHARED));
    note(context, elsewhere(EXCLUSIVE));
    ExReleaseResourceLite(&resource);
    note_state(context);
    note(context, elsewhere(EXCLUSIVE));
    KeLeaveCriticalRegion();
    note(context, (ULONG)ExDeleteResourceLite(&resource));
}

static void with_a_waiter(struct case_context *context) {
    LARGE_INTEGER moment = {.QuadPart = -10000};
    ExInitializeResourceLite(&resource);
    waiter_got = FALSE;
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&resource, TRUE);
    HANDLE waiter = start(waiting_thread, NULL);
    for (int i = 0; i < 5000 && !ExGetExclusiveWaiterCount(&resource); i++)
        KeDelayExecutionThread(KernelMode, FALSE, &moment);
    note(context, ExGetExclusiveWaiterCount(&resource));
    note(context, elsewhere(SHARED));
    note(context, elsewhere(STARVE));
    note(context, elsewhere(BEHIND));
    note(context, ExAcquireResourceSharedLite(&resource, FALSE));
    note(context, ExAcquireSharedWaitForExclusive(&resource, FALSE));
    note(context, waiter_got);
    ExReleaseResourceLite(&resource);
    ExReleaseResourceLite(&resource);
    KeLeaveCriticalRegion();
    join(waiter);
    note(context, waiter_got);
    note(context, ExGetExclusiveWaiterCount(&resource));
    ExDeleteResourceLite(&resource);
}

static void regions(struct case_context *context) {
    ExInitializeResourceLite(&resource);
    note(context, KeAreApcsDisabled());
    ExEnterCriticalRegionAndAcquireResourceExclusive(&resource);
    note(context, KeAreApcsDisabled());
    note(context, ExIsResourceAcquiredExclusiveLite(&resource));
    ExReleaseResourceAndLeaveCriticalRegion(&resource);
    note(context, KeAreApcsDisabled());
    note(context, ExIsResourceAcquiredExclusiveLite(&resource));
    ExEnterCriticalRegionAndAcquireResourceShared(&resource);
    note(context, ExIsResourceAcquiredExclusiveLite(&resource));
    note(context, ExIsResourceAcquiredSharedLite(&resource));
    ExReleaseResourceAndLeaveCriticalRegion(&resource);
    ExDeleteResourceLite(&resource);
}

static void owner_pointer(struct case_context *context) {
    static ULONG64 owner[2];
    struct other other = {.attempt = OWNERS_RELEASE};
    ExInitializeResourceLite(&resource);
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&resource, TRUE);
    // The two lowest bits say that it is no thread.
    other.owner = (ERESOURCE_THREAD)owner | 3;
    ExSetResourceOwnerPointer(&resource, (PVOID)other.owner);
    note_state(context);
    note(context, elsewhere(EXCLUSIVE));
    join(start(other_thread, &other));
    note(context, elsewhere(EXCLUSIVE));
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&resource);
}

static void not_owned(struct case_context *context) {
    ExInitializeResourceLite(&resource);
    KeEnterCriticalRegion();
    ExReleaseResourceLite(&resource);
    note(context, 1);
}

static void above_its_irql(struct case_context *context) {
    KIRQL irql;
    UNICODE_STRING first = RTL_CONSTANT_STRING(L"a"), second = RTL_CONSTANT_STRING(L"A");
    note(context, RtlEqualUnicodeString(&first, &second, TRUE));
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    note(context, RtlEqualUnicodeString(&first, &second, TRUE));
    KeLowerIrql(irql);
}

static case_routine *const cases[] = {
    [RESOURCES_ALONE] = alone,
    [RESOURCES_WAITER] = with_a_waiter,
    [RESOURCES_REGIONS] = regions,
    [RESOURCES_OWNER_POINTER] = owner_pointer,
    [RESOURCES_NOT_OWNED] = not_owned,
    [RESOURCES_ABOVE_ITS_IRQL] = above_its_irql,
};
static const ULONG case_count = ARRAYSIZE(cases);
