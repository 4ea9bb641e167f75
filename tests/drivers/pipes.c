// pipes.sys: named pipes as a C driver has them: by ZwCreateFile, ZwReadFile, ZwWriteFile and ZwFsControlFile, from a system thread of
// its own; and a pipe that the driver serves itself, by IoCreateFile with CreateFileTypeNamedPipe.
//
// Device \\.\RbPipes. Control codes are CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS). The input
// is two 64-bit words and then a name in UTF-16 (0, 4) or bytes; the output three words, a status, a value and an information, and
// then bytes. Each is carried out in a system thread, which the call waits for.
//   0 opens: access; answers a kernel handle;
//   1 reads: handle, length; 2 writes: handle; 3 closes: handle;
//   4 serves: 1 for messages, 1 for a descriptor that lets everybody in; answers a kernel handle;
//   5 sends a file system control code: handle, code, with bytes both ways.
#include <ntifs.h>

#include "complete.h"

#define ROOM 256
#define HEAD 24

struct request {
    ULONG number;
    ULONG64 words[2];
    ULONG length;
    UCHAR bytes[ROOM];
    NTSTATUS status;
    ULONG64 value;
    IO_STATUS_BLOCK block;
    ULONG given;
};

static NTSTATUS open(struct request *request, BOOLEAN serve) {
    UNICODE_STRING name = {.Buffer = (WCHAR *)request->bytes, .Length = (USHORT)request->length, .MaximumLength = ROOM};
    OBJECT_ATTRIBUTES attributes;
    HANDLE handle = NULL;
    NTSTATUS status;
    SECURITY_DESCRIPTOR everybody;
    RtlCreateSecurityDescriptor(&everybody, SECURITY_DESCRIPTOR_REVISION);
    RtlSetDaclSecurityDescriptor(&everybody, TRUE, NULL, FALSE);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL,
                               serve && request->words[1] ? &everybody : NULL);
    if (serve) {
        NAMED_PIPE_CREATE_PARAMETERS pipe = {
            .NamedPipeType = (ULONG)request->words[0],
            .ReadMode = (ULONG)request->words[0],
            .MaximumInstances = 1,
            .InboundQuota = 64,
            .OutboundQuota = 64,
            .DefaultTimeout.QuadPart = -500000,
            .TimeoutSpecified = TRUE,
        };
        status = IoCreateFile(&handle, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &attributes, &request->block, NULL, 0,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_CREATE, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0,
                              CreateFileTypeNamedPipe, &pipe, 0);
    } else {
        status = ZwCreateFile(&handle, (ACCESS_MASK)request->words[0] | SYNCHRONIZE, &attributes, &request->block, NULL, 0, 0,
                              FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
    }
    request->value = (ULONG64)handle;
    return status;
}

static VOID NTAPI work(PVOID context) {
    struct request *request = context;
    HANDLE handle = (HANDLE)request->words[0];
    ULONG room = (ULONG)request->words[1] < ROOM ? (ULONG)request->words[1] : ROOM;
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;
    switch (request->number) {
    case 0:
    case 4:
        status = open(request, request->number == 4);
        break;
    case 1:
        status = ZwReadFile(handle, NULL, NULL, NULL, &request->block, request->bytes, room, NULL, NULL);
        request->given = NT_ERROR(status) ? 0 : (ULONG)request->block.Information;
        break;
    case 2:
        status = ZwWriteFile(handle, NULL, NULL, NULL, &request->block, request->bytes, request->length, NULL, NULL);
        break;
    case 3:
        status = ZwClose(handle);
        break;
    case 5:
        status = ZwFsControlFile(handle, NULL, NULL, NULL, &request->block, (ULONG)request->words[1], request->bytes,
                                 request->length, request->bytes, ROOM);
        request->given = NT_ERROR(status) ? 0 : (ULONG)request->block.Information;
        break;
    }
    request->status = status;
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS in_a_thread(struct request *request) {
    HANDLE thread;
    NTSTATUS status = PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, work, request);
    if (!NT_SUCCESS(status))
        return status;
    PVOID object;
    status = ObReferenceObjectByHandle(thread, THREAD_ALL_ACCESS, NULL, KernelMode, &object, NULL);
    ZwClose(thread);
    if (!NT_SUCCESS(status))
        return status;
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(object);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    UCHAR *buffer = irp->AssociatedIrp.SystemBuffer;
    if (location->Parameters.DeviceIoControl.OutputBufferLength < HEAD + ROOM || length < 16 || length > 16 + ROOM)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    struct request *request = ExAllocatePoolWithTag(NonPagedPool, sizeof *request, 'epiP');
    if (!request)
        return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    RtlZeroMemory(request, sizeof *request);
    request->number = (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900;
    RtlCopyMemory(request->words, buffer, 16);
    request->length = length - 16;
    RtlCopyMemory(request->bytes, buffer + 16, request->length);
    NTSTATUS status = in_a_thread(request);
    ULONG given = request->given;
    ULONG64 head[3] = {(ULONG)request->status, request->value, request->block.Information};
    RtlCopyMemory(buffer, head, HEAD);
    RtlCopyMemory(buffer + HEAD, request->bytes, given);
    ExFreePoolWithTag(request, 'epiP');
    return complete(irp, status, NT_SUCCESS(status) ? HEAD + given : 0);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbPipes");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbPipes");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbPipes");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device);
    return status;
}
