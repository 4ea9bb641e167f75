// filter_ports.sys: a filter with communication ports, by every routine that drivers have for them.
//
// Device \\.\RbFilterPorts. Control codes are CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS). The input is
// seven 64-bit words and then a name in UTF-16, or none; the answer four words: a status, and three values.
//   0 creates a port, one of two (word 0): connections, OBJ_* flags, 1 for a message callback, whose descriptor: 0 the default with
//     access word 4, 1 one that lets everybody do everything, 2 none;
//   1 closes a port;
//   2 sends to connection word 0: length, seed, room for a reply or all ones for none, timeout or 0 for none; answers the reply's
//     length, the checksum of the reply, and 1 if a byte behind its room changed;
//   3 closes connection word 0; answers whether the pointer is NULL;
//   4 answers connects, disconnects, messages; 5 of the last connect: context length, checksum, and the port it was for;
//   6 sets what the connect callback answers (word 0), what the unload callback answers (word 1), and 1 to leave everything then;
//   7 references the filter; 8 drops the reference; 9 starts filtering;
//   10 registers a second filter: size, version; 11 unregisters the filter; 12 is whether FltGetRoutineAddress knows the name, in ASCII;
//   13 answers unload callbacks, and the flags of the last.
// The message callback does as the first byte says: 0 echoes each byte plus one; 1 answers with the status in the next four bytes and
// the length in the four behind them; 2 sends the message to its own connection and echoes the reply's length; 3 closes its own connection.
#include <ntifs.h>

#include "complete.h"
#include "flt.h"

enum { CONNECTIONS = 8, PORTS = 2 };
#define POOL_TAG 'tpbR'
#define NO_REPLY (~0ull)

struct request {
    ULONG64 words[7];
    UNICODE_STRING name;
    ULONG64 answers[3];
};

static PFLT_FILTER filter, referenced;
static PFLT_PORT ports[PORTS];
static PFLT_PORT clients[CONNECTIONS];
static LONG used[CONNECTIONS];
static volatile LONG connects, disconnects, messages, unloads;
static ULONG unload_flags, context_length;
static ULONG64 context_checksum;
static ULONG64 context_port;
static NTSTATUS connect_answer, unload_answer;
static BOOLEAN leaves;

