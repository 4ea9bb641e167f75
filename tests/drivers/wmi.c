// wmi.sys: a provider of WMI data, device \Device\RbWmi. Its block {52424D49-0001-...} has two instances of twelve bytes; the method
// 7 of an instance gives its input reversed; enabling its events writes one, with the four bytes "ping" behind the header.
#include <ntddk.h>

#include "complete.h"

NTSYSAPI NTSTATUS NTAPI IoWMIRegistrationControl(DEVICE_OBJECT *device, ULONG action);
NTSYSAPI NTSTATUS NTAPI IoWMIWriteEvent(PVOID node);

static const GUID block_guid = {0x52424D49, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
static UCHAR data[2][12];
static BOOLEAN collects;

// WMIREGGUID and WMIREGINFO.
struct reg_guid {
    GUID guid;
    ULONG flags, instances;
    ULONG64 names;
};
struct reg_info {
    ULONG size, next, registry_path, mof, count, pad;
    struct reg_guid guids[1];
};

// What all WNODEs begin with, and what follows for an instance (item and method put a word between).
struct node {
    ULONG size, provider;
    ULONG64 context, time;
    GUID guid;
    ULONG client, flags;
    ULONG words[6];
};

static BOOLEAN is_block(const GUID *guid) {
    return RtlCompareMemory(guid, &block_guid, sizeof *guid) == sizeof *guid;
}

static NTSTATUS too_small(IRP *irp, struct node *node, ULONG needed) {
    node->size = 52;
    node->flags |= 0x20;
    node->words[0] = needed;
    return complete(irp, STATUS_SUCCESS, 52);
}

static NTSTATUS all_data(IRP *irp, struct node *node, ULONG room) {
    ULONG needed = 64 + 32;
    if (room < needed)
        return too_small(irp, node, needed);
    node->size = needed;
    node->flags |= 0x10;
    node->words[0] = 64;
    node->words[1] = 2;
    node->words[2] = 0;
    node->words[3] = 12;
    RtlCopyMemory((UCHAR *)node + 64, data[0], 12);
    RtlCopyMemory((UCHAR *)node + 80, data[1], 12);
    return complete(irp, STATUS_SUCCESS, needed);
}

static void write_event(ULONG provider) {
    struct node *event = ExAllocatePoolWithTag(NonPagedPool, 64, 'imWR');
    if (!event)
        return;
    RtlZeroMemory(event, 64);
    event->size = 64;
    event->provider = provider;
    event->guid = block_guid;
    event->flags = 0x8;
    event->words[1] = 60;
    event->words[2] = 4;
    RtlCopyMemory((UCHAR *)event + 60, "ping", 4);
    if (!NT_SUCCESS(IoWMIWriteEvent(event)))
        ExFreePoolWithTag(event, 'imWR');
}

static NTSTATUS NTAPI system_control(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct node *node = location->Parameters.WMI.Buffer;
    ULONG room = location->Parameters.WMI.BufferSize;
    if ((DEVICE_OBJECT *)location->Parameters.WMI.ProviderId != device)
        return complete(irp, STATUS_NOT_SUPPORTED, 0);
    UCHAR minor = location->MinorFunction;
    if (minor == IRP_MN_REGINFO_EX || minor == IRP_MN_REGINFO) {
        struct reg_info *info = location->Parameters.WMI.Buffer;
        if (room < sizeof *info) {
            *(ULONG *)info = sizeof *info;
            return complete(irp, STATUS_BUFFER_TOO_SMALL, sizeof(ULONG));
        }
        RtlZeroMemory(info, sizeof *info);
        info->size = sizeof *info;
        info->count = 1;
        info->guids[0].guid = block_guid;
        info->guids[0].flags = 0x20;
        info->guids[0].instances = 2;
        return complete(irp, STATUS_SUCCESS, sizeof *info);
    }
    if (!is_block(location->Parameters.WMI.DataPath))
        return complete(irp, STATUS_WMI_GUID_NOT_FOUND, 0);
    ULONG index = node->words[1];
    switch (minor) {
    case IRP_MN_QUERY_ALL_DATA:
        return all_data(irp, node, room);
    case IRP_MN_QUERY_SINGLE_INSTANCE:
        if (index > 1)
            return complete(irp, STATUS_WMI_INSTANCE_NOT_FOUND, 0);
        node->words[2] = 72;
        node->words[3] = 12;
        RtlCopyMemory((UCHAR *)node + 72, data[index], 12);
        return complete(irp, STATUS_SUCCESS, 84);
    case IRP_MN_CHANGE_SINGLE_INSTANCE:
        if (index > 1 || node->words[3] != 12)
            return complete(irp, index > 1 ? STATUS_WMI_INSTANCE_NOT_FOUND : STATUS_WMI_SET_FAILURE, 0);
        RtlCopyMemory(data[index], (UCHAR *)node + node->words[2], 12);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MN_CHANGE_SINGLE_ITEM:
        if (index > 1 || node->words[2] > 2 || node->words[4] != 4)
            return complete(irp, STATUS_WMI_ITEMID_NOT_FOUND, 0);
        RtlCopyMemory(data[index] + node->words[2] * 4, (UCHAR *)node + node->words[3], 4);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MN_EXECUTE_METHOD: {
        if (node->words[2] != 7)
            return complete(irp, STATUS_WMI_ITEMID_NOT_FOUND, 0);
        UCHAR *bytes = (UCHAR *)node + node->words[3];
        ULONG length = node->words[4];
        for (ULONG i = 0; i < length / 2; i++) {
            UCHAR byte = bytes[i];
            bytes[i] = bytes[length - 1 - i];
            bytes[length - 1 - i] = byte;
        }
        return complete(irp, STATUS_SUCCESS, node->words[3] + length);
    }
    case IRP_MN_ENABLE_EVENTS:
        write_event(node->provider);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MN_DISABLE_EVENTS:
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MN_ENABLE_COLLECTION:
    case IRP_MN_DISABLE_COLLECTION: {
        BOOLEAN wanted = minor == IRP_MN_ENABLE_COLLECTION;
        if (collects == wanted)
            return complete(irp, STATUS_WMI_ALREADY_DISABLED, 0);
        collects = wanted;
        return complete(irp, STATUS_SUCCESS, 0);
    }
    default:
        return complete(irp, STATUS_NOT_SUPPORTED, 0);
    }
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    IoWMIRegistrationControl(driver->DeviceObject, 2);
    IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbWmi");
    DEVICE_OBJECT *device;
    UNREFERENCED_PARAMETER(path);
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = system_control;
    driver->DriverUnload = unload;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return IoWMIRegistrationControl(device, 1);
}
