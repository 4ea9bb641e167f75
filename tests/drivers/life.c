// life.sys: writes down which requests it gets, in which order. Its codes are described in cases.h.
#include <ntddk.h>

#include "cases.h"
#include "complete.h"

#define EVENTS 128

static struct life_event events[EVENTS];
static volatile LONG event_count;
static DEVICE_OBJECT *main_device, *only_device;

// What DriverEntry was given.
static struct life_entry entry;

static void copy_string(struct life_string *to, const UNICODE_STRING *from) {
    to->length = from->Length;
    to->maximum_length = from->MaximumLength;
    ULONG bytes = from->Length < sizeof to->characters ? from->Length : sizeof to->characters;
    if (bytes)
        RtlCopyMemory(to->characters, from->Buffer, bytes);
}

static void write_down(DEVICE_OBJECT *device, IRP *irp) {
    LONG index = InterlockedIncrement(&event_count) - 1;
    if (index >= EVENTS)
        return;
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    struct life_event *event = &events[index];
    event->major = location->MajorFunction;
    event->requestor_mode = irp->RequestorMode;
    event->irql = KeGetCurrentIrql();
    event->device = device == only_device;
    event->flags = irp->Flags;
    event->process = (ULONG)(ULONG_PTR)PsGetCurrentProcessId();
    event->file = (ULONG64)location->FileObject;
    if (location->FileObject) {
        event->file_flags = location->FileObject->Flags;
        event->file_device = location->FileObject->DeviceObject == device;
        copy_string(&event->name, &location->FileObject->FileName);
    }
    if (location->MajorFunction == IRP_MJ_CREATE) {
        event->options = location->Parameters.Create.Options;
        event->share = location->Parameters.Create.ShareAccess;
        event->access = location->Parameters.Create.SecurityContext->DesiredAccess;
    }
}

static BOOLEAN is_name(const UNICODE_STRING *name, const WCHAR *text) {
    UNICODE_STRING other;
    RtlInitUnicodeString(&other, text);
    return RtlEqualUnicodeString(name, &other, TRUE);
}

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    write_down(device, irp);
    if (is_name(&file->FileName, L"\\refuse"))
        return complete(irp, STATUS_SHARING_VIOLATION, 0);
    if (is_name(&file->FileName, L"\\collide"))
        return complete(irp, STATUS_OBJECT_NAME_COLLISION, 0);
    if (is_name(&file->FileName, L"\\warn"))
        return complete(irp, STATUS_BUFFER_OVERFLOW, 7);
    return complete(irp, STATUS_SUCCESS, FILE_OPENED);
}

static NTSTATUS NTAPI cleanup_or_close(DEVICE_OBJECT *device, IRP *irp) {
    write_down(device, irp);
    return complete(irp, STATUS_SUCCESS, 0);
}

// What they return is ignored.
static NTSTATUS NTAPI write(DEVICE_OBJECT *device, IRP *irp) {
    write_down(device, irp);
    return complete(irp, STATUS_SUCCESS, IoGetCurrentIrpStackLocation(irp)->Parameters.Write.Length);
}

static NTSTATUS give(IRP *irp, const void *data, ULONG length) {
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength < length)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, data, length);
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    ULONG count = event_count < EVENTS ? (ULONG)event_count : EVENTS;
    switch (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode) {
    case LIFE_EVENTS:
        return give(irp, events, count * sizeof(struct life_event));
    case LIFE_ENTRY:
        return give(irp, &entry, sizeof entry);
    case LIFE_FORGET:
        RtlZeroMemory(events, sizeof events);
        event_count = 0;
        return complete(irp, STATUS_SUCCESS, 0);
    case LIFE_DELETE_DEVICE:
        IoDeleteDevice(only_device);
        return complete(irp, STATUS_SUCCESS, 0);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\??\\RbLife");
    UNICODE_STRING only_link = RTL_CONSTANT_STRING(L"\\??\\RbLifeOnly");
    IoDeleteSymbolicLink(&link);
    IoDeleteSymbolicLink(&only_link);
    while (driver->DeviceObject)
        IoDeleteDevice(driver->DeviceObject);
}

// The image's first byte, from the linker.
extern const UCHAR __ImageBase;
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

static void look_at(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    entry.size = sizeof entry;
    entry.irql = KeGetCurrentIrql();
    entry.process = (ULONG)(ULONG_PTR)PsGetCurrentProcessId();
    entry.type = driver->Type;
    entry.object_size = driver->Size;
    entry.starts_at_image = driver->DriverStart == (PVOID)&__ImageBase;
    entry.driver_size = driver->DriverSize;
    entry.init_is_entry = driver->DriverInit == DriverEntry;
    entry.extension_points_back = driver->DriverExtension->DriverObject == driver;
    entry.fields_are_null = !driver->DeviceObject && !driver->DriverUnload && !driver->DriverStartIo && !driver->FastIoDispatch;
    entry.majors_are_equal = 1;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        if (!driver->MajorFunction[i] || driver->MajorFunction[i] != driver->MajorFunction[0])
            entry.majors_are_equal = 0;
    copy_string(&entry.path, path);
    copy_string(&entry.name, &driver->DriverName);
    copy_string(&entry.service, &driver->DriverExtension->ServiceKeyName);
    copy_string(&entry.hardware, driver->HardwareDatabase);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\RbLife"), link = RTL_CONSTANT_STRING(L"\\??\\RbLife");
    UNICODE_STRING only = RTL_CONSTANT_STRING(L"\\Device\\RbLifeOnly");
    UNICODE_STRING only_link = RTL_CONSTANT_STRING(L"\\??\\RbLifeOnly");
    look_at(driver, path);
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &main_device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateDevice(driver, 0, &only, FILE_DEVICE_UNKNOWN, 0, TRUE, &only_device);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(main_device);
        return status;
    }
    main_device->Flags |= DO_BUFFERED_IO;
    IoCreateSymbolicLink(&link, &name);
    IoCreateSymbolicLink(&only_link, &only);
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = cleanup_or_close;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
