// wrong.sys: what drivers do wrong, one case each. The cases are described in cases.h.
#include <ntddk.h>

#include "cases.h"
#include "complete.h"

#define TAG 'gnrW'

struct request {
    DEVICE_OBJECT *device;
    IRP *irp;
    ULONG64 input[CASE_INPUTS];
    ULONG output_length;
};

typedef NTSTATUS case_routine(struct request *request);

static DEVICE_OBJECT *second;

static NTSTATUS bug_check(struct request *request) {
    KeBugCheckEx((ULONG)request->input[0], request->input[1], request->input[2], request->input[3], 0x1234);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS complete_twice(struct request *request) {
    complete(request->irp, STATUS_SUCCESS, 0);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS pend(struct request *request) {
    IoMarkIrpPending(request->irp);
    return STATUS_PENDING;
}

static NTSTATUS forget(struct request *request) { return (NTSTATUS)request->input[0]; }

static NTSTATUS stay_raised(struct request *request) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS free_twice(struct request *request) {
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG);
    ExFreePoolWithTag(block, TAG);
    ExFreePoolWithTag(block, TAG);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS free_stray(struct request *request) {
    ExFreePoolWithTag((PVOID)request->input[0], TAG);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS free_other_tag(struct request *request) {
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG);
    ExFreePoolWithTag(block, 'rehO');
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS pool_at_raised_irql(struct request *request) {
    POOL_TYPE type = (POOL_TYPE)request->input[1];
    KIRQL irql;
    PVOID block = request->input[0] ? ExAllocatePoolWithTag(type, 100, TAG) : NULL;
    KeRaiseIrql((KIRQL)request->input[2], &irql);
    if (!block)
        block = ExAllocatePoolWithTag(type, 100, TAG);
    ExFreePoolWithTag(block, TAG);
    KeLowerIrql(irql);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS overrun(struct request *request) {
    ULONG64 size = request->input[0] ? request->input[0] : 100;
    volatile UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG);
    block[size] = 0;
    ExFreePoolWithTag((PVOID)block, TAG);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS write_null(struct request *request) {
    *(volatile ULONG *)request->input[0] = 1;
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS free_system_buffer(struct request *request) {
    ExFreePool(request->irp->AssociatedIrp.SystemBuffer);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS overrun_system_buffer(struct request *request) {
    volatile UCHAR *buffer = request->irp->AssociatedIrp.SystemBuffer;
    buffer[request->output_length] = 0;
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS jump(struct request *request) {
    __asm__ volatile("jmp *%0" : : "r"(request->input[0]) : "memory");
    return STATUS_SUCCESS;
}

static NTSTATUS return_astray(struct request *request) {
    __asm__ volatile("push %0\n\tret" : : "r"(request->input[0]) : "memory");
    return STATUS_SUCCESS;
}

static NTSTATUS lose_stack(struct request *request) {
    __asm__ volatile("mov %0, %%rsp\n\tpush %%rax\n\tret" : : "r"(request->input[0]) : "memory");
    return STATUS_SUCCESS;
}

static NTSTATUS bad_routine(struct request *request) {
    request->device->DriverObject->MajorFunction[IRP_MJ_READ] = (PDRIVER_DISPATCH)request->input[0];
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS delete_twice(struct request *request) {
    DEVICE_OBJECT *device = second;
    IoDeleteDevice(device);
    IoDeleteDevice(device);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS call_no_device(struct request *request) {
    IoSkipCurrentIrpStackLocation(request->irp);
    return IoCallDriver((DEVICE_OBJECT *)request->input[0], request->irp);
}

static NTSTATUS call_without_location(struct request *request) {
    return IoCallDriver(second, request->irp);
}

static NTSTATUS complete_no_irp(struct request *request) {
    IoCompleteRequest((IRP *)request->input[0], IO_NO_INCREMENT);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS wait_for_ever(struct request *request) {
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS too_much_information(struct request *request) {
    UCHAR *buffer = request->irp->AssociatedIrp.SystemBuffer;
    for (ULONG i = 0; i < request->output_length; i++)
        buffer[i] = 0xAB;
    return complete(request->irp, STATUS_SUCCESS, request->input[0]);
}

static NTSTATUS dereference(struct request *request) {
    ObDereferenceObject((PVOID)request->input[0]);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS overrun_extension(struct request *request) {
    volatile ULONG64 *extension = second->DeviceExtension;
    for (ULONG64 i = 0; i < request->input[0] / sizeof *extension; i++)
        extension[i] = 0x4141414141414141;
    IoDeleteDevice(second);
    return complete(request->irp, STATUS_SUCCESS, 0);
}

static NTSTATUS answer_both_ways(struct request *request) {
    UCHAR *buffer = request->irp->AssociatedIrp.SystemBuffer;
    for (ULONG i = 0; i < request->output_length; i++)
        buffer[i] = 0xAB;
    NTSTATUS returned = (NTSTATUS)request->input[1];
    complete(request->irp, (NTSTATUS)request->input[0], request->output_length);
    return returned;
}

static NTSTATUS scribble(struct request *request) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(request->irp);
    UCHAR *const objects[] = {
        (UCHAR *)request->irp,
        (UCHAR *)location,
        (UCHAR *)request->device,
        (UCHAR *)request->device->DriverObject,
        (UCHAR *)location->FileObject,
        (UCHAR *)KeGetCurrentThread(),
        (UCHAR *)request->device->DeviceObjectExtension,
        (UCHAR *)request->device->DriverObject->DriverExtension,
    };
    IRP *irp = request->irp;
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = 0;
    if (request->input[0] < ARRAYSIZE(objects))
        *(volatile ULONG64 *)(objects[request->input[0]] + request->input[1]) =
            request->input[2] == WRONG_ITSELF ? (ULONG64)objects[request->input[0]] : request->input[2];
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static case_routine *const cases[] = {
    [WRONG_BUG_CHECK] = bug_check,
    [WRONG_COMPLETE_TWICE] = complete_twice,
    [WRONG_PEND] = pend,
    [WRONG_FORGET] = forget,
    [WRONG_STAY_RAISED] = stay_raised,
    [WRONG_FREE_TWICE] = free_twice,
    [WRONG_FREE_STRAY] = free_stray,
    [WRONG_FREE_OTHER_TAG] = free_other_tag,
    [WRONG_OVERRUN] = overrun,
    [WRONG_WRITE] = write_null,
    [WRONG_FREE_SYSTEM_BUFFER] = free_system_buffer,
    [WRONG_OVERRUN_SYSTEM_BUFFER] = overrun_system_buffer,
    [WRONG_JUMP] = jump,
    [WRONG_RETURN_ASTRAY] = return_astray,
    [WRONG_LOSE_STACK] = lose_stack,
    [WRONG_ROUTINE] = bad_routine,
    [WRONG_DELETE_TWICE] = delete_twice,
    [WRONG_CALL_NO_DEVICE] = call_no_device,
    [WRONG_CALL_WITHOUT_LOCATION] = call_without_location,
    [WRONG_COMPLETE_NO_IRP] = complete_no_irp,
    [WRONG_WAIT] = wait_for_ever,
    [WRONG_INFORMATION] = too_much_information,
    [WRONG_DEREFERENCE] = dereference,
    [WRONG_OVERRUN_EXTENSION] = overrun_extension,
    [WRONG_ANSWER] = answer_both_ways,
    [WRONG_SCRIBBLE] = scribble,
    [WRONG_POOL_AT_RAISED_IRQL] = pool_at_raised_irql,
};

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG code = location->Parameters.DeviceIoControl.IoControlCode;
    ULONG number = (code >> 2) - (CASE_CODE(0) >> 2);
    if ((code & 3) != METHOD_BUFFERED || number >= ARRAYSIZE(cases))
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    struct request request = {.device = device, .irp = irp};
    request.output_length = location->Parameters.DeviceIoControl.OutputBufferLength;
    ULONG words = location->Parameters.DeviceIoControl.InputBufferLength / sizeof(ULONG64);
    for (ULONG i = 0; i < words && i < CASE_INPUTS; i++)
        request.input[i] = ((ULONG64 *)irp->AssociatedIrp.SystemBuffer)[i];
    return cases[number](&request);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbWrong");
    IoDeleteSymbolicLink(&link);
    while (driver->DeviceObject)
        IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbWrong");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbWrong");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 16, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &second);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (NT_SUCCESS(status))
        status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        while (driver->DeviceObject)
            IoDeleteDevice(driver->DeviceObject);
        return status;
    }
    device->Flags |= DO_BUFFERED_IO;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
