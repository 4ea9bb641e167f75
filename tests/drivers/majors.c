// majors.sys (\\.\RbMajors): writes down every request that its routines get, and answers it. Its own codes are answered by fast
// I/O, so that they make none. A driver of Plug and Play devices too, whose requests it writes down and passes on.
#include <ntddk.h>

#include "complete.h"

// No input; the output is what was written down since, struct seen each.
#define MAJORS_TAKE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_NEITHER, FILE_ANY_ACCESS)
// Input: a major function, whose routine goes; 255 brings all back.
#define MAJORS_WITHOUT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x901, METHOD_NEITHER, FILE_ANY_ACCESS)
// A request of its own to its device: IRP_MJ_INTERNAL_DEVICE_CONTROL.
#define MAJORS_INTERNAL CTL_CODE(FILE_DEVICE_UNKNOWN, 0x902, METHOD_BUFFERED, FILE_ANY_ACCESS)

#define SEEN 64

// SECURITY_DESCRIPTOR in its self-relative form.
struct descriptor {
    UCHAR revision, reserved;
    USHORT control;
    ULONG offsets[4];
};
#define SELF_RELATIVE_WITH_RM_CONTROL 0xC000

NTSYSAPI NTSTATUS NTAPI IoWMIRegistrationControl(DEVICE_OBJECT *device, ULONG action);

// 48 bytes.
struct seen {
    UCHAR major, minor, mode, irql, has_file, flags, plug, pad;
    ULONG irp_flags, name;
    ULONG64 parameters[4];
};

struct extension {
    DEVICE_OBJECT *lower;
};

static struct seen seen[SEEN];
static volatile LONG seen_count;
static DRIVER_OBJECT *own_driver;
static DEVICE_OBJECT *main_device;
static PDRIVER_DISPATCH absent;
static FAST_IO_DISPATCH table;

static void write_down(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    LONG index = InterlockedIncrement(&seen_count) - 1;
    if (index >= SEEN)
        return;
    struct seen *entry = &seen[index];
    entry->major = location->MajorFunction;
    entry->minor = location->MinorFunction;
    entry->mode = irp->RequestorMode;
    entry->irql = KeGetCurrentIrql();
    entry->has_file = location->FileObject != NULL;
    entry->flags = location->Flags;
    entry->plug = device != main_device;
    entry->irp_flags = irp->Flags;
    entry->name = location->FileObject ? location->FileObject->FileName.Length : 0;
    RtlCopyMemory(entry->parameters, &location->Parameters, sizeof entry->parameters);
}

static NTSTATUS NTAPI any(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct extension *extension = device->DeviceExtension;
    UCHAR minor = location->MinorFunction;
    write_down(device, irp);
    if (device != main_device) {
        if (location->MajorFunction == IRP_MJ_POWER)
            PoStartNextPowerIrp(irp);
        IoSkipCurrentIrpStackLocation(irp);
        NTSTATUS status = IoCallDriver(extension->lower, irp);
        if (location->MajorFunction == IRP_MJ_PNP && minor == IRP_MN_REMOVE_DEVICE) {
            IoDetachDevice(extension->lower);
            IoDeleteDevice(device);
        }
        return status;
    }
    switch (location->MajorFunction) {
    case IRP_MJ_READ:
        RtlFillMemory(irp->AssociatedIrp.SystemBuffer, location->Parameters.Read.Length, 'm');
        return complete(irp, STATUS_SUCCESS, location->Parameters.Read.Length);
    case IRP_MJ_WRITE:
        return complete(irp, STATUS_SUCCESS, location->Parameters.Write.Length);
    case IRP_MJ_QUERY_INFORMATION:
        RtlZeroMemory(irp->AssociatedIrp.SystemBuffer, location->Parameters.QueryFile.Length);
        return complete(irp, STATUS_SUCCESS, location->Parameters.QueryFile.Length);
    case IRP_MJ_QUERY_SECURITY: {
        // A descriptor without owner, group and lists.
        struct descriptor *answer = irp->UserBuffer;
        if (location->Parameters.QuerySecurity.Length < sizeof *answer)
            return complete(irp, STATUS_BUFFER_OVERFLOW, sizeof *answer);
        NTSTATUS status = STATUS_SUCCESS;
        __try {
            RtlZeroMemory(answer, sizeof *answer);
            answer->revision = 1;
            answer->control = SELF_RELATIVE_WITH_RM_CONTROL;
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            status = GetExceptionCode();
        }
        return complete(irp, status, NT_SUCCESS(status) ? sizeof *answer : 0);
    }
    case IRP_MJ_SET_SECURITY: {
        // The second word is not the pointer, which means nothing outside, but the descriptor's first one.
        struct seen *entry = &seen[seen_count - 1];
        entry->parameters[1] = *(ULONG *)location->Parameters.SetSecurity.SecurityDescriptor;
        return complete(irp, STATUS_SUCCESS, 0);
    }
    case IRP_MJ_CREATE_MAILSLOT:
    case IRP_MJ_CREATE_NAMED_PIPE: {
        // The fourth word is the first of what it is to be.
        struct seen *entry = &seen[seen_count - 1];
        ULONG *words = (ULONG *)entry->parameters[3];
        entry->parameters[0] = location->Parameters.Create.SecurityContext->DesiredAccess;
        entry->parameters[3] = words[0] | (ULONG64)words[1] << 32;
        return complete(irp, STATUS_SUCCESS, FILE_CREATED);
    }
    case IRP_MJ_CREATE:
        seen[seen_count - 1].parameters[0] = location->Parameters.Create.SecurityContext->DesiredAccess;
        return complete(irp, STATUS_SUCCESS, FILE_OPENED);
    case IRP_MJ_DEVICE_CONTROL:
        if (location->Parameters.DeviceIoControl.IoControlCode == MAJORS_INTERNAL) {
            KEVENT event;
            IO_STATUS_BLOCK block;
            KeInitializeEvent(&event, NotificationEvent, FALSE);
            IRP *own = IoBuildDeviceIoControlRequest(0x77, main_device, NULL, 0, NULL, 0, TRUE, &event, &block);
            NTSTATUS status = own ? IoCallDriver(main_device, own) : STATUS_INSUFFICIENT_RESOURCES;
            return complete(irp, status, 0);
        }
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_SYSTEM_CONTROL:
        return complete(irp, STATUS_WMI_GUID_NOT_FOUND, 0);
    case IRP_MJ_PNP:
    case IRP_MJ_POWER:
        return complete(irp, STATUS_NOT_SUPPORTED, 0);
    default:
        return complete(irp, STATUS_SUCCESS, 0);
    }
}

