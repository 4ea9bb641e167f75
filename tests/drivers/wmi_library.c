// wmi_library.sys: routines that WMILIB calls. Device \Device\RbWmiLib, one block of three instances of different lengths, and a
// second block without data.
#include <ntddk.h>

#include "complete.h"

NTSYSAPI NTSTATUS NTAPI IoWMIRegistrationControl(DEVICE_OBJECT *device, ULONG action);

struct guid_info {
    const GUID *guid;
    ULONG instances, flags;
};

struct wmilib_context {
    ULONG guid_count;
    struct guid_info *guids;
    NTSTATUS(NTAPI *query_reg_info)(DEVICE_OBJECT *, ULONG *, UNICODE_STRING *, UNICODE_STRING **, UNICODE_STRING *, DEVICE_OBJECT **);
    NTSTATUS(NTAPI *query_data_block)(DEVICE_OBJECT *, IRP *, ULONG, ULONG, ULONG, ULONG *, ULONG, UCHAR *);
    NTSTATUS(NTAPI *set_data_block)(DEVICE_OBJECT *, IRP *, ULONG, ULONG, ULONG, UCHAR *);
    NTSTATUS(NTAPI *set_data_item)(DEVICE_OBJECT *, IRP *, ULONG, ULONG, ULONG, ULONG, UCHAR *);
    NTSTATUS(NTAPI *execute_method)(DEVICE_OBJECT *, IRP *, ULONG, ULONG, ULONG, ULONG, ULONG, UCHAR *);
    NTSTATUS(NTAPI *function_control)(DEVICE_OBJECT *, IRP *, ULONG, ULONG, BOOLEAN);
};

__declspec(dllimport) NTSTATUS NTAPI WmiSystemControl(struct wmilib_context *context, DEVICE_OBJECT *device, IRP *irp, ULONG *disposition);
__declspec(dllimport) NTSTATUS NTAPI WmiCompleteRequest(DEVICE_OBJECT *device, IRP *irp, NTSTATUS status, ULONG used, CCHAR boost);
__declspec(dllimport) NTSTATUS NTAPI WmiFireEvent(DEVICE_OBJECT *device, const GUID *guid, ULONG index, ULONG size, PVOID data);

static const GUID guids[2] = {
    {0x52424D49, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}},
    {0x52424D49, 9, 9, {9, 9, 9, 9, 9, 9, 9, 9}},
};
static struct guid_info infos[2] = {{&guids[0], 3, 0}, {&guids[1], 1, 0}};
static UNICODE_STRING path = RTL_CONSTANT_STRING(L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\wmi_library");
static UCHAR data[3][16];
static ULONG lengths[3] = {3, 16, 8};

static NTSTATUS NTAPI query_reg_info(DEVICE_OBJECT *device, ULONG *flags, UNICODE_STRING *name, UNICODE_STRING **registry, UNICODE_STRING *mof,
                                     DEVICE_OBJECT **physical) {
    UNREFERENCED_PARAMETER(mof);
    UNREFERENCED_PARAMETER(physical);
    UNREFERENCED_PARAMETER(device);
    *flags = 4;
    RtlInitUnicodeString(name, L"Lib");
    *registry = &path;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI query_data(DEVICE_OBJECT *device, IRP *irp, ULONG block, ULONG first, ULONG count, ULONG *sizes, ULONG room, UCHAR *buffer) {
    ULONG used = 0;
    if (block != 0)
        return WmiCompleteRequest(device, irp, STATUS_WMI_GUID_NOT_FOUND, 0, IO_NO_INCREMENT);
    for (ULONG i = first; i < first + count; i++)
        used = ((used + 7) & ~7u) + lengths[i];
    if (!sizes || room < used)
        return WmiCompleteRequest(device, irp, STATUS_BUFFER_TOO_SMALL, used, IO_NO_INCREMENT);
    used = 0;
    for (ULONG i = first; i < first + count; i++) {
        used = (used + 7) & ~7u;
        RtlCopyMemory(buffer + used, data[i], lengths[i]);
        sizes[i - first] = lengths[i];
        used += lengths[i];
    }
    return WmiCompleteRequest(device, irp, STATUS_SUCCESS, used, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI set_data(DEVICE_OBJECT *device, IRP *irp, ULONG block, ULONG index, ULONG size, UCHAR *buffer) {
    NTSTATUS status = block == 0 && size == lengths[index] ? STATUS_SUCCESS : STATUS_WMI_SET_FAILURE;
    if (NT_SUCCESS(status))
        RtlCopyMemory(data[index], buffer, size);
    return WmiCompleteRequest(device, irp, status, 0, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI method(DEVICE_OBJECT *device, IRP *irp, ULONG block, ULONG index, ULONG id, ULONG in, ULONG out, UCHAR *buffer) {
    UNREFERENCED_PARAMETER(block);
    UNREFERENCED_PARAMETER(index);
    if (out < in * 2)
        return WmiCompleteRequest(device, irp, STATUS_BUFFER_TOO_SMALL, in * 2, IO_NO_INCREMENT);
    for (ULONG i = 0; i < in; i++)
        buffer[in + i] = (UCHAR)(buffer[i] + id);
    return WmiCompleteRequest(device, irp, STATUS_SUCCESS, in * 2, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp, ULONG block, ULONG function, BOOLEAN enable) {
    if (function == 0 && enable) {
        UCHAR *event = ExAllocatePoolWithTag(NonPagedPool, 4, 'imWR');
        if (event) {
            RtlCopyMemory(event, "fire", 4);
            WmiFireEvent(device, &guids[block], 2, 4, event);
        }
    }
    return WmiCompleteRequest(device, irp, STATUS_SUCCESS, 0, IO_NO_INCREMENT);
}

static struct wmilib_context library = {2, infos, query_reg_info, query_data, set_data, NULL, method, control};

static NTSTATUS NTAPI system_control(DEVICE_OBJECT *device, IRP *irp) {
    ULONG disposition = 99;
    NTSTATUS status = WmiSystemControl(&library, device, irp, &disposition);
    switch (disposition) {
    case 0:
        return status;
    case 1:
        IoCompleteRequest(irp, IO_NO_INCREMENT);
        return status;
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    IoWMIRegistrationControl(driver->DeviceObject, 2);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbWmiLib");
    DEVICE_OBJECT *device;
    UNREFERENCED_PARAMETER(registry);
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = system_control;
    driver->DriverUnload = unload;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return IoWMIRegistrationControl(device, 1);
}
