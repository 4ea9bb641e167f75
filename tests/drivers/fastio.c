// fastio.sys (\\.\RbFast): fast I/O. Its control routine answers by the code without an IRP, or leaves it to one; what both have
// seen is told by FAST_SEEN. The codes are FAST_CODE(n), with the method given; what they do is described at `fast_control`.
#include <ntddk.h>

#include "complete.h"

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(HANDLE *event, ACCESS_MASK access, OBJECT_ATTRIBUTES *attributes, EVENT_TYPE type, BOOLEAN state);

#define FAST_CODE(n, method) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + (n), method, FILE_ANY_ACCESS)
#define NUMBER(code) (((code) >> 2 & 0xFFF) - 0x800)
#define INVERT 0
#define DECLINE 1
#define BUSY 2
#define RAISE 3
#define FOLLOW 4
#define HIGH_IRQL 5
#define OVERFLOW 6
#define SEEN 7
#define BY_HANDLE 8
#define TABLE_SIZE 9
#define REGION 10
#define ROUTINE 11
#define TABLE 12
#define LEAST 13

#define RAISED ((NTSTATUS)0xC0000123)

// 96 bytes.
static struct {
    ULONG64 fast, irps, reads, writes, read_irps, write_irps, queries, query_irps;
    ULONG wait, in, out, code;
    UCHAR file, device, irql, mode, buffers_are_user;
    UCHAR pad[11];
} seen;

static DEVICE_OBJECT *main_device;
static FAST_IO_DISPATCH table;
static FILE_OBJECT *last_file;
static PVOID pool;

static void look(FILE_OBJECT *file, BOOLEAN wait, PVOID in, ULONG in_length, PVOID out, ULONG out_length, ULONG code, DEVICE_OBJECT *device) {
    seen.fast++;
    seen.wait = wait;
    seen.in = in_length;
    seen.out = out_length;
    seen.code = code;
    seen.file = file == last_file;
    seen.device = device == main_device;
    seen.irql = KeGetCurrentIrql();
    seen.mode = ExGetPreviousMode();
    seen.buffers_are_user = (ULONG_PTR)in < (ULONG_PTR)MmUserProbeAddress && (ULONG_PTR)out < (ULONG_PTR)MmUserProbeAddress;
}

static BOOLEAN tell(IO_STATUS_BLOCK *block, NTSTATUS status, ULONG_PTR information) {
    block->Status = status;
    block->Information = information;
    return TRUE;
}

static ULONG invert(PVOID to, ULONG room, const UCHAR *from, ULONG length) {
    ULONG count = length < room ? length : room;
    for (ULONG i = 0; i < count; i++)
        ((UCHAR *)to)[i] = (UCHAR)~from[i];
    return count;
}

static BOOLEAN NTAPI fast_control(FILE_OBJECT *file, BOOLEAN wait, PVOID in, ULONG in_length, PVOID out, ULONG out_length, ULONG code,
                                  IO_STATUS_BLOCK *block, DEVICE_OBJECT *device) {
    KIRQL irql;
    switch (NUMBER(code)) {
    case SEEN:
    case BY_HANDLE:
    case TABLE_SIZE:
    case ROUTINE:
    case TABLE:
        return FALSE;
    }
    look(file, wait, in, in_length, out, out_length, code, device);
    switch (NUMBER(code)) {
    case INVERT: { // The output is the input, inverted.
        ULONG count = 0;
        __try {
            count = invert(out, out_length, in, in_length);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            return tell(block, GetExceptionCode(), 0);
        }
        return tell(block, STATUS_SUCCESS, count);
    }
    case BUSY: // Refused, with information that means nothing.
        return tell(block, STATUS_DEVICE_NOT_READY, 5);
    case RAISE:
        ExRaiseStatus(RAISED);
    case FOLLOW: // Reads where the input's first word points to, without a handler of its own.
        return tell(block, STATUS_SUCCESS, **(UCHAR **)in);
    case HIGH_IRQL:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        return tell(block, STATUS_SUCCESS, 0);
    case REGION:
        KeEnterCriticalRegion();
        return tell(block, STATUS_SUCCESS, 0);
    case LEAST: // Says more than it has written.
        return tell(block, STATUS_SUCCESS, out_length);
    case OVERFLOW: // A warning.
        return tell(block, STATUS_BUFFER_OVERFLOW, invert(out, out_length, in, in_length));
    default: // Left to an IRP. What is written there counts for nothing.
        tell(block, STATUS_DEVICE_NOT_READY, 9);
        return FALSE;
    }
}