static ULONG64 checksum(const volatile UCHAR *bytes, SIZE_T length) {
    ULONG64 sum = 0xCBF29CE484222325;
    for (SIZE_T i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 0x100000001B3;
    return sum;
}

static NTSTATUS NTAPI connected(PFLT_PORT client, PVOID server_cookie, PVOID context, ULONG length, PVOID *cookie) {
    context_length = length;
    context_checksum = length ? checksum(context, length) : context != NULL;
    context_port = (ULONG64)server_cookie;
    if (!NT_SUCCESS(connect_answer))
        return connect_answer;
    for (ULONG i = 0; i < CONNECTIONS; i++)
        if (InterlockedCompareExchange(&used[i], 1, 0) == 0) {
            clients[i] = client;
            *cookie = (PVOID)(ULONG_PTR)(i + 1);
            InterlockedIncrement(&connects);
            return connect_answer;
        }
    return STATUS_INSUFFICIENT_RESOURCES;
}

static VOID NTAPI disconnected(PVOID cookie) {
    ULONG index = (ULONG)(ULONG_PTR)cookie - 1;
    InterlockedIncrement(&disconnects);
    FltCloseClientPort(filter, &clients[index]);
    InterlockedExchange(&used[index], 0);
}

static NTSTATUS echo(UCHAR *input, ULONG input_length, UCHAR *output, ULONG output_length, ULONG *returned) {
    ULONG count = input_length < output_length ? input_length : output_length;
    __try {
        ProbeForRead(input, input_length, 1);
        ProbeForWrite(output, output_length, 1);
        for (ULONG i = 0; i < count; i++)
            ((volatile UCHAR *)output)[i] = (UCHAR)(((volatile UCHAR *)input)[i] + 1);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    *returned = count;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI message(PVOID cookie, PVOID input, ULONG input_length, PVOID output, ULONG output_length,
                              ULONG *returned) {
    UCHAR copy[16] = {0};
    ULONG index = (ULONG)(ULONG_PTR)cookie - 1;
    InterlockedIncrement(&messages);
    __try {
        ProbeForRead(input, input_length, 1);
        RtlCopyMemory(copy, input, input_length < sizeof copy ? input_length : sizeof copy);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    switch (copy[0]) {
    case 1:
        *returned = *(ULONG UNALIGNED *)(copy + 5);
        return *(NTSTATUS UNALIGNED *)(copy + 1);
    case 2: {
        ULONG64 reply[8];
        ULONG length = sizeof reply;
        NTSTATUS status = FltSendMessage(filter, &clients[index], copy, sizeof copy, reply, &length, NULL);
        *returned = NT_SUCCESS(status) ? length : 0;
        return status;
    }
    case 3:
        FltCloseClientPort(filter, &clients[index]);
        return STATUS_SUCCESS;
    default:
        return echo(input, input_length, output, output_length, returned);
    }
}

static NTSTATUS create_port(struct request *request) {
    const ULONG64 *words = request->words;
    SECURITY_DESCRIPTOR everybody;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    if (words[5] == 0) {
        NTSTATUS status = FltBuildDefaultSecurityDescriptor(&descriptor, (ACCESS_MASK)words[4]);
        if (!NT_SUCCESS(status))
            return status;
    } else if (words[5] == 1) {
        RtlCreateSecurityDescriptor(&everybody, SECURITY_DESCRIPTOR_REVISION);
        RtlSetDaclSecurityDescriptor(&everybody, TRUE, NULL, FALSE);
    }
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING *name = request->name.Length ? &request->name : NULL;
    InitializeObjectAttributes(&attributes, name, (ULONG)words[2], NULL, words[5] == 1 ? &everybody : descriptor);
    NTSTATUS status = FltCreateCommunicationPort(filter, &ports[words[0] % PORTS], &attributes,
                                                 (PVOID)(ULONG_PTR)(words[0] % PORTS + 0x70), connected, disconnected,
                                                 words[3] ? message : NULL, (LONG)words[1]);
    if (descriptor)
        FltFreeSecurityDescriptor(descriptor);
    return status;
}

static NTSTATUS send(struct request *request) {
    const ULONG64 *words = request->words;
    ULONG length = (ULONG)words[1], room = words[3] == NO_REPLY ? 0 : (ULONG)words[3];
    UCHAR *buffer = ExAllocatePoolWithTag(NonPagedPool, (SIZE_T)length + room + 16, POOL_TAG);
    if (!buffer)
        return STATUS_INSUFFICIENT_RESOURCES;
    for (ULONG i = 0; i < length; i++)
        buffer[i] = (UCHAR)(words[2] + i * 31 + (i >> 8));
    UCHAR *reply = buffer + length;
    RtlFillMemory(reply, (SIZE_T)room + 16, 0xA5);
    LARGE_INTEGER timeout = {.QuadPart = (LONGLONG)words[4]};
    NTSTATUS status = FltSendMessage(filter, &clients[words[0] % CONNECTIONS], buffer, length,
                                     words[3] == NO_REPLY ? NULL : reply, words[3] == NO_REPLY ? NULL : &room,
                                     words[4] ? &timeout : NULL);
    ULONG space = words[3] == NO_REPLY ? 0 : (ULONG)words[3];
    request->answers[0] = room;
    request->answers[1] = checksum(reply, room < space ? room : space);
    for (ULONG i = 0; i < 16; i++)
        request->answers[2] |= reply[space + i] != 0xA5;
    ExFreePoolWithTag(buffer, POOL_TAG);
    return status;
}

static VOID close_port(ULONG index) {
    if (ports[index]) {
        FltCloseCommunicationPort(ports[index]);
        ports[index] = NULL;
    }
}

static VOID unregister(VOID) {
    PFLT_FILTER old = InterlockedExchangePointer((PVOID *)&filter, NULL);
    for (ULONG i = 0; i < PORTS; i++)
        close_port(i);
    if (old)
        FltUnregisterFilter(old);
}

static NTSTATUS NTAPI unload_filter(ULONG flags) {
    InterlockedIncrement(&unloads);
    unload_flags = flags;
    if (!(flags & FLTFL_FILTER_UNLOAD_MANDATORY) && !NT_SUCCESS(unload_answer))
        return unload_answer;
    if (!leaves)
        unregister();
    return STATUS_SUCCESS;
}

static const FLT_OPERATION_REGISTRATION operations[] = {{.MajorFunction = IRP_MJ_CREATE},
                                                        {.MajorFunction = IRP_MJ_OPERATION_END}};

static NTSTATUS register_again(struct request *request, DRIVER_OBJECT *driver) {
    FLT_REGISTRATION registration = {.Size = (USHORT)request->words[0],
                                     .Version = (USHORT)request->words[1],
                                     .OperationRegistration = operations,
                                     .FilterUnloadCallback = unload_filter};
    PFLT_FILTER made = NULL;
    NTSTATUS status = FltRegisterFilter(driver, &registration, &made);
    request->answers[0] = made != NULL;
    if (NT_SUCCESS(status) && !filter)
        filter = made;
    return status;
}

static NTSTATUS knows(struct request *request) {
    char name[64] = {0};
    for (ULONG i = 0; i < request->name.Length / sizeof(WCHAR) && i < sizeof name - 1; i++)
        name[i] = (char)request->name.Buffer[i];
    request->answers[0] = FltGetRoutineAddress(name) != NULL;
    return STATUS_SUCCESS;
}

static NTSTATUS serve(struct request *request, ULONG number, DRIVER_OBJECT *driver) {
    const ULONG64 *words = request->words;
    switch (number) {
    case 0:
        return create_port(request);
    case 1:
        close_port((ULONG)words[0] % PORTS);
        return STATUS_SUCCESS;
    case 2:
        return send(request);
    case 3:
        FltCloseClientPort(filter, &clients[words[0] % CONNECTIONS]);
        request->answers[0] = clients[words[0] % CONNECTIONS] == NULL;
        return STATUS_SUCCESS;
    case 4:
        request->answers[0] = (ULONG64)connects;
        request->answers[1] = (ULONG64)disconnects;
        request->answers[2] = (ULONG64)messages;
        return STATUS_SUCCESS;
    case 5:
        request->answers[0] = context_length;
        request->answers[1] = context_checksum;
        request->answers[2] = context_port;
        return STATUS_SUCCESS;
    case 6:
        connect_answer = (NTSTATUS)words[0];
        unload_answer = (NTSTATUS)words[1];
        leaves = words[2] != 0;
        return STATUS_SUCCESS;
    case 7:
        referenced = filter;
        return FltObjectReference(referenced);
    case 8:
        FltObjectDereference(referenced);
        return STATUS_SUCCESS;
    case 9:
        return FltStartFiltering(filter);
    case 10:
        return register_again(request, driver);
    case 11:
        unregister();
        return STATUS_SUCCESS;
    case 12:
        return knows(request);
    case 13:
        request->answers[0] = (ULONG64)unloads;
        request->answers[1] = unload_flags;
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG64 *buffer = irp->AssociatedIrp.SystemBuffer;
    WCHAR name[128];
    struct request request = {.words = {0}, .name = {.Buffer = name, .MaximumLength = sizeof name}};
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    if (location->Parameters.DeviceIoControl.OutputBufferLength < 32 || length < sizeof request.words ||
        length > sizeof request.words + sizeof name)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    RtlCopyMemory(request.words, buffer, sizeof request.words);
    request.name.Length = (USHORT)(length - sizeof request.words);
    RtlCopyMemory(name, buffer + 7, request.name.Length);
    ULONG number = (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900;
    buffer[0] = (ULONG)serve(&request, number, device->DriverObject);
    RtlCopyMemory(buffer + 1, request.answers, sizeof request.answers);
    return complete(irp, STATUS_SUCCESS, 32);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFilterPorts");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFilterPorts");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFilterPorts");
    FLT_REGISTRATION registration = {.Size = sizeof registration,
                                     .Version = FLT_REGISTRATION_VERSION,
                                     .OperationRegistration = operations,
                                     .FilterUnloadCallback = unload_filter};
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
    if (NT_SUCCESS(status))
        status = FltRegisterFilter(driver, &registration, &filter);
    if (!NT_SUCCESS(status))
        unload(driver);
    return status;
}
