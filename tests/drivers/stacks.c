// stacks.sys: device stacks. The cases are described in cases.h.
#define CASE_DEVICE L"RbStacks"
#include "case_driver.h"
#include "inner_device.h"

NTKERNELAPI DEVICE_OBJECT *NTAPI IoGetLowerDeviceObject(DEVICE_OBJECT *device);

#define BASE_NAME L"\\Device\\RbBase"

static struct case_context *logging;
static struct inner *base, *filter;

static NTSTATUS NTAPI on_the_way_up(DEVICE_OBJECT *device, IRP *irp, PVOID context) {
    struct inner *inner = context;
    if (logging)
        note(logging, 100 + inner->number + (device == inner->device ? 0 : 1000));
    if (irp->PendingReturned)
        IoMarkIrpPending(irp);
    return STATUS_SUCCESS;
}

// A filter that does nothing but pass on.
static NTSTATUS pass(struct inner *inner, IRP *irp) {
    if (logging)
        note(logging, inner->number);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, on_the_way_up, inner, TRUE, TRUE, TRUE);
    return IoCallDriver(inner->below, irp);
}

// The bottom answers control codes with the number of requests that it has seen.
static NTSTATUS bottom(struct inner *inner, IRP *irp) {
    if (logging)
        note(logging, inner->number);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (location->MajorFunction == IRP_MJ_DEVICE_CONTROL && location->Parameters.DeviceIoControl.OutputBufferLength >= 8) {
        *(ULONG64 *)irp->AssociatedIrp.SystemBuffer = inner->requests;
        return complete(irp, STATUS_SUCCESS, 8);
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static void attach(struct case_context *context) {
    struct inner *bottom_one = new_inner(context, NULL, bottom);
    struct inner *middle = new_inner(context, NULL, pass), *top = new_inner(context, NULL, pass);
    bottom_one->device->AlignmentRequirement = FILE_QUAD_ALIGNMENT;
    note(context, IoAttachDeviceToDeviceStack(middle->device, bottom_one->device) == bottom_one->device);
    // Onto the bottom again: it comes to stand on the top.
    DEVICE_OBJECT *below = NULL;
    note(context, (ULONG)IoAttachDeviceToDeviceStackSafe(top->device, bottom_one->device, &below));
    note(context, below == middle->device);
    note(context, bottom_one->device->StackSize);
    note(context, middle->device->StackSize);
    note(context, top->device->StackSize);
    note(context, top->device->AlignmentRequirement);
    note(context, bottom_one->device->AttachedDevice == middle->device);
    note(context, IoGetAttachedDevice(bottom_one->device) == top->device);
    DEVICE_OBJECT *device = IoGetAttachedDeviceReference(middle->device);
    note(context, device == top->device);
    ObDereferenceObject(device);
    device = IoGetLowerDeviceObject(top->device);
    note(context, device == middle->device);
    ObDereferenceObject(device);
    note(context, IoGetLowerDeviceObject(bottom_one->device) == NULL);
    IoDetachDevice(middle->device);
    note(context, IoGetAttachedDevice(bottom_one->device) == middle->device);
    IoDetachDevice(bottom_one->device);
    note(context, bottom_one->device->AttachedDevice == NULL);
    IoDeleteDevice(top->device);
    IoDeleteDevice(middle->device);
    IoDeleteDevice(bottom_one->device);
}

static void travel(struct case_context *context) {
    struct inner *stack[3];
    for (ULONG i = 0; i < 3; i++) {
        stack[i] = new_inner(context, NULL, i ? pass : bottom);
        stack[i]->number = i + 1;
        if (i)
            stack[i]->below = IoAttachDeviceToDeviceStack(stack[i]->device, stack[0]->device);
    }
    KEVENT event;
    IO_STATUS_BLOCK iosb = {0};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildDeviceIoControlRequest(CASE_CODE(99), stack[2]->device, NULL, 0, NULL, 0, TRUE, &event, &iosb);
    logging = context;
    context->result->status = (ULONG)IoCallDriver(stack[2]->device, irp);
    logging = NULL;
    for (int i = 2; i >= 0; i--) {
        if (i)
            IoDetachDevice(stack[i]->below);
        IoDeleteDevice(stack[i]->device);
    }
}

static void make_base(struct case_context *context) {
    base = new_inner(context, BASE_NAME, bottom);
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbBase"), name = RTL_CONSTANT_STRING(BASE_NAME);
    IoCreateSymbolicLink(&link, &name);
}

static void remove_base(struct case_context *context) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbBase");
    IoDeleteSymbolicLink(&link);
    note(context, base->creates);
    note(context, base->cleanups);
    note(context, base->closes);
    IoDeleteDevice(base->device);
}

static void filter_named(struct case_context *context) {
    static WCHAR *const names[] = {BASE_NAME, L"\\Device\\My_Device", L"\\Device\\RbNowhere"};
    filter = new_inner(context, NULL, pass);
    UNICODE_STRING target;
    RtlInitUnicodeString(&target, names[context->input[0]]);
    context->result->status = (ULONG)IoAttachDevice(filter->device, &target, &filter->below);
    if (context->result->status)
        IoDeleteDevice(filter->device);
}

static void remove_filter(struct case_context *context) {
    note(context, filter->requests);
    note(context, filter->creates);
    IoDetachDevice(filter->below);
    IoDeleteDevice(filter->device);
}

static void delete_below(struct case_context *context) {
    make_base(context);
    struct inner *lower = base, *upper = new_inner(context, NULL, pass);
    upper->below = IoAttachDeviceToDeviceStack(upper->device, lower->device);
    IoDeleteDevice(lower->device);
    // The name is free, the device is not.
    make_base(context);
    note(context, base != lower);
    note(context, lower->device->AttachedDevice == upper->device);
    note(context, lower->device->StackSize);
    note(context, IoGetLowerDeviceObject(upper->device) == NULL);
    struct inner *third = new_inner(context, NULL, pass);
    note(context, IoAttachDeviceToDeviceStack(third->device, base->device) == base->device);
    IoDetachDevice(base->device);
    IoDetachDevice(lower->device);
    IoDeleteDevice(upper->device);
    ObReferenceObject(base->device);
    DEVICE_OBJECT *gone = base->device;
    remove_base(context);
    DEVICE_OBJECT *below = gone;
    note(context, IoAttachDeviceToDeviceStack(third->device, gone) == NULL);
    note(context, (ULONG)IoAttachDeviceToDeviceStackSafe(third->device, gone, &below));
    note(context, below == NULL);
    ObDereferenceObject(gone);
    IoDeleteDevice(third->device);
}

static void pointer(struct case_context *context) {
    make_base(context);
    struct inner *upper = new_inner(context, NULL, pass);
    upper->below = IoAttachDeviceToDeviceStack(upper->device, base->device);
    UNICODE_STRING name = RTL_CONSTANT_STRING(BASE_NAME);
    FILE_OBJECT *file = NULL;
    DEVICE_OBJECT *device = NULL;
    context->result->status = (ULONG)IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device);
    note(context, device == upper->device);
    note(context, file->DeviceObject == base->device);
    note(context, IoGetRelatedDeviceObject(file) == upper->device);
    note(context, upper->creates);
    note(context, upper->cleanups);
    note(context, upper->closes);
    ObDereferenceObject(file);
    note(context, upper->closes);
    RtlInitUnicodeString(&name, L"\\Device\\RbNowhere");
    note(context, (ULONG)IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device));
    IoDetachDevice(upper->below);
    IoDeleteDevice(upper->device);
    remove_base(context);
}

