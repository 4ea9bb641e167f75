// recorder.sys: tells what requests of file systems look like to a driver. \\.\RbRecorderB has DO_BUFFERED_IO, \\.\RbRecorderD DO_DIRECT_IO,
// \\.\RbRecorderN neither. Every request but those to open, close and control is noted and succeeds; its first eight bytes of output are
// 0xAB.
//
// The control code CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS) answers what the last one was, as 64-bit words:
//   0 how many there were; 1 major and 2 minor function; 3 SL_*; 4 to 7 the four words of Parameters, of which 4 has 32 bits and pointers
//   are 1; 8 to 10 whether there is a system buffer, an MDL, a user's address; 11 whether the MDL is for writing; 12 the first eight bytes of
//   what was captured (a pattern's text, a list, a lock's length); 13 the first eight bytes of the data that comes in; 14 whether
//   what was captured is AuxiliaryBuffer, or begins it; 15 RequestorMode; 16 FileObject->LockOperation; 17 SL_* of
//   the last request to open; 18 the file of SET_INFORMATION's parameters: 0 none, 1 of this device and opened last, 2 another; 19 the files
//   that are open.
// 0x901 has the driver make a request itself, by a kernel handle to \\.\RbRecorderB that was opened with extended attributes: the input
// says which. The answer is its status, its Information, bytes of the attributes that the create request brought, the first eight of
// them, then the record.
// 0x902 has the driver open a kernel handle of its own to the file that it is sent to; 0x903 has it closed.
#include <ntifs.h>

#include "complete.h"

#define WORDS 20

NTSYSAPI NTSTATUS NTAPI ZwNotifyChangeDirectoryFile(HANDLE file, HANDLE event, PVOID routine, PVOID context, IO_STATUS_BLOCK *block, PVOID buffer, ULONG length, ULONG filter, BOOLEAN tree);

static ULONG64 record[WORDS];
static DEVICE_OBJECT *devices[3];
static UNICODE_STRING names[3] = {RTL_CONSTANT_STRING(L"\\Device\\RbRecorderB"), RTL_CONSTANT_STRING(L"\\Device\\RbRecorderD"), RTL_CONSTANT_STRING(L"\\Device\\RbRecorderN")};
static UNICODE_STRING links[3] = {RTL_CONSTANT_STRING(L"\\??\\RbRecorderB"), RTL_CONSTANT_STRING(L"\\??\\RbRecorderD"), RTL_CONSTANT_STRING(L"\\??\\RbRecorderN")};

static ULONG64 attributes_seen[2];
static FILE_OBJECT *opened_last;
static UCHAR open_flags;
static LONG open_files;
static HANDLE own_handle;

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG length = location->Parameters.Create.EaLength;
    opened_last = location->FileObject;
    open_flags = location->Flags;
    InterlockedIncrement(&open_files);
    attributes_seen[0] = length;
    attributes_seen[1] = 0;
    if (length)
        RtlCopyMemory(&attributes_seen[1], irp->AssociatedIrp.SystemBuffer, length < 8 ? length : 8);
    return complete(irp, STATUS_SUCCESS, FILE_OPENED);
}

