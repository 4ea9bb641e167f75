// pnp.sys: sends what the Plug and Play and power managers would send to a stack. The cases are described in cases.h.
#define CASE_DEVICE L"RbPnp"
#include "case_driver.h"

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static void send(struct case_context *context) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbTower");
    FILE_OBJECT *file;
    DEVICE_OBJECT *top;
    NTSTATUS status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &top);
    context->result->status = status;
    if (!NT_SUCCESS(status))
        return;
    KEVENT event;
    IO_STATUS_BLOCK iosb = {0};
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IRP *irp = IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, top, NULL, 0, NULL, &event, &iosb);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IO_STACK_LOCATION *location = IoGetNextIrpStackLocation(irp);
    location->MajorFunction = (UCHAR)context->input[0];
    location->MinorFunction = (UCHAR)context->input[1];
    status = IoCallDriver(top, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        status = iosb.Status;
    }
    note(context, (ULONG)status);
    ObDereferenceObject(file);
}

static case_routine *const cases[] = {
    [PNP_SEND] = send,
};
static const ULONG case_count = ARRAYSIZE(cases);
