// filesystem.sys: as much of a file system as the memory manager needs to show its files: \\.\RbFs\one and \\.\RbFs\two, which it
// keeps in memory, of up to FILE_SIZE bytes, and \\.\RbFs\plain, which has no sections.
//
// IRP_MJ_READ and IRP_MJ_WRITE come with an MDL. Paging writes do not make a file longer. Control codes are
// CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS), for the file that they are sent to; the input is
// 64-bit words, the answer eight:
//   0 answers its bytes, the paging reads and writes so far, the length of the last of each, the files that are open, requests
//     for paging that were not as they must be, and how many CLEANUPs there were;
//   1 fills it: its bytes, a seed; 2 is its checksum; 3 lets paging writes fail with the status word 0 from now on; 4 the same for reads.
#include <ntddk.h>

#include "complete.h"

#define FILE_SIZE 0x40000

struct file {
    SECTION_OBJECT_POINTERS pointers;
    SIZE_T size;
    ULONG64 reads, writes, last_read, last_write, open, wrong, cleanups;
    NTSTATUS write_status, read_status;
    UCHAR bytes[FILE_SIZE];
};

static struct file files[3];
static const WCHAR *const names[] = {L"\\one", L"\\two", L"\\plain"};
#define PLAIN 2

static struct file *file_of(IRP *irp) {
    return IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext;
}

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    FILE_OBJECT *object = IoGetCurrentIrpStackLocation(irp)->FileObject;
    for (ULONG i = 0; i < RTL_NUMBER_OF(files); i++) {
        UNICODE_STRING name;
        RtlInitUnicodeString(&name, names[i]);
        if (!RtlEqualUnicodeString(&name, &object->FileName, TRUE))
            continue;
        object->FsContext = &files[i];
        if (i != PLAIN)
            object->SectionObjectPointer = &files[i].pointers;
        files[i].open++;
        return complete(irp, STATUS_SUCCESS, FILE_OPENED);
    }
    return complete(irp, STATUS_OBJECT_NAME_NOT_FOUND, 0);
}

static NTSTATUS NTAPI cleanup(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    file_of(irp)->cleanups++;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    file_of(irp)->open--;
    return complete(irp, STATUS_SUCCESS, 0);
}

// What is wrong with a request for paging: whole pages, with an MDL and no system buffer, in no application's context.
static BOOLEAN is_wrong(IRP *irp, LONGLONG offset, ULONG length) {
    return offset % PAGE_SIZE || length % PAGE_SIZE || !length || !irp->MdlAddress || irp->AssociatedIrp.SystemBuffer ||
           !(irp->Flags & IRP_NOCACHE) || irp->RequestorMode != KernelMode || KeGetCurrentIrql() > APC_LEVEL;
}

static NTSTATUS NTAPI read(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct file *file = file_of(irp);
    LONGLONG offset = location->Parameters.Read.ByteOffset.QuadPart;
    SIZE_T length = location->Parameters.Read.Length;
    if (irp->Flags & IRP_PAGING_IO) {
        file->reads++;
        file->last_read = length;
        file->wrong += is_wrong(irp, offset, (ULONG)length);
        if (!NT_SUCCESS(file->read_status))
            return complete(irp, file->read_status, 0);
    }
    if (offset < 0 || (SIZE_T)offset >= file->size)
        return complete(irp, STATUS_END_OF_FILE, 0);
    if (length > file->size - (SIZE_T)offset)
        length = file->size - (SIZE_T)offset;
    UCHAR *data = irp->MdlAddress ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority) : NULL;
    if (length && !data)
        return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    RtlCopyMemory(data, file->bytes + offset, length);
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI write(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct file *file = file_of(irp);
    LONGLONG offset = location->Parameters.Write.ByteOffset.QuadPart;
    SIZE_T length = location->Parameters.Write.Length, answer = length;
    SIZE_T end = FILE_SIZE;
    if (irp->Flags & IRP_PAGING_IO) {
        file->writes++;
        file->last_write = length;
        file->wrong += is_wrong(irp, offset, (ULONG)length);
        end = file->size;
        if (!NT_SUCCESS(file->write_status))
            return complete(irp, file->write_status, 0);
    }
    if (offset < 0 || (SIZE_T)offset >= end)
        return complete(irp, end == FILE_SIZE ? STATUS_DISK_FULL : STATUS_SUCCESS, 0);
    if (length > end - (SIZE_T)offset)
        length = end - (SIZE_T)offset;
    UCHAR *data = irp->MdlAddress ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority) : NULL;
    if (length && !data)
        return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    RtlCopyMemory(file->bytes + offset, data, length);
    if (file->size < (SIZE_T)offset + length)
        file->size = (SIZE_T)offset + length;
    return complete(irp, STATUS_SUCCESS, answer);
}

