// sections.sys: sections and their views, by every routine that drivers have for them.
//
// Device \\.\RbSections. Control codes are CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS). The
// input is seven 64-bit words and then a name in UTF-16, or none; the answer four words: a status, and three values.
//   0 creates a section: access, size, PAGE_*, SEC_*, OBJ_*, a file's handle, 1 for a descriptor that lets everybody do
//     everything; answers the handle;
//   1 opens one: access, OBJ_*; the same;
//   2 maps a view in the calling process: handle, base, offset, size, PAGE_*; answers base, offset and size;
//   3 unmaps what address word 0 lies in; 4 closes a handle;
//   5 references a handle's section: handle, access, mode; answers the object;
//   6 maps an object in system space: object, size; answers address and size; 7 unmaps it; 8 drops the reference;
//   9 is the checksum of the bytes at: address, length; 10 writes a pattern there: address, length, seed; both answer what
//     was raised;
//   11 queries a handle's section: handle, class, length; answers attributes and size;
//   12 maps a page with: handle, zero bits, commit size, inherit disposition, allocation type.
#include <ntifs.h>

#include "complete.h"

// The headers declare it for who links against ntoskrnl.lib.
extern POBJECT_TYPE *section_type __asm__("__imp_MmSectionObjectType");
NTSYSAPI NTSTATUS NTAPI ZwQuerySection(HANDLE section, int class, PVOID information, SIZE_T length, SIZE_T *returned);

struct basic_information {
    PVOID base;
    ULONG attributes;
    LARGE_INTEGER size;
};

struct request {
    ULONG64 words[7];
    UNICODE_STRING name;
    ULONG64 answers[3];
};

static OBJECT_ATTRIBUTES attributes_of(struct request *request, ULONG flags, SECURITY_DESCRIPTOR *descriptor) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING *name = request->name.Length ? &request->name : NULL;
    InitializeObjectAttributes(&attributes, name, flags, NULL, descriptor);
    return attributes;
}

static NTSTATUS create(struct request *request) {
    const ULONG64 *words = request->words;
    SECURITY_DESCRIPTOR everybody;
    RtlCreateSecurityDescriptor(&everybody, SECURITY_DESCRIPTOR_REVISION);
    RtlSetDaclSecurityDescriptor(&everybody, TRUE, NULL, FALSE);
    OBJECT_ATTRIBUTES attributes = attributes_of(request, (ULONG)words[4], words[6] ? &everybody : NULL);
    LARGE_INTEGER size = {.QuadPart = (LONGLONG)words[1]};
    return ZwCreateSection((HANDLE *)&request->answers[0], (ACCESS_MASK)words[0], &attributes,
                           words[1] ? &size : NULL, (ULONG)words[2], (ULONG)words[3], (HANDLE)words[5]);
}

static NTSTATUS open(struct request *request) {
    OBJECT_ATTRIBUTES attributes = attributes_of(request, (ULONG)request->words[1], NULL);
    return ZwOpenSection((HANDLE *)&request->answers[0], (ACCESS_MASK)request->words[0], &attributes);
}

static NTSTATUS map(struct request *request) {
    const ULONG64 *words = request->words;
    PVOID base = (PVOID)words[1];
    LARGE_INTEGER offset = {.QuadPart = (LONGLONG)words[2]};
    SIZE_T size = words[3];
    NTSTATUS status = ZwMapViewOfSection((HANDLE)words[0], ZwCurrentProcess(), &base, 0, 0, &offset, &size,
                                         ViewUnmap, 0, (ULONG)words[4]);
    request->answers[0] = (ULONG64)base;
    request->answers[1] = (ULONG64)offset.QuadPart;
    request->answers[2] = size;
    return status;
}

static NTSTATUS map_with(struct request *request) {
    const ULONG64 *words = request->words;
    PVOID base = NULL;
    SIZE_T size = PAGE_SIZE;
    NTSTATUS status = ZwMapViewOfSection((HANDLE)words[0], ZwCurrentProcess(), &base, words[1], words[2], NULL, &size,
                                         (SECTION_INHERIT)words[3], (ULONG)words[4], PAGE_READWRITE);
    request->answers[0] = (ULONG64)base;
    return status;
}

static NTSTATUS map_in_system(struct request *request) {
    SIZE_T size = request->words[1];
    NTSTATUS status = MmMapViewInSystemSpace((PVOID)request->words[0], (PVOID *)&request->answers[0], &size);
    request->answers[1] = size;
    return status;
}

static NTSTATUS checksum(struct request *request) {
    volatile UCHAR *bytes = (volatile UCHAR *)request->words[0];
    ULONG64 sum = 0xCBF29CE484222325;
    __try {
        for (SIZE_T i = 0; i < request->words[1]; i++)
            sum = (sum ^ bytes[i]) * 0x100000001B3;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    request->answers[0] = sum;
    return STATUS_SUCCESS;
}

static NTSTATUS fill(struct request *request) {
    volatile UCHAR *bytes = (volatile UCHAR *)request->words[0];
    __try {
        for (SIZE_T i = 0; i < request->words[1]; i++)
            bytes[i] = (UCHAR)(request->words[2] + i * 31 + (i >> 8));
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static NTSTATUS query(struct request *request) {
    struct basic_information information = {0};
    SIZE_T returned = 0;
    NTSTATUS status = ZwQuerySection((HANDLE)request->words[0], (int)request->words[1], &information,
                                     request->words[2], &returned);
    request->answers[0] = information.attributes;
    request->answers[1] = (ULONG64)information.size.QuadPart;
    request->answers[2] = returned;
    return status;
}

static NTSTATUS serve(struct request *request, ULONG number) {
    const ULONG64 *words = request->words;
    switch (number) {
    case 0:
        return create(request);
    case 1:
        return open(request);
    case 2:
        return map(request);
    case 3:
        return ZwUnmapViewOfSection(ZwCurrentProcess(), (PVOID)words[0]);
    case 4:
        return ZwClose((HANDLE)words[0]);
    case 5:
        return ObReferenceObjectByHandle((HANDLE)words[0], (ACCESS_MASK)words[1], *section_type,
                                         (KPROCESSOR_MODE)words[2], (PVOID *)&request->answers[0], NULL);
    case 6:
        return map_in_system(request);
    case 7:
        return MmUnmapViewInSystemSpace((PVOID)words[0]);
    case 8:
        ObDereferenceObject((PVOID)words[0]);
        return STATUS_SUCCESS;
    case 9:
        return checksum(request);
    case 10:
        return fill(request);
    case 11:
        return query(request);
    case 12:
        return map_with(request);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
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
    buffer[0] = (ULONG)serve(&request, (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900);
    RtlCopyMemory(buffer + 1, request.answers, sizeof request.answers);
    return complete(irp, STATUS_SUCCESS, 32);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbSections");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbSections");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbSections");
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