static NTSTATUS NTAPI close(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    InterlockedDecrement(&open_files);
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI succeed(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    return complete(irp, STATUS_SUCCESS, FILE_OPENED);
}

// What was captured for the request, and how many bytes that has.
static const UCHAR *captured(IO_STACK_LOCATION *location, SIZE_T *length) {
    const UCHAR *found = NULL;
    *length = 0;
    switch (location->MajorFunction) {
    case IRP_MJ_DIRECTORY_CONTROL:
        if (location->MinorFunction == IRP_MN_QUERY_DIRECTORY && location->Parameters.QueryDirectory.FileName) {
            found = (const UCHAR *)location->Parameters.QueryDirectory.FileName->Buffer;
            *length = location->Parameters.QueryDirectory.FileName->Length;
        }
        break;
    case IRP_MJ_QUERY_EA:
        found = location->Parameters.QueryEa.EaList;
        *length = location->Parameters.QueryEa.EaListLength;
        break;
    case IRP_MJ_QUERY_QUOTA:
        found = (const UCHAR *)location->Parameters.QueryQuota.SidList;
        *length = location->Parameters.QueryQuota.SidListLength;
        if (!found && location->Parameters.QueryQuota.StartSid) {
            found = location->Parameters.QueryQuota.StartSid;
            *length = 8;
        }
        break;
    case IRP_MJ_LOCK_CONTROL:
        found = (const UCHAR *)location->Parameters.LockControl.Length;
        *length = sizeof(LARGE_INTEGER);
        break;
    }
    return found;
}

static NTSTATUS NTAPI note(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG64 *words = (ULONG64 *)&location->Parameters, count = record[0] + 1;
    SIZE_T length, out = 0;
    const UCHAR *aside = captured(location, &length);
    RtlZeroMemory(record, sizeof record);
    record[0] = count;
    record[1] = location->MajorFunction;
    record[2] = location->MinorFunction;
    record[3] = location->Flags;
    record[4] = location->MajorFunction == IRP_MJ_LOCK_CONTROL ? 1 : (ULONG)words[0];
    for (int i = 1; i < 4; i++)
        record[4 + i] = words[i] > 0xFFFF800000000000 || (words[i] > 0x100000000 && location->MajorFunction != IRP_MJ_LOCK_CONTROL) ? 1 : words[i];
    record[8] = irp->AssociatedIrp.SystemBuffer != NULL;
    record[9] = irp->MdlAddress != NULL;
    record[10] = irp->UserBuffer != NULL;
    record[11] = irp->MdlAddress && irp->MdlAddress->MdlFlags & MDL_WRITE_OPERATION;
    if (aside)
        RtlCopyMemory(&record[12], aside, length < 8 ? length : 8);
    record[14] = irp->Tail.Overlay.AuxiliaryBuffer && aside >= (UCHAR *)irp->Tail.Overlay.AuxiliaryBuffer &&
                 aside < (UCHAR *)irp->Tail.Overlay.AuxiliaryBuffer + 64;
    record[15] = (ULONG64)irp->RequestorMode;
    record[16] = location->FileObject->LockOperation;
    record[17] = open_flags;
    if (location->MajorFunction == IRP_MJ_SET_INFORMATION) {
        FILE_OBJECT *target = location->Parameters.SetFile.FileObject;
        record[18] = !target ? 0 : target == opened_last && target->DeviceObject == location->FileObject->DeviceObject ? 1 : 2;
    }
    record[19] = (ULONG64)open_files;
    UCHAR *data = irp->AssociatedIrp.SystemBuffer;
    if (irp->MdlAddress)
        data = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    else if (!data)
        data = irp->UserBuffer;
    UCHAR major = location->MajorFunction;
    BOOLEAN comes_in = major == IRP_MJ_SET_EA || major == IRP_MJ_SET_QUOTA || major == IRP_MJ_SET_VOLUME_INFORMATION ||
                       major == IRP_MJ_SET_INFORMATION;
    if (data && record[4] >= 8 && major != IRP_MJ_LOCK_CONTROL) {
        if (comes_in) {
            RtlCopyMemory(&record[13], data, 8);
        } else {
            RtlFillMemory(data, 8, 0xAB);
            out = 8;
        }
    }
    return complete(irp, STATUS_SUCCESS, out);
}

static UCHAR age[] = {0, 0, 0, 0, 0, 3, 1, 0, 'A', 'G', 'E', 0, '7'};
static UCHAR torn[] = {0, 0, 0, 0, 0, 3, 9, 0, 'A', 'G', 'E', 0, '7'};
static UCHAR asked[] = {0, 0, 0, 0, 3, 'A', 'G', 'E', 0};
static UCHAR sid[] = {0, 0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};

static NTSTATUS open_own(HANDLE *file, UCHAR *attributes, ULONG length) {
    OBJECT_ATTRIBUTES object;
    IO_STATUS_BLOCK block;
    InitializeObjectAttributes(&object, &names[0], OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateFile(file, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &object, &block, NULL, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, attributes, length);
}

// Asks for a new name, in the way of `how`: 0 without a path, 1 with one, 2 relative to the file itself, 3 on another device.
static NTSTATUS rename(HANDLE file, IO_STATUS_BLOCK *block, ULONG64 how, FILE_INFORMATION_CLASS class) {
    static const WCHAR *const new_names[] = {L"new", L"\\Device\\RbRecorderB\\sub\\new", L"sub\\new", L"\\Device\\RbRecorderD\\new"};
    static ULONG64 room[16];
    FILE_RENAME_INFORMATION *information = (FILE_RENAME_INFORMATION *)room;
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, new_names[how]);
    RtlZeroMemory(room, sizeof room);
    information->ReplaceIfExists = TRUE;
    information->RootDirectory = how == 2 ? file : NULL;
    information->FileNameLength = name.Length;
    RtlCopyMemory(information->FileName, name.Buffer, name.Length);
    return ZwSetInformationFile(file, block, information, sizeof room, class);
}

static NTSTATUS ask(ULONG64 which, HANDLE file, IO_STATUS_BLOCK *block) {
    static UCHAR room[128];
    UNICODE_STRING pattern = RTL_CONSTANT_STRING(L"*.c");
    LARGE_INTEGER offset = {.QuadPart = 5}, length = {.QuadPart = 6};
    UCHAR label[] = {4, 0, 0, 0, 'N', 0, 'M', 0}, quota[52] = {0};
    ULONG index = 4, at = 99;
    NTSTATUS status;
    quota[4] = 12;
    RtlCopyMemory(quota + 40, sid + 8, 12);
    switch (which) {
    case 0:
        return ZwQueryDirectoryFile(file, NULL, NULL, NULL, block, room, sizeof room, FileBothDirectoryInformation, TRUE, &pattern, TRUE);
    case 1:
        return ZwNotifyChangeDirectoryFile(file, NULL, NULL, NULL, block, room, sizeof room, FILE_NOTIFY_CHANGE_FILE_NAME, TRUE);
    case 2:
        return ZwQueryEaFile(file, block, room, sizeof room, FALSE, asked, sizeof asked, &index, FALSE);
    case 3:
        return ZwSetEaFile(file, block, age, sizeof age);
    case 4:
        return ZwLockFile(file, NULL, NULL, NULL, block, &offset, &length, 7, TRUE, TRUE);
    case 5:
        return ZwUnlockFile(file, block, &offset, &length, 7);
    case 6:
        return ZwSetVolumeInformationFile(file, block, label, sizeof label, FileFsLabelInformation);
    case 7:
        return ZwQueryQuotaInformationFile(file, block, room, sizeof room, FALSE, sid, sizeof sid, NULL, FALSE);
    case 8:
        return ZwSetQuotaInformationFile(file, block, quota, sizeof quota);
    case 9:
        return ZwSetEaFile(file, block, torn, sizeof torn);
    case 12:
    case 13:
    case 14:
    case 15:
        return rename(file, block, which - 12, FileRenameInformation);
    case 16:
        return rename(file, block, 1, FileLinkInformation);
    case 17:
        return ZwQueryQuotaInformationFile(file, block, room, sizeof room, TRUE, sid, sizeof sid, sid + 8, FALSE);
    case 18:
        return ZwQueryQuotaInformationFile(file, block, room, sizeof room, TRUE, NULL, 0, torn, FALSE);
    default:
        status = IoCheckEaBufferValidity((FILE_FULL_EA_INFORMATION *)torn, sizeof torn, &at);
        block->Information = at;
        return status;
    }
}

static NTSTATUS make(IRP *irp, ULONG input, ULONG output) {
    ULONG64 answer[4 + WORDS] = {0};
    IO_STATUS_BLOCK block = {0};
    HANDLE file;
    if (input < 8 || output < sizeof answer)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    ULONG64 which = *(ULONG64 *)irp->AssociatedIrp.SystemBuffer;
    NTSTATUS status = which == 11 ? open_own(&file, torn, sizeof torn) : open_own(&file, age, sizeof age);
    if (NT_SUCCESS(status)) {
        status = ask(which, file, &block);
        ZwClose(file);
    }
    answer[0] = (ULONG)status;
    answer[1] = block.Information;
    answer[2] = attributes_seen[0];
    answer[3] = attributes_seen[1];
    RtlCopyMemory(answer + 4, record, sizeof record);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, answer, sizeof answer);
    return complete(irp, STATUS_SUCCESS, sizeof answer);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG code = location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
    if (code == 0x902)
        return complete(irp, ObOpenObjectByPointer(location->FileObject, OBJ_KERNEL_HANDLE, NULL, 0, *IoFileObjectType, KernelMode, &own_handle), 0);
    if (code == 0x903)
        return complete(irp, ZwClose(own_handle), 0);
    if (code == 0x901)
        return make(irp, location->Parameters.DeviceIoControl.InputBufferLength, location->Parameters.DeviceIoControl.OutputBufferLength);
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof record)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, record, sizeof record);
    return complete(irp, STATUS_SUCCESS, sizeof record);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNREFERENCED_PARAMETER(driver);
    for (int i = 0; i < 3; i++) {
        IoDeleteSymbolicLink(&links[i]);
        IoDeleteDevice(devices[i]);
    }
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    static const ULONG flags[3] = {DO_BUFFERED_IO, DO_DIRECT_IO, 0};
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = note;
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = succeed;
    driver->MajorFunction[IRP_MJ_CLOSE] = close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    for (int i = 0; i < 3; i++) {
        NTSTATUS status = IoCreateDevice(driver, 0, &names[i], FILE_DEVICE_UNKNOWN, 0, FALSE, &devices[i]);
        if (NT_SUCCESS(status))
            status = IoCreateSymbolicLink(&links[i], &names[i]);
        if (!NT_SUCCESS(status))
            return status;
        devices[i]->Flags |= flags[i];
    }
    return STATUS_SUCCESS;
}
