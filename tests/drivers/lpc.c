// lpc.sys: the routines for LPC ports, one a request, with the caller's own handles and messages.
//
// Device \\.\RbLpc. Control codes are CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS). The input is six
// 64-bit words and then a message or a name in UTF-16; the answer eight words, a status and seven values, and then 0x200 bytes
// for a message.
//   0 creates a port: longest information, longest message, OBJ_*; a name. Answers the handle;
//   1 connects: level, section, offset, size, bytes of information before the name. Answers the handle, the longest message, the own view
//     (size, base, remote base), the other end's (size, base), and as message the server's information, its length first, 4 bytes;
//   2 listens at: handle; 3 accepts: PortContext, whether, section, offset, size; the message. Answers the handle and the views;
//   4 completes: handle; 5 sends: handle; the message; 6 sends and waits for the reply; 7 replies; 8 replies and waits for a reply;
//   9 receives: handle, whether there is a reply, whether there is a timeout, the timeout. Answers PortContext;
//   10 queries: handle, class; answers the returned length; 11 closes: handle;
//   12 sends by the object of: handle; the message; 13 sends so and waits for the reply;
//   14 connects as 1 does, but to a server of the system's own user only;
//   15 reads 8 bytes at: address; 16 writes there: address, value. Both answer what was raised;
//   17 reads what a request gives: handle, index, longest; the request. Answers how many bytes these were, as message them;
//   18 writes to what a request gives: handle, index, length up to 24, and these bytes; the request. Answers how many they were;
//   19 sends and waits for the reply: handle, giving five words, and 8 bytes at an address where nothing is. Answers the five words then.
#include <ntifs.h>

#include "complete.h"

#define MESSAGE 0x200

typedef struct {
    USHORT data_length, total_length, type, data_info_offset;
    CLIENT_ID client;
    ULONG message_id;
    ULONG_PTR view_size;
} MESSAGE_HEADER;

typedef struct {
    ULONG length;
    HANDLE section;
    ULONG offset;
    SIZE_T size;
    PVOID base, remote_base;
} VIEW;

typedef struct {
    ULONG length;
    SIZE_T size;
    PVOID base;
} REMOTE_VIEW;

NTSYSAPI NTSTATUS NTAPI ZwCreatePort(HANDLE *, OBJECT_ATTRIBUTES *, ULONG, ULONG, ULONG);
NTSYSAPI NTSTATUS NTAPI ZwCreateWaitablePort(HANDLE *, OBJECT_ATTRIBUTES *, ULONG, ULONG, ULONG);
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE, BOOLEAN, LARGE_INTEGER *);
NTSYSAPI NTSTATUS NTAPI ZwConnectPort(HANDLE *, UNICODE_STRING *, SECURITY_QUALITY_OF_SERVICE *, VIEW *, REMOTE_VIEW *, ULONG *,
                                      PVOID, ULONG *);
NTSYSAPI NTSTATUS NTAPI ZwSecureConnectPort(HANDLE *, UNICODE_STRING *, SECURITY_QUALITY_OF_SERVICE *, VIEW *, PSID,
                                            REMOTE_VIEW *, ULONG *, PVOID, ULONG *);