// Reads are 'F', with the low byte of the offset first. A read of 7 bytes is answered with a status that is none of a read's.
static BOOLEAN NTAPI fast_read(FILE_OBJECT *file, LARGE_INTEGER *offset, ULONG length, BOOLEAN wait, ULONG key, PVOID buffer, IO_STATUS_BLOCK *block,
                               DEVICE_OBJECT *device) {
    look(file, wait, buffer, length, buffer, length, key, device);
    seen.reads++;
    if (length == 7)
        return tell(block, STATUS_DEVICE_NOT_READY, 0);
    if (length == 8)
        return FALSE;
    if (length == 9)
        return tell(block, STATUS_END_OF_FILE, 0);
    RtlFillMemory(buffer, length, 'F');
    if (length)
        *(UCHAR *)buffer = (UCHAR)offset->LowPart;
    file->CurrentByteOffset.QuadPart = offset->QuadPart + length;
    return tell(block, STATUS_SUCCESS, length);
}

static BOOLEAN NTAPI fast_write(FILE_OBJECT *file, LARGE_INTEGER *offset, ULONG length, BOOLEAN wait, ULONG key, PVOID buffer, IO_STATUS_BLOCK *block,
                                DEVICE_OBJECT *device) {
    look(file, wait, buffer, length, buffer, length, key, device);
    seen.writes++;
    file->CurrentByteOffset.QuadPart = offset->QuadPart + length;
    return tell(block, STATUS_SUCCESS, length);
}

static BOOLEAN NTAPI query_basic(FILE_OBJECT *file, BOOLEAN wait, FILE_BASIC_INFORMATION *answer, IO_STATUS_BLOCK *block, DEVICE_OBJECT *device) {
    look(file, wait, NULL, 0, NULL, 0, 0, device);
    seen.queries++;
    answer->CreationTime.QuadPart = 77;
    answer->FileAttributes = FILE_ATTRIBUTE_HIDDEN;
    return tell(block, STATUS_SUCCESS, 0);
}

static BOOLEAN NTAPI query_standard(FILE_OBJECT *file, BOOLEAN wait, FILE_STANDARD_INFORMATION *answer, IO_STATUS_BLOCK *block, DEVICE_OBJECT *device) {
    UNREFERENCED_PARAMETER(block);
    look(file, wait, NULL, 0, NULL, 0, 0, device);
    seen.queries++;
    answer->EndOfFile.QuadPart = 1;
    return FALSE;
}

static BOOLEAN NTAPI query_network(FILE_OBJECT *file, BOOLEAN wait, FILE_NETWORK_OPEN_INFORMATION *answer, IO_STATUS_BLOCK *block,
                                   DEVICE_OBJECT *device) {
    UNREFERENCED_PARAMETER(answer);
    look(file, wait, NULL, 0, NULL, 0, 0, device);
    seen.queries++;
    return tell(block, STATUS_DEVICE_NOT_READY, 3);
}

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    UNREFERENCED_PARAMETER(device);
    last_file = file;
    if (file->FileName.Length)
        file->PrivateCacheMap = (PVOID)1;
    return complete(irp, STATUS_SUCCESS, FILE_OPENED);
}

static NTSTATUS NTAPI read_or_write(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    UNREFERENCED_PARAMETER(device);
    if (location->MajorFunction == IRP_MJ_WRITE) {
        seen.write_irps++;
        return complete(irp, STATUS_SUCCESS, location->Parameters.Write.Length);
    }
    seen.read_irps++;
    RtlFillMemory(irp->AssociatedIrp.SystemBuffer, location->Parameters.Read.Length, 'I');
    return complete(irp, STATUS_SUCCESS, location->Parameters.Read.Length);
}

static NTSTATUS NTAPI query(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    UNREFERENCED_PARAMETER(device);
    seen.query_irps++;
    RtlFillMemory(irp->AssociatedIrp.SystemBuffer, location->Parameters.QueryFile.Length, 0x49);
    return complete(irp, STATUS_SUCCESS, location->Parameters.QueryFile.Length);
}

