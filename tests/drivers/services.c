// services.sys: a driver that loads and unloads others, and one that is loaded: it answers in whose context its DriverEntry ran.
//
// Device \\.\RbServices, or \\.\RbStarted when its service's name ends with "started". Control codes are
// CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, METHOD_BUFFERED, FILE_ANY_ACCESS). The input of 0 to 3 is a path, or name, in UTF-16:
//   0 ZwLoadDriver, 1 ZwUnloadDriver, 2 FltLoadFilter, 3 FltUnloadFilter; answers the status;
//   4 answers of its DriverEntry: 1 if the process was the system's, the IRQL, 1 if the thread was the system's.
// A service whose name ends with "refusing" fails with STATUS_ACCESS_DENIED, "nesting" loads "started" in its DriverEntry and then goes
// on only when that has worked, "staying" has no DriverUnload.
#include <ntifs.h>

#include "complete.h"
#include "flt.h"

static ULONG64 facts[3];
static UNICODE_STRING link;

static BOOLEAN ends_with(const UNICODE_STRING *path, const WCHAR *end, USHORT length) {
    if (path->Length < length)
        return FALSE;
    return RtlCompareMemory((const UCHAR *)path->Buffer + path->Length - length, end, length) == length;
}

#define ENDS_WITH(text) ends_with(path, text, sizeof(text) - sizeof(WCHAR))

static NTSTATUS serve(ULONG number, UNICODE_STRING *name) {
    switch (number) {
    case 0:
        return ZwLoadDriver(name);
    case 1:
        return ZwUnloadDriver(name);
    case 2:
        return FltLoadFilter(name);
    case 3:
        return FltUnloadFilter(name);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG number = (location->Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF) - 0x900;
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG64 *buffer = irp->AssociatedIrp.SystemBuffer;
    WCHAR copy[256];
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof facts || length > sizeof copy)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    if (number == 4) {
        RtlCopyMemory(buffer, facts, sizeof facts);
        return complete(irp, STATUS_SUCCESS, sizeof facts);
    }
    RtlCopyMemory(copy, buffer, length);
    UNICODE_STRING name = {.Length = (USHORT)length, .MaximumLength = (USHORT)length, .Buffer = copy};
    buffer[0] = (ULONG)serve(number, &name);
    return complete(irp, STATUS_SUCCESS, 8);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING device_name = RTL_CONSTANT_STRING(L"\\Device\\RbServices");
    UNICODE_STRING other_name = RTL_CONSTANT_STRING(L"\\Device\\RbStarted");
    UNICODE_STRING device_link = RTL_CONSTANT_STRING(L"\\??\\RbServices");
    UNICODE_STRING other_link = RTL_CONSTANT_STRING(L"\\??\\RbStarted");
    UNICODE_STRING started =
        RTL_CONSTANT_STRING(L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\started");
    BOOLEAN is_other = ENDS_WITH(L"started");
    DEVICE_OBJECT *device;
    NTSTATUS status;
    facts[0] = IoGetCurrentProcess() == PsInitialSystemProcess;
    facts[1] = KeGetCurrentIrql();
    facts[2] = PsIsSystemThread(PsGetCurrentThread());
    if (ENDS_WITH(L"refusing"))
        return STATUS_ACCESS_DENIED;
    if (ENDS_WITH(L"nesting")) {
        status = ZwLoadDriver(&started);
        if (!NT_SUCCESS(status))
            return status;
    }
    status = IoCreateDevice(driver, 0, is_other ? &other_name : &device_name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = ENDS_WITH(L"staying") ? NULL : unload;
    link = is_other ? other_link : device_link;
    status = IoCreateSymbolicLink(&link, is_other ? &other_name : &device_name);
    if (!NT_SUCCESS(status))
        IoDeleteDevice(device);
    return status;
}
