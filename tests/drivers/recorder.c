// recorder.sys: tells what requests of file systems look like to a driver. \\.\RbRecorderB has DO_BUFFERED_IO, \\.\RbRecorderD DO_DIRECT_IO,
// \\.\RbRecorderN neither. Every request but those to open, close and control is noted and succeeds; its first eight bytes of output are
// 0xAB.
//
// The control code CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS) answers what the last one was, as 64-bit words:
//   0 how many there were; 1 major and 2 minor function; 3 SL_*; 4 to 7 the four words of Parameters, of which 4 has 32 bits and pointers
//   are 1; 8 to 10 whether there is a system buffer, an MDL, a user's address; 11 whether the MDL is for writing; 12 the first eight bytes of
//   what was captured (a pattern's text, a list, a lock's length); 13 the first eight bytes of the data that comes in; 14 whether
//   what was captured is AuxiliaryBuffer, or begins it; 15 RequestorMode; 16 FileObject->LockOperation.
#include <ntifs.h>

#include "complete.h"

#define WORDS 17

static ULONG64 record[WORDS];
static DEVICE_OBJECT *devices[3];
static UNICODE_STRING names[3] = {RTL_CONSTANT_STRING(L"\\Device\\RbRecorderB"), RTL_CONSTANT_STRING(L"\\Device\\RbRecorderD"), RTL_CONSTANT_STRING(L"\\Device\\RbRecorderN")};
static UNICODE_STRING links[3] = {RTL_CONSTANT_STRING(L"\\??\\RbRecorderB"), RTL_CONSTANT_STRING(L"\\??\\RbRecorderD"), RTL_CONSTANT_STRING(L"\\??\\RbRecorderN")};

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

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
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
    driver->MajorFunction[IRP_MJ_CREATE] = succeed;
    driver->MajorFunction[IRP_MJ_CLEANUP] = succeed;
    driver->MajorFunction[IRP_MJ_CLOSE] = succeed;
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
