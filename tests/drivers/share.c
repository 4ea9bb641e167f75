// share.sys: memory that driver and application share by an MDL, as seed 002's CreateShareMemory and MapSharedMemory do.
//
// Device \\.\RbShare. Control codes are CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS); the
// input is 64-bit words, the answer two: a status that was raised (or 0), and a value.
//   0 makes the buffer: word 0 its bytes, word 1 its kind (0 nonpaged pool, 1 MmAllocatePagesForMdlEx, 2 paged pool, 3 a
//      variable of the driver's), and fills it with zeroes;
//   1 maps it for the application: word 0 the priority with its MdlMapping flags, word 1 the address asked for, word 2 and 3
//      offset and length of the part (by IoBuildPartialMdl), or 0 for all of it; the value is the address;
//   2 unmaps what is at address word 0;
//   3 fills the buffer with the pattern of seed word 0; 4 is its checksum;
//   5 frees the buffer and its MDL, whatever is mapped;
//   6 from now on CLEANUP unmaps nothing (word 0 is 1), or all that its file mapped (0);
//   7 is how many mappings the driver knows; 8 unmaps address word 0 by the MDL, whoever maps it.
#include <ntddk.h>

#define TAG 'hSbR'
#define MAPPINGS 64

struct mapping {
    FILE_OBJECT *file;
    VOID *address;
    MDL *mdl;
    MDL *part;
};

static MDL *buffer_mdl;
static UCHAR *buffer;
static SIZE_T buffer_length;
static ULONG64 buffer_kind;
static UCHAR variable[8192];
static struct mapping mappings[MAPPINGS];
static BOOLEAN forgetful;

static NTSTATUS complete(IRP *irp, NTSTATUS status, ULONG_PTR information) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS make(SIZE_T length, ULONG64 kind) {
    PHYSICAL_ADDRESS low = {.QuadPart = 0}, high = {.QuadPart = -1}, skip = {.QuadPart = 0};
    buffer_length = length;
    buffer_kind = kind;
    if (kind == 1) {
        buffer_mdl = MmAllocatePagesForMdlEx(low, high, skip, length, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
        if (!buffer_mdl)
            return STATUS_INSUFFICIENT_RESOURCES;
        buffer = MmGetSystemAddressForMdlSafe(buffer_mdl, NormalPagePriority);
    } else {
        buffer = kind == 3 ? variable : ExAllocatePoolWithTag(kind == 2 ? PagedPool : NonPagedPoolNx, length, TAG);
        if (!buffer)
            return STATUS_INSUFFICIENT_RESOURCES;
        buffer_mdl = IoAllocateMdl(buffer, (ULONG)length, FALSE, FALSE, NULL);
        if (kind == 2)
            MmProbeAndLockPages(buffer_mdl, KernelMode, IoModifyAccess);
        else
            MmBuildMdlForNonPagedPool(buffer_mdl);
    }
    RtlZeroMemory(buffer, length);
    return STATUS_SUCCESS;
}

static void destroy(void) {
    if (!buffer_mdl)
        return;
    if (buffer_kind == 1) {
        MmFreePagesFromMdl(buffer_mdl);
        ExFreePool(buffer_mdl);
    } else {
        if (buffer_kind == 2)
            MmUnlockPages(buffer_mdl);
        IoFreeMdl(buffer_mdl);
        if (buffer_kind != 3)
            ExFreePoolWithTag(buffer, TAG);
    }
    buffer_mdl = NULL;
}

static NTSTATUS map(FILE_OBJECT *file, const ULONG64 *words, ULONG64 *value) {
    struct mapping *mapping = mappings;
    while (mapping->address && mapping < mappings + MAPPINGS - 1)
        mapping++;
    MDL *mdl = buffer_mdl, *part = NULL;
    if (words[3]) {
        part = IoAllocateMdl(buffer + words[2], (ULONG)words[3], FALSE, FALSE, NULL);
        IoBuildPartialMdl(buffer_mdl, part, buffer + words[2], (ULONG)words[3]);
        mdl = part;
    }
    __try {
        VOID *address =
            MmMapLockedPagesSpecifyCache(mdl, UserMode, MmCached, (VOID *)words[1], FALSE, (ULONG)words[0]);
        *mapping = (struct mapping){.file = file, .address = address, .mdl = mdl, .part = part};
        *value = (ULONG64)address;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        if (part)
            IoFreeMdl(part);
        return GetExceptionCode();
    }
    return STATUS_SUCCESS;
}

static void unmap(struct mapping *mapping) {
    MmUnmapLockedPages(mapping->address, mapping->mdl);
    if (mapping->part)
        IoFreeMdl(mapping->part);
    RtlZeroMemory(mapping, sizeof *mapping);
}

static NTSTATUS unmap_at(ULONG64 address) {
    for (ULONG i = 0; i < MAPPINGS; i++)
        if (address && mappings[i].address == (VOID *)address) {
            unmap(&mappings[i]);
            return STATUS_SUCCESS;
        }
    return STATUS_NOT_FOUND;
}

static NTSTATUS NTAPI cleanup(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    for (ULONG i = 0; i < MAPPINGS; i++) {
        if (mappings[i].file != file)
            continue;
        if (!forgetful)
            unmap(&mappings[i]);
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI open_or_close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    return complete(irp, STATUS_SUCCESS, 0);
}

static ULONG64 known(void) {
    ULONG64 count = 0;
    for (ULONG i = 0; i < MAPPINGS; i++)
        count += mappings[i].address != NULL;
    return count;
}

static NTSTATUS serve(IRP *irp, ULONG number, const ULONG64 *words, ULONG64 *value) {
    switch (number) {
    case 0:
        return make(words[0], words[1]);
    case 1:
        return map(IoGetCurrentIrpStackLocation(irp)->FileObject, words, value);
    case 2:
        return unmap_at(words[0]);
    case 3:
        for (SIZE_T i = 0; i < buffer_length; i++)
            buffer[i] = (UCHAR)(words[0] + i * 31 + (i >> 8));
        return STATUS_SUCCESS;
    case 4:
        *value = 0xCBF29CE484222325;
        for (SIZE_T i = 0; i < buffer_length; i++)
            *value = (*value ^ ((volatile UCHAR *)buffer)[i]) * 0x100000001B3;
        return STATUS_SUCCESS;
    case 5:
        destroy();
        return STATUS_SUCCESS;
    case 6:
        forgetful = words[0] == 1;
        return STATUS_SUCCESS;
    case 7:
        *value = known();
        return STATUS_SUCCESS;
    case 8:
        MmUnmapLockedPages((VOID *)words[0], buffer_mdl);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG64 words[4] = {0}, *answer = irp->AssociatedIrp.SystemBuffer;
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    if (location->Parameters.DeviceIoControl.OutputBufferLength < 16)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(words, answer, length < sizeof words ? length : sizeof words);
    ULONG number = (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900;
    answer[1] = 0;
    answer[0] = (ULONG)serve(irp, number, words, &answer[1]);
    return complete(irp, STATUS_SUCCESS, 16);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbShare");
    destroy();
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbShare");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbShare");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device);
    return status;
}