// The input's words are a code and, from there on, its input of eight bytes. The output: how the call ended (or what it raised), its
// block's status and information, eight bytes of its output, and whether its event is signaled.
static ULONG by_handle(ULONG64 *words) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFast");
    IO_STATUS_BLOCK block;
    HANDLE file, event;
    ULONG64 in = words[1], out = 0;
    NTSTATUS status;
    KEVENT *object;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwCreateFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0);
    if (!NT_SUCCESS(status))
        return 0;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    ZwCreateEvent(&event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE);
    ObReferenceObjectByHandle(event, EVENT_ALL_ACCESS, NULL, KernelMode, (PVOID *)&object, NULL);
    block.Status = 0x1234;
    block.Information = 99;
    __try {
        status = ZwDeviceIoControlFile(file, event, NULL, NULL, &block, (ULONG)words[0], &in, sizeof in, &out, sizeof out);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    words[0] = (ULONG)status;
    words[1] = (ULONG)block.Status;
    words[2] = block.Information;
    words[3] = out;
    words[4] = KeReadStateEvent(object) != 0;
    ObDereferenceObject(object);
    ZwClose(event);
    ZwClose(file);
    return 40;
}

// Too large to be kept for another block.
static PVOID freed(void) {
    PVOID block = ExAllocatePoolWithTag(NonPagedPool, 64 * PAGE_SIZE, 'tsaF');
    if (block)
        ExFreePoolWithTag(block, 'tsaF');
    return block;
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG code = location->Parameters.DeviceIoControl.IoControlCode;
    UCHAR *buffer = irp->AssociatedIrp.SystemBuffer;
    UNREFERENCED_PARAMETER(device);
    switch (NUMBER(code)) {
    case SEEN:
        RtlCopyMemory(buffer, &seen, sizeof seen);
        return complete(irp, STATUS_SUCCESS, sizeof seen);
    case TABLE_SIZE: // The size of its table is the input's first word; 0 takes the table away.
        table.SizeOfFastIoDispatch = *(ULONG *)buffer;
        main_device->DriverObject->FastIoDispatch = *(ULONG *)buffer ? &table : NULL;
        return complete(irp, STATUS_SUCCESS, 0);
    case ROUTINE: // The control routine is where the input's word says; 0 is a block of pool.
        table.FastIoDeviceControl = *(PVOID *)buffer ? *(PVOID *)buffer : (PVOID)pool;
        return complete(irp, STATUS_SUCCESS, 0);
    case TABLE: // So is the table; 0 is a block of pool that has been freed.
        main_device->DriverObject->FastIoDispatch = *(PVOID *)buffer ? *(PVOID *)buffer : freed();
        return complete(irp, STATUS_SUCCESS, 0);
    case BY_HANDLE:
        return complete(irp, STATUS_SUCCESS, by_handle((ULONG64 *)buffer));
    }
    seen.irps++;
    if ((code & 3) == METHOD_BUFFERED && location->Parameters.DeviceIoControl.OutputBufferLength) {
        RtlFillMemory(buffer, location->Parameters.DeviceIoControl.OutputBufferLength, 0x49);
        return complete(irp, STATUS_SUCCESS, location->Parameters.DeviceIoControl.OutputBufferLength);
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFast");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
    if (pool)
        ExFreePoolWithTag(pool, 'tsaF');
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFast"), link = RTL_CONSTANT_STRING(L"\\??\\RbFast");
    UNREFERENCED_PARAMETER(path);
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &main_device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(main_device);
        return status;
    }
    pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 'tsaF');
    table.SizeOfFastIoDispatch = sizeof table;
    table.FastIoDeviceControl = fast_control;
    table.FastIoRead = fast_read;
    table.FastIoWrite = fast_write;
    table.FastIoQueryBasicInfo = query_basic;
    table.FastIoQueryStandardInfo = query_standard;
    table.FastIoQueryNetworkOpenInfo = query_network;
    driver->FastIoDispatch = &table;
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_READ] = read_or_write;
    driver->MajorFunction[IRP_MJ_WRITE] = read_or_write;
    driver->MajorFunction[IRP_MJ_QUERY_INFORMATION] = query;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    main_device->Flags |= DO_BUFFERED_IO;
    main_device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