static void bring_back(void) {
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        own_driver->MajorFunction[i] = any;
}

static BOOLEAN NTAPI fast_control(FILE_OBJECT *file, BOOLEAN wait, PVOID in, ULONG in_length, PVOID out, ULONG out_length, ULONG code,
                                  IO_STATUS_BLOCK *block, DEVICE_OBJECT *device) {
    UNREFERENCED_PARAMETER(file);
    UNREFERENCED_PARAMETER(wait);
    UNREFERENCED_PARAMETER(device);
    block->Status = STATUS_SUCCESS;
    block->Information = 0;
    if (code == MAJORS_TAKE) {
        ULONG count = (ULONG)InterlockedExchange(&seen_count, 0), bytes = (count < SEEN ? count : SEEN) * sizeof(struct seen);
        if (bytes > out_length)
            bytes = out_length;
        RtlCopyMemory(out, seen, bytes);
        RtlZeroMemory(seen, sizeof seen);
        block->Information = bytes;
        return TRUE;
    }
    if (code == MAJORS_WITHOUT && in_length) {
        UCHAR major = *(UCHAR *)in;
        bring_back();
        if (major <= IRP_MJ_MAXIMUM_FUNCTION)
            own_driver->MajorFunction[major] = absent;
        return TRUE;
    }
    return FALSE;
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *physical) {
    DEVICE_OBJECT *device;
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct extension), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    ((struct extension *)device->DeviceExtension)->lower = IoAttachDeviceToDeviceStack(device, physical);
    device->Flags |= DO_POWER_PAGABLE;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbMajors");
    IoDeleteSymbolicLink(&link);
    IoUnregisterShutdownNotification(main_device);
    IoWMIRegistrationControl(main_device, 2);
    while (driver->DeviceObject)
        IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbMajors"), link = RTL_CONSTANT_STRING(L"\\??\\RbMajors");
    UNREFERENCED_PARAMETER(path);
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct extension), &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &main_device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(main_device);
        return status;
    }
    own_driver = driver;
    absent = driver->MajorFunction[0];
    bring_back();
    table.SizeOfFastIoDispatch = sizeof table;
    table.FastIoDeviceControl = fast_control;
    driver->FastIoDispatch = &table;
    driver->DriverExtension->AddDevice = add_device;
    driver->DriverUnload = unload;
    main_device->Flags |= DO_BUFFERED_IO;
    main_device->Flags &= ~DO_DEVICE_INITIALIZING;
    IoRegisterShutdownNotification(main_device);
    return IoWMIRegistrationControl(main_device, 1);
}