NTSYSAPI NTSTATUS NTAPI ZwListenPort(HANDLE, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwAcceptConnectPort(HANDLE *, PVOID, PVOID, BOOLEAN, VIEW *, REMOTE_VIEW *);
NTSYSAPI NTSTATUS NTAPI ZwCompleteConnectPort(HANDLE);
NTSYSAPI NTSTATUS NTAPI ZwRequestPort(HANDLE, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwRequestWaitReplyPort(HANDLE, PVOID, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwReplyPort(HANDLE, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwReplyWaitReplyPort(HANDLE, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwReplyWaitReceivePort(HANDLE, PVOID *, PVOID, PVOID);
NTSYSAPI NTSTATUS NTAPI ZwReplyWaitReceivePortEx(HANDLE, PVOID *, PVOID, PVOID, LARGE_INTEGER *);
NTSYSAPI NTSTATUS NTAPI ZwReadRequestData(HANDLE, PVOID, ULONG, PVOID, SIZE_T, SIZE_T *);
NTSYSAPI NTSTATUS NTAPI ZwWriteRequestData(HANDLE, PVOID, ULONG, PVOID, SIZE_T, SIZE_T *);
NTSYSAPI NTSTATUS NTAPI ZwQueryInformationPort(HANDLE, int, PVOID, ULONG, ULONG *);
NTSYSAPI NTSTATUS NTAPI LpcRequestPort(PVOID, PVOID);
NTSYSAPI NTSTATUS NTAPI LpcRequestWaitReplyPort(PVOID, PVOID, PVOID);
extern POBJECT_TYPE *port_type __asm__("__imp_LpcPortObjectType");

typedef struct {
    MESSAGE_HEADER header;
    ULONG count;
    struct {
        PVOID base;
        ULONG size;
    } entries[2];
} GIVING_MESSAGE;

C_ASSERT(sizeof(GIVING_MESSAGE) == 0x28 + 8 + 2 * 16);
C_ASSERT(sizeof(MESSAGE_HEADER) == 0x28 && sizeof(VIEW) == 0x30 && sizeof(REMOTE_VIEW) == 0x18);

struct request {
    ULONG64 words[6];
    ULONG tail;
    union {
        UCHAR message[MESSAGE];
        WCHAR name[MESSAGE / 2];
    };
    ULONG64 answers[7];
    union {
        UCHAR received[MESSAGE];
        ULONG64 aligned;
    };
};

static UNICODE_STRING name_of(struct request *request, ULONG from) {
    ULONG length = request->tail > from ? request->tail - from : 0;
    UNICODE_STRING name = {(USHORT)length, (USHORT)length, (WCHAR *)(request->message + from)};
    return name;
}

static NTSTATUS create(struct request *request, BOOLEAN waitable) {
    UNICODE_STRING name = name_of(request, 0);
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, name.Length ? &name : NULL, (ULONG)request->words[2], NULL, NULL);
    HANDLE *handle = (HANDLE *)&request->answers[0];
    ULONG info = (ULONG)request->words[0], message = (ULONG)request->words[1];
    return waitable ? ZwCreateWaitablePort(handle, &attributes, info, message, 0)
                    : ZwCreatePort(handle, &attributes, info, message, 0);
}

static NTSTATUS connect(struct request *request, BOOLEAN secure) {
    const ULONG64 *words = request->words;
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, (SECURITY_IMPERSONATION_LEVEL)words[0], SECURITY_DYNAMIC_TRACKING, FALSE};
    VIEW own = {sizeof own, (HANDLE)words[1], (ULONG)words[2], words[3], NULL, NULL};
    REMOTE_VIEW other = {sizeof other, 0, NULL};
    ULONG longest = 0, length = (ULONG)words[4];
    UNICODE_STRING name = name_of(request, length);
    VIEW *shown = words[1] ? &own : NULL;
    UCHAR system[] = {1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};
    HANDLE *handle = (HANDLE *)&request->answers[0];
    PVOID information = request->message;
    NTSTATUS status =
        secure ? ZwSecureConnectPort(handle, &name, &qos, shown, system, &other, &longest, information, &length)
               : ZwConnectPort(handle, &name, &qos, shown, &other, &longest, information, &length);
    request->answers[1] = longest;
    request->answers[2] = shown ? own.size : 0;
    request->answers[3] = (ULONG64)own.base;
    request->answers[4] = (ULONG64)own.remote_base;
    request->answers[5] = other.size;
    request->answers[6] = (ULONG64)other.base;
    RtlCopyMemory(request->received, &length, sizeof length);
    RtlCopyMemory(request->received + sizeof length, information, length);
    return status;
}

static NTSTATUS accept(struct request *request) {
    const ULONG64 *words = request->words;
    VIEW own = {sizeof own, (HANDLE)words[2], (ULONG)words[3], words[4], NULL, NULL};
    REMOTE_VIEW other = {sizeof other, 0, NULL};
    VIEW *shown = words[2] ? &own : NULL;
    NTSTATUS status = ZwAcceptConnectPort((HANDLE *)&request->answers[0], (PVOID)words[0], request->message, words[1] != 0,
                                          shown, &other);
    request->answers[2] = shown ? own.size : 0;
    request->answers[3] = (ULONG64)own.base;
    request->answers[4] = (ULONG64)own.remote_base;
    request->answers[5] = other.size;
    request->answers[6] = (ULONG64)other.base;
    return status;
}

static NTSTATUS receive(struct request *request) {
    const ULONG64 *words = request->words;
    PVOID reply = words[1] ? request->message : NULL;
    LARGE_INTEGER timeout = {.QuadPart = (LONGLONG)words[3]};
    PVOID *context = (PVOID *)&request->answers[0];
    if (words[2])
        return ZwReplyWaitReceivePortEx((HANDLE)words[0], context, reply, request->received, &timeout);
    return ZwReplyWaitReceivePort((HANDLE)words[0], context, reply, request->received);
}

static NTSTATUS by_object(struct request *request, BOOLEAN waits) {
    PVOID port;
    NTSTATUS status = ObReferenceObjectByHandle((HANDLE)request->words[0], 0, *port_type, KernelMode, &port, NULL);
    if (!NT_SUCCESS(status))
        return status;
    status = waits ? LpcRequestWaitReplyPort(port, request->message, request->received)
                   : LpcRequestPort(port, request->message);
    ObDereferenceObject(port);
    return status;
}

/* Does not wait: by its object, and by its handle. */
static NTSTATUS look(struct request *request) {
    PVOID port;
    LARGE_INTEGER now = {.QuadPart = 0};
    NTSTATUS status = ObReferenceObjectByHandle((HANDLE)request->words[0], SYNCHRONIZE, *port_type, KernelMode, &port, NULL);
    if (!NT_SUCCESS(status))
        return status;
    status = KeWaitForSingleObject(port, Executive, KernelMode, FALSE, &now);
    request->answers[0] = (ULONG)ZwWaitForSingleObject((HANDLE)request->words[0], FALSE, &now);
    ObDereferenceObject(port);
    return status;
}

static NTSTATUS touch(struct request *request, BOOLEAN writes) {
    volatile ULONG64 *place = (volatile ULONG64 *)request->words[0];
    __try {
        if (writes)
            *place = request->words[1];
        else
            request->answers[0] = *place;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static NTSTATUS request_giving(struct request *request) {
    enum { LENGTH = 5 * sizeof(ULONG64) };
    PVOID words = ExAllocatePoolWithTag(NonPagedPoolNx, LENGTH, 'cpLR');
    if (!words)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlCopyMemory(words, request->words + 1, LENGTH);
    GIVING_MESSAGE message;
    RtlZeroMemory(&message, sizeof message);
    message.header.data_length = sizeof message - sizeof message.header;
    message.header.total_length = sizeof message;
    message.header.data_info_offset = sizeof message.header;
    message.count = 2;
    message.entries[0].base = words;
    message.entries[0].size = LENGTH;
    message.entries[1].base = (PVOID)8;
    message.entries[1].size = 8;
    NTSTATUS status = ZwRequestWaitReplyPort((HANDLE)request->words[0], &message, request->received);
    RtlCopyMemory(request->answers, words, LENGTH);
    ExFreePoolWithTag(words, 'cpLR');
    return status;
}

static NTSTATUS serve(struct request *request, ULONG number) {
    HANDLE handle = (HANDLE)request->words[0];
    ULONG returned = 0xFFFFFFFF;
    NTSTATUS status;
    switch (number) {
    case 0:
        return create(request, FALSE);
    case 1:
        return connect(request, FALSE);
    case 2:
        return ZwListenPort(handle, request->received);
    case 3:
        return accept(request);
    case 4:
        return ZwCompleteConnectPort(handle);
    case 5:
        return ZwRequestPort(handle, request->message);
    case 6:
        return ZwRequestWaitReplyPort(handle, request->message, request->received);
    case 7:
        return ZwReplyPort(handle, request->message);
    case 8:
        status = ZwReplyWaitReplyPort(handle, request->message);
        RtlCopyMemory(request->received, request->message, MESSAGE);
        return status;
    case 9:
        return receive(request);
    case 10:
        status = ZwQueryInformationPort(handle, (int)request->words[1], NULL, 0, &returned);
        request->answers[0] = returned;
        return status;
    case 11:
        return ZwClose(handle);
    case 12:
        return by_object(request, FALSE);
    case 13:
        return by_object(request, TRUE);
    case 14:
        return connect(request, TRUE);
    case 15:
        return touch(request, FALSE);
    case 16:
        return touch(request, TRUE);
    case 17:
        if (request->words[2] > MESSAGE)
            return STATUS_INVALID_PARAMETER;
        return ZwReadRequestData(handle, request->message, (ULONG)request->words[1], request->received,
                                 request->words[2], (SIZE_T *)&request->answers[0]);
    case 18:
        if (request->words[2] > 3 * sizeof(ULONG64))
            return STATUS_INVALID_PARAMETER;
        return ZwWriteRequestData(handle, request->message, (ULONG)request->words[1], &request->words[3],
                                  request->words[2], (SIZE_T *)&request->answers[0]);
    case 19:
        return request_giving(request);
    case 20:
        return create(request, TRUE);
    case 21:
        return look(request);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct request request;
    RtlZeroMemory(&request, sizeof request);
    UCHAR *buffer = irp->AssociatedIrp.SystemBuffer;
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    const ULONG answer = 64 + MESSAGE;
    if (location->Parameters.DeviceIoControl.OutputBufferLength < answer || length < sizeof request.words ||
        length > sizeof request.words + MESSAGE)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    RtlCopyMemory(request.words, buffer, sizeof request.words);
    request.tail = length - sizeof request.words;
    RtlCopyMemory(request.message, buffer + sizeof request.words, request.tail);
    ULONG64 status = (ULONG)serve(&request, (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900);
    RtlCopyMemory(buffer, &status, 8);
    RtlCopyMemory(buffer + 8, request.answers, sizeof request.answers);
    RtlCopyMemory(buffer + 64, request.received, MESSAGE);
    return complete(irp, STATUS_SUCCESS, answer);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbLpc");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbLpc");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbLpc");
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