static NTSTATUS NTAPI query_information(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (location->Parameters.QueryFile.FileInformationClass != FileStandardInformation)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    if (location->Parameters.QueryFile.Length < sizeof(FILE_STANDARD_INFORMATION))
        return complete(irp, STATUS_INFO_LENGTH_MISMATCH, 0);
    FILE_STANDARD_INFORMATION *information = irp->AssociatedIrp.SystemBuffer;
    RtlZeroMemory(information, sizeof *information);
    information->AllocationSize.QuadPart = FILE_SIZE;
    information->EndOfFile.QuadPart = (LONGLONG)file_of(irp)->size;
    information->NumberOfLinks = 1;
    return complete(irp, STATUS_SUCCESS, sizeof *information);
}

static NTSTATUS NTAPI set_information(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (location->Parameters.SetFile.FileInformationClass != FileEndOfFileInformation)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    FILE_END_OF_FILE_INFORMATION *information = irp->AssociatedIrp.SystemBuffer;
    struct file *file = file_of(irp);
    if (information->EndOfFile.QuadPart < 0 || information->EndOfFile.QuadPart > FILE_SIZE)
        return complete(irp, STATUS_DISK_FULL, 0);
    SIZE_T size = (SIZE_T)information->EndOfFile.QuadPart;
    if (size > file->size)
        RtlZeroMemory(file->bytes + file->size, size - file->size);
    file->size = size;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct file *file = file_of(irp);
    ULONG64 words[2] = {0}, *answer = irp->AssociatedIrp.SystemBuffer;
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    if (location->Parameters.DeviceIoControl.OutputBufferLength < 64)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(words, answer, length < sizeof words ? length : sizeof words);
    RtlZeroMemory(answer, 64);
    switch ((location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900) {
    case 0: {
        ULONG64 numbers[8] = {file->size,       file->reads, file->writes, file->last_read,
                              file->last_write, file->open,  file->wrong,  file->cleanups};
        RtlCopyMemory(answer, numbers, sizeof numbers);
        break;
    }
    case 1:
        file->size = words[0] < FILE_SIZE ? (SIZE_T)words[0] : FILE_SIZE;
        for (SIZE_T i = 0; i < file->size; i++)
            file->bytes[i] = (UCHAR)(words[1] + i * 31 + (i >> 8));
        break;
    case 2:
        answer[0] = 0xCBF29CE484222325;
        for (SIZE_T i = 0; i < file->size; i++)
            answer[0] = (answer[0] ^ file->bytes[i]) * 0x100000001B3;
        break;
    case 3:
        file->write_status = (NTSTATUS)words[0];
        break;
    case 4:
        file->read_status = (NTSTATUS)words[0];
        break;
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    return complete(irp, STATUS_SUCCESS, 64);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFs");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFs");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFs");
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    device->Flags |= DO_DIRECT_IO;
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup;
    driver->MajorFunction[IRP_MJ_CLOSE] = close;
    driver->MajorFunction[IRP_MJ_READ] = read;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->MajorFunction[IRP_MJ_QUERY_INFORMATION] = query_information;
    driver->MajorFunction[IRP_MJ_SET_INFORMATION] = set_information;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device);
    return status;
}