// Waits, a millisecond at a time, until a device has been closed as often as that, for five seconds at most.
static ULONG wait_for_closes(struct inner *inner, ULONG closes) {
    LARGE_INTEGER moment = {.QuadPart = -10000};
    for (int i = 0; i < 5000 && *(volatile ULONG *)&inner->closes < closes; i++)
        KeDelayExecutionThread(KernelMode, FALSE, &moment);
    return inner->closes;
}

static void dereference_raised(struct case_context *context) {
    make_base(context);
    UNICODE_STRING name = RTL_CONSTANT_STRING(BASE_NAME);
    FILE_OBJECT *file = NULL;
    DEVICE_OBJECT *device = NULL;
    KIRQL irql;
    context->result->status = (ULONG)IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    note(context, (ULONG)ObDereferenceObject(file));
    KeLowerIrql(irql);
    ULONG closes = wait_for_closes(base, 1);
    note(context, base->close_thread == KeGetCurrentThread());
    note(context, closes);
    IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device);
    ObDereferenceObjectDeferDelete(file);
    note(context, wait_for_closes(base, 2));
    remove_base(context);
}

static NTSTATUS NTAPI does_not_mark(DEVICE_OBJECT *device, IRP *irp, PVOID unused) {
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    UNREFERENCED_PARAMETER(unused);
    return STATUS_SUCCESS;
}

