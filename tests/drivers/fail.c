// fail.sys: a DriverEntry that does not end well. The name of its service says how, as cases.h describes.
#include <ntddk.h>

#include "cases.h"

#define TAG 'liaF'

static BOOLEAN is_named(const UNICODE_STRING *path, const WCHAR *name, USHORT length) {
    if (path->Length < length)
        return FALSE;
    const WCHAR *tail = path->Buffer + (path->Length - length) / sizeof(WCHAR);
    return RtlCompareMemory(tail, name, length) == length;
}

#define NAMED(name) is_named(path, L"\\" name, sizeof(L"\\" name) - sizeof(WCHAR))

static void leave_things(DRIVER_OBJECT *driver) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbFail");
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbFail");
    DEVICE_OBJECT *device;
    IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    IoCreateSymbolicLink(&link, &name);
    ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG);
    ExAllocatePoolWithTag(PagedPool, 5000, TAG);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
}

// Not called by a system that keeps the rules: a driver whose DriverEntry fails is not unloaded.
static void NTAPI unload(DRIVER_OBJECT *driver) {
    KeBugCheckEx(0xDEAD, (ULONG_PTR)driver, 0, 0, 0);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    if (NAMED("fail"))
        leave_things(driver);
    if (NAMED("fail_by_fault"))
        *(volatile ULONG *)0 = 1;
    if (NAMED("fail_by_bug_check"))
        KeBugCheckEx(0xDEAD, 1, 2, 3, 4);
    if (NAMED("fail_to_unload"))
        return STATUS_SUCCESS;
    driver->DriverUnload = unload;
    return STATUS_UNSUCCESSFUL;
}