static ULONG64 way;

static NTSTATUS pass_pending(struct inner *inner, IRP *irp) {
    if (way == 0) {
        IoSkipCurrentIrpStackLocation(irp);
        return IoCallDriver(inner->below, irp);
    }
    IoCopyCurrentIrpStackLocationToNext(irp);
    if (way == 2)
        IoSetCompletionRoutine(irp, on_the_way_up, inner, TRUE, TRUE, TRUE);
    if (way == 3)
        IoSetCompletionRoutine(irp, does_not_mark, NULL, TRUE, TRUE, TRUE);
    return IoCallDriver(inner->below, irp);
}

static NTSTATUS NTAPI see_pending(DEVICE_OBJECT *device, IRP *irp, PVOID seen) {
    UNREFERENCED_PARAMETER(device);
    *(ULONG *)seen = irp->PendingReturned;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void pending(struct case_context *context) {
    way = context->input[0];
    struct inner *lower = new_inner(context, NULL, way == 4 ? answer : keep_pending);
    struct inner *upper = new_inner(context, NULL, pass_pending);
    upper->below = IoAttachDeviceToDeviceStack(upper->device, lower->device);
    ULONG seen = 99;
    IRP *irp = IoAllocateIrp(upper->device->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(irp, see_pending, &seen, TRUE, TRUE, TRUE);
    context->result->status = (ULONG)IoCallDriver(upper->device, irp);
    if (lower->kept)
        complete(lower->kept, STATUS_SUCCESS, 0);
    note(context, seen);
    IoFreeIrp(irp);
    IoDetachDevice(lower->device);
    IoDeleteDevice(upper->device);
    IoDeleteDevice(lower->device);
}

static void after_cleanup(struct case_context *context) {
    make_base(context);
    UNICODE_STRING name = RTL_CONSTANT_STRING(BASE_NAME);
    FILE_OBJECT *file = NULL;
    DEVICE_OBJECT *device = NULL;
    context->result->status = (ULONG)IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device);
    note(context, base->cleanups);
    note(context, base->closes);
    KEVENT event;
    IO_STATUS_BLOCK iosb = {0};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildDeviceIoControlRequest(CASE_CODE(99), device, NULL, 0, NULL, 0, TRUE, &event, &iosb);
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    note(context, (ULONG)IoCallDriver(device, irp));
    note(context, base->requests);
    note(context, base->cleanups);
    note(context, base->closes);
    ObDereferenceObject(file);
    note(context, base->closes);
    remove_base(context);
}

static case_routine *const cases[] = {
    [STACKS_ATTACH] = attach,
    [STACKS_TRAVEL] = travel,
    [STACKS_MAKE_BASE] = make_base,
    [STACKS_REMOVE_BASE] = remove_base,
    [STACKS_FILTER] = filter_named,
    [STACKS_REMOVE_FILTER] = remove_filter,
    [STACKS_DELETE_BELOW] = delete_below,
    [STACKS_POINTER] = pointer,
    [STACKS_DEREFERENCE_RAISED] = dereference_raised,
    [STACKS_PENDING] = pending,
    [STACKS_AFTER_CLEANUP] = after_cleanup,
};
static const ULONG case_count = ARRAYSIZE(cases);
